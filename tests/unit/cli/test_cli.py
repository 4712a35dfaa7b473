"""The command line as a whole: errors are one line, help is there for everything."""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest
import typer
from requests.utils import should_bypass_proxies
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.cli import options
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.images import cache as image_cache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def paths(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command below one, at any depth, with the words that call it."""
    for name, below in getattr(command, "commands", {}).items():
        yield (*path, name), below
        yield from paths(below, *path, name)


@cache
def commands() -> dict[tuple[str, ...], Any]:
    """Return every command and group of the command line, by the words that call it."""
    subjects = {import_module(f"kfpkit.cli.{module}").app for module, _ in cli.COMMANDS.values()}
    return {
        (): typer.main.get_command(cli.app),
        **{words: c for app in subjects for words, c in paths(typer.main.get_group(app))},
    }


def test_the_lines_of_help_are_the_commands_own() -> None:
    found = {words[0]: command for words, command in commands().items() if len(words) == 1}
    lines = {name: command.help.partition("\n")[0] for name, command in found.items()}
    assert lines == {name: text for name, (_, text) in cli.COMMANDS.items()}


def test_every_command_has_help_and_refuses_an_unknown_option() -> None:
    found = commands()
    assert ("images", "push") in found
    for path, command in found.items():
        shown = CliRunner().invoke(cli.app, [*path, "--help"])
        assert shown.exit_code == 0, (path, shown.exception)
        assert command.help, f"kfpkit {' '.join(path)} has no help"
        refused = CliRunner().invoke(cli.app, [*path, "--contxt=x"])
        assert refused.exit_code == 2, path
        assert "No such option" in refused.stderr


def test_an_option_and_its_variable_have_one_name_and_one_meaning() -> None:
    meanings: dict[str, str] = {}
    for words, command in commands().items():
        for param in command.params:
            if param.param_type_name == "argument" or param.name in ("help", "check"):
                continue
            word = param.opts[0].removeprefix("--")
            assert param.envvar == f"KFPKIT_{word.upper().replace('-', '_')}", words
            assert meanings.setdefault(param.envvar, param.help) == param.help, words


def test_every_command_on_an_installation_takes_its_names() -> None:
    for words, command in commands().items():
        names = {param.name for param in command.params}
        if words != ("up",) and {"target", "overlay", "context"} & names:
            assert {"target", "overlay", "context", "kind_config"} <= names, words


def test_what_the_cluster_is_made_of_is_in_its_help() -> None:
    names = {param.name for param in commands()["cluster", "up"].params}
    assert {"nodes", "images", "mirror", "kind_config"} <= names


@pytest.mark.parametrize("name", ["TARGET", "CONTEXT", "OVERLAY"])
def test_blanks_are_no_place(name: str) -> None:
    done = CliRunner().invoke(cli.app, ["status", f"--{name.lower()}", " "])
    assert f"{name} is empty" in str(done.exception)


@pytest.mark.parametrize("name", ["KIND_CONFIG", "TARGETS", "OUTPUT"])
def test_an_empty_path_of_a_file_is_not_the_working_directory(name: str) -> None:
    option = f"--{name.lower().replace('_', '-')}"
    done = CliRunner().invoke(cli.app, ["--dry-run", "support-bundle", option, ""])
    assert f"{name} names no file" in str(done.exception)


@pytest.mark.parametrize("name", ["CONTEXT", "OVERLAY", "KIND_CONFIG"])
def test_a_place_is_neither_empty_nor_of_the_bare_environment(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    option = f"--{name.lower().replace('_', '-')}"
    done = CliRunner().invoke(cli.app, ["status", option, ""])
    assert name == "KIND_CONFIG" or f"{name} is empty" in str(done.exception)
    monkeypatch.setenv(name, "x")
    done = CliRunner().invoke(cli.app, ["status"])
    assert isinstance(done.exception, BadInputError)
    assert f"{name} of the environment does not count" in str(done.exception)
    assert f"KFPKIT_{name}" in str(done.exception)


def test_another_bare_variable_is_told_once_and_does_not_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKUPS", str(tmp_path))
    monkeypatch.setenv("HOST", "of the shell")
    done = CliRunner().invoke(cli.app, ["backup-verify", "--backups", str(tmp_path / "none")])
    assert "environment" not in done.stderr
    done = CliRunner().invoke(cli.app, ["backup-verify"], env={"KFPKIT_WORK": "."})
    assert done.stderr.count("BACKUPS of the environment does not count") == 1
    assert f"there is no backup in {tmp_path}" not in str(done.exception)


@pytest.mark.parametrize(
    ("value", "dry"), [("1", True), ("true", True), ("0", False), ("false", False), ("no", False)]
)
def test_a_dry_run_is_what_says_so(value: str, dry: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def look() -> dict[str, int]:
        seen.append(process.dry_run())
        return {}

    monkeypatch.setattr(image_cache, "sizes", look)
    monkeypatch.setenv("KFPKIT_DRY_RUN", value)
    done = CliRunner().invoke(cli.app, ["cache", "info"])
    assert done.exit_code == 0
    assert seen == [dry]
    assert not process.dry_run()


def test_a_dry_run_that_is_none_stops_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN", "1")
    done = CliRunner().invoke(cli.app, ["cache", "clean", "--yes"])
    assert "DRY_RUN of the environment does not count" in str(done.exception)
    monkeypatch.delenv("DRY_RUN")
    monkeypatch.setenv("KFPKIT_DRY_RUN", "maybe")
    assert CliRunner().invoke(cli.app, ["cache", "clean", "--yes"]).exit_code == 2


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
    monkeypatch.setattr(sys, "argv", ["kfpkit"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("name", "told"),
    [("KFPKIT_CONTXT", "Is it KFPKIT_CONTEXT?"), ("KFPKIT_XYZ", "`make help` shows them all")],
)
def test_a_variable_named_as_ours_that_is_none_is_refused(name: str, told: str) -> None:
    done = CliRunner().invoke(cli.app, ["cache", "info"], env={name: "prod"})
    assert isinstance(done.exception, BadInputError)
    assert name in str(done.exception)
    assert told in str(done.exception)


def test_every_option_of_every_command_is_a_known_variable() -> None:
    names = {
        param.envvar.removeprefix("KFPKIT_")
        for command in commands().values()
        for param in command.params
        if param.envvar
    }
    assert names <= options.NAMES | options.OTHERS
