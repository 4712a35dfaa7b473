"""Rules on the graph of tasks: whether it holds together. The rules after them rely on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfpkit.lint.finding import Severity
from kfpkit.lint.form import COMPILE, SHOWN
from kfpkit.lint.rule import ALL, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.lint.subject import Subject


def _no_tasks(subject: Subject) -> Iterator[Hit]:
    if not subject.spec.get("root", {}).get("dag", {}).get("tasks"):
        yield Hit("the pipeline has no tasks", path="root")


def _dangling(subject: Subject) -> Iterator[Hit]:
    components = subject.spec.get("components", {})
    for _, path, graph in subject.graphs():
        tasks = graph["dag"].get("tasks", {})
        for name, task in tasks.items():
            place = f"{path}.dag.tasks.{name}"
            component = task.get("componentRef", {}).get("name", "")
            if component not in components:
                yield Hit(f"its component {component or 'without a name'} is missing", path=place)
            if _nameless(task):
                yield Hit("one of its inputs comes from a task without a name", path=place)
            for missing in sorted(_upstream(task) - set(tasks)):
                yield Hit(f"it waits for {missing!r}, which is no task beside it", path=place)
    for one in subject.tasks():
        label = one.component.get("executorLabel")
        if one.component and "dag" not in one.component and label not in subject.deployment:
            yield Hit(
                f"the executor {label or 'without a label'} of its component is missing",
                path=one.path,
            )


def _endless(subject: Subject) -> Iterator[Hit]:
    inside = {
        path: {
            f"components.{task.get('componentRef', {}).get('name', '')}"
            for task in graph["dag"].get("tasks", {}).values()
        }
        for _, path, graph in subject.graphs()
    }
    for _, path, graph in subject.graphs():
        if _reaches(inside, path):
            yield Hit("it is a part of itself", path=path)
        waits = {name: _upstream(task) for name, task in graph["dag"].get("tasks", {}).items()}
        ring = sorted(name for name in waits if _reaches(waits, name))
        if ring:
            yield Hit(f"tasks wait for each other: {', '.join(ring[:SHOWN])}", path=path)


def _nameless(task: dict[str, Any]) -> bool:
    """Whether an input comes from an output, and it is not said whose."""
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    kinds = {"taskOutputParameter", "taskOutputArtifact"}
    return any(
        not source[kind].get("producerTask") for source in sources for kind in kinds & source.keys()
    )


def _upstream(task: dict[str, Any]) -> set[str]:
    """Return the tasks that one waits for, as far as they are named."""
    inputs = task.get("inputs", {})
    sources = [*inputs.get("parameters", {}).values(), *inputs.get("artifacts", {}).values()]
    named = {
        source.get(kind, {}).get("producerTask")
        for source in sources
        for kind in ("taskOutputParameter", "taskOutputArtifact")
    }
    return {name for name in named if name} | set(task.get("dependentTasks", []))


def _reaches(steps: dict[str, set[str]], start: str) -> bool:
    """Whether steps lead from a start back to it."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for after in steps.get(waiting.pop(), ()):
            if after == start:
                return True
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    return False


RULES: tuple[Rule, ...] = (
    Rule(
        "no-tasks",
        Severity.ERROR,
        ALL,
        "A pipeline without tasks",
        "There is nothing to run, and the API server refuses it as a run is made.",
        "Call a component in the pipeline",
        _no_tasks,
        stops=True,
    ),
    Rule(
        "dangling",
        Severity.ERROR,
        ALL,
        "A reference to what is not there",
        "A task names a component, an executor or another task that the file does not have.",
        COMPILE,
        _dangling,
        stops=True,
    ),
    Rule(
        "endless",
        Severity.ERROR,
        ALL,
        "A graph that leads back to itself",
        "Tasks that wait for each other never start; a graph inside itself has no end.",
        COMPILE,
        _endless,
        stops=True,
    ),
)
