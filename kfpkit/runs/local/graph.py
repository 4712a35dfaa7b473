"""The graph of a compiled pipeline, run on this machine as a cluster runs it.

kfp's own local orchestrator is not used. It gives a loop's item in place of other inputs of the
loop: what a task before the loop returned, and the item of an outer loop (kfp 2.17.0,
`kfp/local/orchestrator/task_spec_utils.py`); and it tells tasks by their component. What each part
of the graph means is read from a cluster's drivers: kubeflow/pipelines backend/src/v2/driver.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.core.errors import KitError
from kfpkit.kfp import spec as ir
from kfpkit.kfp import values as local_values
from kfpkit.kfp.run import State
from kfpkit.runs.local import condition as local_condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.kfp.spec import Spec
    from kfpkit.runs.local.rows import Rows
    from kfpkit.runs.local.task import Tasks, Values

#: Rounds of a loop that run at the same time, as in kfp's local runner: each is a process.
ROUNDS_AT_ONCE = 2


class _Collected(list[Any]):
    """What the rounds of a loop gave; a loop around it joins such lists to one."""


@dataclass
class _Scope:
    """One instance of a graph.

    Attributes:
        place: Where it is, ending in `/`; empty for the pipeline's own.
        inputs: Its parameters, and its artifacts as lists.
        states: Of its members, as far as they have ended.
        outputs: Of its members, by the output's name.
    """

    place: str
    inputs: Values
    states: dict[str, State] = field(default_factory=dict)
    outputs: dict[str, Values] = field(default_factory=dict)


class Graph:
    """Runs a pipeline's graph.

    Args:
        spec: The compiled pipeline.
        rows: Take the tasks' states.
        tasks: Run the single tasks.
        about: What the compiler's placeholders for the run stand for, as `{{$.pipeline_job_name}}`.

    Attributes:
        errors: What failed that belongs to no task, each with its place.
    """

    def __init__(
        self,
        spec: Spec,
        rows: Rows,
        tasks: Tasks,
        about: dict[str, str],
    ) -> None:
        self._spec = spec
        self._rows = rows
        self._tasks = tasks
        self._about = about
        self.errors: list[str] = []

    def run(self, values: Mapping[str, Any]) -> State:
        """Run the graph to its end and return how it ended.

        Args:
            values: The pipeline's parameters.
        """
        inputs = {name: local_values.as_passed(value) for name, value in values.items()}
        return self._dag(self._spec["root"], _Scope("", inputs))[0]

    def _dag(self, component: Spec, scope: _Scope) -> tuple[State, Values]:
        tasks = component["dag"]["tasks"]
        for name in ir.in_order(tasks):
            state, outputs = self._member(name, tasks[name], scope)
            scope.states[name] = state
            scope.outputs[name] = outputs
        for worst in (State.FAILED, State.NOT_RUN):
            if worst in scope.states.values():
                return worst, {}
        return State.SUCCEEDED, _outputs(component, scope)

    def _member(self, name: str, task: Spec, scope: _Scope) -> tuple[State, Values]:
        """Run a member of a graph: a task, or another graph."""
        place = scope.place + name
        before = {scope.states[above] for above in ir.upstream(task)}
        if self._tasks.stopped.is_set():
            return State.NOT_RUN, {}
        if task.get("triggerPolicy", {}).get("strategy") != "ALL_UPSTREAM_TASKS_COMPLETED":
            for state in (State.FAILED, State.NOT_RUN, State.SKIPPED):
                if state in before:
                    state = State.SKIPPED if state is State.SKIPPED else State.NOT_RUN
                    self._rows.mark(place, state)
                    return state, {}
        component = self._spec["components"][task["componentRef"]["name"]]
        if "dag" not in component:
            return self._leaf(place, task, component, scope)
        try:
            inputs = self._inputs(name, task, component, scope)
            condition = task.get("triggerPolicy", {}).get("condition")
            if condition and not local_condition.holds(condition, inputs):
                self._rows.mark(place, State.SKIPPED)
                return State.SKIPPED, {}
            if iterator := _iterator(task):
                limit = task.get("iteratorPolicy", {}).get("parallelismLimit", ROUNDS_AT_ONCE)
                return self._loop(place, component, inputs, iterator, limit)
        except KitError as error:
            self.errors.append(f"{place}: {error}")
            self._rows.mark(place, State.NOT_RUN)
            return State.FAILED, {}
        return self._dag(component, _Scope(f"{place}/", inputs))

    def _leaf(self, place: str, task: Spec, component: Spec, scope: _Scope) -> tuple[State, Values]:
        row = self._rows.begin(place)
        try:
            inputs = self._inputs(place.rpartition("/")[2], task, component, scope)
            outputs = self._tasks.run(row, task, component, inputs)
        except (KitError, OSError, ValueError) as error:  # the last: a NUL in an argument
            if process.ending():  # that, not itself, is what ended it
                self._rows.end(row, State.CANCELLED)
            else:
                self._rows.end(row, State.FAILED, str(error))
            return State.FAILED, {}
        self._rows.end(row, State.SUCCEEDED)
        return State.SUCCEEDED, outputs

    def _loop(
        self, place: str, component: Spec, inputs: Values, iterator: Spec, limit: int
    ) -> tuple[State, Values]:
        items = _items(iterator["items"], inputs)
        item = iterator["itemInput"]
        declared = component["inputDefinitions"].get("parameters", {}).get(item)
        if declared:
            items = [local_values.fit(item, declared["parameterType"], one) for one in items]
        else:
            items = [[artifact] for artifact in items]
        if not items:
            self._rows.mark(place, State.SKIPPED)
        self._rows.open_rounds(place, len(items), list(self._leaves(component)))

        def run(number: int) -> tuple[State, Values]:
            scope = _Scope(f"{place}[{number}]/", {**inputs, item: items[number]})
            return self._dag(component, scope)

        pool = ThreadPoolExecutor(min(limit, ROUNDS_AT_ONCE))
        try:
            rounds = list(pool.map(run, range(len(items))))
        except BaseException:
            self._tasks.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        for worst in (State.FAILED, State.NOT_RUN):
            if any(state is worst for state, _ in rounds):
                return worst, {}
        return State.SUCCEEDED, _collect(component, [outputs for _, outputs in rounds])

    def _leaves(self, component: Spec, prefix: str = "/") -> Iterator[str]:
        """Yield the names of a graph's tasks, those of loops inside left out."""
        for name, task in component["dag"]["tasks"].items():
            inner = self._spec["components"][task["componentRef"]["name"]]
            if "dag" not in inner:
                yield prefix + name
            elif not _iterator(task):
                yield from self._leaves(inner, f"{prefix}{name}/")

    def _inputs(self, name: str, task: Spec, component: Spec, scope: _Scope) -> Values:
        """Return the inputs of a member of a graph.

        Raises:
            KitError: One has no value, or one of another type.
        """
        definitions = component.get("inputDefinitions", {})
        declared = definitions.get("parameters", {})
        given = task.get("inputs", {}).get("parameters", {})
        inner = "dag" in component
        found: Values = {}
        if inner:
            for key, declaration in declared.items():
                if key not in given and declaration.get("isOptional"):
                    found[key] = local_values.as_passed(declaration.get("defaultValue"))
        constants: Values = {}
        for key, source in given.items():
            if "runtimeValue" in source:
                constants[key] = local_values.as_passed(source["runtimeValue"]["constant"])
                continue
            optional = declared.get(key, {}).get("isOptional", False)
            # The compiler gives the block of an exit handler items of loops inside: not there yet.
            outer = source.get("componentInputParameter")
            if inner and outer is not None and outer not in scope.inputs:
                continue
            if "taskFinalStatus" in source:
                found[key] = self._final_status(source["taskFinalStatus"]["producerTask"], scope)
                continue
            value = _given(key, "value", source, scope, optional=optional)
            if value is None:
                if inner:
                    found[key] = None
                continue
            if selector := source.get("parameterExpressionSelector"):
                value = local_values.select(value, selector)
            found[key] = value
        texts = {
            local_values.placeholder(key): local_values.as_text(value)
            for key, value in found.items()
        }
        texts |= self._about | {"{{$.pipeline_task_name}}": name}
        for key, constant in constants.items():
            found[key] = local_values.fill(constant, texts)
        for key, declaration in declared.items():
            if found.get(key) is not None:
                found[key] = local_values.fit(key, declaration["parameterType"], found[key])
            elif not inner and not declaration.get("isOptional"):
                raise KitError(f"input {key!r} has no value")
        for key, source in task.get("inputs", {}).get("artifacts", {}).items():
            optional = definitions.get("artifacts", {}).get(key, {}).get("isOptional", False)
            value = _given(key, "artifact", source, scope, optional=optional)
            if value is not None:
                found[key] = value
        return found

    def _final_status(self, producer: str, scope: _Scope) -> Values:
        """Return a `PipelineTaskFinalStatus`, as kfp's executor reads it."""
        good = scope.states[producer] is State.SUCCEEDED
        return {
            "state": "SUCCEEDED" if good else "FAILED",
            "pipelineJobResourceName": self._about["{{$.pipeline_job_resource_name}}"],
            "pipelineTaskName": producer,
            "error": {} if good else {"code": 1, "message": f"{producer} failed"},
        }


def _iterator(task: Spec) -> Spec | None:
    return task.get("parameterIterator") or task.get("artifactIterator")


def _given(name: str, what: str, source: Spec, scope: _Scope, *, optional: bool) -> Any:
    """Return a `value` or an `artifact` from its source; None where it need not have one."""
    output = source.get("taskOutputParameter") or source.get("taskOutputArtifact")
    if output:
        key = output.get("outputParameterKey") or output["outputArtifactKey"]
        value = _output(output["producerTask"], key, scope)
        if isinstance(value, _Collected):
            value = list(value)
    else:
        outer = source.get("componentInputParameter") or source["componentInputArtifact"]
        value = scope.inputs.get(outer)
    if value is None and not optional:
        raise KitError(f"input {name!r} has no {what}: {_origin(source)} gives none")
    return value


def _output(producer: str, key: str, scope: _Scope) -> Any:
    return scope.outputs.get(producer, {}).get(key)


def _origin(source: Spec) -> str:
    for output in (source.get("taskOutputParameter"), source.get("taskOutputArtifact")):
        if output:
            return str(output["producerTask"])
    return "what it comes from"


def _items(source: Spec, inputs: Values) -> list[Any]:
    """Return what a loop runs over.

    Raises:
        KitError: It is no list.
    """
    if "raw" in source:
        items = local_values.as_passed(json.loads(source["raw"]))
    else:
        items = inputs[source.get("inputParameter") or source["inputArtifact"]]
        if isinstance(items, str):
            try:
                items = local_values.as_passed(json.loads(items))
            except ValueError:
                items = None
    if not isinstance(items, list):
        raise KitError("what the loop runs over is no list")
    return items


def _collect(component: Spec, rounds: list[Values]) -> Values:
    """Return the outputs of a loop: of each, what all its rounds gave."""
    outputs = component.get("outputDefinitions", {})
    collected: Values = {}
    for key in outputs.get("parameters", {}):
        if all(key in one for one in rounds):
            collected[key] = _Collected()
            for one in rounds:
                joined = isinstance(one[key], _Collected)
                collected[key] += one[key] if joined else [one[key]]
    for key in outputs.get("artifacts", {}):
        if all(key in one for one in rounds):
            collected[key] = [artifact for one in rounds for artifact in one[key]]
    return collected


def _outputs(component: Spec, scope: _Scope) -> Values:
    """Return the outputs of a graph; a branch that did not run gives none."""
    declared = component["dag"].get("outputs", {})
    found: Values = {}
    for key, selector in declared.get("parameters", {}).items():
        single = selector.get("valueFromParameter")
        several = [single] if single else selector["valueFromOneof"]["parameterSelectors"]
        for one in several:
            value = _output(one["producerSubtask"], one["outputParameterKey"], scope)
            if value is not None:
                found[key] = value
    for key, selector in declared.get("artifacts", {}).items():
        for one in selector["artifactSelectors"]:
            value = _output(one["producerSubtask"], one["outputArtifactKey"], scope)
            if value is not None:
                found[key] = value
    return found
