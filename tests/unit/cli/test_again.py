"""The command that runs a run again, as a report has it."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import typer
from typer.testing import CliRunner

from kfpkit.cli import ending
from kfpkit.cli.options import Cache, PipelineName, Runs, Where, Words, installation

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ODD = ['text=it\'s "$HOME" `x` \\ 🐧\n', "empty=", "items=[1, 2]", "space= a  b "]


def said(words: list[str], monkeypatch: pytest.MonkeyPatch, command: str = "run") -> str:
    """Return what a command with these words would be called again by."""
    monkeypatch.setattr(sys, "argv", ["/opt/some where/kfpkit"])
    app = typer.Typer()

    @app.command("other")
    def other() -> None:
        """Make a group of the app: it has several commands."""

    @app.command(command)
    @installation(default="local")
    def run(
        where: Where,
        pipeline: PipelineName = "penguins",
        arguments: Words = None,
        cache: Cache = True,
        runs: Runs = None,
    ) -> None:
        del where, pipeline, arguments, cache, runs
        print(ending.again(), end="")  # noqa: T201

    done = CliRunner().invoke(app, [command, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_every_word_comes_back_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    line = said(["--target", "kind", "--no-cache", "penguins", *ODD], monkeypatch)
    assert shlex.split(line) == [
        "/opt/some where/kfpkit",
        "run",
        "--no-cache",
        "--target=kind",
        "penguins",
        *ODD,
    ]


def test_what_it_says_again_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    line = said(["--runs", "my runs", "penguins", *ODD], monkeypatch)
    assert said(shlex.split(line)[2:], monkeypatch) == line


def test_words_that_look_like_options_stay_words(monkeypatch: pytest.MonkeyPatch) -> None:
    line = said(["--", "-odd.py", "x=1"], monkeypatch)
    assert shlex.split(line)[2:] == ["--", "-odd.py", "x=1"]
    assert said(shlex.split(line)[2:], monkeypatch) == line


def test_variables_of_the_environment_are_in_it_and_defaults_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KFPKIT_CACHE", "0")
    monkeypatch.setenv("KFPKIT_RUNS", "/a b")
    assert shlex.split(said(["penguins"], monkeypatch))[2:] == [
        "--no-cache",
        "--runs=/a b",
        "penguins",
    ]


def test_a_report_on_a_run_ran_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(["penguins"], monkeypatch, ending.REPORT) == ""


def test_the_program_is_named_as_it_can_be_called(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "kfpkit"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert ending._program() == [str(program)]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ending._program() == ["kfpkit"]
    monkeypatch.setattr(sys, "argv", ["/elsewhere/kfpkit/__main__.py"])
    assert ending._program() == [sys.executable, "-m", "kfpkit"]
