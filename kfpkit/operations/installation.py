"""Installing, looking at and removing Kubeflow Pipelines."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING, Any

from kfpkit.cluster import loading
from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, CommandError, KitError, join_names
from kfpkit.core.waiting import wait_for
from kfpkit.images.recipe import RUNTIME
from kfpkit.kfp import indexes, secrets
from kfpkit.kfp.target import Target, built_images, given_images
from kfpkit.kube import health, render
from kfpkit.operations import lock, webhook
from kfpkit.operations.lock import Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from kfpkit.kube.health import Sickness, Workload

#: Seconds a trouble may last before the wait is given up: a store may be slow to come up, and a
#: registry may fail once.
PATIENCE = 120.0

#: The same of one that waiting cannot help: a Deployment may still tell of its former version.
SETTLED = 5.0

#: Lines of a sick container's log in the error.
LOG_LINES = 15

#: What kustomize appends to the name of a ConfigMap whose content it hashed.
HASHED = re.compile(r"-[2456789bcdfghkmt]{10}$")

#: Kinds whose objects name the ConfigMaps that pods need, beside pods.
USERS = ("replicasets", "deployments", "statefulsets", "daemonsets")

#: Pods that have not ended: those of past runs are many, and need nothing any more.
ALIVE = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"

#: All but the pods of runs.
NO_RUNS = "--selector=!workflows.argoproj.io/workflow"

#: Kinds of the base that hold what a user cannot make again.
DATA = ("secrets", "persistentvolumeclaims")


def install(target: Target, *, timeout: float) -> None:
    """Install Kubeflow Pipelines, or bring what is there to what the overlay says, and wait.

    Args:
        target: What goes where.
        timeout: Seconds to wait for all components.

    Raises:
        BusyError: Another operation is under way.
        KitError: The cluster refused, or a component is sick; the error names its pod, why,
            and the end of its log.
    """
    began = time.monotonic()
    console.say(f"overlay {target.overlay} to the namespace {target.namespace} of {target.context}")
    # What would be refused is refused before images take their time.
    secrets.missing(target)
    lock.admit(target, Operation.INSTALL)
    _load_images(target)
    with lock.held(target, Operation.INSTALL):
        _install(target, timeout)
    if not process.dry_run():
        console.say(f"Kubeflow Pipelines is ready after {time.monotonic() - began:.0f} s")


def _install(target: Target, timeout: float) -> None:
    for name, values in secrets.missing(target).items():
        console.say(f"Secret {name}: new random values for {', '.join(values)}")
        target.run("create", "--filename", "-", stdin=secrets.manifest(name, values))
    crt, outdated = webhook.certify(target)
    applied = process.run(
        target.apply,
        do="A field that somebody else set stays theirs: unset it, or change the overlay",
    )
    if outdated:
        target.run("rollout", "restart", webhook.DEPLOYMENT)
    if not process.dry_run():
        console.say(f"applied {len(applied.stdout.splitlines())} objects")
        wait_until_ready(target, timeout=timeout)
        indexes.ensure(target)
        _prune(target)
    webhook.connect(target, crt)


def diff(target: Target, *, do: str = "") -> str:
    """Return what an install would change, as `kubectl diff` prints it.

    Args:
        target: What goes where.
        do: What the user should do if the cluster does not say.

    Raises:
        CommandError: It does not, as where somebody else owns a field.
    """
    argv = ["diff" if word == "apply" else word for word in target.apply]
    said = process.query(argv, check=False)
    # It ends with 0 (same), 1 (different) or more (failed).
    if said.returncode > 1 or (said.returncode and not said.stdout):
        raise CommandError(process.line(argv), said.returncode, said.stderr, do)
    return said.stdout


def uninstall(target: Target, *, delete_data: bool) -> None:
    """Remove what the overlay made; runs, artifacts and passwords stay unless told otherwise.

    Args:
        target: What is where.
        delete_data: Remove volumes, Secrets, and the namespace with all else in it.
    """
    if not target.has_namespace() and not process.dry_run():
        webhook.disconnect(target)
        console.say(f"there is no namespace {target.namespace} on {target.context}: nothing to do")
        return
    with lock.held(target, Operation.DELETE if delete_data else Operation.UNINSTALL):
        _uninstall(target, delete_data=delete_data)


def _uninstall(target: Target, *, delete_data: bool) -> None:
    # The kinds of KFP and Argo stay with the data: removing them would remove every run's
    # Workflow and every recurring run.
    kept = ("Namespace", "CustomResourceDefinition")
    base = [target.kubectl, "--context", target.context, "delete", "--ignore-not-found", "--wait"]
    webhook.disconnect(target)
    if delete_data:
        # While their controllers are there: pods of a run have a finalizer that only Argo removes,
        # and without it the namespace would never be gone. Recurring runs make the others.
        for kind in (health.SCHEDULED, health.WORKFLOWS):
            target.run("delete", kind, "--all", f"--timeout={PATIENCE:.0f}s", check=False)
        process.run([*base, "namespace", target.namespace])
        names = [d["metadata"]["name"] for d in target.documents if d["kind"] == kept[1]]
        if others := _users_of(target, names):
            console.warn(f"the kinds of KFP and Argo stay: {join_names(others)} uses them too")
        else:
            process.run([*base, "customresourcedefinition", *names])
        console.say("removed Kubeflow Pipelines with its runs, artifacts and passwords")
        return
    gone = [d for d in target.documents if d["kind"] not in kept]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": gone})
    # Foreground: a pod that is still ending would answer for the next installation, with the
    # token of a ServiceAccount that is gone.
    process.run([*base, "--cascade=foreground", "--filename", "-"], stdin=text)
    # A ConfigMap whose content changed has another name now, and the old one is in no overlay.
    target.run("delete", "configmaps", "--selector", health.OWNED)
    if process.dry_run():
        return
    names = [f"{i['kind']}/{i['metadata']['name']}" for i in target.items(DATA)]
    console.say(f"removed {len(gone)} objects; kept for the next install: {join_names(names)}")


def _users_of(target: Target, definitions: list[str]) -> list[str]:
    """Return the other namespaces with an installation, or with an object of these kinds."""
    everywhere = (target.kubectl, "--context", target.context, "get")
    there = process.query(
        [
            *everywhere,
            "customresourcedefinition",
            *definitions,
            "--ignore-not-found",
            "--output=name",
        ]
    )
    kinds = [line.partition("/")[2] for line in there.stdout.splitlines()]
    found = []
    for what in (["deployments", "--selector", health.OWNED], [",".join(kinds)]):
        if what[0]:
            listed = process.query([*everywhere, *what, "--all-namespaces", "--output=json"])
            found += json.loads(listed.stdout)["items"]
    spaces = {item["metadata"].get("namespace", "") for item in found}
    return sorted(spaces - {target.namespace, ""})


def left_over(
    configmaps: Iterable[str], wanted: Iterable[str], users: Iterable[dict[str, Any]]
) -> list[str]:
    """Return the ConfigMaps of earlier installs: their content changed, and with it their name.

    Args:
        configmaps: Names of all that the manifests have made.
        wanted: Names of those that the overlay makes now.
        users: Objects that may name a ConfigMap: pods, and the kinds `USERS`.
    """
    # A Deployment keeps a ReplicaSet without pods for each of its older versions.
    live = [u for u in users if u["kind"] != "ReplicaSet" or u["spec"].get("replicas")]
    live = [u for u in live if "deletionTimestamp" not in u["metadata"]]
    named = json.dumps(live)
    old = {name for name in configmaps if HASHED.search(name)} - set(wanted)
    return sorted(name for name in old if json.dumps(name) not in named)


def _prune(target: Target) -> None:
    """Remove the ConfigMaps of earlier installs that nothing in the namespace names any more."""
    there = [
        item["metadata"]["name"]
        for item in target.items(["configmaps"], "--selector", health.OWNED)
    ]
    wanted = [d["metadata"]["name"] for d in target.documents if d["kind"] == "ConfigMap"]
    old = left_over(there, wanted, target.items(USERS) + target.items(["pods"], ALIVE))
    if old:
        target.run("delete", "configmaps", "--ignore-not-found", *old)


def components(target: Target) -> list[Workload]:
    """Return the components of the control plane as the cluster sees them.

    Raises:
        KitError: Nothing is installed there.
    """
    objects = target.items(["deployments", "statefulsets", "pods"], NO_RUNS)
    # They tell of a StatefulSet only why it has no pod.
    if any(p.kind == "StatefulSet" and not p.done for p in health.workloads(objects)):
        objects += target.items(["events"], f"--field-selector=reason={health.NO_POD}")
    # Events carry no labels of ours, and a namespace may hold other workloads.
    names = {d["metadata"]["name"] for d in target.documents}
    found = [p for p in health.workloads(objects) if p.name in names]
    if not found:
        raise KitError(
            f"Kubeflow Pipelines is not in the namespace {target.namespace} of {target.context}",
            "make install installs it",
        )
    return found


def not_ready(target: Target) -> list[str]:
    """Return the names of the components that are not ready, or have no pods and should have some.

    Raises:
        KitError: Nothing is installed there.
    """
    found = components(target)
    without_pods = stopped(target, found)
    return [
        component.name
        for component in found
        if not component.done or component.name in without_pods
    ]


def stopped(target: Target, found: Iterable[Workload]) -> list[str]:
    """Return the names of the components that an operation, or somebody, has scaled to no pods."""
    wanted = {
        workload["metadata"]["name"]: workload["spec"].get("replicas", 1)
        for workload in render.workloads(target.documents)
    }
    return [
        component.name for component in found if not component.wanted and wanted.get(component.name)
    ]


def require_ready(target: Target, *, but: Collection[str] = ()) -> None:
    """Raise unless every component is ready.

    Args:
        target: Which installation.
        but: Names of components that need not be.

    Raises:
        BadInputError: A component is not ready.
        KitError: Nothing is installed there.
    """
    away = [name for name in not_ready(target) if name not in but]
    if away:
        raise BadInputError(
            f"not ready in {target.namespace}: {join_names(away)}; nothing was changed",
            "make status says why",
        )


def wait_until_ready(
    target: Target, *, timeout: float, again: str = "the same command again goes on from here"
) -> None:
    """Wait until every component is ready, saying so as each becomes it.

    Args:
        target: Which installation.
        timeout: Seconds.
        again: What to do once a component that is sick is mended.

    Raises:
        KitError: A component is sick, or it took longer than `timeout` seconds.
    """
    began = time.monotonic()
    announced: set[str] = set()
    sick_since: dict[tuple[str, str], float] = {}

    def probe() -> str | None:
        try:
            found = components(target)
        except CommandError as error:  # The API server may be busy with the new kinds.
            return error.stderr.strip().splitlines()[-1] if error.stderr.strip() else "no answer"
        now = time.monotonic()
        for component in found:
            if component.done and component.name not in announced:
                announced.add(component.name)
                console.say(f"{component.name:<22} ready after {now - began:3.0f} s")
        ill = {(p.name, p.sickness.reason): p.sickness for p in found if p.sickness}
        for key in [key for key in sick_since if key not in ill]:
            del sick_since[key]
        for (name, reason), sickness in ill.items():
            since = sick_since.setdefault((name, reason), now)
            if now - since >= (SETTLED if sickness.final else PATIENCE):
                raise KitError(*_explain(target, name, sickness, again))
        return "; ".join(f"{p.name}: {p.state}" for p in found if not p.done) or None

    wait_for(
        f"{len(render.workloads(target.documents))} components",
        probe,
        timeout=timeout,
        do=f"Look at `{target.line('get', 'pods')}`",
    )


def _explain(target: Target, component: str, sickness: Sickness, again: str) -> tuple[str, str]:
    """Return what is wrong with a component, with the end of its log, and what to do."""
    what = f"{component} does not start: {sickness.object}: {sickness.reason}: {sickness.detail}"
    look = target.argv("describe", sickness.object)
    if sickness.container:
        log = ["logs", sickness.object, "--container", sickness.container]
        log += ["--previous"] if sickness.previous else []
        said = target.query(*log, f"--tail={LOG_LINES}", check=False).stdout
        what += "\n" + "\n".join(f"    {row}" for row in said.splitlines())
        look = target.argv(*log)
    return what, f"Look at `{process.line(look)}`; {again}"


def _load_images(target: Target) -> None:
    """Put the images built here onto the nodes of the kit's own cluster."""
    names = [*built_images(target.documents), RUNTIME]
    given = given_images(target.documents)
    if not target.kind:
        listed = ", ".join(names + given)
        console.warn(f"the nodes of {target.context} must be able to pull: {listed}")
        return
    loading.load(target.kind, names, given)
