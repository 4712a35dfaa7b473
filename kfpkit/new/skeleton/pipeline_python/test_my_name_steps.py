"""The steps, without kfp."""

import json

import pytest

# isort: split
from my_name_steps import fit_line, write_data


def test_the_line_that_the_points_are_near_is_found(tmp_path):
    data, model = str(tmp_path / "data.csv"), tmp_path / "model.json"
    write_data(data, rows=100, seed=1)
    assert 0 < fit_line(data, str(model)) < 2
    line = json.loads(model.read_text())
    assert line["slope"] == pytest.approx(2, abs=0.1)


def test_one_seed_gives_one_file(tmp_path):
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    write_data(str(first), rows=10, seed=1)
    write_data(str(second), rows=10, seed=1)
    write_data(str(other), rows=10, seed=2)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_one_point_is_no_line(tmp_path):
    with pytest.raises(ValueError, match="at least 2"):
        write_data(str(tmp_path / "data.csv"), rows=1, seed=1)
