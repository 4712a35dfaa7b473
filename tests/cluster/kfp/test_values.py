"""What tasks get of a page of values: the same on this machine and on the cluster, to the letter.

What is expected is written as the Python value that a task has in its hand. Kubeflow Pipelines has
one kind of number only, so a whole one is an `int` wherever it was a `float`, and objects' keys are
sorted.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.pipelines.values import LOOKALIKES, TEXT
from tests.support.started import PAGES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.support.runs import Run

pytestmark = pytest.mark.timeout(1800)

#: What docs/use/limits.md says of 2.14.3: by pipeline, why a run fails.
FAILING = {
    "quoted": "JSONDecodeError",
    "mistyped": 'input parameter "whole" type mismatch: expect NUMBER_INTEGER, got string',
    "either": "not in tasks",
    "guarded_rounds": "parent DAG does not have input parameter loop-item-param",
}

#: By pipeline, every line of the page: the case, and what the task got.
PAGE: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "values": [
        (
            "constants",
            {
                "whole": 9007199254740992,
                "number": 1,
                "flag": False,
                "text": TEXT,
                "items": [
                    *(0, 1, 1, 0, 0.1, 100000000000000000000, 1e21, 1e22, 1e-6, 1e-7, 1e308),
                    *(5e-324, 9007199254740992, -9007199254740992),
                    *LOOKALIKES,
                    TEXT,
                ],
                "table": {"a": [1, 1, 2.5, True, "1"], "b": 1, "c": {"deep": {"er": 20}}},
            },
        ),
        (
            "parameters",
            {
                "whole": 3,
                "number": 2,
                "flag": True,
                "text": TEXT,
                "items": [1, 1, 0.5, True, None, "1", {"a": None, "b": 1}],
                "table": {"a": 1, "b": 1},
            },
        ),
        (
            "defaults",
            {
                "whole": 2,
                "number": 1,
                "flag": False,
                "text": 'a "default"\n',
                "items": [1, 1, 2.5],
                "table": {"a": 1, "b": 1},
            },
        ),
        (
            "outputs",
            {
                "whole": 3,
                "number": 3,
                "flag": True,
                "text": TEXT,
                "items": [1, 1, 0.5, True, None, "1", TEXT],
                "table": {"a": {"n": 2}, "b": 1},
            },
        ),
        (
            "in texts",
            {
                "text": "3 2 0.0000001 10000000000000000000000 true 3",
                "items": ["<3>", "<2>"],
                "table": {"flag": "<true>", "n": "<2>"},
            },
        ),
        ("collected, and nothing", {"items": [1, 2], "more": [0.5, 1]}),
    ],
    "rounds": [
        ("untyped item", {"text": "2"}),
        ("untyped item", {"text": "0.1"}),
        ("untyped item", {"text": "true"}),
        ("untyped item", {"text": "2"}),
        ("untyped item", {"text": '[1,{"b":"\\u003c"}]'}),
        ("untyped item == 2", {"text": "2"}),
        ("untyped item == 2", {"text": "2"}),
        ("item", {"number": 2}),
        ("item", {"number": 0.1}),
        ("item == 2.0", {"number": 2}),
        ("row", {"table": {"n": 1, "text": "x"}}),
    ],
    "conditions": [
        ("whole == 2 and number == 2", {}),
        ("flag == True and text == 'a b'", {}),
    ],
}


def lines(log: str) -> list[dict[str, str]]:
    """Return what the tasks said, in an order that no run changes."""
    return ordered(json.loads(found) for found in re.findall(r"SEEN (\{.*\})", log))


def page(name: str) -> list[dict[str, str]]:
    """Return the lines that a run of the pipeline should say."""
    return ordered(
        {"case": case, **{key: repr(value) for key, value in seen.items()}}
        for case, seen in PAGE[name]
    )


def ordered(said: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return sorted(said, key=json.dumps)


@pytest.mark.parametrize("name", PAGE)
def test_this_machine_gives_the_page(name: str, tmp_path: Path) -> None:
    from google.protobuf import json_format

    from kfpkit.runs import parameters
    from kfpkit.runs.local import run as local
    from kfpkit.runs.progress import Progress

    component = getattr(import_module("tests.support.pipelines.values"), name)
    spec = json_format.MessageToDict(component.pipeline_spec)
    texts = (
        f"{key}={value if isinstance(value, str) else json.dumps(value)}"
        for key, value in PAGES[name].items()
    )
    given = parameters.parse(spec, list(texts))
    with Progress() as progress:
        run = local.run(spec, given, tmp_path, progress, in_containers=False)
    assert not run.error, run.error
    assert not run.failed, [task.error for task in run.failed]
    assert lines((tmp_path / "run.log").read_text(encoding="utf-8")) == page(name)


@pytest.mark.kfp
@pytest.mark.turn(4)
@pytest.mark.parametrize("name", PAGE)
def test_the_cluster_gives_the_page(name: str, runs: dict[str, Run]) -> None:
    run = runs[name].finish()
    assert lines(run.printed()) == page(name)


@pytest.mark.kfp
@pytest.mark.turn(4)
@pytest.mark.parametrize("name", FAILING)
def test_what_the_release_cannot_do_fails(name: str, runs: dict[str, Run]) -> None:
    run = runs[name].finish("FAILED")
    assert FAILING[name] in run.evidence()


@pytest.mark.kfp
@pytest.mark.turn(4)
def test_kubernetes_changes_texts_and_argo_does_not(runs: dict[str, Run]) -> None:
    """As docs/use/limits.md says; with drivers in pods Argo would fill in the braces."""
    run = runs["evaluated"].finish()
    workflow = run.workflow["metadata"]["name"]
    said = {line["case"]: line for line in lines(run.printed())}
    braces = "{{=1+1}} {{workflow.name}} {{ user }}"
    assert said["output"]["text"] == repr(braces)
    text = rf"{re.escape(braces)} \$ {workflow}-[\w-]+ \$\(x\)"
    assert re.fullmatch(f"'{text}'", said["parameter"]["text"])
    assert re.fullmatch(rf"\['{text}'\]", said["parameter"]["items"])
    assert re.fullmatch(rf"\{{'text': '{text}'\}}", said["parameter"]["table"])
