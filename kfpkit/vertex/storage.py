"""Cloud Storage, with the credentials that Vertex AI is asked with."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp.object_store import Listing, bucket_of
from kfpkit.vertex import client

if TYPE_CHECKING:
    from pathlib import Path

    from kfpkit.kfp.targets_file import Vertex


class Storage:
    """Reads objects by their URI, `gs://bucket/key`."""

    def __init__(self, target: Vertex) -> None:
        self._target = target
        self._client: Any = None

    def require_bucket(self) -> None:
        """Refuse a pipeline root whose bucket is not there: Google's client would make it.

        Raises:
            BadInputError: It is not there.
            KitError: Cloud Storage does not answer.
        """
        from google.api_core.exceptions import Forbidden

        name = bucket_of(self._target.pipeline_root).removeprefix("gs://")
        with client.answers(self._target, f"the bucket {name}"):
            try:
                there = self._open().lookup_bucket(name) is not None
            except Forbidden:  # a right that runs do without
                there = True
        if not there:
            raise BadInputError(
                f"there is no bucket {name}, which pipeline_root of [{self._target.name}] names",
                f"Make it: gcloud storage buckets create gs://{name} "
                f"--project={self._target.project} --location={self._target.location}",
            )

    def find(self, uri: str) -> Listing | None:
        """Return what is at a URI; None if nothing is.

        Raises:
            KitError: Cloud Storage does not answer, or refuses.
        """
        bucket, key = self._parts(uri)
        with client.answers(self._target, uri):
            found = self._open().list_blobs(bucket, prefix=key)
            sizes = {
                blob.name: blob.size for blob in found if f"{blob.name}/".startswith(f"{key}/")
            }
        if not sizes:
            return None
        folder = key not in sizes
        keys = sorted(sizes) if folder else [key]
        return Listing(sum(sizes[one] for one in keys), keys, folder=folder)

    def fetch(self, uri: str, listing: Listing, to: Path) -> None:
        """Write what `find` found to a file, or to a folder where it is one.

        Raises:
            KitError: Cloud Storage does not answer, or refuses.
        """
        bucket, key = self._parts(uri)
        for one in listing.keys:
            path = to / one[len(key) :].lstrip("/") if listing.folder else to
            if not path.resolve().is_relative_to(to.resolve()):
                raise KitError(f"{uri} has an object whose name leads out of it: {one}")
            if one.endswith("/"):  # stands for an empty folder
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with client.answers(self._target, uri):
                self._open().bucket(bucket).blob(one).download_to_filename(str(path))

    def _open(self) -> Any:
        if self._client is None:
            self._client = import_module("google.cloud.storage").Client(
                project=self._target.project, credentials=client.credentials(self._target)
            )
        return self._client

    @staticmethod
    def _parts(uri: str) -> tuple[str, str]:
        bucket = bucket_of(uri)
        if not bucket.startswith("gs://"):
            raise KitError(f"{uri or 'an artifact without URI'} is not in Cloud Storage")
        return bucket.removeprefix("gs://"), uri.removeprefix(bucket).strip("/")
