"""The component's command line, which its ComponentSpec calls."""

from components.command import run
from components.transform.logic import transform

run(transform)
