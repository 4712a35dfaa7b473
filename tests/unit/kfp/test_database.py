"""The pod that reaches a database outside the cluster."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kfpkit.core.versions import version
from kfpkit.kfp.database import client, read
from kfpkit.kfp.target import choose

if TYPE_CHECKING:
    import pytest


def test_only_a_variable_of_the_kits_names_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    target = choose("gke", context="mine")

    def images() -> list[str]:
        pods = [d["spec"] for d in client(target) if d["kind"] == "Pod"]
        return [c["image"] for pod in pods for c in pod["containers"]]

    monkeypatch.setenv("CLIENT_IMAGE", "theirs:1")
    assert images() == [f"docker.io/library/mariadb:{version('UPSTREAM_MARIADB_VERSION')}"]
    monkeypatch.setenv("KFPKIT_CLIENT_IMAGE", "registry.example/mariadb:1")
    assert images() == ["registry.example/mariadb:1"]


def test_a_name_may_hold_whatever_ends_a_line_elsewhere() -> None:
    """MariaDB escapes control characters in JSON, and no others."""
    rows = [["report\u2028of May"], ["\x85"], ["\u2029"], []]
    assert read("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)) == rows
