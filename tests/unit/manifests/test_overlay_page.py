"""docs/operate/overlays.md to the letter: every file that it shows is written, and rendered."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest
import yaml

from kfpkit.core import process
from kfpkit.core.errors import CommandError
from kfpkit.core.versions import ROOT
from kfpkit.kube import render
from tests.support.renders import PINNED, named, rendered_folder, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kube.render import Document

PAGE = (ROOT / "docs/operate/overlays.md").read_text(encoding="utf-8")

#: Its files, by the path that their first line names.
FILES = dict(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
OVERLAYS = ["my-kfp", "on-top", "from-git"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the page's files are, beside a checkout; its address in Git is a repository here."""
    (tmp_path / "kfpkit").symlink_to(ROOT)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    repository = tmp_path / "repository"
    shutil.copytree(ROOT / "manifests", repository / "manifests")
    me = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    for words in (
        ["init", "--quiet"],
        ["add", "."],
        ["commit", "--quiet", "--message=x"],
        ["tag", "v0.1.0"],
    ):
        process.query(["git", *me, *words], cwd=repository)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.file://{repository}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://github.com/OWNER/kfpkit")
    return tmp_path


def names(documents: list[Document]) -> set[tuple[str, str]]:
    return {(d["kind"], d["metadata"]["name"]) for d in documents}


def test_each_yaml_block_of_the_page_is_a_file() -> None:
    assert PAGE.count("```yaml") == len(FILES)
    assert {f"{name}/kustomization.yaml" for name in OVERLAYS} == FILES.keys() - {
        "my-kfp/parameters.yaml"
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_overlay_renders_into_its_namespace_with_every_image_pinned(
    folder: Path, name: str
) -> None:
    documents = rendered_folder(folder / name)

    assert render.namespace(documents) == "pipelines"
    spaces = {d["metadata"].get("namespace") for d in documents}
    assert spaces == {"pipelines", None}
    assert [i for i in render.images(documents) if not PINNED.fullmatch(i)] == []


def test_the_parameters_arrive(folder: Path) -> None:
    documents = rendered_folder(folder / "my-kfp")
    values = yaml.safe_load(FILES["my-kfp/parameters.yaml"])["data"]
    store = text_of(documents, "workflow-controller-configmap", "artifactRepository")["s3"]
    (rule,) = named(documents, "Ingress")["ml-pipeline-ui"]["spec"]["rules"]

    assert [store[key] for key in ("endpoint", "region", "bucket")] == [
        values[key] for key in ("s3Host", "s3Region", "s3Bucket")
    ]
    assert rule["host"] == values["ingressHost"]
    assert named(documents, "StatefulSet") == {}


def test_a_parameter_that_is_not_there_is_named(folder: Path) -> None:
    file = folder / "my-kfp/parameters.yaml"
    file.write_text(file.read_text().replace("s3Region", "s3Regoin"))

    with pytest.raises(CommandError, match=r"data\.s3Region"):
        rendered_folder(folder / "my-kfp")


def test_what_is_put_on_top_is_there_with_the_patches(folder: Path) -> None:
    documents = rendered_folder(folder / "on-top")
    policies = named(documents, "NetworkPolicy").values()

    assert named(documents, "PodDisruptionBudget")
    for store in named(documents, "StatefulSet").values():
        (claim,) = store["spec"]["volumeClaimTemplates"]
        assert claim["spec"]["storageClassName"] == "fast"
    asking, patched = (
        {p["metadata"]["name"] for p in policies if f"port: {port}\n" in yaml.safe_dump(p)}
        for port in (6443, 16443)
    )
    assert asking == patched


def test_from_git_comes_what_is_in_the_checkout(folder: Path) -> None:
    assert names(rendered_folder(folder / "from-git")) == names(rendered_folder(folder / "on-top"))
