"""Paths that go from task to task: what one task writes on its own disk, another does not have.

A run on one machine hides it, since all tasks have one disk there. The code of the tasks is read,
with the constants that each task is given put in; what it does not show is taken for harmless.
"""

from __future__ import annotations

import ast
import posixpath
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfpkit.lint.rule import Hit
from kfpkit.lint.texts import inputs, parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.lint.subject import Executor, Place, Source, Subject

#: Where a workspace of KFP 2.17 is mounted in the tasks that take it.
_WORKSPACE = "/kfp-workspace"

#: Disks and devices that every task has of itself.
_OWN = ("/dev/", "/proc/", "/sys/", "/etc/", "/usr/", "/opt/")

#: What of a path is not known before the run; a temporary file is such a one.
_REST = "…"
_TEMPORARY = f"/tmp/{_REST}"  # noqa: S108 - a path of tasks

_OPENS_FOR_WRITING = re.compile(r"[wax]|r\+")

#: Functions by their last name: which argument is a path that they write, or read.
_WRITES = {
    **dict.fromkeys(
        [
            "to_csv",
            "to_parquet",
            "to_pickle",
            "to_json",
            "to_excel",
            "to_feather",
            "to_hdf",
            "to_orc",
            "savefig",
            "save",
            "save_model",
            "save_pretrained",
            "save_weights",
            "save_to_disk",
            "savetxt",
            "savez",
            "makedirs",
            "mkdir",
            "save_file",
            "sink_parquet",
            "write_csv",
            "write_parquet",
            "write_json",
            "imwrite",
        ],
        0,
    ),
    **dict.fromkeys(
        ["urlretrieve", "copy", "copyfile", "copytree", "copy2", "move", "download_file"], 1
    ),
}
#: Where a value comes before the path: by the module's name and the function's.
_DUMPS = {("joblib", "dump"), ("torch", "save"), ("pickle", "dump"), ("safetensors", "save_file")}
_READS = frozenset(
    [
        "read_csv",
        "read_parquet",
        "read_pickle",
        "read_json",
        "read_excel",
        "read_feather",
        "read_hdf",
        "read_orc",
        "read_table",
        "scan_csv",
        "scan_parquet",
        "load",
        "load_model",
        "load_from_disk",
        "from_pretrained",
        "loadtxt",
        "genfromtxt",
        "listdir",
        "scandir",
        "walk",
        "imread",
        "load_weights",
        "load_file",
        "glob",
    ]
)
_ON_PATH_WRITES = frozenset(["write_text", "write_bytes", "mkdir", "touch"])
_ON_PATH_READS = frozenset(["read_text", "read_bytes", "iterdir", "glob", "rglob"])


@dataclass
class _Use:
    """What the code of one task does with paths that are known before the run."""

    writes: dict[str, int] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    #: Inputs that the code opens as files.
    opens: set[str] = field(default_factory=set)
    #: By output: the path that it returns, and the line.
    returns: dict[str, tuple[str, int]] = field(default_factory=dict)


def mounts(subject: Subject) -> tuple[str, ...]:
    """Return the folders that tasks share: volumes of Kubernetes, and a workspace."""
    return tuple(path for executor in subject.executors() for path in _mounts(executor))


def handed(subject: Subject) -> Iterator[Hit]:
    """Yield the outputs that are paths of the task's own disk, and files that another one reads."""
    sources = {source.executor: source for source in subject.sources()}
    shared = (*mounts(subject), _WORKSPACE)
    if subject.target == "vertex":
        shared = (*shared, "/gcs/")
    uses: list[tuple[Place, Source, _Use]] = []
    for task in subject.tasks():
        if source := sources.get(task.component.get("executorLabel", "")):
            uses.append((task, source, _use(source, task, _known(subject, task))))
    by_path = {task.path: use for task, _, use in uses}
    for task, source, use in uses:
        for output, (path, line) in use.returns.items():
            if path.startswith(shared):
                continue
            for reader, name in _readers(subject, task, output):
                read = by_path.get(reader.path)
                if _written(path, use) or (read and name in read.opens):
                    yield Hit(
                        f"it returns {path!r}, a path of its own disk, and {reader.name} "
                        "takes it as an input",
                        path=task.path,
                        line=source.line(line),
                    )
                    break
    for task, _, use in uses:
        for other, source, read in uses:
            both = set(use.writes) & set(read.reads)
            if other.path == task.path or not both or set(read.writes) & both:
                continue
            path = min(both)
            if _REST not in path and _local(path) and not path.startswith(shared):
                yield Hit(
                    f"it reads {path!r}, which {task.name} writes on its own disk",
                    path=other.path,
                    line=source.line(read.reads[path]),
                )


def _mounts(executor: Executor) -> Iterator[str]:
    for key in ("pvcMount", "secretAsVolume", "configMapAsVolume", "emptyDirMounts"):
        for mount in executor.kubernetes.get(key, []):
            if path := mount.get("mountPath"):
                yield path
    for mount in executor.kubernetes.get("genericEphemeralVolume", []):
        if path := mount.get("mountPath"):
            yield path


def _written(path: str, use: _Use) -> bool:
    """Whether a task has written a path, something in it or beside it."""
    return path.startswith((_TEMPORARY, f"/{_REST}/")) or any(
        one == path or one.startswith(f"{path.rstrip('/')}/") for one in use.writes
    )


def _local(path: str) -> bool:
    """Whether a text is a path of a task's own disk."""
    if "://" in path or path.startswith(_OWN) or "\n" in path or " " in path.strip()[:1]:
        return False
    return path.startswith(("/", "./", "../", "~/")) or bool(
        re.fullmatch(r"[\w./-]+\.[A-Za-z]\w{1,8}", path)
    )


def _known(subject: Subject, task: Place) -> dict[str, str]:
    """Return the texts that a task is given and that are known before the run."""
    root = parameters(subject)
    declared = task.component.get("inputDefinitions", {}).get("parameters", {})
    known: dict[str, Any] = {name: one.get("defaultValue") for name, one in declared.items()}
    for name, given in inputs(task).items():
        asked = given.get("componentInputParameter")
        above = root.get(asked, {}) if task.path.startswith("root.") else {}
        known[name] = given.get("runtimeValue", {}).get("constant", above.get("defaultValue"))
    return {
        name: value for name, value in known.items() if isinstance(value, str) and "{{" not in value
    }


def _readers(subject: Subject, task: Place, output: str) -> Iterator[tuple[Place, str]]:
    """Yield the tasks that are given an output, and the name of their input; also inside graphs."""
    graph, _, name = task.path.rpartition(".")
    asked = {"producerTask": name, "outputParameterKey": output}
    waiting: list[tuple[str, str, Any]] = [(graph, "taskOutputParameter", asked)]
    seen = set()
    for place, kind, value in waiting:
        for one in subject.tasks():
            if one.path.rpartition(".")[0] != place:
                continue
            for key, source in inputs(one).items():
                if source.get(kind) != value:
                    continue
                if "dag" not in one.component:
                    yield one, key
                elif (one.component_name, key) not in seen:
                    seen.add((one.component_name, key))
                    inner = f"components.{one.component_name}.dag.tasks"
                    waiting.append((inner, "componentInputParameter", key))


def _use(source: Source, task: Place, known: Mapping[str, str]) -> _Use:
    function = next(
        (
            node
            for node in ast.walk(source.tree)
            if isinstance(node, ast.FunctionDef) and node.name == source.function
        ),
        None,
    )
    use = _Use()
    if function is None:
        return use
    outputs = [*task.component.get("outputDefinitions", {}).get("parameters", {})]
    artifacts = {*task.component.get("outputDefinitions", {}).get("artifacts", {})}
    reader = _Reader(known, artifacts, _assigned(function))
    for node in ast.walk(function):
        match node:
            case ast.Call():
                _note_call(node, reader, use)
            case ast.Return(value=ast.expr() as value):
                for output, part in _returned(value, outputs, _fields(function)):
                    path = reader.text(part)
                    if path and _local(path):
                        use.returns[output] = path, node.lineno
    return use


def _assigned(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return what names stand for, where they are given a value once."""
    found: dict[str, ast.expr] = {}
    often = set()
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                pass
            case ast.withitem(context_expr=value, optional_vars=ast.Name(id=name)):
                pass
            case _:
                continue
        if name in found:
            often.add(name)
        found[name] = value
    return {name: value for name, value in found.items() if name not in often}


def _returned(
    value: ast.expr, outputs: list[str], fields: list[str]
) -> Iterator[tuple[str, ast.expr]]:
    """Yield the outputs that a `return` gives, with what they are.

    Args:
        value: What is returned.
        outputs: Names of the component's outputs, in no certain order.
        fields: The same as the function's annotation orders them.
    """
    if outputs == ["Output"]:
        yield "Output", value
        return
    match value:
        case ast.Tuple(elts=elements):
            yield from zip(fields, elements, strict=False)
        case ast.Call(args=arguments, keywords=keywords):
            yield from zip(fields, arguments, strict=False)
            yield from ((one.arg, one.value) for one in keywords if one.arg in outputs)


def _fields(function: ast.FunctionDef) -> list[str]:
    """Return the names in `-> NamedTuple('Outputs', [('path', str), …])`, or with keywords."""
    match function.returns:
        case ast.Call(args=[_, ast.List(elts=pairs)]):
            return [
                str(pair.elts[0].value)
                for pair in pairs
                if isinstance(pair, ast.Tuple) and isinstance(pair.elts[0], ast.Constant)
            ]
        case ast.Call(keywords=keywords):
            return [one.arg for one in keywords if one.arg]
    return []


class _Reader:
    """Finds out which text an expression is, as far as that is known before the run."""

    def __init__(
        self, known: Mapping[str, str], artifacts: set[str], assigned: Mapping[str, ast.expr]
    ) -> None:
        self._known = known
        self._artifacts = artifacts
        self._assigned = assigned

    def text(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> str | None:
        """Return the text of an expression; None where it is not known.

        Args:
            node: The expression.
            seen: Names that it is the value of: what `path = Path(path)` has inside is the input.
        """
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name(id=name):
                if name in self._assigned and name not in seen:
                    return self.text(self._assigned[name], seen | {name})
                return self._known.get(name)
            case ast.JoinedStr(values=values):
                return self._joined(values, seen)
            case ast.FormattedValue(value=value):
                return self.text(value, seen)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([left, right], seen)
            case ast.BinOp(left=left, op=ast.Div(), right=right):
                return self._path([left, right], seen)
            case ast.Attribute(value=ast.Name(id=name), attr="path") if name in self._artifacts:
                return f"/{_REST}/{name}"
            case ast.Attribute(value=value, attr="name"):
                inner = self.text(value, seen)
                return inner if inner == _TEMPORARY else None
            case ast.Call():
                return self._call(node, seen)
        return None

    def _call(self, node: ast.Call, seen: frozenset[str]) -> str | None:
        match _last(node.func), node.args:
            case (("mkdtemp" | "mkstemp" | "NamedTemporaryFile" | "TemporaryDirectory"), _):
                return _TEMPORARY
            case "gettempdir", _:
                return "/tmp"  # noqa: S108 - a path of a task
            case (("str" | "Path" | "fspath" | "abspath" | "open" | "as_posix"), [first]):
                return self.text(first, seen)
            case (("join" | "joinpath"), arguments) if arguments:
                if isinstance(node.func, ast.Attribute):
                    match node.func.value:
                        case ast.Constant():
                            return None
                        case value if node.func.attr == "joinpath":
                            return self._path([value, *arguments], seen)
                return self._path(arguments, seen)
        return None

    def _joined(self, values: list[ast.expr], seen: frozenset[str]) -> str | None:
        found = [self.text(value, seen) for value in values]
        return "".join(map(str, found)) if None not in found else _begun(found[0])

    def _path(self, values: list[ast.expr], seen: frozenset[str]) -> str | None:
        found = [self.text(value, seen) for value in values]
        if found[0] == _TEMPORARY:
            return _TEMPORARY
        return posixpath.join(*map(str, found)) if None not in found else _begun(found[0])

    def name(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> str:
        """Return the input of the task that an expression is or is made of; else empty."""
        match node:
            case ast.Name(id=name):
                if name in self._assigned and name not in seen:
                    return self.name(self._assigned[name], seen | {name})
                return name
            case ast.Call(args=[first, *_]):
                return self.name(first, seen)
            case ast.BinOp(left=left):
                return self.name(left, seen)
            case ast.JoinedStr(values=[ast.FormattedValue(value=value), *_]):
                return self.name(value, seen)
        return ""


def _begun(first: str | None) -> str | None:
    """Return a path of which only the beginning is known."""
    folder = first if first and first.startswith(("/", "./", "~/")) else ""
    return f"{folder.rstrip('/')}/{_REST}" if folder else None


def _note_call(node: ast.Call, reader: _Reader, use: _Use) -> None:
    function = _last(node.func)
    module = node.func.value if isinstance(node.func, ast.Attribute) else None
    owner = module.id if isinstance(module, ast.Name) else ""
    arguments = [*node.args]
    if function == "open":
        on_path = module is not None and owner not in ("io", "codecs", "gzip", "bz2", "lzma")
        target = module if on_path else next(iter(arguments), None)
        modes = arguments if on_path else arguments[1:]
        modes = [*modes[:1], *(one.value for one in node.keywords if one.arg == "mode")]
        mode = reader.text(modes[0]) if modes else "r"
        _note(target, reader, use, writing=bool(_OPENS_FOR_WRITING.search(mode or "r")), node=node)
    elif function in _ON_PATH_WRITES and module is not None and owner != "os":
        _note(module, reader, use, writing=True, node=node)
    elif function in _ON_PATH_READS and module is not None and owner not in ("os", "glob"):
        _note(module, reader, use, writing=False, node=node)
    elif (owner, function) in _DUMPS:
        _note(arguments[1] if len(arguments) > 1 else None, reader, use, writing=True, node=node)
    elif function in _WRITES and len(arguments) > _WRITES[function]:
        _note(arguments[_WRITES[function]], reader, use, writing=True, node=node)
        if function in ("copy", "copyfile", "copytree", "copy2", "move"):
            _note(arguments[0], reader, use, writing=False, node=node)
    elif function in _READS and arguments:
        _note(arguments[0], reader, use, writing=False, node=node)


def _note(
    target: ast.expr | None, reader: _Reader, use: _Use, *, writing: bool, node: ast.Call
) -> None:
    if target is None:
        return
    text = reader.text(target)
    if text and (_local(text) or text == _TEMPORARY):
        (use.writes if writing else use.reads).setdefault(text, node.lineno)
    if not writing and (name := reader.name(target)):
        use.opens.add(name)


def _last(function: ast.expr) -> str:
    """Return the last name of what is called."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""
