"""What is installed, as it was applied: the overlay it came from may have changed since.

Kubernetes notes for each object which of its fields a server-side apply has set. Those fields, with
the values they have, are what was rendered then.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import yaml

from kfpkit.core import process
from kfpkit.kfp.target import Target
from kfpkit.kube import health
from kfpkit.kube.render import MANIFESTS, parse
from kfpkit.operations import installation as lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kfpkit.kube.render import Document

#: The name under which kubectl notes what it has set.
MANAGER = "kubectl"

#: Kinds that hold what is not to be lost, or that other namespaces use too.
KEPT = ("Namespace", "CustomResourceDefinition", "PersistentVolumeClaim", "Secret")


@dataclass(frozen=True)
class Recorded(Target):
    """Objects of a file instead of an overlay's."""

    file: Path
    objects: list[Document]

    @cached_property
    def documents(self) -> list[Document]:
        """The objects of the file."""
        return self.objects

    @property
    def apply(self) -> list[str]:
        """The command that applies the file."""
        base = [self.kubectl, "--context", self.context, "apply", "--server-side"]
        return [*base, "--filename", str(self.file)]

    def write(self) -> Recorded:
        """Write the file, unless this is a dry run."""
        if not process.dry_run():
            self.file.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            text = yaml.safe_dump_all(self.objects, sort_keys=False)
            self.file.write_text(text, encoding="utf-8")
        return self


def record(
    target: Target, documents: list[Document], pods: Mapping[str, int], file: Path
) -> Recorded:
    """Return a target with these objects, some Deployments with another number of pods.

    Args:
        target: Where they belong.
        documents: The objects.
        pods: How many pods a Deployment is to have, by its name.
        file: Where `Recorded.write` puts them.
    """
    objects = copy.deepcopy(documents)
    for item in objects:
        name = item["metadata"]["name"]
        if item["kind"] == "Deployment" and name in pods:
            item["spec"]["replicas"] = pods[name]
    where = (target.overlay, target.context, target.kubectl)
    return Recorded(*where, file, objects, kind=target.kind, image_prefix=target.image_prefix)


def applied(target: Target) -> list[Document]:
    """Return the objects of an installation as they were applied.

    Those are what manifests/ and the overlay name; somebody else's in the namespace are not.

    Raises:
        CommandError: The cluster does not answer or refuses.
    """
    names = {_name(d) for d in target.documents} | own()
    kinds = {kind for kind, _ in names}
    rows = target.query("api-resources", "--verbs=list,patch", "--no-headers").stdout.splitlines()
    served = [
        f"{plural}.{group}" if slash else plural
        for plural, *_, version, _, kind in map(str.split, rows)
        for group, slash, _ in [version.partition("/")]
        if kind in kinds
    ]
    label, _, value = health.OWNED.partition("=")
    return [
        rendered
        for item in target.items(sorted(served), "--show-managed-fields")
        if _name(item) in names or item["metadata"].get("labels", {}).get(label) == value
        if item["kind"] != "Namespace" or item["metadata"]["name"] == target.namespace
        if (rendered := as_applied(item))
    ]


@cache
def own() -> set[tuple[str, str]]:
    """Return kind and name of every object that a file of manifests/ has."""
    found = [d for file in MANIFESTS.rglob("*.yaml") for d in parse(file.read_text())]
    return {_name(d) for d in found if isinstance(d, dict) and "name" in d.get("metadata", {})}


def _name(item: Document) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


def as_applied(item: Document) -> Document | None:
    """Return what kubectl has applied of an object; None where it was made in another way."""
    notes = [n for n in item["metadata"].get("managedFields", []) if n["manager"] == MANAGER]
    if not any(note["operation"] == "Apply" for note in notes):
        return None
    head = {"apiVersion": item["apiVersion"], "kind": item["kind"]}
    names = {k: item["metadata"][k] for k in ("name", "namespace") if k in item["metadata"]}
    result: Document = {**head, "metadata": names}
    for note in notes:
        # What `kubectl scale` set was applied before, and is so no longer.
        if note["operation"] == "Apply" or note.get("subresource") == "scale":
            result = _merged(result, _selected(item, note["fieldsV1"]))
    return result


def gone(there: Iterable[Document], wanted: Iterable[Document]) -> list[Document]:
    """Return the objects that are no longer wanted, without those that are not to be lost.

    ConfigMaps named after their content are left to the install, which sees who uses them.
    """
    names = {_name(d) for d in wanted}
    return [
        d
        for d in there
        if _name(d) not in names
        and d["kind"] not in KEPT
        and not (d["kind"] == "ConfigMap" and lifecycle.HASHED.search(d["metadata"]["name"]))
    ]


def _selected(value: Any, fields: Mapping[str, Any]) -> Any:
    """Return the part of a value that a note of Kubernetes' FieldsV1 format names."""
    if not fields or set(fields) == {"."}:
        return value
    if isinstance(value, dict):
        names = {k.removeprefix("f:"): sub for k, sub in fields.items() if k.startswith("f:")}
        return {name: _selected(value[name], sub) for name, sub in names.items() if name in value}
    chosen = []
    for element in value:
        for key, sub in fields.items():
            kind, _, text = key.partition(":")
            if kind == "v" and json.loads(text) == element:
                chosen.append(element)
            elif kind == "k" and json.loads(text).items() <= element.items():
                chosen.append(_selected(element, sub))
    return chosen


def _merged(one: Any, other: Any) -> Any:
    """Return two parts of an object together."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return other
    both = one.keys() & other.keys()
    return {**one, **other, **{key: _merged(one[key], other[key]) for key in both}}
