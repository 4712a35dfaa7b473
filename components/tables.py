"""What the components share about their data: column names, reading, writing, describing."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from typing import TYPE_CHECKING

import pandas as pd

from components.errors import ComponentError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: The four measures of a penguin, in millimetres and grams; the model's features.
MEASURES = ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"]

#: The column to predict.
LABEL = "species"

#: How the data set writes a missing value.
MISSING = "NA"


def read_table(path: Path, name: str, columns: Sequence[str], *, raw: bool = False) -> pd.DataFrame:
    """Read a CSV file and check that it can be worked with.

    Args:
        path: The file.
        name: What the file is to the component, for the error's text.
        columns: Columns that must be there.
        raw: Keep every value as the text that the file has.

    Raises:
        ComponentError: The file cannot be read, has no rows, or lacks a column.
    """
    try:
        table = pd.read_csv(path, dtype=str if raw else None, keep_default_na=not raw)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ComponentError(
            f"{name} cannot be read from {path}: {reason}", "Give a CSV file with a header line"
        ) from None
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ComponentError(
            f"{name} ({path}) lacks the column {', '.join(missing)}",
            f"Its header has {', '.join(map(str, table.columns))}; add what is missing",
        )
    if table.empty:
        raise ComponentError(f"{name} ({path}) has no rows", "Give data with at least one row")
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV; the same table gives the same bytes everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, index=False, lineterminator="\n")


def sha256(path: Path) -> str:
    """Return a file's SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def counts(labels: pd.Series) -> dict[str, int]:
    """Return how often each label occurs, by name of the label."""
    return {str(name): int(count) for name, count in labels.value_counts().sort_index().items()}


def library_versions(*distributions: str) -> dict[str, str]:
    """Return the versions of Python and of installed distributions."""
    return {"python": platform.python_version()} | {name: version(name) for name in distributions}
