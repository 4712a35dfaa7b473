"""Real runs on this machine, each task a process."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
import hashlib
import os
import shlex
import signal
import threading
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from google.protobuf import json_format
from kfp import dsl

from components.image import RUNTIME_IMAGE
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import spec as ir
from kfpkit.kfp.run import Run, State, Task
from kfpkit.runs.local import run as local
from kfpkit.runs.local import task as local_task
from kfpkit.runs.progress import Progress
from tests.support.local_runs import containing, go, shouting


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


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def odd_only(n: int) -> None:
    print(f"got {n}")  # noqa: T201
    if n % 2 == 0:
        raise ValueError(f"{n} is even")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def move(
    elsewhere: str,
    renamed: dsl.Output[dsl.Dataset],
    moved: dsl.Output[dsl.Artifact],
    folder: dsl.Output[dsl.Model],
    deleted: dsl.Output[dsl.Artifact],
) -> None:
    from pathlib import Path

    renamed.path += ".csv"
    Path(renamed.path).write_text("renamed")
    Path(elsewhere).mkdir()
    moved.path = f"{elsewhere}/here.txt"
    Path(moved.path).write_text("moved")
    Path(folder.path, "in").mkdir(parents=True)
    Path(folder.path, "in", "it").write_text("folder")
    Path(deleted.path).write_text("")
    Path(deleted.path).unlink()
    moved.metadata["n"] = "kept"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(
    renamed: dsl.Input[dsl.Dataset],
    moved: dsl.Input[dsl.Artifact],
    folder: dsl.Input[dsl.Model],
    imported: dsl.Input[dsl.Dataset],
) -> str:
    from pathlib import Path

    assert Path(imported.path).read_text() == "a,b\n"
    words = (Path(renamed.path), Path(moved.path), Path(folder.path, "in", "it"))
    return " ".join([word.read_text() for word in words] + [moved.metadata["n"]])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def put(folder: str) -> str:
    from pathlib import Path

    file = Path(folder).parent / "imported.csv"
    file.write_text("a,b\n")
    return str(file)


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def echo(text: str, n: int = 3) -> str:  # noqa: ARG001
    return text + " {{$.inputs.parameters['text']}}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def leave(
    kind: str,
    metrics: dsl.Output[dsl.Metrics],
    classes: dsl.Output[dsl.ClassificationMetrics],
    count: dsl.OutputPath(int),  # type: ignore[valid-type]
) -> NamedTuple("Left", [("number", float), ("whole", int)]):  # type: ignore[valid-type]
    from pathlib import Path

    if kind == "metric":
        metrics.log_metric("loss", float("nan"))
    if kind == "half":
        metrics.metadata["name"] = "\udc80"
    if kind == "none":
        metrics.metadata["empty"] = None
    if kind == "roc":
        classes.log_roc_curve([0.0, 1.0], [0.0, 1.0], [float("inf"), 0.5])
    if kind != "missing":
        Path(count).write_text("many" if kind == "file" else "3")
    number = -float("inf") if kind == "float" else 0.5
    return number, 2**53 + 1 if kind == "integer" else 2**53


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def end(how: str) -> None:
    import os
    import signal
    import sys

    if how == "long":
        for n in range(5000):
            print(f"line {n}")  # noqa: T201
        print("0%\r10%\r\033[1m100%\033[0m")  # noqa: T201
        print("x" * 100_000)  # noqa: T201
        sys.stdout.flush()
        os.write(1, b"\xff done\n")
        sys.exit(4)
    print("bye", flush=True)  # noqa: T201
    if how == "exit":
        sys.exit(3)
    if how == "crash":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit("the reason")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def count_and_fail(counter: str) -> None:
    with open(counter, "a") as file:  # noqa: PTH123
        file.write("x")
    raise ValueError("never")


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def wait(folder: str) -> None:
    import os
    import time
    from pathlib import Path

    Path(folder, f"pid-{os.getpid()}").touch()
    time.sleep(600)


@dsl.pipeline(name="half-bad")
def half_bad() -> None:
    with dsl.ParallelFor([1, 2, 3], parallelism=1) as n:
        odd_only(n=n)


@dsl.pipeline(name="twice")
def twice() -> None:
    make(n=1)
    make(n=2)


@dsl.pipeline(name="moving")
def moving(elsewhere: str) -> None:
    moved = move(elsewhere=elsewhere)
    file = put(folder=elsewhere)
    imported = dsl.importer(
        artifact_uri=file.output, artifact_class=dsl.Dataset, metadata={"of": elsewhere}
    )
    read(
        renamed=moved.outputs["renamed"],
        moved=moved.outputs["moved"],
        folder=moved.outputs["folder"],
        imported=imported.output,
    )


@dsl.pipeline(name="echoing")
def echoing(text: str) -> None:
    echo(text=f"f {echo(text=text).output}")


@dsl.pipeline(name="leaving")
def leaving(kind: str) -> None:
    leave(kind=kind)


@dsl.pipeline(name="ending")
def ending(how: str) -> None:
    end(how=how)


@dsl.pipeline(name="insisting")
def insisting(counter: str) -> None:
    count_and_fail(counter=counter).set_retry(2, backoff_duration="0s")


@dsl.pipeline(name="waiting")
def waiting(folder: str) -> None:
    with dsl.ParallelFor([1, 2, 3, 4]):
        wait(folder=folder)


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
    assert artifacts["table"].sha256 == hashlib.sha256(b"a,b\n").hexdigest()
    assert artifacts["metrics"].sha256 == ""
    assert set(made.phases) == {"waiting", "start", "work"}
    assert made.phases["start"] + made.phases["work"] <= made.seconds
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
    sentence, command = run.explanation.splitlines()
    assert sentence == "the step fail failed: ValueError: too low"
    found = process.query(shlex.split(command)).stdout.splitlines()
    assert found[-1].startswith("fail | ")


def test_a_branch_that_is_not_taken_is_skipped(tmp_path: Path) -> None:
    assert list(states(go(branching, tmp_path)).values()) == [
        State.SUCCEEDED,
        State.SUCCEEDED,
        State.SKIPPED,
    ]


def test_a_loop_has_a_row_for_each_round(tmp_path: Path) -> None:
    run = go(looping, tmp_path)
    (task,) = run.tasks
    assert (run.state, task.state) == (State.SUCCEEDED, State.SUCCEEDED)
    assert (task.name, task.outputs, task.artifacts) == ("for-loop-2/make", {}, [])
    assert [row.name for row in task.rounds] == [f"for-loop-2[{n}]/make" for n in range(3)]
    for number, row in enumerate(task.rounds, 1):
        assert (row.inputs, row.outputs) == ({"n": number}, {"Output": number})
        metrics, table = row.artifacts
        assert table.path == f"outputs/for-loop-2/{number - 1}/make/table"
        assert (tmp_path / table.path).read_text() == "a,b\n"
        assert metrics.metadata == {"score": number / 10}
        assert row.seconds
    assert Run.from_json(run.to_json()) == run


def test_a_failed_round_fails_the_run_with_its_own_error(tmp_path: Path) -> None:
    run = go(half_bad, tmp_path)
    assert run.state is State.FAILED
    (failed,) = run.failed
    assert failed.name == "for-loop-2[1]/odd-only"
    assert failed.error.startswith("Traceback (")
    assert failed.error.endswith("ValueError: 2 is even")
    assert [row.state for row in run.rows].count(State.SUCCEEDED) == 2


def test_two_tasks_of_one_component_keep_their_outputs(tmp_path: Path) -> None:
    run = go(twice, tmp_path)
    assert {task.name: task.outputs["Output"] for task in run.tasks} == {"make": 1, "make-2": 2}
    paths = [artifact.path for task in run.tasks for artifact in task.artifacts if artifact.path]
    assert paths == ["outputs/make/table", "outputs/make-2/table"]


def test_artifacts_are_where_their_uri_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    run = go(moving, tmp_path, f"elsewhere={elsewhere}")
    assert run.state is State.SUCCEEDED, run.failed
    tasks = {task.name: task for task in run.tasks}
    moved, imported = tasks["move"], tasks["importer"]
    found = {artifact.name: artifact for artifact in moved.artifacts}
    assert found["renamed"].path == "outputs/move/renamed.csv"
    assert found["moved"].path == "elsewhere/here.txt"
    assert (found["folder"].path, found["folder"].size) == ("outputs/move/folder", 6)
    assert found["deleted"].path == ""
    (artifact,) = imported.artifacts
    assert (artifact.type, artifact.uri) == ("system.Dataset", str(tmp_path / "imported.csv"))
    assert artifact.metadata == {"of": str(elsewhere)}
    assert (artifact.path, artifact.size) == ("imported.csv", 4)
    assert tasks["read"].outputs["Output"] == "renamed moved folder kept"


def test_what_looks_like_a_placeholder_reaches_a_task_unchanged(tmp_path: Path) -> None:
    odd = "{{$.inputs.parameters['n']}} {{$}} {{$.outputs.artifacts['x'].path}} \"quoted\""
    run = go(echoing, tmp_path, f"text={odd}")
    echoed, again = run.tasks
    assert echoed.outputs["Output"] == f"{odd} {{{{$.inputs.parameters['text']}}}}"
    assert again.outputs["Output"].startswith(f"f {odd} {{{{$.inputs.parameters['text']}}}}")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        pytest.param(
            "metric",
            "metric 'loss' of artifact 'metrics' is NaN, which JSON and KFP cannot hold. "
            "Log it as a text, or leave it out.",
            id="metric",
        ),
        pytest.param(
            "roc",
            "metric 'confidenceMetrics' of artifact 'classes'[0].confidenceThreshold is Infinity, "
            "which JSON and KFP cannot hold.",
            id="threshold",
        ),
        pytest.param(
            "none", "metric 'empty' of artifact 'metrics' is None, which KFP cannot hold", id="None"
        ),
        pytest.param("float", "output 'number' is -Infinity, which JSON", id="returned"),
        pytest.param(
            "integer",
            "output 'whole' is 9007199254740993, and KFP holds integers up to 2^53 only. "
            "Return it as a text.",
            id="large",
        ),
        pytest.param(
            "file", "the file of output 'count' holds 'many', which is no NUMBER_INTEGER", id="file"
        ),
        pytest.param("half", "has half a character (a lone surrogate)", id="surrogate"),
        pytest.param("missing", "the task gave no output 'count'", id="missing"),
    ],
)
def test_a_task_fails_whose_outputs_kfp_cannot_hold(kind: str, error: str, tmp_path: Path) -> None:
    run = go(leaving, tmp_path, f"kind={kind}")
    assert run.state is State.FAILED
    (failed,) = run.failed
    assert error in failed.error
    assert "\n" not in failed.error
    Run.from_json(run.to_json())


@pytest.mark.parametrize(
    ("how", "error"),
    [
        pytest.param("exit", "bye\nexit code 3", id="sys.exit"),
        pytest.param("crash", "bye\nexit code 3", id="os._exit"),
        pytest.param("kill", "bye\nkilled by SIGKILL (out of memory?)", id="signal"),
        pytest.param("text", "bye\nthe reason\nexit code 1", id="text"),
    ],
)
def test_how_a_task_ended_is_said(how: str, error: str, tmp_path: Path) -> None:
    (failed,) = go(ending, tmp_path, f"how={how}").failed
    assert failed.error == error


def test_the_end_of_a_long_output_is_kept(tmp_path: Path) -> None:
    (failed,) = go(ending, tmp_path, "how=long").failed
    lines = failed.error.splitlines()
    assert len(lines) == local_task.ERROR_LINES + 1
    assert len(lines[-3]) == 2001
    assert lines[-2:] == ["\ufffd done", "exit code 4"]
    log = (tmp_path / "run.log").read_text()
    assert log.count("end | line") == 5000
    assert "10%" not in failed.error
    assert "\x1b" not in log


def test_retries_are_as_many_as_asked_for(tmp_path: Path) -> None:
    run = go(insisting, tmp_path, f"counter={tmp_path / 'counter'}")
    assert run.state is State.FAILED
    assert (tmp_path / "counter").read_text() == "xxx"
    assert "attempt 2 of 3 failed" in (tmp_path / "run.log").read_text()


def test_ctrl_c_ends_the_rounds_of_a_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def interrupt(_: Progress, task: Any) -> None:
        if task.state is State.RUNNING and not started:
            started.append(task.name)
            threading.Thread(target=when_both_run).start()

    def when_both_run() -> None:
        while len(list(tmp_path.glob("pid-*"))) < 2:
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Progress, "changed", interrupt)
    # Whoever started the tests may have had it ignored, as a shell does in the background.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(local.InterruptedRun) as raised:
            go(waiting, tmp_path, f"folder={tmp_path}")
    finally:
        signal.signal(signal.SIGINT, before)
    run = raised.value.run
    assert run.state is State.CANCELLED
    states = [row.state for row in run.tasks[0].rounds]
    assert sorted(states) == [State.CANCELLED] * 2 + [State.NOT_RUN] * 2
    for file in tmp_path.glob("pid-*"):
        pid = int(file.name.removeprefix("pid-"))
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_task_that_succeeds_at_the_second_attempt_has_succeeded(tmp_path: Path) -> None:
    run = go(retrying, tmp_path, f"marker={tmp_path / 'marker'}")
    assert (run.state, run.tasks[0].state, run.tasks[0].error) == (
        State.SUCCEEDED,
        State.SUCCEEDED,
        "",
    )
    kinds = [phase for phase, *_ in run.tasks[0].spans if phase != "waiting"]
    assert kinds == ["start", "work"] * 2, "each attempt"
    assert run.explanation == ""


def test_an_exit_task_runs_after_a_failure(tmp_path: Path) -> None:
    run = go(guarded, tmp_path)
    assert run.state is State.FAILED
    assert states(run) == {"exit-handler-1/fail": State.FAILED, "make": State.SUCCEEDED}


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
        local.needs_containers(json_format.MessageToDict(shouting.pipeline_spec))
    message = str(raised.value)
    assert "container components (shout), and no Docker engine answers. Start Docker" in message
    assert "\n" not in message


def test_without_the_samples_image_both_ways_to_build_it_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def query(argv: list[str], **_: Any) -> process.Result:
        return process.Result(int("inspect" in argv), "", "")

    monkeypatch.setattr(process, "query", query)
    monkeypatch.setattr(ir, "images", lambda _: [RUNTIME_IMAGE])
    with pytest.raises(KitError) as raised:
        local.needs_containers(json_format.MessageToDict(shouting.pipeline_spec))
    assert "make images NAMES=python-runtime" in raised.value.do


def test_a_container_gets_what_the_compiler_left_open(tmp_path: Path) -> None:
    spec = json_format.MessageToDict(containing.pipeline_spec)
    with (tmp_path / "log").open("w") as file:
        tasks = local_task.Tasks(spec, tmp_path, local_task.Log(file), {}, in_containers=True)
        component = spec["components"]["comp-write"]
        container = spec["deploymentSpec"]["executors"]["exec-write"]["container"]
        inputs = {"text": "{{$}} '\"", "n": 3}
        given = local_task._executor_input(component, inputs, Path("/root"))
        command, arguments = tasks._command(Task("write", "write"), container, inputs, given)
    assert command[:2] == ["sh", "-c"]
    assert arguments == ["{{$}} '\"", "<3>", "none", "/root/table", "/root/count"]


def test_a_container_with_an_argument_above_the_limit_of_linux_is_refused(tmp_path: Path) -> None:
    spec = json_format.MessageToDict(containing.pipeline_spec)
    with (tmp_path / "log").open("w") as file:
        tasks = local_task.Tasks(spec, tmp_path, local_task.Log(file), {}, in_containers=True)
        with pytest.raises(BadInputError, match="has 131,073 bytes; Linux allows 131,072"):
            tasks._in_container("image", ["echo"], ["é" * 65536], {}, print)


def test_folders_of_runs_are_never_shared(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    folders = [local.new_folder(tmp_path / "runs", "tiny", now) for _ in range(3)]
    assert [folder.name.removeprefix(folders[0].name) for folder in folders] == ["", "-2", "-3"]
