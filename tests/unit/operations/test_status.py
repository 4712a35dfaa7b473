"""What `make status` says of the parts."""

from __future__ import annotations

import pytest
import typer

from kfpkit.cli import install
from kfpkit.kfp import target
from kfpkit.kfp.target import Target
from kfpkit.kube import render
from kfpkit.kube.health import Part
from kfpkit.operations import installation as lifecycle

TARGET = Target("kind-packages", "nowhere", "kubectl")


def parts(**pods: int) -> list[Part]:
    """Return the parts of the overlay, each ready, with other numbers of pods for some."""
    counts = {name.replace("_", "-"): count for name, count in pods.items()}
    found = []
    for item in render.workloads(TARGET.documents):
        name = item["metadata"]["name"]
        count = counts.get(name, 1)
        found.append(Part(name, item["kind"], count, count, True, 0, ("i:1",), "ready"))
    return found


def test_a_part_that_something_has_stopped_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(target, "choose", lambda *_, **__: TARGET)
    monkeypatch.setattr(lifecycle, "parts", lambda _: parts())
    install.status()
    assert "stopped" not in capsys.readouterr().out
    monkeypatch.setattr(lifecycle, "parts", lambda _: parts(ml_pipeline=0, metadata_grpc=0))
    with pytest.raises(typer.Exit):
        install.status()
    said = capsys.readouterr()
    rows = {row.split()[0]: row.split()[3] for row in said.out.splitlines()[1:]}
    assert {name for name, state in rows.items() if state == "stopped"} == {
        "ml-pipeline",
        "metadata-grpc",
    }
    assert "metadata-grpc, ml-pipeline stopped" in " ".join(said.err.split())
