"""The command line as a whole: errors are one line, help is there for everything."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.testing import CliRunner

from kfpkit import cli, process

if TYPE_CHECKING:
    from collections.abc import Iterator


def paths(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below one, at any depth, with the words that call it."""
    for name, below in getattr(command, "commands", {}).items():
        yield (*path, name), below
        yield from paths(below, *path, name)


def test_every_command_and_subcommand_has_help() -> None:
    if not cli.app.registered_commands:
        cli._register_all()
    found = dict(paths(typer.main.get_command(cli.app)))
    assert ("images", "push") in found
    for path, command in found.items():
        shown = CliRunner().invoke(cli.app, [*path, "--help"])
        assert shown.exit_code == 0, (path, shown.exception)
        assert command.help, f"kfpkit {' '.join(path)} has no help"


def test_an_unknown_command_fails_and_says_so() -> None:
    done = process.query([sys.executable, "-m", "kfpkit", "no-such-command"], check=False)
    assert done.returncode == 2
    assert "No such command 'no-such-command'" in done.stderr
