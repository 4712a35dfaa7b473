"""The page on linting, docs/use/lint.md, made from the rules; `make golden` writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.core.versions import ROOT
from kfpkit.lint import rules
from kfpkit.lint.rule import TARGETS

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.lint.rule import Rule

PAGE = ROOT / "docs" / "use" / "lint.md"

_HEAD = """\
<!-- Generated from the rules of kfpkit/lint by `make golden`; do not edit. -->
# Lint a pipeline

Says what of a pipeline would not run on a target, why, in which task and on which line, and the way
out. It needs no cluster and no network, and runs none of the pipeline's tasks.

    make lint-pipeline PIPELINE=penguins TARGET=vertex
    .venv/bin/kfpkit lint train.py compiled.yaml --target kfp@2.14.3

- **What** is linted: what `PIPELINE=` takes elsewhere; of a Python file all its pipelines. A
  compiled file may be anything: what is no pipeline is a finding.
- **Target**: {targets}; or an installation (`kind`, an overlay, a name of targets.toml), which
  stands for its release. Without one it is `kfp@2.17.0`.
- **Severity**: an *error* will not run, or not as it is written; a *warning* may not.
- **Exit code**: 0 without errors, 1 with errors, 2 where the input is wrong.
- **Where**: a finding has the line of the Python file where that is known, otherwise that of the
  compiled one, and the place in the IR.
- **Text** in comments, docstrings and descriptions gives no alarm.
- `FORMAT=json` and `FORMAT=sarif` (2.1.0) print for programs.

`make run`, `upload`, `schedule` and `up` lint for their target first: errors stop them, warnings
are counted. `LINT=0` (`--no-lint`) leaves it out.

## Let one be

    data = load(uri="gs://bucket/data.csv")  # kfpkit: ignore[cloud-storage]

The comment stands on the line of the finding, or on the line of a `def`, for all inside. In a
compiled file it stands on the line of the finding. Several rules have commas between them.

## Before each commit

    # .pre-commit-config.yaml
    - repo: https://github.com/OWNER/kfpkit   # where you have the kit from
      rev: main
      hooks:
        - id: kfpkit-lint
          args: [--target, vertex]

The hook looks at `pipelines/*.py`, `.yaml` and `.json`; `files:` says otherwise. What a Python file
imports beside kfp goes into `additional_dependencies:`.

## The rules

{count} rules. What the releases' API servers accept is taken from their own protos
([descriptors](../../kfpkit/lint/descriptors)). How they do on upstream's pipelines:
[Lint on upstream's pipelines](../design/lint.md).

| Rule | {heads} | Finds |
|---|{line}|---|
"""


def text() -> str:
    """Return the page."""
    heads = " | ".join(f"`{target}`" for target in TARGETS)
    head = _HEAD.format(
        targets=", ".join(f"`{target}`" for target in TARGETS),
        count=len(rules()),
        heads=heads,
        line="|".join("---" for _ in TARGETS),
    )
    rows = "".join(_row(rule) for rule in rules())
    return head + rows + "".join(_section(rule) for rule in rules())


def golden() -> dict[Path, str]:
    """Return the page by its path, as `kfpkit.kfp.pipelines.stale_golden` takes it."""
    return {PAGE: text()}


def _row(rule: Rule) -> str:
    marks = " | ".join(
        "" if target not in rule.targets else "warning" if target in rule.warns else rule.severity
        for target in TARGETS
    )
    return f"| [{rule.id}](#{rule.id}) | {marks} | {rule.title} |\n"


def _section(rule: Rule) -> str:
    return f"\n### {rule.id}\n\n{rule.title}. {rule.why}\n\n*Do:* {rule.do}.\n"
