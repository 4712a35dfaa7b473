"""Object stores: that of an installation, and those that its runs wrote to, inside or outside.

That of an installation is reached through its S3 interface and with its own credentials; those of
runs by the URI of an object, and by what KFP's launcher wrote down of the way there.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import ExitStack, contextmanager, nullcontext
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
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from kfpkit.kfp.target import Target

#: Name that KFP's own code knows the credentials by.
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a name

#: Bytes of the parts in which an object is fetched.
CHUNK = 4 * 1024 * 1024

#: What is needed to reach a store, as KFP's launcher writes it down: `endpoint`, `region`,
#: `disableSSL`, `secretName` and the Secret's two keys. Empty for a store that knows its user.
Access = dict[str, str]

#: Scheme, bucket and key of a URI, as KFP's launcher reads it: a key may have a `#` in it.
_URI = re.compile(r"(?P<scheme>[a-z][a-z0-9]*)://(?P<bucket>[^/?]+)/?(?P<key>[^?]*)")


@dataclass(frozen=True)
class Place:
    """Where an installation keeps its objects."""

    host: str
    port: int
    secure: bool
    region: str
    bucket: str
    #: The Service that leads there; none where the store is not part of the installation.
    service: forward.Service | None

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"


def place(target: Target) -> Place:
    """Return where the overlay says that the objects are.

    Raises:
        KitError: It does not say.
    """
    for document in target.documents:
        data: dict[str, str] = document.get("data", {})
        if document["kind"] == "ConfigMap" and {"bucket", "region"} <= data.keys():
            break
    else:
        raise KitError(f"the overlay {target.overlay} has no ConfigMap that names its bucket")
    host, port = data["host"], int(data["port"])
    services = {d["metadata"]["name"] for d in target.documents if d["kind"] == "Service"}
    service = forward.Service(host, port, "the object store") if host in services else None
    return Place(host, port, data["secure"] == "true", data["region"], data["bucket"], service)


@contextmanager
def opened(target: Target, *, seconds: int = 1800, retries: int = 5) -> Iterator[S3Store]:
    """Reach the object store for the length of a `with` block.

    Args:
        target: Whose store; from outside the cluster one inside it is reached through a port.
        seconds: That a request may take.
        retries: How often one is sent again.

    Raises:
        KitError: There are no credentials, or the store cannot be reached.
    """
    where = place(target)
    access, secret = secrets.opening(target, SECRET, "accesskey", "secretkey")
    within = forward.opened(target, where.service) if where.service else None
    with within or nullcontext(where.address) as address:
        yield _s3(
            where.bucket,
            seconds,
            retries,
            region=where.region,
            endpoint=f"{'https' if where.secure else 'http'}://{address}",
            access_key_id=access,
            secret_access_key=secret,
        )


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn what a store refuses during a `with` block into one line.

    Raises:
        KitError: The store cannot be reached, has no such object, or refuses.
    """
    try:
        yield
    except (BaseError, FileNotFoundError) as error:
        first, *rest = str(error).strip().splitlines()
        # S3's own answer, an XML document, is in one of the further lines.
        code = re.search(r"<Code>(\w+)</Code>", "".join(rest))
        why = f"{code[1]}: {first}" if code else first
        clocks = "make doctor looks at the clocks" if code and "Skewed" in code[1] else ""
        raise KitError(f"the object store refuses {what}: {why}", clocks) from error


@dataclass(frozen=True)
class Listing:
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
        self._exits = ExitStack()
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

    def find(self, uri: str, access: Access) -> Listing | None:
        """Return what is at a URI; None if nothing is.

        Raises:
            KitError: The store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        with refusals(uri):
            try:
                return Listing(obstore.head(store, key)["size"], [key], folder=False)
            except FileNotFoundError:
                items = [item for page in obstore.list(store, prefix=key) for item in page]
        if not items:
            return None
        paths = sorted(item["path"] for item in items)
        return Listing(sum(item["size"] for item in items), paths, folder=True)

    def fetch(self, uri: str, access: Access, listing: Listing, to: Path) -> None:
        """Write what `find` found to a file, or to a folder where it is one.

        Raises:
            KitError: The store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        for one in listing.keys:
            path = to / one[len(key) :].lstrip("/") if listing.folder else to
            if not path.resolve().is_relative_to(to.resolve()):
                raise KitError(f"{uri} has an object whose name leads out of it: {one}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with refusals(uri), path.open("wb") as file:
                for part in obstore.get(store, one).stream(min_chunk_size=CHUNK):
                    file.write(bytes(part))

    def read(self, uri: str, access: Access) -> str:
        """Return one object as text.

        Raises:
            KitError: There is no such object, or the store cannot be reached, or refuses.
        """
        store, key = self._open(uri, access)
        with refusals(uri):
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
        return _s3(bucket, **options)

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
    parts = _URI.match(uri)
    return f"{parts['scheme']}://{parts['bucket']}" if parts else ""


def _s3(bucket: str, seconds: int = 600, retries: int = 5, **options: Any) -> S3Store:
    """Return a store whose requests take so many seconds at most, and are sent again so often."""
    return S3Store(
        bucket,
        **options,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "timeout": timedelta(seconds=seconds)},
        retry_config={
            "max_retries": retries,
            "retry_timeout": timedelta(seconds=min(seconds, 120)),
        },
    )
