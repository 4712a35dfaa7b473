"""The component's command line, which its ComponentSpec calls."""

from contextlib import suppress

from components.command import run
from components.notify.logic import notify

# An argument that cannot be read has been said; it must not fail the run either.
with suppress(SystemExit):
    run(notify)
