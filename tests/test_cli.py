"""The command line as a whole: errors are one line, help is there for everything."""

from __future__ import annotations

import sys

import typer
from typer.testing import CliRunner

from kfpkit import cli, process


def test_every_command_and_subcommand_has_help() -> None:
    cli._register_all()
    command = typer.main.get_command(cli.app)
    commands = getattr(command, "commands", {})
    assert commands
    for name in commands:
        shown = CliRunner().invoke(cli.app, [name, "--help"])
        assert shown.exit_code == 0, name
        assert commands[name].help, f"kfpkit {name} has no help"


def test_an_unknown_command_fails_and_says_so() -> None:
    done = process.query([sys.executable, "-m", "kfpkit", "no-such-command"], check=False)
    assert done.returncode == 2
    assert "No such command 'no-such-command'" in done.stderr
