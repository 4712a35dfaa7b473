"""Reaching the Services of an installation, and its object store with its own credentials."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from kfpkit import process
from kfpkit.errors import KitError
from kfpkit.install import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import S3Store

    from kfpkit.install.target import Target

SERVICE = forward.Service("minio-service", 9000, "the object store")

#: Name that KFP's own code knows the credentials by.
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a name


@dataclass(frozen=True)
class Place:
    """Where an installation keeps its objects."""

    address: str
    secure: bool
    region: str
    bucket: str
    #: Whether the store is part of the installation.
    own: bool


def place(target: Target) -> Place:
    """Return where the overlay says that the objects are."""
    said: dict[str, str] = next(
        d["data"]
        for d in target.documents
        if d["kind"] == "ConfigMap" and {"host", "bucket"} <= d.get("data", {}).keys()
    )
    own = any(
        d["kind"] == "StatefulSet" and d["metadata"]["name"] == "object-store"
        for d in target.documents
    )
    address = f"{said['host']}:{said['port']}"
    return Place(address, said["secure"] == "true", said["region"], said["bucket"], own)


@contextmanager
def service(target: Target, which: forward.Service) -> Iterator[str]:
    """Forward to a Service as `forward.opened` does; fail at once where no pod is behind it.

    Raises:
        KitError: No pod behind it is ready, or it cannot be reached.
    """
    argv = ["get", "endpointslices", f"--selector=kubernetes.io/service-name={which.name}"]
    found = json.loads(target.query(*argv, "--output=json").stdout)["items"]
    ends = [end for piece in found for end in piece.get("endpoints") or []]
    if not any(end.get("conditions", {}).get("ready") for end in ends):
        raise KitError(
            f"no ready pod is behind the Service {which.name}",
            process.line(target.argv("describe", "service", which.name)),
        )
    with forward.opened(target, which) as address:
        yield address


@contextmanager
def store(target: Target) -> Iterator[S3Store]:
    """Open the bucket for the length of a `with` block; through a port if it is in the cluster.

    Raises:
        KitError: The Secret is not there, or the Service cannot be reached.
    """
    where = place(target)
    key, secret = credentials(target)
    if not where.own:
        scheme = "https" if where.secure else "http"
        yield _store(where, f"{scheme}://{where.address}", key, secret)
        return
    with service(target, SERVICE) as address:
        yield _store(where, f"http://{address}", key, secret)


def credentials(target: Target) -> tuple[str, str]:
    """Return access key and secret key.

    Raises:
        KitError: There is no such Secret, or it lacks a key.
    """
    found = target.query("get", "secret", SECRET, "--ignore-not-found", "--output=json").stdout
    data: dict[str, Any] = json.loads(found or "{}").get("data", {})
    try:
        key, secret = (base64.b64decode(data[name]).decode() for name in ("accesskey", "secretkey"))
    except KeyError as lacking:
        raise KitError(
            f"the Secret {SECRET} with the object store's credentials has no {lacking}",
            f"kubectl --context {target.context} --namespace {target.namespace} get secrets",
        ) from None
    return key, secret


def _store(where: Place, endpoint: str, key: str, secret: str) -> S3Store:
    from obstore.store import S3Store

    return S3Store(
        where.bucket,
        endpoint=endpoint,
        region=where.region,
        access_key_id=key,
        secret_access_key=secret,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=15)},
        retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=15)},
    )
