"""The versions file: strict to read, and nothing in it that nobody uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process, versions
from kfpkit.core.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def versions_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(versions, "VERSIONS_FILE", tmp_path / "versions.env")
    versions.versions.cache_clear()
    yield versions.VERSIONS_FILE
    versions.versions.cache_clear()


def test_pins_are_read_and_comments_skipped(versions_file: Path) -> None:
    versions_file.write_text("# a comment\n\nTOOL_VERSION=1.2.3\n")
    assert versions.versions() == {"TOOL_VERSION": "1.2.3"}


@pytest.mark.parametrize("text", ["tool=1\n", "A=1 2\n", "A=\n", "A=1\nA=2\n"])
def test_a_bad_line_is_named(versions_file: Path, text: str) -> None:
    versions_file.write_text(text)
    with pytest.raises(KitError, match=r"versions\.env line \d"):
        versions.versions()


def test_an_unknown_pin_is_named(versions_file: Path) -> None:
    versions_file.write_text("A=1\n")
    with pytest.raises(KitError, match=r"versions\.env has no B"):
        versions.version("B")


def test_every_pin_is_used_somewhere() -> None:
    """A pin that nothing reads is a version written for nobody."""
    written = [":!versions.env", ":(exclude,glob)**/versions.py"]
    for name in [*versions.versions(), *versions.TAGS]:
        found = process.query(
            ["git", "grep", "--untracked", "-l", "-w", name, "--", *written],
            cwd=versions.ROOT,
            check=False,
        )
        assert found.ok, f"{name} is used nowhere"


def test_a_pin_that_kubectl_reads_is_the_tag_of_the_image_in_the_manifests() -> None:
    text = (versions.ROOT / "manifests/cluster/metrics-server/kustomization.yaml").read_text()
    assert f"newTag: {versions.version('METRICS_SERVER_VERSION')}\n" in text
    # Through the components of an overlay, and theirs.
    text = (versions.ROOT / "manifests/images/packages/names/kustomization.yaml").read_text()
    assert f'newTag: "{versions.version("ENVOY_VERSION")}"\n' in text


def test_no_version_is_written_in_both_places() -> None:
    assert not versions.versions().keys() & versions.TAGS.keys()
