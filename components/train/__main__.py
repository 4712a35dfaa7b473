"""The component's command line, which its ComponentSpec calls."""

from components.command import run
from components.train.logic import train

run(train)
