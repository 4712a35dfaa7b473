# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
import json
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

from kfpkit.kfp import pipelines
from kfpkit.kfp import spec as ir


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make(n: int) -> int:
    return n


@dsl.container_component
def shout(text: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="alpine:3", command=["echo"], args=[text])


@dsl.pipeline(name="inner")
def inner(n: int) -> int:
    return make(n=make(n=n).output).output  # type: ignore[no-any-return]


@dsl.pipeline(name="nested")
def nested(n: int = 3) -> None:
    first = make(n=n)
    deep = inner(n=first.output)
    with dsl.If(first.output == 3):
        make(n=4)
    make(n=5).after(deep)


@dsl.pipeline(name="mixed")
def mixed() -> None:
    make(n=1)
    shout(text="hello")


def of(pipeline: Any) -> ir.Spec:
    found: ir.Spec = json_format.MessageToDict(pipeline.pipeline_spec)
    return found


def test_graphs_inside_are_taken_apart() -> None:
    tasks = {task.name: task for task in ir.tasks(of(nested), {"n": 9})}
    assert {name: task.depends_on for name, task in tasks.items()} == {
        "make": [],
        "inner/make": ["make"],
        "inner/make-2": ["inner/make"],
        "condition-1/make-2": ["make"],
        "make-3": ["inner/make-2"],
    }
    assert tasks["make"].inputs == {"n": 9}
    assert tasks["make-3"].inputs == {"n": 5}


def test_every_task_comes_after_those_it_depends_on() -> None:
    seen: set[str] = set()
    for task in ir.tasks(of(nested), {}):
        assert seen.issuperset(task.depends_on)
        seen.add(task.name)


def test_a_container_component_is_recognised() -> None:
    assert ir.container_components(of(mixed)) == ["shout"]
    assert ir.container_components(of(nested)) == []
    assert ir.images(of(mixed)) == ["alpine:3", "python:3.11"]


def test_a_python_component_that_lives_in_its_image_needs_a_container() -> None:
    spec = of(nested)
    container = spec["deploymentSpec"]["executors"]["exec-make"]["container"]
    container["command"] = ["python3", "-m", "kfp.dsl.executor_main"]
    assert ir.container_components(spec) == ["make"]


@pytest.mark.parametrize("name", pipelines.discover())
def test_every_pipeline_of_the_checkout_is_read(name: str) -> None:
    spec = of(pipelines.find(name).func)
    tasks = ir.tasks(spec, {})
    assert len(tasks) >= len(spec["root"]["dag"]["tasks"])
    assert bool(ir.container_components(spec)) == name.endswith("_yaml")


def test_a_version_follows_the_content() -> None:
    assert ir.version(of(nested)) == ir.version(of(nested))
    assert ir.version(of(nested)) != ir.version(of(mixed))


def test_a_version_is_the_same_in_protobufs_json_and_in_yaml() -> None:
    spec = json_format.MessageToDict(nested.pipeline_spec)
    whole = json.loads(json.dumps(spec).replace(".0,", ",").replace(".0}", "}"))
    assert json.dumps(whole) != json.dumps(spec)
    assert ir.version(whole) == ir.version(spec)


def test_caching_is_turned_off_in_every_task_of_every_graph() -> None:
    spec = json_format.MessageToDict(nested.pipeline_spec)
    graphs = [spec["root"], *(c for c in spec["components"].values() if "dag" in c)]
    assert len(graphs) > 1
    ir.disable_caching(spec)
    for graph in graphs:
        for task in graph["dag"]["tasks"].values():
            assert task["cachingOptions"] == {}
