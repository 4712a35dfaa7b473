"""The tutorial as far as it goes without a cluster; `tests/cluster/kfp` runs all of it."""

from __future__ import annotations

import os
import re
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer

from kfpkit import cli
from kfpkit.core.versions import ROOT
from kfpkit.kfp import targets_file
from tests.support import tutorial

if TYPE_CHECKING:
    from collections.abc import Sequence

SKELETONS = ROOT / "kfpkit/new/skeleton"


def parse(words: Sequence[str]) -> Any:
    """Parse the arguments of kfpkit as it does, without running the command."""
    command: Any = typer.main.get_command(cli.app)
    with command.make_context("kfpkit", list(words)[:1]) as context:
        args = list(words)
        while hasattr(command, "resolve_command"):
            _, command, args = command.resolve_command(context, args)
        return command.make_context("kfpkit", args, parent=context)


def test_every_block_is_found() -> None:
    found = tutorial.commands()
    assert len(found) == sum(
        len(block.splitlines())
        for block in re.findall(r"```shell\n(.*?)```", tutorial.TEXT, flags=re.DOTALL)
    )
    assert {one.section for one in found if one.in_checkout} == {
        "Install the kit as a tool",
        "Submit it to Vertex AI",
    }


def test_every_command_of_the_kit_is_one() -> None:
    ours = [shlex.split(one.line) for one in tutorial.commands() if one.line.startswith("kfpkit ")]
    assert len(ours) > 10
    for _, *words in ours:
        parse(words)


@pytest.mark.parametrize("readme", sorted(SKELETONS.glob("*/README.md")), ids=str)
def test_every_command_of_a_skeletons_readme_is_one(readme: Path) -> None:
    lines = re.findall(r"^    kfpkit (.*)$", readme.read_text(), flags=re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        parse(shlex.split(line, comments=True))


@pytest.mark.parametrize("wrong", ["run x --targt kind", "new pipline x", "schedule put x", "nope"])
def test_a_wrong_command_is_seen(wrong: str) -> None:
    with pytest.raises(Exception, match=r"(?i)no such"):
        parse(shlex.split(wrong))


def test_the_versions_are_those_of_the_kit() -> None:
    assert set(re.findall(r"kfpkit-([\d.]+)-py3", tutorial.TEXT)) == {version("kfpkit")}
    assert set(re.findall(r"kfp==([\d.]+)", tutorial.TEXT)) == {version("kfp")}


def test_the_targets_are_ones(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", tutorial.TEXT, flags=re.DOTALL)
    (tmp_path / "targets.toml").write_text(block)
    assert targets_file.read(tmp_path / "targets.toml").keys() == {"vertex-prod"}


def test_what_needs_no_cluster_runs_as_it_stands(tmp_path: Path) -> None:
    tools, folder = tmp_path / "tools", tmp_path / "empty"
    tools.mkdir()
    folder.mkdir()
    (tools / "kfpkit").symlink_to(Path(sys.executable).with_name("kfpkit"))
    # Without a network: the environment of these tests is that which uvx would make.
    (tools / "uvx").write_text(f'#!/bin/sh\nexec {sys.executable} -m "$4" "$5"\n')
    (tools / "uvx").chmod(0o755)
    env = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    said = [
        one.run(folder, env)
        for one in tutorial.commands()
        if one.section in ("Begin a pipeline", "Run it on this machine")
    ]
    assert "6 passed" in said[1]
    first, second = (
        re.findall(r"mean_absolute_error +([\d.]+)", one) for one in (said[3], said[5])
    )
    assert float(second[0]) > float(first[0])
    assert len(list((folder / "runs").glob("*/report.html"))) == 2
