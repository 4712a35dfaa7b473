"""Pipelines: those of `pipelines/`, of a user's file, compiled ones; and the golden files."""

from __future__ import annotations

import os
import pkgutil
import re
import shlex
import sysconfig
import tempfile
import traceback
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import pipelines
from components.image import DEFAULT, VARIABLE
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.core.packages import HOME
from kfpkit.core.process import query
from kfpkit.core.versions import ROOT
from kfpkit.images import own
from kfpkit.kfp import compiled_file, python_file, sdk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from kfpkit.kfp.spec import Spec

GOLDEN = HOME / "pipelines" / "golden"

#: Locked packages of the runtime image, exported from uv.lock.
REQUIREMENTS = HOME / "components" / "requirements.txt"

#: The same of the kit's own image.
KIT_REQUIREMENTS = ROOT / "images" / "kfpkit" / "requirements.txt"

#: Packages of the kit that its image does without: `prune` imports none of them.
NOT_IN_CLUSTER = ("cryptography", "jinja2", "kfp", "kfp-kubernetes", "kubernetes", "packaging")

_EXPORT = ("export", "--quiet", "--frozen", "--no-annotate", "--no-header")

_GENERATED = "# Generated from uv.lock by `make golden`; do not edit.\n"

#: One requirement with its hashes, as uv exports it.
_KFP = re.compile(r"^kfp==.*(?:\n    --hash=.*)+", re.MULTILINE)

#: Characters of a pipeline's short name at most: it becomes a part of folders' and runs' names.
LONGEST_NAME = 60

#: What marks a function as a pipeline, in a module's text.
_DECORATED = re.compile(r"^@.*\bpipeline\b", re.MULTILINE)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline, wherever it came from."""

    #: Short name of where it came from, safe as a folder's: of `pipelines/` the module, else the
    #: file's; of a file called `pipeline` the pipeline's own.
    module: str
    #: What `@dsl.pipeline` made: a `kfp.dsl.graph_component.GraphComponent`; None where it was
    #: compiled elsewhere.
    func: Any = None
    #: Registry that the image of the sample's tasks is pulled from; empty for its own name.
    image_prefix: str = ""
    #: The file that it was found in.
    source: Path | None = None
    #: What the file holds where it was compiled elsewhere.
    compiled: str = ""

    @property
    def name(self) -> str:
        """The name that KFP knows it by."""
        return str(self.func.name if self.func else self.spec["pipelineInfo"]["name"])

    @property
    def doc(self) -> str:
        """First line of its description."""
        return str(self.spec["pipelineInfo"].get("description", "")).strip().partition("\n")[0]

    @cached_property
    def spec(self) -> Spec:
        """The IR as protobuf's JSON has it, not to be changed.

        Raises:
            BadInputError: It has a number that JSON has not.
        """
        if not self.func:
            return self._documents[0]
        from google.protobuf import json_format

        try:
            return dict(json_format.MessageToDict(self.func.pipeline_spec))
        except json_format.SerializeToJsonError:
            raise BadInputError(
                f"the pipeline {self.name} has NaN or an infinity as a default or as a task's "
                "input, and JSON, which carries a run's values, has neither",
                "Pass it as a text",
            ) from None

    @cached_property
    def platform(self) -> dict[str, Any]:
        """What it says for platforms, as protobuf's JSON has it; empty where it says nothing."""
        if not self.func:
            return self._documents[1]
        from google.protobuf import json_format

        found = dict(json_format.MessageToDict(self.func.platform_spec))
        _drop_defaults(found)
        return found

    @property
    def kubernetes(self) -> dict[str, list[str]]:
        """What `kfp.kubernetes` set: the fields of its part of the IR, by component, sorted."""
        kubernetes = self.platform.get("platforms", {}).get("kubernetes", {})
        executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
        return {
            name.removeprefix("exec-"): sorted(fields) for name, fields in sorted(executors.items())
        }

    def text(self, prefix: str = "") -> str:
        """Return its compiled YAML: one document, or two where `kfp.kubernetes` set something.

        What was compiled elsewhere is returned as it is, byte for byte.

        Args:
            prefix: Registry that the image of the sample's tasks is pulled from.
        """
        return with_prefix(self._compile() if self.func else self.compiled, prefix)

    @cached_property
    def _documents(self) -> tuple[Spec, dict[str, Any]]:
        return compiled_file.parse(self.source or Path(self.module), self.compiled)

    def _compile(self) -> str:
        from kfp.compiler import Compiler

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "pipeline.yaml"
            Compiler().compile(self.func, str(file))
            text = file.read_text(encoding="utf-8")
        spec, divider, platform = text.partition("\n---\n")
        if divider:
            compiled = yaml.safe_load(platform)
            _drop_defaults(compiled)
            text = spec + divider + yaml.safe_dump(compiled)
        return text


def modules() -> list[str]:
    """Return the modules of `pipelines/` by name, without importing any."""
    return sorted(info.name for info in pkgutil.iter_modules(pipelines.__path__))


def discover() -> dict[str, Pipeline]:
    """Return every pipeline by the name that `find` takes.

    A module of `pipelines/` without any is a helper and left out.

    Raises:
        KitError: A module cannot be imported.
    """
    found = {}
    for module in modules():
        mine = _outermost(_load(module))
        for name, pipeline in mine.items():
            found[module if len(mine) == 1 else f"{module}:{name}"] = pipeline
    return found


def find(text: str) -> Pipeline:
    """Return one pipeline; of `pipelines/`, its module alone is imported.

    Args:
        text: `NAME` or `NAME:INNER` of `pipelines/`; `FILE.py` or `FILE.py:INNER`; or a compiled
            `FILE.yaml`, `FILE.yml` or `FILE.json`. INNER is needed where there are several. A
            pipeline that another beside it uses as a component need not be told apart, but can be
            named so.

    Raises:
        BadInputError: There is none of that name, or several; or the file is no pipeline.
        KitError: The module cannot be imported.
    """
    file, colon, inner = _split(text)
    if file is None:
        name = text.partition(":")[0]
        if name not in modules():
            raise BadInputError(f"there is no pipeline {text or repr(text)}", f"Name {_ways()}")
        known = f"Pipelines: {_known()}"
        return _choose(_load(name), f"pipelines/{name}.py", name, inner if colon else None, known)
    try:
        there = file.exists()
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}", "Name another") from None
    if not there:
        raise BadInputError(f"there is no file {file}", f"Name {_ways()}")
    if file.is_dir():
        raise BadInputError(f"{file} is a folder", f"Name a file of it: {file}/FILE.py")
    if file.suffix in compiled_file.SUFFIXES:
        if colon:
            raise BadInputError(f"{file} is compiled, and has one pipeline", f"Leave out :{inner}")
        found = Pipeline(label(file.stem), source=file, compiled=compiled_file.read_pipeline(file))
        short = _short_name(file, found.name)  # says what is wrong with the file
        return found if short == found.module else replace(found, module=short)
    if file.suffix != ".py":
        raise BadInputError(
            f"{file} is no pipeline: its name does not end in .py, .yaml, .yml or .json",
            f"Name {_ways()}",
        )
    found_here = _load_file(file)
    do = "Decorate a function of it with @dsl.pipeline, and call the components in that"
    return _choose(found_here, str(file), str(file), inner if colon else None, do)


def find_all(text: str) -> list[Pipeline]:
    """Return what a text names: as `find`, but all pipelines of a module that has several.

    A file that has none is no error: folders of pipelines have other modules, too.

    Raises:
        BadInputError: As `find`.
        KitError: As `find`.
    """
    file, colon, _ = _split(text)
    if colon or (file and (file.suffix != ".py" or not file.is_file())):
        return [find(text)]
    if file is None and text not in modules():
        return [find(text)]
    mine = _outermost(_load_file(file) if file else _load(text))
    return list(mine.values()) if file else list(mine.values()) or [find(text)]


def path(text: str) -> Path:
    """Return the path that a text names; `~NAME` without a home is a folder of that name."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _split(text: str) -> tuple[Path | None, str, str]:
    """Return the file that a text names (None: it names one of `pipelines/`), `:` and the rest."""
    known = (".py", *compiled_file.SUFFIXES)
    before, colon, inner = text.rpartition(":")
    if before.endswith(known) and not text.endswith(known):
        return path(before), colon, inner
    if text.endswith(known) or "/" in text:
        return path(text), "", ""
    _, colon, inner = text.partition(":")
    return None, colon, inner


def _ways() -> str:
    """Return what can be named."""
    return f"a FILE.py[:NAME], a compiled FILE.yaml or .json, or a pipeline of the kit: {_known()}"


def _choose(
    mine: dict[str, Pipeline], place: str, name: str, inner: str | None, otherwise: str
) -> Pipeline:
    """Return the pipeline that is meant among those of a module.

    Args:
        mine: All of them, by the names of their variables.
        place: The module, for messages.
        name: What it is called by.
        inner: The one that is asked for; None where none is.
        otherwise: What to do where there is none.
    """
    if inner is not None:
        if inner not in mine:
            raise BadInputError(f"{place} has no pipeline {inner!r}", f"It has {join_names(mine)}")
        return mine[inner]
    chosen = _outermost(mine)
    if not chosen:
        raise BadInputError(f"{place} has no pipeline", otherwise)
    if len(chosen) > 1:
        raise BadInputError(
            f"{place} has {len(chosen)} pipelines",
            f"Name one: {join_names([f'{name}:{each}' for each in chosen])}",
        )
    (pipeline,) = chosen.values()
    return pipeline


def label(name: str) -> str:
    """Return a name as it is safe in names of folders and runs."""
    return re.sub(r"[^\w.-]+", "-", name)[:LONGEST_NAME].strip("-.") or "pipeline"


def _short_name(file: Path, name: str) -> str:
    """Return the short name of a pipeline in a user's file."""
    # Any folder may have a pipeline.py: there the pipeline's own name says more.
    return label(name if file.stem == "pipeline" else file.stem)


def _known() -> str:
    """Return the modules that have a pipeline, as far as their text says so."""
    texts = {
        info.name: Path(spec.origin).read_text(encoding="utf-8", errors="replace")
        for info in pkgutil.iter_modules(pipelines.__path__)
        if (spec := info.module_finder.find_spec(info.name, None)) and spec.origin
    }
    return join_names([name for name, text in texts.items() if _DECORATED.search(text)])


def _load(module: str) -> dict[str, Pipeline]:
    """Import a module of `pipelines/` and return its pipelines by their variables' names.

    Raises:
        KitError: It cannot be imported, or ends the program; the place is named.
    """
    loaded = _imported(f"pipelines/{module}.py", lambda: import_module(f"pipelines.{module}"))
    source = Path(str(loaded.__file__))
    own = _pipelines_of(loaded, own=True)
    return {name: Pipeline(module, func, source=source) for name, func in own.items()}


def _load_file(file: Path) -> dict[str, Pipeline]:
    """Import a file of a user's; as `_load`, and where it has none of its own, those it imports."""
    loaded = _imported(str(file), lambda: python_file.load(file))
    found = _pipelines_of(loaded, own=True) or _pipelines_of(loaded, own=False)
    return {
        name: Pipeline(_short_name(file, func.name), func, source=file)
        for name, func in found.items()
    }


def _imported(place: str, load: Callable[[], ModuleType]) -> ModuleType:
    """Return a module that may be broken.

    Raises:
        KitError: It cannot be imported, or ends the program; the place is named.
    """
    sdk.load()
    try:
        with warnings.catch_warnings():
            # Each component without an image would say that a later kfp takes another for it.
            warnings.filterwarnings("ignore", "The default base_image used by", FutureWarning)
            return load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a broken module raises, SystemExit too
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise KitError(
            f"{place} cannot be imported: {_place(error)}: {said}", _mend(error)
        ) from error


def _mend(error: BaseException) -> str:
    """Return what to do about a module that cannot be imported."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        first, *rest = error.name.split(".")
        if any(Path(first, *rest).with_suffix(end).exists() for end in ("", ".py")):
            here = shlex.quote(str(Path.cwd()))
            return f"PYTHONPATH={here} before the command finds the {error.name} that is here"
        return (
            f"Install {first} beside the kit (uv tool install --with, pipx inject, or pip in its "
            "environment), or compile the pipeline where it is installed, and give the kit that"
        )
    frames = traceback.extract_tb(error.__traceback__)
    of_user = _of_user(error)
    if isinstance(error, TypeError) and of_user and "/kfp/dsl/" in frames[-1].filename:
        text = Path(of_user[-1].filename).read_text(encoding="utf-8", errors="replace")
        if re.search(r"^from __future__ import .*annotations", text, re.MULTILINE):
            return (
                "Leave out `from __future__ import annotations`: it makes texts of the types, "
                "which kfp does not read"
            )
    return "Mend it"


def _pipelines_of(module: ModuleType, *, own: bool) -> dict[str, Any]:
    """Return the pipelines that a module has by their variables' names.

    Args:
        module: The module.
        own: Whether those from another module are left out.
    """
    from kfp.dsl.graph_component import GraphComponent

    found: dict[int, tuple[str, Any]] = {}
    for name, value in vars(module).items():
        if isinstance(value, GraphComponent):
            if own and value.pipeline_func.__module__ != module.__name__:
                continue
            found.setdefault(id(value), (name, value))  # one under a second name is the same one
    return dict(found.values())


def _outermost(found: dict[str, Pipeline]) -> dict[str, Pipeline]:
    """Return the pipelines that no other of the same module uses as a component."""
    used = {
        name
        for pipeline in found.values()
        for name, component in pipeline.func.pipeline_spec.components.items()
        if component.HasField("dag")
    }
    return {
        name: pipeline for name, pipeline in found.items() if f"comp-{pipeline.name}" not in used
    }


def _place(error: BaseException) -> str:
    """Return the file and line of the user's code, not of a library's, that an import ended at."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)} line {error.lineno}"
    frames = _of_user(error)
    return f"{_short(frames[-1].filename)} line {frames[-1].lineno}" if frames else "at its start"


def _of_user(error: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames that are neither a library's nor the kit's."""
    kit = str(HOME / "kfpkit")
    libraries = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
    return [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<", kit, *libraries))
    ]


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(HOME)) if path.is_relative_to(HOME) else file


def compile_to(pipeline: Pipeline, file: Path) -> None:
    """Write a pipeline's compiled YAML (`Pipeline.text`).

    Args:
        pipeline: The pipeline; its tasks' image was set when its components were imported
            (`components.image`).
        file: File to write; its name ends in `.yaml`.

    Raises:
        BadInputError: The file's name ends otherwise: KFP would take it for another format.
    """
    if file.suffix != ".yaml":
        raise BadInputError(f"{file} does not end in .yaml", "Name the file so")
    text = pipeline.text(pipeline.image_prefix)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode())


def with_prefix(text: str, prefix: str) -> str:
    """Return the IR with the image of the sample's tasks from a registry of yours.

    All else stays as it is, byte for byte.

    Args:
        text: The IR as YAML or JSON, with any line ends; an image that `components.image.VARIABLE`
            names is left alone.
        prefix: The registry, with a path or without; empty for the image's own name.
    """
    if not prefix or DEFAULT not in text:
        return text
    mark = len(text) - len(text.removeprefix("\ufeff"))
    places = {
        (mark + node.start_mark.index, mark + node.end_mark.index)
        for document in yaml.compose_all(text[mark:], compiled_file.Loader)
        for node in _inside(document, "deploymentSpec", "executors", "*", "container", "image")
        if node.value == DEFAULT
    }
    for start, end in sorted(places, reverse=True):
        text = text[:start] + text[start:end].replace(DEFAULT, f"{prefix}/{DEFAULT}") + text[end:]
    return text


def _inside(node: Any, *keys: str) -> Iterator[Any]:
    """Yield what the keys, of which `*` is any, lead to in a node of YAML."""
    if not keys:
        yield node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if keys[0] in ("*", key.value):
                yield from _inside(value, *keys[1:])


def _drop_defaults(platform: dict[str, Any]) -> None:
    """Drop `optional: false` of variables from Secrets and ConfigMaps.

    It is what its absence means, and release 2.14.3 fails a run for the field, which it lacks.
    """
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    deployment = kubernetes.get("deploymentSpec", {})
    for executor in deployment.get("executors", {}).values():
        for source in [*executor.get("secretAsEnv", []), *executor.get("configMapAsEnv", [])]:
            if source.get("optional") is False:
                del source["optional"]


def golden_texts() -> dict[Path, str]:
    """Return what every golden file has to hold, by its path.

    Raises:
        BadInputError: The environment names another image than the default, or there is no
            checkout.
        KitError: uv.lock cannot be exported.
    """
    if not (HOME / "uv.lock").exists():
        raise BadInputError("the golden files are those of a checkout", "Run make golden in one")
    if os.environ.get(VARIABLE, DEFAULT) != DEFAULT:
        raise BadInputError(
            f"{VARIABLE} is set, but the golden files have the default image {DEFAULT}",
            f"Unset {VARIABLE}",
        )
    texts = {REQUIREMENTS: requirements(), KIT_REQUIREMENTS: kit_requirements(), **own.pins()}
    with tempfile.TemporaryDirectory() as folder:
        for module, pipeline in discover().items():
            file = Path(folder) / f"{module.replace(':', '-')}.yaml"
            compile_to(pipeline, file)
            texts[GOLDEN / file.name] = file.read_text(encoding="utf-8")
    return texts


def stale_golden(more: Mapping[Path, str] | None = None) -> dict[Path, str | None]:
    """Return the golden files that are missing or differ, each with the text it should have.

    The text is None where a file belongs to no pipeline any more.

    Args:
        more: What other files have to hold that are derived as well.

    Raises:
        KitError: As `golden_texts`.
    """
    texts = {**golden_texts(), **(more or {})}
    left_over = dict.fromkeys(set(GOLDEN.glob("*.yaml")) - set(texts))
    return left_over | {
        path: text
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def write_golden(more: Mapping[Path, str] | None = None) -> list[Path]:
    """Rewrite the golden files that are stale, and return them.

    Args:
        more: As for `stale_golden`.

    Raises:
        KitError: As `golden_texts`.
    """
    stale = stale_golden(more)
    for path, text in stale.items():
        if text is None:
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return sorted(stale)


def requirements() -> str:
    """Return the runtime image's packages with hashes, as uv.lock has them.

    kfp comes without its own dependencies: inside a task only its executor runs, which needs none
    of them, and KFP itself installs kfp so (`--no-deps`) where an image lacks it.

    Raises:
        KitError: uv.lock cannot be exported.
    """
    group = query([_uv(), *_EXPORT, "--only-group", "components"], cwd=HOME).stdout
    everything = query(_project(), cwd=HOME).stdout
    kfp = _KFP.search(everything)
    if kfp is None:
        raise KitError("uv.lock has no kfp", "Add it to pyproject.toml and run uv lock")
    return f"{_GENERATED}{group}{kfp[0]}\n"


def kit_requirements() -> str:
    """Return the packages of the kit's own image with hashes, as uv.lock has them."""
    without = [text for name in NOT_IN_CLUSTER for text in ("--prune", name)]
    return _GENERATED + query([*_project(), "--group", "warm-driver", *without], cwd=HOME).stdout


def _project() -> list[str]:
    """Return the command that exports what the kit itself needs."""
    return [_uv(), *_EXPORT, "--no-default-groups", "--no-emit-project"]


def _uv() -> str:
    from kfpkit.images.builder import uv

    return uv()
