"""Rules on the form of a file: whether it is a pipeline at all, and one that a target takes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import join_names
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import ALL, KFP, LOCAL, VERTEX, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.lint.subject import Subject

#: The one schema that the API server takes (its template package), and those of the Vertex client.
SCHEMA = "2.1.0"
SCHEMAS_OF_VERTEX = re.compile(r"2\.[01]\.0")

#: Characters of a pipeline's name at most: on KFP the width of its column (`LengthSpecs` of the API
#: server), on Vertex AI what a job's ID leaves beside the time that its client adds.
LONGEST_NAME = 128
VERTEX_NAME = re.compile(r"[a-z][-a-z0-9]{0,112}")

#: What Kubernetes takes as the start of an object's name: the Workflow's is the pipeline's.
KFP_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")

#: Argo's rule for names of templates and tasks (`workflowFieldNameFmt`, `workflowFieldMaxLength`).
ARGO_NAME = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
ARGO_LONGEST = 128

#: The longest that KFP's compiler makes of a task's name.
DRIVER = "-driver"

#: A value of a Kubernetes label.
LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")

#: How many names a message shows.
SHOWN = 6


def _unreadable(subject: Subject) -> Iterator[Hit]:
    if subject.trouble:
        yield Hit(subject.trouble, line=subject.trouble_line)


def _no_pipeline(subject: Subject) -> Iterator[Hit]:
    if subject.trouble or subject.misfit or subject.spec:
        return
    documents = [one for one in subject.documents if one is not None]
    if not documents:
        yield Hit("the file is empty")
        return
    first = subject.document
    if not first:
        yield Hit("the file has no document that is a mapping")
    elif str(first.get("apiVersion", "")).startswith("argoproj.io/"):
        yield Hit(
            f"it is an Argo {first.get('kind', 'object')}, as kfp 1 compiled pipelines",
            do="Compile the pipeline with kfp 2",
        )
    elif "apiVersion" in first and "kind" in first:
        yield Hit(f"it is a Kubernetes object of the kind {first['kind']}")
    elif "implementation" in first:
        yield Hit(
            "it is a component, not a pipeline",
            do="Use it in a pipeline by kfp.components.load_component_from_file",
        )
    else:
        shown = join_names([str(key) for key in first][:SHOWN])
        yield Hit(f"it has no pipelineInfo, root or deploymentSpec (keys: {shown})")


def _malformed(subject: Subject) -> Iterator[Hit]:
    if subject.misfit:
        yield Hit(f"it does not have the IR's form: {subject.misfit}")


def _repeated_key(subject: Subject) -> Iterator[Hit]:
    severity = None if subject.target in KFP else Severity.WARNING
    for key, line in subject.repeated:
        yield Hit(f"a mapping has the key {key!r} twice", line=line or None, severity=severity)


def _wrapped(subject: Subject) -> Iterator[Hit]:
    if subject.wrapped:
        yield Hit("it is a PipelineJob of Vertex AI with the pipeline inside, under pipelineSpec")


def _documents(subject: Subject) -> Iterator[Hit]:
    documents = [one for one in subject.documents if one is not None]
    pipelines = [one for one in documents if isinstance(one, dict) and "pipelineInfo" in one]
    others = len(documents) - len(pipelines) - len(subject.platform_documents)
    if len(pipelines) > 1:
        yield Hit(f"the file has {len(pipelines)} pipelines, one a document")
    if len(subject.platform_documents) > 1:
        yield Hit(f"the file has {len(subject.platform_documents)} documents for platforms")
    if others and pipelines:
        yield Hit(
            f"the file has {others} more documents, which nothing reads", severity=Severity.WARNING
        )


def _kubernetes_settings(subject: Subject) -> Iterator[Hit]:
    severity = Severity.WARNING if subject.target == LOCAL else None
    effect = "have no effect" if subject.target == LOCAL else "make a second document"
    platforms = subject.platform.get("platforms", {})
    if not platforms:
        return
    kubernetes = platforms.get("kubernetes", {})
    executors = kubernetes.get("deploymentSpec", {}).get("executors", {})
    for label, settings in sorted(executors.items()):
        if settings:
            yield Hit(
                f"settings for Kubernetes {effect}: {join_names(settings)}",
                path=f"deploymentSpec.executors.{label}",
                severity=severity,
            )
    if config := kubernetes.get("pipelineConfig"):
        yield Hit(
            f"settings of the pipeline for Kubernetes {effect}: {join_names(config)}",
            path="platforms.kubernetes.pipelineConfig",
            severity=severity,
        )
    elif not any(executors.values()):
        yield Hit("a document for platforms without settings is there", severity=severity)


def _schema_version(subject: Subject) -> Iterator[Hit]:
    version = subject.spec.get("schemaVersion", "")
    fits = SCHEMAS_OF_VERTEX.fullmatch(version) if subject.target == VERTEX else version == SCHEMA
    if not fits:
        yield Hit(
            f"the schema version is {version or 'missing'}, written by "
            f"{subject.spec.get('sdkVersion', 'an unknown SDK')}",
            path="schemaVersion",
        )


def _pipeline_name(subject: Subject) -> Iterator[Hit]:
    name = subject.spec.get("pipelineInfo", {}).get("name", "")
    path = "pipelineInfo.name"
    if not name:
        yield Hit("the pipeline has no name", path=path)
    elif subject.target == VERTEX:
        if not VERTEX_NAME.fullmatch(name):
            yield Hit(
                f"Vertex AI makes no job ID of the name {_short(name)}: letters a to z, digits "
                "and hyphens, first a letter, at most 113",
                path=path,
            )
    elif subject.target in KFP:
        name = name.rpartition("/")[2]  # what a server puts before it is for its database
        if len(name) > LONGEST_NAME:
            yield Hit(
                f"the name has {len(name)} characters, and KFP keeps {LONGEST_NAME}", path=path
            )
        if not KFP_NAME.fullmatch(name):
            yield Hit(
                f"a Workflow cannot be named by {_short(name)}: letters a to z, digits, hyphens "
                "and dots, first and last a letter or a digit",
                path=path,
            )


def _task_name(subject: Subject) -> Iterator[Hit]:
    for place in subject.tasks():
        name = place.path.removeprefix("components.").rpartition(".dag.tasks.")[2]
        longest = ARGO_LONGEST - len(DRIVER)
        if len(name) > longest:
            yield Hit(
                f"the name {_short(name)} has {len(name)} characters, and Argo takes {longest} "
                f"with {DRIVER} added",
                place.name,
                place.path,
            )
        elif not ARGO_NAME.fullmatch(name):
            yield Hit(
                f"the name {_short(name)} has other characters than letters, digits and hyphens",
                place.name,
                place.path,
            )


def _pod_label(subject: Subject) -> Iterator[Hit]:
    for executor in subject.executors():
        labels = executor.kubernetes.get("podMetadata", {}).get("labels", {})
        for key, value in labels.items():
            if "{{$" not in value and not LABEL.fullmatch(value):
                yield Hit(f"the label {key} has the value {_short(value)}", path=executor.path)


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


def _short(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


_COMPILE = "Compile the pipeline again with the KFP SDK, and do not edit the result"

RULES: tuple[Rule, ...] = (
    Rule(
        "unreadable",
        Severity.ERROR,
        ALL,
        "A file that cannot be read",
        "Nothing can be said of it, and no target takes it: it is not YAML or JSON, not in UTF-8, "
        "too large, or Python that does not compile to a pipeline.",
        "Give what the KFP SDK compiled, or a Python file with a pipeline",
        _unreadable,
        raw=True,
    ),
    Rule(
        "no-pipeline",
        Severity.ERROR,
        ALL,
        "A file that is no pipeline of KFP 2",
        "Argo Workflows (what kfp 1 compiled), components and other YAML are given by mistake. The "
        "API server says only that the format is unknown.",
        "Give what kfp 2 compiled",
        _no_pipeline,
        raw=True,
    ),
    Rule(
        "malformed",
        Severity.ERROR,
        ALL,
        "A pipeline with a value of a wrong type",
        "A field holds something else than its message in the protos says, such as a text in the "
        "place of a list.",
        _COMPILE,
        _malformed,
        raw=True,
    ),
    Rule(
        "repeated-key",
        Severity.ERROR,
        ALL,
        "A key that stands twice in a mapping",
        "KFP's API server refuses the file. Python's readers take the last one without a word, so "
        "what is shown and what runs may differ; elsewhere than on KFP it is a warning.",
        "Keep one of the two",
        _repeated_key,
        raw=True,
    ),
    Rule(
        "pipeline-job",
        Severity.ERROR,
        KFP,
        "A PipelineJob of Vertex AI",
        "Vertex AI's client takes a job with the pipeline inside; KFP takes the pipeline alone.",
        "Give what stands under pipelineSpec, or compile the pipeline again",
        _wrapped,
    ),
    Rule(
        "documents",
        Severity.ERROR,
        ALL,
        "More documents than a pipeline and its Kubernetes settings",
        "The API server refuses two pipelines, or two documents for platforms, in one file, and "
        "passes over any other document without a word.",
        "Make one file of each pipeline",
        _documents,
    ),
    Rule(
        "kubernetes-settings",
        Severity.ERROR,
        frozenset({VERTEX, LOCAL}),
        "Settings by kfp.kubernetes or PipelineConfig",
        "They stand in a second YAML document. The client of Vertex AI reads one, and ends with "
        "“expected a single document in the stream”. On this machine they have no effect, which is "
        "a warning.",
        "Set them under a condition in Python, and compile once for KFP and once for Vertex AI",
        _kubernetes_settings,
    ),
    Rule(
        "schema-version",
        Severity.ERROR,
        ALL,
        "Another schema version of the IR",
        "KFP's API server takes 2.1.0 alone, Vertex AI 2.0.0 and 2.1.0. An SDK before 2.0 wrote "
        "2.0.0.",
        "Compile the pipeline with kfp 2",
        _schema_version,
    ),
    Rule(
        "pipeline-name",
        Severity.ERROR,
        ALL,
        "A name that the target makes nothing of",
        "On KFP the Workflow is named by it, and its column holds 128 characters. The client of "
        "Vertex AI adds a time and must come to `[a-z][-a-z0-9]{0,127}`: so the first is a letter, "
        "and there are at most 113, though the SDK takes a digit and 128.",
        "Give @dsl.pipeline another name",
        _pipeline_name,
    ),
    Rule(
        "task-name",
        Severity.ERROR,
        KFP,
        "A task's name that Argo refuses",
        "Templates and tasks of a Workflow have names of letters, digits and hyphens, 128 at most; "
        "KFP adds `-driver` to a task's. Argo refuses the Workflow as the run starts.",
        "Give the component a shorter name",
        _task_name,
    ),
    Rule(
        "pod-label",
        Severity.ERROR,
        KFP,
        "A label that Kubernetes refuses",
        "A label's value has at most 63 letters, digits, `-`, `_` and `.`, the first and the last "
        "a letter or a digit. The task's pod is not made otherwise.",
        "Give the label another value, or make it an annotation",
        _pod_label,
    ),
    Rule(
        "no-tasks",
        Severity.ERROR,
        ALL,
        "A pipeline without tasks",
        "There is nothing to run, and the API server refuses it as a run is made.",
        "Call a component in the pipeline",
        _no_tasks,
    ),
    Rule(
        "dangling",
        Severity.ERROR,
        ALL,
        "A reference to what is not there",
        "A task names a component, an executor or another task that the file does not have.",
        _COMPILE,
        _dangling,
    ),
    Rule(
        "endless",
        Severity.ERROR,
        ALL,
        "A graph that leads back to itself",
        "Tasks that wait for each other never start; a graph inside itself has no end.",
        _COMPILE,
        _endless,
    ),
)
