"""The way to the API of a target, and what a run on it is made with."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from components.image import DEFAULT
from kfpkit.cluster.config import DEFAULT as KIND_CONFIG
from kfpkit.cluster.config import KindCluster
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import api, pipelines
from kfpkit.kfp.target import Target
from kfpkit.kube import forward, render
from kfpkit.runs import place, recurring, remote
from kfpkit.runs.schedule import When

KIND = KindCluster(KIND_CONFIG, "x", "kind-x", "http://localhost:1", "http://localhost:2")
PORTS = [
    {"kind": "Namespace", "metadata": {"name": "kubeflow"}},
    {"kind": "Service", "metadata": {"name": "ml-pipeline-nodeport"}},
    {"kind": "Service", "metadata": {"name": "ml-pipeline-ui-nodeport"}},
]


@pytest.fixture(autouse=True)
def rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every overlay has the node ports of the kind cluster."""
    monkeypatch.setattr(render, "render", lambda *_, **__: PORTS)


def target(**more: Any) -> Target:
    return Target("gke", "prod", "kubectl", name="prod", **more)


def test_the_kind_cluster_is_reached_through_its_own_ports() -> None:
    on_kind = Target("kind", KIND.context, "kubectl", name="kind", kind=KIND)
    with place.find(on_kind) as where:
        assert (where.name, where.host, where.ui) == ("kind", KIND.api, KIND.ui)
    with place.find(on_kind, "http://localhost:7") as where:
        assert where.host == "http://localhost:7"


def test_another_cluster_is_never_looked_for_on_this_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its overlay may have node ports too, which are not those of this machine's kind cluster."""
    opened: list[Target] = []

    class Forward:
        def __init__(self, at: Target, which: forward.Service) -> None:
            assert which == forward.API
            opened.append(at)

        def __enter__(self) -> str:
            return "localhost:4321"

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(forward, "opened", Forward)
    with place.find(target()) as where:
        assert (where.name, where.host, where.ui) == ("prod", "http://localhost:4321", "")
    assert opened == [target()]


@pytest.mark.parametrize("given", ["", "https://other.example.com/kfp/"])
def test_an_address_may_be_https_and_have_a_path(given: str) -> None:
    own = "https://kfp.example.com:8443/team/"
    with place.find(target(host=own), given) as where:
        assert where.host == (given or own).rstrip("/")
        end = where.by_hand("r1")["end it"]
        assert end.endswith(f" {where.host}/apis/v2beta1/runs/r1:terminate")


@pytest.mark.parametrize("host", ["localhost:8888", "https://me:s3cret@kfp.example.com", "nowhere"])
def test_an_address_that_is_none_is_refused_without_being_shown(host: str) -> None:
    with (
        pytest.raises(BadInputError, match="address of the KFP API") as refused,
        place.find(target(), host),
    ):
        pass
    assert host not in str(refused.value)


def test_the_command_that_goes_on_names_the_target_and_its_context() -> None:
    with place.find(target(host="https://a.b")) as where:
        assert where.by_hand("r1")["go on from here"] == (
            "make report RUN=r1 TARGET=prod CONTEXT=prod"
        )
    with place.find(Target("gke", "prod", "kubectl", host="https://a.b")) as where:
        assert where.name == "gke"
        assert where.by_hand("r1")["go on from here"] == (
            "make report RUN=r1 OVERLAY=gke CONTEXT=prod"
        )


class Client:
    """Keeps what is made."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.compiled = ""

    def create_experiment(self, _: str) -> Any:
        return SimpleNamespace(experiment_id="e")

    def run_pipeline(self, **given: Any) -> Any:
        self.made.append(given)
        self.compiled = Path(given["pipeline_package_path"]).read_text(encoding="utf-8")
        return SimpleNamespace(run_id="r", recurring_run_id="r")

    create_recurring_run = run_pipeline

    def all_recurring_runs(self) -> Any:
        """Return the last that was made, as the API tells of it."""
        runs = [
            SimpleNamespace(
                recurring_run_id="r",
                display_name=one["job_name"],
                status="ENABLED",
                experiment_id="e",
                trigger=SimpleNamespace(
                    cron_schedule=None, periodic_schedule=SimpleNamespace(interval_second="60")
                ),
                runtime_config=SimpleNamespace(
                    parameters=one["params"], pipeline_root=one["pipeline_root"] or None
                ),
                pipeline_version_reference=None,
                pipeline_spec=yaml.safe_load(self.compiled),
            )
            for one in self.made[-1:]
        ]
        return iter(runs)


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(api, "connect", lambda _: made)
    return made


@pytest.mark.parametrize("prefix", ["", "registry.example:5000/kfp"])
@pytest.mark.parametrize("root", ["", "gs://bucket/runs"])
def test_a_run_is_made_with_what_the_target_says(client: Client, prefix: str, root: str) -> None:
    where = place.Place("prod", target(image_prefix=prefix, pipeline_root=root), "http://x", "")
    pipeline = pipelines.find("penguins")
    assert remote.submit(where, pipeline, [], name="n", experiment="e", cache=False) == "r"
    assert client.made[0]["pipeline_root"] == root
    named = f"{prefix}/{DEFAULT}" if prefix else DEFAULT
    images = [line.split()[1] for line in client.compiled.splitlines() if " image: " in line]
    assert set(images) == {named}


def test_a_recurring_run_with_another_root_is_replaced(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recurring, "_remove", lambda *_: None)

    def put(root: str) -> str:
        return recurring.put(
            "http://x",
            pipelines.find("penguins"),
            [],
            When(seconds=60),
            name="n",
            experiment="e",
            cache=False,
            pipeline_root=root,
        ).partition(" ")[0]

    assert [put(root) for root in ("", "", "gs://b", "gs://b")] == [
        "made",
        "the",
        "replaced",
        "the",
    ]
    assert [one["pipeline_root"] for one in client.made] == ["", "gs://b"]
