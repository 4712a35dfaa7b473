"""One holder at a time, on a Lease that keeps its versions as Kubernetes does."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import requests

from kfpkit.warm import lease
from kfpkit.warm.lease import Lease


def refusal(code: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = code
    return requests.HTTPError(response=response)


class Kept:
    """One Lease."""

    def __init__(self) -> None:
        self.item: dict[str, Any] | None = None
        self.version = 0
        self.away = False

    def get(self, _kind: str, _name: str) -> dict[str, Any]:
        if self.away:
            raise requests.ConnectionError
        if self.item is None:
            raise refusal(404)
        return copy.deepcopy(self.item)

    def create(self, _kind: str, item: dict[str, Any]) -> None:
        if self.item is not None:
            raise refusal(409)
        self._keep(item)

    def replace(self, _kind: str, item: dict[str, Any]) -> None:
        if item["metadata"]["resourceVersion"] != str(self.version):
            raise refusal(409)
        self._keep(item)

    def _keep(self, item: dict[str, Any]) -> None:
        self.version += 1
        self.item = copy.deepcopy(item)
        self.item["metadata"]["resourceVersion"] = str(self.version)


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(lease, "time", clock)
    return clock


def two(kept: Kept) -> tuple[Lease, Lease]:
    return Lease(kept, "a"), Lease(kept, "b")  # type: ignore[arg-type]


def test_the_first_has_it_and_the_second_waits(clock: Clock) -> None:
    first, second = two(Kept())
    assert first.renew()
    for _ in range(20):
        assert not second.renew()
        clock.now += 2
        assert first.renew()
    assert not second.held


def test_a_holder_that_is_gone_has_lost_it_before_the_next_one_takes_it(clock: Clock) -> None:
    first, second = two(Kept())
    assert first.renew()
    assert not second.renew()
    while not second.renew():
        clock.now += 1
        assert not (first.held and second.held)
    assert not first.held
    assert not first.renew()


def test_what_is_released_is_taken_at_once(clock: Clock) -> None:  # noqa: ARG001 - stands still
    first, second = two(Kept())
    assert first.renew()
    first.release()
    assert not first.held
    assert second.renew()


def test_a_holder_that_starts_again_is_the_same(clock: Clock) -> None:  # noqa: ARG001 - stands still
    kept = Kept()
    assert Lease(kept, "a").renew()  # type: ignore[arg-type]
    assert Lease(kept, "a").renew()  # type: ignore[arg-type]


def test_an_api_that_is_away_takes_it_only_after_its_time(clock: Clock) -> None:
    kept = Kept()
    first, _ = two(kept)
    assert first.renew()
    kept.away = True
    clock.now += lease.COUNTED - 1
    assert first.renew()
    clock.now += 2
    assert not first.renew()
    kept.away = False
    assert first.renew()


def test_what_is_counted_on_is_over_before_another_may_take_it() -> None:
    from kfpkit.warm import metadata

    assert lease.COUNTED + metadata.WRITE < lease.DURATION
