"""The webhook of the warm driver: its certificate, and what tells the Kubernetes API of it.

Its configuration belongs to the cluster and not to the namespace, and holds the certificate: so no
overlay can make it. Kubernetes lets every Workflow through where the webhook does not answer, and
says nothing: `troubles` does.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.core.findings import Finding, warning
from kfpkit.kfp import secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.x509 import Certificate

    from kfpkit.kfp.target import Target
    from kfpkit.kube.render import Document

#: The Deployment, its Service, and the option that makes them.
NAME = "warm-driver"

#: The Secret with certificate and key.
SECRET = "warm-driver-tls"  # noqa: S105 - its name
CRT, KEY = "tls.crt", "tls.key"

KIND = "mutatingwebhookconfiguration"

#: How long a new certificate lasts, what must be left of it at an install, and what makes doctor
#: speak. Each upgrade installs.
LASTS, LEFT, SOON = timedelta(days=3650), timedelta(days=365), timedelta(days=60)

#: What says that the warm driver is passed over.
FALLBACK = "runs use driver pods"

#: What mends the certificate and the configuration, whatever is wrong with them.
AGAIN = "make install"

_SHOWN = ("--show-managed-fields", "--output=json")

#: Clocks that are behind take a new one too.
_BEFORE = timedelta(hours=1)


def wanted(documents: list[Document]) -> bool:
    """Whether a render has the warm driver."""
    return any(d["kind"] == "Deployment" and d["metadata"]["name"] == NAME for d in documents)


def configuration_name(namespace: str) -> str:
    """Return the name of the configuration: a cluster may have several installations."""
    return f"{NAME}-{namespace}"


def certificate(namespace: str) -> dict[str, str]:
    """Return a new certificate that is its own authority, and its key, as the Secret has them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    names = x509.SubjectAlternativeName([x509.DNSName(_host(namespace))])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + LASTS)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {
        CRT: made.public_bytes(serialization.Encoding.PEM).decode(),
        KEY: private.decode(),
    }


def fault_of(values: dict[str, str], namespace: str, left: timedelta) -> str:
    """Return why a certificate is not to be used for long; empty if it is.

    Args:
        values: Of the Secret; empty where it is not there.
        namespace: Where the webhook is.
        left: How long it must last yet.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    if not {CRT, KEY} <= values.keys():
        return f"there is no Secret {SECRET} with {CRT} and {KEY}"
    try:
        found = x509.load_pem_x509_certificate(values[CRT].encode())
        key = serialization.load_pem_private_key(values[KEY].encode(), None)
    except ValueError as error:
        return f"the Secret {SECRET} cannot be read: {error}"
    if key.public_key() != found.public_key():
        return f"the key of the Secret {SECRET} is not that of its certificate"
    if _host(namespace) not in _hosts(found):
        return f"the certificate is not for {_host(namespace)}"
    ends = found.not_valid_after_utc
    if ends - datetime.now(UTC) < left:
        return f"the certificate {'ended' if ends < datetime.now(UTC) else 'ends'} {ends:%Y-%m-%d}"
    return ""


def configuration(namespace: str, crt: str) -> str:
    """Return the configuration as JSON, for kubectl's standard input.

    Args:
        namespace: Where Workflows are made and the webhook is.
        crt: The certificate, which is its own authority.
    """
    return json.dumps(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {
                "name": configuration_name(namespace),
                "labels": {
                    "app.kubernetes.io/name": NAME,
                    "app.kubernetes.io/part-of": "kubeflow-pipelines",
                },
            },
            "webhooks": [
                {
                    "name": "warm-driver.kfpkit.dev",
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    # Where nothing answers within these seconds, drivers have pods.
                    "failurePolicy": "Ignore",
                    "timeoutSeconds": 2,
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": namespace}
                    },
                    "rules": [
                        {
                            "apiGroups": ["argoproj.io"],
                            "apiVersions": ["v1alpha1"],
                            "operations": ["CREATE"],
                            "resources": ["workflows"],
                        }
                    ],
                    "clientConfig": {
                        "service": {"name": NAME, "namespace": namespace, "path": "/mutate"},
                        "caBundle": base64.b64encode(crt.encode()).decode(),
                    },
                }
            ],
        }
    )


def configured(target: Target) -> dict[str, Any] | None:
    """Return the configuration that is in the cluster, None if there is none.

    Raises:
        CommandError: The cluster does not answer or refuses.
    """
    name = configuration_name(target.namespace)
    argv = [target.kubectl, "--context", target.context, "get", KIND, name]
    said = process.query([*argv, "--ignore-not-found", *_SHOWN]).stdout.strip()
    found: dict[str, Any] | None = json.loads(said) if said else None
    return found


def troubles(target: Target) -> Iterator[Finding]:
    """Yield why runs use driver pods although the warm driver is installed, or soon will."""
    name = configuration_name(target.namespace)
    found = configured(target)
    values = secrets.read(target, SECRET)
    if found is None:
        yield warning(f"{FALLBACK}: there is no {KIND} {name}", AGAIN)
    if fault := fault_of(values, target.namespace, SOON):
        yield warning(fault if "ends" in fault else f"{FALLBACK}: {fault}", AGAIN)
    elif found is not None:
        bundle = found["webhooks"][0]["clientConfig"].get("caBundle", "")
        if base64.b64decode(bundle).decode(errors="replace").strip() != values[CRT].strip():
            what = f"the caBundle of {KIND} {name} does not fit the Secret {SECRET}"
            yield warning(f"{FALLBACK}: {what}", AGAIN)
    slices = target.items(["endpointslices"], "--selector", f"kubernetes.io/service-name={NAME}")
    ready = [
        endpoint
        for one in slices
        for endpoint in one.get("endpoints") or []
        if endpoint.get("conditions", {}).get("ready")
    ]
    if not ready:
        look = target.line("describe", f"deployment/{NAME}")
        yield warning(f"{FALLBACK}: no pod of {NAME} is ready", look)


def _host(namespace: str) -> str:
    """Return the name that the Kubernetes API asks for."""
    return f"{NAME}.{namespace}.svc"


def _hosts(found: Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName)
