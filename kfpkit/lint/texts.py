"""What runs of a pipeline's texts: constants of the IR, words of commands, strings of the code.

What only explains is left out: descriptions, docstrings, comments.
"""

from __future__ import annotations

import ast
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfpkit.kfp import spec as ir
from kfpkit.lint.rule import Hit
from kfpkit.runs.parameters import parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.lint.finding import Severity
    from kfpkit.lint.subject import Place, Subject

#: What kfp's compiler puts in the place of a value that is not known before the run.
CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['(?P<name>[^']+)'\]\}\}")

#: What stands in a text where the code puts a value.
HOLE = "\0"

#: Images that no node pulls: KFP's driver does their work (argocompiler's `dummyImages`), or an
#: executor of another kind has them.
STUBS = ("argostub/", "gcr.io/ml-pipeline/should-be-overridden-during-runtime")


@dataclass(frozen=True)
class Constant:
    """A value that an author wrote into a pipeline."""

    value: Any
    #: What it is the value of, in words: "input 'x'", "the default of parameter 'x'".
    place: str
    #: The name of that input or variable; empty where it has none.
    name: str
    path: str


@dataclass(frozen=True)
class Text:
    """A text that runs with a pipeline; `HOLE` stands for each value that code puts into it."""

    text: str
    place: str
    #: The name of the input, variable or keyword that it is the value of; empty where unknown.
    name: str
    path: str
    #: In code, and its line in the Python file where that is known.
    code: bool = False
    line: int | None = None

    def hit(self, said: str, severity: Severity | None = None) -> Hit:
        """Return that there is something about this text."""
        return Hit(f"{self.place} {said}", path=self.path, line=self.line, severity=severity)


def constants(subject: Subject) -> Iterator[Constant]:
    """Yield the values in a pipeline: defaults, tasks' inputs, loop items, variables."""
    for name, declared in parameters(subject).items():
        if "defaultValue" in declared:
            path = f"root.inputDefinitions.parameters.{name}.defaultValue"
            yield Constant(
                declared["defaultValue"], f"the default of parameter {name!r}", name, path
            )
    seen = set()
    for task in subject.tasks():
        given = inputs(task)
        for name, source in given.items():
            if "constant" in source.get("runtimeValue", {}):
                path = f"{task.path}.inputs.parameters.{name}.runtimeValue.constant"
                yield Constant(source["runtimeValue"]["constant"], f"input {name!r}", name, path)
        declared = task.component.get("inputDefinitions", {}).get("parameters", {})
        for name, one in declared.items():
            path = (
                f"components.{task.component_name}.inputDefinitions.parameters.{name}.defaultValue"
            )
            if name not in given and "defaultValue" in one and path not in seen:
                seen.add(path)
                yield Constant(one["defaultValue"], f"the default of input {name!r}", name, path)
        if (items := loop_items(task)) is not None:
            path = f"{task.path}.parameterIterator.items.raw"
            yield Constant(items, "a loop's item", "", path)
    for executor in subject.executors():
        for index, one in enumerate(executor.body.get("container", {}).get("env", [])):
            path = f"{executor.path}.container.env[{index}].value"
            name = one.get("name", "")
            yield Constant(one.get("value", ""), f"variable {name!r}", name, path)


def texts(subject: Subject) -> Iterator[Text]:
    """Yield the texts of the constants, of commands that are no Python, and of tasks' code."""
    for one in constants(subject):
        for part in parts(one.value):
            if isinstance(part, str):
                yield Text(part, one.place, one.name, one.path)
    for executor in subject.executors():
        if not ir.is_python(executor.body.get("container", {})):
            for path, word in executor.words():
                yield Text(word, "its command", "", path)
    for source in subject.sources():
        # The defaults of its inputs are among the constants.
        bodies = [
            node.body
            if isinstance(node, ast.FunctionDef) and node.name == source.function
            else [node]
            for node in source.tree.body
        ]
        code = ast.Module([statement for body in bodies for statement in body], [])
        for text, name, line in strings(code):
            yield Text(text, "its code", name, source.path, code=True, line=source.line(line))


def parameters(subject: Subject) -> dict[str, dict[str, Any]]:
    """Return what the pipeline says of its own parameters, by name."""
    root = subject.spec.get("root", {})
    return dict(root.get("inputDefinitions", {}).get("parameters", {}))


def inputs(task: Place) -> dict[str, Any]:
    """Return the parameters that a task is given, by name, as the IR has them."""
    return dict(task.task.get("inputs", {}).get("parameters", {}))


def loop_items(task: Place) -> Any:
    """Return the items of a task's loop that are written into the pipeline; else None."""
    raw = task.task.get("parameterIterator", {}).get("items", {}).get("raw")
    try:
        return None if raw is None else json.loads(raw)
    except ValueError:
        return None


def strings(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """Yield the strings of a program, what they are the value of, and their lines.

    A string that stands alone, as a docstring does, is none.
    """
    names: dict[ast.AST, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Assign(targets=[target, *_], value=value):
                names[value] = _name(target)
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                names[value] = _name(target)
            case ast.keyword(arg=str(name), value=value):
                names[value] = name
            case ast.Dict(keys=keys, values=values):
                names |= {
                    value: str(key.value)
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                }
            case ast.arguments():
                late = (*node.posonlyargs, *node.args)
                names |= {
                    value: argument.arg
                    for argument, value in (
                        *zip(reversed(late), reversed(node.defaults), strict=False),
                        *zip(node.kwonlyargs, node.kw_defaults, strict=True),
                    )
                    if value is not None
                }
    yield from _strings(tree, names)


def _strings(node: ast.AST, names: Mapping[ast.AST, str]) -> Iterator[tuple[str, str, int]]:
    match node:
        case ast.Expr(value=ast.Constant(value=str())):
            return
        case ast.Constant(value=str(text)):
            yield text, names.get(node, ""), node.lineno
            return
        case ast.JoinedStr(values=values):
            text = "".join(
                str(value.value) if isinstance(value, ast.Constant) else HOLE for value in values
            )
            yield text, names.get(node, ""), node.lineno
            values = [value for value in values if not isinstance(value, ast.Constant)]
            children: list[ast.AST] = [*values]
        case _:
            children = [*ast.iter_child_nodes(node)]
    for child in children:
        yield from _strings(child, names)


def _name(target: ast.AST) -> str:
    match target:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return ""
