"""The command line of a component, made from the signature of its logic.

`--test-fraction 0.2` sets the parameter `test_fraction`; a file's path is given for every artifact.
"""

from __future__ import annotations

import argparse
import inspect
import sys
import typing
from typing import TYPE_CHECKING, NoReturn

from components import executor_output
from components.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from components.executor_output import Metadata


class _Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {self.prog}: {message}", file=sys.stderr)  # noqa: T201 - a command line
        sys.exit(2)


def run(logic: Callable[..., Mapping[str, Metadata]], argv: Sequence[str] | None = None) -> None:
    """Call a component's logic with the command line's arguments and report to KFP.

    Ends the process with one line on standard error and exit code 1 where the logic finds its input
    wrong, and with exit code 2 where an argument is missing or ill-typed.

    Args:
        logic: The function; returns the metadata of its output artifacts by name.
        argv: Arguments, without the program's name; default those of the process.
    """
    parser = _Parser(prog=f"components.{logic.__name__}", description=_first_line(logic))
    types = typing.get_type_hints(logic)
    for name in inspect.signature(logic).parameters:
        parser.add_argument(f"--{name.replace('_', '-')}", type=types[name], required=True)
    parser.add_argument("--executor-input", help="KFP's ExecutorInput as JSON")
    arguments = vars(parser.parse_args(argv))
    executor_input = arguments.pop("executor_input")
    try:
        metadata = logic(**arguments)
    except ComponentError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command line
        sys.exit(1)
    if executor_input:
        executor_output.write(executor_input, metadata)


def _first_line(logic: Callable[..., object]) -> str:
    return (inspect.getdoc(logic) or "").partition("\n")[0]
