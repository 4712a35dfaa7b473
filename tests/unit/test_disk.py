"""A place that cannot be written, or is full: one clear line, and no traceback."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kfpkit import cli
from kfpkit.core import process
from kfpkit.core.errors import KitError, refusals_of
from kfpkit.core.versions import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


def mounted(folder: Path, options: str) -> Iterator[Path]:
    """Mount an empty file system with these options; skips where this user may not."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if not process.query(words, check=False).ok:
        pytest.skip("mounts a file system, which this user may not")
    yield folder
    process.query(["umount", "--lazy", str(folder)])


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that cannot be written; root writes into any that is not on such a file system."""
    folder = tmp_path / "read only"
    if os.geteuid() == 0:
        yield from mounted(folder, "ro")
    else:
        folder.mkdir()
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A disk that has room for the folder of a run and for nothing else."""
    yield from mounted(tmp_path / "full", "size=8k")


def run(runs: Path) -> process.Result:
    return process.query(
        [sys.executable, "-m", "kfpkit", "run", "penguins"],
        env={"KFPKIT_RUNS": str(runs)},
        check=False,
        timeout=600,
    )


def errors(done: process.Result) -> list[str]:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("error: ")]


def test_a_run_that_cannot_have_a_folder_does_not_start(read_only: Path) -> None:
    done = run(read_only)
    (error,) = errors(done)
    assert f"error: {read_only}/penguins-" in error
    assert "Read-only file system" in error or "Permission denied" in error
    assert "choose another folder: RUNS=folder" in error
    assert "running" not in done.stderr


@pytest.mark.parametrize("link", [False, True], ids=["a file", "a link to nothing"])
def test_a_run_whose_folder_of_runs_is_none_does_not_start(tmp_path: Path, link: bool) -> None:
    runs = tmp_path / "runs"
    if link:
        runs.symlink_to(tmp_path / "nothing")
    else:
        runs.touch()
    (error,) = errors(run(runs))
    assert error == (
        f"error: {runs}: File exists. Move it away: a folder is to be there, "
        "or choose another folder: RUNS=folder."
    )


def test_a_run_on_a_full_disk_names_its_folder(full: Path) -> None:
    (error,) = errors(run(full))
    assert f"error: {full}/penguins-" in error
    assert "No space left on device. Free some room there, or choose another folder" in error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_what_the_system_refuses_is_said_with_its_place(number: int) -> None:
    why = os.strerror(number)
    with (
        pytest.raises(KitError, match=rf"^/a/b: {why}\. .*, or do this\.$"),
        refusals_of(Path("/else"), "do this"),
    ):
        raise OSError(number, "why", "/a/b")
    with pytest.raises(KitError, match=rf"^/else: {why}\."), refusals_of(Path("/else")):
        raise OSError(number, "why")


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(ConnectionRefusedError), refusals_of():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "why")


def test_every_command_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def app() -> None:
        with Path("/dev/full").open("w") as file:
            file.write("x")

    monkeypatch.setattr(cli, "app", app)
    monkeypatch.setattr(cli, "_register_all", lambda: None)
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    said = capfd.readouterr().err
    assert said.startswith("error: a file: No space left on device. Free some room there")
    assert said.count("\n") == 1


def test_set_up_in_a_checkout_that_cannot_be_written(read_only: Path) -> None:
    script = ROOT / "scripts/setup.sh"
    words = [str(script), sys.executable, ".venv", "0"]
    done = process.query(words, cwd=read_only, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: .venv cannot be written. Copy")
    assert "venv module" not in done.stderr


def test_set_up_notices_a_package_that_came_or_went(tmp_path: Path) -> None:
    """With the real Makefile, and a set-up that only counts."""
    for name in ("pyproject.toml", "uv.lock"):
        (tmp_path / name).write_text("")
    (tmp_path / "versions.env").write_text("UV_VERSION=1\n")
    script = tmp_path / "scripts/setup.sh"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\necho set up >> counted\n")
    script.chmod(0o755)
    site = tmp_path / ".venv/lib/python3.11/site-packages"
    site.mkdir(parents=True)

    def runs() -> int:
        process.query(["make", "-f", str(ROOT / "Makefile"), "setup"], cwd=tmp_path)
        return len((tmp_path / "counted").read_text().splitlines())

    assert [runs(), runs()] == [1, 1]
    (site / "other-1.0.dist-info").mkdir()
    later = (tmp_path / ".venv/.synced").stat().st_mtime + 1
    os.utime(site, (later, later))
    assert runs() == 2
