"""The folders of manifests/: the conventions that no render shows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kfpkit.core.versions import ROOT
from kfpkit.images import recipe
from kfpkit.kube.render import MANIFESTS
from tests.support.renders import SECRETS, SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = sorted(path.name for path in (MANIFESTS / "options").iterdir())
KUSTOMIZATIONS = [
    *sorted(MANIFESTS.rglob("kustomization.yaml")),
    *(folder / "kustomization.yaml" for folder in SUBJECTS.values()),
]
HEADINGS = ["What changes", "Needs", "Turn on", "Undo"]


def load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def ids(file: Path) -> str:
    return str(file.parent.relative_to(ROOT))


def components_of(folder: Path) -> list[Path]:
    kustomization = load(folder / "kustomization.yaml")
    return [(folder / path).resolve() for path in kustomization.get("components", [])]


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=ids)
def test_uses_current_fields_and_no_remote_base(file: Path) -> None:
    kustomization = load(file)
    old = {"vars", "bases", "commonLabels", "patchesStrategicMerge", "patchesJson6902"}

    assert not old & kustomization.keys()
    for field in ("resources", "components"):
        for entry in kustomization.get(field, []):
            assert (file.parent / entry).exists(), entry


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=ids)
def test_names_every_file_of_its_folder(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    for other in file.parent.iterdir():
        if other.is_file() and other != file and other.name != "README.md":
            assert re.search(rf"(^|[ =]){re.escape(other.name)}$", text, re.MULTILINE), other


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=ids)
def test_sets_a_namespace_in_overlays_only(file: Path) -> None:
    is_overlay = file.parent in SUBJECTS.values()

    assert ("namespace" in load(file)) == is_overlay


@pytest.mark.parametrize("file", KUSTOMIZATIONS, ids=ids)
def test_a_replacement_names_its_target_and_counts_nothing(file: Path) -> None:
    """But the parts of a URL and of an image's name, which have no names of their own."""
    for replacement in load(file).get("replacements", []):
        for target in replacement["targets"]:
            for path in target["fieldPaths"]:
                assert not re.search(r"(^|\.)-?\d+(\.|$)", path), path
            delimiter = target.get("options", {}).get("delimiter", "/")
            # One that the text does not have adds a line to it: a key, and the value as its text.
            assert delimiter == "/" or re.fullmatch(r"\n[\w\n. :-]+: (!!str )?", delimiter)


@pytest.mark.parametrize("file", sorted(MANIFESTS.rglob("*.yaml")), ids=str)
def test_is_one_object_with_a_telling_name_and_nothing_commented_out(file: Path) -> None:
    text = file.read_text(encoding="utf-8")

    assert not re.search(r"^\s*#\s*(- )?[\w.-]+:( \S+)?$", text, re.MULTILINE)
    if file.name == "kustomization.yaml" or not file.is_relative_to(MANIFESTS / "base"):
        return
    found = list(yaml.safe_load_all(text))
    assert len(found) == 1
    if "kind" not in found[0]:
        return  # a file of settings that a generator reads
    kind = found[0]["kind"].lower()
    name = found[0]["spec"]["names"]["kind"].lower() if kind == "customresourcedefinition" else kind
    assert file.name == f"{name}.yaml"


@pytest.mark.parametrize("file", sorted(MANIFESTS.rglob("*.patch.yaml")), ids=ids)
def test_a_patch_says_what_and_why(file: Path) -> None:
    assert re.match(r"(set|add|delete)-[a-z0-9-]+\.patch\.yaml$", file.name)
    assert re.match(r"# [^:]+: \S", file.read_text(encoding="utf-8"))


def test_no_two_patches_do_the_same() -> None:
    """One that two options need is a Component that both have."""
    files: dict[str, list[str]] = {}
    for file in MANIFESTS.rglob("*.patch.yaml"):
        files.setdefault(yaml.safe_dump(yaml.safe_load(file.read_text())), []).append(str(file))

    assert [same for same in files.values() if len(same) > 1] == []


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_a_component_with_a_readme_of_four_headings(option: str) -> None:
    folder = MANIFESTS / "options" / option
    readme = (folder / "README.md").read_text(encoding="utf-8")

    assert load(folder / "kustomization.yaml")["kind"] == "Component"
    assert readme.startswith(f"# Option: {option}\n")
    assert re.findall(r"^## (.+)$", readme, re.MULTILINE) == HEADINGS
    for parameter in re.findall(
        r"fieldPath: data\.(\w+)", (folder / "kustomization.yaml").read_text(encoding="utf-8")
    ):
        assert f"`{parameter}`" in readme


def test_every_component_is_used() -> None:
    used: set[Path] = set()
    todo = list(SUBJECTS.values())
    while todo:
        new = set(components_of(todo.pop())) - used
        used |= new
        todo += new
    there = {
        file.parent
        for pattern in ("options/*", "releases/*", "images/*")
        for file in MANIFESTS.glob(f"{pattern}/kustomization.yaml")
    }

    assert there - used == set()


@pytest.mark.parametrize("name", SUBJECTS)
def test_components_come_in_the_order_that_the_readme_gives(name: str) -> None:
    used = components_of(SUBJECTS[name])
    places = [["options", "releases", "images"].index(component.parent.name) for component in used]

    assert places == sorted(places)
    assert places.count(1) == places.count(2) == 1
    order = ("network-policies", "prune", "warm-driver")
    first = [name for name in order if MANIFESTS / "options" / name in used]
    assert [component.name for component in used[: len(first)]] == first


@pytest.mark.parametrize("file", sorted(MANIFESTS.glob("releases/*/kustomization.yaml")), ids=ids)
def test_a_release_is_named_by_its_images_and_says_each_tag_once(file: Path) -> None:
    tags = {entry["name"]: entry["newTag"] for entry in load(file)["images"]}

    assert {tag for name, tag in tags.items() if name.startswith("kfp-")} == {file.parent.name}
    for tag in set(tags.values()):
        assert file.read_text(encoding="utf-8").count(f" {tag}\n") == 1


def test_the_image_contract_names_every_image() -> None:
    readme = (MANIFESTS / "README.md").read_text(encoding="utf-8")
    contract = readme.split("## Image contract")[1].split("\n## ")[0]
    base = {
        name
        for file in (MANIFESTS / "base").rglob("*.yaml")
        for name in re.findall(
            r"image: ([\w-]+):unpinned", file.read_text(encoding="utf-8"), re.MULTILINE
        )
    }

    assert set(re.findall(r"^\| `([a-z0-9-]+)` \|", contract, re.MULTILINE)) == base


def test_packages_names_images_that_can_be_built() -> None:
    entries = load(MANIFESTS / "images/packages/names/kustomization.yaml")["images"]
    built = {
        reference.rpartition(":")[0]
        for one in recipe.load_all().values()
        for reference in one.references
    }

    # The web UI is in no package registry; who wants it builds an image of this name by hand.
    assert {entry["newName"] for entry in entries} - built == {"kfpkit/kfp-frontend"}


def test_the_readme_lists_every_option_and_every_secret_that_tests_know() -> None:
    readme = (MANIFESTS / "README.md").read_text(encoding="utf-8")

    assert set(re.findall(r"options/([\w-]+)/README\.md", readme)) == set(OPTIONS)
    secrets = readme.split("### Secrets")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([\w-]+)` \|", secrets, re.MULTILINE)) == set(SECRETS)
