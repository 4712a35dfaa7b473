"""What rules look at: a compiled pipeline, with the way back to the Python that it came from.

Whatever a file holds, it can be a subject: what cannot be read as the IR has an empty `spec`, and
`trouble` says why.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from kfpkit.kfp.spec import Spec
    from kfpkit.lint.origin import Origin

#: Keys of texts for people.
PROSE = {"description", "displayName"}

#: What a script has in quotes or escapes, and its comments.
_COMMENT = re.compile(
    r"""'[^']*'|"(?:\\.|[^"\\])*"|\\.|(?<![^\s;&|()])(?P<comment>#[^\n]*)""", re.S
)


@dataclass(frozen=True)
class Place:
    """A task, once for each place in the IR where it is described."""

    #: Names of the graphs around it and its own, `outer/inner`; the first such path of several.
    name: str
    #: As the IR has it.
    task: dict[str, Any]
    #: Name of its component and what the IR says of it; empty where that is missing.
    component_name: str
    component: dict[str, Any]
    #: Where the task is in the IR.
    path: str


@dataclass(frozen=True)
class Executor:
    """How tasks of a component run."""

    label: str
    #: As the IR has it: with `container`, `importer`, `resolver` or `customJob`.
    body: dict[str, Any]
    #: What `kfp.kubernetes` says of it.
    kubernetes: dict[str, Any]
    #: Where it is in the IR.
    path: str

    def words(self) -> Iterator[tuple[str, str]]:
        """Yield the words of its command and its arguments, each after its IR path.

        Scripts, which are what follows an option `-c` and what has several lines, are without
        their comments.
        """
        container = self.body.get("container", {})
        before = ""
        for key in ("command", "args"):
            for number, word in enumerate(container.get(key, [])):
                script = "\n" in word or re.fullmatch(r"-\w*c", before)
                path = f"{self.path}.container.{key}[{number}]"
                yield path, _without_comments(word) if script else word
                before = word


@dataclass(frozen=True)
class Source:
    """The code of a lightweight Python component."""

    #: Label of its executor.
    executor: str
    text: str
    tree: ast.Module
    #: The function that it runs.
    function: str
    #: Where the text is in the IR.
    path: str
    #: Line of the function in its file, and in the text; None where the file is not known.
    _shift: int | None = None

    def line(self, line: int) -> int | None:
        """Return the line in the Python file of a line of the text."""
        return None if self._shift is None else line + self._shift

    def strings(self) -> Iterator[tuple[str, int]]:
        """Yield all constant strings of the code but docstrings, each with its line in `text`."""
        prose = {
            id(node.value)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        }
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Constant) or id(node) in prose:
                continue
            if isinstance(node.value, str):
                yield node.value, node.lineno

    def imports(self) -> Iterator[tuple[str, int]]:
        """Yield all modules that the code imports, with dots, each with its line in `text`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


@dataclass
class Subject:
    """A pipeline as rules look at it."""

    #: One of `kfpkit.lint.rule.TARGETS`.
    target: str
    #: The compiled pipeline as a file has it.
    text: str
    #: The Python file that it came from; else the file that was read.
    file: Path | None = None
    #: Why it cannot be read at all; else empty.
    trouble: str = ""
    #: Line of the trouble.
    trouble_line: int | None = None
    #: All documents of the text as they stand there; infinities are floats.
    documents: list[Any] = field(default_factory=list)
    #: The same as YAML's nodes, which know their lines; none of JSON.
    nodes: list[Any] = field(default_factory=list)
    #: Keys that a mapping has twice, with their lines.
    repeated: list[tuple[str, int]] = field(default_factory=list)
    #: The IR as protobuf's JSON has it (what the newest protos know of it); empty where it is none.
    spec: Spec = field(default_factory=dict)
    #: What it says for platforms, likewise.
    platform: dict[str, Any] = field(default_factory=dict)
    #: Why the documents are not the IR, though they look so; else empty.
    misfit: str = ""
    #: The Python that it was compiled from, where that is known.
    origin: Origin | None = None
    #: What each node of the target has for pods (`status.allocatable`), where that is known.
    machines: Sequence[Mapping[str, str]] = ()

    @property
    def wrapped(self) -> bool:
        """Whether it is a PipelineJob of Vertex AI, with the IR inside."""
        return any(
            isinstance(one, dict) and one.get("pipelineSpec") is self.document
            for one in self.documents
        )

    @cached_property
    def document(self) -> dict[str, Any]:
        """The document of the IR as it stands in the text; empty where there is none."""
        for document in self.documents:
            if isinstance(document, dict) and not _is_platform(document):
                inner = document.get("pipelineSpec")
                return inner if isinstance(inner, dict) else document
        return {}

    @property
    def platform_documents(self) -> list[dict[str, Any]]:
        """The documents for platforms as they stand in the text."""
        return [one for one in self.documents if _is_platform(one)]

    @property
    def deployment(self) -> dict[str, Any]:
        """Executors by label, as the IR has them."""
        return dict(self.spec.get("deploymentSpec", {}).get("executors", {}))

    def graphs(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Yield name (empty for the pipeline's own), IR path and body of each graph of tasks."""
        if "dag" in self.spec.get("root", {}):
            yield "", "root", self.spec["root"]
        for name, body in self.spec.get("components", {}).items():
            if "dag" in body:
                yield name, f"components.{name}", body

    def tasks(self) -> Iterator[Place]:
        """Yield every task, also of graphs inside, once for each place where the IR has it."""
        components = self.spec.get("components", {})
        waiting = [("", "root", self.spec.get("root", {}))]
        seen = set()
        for prefix, path, graph in waiting:
            for name, task in graph.get("dag", {}).get("tasks", {}).items():
                component = task.get("componentRef", {}).get("name", "")
                body = components.get(component, {})
                place = f"{path}.dag.tasks.{name}"
                yield Place(prefix + name, task, component, body, place)
                if component not in seen and "dag" in body:
                    seen.add(component)
                    waiting.append((f"{prefix}{name}/", f"components.{component}", body))

    def executors(self) -> Iterator[Executor]:
        """Yield every executor."""
        kubernetes = (
            self.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
        )
        for label, body in self.deployment.items():
            settings = kubernetes.get("executors", {}).get(label, {})
            yield Executor(label, body, settings, f"deploymentSpec.executors.{label}")

    def sources(self) -> Iterator[Source]:
        """Yield the code of every lightweight Python component that Python can read."""
        return iter(self._sources)

    def strings(self) -> Iterator[tuple[str, str]]:
        """Yield every constant text of the IR and of its platforms with its IR path.

        Texts for people, comments of scripts, and the code of Python components, which `sources`
        has, are left out.
        """
        code = {source.path for source in self._sources}
        words = {path: word for one in self.executors() for path, word in one.words()}
        for path, value in walk({**self.spec, **self.platform}):
            prose = path in code or path.rpartition(".")[2] in PROSE
            if isinstance(value, str) and not prose:
                yield path, words.get(path, value)

    def task_of(self, path: str) -> str:
        """Return the task that an IR path is in or that its component or executor runs for.

        Empty where it is none's; of several, the first.
        """
        within = f"{path}."
        found = [
            (len(place.path), place.name)
            for place in self.tasks()
            if within.startswith(f"{place.path}.")
        ]
        if found:
            return max(found)[1]
        label = _part(path, "executors")
        component = _part(path, "components")
        for place in self.tasks():
            if component and place.component_name == component:
                return place.name
            if label and place.component.get("executorLabel") == label:
                return place.name
        return ""

    def place_of(self, path: str, task: str) -> tuple[Path | None, int | None]:
        """Return file and line of an IR path or of a task."""
        if self.origin:
            return self.origin.place(self, path, task)
        return self.file, self._line(path)

    def _line(self, path: str) -> int | None:
        """Return the line that an IR path, or the longest part of it, begins at in the text."""
        parts = path
        while parts:
            if parts in self._lines:
                return self._lines[parts]
            parts = parts.rpartition(".")[0]
        return None

    @cached_property
    def _lines(self) -> dict[str, int]:
        """Line of every IR path of the text; JSON has none."""
        found: dict[str, int] = {}
        for document in self.nodes:
            _note_lines(_unwrapped(document), "", found)
        return found

    @cached_property
    def _sources(self) -> list[Source]:
        found = []
        for executor in self.executors():
            container = executor.body.get("container", {})
            words, command = container.get("args", []), container.get("command", [])
            if "--function_to_execute" not in words[:-1] or not command:
                continue
            function = words[words.index("--function_to_execute") + 1]
            try:
                tree = ast.parse(command[-1])
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
            path = f"{executor.path}.container.command[{len(command) - 1}]"
            shift = self.origin.shift(function, tree) if self.origin else None
            found.append(Source(executor.label, command[-1], tree, function, path, shift))
        return found


def _without_comments(script: str) -> str:
    return _COMMENT.sub(lambda found: "" if found["comment"] else found[0], script)


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of all that is no mapping and no list inside of a value."""
    waiting = [(path, value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            dot = f"{path}." if path else ""
            waiting += [(f"{dot}{key}", inner) for key, inner in reversed(value.items())]
        elif isinstance(value, list):
            waiting += [(f"{path}[{n}]", value[n]) for n in reversed(range(len(value)))]
        else:
            yield path, value


def _is_platform(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("platforms"), dict)


def _unwrapped(node: Any) -> Any:
    """Return the node of the IR in that of a document."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "pipelineSpec":
                return value
    return node


def _note_lines(node: Any, path: str, found: dict[str, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        dot = f"{path}." if path else ""
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                found.setdefault(f"{dot}{key.value}", key.start_mark.line + 1)
                _note_lines(value, f"{dot}{key.value}", found)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found.setdefault(f"{path}[{number}]", value.start_mark.line + 1)
            _note_lines(value, f"{path}[{number}]", found)


def _part(path: str, after: str) -> str:
    """Return what an IR path has after one of its parts; empty where it has none."""
    _, found, rest = f".{path}".partition(f".{after}.")
    return rest.partition(".")[0] if found else ""
