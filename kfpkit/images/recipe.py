"""An image's recipe: what `images/NAME/` says about how the image is made.

The format is described for its writers in `images/README.md`; this module reads and checks it.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, replace
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError, join_names
from kfpkit.core.packages import HOME
from kfpkit.core.versions import ROOT, tags, versions
from kfpkit.images import own

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

IMAGES = ROOT / "images"

#: What the names of images begin with that the kit builds itself under every source. The second is
#: a registry that nobody can have (RFC 2606), so that none of another owner is pulled by mistake.
OWN = ("kfpkit/", "kfpkit.invalid/")

#: Image that the sample's tasks run in; no manifest names it.
RUNTIME = "python-runtime"

_PLACEHOLDER = re.compile(r"\{([A-Z][A-Z0-9_]*)(:bare)?\}")


@dataclass(frozen=True)
class GoBuild:
    """Programs built from one Go module on the host and put into the context under `bin/`."""

    #: Folder with go.mod and go.sum.
    module: Path
    #: Import path of the package to build, by name of the program.
    binaries: Mapping[str, str]
    cgo: bool = False
    ldflags: str = ""
    tags: tuple[str, ...] = ()
    #: Build from the `vendor` folder that the recipe's prepare step made.
    vendor: bool = False
    #: A capability that the program's file gives; it is `bin/NAME.tar` then, for ADD.
    capability: str = ""
    #: Module paths the checksum database does not know; go.sum alone vouches for them.
    unchecked: tuple[str, ...] = ()


@dataclass(frozen=True)
class PythonPackages:
    """Wheels installed on the host into the context under `site-packages/`."""

    #: A requirements file with hashes.
    requirements: Path
    #: Python version inside the image, for example `3.11`.
    version: str


@dataclass(frozen=True)
class Recipe:
    """One image of `images/`."""

    name: str
    folder: Path
    #: The image's names with tag; all of them point to the one image.
    references: tuple[str, ...]
    #: What it is made from, for people: `module@version` or free text.
    sources: tuple[str, ...]
    #: Images the Dockerfile starts from; each is handed over as a build argument.
    needs: tuple[str, ...] = ()
    #: Public images that may take the place of those above, where images can be pulled.
    public: Mapping[str, str] = field(default_factory=dict)
    #: Images put into the context as `archives/NAME.tar`.
    archives: tuple[str, ...] = ()
    #: Build arguments for the Dockerfile.
    args: Mapping[str, str] | None = None
    go: tuple[GoBuild, ...] = ()
    python: PythonPackages | None = None
    prepare: Path | None = None
    #: Further files and folders that the prepare step reads.
    reads: tuple[Path, ...] = ()

    @property
    def dependencies(self) -> tuple[str, ...]:
        """All images that must be there before this one."""
        return (*self.needs, *self.archives)

    @property
    def on_public_bases(self) -> Recipe:
        """The same image on the public images that it can start from, if there are any."""
        bases = {argument(need): image for need, image in self.public.items()}
        needs = tuple(need for need in self.needs if need not in self.public)
        return replace(self, needs=needs, args={**(self.args or {}), **bases})

    @property
    def named(self) -> tuple[Path, ...]:
        """Files and folders that the recipe names."""
        paths = [build.module for build in self.go]
        if self.prepare:
            paths.append(self.prepare)
        if self.python:
            paths.append(self.python.requirements)
        return (*paths, *self.reads)

    @property
    def inputs(self) -> tuple[Path, ...]:
        """Files and folders whose content decides what is built."""
        outside = (path for path in self.named if not path.is_relative_to(self.folder.resolve()))
        return (self.folder, *outside)


def argument(need: str) -> str:
    """Return the Dockerfile's build argument that names an image it starts from."""
    return need.replace("-", "_").upper()


def load(folder: Path) -> Recipe:
    """Read the recipe in one folder of `images/`.

    Raises:
        BadInputError: The file cannot be read, has an unknown key, or names what does not exist.
    """
    file = folder / "image.toml"
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInputError(f"{file} cannot be read: {error}", "Mend the file") from None
    data = _filled(raw, file)
    try:
        recipe = _recipe(folder, data)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{file} is no recipe: {error}", "images/README.md describes the format"
        ) from None
    for path in (*recipe.named, folder / "Dockerfile"):
        if not path.exists():
            raise BadInputError(f"{file} needs {path}, which is not there", "Add it")
    return recipe


def load_all(images: Path | None = None, names: Iterable[str] = ()) -> dict[str, Recipe]:
    """Read every recipe, in an order in which each image comes after those it needs.

    Args:
        images: The folder that holds theirs; default that of the checkout.
        names: Read these only, with all that they need.

    Raises:
        BadInputError: A recipe is wrong, needs an unknown image, or the needs form a circle; or a
            name is no image.
    """
    files = sorted((images or IMAGES).glob("*/image.toml"))
    folders = {file.parent.name: file.parent for file in files}
    _require(names, folders)
    recipes: dict[str, Recipe] = {}
    todo = list(names) or list(folders)
    while todo:
        name = todo.pop()
        if name in folders and name not in recipes:
            recipes[name] = load(folders[name])
            todo += recipes[name].dependencies
    return {name: recipes[name] for name in ordered(recipes)}


def by_reference() -> dict[str, str]:
    """Return the name of each recipe by the names with tag of the image that it makes."""
    return {ref: recipe.name for recipe in load_all().values() for ref in recipe.references}


def ordered(recipes: Mapping[str, Recipe]) -> list[str]:
    """Return the names of the recipes, each after those it depends on."""
    for recipe in recipes.values():
        unknown = set(recipe.dependencies) - set(recipes)
        if unknown:
            raise BadInputError(
                f"images/{recipe.name}/image.toml needs unknown images: {join_names([*unknown])}",
                "Name folders of images/",
            )
    sorter = TopologicalSorter({name: recipes[name].dependencies for name in sorted(recipes)})
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise BadInputError(f"images need each other in a circle: {circle}", "Break it") from None


def closure(names: Iterable[str], recipes: Mapping[str, Recipe]) -> list[str]:
    """Return the names and all they depend on, in build order.

    Raises:
        BadInputError: A name is no image.
    """
    wanted: set[str] = set()
    todo = list(names)
    _require(todo, recipes)
    while todo:
        name = todo.pop()
        if name not in wanted:
            wanted.add(name)
            todo += recipes[name].dependencies
    return [name for name in ordered(recipes) if name in wanted]


def _require(names: Iterable[str], there: Iterable[str]) -> None:
    for name in names:
        if name not in there:
            raise BadInputError(f"there is no image {name}", f"Images: {join_names([*there])}")


def _filled(value: Any, file: Path) -> Any:
    """Replace `{NAME}` in every string by that pin, `{NAME:bare}` by the pin without its `v`."""
    if isinstance(value, dict):
        return {key: _filled(item, file) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, file) for item in value]
    if not isinstance(value, str):
        return value
    for name, _ in _PLACEHOLDER.findall(value):
        if _pin(name) is None:
            what = f"{file} names {{{name}}}, which is no pin"
            raise BadInputError(what, "Add it to versions.env")
    return _PLACEHOLDER.sub(
        lambda match: str(_pin(match[1])).removeprefix("v") if match[2] else str(_pin(match[1])),
        value,
    )


@cache
def _pin(name: str) -> str | None:
    """Return a pin, or what stands beside the pins: made of the tree itself, and only if named."""
    if name == "RUNTIME_TAG":
        from components import image  # which is not in the kit's own image

        return image.TAG
    if name == "KIT_TAG":
        return own.tag()
    return {**versions(), **tags()}.get(name)


def _recipe(folder: Path, data: dict[str, Any]) -> Recipe:
    recipe = Recipe(
        name=folder.name,
        folder=folder,
        references=_texts(data.pop("references")),
        sources=_texts(data.pop("sources")),
        needs=_texts(data.pop("needs", [])),
        public={str(key): str(value) for key, value in data.pop("public", {}).items()},
        archives=_texts(data.pop("archives", [])),
        args={str(key): str(value) for key, value in data.pop("args", {}).items()},
        go=tuple(_go(folder, part) for part in data.pop("go", [])),
        python=_python(folder, data.pop("python", None)),
        prepare=(folder / data.pop("prepare")).resolve() if "prepare" in data else None,
        reads=tuple((folder / path).resolve() for path in _texts(data.pop("reads", []))),
    )
    _no_more(data)
    if not recipe.references or any(":" not in ref for ref in recipe.references):
        raise ValueError("references must be a list of names with tag")
    if not set(recipe.public) <= set(recipe.needs):
        raise ValueError("public names what needs does not")
    return recipe


def _go(folder: Path, part: dict[str, Any]) -> GoBuild:
    build = GoBuild(
        module=(folder / part.pop("module", "go")).resolve(),
        binaries={str(key): str(value) for key, value in part.pop("binaries").items()},
        cgo=bool(part.pop("cgo", False)),
        ldflags=str(part.pop("ldflags", "")),
        tags=_texts(part.pop("tags", [])),
        vendor=bool(part.pop("vendor", False)),
        capability=str(part.pop("capability", "")),
        unchecked=_texts(part.pop("unchecked", [])),
    )
    _no_more(part)
    return build


def _python(folder: Path, part: dict[str, Any] | None) -> PythonPackages | None:
    if part is None:
        return None
    packages = PythonPackages(
        requirements=_found((folder / part.pop("requirements")).resolve()),
        version=str(part.pop("version")),
    )
    _no_more(part)
    return packages


def _found(path: Path) -> Path:
    """Return where a file is that may be in one of the packages, which are not below ROOT."""
    if path.exists() or not path.is_relative_to(ROOT):
        return path
    return HOME / path.relative_to(ROOT)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"{value!r} must be a list of strings")
    return tuple(value)


def _no_more(rest: dict[str, Any]) -> None:
    if rest:
        raise ValueError(f"unknown keys {join_names([*rest])}")
