"""Puts images onto the nodes of the cluster: those that are built here, and the user's own."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kfpkit.cluster import lifecycle
from kfpkit.cluster.lifecycle import Seen
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.images import builder, engine, recipe
from kfpkit.images import source as sources
from kfpkit.images.source import Source

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from kfpkit.cluster.config import KindCluster

#: containerd's namespace that the kubelet uses.
CTR = ("ctr", "--namespace", "k8s.io", "images")


def load(kind: KindCluster, names: Iterable[str], given: Iterable[str] = ()) -> None:
    """Load into every node the images that it does not have.

    The nodes of a cluster that was made from a mirror pull them from there.

    Args:
        kind: Which cluster.
        names: Folders of images/; what is not in the cache is built.
        given: Images by name with tag that no recipe makes and no registry has. The nodes or the
            Docker engine must have them.

    Raises:
        BadInputError: Nobody has an image that is given; nothing has been built or loaded.
        KitError: There is no cluster, or an image cannot be built or loaded.
    """
    wanted, others = list(names), list(given)
    seen = lifecycle.observe(kind) if engine.answers() else Seen({})
    nodes = _nodes(seen)
    if not nodes and not process.dry_run():
        raise KitError(
            f"there is no cluster {kind.name} to load images into", "make cluster-up first"
        )
    # Without a marker, as `make cluster-up` would make it now.
    source = seen.marker["images"] if seen.marker else sources.choose("", "")[0]
    if source == Source.MIRROR:
        console.say(f"the nodes pull from the mirror: {', '.join([*wanted, *others])}")
        return
    listed = {node: process.query(["docker", "exec", node, *CTR, "list"]).stdout for node in nodes}
    lacking = {image: _without(image, listed) for image in others}
    for image, without in lacking.items():
        if without and not engine.has(image):
            raise BadInputError(*_nobody_has(image))
    if process.dry_run():
        console.say(f"would load into the nodes those they lack of: {', '.join(wanted + others)}")
        return
    done = builder.ensure(wanted, public=source == Source.UPSTREAM)
    entries = {name: done[name].entry for name in wanted}
    for node in nodes:
        there = loaded(listed[node])
        for entry in entries.values():
            if any(there.get(full_name(ref)) != entry.digest for ref in entry.references):
                _load_one(node, entry.archive, entry.references, entry.digest)
    console.say(f"loaded into {', '.join(nodes)}: {', '.join(entries)}")
    for image, without in lacking.items():
        _take(image, without)


def bring(kind: KindCluster, images: Iterable[str], always: Collection[str] = ()) -> None:
    """Load a user's images from the Docker engine into the nodes that lack them.

    What the engine has not either, the nodes may pull; so may those of a cluster that was made from
    a mirror, or that was told of a registry (`certs.d`), what this machine cannot reach.

    Args:
        kind: Which cluster; where none of its nodes runs, nothing is done.
        images: The images, by name.
        always: Those of them that Kubernetes pulls for each pod, whatever the nodes have.

    Raises:
        BadInputError: Nobody has an image; nothing has been loaded.
    """
    wanted = list(images)
    if not wanted or not engine.answers():
        return
    seen = lifecycle.observe(kind)
    nodes = _nodes(seen)
    if not nodes:
        return
    listed = {node: process.query(["docker", "exec", node, *CTR, "list"]).stdout for node in nodes}
    lacking = {image: without for image in wanted if (without := _without(image, listed))}
    # An image by its digest is another one where it was loaded, not pulled.
    here = {image for image in lacking if "@" not in image and engine.has(image)}
    for image in wanted:
        if (image in lacking and image not in here) or image in always:
            what, do = _nobody_pulls(image, pulled=image in always)
            host = full_name(image).partition("/")[0]
            if (seen.marker and seen.marker["images"] == Source.MIRROR) or _configured(
                nodes[0], host
            ):
                console.warn(f"{what}; the nodes may be told of another")
            elif not sources.answers(host):
                raise BadInputError(what, do)
    for image in sorted(here):
        if process.dry_run():
            console.say(f"would load into {', '.join(lacking[image])}: {image}")
        else:
            console.say(
                f"{', '.join(lacking[image])} has no {image}: taking it from the Docker engine"
            )
            _copy(image, lacking[image])


def _nobody_pulls(image: str, *, pulled: bool) -> tuple[str, str]:
    """Return what is wrong with an image that no registry has for the nodes, and what to do."""
    from components.image import DEFAULT  # which is not in the kit's own image

    host = full_name(image).partition("/")[0]
    if pulled:
        return (
            f"the image {image} has a moving tag, which Kubernetes pulls for each pod, and the "
            f"registry {host} does not answer",
            f"Give it a tag of its own: docker tag {image} NAME:1",
        )
    return (
        f"neither the nodes nor the Docker engine have the image {image}, and the registry {host} "
        "does not answer",
        f"Put it into the engine (docker build --tag {image} FOLDER, docker load), or name as "
        f"base_image one that is there, as {DEFAULT}",
    )


def _configured(node: str, host: str) -> bool:
    """Whether containerd of a node is told where to find a registry."""
    folders = [f"/etc/containerd/certs.d/{name}" for name in (host, "_default")]
    return process.query(["docker", "exec", node, "ls", *folders], check=False).stdout != ""


def _without(image: str, listed: Mapping[str, str]) -> list[str]:
    """Return the nodes whose containerd does not list an image."""
    name = full_name(image)
    return [node for node, text in listed.items() if name not in text.split()]


def _nobody_has(image: str) -> tuple[str, str]:
    """Return what is wrong with an image that is nowhere, and what to do."""
    name = image.rpartition(":")[0]
    made = [one for one in recipe.by_reference() if one.rpartition(":")[0] == name]
    what = f"the image {image} is neither built here nor in the nodes or the Docker engine"
    if made:
        makes = f"images/ makes {', '.join(made)}"
        return what, f"{makes}: name that in the overlay; after a change of kfpkit/, make golden"
    return what, f"Build it yourself: docker build --tag {image} FOLDER"


def _take(image: str, nodes: Sequence[str]) -> None:
    """Load an image from the Docker engine into the nodes that have it not."""
    if not nodes:
        console.say(f"{image} is not built here: the nodes have it")
        return
    console.say(f"{image} is not built here: taking it from the Docker engine")
    _copy(image, nodes)


def _copy(image: str, nodes: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "image.tar"
        process.run(["docker", "save", "--output", str(archive), image])
        for node in nodes:
            _load_one(node, archive, [image])


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
    if ":" not in reference.rpartition("/")[2] and "@" not in reference:
        reference += ":latest"
    reference = reference.removeprefix("docker.io/")
    first, slash, _ = reference.partition("/")
    if not slash:
        return f"docker.io/library/{reference}"
    return reference if re.search(r"[.:]|^localhost$", first) else f"docker.io/{reference}"


def _load_one(node: str, archive: Path, references: Iterable[str], digest: str = "") -> None:
    """Load an archive of `docker save` into a node, and note there what its images are made of."""
    into = ["docker", "exec", "--interactive", node, *CTR, "import", "--digests", "-"]
    with archive.open("rb") as content:
        process.run(into, stdin_from=content)
    for reference in references if digest else ():
        label = f"{engine.INPUTS_LABEL}={digest}"
        process.run(["docker", "exec", node, *CTR, "label", full_name(reference), label])


def _nodes(seen: Seen) -> list[str]:
    """Return the nodes that run."""
    running = [name for name, state in seen.containers.items() if state == "running"]
    return sorted(name for name in running if not name.endswith("-external-load-balancer"))
