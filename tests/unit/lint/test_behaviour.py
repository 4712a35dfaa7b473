"""Each rule on behaviour: pipelines that break it, and their neighbours that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.kfp import pipelines
from kfpkit.lint import check
from kfpkit.lint.behaviour import RULES, quantity
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import KFP_2_14_3, KFP_2_17_0, LOCAL, VERTEX
from tests.support.lint_pipelines import code, command, importer, pipeline, task

if TYPE_CHECKING:
    from pathlib import Path

W, E = Severity.WARNING, Severity.ERROR

GIVEN = "{{$.inputs.parameters['pipelinechannel--n']}}"
NAME = "{{$.pipeline_job_name}}"
CONDITION = "inputs.parameter_values['n'] == 9007199254740993"
EXIT: Any = {"triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}}


def given(value: Any, kind: str = "", **more: Any) -> Any:
    types = {"x": kind} if kind else {}
    return pipeline({"a": task(code("def f(x): ..."), {"x": value}, types=types)}, **more)


def source(text: str, packages: str = "") -> Any:
    return pipeline({"a": task(code(text, packages=packages))})


def inside(value: Any, default: Any, executor: Any = None) -> Any:
    """A task whose input `x` has the parameter `n` of the pipeline inside."""
    kind = {int: "NUMBER_INTEGER", str: "STRING", list: "LIST", bool: "BOOLEAN"}[type(default)]
    inputs = {"x": value, "pipelinechannel--n": {"parameter": "n"}}
    types = {"pipelinechannel--n": kind}
    made = task(executor or code("def f(x): ..."), inputs, types=types)
    return pipeline({"a": made}, {"n": default})


def loop(*, outer: bool, inner: bool, **more: Any) -> Any:
    """A task, and another one in a loop beside it: whether they are cached."""
    block = task(graph={"b": task(cached=inner)}, component="for-loop-1", cached=False)
    return pipeline({"a": task(cached=outer, **more), "for-loop-1": block})


def nested(*, outer: bool, inner: bool) -> Any:
    return pipeline({"whole": task(graph={"b": task(cached=inner)}, cached=outer)})


def ending(*after: str, watched: Any = None, more: Any = None) -> Any:
    """An exit task that comes after others."""
    end = task(dependentTasks=[*after], **EXIT)
    names = {name: task() for name in after if name != "watched"}
    block = {"watched": watched} if watched else {}
    return pipeline({**names, **block, "end": end, **(more or {})})


def resources(**fields: Any) -> Any:
    return pipeline({"a": task(command("true", resources=fields))})


def many(count: int, length: int = 20) -> Any:
    """So many tasks, each of which has a text of so many characters."""
    return pipeline({f"task-{n}": task(command("true"), {"x": "x" * length}) for n in range(count)})


def asking(name: str) -> Any:
    """A task in a block that asks the block for what it does not have."""
    inner = task(code("def f(x): ..."), {"x": {"parameter": name}})
    return pipeline({"exit-handler-1": task(graph={"b": inner}, component="exit-handler-1")})


def looping(iterator: Any) -> Any:
    return pipeline({"a": task(graph={"b": task()}, artifactIterator=iterator)})


def importing(**more: Any) -> Any:
    uri = {"constant": "gs://bucket/a"}
    return pipeline({"a": task(importer(uri), artifacts=("artifact",), **more)})


LOST = pipeline({"a": task()})
LOST[0]["components"]["comp-lost"] = {"executorLabel": "exec-a"}
BLOCK = task(graph={"b": task()}, component="exit-handler-1")
LOOP = task(
    inputs={"pipelinechannel--n": [1, 2]},
    graph={"b": task()},
    component="for-loop-1",
    parameterIterator={"items": {"raw": "[1, 2]"}, "itemInput": "n"},
)

#: By rule: the target, the pipeline, the severity, and words of the message.
BROKEN: list[tuple[str, str, Any, Severity, str]] = [
    (
        "left-over-channel",
        KFP_2_14_3,
        given({"key": "Hello {{channel:task=;name=g;type=String;}}"}),
        E,
        "{{channel:task=;name=g;type=String;}}",
    ),
    (
        "left-over-channel",
        VERTEX,
        pipeline({"a": task(command("echo", "{{channel:task=b;name=o;type=Integer;}}"))}),
        E,
        "its command",
    ),
    ("single-brace", KFP_2_17_0, given("{$.inputs.parameters['n']}"), W, "too few braces"),
    ("single-brace", VERTEX, given("{{$.inputs.parameters['n']}"), W, "too few braces"),
    ("single-brace", LOCAL, given(["{$.pipeline_job_name}"]), W, "{$.pipeline_job_name}"),
    ("argo-tag", VERTEX, given("{{workflow.name}}"), W, "nothing fills in there"),
    ("argo-tag", KFP_2_14_3, given({"k": "run {{workflow.uid}}"}), W, "something else"),
    ("argo-tag", KFP_2_17_0, source("def f():\n    x = '{{pod.name}}'"), W, "its code"),
    ("part-placeholder", KFP_2_14_3, given(f"run {NAME}"), W, NAME),
    ("part-placeholder", KFP_2_17_0, given({"name": NAME}), W, NAME),
    ("typed-in-object", KFP_2_14_3, inside({"n": GIVEN}, 3), W, "has n inside it"),
    ("typed-in-object", VERTEX, inside([GIVEN], [1]), W, "has n inside it"),
    (
        "typed-in-object",
        LOCAL,
        inside({"a": {"b": [GIVEN]}}, True),
        W,
        "input 'x' has n inside it",
    ),
    (
        "text-into-command",
        KFP_2_14_3,
        inside(f"n={GIVEN}", "é", command("echo", "{{$.inputs.parameters['x']}}")),
        W,
        "input 'x' is put together",
    ),
    ("not-finite", KFP_2_14_3, given(float("inf")), E, "inf"),
    ("not-finite", VERTEX, given([1.0, {"a": float("nan")}]), E, "nan"),
    ("not-finite", LOCAL, pipeline({"a": task()}, {"x": float("-inf")}), E, "-inf"),
    ("not-finite", KFP_2_17_0, source("def f():\n    return -float('inf')"), W, "gives out"),
    (
        "not-finite",
        KFP_2_17_0,
        source("def f(m):\n    import math\n    m.log_metric('loss', math.nan)"),
        W,
        "gives out",
    ),
    ("large-integer", KFP_2_14_3, given(2**53 + 1), W, "input 'x' is or holds"),
    ("large-integer", VERTEX, given([1, {"id": -(2**60)}]), W, "beyond 2^53"),
    ("large-integer", LOCAL, pipeline({"a": task()}, {"x": 2**63}), W, "parameter 'x'"),
    (
        "large-integer",
        KFP_2_17_0,
        pipeline({"a": task(triggerPolicy={"condition": CONDITION})}),
        W,
        "its condition",
    ),
    (
        "large-parameters",
        KFP_2_14_3,
        pipeline({"a": task()}, {"x": "x" * 131_072}),
        E,
        "131,080 bytes",
    ),
    ("large-parameters", KFP_2_17_0, pipeline({"a": task()}, {"x": ["é"] * 2100}), W, "10,000"),
    ("large-parameters", KFP_2_17_0, given("x" * 131_072), E, "its inputs have"),
    ("large-workflow", KFP_2_14_3, many(700), E, "its driver takes"),
    (
        "large-workflow",
        KFP_2_14_3,
        pipeline({f"a{n}": task(command("echo", f"{n}" * 50_000)) for n in range(10, 30)}),
        E,
        "its Workflow has about",
    ),
    ("large-workflow", KFP_2_17_0, many(560), W, "grows to"),
    ("cached-inside", KFP_2_14_3, nested(outer=False, inner=True), W, "off for it, and on for 1"),
    ("cached-inside", VERTEX, loop(outer=False, inner=True), W, "the tasks outside"),
    ("exit-task", KFP_2_14_3, ending("a", "watched", watched=BLOCK), W, "of several"),
    ("exit-task", VERTEX, ending("a", "b"), W, "a, b"),
    ("exit-task", KFP_2_17_0, ending("watched", watched=LOOP), W, "the loop watched"),
    (
        "exit-task",
        KFP_2_14_3,
        ending("a", more={"other": task(dependentTasks=["a"], **EXIT)}),
        W,
        "only one of both",
    ),
    (
        "exit-task",
        KFP_2_14_3,
        ending("a", more={"later": task(dependentTasks=["end"])}),
        E,
        "comes after end",
    ),
    ("missing-input", KFP_2_14_3, asking("pipelinechannel--loop-item-param-1"), E, "'loop-item-"),
    ("missing-input", VERTEX, asking("pipelinechannel--loop-item-param-1"), W, "exit-handler-1"),
    (
        "missing-input",
        LOCAL,
        asking("loop-item-param-1-subvar-a"),
        E,
        "'loop-item-param-1-subvar-a'",
    ),
    ("lost-task", KFP_2_14_3, LOST, W, "no task is an instance of lost"),
    ("artifact-loop", KFP_2_14_3, looping({"itemInput": "x"}), W, "loops over artifacts"),
    ("odd-importer", KFP_2_17_0, importing(taskInfo={"name": "Données"}), W, "a display name"),
    ("odd-importer", KFP_2_14_3, importing(triggerPolicy={"condition": "true"}), W, "a condition"),
    ("resources", VERTEX, resources(cpuLimit=128), E, "128 CPUs"),
    ("resources", VERTEX, resources(resourceMemoryLimit="1Ti"), E, "GB of memory"),
    (
        "resources",
        KFP_2_14_3,
        resources(resourceCpuRequest="2", resourceCpuLimit="500m"),
        E,
        "more cpu than its limit",
    ),
    ("unpinned-packages", KFP_2_14_3, source("def f(): ...", "'pandas'"), W, "installs pandas"),
    ("unpinned-packages", VERTEX, source("def f(): ...", "'numpy>=1,<2'"), W, "numpy>=1,<2"),
    (
        "unpinned-packages",
        LOCAL,
        source("def f(): ...", "-q 'a==1' 'b[x]' && python3 -m pip install c==2.*"),
        W,
        "installs b[x], c==2.*",
    ),
    (
        "unpinned-packages",
        KFP_2_17_0,
        source("def f(): ...", "'git+https://github.com/o/r'"),
        W,
        "git+https://github.com/o/r",
    ),
    (
        "unpinned-packages",
        KFP_2_17_0,
        pipeline({"a": task(command("sh", "-c", "pip install requests\npython x.py"))}),
        W,
        "installs requests",
    ),
    (
        "unpinned-packages",
        VERTEX,
        source(
            "def f():\n    import subprocess, sys\n"
            "    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', 'b', 'a==1'])"
        ),
        W,
        "its code installs b",
    ),
    (
        "unpinned-packages",
        LOCAL,
        source("def f():\n    import os\n    os.system('pip install pandas && ls')"),
        W,
        "its code installs pandas",
    ),
]

PROSE = '''
def f() -> float:
    """Gives {{workflow.name}}, {$.inputs.parameters['x']}, float('inf').

    pip install pandas
    """
    # return float('nan'), {{pod.name}}
    low = float('inf')
    print('To read it: pip install pandas')
    return min(low, 1.0)
'''

#: By rule: the target and a pipeline that keeps it.
KEPT: list[tuple[str, str, Any]] = [
    ("left-over-channel", KFP_2_14_3, given("{{channel}}")),
    ("left-over-channel", KFP_2_14_3, given(f"x {GIVEN}")),
    ("single-brace", KFP_2_14_3, given(f"x {GIVEN}")),
    ("single-brace", KFP_2_14_3, given("{$.items[0].name} and ${x} {}")),
    ("single-brace", VERTEX, source(PROSE)),
    ("argo-tag", VERTEX, source(PROSE)),
    ("argo-tag", LOCAL, given("{{workflow.name}}")),
    ("argo-tag", VERTEX, given("{{ user }} {{workflow}} {{item}}")),
    ("part-placeholder", KFP_2_14_3, given(NAME)),
    ("part-placeholder", VERTEX, given(f"run {NAME}")),
    ("part-placeholder", KFP_2_14_3, given(f"x {GIVEN}")),
    ("typed-in-object", KFP_2_14_3, inside({"n": GIVEN}, "text")),
    ("typed-in-object", KFP_2_14_3, inside(f"n={GIVEN}", 3)),
    ("text-into-command", KFP_2_14_3, inside(f"n={GIVEN}", "text")),
    (
        "text-into-command",
        KFP_2_17_0,
        inside(f"n={GIVEN}", "text", command("echo", "{{$.inputs.parameters['x']}}")),
    ),
    ("not-finite", KFP_2_14_3, source(PROSE)),
    ("not-finite", KFP_2_14_3, given("inf")),
    ("large-integer", KFP_2_14_3, given(2**53 - 1)),
    ("large-integer", KFP_2_14_3, given(1.5e300)),
    ("large-integer", KFP_2_14_3, given(1e17, "NUMBER_DOUBLE")),
    ("large-integer", KFP_2_14_3, given("9007199254740993")),
    ("large-integer", KFP_2_14_3, given([True, 1e30])),
    ("large-parameters", KFP_2_14_3, pipeline({"a": task()}, {"x": "x" * 9_900})),
    ("large-parameters", VERTEX, pipeline({"a": task()}, {"x": "x" * 200_000})),
    ("large-workflow", KFP_2_14_3, many(100)),
    ("large-workflow", VERTEX, many(700)),
    ("cached-inside", KFP_2_14_3, nested(outer=True, inner=True)),
    ("cached-inside", KFP_2_14_3, nested(outer=False, inner=False)),
    ("cached-inside", KFP_2_14_3, loop(outer=True, inner=True)),
    ("cached-inside", KFP_2_14_3, loop(outer=False, inner=False)),
    ("cached-inside", KFP_2_14_3, loop(outer=False, inner=True, **EXIT)),
    ("cached-inside", LOCAL, nested(outer=False, inner=True)),
    ("exit-task", KFP_2_14_3, ending("watched", watched=BLOCK)),
    ("exit-task", KFP_2_14_3, ending("a")),
    ("exit-task", VERTEX, ending("watched", watched=LOOP)),
    ("missing-input", LOCAL, asking("pipelinechannel--loop-item-param-1")),
    ("missing-input", KFP_2_14_3, inside(f"n={GIVEN}", "text")),
    ("lost-task", KFP_2_14_3, nested(outer=True, inner=True)),
    ("artifact-loop", VERTEX, looping({"itemInput": "x"})),
    ("artifact-loop", KFP_2_14_3, ending("watched", watched=LOOP)),
    ("odd-importer", KFP_2_17_0, importing()),
    ("odd-importer", KFP_2_17_0, pipeline({"a": task(taskInfo={"name": "A task"})})),
    ("resources", VERTEX, resources(cpuLimit=96, resourceMemoryLimit="624G")),
    ("resources", KFP_2_14_3, resources(cpuLimit=128)),
    ("resources", KFP_2_14_3, resources(resourceCpuRequest="500m", resourceCpuLimit="0.5")),
    ("resources", VERTEX, resources(resourceCpuLimit="{{$.inputs.parameters['n']}}")),
    ("unpinned-packages", KFP_2_14_3, source(PROSE)),
    (
        "unpinned-packages",
        KFP_2_14_3,
        source(
            "def f(): ...",
            "--quiet --index-url https://example.com/simple --no-deps 'kfp==2.17.0' "
            "'typing-extensions>=3.7.4,<5; python_version<\"3.9\"' 'a[b]==1.0; os_name==\"nt\"' "
            "'git+https://github.com/o/r@v1' 'c @ https://example.com/c-1.whl' ./wheels/d.whl",
        ),
    ),
    (
        "unpinned-packages",
        KFP_2_14_3,
        pipeline({"a": task(command("sh", "-c", "pip install -r requirements.txt"))}),
    ),
]

#: By words of a shell: what is said that they install.
INSTALLED = [
    ("pandas==2.3.3 \\\n numpy==2.0.0 > /dev/null 2>&1  # pinned", ""),
    ("pandas==2.3.3 \\\r\n numpy > /dev/null", "numpy"),
    ("--retries 5 --timeout 60 scipy==1.14.0", ""),
    ("--no-cache-dir --only-binary :all: --progress-bar off --python /x/python -qr r.txt a", "a"),
    ("a==1 &> 'a log' b", "b"),
    ("a==1 2>&1 b >> log", "b"),
    ("a >b 2> c < d >&2", "a"),
    ("numpy>=1 'scipy>=1' pandas'==2' \"a[x]\"", "a[x], numpy, scipy>=1"),
    ("git+https://github.com/o/r@v1#egg=r  # and b", ""),
    ("'a' -- b) || true", "a, b"),
    ("a==1 # it's not b", ""),
]


@pytest.mark.parametrize(("rule", "target", "documents", "severity", "words"), BROKEN)
def test_breaks(
    rule: str, target: str, documents: Any, severity: Severity, words: str, tmp_path: Path
) -> None:
    found = findings(documents, target, rule, tmp_path)
    assert len(found) == 1, found
    assert found[0].severity == severity
    assert words in found[0].message
    assert found[0].path
    assert found[0].line


@pytest.mark.parametrize(("rule", "target", "documents"), KEPT)
def test_keeps(rule: str, target: str, documents: Any, tmp_path: Path) -> None:
    assert findings(documents, target, rule, tmp_path) == []


@pytest.mark.parametrize(("words", "loose"), INSTALLED)
@pytest.mark.parametrize("where", ["command", "args", "code"])
def test_only_packages_are_said_to_be_unpinned(
    words: str, loose: str, where: str, tmp_path: Path
) -> None:
    script = f"pip install {words}"
    documents = {
        "command": pipeline({"a": task(command("sh", "-ec", script))}),
        "args": pipeline({"a": task(command("sh", "-c", args=[script]))}),
        "code": source(f"def f():\n    import os\n    os.system({script!r})"),
    }
    said = [one.message for one in findings(documents[where], LOCAL, "unpinned-packages", tmp_path)]
    names = loose.split(", ") if loose else []
    if where == "code":
        assert sorted(one.split()[3].strip(",") for one in said) == names
    else:
        expected = f"it installs {loose} as it starts, in no certain version"
        assert [one.removeprefix("task a: ") for one in said] == [expected] * bool(loose)


def test_every_rule_is_tried() -> None:
    ids = {rule.id for rule in RULES}
    assert ids == {row[0] for row in BROKEN} == {row[0] for row in KEPT}


NODES = [{"cpu": "3920m", "memory": "16Gi"}, {"cpu": "8", "memory": "4Gi", "nvidia.com/gpu": "1"}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"resourceCpuLimit": "8", "resourceMemoryLimit": "8Gi"}, "8 CPUs, 8.59 GB of memory"),
        ({"resourceCpuRequest": "9"}, "9 CPUs"),
        ({"memoryLimit": 32.0}, "32 GB of memory"),
        ({"accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "2"}}, "2 nvidia"),
        ({"accelerator": {"type": "amd.com/gpu", "count": "1"}}, "1 amd.com/gpu"),
        # A limit alone is the request, too; with a request it is not.
        ({"resourceCpuRequest": "1", "resourceCpuLimit": "64"}, ""),
        ({"resourceCpuRequest": "3", "resourceMemoryRequest": "16Gi"}, ""),
        ({"accelerator": {"resourceType": "nvidia.com/gpu", "resourceCount": "1"}}, ""),
        ({"resourceCpuRequest": "{{$.inputs.parameters['n']}}"}, ""),
        ({}, ""),
    ],
)
def test_what_no_node_can_hold(fields: Any, words: str, tmp_path: Path) -> None:
    file = write(resources(**fields), tmp_path)
    found = [one for one in check(file, KFP_2_14_3, NODES) if one.rule == "resources"]
    assert [(words in one.message, one.severity) for one in found] == ([(True, W)] if words else [])


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", 0.5), ("2Gi", 2**31), ("2G", 2e9), ("1e3", 1e3), ("4", 4.0), ("4 cores", None)],
)
def test_quantity(text: str, number: float | None) -> None:
    assert quantity(text) == number


def test_a_task_in_a_loop_is_found_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from kfp import dsl\n\n\n"
        "@dsl.component(base_image='python:3.11.9', packages_to_install=['pandas'])\n"
        "def takes(x: dict) -> str:\n"
        "    return str(x)\n\n\n"
        "@dsl.pipeline\n"
        "def mine(name: str = 'a', number: int = 1):\n"
        "    with dsl.ParallelFor([1, 2]) as item:\n"
        "        takes(x={'a': f'run {name}', 'c': number})\n"
    )
    found = check(pipelines.find(str(file)), KFP_2_14_3)
    assert {(one.rule, one.file, one.line, one.task) for one in found} >= {
        ("typed-in-object", file, 12, "for-loop-2/takes"),
        ("unpinned-packages", file, 5, "for-loop-2/takes"),
    }


def findings(documents: Any, target: str, rule: str, folder: Path) -> list[Any]:
    return [one for one in check(write(documents, folder), target) if one.rule == rule]


def write(documents: Any, folder: Path) -> Path:
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump_all(documents, allow_unicode=True), encoding="utf-8")
    return file
