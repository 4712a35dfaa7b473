"""Kubeflow Pipelines installed for real on the kind cluster."""

from __future__ import annotations

import base64
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import kfp
import pytest
from kfp.compiler import Compiler

from kfpkit.core import process
from kfpkit.core.errors import KitError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.kube import forward, health
from kfpkit.operations import installation as lifecycle
from tests.support.installation import Wanted, installed
from tests.support.pipelines.hello import hello
from tests.support.pipelines.sleep import pipeline as sleep
from tests.support.runs import HOST, Run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.target import Target

pytestmark = [pytest.mark.kfp, pytest.mark.timeout(1200)]

#: Changes the installation, so no run may be under way.
FIRST = pytest.mark.turn(0)


@pytest.fixture(scope="session")
def client(target: Target) -> Any:
    """The SDK's own client, made as its documentation says."""
    assert lifecycle.components(target)
    return kfp.Client(host=HOST)


@dataclass(frozen=True)
class Kept:
    """What is made before an installation is removed."""

    name: str
    file: Path
    pipeline: str
    experiment: str

    def start(self, client: Any, target: Target) -> Run:
        made = client.run_pipeline(self.experiment, self.name, str(self.file), {"name": self.name})
        return Run(client, target, HOST, made.run_id)


@pytest.fixture(scope="session")
def kept(client: Any, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A pipeline and an experiment."""
    file = tmp_path_factory.mktemp("kept") / "hello.yaml"
    Compiler().compile(hello, str(file))
    name = f"kept over an uninstall {uuid.uuid4().hex[:8]}"
    pipeline = client.upload_pipeline(str(file), name).pipeline_id
    return Kept(name, file, pipeline, client.create_experiment(name).experiment_id)


@pytest.fixture(scope="session")
def before(client: Any, target: Target, kept: Kept) -> Run:
    """A run, which goes on during the tests that follow."""
    return kept.start(client, target)


@pytest.fixture(scope="session")
def reinstalled(client: Any, target: Target, before: Run) -> Target:
    """The installation, removed without its data and put back."""
    before.finish(timeout=300)
    lifecycle.uninstall(target, delete_data=False)
    with pytest.raises(KitError, match="is not in the namespace"):
        lifecycle.components(target)
    lifecycle.install(target, timeout=900)
    wait_for(
        "the API behind its node port",
        lambda: None if _answers(client) else "no answer",
        timeout=60,
    )
    return target


@pytest.fixture(scope="session")
def after(client: Any, reinstalled: Target, kept: Kept) -> Run:
    """The same run once more."""
    return kept.start(client, reinstalled)


def state(target: Target) -> dict[str, tuple[str, str | bool]]:
    """Return identity and generation of all that the overlay makes, and of the Secrets."""
    kinds = {d["kind"].lower() for d in target.documents if d["kind"] != "Namespace"}
    found = target.items(sorted({*kinds, "secret", "pod"}), lifecycle.NO_RUNS)
    return {
        f"{item['kind']}/{item['metadata']['name']}": (
            item["metadata"]["uid"],
            # A pod's status changes by itself.
            item["kind"] == "Pod"
            or item["metadata"].get("generation", item["metadata"]["resourceVersion"]),
        )
        for item in found
    }


@FIRST
@pytest.mark.usefixtures("before")
def test_every_part_is_ready_and_none_has_ended_by_itself(target: Target) -> None:
    assert [part for part in lifecycle.components(target) if not part.done] == []
    # While a node starts anew, there is no network for what starts on it before that is there.
    network = target.query(
        "get", "pods", "--namespace=kube-system", "--selector=k8s-app in (calico-node,kube-proxy)",
        "--output=jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')]"
        ".lastTransitionTime}{'\\n'}{end}",
    ).stdout.split()  # fmt: skip
    assert network
    ended = {
        (pod["metadata"]["name"], container["name"]): last
        for pod in target.items(["pods"], "--selector", health.OWNED)
        for container in health.statuses(pod)
        # Of a container that went with its node nothing more is known.
        if (last := container["lastState"].get("terminated", {})).get("reason", "Unknown")
        != "Unknown"
        and last["startedAt"] > max(network)
    }
    assert ended == {}


@FIRST
def test_an_install_of_what_is_there_changes_nothing_and_shows_no_secret(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [
        base64.b64decode(value).decode()
        for secret in target.items(["secrets"])
        for value in secret["data"].values()
    ]
    assert values
    before = state(target)
    lifecycle.install(target, timeout=300)
    assert state(target) == before
    shown = "".join(capsys.readouterr())
    assert "apply --server-side" in shown
    assert not [value for value in values if value in shown]


@FIRST
def test_the_cluster_has_nothing_to_change(target: Target) -> None:
    argv = ["diff" if word == "apply" else word for word in target.apply]
    found = process.query(argv, check=False)
    assert found.returncode == 0, found.stdout or found.stderr


def test_the_client_lists_pipelines_and_experiments(client: Any) -> None:
    assert client.list_pipelines().total_size in (None, *range(1000))
    assert client.list_experiments().total_size


@pytest.fixture
def broken(target: Target) -> Iterator[Target]:
    """The metadata bridge with an image that does not exist; the right one comes back after."""
    image = "kfpkit/missing:1"
    argv = ("set", "image", "deployment/metadata-envoy", f"envoy={image}")
    target.run(*argv)
    yield target
    # The field is kubectl-set's now, so a plain apply would stop at it.
    process.run([*target.apply, "--force-conflicts"])
    lifecycle.wait_until_ready(target, timeout=300)


@FIRST
def test_an_image_that_cannot_be_had_is_named_with_its_pod(
    broken: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "PATIENCE", 5.0)
    with pytest.raises(
        KitError, match=r"metadata-envoy does not start: pod/metadata-envoy-.*image"
    ):
        lifecycle.wait_until_ready(broken, timeout=120)


@FIRST
def test_a_container_that_ends_is_named_with_its_log(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "PATIENCE", 5.0)
    patch = (
        '[{"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": '
        '["bash", "-c", "echo this is why; exit 3"]}, '
        '{"op": "remove", "path": "/spec/template/spec/containers/0/args"}]'
    )
    target.run("patch", "deployment/metadata-envoy", "--type=json", f"--patch={patch}")
    try:
        with pytest.raises(KitError, match=r"(?s)crash loop: .*exit code 3.*this is why"):
            lifecycle.wait_until_ready(target, timeout=120)
    finally:
        process.run([*target.apply, "--force-conflicts"])
        lifecycle.wait_until_ready(target, timeout=300)


@FIRST
def test_a_pod_that_the_namespace_does_not_admit_is_named_as_refused(target: Target) -> None:
    patch = '{"spec": {"template": {"spec": {"hostPID": true}}}}'
    target.run("patch", "deployment/metadata-envoy", f"--patch={patch}")
    try:
        with pytest.raises(KitError, match=r"metadata-envoy does not start: .*PodSecurity refusal"):
            lifecycle.wait_until_ready(target, timeout=120)
    finally:
        undo = '{"spec": {"template": {"spec": {"hostPID": null}}}}'
        target.run("patch", "deployment/metadata-envoy", f"--patch={undo}")
        lifecycle.wait_until_ready(target, timeout=300)


@FIRST
@pytest.mark.usefixtures("after")  # It goes on during the tests that follow.
def test_what_was_made_outlives_an_uninstall(
    reinstalled: Target, client: Any, kept: Kept, before: Run
) -> None:
    assert all(part.restarts == 0 for part in lifecycle.components(reinstalled))
    found = client.get_experiment(experiment_name=kept.name).experiment_id
    assert found == kept.experiment
    assert client.get_pipeline_id(kept.name) == kept.pipeline
    assert before.state == "SUCCEEDED"
    assert f"Hello, {kept.name}." in before.log("greet")


@pytest.mark.turn(4)
def test_a_run_after_a_new_install_finds_the_result_of_one_before(after: Run) -> None:
    """Metadata, cache and artifacts are there too."""
    assert after.finish().drivers()["greet"]["cached-decision"] == "true"


@pytest.fixture(scope="session")
def neighbour(client: Any, target: Target) -> Run:
    """A run that is there when another installation is removed."""
    made = client.create_run_from_pipeline_func(hello, arguments={})
    return Run(client, target, HOST, made.run_id)


def test_removing_an_installation_with_its_data_leaves_another_alone(
    target: Target, neighbour: Run, cluster: str, tmp_path: Path
) -> None:
    with installed(tmp_path, cluster, Wanted("kfp-removed")) as second:
        with forward.opened(second, forward.API) as address:
            # In the middle of a run, whose pods have finalizers.
            kfp.Client(host=f"http://{address}").create_run_from_pipeline_func(sleep, arguments={})
            wait_for("a step's pod", lambda: _without_step(second), timeout=900)
        lifecycle.uninstall(second, delete_data=True)
        assert not second.has_namespace()
    assert neighbour.workflow
    assert lifecycle.not_ready(target) == []


@pytest.mark.turn(4)
def test_a_run_succeeds_whose_neighbours_were_removed(neighbour: Run) -> None:
    neighbour.finish()


def _without_step(target: Target) -> str | None:
    pods = target.items(["pods"], "--field-selector", "status.phase=Running")
    names = [pod["metadata"]["name"] for pod in pods]
    return None if any("container-impl" in name for name in names) else join_names(names)


def _answers(client: Any) -> bool:
    try:
        client.list_experiments()
    except Exception:
        return False
    return True
