"""A cluster with hundreds of runs is destroyed, and all of it comes back in a new one.

The cluster is this test's own, beside the one of the other tests, and every step is the command
that a person gives. WHOLE_CLUSTER_RUNS chooses how many runs there are.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.versions import ROOT
from tests.support import steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kfp, pytest.mark.long, pytest.mark.timeout(3 * 3600)]

RUNS = int(os.environ.get("WHOLE_CLUSTER_RUNS", "300"))

#: Runs whose steps do their work; the others take their results from the cache.
OWN = 10

#: Runs that are ended at once, beside the others.
ENDED = 10

#: Runs under way at the same time.
WAVE = 50

NAME = "kfp-whole"


class Kit:
    """The command line, on a cluster of the test's own."""

    def __init__(self, folder: Path) -> None:
        config = yaml.safe_load((ROOT / "kind-config.yaml").read_text())
        config["name"] = NAME
        mappings = config["nodes"][0]["extraPortMappings"]
        with ExitStack() as exits:
            for mapping in mappings:
                server = exits.enter_context(socket.create_server(("127.0.0.1", 0)))
                mapping["hostPort"] = server.getsockname()[1]
        (api,) = [m["hostPort"] for m in mappings if m["containerPort"] == 30888]
        self.host = f"http://localhost:{api}"
        self._env = {
            "KFPKIT_KIND_CONFIG": str(folder / "kind.yaml"),
            "KFPKIT_YES": "1",
            "KFPKIT_HOST": self.host,
        }
        (folder / "kind.yaml").write_text(yaml.safe_dump(config))
        #: Seconds that each command took.
        self.took: dict[str, float] = {}

    def __call__(self, *arguments: str) -> str:
        """Run a command and return its output."""
        began = time.monotonic()
        argv = [sys.executable, "-m", "kfpkit", *arguments]
        done = process.query(argv, cwd=ROOT, env=self._env, check=False, timeout=3600)
        self.note(" ".join(arguments[:2]), began)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr[-5000:]}"
        return done.stdout

    def note(self, what: str, began: float) -> None:
        """Write down how long something took."""
        number = sum(name.partition(" #")[0] == what for name in self.took) + 1
        name = what if number == 1 else f"{what} #{number}"
        self.took[name] = time.monotonic() - began
        print(f"{time.strftime('%H:%M:%S')} {name}: {self.took[name]:.0f} s", flush=True)  # noqa: T201

    @property
    def client(self) -> Any:
        """The SDK's client of the API."""
        import kfp

        return kfp.Client(host=self.host)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kit]:
    """The command line, and no cluster; none is left afterwards."""
    made = Kit(tmp_path_factory.mktemp("cluster"))
    made("cluster", "down")
    yield made
    made("cluster", "down")


def seed(kit: Kit, folder: Path) -> tuple[str, str]:
    """Give the installation its history; return the pipeline and its newer version."""
    import kfp

    began = time.monotonic()
    # The sample, for its metrics, models and plots.
    kit("run", "penguins", "--target", "kind", "--runs", str(folder / "runs"))
    client = kit.client
    first, second = (str(folder / f"keeping-{number}.yaml") for number in range(2))
    kfp.compiler.Compiler().compile(steps.keeping(), first)
    pipeline = client.upload_pipeline(first, "keeping").pipeline_id
    (old,) = client.list_pipeline_versions(pipeline).pipeline_versions
    # Its one step finds what the first version's has done.
    kfp.compiler.Compiler().compile(steps.keeping(reading=False), second)
    new = client.upload_pipeline_version(second, "second", pipeline_id=pipeline)
    versions = [old.pipeline_version_id, new.pipeline_version_id]
    experiments = [client.create_experiment(f"history {n}").experiment_id for n in range(3)]
    client.create_recurring_run(
        experiments[0],
        "yearly",
        cron_expression="0 0 3 1 1 *",
        pipeline_id=pipeline,
        version_id=versions[1],
        params={"text": "text 0"},
    )

    def start(number: int) -> str:
        made = client.run_pipeline(
            experiments[number % len(experiments)],
            f"run {number}",
            pipeline_id=pipeline,
            version_id=versions[number >= OWN],
            params={"text": f"text {number % OWN}"},
        )
        return str(made.run_id)

    started = []
    waves = [range(OWN), *(range(n, min(n + WAVE, RUNS)) for n in range(OWN, RUNS, WAVE))]
    for wave in waves:
        ids = [start(number) for number in wave]
        for run_id in ids:
            done = client.wait_for_run_completion(run_id, timeout=1800, sleep_duration=2)
            assert done.state == "SUCCEEDED", done.error
        started += ids
        kit.note(f"{len(started)} runs", began)
    client.archive_run(started[0])
    ended = [start(number) for number in range(RUNS, RUNS + ENDED)]
    for run_id in ended:
        client.terminate_run(run_id)
    for run_id in ended:
        client.wait_for_run_completion(run_id, timeout=600, sleep_duration=2)
    return pipeline, versions[1]


def test_a_destroyed_cluster_comes_back_with_everything(kit: Kit, tmp_path: Path) -> None:
    kit("cluster", "up")
    kit("install")
    pipeline, version = seed(kit, tmp_path)
    destroy_and_restore(kit, tmp_path, pipeline, version, 1 + RUNS + ENDED)


def destroy_and_restore(kit: Kit, folder: Path, pipeline: str, version: str, runs: int) -> None:
    """Destroy the cluster, and fail unless all of it is there again in a new one.

    Args:
        kit: On the cluster.
        folder: Takes the backup and the inventories.
        pipeline: That of the seeded runs.
        version: A version of it.
        runs: How many runs there are.
    """
    backups = str(folder / "backups")
    before, after, later = (folder / f"{name}.json" for name in ("before", "after", "later"))
    kit("backup", "--backups", backups)
    kit("inventory", "--output", str(before))
    kit("backup-verify", "--backups", backups)

    kit("cluster", "down")
    kit("cluster", "up")
    kit("restore", "--backups", backups)

    kit("inventory", "--output", str(after))
    said = kit("inventory-compare", str(before), str(after))
    print(said, flush=True)  # noqa: T201 - the figures are of interest
    assert "no difference" in said
    counted = {name: int(count) for count, name in re.findall(r"(\d+) ([a-zA-Z ]+)", said)}
    assert counted["run"] == counted["run as the API tells it"] == runs
    assert counted["pipeline version"] >= 2
    assert counted["recurring run"] == 1
    assert counted["artifact"] >= 2 * OWN

    # The cache is as full as it was.
    client = kit.client
    experiment = client.create_experiment("after").experiment_id
    run = client.run_pipeline(
        experiment, "hit", pipeline_id=pipeline, version_id=version, params={"text": "text 1"}
    )
    assert client.wait_for_run_completion(run.run_id, timeout=900).state == "SUCCEEDED"
    kit("inventory", "--output", str(later))
    assert fingerprints(later) == fingerprints(after)


def fingerprints(inventory: Path) -> list[str]:
    """Return those of all steps that did their work: one that hits the cache adds none."""
    entries = json.loads(inventory.read_text())["cache entry"].values()
    return sorted(fingerprint for fingerprint, *_ in entries if fingerprint)
