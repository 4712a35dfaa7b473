"""targets.toml: where it is looked for, what it says, and one line for each mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import tools
from kfpkit.core.errors import BadInputError
from kfpkit.kfp import targets_file
from kfpkit.kfp.target import choose
from kfpkit.kube import render

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = 'overlay = "gke"\ncontext = "prod-cluster"\n'


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, and ask no kubectl."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(tools, "kubectl", lambda: "kubectl")


def write(file: Path, text: str = f"[prod]\n{NEEDED}") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def write_overlay(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").touch()
    return folder


def test_a_name_stands_for_all_that_the_file_says(tmp_path: Path) -> None:
    text = (
        f'[prod]\n{NEEDED}host = "https://kfp.example.com:8443/team/"\n'
        'image_prefix = "registry.example:5000/kfp"\npipeline_root = "gs://bucket/runs"\n'
    )
    target = choose("prod", file=write(tmp_path / "mine.toml", text))
    assert (target.name, target.overlay, target.context) == ("prod", "gke", "prod-cluster")
    assert target.host == "https://kfp.example.com:8443/team/"
    assert target.image_prefix == "registry.example:5000/kfp"
    assert target.pipeline_root == "gs://bucket/runs"
    assert target.kind is None


def test_the_context_of_a_target_is_its_own(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.toml")
    assert choose("prod", context="prod-cluster", file=file).context == "prod-cluster"
    with pytest.raises(BadInputError, match="target prod is on the context prod-cluster, not on x"):
        choose("prod", context="x", file=file)


def test_a_path_is_relative_to_the_file(tmp_path: Path) -> None:
    folder = write_overlay(tmp_path / "deploy/mine")
    for path in ("../deploy/mine", str(folder)):
        file = write(tmp_path / "config/t.toml", f'[prod]\noverlay = "{path}"\ncontext = "c"\n')
        assert choose("prod", file=file).overlay == str(folder)
    file = write(tmp_path / "deploy/t.toml", '[prod]\noverlay = "mine"\ncontext = "c"\n')
    assert choose("prod", file=file).overlay == str(folder)


@pytest.mark.parametrize("overlay", ["../deploy/none", "none"])
def test_an_overlay_that_is_not_there_is_told_with_file_and_name(
    tmp_path: Path, overlay: str
) -> None:
    file = write(tmp_path / "config/t.toml", f'[prod]\noverlay = "{overlay}"\ncontext = "c"\n')
    with pytest.raises(BadInputError, match=r"overlay") as refused:
        choose("prod", file=file)
    assert refused.value.what.startswith(f"{file}: [prod]: ")
    # Another target of the file does not need it.
    assert choose("kind-packages", file=file).overlay == "kind-packages"


def test_the_first_file_that_is_there_counts_alone(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="no target 'home'") as refused:
        choose("home")
    assert all(str(place) in refused.value.do for place in targets_file.places())
    write(tmp_path / "config/kfpkit/targets.toml", f"[home]\n{NEEDED}")
    assert choose("home").context == "prod-cluster"
    write(tmp_path / "work/targets.toml", f"[here]\n{NEEDED}")
    assert choose("here").context == "prod-cluster"
    with pytest.raises(BadInputError, match="no target 'home'") as refused:
        choose("home")
    assert f"of {tmp_path}/work/targets.toml: here" in refused.value.do
    given = write(tmp_path / "given.toml", f"[given]\n{NEEDED}")
    assert choose("given", file=given).name == "given"
    with pytest.raises(BadInputError, match="no target 'here'"):
        choose("here", file=given)


def test_the_place_for_all_folders_is_that_of_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert targets_file.places()[1] == tmp_path / ".config/kfpkit/targets.toml"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for file in (tmp_path / "none.toml", tmp_path, binary, write(tmp_path / "t.toml", "[prod\n")):
        with pytest.raises(BadInputError, match="cannot be read: ") as refused:
            choose("prod", file=file)
        assert str(file) in refused.value.what


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        pytest.param('overlay = "gke"\n', "overlay stands outside of a target", id="no table"),
        pytest.param(f'[prod]\n{NEEDED}contxt = "x"\n', "no key 'contxt'", id="unknown key"),
        pytest.param(f'[prod]\n{NEEDED}token = "s3cret"\n', "no key 'token'", id="a secret"),
        pytest.param(f"[prod.eu]\n{NEEDED}", "no key 'eu'", id="a table in a table"),
        pytest.param('[prod]\ncontext = "c"\n', "overlay is missing", id="no overlay"),
        pytest.param('[prod]\noverlay = "gke"\n', "context is missing", id="no context"),
        pytest.param('[prod]\noverlay = "gke"\ncontext = 3\n', "context is no text", id="number"),
        pytest.param('[prod]\noverlay = "gke"\ncontext = ""\n', "context is no text", id="empty"),
        pytest.param('[prod]\noverlay = "gke"\ncontext = " "\n', "context is no text", id="blank"),
        pytest.param('[prod]\noverlay = ["gke"]\n', "overlay is no text", id="list"),
        pytest.param(f"[local]\n{NEEDED}", "the name local is taken", id="this machine"),
        pytest.param(f"[kind]\n{NEEDED}", "the name kind is taken", id="kind"),
        pytest.param(f"[gke]\n{NEEDED}", "the name gke is taken", id="an overlay's name"),
        pytest.param(f'["a b"]\n{NEEDED}', "the name 'a b' has characters", id="a blank"),
        pytest.param(f'["../a"]\n{NEEDED}', "the name '../a' has characters", id="a path"),
        pytest.param(f'["-a"]\n{NEEDED}', "the name '-a' has characters", id="an option"),
        pytest.param(f'[""]\n{NEEDED}', "the name '' has characters", id="no name"),
        *(
            pytest.param(f'[prod]\n{NEEDED}host = "{host}"\n', f"host {mistake}", id=host)
            for host, mistake in {
                "kfp.example.com": "is no address of the form https://",
                "localhost:8888": "is no address of the form https://",
                "ftp://kfp.example.com": "is no address of the form https://",
                "https://": "is no address of the form https://",
                "https://kfp.example.com?a=b": "is no address of the form https://",
                "https://kfp.example.com/a b": "is no address of the form https://",
                "https://kfp.example.com:99999": "is no address",
                "http://[::1": "is no address",
                "https://me:s3cret@kfp.example.com": "holds a name or a password",
            }.items()
        ),
        pytest.param(
            f'[prod]\n{NEEDED}image_prefix = "https://r.example/p"\n',
            "image_prefix is no registry",
            id="image_prefix",
        ),
        pytest.param(
            f'[prod]\n{NEEDED}pipeline_root = "/runs"\n', "pipeline_root is no gs://", id="root"
        ),
    ],
)
def test_a_mistake_is_one_line_with_the_file_and_the_name(
    tmp_path: Path, text: str, mistake: str
) -> None:
    file = write(tmp_path / "t.toml", text)
    # Also told to whoever names another target: the file would mislead the next one.
    for name in ("prod", "kind"):
        with pytest.raises(BadInputError) as refused:
            choose(name, file=file)
        said = str(refused.value)
        assert said.startswith(f"{file}: ")
        assert mistake in said
        assert "\n" not in said
        assert "s3cret" not in said


def test_every_name_of_the_kit_is_taken(tmp_path: Path) -> None:
    for name in ("local", "kind", *render.overlays()):
        with pytest.raises(BadInputError, match=f"the name {name} is taken"):
            choose("prod", file=write(tmp_path / "t.toml", f"[{name}]\n{NEEDED}"))


VERTEX = """[vertex-prod]
project = "example-project"
location = "europe-west4"
pipeline_root = "gs://bucket/runs"
"""


def test_a_table_with_a_project_is_a_target_on_vertex_ai(tmp_path: Path) -> None:
    text = VERTEX + (
        'service_account = "runs@example-project.iam.gserviceaccount.com"\n'
        'network = "projects/12345/global/networks/private"\n'
        'labels = { team = "birds", "größe" = "" }\ncaching = false\n'
        'image_prefix = "europe-west4-docker.pkg.dev/example-project/images"\n'
        'experiment = "birds"\n'
    )
    file = write(tmp_path / "t.toml", f"{text}\n[prod]\n{NEEDED}")
    found = targets_file.vertex("vertex-prod", file)
    assert found
    assert (found.name, found.project, found.location) == (
        "vertex-prod",
        "example-project",
        "europe-west4",
    )
    assert found.labels == {"team": "birds", "größe": ""}
    assert found.caching is False
    assert targets_file.vertex("prod", file) is None
    assert targets_file.vertex("none", file) is None
    assert targets_file.vertex("vertex-prod") is None  # no file is found


def test_a_target_on_vertex_ai_is_no_installation(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="vertex-prod is on Vertex AI"):
        choose("vertex-prod", file=write(tmp_path / "t.toml", VERTEX))


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ('overlay = "gke"', "no key 'overlay' of a target on Vertex AI"),
        ('pipeline_rot = "gs://x/y"', "no key 'pipeline_rot'"),
        ("caching = 1", "caching is not of its form"),
        ('labels = "team"', "labels is not of its form"),
        ('labels = { Team = "x" }', "labels has 'Team'"),
        ('labels = { team = "Birds" }', "labels has team = 'Birds'"),
        ("labels = { team = 1 }", "which is no text"),
        ('network = "default"', "network is no projects/NUMBER"),
        ('service_account = "runs"', "service_account is no address"),
        ('credentials = "key.json"', 'credentials is no "anonymous"'),
        ('api_endpoint = "example.com"', "api_endpoint is no address"),
        ('image_prefix = "a b"', "image_prefix is no registry"),
        ('experiment = ""', "experiment is no text"),
    ],
)
def test_a_mistake_about_vertex_ai_is_one_line(tmp_path: Path, line: str, mistake: str) -> None:
    file = write(tmp_path / "t.toml", f"{VERTEX}{line}\n")
    with pytest.raises(BadInputError) as refused:
        targets_file.vertex("vertex-prod", file)
    assert refused.value.what.startswith(f"{file}: [vertex-prod]: ")
    assert mistake in refused.value.what


@pytest.mark.parametrize(
    ("key", "value"),
    [("project", "Ex ample"), ("location", "Europe"), ("pipeline_root", "s3://bucket")],
)
def test_what_vertex_ai_needs(tmp_path: Path, key: str, value: str) -> None:
    wrong = "".join(
        f'{key} = "{value}"\n' if row.startswith(f"{key} ") else f"{row}\n"
        for row in VERTEX.splitlines()
    )
    with pytest.raises(BadInputError, match=f"{key} is no "):
        targets_file.vertex("vertex-prod", write(tmp_path / "t.toml", wrong))
    less = "".join(f"{row}\n" for row in VERTEX.splitlines() if not row.startswith(f"{key} "))
    with pytest.raises(BadInputError, match=f"{key} is missing"):
        targets_file.vertex("vertex-prod", write(tmp_path / "t.toml", less))
