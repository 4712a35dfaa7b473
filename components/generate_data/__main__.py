"""The component's command line, which its ComponentSpec calls."""

from components.command import run
from components.generate_data.logic import generate_data

run(generate_data)
