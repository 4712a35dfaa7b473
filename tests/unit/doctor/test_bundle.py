"""What is in a support bundle, and what is left out of it: the answers are those of kubectl."""

from __future__ import annotations

import base64
import gzip
import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.errors import CommandError
from kfpkit.core.findings import Verdict
from kfpkit.doctor import bundle
from kfpkit.doctor.check import Report
from kfpkit.kfp.target import Target
from tests.support.troubles import unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Object = dict[str, Any]

PASSWORD = "hunter2hunter2"  # noqa: S105 - of nobody

NODES = {
    "wf-1": {"id": "wf-1", "name": "wf.root.train", "inputs": {"parameters": [{"value": PASSWORD}]}}
}


def packed(nodes: Object) -> str:
    return base64.b64encode(gzip.compress(json.dumps(nodes).encode())).decode()


def thing(version: str, kind: str, name: str, **more: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def workflow(name: str, status: Object | None) -> Object:
    return thing("argoproj.io/v1alpha1", "Workflow", name, status=status)


def pod(name: str, restarts: int = 0, **state: Any) -> Object:
    main = {"name": "main", "image": "i", "imageID": "i@1", "state": state}
    statuses = [{**main, "restartCount": restarts}]
    return thing("v1", "Pod", name, status={"containerStatuses": statuses})


def report(name: str) -> Report:
    return Report(name, name, "", Verdict.OK, (), 1.0)


DATA = {"password": base64.b64encode(PASSWORD.encode()).decode()}

#: As `kubectl api-resources --no-headers` gives them.
RESOURCES = """\
configmaps      cm   v1                     true   ConfigMap
events          ev   v1                     true   Event
pods            po   v1                     true   Pod
secrets              v1                     true   Secret
roles                rbac.authorization.k8s.io/v1   true   Role
workflows       wf   argoproj.io/v1alpha1   true   Workflow
events          ev   events.k8s.io/v1       true   Event
pods                 metrics.k8s.io/v1beta1 true   PodMetrics
"""


class Cluster:
    """Answers as kubectl does, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.limits: list[float | None] = []
        self.items: dict[str, list[Object]] = {
            "secrets": [thing("v1", "Secret", "s", data=DATA)],
            "pods": [pod("waiting", waiting={}), pod("ml-pipeline", running={})],
            "nodes": [thing("v1", "Node", "kfp-control-plane")],
            "roles.rbac.authorization.k8s.io": [
                thing("rbac.authorization.k8s.io/v1", "Role", "runner")
            ],
        }
        self.log = "all is well\n"
        #: Words of a command that does not answer in time, or that is refused.
        self.hangs = self.refuses = "nothing"

    def query(self, argv: list[str], *, check: bool = True, **more: Any) -> process.Result:
        self.asked.append(argv)
        self.limits.append(more.get("timeout"))
        found = process.Result(0, "", "")
        if self.hangs in argv:
            found = process.Result(-signal.SIGKILL, "", "killed after 30 s")
        elif "version" in argv:
            found = process.Result(0, "{}", "")
        elif "api-resources" in argv:
            found = process.Result(0, RESOURCES, "")
        elif "logs" in argv:
            prefix = f"[pod/{argv[argv.index('logs') + 1]}/main] " if "--prefix" in argv else ""
            log = "".join(f"{prefix}{row}\n" for row in self.log.rstrip("\n").split("\n"))
            found = process.Result(0, log, "")
        elif "get" in argv:
            # What may not be read is named, and the rest is given.
            kinds = argv[argv.index("get") + 1].split(",")
            items = [i for k in kinds if k != self.refuses for i in self.items.get(k, [])]
            refused = self.refuses in kinds
            said = f"{self.refuses} is forbidden for {PASSWORD}" if refused else ""
            found = process.Result(int(refused), json.dumps({"items": items}), said)
        if check and not found.ok:
            raise CommandError(process.line(argv), found.returncode, found.stderr)
        return found


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster without a cluster."""
    made = Cluster()
    monkeypatch.setattr(process, "query", made.query)
    monkeypatch.setattr(Target, "namespace", "kubeflow")
    return made


@pytest.fixture
def files(cluster: Cluster, tmp_path: Path) -> Callable[[], dict[str, str]]:
    """Make a bundle and return what is in it."""
    assert not cluster.asked

    def files() -> dict[str, str]:
        to = tmp_path / "b.tar.gz"
        bundle.make(Target("kind", "kind-kfp", "kubectl"), to, [report("a"), report("b")])
        return {name.partition("/")[2]: text for name, text in unpack(to).items()}

    return files


def test_all_that_answers_is_there_and_each_command_has_a_limit(
    cluster: Cluster, files: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = files()
    assert set(found) == {
        *("README.txt", "doctor.json", "versions.json", "cluster/nodes.txt", "cluster/nodes.yaml"),
        *("objects/pods.yaml", "objects/secrets.yaml"),
        *("objects/roles.rbac.authorization.k8s.io.yaml", "logs/ml-pipeline/main.log"),
    }
    assert found["logs/ml-pipeline/main.log"] == cluster.log
    # Not one command a kind, and none for what is the same under another name.
    gets = [argv[argv.index("get") + 1] for argv in cluster.asked if "get" in argv]
    assert gets == [
        *("secrets", "pods", "pods,workflows.argoproj.io,events,secrets"),
        "nodes,persistentvolumes,storageclasses,mutatingwebhookconfigurations",
        "configmaps,roles.rbac.authorization.k8s.io",
    ]
    # All but the first, without which nothing can be shown.
    assert cluster.asked[0][-2] == "secrets"
    assert all(limit and limit <= bundle.COMMAND for limit in cluster.limits[1:])
    said = capsys.readouterr().err
    assert " s  logs/ml-pipeline/main.log" in said
    assert "warning" not in said


def test_the_nodes_of_a_large_workflow_can_be_read_and_hide_no_secret(
    cluster: Cluster, files: Callable[[], dict[str, str]]
) -> None:
    cluster.items["workflows.argoproj.io"] = [
        workflow("wf", {"phase": "Failed", "compressedNodes": packed(NODES)}),
        workflow("odd", {"compressedNodes": "H4sIAAAAAAAA" + "A" * 20}),
        workflow("new", None),
    ]
    text = files()["objects/workflows.argoproj.io.yaml"]
    large, odd, new = yaml.safe_load_all(text)
    assert large["status"]["phase"] == "Failed"
    assert large["status"]["nodes"]["wf-1"]["name"] == "wf.root.train"
    assert large["status"]["nodes"]["wf-1"]["inputs"] == {"parameters": [{"value": "REDACTED"}]}
    assert "cannot be read" in odd["status"]["nodes"]
    assert new["status"] is None
    assert "compressedNodes" not in text


def test_what_does_not_answer_in_time_is_left_out_and_named(
    cluster: Cluster, files: Callable[[], dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.hangs = "logs"
    cluster.refuses = "events"
    found = files()
    assert "logs/ml-pipeline/main.log" not in found
    assert found["left-out.txt"] == (
        "objects/pods, objects/workflows.argoproj.io, objects/events, objects/secrets: "
        "events is forbidden for REDACTED\n"
        "logs/ml-pipeline: kubectl did not answer within 30 s\n"
    )
    assert "objects/pods.yaml" in found
    assert "left-out.txt in it names 2 things" in " ".join(capsys.readouterr().err.split())


def test_the_log_before_a_restart_is_there_too(
    cluster: Cluster, files: Callable[[], dict[str, str]]
) -> None:
    cluster.items["pods"] = [pod("ui", restarts=2, running={}), pod("new", restarts=1, waiting={})]
    cluster.log = "[pod/ui/other] of the step\rstill of it\n"
    found = files()
    assert found["logs/ui/main.log"] == cluster.log
    assert {"logs/ui/main.previous.log", "logs/new/main.previous.log"} <= found.keys()
    assert "logs/new/main.log" not in found


def test_what_has_no_time_left_is_not_asked_but_named(
    cluster: Cluster, files: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LIMIT", 0.0)
    monkeypatch.setattr(bundle, "DOCTOR", 0.0)
    found = files()
    assert [check["check"] for check in json.loads(found["doctor.json"])] == ["a"]
    assert {"README.txt", "versions.json", "left-out.txt"} <= found.keys()
    rows = dict(row.split(": ", 1) for row in found["left-out.txt"].splitlines())
    assert rows["doctor.json"] == "the checks after a: 0 s had passed"
    assert rows["logs/ml-pipeline"] == "not looked at: 0 s had passed"
    assert rows["cluster/nodes.txt"] == rows["logs/ml-pipeline"]
    assert not any("logs" in argv for argv in cluster.asked)


def test_a_doctor_who_took_long_and_came_to_the_end_has_left_nothing_out(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "DOCTOR", 0.0)
    assert not cluster.asked
    to = tmp_path / "b.tar.gz"
    bundle.make(Target("kind", "kind-kfp", "kubectl"), to, [report("runs")])
    assert not any("left-out" in name for name in unpack(to))


def test_of_a_long_log_the_end_is_kept_and_no_secret_that_began_before_it(
    cluster: Cluster, files: Callable[[], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "LOG_LENGTH", 3000)
    monkeypatch.setattr(bundle, "LOG_BEFORE", 2000)
    key = "".join(f"{'k' * 64}\n" for _ in range(25))
    secret = f"-----BEGIN PRIVATE KEY-----\n{key}-----END PRIVATE KEY-----\n"
    tail = "".join(f"row {number}\n" for number in range(290))
    cluster.log = f"{'before ' * 2000}\n{secret}{tail}"
    found = files()
    text = found["logs/ml-pipeline/main.log"]
    assert len(text) <= 3000
    assert text.endswith("row 288\nrow 289\n")
    assert "kkkk" not in text
    assert found["left-out.txt"].startswith("logs/ml-pipeline/main.log: all but its last 3,000")
