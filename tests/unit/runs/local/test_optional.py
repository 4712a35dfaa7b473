"""An optional parameter that is given nothing reaches its tasks as None, as on a cluster."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
from pathlib import Path
from typing import Any, Optional

import pytest
from kfp import dsl
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.kfp import pipelines
from kfpkit.kfp.pipelines import Pipeline
from kfpkit.kfp.run import Run, State


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def tell(
    text: Optional[str] = None,  # noqa: UP045 - for kfp
    number: Optional[int] = None,  # noqa: UP045
    items: Optional[list[Any]] = None,  # noqa: UP045
    flag: Optional[bool] = None,  # noqa: UP045
) -> str:
    return repr((text, number, items, flag))


@dsl.pipeline
def inner(
    text: Optional[str] = None,  # noqa: UP045
    number: Optional[int] = None,  # noqa: UP045
) -> None:
    tell(text=text, number=number)


@dsl.pipeline
def outer(
    text: Optional[str] = None,  # noqa: UP045
    number: Optional[int] = None,  # noqa: UP045
    items: Optional[list[Any]] = None,  # noqa: UP045
    flag: Optional[bool] = None,  # noqa: UP045
) -> None:
    tell(text=text, number=number, items=items, flag=flag)
    inner(text=text, number=number)
    inner()
    tell()


NONE = "(None, None, None, None)"


@pytest.mark.parametrize(
    ("arguments", "found", "inside"),
    [
        ([], NONE, NONE),
        (["number=0"], "(None, 0, None, None)", "(None, 0, None, None)"),
        (
            ["text=", "number=7", "items=[]", "flag=false"],
            "('', 7, [], False)",
            "('', 7, None, None)",
        ),
    ],
)
def test_what_is_not_given_is_none(
    arguments: list[str], found: str, inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "find", lambda _: Pipeline("outer", outer))
    done = CliRunner().invoke(cli.app, ["run", "--runs", str(tmp_path), "outer", *arguments])
    assert done.exit_code == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    run = Run.from_json((folder / "run.json").read_text())
    assert run.state is State.SUCCEEDED
    assert {task.name: task.outputs["Output"] for task in run.tasks} == {
        "tell": found,
        "tell-2": NONE,
        "inner/tell": inside,
        "inner-2/tell": NONE,
    }
