"""Which release an overlay installs."""

from __future__ import annotations

import pytest

from kfpkit.kfp import releases
from kfpkit.kube import render


@pytest.mark.parametrize(("overlay", "release"), [("kind", "2.17.0"), ("kind-packages", "2.14.3")])
def test_the_release_is_that_of_the_api_server(overlay: str, release: str) -> None:
    assert releases.release(render.render(render.overlay(overlay))) == release


def test_every_release_of_the_manifests_can_be_reached() -> None:
    there = {file.parent.name for file in render.MANIFESTS.glob("releases/*/kustomization.yaml")}
    assert {to for _, to in releases.PATHS} == there
