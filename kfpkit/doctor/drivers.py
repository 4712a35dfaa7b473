"""The check of the warm driver: Kubernetes itself says nothing where a webhook is passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfpkit.core.findings import Finding, ok, skipped, warning
from kfpkit.kfp import webhook
from kfpkit.kfp.workflow import ANNOTATION
from kfpkit.kube import health
from kfpkit.warm.api import ENDED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target


def drivers(target: Target) -> Iterator[Finding]:
    """Drivers have no pods, where the overlay has the warm driver."""
    known = webhook.configured(target)
    if not webhook.wanted(target.documents):
        if known:
            said = "the overlay has no warm driver, and the cluster has its webhook"
            yield warning(said, webhook.AGAIN)
        for name in _waiting(target):
            yield warning(
                f"the run of {name} began with the warm driver, and waits for it",
                "Terminate it, and clone it in the web UI",
            )
        yield skipped("the overlay has no warm driver: each driver has a pod")
        return
    found = list(webhook.troubles(target))
    yield from found
    newest = _newest(target, known) if known else None
    if newest is None:
        if not found:
            yield ok("its webhook, certificate and pod are there; no run has begun since they are")
        return
    name, began = newest["metadata"]["name"], newest["metadata"]["creationTimestamp"]
    if ANNOTATION in newest["metadata"].get("annotations", {}):
        yield ok(f"drivers of the newest run, {name}, have no pods")
    elif not found:
        yield warning(
            f"drivers of the newest run, {name}, of {began}, have pods, and all looks well here: "
            f"the pod of {webhook.NAME} was away then, or the Kubernetes API does not reach its "
            "port 8443",
            target.line("logs", f"deployment/{webhook.NAME}", "--tail=50"),
        )


def _newest(target: Target, known: dict[str, Any]) -> dict[str, Any] | None:
    """Return the newest Workflow of a run that was made since the webhook is as it is."""
    made = known["metadata"]
    since = max([made["creationTimestamp"], *(n["time"] for n in made.get("managedFields", []))])
    found = [
        workflow
        for workflow in target.items([health.WORKFLOWS], "--selector", health.RUN)
        if workflow["metadata"]["creationTimestamp"] > since
    ]
    return max(found, key=lambda item: item["metadata"]["creationTimestamp"], default=None)


def _waiting(target: Target) -> list[str]:
    """Return the Workflows under way whose drivers have no pods."""
    return [
        str(workflow["metadata"]["name"])
        for workflow in target.items([health.WORKFLOWS], f"--selector={ENDED}!=true")
        if ANNOTATION in workflow["metadata"].get("annotations", {})
    ]
