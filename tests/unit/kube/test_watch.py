"""An object as a watch tells it."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from kfpkit.kube import watch
from kfpkit.kube.kubectl import Kubectl

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


def event(kind: str, number: int) -> str:
    return f'{{"type":"{kind}","object":{{"number":{number}}}}}\n'


def test_the_object_is_as_it_was_told_last_and_none_where_nothing_is_told() -> None:
    told = watch.Watch()
    seen: list[Any] = []

    def lines() -> Iterator[str]:
        for line in (
            event("ADDED", 1),
            "E1128 15:24:35 the server is slow\n",
            event("MODIFIED", 2),
            event("DELETED", 2),
            event("ADDED", 3),
        ):
            yield line
            seen.append(told.object)

    running: Any = SimpleNamespace(stdout=lines())
    told.follow(running)
    assert told.changed.is_set()
    assert seen == [{"number": 1}, {"number": 1}, {"number": 2}, None, {"number": 3}]
    assert told.object is None


class Fake(Kubectl):
    """A kubectl that tells of one change, and that the API server then ends."""

    @property
    def namespace(self) -> str:
        return "kubeflow"

    def argv(self, *arguments: str) -> list[str]:
        path = "/apis/kubeflow/kinds?watch=true&labelSelector=a%2Fb%3Dc"
        assert arguments == ("get", "--raw", path)
        return [sys.executable, "-c", f"print({event('ADDED', 1)!r})"]


def test_a_watch_that_ends_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "PAUSE", 0)
    with watch.opened(Fake(), "/apis/{}/kinds", "a/b=c") as told:
        for _ in range(3):
            assert told.changed.wait(30)
            told.changed.clear()
