"""The webhook's certificate and configuration, brought to what an overlay says."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import CommandError
from kfpkit.kfp import secrets, webhook

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

#: What `kubectl rollout restart` and the like take.
DEPLOYMENT = f"deployment/{webhook.NAME}"


def certify(target: Target, *, renew: bool = False) -> tuple[str, bool]:
    """Return the certificate, made anew where it does not fit or ends within a year.

    Args:
        target: Which installation; its namespace is there.
        renew: Make it anew in any case.

    Returns:
        The certificate, empty where the overlay has no warm driver; and whether there are pods
        that began with another one.
    """
    if not webhook.wanted(target.documents):
        return "", False
    values = secrets.read(target, webhook.SECRET) if target.has_namespace() else {}
    why = webhook.fault_of(values, target.namespace, webhook.LEFT)
    if not why and not renew:
        return values[webhook.CRT], False
    console.say(f"a new certificate for the webhook{f': {why}' if why else ''}")
    new = webhook.certificate(target.namespace)
    if values:
        patch = json.dumps({"stringData": new})
        argv = ("patch", "secret", webhook.SECRET, "--patch-file", "/dev/stdin")
        target.run(*argv, stdin=patch)
    else:
        made = secrets.manifest(webhook.SECRET, new, "kubernetes.io/tls")
        target.run("create", "--filename", "-", stdin=made)
    there = ("get", DEPLOYMENT, "--ignore-not-found", "--output=name")
    return new[webhook.CRT], bool(target.query(*there, check=False).stdout.strip())


def connect(target: Target, crt: str) -> None:
    """Have the Kubernetes API ask the webhook, or no longer where there is no certificate."""
    if not crt:
        disconnect(target)
        return
    argv = [target.kubectl, "--context", target.context, "apply", "--server-side"]
    text = webhook.configuration(target.namespace, crt)
    process.run(
        [*argv, "--filename", "-"],
        stdin=text,
        do="Without the right to make it, take the option warm-driver out of the overlay",
    )


def disconnect(target: Target) -> None:
    """Have the Kubernetes API ask the webhook no longer, if it does."""
    there = process.dry_run() and webhook.wanted(target.documents)
    with contextlib.suppress(CommandError):  # Who may not look has made none.
        there = there or bool(webhook.configured(target))
    if there:
        name = webhook.configuration_name(target.namespace)
        argv = [target.kubectl, "--context", target.context, "delete", webhook.KIND, name]
        process.run([*argv, "--ignore-not-found"])
