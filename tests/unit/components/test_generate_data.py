"""The data: real, whole, split fairly, and the same for the same seed."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest

from components.errors import ComponentError
from components.generate_data.logic import generate_data, penguins, split
from components.tables import LABEL

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Run

SOURCE = (files("palmerpenguins") / "data" / "penguins.csv").read_text(encoding="utf-8")


def species(path: Path) -> Counter[str]:
    with path.open(encoding="utf-8") as file:
        return Counter(row[LABEL] for row in csv.DictReader(file))


def test_every_row_of_the_data_set_is_in_one_part_and_unchanged(run: Run) -> None:
    """Units and missing values too: a row is the text that the package has."""
    header, *rows = SOURCE.splitlines()
    train, test = (run[name].read_text().splitlines() for name in ("train", "test"))
    assert train[0] == test[0] == header
    assert Counter(train[1:] + test[1:]) == Counter(rows)
    assert any(",NA," in row for row in train + test)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.9])
def test_each_species_has_its_share_of_the_test_data(tmp_path: Path, fraction: float) -> None:
    generate_data(tmp_path / "train", tmp_path / "test", fraction, seed=1)
    everyone = species(tmp_path / "train") + species(tmp_path / "test")
    for name, count in species(tmp_path / "test").items():
        assert count == pytest.approx(fraction * everyone[name], abs=1)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, run: Run) -> None:
    generate_data(tmp_path / "train", tmp_path / "test", 0.2, seed=42)
    for name in ("train", "test"):
        assert (tmp_path / name).read_bytes() == run[name].read_bytes()


def test_another_seed_gives_another_split(tmp_path: Path, run: Run) -> None:
    generate_data(tmp_path / "train", tmp_path / "test", 0.2, seed=43)
    assert (tmp_path / "test").read_bytes() != run["test"].read_bytes()


@pytest.mark.parametrize("name", ["train", "test"])
def test_the_metadata_describe_the_file(run: Run, name: str) -> None:
    metadata = run.metadata[name]
    lines = run[name].read_text().splitlines()
    assert metadata["rows"] == len(lines) - 1
    assert metadata["columns"] == lines[0].split(",")
    assert metadata["species"] == species(run[name])
    assert metadata["sha256"] == hashlib.sha256(run[name].read_bytes()).hexdigest()
    assert set(metadata["library_versions"]) >= {"python", "pandas"}  # type: ignore[call-overload]


def test_the_metadata_count_the_missing_values(run: Run) -> None:
    missing: Counter[str] = Counter()
    for name in ("train", "test"):
        missing.update(run.metadata[name]["missing_values"])  # type: ignore[call-overload]
    assert missing == Counter(
        cell_name
        for row in csv.DictReader(SOURCE.splitlines())
        for cell_name, cell in row.items()
        if cell == "NA"
    )


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_outside_0_and_1_is_refused(tmp_path: Path, fraction: float) -> None:
    with pytest.raises(ComponentError, match=r"^test_fraction is .+ above 0 and below 1"):
        generate_data(tmp_path / "train", tmp_path / "test", fraction, seed=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_a_fraction_that_leaves_no_room_for_a_species_is_refused(fraction: float) -> None:
    with pytest.raises(ComponentError, match=r"of 344 rows leaves a part without room for all 3"):
        split(penguins(), fraction, seed=1)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ComponentError, match=r"^seed is .+ from 0 to 4294967295"):
        split(penguins(), 0.2, seed)


def test_a_single_species_is_refused() -> None:
    table = penguins()
    with pytest.raises(ComponentError, match=r"has 1 species \(Adelie\)"):
        split(table[table[LABEL] == "Adelie"], 0.2, seed=1)


def test_empty_data_is_refused() -> None:
    with pytest.raises(ComponentError, match=r"has 0 species \(no rows\)"):
        split(penguins().head(0), 0.2, seed=1)


def test_a_species_of_one_penguin_is_refused() -> None:
    table = penguins()
    lonely = table[(table[LABEL] != "Gentoo") | ~table[LABEL].duplicated()]
    with pytest.raises(ComponentError, match="leaves a part without room"):
        split(lonely, 0.2, seed=1)
