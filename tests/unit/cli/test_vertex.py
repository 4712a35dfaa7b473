"""The command line and targets on Vertex AI, without a request to it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.kfp import pipelines, targets_file
from kfpkit.vertex import client, jobs
from tests.support.vertex.server import targets

if TYPE_CHECKING:
    from pathlib import Path

HELLO = "tests/support/pipelines/hello.py"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "targets.toml"
    path.write_text(targets("http://127.0.0.1:9"), encoding="utf-8")
    return path


def kfpkit(file: Path, *words: str, dry_run: bool = False) -> process.Result:
    return process.query(
        [sys.executable, "-m", "kfpkit", *words, "--target=stand-in", f"--targets={file}"],
        env={"KFPKIT_DRY_RUN": "1" if dry_run else "", "KUBECONFIG": "/dev/null"},
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["run", HELLO, "name=x"],
            "would run hello on Vertex AI, stand-in-project in europe-west4",
        ),
        (["report", "hello-1"], "would follow the run hello-1 of stand-in"),
        (["cancel", "hello-1"], "would end the run hello-1 of stand-in"),
        (["schedule", "set", HELLO, "--every=1h"], "would make the schedule hello on stand-in"),
        (["schedule", "list"], "would list the recurring runs of stand-in"),
        (["schedule", "delete", "x"], "would delete the recurring run x of stand-in"),
    ],
)
def test_a_dry_run_asks_nothing(file: Path, words: list[str], said: str) -> None:
    done = kfpkit(file, *words, dry_run=True)
    assert done.ok, done.stderr
    assert said in done.stderr


def test_a_schedule_knows_no_experiment(file: Path) -> None:
    words = ["schedule", "set", HELLO, "--every=1h"]
    done = kfpkit(file, *words, "--experiment=trials")
    assert done.returncode == 1
    assert done.stderr.startswith("error: EXPERIMENT=trials: Vertex AI's schedules put their runs")
    assert done.stderr.count("\n") == 1
    file.write_text(targets("http://127.0.0.1:9", experiment="trials"), encoding="utf-8")
    done = kfpkit(file, *words, dry_run=True)
    assert done.ok, done.stderr
    said = " ".join(done.stderr.split())
    assert "warning: runs of a schedule are not in the experiment trials of [stand-in]" in said


@pytest.mark.parametrize("command", ["install", "doctor", "upload", "backup", "prune", "ui"])
def test_a_command_that_needs_an_installation_says_so(file: Path, command: str) -> None:
    words = [command, *{"upload": [HELLO], "prune": ["--older-than=1d"]}.get(command, [])]
    done = kfpkit(file, *words)
    assert done.returncode == 1
    assert "error: the target stand-in is on Vertex AI, and this needs an installation of KFP" in (
        done.stderr
    )


@pytest.mark.parametrize("word", ["--context=c", "--host=http://h"])
def test_what_belongs_to_a_cluster_is_refused(file: Path, word: str) -> None:
    done = kfpkit(file, "run", HELLO, word)
    assert done.returncode == 1
    assert "is on Vertex AI, and" in done.stderr
    assert "is of a cluster" in done.stderr


def test_a_wrong_parameter_and_a_second_document_are_refused_before(file: Path) -> None:
    wrong = kfpkit(file, "run", HELLO, "nam=x")
    assert "the pipeline has no parameter 'nam'" in wrong.stderr
    two = kfpkit(file, "run", "penguins_push", "--no-lint")
    assert two.returncode == 1
    assert "has settings for Kubernetes, which Vertex AI takes none of (" in two.stderr


def test_a_second_document_is_said_with_what_is_in_it() -> None:
    found = pipelines.find("penguins_push")
    with pytest.raises(KitError) as refused:
        jobs.require_one_document(found)
    for name, fields in found.kubernetes.items():
        assert f"{name}: {', '.join(fields)}" in refused.value.what


def test_without_googles_client_one_line_says_what_to_install(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = targets_file.vertex("stand-in", file)
    assert target
    monkeypatch.setitem(sys.modules, "google.cloud.aiplatform", None)
    with pytest.raises(KitError, match=r"uv tool install 'kfpkit\[vertex\]'"):
        client.connect(target)


def test_no_other_target_imports_googles_client() -> None:
    program = (
        "import sys\n"
        "import kfpkit.cli.run, kfpkit.cli.run_cluster, kfpkit.cli.run_local, kfpkit.cli.schedule\n"
        "import kfpkit.cli.cancel\n"
        "bad = [name for name in sys.modules if name.startswith('google.cloud.')]\n"
        "sys.exit(' '.join(bad) or 0)\n"
    )
    done = process.query([sys.executable, "-c", program], check=False, timeout=300)
    assert done.ok, done.stderr
