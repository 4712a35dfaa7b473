"""Linting a pipeline before something is done with it."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from json import loads
from shlex import quote
from typing import TYPE_CHECKING

from kfpkit import lint
from kfpkit.core import console
from kfpkit.core.errors import BadInputError
from kfpkit.lint import rule
from kfpkit.lint.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.target import Target


def admit(pipeline: Pipeline, *targets: str, nodes: Sequence[Mapping[str, str]] = ()) -> None:
    """Refuse a pipeline that would not run.

    Args:
        pipeline: The pipeline.
        targets: Names that `kfpkit.lint.check` takes; several where it is not known yet which one
            it will be, and then it would have to fail on each.
        nodes: As for `kfpkit.lint.check`.

    Raises:
        BadInputError: There are errors; they are shown before.
    """
    found = {target: lint.check(pipeline, target, nodes) for target in targets}
    bad = {
        target: [one for one in findings if one.severity is Severity.ERROR]
        for target, findings in found.items()
    }
    target = targets[0]
    if all(bad.values()):
        for finding in bad[target]:
            console.err.print(str(finding), style="red", markup=False)
        raise BadInputError(
            f"{pipeline.name} would not run on {target}: {len(bad[target])} "
            f"error{'s' * (len(bad[target]) > 1)} above",
            "Mend the pipeline; or run it nevertheless with --no-lint (LINT=0)",
        )
    if len(targets) == 1 and (warnings := len(found[target])):
        console.warn(
            f"{warnings} thing{'s' * (warnings > 1)} of the pipeline may not work on {target}; "
            f"kfpkit lint {quote(str(pipeline.source or pipeline.module))} --target {target} "
            "shows them"
        )


def linted(target: Target) -> str:
    """Return the name by which the linter knows an installation."""
    return _around(target)[0]


def machines(target: Target) -> list[dict[str, str]]:
    """Return what each node of an installation has for pods; none where that cannot be read."""
    found = target.query("get", "nodes", "--output=json", check=False)
    nodes = loads(found.stdout)["items"] if found.ok and found.stdout else []
    return [node["status"].get("allocatable", {}) for node in nodes]


def admit_on(pipeline: Pipeline, target: Target) -> None:
    """Refuse a pipeline that would not run on an installation.

    Raises:
        BadInputError: It would not.
    """
    prefixed = replace(pipeline, image_prefix=target.image_prefix)
    admit(prefixed, *_around(target), nodes=machines(target))


def _around(target: Target) -> tuple[str, ...]:
    # Not before: a run on this machine does without what belongs to a cluster.
    releases = import_module("kfpkit.kfp.releases")
    try:
        return rule.around(releases.release(target.documents))
    except ValueError:  # an overlay of the user's, with its API server elsewhere
        return tuple(sorted(rule.KFP))
