"""One task of a Python component as a process of this machine, as a cluster runs it in a pod.

kfp compiles such a component to a shell line that installs packages, writes the component's source
into a file, and starts kfp's executor with it. Here no shell reads that line: it is taken apart,
the packages come from an environment of the task's own, and the executor is started directly.
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit import process
from kfpkit.errors import BadInputError
from kfpkit.runs import task_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Bytes of one argument or variable at most, its closing NUL included: Linux' MAX_ARG_STRLEN. The
#: same on a cluster, where the launcher gives the executor's input as an argument too.
LARGEST_ARGUMENT = 128 * 1024

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


@dataclass(frozen=True)
class _Parts:
    """What kfp's compiler puts into the command of a Python component."""

    function: str
    source: str
    #: The executor's input, JSON.
    executor_input: str
    #: The words after each `pip install`, in order.
    installs: tuple[tuple[str, ...], ...]


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
    python = task_environment.python_for(image, parts.installs, on_line)
    with tempfile.TemporaryDirectory(prefix="kfpkit-task-") as folder:
        module = Path(folder, "ephemeral_component.py")
        module.write_text(parts.source, encoding="utf-8")
        argv = [str(python), "-P", "-m", "kfp.dsl.executor_main"]
        argv += ["--component_module_path", str(module)]
        argv += ["--executor_input", parts.executor_input]
        argv += ["--function_to_execute", parts.function]
        returncode = process.run_group(
            argv, env={**variables, "_KFP_RUNTIME": "true"}, on_line=on_line
        )
    return Ended(returncode, _why(returncode))


def _why(returncode: int) -> str:
    if returncode >= 0:
        return f"exit code {returncode}" if returncode else ""
    try:
        number = signal.Signals(-returncode)
    except ValueError:  # a real-time signal has no name
        return f"killed by signal {-returncode}"
    return f"killed by {number.name}{_CAUSES.get(number, '')}"


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
    installs: list[tuple[str, ...]] = []
    if words[:2] == ["sh", "-c"] and len(words) > 2:
        found = _INSTALL.fullmatch(words[2])
        if not found:
            raise unknown
        for line in _POD_VENV.sub("", found["installs"]).split(" && "):
            try:
                said = shlex.split(line)
            except ValueError:
                raise unknown from None
            if said[:4] != ["python3", "-m", "pip", "install"]:
                raise unknown
            installs.append(tuple(said[4:]))
        words = words[3:]
    match words:
        case ["sh", "-ec", script, source, "--executor_input", given, "--function_to_execute", _]:
            if _EXECUTOR.fullmatch(script):
                return _Parts(name, source, given, tuple(installs))
    raise unknown
