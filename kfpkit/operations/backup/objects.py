"""The objects of an installation: listed, copied out and back, removed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import obstore

from kfpkit.core.errors import KitError
from kfpkit.kfp.object_store import refusals
from kfpkit.operations.backup.manifest import CHUNK, StoredObject, blob, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from obstore.store import ObjectStore

#: Objects copied at the same time.
WORKERS = 8

#: Objects deleted by one request; S3 takes a thousand.
DELETED = 1000

#: Metadata of an object that was put back: its SHA-256.
NOTED = "kfpkit-sha256"

#: Begins the name of a file that is not whole yet.
PART = ".part-"

Value = TypeVar("Value")


def keys(uri: str, bucket: str) -> list[str]:
    """Return the keys that a URI may name in a bucket; none for one of elsewhere.

    What follows a `?` says how the store is reached (`minio://bucket/key?region=x`), or belongs to
    the name that a task gave its file: then there are two. `#` and `%20` stand for themselves, as
    KFP takes the rest of a URI as it is (`KeyFromURI` of its `objectstore`).
    """
    _, _, place = uri.partition("://")
    name, _, key = place.partition("/")
    if name != bucket:
        return []
    ways = (key.strip("/"), key.partition("?")[0].strip("/"))
    return [way for way in dict.fromkeys(ways) if way]


def listed(store: ObjectStore) -> dict[str, tuple[str, int]]:
    """Return ETag and size in bytes of every object."""
    with refusals("the list of objects"):
        return {
            item["path"]: (item["e_tag"] or "", item["size"])
            for page in obstore.list(store, chunk_size=1000)
            for item in page
        }


def fetch(
    store: ObjectStore, objects: Path, known: Mapping[str, StoredObject]
) -> tuple[dict[str, StoredObject], int]:
    """Copy all objects that an earlier backup does not have.

    Args:
        store: Where they are.
        objects: The folder that holds each content once.
        known: Artifacts of an earlier backup in the same folder.

    Returns:
        All artifacts by key, and how many bytes were copied.
    """
    copied: list[int] = []

    def one(key: str, etag: str, size: int) -> StoredObject:
        before = known.get(key)
        if before and etag and (before.etag, before.size) == (etag, size):
            there = blob(objects, before.sha256)
            if there.is_file() and there.stat().st_size == size:
                return before
        part = objects / f"{PART}{hashlib.sha256(key.encode()).hexdigest()}"
        with refusals(key), part.open("wb") as file:
            got = obstore.get(store, key)
            for chunk in got.stream(min_chunk_size=CHUNK):
                file.write(bytes(chunk))
        stored = digest(part)
        if stored.size != got.meta["size"]:
            raise KitError(f"{key} ended after {stored.size} of {got.meta['size']} bytes")
        to = blob(objects, stored.sha256)
        to.parent.mkdir(exist_ok=True)
        part.rename(to)
        copied.append(stored.size)
        media = str(got.attributes.get("Content-Type", ""))
        return StoredObject(stored.sha256, stored.size, got.meta["e_tag"] or "", media)

    objects.mkdir(parents=True, mode=0o700, exist_ok=True)
    for left in objects.glob(f"{PART}*"):  # By a backup that was killed.
        left.unlink()
    there = listed(store)
    artifacts = _each(there, lambda key: one(key, *there[key]))
    return artifacts, sum(copied)


def put(store: ObjectStore, objects: Path, artifacts: Mapping[str, StoredObject]) -> int:
    """Copy artifacts back that the store does not have with the same content.

    Returns:
        How many were copied.
    """
    there = listed(store)

    def same(key: str) -> bool:
        wanted, (etag, size) = artifacts[key], there.get(key, ("", -1))
        if size != wanted.size or (etag and etag == wanted.etag):
            return size == wanted.size
        # What is uploaded in parts gets an ETag of their sizes: ask what was noted on it.
        with refusals(key):
            return obstore.get(store, key).attributes.get(NOTED) == wanted.sha256

    def one(key: str) -> None:
        attributes: Any = {NOTED: artifacts[key].sha256}
        if artifacts[key].type:
            attributes["Content-Type"] = artifacts[key].type
        with refusals(key):
            obstore.put(store, key, blob(objects, artifacts[key].sha256), attributes=attributes)

    missing = [key for key, done in _each(artifacts, same).items() if not done]
    _each(missing, one)
    after = listed(store)
    wrong = [key for key, a in artifacts.items() if after.get(key, ("", -1))[1] != a.size]
    if wrong:
        raise KitError(f"{len(wrong)} objects did not arrive, among them {wrong[0]}", "Try again")
    return len(missing)


def remove(store: ObjectStore, keys: Iterable[str]) -> None:
    """Delete objects."""
    names = list(keys)
    for first in range(0, len(names), DELETED):
        with refusals("to delete objects"):
            obstore.delete(store, names[first : first + DELETED])


def hashes(store: ObjectStore) -> dict[str, str]:
    """Return the SHA-256 of every object, having read all of them."""
    return _each(listed(store), lambda key: sha256(store, key))


def sha256(store: ObjectStore, key: str) -> str:
    """Return the SHA-256 of an object, having read it."""
    found = hashlib.sha256()
    with refusals(key):
        for chunk in obstore.get(store, key).stream(min_chunk_size=CHUNK):
            found.update(bytes(chunk))
    return found.hexdigest()


def _each(keys: Iterable[str], do: Callable[[str], Value]) -> dict[str, Value]:
    names = list(keys)
    with ThreadPoolExecutor(WORKERS) as pool:
        return dict(zip(names, pool.map(do, names), strict=True))
