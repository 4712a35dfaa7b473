"""A polite kill of any command lets it put things right, as Ctrl-C does."""

from __future__ import annotations

import signal
import sys

import pytest

from kfpkit.core import process

#: A command line with one command more, which ends by itself only after a while.
SCRIPT = """
import sys, threading
from kfpkit import cli

@cli.app.command()
def waits():
    try:
        print("begun", flush=True)
        threading.Event().wait(60)
    finally:
        print("put right", flush=True)

sys.argv = ["kfpkit", "waits"]
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_every_command_puts_things_right(number: int) -> None:
    with process.spawned([sys.executable, "-c", SCRIPT]) as running:
        assert running.stdout
        assert running.stdout.readline() == "begun\n"
        running.send_signal(number)
        assert running.stdout.read().splitlines() == ["put right", "interrupted"]
        assert running.wait(timeout=60) == 130


def test_what_is_ignored_stays_so() -> None:
    script = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + SCRIPT.replace(
        "threading.Event().wait(60)", "signal.raise_signal(signal.SIGHUP)"
    )
    said = process.query([sys.executable, "-c", script])
    assert said.stdout.splitlines() == ["begun", "put right"]
