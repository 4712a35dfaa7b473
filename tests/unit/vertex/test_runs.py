"""Runs on Vertex AI, against the stand-in of its API: what is sent, and what comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials

from kfpkit.kfp import pipelines
from kfpkit.kfp.run import Run, State, Task
from kfpkit.runs import refusals
from kfpkit.runs.local.run import InterruptedRun
from kfpkit.runs.progress import Progress
from kfpkit.vertex import client, jobs, results
from tests.support.vertex.server import LOCATION, PROJECT, Job, StandIn, target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.targets_file import Vertex
    from kfpkit.vertex.details import Detail

# Google's client takes half a minute to import on a busy machine.
pytestmark = pytest.mark.timeout(600)

AT = f"projects/{PROJECT}/locations/{LOCATION}"
CONTEXTS = f"{AT}/metadataStores/default/contexts"


def hello() -> Pipeline:
    return pipelines.find("tests/support/pipelines/hello.py")


def ended(stand_in: StandIn, folder: Path, **detail: Any) -> None:
    """Let the stand-in have the run `hello-1`, which is over."""
    name = f"{AT}/pipelineJobs/hello-1"
    resource = {
        "name": name,
        "state": "PIPELINE_STATE_SUCCEEDED",
        "createTime": "2026-03-29T12:00:00Z",
        "pipelineSpec": hello().spec,
        "jobDetail": detail,
    }
    stand_in.jobs[name] = Job(resource, folder)


def follow(where: Vertex, folder: Path, experiment: str = "") -> Run:
    with Progress() as progress:
        return jobs.run(where, "hello-1", hello().spec, [], folder, progress, experiment=experiment)


def sent(where: Vertex, file: Path) -> Any:
    found = pipelines.find(str(file))
    _, given = refusals.admit(found, [], {})
    job = jobs.prepare(where, found, given, name="x", cache=True)
    return job.to_dict()["pipelineSpec"]


def awkward() -> dict[str, Any]:
    """Return a pipeline with values that readers of YAML and JSON take for different things."""
    spec: dict[str, Any] = json.loads(json.dumps(hello().spec))
    declared = spec["root"].setdefault("inputDefinitions", {}).setdefault("parameters", {})
    for name, (kind, value) in {
        "small": ("NUMBER_DOUBLE", 1e-05),
        "large": ("NUMBER_DOUBLE", 1e22),
        "day": ("STRING", "2026-03-29"),
        "equals": ("STRING", "="),
        "word": ("STRING", "é 🐧\ttab"),
    }.items():
        declared[name] = {"parameterType": kind, "defaultValue": value, "isOptional": True}
    return spec


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_compiled_json_is_sent_as_it_reads_as_json(
    stand_in: StandIn, tmp_path: Path, indent: int | str | None
) -> None:
    file = tmp_path / "x.json"
    text = json.dumps(awkward(), ensure_ascii=False, indent=indent)
    assert "1e-05" in text
    file.write_text(text, encoding="utf-8")
    assert sent(target(stand_in), file) == awkward()


def test_dates_of_yaml_without_quotes_are_sent_as_texts(stand_in: StandIn, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = yaml.safe_dump(awkward(), allow_unicode=True)
    file.write_text(text.replace("'2026-03-29'", "2026-03-29"), encoding="utf-8")
    assert sent(target(stand_in), file) == awkward()


def test_what_googles_client_reads_well_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = f"# a comment\n{yaml.safe_dump(hello().spec)}"
    file.write_text(text, encoding="utf-8")
    jobs._readable(file, pipelines.find(str(file)))
    assert file.read_text(encoding="utf-8") == text


def test_a_second_target_has_nothing_of_the_first(stand_in: StandIn) -> None:
    aiplatform = client.connect(target(stand_in))
    config = aiplatform.initializer.global_config
    assert config.api_endpoint == stand_in.address
    second = replace(target(stand_in), api_endpoint="", credentials="", project="second")
    client.connect(second)
    assert config.api_endpoint is None
    assert not isinstance(config._credentials, AnonymousCredentials)
    assert config.project == "second"


def test_a_run_is_in_its_experiment(
    stand_in: StandIn, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    where = target(stand_in)
    context = f"{CONTEXTS}/hello-1"
    ended(stand_in, tmp_path, pipelineRunContext={"name": context})
    client.connect(where).Experiment.get_or_create("trials")
    assert follow(where, tmp_path, "trials").state is State.SUCCEEDED
    assert stand_in.contexts[f"{CONTEXTS}/trials"]["childContexts"] == [context]
    assert "experiment" not in capfd.readouterr().err


@pytest.mark.parametrize("named", [True, False])
def test_a_run_outside_its_experiment_is_followed_and_that_is_said(
    stand_in: StandIn, tmp_path: Path, capfd: pytest.CaptureFixture[str], *, named: bool
) -> None:
    detail = {"pipelineRunContext": {"name": f"{CONTEXTS}/hello-1"}} if named else {}
    ended(stand_in, tmp_path, **detail)
    assert follow(target(stand_in), tmp_path, "trials").state is State.SUCCEEDED
    said = " ".join(capfd.readouterr().err.split())
    assert "warning: the run hello-1 is not in the experiment trials: " in said
    assert ("No such context" if named else "it has no context") in said


def test_an_interrupt_before_a_run_joins_its_experiment_is_said(
    stand_in: StandIn,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def looks(*_: object) -> Iterator[dict[str, Any]]:
        yield {"state": "PIPELINE_STATE_RUNNING"}
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "_looks", looks)
    with pytest.raises(InterruptedRun) as interrupted:
        follow(target(stand_in), tmp_path, "trials")
    assert interrupted.value.run.state is State.RUNNING
    said = " ".join(capfd.readouterr().err.split())
    assert "warning: the run hello-1 is not in the experiment trials yet, and stays out" in said


def test_submitting_waits_for_no_experiment(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = target(stand_in)
    given: list[dict[str, Any]] = []
    job = jobs.prepare(where, hello(), [], name="x", cache=True)
    monkeypatch.setattr(type(job), "submit", lambda _, **more: given.append(more))
    assert jobs.submit(where, job, "trials") == job.job_id
    assert given == [{"service_account": None, "network": None}]
    assert f"{CONTEXTS}/trials" in stand_in.contexts


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_run_that_is_over_is_so_whatever_its_results_meet(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    ended(stand_in, tmp_path)

    def bring(*_: object) -> None:
        raise error

    monkeypatch.setattr(results, "bring", bring)
    if isinstance(error, OSError):
        assert follow(target(stand_in), tmp_path).state is State.SUCCEEDED
        return
    with pytest.raises(InterruptedRun) as interrupted:
        follow(target(stand_in), tmp_path)
    assert interrupted.value.run.state is State.SUCCEEDED


def test_the_log_of_a_failed_step_is_read_from_the_start_of_its_run(stand_in: StandIn) -> None:
    task = Task("greet", "greet", State.FAILED, error="exit code 1")
    created = datetime(2026, 3, 29, 12, tzinfo=UTC)
    run = Run("hello-1", "hello", "", "stand-in", State.FAILED, created, tasks=[task])
    detail: Detail = {
        "executorDetail": {"customJobDetail": {"job": "projects/1/locations/x/customJobs/77"}}
    }
    said = results._explanation(target(stand_in), run, {"greet": detail})
    assert 'resource.labels.job_id="77" AND timestamp>="2026-03-29T12:00:00Z"' in said
    assert "--order=asc" in said
