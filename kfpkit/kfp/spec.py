"""Reading a compiled pipeline (the IR, as the dict that its YAML holds)."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kfpkit.kfp.run import Run, State, Task
from kfpkit.kfp.values import as_passed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kfpkit.kfp.run import Parameter

Spec = dict[str, Any]

#: In the command of every Python component: what runs its function.
_PYTHON_EXECUTOR = "kfp.dsl.executor_main"


def version(spec: Spec) -> str:
    """Return what tells this compiled pipeline from others: the start of its SHA-256."""
    # Protobuf's JSON has each number as a float, YAML has not.
    same = json.loads(json.dumps(spec), parse_int=float)
    canonical = json.dumps(same, sort_keys=True).encode()
    return f"sha256:{hashlib.sha256(canonical).hexdigest()[:12]}"


def parameters(spec: Spec) -> dict[str, dict[str, Any]]:
    """Return the declarations of the pipeline's input parameters by name, sorted."""
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    return dict(sorted(declared.items()))


def images(spec: Spec) -> list[str]:
    """Return the images that the pipeline's tasks run in."""
    return sorted({container["image"] for _, container in containers(spec)})


def pulled_always(spec: Spec, platform: Mapping[str, Any]) -> list[str]:
    """Return the images that Kubernetes pulls for each pod: those of a moving tag, unless told."""
    kubernetes = platform.get("platforms", {}).get("kubernetes", {})
    told = kubernetes.get("deploymentSpec", {}).get("executors", {})
    found = set()
    for label, executor in spec.get("deploymentSpec", {}).get("executors", {}).items():
        image = executor.get("container", {}).get("image", "")
        _, colon, tag = image.rpartition("/")[2].partition(":")
        moving = "@" not in image and (not colon or tag == "latest")
        policy = told.get(label, {}).get("imagePullPolicy", "Always" if moving else "")
        if image and "{{" not in image and policy == "Always":
            found.add(image)
    return sorted(found)


def container_components(spec: Spec) -> list[str]:
    """Return the components that only a container engine can run, not a local Python.

    Those are the ones whose command is not kfp's executor on a function that the IR carries:
    container components, and Python components that live in their image.
    """
    return sorted(
        short_name(name)
        for name, container in containers(spec)
        if not is_python(container) or container["command"][0] == "python3"
    )


def is_python(container: dict[str, Any]) -> bool:
    """Return whether a container runs a Python component."""
    return any(_PYTHON_EXECUTOR in part for part in container.get("command", []))


def short_name(component: str) -> str:
    """Return a component's name without the IR's prefix."""
    return component.removeprefix("comp-")


def graphs(spec: Spec) -> list[dict[str, Any]]:
    """Return the components that have tasks, the pipeline's own graph first."""
    components = [spec["root"], *spec.get("components", {}).values()]
    return [component for component in components if "dag" in component]


def unused(spec: Spec) -> list[str]:
    """Return the components that no task is an instance of: kfp's compiler has lost their tasks."""
    used = {
        task["componentRef"]["name"]
        for graph in graphs(spec)
        for task in graph["dag"].get("tasks", {}).values()
    }
    return sorted(short_name(name) for name in set(spec.get("components", {})) - used)


def disable_caching(spec: Spec) -> None:
    """Turn caching off for every task of a compiled pipeline."""
    for graph in graphs(spec):
        for task in graph["dag"].get("tasks", {}).values():
            task["cachingOptions"] = {}


def run(spec: Spec, parameters: Iterable[Parameter], run_id: str, target: str) -> Run:
    """Return the description of a run that begins now.

    Args:
        spec: The compiled pipeline.
        parameters: All parameters of the run.
        run_id: The run's ID.
        target: Where it runs.
    """
    given = list(parameters)
    about = spec["pipelineInfo"]
    return Run(
        id=run_id,
        pipeline=about["name"],
        pipeline_version=version(spec),
        target=target,
        state=State.RUNNING,
        created=datetime.now(UTC),
        parameters=given,
        tasks=tasks(spec, {parameter.name: parameter.value for parameter in given}),
        description=about.get("description", ""),
    )


def tasks(spec: Spec, values: Mapping[str, Any]) -> list[Task]:
    """Return the pipeline's tasks, all pending, each after those it depends on.

    The graphs inside (conditions, loops, pipelines used as components) are taken apart: their tasks
    are named `outer/inner`, and a dependency on a graph is one on its last tasks.

    Args:
        spec: The compiled pipeline.
        values: The run's parameters by name, for the tasks' inputs.
    """
    found: list[Task] = []
    _flatten(spec, spec["root"]["dag"], "", [], values, found)
    return _sorted(found)


def containers(spec: Spec) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the components that run in a container, and what the IR says of that."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    for name, component in spec.get("components", {}).items():
        executor = executors.get(component.get("executorLabel"), {})
        if "container" in executor:
            yield name, executor["container"]


def _flatten(
    spec: Spec,
    dag: dict[str, Any],
    prefix: str,
    outer: list[str],
    values: Mapping[str, Any],
    found: list[Task],
) -> list[str]:
    """Append the graph's tasks to `found` and return the names of its last ones."""
    last: dict[str, list[str]] = {}
    used: set[str] = set()
    for name in in_order(dag["tasks"]):
        task = dag["tasks"][name]
        before = upstream(task)
        used |= before
        depends_on = [x for above in sorted(before) for x in last[above]] or outer
        component = task["componentRef"]["name"]
        inner = spec["components"][component]
        if "dag" in inner:
            last[name] = _flatten(spec, inner["dag"], f"{prefix}{name}/", depends_on, values, found)
            continue
        inputs = task.get("inputs", {})
        found.append(
            Task(
                name=prefix + name,
                component=short_name(component),
                display_name=_display_name(name, task),
                depends_on=depends_on,
                inputs=_known_inputs(inputs.get("parameters", {}), {} if prefix else values),
                input_artifacts={
                    key: f"{prefix}{source['producerTask']}.{source['outputArtifactKey']}"
                    for key, value in inputs.get("artifacts", {}).items()
                    if (source := value.get("taskOutputArtifact"))
                },
            )
        )
        last[name] = [prefix + name]
    return [x for name, ends in last.items() if name not in used for x in ends]


def _display_name(name: str, task: dict[str, Any]) -> str:
    """Return what a pipeline's author called a task by `set_display_name`; empty where nothing."""
    given = str(task.get("taskInfo", {}).get("name", ""))
    return "" if given == name else given


def upstream(task: dict[str, Any]) -> set[str]:
    """Return the tasks of the same graph that this one waits for."""
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    producers = {
        source["producerTask"]
        for value in sources
        for key, source in value.items()
        if key in ("taskOutputParameter", "taskOutputArtifact")
    }
    return producers | set(task.get("dependentTasks", []))


def in_order(members: dict[str, Any]) -> list[str]:
    """Return the names so that each comes after those it waits for."""
    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for above in sorted(upstream(members[name])):
                visit(above)
            order[name] = None

    for name in sorted(members):  # the IR is a map: it has no order to keep
        visit(name)
    return list(order)


def _sorted(found: list[Task]) -> list[Task]:
    """Return the tasks level by level, so that a list of them reads as they will run."""
    level: dict[str, int] = {}
    for task in found:
        level[task.name] = 1 + max((level[name] for name in task.depends_on), default=-1)
    return sorted(found, key=lambda task: level[task.name])


def _known_inputs(inputs: dict[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a task's own inputs that are known before it runs."""
    known: dict[str, Any] = {}
    for name, source in inputs.items():
        constant = as_passed(source.get("runtimeValue", {}).get("constant"))
        if name.startswith("pipelinechannel--") or "{{$" in json.dumps(constant):
            continue
        if constant is not None:
            known[name] = constant
        elif source.get("componentInputParameter") in values:
            known[name] = values[source["componentInputParameter"]]
    return known
