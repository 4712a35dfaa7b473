"""The builder: names, and images that need no toolchain built for real."""

from __future__ import annotations

import pytest

from kfpkit.images import builder


@pytest.mark.parametrize(
    ("package", "program"),
    [
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("go.etcd.io/etcd/server/v3", "server"),
        ("github.com/coredns/coredns", "coredns"),
    ],
)
def test_a_program_is_named_as_go_names_it(package: str, program: str) -> None:
    assert builder.program_name(package) == program


def test_go_is_told_which_modules_the_checksum_database_lacks() -> None:
    assert "GONOSUMDB" not in builder.go_env()
    assert builder.go_env(["example/a", "example/b"])["GONOSUMDB"] == "example/a,example/b"
