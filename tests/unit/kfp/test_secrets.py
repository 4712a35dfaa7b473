"""Which Secrets an overlay needs, and which of them the kit may make up."""

from __future__ import annotations

import json

import pytest

from kfpkit.core.errors import BadInputError
from kfpkit.kfp import secrets
from kfpkit.kfp.target import Target
from kfpkit.kube import render


class Answering(Target):
    """A target whose namespace holds what a test says."""

    there: list[dict[str, object]] | None

    def has_namespace(self) -> bool:
        return self.there is not None

    def items(self, *_: object) -> list[dict[str, object]]:
        return self.there or []


def target(overlay: str, there: list[dict[str, object]] | None = None) -> Answering:
    made = Answering(overlay, "nowhere", "kubectl")
    object.__setattr__(made, "there", there)
    return made


def secret(name: str, *keys: str) -> dict[str, object]:
    return {"kind": "Secret", "metadata": {"name": name}, "data": dict.fromkeys(keys, "")}


@pytest.mark.parametrize("overlay", [o for o in render.overlays() if o.startswith("kind")])
def test_all_that_a_kind_overlay_needs_can_be_made_and_is_new_each_time(overlay: str) -> None:
    first, second = (secrets.missing(target(overlay)) for _ in range(2))
    needed = secrets.needed(target(overlay).documents)
    assert first.keys() == second.keys() == needed.keys()
    for name, keys in needed.items():
        assert keys <= first[name].keys()
        for key, value in first[name].items():
            assert value != second[name][key]
            assert len(value) >= 20
            assert value.isalnum()


def test_what_is_there_is_kept() -> None:
    there = [
        secret("database-password", "password", "root-password"),
        secret("mlpipeline-minio-artifact", "accesskey", "secretkey"),
    ]
    assert secrets.missing(target("kind", there)) == {}


def test_a_secret_that_lacks_a_key_is_refused() -> None:
    with pytest.raises(BadInputError, match="database-password in kubeflow has no root-password"):
        secrets.missing(target("kind", [secret("database-password", "password")]))


def test_a_database_volume_without_its_secret_is_refused() -> None:
    volume: dict[str, object] = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-database-0"},
    }
    with pytest.raises(BadInputError, match="data-database-0"):
        secrets.missing(target("kind", [volume]))


def test_the_key_of_a_store_that_is_not_ours_is_never_made_up() -> None:
    with pytest.raises(BadInputError, match="only you know its values"):
        secrets.missing(target("gke"))


def test_the_command_that_mends_a_secret_goes_to_the_cluster_of_the_target() -> None:
    volume: dict[str, object] = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data-database-0"},
    }
    for overlay, there in (
        ("kind", [secret("database-password", "password")]),
        ("kind", [volume]),
        ("gke", []),
    ):
        asked = target(overlay, there)
        with pytest.raises(BadInputError) as refused:
            secrets.missing(asked)
        assert f"--context {asked.context} --namespace {asked.namespace} " in refused.value.do


def test_a_secret_reaches_kubectl_with_its_values() -> None:
    made = json.loads(secrets.manifest("name", {"key": "value"}))
    assert (made["metadata"]["name"], made["stringData"]) == ("name", {"key": "value"})
