"""How large pipelines become on a cluster, and what is said of it before a run."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
from copy import deepcopy
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

from kfpkit.core.errors import BadInputError
from kfpkit.runs import size
from kfpkit.runs.refusals import _check_size


@dsl.component(base_image="python:3.12", install_kfp_package=False)
def step(text: str) -> str:
    return text


@dsl.pipeline
def many(text: str = "a") -> None:
    step(text=text)


@dsl.pipeline
def rounds(items: list[str] = ["a"]) -> None:  # noqa: B006
    with dsl.ParallelFor(items) as item:
        step(text=item)


def of(tasks: int) -> dict[str, Any]:
    """Return a pipeline of so many tasks of one component."""
    spec: dict[str, Any] = json_format.MessageToDict(many.pipeline_spec)
    first = spec["root"]["dag"]["tasks"].pop("step")
    for number in range(1, tasks + 1):
        task = deepcopy(first)
        task["taskInfo"]["name"] = name = f"step-{number}" if number > 1 else "step"
        spec["root"]["dag"]["tasks"][name] = task
    return spec


@pytest.mark.parametrize(("tasks", "real"), [(10, 20_660), (100, 132_908), (300, 384_508)])
def test_the_size_of_a_workflow_is_known_within_three_per_cent(tasks: int, real: int) -> None:
    """The sizes are those of Workflows that KFP 2.14.3 made of the same tasks, as Argo counts."""
    assert size.workflow(of(tasks)) == pytest.approx(real, rel=0.03)


def test_what_is_too_large_is_refused_and_what_may_become_so_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _check_size(of(400), {})
    assert capsys.readouterr().err == ""
    _check_size(of(600), {})
    said = " ".join(capsys.readouterr().err.split())
    assert "with the state of its 600 tasks its Workflow grows to about 1,1" in said
    with pytest.raises(BadInputError, match=r"described in 1[34]\d,\d{3} bytes, all of which"):
        _check_size(of(750), {})
    with pytest.raises(BadInputError, match=r"Workflow has about 2,\d{3},\d{3} bytes"):
        _check_size(of(1) | {"components": large(40)}, {})


def large(components: int) -> dict[str, Any]:
    """Return components whose descriptions are large."""
    (one,) = of(1)["components"].values()
    more = {f"comp-{n}": {"executorLabel": f"e{n}", "x": "y" * 30_000} for n in range(components)}
    return {"comp-step": one, **more}


def test_the_rounds_of_a_loop_count_as_far_as_they_are_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    spec = json_format.MessageToDict(rounds.pipeline_spec)
    assert size.tasks(spec, {}) == 2
    assert size.tasks(spec, {"items": ["a"] * 50}) == 100
    _check_size(spec, {"items": ["a"] * 100})
    assert capsys.readouterr().err == ""
    _check_size(spec, {"items": ["a"] * 1000})
    assert "with the state of its 2000 tasks" in " ".join(capsys.readouterr().err.split())


def test_a_run_of_which_every_loop_is_empty_has_no_state() -> None:
    spec = json_format.MessageToDict(rounds.pipeline_spec)
    assert size.state(spec, {"items": []}) == 0
    _check_size(spec, {"items": []})
