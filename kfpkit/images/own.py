"""The kit's own image: which files of `kfpkit/` are in it, and its tag, made of its content."""

from __future__ import annotations

import ast
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.core.errors import KitError
from kfpkit.core.packages import HOME
from kfpkit.core.versions import ROOT, version

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Modules that a pod runs: the command line, and the one command that is made for a pod.
RUN = (
    "kfpkit.__main__",
    "kfpkit.cli.prune",
    "kfpkit.operations.prune.run",
    "kfpkit.warm.__main__",
)

#: How the image is made. The packages are those of `kfpkit.kfp.pipelines.kit_requirements`.
RECIPE = Path("images/kfpkit")
PARTS = ("Dockerfile", "image.toml", "prepare.py", "requirements.txt")

#: Where manifests name the image with its tag.
PINS = tuple(Path(f"manifests/images/{source}/names") for source in ("packages", "upstream"))

_PIN = re.compile(r"(newName: kfpkit\.invalid/kfpkit\n\s*newTag: ).*")

#: What image.toml names and the tag does not cover: the tag itself.
_PLACEHOLDER = re.compile(r"\{(?!KIT_TAG\})([A-Z_]+)\}")


def code(root: Path = HOME) -> list[Path]:
    """Return the files that are in the image: what `RUN` is, and all that importing it imports.

    Args:
        root: The folder that holds kfpkit/.
    """
    found: set[Path] = set()
    todo = [*RUN]
    while todo:
        names = todo.pop().split(".")
        for length in range(1, len(names) + 1):
            module = root.joinpath(*names[:length])
            for file in (module / "__init__.py", module.with_suffix(".py")):
                if names[0] == "kfpkit" and file.exists() and file not in found:
                    found.add(file)
                    todo += _imported(ast.parse(file.read_bytes()).body)
    return sorted(found)


def _imported(body: list[ast.stmt]) -> Iterator[str]:
    """Return what a module may import when it is imported itself, by full names."""
    for statement in body:
        match statement:
            case ast.Import():
                yield from (alias.name for alias in statement.names)
            case ast.ImportFrom():
                yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                pass
            case ast.If() | ast.Try():
                yield from _imported([*statement.body, *statement.orelse])


def tag(root: Path | None = None) -> str:
    """Return the image's tag: its code, its packages, its recipe and the pins that it names.

    A node that has an image does not ask for it again, so another content must have another name.
    It is the same on every machine, and for both bases that the recipe can start from.

    Args:
        root: The top of another checkout.
    """
    recipe = (root or ROOT) / RECIPE
    home = root or HOME
    names = {RECIPE / part: recipe / part for part in PARTS}
    names |= {file.relative_to(home): file for file in code(home)}
    digest = hashlib.sha256()
    for path, file in names.items():
        name = path.as_posix()
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    for name in _PLACEHOLDER.findall((recipe / "image.toml").read_text(encoding="utf-8")):
        digest.update(f"{name} {version(name)}\n".encode())
    return digest.hexdigest()[:12]


def pins() -> dict[Path, str]:
    """Return the manifests that name the image, by file, with the tag that it has.

    Raises:
        KitError: One of them does not name it.
    """
    texts = {}
    for folder in PINS:
        file = ROOT / folder / "kustomization.yaml"
        texts[file], count = _PIN.subn(rf'\g<1>"{tag()}"', file.read_text(encoding="utf-8"))
        if count != 1:
            raise KitError(f"{file} does not name the kit's own image once", "Name it there")
    return texts
