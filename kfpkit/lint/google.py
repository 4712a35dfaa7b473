"""Rules on what only Google's cloud has, and on what only a cluster of one's own has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import KFP, KFP_2_14_3, KFP_2_17_0, LOCAL, VERTEX, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.lint.subject import Subject

#: Targets outside of Vertex AI.
ELSEWHERE = KFP | {LOCAL}

#: In an image's or a module's name: components that call Google's services by their operators.
OPERATORS = re.compile(r"google[-_]cloud[-_]pipeline[-_]components")

#: Placeholders for the run and the task, as the SDK and Google's components write them.
PLACEHOLDER = re.compile(r"\{\{\$\.(pipeline_\w+)(?:\.json_escape\[\d\])?\}\}")

_RUN = {
    "pipeline_job_name",
    "pipeline_job_resource_name",
    "pipeline_job_uuid",
    "pipeline_task_name",
    "pipeline_task_uuid",
}
_TIMES = {"pipeline_job_create_time_utc", "pipeline_job_schedule_time_utc"}

#: What is put in the place of them: on KFP by the driver (`resolveInputParameter` of its release).
FILLED = {
    KFP_2_14_3: _RUN,
    KFP_2_17_0: _RUN | _TIMES,
    LOCAL: _RUN | _TIMES | {"pipeline_root"},
}

#: Variables that Vertex AI sets in a task, and those that a cluster of KFP sets.
OF_VERTEX = re.compile(r"(AIP|CLOUD_ML|VERTEX_AI_PIPELINES)_[A-Z_]+")
OF_KFP = re.compile(r"KFP_(POD_NAME|POD_UID|RUN_ID|NAMESPACE)|KUBERNETES_SERVICE_(HOST|PORT)")

#: Modules that call Vertex AI, and those that call a cluster.
VERTEX_MODULES = ("google.cloud.aiplatform", "vertexai", "google_cloud_pipeline_components")
CLUSTER_MODULES = ("kubernetes",)

#: The domain of an extended resource of Kubernetes.
DOMAIN = re.compile(r"[\w.-]+/[\w.-]+")

GCS = re.compile(r"gs://[^\s\"'{}]+")


def _executor(subject: Subject) -> Iterator[Hit]:
    for executor in subject.executors():
        for kind, name in (("customJob", "custom job"), ("resolver", "resolver")):
            if kind in executor.body:
                yield Hit(
                    f"its executor is a {name}, which Vertex AI alone runs", path=executor.path
                )


def _operators(subject: Subject) -> Iterator[Hit]:
    for executor in subject.executors():
        container = executor.body.get("container", {})
        words = [container.get("image", ""), *container.get("command", [])]
        if any(OPERATORS.search(word) for word in words if "\n" not in word):
            yield Hit(
                "it is a Google Cloud Pipeline Component, which calls a service of Google's",
                path=executor.path,
            )


def _placeholders(subject: Subject) -> Iterator[Hit]:
    filled = FILLED[subject.target]
    for path, text in subject.strings():
        for found in PLACEHOLDER.finditer(text):
            if found[1] not in filled or ".json_escape" in found[0]:
                yield Hit(f"nothing fills {found[0]} there", path=path)


def _variables(pattern: re.Pattern[str], where: str) -> Callable[[Subject], Iterator[Hit]]:
    def check(subject: Subject) -> Iterator[Hit]:
        for source in subject.sources():
            for text, line in source.strings():
                if pattern.fullmatch(text):
                    yield Hit(
                        f"the code reads {text}, which only {where} sets",
                        path=source.path,
                        line=source.line(line),
                    )
        for executor in subject.executors():
            for path, word in executor.words():
                found = re.search(rf"\$[({{]?({pattern.pattern})\b", word)
                if found and path not in {source.path for source in subject.sources()}:
                    yield Hit(f"{found[0]} is used, which only {where} sets", path=path)

    return check


def _modules(modules: tuple[str, ...], what: str) -> Callable[[Subject], Iterator[Hit]]:
    def check(subject: Subject) -> Iterator[Hit]:
        for source in subject.sources():
            seen = set()
            for name, line in source.imports():
                found = [one for one in modules if f"{name}.".startswith(f"{one}.")]
                if found and found[0] not in seen:
                    seen.add(found[0])
                    yield Hit(
                        f"the code imports {found[0]}, {what}",
                        path=source.path,
                        line=source.line(line),
                    )

    return check


def _accelerator(subject: Subject) -> Iterator[Hit]:
    for executor in subject.executors():
        accelerator = executor.body.get("container", {}).get("resources", {}).get("accelerator", {})
        kind = accelerator.get("resourceType") or accelerator.get("type", "")
        if not kind or "{{$" in kind:
            continue
        is_resource = bool(DOMAIN.fullmatch(kind))
        path = f"{executor.path}.container.resources.accelerator"
        if subject.target == VERTEX and is_resource:
            yield Hit(
                f"the accelerator {kind} is a resource of Kubernetes, no type of Vertex AI",
                path=path,
                do="Name a type as NVIDIA_L4 for Vertex AI",
            )
        elif subject.target in KFP and not is_resource:
            yield Hit(
                f"the accelerator {kind} is a type of Vertex AI, no resource of Kubernetes",
                path=path,
                do="Name a resource as nvidia.com/gpu, and choose the node by a label",
            )


def _cloud_storage(subject: Subject) -> Iterator[Hit]:
    for path, text in subject.strings():
        if path != "defaultPipelineRoot" and (found := GCS.search(text)):
            yield Hit(f"{found[0]} is in Google Cloud Storage", path=path)
    for source in subject.sources():
        for text, line in source.strings():
            if found := GCS.search(text):
                yield Hit(
                    f"the code names {found[0]}, in Google Cloud Storage",
                    path=source.path,
                    line=source.line(line),
                )


RULES: tuple[Rule, ...] = (
    Rule(
        "google-executor",
        Severity.ERROR,
        ELSEWHERE,
        "A custom job or a resolver",
        "KFP's compiler knows containers and importers, and refuses a run with another executor.",
        "Make it a container component, and its machine type a request: set_cpu_request, "
        "set_memory_request, set_accelerator_type",
        _executor,
    ),
    Rule(
        "google-component",
        Severity.WARNING,
        ELSEWHERE,
        "A Google Cloud Pipeline Component",
        "Its container starts a job of Google's and waits for it. Outside of Vertex AI it needs "
        "credentials of a Google project in each pod, and Vertex AI's placeholders stay empty.",
        "Write the step as a component of its own, or give its pods a Google service account",
        _operators,
    ),
    Rule(
        "vertex-placeholder",
        Severity.WARNING,
        ELSEWHERE,
        "A placeholder that the target does not fill",
        "The text `{{$.pipeline_…}}` arrives as it stands. KFP fills the names and IDs of run and "
        "task, and from 2.17.0 the times; the pipeline root, the Google project, its location and "
        "network are known to Vertex AI alone.",
        "Make it a parameter of the pipeline",
        _placeholders,
    ),
    Rule(
        "vertex-variable",
        Severity.WARNING,
        ELSEWHERE,
        "A variable that Vertex AI alone sets",
        "Training containers of Vertex AI find their places in variables named `AIP_…`; elsewhere "
        "they are empty.",
        "Take the place from an output artifact or a parameter",
        _variables(OF_VERTEX, "Vertex AI"),
    ),
    Rule(
        "vertex-code",
        Severity.WARNING,
        ELSEWHERE,
        "Code that calls Vertex AI",
        "It needs the credentials of a Google project, which a pod of another cluster and this "
        "machine may lack.",
        "Give the pod a Google service account, or keep the step out of pipelines for elsewhere",
        _modules(VERTEX_MODULES, "which needs a Google project"),
    ),
    Rule(
        "cluster-variable",
        Severity.WARNING,
        frozenset({VERTEX, LOCAL}),
        "A variable that a cluster alone sets",
        "KFP gives each pod its name and its run's ID in variables, Kubernetes the address of its "
        "API; elsewhere they are empty.",
        "Use the placeholders of kfp.dsl, such as PIPELINE_JOB_ID_PLACEHOLDER",
        _variables(OF_KFP, "a cluster of KFP"),
    ),
    Rule(
        "cluster-code",
        Severity.WARNING,
        frozenset({VERTEX, LOCAL}),
        "Code that calls Kubernetes",
        "A task on Vertex AI is in no cluster that it could ask, nor is one on this machine.",
        "Keep the step out of pipelines for elsewhere",
        _modules(CLUSTER_MODULES, "and there is no cluster around it"),
    ),
    Rule(
        "accelerator",
        Severity.ERROR,
        KFP | {VERTEX},
        "An accelerator by the name that the other side has for it",
        "Kubernetes has resources with a domain, as `nvidia.com/gpu`, and refuses a pod that asks "
        "for another; Vertex AI has types, as `NVIDIA_L4`, and refuses the job.",
        "Set it by a parameter of the pipeline",
        _accelerator,
    ),
    Rule(
        "cloud-storage",
        Severity.WARNING,
        ELSEWHERE,
        "A place in Google Cloud Storage",
        "Outside of Google's cloud a task needs credentials for `gs://`, which the store of the "
        "target does not have.",
        "Make the place a parameter, and let the target's own store have the data",
        _cloud_storage,
    ),
)
