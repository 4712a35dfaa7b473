"""Every command in a runbook is one that bash, kubectl, make and kfp understand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import CommandError
from kfpkit.core.versions import ROOT
from kfpkit.doctor.checks import CHECKS
from kfpkit.runs.reasons import REASONS, RUNBOOKS
from tests.support.pages import blocks, commands, judge, kubectl

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / "docs/operate/runbooks"

PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_of_a_runbook_parses(page: Path) -> None:
    found = blocks(page.read_text())
    assert found, "a runbook without a command"
    judged = 0
    for block in found:
        parsed = process.query(["bash", "-n"], stdin=block, check=False)
        assert parsed.ok, f"{block}\n{parsed.stderr}"
        for words in commands(block):
            if words[0] == "kubectl":
                judge(words)
                judged += 1
            elif words[0] == "make":
                pytest.fail("make targets go into the text, where every page's are checked")
            else:
                others = ("curl", "docker", "df", "date", "timedatectl", ".venv/bin/kfp")
                assert words[0] in others, words
    assert judged


@pytest.mark.parametrize("page", sorted({each.runbook for each in (*REASONS, *CHECKS)}))
def test_every_check_and_every_reason_of_a_failed_run_has_a_runbook(page: str) -> None:
    assert (ROOT / RUNBOOKS / f"{page}.md").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_runbook_has_the_same_parts(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == [
        "How it shows",
        "Be sure",
        "Mend",
        "Afterwards",
    ]
    assert f"({page.name})" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize(
    "wrong",
    [
        "kubectl frobnicate pods",
        "kubectl get pods --no-such-flag",
        "kubectl rollout undoo deployment/x",
        "kubectl --namespace kubeflow delete pods --out",
        "kubectl --namespace kubeflow logs x --previos",
    ],
)
def test_a_wrong_command_is_seen(wrong: str) -> None:
    kubectl()
    (words,) = commands(wrong)
    with pytest.raises((AssertionError, pytest.fail.Exception, CommandError)):
        judge(words)


def test_the_client_of_the_api_has_the_command_that_runbooks_name() -> None:
    from kfp.cli import cli, run  # The command itself asks a server even for its help.

    assert "--endpoint" in {word for option in cli.cli.params for word in option.opts}
    assert [parameter.name for parameter in run.run.commands["delete"].params] == ["run_id"]
