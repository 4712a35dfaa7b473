"""The pipelines of the checkout: finding them, compiling them, and their golden files."""

from __future__ import annotations

import os
import pkgutil
import re
import sysconfig
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

import pipelines
from components.image import DEFAULT, VARIABLE
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.core.process import query
from kfpkit.core.versions import ROOT
from kfpkit.images import own
from kfpkit.kfp import sdk

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = ROOT / "pipelines" / "golden"

#: Locked packages of the runtime image, exported from uv.lock.
REQUIREMENTS = ROOT / "components" / "requirements.txt"

#: The same of the kit's own image.
KIT_REQUIREMENTS = ROOT / "images" / "kfpkit" / "requirements.txt"

#: Packages of the kit that its image does without: `prune` imports none of them.
NOT_IN_CLUSTER = ("cryptography", "jinja2", "kfp", "kfp-kubernetes", "kubernetes")

_EXPORT = ("export", "--quiet", "--frozen", "--no-annotate", "--no-header")

_GENERATED = "# Generated from uv.lock by `make golden`; do not edit.\n"

#: One requirement with its hashes, as uv exports it.
_KFP = re.compile(r"^kfp==.*(?:\n    --hash=.*)+", re.MULTILINE)

#: What marks a function as a pipeline, in a module's text.
_DECORATED = re.compile(r"^@.*\bpipeline\b", re.MULTILINE)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline of `pipelines/`."""

    #: Name of its module, by which it is chosen.
    module: str
    #: What `@dsl.pipeline` made: a `kfp.dsl.graph_component.GraphComponent`.
    func: Any
    #: Registry that the image of the sample's tasks is pulled from; empty for its own name.
    image_prefix: str = ""

    @property
    def name(self) -> str:
        """The name that KFP knows it by."""
        return str(self.func.name)

    @property
    def doc(self) -> str:
        """First line of its description."""
        return (getdoc(self.func.pipeline_func) or "").partition("\n")[0]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """Its parameters by name, each with `type`, `default`, `optional` and `description`."""
        return self.func.component_spec.inputs or {}

    @property
    def kubernetes(self) -> dict[str, list[str]]:
        """What `kfp.kubernetes` set: the fields of its part of the IR, by component, sorted."""
        from google.protobuf import json_format

        platforms = json_format.MessageToDict(self.func.platform_spec).get("platforms", {})
        executors = platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
        return {
            name.removeprefix("exec-"): sorted(fields) for name, fields in sorted(executors.items())
        }


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


def find(name: str) -> Pipeline:
    """Return one pipeline, importing its module alone.

    Args:
        name: The module, or `MODULE:NAME` where it has several. A pipeline that another of its
            module uses as a component need not be told apart, but can be named so.

    Raises:
        BadInputError: There is none of that name, or several.
        KitError: The module cannot be imported.
    """
    module, colon, inner = name.partition(":")
    if module not in modules():
        raise BadInputError(f"there is no pipeline {name or repr(name)}", f"Pipelines: {_known()}")
    mine = _load(module)
    if colon:
        if inner not in mine:
            raise BadInputError(
                f"pipelines/{module}.py has no pipeline {inner!r}", f"It has {join_names(mine)}"
            )
        return mine[inner]
    chosen = _outermost(mine)
    if not chosen:
        raise BadInputError(f"pipelines/{module}.py has no pipeline", f"Pipelines: {_known()}")
    if len(chosen) > 1:
        raise BadInputError(
            f"pipelines/{module}.py has {len(chosen)} pipelines",
            f"Name one: {join_names([f'{module}:{each}' for each in chosen])}",
        )
    (pipeline,) = chosen.values()
    return pipeline


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
    sdk.load()
    from kfp.dsl.graph_component import GraphComponent

    try:
        with warnings.catch_warnings():
            # Each component without an image would say that a later kfp takes another for it.
            warnings.filterwarnings("ignore", "The default base_image used by", FutureWarning)
            loaded = import_module(f"pipelines.{module}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a broken module raises, SystemExit too
        said = " ".join(f"{type(error).__name__}: {error}".split())
        raise KitError(
            f"pipelines/{module}.py cannot be imported: {_place(error)}: {said}", "Mend it"
        ) from error
    found: dict[int, tuple[str, Any]] = {}
    for name, value in vars(loaded).items():
        # One under a second name is the same one; one from another module is that module's.
        if isinstance(value, GraphComponent) and value.pipeline_func.__module__ == loaded.__name__:
            found.setdefault(id(value), (name, value))
    return {name: Pipeline(module, func) for name, func in found.values()}


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
    libraries = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib"))
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if not frame.filename.startswith(("<", *libraries))
    ]
    return f"{_short(frames[-1].filename)} line {frames[-1].lineno}" if frames else "at its start"


def _short(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else file


def compile_to(pipeline: Pipeline, file: Path) -> None:
    """Write a pipeline's IR YAML: one document, or two where `kfp.kubernetes` set something.

    Args:
        pipeline: The pipeline; its tasks' image was set when its components were imported
            (`components.image`).
        file: File to write; its name ends in `.yaml`.

    Raises:
        BadInputError: The file's name ends otherwise: KFP would take it for another format.
    """
    from kfp.compiler import Compiler

    if file.suffix != ".yaml":
        raise BadInputError(f"{file} does not end in .yaml", "Name the file so")
    file.parent.mkdir(parents=True, exist_ok=True)
    Compiler().compile(pipeline.func, str(file))
    text = with_prefix(file.read_text(encoding="utf-8"), pipeline.image_prefix)
    spec, divider, platform = text.partition("\n---\n")
    if divider:
        compiled = yaml.safe_load(platform)
        _drop_defaults(compiled)
        text = spec + divider + yaml.safe_dump(compiled)
    file.write_text(text, encoding="utf-8")


def with_prefix(text: str, prefix: str) -> str:
    """Return IR YAML in which the image of the sample's tasks comes from a registry of yours.

    Args:
        text: The IR; an image that `components.image.VARIABLE` names is left alone.
        prefix: The registry, with a path or without; empty for the image's own name.
    """
    return text.replace(f" image: {DEFAULT}\n", f" image: {prefix}/{DEFAULT}\n") if prefix else text


def _drop_defaults(platform: dict[str, Any]) -> None:
    """Drop `optional: false` of variables from Secrets and ConfigMaps.

    It is what its absence means, and release 2.14.3 fails a run for the field, which it lacks.
    """
    deployment = platform["platforms"].get("kubernetes", {}).get("deploymentSpec", {})
    for executor in deployment.get("executors", {}).values():
        for source in [*executor.get("secretAsEnv", []), *executor.get("configMapAsEnv", [])]:
            if source.get("optional") is False:
                del source["optional"]


def golden_texts() -> dict[Path, str]:
    """Return what every golden file has to hold, by its path.

    Raises:
        BadInputError: The environment names another image than the default.
        KitError: uv.lock cannot be exported.
    """
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


def stale_golden() -> dict[Path, str | None]:
    """Return the golden files that are missing or differ, each with the text it should have.

    The text is None where a file belongs to no pipeline any more.

    Raises:
        KitError: As `golden_texts`.
    """
    texts = golden_texts()
    left_over = dict.fromkeys(set(GOLDEN.glob("*.yaml")) - set(texts))
    return left_over | {
        path: text
        for path, text in texts.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def write_golden() -> list[Path]:
    """Rewrite the golden files that are stale, and return them.

    Raises:
        KitError: As `golden_texts`.
    """
    stale = stale_golden()
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
    group = query([_uv(), *_EXPORT, "--only-group", "components"], cwd=ROOT).stdout
    everything = query(_project(), cwd=ROOT).stdout
    kfp = _KFP.search(everything)
    if kfp is None:
        raise KitError("uv.lock has no kfp", "Add it to pyproject.toml and run uv lock")
    return f"{_GENERATED}{group}{kfp[0]}\n"


def kit_requirements() -> str:
    """Return the packages of the kit's own image with hashes, as uv.lock has them."""
    without = [text for name in NOT_IN_CLUSTER for text in ("--prune", name)]
    return _GENERATED + query([*_project(), "--group", "warm-driver", *without], cwd=ROOT).stdout


def _project() -> list[str]:
    """Return the command that exports what the kit itself needs."""
    return [_uv(), *_EXPORT, "--no-default-groups", "--no-emit-project"]


def _uv() -> str:
    from kfpkit.images.builder import uv

    return uv()
