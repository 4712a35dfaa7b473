"""Installing on this machine: only what was agreed to, and one clear line where nobody can be."""

from __future__ import annotations

import io
import os
import shutil

import pytest

from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.images import builder, cache, engine
from kfpkit.images.cache import Entry


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine of Debian's, as root, without an engine; what would be run on it."""
    lines: list[str] = []

    def run(argv: list[str], **_: object) -> process.Result:
        lines.append(process.line(argv))
        return process.Result(0, "", "")

    there = {"apt-get"}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: name if name in there else None)
    monkeypatch.setattr(process, "run", run)
    monkeypatch.setattr(engine, "answers", lambda: bool(lines))
    monkeypatch.setattr(engine, "_start_by_hand", lambda: lines.append("start"))
    monkeypatch.setattr(engine, "SYSTEMD", engine.LOG)
    return lines


def test_docker_is_not_installed_without_a_word(ran: list[str]) -> None:
    with pytest.raises(KitError, match=r"docker\.io iptables.*YES=1 agrees") as refused:
        engine.ensure()
    assert "\n" not in str(refused.value)
    assert ran == []


def test_docker_is_not_installed_against_the_answer(ran: list[str]) -> None:
    asked = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    with pytest.raises(KitError, match="not agreed"):
        engine.ensure(refuse)
    assert asked == ["Install Debian's packages docker.io iptables on this machine?"]
    assert ran == []


def test_docker_is_installed_and_started_once_agreed(ran: list[str]) -> None:
    engine.ensure(lambda _: True)
    assert [line for line in ran if "docker.io iptables" in line]
    assert ran[-1] == "start"


def test_an_engine_that_is_installed_is_started_without_a_question(
    ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    engine.ensure()
    assert ran == ["start"]


def test_what_a_build_needs_is_asked_for_before_anything_is_built(
    ran: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(builder, "_build_all", lambda *_: pytest.fail("built"))
    with pytest.raises(KitError, match=r"debootstrap.*not agreed"):
        builder.ensure(["debian"])
    assert ran == []

    built = {"debian": builder.Outcome(Entry("debian", "a", 1, 1.0, ()), "built", ())}
    monkeypatch.setattr(builder, "_build_all", lambda *_: built)
    assert builder.ensure(["debian"], confirm=lambda _: True) == built
    assert any(line.endswith("--no-install-recommends debootstrap") for line in ran)
    assert not cache.chosen()


@pytest.mark.parametrize(("yes", "answer"), [(True, True), (False, None)])
def test_without_a_terminal_only_yes_agrees(
    monkeypatch: pytest.MonkeyPatch, yes: bool, answer: bool | None
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    asked = console.consent(yes=yes)
    assert (asked and asked("Install?")) is answer


@pytest.mark.parametrize(("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_the_user_is_asked(
    monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool
) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    asked = console.consent(yes=False)
    assert asked
    assert asked("Install?") is answer
