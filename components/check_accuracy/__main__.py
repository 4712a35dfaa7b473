"""The component's command line, which its ComponentSpec calls."""

from components.check_accuracy.logic import check_accuracy
from components.command import run

run(check_accuracy)
