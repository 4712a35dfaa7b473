"""What is refused of a pipeline and its parameters before a run, on real compiled pipelines."""

# No postponed annotations here: kfp reads them at run time.
# mypy: disable-error-code="untyped-decorator"
import json
import re
from pathlib import Path
from typing import Any, Optional

import pytest
import yaml
from kfp import dsl
from typer.testing import CliRunner

from kfpkit import cli
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import pipelines
from kfpkit.kfp.pipelines import Pipeline
from kfpkit.runs import refusals

LARGE = 2**53 + 1

NOTHING: dict[str, str] = {}


def test_a_compiled_file_that_does_not_hold_together_is_refused(tmp_path: Path) -> None:
    spec = yaml.safe_load((pipelines.GOLDEN / "penguins.yaml").read_text(encoding="utf-8"))
    del spec["components"]["comp-evaluate"]
    file = tmp_path / "torn.yaml"
    file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    with pytest.raises(BadInputError, match=f"form. kfpkit lint {file} says where"):
        refusals.admit(pipelines.find(str(file)), [])


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def work(
    n: int = 1,
    x: float = 0.5,
    s: str = "",
    items: list[Any] = [],  # noqa: B006
    more: dict[str, Any] = {},  # noqa: B006
) -> str:
    return f"{n}{x}{s}{items}{more}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def large(n: int = 9007199254740993) -> None: ...


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def braces(s: str = "{{workflow.name}}") -> None: ...


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def launcher_in_source() -> str:
    return "{{$.inputs.parameters['n']}}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def inputs_in_source() -> str:
    return "{{$}}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def argo_in_source() -> str:
    return "{{=1+1}}"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def template_in_source(n: int) -> str:
    return f"<style>p {{ margin: {n} }}</style>" + "{{ name }}" + str({"a": {"b": {}}}) + "{{"


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def read(table: dsl.Input[dsl.Dataset]) -> None: ...


@dsl.container_component
def container(s: str) -> dsl.ContainerSpec:
    return dsl.ContainerSpec(image="x", command=["sh", "-c", s], args=["{{$}}"])


def pipeline(function: Any) -> Pipeline:
    return Pipeline("module", dsl.pipeline(name="one")(function))


def one_task(component: Any, **constants: Any) -> Pipeline:
    def one() -> None:
        component(**constants)

    return pipeline(one)


def takes(default: Any, kind: type) -> Pipeline:
    def one(p: kind = default) -> None:  # type: ignore[valid-type]
        del p
        work()

    return pipeline(one)


def refused(found: Pipeline, *arguments: str, names: dict[str, str] | None = None) -> str:
    with pytest.raises(BadInputError) as raised:
        refusals.admit(found, arguments, names)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("kind", "default"),
    [(int, LARGE), (int, -LARGE), (list, [1, [LARGE]]), (dict, {"a": {"b": LARGE}})],
)
def test_a_default_beyond_2_53_is_refused_where_the_run_would_use_it(
    kind: type, default: Any
) -> None:
    found = takes(default, kind)
    said = refused(found)
    assert said.startswith("the default of parameter 'p' is or holds an integer beyond 2^53")
    given = {int: "p=3", list: "p=[3]", dict: 'p={"a": 3}'}[kind]
    assert [p.value for p in refusals.admit(found, [given])[1]] != [default]


@pytest.mark.parametrize(
    ("kind", "default"),
    [(int, 2**53 - 1), (float, 1e300), (list, [5, 1e300, True]), (dict, {"a": 1 - 2**53})],
)
def test_a_default_that_a_double_holds_is_taken(kind: type, default: Any) -> None:
    assert [p.value for p in refusals.admit(takes(default, kind), [])[1]] == [default]


@pytest.mark.parametrize(
    "constants",
    [
        {"n": LARGE},
        {"n": -LARGE},
        {"n": 10**30},
        {"items": [1, LARGE]},
        {"more": {"a": [LARGE]}},
    ],
)
def test_a_constant_beyond_2_53_is_refused_with_its_task(constants: dict[str, Any]) -> None:
    said = refused(one_task(work, **constants))
    assert said.startswith(f"input {next(iter(constants))!r} of task work is or holds an integer")


@pytest.mark.parametrize(
    "constants", [{"n": 2**53 - 1}, {"x": 1e300}, {"x": 1e17}, {"items": [1e300, 5]}, {"more": {}}]
)
def test_a_constant_that_a_double_holds_is_taken(constants: dict[str, Any]) -> None:
    refusals.admit(one_task(work, **constants), [])


def test_a_components_default_beyond_2_53_is_refused_unless_the_task_gives_a_value() -> None:
    assert refused(one_task(large)).startswith("input 'n' of task large is or holds an integer")
    refusals.admit(one_task(large, n=1), [])


def test_an_integer_beyond_2_53_is_found_at_any_depth() -> None:
    @dsl.pipeline
    def inner() -> None:
        work(n=LARGE)

    def outer(n: int = 1) -> None:
        with dsl.If(n == 1), dsl.ParallelFor([1, 2]):
            inner()

    said = refused(pipeline(outer))
    assert said.startswith("input 'n' of task condition-1/for-loop-3/inner/work is or holds")


def test_items_of_a_loop_beyond_2_53_are_refused() -> None:
    def loop() -> None:
        with dsl.ParallelFor([1, LARGE]) as n:
            work(n=n)

    said = refused(pipeline(loop))
    assert said.startswith("the items of for-loop-2: an integer beyond 2^53 loses digits")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused_in_a_pipeline(value: float) -> None:
    for found in (takes(value, float), one_task(work, x=value), one_task(work, items=[value])):
        assert refused(found).startswith("the pipeline one has NaN or an infinity")


def test_an_artifact_as_input_is_refused_unless_it_is_optional() -> None:
    def needs(table: dsl.Input[dsl.Dataset]) -> None:
        read(table=table)

    assert refused(pipeline(needs)) == (
        "the pipeline takes artifacts (table), and a run is given values only. "
        "Import them inside the pipeline with dsl.importer, its URI being a parameter."
    )

    def can(table: Optional[dsl.Input[dsl.Dataset]] = None) -> None:  # noqa: UP045 - for kfp
        del table
        work()

    refusals.admit(pipeline(can), [])


EVALUATED = [
    "{{workflow.status}}",
    "{{ workflow.uid }}",
    "{{=1+1}}",
    "{{inputs.parameters.x}}",
    "{{tasks.a.outputs.result}}",
    "{{ item }}",
    "{{item.a}}",
    "{{pod.name}}",
    "{{retries}}",
    "{{$.inputs.parameters['n']}}",
    "{{$.pipeline_job_name}}",
    "{{ a {{workflow.name}} }}",
    "{{{workflow.name}}}",
    "{{\n  workflow.name\n}}",
    "no end {{",
    "}} {{ a }",
    "costs $$5",
    "in $(KFP_POD_NAME)",
]


@pytest.mark.parametrize("text", EVALUATED)
def test_a_value_that_a_cluster_evaluates_is_refused_there(text: str) -> None:
    for kind, value in (
        (str, text),
        (list, json.dumps([1, text])),
        (dict, json.dumps({"a": {text: 1}})),
        (dict, json.dumps({"a": [{"b": text}]})),
        (dict, json.dumps({"a": text}).replace("{{", "\\u007b\\u007b")),
    ):
        found = takes(kind(), kind)
        said = refused(found, f"p={value}", names=NOTHING)
        assert re.match(r"parameter 'p' has ['\"](\{\{|\$)", said)
        assert [p.value for p in refusals.admit(found, [f"p={value}"])[1]] != [kind()]


@pytest.mark.parametrize(
    "text",
    [
        "{{ name }}",
        "{ {workflow.name} }",
        "}}",
        "{",
        "{{$}}",
        "{{$x}}",
        "{{workflows}}",
        "{{a}}{{b}}",
        "$5 $x $(HOME) $(date)",
    ],
)
def test_braces_that_a_cluster_leaves_alone_are_taken(text: str) -> None:
    refusals.admit(takes("", str), [f"p={text}"], {"experiment": text})
    refusals.admit(one_task(work, s=text), [], NOTHING)


def test_each_place_of_a_text_that_a_cluster_evaluates_is_named() -> None:
    text = "{{workflow.name}}"

    def condition(s: str = "a") -> None:
        with dsl.If(s == text):
            work()

    def loop() -> None:
        with dsl.ParallelFor([text]) as s:
            work(s=s)

    def titled() -> None:
        work().set_display_name(text)

    for found, place in (
        (takes(text, str), "parameter 'p'"),
        (takes([text], list), "parameter 'p'"),
        (one_task(work, s=text), "input 's' of task work"),
        (one_task(work, more={text: 1}), "input 'more' of task work"),
        (one_task(braces), "input 's' of task braces"),
        (pipeline(condition), "task condition-1"),
        (pipeline(loop), "task for-loop-2"),
        (pipeline(titled), "task work"),
        (one_task(launcher_in_source), "the source of component launcher-in-source"),
        (one_task(inputs_in_source), "the source of component inputs-in-source"),
        (one_task(argo_in_source), "the source of component argo-in-source"),
    ):
        refusals.admit(found, [])
        assert re.match(rf"{place} has ['\"]\{{\{{", refused(found, names=NOTHING))


def test_a_name_that_a_cluster_evaluates_or_cannot_read_is_refused() -> None:
    found = one_task(work)
    said = refused(found, names={"experiment": "a {{=1}}"})
    assert said.startswith("the name of the experiment has '{{=1}}' in it")
    said = refused(found, names={"recurring run": "\udcff"})
    assert said.startswith("the name of the recurring run, '\\udcff', is not in UTF-8")


def test_what_kfp_compiles_into_a_pipeline_is_no_text_of_the_author() -> None:
    @dsl.pipeline
    def inner(job: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER) -> None:
        work(s=job)

    def one(n: int = 1, s: str = dsl.PIPELINE_JOB_NAME_PLACEHOLDER) -> None:
        made = work(s=f"{{{n}}} {s}", items=[f"{n}", s], more={"a": f"<{s}>"})
        work(s=f"{made.output}-{dsl.PIPELINE_ROOT_PLACEHOLDER}")
        container(s=f"{n}")
        template_in_source(n=n)
        inner()
        with dsl.ParallelFor([{"a": 1}]) as item:
            work(n=item.a)
        with dsl.ParallelFor([1, 2]) as number:
            work(s=f"round {number}")
        with dsl.If(made.output == "a"):
            work(s=made.output)

    refusals.admit(pipeline(one), [], {"experiment": "", "recurring run": ""})


@pytest.mark.parametrize(
    "command",
    [
        ["run", "module"],
        ["run", "--target", "kind", "module"],
        ["schedule", "set", "--every", "1h", "module"],
        ["up", "module"],
    ],
)
def test_every_command_refuses_before_anything_runs(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pipelines, "find", lambda _: takes("", str))
    monkeypatch.setenv("KFPKIT_DRY_RUN", "1")
    text = 'q="it\'s" $(id)'
    for arguments, args in ((["p"], "p=unused"), ([], "'p"), ([], "'q=a b'"), ([text], "")):
        monkeypatch.setenv("KFPKIT_ARGS", args)
        ended = CliRunner().invoke(cli.app, [*command, *arguments])
        assert isinstance(ended.exception, BadInputError)
    if command != ["run", "module"]:
        monkeypatch.setenv("KFPKIT_ARGS", "p={{=1}}")
        ended = CliRunner().invoke(cli.app, command)
        assert isinstance(ended.exception, BadInputError)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("args", "value"),
    [
        ("p=a;id", "a;id"),
        ("p=$(id)", "$(id)"),
        ("p=`id`", "`id`"),
        ("'p=two  words'", "two  words"),
        ('p="two words"', "two words"),
        ('"p=a\\"b\\$c"', 'a"b\\$c'),
        ("p='it'\\''s'", "it's"),
        ("p=a\\ b", "a b"),
        ("p=*~#%!", "*~#%!"),
        (" p=a \n", "a"),
        ("'p=a\nb'", "a\nb"),
        ("p=", ""),
        ("p=-n", "-n"),
    ],
)
def test_args_are_split_as_a_shell_splits_and_nothing_more(
    args: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipelines, "find", lambda _: takes("default", str))
    monkeypatch.setenv("KFPKIT_ARGS", args)
    monkeypatch.setenv("KFPKIT_DRY_RUN", "1")
    ended = CliRunner().invoke(cli.app, ["run", "module"])
    assert ended.exit_code == 0, ended.exception
    assert f": p={value}\n" in ended.stderr


@pytest.mark.parametrize("name", ["penguins", "penguins_yaml"])
def test_the_pipelines_of_the_checkout_run_everywhere(name: str) -> None:
    refusals.admit(pipelines.find(name), [], {"experiment": name})


def test_a_text_with_a_loops_item_that_kfp_compiles_wrongly_is_refused() -> None:
    def field() -> None:
        with dsl.ParallelFor([{"a": 1}]) as item:
            work(s=f"round {item.a}")

    def inner() -> None:
        with dsl.If(work(n=1).output == "1"), dsl.ParallelFor([1, 2]) as item:
            work(s=f"round {item}")

    def plain() -> None:
        with dsl.If(work(n=1).output == "1"), dsl.ParallelFor([1, 2]) as item:
            work(n=item)

    assert "for-loop-2 asks for 'loop-item-param-" in refused(pipeline(field))
    refusals.admit(pipeline(inner), [])  # this machine knows what is meant
    assert "condition-1 asks for 'loop-item-param-" in refused(pipeline(inner), names=NOTHING)
    refusals.admit(pipeline(plain), [], NOTHING)


def test_a_pipeline_of_which_kfp_loses_a_part_in_compiling_is_refused() -> None:
    @dsl.component(base_image="python:3.11", install_kfp_package=False)
    def for_loop_1() -> None: ...

    def one(ns: list[int] = [1]) -> None:  # noqa: B006
        for_loop_1()
        with dsl.ParallelFor(ns) as n:
            work(n=n)

    assert "compiles the pipeline without" in refused(pipeline(one))


def test_a_condition_beyond_2_53_is_refused() -> None:
    def one(n: int = 1) -> None:
        with dsl.If(n == LARGE):
            work()

    def text(s: str = "") -> None:
        with dsl.If(s == str(LARGE)):
            work()

    assert "the condition of condition-1 is or holds an integer beyond" in refused(pipeline(one))
    refusals.admit(pipeline(text), [])
