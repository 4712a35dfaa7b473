"""Linting as a whole: files of any content, lines, comments, outputs, exit codes, the page."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from google.protobuf import json_format
from typer.testing import CliRunner

from kfpkit import lint
from kfpkit.cli import app, linting
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT
from kfpkit.kfp import pipelines
from kfpkit.lint import ignores, page, rule, schema
from kfpkit.lint.finding import Finding, Severity
from tests.support.lint_pipelines import pipeline, task

if TYPE_CHECKING:
    from collections.abc import Iterator

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
ODD = {
    "nothing": b"",
    "bytes": b"\xff\xfe\x00a",
    "bomb": BOMB.encode(),
    "deep": b"- " * 100_000,
    "huge": b"a" * (33 << 20),
    "long number": b"a: " + b"1" * 6000,
    "tag": b"a: !!python/object:os.system x",
    "key": b"{[a]: b, {}: c}",
    "open": b"a: [\n",
    "explicit tag": b"a: !!bool foo",
    "surrogate": b'a: "\\ud800"',
    "json inside": b'{"a":\t1}',
    "infinity": b"pipelineInfo: {name: a}\nroot: {dag: {tasks: {a: {inputs: {parameters: "
    b"{x: {runtimeValue: {constant: [.inf, .nan]}}}}}}}}",
}

SOURCE = """\
from kfp import dsl


@dsl.component(base_image="python:3.11.9")
def load(uri: str) -> str:  {on_def}
    "gs://bucket/in-a-docstring"
    return uri + "gs://bucket/a"  {on_line}


@dsl.pipeline
def mine(uri: str = "gs://bucket/default"):  {on_pipeline}
    load(uri="gs://bucket/one")
    load(
        uri="gs://bucket/two",
    )
"""


@pytest.mark.parametrize("target", rule.TARGETS)
@pytest.mark.parametrize("name", sorted(ODD))
def test_any_content_is_a_finding(name: str, target: str, tmp_path: Path) -> None:
    for suffix in ("yaml", "json"):
        file = tmp_path / f"odd.{suffix}"
        file.write_bytes(ODD[name])
        found = lint.check(file, target)
        assert Severity.ERROR in {one.severity for one in found}
        assert all(one.file == file for one in found)


def test_a_pipeline_after_an_empty_document_is_one(tmp_path: Path) -> None:
    file = tmp_path / "second.yaml"
    (spec,) = pipeline({"a": task(inputs={"x": "a"})})
    declared = {"a.b": {"parameterType": "NUMBER_INTEGER", "defaultValue": 2**60}}
    spec["root"]["inputDefinitions"] = {"parameters": declared}
    file.write_text("---\n\n---\n" + yaml.safe_dump(spec))
    for target in rule.TARGETS:
        assert [one.rule for one in lint.check(file, target)] == ["large-integer"]


def test_a_pipeline_job_in_json_is_linted_as_the_pipeline_that_runs(tmp_path: Path) -> None:
    file = tmp_path / "job.json"
    (spec,) = pipeline({"a": task(inputs={"x": "gs://b/a"})})
    file.write_text(json.dumps({"displayName": "a", "pipelineSpec": spec}))
    (one,) = lint.check(pipelines.find(str(file)), rule.KFP_2_17_0)
    assert (one.rule, one.file, one.line) == ("cloud-storage", file, None)


def parts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from parts(inner, (*path, key))


@pytest.mark.parametrize("junk", [None, 1, "text", [], {}, [[1]], {"a": {"b": 1}}])
def test_a_broken_part_ends_in_findings(junk: Any, tmp_path: Path) -> None:
    """Each part of a pipeline in turn is something else: no rule stumbles."""
    settings = {"a": {"podMetadata": {"labels": {"a": "b"}}, "secretAsEnv": [{"secretName": "s"}]}}
    tasks = {"a": task(inputs={"x": 1}, outputs=("o",)), "b": task(inputs={"y": {"from": "a.o"}})}
    whole = pipeline({**tasks, "c": task(graph={"d": task()})}, {"p": 1.0}, settings)
    file = tmp_path / "broken.json"
    for path in list(parts(whole)):
        documents = json.loads(json.dumps(whole))
        place = documents
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = junk
        file = tmp_path / "broken.yaml"
        file.write_text(yaml.safe_dump_all(documents))
        for target in rule.TARGETS:
            lint.check(file, target)


def found(tmp_path: Path, **comments: str) -> list[tuple[int | None, str]]:
    file = tmp_path / "mine.py"
    words = {"on_def": "", "on_line": "", "on_pipeline": "", **comments}
    file.write_text(SOURCE.format(**words))
    findings = lint.check(pipelines.find(str(file)), rule.KFP_2_17_0)
    assert all(one.file == file for one in findings)
    return sorted((one.line, one.task) for one in findings if one.rule == "cloud-storage")


def test_findings_have_the_lines_of_the_file(tmp_path: Path) -> None:
    assert found(tmp_path) == [(7, "load"), (11, ""), (12, "load"), (13, "load-2")]


def test_what_else_a_module_has_is_left_alone(tmp_path: Path) -> None:
    lazy = (
        "class Lazy:\n"
        "    def __getattr__(self, name):\n"
        "        if name.startswith('__'):\n"
        "            raise AttributeError(name)\n"
        "        return Lazy()\n"
        "lazy = Lazy()\n"
    )
    file = tmp_path / "mine.py"
    file.write_text(SOURCE.format(on_def="", on_line="", on_pipeline="") + lazy)
    assert lint.check(pipelines.find(str(file)), rule.LOCAL)


def test_a_password_in_an_address_is_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    wanted = '3.11.9", packages_to_install=["git+https://me:geheim@example.com/x.git"]'
    text = SOURCE.format(on_def="", on_line="", on_pipeline="").replace('3.11.9"', wanted)
    file.write_text(text)
    said = [str(one) for one in lint.check(pipelines.find(str(file)), rule.KFP_2_17_0)]
    assert any("installs git+https://…@example.com/x.git" in one for one in said)
    assert not any("geheim" in one for one in said)


def test_an_infinity_in_python_is_a_finding(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    text = SOURCE.format(on_def="", on_line="", on_pipeline="")
    file.write_text(text.replace("def mine(", 'def mine(x: float = float("inf"), '))
    (one,) = lint.check(pipelines.find(str(file)), rule.LOCAL)
    assert (one.rule, one.severity) == ("unreadable", Severity.ERROR)
    assert "NaN or an infinity" in one.message


def test_comments_ignore_what_they_name(tmp_path: Path) -> None:
    ignore = "# kfpkit: ignore[moving-tag, cloud-storage]"
    assert (7, "load") not in found(tmp_path, on_line=ignore)
    assert (7, "load") not in found(tmp_path, on_def=ignore)
    assert found(tmp_path, on_pipeline=ignore) == [(7, "load")]
    assert (7, "load") in found(tmp_path, on_line="# kfpkit: ignore[moving-tag]")
    assert (7, "load") in found(tmp_path, on_line="# ignore[cloud-storage]")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_a_file_in_another_encoding_has_its_lines_and_comments(
    encoding: str, tmp_path: Path
) -> None:
    text = f"# coding: {encoding.removesuffix('-sig')}\n{SOURCE}# é\n"
    ignore = "# kfpkit: ignore[cloud-storage]"
    file = tmp_path / "mine.py"
    for on_line, lines in (("", {8, 12, 13, 14}), (ignore, {12, 13, 14})):
        written = text.format(on_def="", on_line=on_line, on_pipeline="")
        file.write_text(written, encoding=encoding)
        assert {one.line for one in lint.check(pipelines.find(str(file)), rule.LOCAL)} == lines


@pytest.mark.parametrize(
    "content", [b"x = (\n", b"# coding: nothing\n", b'"""\n', b"\xff\n", b"\0"]
)
def test_a_file_that_is_no_python_any_more_ignores_nothing(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_bytes(content)
    one = Finding("moving-tag", Severity.WARNING, "m", "d", file, 1)
    assert ignores.without([one]) == [one]


def test_a_compiled_file_has_its_own_lines_and_comments(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    text = yaml.safe_dump_all(pipeline({"a": task(inputs={"x": "gs://b/a"})}))
    file.write_text(text)
    (one,) = [one for one in lint.check(file, rule.LOCAL) if one.rule == "cloud-storage"]
    lines = text.splitlines(keepends=True)
    assert one.line
    assert "gs://b/a" in lines[one.line - 1]
    lines[one.line - 1] = lines[one.line - 1].rstrip() + "  # kfpkit: ignore[cloud-storage]\n"
    file.write_text("".join(lines))
    assert lint.check(file, rule.LOCAL) == []


def test_the_kits_own_pipelines_have_no_errors() -> None:
    for target in rule.TARGETS:
        for one in pipelines.discover().values():
            bad = {x.rule for x in lint.check(one, target) if x.severity is Severity.ERROR}
            # Vertex AI takes none of them, and the sample that notifies has some.
            settings = target == rule.VERTEX and one.kubernetes
            assert bad == ({"kubernetes-settings"} if settings else set())


def test_a_target_is_a_known_release_or_those_around_it() -> None:
    assert rule.around("2.14.3") == (rule.KFP_2_14_3,)
    assert rule.around("2.16.1") == (rule.KFP_2_14_3, rule.KFP_2_17_0)
    assert rule.around("2.18.0") == (rule.KFP_2_17_0,)
    assert rule.around("2.4.0") == (rule.KFP_2_14_3,)
    with pytest.raises(BadInputError, match="no target"):
        lint.check(Path("x.yaml"), "kfp@1")


def test_the_newest_descriptors_are_those_of_the_sdk() -> None:
    """The SDK in the environment knows all that its release's descriptors know."""
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    for module, name in (
        (pipeline_spec_pb2.PipelineSpec, schema.PIPELINE),
        (kubernetes_executor_config_pb2.KubernetesExecutorConfig, schema.KUBERNETES),
    ):
        for release in ("2.14.3", "2.17.0"):
            ours = schema.message(release, name).DESCRIPTOR
            theirs = {field.name for field in module.DESCRIPTOR.fields}
            assert {field.name for field in ours.fields} <= theirs
    for file in pipelines.GOLDEN.glob("*.yaml"):
        document = next(yaml.safe_load_all(file.read_text()))
        json_format.ParseDict(document, schema.message("2.14.3", schema.PIPELINE)())


def test_the_page_is_as_generated() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.text(), "stale: make golden"


def test_every_rule_reads_well() -> None:
    ids = [one.id for one in lint.rules()]
    assert len(ids) == len(set(ids))
    for one in lint.rules():
        assert one.id.replace("-", "").isalpha()
        assert one.why.endswith(".")
        assert not one.do.endswith(".")
        assert not one.title.endswith(".")
        assert one.targets <= rule.ALL


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["lint", *words])
    return done.exit_code, done.stdout


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "with blank.yaml"
    file.write_text(yaml.safe_dump_all(pipeline({"a": task(inputs={"x": "gs://b/a"})})))
    return file


def test_exit_codes(small: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("a: 1")
    broken = tmp_path / "broken.py"
    broken.write_text("import nothing_of_that_name")
    assert run("penguins")[0] == 0
    assert run(str(small), "--target", "local")[0] == 0  # a warning
    assert run(str(small), str(bad))[0] == 1
    assert run(str(broken))[0] == 1
    assert run("nowhere.yaml")[0] == 2
    assert run("no_such_pipeline")[0] == 2
    assert run(str(bad), "--format", "xml")[0] == 2
    assert run(str(bad), "--target", "kfp@1")[0] == 2
    assert run()[0] == 2


def test_a_python_file_is_linted_with_all_its_pipelines(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    text = SOURCE.format(on_def="", on_line="", on_pipeline="")
    second = text[text.index("@dsl.pipeline") :].replace("def mine", "def second")
    file.write_text(f"{text}\n\n{second}")
    _, said = run(str(file), "--target", "local", "--format", "json")
    lines = {one["line"] for one in json.loads(said)["findings"]}
    assert {12, 19} <= lines


def test_json(small: Path) -> None:
    code, said = run(str(small), "--target", "local", "--format", "json")
    (one,) = json.loads(said)["findings"]
    assert (code, one["rule"], one["severity"], one["task"]) == (0, "cloud-storage", "warning", "a")
    assert one["path"] == "root.dag.tasks.a.inputs.parameters.x.runtimeValue.constant"


@pytest.mark.parametrize("what", ["penguins", "kfp.yaml"])
def test_an_image_is_where_the_target_has_it(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kfp.yaml").write_bytes((pipelines.GOLDEN / "penguins.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)

    def rules(prefix: str) -> set[str]:
        (tmp_path / "targets.toml").write_text(
            '[prod]\nproject = "p-project"\nlocation = "europe-west4"\n'
            f'pipeline_root = "gs://bucket/runs"\n{prefix}'
        )
        words = ("--target", "prod", "--targets", "targets.toml", "--format", "json")
        return {one["rule"] for one in json.loads(run(what, *words)[1])["findings"]}

    assert "unreachable-image" in rules("")
    assert "unreachable-image" not in rules('image_prefix = "r.example/images"\n')


def test_a_run_is_linted_with_the_image_of_its_target() -> None:
    found = replace(pipelines.find("penguins"), image_prefix="r.example/images")
    rules = {one.rule for one in lint.check(found, rule.VERTEX)}
    assert "unreachable-image" not in rules


def test_sarif(small: Path) -> None:
    _, said = run(str(small), "--target", "local", "--format", "sarif")
    log = json.loads(said)
    (one,) = log["runs"][0]["results"]
    known = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert (log["version"], one["level"]) == ("2.1.0", "warning")
    assert one["ruleId"] in known
    place = one["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "with%20blank.yaml"}
    assert place["region"]["startLine"] > 1


def test_errors_stop_a_run_and_warnings_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SOURCE.format(on_def="", on_line="", on_pipeline="").replace("mine", "_9"))
    found = pipelines.find(str(file))
    linting.admit(found, rule.LOCAL)
    assert "of the pipeline may not work on local" in capsys.readouterr().err
    with pytest.raises(BadInputError, match="would not run on vertex: 1 error"):
        linting.admit(found, rule.VERTEX)
    assert "pipeline-name" in capsys.readouterr().err
    linting.admit(found, rule.LOCAL, rule.VERTEX)  # it may be the one where it runs


def test_a_helper_beside_pipelines_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "helper.py"
    file.write_text("def half(x):\n    return x / 2\n")
    code, said = run(str(file))
    assert code == 0
    assert f"{file}: warning: it has no pipeline" in said


def test_the_hook_runs_the_command() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "kfpkit lint"
