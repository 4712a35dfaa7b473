"""The graph of a pipeline on this machine; each task is a call of its function, not a process."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator, type-arg"
# ruff: noqa: ARG001, UP045 - kfp reads the signatures, also of functions that are never called
import threading
from typing import Any, Optional

from google.protobuf import json_format
from kfp import dsl

from kfpkit.core.errors import KitError
from kfpkit.kfp import spec as ir
from kfpkit.kfp.run import State, Task
from kfpkit.runs.local.graph import Graph
from kfpkit.runs.local.rows import Rows

FUNCTIONS: dict[str, Any] = {}


def task(function: Any) -> Any:
    FUNCTIONS[function.__name__] = function
    return dsl.component(base_image="python:3.11", install_kfp_package=False)(function)


@task
def say(text: str) -> str:
    return text


@task
def pair(text: str, other: str) -> str:
    return f"{text} {other}"


@task
def same(n: int) -> int:
    if n < 0:
        raise ValueError(f"{n} is negative")
    return n


@task
def untyped() -> list:
    return [1, 2, 3]


@task
def typed() -> list[int]:
    return [1, 2, 3]


@task
def rows() -> list[dict]:
    return [{"label": "a", "n": 5}, {"label": 'b"c', "n": 6}]


@task
def page(values: dict, items: list) -> str:
    return f"{dict(sorted(values.items()))} {items}"


@task
def total(items: list) -> int:
    return len(items)


@task
def table(out: dsl.Output[dsl.Dataset]) -> None:
    raise AssertionError("faked")


@task
def use(data: dsl.Input[dsl.Dataset]) -> str:
    raise AssertionError("faked")


@task
def use_all(data: dsl.Input[list[dsl.Dataset]]) -> str:
    raise AssertionError("faked")


@task
def told(status: dsl.PipelineTaskFinalStatus) -> str:
    raise AssertionError("faked")


class Calls:
    """In place of processes; remembers what each task got."""

    def __init__(self, spec: ir.Spec) -> None:
        self._executors = spec["deploymentSpec"]["executors"]
        self.stopped = threading.Event()
        self.inputs: dict[str, dict[str, Any]] = {}
        self.outputs: dict[str, Any] = {}

    def stop(self) -> None:
        self.stopped.set()

    def run(self, row: Task, task: Any, component: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        del task
        definitions = component.get("inputDefinitions", {})
        declared = [*definitions.get("parameters", {}), *definitions.get("artifacts", {})]
        got = {name: inputs[name] for name in declared if name in inputs}
        self.inputs[row.name] = got
        function = self._executors[component["executorLabel"]]["container"]["args"][-1]
        if "artifacts" in component.get("outputDefinitions", {}):
            return {"out": [{"uri": row.name}]}
        if "artifacts" in definitions or function == "told":
            return {"Output": "used"}
        try:
            output = FUNCTIONS[function](**got)
        except ValueError as error:
            raise KitError(str(error)) from None
        self.outputs[row.name] = output
        return {"Output": output}


class Done:
    def __init__(self, pipeline: Any, **values: Any) -> None:
        self.spec = json_format.MessageToDict(pipeline.pipeline_spec)
        assert not ir.unused(self.spec)
        given = {name: one.get("defaultValue") for name, one in ir.parameters(self.spec).items()}
        self.tasks = ir.tasks(self.spec, given)
        self.calls = Calls(self.spec)
        graph = Graph(
            self.spec,
            Rows(self.tasks, lambda _: None),
            self.calls,  # type: ignore[arg-type]
            {
                "{{$.pipeline_job_name}}": "the-run",
                "{{$.pipeline_job_resource_name}}": "the-run",
            },
        )
        self.state = graph.run({**given, **values})
        self.errors = graph.errors

    @property
    def states(self) -> dict[str, State]:
        return {row.name: row.state for one in self.tasks for row in (one.rounds or [one])}


SUCCEEDED, FAILED, SKIPPED, NOT_RUN = (
    State.SUCCEEDED,
    State.FAILED,
    State.SKIPPED,
    State.NOT_RUN,
)


def test_a_failed_round_fails_its_task_and_the_run() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ParallelFor([1, -2, 3, -4]) as n:
            same(n=n)

    done = Done(p)
    assert done.state is FAILED
    assert done.states == {
        "for-loop-2[0]/same": SUCCEEDED,
        "for-loop-2[1]/same": FAILED,
        "for-loop-2[2]/same": SUCCEEDED,
        "for-loop-2[3]/same": FAILED,
    }
    (outer,) = done.tasks
    assert (outer.name, outer.state) == ("for-loop-2/same", FAILED)
    assert [row.error for row in outer.rounds] == ["", "-2 is negative.", "", "-4 is negative."]


def test_a_loop_gets_what_a_task_before_it_returned() -> None:
    @dsl.pipeline
    def p(who: str = "you") -> None:
        said = say(text=who)
        with dsl.ParallelFor(["a", "b"]) as one:
            pair(text=one, other=said.output)

    assert list(Done(p).calls.outputs.values()) == ["you", "a you", "b you"]


def test_the_items_of_loops_in_loops_are_kept_apart() -> None:
    @dsl.pipeline
    def p() -> None:
        outer = typed()
        with dsl.ParallelFor(outer.output) as n:
            inner = rows()
            with dsl.ParallelFor(inner.output) as row:
                pair(text=row.label, other=row.n)
                same(n=n)

    done = Done(p)
    assert done.state is SUCCEEDED, done.errors
    outputs = done.calls.outputs
    assert outputs["for-loop-1[0]/for-loop-2[0]/pair"] == "a 5"
    assert outputs["for-loop-1[2]/for-loop-2[1]/pair"] == 'b"c 6'
    assert [outputs[f"for-loop-1[{n}]/for-loop-2[1]/same"] for n in range(3)] == [1, 2, 3]
    names = [row.name for one in done.tasks if one.component == "pair" for row in one.rounds]
    assert names == [f"for-loop-1[{n}]/for-loop-2[{m}]/pair" for n in range(3) for m in range(2)]


def test_an_empty_loop_is_skipped_and_its_collection_is_empty() -> None:
    @dsl.pipeline
    def p(ns: list[int] = []) -> None:  # noqa: B006 - kfp compiles it
        with dsl.ParallelFor(ns) as n:
            made = same(n=n)
        total(items=dsl.Collected(made.output))

    done = Done(p)
    assert done.state is SUCCEEDED, done.errors
    assert done.states == {"for-loop-1/same": SKIPPED, "total": SUCCEEDED}
    assert done.calls.outputs["total"] == 0


def test_collected_values_are_one_list_of_all_rounds() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ParallelFor([1, 2]), dsl.ParallelFor([10, 20]) as m:
            made = same(n=m)
        with dsl.ParallelFor([1, 2]):
            lists = typed()
        page(values={}, items=dsl.Collected(made.output))
        total(items=dsl.Collected(lists.output))

    done = Done(p)
    assert done.calls.outputs["page"] == "{} [10, 20, 10, 20]"
    assert done.calls.outputs["total"] == 2  # what is a list itself stays one


def test_collected_artifacts_come_in_order() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ParallelFor([1, 2]), dsl.ParallelFor([1, 2]):
            made = table()
        use_all(data=dsl.Collected(made.outputs["out"]))

    got = Done(p).calls.inputs["use-all"]["data"]
    assert [one["uri"] for one in got] == [
        f"for-loop-2[{n}]/for-loop-4[{m}]/table" for n in range(2) for m in range(2)
    ]


def test_an_item_of_an_untyped_list_is_a_text() -> None:
    @dsl.pipeline
    def p() -> None:
        items = untyped()
        with dsl.ParallelFor(items.output) as i, dsl.If(i == 2):
            say(text=f"it is {i}")

    done = Done(p)
    assert done.state is SUCCEEDED, done.errors
    assert done.calls.outputs["for-loop-1[1]/condition-2/say"] == "it is 2"
    assert list(done.states.values()).count(SKIPPED) == 2


def test_an_item_of_an_untyped_list_is_refused_as_a_number() -> None:
    @dsl.pipeline
    def p() -> None:
        items = untyped()
        with dsl.ParallelFor(items.output) as i:
            same(n=i)

    done = Done(p)
    assert done.state is FAILED
    error = done.tasks[-1].rounds[1].error
    assert "input 'n' takes NUMBER_INTEGER, not a text: \"2\"" in error
    assert "as in list[int]" in error


def test_numbers_are_as_a_cluster_has_them() -> None:
    @dsl.pipeline
    def p(n: int = 20, x: float = 1.0, ys: list = [5, 50.0]) -> None:  # noqa: B006
        say(text=f"n >= {n}, {x}, {ys}")
        page(values={"n": 20, "x": 0.5, "k": f"{n}"}, items=[1, 2.5, f"{x}"])
        same(n=same(n=n).output)

    done = Done(p)
    assert done.calls.outputs["say"] == "n >= 20, 1, [5,50]"
    assert done.calls.outputs["page"] == "{'k': '20', 'n': 20, 'x': 0.5} [1, 2.5, '1']"
    assert done.calls.outputs["same-2"] == 20


def test_what_looks_like_a_placeholder_is_data() -> None:
    odd = "{{$.inputs.parameters['n']}} {{$}} {{$.pipeline_job_name}}"

    @dsl.pipeline
    def p(text: str, n: int = 3, more: dict = {}) -> None:  # noqa: B006
        said = say(text=text)
        pair(text=f"{n}: {said.output}", other=f"in {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")
        page(values={"quoted": f'"{text}"'}, items=[f"{more}"])

    done = Done(p, text=odd, more={"a": odd})
    assert done.calls.outputs["say"] == odd
    assert done.calls.outputs["pair"] == f"3: {odd} in the-run"
    assert done.calls.inputs["page"]["values"] == {"quoted": f'"{odd}"'}
    assert odd in done.calls.inputs["page"]["items"][0]


def test_conditions_take_values_as_data() -> None:
    @dsl.pipeline
    def p(text: str, n: int = 3) -> None:
        with dsl.If(text == "a"):
            say(text="one")
        with dsl.Elif(n > 2):
            say(text="two")
        with dsl.Else():
            say(text="three")

    def ran(text: str, n: int = 3) -> list[Any]:
        return list(Done(p, text=text, n=n).calls.outputs.values())

    assert ran("a") == ["one"]
    assert ran("b") == ["two"]
    assert ran("' == '' || 'a' == 'a") == ["two"]
    assert ran("it's", n=1) == ["three"]


def test_a_condition_without_a_value_fails_the_run_and_says_where() -> None:
    @dsl.pipeline
    def p(text: Optional[str] = None) -> None:
        say(text="before")
        with dsl.If(text == "a"):
            say(text="in it")

    done = Done(p)
    assert done.state is FAILED
    assert done.states == {"say": SUCCEEDED, "condition-1/say-2": NOT_RUN}
    (error,) = done.errors
    assert error.startswith("condition-1: input 'pipelinechannel--text' has no value")


def test_a_condition_that_kfp_compiles_badly_is_named() -> None:
    @dsl.pipeline
    def p(text: str = "it's") -> None:
        with dsl.If(text == "it's"):
            say(text="in it")

    (error,) = Done(p).errors
    assert "condition-1: the condition" in error
    assert "no quote, backslash or line break" in error


def test_one_of_gives_the_branch_that_ran() -> None:
    @dsl.pipeline
    def p(left: bool) -> None:
        with dsl.If(left == True):  # noqa: E712 - kfp's own form
            a = table()
            s = say(text="left")
        with dsl.Else():
            b = table()
            t = say(text="right")
        use(data=dsl.OneOf(a.outputs["out"], b.outputs["out"]))
        pair(text=dsl.OneOf(s.output, t.output), other="")

    for left, branch, said in ((True, "condition-2/table", "left "), (False, "3", "right ")):
        done = Done(p, left=left)
        assert done.state is SUCCEEDED, done.errors
        assert branch in done.calls.inputs["use"]["data"][0]["uri"]
        assert done.calls.outputs["pair"] == said


def test_after_a_failure_a_branch_is_still_skipped_and_a_reader_not_run() -> None:
    @dsl.pipeline
    def p(n: int = 3) -> None:
        same(n=-1)
        bad = same(n=-2)
        same(n=bad.output)
        with dsl.If(n == 4):
            same(n=4)

    done = Done(p)
    assert done.state is FAILED
    assert done.states == {
        "same": FAILED,
        "same-2": FAILED,
        "same-3": NOT_RUN,
        "condition-1/same-4": SKIPPED,
    }


def test_a_loop_item_in_a_text_within_an_exit_handler() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ExitHandler(told()), dsl.ParallelFor(["x", "y"]) as item:
            say(text=f"it is {item}")

    done = Done(p)
    assert done.state is SUCCEEDED, done.tasks
    assert list(done.calls.outputs.values()) == ["it is x", "it is y"]
    assert done.calls.inputs["told"]["status"]["state"] == "SUCCEEDED"


def test_a_task_stays_running_while_rounds_are_to_come() -> None:
    task = Task("for-loop-1/work", "work")
    rows = Rows([task], lambda _: None)
    rows.open_rounds("for-loop-1", 2, ["/work"])
    rows.end(rows.begin("for-loop-1[0]/work"), SUCCEEDED)
    assert (task.state, task.finished) == (State.RUNNING, None)
    rows.end(rows.begin("for-loop-1[1]/work"), SUCCEEDED)
    assert task.state is SUCCEEDED


def test_an_exit_task_is_told_of_the_failure() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ExitHandler(told()):
            same(n=-1)

    done = Done(p)
    assert done.state is FAILED
    assert done.calls.inputs["told"]["status"]["state"] == "FAILED"
    assert done.calls.inputs["told"]["status"]["pipelineTaskName"] == "exit-handler-1"


def test_an_exit_task_that_fails_fails_the_run() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ExitHandler(same(n=-1)):
            same(n=1)

    done = Done(p)
    assert done.state is FAILED
    assert done.states == {"exit-handler-1/same-2": SUCCEEDED, "same": FAILED}


def test_a_pipeline_in_a_pipeline_has_its_own_values() -> None:
    @dsl.pipeline
    def inner(n: int = 7, text: str = "inner") -> str:
        same(n=n)
        return say(text=text).output  # type: ignore[no-any-return]

    @dsl.pipeline
    def p(n: int = 1, text: str = "outer") -> None:
        made = inner(text=text)
        pair(text=made.output, other=f"{n}")

    done = Done(p)
    assert done.calls.outputs == {"inner/same": 7, "inner/say": "outer", "pair": "outer 1"}


def test_an_optional_input_without_a_value_is_left_to_the_function() -> None:
    @task
    def maybe(text: Optional[str] = None, n: int = 4) -> str:
        return f"{text} {n}"

    @dsl.pipeline
    def p(text: Optional[str] = None) -> None:
        maybe(text=text)

    assert Done(p).calls.inputs["maybe"] == {}
    assert Done(p, text="x").calls.outputs["maybe"] == "x 4"


def test_a_failure_inside_a_round_leaves_what_follows_in_that_round_only() -> None:
    @dsl.pipeline
    def p() -> None:
        with dsl.ParallelFor([-1, 2]) as n:
            first = same(n=n)
            with dsl.ParallelFor([1, 2]) as m:
                same(n=m).after(first)
        say(text="at the end")

    done = Done(p)
    assert done.state is FAILED
    assert done.states == {
        "for-loop-2[0]/same": FAILED,
        "for-loop-2[1]/same": SUCCEEDED,
        "for-loop-2[0]/for-loop-4/same-2": NOT_RUN,
        "for-loop-2[1]/for-loop-4[0]/same-2": SUCCEEDED,
        "for-loop-2[1]/for-loop-4[1]/same-2": SUCCEEDED,
        "say": SUCCEEDED,
    }
