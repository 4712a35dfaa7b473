"""One task of a Python component as a process of this machine, as a cluster runs it in a pod.

kfp compiles such a component to a shell line that installs packages, writes the component's source
into a file, and starts kfp's executor with it. Here no shell reads that line: it is taken apart,
the packages come from an environment of the task's own, and the executor is started directly.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import signal
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import spec as ir
from kfpkit.runs.local import task_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kfpkit.kfp.spec import Spec

#: Signals whose name alone does not say enough.
_CAUSES = {
    signal.SIGKILL: " (out of memory?)",
    signal.SIGSEGV: " (a crash in compiled code)",
}

_EXECUTOR = re.compile(
    r"""program_path=\$\(mktemp -d\)
    \s*printf "%s" "\$0" > "\$program_path/ephemeral_component\.py"
    \s*(?:_KFP_RUNTIME=true )?python3 -m kfp\.dsl\.executor_main
    \s+--component_module_path\s+"\$program_path/ephemeral_component\.py"
    \s+"\$@"\s*""".replace("\n    ", "")
)

_INSTALL = re.compile(
    r"""(?:\s*if ! \[ -x "\$\(command -v pip\)" \]; then\n[^\n]*\bensurepip\b[^\n]*\nfi\n)?
    \s*PIP_DISABLE_PIP_VERSION_CHECK=1 (?P<installs>.*?) && "\$0" "\$@"\s*""".replace("\n    ", ""),
    re.DOTALL,
)

#: A virtual environment in the pod, for `use_venv=True`: each task has one of its own here.
_POD_VENV = re.compile(
    r"""\nexport PIP_DISABLE_PIP_VERSION_CHECK=1\ntmp=\$\(mktemp -d\)
    \npython3 -m venv "\$tmp/venv" --system-site-packages
    \n\. "\$tmp/venv/bin/activate"\n""".replace("\n    ", "")
)


@dataclass(frozen=True)
class Ended:
    """How a task's process ended."""

    #: As `subprocess` has it: negative for a signal.
    returncode: int
    #: Empty where the exit code is 0.
    why: str
    #: When its program began; None where that is not known.
    began: datetime | None


@dataclass(frozen=True)
class _Parts:
    """What kfp's compiler puts into the command of a Python component."""

    function: str
    source: str
    #: The executor's input, JSON.
    executor_input: str
    #: The words after each `pip install`, in order.
    installs: tuple[tuple[str, ...], ...]


def make_environments(spec: Spec) -> None:
    """Make the Python environments of a pipeline's tasks that are not there yet.

    Raises:
        BadInputError: An option or a path is among the packages.
        KitError: Packages cannot be installed.
    """
    for _, container in ir.containers(spec):
        installs = installs_of(container["command"]) or ()
        task_environment.python_for(container["image"], installs, lambda _: None)


def run(
    command: Sequence[str],
    image: str,
    variables: Mapping[str, str],
    on_line: Callable[[str], None],
) -> Ended:
    """Run a task to its end, and end with it what it has started.

    Args:
        command: Command and arguments of a Python component as kfp compiles them, with the
            placeholders filled in.
        image: The component's base image.
        variables: Added to the kit's own environment.
        on_line: Called with each line that the task prints.

    Raises:
        BadInputError: The command is none of a Python component, or too large for Linux.
        KitError: The task's packages cannot be installed.
    """
    parts = _take_apart(command)
    _check_size(parts)
    python = task_environment.python_for(image, parts.installs, on_line)
    with tempfile.TemporaryDirectory(prefix="kfpkit-task-") as folder:
        module = Path(folder, "ephemeral_component.py")
        module.write_text(parts.source, encoding="utf-8")
        installed = Path(folder, "installed")
        installed.mkdir()
        # Not the working directory on the path: a checkout has modules that an image has not.
        argv = [str(python), "-P", "-m", "kfp.dsl.executor_main"]
        argv += ["--component_module_path", str(module)]
        argv += ["--executor_input", parts.executor_input]
        argv += ["--function_to_execute", parts.function]
        env = {**_environment(python, installed), **variables}
        began = datetime.now(UTC)
        try:
            returncode = process.run_group(argv, env=env, on_line=on_line)
        except OSError as error:
            if error.errno != errno.E2BIG:
                raise
            name, value = max({**os.environ, **env}.items(), key=lambda item: len(item[1]))
            raise BadInputError(
                f"the environment variables of the task {parts.function} are too large for Linux; "
                f"the largest, {name}, has {len(value.encode()):,} bytes",
                "Unset it, or pass what it holds as a file",
            ) from None
    return Ended(returncode, _why(returncode), began)


def _environment(python: Path, installed: Path) -> dict[str, str]:
    """Return the variables of every task.

    Args:
        python: What runs the task.
        installed: A folder of the task's own, for what the task itself installs with pip: its
            environment is the kit's, or another task's as well.
    """
    return {
        "_KFP_RUNTIME": "true",
        "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)]),
        "PIP_TARGET": str(installed),
        "PIP_USER": "0",  # pip refuses both
        "PYTHONPATH": os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",  # nothing is lost of a task that is killed
        "PYTHONUTF8": "1",  # as images have it, whatever the language of this machine
    }


def _check_size(parts: _Parts) -> None:
    """Refuse what Linux would not start.

    Raises:
        BadInputError: The source or the executor's input is larger than one argument may be.
    """
    source = len(parts.source.encode()) + 1
    if source > process.LARGEST_ARGUMENT:
        raise BadInputError(
            f"the source of the component {parts.function}, with all that is embedded in it, has "
            f"{source:,} bytes; Linux allows {process.LARGEST_ARGUMENT:,}",
            "Move it, or the files embedded in it, into the base image or into an artifact",
        )
    size = len(parts.executor_input.encode()) + 1
    if size <= process.LARGEST_ARGUMENT:
        return
    given = json.loads(parts.executor_input).get("inputs", {})
    sizes = {
        (kind, name): len(_json(value).encode())
        for kind in ("parameterValues", "artifacts")
        for name, value in given.get(kind, {}).items()
    }
    kind, name = max(sizes, key=sizes.__getitem__, default=("", ""))
    largest = f"; the largest is {name} with {sizes[kind, name]:,}" if name else ""
    if kind == "artifacts":
        largest = largest.replace(" is ", " is the metadata of the artifact ")
    raise BadInputError(
        f"the inputs of the component {parts.function} have {size:,} bytes as JSON, and Linux "
        f"allows {process.LARGEST_ARGUMENT:,}{largest}",
        "Write less into its metadata (of a ROC curve: fewer points); its file may have any size"
        if kind == "artifacts"
        else "Pass it as an artifact, which may have any size",
    )


def _json(value: object) -> str:
    """Return compact JSON, as a cluster's launcher writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _why(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}" if returncode else ""
    try:
        number = signal.Signals(-returncode)
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-returncode}"
    return f"killed by {number.name}{_CAUSES.get(number, '')}"


def installs_of(command: Sequence[str]) -> list[tuple[str, ...]] | None:
    """Return the words after each `pip install` of a component's command; None where unknown."""
    installs: list[tuple[str, ...]] = []
    if list(command[:2]) == ["sh", "-c"] and len(command) > 2:
        found = _INSTALL.fullmatch(command[2])
        if not found:
            return None
        for line in _POD_VENV.sub("", found["installs"]).split(" && "):
            try:
                said = shlex.split(line)
            except ValueError:
                return None
            if said[:4] != ["python3", "-m", "pip", "install"]:
                return None
            installs.append(tuple(said[4:]))
    return installs


def _take_apart(command: Sequence[str]) -> _Parts:
    """Return the parts of a command.

    Raises:
        BadInputError: It has another form than kfp's compiler gives it.
    """
    words = list(command)
    name = words[-1] if words[-2:-1] == ["--function_to_execute"] else "without a name"
    unknown = BadInputError(
        f"the command of the component {name} is none that kfp compiles for a Python component",
        "Compile it again with the kfp of this kit",
    )
    installs = installs_of(words)
    if installs is None:
        raise unknown
    if words[:2] == ["sh", "-c"]:
        words = words[3:]
    match words:
        case ["sh", "-ec", script, source, "--executor_input", given, "--function_to_execute", _]:
            if _EXECUTOR.fullmatch(script):
                return _Parts(name, source, _json(json.loads(given)), tuple(installs))
    raise unknown
