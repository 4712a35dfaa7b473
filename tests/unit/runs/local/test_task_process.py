"""Tasks as processes: real commands of kfp's compiler, so another form of a new kfp fails here."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
# ruff: noqa: S603, T201
import fcntl
import importlib.metadata
import json
import os
import signal
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.runs.local import task_process
from tests.support.wheels import make_wheel

#: Blanks, quotes and what a shell would read otherwise.
ODD = "my 'odd' \"$HOME\" `folder` 日本;#"

IMAGE = "kfpkit/python-runtime:1"


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def echo(text: str) -> str:
    print(f"got {text}")
    return text


@dsl.component(base_image="python:3.11")
def with_kfp(text: str) -> str:
    return text


@dsl.component(base_image="python:3.11", use_venv=True)
def with_venv(text: str) -> str:
    return text


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def read(table: dsl.Input[dsl.Dataset]) -> None:
    print(table.metadata)


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def leave(how: str) -> None:
    import os
    import signal

    print("last words")
    if how.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, how))
    os._exit(int(how))


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def start_another(locked: str, session: bool) -> None:
    import subprocess
    import sys

    code = (
        "import fcntl, sys, time; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('locked', file=sys.stderr, flush=True); time.sleep(600)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, locked], stderr=subprocess.PIPE, start_new_session=session
    )
    assert child.stderr is not None
    child.stderr.readline()
    print(f"started {child.pid}")


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def install(wheel: str) -> None:
    import importlib
    import subprocess
    import sys

    words = ["pip", "install", "--quiet", "--no-index", wheel]
    subprocess.run([sys.executable, "-m", *words], check=True)
    print(f"tiny in {importlib.import_module('tiny').__file__}")


def command(component: Any, folder: Path, **inputs: object) -> list[str]:
    """Return the command of a task with its placeholder filled in, as kfp's local runner does."""
    container = component.component_spec.implementation.container
    executor_input = {
        "inputs": inputs,
        "outputs": {
            "parameters": {"Output": {"outputFile": str(folder / "Output")}},
            "outputFile": str(folder / "executor_output.json"),
        },
    }
    filled = [json.dumps(executor_input) if word == "{{$}}" else word for word in container.args]
    return [*container.command, *filled]


def run(component: Any, folder: Path, **parameters: object) -> tuple[task_process.Ended, list[str]]:
    lines: list[str] = []
    words = command(component, folder, parameterValues=parameters)
    image = component.component_spec.implementation.container.image
    return task_process.run(words, image, {}, lines.append), lines


@pytest.mark.parametrize("component", [echo, with_kfp, with_venv], ids=lambda c: c.name)
def test_a_task_runs_wherever_the_checkout_is(
    component: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / ODD
    odd.mkdir()
    (odd / "venv").symlink_to(sys.prefix)
    monkeypatch.setattr(sys, "executable", str(odd / "venv/bin/python"))
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ended, lines = run(component, odd, text=ODD)
    assert (ended.returncode, ended.why) == (0, ""), lines
    assert json.loads((odd / "executor_output.json").read_text())["parameterValues"] == {
        "Output": ODD
    }
    assert sorted(path.name for path in odd.iterdir()) == ["executor_output.json", "venv"]
    # The kfp that the compiler adds is there already.
    assert not (tmp_path / "cache").exists()


def test_a_task_sees_the_variables_but_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kfp.py").write_text("raise ImportError('the wrong one')")
    monkeypatch.chdir(tmp_path)
    lines: list[str] = []
    words = command(read, tmp_path, artifacts={})
    words[3] = "import os, kfp\ndef read(): print(os.environ['ONE'], os.environ['_KFP_RUNTIME'])\n"
    ended = task_process.run(words, IMAGE, {"ONE": "é $x"}, lines.append)
    assert ended.returncode == 0, lines
    assert "é $x true" in lines


@pytest.mark.parametrize(
    ("how", "returncode", "why"),
    [
        ("3", 3, "exit code 3"),
        ("0", 0, ""),
        ("SIGKILL", -signal.SIGKILL, "killed by SIGKILL (out of memory?)"),
        ("SIGSEGV", -signal.SIGSEGV, "killed by SIGSEGV (a crash in compiled code)"),
        ("SIGTERM", -signal.SIGTERM, "killed by SIGTERM"),
        ("SIGRTMIN", -signal.SIGRTMIN, "killed by SIGRTMIN"),
    ],
)
def test_it_is_said_how_a_task_ended_and_what_it_wrote_last(
    how: str, returncode: int, why: str, tmp_path: Path
) -> None:
    ended, lines = run(leave, tmp_path, how=how)
    assert (ended.returncode, ended.why) == (returncode, why)
    assert lines[-1] == "last words"


def test_a_signal_without_a_name_is_said_too() -> None:
    assert task_process._why(-(signal.SIGRTMIN + 1)) == f"killed by signal {signal.SIGRTMIN + 1}"


def test_a_process_that_outlives_its_task_is_ended(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    ended, lines = run(start_another, tmp_path, locked=str(locked), session=False)
    assert ended.returncode == 0, lines
    with locked.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # held for ten minutes, were the process there


def test_a_daemon_that_holds_the_pipe_does_not_keep_the_task(tmp_path: Path) -> None:
    ended, lines = run(start_another, tmp_path, locked=str(tmp_path / "locked"), session=True)
    (started,) = [line for line in lines if line.startswith("started")]
    os.kill(int(started.split()[1]), signal.SIGKILL)  # there still: a session of its own
    assert ended.returncode == 0


def test_what_a_task_installs_itself_is_gone_with_it(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "tiny", "1.0")
    site = Path(sysconfig.get_path("purelib"))
    before = sorted(site.iterdir())
    ended, lines = run(install, tmp_path, wheel=str(wheel))
    assert ended.returncode == 0, lines
    (said,) = [line for line in lines if line.startswith("tiny in ")]
    assert not Path(said.removeprefix("tiny in ")).exists()
    assert sorted(site.iterdir()) == before
    importlib.metadata.version("kfp")
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("tiny")


def too_large(words: list[str], **variables: str) -> str:
    """Return the refusal, one line, after which nothing has been printed, so nothing ran."""
    lines: list[str] = []
    with pytest.raises(BadInputError) as caught:
        task_process.run(words, IMAGE, variables, lines.append)
    assert lines == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_input_above_what_linux_takes_is_refused(tmp_path: Path) -> None:
    values = {"small": "x" * 40_000, "text": "x" * 100_000}
    said = too_large(command(echo, tmp_path, parameterValues=values))
    assert "the inputs of the component echo have 140," in said
    assert "Linux allows 131,072; the largest is text with 100,002. Pass it as an artifact" in said


def test_the_metadata_of_an_artifact_count_as_well(tmp_path: Path) -> None:
    curve = [{"confidenceThreshold": n / 30_000, "recall": 1.0} for n in range(30_000)]
    artifact = {"name": "a", "uri": "/x", "metadata": {"confidenceMetrics": curve}}
    artifacts = {"curve": {"artifacts": [artifact]}, "other": {"artifacts": [{"uri": "/y"}]}}
    said = too_large(command(read, tmp_path, artifacts=artifacts))
    assert "the largest is the metadata of the artifact curve with 1," in said
    assert "fewer points" in said


def test_what_just_fits_is_passed(tmp_path: Path) -> None:
    """Also where kfp writes it longer than a cluster does: every sign of `é` as \\u00e9."""
    empty = task_process._take_apart(command(echo, tmp_path, parameterValues={"text": ""}))
    room = process.LARGEST_ARGUMENT - 1 - len(empty.executor_input.encode())
    text = "é" * (room // 2) + "x" * (room % 2)
    ended, _ = run(echo, tmp_path, text=text)
    assert ended.returncode == 0
    output = json.loads((tmp_path / "executor_output.json").read_text())
    assert output["parameterValues"]["Output"] == text
    assert "131,073 bytes" in too_large(
        command(echo, tmp_path, parameterValues={"text": text + "x"})
    )


def test_a_source_that_a_cluster_could_not_pass_is_refused(tmp_path: Path) -> None:
    words = command(echo, tmp_path, parameterValues={"text": "x"})
    words[3] += f"EMBEDDED = '{'x' * 140_000}'\n"
    assert "the source of the component echo, with all that is embedded in it" in too_large(words)


def test_a_variable_above_what_linux_takes_is_refused(tmp_path: Path) -> None:
    words = command(echo, tmp_path, parameterValues={"text": "x"})
    assert "the largest, HUGE, has 200,000 bytes" in too_large(words, HUGE="x" * 200_000)


PLAIN = command(echo, Path("/x"), parameterValues={"text": "x"})
WRAPPED = command(with_kfp, Path("/x"), parameterValues={"text": "x"})


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["python3", "-m", "kfp.dsl.executor_main", *PLAIN[4:]], id="containerized"),
        pytest.param([*PLAIN[:2], "id; " + PLAIN[2], *PLAIN[3:]], id="a word before"),
        pytest.param([*PLAIN[:2], PLAIN[2] + "id\n", *PLAIN[3:]], id="a line after"),
        pytest.param([*PLAIN, "--more"], id="an argument more"),
        pytest.param([*WRAPPED[:2], "id && " + WRAPPED[2], *WRAPPED[3:]], id="a command before"),
        pytest.param(
            [*WRAPPED[:2], WRAPPED[2].replace(" && ", " && id && ", 1), *WRAPPED[3:]],
            id="a command between",
        ),
        pytest.param(
            [*WRAPPED[:2], WRAPPED[2].replace("'kfp==", "kfp=="), *WRAPPED[3:]],
            id="an open quote",
        ),
        pytest.param(["sh", "-c", "echo hello"], id="a container component"),
        pytest.param([], id="nothing"),
    ],
)
def test_a_command_of_another_form_is_refused(words: list[str]) -> None:
    with pytest.raises(BadInputError, match=r"command of the component \S.* is none that kfp"):
        task_process.run(words, IMAGE, {}, print)
