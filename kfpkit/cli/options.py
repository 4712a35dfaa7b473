"""The options of the commands: each stands here once, with the variable of make and its meaning.

An option `--delete-data` is DELETE_DATA to make and KFPKIT_DELETE_DATA in the environment. Its help
is what `make help-TARGET` shows; a test compares it with the Makefile's.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
import shlex
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfpkit.core import console
from kfpkit.core.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Callable

PREFIX = "KFPKIT_"

#: Variables with the prefix that are no option: of the kit's own pods, and of images.
OTHERS = {"IN_POD_OF", "RUNTIME_IMAGE", "CLIENT_IMAGE"}

#: The names of all options.
NAMES: set[str] = set()

#: What decides where, or whether, something is done: it is given in full or not at all.
DECIDING = ("TARGET", "OVERLAY", "CONTEXT", "KIND_CONFIG", "DRY_RUN")

#: Options that are a file: a path without a word is the working directory.
FILES = ("KIND_CONFIG", "TARGETS", "OUTPUT", "FOLDER")

#: Names that other programs set in the environment for purposes of their own.
OF_OTHERS = ("HOST", "PORT", "TARGET")


#: The command that runs; each option of the kit's is told it.
RUNNING: ContextVar[typer.Context | None] = ContextVar("running", default=None)


def _judge(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:
    """Refuse a place that is empty, and say which variables of the environment do not count.

    Raises:
        BadInputError: A place is empty, a file has no name, or a variable
            that does not count would decide.
    """
    RUNNING.set(ctx)
    name = str(param.envvar).removeprefix(PREFIX)
    source = getattr(ctx.get_parameter_source(param.name or ""), "name", "")
    if source == "COMMANDLINE":
        if name in DECIDING and isinstance(value, str) and not value.strip():
            raise BadInputError(f"{name} is empty", "Name one, or leave it out")
        if name in FILES and value == Path():
            raise BadInputError(f"{name} names no file", "Name one, or leave it out")
    if source == "DEFAULT" and os.environ.get(name) and name not in OF_OTHERS:
        what = f"{name} of the environment does not count"
        do = f"Write make {name}=… or {param.opts[0]}, or set {PREFIX}{name}"
        if name in DECIDING:
            raise BadInputError(what, do)
        console.warn(f"{what}. {do}.")
    return value


def option(name: str, meaning: str, *, flag: bool = False, **settings: Any) -> Any:
    """Return an option with its variable.

    Args:
        name: Its name, as it is to make.
        meaning: What it is, in a line.
        flag: Whether it is on or off, and takes no value.
        settings: As for `typer.Option`.
    """
    NAMES.add(name)
    word = name.lower().replace("_", "-")
    words = f"--{word}/--no-{word}" if flag else f"--{word}"
    return typer.Option(words, envvar=PREFIX + name, help=meaning, callback=_judge, **settings)


def argument(name: str, meaning: str, **settings: Any) -> Any:
    """Return an argument with its variable; the settings are those of `typer.Argument`."""
    NAMES.add(name)
    return typer.Argument(envvar=PREFIX + name, help=meaning, callback=_judge, **settings)


DryRun = Annotated[bool, option("DRY_RUN", "Print the commands, run none of them", flag=True)]

TargetName = Annotated[
    str,
    option(
        "TARGET", "Where: kind, an overlay, or a name of targets.toml; to run a pipeline also local"
    ),
]
Overlay = Annotated[str, option("OVERLAY", "Folder of manifests/overlays, or the path of another")]
Context = Annotated[str, option("CONTEXT", "Context of the kubeconfig; that of kind without one")]
Targets = Annotated[
    Path | None,
    option("TARGETS", "File of your targets; default targets.toml here, or in ~/.config/kfpkit"),
]
KindConfig = Annotated[
    Path | None,
    option("KIND_CONFIG", "Configuration of the kind cluster; default kind-config.yaml"),
]
Host = Annotated[
    str, option("HOST", "Address of the KFP API; without one the node port's, or a port is opened")
]

PipelineName = Annotated[
    str,
    argument("PIPELINE", "FILE.py[:NAME], a compiled FILE.yaml or .json, or a name of pipelines/"),
]
PipelineNames = Annotated[
    list[str],
    argument("PIPELINE", "FILE.py[:NAME], a compiled FILE.yaml or .json, or a name of pipelines/"),
]
Words = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE]...", help="The run's parameters; in place of --args."),
]
Args = Annotated[str, option("ARGS", "Parameters of the run, name=value, quoted as for a shell")]
Experiment = Annotated[str, option("EXPERIMENT", "The experiment of the runs")]
Cache = Annotated[
    bool, option("CACHE", "Whether tasks may take outputs of earlier runs", flag=True)
]
Lint = Annotated[
    bool, option("LINT", "Whether what would not run on the target is looked for first", flag=True)
]
Format = Annotated[str, option("FORMAT", "What findings are printed as: text, json, sarif")]
Runs = Annotated[Path | None, option("RUNS", "Folder that takes a folder a run; default runs")]
Sides = Annotated[
    list[str] | None,
    argument("SIDES", "Runs to compare: folders of RUNS, TARGET:ID, or IDs on TARGET"),
]
On = Annotated[str, option("ON", "Targets to run on in turn, with commas between: local,kind")]
Tolerance = Annotated[
    float, option("TOLERANCE", "Relative difference that metrics and fractions may have")
]
Bytes = Annotated[bool, option("BYTES", "Whether the bytes of artifacts are compared", flag=True)]
RunId = Annotated[str, argument("RUN", "ID of the run")]
Cron = Annotated[str, option("CRON", 'Six fields, UTC: "0 30 6 * * 1-5"')]
Every = Annotated[str, option("EVERY", "Time between two runs: 90s, 15m, 6h, 1d")]

_SCHEDULE = ("SCHEDULE", "Name of the recurring run; that of the pipeline without one")
ScheduleName = Annotated[str, option(*_SCHEDULE)]
KnownSchedule = Annotated[str, argument(*_SCHEDULE)]

Nodes = Annotated[int, option("NODES", "Nodes of a new cluster", min=1)]
Images = Annotated[
    str, option("IMAGES", "Source: upstream, mirror, packages; without one what can be reached")
]
MirrorName = Annotated[str, option("MIRROR", "Your registry: HOST, HOST:PORT or HOST:PORT/PREFIX")]
Release = Annotated[str, option("RELEASE", "Release of KFP; without one the source's own")]
Names = Annotated[
    list[str] | None, argument("NAMES", "Folders of images/, with spaces between; default all")
]
Part = Annotated[str, option("PART", "Part of the cache that make cache-info lists; default all")]

Timeout = Annotated[float, option("TIMEOUT", "Seconds to wait for all components", min=1)]
Yes = Annotated[bool, option("YES", "Do not ask", flag=True)]
DeleteData = Annotated[
    bool, option("DELETE_DATA", "Also remove runs, artifacts and passwords", flag=True)
]
DespiteRuns = Annotated[
    bool, option("DESPITE_RUNS", "Also while runs are under way; they may fail", flag=True)
]
Port = Annotated[int, option("PORT", "Port of this machine", min=1)]
Canary = Annotated[bool, option("CANARY", "Also run a small pipeline, twice", flag=True)]
Json = Annotated[bool, option("JSON", "Print JSON on standard output", flag=True)]

Backups = Annotated[
    str,
    option(
        "BACKUPS",
        "Folder of backups, or restic:REPOSITORY; to read one also the backup's own folder",
    ),
]
Work = Annotated[
    Path, option("WORK", "Where a repository's backups are on this machine; kept between them")
]
Snapshot = Annotated[str, option("SNAPSHOT", "Which one of a repository, as restic names it")]
Wait = Annotated[float, option("WAIT", "Seconds to wait for runs under way", min=0)]
To = Annotated[str, option("TO", "Release to upgrade to; default that of the overlay")]
Output = Annotated[Path | None, option("OUTPUT", "File to write; without one its name is chosen")]
OlderThan = Annotated[str, option("OLDER_THAN", "Age of a run since its end: 12h, 30d, 8w")]
Keep = Annotated[int, option("KEEP", "How many of each pipeline's newest runs stay anyway", min=0)]
Apply = Annotated[bool, option("APPLY", "Remove; without it, only show", flag=True)]
Before = Annotated[Path, argument("BEFORE", "An inventory", exists=True, dir_okay=False)]
After = Annotated[Path, argument("AFTER", "A later inventory", exists=True, dir_okay=False)]


def require_known() -> None:
    """Refuse a variable of the environment that is named as the kit's are, and is none of them.

    Raises:
        BadInputError: There is one.
    """
    for variable in sorted(os.environ):
        name = variable.removeprefix(PREFIX)
        if name != variable and name not in NAMES | OTHERS:
            alike = difflib.get_close_matches(name, NAMES, 1)
            raise BadInputError(
                f"{variable} of the environment is no setting of the kit",
                f"Is it {PREFIX}{alike[0]}?" if alike else "`make help` shows them all",
            )


@dataclass(frozen=True)
class Where:
    """What was said of the installation that a command acts on; `kfpkit.cli.targets` finds it."""

    target: str
    overlay: str = ""
    context: str = ""
    kind_config: Path | None = None
    targets: Path | None = None


#: The target where none is named: the kit's own cluster. And the one that is no installation.
KIND = "kind"
LOCAL = "local"


def installation(default: str = KIND) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options that name an installation; it takes them as one `where`.

    Args:
        default: The target where none is named.
    """
    options = {
        "target": (TargetName, default),
        "overlay": (Overlay, ""),
        "context": (Context, ""),
        "kind_config": (KindConfig, None),
        "targets": (Targets, None),
    }

    def give(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True)
        kept = [p for p in own.parameters.values() if p.name != "where"]
        kept += [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=without
            )
            for name, (kind, without) in options.items()
        ]
        signature = own.replace(parameters=kept)

        @functools.wraps(command)
        def call(*words: Any, **given: Any) -> None:
            bound = signature.bind(*words, **given)
            bound.apply_defaults()
            values = bound.arguments
            where = Where(**{name: values.pop(name) for name in options})
            if where.overlay and where.target == default:  # None was named.
                where = replace(where, target=KIND)
            command(where=where, **values)

        # What typer reads.
        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {p.name: p.annotation for p in kept}
        return call

    return give


def parameters(words: list[str] | None, args: str) -> list[str]:
    """Return the parameters of a run: the words, or else those in ARGS.

    Raises:
        BadInputError: ARGS has a quote without its second.
    """
    try:
        return words or shlex.split(args)
    except ValueError as error:
        raise BadInputError(
            f"ARGS cannot be split into name=value: {str(error).lower()}",
            "Quotes and backslashes mean what they mean to a shell, as in "
            """ARGS="'name=it is' 'items=[\\"a\\"]'\"""",
        ) from None
