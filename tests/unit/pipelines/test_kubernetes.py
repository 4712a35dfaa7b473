"""Pipelines that set something for Kubernetes by `kfp.kubernetes`."""

from pathlib import Path
from typing import Any

import pytest
from kfp import dsl, kubernetes

from kfpkit.cli import run as command
from kfpkit.kfp import api
from kfpkit.kfp.pipelines import Pipeline, compile_to


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
def work() -> int:
    return 1


@dsl.component(base_image="python:3.11", install_kfp_package=False)  # type: ignore[untyped-decorator]
def rest() -> int:
    return 2


@dsl.pipeline  # type: ignore[untyped-decorator]
def settings() -> None:
    task = work()
    kubernetes.use_secret_as_env(task, "s", {"password": "PASSWORD"})
    kubernetes.use_secret_as_env(task, "t", {"token": "TOKEN"}, optional=True)
    kubernetes.use_config_map_as_env(task, "c", {"key": "KEY"})
    kubernetes.mount_pvc(task, pvc_name="data", mount_path="/data")
    kubernetes.set_image_pull_policy(task, "Always")
    kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoSchedule")
    kubernetes.use_field_path_as_env(task, env_name="POD", field_path="metadata.name")
    with dsl.If(task.output == 1):
        kubernetes.add_pod_label(rest(), "team", "a")


@dsl.pipeline  # type: ignore[untyped-decorator]
def plain() -> None:
    work()


#: What `settings` sets.
FIELDS = {
    "rest": ["podMetadata"],
    "work": [
        "configMapAsEnv",
        "fieldPathAsEnv",
        "imagePullPolicy",
        "pvcMount",
        "secretAsEnv",
        "tolerations",
    ],
}


def compiled(func: Any, folder: Path) -> list[dict[str, Any]]:
    compile_to(Pipeline("settings", func), folder / "settings.yaml")
    return api.read(folder / "settings.yaml")


def test_what_is_set_is_known_by_component() -> None:
    assert Pipeline("settings", settings).kubernetes == FIELDS
    assert Pipeline("plain", plain).kubernetes == {}


def test_it_is_a_second_document(tmp_path: Path) -> None:
    spec, platform = compiled(settings, tmp_path)
    assert spec["pipelineInfo"]["name"] == "settings"
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert {name: sorted(fields) for name, fields in executors.items()} == {
        f"exec-{name}": fields for name, fields in FIELDS.items()
    }
    assert len(compiled(plain, tmp_path)) == 1


def test_only_a_variable_that_may_be_missing_is_marked_so(tmp_path: Path) -> None:
    """Release 2.14.3 fails a run for the field, whatever its value."""
    _, platform = compiled(settings, tmp_path)
    mine = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-work"]
    assert [source.get("optional") for source in mine["secretAsEnv"]] == [None, True]
    assert [source.get("optional") for source in mine["configMapAsEnv"]] == [None]


def test_a_run_on_this_machine_says_that_it_has_no_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("kfpkit.core.process._dry_run", True)
    for func in (settings, plain):
        monkeypatch.setattr(
            "kfpkit.kfp.pipelines.find", lambda _, func=func: Pipeline("settings", func)
        )
        command.run("settings", runs=tmp_path, lint=False)
    assert capsys.readouterr().err.splitlines() == [
        "warning: settings for Kubernetes have no effect on this machine (rest: podMetadata; "
        f"work: {', '.join(FIELDS['work'])})",
        *["would run settings on this machine in processes: no parameters"] * 2,
    ]
