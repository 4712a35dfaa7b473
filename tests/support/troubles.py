"""Workflows and runs that cannot succeed, each for one reason, and a pod that tells secrets."""

import base64
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kfp import compiler, dsl

from components.image import RUNTIME_IMAGE
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import api, reach
from kfpkit.kfp.target import Target
from kfpkit.kube import forward
from kfpkit.operations.canary import read, write

#: Label of the Workflows; not KFP's, to whom they are unknown.
LABEL = "kfpkit-test/runid"

#: Priority that the quota is for.
PRIORITY = "kfpkit-test-doctor"

SMALL = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32Mi"}}

GONE = {"configMapKeyRef": {"name": "doctor-gone", "key": "k"}}

#: By name: what is special of the pod's template, the reason, and words of the explanation.
WORKFLOWS: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "image": (
        {"container": {"image": "kfpkit/missing:1"}},
        "image",
        ("cannot get its image kfpkit/missing:1",),
    ),
    "unschedulable": (
        {"container": {"resources": {"requests": {"memory": "100Ti"}, "limits": {}}}},
        "unschedulable",
        ("no node takes its pod", "Insufficient memory"),
    ),
    "key": (
        {"container": {"env": [{"name": "A", "valueFrom": GONE}]}},
        "missing-object",
        ("the configmap doctor-gone is not there",),
    ),
    "volume": (
        {"volumes": [{"name": "v", "secret": {"secretName": "doctor-gone"}}]},
        "missing-object",
        ("the secret doctor-gone is not there", "FailedMount"),
    ),
    "refused": (
        {"hostNetwork": True},
        "pod-security",
        ("PodSecurity level", "hostNetwork"),
    ),
    "memory": (
        {"container": {"command": ["tail", "/dev/zero"]}},
        "out-of-memory",
        ("its limit of 32Mi",),
    ),
    "step": (
        {"container": {"command": ["sh", "-c", "echo first >&2; echo this is why >&2; exit 3"]}},
        "step",
        ("failed by itself (exit code 3): this is why",),
    ),
    "quota": (
        {"priorityClassName": PRIORITY},
        "quota",
        ("quota is used up", "doctor-nothing"),
    ),
}


def workflow(name: str, run: str) -> dict[str, Any]:
    """Return a Workflow of one pod with one trouble."""
    special = dict(WORKFLOWS[name][0])
    container = {"image": RUNTIME_IMAGE, "command": ["true"], "resources": SMALL}
    container |= special.pop("container", {})
    template = {"name": "main", "container": container}
    if "priorityClassName" in special:
        template["priorityClassName"] = special.pop("priorityClassName")
    if volumes := special.get("volumes"):
        mounts = [{"name": volume["name"], "mountPath": "/v"} for volume in volumes]
        template["container"] = {**container, "volumeMounts": mounts}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": f"doctor-{name}", "labels": {LABEL: run}},
        "spec": {
            "serviceAccountName": "pipeline-runner",
            "entrypoint": "main",
            "podMetadata": {"labels": {LABEL: run}},
            "templates": [template],
            **special,
        },
    }


def quota(namespace: str) -> list[dict[str, Any]]:
    """Return a quota of no pods at all, for pods of one priority alone."""
    selector = {"scopeName": "PriorityClass", "operator": "In", "values": [PRIORITY]}
    return [
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": PRIORITY},
            "value": 0,
        },
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "doctor-nothing", "namespace": namespace},
            "spec": {"hard": {"pods": "0"}, "scopeSelector": {"matchExpressions": [selector]}},
        },
    ]


HANDING_ON = "doctor-handing-on"

EXPERIMENT = "doctor-test"


@dsl.container_component  # type: ignore[untyped-decorator]
def eat() -> dsl.ContainerSpec:
    """Use up all memory."""
    return dsl.ContainerSpec(image=RUNTIME_IMAGE, command=["sh", "-c", "tail /dev/zero"])


@dsl.container_component  # type: ignore[untyped-decorator]
def show(again: str, note: dsl.Input[dsl.Artifact]) -> dsl.ContainerSpec:
    """Read an artifact."""
    return dsl.ContainerSpec(
        image=RUNTIME_IMAGE, command=["sh", "-c", 'cat "$1" && echo "$0"'], args=[again, note.path]
    )


def small(task: Any) -> Any:
    """Let a task ask for little."""
    return task.set_cpu_request("5m").set_memory_request("16Mi")


@dsl.pipeline(name="doctor-hungry")  # type: ignore[untyped-decorator]
def hungry() -> None:
    """One step that uses more memory than it may."""
    small(eat()).set_memory_limit("32Mi")


@dsl.pipeline(name=HANDING_ON)  # type: ignore[untyped-decorator]
def handing_on(token: str, again: str) -> None:
    """One step that is the same each time, and one after it that is not."""
    written = small(write(token=token))
    small(read(token=token, note=written.outputs["note"]))
    small(show(again=again, note=written.outputs["note"]))


_IN_PYTHON = dsl.component(base_image=RUNTIME_IMAGE, install_kfp_package=False)


@_IN_PYTHON  # type: ignore[untyped-decorator]
def leave(code: int) -> None:
    """End with an exit code after a last word."""
    import os
    import sys

    sys.stdout.write(f"bye from {os.environ['KFP_POD_NAME']}\n")
    sys.exit(code)


@_IN_PYTHON  # type: ignore[untyped-decorator]
def measure(metrics: dsl.Output[dsl.Metrics]) -> None:
    """Log a metric that is no number."""
    metrics.log_metric("accuracy", float("nan"))


@dsl.container_component  # type: ignore[untyped-decorator]
def count(round_: int, number: dsl.OutputPath(int)) -> dsl.ContainerSpec:  # type: ignore[valid-type]
    """Write a number, and in the second round a word."""
    write = 'mkdir -p "$(dirname "$0")"; test "$1" = 2 && echo many > "$0" || echo 1 > "$0"'
    return dsl.ContainerSpec(
        image=RUNTIME_IMAGE, command=["sh", "-c", write], args=[number, round_]
    )


@dsl.pipeline(name="doctor-leaving")  # type: ignore[untyped-decorator]
def leaving() -> None:
    """One step that fails at both attempts."""
    small(leave(code=3)).set_retry(1)


@dsl.pipeline(name="doctor-measuring")  # type: ignore[untyped-decorator]
def measuring() -> None:
    """One step with a metric that KFP cannot store."""
    small(measure())


@dsl.pipeline(name="doctor-importing")  # type: ignore[untyped-decorator]
def importing() -> None:
    """One step that reads what was never there."""
    nothing = dsl.importer("minio://mlpipeline/doctor/none.txt", dsl.Artifact, reimport=True)
    small(show(again="1", note=nothing.output))


@dsl.pipeline(name="doctor-counting")  # type: ignore[untyped-decorator]
def counting() -> None:
    """A loop with a bad second round."""
    with dsl.ParallelFor([1, 2]) as round_:
        small(count(round_=round_))


#: By name: a pipeline that fails, the reason, and words of the explanation.
PIPELINES: dict[str, tuple[Any, str, tuple[str, ...]]] = {
    "retried": (leaving, "step", ("the step leave failed by itself (exit code 3): bye from",)),
    "not finite": (measuring, "not-finite", ("measure failed: metrics.accuracy is NaN",)),
    "import of nothing": (
        importing,
        "missing-import",
        ("nothing is at minio://mlpipeline/doctor/none.txt", "the step importer imports"),
    ),
    "wrong type": (counting, "wrong-type", ("[1]/count failed: its output number is to be an",)),
}


@contextmanager
def client(target: Target) -> Iterator[Any]:
    """A client of the API on a port of this machine; runs started here are deleted at the end."""
    with reach.service(target, forward.API) as address:
        client = api.connect(f"http://{address}")
        experiment = client.create_experiment(EXPERIMENT).experiment_id
        try:
            yield client
        finally:
            for run in client.list_runs(experiment_id=experiment, page_size=50).runs or []:
                client.delete_run(run.run_id)


def start(client: Any, pipeline: Any, arguments: dict[str, str]) -> str:
    """Start a run and return its ID."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "p.yaml"
        compiler.Compiler().compile(pipeline, str(file))
        made = client.run_pipeline(
            experiment_id=client.create_experiment(EXPERIMENT).experiment_id,
            job_name=EXPERIMENT,
            pipeline_package_path=str(file),
            params=arguments,
        )
    return str(made.run_id)


def end(client: Any, run: str, timeout: float) -> str:
    """Wait for a run's end and return its state."""
    seen: list[str] = []

    def probe() -> str | None:
        seen[:] = [str(client.get_run(run).state)]
        return None if seen[0] in ("SUCCEEDED", "FAILED", "CANCELED") else seen[0]

    wait_for(f"the end of run {run}", probe, timeout=timeout, interval=3)
    return seen[0]


_TELL = """
import base64, os
from urllib.parse import quote
print("the log of a planted pod")
for name in ("PLAIN", "SHARP"):
    value = os.environ[name]
    print("plain", value)
    print("base64", base64.b64encode(value.encode()).decode())
    print("pair", base64.b64encode(f"user:{value}".encode()).decode())
    print("url", f"https://user:{quote(value, safe='')}@host/path")
print("Authorization: Bearer", os.environ["LITERAL_TOKEN"])
print("-----BEGIN PRIVATE KEY-----\\n" + os.environ["LITERAL_KEY"] + "\\n-----END PRIVATE KEY-----")
"""


def planted(values: dict[str, str], literal: str, key: str) -> list[dict[str, Any]]:
    """Return a Secret, and a ConfigMap and a pod that tell what is in it in many ways."""
    plain, sharp = values["plain"], values["sharp"]
    pem = f"-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----"
    env: list[dict[str, Any]] = [
        {
            "name": name.upper(),
            "valueFrom": {"secretKeyRef": {"name": "doctor-planted", "key": name}},
        }
        for name in values
    ]
    env += [
        {"name": "LITERAL_TOKEN", "value": literal},
        {"name": "LITERAL_KEY", "value": key},
        {"name": "COPIED", "value": plain},
        {"name": "DATABASE", "value": f"mysql://user:{quote(sharp, safe='')}@database:3306"},
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "doctor-planted"},
            "stringData": values,
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "doctor-planted",
                "annotations": {"note": base64.b64encode(sharp.encode()).decode()},
            },
            "data": {
                "plain": plain,
                "settings.yaml": f"password: {literal}\nurl: {quote(sharp, safe='')}\n",
                "key.pem": pem,
                "nested.json": f'{{"a": "{base64.b64encode(plain.encode()).decode()}"}}',
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "doctor-planted"},
            "spec": {
                "restartPolicy": "Never",
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65532,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "main",
                        "image": RUNTIME_IMAGE,
                        "command": ["python3", "-c", _TELL],
                        "env": env,
                        "resources": {"requests": {"cpu": "1m"}, "limits": {"memory": "64Mi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        },
    ]


def unpack(file: Path) -> dict[str, str]:
    """Return the files of a bundle by name."""
    found = {}
    with tarfile.open(file) as archive:
        for entry in archive:
            content = archive.extractfile(entry)
            assert content
            found[entry.name] = content.read().decode()
    return found
