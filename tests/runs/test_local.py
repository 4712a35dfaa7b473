"""Real runs through kfp's local runner; a new kfp that words its messages otherwise fails here."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from kfp import dsl

from kfpkit import process
from kfpkit.errors import KitError
from kfpkit.runs import local, parameters
from kfpkit.runs import spec as ir
from kfpkit.runs.progress import Progress
from kfpkit.runs.run import Run, State


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def make(n: int, table: dsl.Output[dsl.Dataset], metrics: dsl.Output[dsl.Metrics]) -> int:
    print(f"making {n}")  # noqa: T201
    with open(table.path, "w") as file:  # noqa: PTH123 - the function carries no imports
        file.write("a,b\n")
    table.metadata["rows"] = n
    metrics.log_metric("score", n / 10)
    return n


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def fail(reason: str) -> None:
    raise ValueError(reason)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def pass_on(table: dsl.Input[dsl.Dataset]) -> None:
    assert table.metadata["rows"]


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def second_time(marker: str) -> None:
    from pathlib import Path

    if not Path(marker).exists():
        Path(marker).touch()
        raise ValueError("first time")


@dsl.container_component
def shout() -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="kfpkit/no-such-image:0", command=["true"])


@dsl.pipeline(name="tiny")
def tiny(n: int = 3) -> None:
    """Make and pass on."""
    pass_on(table=make(n=n).outputs["table"]).set_cpu_limit("1")


@dsl.pipeline(name="failing")
def failing(reason: str = "the reason") -> None:
    made = make(n=1)
    failed = fail(reason=reason).after(made)
    pass_on(table=made.outputs["table"]).after(failed)


@dsl.pipeline(name="branching")
def branching(n: int = 3) -> None:
    made = make(n=n)
    with dsl.If(made.outputs["Output"] == 3):
        make(n=1)
    with dsl.Else():
        make(n=2)


@dsl.pipeline(name="looping")
def looping() -> None:
    with dsl.ParallelFor([1, 2, 3], parallelism=2) as n:
        make(n=n)


@dsl.pipeline(name="retrying")
def retrying(marker: str) -> None:
    second_time(marker=marker).set_retry(2, backoff_duration="0s")


@dsl.pipeline(name="guarded")
def guarded() -> None:
    with dsl.ExitHandler(make(n=9)):
        fail(reason="guarded")


@dsl.pipeline(name="shouting")
def shouting() -> None:
    shout()


def go(component: Any, tmp_path: Path, *arguments: str) -> Run:
    spec = json_format.MessageToDict(component.pipeline_spec)
    given = parameters.parse(spec, list(arguments))
    runner = local.choose_runner(spec)
    with Progress() as progress:
        return local.run(component, spec, given, tmp_path, runner, progress)


def states(run: Run) -> dict[str, State]:
    return {task.name: task.state for task in run.tasks}


def test_a_run_is_described(tmp_path: Path) -> None:
    run = go(tiny, tmp_path, "n=4")
    assert (run.state, run.pipeline, run.description) == (
        State.SUCCEEDED,
        "tiny",
        "Make and pass on.",
    )
    assert states(run) == {"make": State.SUCCEEDED, "pass-on": State.SUCCEEDED}
    made, passed = run.tasks
    assert made.seconds is not None
    assert passed.seconds is not None
    assert run.seconds is not None
    assert 0 < made.seconds + passed.seconds <= run.seconds
    assert passed.depends_on == ["make"]
    assert passed.input_artifacts == {"table": "make.table"}
    assert (made.inputs, made.outputs) == ({"n": 4}, {"Output": 4})
    artifacts = {artifact.name: artifact for artifact in made.artifacts}
    assert artifacts["table"].type == "system.Dataset"
    assert artifacts["table"].metadata == {"rows": 4}
    assert artifacts["table"].size == 4
    assert (tmp_path / artifacts["table"].path).read_text() == "a,b\n"
    assert artifacts["metrics"].metadata == {"score": 0.4}
    assert artifacts["metrics"].path == ""
    assert Run.from_json(run.to_json()) == run


def test_the_log_has_what_tasks_print(tmp_path: Path) -> None:
    go(tiny, tmp_path)
    log = (tmp_path / "run.log").read_text()
    assert "making 3" in log
    assert "cpu_limit" in log  # kfp's own warning goes there too, not to the terminal
    assert "\x1b" not in log


def test_a_failed_task_ends_the_run_and_gives_its_error(tmp_path: Path) -> None:
    run = go(failing, tmp_path, "reason=too low")
    assert run.state is State.FAILED
    assert states(run) == {
        "make": State.SUCCEEDED,
        "fail": State.FAILED,
        "pass-on": State.NOT_RUN,
    }
    (failed,) = run.failed
    assert failed.error.startswith("Traceback (")
    assert failed.error.endswith("ValueError: too low")


def test_a_branch_that_is_not_taken_is_skipped(tmp_path: Path) -> None:
    assert list(states(go(branching, tmp_path)).values()) == [
        State.SUCCEEDED,
        State.SUCCEEDED,
        State.SKIPPED,
    ]


def test_a_loop_is_one_task_of_all_its_rounds(tmp_path: Path) -> None:
    run = go(looping, tmp_path)
    (task,) = run.tasks
    assert (run.state, task.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert task.name.startswith("for-loop-")


def test_a_task_that_succeeds_at_the_second_attempt_has_succeeded(tmp_path: Path) -> None:
    run = go(retrying, tmp_path, f"marker={tmp_path / 'marker'}")
    assert (run.state, run.tasks[0].state, run.tasks[0].error) == (
        State.SUCCEEDED,
        State.SUCCEEDED,
        "",
    )


def test_an_exit_task_runs_after_a_failure(tmp_path: Path) -> None:
    run = go(guarded, tmp_path)
    assert run.state is State.FAILED
    assert states(run) == {"exit-handler-1/fail": State.FAILED, "make": State.SUCCEEDED}


def test_logging_and_warnings_are_as_before_afterwards(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = (root.level, root.handlers[:], root.filters[:], warnings.showwarning)
    go(failing, tmp_path)
    assert (root.level, root.handlers, root.filters, warnings.showwarning) == before


def test_what_kfp_itself_cannot_do_fails_the_run(tmp_path: Path) -> None:
    spec = json_format.MessageToDict(shouting.pipeline_spec)
    runner = local.choose_runner(json_format.MessageToDict(tiny.pipeline_spec))
    with Progress() as progress:
        run = local.run(shouting, spec, [], tmp_path, runner, progress)
    assert run.state is State.FAILED
    assert states(run) == {"shout": State.FAILED}
    assert "Container Component" in run.error


def test_an_interrupt_leaves_a_cancelled_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Progress, task: Any) -> None:
        if task.state is State.RUNNING:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "changed", interrupt)
    with pytest.raises(local.InterruptedRun) as raised:
        go(tiny, tmp_path)
    assert raised.value.run.state is State.CANCELLED
    assert list(states(raised.value.run).values()) == [State.CANCELLED, State.NOT_RUN]


def test_without_an_engine_a_container_component_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent.sock")
    with pytest.raises(KitError) as raised:
        local.choose_runner(json_format.MessageToDict(shouting.pipeline_spec))
    message = str(raised.value)
    assert "container components (shout), and no Docker engine answers. Start Docker" in message
    assert "\n" not in message


def test_without_the_samples_image_both_ways_to_build_it_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from components.image import RUNTIME_IMAGE

    def query(argv: list[str], **_: Any) -> process.Result:
        return process.Result(int("inspect" in argv), "", "")

    monkeypatch.setattr(process, "query", query)
    monkeypatch.setattr(ir, "images", lambda _: [RUNTIME_IMAGE])
    with pytest.raises(KitError) as raised:
        local.choose_runner(json_format.MessageToDict(shouting.pipeline_spec))
    assert "IMAGES=upstream make images NAMES=python-runtime" in raised.value.do
    assert "without `IMAGES=upstream` where Docker Hub" in raised.value.do


@pytest.mark.docker
@pytest.mark.usefixtures("docker")
def test_without_its_image_a_container_component_is_refused() -> None:
    with pytest.raises(KitError, match="the image kfpkit/no-such-image:0, which the Docker engine"):
        local.choose_runner(json_format.MessageToDict(shouting.pipeline_spec))


@pytest.mark.docker
@pytest.mark.usefixtures("docker")
def test_the_sample_from_yaml_runs_in_containers(tmp_path: Path) -> None:
    from components.image import RUNTIME_IMAGE
    from kfpkit import pipelines

    if not process.query(["docker", "image", "inspect", RUNTIME_IMAGE], check=False).ok:
        pytest.skip(f"the Docker engine has no image {RUNTIME_IMAGE}")
    run = go(pipelines.find("penguins_yaml").func, tmp_path)
    assert run.state is State.SUCCEEDED, [task.error for task in run.failed] or run.error
    assert any("accuracy" in a.metadata for task in run.tasks for a in task.artifacts)


def test_folders_of_runs_are_never_shared(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    folders = [local.new_folder(tmp_path / "runs", "tiny", now) for _ in range(3)]
    assert [folder.name.removeprefix(folders[0].name) for folder in folders] == ["", "-2", "-3"]


def test_numbers_that_json_lacks_stay_readable(tmp_path: Path) -> None:
    output = tmp_path / "executor_output.json"
    output.write_text('{"artifacts": {"m": {"artifacts": [{"metadata": {"x": NaN}}]}}}')
    read = local._executor_output(output)
    assert json.loads(json.dumps(read, allow_nan=False)) == read
