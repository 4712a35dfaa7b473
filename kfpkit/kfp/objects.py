"""Reading what a run left in its object store, in the cluster or outside."""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import obstore
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from kfpkit.core.errors import KitError
from kfpkit.kfp import secrets
from kfpkit.kube import forward

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from kfpkit.kfp.target import Target

#: Bytes of the parts in which an object is fetched.
CHUNK = 4 * 1024 * 1024

#: What is needed to reach a store, as KFP's launcher writes it down: `endpoint`, `region`,
#: `disableSSL`, `secretName` and the Secret's two keys. Empty for a store that knows its user.
Access = dict[str, str]

#: Scheme, bucket and key of a URI, as KFP's launcher reads it: a key may have a `#` in it.
_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)://(?P<bucket>[^/?]+)/?(?P<key>[^?]*)")


@dataclass(frozen=True)
class Found:
    """What is at a URI.

    Attributes:
        size: Bytes of all its objects.
        keys: Their keys.
        folder: Whether the URI is that of a folder of them.
    """

    size: int
    keys: list[str]
    folder: bool


class Objects:
    """Reads objects by their URI; opens a port to a store inside the cluster when first needed.

    To be used in a `with` block, at whose end the ports are closed.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._exits = contextlib.ExitStack()
        self._stores: dict[tuple[str, str], S3Store | GCSStore] = {}
        self._endpoints: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._exits.close()

    def find(self, uri: str, access: Access) -> Found | None:
        """Return what is at a URI; None if nothing is.

        Raises:
            KitError: The store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        with _refusals(uri):
            try:
                there = obstore.head(store, key)
                return Found(there["size"], [key], folder=False)
            except FileNotFoundError:
                listed = [item for page in obstore.list(store, prefix=key) for item in page]
        if not listed:
            return None
        paths = sorted(item["path"] for item in listed)
        return Found(sum(item["size"] for item in listed), paths, folder=True)

    def fetch(self, uri: str, access: Access, found: Found, to: Path) -> None:
        """Write what `find` found to a file, or to a folder where it is one.

        Raises:
            KitError: The store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        for one in found.keys:
            path = to / one[len(key) :].lstrip("/") if found.folder else to
            if not path.resolve().is_relative_to(to.resolve()):
                raise KitError(f"{uri} has an object whose name leads out of it: {one}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with _refusals(uri), path.open("wb") as file:
                for part in obstore.get(store, one).stream(min_chunk_size=CHUNK):
                    file.write(bytes(part))

    def read(self, uri: str, access: Access) -> str:
        """Return one object as text.

        Raises:
            KitError: There is no such object, or the store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        with _refusals(uri):
            return bytes(obstore.get(store, key).bytes()).decode(errors="replace")

    def _open(self, uri: str, access: Access) -> tuple[S3Store | GCSStore, str]:
        parts = _URI.match(uri)
        if not parts:
            raise KitError(f"{uri} is no URI of an object store")
        place = (bucket_of(uri), json.dumps(access, sort_keys=True))
        if place not in self._stores:
            self._stores[place] = self._store(parts["scheme"], parts["bucket"], access)
        return self._stores[place], parts["key"]

    def _store(self, scheme: str, bucket: str, access: Access) -> S3Store | GCSStore:
        if scheme == "gs":
            return GCSStore(bucket)
        if scheme not in ("minio", "s3"):
            raise KitError(f"a store of the kind {scheme}:// cannot be read from here")
        options: dict[str, Any] = {"region": access.get("region") or "us-east-1"}
        secret = access.get("secretName", "")
        if not secret and "AWS_ACCESS_KEY_ID" not in os.environ:
            # Without keys the client would ask for those of an Amazon machine, and wait long.
            raise KitError(
                f"{scheme}://{bucket} cannot be read from here: KFP names no Secret for it, which "
                "leaves it to the rights of the pods",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to read it as yourself",
            )
        if secret:
            keys = (access.get("accessKeyKey", ""), access.get("secretKeyKey", ""))
            values = secrets.opening(self._target, secret, *keys)
            options["access_key_id"], options["secret_access_key"] = values
        endpoint = access.get("endpoint", "")
        if endpoint:
            plain = access.get("disableSSL", "").lower() == "true"
            options["endpoint"] = f"http{'' if plain else 's'}://{self._reach(endpoint)}"
        return S3Store(
            bucket,
            **options,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": timedelta(minutes=10)},
            retry_config={"max_retries": 5, "retry_timeout": timedelta(seconds=60)},
        )

    def _reach(self, endpoint: str) -> str:
        """Return where an endpoint answers from here: a Service, on a port that leads to it."""
        if endpoint not in self._endpoints:
            host, _, port = endpoint.removeprefix("http://").partition(":")
            name, _, domain = host.partition(".")
            inside = not domain or domain.split(".")[0] == self._target.namespace
            if inside:
                service = forward.Service(name, int(port or 80), "the object store")
                opened = forward.opened(self._target, service)
                self._endpoints[endpoint] = self._exits.enter_context(opened)
            else:
                self._endpoints[endpoint] = endpoint
        return self._endpoints[endpoint]


def bucket_of(uri: str) -> str:
    """Return the bucket of a URI with its scheme, `s3://bucket`; empty where it has none."""
    found = _URI.match(uri)
    return f"{found['scheme']}://{found['bucket']}" if found else ""


@contextlib.contextmanager
def _refusals(uri: str) -> Any:
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        first = str(error).strip().splitlines()[0]
        raise KitError(f"{uri} cannot be read: {first}") from error
