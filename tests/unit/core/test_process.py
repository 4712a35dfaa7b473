"""The one place that starts processes: what it prints, what it runs, what its errors show."""

from __future__ import annotations

import gc
import queue
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import CommandError, KitError
from kfpkit.core.waiting import wait_for

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_is_printed_as_a_shell_would_read_it(capfd: pytest.CaptureFixture[str]) -> None:
    process.run(["printf", "%s", "two words"], env={"LANG": "C"})
    assert "$ LANG=C printf %s 'two words'" in capfd.readouterr().err


def test_a_dry_run_prints_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    process.run(["touch", str(tmp_path / "made")])
    process.stream(["touch", str(tmp_path / "made")])
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err.count("$ touch") == 2


def test_a_query_runs_in_a_dry_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
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


def test_a_repeated_process_is_run_again_and_ends_with_its_block() -> None:
    seen: queue.Queue[subprocess.Popen[str]] = queue.Queue()
    argv = python("import time; time.sleep(60)")
    with process.repeated(argv, seen.put, pause=0):
        first, second = seen.get(timeout=30), seen.get(timeout=30)
        assert first.pid != second.pid
    assert first.poll() is not None
    assert second.poll() is not None


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


def lines_of(code: str) -> list[str]:
    seen: list[str] = []
    assert process.run_group(python(code), env={"PYTHONUTF8": "1"}, on_line=seen.append) == 0
    return seen


def test_the_lines_of_a_group_come_as_they_are() -> None:
    code = "import sys; print('é' * 3); print(); print('a', file=sys.stderr); print('b', end='')"
    assert lines_of(f"import sys; sys.stdout.reconfigure(write_through=True); {code}") == [
        "ééé",
        "",
        "a",
        "b",
    ]
    assert lines_of("print('no end of line', end='\\r')") == ["no end of line"]
    assert lines_of("import os; os.write(1, b'a\\xffb\\r\\n\\xc3')") == [
        "a\N{REPLACEMENT CHARACTER}b",
        "\N{REPLACEMENT CHARACTER}",
    ]
    assert len(lines_of("for n in range(300_000): print(n)")) == 300_000


def test_a_progress_bar_is_its_last_state() -> None:
    code = "import os; [os.write(1, b'\\r%d%%' % n) for n in range(101)]; print(); print('done')"
    assert lines_of(code) == ["100%", "done"]


def test_a_line_without_end_comes_in_pieces() -> None:
    pieces = lines_of("print('é' * 300_000)")
    assert max(map(len, pieces)) <= process.LONGEST_LINE
    assert "".join(pieces) == "é" * 300_000


def test_output_that_is_closed_early_does_not_end_a_group(tmp_path: Path) -> None:
    code = (
        f"import os, sys; os.close(1); os.close(2); open({str(tmp_path / 'a')!r}, 'w'); os._exit(4)"
    )
    assert process.run_group(python(code), env={}, on_line=print) == 4
    assert (tmp_path / "a").exists()


def test_a_reader_that_fails_ends_the_group(tmp_path: Path) -> None:
    def refuse(line: str) -> None:
        raise OSError(line)

    code = (
        f"import time; print('up', flush=True); time.sleep(60); open({str(tmp_path / 'a')!r}, 'w')"
    )
    with pytest.raises(OSError, match="up"):
        process.run_group(python(code), env={}, on_line=refuse)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_groups_of_all_threads(number: signal.Signals) -> None:
    """A program and the one it started; and one that is started after the signal."""
    sleep = "import time; time.sleep(600)"
    code = f"import subprocess as s, sys; s.Popen([sys.executable, '-c', {sleep!r}]); print('up')"
    words = python(f"{code}; sys.stdout.flush(); {sleep}")
    ready = threading.Event()
    codes: list[int] = []

    def run() -> None:
        for _ in range(2):
            codes.append(process.run_group(words, env={}, on_line=lambda _: ready.set()))

    def interrupted() -> None:
        with process.ending_groups():
            thread.start()
            ready.wait()
            try:
                signal.raise_signal(number)
            finally:
                thread.join()

    thread = threading.Thread(target=run)
    # Whoever started the tests may have it ignored, as a shell does in the background.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert codes == [-signal.SIGKILL] * 2
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert process.run_group(python("pass"), env={}, on_line=print) == 0


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with process.ending_groups():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
