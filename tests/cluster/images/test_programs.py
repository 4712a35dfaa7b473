"""Each image starts as the manifests start it: not root, on a read-only root file system."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from kfpkit.core import process
from kfpkit.core.versions import version

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.containers import Engine

pytestmark = pytest.mark.docker

#: What each image is asked, and what it must say.
SAYS = {
    "argo-workflow-controller": (["version"], "{ARGO_MODULE_VERSION}"),
    "argoexec": (["version"], "{ARGO_MODULE_VERSION}"),
    "envoy": (["/dev/null", "--version"], "/{ENVOY_VERSION}/"),
    "kfp-api-server": (["--help"], "-sampleconfig"),
    "kfp-driver": (["--help"], "-cache_disabled"),
    "kfp-launcher": (["--help"], "-executor_input"),
    "kfp-persistence-agent": (["--help"], "-ttlSecondsAfterWorkflowFinish"),
    "kfp-scheduled-workflow-controller": (["--help"], "-mlPipelineServiceGRPCPort"),
    "mariadb": (["mariadbd", "--version"], "Ver {MARIADB_VERSION}."),
    "metadata-grpc": (["--help"], "--enable_database_upgrade"),
    "python": (["python3", "-m", "pip", "--version"], "python 3.11"),
    "python-runtime": (["python3", "-c", "import sklearn, sys; print(sys.version)"], "3.11."),
    "versitygw": (["--version"], "{VERSITYGW_VERSION}"),
}


@pytest.mark.parametrize("name", SAYS)
def test_program_says_what_it_is(docker: Engine, name: str) -> None:
    args, expected = SAYS[name]
    for pin in ("ARGO_MODULE_VERSION", "ENVOY_VERSION", "MARIADB_VERSION", "VERSITYGW_VERSION"):
        expected = expected.replace(f"{{{pin}}}", version(pin))
    # An entry point that would fill an empty data folder is not what is asked here.
    options = ("--entrypoint", args[0]) if name == "mariadb" else ()

    said = docker.once(name, *args[len(options) // 2 :], options=options)

    assert expected in said.stdout + said.stderr


@pytest.mark.parametrize("name", SAYS)
def test_user_is_a_number_and_not_root(docker: Engine, name: str) -> None:
    seen = process.query(["docker", "image", "inspect", docker.image(name)]).stdout
    user, _, group = json.loads(seen)[0]["Config"]["User"].partition(":")

    assert int(user) > 0
    assert int(group) > 0


def test_launcher_copies_itself_into_an_image_without_libc_and_runs_there(
    docker: Engine, volume: Path
) -> None:
    shared = ("--volume", f"{volume}:/kfp-launcher")

    copied = docker.once("kfp-launcher", "--copy", "/kfp-launcher/launch", options=shared)
    assert copied.ok, copied.stderr

    there = docker.once(
        "versitygw", "--help", options=(*shared, "--entrypoint", "/kfp-launcher/launch")
    )
    assert "-executor_input" in there.stderr


def test_runtime_runs_a_component_offline(docker: Engine, volume: Path) -> None:
    """As a task's command does, with the kfp package alone and no network at all."""
    source = "from kfp.dsl import *\n\ndef add(a: int) -> int:\n    return a + 1\n"
    (volume / "source.py").write_text(source)
    work = {
        "inputs": {"parameterValues": {"a": 41}},
        "outputs": {
            "parameters": {"Output": {"outputFile": "/tmp/out"}},  # noqa: S108 - inside
            "outputFile": "/dev/stdout",
        },
    }

    said = docker.once(
        "python-runtime",
        *("python3", "-m", "kfp.dsl.executor_main", "--component_module_path", "/in/source.py"),
        *("--executor_input", json.dumps(work), "--function_to_execute", "add"),
        options=(
            *("--network", "none", "--tmpfs", "/tmp", "--env", "_KFP_RUNTIME=true"),  # noqa: S108
            *("--volume", f"{volume}:/in:ro"),
        ),
    )

    assert '{"parameterValues": {"Output": 42}}' in said.stdout, said.stderr
