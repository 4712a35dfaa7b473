"""The Secrets of an installation: made once with random values, kept ever after."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError, KitError, join_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kfpkit.kfp.target import Target
    from kfpkit.kube.render import Document


@dataclass(frozen=True)
class Made:
    """A Secret the kit may make, since what it opens is installed along with it."""

    #: Random bytes of each key; written as hexadecimal digits, for they pass through SQL.
    sizes: Mapping[str, int]
    #: The StatefulSet that takes the values from the Secret. Where an overlay has a store of
    #: another owner instead, its values are that owner's, and nothing can be made up.
    store: str
    #: Whether the store's volume can be opened only with the values it began with.
    tied: bool = False


MADE = {
    "database-password": Made({"password": 24, "root-password": 24}, "database", tied=True),
    "mlpipeline-minio-artifact": Made({"accesskey": 10, "secretkey": 24}, "object-store"),
}


def needed(documents: list[Document]) -> dict[str, set[str]]:
    """Return the keys of each Secret that pods of a render cannot start without."""
    found: dict[str, set[str]] = {}
    for reference in _references(documents):
        if not reference.get("optional"):
            found.setdefault(reference["name"], set()).add(reference["key"])
    return found


def missing(target: Target) -> dict[str, dict[str, str]]:
    """Return random values for each Secret that is needed and not there.

    Raises:
        BadInputError: A Secret is not there and cannot be made up, or lacks a key.
    """
    there: dict[str, set[str]] = {}
    volumes: set[str] = set()
    if target.has_namespace():
        for item in target.items(["secrets", "persistentvolumeclaims"]):
            name = item["metadata"]["name"]
            if item["kind"] == "Secret":
                there[name] = set(item.get("data", {}))
            else:
                volumes.add(name)
    return {
        name: _values(name, target, volumes)
        for name, keys in needed(target.documents).items()
        if not _is_there(name, keys, there, target)
    }


def read(target: Target, name: str) -> dict[str, str]:
    """Return the values of a Secret, none if it is not there."""
    said = target.query("get", "secret", name, "--ignore-not-found", "--output=json").stdout.strip()
    data: dict[str, str] = (json.loads(said).get("data") or {}) if said else {}
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def opening(target: Target, name: str, *keys: str) -> list[str]:
    """Return the values of a Secret that something cannot be opened without.

    Raises:
        KitError: It is not there, or lacks a key.
    """
    values = read(target, name)
    lacking = [key for key in keys if key not in values]
    if lacking:
        raise KitError(
            f"there is no Secret {name} in {target.namespace}, or it has no {join_names(lacking)}",
            target.line("get", "secrets"),
        )
    return [values[key] for key in keys]


def new(name: str) -> dict[str, str]:
    """Return random values for a Secret that the kit may make."""
    return {key: secrets.token_hex(size) for key, size in MADE[name].sizes.items()}


def manifest(name: str, values: Mapping[str, str], kind: str = "Opaque") -> str:
    """Return a Secret as JSON, for kubectl's standard input."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": kind,
            "stringData": values,
        }
    )


def _is_there(name: str, keys: set[str], there: Mapping[str, set[str]], target: Target) -> bool:
    if name not in there:
        return False
    lacking = keys - there[name]
    if lacking:
        raise BadInputError(
            f"the Secret {name} in {target.namespace} has no {', '.join(sorted(lacking))}",
            f"Add it with `{target.line('edit', 'secret', name)}`",
        )
    return True


def _values(name: str, target: Target, volumes: set[str]) -> dict[str, str]:
    made = MADE.get(name)
    stores = {d["metadata"]["name"] for d in target.documents if d["kind"] == "StatefulSet"}
    if made is None or made.store not in stores:
        keys = [f"--from-file={key}=FILE" for key in sorted(needed(target.documents)[name])]
        make = target.line("create", "secret", "generic", name, *keys)
        raise BadInputError(
            f"the overlay needs the Secret {name} in {target.namespace}, "
            "and only you know its values",
            f"Make it with `{make}`",
        )
    kept = sorted(v for v in volumes if v.endswith(f"-{made.store}-0"))
    if made.tied and kept:
        raise BadInputError(
            f"the volume {kept[0]} is there and the Secret {name} that opens it is not",
            "Put the Secret back, or give the data up: "
            f"`{target.line('delete', 'persistentvolumeclaim', kept[0])}`",
        )
    return new(name)


def _references(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every `secretKeyRef` at any depth."""
    if isinstance(value, list):
        for element in value:
            yield from _references(element)
    elif isinstance(value, dict):
        for key, element in value.items():
            if key == "secretKeyRef":
                yield element
            else:
                yield from _references(element)
