"""Reading data: each thing that can be wrong with a file is said in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
import pytest

from components.errors import ComponentError
from components.tables import read_table, write_table

if TYPE_CHECKING:
    from pathlib import Path

BAD = {
    "missing column": (b"a,c\n1,2\n", r"lacks the column b\. Its header has a, c"),
    "empty data": (b"a,b\n", r"has no rows"),
    "empty file": (b"", r"cannot be read"),
    "more cells than the header has": (b"a,b\n1,2\n1,2,3\n", r"cannot be read"),
    "not text": (b"\x89PNG\xff\xfe,\x00", r"cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    with pytest.raises(ComponentError, match=message) as caught:
        read_table(file, "train", ["a", "b"])
    assert str(caught.value).startswith("train ")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match=r"^train cannot be read from .+No such file"):
        read_table(tmp_path / "none", "train", ["a"])
    with pytest.raises(ComponentError, match=r"^train cannot be read from .+[Dd]irectory"):
        read_table(tmp_path, "train", ["a"])


def test_a_written_table_reads_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [0.1 + 0.2, 1e-17], "b": ["x", "y,z"]})
    write_table(table, tmp_path / "new" / "data.csv")
    pd.testing.assert_frame_equal(
        read_table(tmp_path / "new" / "data.csv", "data", ["a", "b"]), table, check_exact=True
    )
