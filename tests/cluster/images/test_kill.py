"""A build that is killed at each of its steps, and finished by the next call."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import ROOT, version
from kfpkit.images import cache, engine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

#: The smallest image that is compiled.
IMAGE = "pause"
BUILD = [sys.executable, "-m", "kfpkit", "images", "build", IMAGE]


def test_a_build_killed_at_each_step_is_finished_by_the_next(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared = cache.root() / "go"  # Modules and what is compiled: Go's own caches bear a kill.
    shared.mkdir(parents=True, exist_ok=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache.root().mkdir()
    (cache.root() / "go").symlink_to(shared)
    folder = cache.root() / "images" / IMAGE
    for step in (" go build ", " docker build ", "docker save "):
        build = process.start(BUILD, cwd=ROOT, detach=True)
        assert build.stdout
        said = ""
        for line in build.stdout:
            said += line
            if step in line:
                os.killpg(build.pid, signal.SIGKILL)
                break
        build.wait()
        assert build.returncode == -signal.SIGKILL, said
        assert not list(folder.glob("*.json")), "half of an image counts as one"

    done = process.query(BUILD, cwd=ROOT)

    assert f"built {IMAGE}" in done.stderr, done.stderr
    assert [file.suffix for file in sorted(folder.iterdir())] == [".json", ".tar"]
    assert not list((cache.root() / "work").iterdir())
    (entry,) = folder.glob("*.json")
    assert engine.inputs_of(f"registry.k8s.io/{IMAGE}:{version('PAUSE_VERSION')}") == entry.stem
    again = process.query(BUILD, cwd=ROOT)
    assert f"built {IMAGE}" not in again.stderr
