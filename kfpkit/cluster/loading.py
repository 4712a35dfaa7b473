"""Puts images built from packages onto the nodes of the cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kfpkit.cluster import lifecycle
from kfpkit.cluster.config import NAME
from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.images import builder, engine
from kfpkit.images import source as sources
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfpkit.images.cache import Entry

#: containerd's namespace that the kubelet uses.
CTR = ("ctr", "--namespace", "k8s.io", "images")


def load(names: Iterable[str]) -> None:
    """Build the images if need be and load into every node those it does not have.

    The nodes of a cluster that was made from a mirror pull them from there.

    Raises:
        KitError: There is no cluster, or an image cannot be built or loaded.
    """
    wanted = list(names)
    nodes = _nodes() if engine.answers() else []
    if not nodes and not process.dry_run():
        raise KitError(f"there is no cluster {NAME} to load images into", "make cluster-up first")
    marker = lifecycle.observe().marker if nodes else None
    # In a dry run without a cluster, as `make cluster-up` would make it now.
    marker = marker or {"images": str(sources.choose()[0])}
    if marker["images"] == Source.MIRROR:
        console.say(f"the nodes pull from the mirror: {', '.join(wanted)}")
        return
    if process.dry_run():
        console.say(f"would load into the nodes those they lack of: {', '.join(wanted)}")
        return
    done = builder.ensure(wanted, public=marker["images"] == Source.UPSTREAM)
    entries = {name: done[name].entry for name in wanted}
    for node in nodes:
        listed = process.query(["docker", "exec", node, *CTR, "list"]).stdout
        there = loaded(listed)
        for entry in entries.values():
            if all(there.get(full_name(ref)) == entry.digest for ref in entry.references):
                continue
            _load_one(node, entry)
    console.say(f"loaded into {', '.join(nodes)}: {', '.join(entries)}")


def loaded(listed: str) -> Mapping[str, str]:
    """Return the content address of each image that `ctr images list` shows, where it has one."""
    found = {}
    for row in listed.splitlines()[1:]:
        name, *_, labels = row.split()
        for label in labels.split(","):
            key, _, value = label.partition("=")
            if key == engine.INPUTS_LABEL:
                found[name] = value
    return found


def full_name(reference: str) -> str:
    """Return the name under which containerd keeps an image: always with its registry."""
    first, slash, _ = reference.partition("/")
    if not slash:
        return f"docker.io/library/{reference}"
    return reference if "." in first or ":" in first else f"docker.io/{reference}"


def _load_one(node: str, entry: Entry) -> None:
    inside = f"/kfpkit-{entry.digest}.tar"
    process.run(["docker", "cp", "--quiet", str(entry.archive), f"{node}:{inside}"])
    try:
        process.run(["docker", "exec", node, *CTR, "import", "--digests", inside])
        for reference in entry.references:
            label = f"{engine.INPUTS_LABEL}={entry.digest}"
            process.run(["docker", "exec", node, *CTR, "label", full_name(reference), label])
    finally:
        process.run(["docker", "exec", node, "rm", "--force", inside], check=False)


def _nodes() -> list[str]:
    argv = ["docker", "ps", "--filter", f"label=io.x-k8s.kind.cluster={NAME}"]
    listed = process.query([*argv, "--format", "{{.Names}}"]).stdout
    return sorted(name for name in listed.split() if not name.endswith("-external-load-balancer"))
