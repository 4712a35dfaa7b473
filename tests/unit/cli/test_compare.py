"""`kfpkit compare` and `kfpkit agree` as a person calls them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.cli import compare as command
from kfpkit.cli import ending
from kfpkit.cli.options import Where
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp.run import Run, State

if TYPE_CHECKING:
    from pathlib import Path

ID = "41086711-58ed-49d3-8772-e67c175f0ad9"


@pytest.fixture
def runs(run: Run, tmp_path: Path) -> Path:
    """A folder of runs with two that agree, `a one` and `b`, and one that does not, `c`."""
    runs = tmp_path / "runs"
    for name in ("a one", "b", "c"):
        (runs / name).mkdir(parents=True)
        run.save(runs / name)
    text = (runs / "c/run.json").read_text()
    (runs / "c/run.json").write_text(text.replace("0.98551", "0.98552"))
    return runs


def kit(*words: object) -> Any:
    return CliRunner().invoke(cli.app, [str(word) for word in words])


def test_runs_that_agree_end_well_and_leave_a_page(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "deep/page.html"
    done = kit("compare", runs / "a one", runs / "b/run.json", "--output", page)
    assert done.exit_code == 0, done.exception
    assert "A and B agree:" in done.stdout
    assert f"page: {page}" in done.stdout
    assert "<!doctype html>" in page.read_text()


def test_a_difference_is_exit_code_1(runs: Path) -> None:
    done = kit("compare", "--runs", runs, "b", "c")
    assert done.exit_code == 1
    assert "A and B differ: 1 metric" in done.stdout
    assert len(list(runs.glob("compare-*.html"))) == 1
    assert kit("compare", "--runs", runs, "b", "c", "--tolerance", "0.001").exit_code == 0


def test_json_is_all_of_standard_output(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = kit("compare", "--runs", runs, "--json", "b", "c", "--output", page)
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["agree"] is False
    (row,) = [row for row in found["sections"]["metrics"] if row["differs"]]
    assert row == {
        "task": "evaluate",
        "name": "accuracy",
        "differs": True,
        "more": 0,
        "values": {"A": 0.98551, "B": 0.98552},
    }


def test_make_hands_on_all_runs_as_one_word(runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = kit("compare", "--runs", runs, "--output", page, "'a one' local:b c")
    assert "A, B and C differ" in done.stdout


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "0 runs are named. Name two or more"),
        (["b"], "1 run is named. Name two or more"),
        (["b", "nothing"], "there is no run nothing. Name a folder of"),
        (["b", ""], "there is no run ''"),
        (["b", "local:none"], "there is no run local:none"),
        (["b", "x" * 300], "there is no run xxx"),
        (["b", "b"], "the run b is named twice"),
        (["b", "b/run.json"], "the run b/run.json is named twice"),
        (["b", "c", "--tolerance", "nan"], "TOLERANCE=nan is none"),
        (["b", "kind:nothing", "--tolerance", "2"], "TOLERANCE=2.0 is none"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_done(
    runs: Path, words: list[str], what: str
) -> None:
    done = kit("compare", "--runs", runs, *words)
    assert isinstance(done.exception, BadInputError)
    assert what in str(done.exception)
    assert not list(runs.glob("*.html"))


def test_a_dry_run_reads_nothing_and_writes_nothing(runs: Path) -> None:
    done = kit("--dry-run", "compare", "--runs", runs, "b", f"kind:{ID}")
    assert done.exit_code == 0
    assert f"would compare b, kind:{ID} and write" in done.stderr
    assert not list(runs.glob("*.html"))


@pytest.mark.parametrize(
    ("word", "target", "expected"),
    [
        (ID, "kind", ("kind", ID)),
        (ID, "prod", ("prod", ID)),
        (f"prod:{ID}", "kind", ("prod", ID)),
        ("vertex:penguins-2026", "kind", ("vertex", "penguins-2026")),
        ("penguins-2026", "vertex", ("vertex", "penguins-2026")),
        ("../deploy/prod:1", "kind", ("../deploy/prod", "1")),
    ],
)
def test_a_run_of_a_target_is_named_by_both(
    tmp_path: Path, word: str, target: str, expected: tuple[str, str]
) -> None:
    place = command._place(word, Where(target), tmp_path)
    assert isinstance(place, tuple)
    assert (place[0].target, place[1]) == expected


def test_a_folder_comes_before_a_target_of_its_name(runs: Path, tmp_path: Path) -> None:
    (runs / "b").rename(runs / "kind:1")
    assert command._place("kind:1", Where("kind"), runs) == runs / "kind:1"
    assert command._place(str(runs / "c/run.json"), Where("kind"), tmp_path) == runs / "c"


KINDS = {"local": "local", "vertex-prod": "vertex"}


class Targets:
    """Takes the place of `kfpkit run`: notes what it is given, and leaves a run."""

    def __init__(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[dict[str, Any]] = []
        self.files: list[bytes] = []
        self.failing: set[str] = set()
        self._run = run
        run.state = State.SUCCEEDED
        monkeypatch.setattr("kfpkit.cli.run.run", self)
        self.prefix = ""
        monkeypatch.setattr(command, "_kind", self._kind)

    def _kind(self, where: Where) -> tuple[str, str]:
        return KINDS.get(where.target, "kfp@2.17.0"), self.prefix

    def __call__(self, **given: Any) -> None:
        from pathlib import Path

        self.given.append(given)
        self.files.append(Path(given["pipeline"]).read_bytes())
        if given["target"] == "unreachable":
            raise KitError("the cluster does not answer")
        folder = given["runs"] / f"penguins-{len(self.given)}"
        folder.mkdir()
        self._run.target = given["target"]
        self._run.state = State.FAILED if given["target"] in self.failing else State.SUCCEEDED
        ending.report(self._run, folder)
        if self._run.state is State.FAILED:
            raise KitError("task x failed")


@pytest.fixture
def targets(run: Run, monkeypatch: pytest.MonkeyPatch) -> Targets:
    return Targets(run, monkeypatch)


def test_each_target_gets_the_same_file_and_parameters(targets: Targets, tmp_path: Path) -> None:
    done = kit("agree", "penguins", "seed=7", "--on", "local, kind,local", "--runs", tmp_path)
    assert done.exit_code == 0, done.exception
    assert "A, B and C agree" in done.stdout
    assert [given["target"] for given in targets.given] == ["local", "kind", "local"]
    assert len(set(targets.files)) == 1
    assert b"name: penguins" in targets.files[0]
    assert {given["cache"] for given in targets.given} == {False}
    assert {tuple(given["arguments"]) for given in targets.given} == {("seed=7",)}
    (folder,) = tmp_path.iterdir()
    assert (folder / "compare.html").exists()
    note = "Each ran penguins.yaml, SHA-256 "
    assert note in " ".join(done.stdout.split())


def test_the_image_is_linted_where_the_targets_have_it(targets: Targets, tmp_path: Path) -> None:
    words = ("agree", "penguins", "--on", "vertex-prod,vertex-prod", "--runs", tmp_path)
    assert "may not work on vertex" in kit(*words).stderr
    targets.prefix = "r.example/images"
    assert "may not work on vertex" not in kit(*words).stderr


@pytest.mark.usefixtures("targets")
def test_json_is_all_that_agree_prints(tmp_path: Path) -> None:
    done = kit("agree", "penguins", "--on", "local,kind", "--json", "--runs", tmp_path)
    assert done.exit_code == 0, done.exception
    assert json.loads(done.stdout)["agree"] is True
    assert done.stderr.count("report: ") == 2
    assert "metric" in done.stderr


def test_a_pipeline_that_would_not_run_on_one_of_the_targets_runs_on_none(
    targets: Targets, tmp_path: Path
) -> None:
    file = tmp_path / "pipeline.py"
    file.write_text(
        "from kfp import dsl, kubernetes\n"
        "@dsl.component\ndef work() -> None:\n    pass\n"
        "@dsl.pipeline\ndef p() -> None:\n"
        "    kubernetes.use_secret_as_env(work(), 's', {'a': 'A'})\n"
    )
    done = kit("agree", file, "--on", "local,vertex-prod", "--runs", tmp_path / "runs")
    assert "would not run on vertex" in str(done.exception)
    assert targets.given == []
    done = kit("agree", file, "--on", "local,vertex-prod", "--runs", tmp_path / "runs", "--no-lint")
    assert done.exit_code == 0, done.exception


def test_runs_that_fail_alike_do_not_end_well(targets: Targets, tmp_path: Path) -> None:
    targets.failing = {"local", "kind"}
    done = kit("agree", "penguins", "--runs", tmp_path)
    assert done.exit_code == 1
    assert "A and B agree" in done.stdout
    assert "error: on kind: task x failed" in done.stderr


def test_a_run_that_fails_on_one_target_is_compared(targets: Targets, tmp_path: Path) -> None:
    targets.failing = {"local"}
    done = kit("agree", "penguins", "--runs", tmp_path)
    assert done.exit_code == 1
    assert "A and B differ: 1 state" in done.stdout


def test_a_target_without_a_run_ends_it(targets: Targets, tmp_path: Path) -> None:
    done = kit("agree", "penguins", "--on", "local,unreachable", "--runs", tmp_path)
    assert "the cluster does not answer" in str(done.exception)
    assert len(targets.given) == 2


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--on", "local"], "ON=local names no two targets"),
        (["--on", "local,,kind"], "names no two targets"),
        (["--on", ""], "ON= names no two targets"),
        (["nothing"], "there is no pipeline nothing"),
        (["penguins", "seed=x"], "parameter 'seed' takes an integer"),
        (["--tolerance", "1"], "TOLERANCE=1.0 is none"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_runs(
    targets: Targets, tmp_path: Path, words: list[str], what: str
) -> None:
    done = kit("agree", "--runs", tmp_path, *words)
    assert isinstance(done.exception, BadInputError)
    assert what in str(done.exception)
    assert targets.given == []
    assert not list(tmp_path.iterdir())


def test_an_unknown_target_is_refused_before_the_first_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = command._kind
    targets = Targets(run, monkeypatch)
    monkeypatch.setattr(command, "_kind", real)
    done = kit("agree", "--on", "local,moon", "--runs", tmp_path)
    assert "there is no target 'moon'" in str(done.exception)
    assert targets.given == []
    shutil.rmtree(tmp_path)
