"""What goes where: nothing reaches a cluster that was not named."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kfpkit.cluster import lifecycle, tools
from kfpkit.cluster.config import load
from kfpkit.cluster.lifecycle import Seen
from kfpkit.core import process
from kfpkit.core.errors import BadInputError
from kfpkit.core.versions import ROOT, version
from kfpkit.images import engine
from kfpkit.images.recipe import IMAGES
from kfpkit.kfp import targets_file
from kfpkit.kfp.database import Database
from kfpkit.kfp.target import IN_POD_OF, Target, around, built_images, choose, given_images
from kfpkit.kube import render

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_targets_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work where no file of the user's names targets."""
    monkeypatch.setattr(targets_file, "places", lambda: [tmp_path / "targets.toml"])


def test_an_overlay_for_another_cluster_needs_its_context() -> None:
    with pytest.raises(BadInputError, match="overlay gke needs the context"):
        choose("gke")
    with pytest.raises(BadInputError, match="overlay gke needs the context"):
        choose(overlay="gke")
    for target in (choose("gke", context="mine"), choose(overlay="gke", context="mine")):
        assert (target.overlay, target.context, target.kind) == ("gke", "mine", None)


def test_an_overlay_for_kind_goes_to_the_load() -> None:
    for target in (choose("kind-packages"), choose(overlay="kind-packages")):
        assert (target.overlay, target.context) == ("kind-packages", load().context)
        assert target.kind == load()


def test_the_kind_cluster_may_be_another_one() -> None:
    other = replace(load(), context="kind-other")
    target = choose("kind-packages", kind=other)
    assert (target.context, target.kind) == ("kind-other", other)
    assert choose(overlay="gke", context=load().context, kind=other).kind is None


@pytest.mark.parametrize("name", ["kind", "kind-packages"])
def test_a_context_that_is_not_the_targets_is_refused(name: str) -> None:
    """Without a target it is the kind cluster: its overlay goes nowhere else by accident."""
    with pytest.raises(
        BadInputError, match=f"target {name} is on the context {load().context}, not on p"
    ):
        choose(name, context="prod")
    # Who names both means it.
    assert choose(overlay="kind-packages", context="prod").context == "prod"


def test_a_target_and_an_overlay_exclude_each_other() -> None:
    with pytest.raises(BadInputError, match="TARGET=gke and OVERLAY=kind are both given"):
        choose("gke", overlay="kind", context="prod")


@pytest.mark.parametrize("name", ["missing", "local", ""])
def test_an_unknown_target_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(BadInputError, match=f"no target '{name}'.*gke, kind, kind-packages"):
        choose(name, context="some-context")


def test_an_unknown_overlay_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match=r"no overlay 'missing'.*gke, kind"):
        choose(overlay="missing", context="some-context")


def test_an_overlay_elsewhere_is_named_by_its_path_and_needs_its_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A name that begins with "kind" means the kind cluster only in manifests/overlays.
    folder = tmp_path / "kindly/mine"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").touch()
    monkeypatch.chdir(tmp_path / "kindly")
    for name in ("mine", "./mine", "../kindly/mine", str(folder)):
        for target in (choose(name, context="c"), choose(overlay=name, context="c")):
            assert target.apply[-1] == str(folder)
        with pytest.raises(BadInputError, match="needs the context"):
            choose(name)
        with pytest.raises(BadInputError, match="needs the context"):
            choose(overlay=name)
    with pytest.raises(BadInputError, match="it has no kustomization"):
        choose("some/where", context="some-context")
    # The kit's own names come first.
    monkeypatch.chdir(render.MANIFESTS / "overlays")
    assert choose("gke", context="c").overlay == "gke"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")
def test_an_overlay_outside_the_checkout_builds_on_the_checkout(tmp_path: Path) -> None:
    like = os.path.relpath(render.overlay("kind-packages"), tmp_path)
    text = f"namespace: elsewhere\nresources: [{like}]\n"
    (tmp_path / "kustomization.yaml").write_text(text, encoding="utf-8")
    target = choose(str(tmp_path), context="c")
    assert target.namespace == "elsewhere"
    assert built_images(target.documents) == built_images(
        Target("kind-packages", "c", "kubectl").documents
    )
    assert target.argv("get")[1:] == ["--context", "c", "--namespace", "elsewhere", "get"]


def test_the_variables_of_make_name_the_target_again() -> None:
    assert choose("gke", context="c").variables == ["TARGET=gke", "CONTEXT=c"]
    spelled_out = choose(overlay="kind-packages", context="c")
    assert spelled_out.variables == ["OVERLAY=kind-packages", "CONTEXT=c"]


@pytest.mark.parametrize("overlay", render.overlays())
def test_every_command_names_the_context(overlay: str) -> None:
    target = Target(overlay, "some-context", "kubectl")
    for argv in (target.apply, target.argv("get", "pods")):
        assert argv[1:3] == ["--context", "some-context"]


def test_a_pod_of_the_kit_works_on_the_installation_around_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert around() is None
    monkeypatch.setenv(IN_POD_OF, "somewhere")
    assert around() is None
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    target = around()
    assert target
    assert target.inside
    assert target.argv("get", "pods") == ["kubectl", "--namespace", "somewhere", "get", "pods"]
    assert Database(target).argv("db mariadb")[:2] == ["bash", "-c"]
    assert not choose("kind-packages").inside


def test_each_image_that_is_named_as_the_kits_own_has_a_recipe() -> None:
    folder = "tests/support/combinations/packages-prune"
    documents = Target(str(ROOT / folder), "nowhere", "kubectl").documents
    names = built_images(documents)
    assert "kfpkit" in names
    for name in names:
        assert (IMAGES / name / "image.toml").exists(), name
    assert given_images(documents) == []


def test_an_image_that_has_no_recipe_by_its_name_or_by_its_tag_is_the_users() -> None:
    names = ("kfpkit/kfp-frontend:2.14.3", "kfpkit/versitygw:mine", "example.org/mine:1")
    documents = [
        {
            "kind": "Deployment",
            "metadata": {"name": "one"},
            "spec": {"template": {"spec": {"containers": [{"image": name}]}}},
        }
        for name in names
    ]
    assert built_images(documents) == []
    assert given_images(documents) == [*names[:2]]


def test_pulled_images_are_not_loaded() -> None:
    # But for the kit's own, which no registry has.
    assert built_images(Target("kind", "nowhere", "kubectl").documents) == ["kfpkit"]


@pytest.mark.parametrize(
    ("marker", "overlay"),
    [
        ({"images": "upstream"}, "kind"),
        ({"images": "packages"}, "kind-packages"),
        ({"images": "mirror", "mirror": "r:1/p", "filled": "upstream"}, "kind"),
        ({"images": "mirror", "mirror": "r:1/p", "filled": "packages"}, "kind-packages"),
    ],
)
def test_the_overlay_is_the_one_whose_images_the_cluster_has(
    monkeypatch: pytest.MonkeyPatch, marker: dict[str, str], overlay: str
) -> None:
    seen = Seen({"kfp-control-plane": "running"}, api=True, marker=marker)
    monkeypatch.setattr(lifecycle, "observe", lambda _: seen)
    monkeypatch.setattr(engine, "answers", lambda: True)
    assert choose().overlay == overlay


@pytest.mark.parametrize("kept", [False, True])
def test_the_machine_is_asked_each_thing_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: bool
) -> None:
    """Each answer of kubectl takes some tenths of a second, and a run waits for them."""
    want = version("KUBERNETES_VERSION")
    own = tmp_path / f"kfpkit/bin/kubectl-{want}"
    if kept:
        own.parent.mkdir(parents=True)
        own.touch()
    asked: list[str] = []
    answers = {
        "docker ps --quiet": "",
        "docker ps --all": "kfp-control-plane running\n",
        "kubectl version --client": json.dumps({"clientVersion": {"gitVersion": want}}),
        "kubectl --context kind-kfp": json.dumps({"data": {"images": "packages"}}),
    }

    def query(argv: list[str], **_: object) -> process.Result:
        asked.append(" ".join(argv[:3]).replace(str(own), "kubectl"))
        return process.Result(0, answers[asked[-1]], "")

    monkeypatch.setattr(process, "query", query)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tools.kubectl.cache_clear()
    target = choose()
    tools.kubectl.cache_clear()
    assert (target.overlay, target.kubectl) == ("kind-packages", str(own) if kept else "kubectl")
    assert asked == [one for one in answers if not kept or one != "kubectl version --client"]


def test_a_dry_run_without_a_cluster_takes_what_the_cluster_would_be_made_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    monkeypatch.setenv("IMAGES", "packages")
    assert choose().overlay == "kind-packages"
    monkeypatch.setattr("kfpkit.core.process._dry_run", False)
    with pytest.raises(BadInputError, match="cluster-up first"):
        choose()
