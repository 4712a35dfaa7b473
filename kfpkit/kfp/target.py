"""What is installed where: an overlay of the manifests, and the context of a cluster."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kfpkit.cluster import lifecycle, tools
from kfpkit.cluster.config import KindCluster, load
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, CommandError
from kfpkit.images import source as sources
from kfpkit.images.recipe import OWN, by_reference
from kfpkit.images.source import Source
from kfpkit.kfp import targets_file
from kfpkit.kfp.targets_file import KIND, LOCAL, Entry, Vertex
from kfpkit.kube import health, render
from kfpkit.kube.kubectl import Kubectl

#: Overlay for the kit's own kind cluster, by what its images are.
OVERLAYS = {Source.UPSTREAM: "kind", Source.PACKAGES: "kind-packages"}

#: Name before the slash of every image that the kit builds itself.
BUILT = "kfpkit/"

#: Kinds of the objects that tell about an installation.
KINDS = ("configmaps", "services", "deployments", "statefulsets")

#: Set in the kit's own pods, to the namespace that they are in.
IN_POD_OF = "KFPKIT_IN_POD_OF"


@dataclass(frozen=True)
class Target(Kubectl):
    """An overlay and the cluster it goes to."""

    overlay: str
    context: str
    #: The kubectl to use.
    kubectl: str
    #: What the user calls it; empty where overlay and context were named instead.
    name: str = field(default="", kw_only=True)
    #: The kit's own kind cluster, where it is on that.
    kind: KindCluster | None = field(default=None, kw_only=True)
    #: As in `targets_file.Entry`.
    host: str = field(default="", kw_only=True)
    image_prefix: str = field(default="", kw_only=True)
    pipeline_root: str = field(default="", kw_only=True)

    @property
    def variables(self) -> list[str]:
        """The variables of make that name it."""
        named = f"TARGET={self.name}" if self.name else f"OVERLAY={self.overlay}"
        return [named, f"CONTEXT={self.context}"]

    @cached_property
    def documents(self) -> list[render.Document]:
        """The objects that the overlay makes."""
        return render.render(render.overlay(self.overlay), kubectl=self.kubectl)

    @property
    def namespace(self) -> str:
        """Where Kubeflow Pipelines goes."""
        return render.namespace(self.documents)

    @property
    def apply(self) -> list[str]:
        """The command that installs the overlay once its namespace and secrets are there."""
        folder = str(render.overlay(self.overlay))
        return [self.kubectl, "--context", self.context, "apply", "--server-side", "-k", folder]

    def has_namespace(self) -> bool:
        """Whether the namespace is there; in a dry run a missing cluster counts as without it.

        Raises:
            CommandError: The cluster does not answer or refuses.
        """
        name = f"namespace/{self.namespace}"
        found = self.query("get", name, "--ignore-not-found", "--output=name", check=False)
        if not found.ok and not process.dry_run():
            raise CommandError(
                self.line("get", name),
                found.returncode,
                found.stderr,
                f"Is the cluster of the context {self.context} up?",
            )
        return found.ok and bool(found.stdout.strip())


@dataclass(frozen=True)
class Inside(Target):
    """The installation that this program is in a pod of: what is there stands for its overlay."""

    @property
    def inside(self) -> bool:
        """It is so."""
        return True

    @cached_property
    def documents(self) -> list[render.Document]:
        """The components that are there, their Services, and the ConfigMaps that they name."""
        found = self.items(KINDS, "--selector", health.OWNED)
        named = json.dumps([d["spec"] for d in found if d["kind"] in render.WORKLOADS])
        # One whose content has changed stays for a while, under the name that it had.
        return [d for d in found if d["kind"] != "ConfigMap" or d["metadata"]["name"] in named]

    @property
    def namespace(self) -> str:
        """Where Kubeflow Pipelines is."""
        return os.environ[IN_POD_OF]

    def argv(self, *arguments: str) -> list[str]:
        """Return a kubectl command on the namespace, as the pod's ServiceAccount."""
        return [self.kubectl, "--namespace", self.namespace, *arguments]


def around() -> Target | None:
    """Return the installation around this program, where it runs in a pod of the kit."""
    if not {IN_POD_OF, "KUBERNETES_SERVICE_HOST"} <= os.environ.keys():
        return None
    return Inside("installed", "this cluster", "kubectl")


def choose(
    name: str = KIND,
    *,
    context: str = "",
    overlay: str = "",
    kind: KindCluster | None = None,
    file: Path | None = None,
) -> Target:
    """Return the target that the user names.

    Args:
        name: `kind` for the kit's own kind cluster, with the overlay for its images; an overlay of
            manifests/overlays; a name of targets.toml; or the path of an overlay elsewhere.
        context: A context of the kubeconfig. An overlay that is not named `kind...` needs it, so
            that nothing reaches a cluster by accident; any other target has its own.
        overlay: Name or path of an overlay, for that context, in place of a name.
        kind: The kind cluster; default the checkout's.
        file: The targets.toml; default the one that is found (`targets_file.places`).

    Raises:
        BadInputError: There is no such target, it needs a context, the context is not the
            target's, or both a name and an overlay are given.
    """
    kind = kind or load()
    if overlay:
        if name != KIND:
            raise BadInputError(
                f"TARGET={name} and OVERLAY={overlay} are both given", "Name one of them"
            )
        name, entry = "", _entry_of(targets_file.folder(overlay, Path.cwd()), kind, context)
    else:
        entry = _named(name, kind, file)
    if context and entry.context and context != entry.context:
        raise BadInputError(
            f"the target {name} is on the context {entry.context}, not on {context}",
            "Leave CONTEXT= out, or name what belongs on that cluster: TARGET= or OVERLAY=",
        )
    context = context or entry.context
    if not context:
        raise BadInputError(
            f"the overlay {name or overlay} needs the context of a cluster",
            "Add CONTEXT=name; `kubectl config get-contexts` lists them",
        )
    return Target(
        entry.overlay or _of_kind_cluster(kind),
        context,
        tools.kubectl(),
        name=name,
        kind=kind if context == kind.context else None,
        host=entry.host,
        image_prefix=entry.image_prefix,
        pipeline_root=entry.pipeline_root,
    )


def _named(name: str, kind: KindCluster, file: Path | None) -> Entry:
    """Return what a name stands for; the overlay of `kind` is still open.

    The targets file is read for every name, so that one of its names that the kit has too is told.
    """
    file = file or targets_file.find()
    entries = targets_file.read(file) if file else {}
    if name == KIND:
        return Entry("", kind.context)
    if name in render.overlays():
        return _entry_of(name, kind)
    if entry := entries.get(name):
        if isinstance(entry, Vertex):
            raise BadInputError(
                f"the target {name} is on Vertex AI, and this needs an installation of KFP",
                "On Vertex AI the kit runs pipelines, follows and ends runs, and schedules them",
            )
        try:
            render.overlay(entry.overlay)
        except BadInputError as error:
            raise BadInputError(f"{file}: [{name}]: {error.what}", error.do) from None
        return entry
    if name != LOCAL and ("/" in name or (Path(name) / "kustomization.yaml").is_file()):
        return _entry_of(targets_file.folder(name, Path.cwd()), kind)
    known = ", ".join(sorted({KIND, *render.overlays()}))
    own = ", ".join(entries) or "none"
    looked = " and ".join(map(str, targets_file.places()))
    raise BadInputError(
        f"there is no target {name!r}"
        + (": it is this machine, and the command needs an installation" if name == LOCAL else ""),
        f"Targets: {known}, the path of an overlay; "
        + (f"of {file}: {own}" if file else f"no targets file is there ({looked})"),
    )


def _entry_of(overlay: str, kind: KindCluster, context: str = "") -> Entry:
    """Return an overlay with the context it is for: the given one, or that of the kind cluster."""
    render.overlay(overlay)
    return Entry(overlay, context or (kind.context if overlay.startswith("kind") else ""))


def _of_kind_cluster(kind: KindCluster) -> str:
    """Return the overlay for the kind cluster and the images that its nodes have or pull."""
    _, text, marker = lifecycle.look(kind)
    if marker is None:
        if process.dry_run():
            # As `make cluster-up` would make it now.
            source, _ = sources.choose("", "")
            found = OVERLAYS.get(source, OVERLAYS[Source.UPSTREAM])
            console.say(f"{text}: taking the overlay {found}")
            return found
        raise BadInputError(
            f"the kind cluster is not ready: {text}", "make cluster-up first, or name OVERLAY="
        )
    return OVERLAYS[lifecycle.content(marker)]


def built_images(documents: list[render.Document]) -> list[str]:
    """Return the folders of images/ whose image a render names."""
    made = by_reference()
    return sorted({made[image] for image in _own(documents) if image in made})


def given_images(documents: list[render.Document]) -> list[str]:
    """Return the images that a render names as the kit's own, and that no folder makes."""
    return sorted(_own(documents) - by_reference().keys())


def _own(documents: list[render.Document]) -> set[str]:
    return {image for image in render.images(documents) if image.startswith(OWN)}
