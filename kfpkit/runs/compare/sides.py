"""The runs that are compared: read from where they lie, their artifacts by what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.core.errors import BadInputError
from kfpkit.kfp.digest import sha256
from kfpkit.kfp.run import FILE, Artifact, Run

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Side:
    """A run that is compared.

    Attributes:
        run: Its description.
        folder: Its folder, which the paths in the description start from.
    """

    run: Run
    folder: Path


@dataclass(frozen=True)
class Content:
    """What an artifact holds, as far as it is known.

    Attributes:
        type: The artifact type's schema title.
        sha256: Of the file, or of a folder as a whole; empty where its bytes were never here.
        size: Bytes; None where that is not known either, or where there is no file.
    """

    type: str
    sha256: str
    size: int | None


def read(path: Path) -> Side:
    """Return the run of a folder of `runs/`, or of its run.json.

    Raises:
        BadInputError: There is no run description, or it is none that can be read.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise BadInputError(
            f"{path} has no {FILE}",
            "Name the folder of a run that has one, as `kfpkit run` leaves it",
        )
    try:
        run = Run.from_json(file.read_text(encoding="utf-8"))
    except (BadInputError, UnicodeDecodeError) as error:
        what = error.what if isinstance(error, BadInputError) else "it is no UTF-8"
        raise BadInputError(f"{file}: {what}", "Name the run.json of a run") from None
    return Side(run, file.parent)


def content(artifact: Artifact, folder: Path) -> Content:
    """Return what an artifact holds: its bytes now, or else what its run has noted of them."""
    path = (folder / artifact.path).resolve()
    here = artifact.path and path.is_relative_to(folder.resolve()) and path.exists()
    digest = sha256(path) if here else artifact.sha256
    return Content(artifact.type, digest, artifact.size)
