"""The component's command line, which its ComponentSpec calls."""

from components.command import run
from components.evaluate.logic import evaluate

run(evaluate)
