"""What a GKE cluster and its project must offer before the overlay for it is installed.

Everything here only reads. Each check says what to do, with the section of docs/operate/gke.md that
has the command.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError
from kfpkit.core.findings import Finding, Verdict, fault, ok, warning
from kfpkit.kfp import secrets, webhook
from kfpkit.kube import render

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfpkit.kfp.target import Target

PAGE = "docs/operate/gke.md"

#: Google's APIs by the parameter whose option needs them; those of the cluster itself by "".
APIS = {
    "": {"container.googleapis.com", "compute.googleapis.com"},
    "cloudSqlInstance": {"sqladmin.googleapis.com", "servicenetworking.googleapis.com"},
    "gcsBucket": {"storage.googleapis.com"},
    "ingressAddressName": {"iap.googleapis.com"},
}

#: The values of manifests/overlays/gke/parameters.yaml that are to be replaced by yours.
EXAMPLES = {
    "example-kfp-artifacts",
    "example-project:europe-west1:kfp",
    "kfp-database@example-project.iam.gserviceaccount.com",
    "kfp-runs@example-project.iam.gserviceaccount.com",
    "kfp-ui@example-project.iam.gserviceaccount.com",
    "kfp.example.com",
}

#: DaemonSets of kube-system that enforce NetworkPolicies, and the one that gives pods identities.
ENFORCERS = {"anetd": "Dataplane V2", "calico-node": "Calico"}
METADATA_SERVER = "gke-metadata-server"

#: The Kubernetes accounts that act as Google's, by the parameter that names the latter.
ACCOUNTS = {
    "runServiceAccount": "pipeline-runner",
    "uiServiceAccount": "ml-pipeline-ui",
    "cloudSqlServiceAccount": "cloud-sql-proxy",
}

#: The project in the e-mail address of an account.
_OF_PROJECT = re.compile(r"@([a-z0-9-]+)\.iam\.gserviceaccount\.com$")


def concerns(target: Target) -> bool:
    """Whether an overlay has objects of Google's own kinds."""
    return any(
        "gke.io/" in d["apiVersion"] or "cloud.google" in d["apiVersion"] for d in target.documents
    )


def require(target: Target) -> None:
    """Look at everything and print it.

    Raises:
        KitError: Something that the overlay needs is not there.
    """
    failed = [check for check in shown(look(target)) if check.verdict is Verdict.FAULT]
    if failed:
        raise KitError(
            f"{target.context} is not ready for the overlay {target.overlay}: "
            f"{'; '.join(check.subject for check in failed)}; nothing was changed",
            f"{PAGE} has every command",
        )


def shown(checks: Iterable[Finding]) -> list[Finding]:
    """Print a line for each check, as it is made, and return them all."""
    made = []
    for check in checks:
        made.append(check)
        console.say(str(check))
    return made


def look(target: Target) -> Iterable[Finding]:
    """Yield one finding after the other about the cluster, then about the project."""
    parameters = parameters_of(target)
    yield examples(parameters)
    version = _ask(target.argv("version", "--output=json"))
    if version is None:
        yield fault("does not answer", f"{PAGE}, 2: get-credentials", subject="cluster")
        return
    yield cluster(json.loads(version)["serverVersion"]["gitVersion"])
    served = _served(target)
    yield kinds(target.documents, served)
    yield _permissions(target, served)
    sets = _ask(target.argv("get", "daemonsets", "--namespace=kube-system", "--output=name")) or ""
    names = {name.rpartition("/")[2] for name in sets.split()}
    if any(d["kind"] == "NetworkPolicy" for d in target.documents):
        yield enforcement(names)
    if parameters.keys() & ACCOUNTS:
        yield identity(names)
    yield _secrets(target)
    if _ask(["gcloud", "version"]) is None:
        yield warning(
            "gcloud is not here: APIs, bucket, database, accounts not seen", subject="project"
        )
        return
    yield from _project(parameters, target.namespace)


def parameters_of(target: Target) -> dict[str, str]:
    """Return the values of the overlay's parameters.yaml."""
    file = render.overlay(target.overlay) / "parameters.yaml"
    documents = render.parse(file.read_text(encoding="utf-8")) if file.is_file() else []
    return {
        name: str(value)
        for document in documents
        if document["metadata"]["name"] == "parameters"
        for name, value in (document.get("data") or {}).items()
    }


def examples(parameters: Mapping[str, str]) -> Finding:
    """Judge whether the parameters have been given values."""
    if not parameters:
        return warning("the overlay has no parameters.yaml of its own", subject="parameters")
    left = sorted(name for name, value in parameters.items() if value in EXAMPLES)
    if left:
        return fault(f"examples still: {', '.join(left)}", f"{PAGE}, 1", subject="parameters")
    return ok(f"{len(parameters)} of yours", subject="parameters")


def cluster(version: str) -> Finding:
    """Judge a server's version."""
    minor = re.match(r"v1\.(\d+)", version)
    if "-gke." not in version:
        return fault(f"{version} is not GKE's", "Name another CONTEXT", subject="cluster")
    if minor is None or int(minor[1]) < 33:
        return fault(f"{version} is too old", "Upgrade it to 1.33 or newer", subject="cluster")
    return ok(f"GKE {version}", subject="cluster")


def kinds(documents: list[render.Document], served: Mapping[tuple[str, str], str]) -> Finding:
    """Judge whether the cluster knows each kind that it will be given."""
    lacking = sorted(
        {f"{d['kind']} ({d['apiVersion']})" for d in documents} - {f"{k} ({v})" for v, k in served}
    )
    if lacking:
        return fault(f"not served: {', '.join(lacking)}", f"{PAGE}, 2", subject="kinds")
    return ok("all are served", subject="kinds")


def enforcement(names: set[str]) -> Finding:
    """Judge by kube-system's DaemonSets whether NetworkPolicies are enforced."""
    for name, title in ENFORCERS.items():
        if name in names:
            return ok(f"enforced by {title}", subject="NetworkPolicy")
    return fault("nothing enforces it", f"{PAGE}, 2: enable-dataplane-v2", subject="NetworkPolicy")


def identity(names: set[str]) -> Finding:
    """Judge by kube-system's DaemonSets whether pods get identities of Google."""
    if METADATA_SERVER in names:
        return ok("the nodes have the metadata server", subject="Workload Identity")
    return fault(
        "no metadata server on the nodes", f"{PAGE}, 2: workload-pool", subject="Workload Identity"
    )


def apis(parameters: Mapping[str, str], enabled: str) -> Finding:
    """Judge the project's APIs, one in a line, by what the overlay's options need."""
    needed = set().union(*(APIS[name] for name in APIS if not name or name in parameters))
    lacking = sorted(needed - set(enabled.split()))
    if lacking:
        return fault(f"not enabled: {', '.join(lacking)}", f"{PAGE}, 2", subject="APIs")
    return ok("all are enabled", subject="APIs")


def acts_as(account: str, member: str, policy: str) -> Finding:
    """Judge whether a Kubernetes account may act as one of Google's.

    Args:
        account: E-mail address of the latter.
        member: The former, as IAM writes it.
        policy: IAM policy of the latter, as JSON.
    """
    bound = {
        one
        for binding in json.loads(policy).get("bindings", [])
        if binding["role"] == "roles/iam.workloadIdentityUser"
        for one in binding["members"]
    }
    if member in bound:
        return ok(f"{member} acts as it", subject=account)
    return fault(f"{member} may not act as it", f"{PAGE}, 3: bind", subject=account)


def _ask(argv: list[str]) -> str | None:
    """Run a command that reads, saying so; None when it fails."""
    console.say(f"$ {process.line(argv)}")
    found = process.query(argv, check=False, timeout=120)
    return found.stdout if found.ok else None


def _served(target: Target) -> dict[tuple[str, str], str]:
    """Return the resource (as `deployments.apps`) of each API version and kind of the overlay."""
    found = {}
    versions = {d["apiVersion"] for d in target.documents}
    for version in sorted(versions):
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        answer = _ask(target.argv("get", f"--raw={path}"))
        group = f".{version.partition('/')[0]}" if "/" in version else ""
        for each in json.loads(answer)["resources"] if answer else []:
            if "/" not in each["name"]:
                found[version, each["kind"]] = each["name"] + group
    return found


def _permissions(target: Target, served: Mapping[tuple[str, str], str]) -> Finding:
    wanted = {
        served[d["apiVersion"], d["kind"]]
        for d in target.documents
        if (d["apiVersion"], d["kind"]) in served
    }
    if webhook.wanted(target.documents):
        wanted.add(f"{webhook.KIND}s")
    lacking = [
        f"{verb} {resource}"
        for resource in sorted(wanted)
        for verb in ("create", "patch")
        if process.query(
            target.argv("auth", "can-i", verb, resource, "--quiet"), check=False
        ).returncode
    ]
    if lacking:
        return fault(
            f"you may not {', '.join(lacking)}",
            "roles/container.admin of the project has them all",
            subject="permissions",
        )
    return ok(f"you may create and patch {len(wanted)} kinds", subject="permissions")


def _secrets(target: Target) -> Finding:
    try:
        made = secrets.missing(target)
    except BadInputError as error:
        return fault(error.what, f"{PAGE}, 6: {error.do}", subject="Secrets")
    return ok(f"there; to be made: {len(made)}", subject="Secrets")


def project(parameters: Mapping[str, str]) -> str:
    """Return the project that an instance or an account is of; empty where none says it."""
    instance, *accounts = (parameters.get(name, "") for name in ("cloudSqlInstance", *ACCOUNTS))
    # A project of a domain has a colon itself: example.com:project:region:name.
    named = [instance.rpartition(":")[0].rpartition(":")[0]]
    named += [match[1] for text in accounts if (match := _OF_PROJECT.search(text))]
    return next(filter(None, named), "")


def _project(parameters: Mapping[str, str], namespace: str) -> Iterable[Finding]:
    """Yield what the project has of what the parameters name; what none names is not needed."""
    named = project(parameters) or _ask(["gcloud", "config", "get-value", "project"]) or ""
    name = named.strip()
    if not name:
        yield warning("nothing names it: APIs, bucket, accounts not seen", subject="project")
        return
    where = f"--project={name}"
    enabled = ["gcloud", "services", "list", "--enabled", where, "--format=value(config.name)"]
    yield apis(parameters, _ask(enabled) or "")
    bucket, instance, address = (
        parameters.get(key, "") for key in ("gcsBucket", "cloudSqlInstance", "ingressAddressName")
    )
    instance = instance.rpartition(":")[2]
    there: list[tuple[str, str, list[str], str]] = [
        ("bucket", bucket, ["storage", "buckets", "describe", f"gs://{bucket}"], "4"),
        ("database", instance, ["sql", "instances", "describe", instance, where], "5"),
        (
            "address",
            address,
            ["compute", "addresses", "describe", address, "--global", where],
            "2",
        ),
    ]
    for what, wanted, argv, section in there:
        if not wanted:
            continue
        if _ask(["gcloud", *argv, "--format=json"]) is None:
            yield fault("is not there, or you may not see it", f"{PAGE}, {section}", subject=what)
        else:
            yield ok(argv[3], subject=what)
    for parameter, account in ACCOUNTS.items():
        if parameter not in parameters:
            continue
        email = parameters[parameter]
        argv = ["gcloud", "iam", "service-accounts", "get-iam-policy", email, where]
        policy = _ask([*argv, "--format=json"])
        member = f"serviceAccount:{name}.svc.id.goog[{namespace}/{account}]"
        if policy is None:
            yield fault("is not there, or you may not see it", f"{PAGE}, 3", subject=email)
        else:
            yield acts_as(email, member, policy)
