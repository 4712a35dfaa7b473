"""The command line as a whole: errors are one line, help is there for everything."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import typer
from requests.utils import should_bypass_proxies
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.core import process

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


@pytest.mark.parametrize(
    ("given", "lower", "upper"),
    [
        ({"HTTP_PROXY": "http://p:1"}, "localhost,127.0.0.1", "localhost,127.0.0.1"),
        (
            {"https_proxy": "http://p:1", "NO_PROXY": "corp, localhost"},
            "corp,localhost,127.0.0.1",
            "corp,localhost,127.0.0.1",
        ),
        (
            {"ALL_PROXY": "http://p:1", "no_proxy": "a", "NO_PROXY": "b"},
            "a,localhost,127.0.0.1",
            "b,localhost,127.0.0.1",
        ),
        ({"http_proxy": "http://p:1", "no_proxy": "*"}, "*", "*"),
        ({}, None, None),
        ({"http_proxy": ""}, None, None),
    ],
)
def test_a_proxy_is_not_asked_for_a_port_of_this_machine(
    given: dict[str, str], lower: str | None, upper: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for each in (name, name.upper()):
            monkeypatch.setenv(each, "")  # So that what is set meanwhile is taken back, too.
            monkeypatch.delenv(each)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(cli, "app", lambda: None)
    monkeypatch.setattr(cli, "_register_all", lambda: None)
    cli.main()
    assert (os.environ.get("no_proxy"), os.environ.get("NO_PROXY")) == (lower, upper)
    if given.get("http_proxy") or given.get("HTTP_PROXY"):
        assert should_bypass_proxies("http://localhost:8888/apis", no_proxy=None)


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = typer.Typer()

    @app.command()
    def wait() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(cli, "_register_all", lambda: None)
    monkeypatch.setattr(sys, "argv", ["kfpkit"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
