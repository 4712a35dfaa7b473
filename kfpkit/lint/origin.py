"""The way from a compiled pipeline back to the Python that it was compiled from."""

from __future__ import annotations

import ast
import re
import tokenize
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.lint.subject import Subject

#: What kfp puts after the name of a task whose name is taken.
_NUMBER = re.compile(r"-(\d+)$")


@dataclass(frozen=True)
class Function:
    """A function of a user's file."""

    file: Path
    line: int


@dataclass
class Origin:
    """The file of a pipeline, its functions and what they call."""

    file: Path
    #: Line of the pipeline's function.
    line: int
    #: Functions of components and of pipelines, by their names.
    functions: dict[str, Function] = field(default_factory=dict)
    #: Lines on which a pipeline's function calls a component: by both functions' names.
    calls: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    #: Name of the pipeline's function.
    pipeline: str = ""

    @classmethod
    def of(cls, pipeline: Pipeline) -> Origin | None:
        """Return where a pipeline came from; None where no Python file is known."""
        function = getattr(pipeline.func, "pipeline_func", None)
        if function is None:
            return None
        from kfp.dsl.base_component import BaseComponent

        place = _function(function)
        origin = cls(place.file, place.line, pipeline=function.__name__)
        components: dict[str, str] = {}
        for name, value in function.__globals__.items():
            if not isinstance(value, BaseComponent):
                continue
            inner = getattr(value, "python_func", None) or getattr(value, "pipeline_func", None)
            if inner is not None:
                components[name] = inner.__name__
                origin.functions[inner.__name__] = _function(inner)
        origin._note_calls(components)
        return origin

    def _note_calls(self, components: dict[str, str]) -> None:
        try:
            tree = ast.parse(python_text(self.file))
        except (OSError, ValueError, SyntaxError):
            return
        for outer in ast.walk(tree):
            if not isinstance(outer, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(outer) if isinstance(node, ast.Call)]
            for node in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
                if isinstance(node.func, ast.Name) and node.func.id in components:
                    key = outer.name, components[node.func.id]
                    self.calls.setdefault(key, []).append(node.lineno)

    def shift(self, function: str, tree: ast.Module) -> int | None:
        """Return how much a line of a function's file is more than that of a component's code."""
        if function not in self.functions:
            return None
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == function:
                return self.functions[function].line - node.lineno
        return None

    def place(self, subject: Subject, path: str, task: str) -> tuple[Path, int]:
        """Return file and line of an IR path or of a task; at least the pipeline's function."""
        for place in subject.tasks():
            if f"{path}.".startswith(f"{place.path}.") or (not path and place.name == task):
                return self._call(place.path, place.task)
        for source in subject.sources():
            inside = f"{path}.".startswith(f"deploymentSpec.executors.{source.executor}.")
            if inside and source.function in self.functions:
                found = self.functions[source.function]
                return found.file, found.line
        return self.file, self.line

    def _call(self, path: str, task: dict[str, Any]) -> tuple[Path, int]:
        """Return where a task is made: a call in the function of its graph."""
        component = task.get("componentRef", {}).get("name", "").removeprefix("comp-")
        name = path.rpartition(".")[2]
        lines = [
            line
            for (_, called), found in sorted(self.calls.items())
            if _alike(component, called)
            for line in found
        ]
        number = _NUMBER.search(name)
        index = int(number[1]) - 1 if number else 0
        if len(lines) == 1:
            return self.file, lines[0]
        return self.file, lines[index] if index < len(lines) else self.line


def python_text(file: Path) -> str:
    """Return the text of a Python file in the encoding that it says, without a byte order mark.

    Raises:
        OSError: It cannot be read.
        SyntaxError: There is no such encoding.
        UnicodeDecodeError: It is in another.
    """
    with tokenize.open(file) as opened:
        return opened.read()


def _alike(component: str, function: str) -> bool:
    """Whether a component has its name from a function."""
    plain = function.replace("_", "-").lower().strip("-")
    return _NUMBER.sub("", component) == plain or component == plain


def _function(function: Any) -> Function:
    code = function.__code__
    file = Path(code.co_filename)
    return Function(file, _def_line(file, code.co_firstlineno))


def _def_line(file: Path, first: int) -> int:
    """Return the line of a `def`; the first line of a function is that of its decorators."""
    try:
        tree = ast.parse(python_text(file))
    except (OSError, ValueError, SyntaxError):
        return first
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            begin = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            if begin == first:
                return node.lineno
    return first
