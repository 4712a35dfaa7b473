"""Who is measured when, and what is left after an interrupt."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import __main__ as bench
from benchmarks import environment, sides
from benchmarks.scenarios import Measured, Scenario
from benchmarks.sides import Side
from kfpkit.core.errors import KitError
from kfpkit.kfp.target import Target
from kfpkit.operations import installation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIDES = tuple(Side(name, Target(name, "some", "kubectl")) for name in ("ours", "upstream"))


class Stage:
    """Stands for the cluster, and notes what is asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.noted: list[str] = []
        self.raised: dict[str, BaseException] = {}
        monkeypatch.setattr(bench, "choose", lambda *_, **__: SIDES[0].target)
        monkeypatch.setattr(sides, "both", lambda _: SIDES)
        monkeypatch.setattr(installation, "require_ready", lambda _: None)
        monkeypatch.setattr(environment, "describe", lambda _: {"processors": "2 x some"})
        monkeypatch.setattr(sides, "install", lambda *_, **__: self.note("install"))
        monkeypatch.setattr(sides, "remove", lambda _: self.note("remove"))
        monkeypatch.setattr(sides, "removal", lambda _: "kubectl delete")
        monkeypatch.setattr(sides, "give_turn", lambda s, _: self.note(f"turn {s.name}"))
        monkeypatch.setattr(bench, "opened", self.opened)

    def note(self, what: str) -> None:
        self.noted.append(what)
        if what in self.raised:
            raise self.raised[what]

    @contextmanager
    def opened(self, *both: Side) -> Iterator[dict[str, Any]]:
        try:
            yield {side.name: Runner(self, side.name) for side in both}
        finally:
            self.note("close")


class Runner:
    def __init__(self, stage: Stage, side: str) -> None:
        self._stage, self._side = stage, side

    def measure(self, scenario: Scenario, number: int) -> Measured:
        self._stage.note(f"{scenario.name} {self._side} {number}")
        return Measured(self._side, number, 10.0 if self._side == "ours" else 20.0)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_both_take_turns_and_a_round_is_of_all_scenarios(stage: Stage, tmp_path: Path) -> None:
    bench.bench(scenarios="row-1,row-4", rounds=2, output=tmp_path)

    assert stage.noted == [
        "install",
        *("turn ours", "row-1 ours 1", "turn upstream", "row-1 upstream 1"),
        *("turn ours", "row-4 ours 1", "turn upstream", "row-4 upstream 1"),
        *("turn ours", "row-1 ours 2", "turn upstream", "row-1 upstream 2"),
        *("turn ours", "row-4 ours 2", "turn upstream", "row-4 upstream 2"),
        *("close", "turn ours", "remove"),
    ]
    found = json.loads((tmp_path / "bench.json").read_text())
    assert [one["ratio"]["median"] for one in found["compared"]] == [0.5, 0.5]
    assert not found["interrupted"]


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("why", [KeyboardInterrupt(), KitError("the watch broke off")])
def test_an_end_before_its_time_keeps_what_there_is_and_puts_the_cluster_back(
    stage: Stage, tmp_path: Path, why: BaseException, leave: bool
) -> None:
    stage.raised["row-4 upstream 1"] = why
    with pytest.raises(type(why)):
        bench.bench(scenarios="row-1,row-4", rounds=2, output=tmp_path, leave=leave)

    assert stage.noted[-3:] == (
        ["row-4 upstream 1", "close", "turn ours"] if leave else ["close", "turn ours", "remove"]
    )
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["interrupted"] == isinstance(why, KeyboardInterrupt)
    assert found["compared"][0]["ratio"]["median"] == 0.5
    assert found["compared"][1]["ratio"] is None
    assert (tmp_path / "bench.html").exists()


def test_before_the_first_turn_has_ended_there_is_nothing_to_write(
    stage: Stage, tmp_path: Path
) -> None:
    stage.raised["row-1 ours 1"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.bench(scenarios="row-1", output=tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_what_was_half_installed_is_removed(stage: Stage, tmp_path: Path) -> None:
    stage.raised["install"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        bench.bench(scenarios="row-1", output=tmp_path)
    assert stage.noted == ["install", "turn ours", "remove"]
    assert not (tmp_path / "bench.json").exists()


def test_nothing_is_touched_where_a_scenario_is_not_known(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(KitError, match="no scenario nope"):
        bench.bench(scenarios="nope", output=tmp_path)
    assert stage.noted == []
