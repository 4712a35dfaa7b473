"""The one place that starts processes: what it prints, what it runs, what its errors show."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit import process
from kfpkit.errors import CommandError, KitError
from kfpkit.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_is_printed_as_a_shell_would_read_it(capfd: pytest.CaptureFixture[str]) -> None:
    process.run(["printf", "%s", "two words"], env={"LANG": "C"})
    assert "$ LANG=C printf %s 'two words'" in capfd.readouterr().err


def test_a_dry_run_prints_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRY_RUN", "1")
    process.run(["touch", str(tmp_path / "made")])
    process.stream(["touch", str(tmp_path / "made")])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err.count("$ touch") == 2


def test_a_query_runs_in_a_dry_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRY_RUN", "1")
    assert process.query(["echo", "there"]).stdout == "there\n"


def test_a_failure_shows_command_code_stderr_and_advice() -> None:
    with pytest.raises(CommandError) as caught:
        process.query(python("import sys; sys.exit('the disk is full')"), do="Free some space")
    text = str(caught.value)
    assert "exit code 1" in text
    assert "the disk is full" in text
    assert "Free some space" in text
    assert sys.executable in text


def test_a_missing_program_is_named() -> None:
    assert process.query(["no-such-program"], check=False).returncode == process.NOT_FOUND
    with pytest.raises(KitError, match="no-such-program is not installed"):
        process.start(["no-such-program"])


def test_a_command_over_its_time_is_killed_and_said_so() -> None:
    with pytest.raises(CommandError, match=r"killed after 0\.2 s"):
        process.query(python("import time; time.sleep(60)"), timeout=0.2)


def test_a_stream_hands_on_each_line_and_keeps_a_log(tmp_path: Path) -> None:
    seen: list[str] = []
    log = tmp_path / "build.log"
    process.stream(python("print('one'); print('two')"), on_line=seen.append, log=log)
    assert seen == ["one", "two"]
    assert log.read_text() == "one\ntwo\n"


def test_a_failed_stream_shows_its_end_and_where_the_log_is(tmp_path: Path) -> None:
    log = tmp_path / "build.log"
    code = "import sys; [print(i) for i in range(100)]; sys.exit(3)"
    with pytest.raises(CommandError) as caught:
        process.stream(python(code), log=log)
    assert "exit code 3" in str(caught.value)
    assert "    99" in str(caught.value)
    assert "    50" not in str(caught.value)
    assert str(log) in str(caught.value)


def test_a_spawned_process_ends_with_its_block() -> None:
    with process.spawned(python("import time; time.sleep(60)")) as running:
        assert running.poll() is None
    assert running.poll() is not None


def test_stdin_is_given_but_never_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert process.run(["cat"], stdin="s3cret").stdout == "s3cret"
    assert "s3cret" not in capfd.readouterr().err


def test_a_daemon_can_be_forgotten_and_writes_its_log(tmp_path: Path) -> None:
    """Nothing is left open: pytest makes an error of a warning about that."""
    log = tmp_path / "daemon.log"
    pid = process.start(python("print('up'); input()"), log=log, detach=True).pid
    gc.collect()
    wait_for("the daemon's end", lambda: None if "up" in log.read_text() else "no line", timeout=10)
    assert pid
