"""What goes where: nothing reaches a cluster that was not named."""

from __future__ import annotations

import pytest

from kfpkit import render
from kfpkit.cluster import CONTEXT
from kfpkit.errors import BadInputError
from kfpkit.images.recipe import IMAGES
from kfpkit.install.target import Target, built_images, choose


def test_an_overlay_for_another_cluster_needs_its_context() -> None:
    with pytest.raises(BadInputError, match="needs the context"):
        choose("gke")
    assert choose("gke", "some-context").context == "some-context"


def test_an_overlay_for_kind_goes_to_the_kind_cluster() -> None:
    assert choose("kind").context == CONTEXT


def test_an_unknown_overlay_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match="gke, kind"):
        choose("missing")


@pytest.mark.parametrize("overlay", render.overlays())
def test_every_command_names_the_context(overlay: str) -> None:
    target = Target(overlay, "some-context", "kubectl")
    for argv in (target.apply, target.argv("get", "pods")):
        assert argv[1:3] == ["--context", "some-context"]


def test_each_image_that_is_built_here_has_a_recipe() -> None:
    names = built_images(Target("kind-packages", "nowhere", "kubectl").documents)
    assert names
    for name in names:
        assert (IMAGES / name / "image.toml").exists(), name


def test_pulled_images_are_not_loaded() -> None:
    assert built_images(Target("kind", "nowhere", "kubectl").documents) == []
