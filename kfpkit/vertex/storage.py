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


#: The most objects of one artifact that are looked at.
OBJECTS = 1000


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
            KitError: Cloud Storage does not answer, or refuses; or there are too many objects.
        """
        bucket, key = self._parts(uri)
        with client.answers(self._target, uri):
            if one := self._open().bucket(bucket).get_blob(key):
                return Listing(one.size, [key], folder=False)
            found = self._open().list_blobs(bucket, prefix=f"{key}/", max_results=OBJECTS + 1)
            sizes = {blob.name: blob.size for blob in found}
        if len(sizes) > OBJECTS:
            raise KitError(f"{uri} stays where it is: more than {OBJECTS:,} objects")
        return Listing(sum(sizes.values()), sorted(sizes), folder=True) if sizes else None

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
        key = uri.removeprefix(bucket).strip("/")
        if not key:
            raise KitError(f"{uri} is a whole bucket, which stays where it is")
        return bucket.removeprefix("gs://"), key
