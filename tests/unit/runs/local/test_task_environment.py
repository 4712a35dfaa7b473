"""Environments of tasks, made from a package index on this machine: no network."""

from __future__ import annotations

import json
import re
import socket
import sys
import sysconfig
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.images import cache
from kfpkit.runs.local import task_environment
from tests.support.wheels import installed_wheel, make_wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON_IMAGE = "docker.io/library/python:3.11"
OTHER_IMAGE = "localhost:5000/python-and-more:1"

#: What kfp's compiler writes before the packages.
QUIET = ("--quiet", "--no-warn-script-location")


class _Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an index that has kfp, `tiny`, and another version of what the kit has."""
    root = tmp_path_factory.mktemp("index")
    made = {
        "tiny": ("1.0", "2.0"),
        "typer": ("99.0",),
        # What uv puts into an environment of Python 3.11.
        "pip": ("1.0",),
        "setuptools": ("1.0",),
        "wheel": ("1.0",),
    }
    for name, versions in made.items():
        (root / "simple" / name).mkdir(parents=True)
        for one in versions:
            make_wheel(root / "simple" / name, name, one)
    (root / "simple/kfp").mkdir()
    installed_wheel(root / "simple/kfp", "kfp")
    (root / "other/far").mkdir(parents=True)
    make_wheel(root / "other/far", "far", "3.0")
    (root / "simple/needy").mkdir()
    make_wheel(root / "simple/needy", "needy", "1.0", requires="tiny<2")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Silent, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache's"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", index)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


def made(*installs: tuple[str, ...], image: str = PYTHON_IMAGE) -> tuple[Path, list[str]]:
    """Return the Python for a task, and what was said while its environment was made."""
    lines: list[str] = []
    python = task_environment.python_for(image, [(*QUIET, *i) for i in installs], lines.append)
    return python, lines


def tried(python: Path, code: str) -> str:
    return process.query([str(python), "-c", code]).stdout.strip()


def kits_own() -> dict[str, float]:
    """Return each file of the kit's own packages with the time of its last change."""
    site = Path(sysconfig.get_path("purelib"))
    return {
        str(path): path.stat().st_mtime
        for path in site.rglob("*")
        if "__pycache__" not in path.parts
    }


KFP = (f"kfp=={version('kfp')}", "--no-deps", 'typing-extensions>=3.7.4,<5; python_version<"3.9"')


def test_a_task_without_packages_runs_in_the_kits_environment() -> None:
    for image in (PYTHON_IMAGE, OTHER_IMAGE, ""):
        assert made(image=image) == (Path(sys.executable), [])
        assert made(KFP, image=image) == (Path(sys.executable), [])
    assert not cache.root().exists()


def test_another_kfp_than_the_kits_is_a_package_too() -> None:
    assert "kfp==2.7.0" in refusal("kfp==2.7.0", *KFP[1:])
    python, _ = made((KFP[0], "--no-deps", "tiny"), image=OTHER_IMAGE)
    assert python != Path(sys.executable)


def test_on_the_python_image_a_task_has_its_packages_and_kfp_alone() -> None:
    before = kits_own()
    python, lines = made(("tiny==1.0",), KFP)
    assert lines == [f"making a Python environment with kfp=={version('kfp')}, tiny==1.0"]
    assert tried(python, "import tiny; print(tiny.__version__)") == "1.0"
    code = "import kfp, sys; from kfp.dsl import executor_main; print(kfp.__version__, sys.prefix)"
    env = {"_KFP_RUNTIME": "true"}
    seen = process.query([str(python), "-c", code], env=env).stdout.strip()
    assert seen == f"{version('kfp')} {python.parent.parent}"
    assert not process.query([str(python), "-c", "import typer"], check=False).ok
    assert kits_own() == before


def test_on_another_image_the_kits_packages_are_below() -> None:
    before = kits_own()
    python, _ = made(("typer", "tiny"), image=OTHER_IMAGE)
    code = "import typer, rich, kfp, components; print(typer.__version__, kfp.__version__)"
    assert tried(python, code) == f"99.0 {version('kfp')}"
    assert kits_own() == before
    assert version("typer") != "99.0"


def test_an_environment_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, lines = made(("tiny", "needy"))
    assert lines
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    assert made(("needy", "tiny")) == (first, [])
    assert made(("needy", "tiny"), KFP) == (first, [])
    with pytest.raises(KitError):
        made(("tiny<2",))


def test_two_tasks_at_once_make_it_once() -> None:
    results: list[tuple[Path, list[str]]] = []
    threads = [
        threading.Thread(target=lambda: results.append(made(("tiny",), image=OTHER_IMAGE)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({python for python, _ in results}) == 1
    assert sorted(bool(lines) for _, lines in results) == [False, False, True]


def test_what_a_killed_set_up_left_is_made_anew() -> None:
    packages = ("tiny==1.0",)
    python, _ = made(packages, image=OTHER_IMAGE)
    folder = python.parent.parent
    folder.rename(folder.with_suffix(".part"))
    next(folder.with_suffix(".part").glob("lib/*/site-packages/tiny.py")).unlink()
    assert made(packages, image=OTHER_IMAGE)[0] == python
    assert tried(python, "import tiny; print(tiny.__version__)") == "1.0"
    assert not folder.with_suffix(".part").exists()
    # The Python that it was made with is gone.
    python.unlink()
    python.symlink_to("/no/such/python")
    assert made(packages, image=OTHER_IMAGE)[1]
    assert tried(python, "print(1)") == "1"


def test_the_indexes_of_the_component_are_asked(index: str) -> None:
    other = index.replace("simple", "other")
    trusted = ("--trusted-host", other, "--trusted-host", "example.org")
    words = ("--index-url", other, "--extra-index-url", index, *trusted)
    python, _ = made((*words, "far", "tiny"), KFP)
    assert tried(python, "import far, tiny; print(far.__version__)") == "3.0"
    assert "far was not found" in refusal("far")
    # The user's own is not asked where the component names one.
    assert "tiny was not found" in refusal("--index-url", other, "tiny")
    arguments = task_environment._arguments([*words, "tiny"])
    hosts = [word for word in arguments if word.startswith("--allow-insecure-host")]
    assert hosts == [
        f"--allow-insecure-host={other.split('/')[2]}",
        "--allow-insecure-host=example.org",
    ]


@pytest.mark.parametrize(
    "requirement",
    ["tiny ; python_version > '3.0'", 'tiny[x] >= 1.0, < 2 ; python_version > "3.0"', "Tiny"],
)
def test_requirements_are_read_as_pip_reads_them(requirement: str) -> None:
    python, _ = made((requirement, "no-such ; python_version < '3.0'"), image=OTHER_IMAGE)
    assert tried(python, "import tiny; print(tiny.__version__)") in ("1.0", "2.0")


def refusal(*packages: str) -> str:
    with pytest.raises(KitError) as caught:
        made(packages, image=OTHER_IMAGE)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_packages_that_cannot_be_installed_are_named_with_the_reason() -> None:
    said = refusal("no-such-package")
    assert said.startswith("no-such-package cannot be installed for the task: No solution found")
    assert "not found in the package registry" in said
    said = refusal("needy", "tiny==2.0")
    assert re.match(r"needy, tiny==2.0 cannot be .*needy depend on tiny<2", said)
    assert "Failed to parse: `ti ny`" in refusal("ti ny")
    folders = [path for path in (cache.root() / task_environment.PART).iterdir() if path.is_dir()]
    assert {path.suffix for path in folders} == {".part"}


def test_an_index_that_does_not_answer_is_said() -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        said = refusal("--index-url", f"http://user:s3cret@127.0.0.1:{port}/simple", "tiny")
    assert said.startswith("tiny cannot be installed for the task: ")
    assert f"127.0.0.1:{port}" in said
    assert "s3cret" not in said


def test_credentials_of_a_package_are_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    words = ["git+http://t0ken@127.0.0.1:1/x/y"]
    with pytest.raises(KitError) as caught:
        task_environment.python_for(OTHER_IMAGE, [words], lines.append)
    assert "git+http://***@127.0.0.1:1/x/y cannot be installed" in str(caught.value)
    assert "t0ken" not in json.dumps([str(caught.value), lines, *capfd.readouterr()])


@pytest.mark.parametrize("word", ["--find-links=/x", "-r", "--target=/x", "./tiny.whl", "/x/tiny"])
def test_options_and_paths_are_refused(word: str) -> None:
    with pytest.raises(BadInputError, match=f"packages_to_install has the .* {re.escape(word)}, "):
        made((word,))
    assert not cache.root().exists()


def test_credentials_of_a_refused_option_are_not_shown() -> None:
    with pytest.raises(BadInputError) as caught:
        made(("--find-links=https://user:s3cret@host/x",))
    assert "--find-links=https://***@host/x" in str(caught.value)


def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(KitError, match=r"the environment of the task cannot be made in .*file"):
        made(("tiny",))
