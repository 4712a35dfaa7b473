"""After the run: the model is in the store, receivers were told, and a failure to tell is none."""

from __future__ import annotations

import json
import re
import uuid
from email import message_from_string
from email.policy import default as policy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.image import RUNTIME_IMAGE
from kfpkit.core.versions import ROOT
from kfpkit.core.waiting import wait_for
from kfpkit.kfp import pipelines
from tests.support import receiver as program
from tests.support.faults import kubectl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target
    from tests.support.runs import Run

pytestmark = [pytest.mark.kfp, pytest.mark.turn(4), pytest.mark.timeout(1200)]

#: As the environment of a run knows them; a pod of runs may ask for port 443 anywhere.
HTTP, SMTP = 443, 587

PAGE = ROOT / "docs/use/after-the-run.md"

#: In the Secret; no log may have it.
TOKEN = uuid.uuid4().hex


def objects(target: Target, name: str, host: str) -> list[dict[str, Any]]:
    """Return a receiver in a namespace of its own, and Secrets that lead to it and to nobody."""
    [policy] = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    command = ["python3", "-c", Path(program.__file__).read_text(), str(HTTP), str(SMTP)]
    labels = {"app": "receiver"}
    told = {
        "NOTIFY_WEBHOOK_URL": f"http://{host}:{HTTP}/hook?key={TOKEN}\n",
        "NOTIFY_WEBHOOK_TOKEN": f"{TOKEN}\n",
        "NOTIFY_SLACK_URL": f"http://{host}:{HTTP}/services/{TOKEN}",
        "NOTIFY_SMTP_HOST": host,
        "NOTIFY_SMTP_PORT": str(SMTP),
        "NOTIFY_SMTP_SECURITY": "none",
        "NOTIFY_SMTP_FROM": "kfp@example.com",
        "NOTIFY_SMTP_TO": "team@example.com",
    }
    nobody = {"NOTIFY_WEBHOOK_URL": f"http://{TOKEN}.invalid/{TOKEN}", "NOTIFY_SLACK_URL": TOKEN}
    made = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "receiver", "namespace": name, "labels": labels},
            "spec": {
                "containers": [
                    {
                        "name": "main",
                        "image": RUNTIME_IMAGE,
                        "command": command,
                        "securityContext": {"runAsUser": 0},
                    }
                ]
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "receiver", "namespace": name},
            "spec": {
                "selector": labels,
                "ports": [{"name": str(port), "port": port} for port in (HTTP, SMTP)],
            },
        },
        yaml.safe_load(policy),
    ]
    for secret, content in ((name, told), (f"{name}-nobody", nobody)):
        metadata = {"name": secret}
        made.append(
            {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": content}
        )
    for each in made:
        if each["kind"] != "Namespace":
            each["metadata"].setdefault("namespace", target.namespace)
    return made


@pytest.fixture(scope="module")
def receiver(target: Target) -> Iterator[str]:
    """A receiver in the cluster; its namespace and the Secret that leads to it have this name."""
    from kfpkit.cluster import loading

    if target.kind:
        loading.load(target.kind, ["python-runtime"])
    name = f"kfp-receiver-{uuid.uuid4().hex[:8]}"
    made = objects(target, name, f"receiver.{name}.svc")
    manifests = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
    try:
        kubectl(target.context, "apply", "--filename=-", stdin=manifests)
        target.query("wait", f"--namespace={name}", "pod/receiver", "--for=condition=Ready")
        yield name
    finally:
        gone = ("delete", "--filename=-", "--ignore-not-found", "--wait=false")
        kubectl(target.context, *gone, stdin=manifests)


@pytest.fixture(scope="module")
def after(
    start: Callable[..., Run],
    tmp_path_factory: pytest.TempPathFactory,
    receiver: str,
    store: S3Store,
) -> Iterator[dict[str, Run]]:
    """Runs of `pushed`, all started at once, each with a place of its own named as the run."""
    file = tmp_path_factory.mktemp("compiled") / "pushed.yaml"
    pipelines.compile_to(pipelines.find(str(ROOT / "tests/support/pipelines/pushed.py")), file)
    secrets = {"told": receiver, "refused": receiver, "untold": f"{receiver}-nobody", "alone": "no"}
    place = f"tests/{receiver}"
    yield {
        name: start(
            file,
            {
                "text": name,
                "accuracy": 0.5 if name == "refused" else 1.0,
                "to": f"s3://mlpipeline/{place}/{name}",
                "secret": secret,
            },
        )
        for name, secret in secrets.items()
    }
    for entry in store.list(place).collect():
        store.delete(entry["path"])


def got(target: Target, namespace: str, run: Run) -> dict[str, dict[str, Any]]:
    """Return what the receiver got of a run: by path, the mail as `mail`."""
    log = target.query("logs", f"--namespace={namespace}", "receiver").stdout
    lines = [json.loads(line) for line in log.splitlines() if run.id in line]
    return {line.get("path", "mail").partition("?")[0]: line for line in lines}


def pushed(store: S3Store, receiver: str, name: str) -> set[str]:
    entries = store.list(f"tests/{receiver}/{name}").collect()
    return {entry["path"].partition(f"/{name}/")[2] for entry in entries}


def test_a_good_model_is_in_the_store_and_every_receiver_was_told(
    after: dict[str, Run], target: Target, receiver: str, store: S3Store
) -> None:
    run = after["told"].finish()
    wait_for(
        "three notifications",
        lambda: None if len(got(target, receiver, run)) == 3 else "not yet",
        timeout=60,
    )
    told = got(target, receiver, run)
    body = told["/hook"]["body"]
    assert (body["run_id"], body["state"], body["error"]) == (run.id, "SUCCEEDED", "")
    assert body["link"] == f"http://kfp.example/#/runs/details/{run.id}"
    assert told["/hook"]["headers"]["authorization"] == f"Bearer {TOKEN}"
    assert f"Run {body['run_name']}: succeeded\n" in told[f"/services/{TOKEN}"]["body"]["text"]
    mail = message_from_string(told["mail"]["mail"], policy=policy)
    assert mail["Subject"] == f"Run {body['run_name']}: succeeded"
    assert TOKEN not in run.log("notify")

    pointer = json.loads(
        bytes(store.get(f"tests/{receiver}/told/model/latest.json").bytes()).decode()
    )
    version = f"model/versions/{pointer['version']}"
    names = {f"{version}/{name}" for name in ("model", "model_card.md", "manifest.json")}
    assert pushed(store, receiver, "told") == {"model/latest.json", *names}
    assert pointer["run_id"] == run.id


def test_a_model_that_is_not_good_enough_is_not_pushed_and_its_run_is_told_as_failed(
    after: dict[str, Run], target: Target, receiver: str, store: S3Store
) -> None:
    run = after["refused"].finish("FAILED")
    assert "accuracy 0.5000 is below min_accuracy 0.9" in run.log("push")
    assert pushed(store, receiver, "refused") == set()
    assert got(target, receiver, run)["/hook"]["body"]["state"] == "FAILED"


def test_a_receiver_that_is_not_there_leaves_the_run_succeeded(after: dict[str, Run]) -> None:
    log = after["untold"].finish().log("notify")
    assert "notify: NOTIFY_WEBHOOK_URL: not sent: " in log
    assert "notify: NOTIFY_SLACK_URL: not sent: NOTIFY_SLACK_URL is no http" in log
    assert TOKEN not in log


def test_a_secret_that_is_not_there_leaves_the_run_succeeded(after: dict[str, Run]) -> None:
    assert "notify: no notification: none of " in after["alone"].finish().log("notify")
