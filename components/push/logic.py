"""Push an accepted model and its card to a versioned place.

    TO/NAME/versions/VERSION/model            the file; of a folder, the files in it
    TO/NAME/versions/VERSION/model_card.md
    TO/NAME/versions/VERSION/manifest.json    written last: without it there is no such version
    TO/NAME/latest.json                       the version that was pushed last

A version is named by its content. So to push one again writes nothing but the pointer, and two
pushes at a time cannot mix their files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    GenericError,
    PreconditionError,
)
from obstore.store import GCSStore, LocalStore, S3Store

from components.check_accuracy.logic import check_accuracy
from components.errors import ComponentError
from components.executor_output import Metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obstore import PutMode
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

#: Bytes of the parts that a file is sent in; S3 takes 10,000 parts of an object.
PART = 8 * 2**20
PARTS = 9_000

#: How many parts are in memory at a time.
AT_ONCE = 4

#: How often the pointer is tried to be set while others set it too.
TURNS = 50

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


def push(
    model: Path,
    model_card: Path,
    accuracy: float,
    to: str,
    name: str,
    min_accuracy: float,
    run_id: str,
    endpoint: str,
    uri: Path,
) -> dict[str, Metadata]:
    """Push a model that is good enough.

    Args:
        model: The model, a file or a folder.
        model_card: Its card.
        accuracy: Share of the test data that the model got right, from 0 to 1.
        to: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or an absolute folder.
        name: The model's name.
        min_accuracy: The least accuracy wanted, from 0 to 1; 0 accepts any model.
        run_id: ID of the run.
        endpoint: Address of the store; empty for that of AWS or Google.
        uri: File to write: where the version is.

    Returns:
        Nothing: the component has no output artifact.

    Raises:
        ComponentError: The model is not good enough, a parameter is wrong, or the store refuses.
    """
    began = datetime.now(UTC)
    check_accuracy(accuracy, min_accuracy)
    if not _NAME.fullmatch(name):
        raise ComponentError(
            f"name is {name!r}", "Give at most 100 letters, digits, points, hyphens, underscores"
        )
    try:
        files = _files(model, model_card)
        store = _store(to, endpoint)
        about = {"name": name, "run_id": run_id, "accuracy": accuracy}
        version, latest = publish(store, files, about, began)
    except (BaseError, OSError) as error:
        reason = " ".join(str(error).partition("\n\n")[0].split())[:500]
        raise ComponentError(
            f"the model cannot be pushed to {to}: {reason}",
            "Check the place, the endpoint and the credentials (docs/use/after-the-run.md)",
        ) from None
    place = f"{to.rstrip('/')}/{name}/versions/{version}"
    uri.parent.mkdir(parents=True, exist_ok=True)
    uri.write_text(place, encoding="utf-8")
    beside = "" if latest else "; a later push is the latest"
    print(f"push: {place}{beside}", flush=True)  # noqa: T201 - the task's log
    return {}


def publish(
    store: ObjectStore, files: Mapping[str, Path], about: Mapping[str, Any], began: datetime
) -> tuple[str, bool]:
    """Write a version, where it is not there yet, and let `latest.json` point to it.

    Args:
        store: The place.
        files: What belongs to the version, by key in it.
        about: For the manifest; its `name` is the folder of the versions.
        began: When the push began. A pointer that a later push has set stays.

    Returns:
        The version, and whether the pointer points to it now.

    Raises:
        ComponentError: `latest.json` is none of these.
        BaseError: The store refuses.
    """
    listed = {
        key: {"size": file.stat().st_size, "sha256": _sha256(file)} for key, file in files.items()
    }
    content = json.dumps(listed, sort_keys=True).encode()
    version = hashlib.sha256(content).hexdigest()[:16]
    head = {**about, "version": version, "pushed": f"{began:%Y-%m-%dT%H:%M:%S.%fZ}"}
    folder = f"{about['name']}/versions/{version}"
    manifest = f"{folder}/manifest.json"
    if not _there(store, manifest):
        for key, file in files.items():
            part = part_size(file.stat().st_size)
            obstore.put(store, f"{folder}/{key}", file, chunk_size=part, max_concurrency=AT_ONCE)
        _put(store, manifest, {**head, "files": listed}, "create")
    return version, _point(store, f"{about['name']}/latest.json", {**head, "manifest": manifest})


def part_size(size: int) -> int:
    """Return the bytes of a part in which a file of `size` bytes is sent."""
    return max(PART, -(-size // PARTS))


def _files(model: Path, model_card: Path) -> dict[str, Path]:
    """Return the files of a version by their keys, sorted.

    Raises:
        ComponentError: One is not there or is no file, a link leads into a circle, or the model is
            an empty folder.
        OSError: A folder cannot be read.
    """
    inside = list(_walk(model)) if model.is_dir() else [model]
    files = {(Path("model") / file.relative_to(model)).as_posix(): file for file in inside}
    files["model_card.md"] = model_card
    missing = [str(file) for file in files.values() if not file.is_file()]
    if not inside or missing:
        raise ComponentError(
            f"there is no file at {', '.join(missing) or model}", "Push what a task has written"
        )
    return dict(sorted(files.items()))


def _walk(model: Path) -> Iterator[Path]:
    """Yield all that a folder has at any depth but folders, also behind links.

    Raises:
        ComponentError: A link leads to a folder that it is in.
        OSError: A folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise error

    for name, folders, files in os.walk(model, onerror=refuse, followlinks=True):
        here = Path(name)
        for link in [here / folder for folder in folders if (here / folder).is_symlink()]:
            target = link.resolve()
            if any(above.resolve().is_relative_to(target) for above in link.parents):
                raise ComponentError(
                    f"the link {link} leads to a folder that it is in", "Push a model without it"
                )
        yield from (here / file for file in files)


def _store(to: str, endpoint: str) -> ObjectStore:
    """Return the place; credentials come from the environment, as AWS and Google name them.

    Raises:
        ComponentError: `to` or `endpoint` is no such address.
    """
    if endpoint and not re.fullmatch(r"https?://[^\s@]+", endpoint):
        raise ComponentError(
            "endpoint is no address without a user name", "Give http://HOST:PORT or https://HOST"
        )
    if to.startswith("/"):
        return LocalStore(to, mkdir=True)
    scheme, _, rest = to.partition("://")
    bucket, _, prefix = rest.strip("/").partition("/")
    if scheme not in ("s3", "gs") or not _BUCKET.fullmatch(bucket):
        raise ComponentError(
            "to is no place for models",
            "Give s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or an absolute folder",
        )
    options: ClientConfig = {
        "allow_http": endpoint.startswith("http://"),
        "timeout": timedelta(minutes=10),
    }
    retries: RetryConfig = {"max_retries": 5, "retry_timeout": timedelta(minutes=2)}
    if scheme == "gs":
        elsewhere: dict[str, Any] = {"base_url": endpoint} if endpoint else {}
        return GCSStore(
            bucket, prefix=prefix, client_options=options, retry_config=retries, **elsewhere
        )
    elsewhere = {"endpoint": endpoint} if endpoint else {}
    return S3Store(bucket, prefix=prefix, client_options=options, retry_config=retries, **elsewhere)


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _there(store: ObjectStore, key: str) -> bool:
    try:
        obstore.head(store, key)
    except FileNotFoundError:
        return False
    return True


def _put(store: ObjectStore, key: str, value: Mapping[str, Any], mode: PutMode) -> bool:
    """Write JSON if the condition holds, and return whether it held.

    A store that has no conditions, as a folder has none for a change, writes in any case.
    """
    text = json.dumps(value, indent=1).encode()
    try:
        obstore.put(store, key, text, mode=mode)
    except (AlreadyExistsError, PreconditionError):
        return False
    except NotImplementedError:
        obstore.put(store, key, text)
    except GenericError as error:
        if "NotImplemented" not in str(error):  # S3's word for it, with the answer 501
            raise
        obstore.put(store, key, text)
    return True


def _point(store: ObjectStore, key: str, pointer: Mapping[str, Any]) -> bool:
    """Set the pointer, unless a push that began later has; return whether it is set.

    Raises:
        ComponentError: There is another file of that name, or others never cease to set it.
    """
    for _ in range(TURNS):
        try:
            found = obstore.get(store, key)
        except FileNotFoundError:
            mode: PutMode = "create"
        else:
            meta = found.meta
            try:
                if json.loads(bytes(found.bytes()))["pushed"] > pointer["pushed"]:
                    return False
            except (ValueError, KeyError, TypeError):
                raise ComponentError(
                    f"{key} is not a pointer that push has written", "Give another place or name"
                ) from None
            mode = {"e_tag": meta["e_tag"] or ""}
            if version := meta["version"]:
                mode["version"] = version
        if _put(store, key, pointer, mode):
            return True
    raise ComponentError(f"{key} is changed by others all the time", "Push again")
