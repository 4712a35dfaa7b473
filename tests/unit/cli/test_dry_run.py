"""A dry run of each command on a machine that has no kubectl: nothing is downloaded for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.cluster import tools
from kfpkit.core.errors import BadInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WHERE = ("--overlay", "kind-packages", "--context", "nowhere")
RUN = "75bcb71e-988b-4abe-b717-7853df053472"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine without programs, a cache, or the right to download and build."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("_download", "_build"):
        monkeypatch.setattr(tools, name, lambda *_: pytest.fail("it got a program"))
    tools.kubectl.cache_clear()
    yield
    tools.kubectl.cache_clear()
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["install"], "kubectl --context nowhere create namespace kubeflow"),
        (["install"], "kubectl --context nowhere apply --server-side"),
        (["uninstall"], "kubectl --context nowhere delete"),
        (["ui"], "kubectl --context nowhere --namespace kubeflow port-forward"),
        (["upload"], "would upload penguins"),
        (["run", "penguins"], "would create the run penguins-"),
        (["schedule", "list"], "would list the recurring runs"),
        (["report", RUN], "would follow the run"),
        (["cancel", RUN], "would end the run"),
        (["support-bundle"], "would collect"),
        (["inventory"], "would write"),
    ],
)
def test_what_would_be_done_is_said_with_the_name_of_kubectl(words: list[str], said: str) -> None:
    done = CliRunner().invoke(cli.app, ["--dry-run", *words, *WHERE])
    assert done.exit_code == 0, done.exception
    assert said in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["diff"],
        ["uninstall", "--delete-data"],
        ["explain", RUN],
        ["upgrade"],
        ["rollback"],
        ["backup"],
        ["backup-resume"],
        ["restore"],
        ["rotate-secrets"],
        ["prune", "--older-than", "3d"],
    ],
)
def test_what_has_to_read_the_cluster_says_so(words: list[str]) -> None:
    done = CliRunner().invoke(cli.app, ["--dry-run", *words, *WHERE])
    assert isinstance(done.exception, BadInputError)
    assert "there is no kubectl for it" in str(done.exception)


def test_the_program_of_the_cluster_is_not_got_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    assert tools.kind() == "kind"
