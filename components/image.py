"""The image that every task of the sample runs in: the one place that names it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

#: Environment variable that names another image, for example one in Artifact Registry for Vertex.
#: Read when a component is imported, that is before a pipeline is compiled.
VARIABLE = "KFPKIT_RUNTIME_IMAGE"

FOLDER = Path(__file__).resolve().parent

#: How the image is made.
RECIPE = next(
    recipe
    # In the checkout, or where the kit is installed.
    for place in (FOLDER.parent, FOLDER.parent / "kfpkit" / "files")
    if (recipe := place / "images" / "python-runtime").exists()
)

#: Code of `components/` that compiles pipelines; all other runs in the image.
COMPILING = ("component.py", "image.py", "load.py")


def code(folder: Path = FOLDER) -> list[Path]:
    """Return the files of `components/` that are in the image."""
    return sorted(file for file in folder.rglob("*.py") if file.name not in COMPILING)


def tag(folder: Path = FOLDER, recipe: Path = RECIPE) -> str:
    """Return the image's tag, which says what is in it: its code, its packages, its recipe.

    KFP takes a task's result from its cache when the image's name is the same too, so another
    content must have another name. It is the same on every machine, and for both bases that the
    recipe can start from.
    """
    parts = [recipe / name for name in ("Dockerfile", "image.toml", "prepare.py")]
    parts += [folder / "requirements.txt", *code(folder)]
    digest = hashlib.sha256()
    for file in parts:
        name = file.relative_to(recipe if file.is_relative_to(recipe) else folder).as_posix()
        digest.update(f"{name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:12]


TAG = tag()

#: The name has "python" in it: kfp's SubprocessRunner warns about any other image. With a tag other
#: than `latest`, Kubernetes takes an image that is already on the node.
DEFAULT = f"kfpkit/python-runtime:{TAG}"

RUNTIME_IMAGE = os.environ.get(VARIABLE) or DEFAULT
