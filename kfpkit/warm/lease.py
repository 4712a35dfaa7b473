"""Which replica drives: the one that holds the Lease `warm-driver`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.warm import api

if TYPE_CHECKING:
    from kfpkit.warm.api import Api

NAME = "warm-driver"

#: Seconds after which a Lease that nobody renews may be taken.
DURATION = 12

#: Seconds that its holder counts on it; less, for the moment between looking and acting.
COUNTED = 8

#: Seconds between two renewals.
EVERY = 2


class Lease:
    """A Lease of coordination.k8s.io that one holder at a time has.

    Clocks of two machines are not compared: a waiting replica takes the Lease when it has seen it
    unchanged for as long as it lasts.

    Args:
        kubernetes: Where the Lease is.
        holder: The pod's name. A container that starts again in its pod is the same holder: the
            one before it has ended.
    """

    def __init__(self, kubernetes: Api, holder: str) -> None:
        self._api = kubernetes
        self._holder = holder
        self._until = 0.0
        #: When the Kubernetes API last said who holds it (monotonic clock).
        self.answered = time.monotonic()
        self._seen: tuple[str, float] = ("", 0.0)

    @property
    def held(self) -> bool:
        """Whether this replica has the Lease now."""
        return time.monotonic() < self._until

    def renew(self) -> bool:
        """Take the Lease if it is free, or keep it; return whether it is held."""
        began = time.monotonic()
        try:
            taken = self._take()
        except requests.RequestException:
            return self.held  # For as long as was counted on, whatever became of the request.
        self.answered = time.monotonic()
        self._until = began + COUNTED if taken else 0.0
        return self.held

    def release(self) -> None:
        """Let the next one take it at once."""
        if not self.held:
            return
        self._until = 0.0
        try:
            lease = self._api.get(api.LEASES, NAME)
            if lease["spec"].get("holderIdentity") == self._holder:
                lease["spec"]["holderIdentity"] = ""
                self._api.replace(api.LEASES, lease)
        except requests.RequestException:
            pass  # It runs out by itself.

    def _take(self) -> bool:
        try:
            lease = self._api.get(api.LEASES, NAME)
        except requests.RequestException as error:
            if not api.refused(error, 404):
                raise
            kind = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            lease = {**kind, "metadata": {"name": NAME}, "spec": {}}
        spec: dict[str, Any] = lease.setdefault("spec", {})
        if spec.get("holderIdentity") not in (None, "", self._holder) and not self._over(lease):
            return False
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if spec.get("holderIdentity") != self._holder:
            spec["acquireTime"] = now
        spec |= {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": DURATION,
            "renewTime": now,
        }
        try:
            if "resourceVersion" in lease["metadata"]:
                self._api.replace(api.LEASES, lease)
            else:
                self._api.create(api.LEASES, lease)
        except requests.RequestException as error:
            if api.refused(error, 409):  # another one was faster
                return False
            raise
        return True

    def _over(self, lease: dict[str, Any]) -> bool:
        version = lease["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, time.monotonic())
        return time.monotonic() - self._seen[1] > DURATION
