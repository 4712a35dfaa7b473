"""The phases of an upgrade, each of which can be begun again, and the way back."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.kfp import indexes, object_store, releases
from kfpkit.kfp.database import reached
from kfpkit.kfp.workflow import LOGS
from kfpkit.kube import render
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import journal as notes
from kfpkit.operations import lock
from kfpkit.operations.backup import create, holding, inventory, objects
from kfpkit.operations.backup.manifest import read, require_whole
from kfpkit.operations.backup.restore import require_same, restore
from kfpkit.operations.journal import Journal, Phase
from kfpkit.operations.lock import Operation
from kfpkit.operations.upgrade import plan, probe
from kfpkit.operations.upgrade.applied import Recorded, applied, gone, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kfpkit.kfp.target import Target
    from kfpkit.kube.render import Document
    from kfpkit.operations.lock import Lock

#: The API server, alone in changing tables, and what starts recurring runs.
SERVER = "ml-pipeline"
HELD = (SERVER, *holding.SCHEDULER)

#: File of the backup that says what the installation held.
INVENTORY = "inventory.json"

#: Artifacts that are read back, the smallest ones.
ARTIFACTS = 20

#: Differences that an error names.
SHOWN = 10

#: What each phase does.
WORDS = {
    Phase.DRAIN: "recurring runs pause, runs under way end",
    Phase.BACKUP: "the API server stops, and what is there is backed up",
    Phase.MIGRATE: "the new objects, then one API server, which changes the tables",
    Phase.VERIFY: "runs, artifacts, cache, a new run",
    Phase.RESUME: "recurring runs go on",
}


@dataclass
class Upgrade:
    """An upgrade that was begun, on this machine or on another one."""

    new: Target
    journal: Journal
    #: Folder of the backups.
    backups: Path
    #: Seconds to wait for runs under way, and for all parts.
    wait: float
    timeout: float
    lock: Lock

    def go(self) -> None:
        """Go through the phases from where the journal stands.

        Raises:
            KitError: A phase failed; the same command goes on with it.
        """
        began = time.monotonic()
        order = list(WORDS)
        for phase in order[order.index(self.journal.phase) :]:
            self._note(phase)
            console.say(f"{phase}: {WORDS[phase]} ({time.monotonic() - began:.0f} s so far)")
            try:
                getattr(self, phase)()
            except BaseException:
                console.warn(
                    f"the upgrade stands at {phase}, recurring runs are paused: "
                    "make upgrade goes on from there, make rollback takes it back"
                )
                raise
        self._note(Phase.DONE)
        console.say(
            f"{self.journal.to} is in use after {time.monotonic() - began:.0f} s; "
            "make rollback puts the state before back, without the runs since"
        )

    def drain(self) -> None:
        """Pause recurring runs, wait for runs, and run the canary."""
        old = installed(self.new, self.journal.pods)
        _hold(old, holding.SCHEDULER)
        if process.dry_run():
            console.say("would wait for the runs under way, and run the canary")
            return
        with reached(old) as database:
            create.drain(old, database, self.wait)
        self._probe(old, "before the upgrade")

    def backup(self) -> None:
        """Write down what there is, stop the API server, and back everything up."""
        old = installed(self.new, self.journal.pods)
        file = self.backups / f"inventory-{self.journal.token}.json"
        # Once the API server was stopped, what an earlier attempt wrote down is still so.
        if not process.dry_run() and (not file.exists() or _pods(old)[SERVER]):
            _scale(old, {SERVER: 1}, self.timeout)  # Stopped by an attempt on another machine.
            self.backups.mkdir(parents=True, mode=0o700, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_text(json.dumps(inventory.take(old, artifacts=False)), encoding="utf-8")
            part.rename(file)
        _hold(old, [SERVER])
        folder = create.make(old, self.backups, wait=0)
        if not process.dry_run():
            file.rename(folder / INVENTORY)
        self.journal.backup = str(folder.absolute())

    def migrate(self) -> None:
        """Apply the new objects, the held components as they are, and start one API server."""
        file = self.backups / "upgrade.yaml"
        target = record(self.new, self.new.documents, _pods(self.new), file).write()
        lifecycle.install(target, timeout=self.timeout)
        _remove(self.new, gone(applied(self.new), self.new.documents))
        _scale(self.new, {SERVER: 1}, self.timeout)
        indexes.ensure(self.new)

    def verify(self) -> None:
        """Compare what there is with what there was, and run something."""
        if process.dry_run():
            console.say("would compare with what there was, read artifacts, run the canary")
            return
        from kfpkit.core.findings import Verdict
        from kfpkit.operations import canary

        folder = _folder(self.journal, self.backups)
        self._compare(folder)
        self._read_artifacts(folder)
        cached = self._probe(self.new, "after the upgrade")
        same = self.journal.source == self.journal.to
        if same and cached < canary.STEPS:
            raise KitError("the canary run of before is not in the cache any more")
        if not same:
            console.warn("as planned, steps that ran before the upgrade run once more")
        for finding in canary.ask(self.new):
            if finding.verdict is Verdict.FAULT:
                raise KitError(f"a new run fails: {finding.evidence}", finding.command)
            console.say(f"canary: {finding.evidence}")

    def resume(self) -> None:
        """Let recurring runs go on."""
        wanted = {
            d["metadata"]["name"]: d["spec"].get("replicas", 1)
            for d in self.new.documents
            if d["kind"] == "Deployment" and d["metadata"]["name"] in HELD
        }
        _scale(self.new, wanted, self.timeout)

    def _compare(self, folder: Path) -> None:
        """Raise where something is not as it was written down."""
        file = folder / INVENTORY
        if not file.exists():
            console.warn(f"NOT COMPARED with what there was before: there is no {file}")
            return
        before = json.loads(file.read_text(encoding="utf-8"))
        if left := {run.id for run in read(folder).left_out}:
            console.warn(f"not compared, since they were under way: {join_names(sorted(left))}")
            del before["metadata"]
        after = inventory.take(self.new, artifacts=False)
        lost = [
            line
            for line in inventory.differences(before, after)
            if not line.endswith(": new") and not any(run in line for run in left)
        ]
        if lost:
            raise KitError(
                f"{len(lost)} things are not as they were: {'; '.join(lost[:SHOWN])}",
                f"make rollback puts everything back; if people changed these, remove {file}",
            )
        counts = inventory.counts(before).items()
        console.say(f"as before: {', '.join(f'{count} {name}' for name, count in counts)}")

    def _read_artifacts(self, folder: Path) -> None:
        """Read artifacts of old runs and compare them with the backup."""
        # Logs may be removed at any time: by a rule of the bucket, or the option retention.
        known = {k: v for k, v in read(folder).artifacts.items() if not k.startswith(LOGS)}
        chosen = sorted(known, key=lambda key: known[key].size)[:ARTIFACTS]
        with object_store.opened(self.new) as store:
            for key in chosen:
                if objects.sha256(store, key) != known[key].sha256:
                    raise KitError(f"the artifact {key} is not as it was")
        console.say(f"{len(chosen)} of {len(known)} artifacts read, as before")

    def _probe(self, target: Target, when: str) -> int:
        return probe.run(target, self.journal.token, when, timeout=self.timeout)

    def _note(self, phase: Phase) -> None:
        self.journal.phase = phase
        notes.write(self.new, self.journal)
        if phase is not Phase.DONE:
            self.lock.note(phase, again="make upgrade", back="make rollback")


def upgrade(
    new: Target,
    to: str,
    backups: Path,
    *,
    confirm: Callable[[str], bool],
    wait: float,
    timeout: float,
) -> None:
    """Bring an installation to what an overlay says, or go on with that.

    Args:
        new: What is to be.
        to: The release that the user names; empty for that of the overlay.
        backups: Folder of the backups.
        confirm: Asked once the plan is printed.
        wait: Seconds to wait for runs under way.
        timeout: Seconds to wait for all parts.

    Raises:
        BadInputError: The upgrade cannot be begun; nothing was changed.
        KitError: A phase failed; the text says what state that leaves and how to go on.
    """
    release = releases.release(new.documents)
    if to not in ("", release):
        raise BadInputError(
            f"the overlay {new.overlay} installs {release}, not {to}",
            f"Name another OVERLAY=, or let it take releases/{to}",
        )
    lifecycle.components(new)  # Raises where nothing is installed.
    with lock.held(new, Operation.UPGRADE) as mine:
        if known := _begun(new, release, backups, confirm=confirm, wait=wait):
            Upgrade(new, known, backups, wait, timeout, mine).go()


def _begun(
    new: Target, release: str, backups: Path, *, confirm: Callable[[str], bool], wait: float
) -> Journal | None:
    """Return the upgrade to go on with, or the new one; none where there is nothing to do."""
    known = notes.read(new)
    if known is None or known.phase is Phase.DONE:
        old = installed(new, {})
        if not plan.show(old, new, backups, wait):
            console.say(f"{release} is installed as the overlay says: nothing to do")
            return None
        if not process.dry_run() and not confirm(f"Upgrade {new.namespace} on {new.context}?"):
            raise BadInputError("nothing was changed")
        source, token = releases.release(old.documents), secrets.token_hex(4)
        return Journal(source, release, _pods(new), token)
    if known.to != release:
        raise BadInputError(
            f"an upgrade from {known.source} to {known.to} stands at {known.phase}",
            f"Go on with it by an overlay of {known.to}, or take it back: make rollback",
        )
    console.say(f"going on with {known.source} to {known.to} at {known.phase}")
    return known


def rollback(
    target: Target, backups: Path, *, confirm: Callable[[str], bool], timeout: float
) -> None:
    """Put back what was there before the last upgrade, however far that is.

    Args:
        target: Where.
        backups: Folder of the backups.
        confirm: Asked before anything changes.
        timeout: Seconds to wait for all parts.

    Raises:
        BadInputError: There was no upgrade, its backup is not here, or the user says no.
        KitError: Something failed; the same command goes on.
    """
    with lock.held(target, Operation.ROLLBACK) as mine:
        _take_back(target, backups, confirm, timeout, mine)


def _take_back(
    target: Target, backups: Path, confirm: Callable[[str], bool], timeout: float, mine: Lock
) -> None:
    journal = notes.read(target)
    if journal is None:
        raise BadInputError(
            f"no upgrade of {target.namespace} on {target.context} is noted",
            "make restore puts a backup back",
        )
    question = f"Take back {journal.source} to {journal.to}, which stands at {journal.phase}?"
    folder = None
    if journal.phase in notes.TOUCHED:
        folder = _folder(journal, backups)
        require_same(mine.record, folder)
        manifest = require_whole(folder)
        question += f" The {manifest.runs} runs of {manifest.made} come back, later ones are lost."
    if not process.dry_run() and not confirm(question):
        raise BadInputError("nothing was changed")
    mine.note("puts back what was there", again="make rollback", back="")
    holding.start(target)
    if folder:
        journal.phase = Phase.ROLLBACK
        notes.write(target, journal)
        _put_back(target, folder, timeout)
    _scale(target, journal.pods, timeout)
    notes.remove(target)
    console.say(f"{journal.source} is in use as before; set the overlay back to it too")


def _folder(journal: Journal, backups: Path) -> Path:
    """Return where the backup of an upgrade is on this machine.

    Raises:
        BadInputError: It is not on it.
    """
    made = Path(journal.backup)
    for folder in (made, backups / made.name):
        if folder.is_dir():
            return folder
    raise BadInputError(
        f"the backup {made} is not on this machine",
        "Copy it and the folder objects beside it here, and name their folder with BACKUPS=",
    )


def installed(target: Target, pods: Mapping[str, int]) -> Recorded:
    """Return what is installed, as it was applied.

    Args:
        target: Where.
        pods: How many pods the components that are held now had.

    Raises:
        KitError: It was applied by another program.
    """
    found = applied(target)
    if not any(d["kind"] == "Deployment" and d["metadata"]["name"] == SERVER for d in found):
        raise KitError(
            "what is installed was not applied by `kubectl apply --server-side`",
            "make install takes it over",
        )
    return record(target, found, pods, Path(create.CONFIGURATION))


def _put_back(target: Target, folder: Path, timeout: float) -> None:
    """Apply what a backup was made of, and put the backup into it."""
    _hold(target, HELD)
    documents = render.parse((folder / create.CONFIGURATION).read_text(encoding="utf-8"))
    file = folder.parent / "rollback.yaml"
    old = record(target, documents, dict.fromkeys(HELD, 0), file).write()
    lifecycle.install(old, timeout=timeout)
    _remove(target, gone(applied(target), documents))
    again = "make rollback begins once more"
    restore(old, folder, confirm=lambda _: True, timeout=timeout, again=again)


def _pods(target: Target) -> dict[str, int]:
    """Return how many pods the components that are held are to have now."""
    return {
        item["metadata"]["name"]: int(item["spec"].get("replicas", 1))
        for item in target.items(["deployments"])
        if item["metadata"]["name"] in HELD
    }


def _hold(target: Target, names: Iterable[str]) -> None:
    """Stop components; the journal knows their numbers of pods, so a backup starts none."""
    holding.stop(target, tuple(names))
    target.run("annotate", *(f"deployment/{name}" for name in names), f"{lock.HELD}-")


def _scale(target: Target, pods: Mapping[str, int], timeout: float) -> None:
    for name, count in pods.items():
        target.run("scale", f"deployment/{name}", f"--replicas={count}")
    if not process.dry_run():
        lifecycle.wait_until_ready(target, timeout=timeout)


def _remove(target: Target, old: list[Document]) -> None:
    """Remove objects that are in no overlay any more."""
    if old:
        console.say(f"no longer wanted: {join_names([d['metadata']['name'] for d in old])}")
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": old})
        target.run("delete", "--ignore-not-found", "--filename", "-", stdin=text)
