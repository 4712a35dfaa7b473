"""Pipelines in files of a user's: Python files, and compiled ones."""

from __future__ import annotations

import json
import os
import sys
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import components
from components import image
from kfpkit.core import process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import pipelines
from kfpkit.kfp.pipelines import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Callable

PLAIN = """
from kfp import dsl

@dsl.component
def add(a: int, b: int) -> int:
    return a + b

@dsl.pipeline
def adding(a: int = 1) -> int:
    '''Add.'''
    return add(a=a, b=2).output
"""


#: What a pipeline's file may have above it, to be found beside it as `python FILE.py` would.
NEIGHBOURS = {
    "helper.py": "import helper\nassert helper.X == 1",
    "package/__init__.py": "from package import X\nassert X == 1",
    "components/__init__.py": "from components import X\nassert X == 1",
    "components/mine/parts.py": "from components.mine import parts\nassert parts.X == 1",
    "pipelines/common.py": "from pipelines.common import X\nassert X == 1",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A pipeline in a folder of its own."""
    path = tmp_path / "train.py"
    path.write_text(PLAIN)
    return path


def golden() -> tuple[bytes, dict[str, Any]]:
    """Return a compiled pipeline of the kit as its file and as its content."""
    content = (GOLDEN / "penguins.yaml").read_bytes()
    return content, yaml.safe_load(content)


def write(folder: Path, content: bytes | str | dict[str, Any] | list[Any], name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, dict | list):
        content = json.dumps(content)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_file_of_any_folder_is_a_pipeline(file: Path) -> None:
    found = pipelines.find(str(file))
    assert (found.name, found.module, found.source, found.doc) == ("adding", "train", file, "Add.")
    assert found.spec["pipelineInfo"]["name"] == "adding"
    assert found.platform == {}
    assert yaml.safe_load(found.text())["root"] == found.spec["root"]
    assert pipelines.find(f"{file}:adding").name == "adding"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("my pipeline.py", "my-pipeline"),
        ("模型 ü.py", "模型-ü"),
        ("a:b.py", "a-b"),
        ("..py", "pipeline"),
        ("json.py", "json"),
        ("kfp.py", "kfp"),
        ("components.py", "components"),
        (f"{'long' * 50}.py", ("long" * 50)[: pipelines.LONGEST_NAME]),
    ],
)
def test_the_name_of_a_file_may_be_any(tmp_path: Path, name: str, label: str) -> None:
    path = write(tmp_path / "a folder", PLAIN, name)
    assert pipelines.find(str(path)).module == label
    assert pipelines.find(f"{path}:adding").module == label
    with chdir(path.parent):
        assert pipelines.find(name).name == "adding"
        assert pipelines.find(f"../a folder/{name}").name == "adding"


def test_a_file_called_pipeline_has_its_pipelines_name(tmp_path: Path) -> None:
    path = write(tmp_path, PLAIN, "pipeline.py")
    found = pipelines.find(str(path))
    compiled = write(tmp_path, found.text(), "pipeline.yaml")
    assert found.module == pipelines.find(str(compiled)).module == "adding"


@pytest.mark.parametrize("neighbour", NEIGHBOURS)
def test_its_neighbours_are_found_and_forgotten(file: Path, neighbour: str) -> None:
    modules, path = {name: id(one) for name, one in sys.modules.items()}, sys.path[:]
    for value in (1, 1):  # also the second time
        write(file.parent, f"X = {value}\n", neighbour)
        file.write_text(NEIGHBOURS[neighbour] + PLAIN)
        assert pipelines.find(str(file)).name == "adding"
    assert sys.modules["components"] is components
    assert sys.modules["components.image"] is image
    assert sys.path == path
    left = {name for name, one in sys.modules.items() if modules.get(name) != id(one)}
    assert not [name for name in left if name.startswith(("helper", "package", "components"))]


def test_two_files_have_neighbours_of_the_same_name(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        write(tmp_path / name, f"B = {value}\n", "helper.py")
        text = f"from helper import B{PLAIN}".replace("b=2", "b=B")
        path = write(tmp_path / name, text, "train.py")
        task = pipelines.find(str(path)).spec["root"]["dag"]["tasks"]["add"]
        assert task["inputs"]["parameters"]["b"]["runtimeValue"]["constant"] == value


def test_the_kits_components_are_there_for_a_file_without_its_own(file: Path) -> None:
    write(file.parent, "no module: x\n", "components/data.yaml")
    file.write_text("from components.train.component import train\n" + PLAIN)
    assert pipelines.find(str(file)).name == "adding"


def test_a_link_has_the_neighbours_of_the_file_that_it_leads_to(file: Path) -> None:
    write(file.parent, "", "helper.py")
    file.write_text("import helper\n" + PLAIN)
    elsewhere = file.parent / "else" / "linked.py"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(file)
    assert pipelines.find(str(elsewhere)).module == "linked"


def test_data_is_found_from_the_working_directory_and_beside_the_file(file: Path) -> None:
    write(file.parent, "5", "beside.txt")
    write(file.parent / "here", "6", "data.txt")
    file.write_text(
        "import os\nfrom pathlib import Path\n"
        "assert (Path(__file__).parent / 'beside.txt').read_text() == '5'\n"
        "assert Path('data.txt').read_text() == '6'\nos.chdir('/')\n" + PLAIN
    )
    with chdir(file.parent / "here"):
        assert pipelines.find("../train.py").name == "adding"
        assert Path.cwd() == file.parent / "here"


def test_what_it_prints_is_no_output_of_the_kit(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(
        "import argparse, sys\nargparse.ArgumentParser().parse_args()\nprint('hello', sys.argv)\n"
        + PLAIN
        + "if __name__ == '__main__':\n    raise SystemExit(1)\n"
    )
    pipelines.find(str(file))
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"hello ['{file}']\n")


def test_a_pipeline_from_another_module_counts_where_it_has_none_of_its_own(file: Path) -> None:
    main = write(file.parent, "from train import adding\n", "main.py")
    assert pipelines.find(str(main)).name == "adding"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no pipeline. Decorate a function of it with @dsl.pipeline"),
        (PLAIN + PLAIN.replace("adding", "other"), "has 2 pipelines. Name one: {file}:adding, "),
        ("import no_such_library", "Install no_such_library beside the kit"),
        (
            "import nearby.helper",
            "PYTHONPATH={here} before the command finds the nearby that is here",
        ),
        ("1 / 0", "cannot be imported: {file} line 1: ZeroDivisionError: division by zero"),
        ("from __future__ import annotations" + PLAIN, "Leave out `from __future__"),
        ("\0", "cannot be imported"),
        ("raise SystemExit", "cannot be imported: {file} line 1: SystemExit"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_line(file: Path, text: str, said: str) -> None:
    here = file.parent / "here"
    write(here, "", "nearby/helper.py")
    file.write_text(text)
    with chdir(here), pytest.raises(KitError) as caught:
        pipelines.find(str(file))
    assert said.format(file=file, here=here) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_asked_for_is_not_there(file: Path) -> None:
    for text, said in {
        f"{file}:other": "has no pipeline 'other'. It has adding.",
        f"{file}x": "there is no file",
        f"{file.parent}": "is a folder. Name a file of it",
        "nowhere.yaml": "there is no file nowhere.yaml",
        f"{write(file.parent, 'x', 'train.txt')}": "does not end in .py, .yaml, .yml or .json",
        f"{GOLDEN}/penguins.yaml:x": "is compiled, and has one pipeline. Leave out :x.",
    }.items():
        with pytest.raises(BadInputError) as caught:
            pipelines.find(text)
        assert said in str(caught.value)


@pytest.mark.parametrize("name", ["a b ü.yaml", "a.yml", "a.json"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
def test_a_compiled_file_is_itself_byte_for_byte(tmp_path: Path, name: str, before: bytes) -> None:
    content, spec = golden()
    if name.endswith("json"):
        content = json.dumps(spec, indent="\t").encode().replace(b"\n", b"\r\n")
    path = write(tmp_path, before + content, name)
    found = pipelines.find(str(path))
    assert found.spec == spec
    assert (found.name, found.source) == ("penguins", path)
    assert found.text().encode() == before + content
    pipelines.compile_to(found, tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == before + content


TEXT = f"é 🐧 image: {image.DEFAULT}\nimage: {image.DEFAULT}\n"


@pytest.mark.parametrize("before", ["", "\ufeff"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(partial(yaml.safe_dump, width=1000), id="yaml"),
        pytest.param(partial(yaml.safe_dump, width=1000, default_style="'"), id="quoted"),
        pytest.param(partial(yaml.safe_dump, width=1000, allow_unicode=True), id="non-ascii"),
        pytest.param(partial(yaml.safe_dump, width=1000, default_flow_style=True), id="flow"),
        pytest.param(lambda value: f"{yaml.safe_dump(value)}---\nplatforms: {{}}\n", id="two"),
        pytest.param(partial(json.dumps, ensure_ascii=False), id="json"),
        pytest.param(partial(json.dumps, ensure_ascii=False, indent="\t"), id="tabs"),
        pytest.param(partial(json.dumps, ensure_ascii=False, separators=(",", ":")), id="close"),
    ],
)
def test_a_prefix_comes_before_the_image_and_changes_nothing_else(
    write: Callable[[Any], str], ends: str, before: str
) -> None:
    def one(prefix: str) -> str:
        executors = {
            "exec-a": {"container": {"image": prefix + image.DEFAULT, "args": [TEXT]}},
            "exec-b": {"container": {"image": "é/other", "env": [{"name": image.DEFAULT}]}},
            "exec-c": {"container": {"args": [image.DEFAULT], "image": prefix + image.DEFAULT}},
        }
        spec = {"a": TEXT, "deploymentSpec": {"executors": executors}, "image": image.DEFAULT}
        return before + write(spec).replace("\n", ends)

    assert pipelines.with_prefix(one(""), "r.example:5000/x") == one("r.example:5000/x/")
    assert pipelines.with_prefix(one(""), "") == one("")


def test_a_compiled_pipeline_is_as_one_that_was_found(file: Path) -> None:
    file.write_text(
        PLAIN.replace("return add(", "task = add(").replace(".output\n", "\n")
        + "    from kfp import kubernetes\n    kubernetes.set_image_pull_policy(task, 'Never')\n"
        "    return task.output\n"
    )
    source = pipelines.find(str(file))
    compiled = write(file.parent, source.text(), "train.yaml")
    found = pipelines.find(str(compiled))
    assert found.spec == source.spec
    assert found.platform == source.platform
    assert found.kubernetes == source.kubernetes == {"add": ["imagePullPolicy"]}
    assert found.doc == source.doc == "Add."


def test_the_pipeline_of_a_pipeline_job_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, spec = golden()
    job = {"displayName": "x", "pipelineSpec": spec, "runtimeConfig": None}
    assert pipelines.find(str(write(tmp_path, job, "plain.json"))).spec == spec
    config = {"gcsOutputDirectory": "gs://x", "parameterValues": {"seed": 7}}
    job = {"displayName": "x", "pipelineSpec": spec, "runtimeConfig": config}
    found = pipelines.find(str(write(tmp_path, job, "job.json")))
    assert found.spec["root"]["inputDefinitions"]["parameters"]["seed"]["defaultValue"] == 7
    assert yaml.safe_load(found.text()) == found.spec
    assert "is a PipelineJob: taking its pipeline" in capsys.readouterr().err


def test_a_json_file_that_a_server_could_not_read_is_written_so_that_it_can(tmp_path: Path) -> None:
    _, spec = golden()
    spec["pipelineInfo"]["description"] = "\U0001f427"
    found = pipelines.find(str(write(tmp_path, spec, "penguins.json")))
    assert yaml.safe_load(found.text()) == found.spec == spec


def test_a_date_is_the_text_that_a_server_reads(tmp_path: Path) -> None:
    _, spec = golden()
    spec["pipelineInfo"]["description"] = "2026-11-28"
    text = yaml.safe_dump(spec).replace("'2026-11-28'", "2026-11-28")
    assert pipelines.find(str(write(tmp_path, text, "dated.yaml"))).spec == spec


@pytest.mark.parametrize("name", ["~nobody-of-this-name/a.py", f"{'a' * 300}.py"])
def test_a_name_that_cannot_be_is_no_file(name: str) -> None:
    with pytest.raises(BadInputError):
        pipelines.find(name)


def changed(**values: Any) -> dict[str, Any]:
    return {**golden()[1], **values}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\ufeff\n---\n", "is empty"),
        ("- 1\n", "is no compiled pipeline"),
        ("a: [1", "is no YAML: while parsing"),
        (b"a: \xff", "is not in UTF-8: byte 3"),
        ("\x00", "is no YAML"),
        ({"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow"}, "is a Kubernetes object"),
        ({"name": "x", "implementation": {"container": {}}}, "is a component, not a pipeline"),
        ({"platforms": {"kubernetes": {}}}, "has 0 documents with a pipeline and 1 for platforms"),
        (changed(schemaVersion="2.0.0", sdkVersion="kfp-1.8.0"), "has the schema 2.0.0"),
        (changed(schemaVersion="2.2.0", sdkVersion="kfp-3.0.0"), "(compiled by kfp-3.0.0)"),
        (changed(pipelineInfo={}), "it has no pipelineInfo with a name"),
        (changed(pipelineInfo="x"), "it has no pipelineInfo with a name"),
        (changed(root={"dag": {}}), "has no tasks"),
        (changed(components=[]), "its components or its deploymentSpec are no objects"),
        (yaml.safe_dump(changed(x=[float("nan")])), "has NaN or an infinity in it"),
        ("[" * 100, "is no YAML"),
    ],
)
def test_what_is_no_compiled_pipeline_is_said_in_a_line(
    tmp_path: Path, content: bytes | str | dict[str, Any], said: str
) -> None:
    path = write(tmp_path, content, "given.yaml")
    with pytest.raises(BadInputError) as caught:
        pipelines.find(str(path))
    assert f"{path} " in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_pipelines_in_a_file_are_one_too_many(tmp_path: Path) -> None:
    content, _ = golden()
    path = write(tmp_path, content + b"\n---\n" + content, "two.yaml")
    with pytest.raises(BadInputError, match="has 2 documents with a pipeline and 0 for platforms"):
        pipelines.find(str(path))


def test_a_compiled_file_needs_no_kfp(tmp_path: Path) -> None:
    code = (
        "import sys; from kfpkit.kfp import pipelines; from kfpkit.runs import refusals; "
        "refusals.admit(pipelines.find(sys.argv[1]), ['seed=7'], {}); "
        "assert 'kfp' not in sys.modules"
    )
    path = write(tmp_path, golden()[0], "given.yaml")
    done = process.query([sys.executable, "-c", code, str(path)], check=False)
    assert done.ok, done.stderr


def test_a_run_of_a_file_is_written_where_the_user_stands(file: Path) -> None:
    write(file.parent, "B = 2\n", "components/helper.py")
    file.write_text("from components.helper import B" + PLAIN.replace("b=2", "b=B"))
    here = file.parent / "here ü"
    here.mkdir()
    argv = [sys.executable, "-m", "kfpkit", "run", "../train.py", "a=4"]
    # Modules on PYTHONPATH are the user's, also where the kit has some of that name.
    env = {"PYTHONPATH": str(file.parent), "PATH": os.environ["PATH"]}
    done = process.query(argv, cwd=here, env=env, check=False)
    assert done.ok, done.stderr
    (run,) = here.glob("runs/train-*/run.json")
    (task,) = json.loads(run.read_text())["tasks"]
    assert task["outputs"] == {"Output": 6}
