"""The object store of an installation, through its S3 interface and with its own credentials."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.store import S3Store

from kfpkit.core.errors import KitError
from kfpkit.kfp import secrets
from kfpkit.kube import forward

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target

#: Name that KFP's own code knows the credentials by.
SECRET = "mlpipeline-minio-artifact"  # noqa: S105 - a name


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
        said: dict[str, str] = document.get("data", {})
        if document["kind"] == "ConfigMap" and {"bucket", "region"} <= said.keys():
            break
    else:
        raise KitError(f"the overlay {target.overlay} has no ConfigMap that names its bucket")
    host, port = said["host"], int(said["port"])
    services = {d["metadata"]["name"] for d in target.documents if d["kind"] == "Service"}
    service = forward.Service(host, port, "the object store") if host in services else None
    return Place(host, port, said["secure"] == "true", said["region"], said["bucket"], service)


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
        yield S3Store(
            where.bucket,
            region=where.region,
            endpoint=f"{'https' if where.secure else 'http'}://{address}",
            access_key_id=access,
            secret_access_key=secret,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": timedelta(seconds=seconds)},
            retry_config={
                "max_retries": retries,
                "retry_timeout": timedelta(seconds=min(seconds, 120)),
            },
        )
