"""Split the Palmer penguins into train and test data, in raw units and with missing values kept.

The data set lies inside the package palmerpenguins (CC0): 344 penguins of three species, measured
at Palmer Station, Antarctica, from 2007 to 2009. No network is needed.
"""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path

import pandas as pd
from sklearn.model_selection import train_test_split

from components.errors import ComponentError, check_seed
from components.executor_output import Metadata
from components.tables import (
    LABEL,
    MEASURES,
    MISSING,
    counts,
    library_versions,
    read_table,
    sha256,
    write_table,
)


def generate_data(train: Path, test: Path, test_fraction: float, seed: int) -> dict[str, Metadata]:
    """Write the data set as two CSV files, split so that both hold the species in equal shares.

    Args:
        train: CSV file to write.
        test: CSV file to write.
        test_fraction: Share of the rows that go to test, above 0 and below 1.
        seed: Seed of the split; the same seed gives the same bytes.

    Returns:
        Metadata of `train` and `test`.

    Raises:
        ComponentError: A parameter is out of its range.
    """
    parts = split(penguins(), test_fraction, seed)
    metadata = {}
    for name, path, part in zip(("train", "test"), (train, test), parts, strict=True):
        write_table(part, path)
        metadata[name] = describe(part, path)
    return metadata


def penguins() -> pd.DataFrame:
    """Return the data set with every value as the text that the file has."""
    with as_file(files("palmerpenguins") / "data" / "penguins.csv") as path:
        return read_table(path, "the data set", [LABEL, *MEASURES], raw=True)


def split(
    table: pd.DataFrame, test_fraction: float, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a table by species into train and test rows, both in the table's own order.

    Raises:
        ComponentError: A parameter is out of its range, or there are too few rows or species.
    """
    if not 0 < test_fraction < 1:
        raise ComponentError(
            f"test_fraction is {test_fraction:g}", "Give a share above 0 and below 1, such as 0.2"
        )
    check_seed(seed)
    species = counts(table[LABEL])
    if len(species) < 2:
        raise ComponentError(
            f"the data has {len(species)} species ({', '.join(species) or 'no rows'})",
            "A classifier needs at least two",
        )
    try:
        train, test = train_test_split(
            table, test_size=test_fraction, random_state=seed, stratify=table[LABEL]
        )
    except ValueError:
        raise ComponentError(
            f"test_fraction {test_fraction:g} of {len(table)} rows leaves a part without room for "
            f"all {len(species)} species",
            "Give a share nearer to 0.5",
        ) from None
    return train.sort_index(), test.sort_index()


def describe(part: pd.DataFrame, path: Path) -> Metadata:
    """Return the metadata of one part of the data."""
    absent = (part == MISSING).sum()
    return {
        "source": f"palmerpenguins {version('palmerpenguins')}, penguins.csv (CC0)",
        "format": "CSV",
        "rows": len(part),
        "columns": list(part.columns),
        "species": counts(part[LABEL]),
        "missing_values": {str(name): int(count) for name, count in absent.items() if count},
        "sha256": sha256(path),
        "library_versions": library_versions("palmerpenguins", "pandas", "scikit-learn"),
    }
