"""Every command in a runbook is one that bash, kubectl, make and kfp understand."""

from __future__ import annotations

import re
import shlex
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import CommandError
from kfpkit.core.versions import ROOT, version
from kfpkit.doctor.checks import CHECKS
from kfpkit.images import cache as kit_cache
from kfpkit.runs.reasons import REASONS, RUNBOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER = ROOT / "docs/operate/runbooks"
PAGES = sorted(page for page in FOLDER.glob("*.md") if page.name != "README.md")

#: Words that end a command on the same line.
ENDS = {"|", "||", "&&", ";", "&"}


@cache
def kubectl() -> str:
    own = kit_cache.root() / "bin" / f"kubectl-{version('KUBERNETES_VERSION')}"
    found = str(own) if own.exists() else shutil.which("kubectl")
    if not found:
        pytest.skip("kubectl is not installed: NO COMMAND OF A RUNBOOK WAS CHECKED")
    return found


def blocks(text: str) -> list[str]:
    """Return the shell blocks of a page, and its inline code that is a kubectl command."""
    fenced = re.findall(r"^( *)```shell\n(.*?)^ *```", text, flags=re.DOTALL | re.MULTILINE)
    bare = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [code for code in re.findall(r"`([^`\n]+)`", bare) if code.startswith("kubectl ")]
    return [re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, body in fenced] + inline


def commands(block: str) -> Iterator[list[str]]:
    """Yield the words of each command of a block."""
    words = shlex.shlex(block.replace("\\\n", " "), posix=True, punctuation_chars="|&;\n")
    words.whitespace, words.whitespace_split = " \t", True
    words.commenters = ""
    command: list[str] = []
    for word in words:
        if word.strip("\n") in ENDS or not word.strip():
            if command:
                yield command
            command = []
        else:
            command.append(word)
    if command:
        yield command


@cache
def help_of(path: tuple[str, ...]) -> str:
    """Return what kubectl says of a subcommand; it does so without a cluster."""
    return process.query([kubectl(), *path, "--help"]).stdout


@cache
def options() -> str:
    """Return what kubectl says of the flags that every subcommand has."""
    return process.query([kubectl(), "options"]).stdout


@cache
def flags(path: tuple[str, ...]) -> frozenset[str]:
    text = help_of(path) + options()
    long = re.findall(r"(?:^|, |\s)(--[a-z][a-z0-9-]*)(?:=|:|\s)", text)
    return frozenset([*long, *re.findall(r"^\s+(-\w), --", text, flags=re.MULTILINE)])


@cache
def booleans(path: tuple[str, ...]) -> frozenset[str]:
    """Return the flags that take no value of their own word."""
    text = help_of(path) + options()
    return frozenset(re.findall(r"(--[a-z][a-z0-9-]*)=(?:true|false):", text))


def judge(words: list[str]) -> None:
    """Fail unless kubectl has this subcommand with these flags."""
    path: tuple[str, ...] = ()
    waiting = False
    for number, word in enumerate(words[1:], start=1):
        if word == "--":
            break
        if waiting:
            waiting = False
            continue
        if word.startswith("-"):
            name, given, _ = word.partition("=")
            assert name in flags(path), f"kubectl {' '.join(path)} has no {name}: {words}"
            waiting = not given and name not in booleans(path)
        elif not path:
            path = (word,)
            assert re.search(r"Usage:", help_of(path)), f"kubectl has no {word}: {words}"
        elif len(path) < 3 and f"kubectl {' '.join((*path, word))}" in group(path):
            path = (*path, word)
        elif len(path) == 1 and "Available Commands:" in help_of(path):
            pytest.fail(f"kubectl {path[0]} has no {word} (word {number}): {words}")
    assert path, words


def group(path: tuple[str, ...]) -> set[str]:
    """Return the subcommands that a group of kubectl's has, as whole commands."""
    listed = help_of(path).partition("Available Commands:")[2].partition("\n\n")[0]
    return {f"kubectl {' '.join(path)} {row.split()[0]}" for row in listed.splitlines() if row}


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
