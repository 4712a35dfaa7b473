"""The pipelines of the checkout: finding them, compiling them, and their golden files."""

from __future__ import annotations

import os
import pkgutil
import re
import tempfile
from dataclasses import dataclass
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pipelines
from components.image import DEFAULT, VARIABLE
from kfpkit.errors import BadInputError, KitError, join_names
from kfpkit.images.builder import uv
from kfpkit.process import query
from kfpkit.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

GOLDEN = ROOT / "pipelines" / "golden"

#: Locked packages of the runtime image, exported from uv.lock.
REQUIREMENTS = ROOT / "components" / "requirements.txt"

#: The same of the kit's own image.
KIT_REQUIREMENTS = ROOT / "images" / "kfpkit" / "requirements.txt"

#: Packages of the kit that its image does without: `prune` imports none of them.
NOT_IN_CLUSTER = ("docker", "jinja2", "kfp", "kubernetes")

_EXPORT = ("export", "--quiet", "--frozen", "--no-annotate", "--no-header")

_GENERATED = "# Generated from uv.lock by `make golden`; do not edit.\n"

#: One requirement with its hashes, as uv exports it.
_KFP = re.compile(r"^kfp==.*(?:\n    --hash=.*)+", re.MULTILINE)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline of `pipelines/`."""

    #: Name of its module, by which it is chosen.
    module: str
    #: What `@dsl.pipeline` made: a `kfp.dsl.graph_component.GraphComponent`.
    func: Any

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


def discover() -> dict[str, Pipeline]:
    """Return every pipeline by the name of its module, which must define exactly one.

    A module of `pipelines/` without any is a helper and left out.

    Raises:
        KitError: A module cannot be imported or defines more than one.
    """
    from kfp.dsl.graph_component import GraphComponent

    found = {}
    for info in pkgutil.iter_modules(pipelines.__path__):
        try:
            module = import_module(f"pipelines.{info.name}")
        except Exception as error:  # whatever a broken module raises
            raise KitError(
                f"pipelines/{info.name}.py cannot be imported: {error!r}", "Mend it"
            ) from error
        here = [value for value in vars(module).values() if isinstance(value, GraphComponent)]
        here = [func for func in here if func.pipeline_func.__module__ == module.__name__]
        if len(here) > 1:
            raise KitError(
                f"pipelines/{info.name}.py defines {len(here)} pipelines",
                "Give each a module of its own",
            )
        if here:
            found[info.name] = Pipeline(info.name, here[0])
    return found


def find(name: str) -> Pipeline:
    """Return one pipeline by the name of its module.

    Raises:
        BadInputError: There is none of that name.
    """
    found = discover()
    if name not in found:
        raise BadInputError(f"there is no pipeline {name}", f"Pipelines: {join_names([*found])}")
    return found[name]


def compile_to(pipeline: Pipeline, file: Path) -> None:
    """Write a pipeline's IR YAML.

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
    texts = {REQUIREMENTS: requirements(), KIT_REQUIREMENTS: kit_requirements()}
    with tempfile.TemporaryDirectory() as folder:
        for module, pipeline in discover().items():
            file = Path(folder) / f"{module}.yaml"
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
    group = query([uv(), *_EXPORT, "--only-group", "components"], cwd=ROOT).stdout
    everything = query(_project(), cwd=ROOT).stdout
    kfp = _KFP.search(everything)
    if kfp is None:
        raise KitError("uv.lock has no kfp", "Add it to pyproject.toml and run uv lock")
    return f"{_GENERATED}{group}{kfp[0]}\n"


def kit_requirements() -> str:
    """Return the packages of the kit's own image with hashes, as uv.lock has them."""
    without = [text for name in NOT_IN_CLUSTER for text in ("--prune", name)]
    return _GENERATED + query([*_project(), *without], cwd=ROOT).stdout


def _project() -> list[str]:
    """Return the command that exports what the kit itself needs."""
    return [uv(), *_EXPORT, "--no-default-groups", "--no-emit-project"]
