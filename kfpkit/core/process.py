"""The one place of the kit that starts processes.

Every command that changes something is printed before it runs, so that a reader can repeat it by
hand, and is only printed in a dry run.
"""

from __future__ import annotations

import codecs
import os
import selectors
import shlex
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core import console
from kfpkit.core.errors import CommandError, KitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import IO

#: Daemons are held to the kit's end: Python warns of a running process that is forgotten.
_DETACHED: list[subprocess.Popen[str]] = []

#: Files that every process but a daemon gets a copy of: see `holding`.
_HELD: set[int] = set()

#: Bytes of one argument or variable at most, its closing NUL included: Linux' MAX_ARG_STRLEN. The
#: same on a cluster, where the launcher gives the executor's input as an argument too.
LARGEST_ARGUMENT = 128 * 1024

#: Exit code that a shell gives for a command it cannot find.
NOT_FOUND = 127

#: Characters after which a line of a group's output is handed on although it has not ended.
LONGEST_LINE = 1 << 16

#: Bytes that a pipe holds at most, unless root says otherwise (Linux: /proc/sys/fs/pipe-max-size).
_PIPE = 1 << 20


@dataclass(frozen=True)
class Result:
    """What a finished process left behind."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        """Whether the process ended with exit code 0."""
        return self.returncode == 0


_dry_run = False


def set_dry_run(on: bool) -> None:
    """Have commands that change something printed only, or run again."""
    global _dry_run
    _dry_run = on


def dry_run() -> bool:
    """Whether commands that change something are to be printed only."""
    return _dry_run


def line(argv: Sequence[str], env: Mapping[str, str] | None = None) -> str:
    """Return the command as a line that a shell would read back unchanged."""
    assignments = [f"{name}={shlex.quote(value)}" for name, value in (env or {}).items()]
    return " ".join([*assignments, shlex.join(argv)])


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    stdin_from: IO[bytes] | None = None,
    stdout_to: IO[bytes] | None = None,
    timeout: float | None = None,
    check: bool = True,
    do: str = "",
) -> Result:
    """Run a command that changes something: it is printed first, and skipped in a dry run.

    Args:
        argv: The program and its arguments; never a shell line.
        cwd: Working directory.
        env: Variables added to the kit's own environment; printed, so never a secret.
        stdin: Text given on standard input; not printed, so a secret may pass here.
        stdin_from: An open file given on standard input instead.
        stdout_to: An open binary file that takes standard output instead of the result.
        timeout: Seconds after which the process is killed.
        check: Raise when the exit code is not 0.
        do: What the user should do if it fails, for the error's text.

    Raises:
        CommandError: The program is missing, failed (with `check`) or took too long.
    """
    console.err.print(f"$ {line(argv, env)}", style="dim", markup=False)
    if dry_run():
        return Result(0, "", "")
    return query(
        argv,
        cwd=cwd,
        env=env,
        stdin=stdin,
        stdin_from=stdin_from,
        stdout_to=stdout_to,
        timeout=timeout,
        check=check,
        do=do,
    )


def query(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    stdin_from: IO[bytes] | None = None,
    stdout_to: IO[bytes] | None = None,
    timeout: float | None = None,
    check: bool = True,
    do: str = "",
) -> Result:
    """Run a command that only reads: not printed, and run in a dry run too. Else as `run`."""
    try:
        done = subprocess.run(
            argv,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            input=stdin,
            stdin=stdin_from or (subprocess.DEVNULL if stdin is None else None),
            stdout=stdout_to or subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
            pass_fds=tuple(_HELD),
        )
    except FileNotFoundError:
        result = Result(NOT_FOUND, "", f"{argv[0]}: program not found")
    except subprocess.TimeoutExpired as expired:
        # TimeoutExpired holds bytes even where text was asked for.
        text = expired.stderr.decode(errors="replace") if expired.stderr else ""
        result = Result(-signal.SIGKILL, "", f"{text}\nkilled after {timeout} s")
    else:
        result = Result(done.returncode, done.stdout or "", done.stderr)
    if check and not result.ok:
        raise CommandError(line(argv, env), result.returncode, result.stderr or result.stdout, do)
    return result


def stream(
    argv: Sequence[str],
    *,
    on_line: Callable[[str], None] | None = None,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    echo: bool = True,
    do: str = "",
) -> None:
    """Run a long command that changes something, handing on each line that it prints.

    Args:
        argv: The program and its arguments.
        on_line: Called with each line of output (standard error included), without its end.
        log: A file that takes the whole output, kept for the case of a failure.
        cwd: Working directory.
        env: Variables added to the kit's own environment.
        echo: Print the command first; off where a caller shows its own progress.
        do: What the user should do if it fails.

    Raises:
        CommandError: The program is missing or its exit code is not 0.
    """
    if echo or dry_run():
        console.err.print(f"$ {line(argv, env)}", style="dim", markup=False)
    if dry_run():
        return
    tail: list[str] = []
    with spawned(argv, cwd=cwd, env=env) as process:
        assert process.stdout is not None  # noqa: S101 - asked for with PIPE
        sink = log.open("w", encoding="utf-8") if log else None
        try:
            for raw in process.stdout:
                row = raw.rstrip("\n")
                tail = [*tail[-CommandError.SHOWN_LINES :], row]
                if sink:
                    sink.write(raw)
                    sink.flush()
                if on_line:
                    on_line(row)
        finally:
            if sink:
                sink.close()
        returncode = process.wait()
    if returncode != 0:
        hint = f"The whole log is {log}" if log else ""
        raise CommandError(
            line(argv, env), returncode, "\n".join(tail), "; ".join(x for x in (do, hint) if x)
        )


def start(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    detach: bool = False,
) -> subprocess.Popen[str]:
    """Start a process and return it running; standard error joins standard output.

    Args:
        argv: The program and its arguments.
        log: A file that takes the output; without it the output is a pipe.
        cwd: Working directory.
        env: Variables added to the kit's own environment.
        detach: Let it outlive the kit, in a session of its own (a daemon).

    Raises:
        KitError: The program is missing.
    """
    sink = log.open("a", encoding="utf-8") if log else None
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL,
            stdout=sink or subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=detach,
            pass_fds=() if detach else tuple(_HELD),
        )
    except FileNotFoundError:
        raise KitError(f"{argv[0]} is not installed", "Install it and try again") from None
    finally:
        if sink:
            sink.close()  # the process has its own copy
    if detach:
        _DETACHED.append(process)
    return process


@contextmanager
def holding(file: IO[str]) -> Iterator[None]:
    """Have each process that a `with` block starts, and each that it starts in turn, hold a file.

    A lock on the file so lasts until the last of them has ended, also where the kit is killed and
    they are not. Daemons (`detach`) and groups (`run_group`) hold nothing.
    """
    _HELD.add(file.fileno())
    try:
        yield
    finally:
        _HELD.discard(file.fileno())


@contextmanager
def spawned(
    argv: Sequence[str],
    *,
    log: Path | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a process for the length of a `with` block and end it afterwards.

    It is asked to stop (SIGTERM) and, ten seconds later, made to (SIGKILL).
    """
    process = start(argv, log=log, cwd=cwd, env=env)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout:
            process.stdout.close()


@contextmanager
def repeated(
    argv: Sequence[str], follow: Callable[[subprocess.Popen[str]], object], *, pause: float
) -> Iterator[None]:
    """Run a process beside a `with` block, again whenever it has ended, and end it afterwards.

    Args:
        argv: The program and its arguments.
        follow: Called with each running process, in a thread; once it returns, that one is ended.
        pause: Seconds between two of them.
    """
    over = threading.Event()
    current: list[subprocess.Popen[str]] = []

    def repeat() -> None:
        while not over.is_set():
            with spawned(argv) as running:
                current[:] = [running]
                if not over.is_set():
                    follow(running)
            over.wait(pause)

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        for running in current:
            running.terminate()
        thread.join()


def run_group(
    argv: Sequence[str], *, env: Mapping[str, str], on_line: Callable[[str], None]
) -> int:
    """Run a program that may start others, and end with it all that it has started.

    The output ends with the program, even where a process that it left behind holds the pipe open.
    As in a container, what is left of its process group is killed then. The same happens when this
    call is left by an exception, or by a signal within `ending_groups`.

    Args:
        argv: The program and its arguments, given to it as UTF-8.
        env: Variables added to the kit's own environment.
        on_line: Called with each line of output (standard error included), without its end. Of what
            a progress bar wrote over with carriage returns, the last state is handed on; a line of
            more than `LONGEST_LINE` characters comes in pieces.

    Returns:
        The exit code; negative: the signal that killed it.

    Raises:
        OSError: The program cannot be started.
    """
    process = subprocess.Popen(
        [word.encode(errors="surrogateescape") for word in argv],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - asked for with PIPE
    _GROUPS.running.add(process.pid)
    ended, end = os.pipe()

    def wait() -> None:
        process.wait()
        os.close(end)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    lines = _Lines(on_line)
    try:
        if _GROUPS.stopped:
            _kill_group(process.pid)
        with selectors.DefaultSelector() as selector:
            selector.register(ended, selectors.EVENT_READ)
            selector.register(process.stdout, selectors.EVENT_READ)
            while all(key.fileobj is process.stdout for key, _ in selector.select()):
                if chunk := process.stdout.read(_PIPE):
                    lines.add(chunk)
                else:  # it has closed its output, and runs on
                    selector.unregister(process.stdout)
        # What the program wrote last is in the pipe, whoever else holds that open.
        os.set_blocking(process.stdout.fileno(), False)
        lines.add(process.stdout.read(_PIPE) or b"", last=True)
    finally:
        _kill_group(process.pid)
        waiter.join()
        _GROUPS.running.discard(process.pid)
        process.stdout.close()
        os.close(ended)
    return process.returncode


@contextmanager
def ending_groups() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP end every `run_group`, in all threads, during a `with` block.

    Then `KeyboardInterrupt` is raised in the main thread, which must be the one that calls this;
    a group that another thread starts after that is killed at once.
    """

    def end(number: int, frame: object) -> None:
        del number, frame
        if _GROUPS.stopped:
            return  # the first one's clean-up goes on
        _GROUPS.stopped = True
        for pid in tuple(_GROUPS.running):
            _kill_group(pid)
        raise KeyboardInterrupt

    # What is ignored stays so: nohup, for one, has SIGHUP ignored.
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _GROUPS.stopped = False


def ending() -> bool:
    """Whether a signal within `ending_groups` has ended the groups, and no other may run."""
    return _GROUPS.stopped


class _Groups:
    """The process groups that run; no lock, for a signal may find it held by its own thread."""

    def __init__(self) -> None:
        self.running: set[int] = set()
        self.stopped = False


_GROUPS = _Groups()


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):  # macOS: EPERM where all have ended
        os.killpg(pid, signal.SIGKILL)


class _Lines:
    """Makes lines of the bytes that a process writes, and holds one line at most."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def add(self, chunk: bytes, *, last: bool = False) -> None:
        """Hand on the lines that have ended, and with `last` the one that has not."""
        *lines, rest = (self._rest + self._decoder.decode(chunk, last)).split("\n")
        for one in lines:
            self._hand_on(one.removesuffix("\r"))
        # A carriage return at the end may be the first half of a line's end.
        kept = rest.removesuffix("\r").rpartition("\r")[2]
        self._rest = kept + "\r" * rest.endswith("\r")
        if self._rest and (last or len(self._rest) > LONGEST_LINE):
            self._hand_on(kept)
            self._rest = ""

    def _hand_on(self, line: str) -> None:
        shown = line.rpartition("\r")[2]
        for start in range(0, len(shown) or 1, LONGEST_LINE):
            self._on_line(shown[start : start + LONGEST_LINE])
