"""Rules on form, fields, graphs and Google: pipelines that break each, and some that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.lint import check, form, google, graph, protos
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import KFP_2_14_3, KFP_2_17_0, LOCAL, VERTEX
from tests.support.lint_pipelines import code, command, pipeline, task

if TYPE_CHECKING:
    from pathlib import Path

W, E = Severity.WARNING, Severity.ERROR
GOOD = pipeline({"a": task()})
ARGO = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "spec": {}}
OBJECT = {"apiVersion": "v1", "kind": "Pod"}
COMPONENT = {"name": "a", "implementation": {"container": {"image": "a"}}}
PLATFORM = {"a": {"secretAsEnv": [{"secretName": "s", "optional": False}]}}
OLD_PLATFORM = {"a": {"nodeSelector": {"labels": {"a": "b"}}}}
WRAPPED = [{"displayName": "a", "pipelineSpec": GOOD[0], "runtimeConfig": {}}]
GCPC = "gcr.io/ml-pipeline/google-cloud-pipeline-components:2.0.0"
IN_TEXT = '''
def f():
    """Reads os.environ["AIP_MODEL_DIR"], gs://b/a and KFP_POD_NAME."""
    # import google.cloud.aiplatform, kubernetes
    print("about AIP_MODEL_DIR")
'''


def changed(**fields: Any) -> Any:
    return [{**GOOD[0], **fields}]


def named(name: str) -> Any:
    return changed(pipelineInfo={"name": name})


def a_task(**fields: Any) -> Any:
    return pipeline({"a": task(**fields)})


def source(text: str) -> Any:
    return a_task(executor=code(text))


def accelerator(kind: str) -> Any:
    found = {"accelerator": {"type": kind, "count": "1", "resourceType": kind}}
    return a_task(executor=command("true", resources=found))


def literal() -> Any:
    (spec,) = pipeline({"a": task(inputs={"x": "a"})})
    spec["components"]["comp-a"]["inputDefinitions"]["parameters"]["x"]["literals"] = ["a"]
    return [spec]


def config(**fields: Any) -> Any:
    return [GOOD[0], {"platforms": {"kubernetes": {"pipelineConfig": fields}}}]


def label(value: str) -> Any:
    return pipeline({"a": task()}, platform={"a": {"podMetadata": {"labels": {"a": value}}}})


def ring() -> Any:
    return pipeline({"a": task(dependentTasks=["b"]), "b": task(dependentTasks=["a"])})


def itself() -> Any:
    return pipeline({"a": task(graph={"b": task(component="a", graph={})})})


#: Rule, target, what the file holds, severity, words of the finding.
BROKEN: list[tuple[str, str, Any, Severity, str]] = [
    ("unreadable", LOCAL, "a: [", E, "it is not YAML"),
    ("unreadable", VERTEX, "a: &a [*a]", E, "inside its own anchor"),
    ("unreadable", KFP_2_14_3, "[" * 200_000, E, "more than 90 deep"),
    ("unreadable", KFP_2_14_3, "\x00", E, "not YAML"),
    ("no-pipeline", KFP_2_17_0, "", E, "the file is empty"),
    ("no-pipeline", KFP_2_17_0, "--- \n---\n", E, "the file is empty"),
    ("no-pipeline", KFP_2_17_0, "just a text", E, "no document that is a mapping"),
    ("no-pipeline", KFP_2_17_0, "[1, 2]", E, "no document that is a mapping"),
    ("no-pipeline", KFP_2_14_3, [ARGO], E, "an Argo Workflow"),
    ("no-pipeline", VERTEX, [OBJECT], E, "the kind Pod"),
    ("no-pipeline", LOCAL, [COMPONENT], E, "a component"),
    ("no-pipeline", LOCAL, [{"a": 1}], E, "keys: a"),
    ("malformed", KFP_2_17_0, changed(components=["a"]), E, "the IR's form"),
    ("malformed", KFP_2_17_0, changed(root="a"), E, "the IR's form"),
    ("malformed", KFP_2_17_0, changed(deploymentSpec={"executors": [1]}), E, "the IR's form"),
    ("repeated-key", KFP_2_14_3, "pipelineInfo: {name: a, name: b}", E, "the key 'name' twice"),
    ("repeated-key", LOCAL, "pipelineInfo: {name: a, name: b}", W, "the key 'name' twice"),
    ("pipeline-job", KFP_2_14_3, WRAPPED, E, "a PipelineJob"),
    ("documents", KFP_2_14_3, GOOD + GOOD, E, "2 pipelines"),
    ("documents", KFP_2_14_3, [*GOOD, {"a": 1}], W, "1 more documents"),
    ("documents", KFP_2_14_3, [*GOOD, *config(), *config()[1:]][1:], E, "2 documents for platf"),
    ("kubernetes-settings", VERTEX, pipeline({"a": task()}, platform=PLATFORM), E, "secretAsEnv"),
    ("kubernetes-settings", LOCAL, pipeline({"a": task()}, platform=PLATFORM), W, "no effect"),
    ("kubernetes-settings", VERTEX, config(workspace={"size": "1Gi"}), E, "workspace"),
    ("schema-version", KFP_2_17_0, changed(schemaVersion="2.0.0"), E, "2.0.0"),
    ("schema-version", VERTEX, changed(schemaVersion="2.2.0"), E, "2.2.0"),
    ("pipeline-name", VERTEX, named("1-a"), E, "'1-a'"),
    ("pipeline-name", VERTEX, named("a" * 114), E, "at most 113"),
    ("pipeline-name", KFP_2_17_0, named("a" * 129), E, "129 characters"),
    ("pipeline-name", KFP_2_17_0, named("Überblick"), E, "'Überblick'"),
    ("pipeline-name", LOCAL, changed(pipelineInfo={}), E, "no name"),
    ("task-name", KFP_2_14_3, pipeline({"a" * 122: task()}), E, "122 characters"),
    ("task-name", KFP_2_14_3, pipeline({"a_b": task()}), E, "'a_b'"),
    ("pod-label", KFP_2_17_0, label("a b"), E, "'a b'"),
    ("pod-label", KFP_2_17_0, label("a" * 64), E, "the label a"),
    ("no-tasks", KFP_2_17_0, pipeline({}), E, "no tasks"),
    ("dangling", KFP_2_17_0, changed(components={}), E, "comp-a is missing"),
    ("dangling", LOCAL, changed(deploymentSpec={}), E, "exec-a of its component"),
    ("dangling", VERTEX, a_task(dependentTasks=["b"]), E, "waits for 'b'"),
    ("endless", KFP_2_14_3, ring(), E, "wait for each other: a, b"),
    ("endless", KFP_2_14_3, itself(), E, "a part of itself"),
    ("unknown-field", KFP_2_14_3, literal(), E, "KFP 2.14.3 does not know the field literals"),
    ("unknown-field", KFP_2_17_0, changed(more=1), E, "the field more of PipelineSpec"),
    ("unknown-field", VERTEX, changed(more=1), W, "KFP up to 2.17.0"),
    ("ignored-field", KFP_2_14_3, a_task(executor={"importer": {"downloadToWorkspace": True}}), W,
     "and runs without it"),
    ("unknown-setting", KFP_2_14_3, pipeline({"a": task()}, platform=PLATFORM), E,
     "the field optional of SecretAsEnv, and fails each run"),
    ("unknown-setting", KFP_2_14_3, config(activeDeadlineSeconds=1), E, "drops all Kubernetes"),
    ("google-executor", KFP_2_17_0, a_task(executor={"customJob": {"customJob": {}}}), E, "custom"),
    ("google-executor", LOCAL, a_task(executor={"resolver": {}}), E, "resolver"),
    ("google-component", LOCAL, a_task(executor=command("true", image=GCPC)), W, "Google"),
    ("vertex-placeholder", KFP_2_14_3, a_task(inputs={"x": "{{$.pipeline_root}}"}), W, "_root}}"),
    ("vertex-placeholder", KFP_2_14_3, a_task(inputs={"x": "{{$.pipeline_job_create_time_utc}}"}),
     W, "nothing fills"),
    ("vertex-variable", LOCAL, source("def f():\n    print(os.environ['AIP_MODEL_DIR'])"), W,
     "AIP_MODEL_DIR"),
    ("vertex-variable", LOCAL, a_task(executor=command("sh", "-c", "ls ${AIP_MODEL_DIR}")), W,
     "AIP_MODEL_DIR"),
    ("vertex-code", KFP_2_17_0, source("def f():\n    from google.cloud import aiplatform"), W,
     "google.cloud.aiplatform"),
    ("cluster-variable", VERTEX, source("def f():\n    print(os.getenv('KFP_POD_NAME'))"), W,
     "KFP_POD_NAME"),
    ("cluster-code", VERTEX, source("def f():\n    import kubernetes.client"), W, "kubernetes"),
    ("accelerator", KFP_2_17_0, accelerator("NVIDIA_L4"), E, "no resource of Kubernetes"),
    ("accelerator", VERTEX, accelerator("nvidia.com/gpu"), E, "no type of Vertex AI"),
    ("cloud-storage", KFP_2_14_3, a_task(inputs={"x": "gs://b/a.csv"}), W, "gs://b/a.csv"),
    ("cloud-storage", LOCAL, source("def f():\n    return 'gs://b/a.csv'"), W, "the code names"),
]  # fmt: skip

#: Rule, target, what the file holds: neighbours that break nothing.
KEPT: list[tuple[str, str, Any]] = [
    ("unreadable", KFP_2_14_3, "a: &a {b: 1}\nc: *a"),
    ("unreadable", KFP_2_14_3, "\ufeffa: 2020-01-01\nb: ="),
    ("no-pipeline", KFP_2_14_3, GOOD),
    ("malformed", KFP_2_14_3, changed(more=1)),
    ("repeated-key", KFP_2_14_3, "pipelineInfo: {name: a}\nroot: {name: a}"),
    ("pipeline-job", VERTEX, WRAPPED),
    ("pipeline-job", KFP_2_17_0, GOOD),
    ("documents", KFP_2_14_3, config(workspace={"size": "1Gi"})),
    ("kubernetes-settings", VERTEX, GOOD),
    ("kubernetes-settings", KFP_2_14_3, pipeline({"a": task()}, platform=PLATFORM)),
    ("schema-version", VERTEX, changed(schemaVersion="2.0.0")),
    ("pipeline-name", VERTEX, named("a" * 113)),
    ("pipeline-name", KFP_2_17_0, named("1-a")),
    ("pipeline-name", KFP_2_17_0, named("namespace/n/pipeline/a")),
    ("task-name", KFP_2_14_3, pipeline({"a" * 121: task()})),
    ("task-name", VERTEX, pipeline({"a" * 122: task()})),
    ("pod-label", KFP_2_17_0, label("a" * 63)),
    ("pod-label", KFP_2_17_0, label("{{$.inputs.parameters['pipelinechannel--a']}}")),
    ("no-tasks", KFP_2_17_0, GOOD),
    ("dangling", KFP_2_17_0, pipeline({"a": task(), "b": task(dependentTasks=["a"])})),
    ("endless", KFP_2_17_0, pipeline({"a": task(), "b": task(dependentTasks=["a"])})),
    ("endless", KFP_2_17_0, pipeline({"a": task(graph={"b": task(graph={"c": task()})})})),
    ("unknown-field", KFP_2_17_0, literal()),
    ("unknown-field", KFP_2_14_3, changed(default_pipeline_root="minio://a")),
    ("unknown-field", KFP_2_14_3, GOOD),
    ("ignored-field", KFP_2_17_0, a_task(executor={"importer": {"downloadToWorkspace": True}})),
    ("unknown-setting", KFP_2_17_0, pipeline({"a": task()}, platform=PLATFORM)),
    ("unknown-setting", KFP_2_14_3, pipeline({"a": task()}, platform=OLD_PLATFORM)),
    ("google-executor", KFP_2_17_0, GOOD),
    ("google-executor", VERTEX, a_task(executor={"customJob": {}})),
    ("google-component", KFP_2_14_3, a_task(executor=command("true", image="python:3.11"))),
    ("google-component", VERTEX, a_task(executor=command("true", image=GCPC))),
    ("vertex-placeholder", KFP_2_14_3, a_task(inputs={"x": "{{$.pipeline_job_uuid}}"})),
    ("vertex-placeholder", KFP_2_17_0, a_task(inputs={"x": "{{$.pipeline_job_create_time_utc}}"})),
    ("vertex-placeholder", LOCAL, a_task(inputs={"x": "{{$.pipeline_root}}"})),
    ("vertex-variable", LOCAL, source(IN_TEXT)),
    ("vertex-variable", LOCAL, a_task(executor=command("echo", "AIP_MODEL_DIR"))),
    ("vertex-code", KFP_2_17_0, source(IN_TEXT)),
    ("vertex-code", KFP_2_17_0, source("def f():\n    import google.cloud.storage, vertexaix")),
    ("cluster-variable", VERTEX, source(IN_TEXT)),
    ("cluster-code", VERTEX, source(IN_TEXT)),
    ("accelerator", VERTEX, accelerator("NVIDIA_L4")),
    ("accelerator", KFP_2_17_0, accelerator("nvidia.com/gpu")),
    ("cloud-storage", KFP_2_17_0, source(IN_TEXT)),
    ("cloud-storage", VERTEX, a_task(inputs={"x": "gs://b/a.csv"})),
]


@pytest.mark.parametrize(("rule", "target", "content", "severity", "words"), BROKEN)
def test_breaks(
    rule: str, target: str, content: Any, severity: Severity, words: str, tmp_path: Path
) -> None:
    found = findings(content, target, rule, tmp_path)
    assert len(found) == 1, found
    assert found[0].severity == severity
    assert words in found[0].message
    assert found[0].do


@pytest.mark.parametrize(("rule", "target", "content"), KEPT)
def test_keeps(rule: str, target: str, content: Any, tmp_path: Path) -> None:
    assert findings(content, target, rule, tmp_path) == []


def test_every_rule_is_tried() -> None:
    ids = {rule.id for module in (form, protos, graph, google) for rule in module.RULES}
    assert ids == {row[0] for row in BROKEN} == {row[0] for row in KEPT}


def findings(content: Any, target: str, rule: str, folder: Path) -> list[Any]:
    file = folder / "small.yaml"
    text = content if isinstance(content, str) else yaml.safe_dump_all(content)
    file.write_text(text, encoding="utf-8")
    return [one for one in check(file, target) if one.rule == rule]
