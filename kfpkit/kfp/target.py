"""What is installed where: an overlay of the manifests, and the context of a cluster."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property

from kfpkit.cluster import lifecycle, tools
from kfpkit.cluster.config import load as kind_cluster
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, CommandError
from kfpkit.images import source as sources
from kfpkit.images.recipe import OWN, by_reference
from kfpkit.images.source import Source
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
                process.line(self.argv("get", name)),
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
        """The parts that are there, their Services, and the ConfigMaps that they name."""
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


def choose(overlay: str = "", context: str = "") -> Target:
    """Return the target for what the user named.

    Args:
        overlay: A folder of manifests/overlays; default the one for the kit's own kind cluster and
            the source of its images.
        context: A context of the kubeconfig; default the kind cluster's for an overlay `kind*`.
            Any other overlay needs it named, so that nothing reaches a cluster by accident.

    Raises:
        BadInputError: No such overlay, or a context is needed.
    """
    if overlay:
        render.overlay(overlay)
    if not context:
        if overlay and not overlay.startswith("kind"):
            raise BadInputError(
                f"the overlay {overlay} needs the context of a cluster",
                "Add CONTEXT=name; `kubectl config get-contexts` lists them",
            )
        context = kind_cluster().context
    return Target(overlay or _of_kind_cluster(), context, tools.kubectl())


def _of_kind_cluster() -> str:
    """Return the overlay for the kind cluster and the images that its nodes have or pull."""
    _, text, marker = lifecycle.look(kind_cluster())
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
