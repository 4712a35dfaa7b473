"""Preflight: each finding is judged rightly and says what to do."""

from __future__ import annotations

import socket

import pytest

from kfpkit.cluster import preflight

GIB = 2**30


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("", "failed"),
        ("20.10.24+dfsg1", "ok"),
        ("28.2.2", "ok"),
        ("29.0.0-rc.1", "ok"),
        ("19.03.15", "failed"),
        ("dev", "warning"),
    ],
)
def test_the_engine_must_be_new_enough(version: str, state: str) -> None:
    check = preflight.docker(version)
    assert check.state == state
    assert bool(check.do) == (state != "ok")


def test_a_withheld_capability_is_fine_only_with_the_runtime_that_leaves_it_out() -> None:
    assert preflight.capabilities(set(), "runc").state == "ok"
    assert preflight.capabilities({"CAP_SYS_RESOURCE"}, "bounded").state == "ok"
    warned = preflight.capabilities({"CAP_SYS_RESOURCE"}, "runc")
    assert warned.state == "warning"
    assert "CAP_SYS_RESOURCE" in warned.found


def test_low_inotify_limits_come_with_the_command_that_raises_them() -> None:
    low, high = preflight.inotify({"max_user_instances": 128, "max_user_watches": 524288})
    assert low.state == "warning"
    assert "sysctl --write fs.inotify.max_user_instances=512" in low.do
    assert high.state == "ok"


def test_a_kernel_without_inotify_limits_is_fine() -> None:
    assert {check.state for check in preflight.inotify({})} == {"ok"}


def test_building_images_takes_more_disk() -> None:
    assert preflight.disk(12 * GIB, build=False).state == "ok"
    failed = preflight.disk(12 * GIB, build=True)
    assert failed.state == "failed"
    assert "16 GiB more" in failed.do


def test_too_little_memory_fails() -> None:
    assert preflight.memory(24 * GIB).state == "ok"
    assert preflight.memory(2 * GIB).state == "failed"


def test_a_port_in_use_is_seen() -> None:
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        number = used.getsockname()[1]
        assert not preflight._is_free(number)
    assert preflight._is_free(number)
    assert preflight.port(number, free=False).state == "failed"
