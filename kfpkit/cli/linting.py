"""Linting a pipeline before something is done with it."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from kfpkit import lint
from kfpkit.core import console
from kfpkit.core.errors import BadInputError
from kfpkit.lint.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kfpkit.kfp.pipelines import Pipeline


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
            f"kfpkit lint {quote(str(pipeline.source))} --target {target} shows them"
        )
