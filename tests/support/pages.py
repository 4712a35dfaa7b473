"""The commands of a page, taken apart and judged."""

from __future__ import annotations

import re
import shlex
import shutil
from functools import cache
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import version
from kfpkit.images import cache as kit_cache

if TYPE_CHECKING:
    from collections.abc import Iterator


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
