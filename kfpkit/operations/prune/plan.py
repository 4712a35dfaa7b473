"""What goes and what stays: decided here, from facts, without touching anything.

A step that took its result from the cache has the artifacts of the run that made them: its own
execution refers to the same rows of the metadata, and the files stay in the folder of that earlier
run. So a file goes when its run is gone and no kept run's execution refers to it. A run that was
deleted before, by an earlier prune or in the web UI, is gone too: its files are found by the
metadata, which KFP keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kfpkit.kfp.states import FINAL
from kfpkit.kfp.workflow import LOGS
from kfpkit.operations.backup import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Units that an age is written in; an `m` might be meant for months.
UNITS = "hdw"


@dataclass(frozen=True)
class Rule:
    """Which runs are old.

    Attributes:
        older_than: Seconds since a run's end.
        keep: How many of each pipeline's runs, the newest that are not archived, stay at any age.
        experiment: Only runs of this experiment; empty for all.
    """

    older_than: int
    keep: int = 0
    experiment: str = ""


@dataclass(frozen=True)
class RunRow:
    """A run as the database knows it.

    Attributes:
        id: Its ID.
        name: For a person.
        workflow: Name of its Workflow.
        state: As KFP says it.
        archived: Whether somebody put it into the archive.
        experiment: Name of its experiment.
        pipeline: Name of its pipeline.
        ended: Seconds since 1970; of a run without an end that of its beginning.
    """

    id: str
    name: str
    workflow: str
    state: str
    archived: bool
    experiment: str
    pipeline: str
    ended: int


@dataclass(frozen=True)
class Folder:
    """What the metadata says of a run, also of one that was deleted.

    Attributes:
        uri: Where its artifacts are.
        began: Seconds since 1970.
    """

    uri: str
    began: int


@dataclass(frozen=True)
class ArtifactRow:
    """An artifact of the metadata."""

    id: int
    uri: str
    deleted: bool
    #: Runs whose executions read or wrote it.
    runs: frozenset[str]


@dataclass(frozen=True)
class Facts:
    """What there is."""

    bucket: str
    runs: Mapping[str, RunRow] = field(default_factory=dict)
    #: Number of cache entries by run.
    cached: Mapping[str, int] = field(default_factory=dict)
    #: By run.
    folders: Mapping[str, Folder] = field(default_factory=dict)
    artifacts: Sequence[ArtifactRow] = ()
    #: Bytes by key.
    objects: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What goes."""

    #: Runs to be deleted.
    runs: list[RunRow]
    #: How many runs that were deleted before have left something.
    left: int
    #: How many cache entries.
    cached: int
    #: Keys of logs, with bytes.
    logs: dict[str, int]
    #: Keys of artifacts' files, with bytes.
    files: dict[str, int]
    #: Artifacts of the metadata to be marked as deleted.
    artifacts: list[int]
    #: Files of runs that go, which stay because a kept run refers to them; with bytes.
    shared: dict[str, int]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.runs or self.logs or self.files or self.artifacts)


def choose(runs: Iterable[RunRow], rule: Rule, now: float) -> list[RunRow]:
    """Return the runs that the rule lets go, oldest first; never one that has not ended."""
    kept: dict[str, int] = {}
    found = []
    for run in sorted(runs, key=lambda run: run.ended, reverse=True):
        if run.state not in FINAL or (rule.experiment and run.experiment != rule.experiment):
            continue
        if not run.archived:
            kept[run.pipeline] = kept.get(run.pipeline, 0) + 1
            if kept[run.pipeline] <= rule.keep:
                continue
        if run.ended <= now - rule.older_than:
            found.append(run)
    return found[::-1]


def plan(facts: Facts, chosen: Iterable[RunRow], rule: Rule, now: float) -> Plan:
    """Return what goes with the chosen runs, and with those that were deleted before.

    Args:
        facts: What there is.
        chosen: Runs to be deleted.
        rule: Runs that were deleted before count if they began before its age.
        now: Seconds since 1970.
    """
    runs = {run.id: run for run in chosen}
    kept = facts.runs.keys() - runs.keys()
    left = {
        run_id
        for run_id, folder in facts.folders.items()
        if run_id not in facts.runs and folder.began <= now - rule.older_than
    }
    # Only a folder of the run's own, whatever pipeline root the run was given.
    owners = {
        key: run_id
        for run_id in (runs.keys() | left) & facts.folders.keys()
        for key in objects.keys(facts.folders[run_id].uri, facts.bucket)
        if key.rpartition("/")[2] == run_id
    }
    keys = {a.id: set(objects.keys(a.uri, facts.bucket)) for a in facts.artifacts}
    wanted = {key for a in facts.artifacts if a.runs & kept for key in keys[a.id]}
    mine = {key: size for key, size in facts.objects.items() if owners.keys() & _above(key)}
    shared = {key: size for key, size in mine.items() if wanted & _above(key)}
    files = {key: size for key, size in mine.items() if key not in shared}
    marked = {
        a.id: key
        for a in facts.artifacts
        if not a.deleted and not keys[a.id] & wanted
        for key in keys[a.id]
        if owners.keys() & _above(key)
    }
    needed = {facts.runs[run_id].workflow for run_id in kept}
    logs = {LOGS + run.workflow for run in runs.values() if run.workflow} - {
        LOGS + name for name in needed
    }
    found = {owners[k] for key in (*files, *marked.values()) for k in owners.keys() & _above(key)}
    return Plan(
        runs=list(runs.values()),
        left=len(found & left),
        cached=sum(facts.cached.get(run_id, 0) for run_id in runs),
        logs={key: size for key, size in facts.objects.items() if logs & _above(key)},
        files=files,
        artifacts=sorted(marked),
        shared=shared,
    )


def _above(key: str) -> set[str]:
    """Return a key and all folders that it is in."""
    parts = key.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
