"""What a run on a cluster left, and why its tasks failed. Logs are as KFP 2.14.3 writes them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.core.errors import CommandError, KitError
from kfpkit.kfp import metadata, workflow
from kfpkit.kfp.log import written
from kfpkit.kfp.metadata import Execution, Home, Output
from kfpkit.kfp.object_store import Listing, Objects
from kfpkit.kfp.run import Run, State, Task
from kfpkit.kfp.target import Target
from kfpkit.kube import forward
from kfpkit.runs import results
from kfpkit.runs.report import page
from kfpkit.runs.results import archive, unrounded
from tests.support.recorded_runs import FATAL, LAUNCHER, TRACEBACK, fatal
from tests.support.workflows import START

if TYPE_CHECKING:
    from pathlib import Path

#: With driver pods, and as with the warm driver.
pytestmark = pytest.mark.usefixtures("either_driver")


def output(text: str) -> str:
    """Return the launcher's print of what a step wrote, with the step's own before it."""
    head = "I1124 12:00:01.500000      17 launcher_v2.go:877] ExecutorOutput: "
    return f"reading\n{head}{text}\n{LAUNCHER}"


METRICS = {
    "huge": 1e308,
    "tiny": 1e-320,
    "sum": 0.1 + 0.2,
    "good": True,
    "rows": 344,
    "whole": 2.0,
    "name": "a",
}

#: The same as ML Metadata gives them back.
KEPT = {
    "huge": 9.999999999999999e64,
    "tiny": 0,
    "sum": 0.3,
    "good": 1,
    "rows": 344,
    "whole": 2,
    "name": "a",
}


def metrics_output() -> Output:
    return Output("metrics", "system.Metrics", "", KEPT, {}, ["huge", "rows", "sum", "tiny"])


def test_the_numbers_of_an_artifact_have_the_digits_that_the_step_wrote() -> None:
    wrote = {"artifacts": {"metrics": {"artifacts": [{"metadata": METRICS}]}}}
    for text in (json.dumps(wrote), json.dumps(wrote, indent=2)):
        given = written(output(text))["artifacts"]["metrics"]["artifacts"][0]["metadata"]
        known = KEPT | unrounded(metrics_output(), given)
        assert known == METRICS
        assert [type(known[key]) for key in ("good", "rows", "whole")] == [bool, int, float]


def test_numbers_of_another_artifact_are_not_taken() -> None:
    other = {"huge": 5.0, "sum": 0.4, "tiny": "text", "rows": None}
    assert unrounded(metrics_output(), other) == {}


@pytest.mark.parametrize(
    "log", ["", "reading\n", output("[1]"), output("{cut of"), "ExecutorOutput"]
)
def test_a_log_without_what_the_step_wrote(log: str) -> None:
    assert written(log) == {}


def test_the_bucket_of_archived_logs() -> None:
    home = Home("minio://mlpipeline/v2/p/1", {"secretName": "s"})
    assert archive({}, home) == ("minio://mlpipeline", {"secretName": "s"})
    assert archive({"gcs": {"bucket": "b"}}, home) == ("gs://b", {})
    bucket, access = archive({"s3": {"bucket": "b", "insecure": True, "endpoint": "e:1"}}, home)
    assert (bucket, access["disableSSL"], access["endpoint"]) == ("s3://b", "True", "e:1")


class Cluster(Target):
    """A cluster with the logs of pods and with events."""

    logs: dict[str, str]
    events: list[dict[str, Any]]
    objects: list[dict[str, Any]]
    refusing = False

    def query(
        self, *arguments: str, check: bool = True, stdin: str | None = None
    ) -> process.Result:
        del check, stdin
        text = self.logs.get(arguments[1])
        return process.Result(int(text is None), text or "", "")

    def items(self, kinds: Any, *selector: str) -> list[dict[str, Any]]:
        del selector
        if self.refusing and kinds == ["events"]:
            raise CommandError("get events", 1, "Forbidden")
        return self.events if kinds == ["events"] else self.objects


class Store(Objects):
    """Objects by their URI."""

    there: dict[str, bytes]
    asked: list[tuple[str, dict[str, str]]]

    def find(self, uri: str, access: dict[str, str]) -> Listing | None:
        self.asked.append((uri, access))
        return Listing(len(self.there[uri]), [uri], folder=False) if uri in self.there else None

    def fetch(self, uri: str, access: dict[str, str], found: Listing, to: Path) -> None:
        del access, found
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_bytes(self.there[uri])

    def read(self, uri: str, access: dict[str, str]) -> str:
        self.asked.append((uri, access))
        if uri not in self.there:
            raise KitError(f"{uri} cannot be read")
        return self.there[uri].decode()


HOME = Home("minio://mlpipeline/v2/demo/1", {"secretName": "s", "endpoint": "minio:9000"})

SPEC: dict[str, Any] = {
    "components": {
        "comp-work": {
            "inputDefinitions": {"parameters": {"x": {"parameterType": "NUMBER_DOUBLE"}}},
            "outputDefinitions": {
                "parameters": {
                    "share": {"parameterType": "NUMBER_DOUBLE"},
                    "rows": {"parameterType": "NUMBER_INTEGER"},
                    "good": {"parameterType": "BOOLEAN"},
                    "text": {"parameterType": "STRING"},
                    "each": {"parameterType": "LIST"},
                }
            },
        }
    }
}

POD = "demo-x7k2p-system-container-impl-12"


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster("kind", "kind-kfp", "kubectl")
    made.__dict__.update(logs={}, events=[], objects=[])
    return made


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, cluster: Cluster) -> Store:
    made = Store(cluster)
    made.there, made.asked = {}, []
    monkeypatch.setattr(results, "Objects", lambda _: made)
    return made


def bring(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    folder: Path,
    rows: list[Task],
    placed: dict[str, Execution] | None = None,
    nodes: list[dict[str, Any]] | None = None,
    **status: Any,
) -> Run:
    """Return a run of these tasks, brought here."""
    monkeypatch.setattr(results, "recorded", lambda *_: (placed or {}, HOME))
    by_id = {node["id"]: node for node in nodes or []}
    seen = workflow.Workflow(
        {
            "metadata": {"name": "demo-x7k2p"},
            "status": {"phase": "Failed", "nodes": by_id, **status},
        }
        if nodes
        else {}
    )
    bad = any(task.state is State.FAILED for task in rows)
    run = Run("1", "demo", "v", "kind", State.FAILED if bad else State.SUCCEEDED, START)
    run.tasks = rows
    results.bring(cluster, run, SPEC, seen, folder)
    return run


def node(path: str, message: str, template: str = "system-container-impl") -> dict[str, Any]:
    return {
        "id": "demo-x7k2p-12",
        "name": f"demo-x7k2p.{path}",
        "type": "Pod",
        "phase": "Failed",
        "templateName": template,
        "message": message,
    }


def test_a_round_has_its_own_values_artifacts_and_log(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    uri = "minio://mlpipeline/v2/demo/1/work/table"
    table = Output("table", "system.Dataset", uri, {"share": 0.333333}, {}, ["share"])
    store.there[uri] = b"abc"
    wrote = {"artifacts": {"table": {"artifacts": [{"metadata": {"share": 1 / 3}}]}}}
    cluster.logs[POD] = output(json.dumps(wrote))
    values = {"share": 2, "rows": 3, "good": True, "text": "5", "each": [1, 2.5]}
    one = Execution(
        6, "work", 5, state=State.SUCCEEDED, inputs={"x": 1}, outputs=values, artifacts=[table]
    )
    one.pod = POD
    task = Task("for-loop-1/work", "work", State.SUCCEEDED)
    task.rounds = [
        Task(f"for-loop-1[{n}]/work", "work", State.SUCCEEDED, inputs={"x": 1.0}) for n in (0, 1)
    ]
    run = bring(monkeypatch, cluster, tmp_path, [task], {"for-loop-1[1]/work": one})
    first, second = task.rounds
    assert (first.outputs, first.artifacts, task.outputs, task.artifacts) == ({}, [], {}, [])
    assert second.outputs == values
    assert [type(second.outputs[key]) for key in values] == [float, int, bool, str, list]
    assert type(second.inputs["x"]) is float
    (artifact,) = second.artifacts
    assert artifact.path == "outputs/for-loop-1/1/work/table"
    assert (tmp_path / artifact.path).read_bytes() == b"abc"
    assert artifact.sha256 == hashlib.sha256(b"abc").hexdigest()
    assert (artifact.metadata, artifact.rounded) == ({"share": 1 / 3}, [])
    assert f"==== for-loop-1[1]/work ({POD})\n" in (tmp_path / run.log).read_text()


def test_digits_of_a_cached_task_come_from_the_log_of_the_first_or_are_marked(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrote = {"artifacts": {"metrics": {"artifacts": [{"metadata": METRICS}]}}}
    archived = f"minio://mlpipeline/artifacts/demo-x7k2p/{POD}/main.log"
    for log in (output(json.dumps(wrote)), None):
        store.there = {archived: log.encode()} if log else {}
        one = Execution(6, "work", 1, state=State.SUCCEEDED, cached=True)
        one.pod, one.artifacts = POD, [metrics_output()]
        task = Task("work", "work", State.SUCCEEDED, cached=True)
        bring(monkeypatch, cluster, tmp_path, [task], {"work": one})
        (artifact,) = task.artifacts
        said = capsys.readouterr().err
        if log:
            assert (artifact.metadata, artifact.rounded) == (METRICS, [])
            assert "six decimals" not in said
        else:
            assert (artifact.metadata, artifact.rounded) == (KEPT, metrics_output().rounded)
            assert "the numbers of work.metrics have the six decimals" in said
            assert "warning" not in said


def test_an_imported_object_of_the_runs_own_store_is_read_with_its_secret(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    uris = ["minio://mlpipeline/t/a.txt", "minio://other/b", "s3://else/c", "minio://mlpipeline/no"]
    store.there = dict.fromkeys(uris[:3], b"x")
    one = Execution(6, "work", 1, state=State.SUCCEEDED)
    one.artifacts = [Output(f"o{n}", "system.Dataset", uri, {}, {}) for n, uri in enumerate(uris)]
    lost = Output("o4", "system.Metrics", f"{HOME.root}/work/m", {}, HOME.access)
    one.artifacts.append(lost)
    task = Task("work", "work", State.SUCCEEDED)
    bring(monkeypatch, cluster, tmp_path, [task], {"work": one})
    asked = dict(store.asked)
    assert [asked[uri] for uri in uris] == [HOME.access, HOME.access, {}, HOME.access]
    assert [one.path for one in task.artifacts] == [
        *(f"outputs/work/o{n}" for n in range(3)),
        *("", ""),
    ]
    # What is imported has its URI also where nothing is there; what wrote no file has none.
    assert [one.uri for one in task.artifacts] == [*uris, ""]


def test_a_store_that_cannot_be_read_is_one_warning(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    one = Execution(6, "work", 1, state=State.SUCCEEDED)
    one.artifacts = [Output(name, "system.Dataset", f"s3://else/{name}", {}, {}) for name in "ab"]
    task = Task("work", "work", State.SUCCEEDED)
    bring(monkeypatch, cluster, tmp_path, [task], {"work": one})
    said = capsys.readouterr().err
    assert said.count("warning: s3://else cannot be read from here: KFP names no Secret") == 1
    assert said.count("\n") == 1
    assert [one.uri for one in task.artifacts] == ["s3://else/a", "s3://else/b"]


def event(name: str, message: str, kind: str = "Warning") -> dict[str, Any]:
    return {
        "type": kind,
        "reason": "WorkflowNodeError",
        "message": message,
        "involvedObject": {"name": name},
    }


FORBIDDEN = "Error node demo: configmaps is forbidden"


@pytest.mark.parametrize(
    ("message", "status", "events", "expected"),
    [
        pytest.param(
            "configmaps is odd",
            {},
            [],
            "the step work failed by itself: configmaps is odd",
            id="Argo's message",
        ),
        pytest.param(
            "Error (exit code 64)",
            {},
            [event(POD, "Argument list too long"), event(POD, "no", "Normal"), event("x", "no")],
            "the step work cannot start: a value that it is given is longer than 128 KiB, the most "
            "that Linux hands to a program; hand it over in a file, as an artifact",
            id="events of the pod",
        ),
        pytest.param(
            "",
            {"message": "child failed"},
            [],
            "the step work failed: child failed",
            id="the Workflow's message",
        ),
        pytest.param(
            "",
            {},
            [event("demo-x7k2p", FORBIDDEN), event("demo-x7k2p", FORBIDDEN)],
            f"the step work failed: {FORBIDDEN}",
            id="events of the Workflow",
        ),
        pytest.param(
            "",
            {},
            [],
            "the step work failed: neither a log nor Kubernetes says why",
            id="nothing",
        ),
    ],
)
def test_a_failed_task_has_a_reason_whatever_is_left(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    store: Store,
    tmp_path: Path,
    message: str,
    status: dict[str, Any],
    events: list[dict[str, Any]],
    expected: str,
) -> None:
    assert store
    cluster.events.extend(events)
    task = Task("work", "work", State.FAILED)
    failed = node("root.work.executor", message)
    bring(monkeypatch, cluster, tmp_path, [task], nodes=[failed], **status)
    assert task.error == expected


def test_a_missing_right_to_events_hides_nothing_else(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    assert store
    cluster.__dict__["refusing"] = True
    task = Task("work", "work", State.FAILED)
    bring(
        monkeypatch,
        cluster,
        tmp_path,
        [task],
        nodes=[node("root.work.executor", "Error (exit code 1)")],
    )
    assert task.error == "the step work failed by itself: Error (exit code 1)"


@pytest.mark.parametrize("pod", [POD, POD.replace("system", "retry-system")])
def test_a_failed_task_whose_workflow_is_gone_has_its_reason_from_the_archive(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path, pod: str
) -> None:
    uri = f"minio://mlpipeline/artifacts/demo-x7k2p/{pod}/main.log"
    store.there[uri] = (LAUNCHER + TRACEBACK + FATAL).encode()
    one = Execution(6, "work", 1, state=State.FAILED, pod=pod)
    task = Task("work", "work", State.FAILED)
    run = bring(monkeypatch, cluster, tmp_path, [task], {"work": one})
    assert task.error == f"{TRACEBACK}the step work failed by itself: ValueError: too low"
    sentence, command, page_ = run.explanation.splitlines()
    assert sentence == "the step work failed by itself: ValueError: too low"
    assert (
        command
        == f"    kubectl --context kind-kfp --namespace kubeflow logs {pod} --container=main"
    )
    assert page_ == "Read docs/operate/runbooks/run-failed.md"
    assert (uri, HOME.access) in store.asked
    assert "ValueError: too low" in (tmp_path / run.log).read_text()


def test_a_failed_run_of_which_no_task_failed_has_the_error_of_a_graphs_driver(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    pod = "demo-x7k2p-system-dag-driver-12"
    cluster.logs[pod] = fatal("KFP driver: driver.DAG(a=1) failed: no such input")
    store.there[f"minio://mlpipeline/artifacts/demo-x7k2p/{pod}/main.log"] = cluster.logs[
        pod
    ].encode()
    failed = node("root.for-loop-1.iteration-driver", "Error (exit code 1)", "system-dag-driver")
    task = Task("for-loop-1/work", "work", State.NOT_RUN)
    run = Run("1", "demo", "v", "kind", State.FAILED, START, tasks=[task])
    monkeypatch.setattr(results, "recorded", lambda *_: ({}, HOME))
    seen = workflow.Workflow(
        {"metadata": {"name": "demo-x7k2p"}, "status": {"phase": "Failed", "nodes": {"a": failed}}}
    )
    results.bring(cluster, run, SPEC, seen, tmp_path)
    assert run.error == "the driver of for-loop-1 failed: KFP driver: no such input"
    assert run.explanation.startswith(f"{run.error}\n    kubectl ")


def test_a_run_from_the_cache_has_metrics_and_needs_no_log_of_its_own(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    assert store
    driver = node("root.work-driver", "", "system-container-driver")
    driver["outputs"] = {"parameters": [{"name": "cached-decision", "value": "true"}]}
    wrap = node("root.work", "", "system-container-executor")
    executor = node("root.work.executor", "")
    nodes = [
        driver | {"phase": "Succeeded"},
        wrap | {"id": "demo-x7k2p-13", "type": "DAG", "phase": "Succeeded"},
        executor | {"id": "demo-x7k2p-14", "type": "Skipped", "phase": "Skipped"},
    ]
    task = Task("work", "work")
    seen = workflow.Workflow(
        {"metadata": {"name": "demo-x7k2p"}, "status": {"nodes": {n["id"]: n for n in nodes}}}
    )
    assert workflow.update(task, seen)
    one = Execution(6, "work", 1, state=State.SUCCEEDED, cached=True, pod=POD)
    root = "minio://mlpipeline/v2/demo"
    one.artifacts = [replace(metrics_output(), uri=f"{root}/earlier/work/metrics")]
    one.artifacts += [replace(metrics_output(), name="else", uri=f"{root}/other/work/metrics")]
    one.made_by = "earlier"
    run = bring(monkeypatch, cluster, tmp_path, [task], {"work": one}, nodes)
    assert (task.cached_from, run.explanation) == ("earlier", "")
    assert [a.uri for a in task.artifacts] == [one.artifacts[1].uri, ""], "one wrote no file"
    task.artifacts = task.artifacts[1:]
    assert (task.state, task.cached, run.log) == (State.SUCCEEDED, True, "")
    assert {m.name: m.value for m in page.metrics(run)}["name"] == "a"
    assert len(page.metrics(run)) == len(KEPT)


def test_the_log_of_a_task_on_volumes_is_its_drivers(
    monkeypatch: pytest.MonkeyPatch, cluster: Cluster, store: Store, tmp_path: Path
) -> None:
    pod = "demo-x7k2p-system-container-driver-12"
    cluster.logs[pod] = "made the volume"
    store.there[f"minio://mlpipeline/artifacts/demo-x7k2p/{pod}/main.log"] = b"made the volume"
    made = node("root.work", "", "system-container-driver") | {"phase": "Succeeded"}
    done = [Task("work", "work", State.SUCCEEDED)]
    run = bring(monkeypatch, cluster, tmp_path, done, nodes=[made])
    head, said = (tmp_path / run.log).read_text().splitlines()
    assert head in (f"==== work ({pod})", "==== work (without a pod)")
    assert said == "made the volume"


def test_without_the_metadata_there_are_logs_and_errors_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
    cluster: Cluster,
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert store

    def refuse(*_: object) -> None:
        raise KitError("the metadata server does not answer")

    monkeypatch.setattr(forward, "opened", refuse)
    monkeypatch.setattr(metadata, "executions", refuse)
    cluster.logs[POD] = "bye\n" + FATAL
    task = Task("work", "work", State.FAILED)
    run = Run("1", "demo", "v", "kind", State.FAILED, START, tasks=[task])
    failed = node("root.work.executor", "Error (exit code 1)")
    seen = workflow.Workflow(
        {"metadata": {"name": "demo-x7k2p"}, "status": {"phase": "Failed", "nodes": {"a": failed}}}
    )
    results.bring(cluster, run, SPEC, seen, tmp_path)
    assert task.error == "the step work failed by itself: bye"
    assert "no metrics and no artifacts" in capsys.readouterr().err
