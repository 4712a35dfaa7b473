"""A skeleton of each form: linted, tested and run as its reader would; or nothing is written."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from typer.testing import CliRunner

from components.image import DEFAULT
from kfpkit import cli
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.versions import ROOT
from kfpkit.kfp import pipelines
from kfpkit.new import skeletons

if TYPE_CHECKING:
    from collections.abc import Callable

ALL = [(kind, form) for kind in ("pipeline", "component") for form in skeletons.FORMS]

#: The longest name: nothing may be cut off or clash where it is used.
LONG = "a" * skeletons.LONGEST


def name_of(kind: str, form: str) -> str:
    return f"churn_{kind}_{form}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each, side by side in a folder with blanks and letters that are not of ASCII."""
    folder = tmp_path_factory.mktemp("meine Übung 日本")
    for kind, form in ALL:
        skeletons.write(kind, form, name_of(kind, form), folder)
    skeletons.write("pipeline", "yaml", LONG, folder)
    skeletons.write("component", "python", LONG[:-1], folder)
    return folder


def run(*words: str, at: Path) -> process.Result:
    return process.query([sys.executable, "-m", *words], cwd=at, check=False, timeout=300)


def test_their_own_tests_pass_in_one_go(folder: Path) -> None:
    done = run("pytest", "-q", "-p", "no:cacheprovider", at=folder)
    assert done.ok, done.stdout
    assert f"{6 + 6 + 3 + 3 + 6 + 3} passed" in done.stdout


def test_their_tests_fail_where_the_code_is_wrong(tmp_path: Path) -> None:
    skeletons.write("pipeline", "python", "churn", tmp_path)
    skeletons.write("component", "yaml", "words", tmp_path)
    for file, right, wrong in (
        ("churn/churn_steps.py", "2 * x + 1", "3 * x + 1"),
        ("words/component.yaml", "words.total()", "len(words)"),
        ("churn/pipeline.py", "seed=seed)", "seed=rows)\n    make_data(rows=1, seed=1)"),
    ):
        text = (tmp_path / file).read_text()
        assert right in text
        (tmp_path / file).write_text(text.replace(right, wrong))
    done = run("pytest", "-q", "-p", "no:cacheprovider", at=tmp_path)
    assert "3 failed" in done.stdout, done.stdout


def test_ruff_finds_nothing_with_settings_of_its_own(folder: Path) -> None:
    done = run("ruff", "check", "--isolated", "--no-cache", at=folder)
    assert done.ok, done.stdout
    names = [name_of(*each) for each in ALL]  # the long ones make long lines
    done = run("ruff", "format", "--check", "--diff", "--isolated", "--no-cache", *names, at=folder)
    assert done.ok, done.stdout


@pytest.mark.parametrize("length", [88, 100])
def test_the_skeletons_themselves_are_formatted_for_either_width(length: int) -> None:
    place = ROOT / "kfpkit/new/skeleton"
    done = run("ruff", "format", "--check", f"--line-length={length}", str(place), at=ROOT)
    assert done.ok, done.stdout


@pytest.mark.parametrize("kind", ["pipeline", "component"])
def test_the_programs_inside_yaml_are_formatted(kind: str) -> None:
    for file in (ROOT / f"kfpkit/new/skeleton/{kind}_yaml").glob("*.yaml"):
        program = yaml.safe_load(file.read_text())["implementation"]["container"]["command"][2]
        argv = [sys.executable, "-m", "ruff", "format", "--check", "--isolated", "-"]
        assert process.query(argv, stdin=program, check=False).ok, file
        argv = [sys.executable, "-m", "ruff", "check", "--isolated", "-"]
        assert process.query(argv, stdin=program, check=False).ok, file


@pytest.mark.parametrize(("kind", "form"), ALL)
def test_it_is_found_and_named_as_kfp_wants(folder: Path, kind: str, form: str) -> None:
    name = name_of(kind, form)
    found = pipelines.find(str(folder / name / "pipeline.py"))
    assert found.name == name.replace("_", "-")
    assert found.platform == {}
    executors = found.spec["deploymentSpec"]["executors"].values()
    assert {one["container"]["image"] for one in executors} == {DEFAULT}
    assert "pip install" not in found.text()


@pytest.mark.parametrize(("kind", "form"), ALL)
def test_it_compiles_to_the_same_bytes_each_time(folder: Path, kind: str, form: str) -> None:
    place = str(folder / name_of(kind, form) / "pipeline.py")
    assert pipelines.find(place).text() == pipelines.find(place).text()


@pytest.mark.parametrize("target", ["local", "kfp@2.14.3", "kfp@2.17.0"])
def test_lint_finds_nothing(folder: Path, target: str) -> None:
    files = [str(folder / name_of(*each) / "pipeline.py") for each in ALL]
    done = CliRunner().invoke(cli.app, ["lint", *files, "--target", target])
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output, done.output


@pytest.mark.parametrize(
    ("kind", "arguments", "metrics"),
    [
        ("pipeline", ["rows=50"], "mean_absolute_error"),
        ("component", ["text=日本 x 日本"], "different_words"),
    ],
)
def test_it_runs_on_this_machine(
    folder: Path, tmp_path: Path, kind: str, arguments: list[str], metrics: str
) -> None:
    place = str(folder / name_of(kind, "python") / "pipeline.py")
    words = ["run", place, *arguments, "--runs", str(tmp_path)]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, (done.output, done.exception)
    assert metrics in done.output


def test_every_command_of_a_readme_names_what_is_there(folder: Path) -> None:
    for kind, form in ALL:
        name = name_of(kind, form)
        text = (folder / name / "README.md").read_text()
        assert f"kfpkit run {name}/pipeline.py" in text
        assert "my_name" not in text
        assert "my-name" not in text
        assert "KFP_VERSION" not in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "'' is no name"),
        ("churn-model", "as in churn_model"),
        ("Churn Model", "as in churn_model"),
        ("Überlauf", "as in uberlauf"),
        ("日本", "as in churn_model"),
        ("1st", "is no name"),
        ("_churn", "as in churn"),
        ("churn_", "as in churn"),
        ("a__b", "as in a_b"),
        ("../churn", "is no name"),
        ("/tmp/churn", "is no name"),  # noqa: S108 - a name
        ("churn/model", "is no name"),
        ("churn.py", "is no name"),
        ("..", "is no name"),
        ("churn\n", "is no name"),
        ("--help", "is no name"),
        ('x"; import os', "is no name"),
        ("x\u0441hurn", "is no name"),  # a Cyrillic letter that looks like c
        ("a" * 64, "64 characters"),
        ("class", "a word of Python"),
        ("match", "a word of Python"),
        ("list", "a word of Python"),
        ("json", "a module of Python"),
        ("antigravity", "a module of Python"),
        ("kfp", "a module of Python"),
        ("kfpkit", "a module of Python"),
        ("components", "a module of Python"),
        ("dsl", "the skeleton uses"),
    ],
)
def test_a_name_that_something_trips_over_is_refused(tmp_path: Path, name: str, said: str) -> None:
    for kind, form in ALL:
        with pytest.raises(BadInputError) as refused:
            skeletons.write(kind, form, name, tmp_path)
        assert said in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows", "data", "train", "make_data", "metrics"])
def test_a_name_of_the_pipeline_inside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="the skeleton uses"):
        skeletons.write("pipeline", "python", name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["my_name", "my_image", "test_it", "conftest", "words", "component", "pipeline"]
)
def test_a_name_that_only_looks_odd_is_taken(tmp_path: Path, name: str) -> None:
    for kind, form in ALL:
        place = tmp_path / f"{kind}-{form}"
        place.mkdir()
        skeletons.write(kind, form, name, place)
        assert pipelines.find(str(place / name / "pipeline.py")).name == name.replace("_", "-")
        assert not any("{" in file.name for file in (place / name).iterdir())


def file(place: Path) -> None:
    place.write_text("mine")


def dangling(place: Path) -> None:
    place.symlink_to("nowhere")


@pytest.mark.parametrize("make", [Path.mkdir, file, dangling])
def test_what_is_there_stays_as_it_is(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "churn")
    before = os.lstat(tmp_path / "churn")
    with pytest.raises(BadInputError, match="is there already"):
        skeletons.write("pipeline", "python", "churn", tmp_path)
    after = os.lstat(tmp_path / "churn")
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert [each.name for each in tmp_path.iterdir()] == ["churn"]


def test_a_full_disk_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_text
    written: list[Path] = []

    def write(self: Path, text: str, encoding: str) -> int:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        written.append(self)
        return real(self, text, encoding=encoding)

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(KitError, match="No space left"):
        skeletons.write("pipeline", "python", "churn", tmp_path)
    assert len(written) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["missing", "file"])
def test_a_folder_that_is_none_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="there is no folder"):
        skeletons.write("pipeline", "python", "churn", tmp_path / place)


def test_another_may_read_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (made, *_) = skeletons.write("pipeline", "python", "churn", tmp_path)
    assert made.parent.stat().st_mode == (tmp_path / "made").stat().st_mode


def test_an_image_of_ones_own_gets_kfp_when_it_runs(tmp_path: Path) -> None:
    image = "registry.example:5000/team/python:3.12-slim"
    skeletons.write("pipeline", "python", "churn", tmp_path, image)
    skeletons.write("component", "yaml", "words", tmp_path, image)
    texts = [
        pipelines.find(str(tmp_path / name / "pipeline.py")).text() for name in ("churn", "words")
    ]
    assert all(f"image: {image}\n" in text and DEFAULT not in text for text in texts)
    assert ["'kfp==" in text for text in texts] == [True, False]
    mirrored = f"registry.example/kfp/{DEFAULT}"
    skeletons.write("pipeline", "python", "mirrored", tmp_path, mirrored)
    text = pipelines.find(str(tmp_path / "mirrored/pipeline.py")).text()
    assert f"image: {mirrored}\n" in text
    assert "'kfp==" not in text


@pytest.mark.parametrize(
    "image",
    [
        "python",
        "python:latest",
        "host:5000/python",
        'x:1"\nimport os',
        "x:1 ",
        "X:1",
        "x:1\n",
        ":1",
    ],
)
def test_an_image_without_a_tag_that_stays_is_refused(tmp_path: Path, image: str) -> None:
    with pytest.raises(BadInputError, match="no image with a tag"):
        skeletons.write("pipeline", "python", "churn", tmp_path, image)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["--dry-run", "new", "component", "words"])
    assert "would write words/component.py" in done.stderr
    assert list(tmp_path.iterdir()) == []
    done = CliRunner().invoke(cli.app, ["new", "component", "words", "--form", "yaml"])
    assert done.exit_code == 0
    assert "kfpkit run words/pipeline.py" in done.stderr
    assert (tmp_path / "words/component.yaml").is_file()
    done = CliRunner().invoke(cli.app, ["new", "pipeline", "churn", "--form", "jsonnet"])
    assert "there is no form 'jsonnet'. Forms: python, yaml" in str(done.exception)
