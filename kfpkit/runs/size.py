"""How large a pipeline becomes on a cluster, from its description.

KFP makes a Workflow of all tasks of a pipeline: each stands in its graph's component, which the
graph's driver is given as an argument, and once more in the graph's template (kubeflow/pipelines
`backend/src/v2/compiler/argocompiler`). While the run goes on, Argo adds what each driver is given
and gives: the component, its source, and the pod. It keeps that compressed once the whole is above
1 MiB, and ends the run where it still is (argo-workflows `workflow/packer`). What tasks cost beside
their own texts is measured on release 2.14.3: docs/use/limits.md has the figures.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.kfp import spec as ir

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.kfp.spec import Spec

#: Bytes that Argo keeps of a Workflow.
WORKFLOW = 1024 * 1024

#: Bytes of an argument of a program on Linux, without the zero at its end.
ARGUMENT = process.LARGEST_ARGUMENT - 1

#: Bytes of a Workflow without tasks, and of a task and a loop beside their texts and names.
_EMPTY, _TASK, _LOOP = 7_100, 780, 1_500

#: Bytes of the names of a component, and of its container, among the Workflow's parameters.
_KEPT = 105

#: How often a task's name is in its graph's template, and bytes around that of one before it.
_NAMED, _AFTER = 7, 14

#: Of a task's three nodes, bytes of ids, times and names, which no compression makes smaller; and
#: how often each has the task's texts, by its length: gzip finds what was there 32 KiB before.
_NOISE = (180, 100, 90)
_COPIES = (6, 4, 4)

#: Tasks whose nodes are compressed to know what one of them takes.
_SAMPLE = 100


def graphs(spec: Spec) -> dict[str, int]:
    """Return the bytes of each graph as its driver is given it, by its component; root is empty."""
    components = {"": spec["root"], **spec.get("components", {})}
    return {name: len(_json(each)) for name, each in components.items() if "dag" in each}


def workflow(spec: Spec) -> int:
    """Return about how many bytes the Workflow has that KFP makes of a pipeline."""
    size = _EMPTY + _text(spec["root"])
    # What has the same container as another is the same to KFP.
    once = {_json(_container(spec, each)): each for each in spec.get("components", {}).values()}
    for container, component in once.items():
        size += (
            len(json.dumps(container.decode(), ensure_ascii=False).encode())
            + _text(component)
            + 2 * _KEPT
        )
    for graph in ir.graphs(spec):
        for name, task in graph["dag"]["tasks"].items():
            size += _text(task) + _TASK + _NAMED * len(name)
            size += sum(len(above) + _AFTER for above in task.get("dependentTasks", []))
            size += _LOOP if "parameterIterator" in task else 0
    return size


def state(spec: Spec, values: Mapping[str, Any]) -> int:
    """Return about how many bytes the compressed state of a run has at its end.

    Args:
        spec: The compiled pipeline.
        values: The run's parameters by name. A loop over what a task returns counts as one round.
    """
    tasks: Counter[str] = Counter()
    for text, times in _tasks(spec, spec["root"], values):
        tasks[text] += times
    total = tasks.total()
    if not total:  # loops over nothing
        return 0
    noise = Random(0)  # noqa: S311 - stands for what cannot be compressed
    sample = noise.choices([*tasks], [*tasks.values()], k=min(total, _SAMPLE))
    nodes = [
        text * copies + noise.randbytes(size).hex()
        for text in sample
        for copies, size in zip(_COPIES, _NOISE, strict=True)
    ]
    noise.shuffle(nodes)
    packed = base64.b64encode(gzip.compress("".join(nodes).encode()))
    return len(packed) * total // len(sample)


def tasks(spec: Spec, values: Mapping[str, Any]) -> int:
    """Return how many tasks and graphs a run has, each round for itself."""
    return sum(times for _, times in _tasks(spec, spec["root"], values))


def _tasks(
    spec: Spec, graph: Mapping[str, Any], values: Mapping[str, Any], times: int = 1
) -> Iterator[tuple[str, int]]:
    """Yield what the nodes of each task hold, and how often there is one."""
    for task in graph["dag"]["tasks"].values():
        component = spec["components"][task["componentRef"]["name"]]
        often = times * _rounds(task, values)
        text = json.dumps([task, component, _container(spec, component)])
        yield text, often
        if "dag" in component:
            yield from _tasks(spec, component, {}, often)


def _rounds(task: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """Return how many rounds a task has, as far as that is known: 1 otherwise."""
    items = task.get("parameterIterator", {}).get("items", {})
    given = task.get("inputs", {}).get("parameters", {}).get(items.get("inputParameter"), {})
    known = (
        json.loads(items["raw"])
        if "raw" in items
        else values.get(given.get("componentInputParameter"))
    )
    return len(known) if isinstance(known, list) else 1


def _container(spec: Spec, component: Mapping[str, Any]) -> Any:
    executors = spec["deploymentSpec"]["executors"]
    return executors.get(component.get("executorLabel"), {}).get("container", component)


def _json(value: Any) -> bytes:
    """Return a value as Go writes it into a Workflow."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for each in "<>&":
        text = text.replace(each, f"\\u{ord(each):04x}")
    return text.encode()


def _text(value: Any) -> int:
    """Return the bytes of a value that is a text inside JSON."""
    return len(json.dumps(_json(value).decode(), ensure_ascii=False).encode())
