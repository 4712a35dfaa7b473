"""The component's command line, which its ComponentSpec calls."""

from components.command import run
from components.push.logic import push

run(push)
