"""The recipes: every folder of images/ is complete, and what they name exists."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.images import builder, own, recipe
from kfpkit.images.recipe import Recipe

if TYPE_CHECKING:
    from pathlib import Path

FOLDERS = sorted(file.parent for file in recipe.IMAGES.glob("*/image.toml"))


def folders() -> list[object]:
    return [pytest.param(folder, id=folder.name) for folder in FOLDERS]


def write(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "image.toml").write_text(text)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def image(name: str, folder: Path, **changes: object) -> Recipe:
    plain = Recipe(name, folder, (f"kfpkit/{name}:1",), (name,))
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", folders())
def test_every_folder_is_a_recipe_with_a_readme(folder: Path) -> None:
    assert recipe.load(folder).name == folder.name
    assert (folder / "README.md").read_text().startswith("# ")


@pytest.mark.parametrize("folder", folders())
def test_the_dockerfile_takes_what_the_recipe_gives(folder: Path) -> None:
    found = recipe.load(folder)
    arguments = re.findall(r"^ARG (\w+)", (folder / "Dockerfile").read_text(), flags=re.MULTILINE)
    given = {need.replace("-", "_").upper() for need in found.needs} | set(found.args or {})
    assert set(arguments) <= given, "the Dockerfile asks for what image.toml does not give"
    if not found.prepare:
        assert given <= set(arguments), "image.toml gives what the Dockerfile does not ask for"


@pytest.mark.parametrize("folder", folders())
def test_no_image_starts_from_a_registry(folder: Path) -> None:
    dockerfile = (folder / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)", dockerfile, flags=re.MULTILINE))
    for base in re.findall(r"^FROM (\S+)", dockerfile, flags=re.MULTILINE):
        assert base == "scratch" or base.startswith("${") or base in stages


@pytest.mark.parametrize("folder", folders())
def test_go_mod_requires_the_pinned_version(folder: Path) -> None:
    found = recipe.load(folder)
    for build in found.go:
        text = (build.module / "go.mod").read_text()
        required = dict(re.findall(r"^(?:require )?\t?(\S+) (v\S+)", text, flags=re.MULTILINE))
        for source in found.sources:
            module, _, version = source.partition("@")
            assert required.get(module, version) == version, source


@pytest.mark.parametrize(
    ("module", "other", "library"),
    [
        ("etcd/go", "kubernetes/go", "google.golang.org/grpc"),
        ("local-path-provisioner/go", "kubernetes/go", "k8s.io/client-go"),
        ("metrics-server/go", "kubernetes/go", "k8s.io/client-go"),
        ("argo-go", "kfp-go", "k8s.io/client-go"),
        ("calico/go", "kfp-go", "k8s.io/client-go"),
        ("coredns/go", "kfp-go", "k8s.io/client-go"),
    ],
)
def test_one_compilation_serves_what_two_modules_share(
    module: str, other: str, library: str
) -> None:
    """Go finds a package in its cache only if all that it imports has the same version too."""
    own, shared = (_required(recipe.IMAGES / name / "go.mod") for name in (module, other))
    both = own.keys() & shared.keys()
    assert library in both
    assert {name: own[name] for name in both} == {name: shared[name] for name in both}


def _required(file: Path) -> dict[str, str]:
    """Return the versions that a go.mod requires; those it excludes are written alike."""
    text = re.sub(r"^exclude \(.*?^\)", "", file.read_text(), flags=re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^\t(\S+) (v\S+)", text, re.MULTILINE))


def test_all_recipes_have_an_order_and_every_image_its_own_names() -> None:
    recipes = recipe.load_all()
    names = [reference for found in recipes.values() for reference in found.references]
    assert len(names) == len(set(names))


def test_pins_are_filled_in_with_and_without_their_v(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "versions", lambda: {"TOOL": "v1.2"})
    text = 'references = ["x/tool:{TOOL}", "x/tool:{TOOL:bare}"]\nsources = ["tool@{TOOL}"]\n'
    found = recipe.load(write(tmp_path / "tool", text))
    assert found.references == ("x/tool:v1.2", "x/tool:1.2")
    assert found.sources == ("tool@v1.2",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("references = [", "cannot be read"),
        ('sources = ["x"]', "references"),
        ('references = ["a"]\nsources = []', "names with tag"),
        ('references = ["a:1"]\nsources = []\nneed = ["b"]', "unknown keys need"),
        ('references = ["a:{NO_SUCH_PIN}"]\nsources = []', "which is no pin"),
        ('references = ["a:1"]\nsources = []\n[[go]]\nbinaries = {}\nmodule = "gone"', "not there"),
        ('references = ["a:1"]\nsources = []\n[python]\nversion = "3.11"', "'requirements'"),
        ('references = ["a:1"]\nsources = []\npublic = { b = "c:1" }', "public names"),
    ],
)
def test_a_wrong_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        recipe.load(write(tmp_path / "image", text))


def test_each_image_comes_after_those_it_needs(tmp_path: Path) -> None:
    recipes = {
        "node": image("node", tmp_path, needs=("base",), archives=("etcd",)),
        "etcd": image("etcd", tmp_path, needs=("base",)),
        "base": image("base", tmp_path),
        "other": image("other", tmp_path),
    }
    order = recipe.ordered(recipes)
    assert order.index("base") < order.index("etcd") < order.index("node")
    assert recipe.closure(["node"], recipes) == [name for name in order if name != "other"]


def test_a_circle_and_an_unknown_need_are_named(tmp_path: Path) -> None:
    circle = {"a": image("a", tmp_path, needs=("b",)), "b": image("b", tmp_path, needs=("a",))}
    with pytest.raises(BadInputError, match="circle"):
        recipe.ordered(circle)
    with pytest.raises(BadInputError, match="unknown images: gone"):
        recipe.ordered({"a": image("a", tmp_path, needs=("gone",))})
    with pytest.raises(BadInputError, match="there is no image gone"):
        recipe.closure(["gone"], circle)


def test_a_build_of_one_image_reads_no_recipe_that_it_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The tag of the kit's own image alone is made of some sixty parsed files."""
    monkeypatch.setattr(own, "tag", lambda: pytest.fail("read the kit's own code"))
    monkeypatch.setattr(recipe, "_pin", recipe._pin.__wrapped__)  # it keeps what it has made
    recipes, _ = builder.plan(["python-runtime"])
    assert "python" in recipes
    assert "kfpkit" not in recipes
    with pytest.raises(BadInputError, match=r"there is no image gone\. Images: .*python-runtime"):
        builder.plan(["gone"])


def test_on_public_bases_an_image_needs_none_of_those_built_here() -> None:
    recipes, digests = builder.plan(["python-runtime"], public=True)
    assert list(recipes) == ["python-runtime"]
    assert recipes["python-runtime"].args == {
        "PYTHON": "docker.io/library/python:3.11-slim-bookworm"
    }
    usual, others = builder.plan(["python-runtime"])
    assert {"debian", "python"} < set(usual)
    assert usual["python-runtime"].references == recipes["python-runtime"].references
    assert digests["python-runtime"] != others["python-runtime"], "each is cached on its own"


def test_an_image_without_public_bases_is_the_same_either_way() -> None:
    _, digests = builder.plan(["etcd"], public=True)
    assert digests == builder.plan(["etcd"])[1]
