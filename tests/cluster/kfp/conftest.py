"""Kubeflow Pipelines on the kind cluster, and the tests' runs, all started at once."""

from __future__ import annotations

import base64
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from kfpkit.core import process
from kfpkit.kfp import pipelines
from kfpkit.operations import installation as lifecycle
from tests.support.runs import GREETING, HOST, Run
from tests.support.started import MEBIBYTES, SIZES, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from obstore.store import S3Store

    from kfpkit.kfp.target import Target

#: The installation's bucket.
BUCKET = "mlpipeline"


@pytest.fixture(scope="session")
def client(target: Target) -> Any:
    """The SDK's own client, made as its documentation says."""
    import kfp

    assert lifecycle.components(target)
    return kfp.Client(host=HOST)


@pytest.fixture(scope="session")
def store(target: Target) -> Iterator[S3Store]:
    """The installation's bucket, behind a port of this machine."""
    from obstore.store import S3Store

    (secret,) = target.items(
        ["secrets"], "--field-selector=metadata.name=mlpipeline-minio-artifact"
    )
    keys = {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
    argv = target.argv("port-forward", "service/minio-service", ":9000")
    with process.spawned(argv) as forwarding:
        assert forwarding.stdout
        said = forwarding.stdout.readline()
        match = re.match(r"Forwarding from (127\.0\.0\.1:\d+)", said)
        assert match, said
        yield S3Store(
            BUCKET,
            endpoint=f"http://{match[1]}",
            region="us-east-1",
            access_key_id=keys["accesskey"],
            secret_access_key=keys["secretkey"],
            client_options={"allow_http": True},
        )


@pytest.fixture(scope="session")
def experiment() -> str:
    """The experiment of this session's runs."""
    return f"tests {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Compile a pipeline: of tests/support/pipelines, by module and function, or a sample."""
    from kfp.compiler import Compiler

    folder = tmp_path_factory.mktemp("compiled")

    def compiled(module: str, function: str = "") -> Path:
        file: Path = folder / f"{module}-{function}.yaml"
        if function:
            found = import_module(f"tests.support.pipelines.{module}")
            Compiler().compile(getattr(found, function), str(file))
        else:
            pipelines.compile_to(pipelines.find(module), file)
        return file

    return compiled


@pytest.fixture(scope="session")
def start(client: Any, target: Target, experiment: str) -> Callable[..., Run]:
    """Start a run of a compiled pipeline; it takes nothing from the cache unless it is told to."""

    def start(
        file: Path, arguments: Mapping[str, Any] | None = None, *, cache: bool = False
    ) -> Run:
        made = client.create_run_from_pipeline_package(
            str(file),
            arguments=dict(arguments or {}),
            experiment_name=experiment,
            enable_caching=cache,
        )
        return Run(client, target, HOST, made.run_id)

    return start


@pytest.fixture(scope="session")
def greeting(store: S3Store) -> Iterator[str]:
    """The key of an object that no run made."""
    key = f"imports/{uuid.uuid4().hex}/greeting.txt"
    store.put(key, GREETING.encode())
    yield key
    store.delete(key)


@pytest.fixture(scope="session")
def runs(
    start: Callable[..., Run],
    compiled: Callable[..., Path],
    store: S3Store,
    greeting: str,
) -> Iterator[dict[str, Run]]:
    """Every run that waits for no other, started at once; each test waits for its own."""
    once = uuid.uuid4().hex[:8]
    # Values that no run had before, so that none is in the cache; two seeds may give one accuracy.
    seed = int(time.time())
    sample = {"seed": seed, "n_estimators": 20, "min_accuracy": 0.4 + seed % 10**6 / 10**7}
    claims = {name: {"claim": f"first-attempt-{name}-{once}"} for name in ("task", "run")}
    started = {
        "penguins": start(compiled("penguins"), sample, cache=True),
        "penguins_yaml": start(compiled("penguins_yaml"), sample, cache=True),
        "retried run": start(compiled("second_attempt", "retried_run"), claims["run"]),
        "flow": start(compiled("flow", "flow"), {"numbers": [2, 3]}),
        "twins": start(compiled("flow", "twins")),
        "large": start(compiled("large", "large"), {"mebibytes": MEBIBYTES}),
        "sleep": start(compiled("sleep", "pipeline")),
        "stumble": start(compiled("stumble", "pipeline"), {"reason": f"slipped {once}"}),
        "retried task": start(compiled("second_attempt", "retried_task"), claims["task"]),
        "imported": start(
            compiled("imported", "imported"), {"uri": f"minio://{BUCKET}/{greeting}"}
        ),
        "imported from elsewhere": start(
            compiled("imported", "imported"), {"uri": f"minio://elsewhere/{greeting}"}
        ),
    }
    for name, arguments in VALUES.items():
        started[name] = start(compiled("values", name), arguments)
    for name, size in SIZES:
        started[f"{name}-{size}"] = start(compiled("sizes", name), {"size": size})
    yield started
    # KFP never removes an artifact, and this one would fill the disk in time.
    for entry in store.list(f"v2/artifacts/large/{started['large'].id}").collect():
        store.delete(entry["path"])


@pytest.fixture(scope="session")
def recurring(
    client: Any, compiled: Callable[..., Path], experiment: str, runs: dict[str, Run]
) -> Iterator[Any]:
    """A recurring run that is due in a moment, and then in an hour again."""
    assert runs
    began = datetime.now(UTC) + timedelta(seconds=5) - timedelta(hours=1)
    made = client.create_recurring_run(
        experiment_id=client.create_experiment(experiment).experiment_id,
        job_name=f"hourly {experiment}",
        start_time=f"{began:%Y-%m-%dT%H:%M:%SZ}",
        interval_second=3600,
        max_concurrency=1,
        no_catchup=True,
        pipeline_package_path=str(compiled("hello", "hello")),
        params={"name": "every hour"},
        enable_caching=False,
    )
    yield made
    client.delete_recurring_run(made.recurring_run_id)
