"""Rules on what only Google's cloud has: what a container's script says, and what explains it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.lint import check
from kfpkit.lint.rule import LOCAL
from tests.support.lint_pipelines import command, pipeline, task

if TYPE_CHECKING:
    from pathlib import Path

NAMED = "gs://old/d.csv $AIP_MODEL_DIR $KFP_POD_NAME {{$.pipeline_google_cloud_location}}"
RULES = {"cloud-storage", "vertex-variable", "cluster-variable", "vertex-placeholder"}
INSTALL = "pip install tensorflow"


def rules(folder: Path, *words: str, args: tuple[str, ...] = ()) -> set[str]:
    file = folder / "p.yaml"
    made = command(*words, args=[*args]) if args else command(*words)
    file.write_text(yaml.safe_dump_all(pipeline({"a": task(made)})))
    return {one.rule for one in check(file, LOCAL)} & {*RULES, "unpinned-packages"}


@pytest.mark.parametrize(
    "script",
    [
        f"# {NAMED}\n# {INSTALL}\necho",
        f"set -e\n\t # it's in {NAMED}\n#{INSTALL}",
        f"echo 'a # b' # {NAMED}\r\ntrue;# {INSTALL}\r\n",
        f'echo a#b "#" \\" # {NAMED} {INSTALL}',
        f'#!/bin/sh\necho ${{#x}} $# (true)# {NAMED}, "{INSTALL}"',
    ],
)
def test_a_comment_of_a_script_is_no_finding(script: str, tmp_path: Path) -> None:
    assert rules(tmp_path, "sh", "-c", script) == set()
    assert rules(tmp_path, "sh", "-ec", args=(script,)) == set()


@pytest.mark.parametrize(
    "script",
    [
        f"# explains\ncat {NAMED}; {INSTALL}",
        f"echo a#b {NAMED}; {INSTALL}",
        f"echo '#x' \"#\" \\# {NAMED}\n{INSTALL} # it",
        f'echo "\n# {NAMED}"\n{INSTALL}',
        f"echo ${{#x}} $# {NAMED} | {INSTALL}",
    ],
)
def test_what_only_looks_like_a_comment_is_one(script: str, tmp_path: Path) -> None:
    assert rules(tmp_path, "sh", "-c", script) == RULES | {"unpinned-packages"}


def test_a_word_that_is_no_script_has_no_comments(tmp_path: Path) -> None:
    assert rules(tmp_path, "load", "--title", f"# {NAMED}") == RULES
