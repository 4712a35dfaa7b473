"""The cache: the address changes with each input and nothing else; nothing half-made counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.images import cache, recipe
from kfpkit.images.cache import Entry

if TYPE_CHECKING:
    from pathlib import Path

TOML = 'references = ["kfpkit/{name}:1"]\nsources = []\n{more}\n'


@pytest.fixture(autouse=True)
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/kfpkit"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    for name, more in {
        "base": "",
        "tool": 'needs = ["base"]\n[[go]]\nbinaries = { tool = "example/tool" }',
        "other": "",
    }.items():
        (folder / name / "go").mkdir(parents=True)
        (folder / name / "go/go.mod").write_text("module example\n")
        (folder / name / "README.md").write_text("# Text\n")
        (folder / name / "Dockerfile").write_text("FROM scratch\n")
        (folder / name / "image.toml").write_text(TOML.format(name=name, more=more))
    return folder


def digests(images: Path, go_version: str = "go1.26") -> dict[str, str]:
    return cache.digests(recipe.load_all(images), go_version=go_version)


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def test_the_same_inputs_have_the_same_address_wherever_they_lie(
    images: Path, tmp_path: Path
) -> None:
    before = digests(images)
    assert digests(images) == before
    assert digests(images.rename(tmp_path / "moved")) == before


@pytest.mark.parametrize("file", ["Dockerfile", "go/go.mod", "image.toml"])
def test_a_changed_file_changes_the_image_alone(images: Path, file: str) -> None:
    before = digests(images)
    with (images / "tool" / file).open("a") as out:
        out.write("# changed\n")
    after = digests(images)
    assert changed(before, after) == {"tool"}


def test_a_new_file_and_a_changed_mode_count(images: Path) -> None:
    before = digests(images)
    (images / "tool/start.sh").write_text("exit\n")
    added = digests(images)
    assert changed(before, added) == {"tool"}
    (images / "tool/start.sh").chmod(0o755)
    assert changed(added, digests(images)) == {"tool"}


def test_a_base_image_changes_those_that_start_from_it(images: Path) -> None:
    before = digests(images)
    (images / "base/Dockerfile").write_text("FROM scratch\nUSER 1\n")
    assert changed(before, digests(images)) == {"base", "tool"}


def test_another_go_changes_only_what_go_builds(images: Path) -> None:
    assert changed(digests(images), digests(images, "go1.27")) == {"tool"}


def test_text_for_people_does_not_count(images: Path) -> None:
    before = digests(images)
    (images / "tool/README.md").write_text("# Other text\n")
    (images / "tool/__pycache__").mkdir()
    (images / "tool/__pycache__/prepare.pyc").write_bytes(b"x")
    assert digests(images) == before


def entry(digest: str = "abc", size: int = 5) -> Entry:
    return Entry("tool", digest, size, 1.5, ("kfpkit/tool:1",))


def kept(tmp_path: Path, digest: str = "abc") -> Entry:
    written = tmp_path / "image.tar"
    written.write_bytes(b"image")
    cache.keep(entry(digest), written)
    return entry(digest)


def test_a_kept_image_is_found_by_its_address_only(tmp_path: Path) -> None:
    assert cache.find("tool", "abc") is None
    assert kept(tmp_path) == cache.find("tool", "abc")
    assert cache.find("tool", "other") is None


def test_a_part_of_an_image_does_not_count(tmp_path: Path) -> None:
    """Whatever a kill leaves behind: an archive alone, a note alone, a short archive."""
    archive = kept(tmp_path).archive
    note = archive.with_suffix(".json")
    text = note.read_text()
    note.unlink()
    assert cache.find("tool", "abc") is None
    note.write_text(text[:20])
    assert cache.find("tool", "abc") is None
    note.write_text(text)
    archive.write_bytes(b"ima")
    assert cache.find("tool", "abc") is None
    archive.unlink()
    assert cache.find("tool", "abc") is None


def test_only_the_newest_versions_of_an_image_stay(tmp_path: Path) -> None:
    for number in range(cache.KEPT_VERSIONS + 2):
        kept(tmp_path, f"v{number}")
    assert len(list(entry().archive.parent.glob("*.tar"))) == cache.KEPT_VERSIONS
    assert cache.find("tool", f"v{cache.KEPT_VERSIONS + 1}")


def test_a_part_is_removed_alone(tmp_path: Path, cache_home: Path) -> None:
    kept(tmp_path)
    (cache_home / "go/build").mkdir(parents=True)
    cache.clean("go")
    assert cache.chosen() == ["images"]
    with pytest.raises(BadInputError, match=r"no part golang. Its parts: images"):
        cache.clean("golang")
    assert cache.find("tool", "abc")


def test_cleaning_removes_what_was_kept(tmp_path: Path, cache_home: Path) -> None:
    kept(tmp_path)
    assert cache.sizes()["images"] > 0
    cache.clean()
    assert not list(cache_home.rglob("*.tar"))
    assert json.dumps(cache.sizes()) == "{}"
