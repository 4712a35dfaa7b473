"""What the terminal says of a run at its end."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kfpkit.cli.options import RUNNING
from kfpkit.core import console, durations, process
from kfpkit.core.errors import KitError
from kfpkit.kfp.run import State
from kfpkit.runs import shown

if TYPE_CHECKING:
    from types import ModuleType

    from kfpkit.kfp.run import Parameter, Run

#: How many lines of a failed task's error the terminal shows; the report has more.
SHOWN_LINES = 6

#: How many failed tasks or rounds are shown so.
SHOWN_TASKS = 5

#: How many metrics the terminal shows.
SHOWN_METRICS = 100

#: The command that makes a report of a run which is there: it runs none.
REPORT = "report"

#: What to do where a run's folder cannot be written.
OTHER_FOLDER = "choose another folder: RUNS=folder"


def values_of(given: list[Parameter]) -> str:
    """Return the parameters of a run as they are given: all but texts as JSON."""

    def text(value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return " ".join(f"{p.name}={text(p.value)}" for p in given if p.value is not None) or (
        "no parameters"
    )


def report(done: Run, folder: Path) -> None:
    """Write a run's description and report; print its metrics and where the report is."""
    done.command = again()
    done.save(folder)
    file = _page().write(done, folder)
    tell(done)
    console.out.print(f"report: {_shown(file)}", markup=False)


def again() -> str:
    """Return the line for a shell that does again what this command did; empty where it ran none.

    It has all that was said, by options and by variables of the environment.
    """
    context = RUNNING.get()
    if context is None or context.info_name == REPORT:
        return ""
    options: list[str] = []
    arguments: list[str] = []
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        source = getattr(context.get_parameter_source(parameter.name or ""), "name", "DEFAULT")
        if value is None or source == "DEFAULT":
            continue
        if parameter.param_type_name == "argument":
            arguments += [str(one) for one in (value if parameter.nargs != 1 else [value])]
        elif isinstance(value, bool):
            options += (parameter.opts if value else parameter.secondary_opts)[:1]
        else:
            options.append(f"{parameter.opts[0]}={value}")
    before = ["--"] if any(one.startswith("-") for one in arguments) else []
    return process.line([*_program(), context.info_name or "", *options, *before, *arguments])


def _program() -> list[str]:
    """Return what this program is called by: its name where the shell finds it by that."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return [sys.executable, "-m", "kfpkit"]
    found = shutil.which(called.name)
    return [called.name if found and Path(found).samefile(called) else str(called)]


def tell(done: Run) -> None:
    """Print the metrics as a table, every value whole."""
    found = _page().metrics(done)
    if not found:
        return
    table = Table("task", "metric", box=None, pad_edge=False, title_justify="left")
    table.add_column("value", justify="right")
    for metric in found[:SHOWN_METRICS]:
        cells = (metric.task, metric.name, shown.number(metric.value))
        table.add_row(*(Text(shown.plain(cell)) for cell in cells))
    console.out.print()
    # A table no wider than the terminal would cut values.
    Console(width=10_000, highlight=False, emoji=False).print(table)
    if len(found) > SHOWN_METRICS:
        console.out.print(f"and {len(found) - SHOWN_METRICS} more, in the report")
    console.out.print()


def fail(done: Run) -> None:
    """Raise where the run failed, with each failed task or round and the end of its output.

    Raises:
        KitError: It failed.
    """
    if done.state is State.SUCCEEDED:
        console.say(f"{done.pipeline} succeeded in {durations.write(done.seconds)}")
        return
    ended = "was cancelled" if done.state is State.CANCELLED else "failed"
    if not done.failed:
        raise KitError(f"the run {ended}: {shown.plain(done.error) or 'nothing says why'}")
    # What the run says beside its tasks, for example that two sources disagree.
    also = f"{shown.plain(done.error)}\n" if done.error else ""
    blocks = {
        shown.plain(task.name): "\n".join(
            f"    {line}" for line in shown.plain(task.error).splitlines()[-SHOWN_LINES:]
        )
        or "    (it printed nothing)"
        for task in done.failed[:SHOWN_TASKS]
    }
    if len(done.failed) == 1:
        ((name, block),) = blocks.items()
        raise KitError(f"task {name} failed:\n{block}\n{also}The report has more")
    several = "\n".join(f"  {name}:\n{block}" for name, block in blocks.items())
    more = len(done.failed) - SHOWN_TASKS
    raise KitError(
        f"{len(done.failed)} tasks failed:\n{several}\n"
        + (f"  and {more} more\n" if more > 0 else "")
        + f"{also}The report has more"
    )


def _page() -> ModuleType:
    """Return the module that writes reports: what it imports would hold up each run's start."""
    return import_module("kfpkit.runs.report.page")


def _shown(path: Path) -> str:
    """Return the path as short as it leads there from the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
