"""Running one task on this machine: its inputs as a cluster gives them, its outputs checked."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import uuid
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError, refusals_of
from kfpkit.kfp import spec as ir
from kfpkit.kfp import values as local_values
from kfpkit.kfp.digest import sha256
from kfpkit.kfp.run import Artifact, Phase, folder_of
from kfpkit.runs.local import task_process
from kfpkit.runs.local.task_process import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TextIO

    from kfpkit.kfp.run import Task
    from kfpkit.kfp.spec import Spec

#: Parameters and artifacts by name, an artifact as the list of its runtime artifacts.
Values = dict[str, Any]

#: In a run's folder: what the tasks wrote, as <task>/<output>, of a loop <loop>/<round>/<task>/….
PIPELINE_ROOT = "outputs"

#: How many of the last lines of a failed task's output are kept as its error.
ERROR_LINES = 30

#: Characters of such a line that are kept.
LINE_LENGTH = 2000

#: In a task's folder: what kfp's executor says of the outputs.
_SAID = "executor_output.json"

_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

#: How kfp's executor begins a message; one of them goes on with the whole input as JSON.
_OF_KFP = "[KFP Executor "


class Log:
    """The run's log: each line with the task that wrote it; several threads may write."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def write(self, place: str, line: str) -> None:
        """Add a line of a task."""
        with self._lock:
            self._file.write(f"{place} | {line}\n")
            self._file.flush()


class Tasks:
    """Runs tasks one by one; several threads may do so at the same time.

    Args:
        spec: The compiled pipeline.
        folder: The run's folder; takes the outputs.
        log: Takes what the tasks print.
        about: What the compiler's placeholders for the run stand for, as `{{$.pipeline_job_name}}`.
        in_containers: Whether a container engine runs them.

    Attributes:
        stopped: Set when nothing more is to begin.
    """

    def __init__(
        self, spec: Spec, folder: Path, log: Log, about: dict[str, str], *, in_containers: bool
    ) -> None:
        self._executors = spec["deploymentSpec"]["executors"]
        self._folder = folder.resolve()
        self._log = log
        self._about = about
        self._in_containers = in_containers
        self.stopped = threading.Event()

    def stop(self) -> None:
        """Let nothing more begin."""
        self.stopped.set()

    def run(self, row: Task, task: Spec, component: Spec, inputs: Values) -> Values:
        """Run a task to its end, again where it fails and its retries allow it.

        Args:
            row: Takes the inputs, outputs and artifacts.
            task: Its part of the graph.
            component: What it is an instance of.
            inputs: Parameters by name, and artifacts as lists.

        Returns:
            The outputs by name; artifacts as lists.

        Raises:
            KitError: It failed; the message is the end of its own output, or what is wrong with
                what it left.
        """
        declared = component.get("inputDefinitions", {}).get("parameters", {})
        row.inputs = {name: inputs[name] for name in declared if name in inputs}
        executor = self._executors[component["executorLabel"]]
        if "importer" in executor:
            return self._import(row, component, executor["importer"], inputs)
        container = executor["container"]
        if "resources" in container:
            self._log.write(row.name, "cpu_limit, memory_limit and the like have no effect here")
        policy = task.get("retryPolicy", {})
        retries = policy.get("maxRetryCount", 0)
        for attempt in range(retries + 1):
            try:
                with refusals_of(self._folder):
                    return self._attempt(row, component, container, inputs)
            except KitError as error:
                if attempt == retries or self.stopped.is_set():
                    raise
                wait = _backoff(policy, attempt)
                self._log.write(row.name, f"{error}")
                self._log.write(
                    row.name, f"attempt {attempt + 1} of {retries + 1} failed; the next in {wait} s"
                )
                begin = datetime.now(UTC)
                self.stopped.wait(wait)
                row.spend(Phase.WAITING, begin, datetime.now(UTC))
        raise AssertionError("the last attempt returns or raises")

    def _attempt(self, row: Task, component: Spec, container: Spec, inputs: Values) -> Values:
        begin = datetime.now(UTC)
        root = self._folder / PIPELINE_ROOT / folder_of(row.name)
        shutil.rmtree(root, ignore_errors=True)  # of the attempt before
        root.mkdir(parents=True)
        row.outputs, row.artifacts = {}, []
        given = _executor_input(component, inputs, root)
        tail = _Tail()

        def on_line(line: str) -> None:
            plain = _ANSI.sub("", line)
            self._log.write(row.name, plain)
            tail.add(plain)

        command, arguments = self._command(row, container, inputs, given)
        variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        if self._in_containers:
            ended = self._in_container(container["image"], command, arguments, variables, on_line)
        else:
            ended = task_process.run([*command, *arguments], container["image"], variables, on_line)
        row.spend(Phase.START, begin, ended.began)
        row.spend(Phase.WORK, ended.began, datetime.now(UTC))
        said, problem = _said(root / _SAID)
        row.artifacts = self._artifacts(component, given, said)
        if ended.returncode:
            raise _TaskError(tail.error(ended))
        if problem:
            raise KitError(problem)
        return self._outputs(row, component, given, said)

    def _in_container(
        self,
        image: str,
        command: list[str],
        arguments: list[str],
        variables: Mapping[str, str],
        on_line: Callable[[str], None],
    ) -> Ended:
        """Run a container to its end, the run's folder at the same place in it.

        kfp's own handler is not used: it takes a container that it cannot ask any more for a good
        one, keeps the image's entrypoint, and lets the container run on after Ctrl-C.

        Raises:
            BadInputError: An argument is larger than Linux allows.
        """
        longest = max(
            len(word.encode(errors="surrogateescape")) + 1 for word in (*command, *arguments, image)
        )
        if longest > process.LARGEST_ARGUMENT:
            raise BadInputError(
                f"an argument of the container has {longest:,} bytes; Linux allows "
                f"{process.LARGEST_ARGUMENT:,}",
                "Pass what is large as an artifact, which may have any size",
            )
        name = f"kfpkit-{uuid.uuid4()}"
        argv = ["docker", "run", f"--name={name}", f"--volume={self._folder}:{self._folder}:z"]
        # The image's own user may not write into the run's folder.
        argv += [f"--user={os.getuid()}:{os.getgid()}"]
        argv += [f"--env={variable}" for variable in variables]  # the values are in its own
        argv += [f"--entrypoint={word}" for word in command[:1]]
        try:
            code = process.run_group(
                [*argv, image, *command[1:], *arguments], env=variables, on_line=on_line
            )
            began = _began(name)
        finally:
            process.query(["docker", "rm", "--force", name], check=False)
        return Ended(code, f"exit code {code}" if code else "", began)

    def _command(
        self, row: Task, container: Spec, inputs: Values, given: Spec
    ) -> tuple[list[str], list[str]]:
        """Return command and arguments, with what the compiler left open filled in."""
        texts = _texts(given) | self._about
        texts["{{$.pipeline_task_name}}"] = row.name.rpartition("/")[2]
        command = container.get("command", [])
        arguments = container.get("args", [])
        if not ir.is_python(container):  # the command of those has the user's source in it
            command = local_values.fill(_spread(command, inputs), texts)
            arguments = _spread(arguments, inputs)
        return command, local_values.fill(arguments, texts)

    def _outputs(self, row: Task, component: Spec, given: Spec, said: Spec) -> Values:
        """Return what a task that ended well left, checked as a cluster would."""
        outputs: Values = {}
        declared = component.get("outputDefinitions", {})
        values = said.get("parameterValues", {})
        for name, declaration in declared.get("parameters", {}).items():
            kind = declaration["parameterType"]
            file = Path(given["outputs"]["parameters"][name]["outputFile"])
            if name in values:
                value = values[name]
            elif file.is_file():
                text = file.read_text(encoding="utf-8", errors="replace")
                value = local_values.read_file(name, kind, text)
            else:
                raise KitError(
                    f"the task gave no output {name!r}", "Return a value, or write its file"
                )
            row.outputs[name] = value
            outputs[name] = local_values.check_output(name, kind, value)
        for artifact in row.artifacts:
            what = "metric" if "Metrics" in artifact.type else "metadata"
            for key, value in artifact.metadata.items():
                place = f"{what} {key!r} of artifact {artifact.name!r}"
                if value is None:
                    raise KitError(f"{place} is None, which KFP cannot hold", "Leave it out")
                if problem := local_values.unfit(value):
                    raise KitError(f"{place}{problem}", "Log it as a text, or leave it out")
        for name in declared.get("artifacts", {}):
            outputs[name] = _merged(given["outputs"]["artifacts"][name], said, name)
        return outputs

    def _artifacts(self, component: Spec, given: Spec, said: Spec) -> list[Artifact]:
        """Return the artifacts that a task said it wrote, or that are there."""
        found = []
        for name in sorted(component.get("outputDefinitions", {}).get("artifacts", {})):
            of_task = name in said.get("artifacts", {})
            for runtime in _merged(given["outputs"]["artifacts"][name], said, name):
                artifact = self._artifact(name, runtime)
                if of_task or artifact.path:
                    found.append(artifact)
        return found

    def _artifact(self, name: str, runtime: Spec) -> Artifact:
        """Return a runtime artifact for the report; its file is where its URI or own path is."""
        at = runtime.get("custom_path") or runtime["uri"]
        parts = urlsplit(at)
        path = Path(parts.path if parts.scheme == "file" else at)
        there = parts.scheme in ("", "file") and path.is_absolute() and path.exists()
        return Artifact(
            name=name,
            type=runtime["type"].get("schemaTitle", "system.Artifact"),
            uri=runtime["uri"],
            path=os.path.relpath(path, self._folder) if there else "",
            metadata=runtime.get("metadata", {}),
            size=_size(path) if there else None,
            sha256=sha256(path) if there else "",
        )

    def _import(self, row: Task, component: Spec, importer: Spec, inputs: Values) -> Values:
        if importer.get("downloadToWorkspace"):
            raise KitError("a run on this machine has no workspace", "Import without it")
        texts = {
            local_values.placeholder(key): local_values.as_text(value)
            for key, value in inputs.items()
        }
        texts |= self._about
        uri = importer["artifactUri"]
        declared = component["outputDefinitions"]["artifacts"]
        runtime = {
            "name": "artifact",
            "type": importer["typeSchema"],
            "uri": uri["constant"] if "constant" in uri else inputs[uri["runtimeParameter"]],
            "metadata": local_values.as_passed(
                local_values.fill(importer.get("metadata", {}), texts)
            ),
        }
        row.artifacts = [self._artifact(name, runtime) for name in declared]
        return {name: [runtime] for name in declared}


def _began(container: str) -> datetime | None:
    """Return when the program of a container began."""
    argv = ["docker", "inspect", "--format={{.State.StartedAt}}", container]
    try:
        return datetime.fromisoformat(process.query(argv, check=False).stdout.strip())
    except ValueError:
        return None


class _TaskError(KitError):
    """A task failed by itself; the message is the end of its output, as it stands."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.args = (error,)


class _Tail:
    """The end of what a task printed, without what kfp's executor adds."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=ERROR_LINES)
        self._of_kfp = False

    def add(self, line: str) -> None:
        """Take a line; of a long one the beginning."""
        if line.startswith(_OF_KFP):
            self._of_kfp = line.endswith("Got executor_input:")
        elif self._of_kfp:
            self._of_kfp = line != "}"  # the JSON is indented
        elif line.strip():
            cut = line[:LINE_LENGTH]
            self._lines.append(cut if cut == line else f"{cut}…")

    def error(self, ended: Ended) -> str:
        """Return the last traceback or else the last lines, and how the process ended."""
        lines = list(self._lines)
        starts = [place for place, line in enumerate(lines) if line.startswith("Traceback (")]
        if starts:
            lines = lines[starts[-1] :]
        if not starts or ended.returncode != 1:  # 1 is what Python gives for an exception
            lines.append(ended.why)
        return "\n".join(lines)


def _backoff(policy: Spec, attempt: int) -> float:
    """Return the seconds before the next attempt; a duration of the IR is a text as `3s`."""
    first = float(policy.get("backoffDuration", "0s").removesuffix("s"))
    most = float(policy.get("backoffMaxDuration", "3600s").removesuffix("s"))
    return float(min(first * policy.get("backoffFactor", 2.0) ** attempt, most))


def _executor_input(component: Spec, inputs: Values, root: Path) -> Spec:
    """Return the ExecutorInput message of a task, as JSON has it."""
    declared = component.get("inputDefinitions", {})
    artifacts = declared.get("artifacts", {})
    outputs = component.get("outputDefinitions", {})
    defaults = {
        name: local_values.as_passed(declaration["defaultValue"])
        for name, declaration in declared.get("parameters", {}).items()
        if "defaultValue" in declaration
    }
    values = {name: value for name, value in inputs.items() if name not in artifacts}
    return {
        "inputs": {
            "parameterValues": defaults | values,
            "artifacts": {
                name: {"artifacts": inputs[name]} for name in artifacts if name in inputs
            },
        },
        "outputs": {
            "parameters": {
                name: {"outputFile": str(root / name)} for name in outputs.get("parameters", {})
            },
            "artifacts": {
                name: {
                    "artifacts": [
                        {
                            "name": name,
                            "type": declaration["artifactType"],
                            "uri": str(root / name),
                            "metadata": {},
                        }
                    ]
                }
                for name, declaration in outputs.get("artifacts", {}).items()
            },
            "outputFile": str(root / _SAID),
        },
    }


def _texts(given: Spec) -> dict[str, str]:
    """Return what the placeholders of a command stand for."""
    outputs = given["outputs"]
    texts = {
        "{{$}}": json.dumps(given, ensure_ascii=False),
        "{{$.outputs.output_file}}": outputs["outputFile"],
        "{{$.outputMetadataUri}}": outputs["outputFile"],
    }
    for name, value in given["inputs"]["parameterValues"].items():
        texts[local_values.placeholder(name)] = local_values.as_text(value)
    for name, output in outputs["parameters"].items():
        texts[f"{{{{$.outputs.parameters['{name}'].output_file}}}}"] = output["outputFile"]
    for side in ("inputs", "outputs"):
        for name, listed in given[side]["artifacts"].items():
            first = listed["artifacts"][0]
            key = f"{{{{$.{side}.artifacts['{name}']"
            texts[f"{key}.uri}}}}"] = first["uri"]
            texts[f"{key}.path}}}}"] = first.get("custom_path") or first["uri"]
    return texts


def _spread(words: list[str], inputs: Values) -> list[str]:
    """Return words of a command with the compiler's `Concat` and `IfPresent` resolved."""
    from kfp.local import placeholder_utils

    resolved = [placeholder_utils.resolve_struct_placeholders(word, list(inputs)) for word in words]
    return [str(word) for word in placeholder_utils.flatten_list(resolved)]


def _said(path: Path) -> tuple[Spec, str]:
    """Return what kfp's executor wrote about the outputs, and what is wrong with it."""
    try:
        # As Python reads it: NaN is found by its place afterwards.
        found = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(found, ensure_ascii=False).encode()
    except FileNotFoundError:
        return {}, ""
    except UnicodeEncodeError:
        return {}, (
            "an output or metadata has half a character (a lone surrogate), which is not in UTF-8"
        )
    except (OSError, ValueError) as error:
        return {}, f"{path.name}, which says what the outputs are, cannot be read: {error}"
    return (found, "") if isinstance(found, dict) else ({}, f"{path.name} is no JSON object")


def _merged(listed: Spec, said: Spec, name: str) -> list[Spec]:
    """Return an output's runtime artifacts, with what the task said about them."""
    (planned,) = listed["artifacts"]
    told = said.get("artifacts", {}).get(name, {}).get("artifacts") or [{}]
    return [
        {
            **planned,
            **{key: one[key] for key in ("uri", "custom_path") if one.get(key)},
            "metadata": local_values.as_passed(one.get("metadata", {})),
        }
        for one in told
    ]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
