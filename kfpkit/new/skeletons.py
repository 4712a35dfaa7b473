"""Writing the beginning of a user's own pipeline or component, all of its files or none.

The skeletons are the folders of `skeleton/`. Each is a working one itself, of the name `my_name`.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import os
import re
import tempfile
import unicodedata
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from components.image import DEFAULT
from kfpkit.core.errors import BadInputError, refusals_of

#: The forms of each: Python, or the YAML of a ComponentSpec.
FORMS = ("python", "yaml")

#: Characters of a name at most: as many as a label of Kubernetes or of Vertex AI takes.
LONGEST = 63

_FOLDER = Path(__file__).resolve().parent / "skeleton"

#: A name that is good for Python, and for KFP with dashes in the place of underscores.
_NAME = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")

#: An image with a tag or a digest.
_IMAGE = re.compile(
    r"(?:[a-z0-9.-]+(?::\d+)?/)?[a-z0-9][a-z0-9._/-]*"
    r"(?::(?!latest$)\w[\w.-]*(?:@sha256:[0-9a-f]{64})?|@sha256:[0-9a-f]{64})",
    re.ASCII,
)

#: What a Python component says of an image that has kfp.
_HAS_KFP = re.compile(r"^ *install_kfp_package=False,\n", re.MULTILINE)


def write(kind: str, form: str, name: str, folder: Path, image: str = "") -> list[Path]:
    """Write a skeleton into a new folder of its name, and return its files.

    Args:
        kind: `pipeline` or `component`.
        form: One of `FORMS`.
        name: The name.
        folder: Takes the new folder.
        image: Image of the tasks; empty for the kit's own.

    Raises:
        BadInputError: As `plan`.
        KitError: The system refuses the files.
    """
    texts = plan(kind, form, name, folder, image)
    with (
        refusals_of(folder, "name another folder"),
        tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as unfinished,
    ):
        whole = Path(unfinished) / name
        whole.mkdir()
        for file, text in texts.items():
            (whole / file.name).write_text(text, encoding="utf-8")
        whole.rename(folder / name)
    return list(texts)


def plan(kind: str, form: str, name: str, folder: Path, image: str = "") -> dict[Path, str]:
    """Return the files that `write` makes, each with its text.

    Raises:
        BadInputError: The name or the image is of no use, or something is in the way.
    """
    skeleton = _FOLDER / f"{kind}_{form}"
    sources = {file: file.read_text(encoding="utf-8") for file in sorted(skeleton.iterdir())}
    _check_name(kind, name, sources)
    if image and not _IMAGE.fullmatch(image):
        raise BadInputError(
            f"{image!r} is no image with a tag or a digest that stays",
            "Name one as python:3.12-slim is named",
        )
    if not folder.is_dir():
        raise BadInputError(f"there is no folder {folder}", "Make it, or name another")
    if os.path.lexists(folder / name):
        raise BadInputError(
            f"{folder / name} is there already", "Choose another name or another folder"
        )
    image = image or DEFAULT
    words = {
        "my_name": name,
        "my-name": name.replace("_", "-"),
        "my-image": image,
        "KFP_VERSION": version("kfp"),
    }
    wanted = re.compile("|".join(words))
    texts = {}
    for file, text in sources.items():
        kept = text if image.endswith(DEFAULT) else _HAS_KFP.sub("", text)
        to = folder / name / file.name.replace("my_name", name)
        texts[to] = wanted.sub(lambda found: words[found[0]], kept)
    return texts


def _check_name(kind: str, name: str, sources: dict[Path, str]) -> None:
    """Refuse a name that Python, KFP or the skeleton would trip over.

    Raises:
        BadInputError: It is such a name.
    """
    if not _NAME.fullmatch(name):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
        better = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
        example = better if _NAME.fullmatch(better) else "churn_model"
        raise BadInputError(
            f"{name!r} is no name for a {kind}",
            "Take small letters from a to z, digits, and single underscores between them, "
            f"a letter first, as in {example[:LONGEST]}",
        )
    if len(name) > LONGEST:
        raise BadInputError(
            f"the name {name} has {len(name)} characters",
            f"Take at most {LONGEST}, as many as a label of Kubernetes or Vertex AI has",
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name) or hasattr(builtins, name):
        taken = "a word of Python itself"
    elif (found := find_spec(name)) and found.origin:
        taken = "a module of Python or of an installed package"
    elif name in _names(sources):
        taken = "a name that the skeleton uses inside"
    else:
        return
    raise BadInputError(f"{name} is {taken}", f"Choose another, as my_{name}")


def _names(sources: dict[Path, str]) -> set[str]:
    """Return the names of a skeleton's modules and parameters that its own name must not hide."""
    found: set[str] = set()
    for file, text in sources.items():
        if file.name not in ("pipeline.py", "component.py"):
            continue
        tree = ast.parse(text)
        for node in (*tree.body, *ast.walk(tree)):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)]) if node in tree.body:
                    found.add(name)
                case ast.FunctionDef(name=name) | ast.alias(name=name) | ast.arg(arg=name):
                    found.add(name)
    return found - {"my_name"}
