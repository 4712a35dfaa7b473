"""Rules on fields: what the protos of a release do not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfpkit.lint import schema
from kfpkit.lint.finding import Severity
from kfpkit.lint.rule import ALL, KFP, KFP_2_14_3, Hit, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.lint.subject import Subject


def _release(subject: Subject) -> str:
    """Return the release of the target; the newest where it has none."""
    return subject.target.partition("@")[2] or schema.NEWEST


def _who(subject: Subject) -> str:
    release = _release(subject)
    return f"KFP {release}" if subject.target in KFP else f"KFP up to {release}"


def _unknown_fields(subject: Subject) -> Iterator[Hit]:
    """The API server reads the pipeline strictly, but for its deploymentSpec."""
    found = schema.unknown(_release(subject), schema.PIPELINE, subject.document)
    for path, what in found:
        yield Hit(f"{_who(subject)} does not know {what}", path=path)


def _ignored_fields(subject: Subject) -> Iterator[Hit]:
    document = subject.document
    deployment = document.get("deploymentSpec") or document.get("deployment_spec") or {}
    found = schema.unknown(_release(subject), schema.DEPLOYMENT, deployment, "deploymentSpec")
    for path, what in found:
        if not path.endswith(".@type"):  # of Any: it names the message
            yield Hit(f"{_who(subject)} does not know {what}, and runs without it", path=path)


def _unknown_settings(subject: Subject) -> Iterator[Hit]:
    """The API server drops a platform document that it does not know all of, without a word."""
    for document in subject.platform_documents:
        for path, what in schema.unknown(_release(subject), schema.PLATFORM, document):
            yield Hit(
                f"{_who(subject)} does not know {what}, and drops all Kubernetes settings for it",
                path=path,
            )
        for label, settings in _executors(document).items():
            place = f"platforms.kubernetes.deploymentSpec.executors.{label}"
            for path, what in schema.unknown(_release(subject), schema.KUBERNETES, settings, place):
                yield Hit(f"{_who(subject)} does not know {what}, and fails each run", path=path)


def _executors(document: dict[str, Any]) -> dict[str, Any]:
    for key in ("platforms", "kubernetes", "deploymentSpec", "executors"):
        found = document.get(key)
        document = found if isinstance(found, dict) else {}
    return document


_SDK = "Leave it out, or compile with the kfp and kfp-kubernetes of the target's release"

RULES: tuple[Rule, ...] = (
    Rule(
        "unknown-field",
        Severity.ERROR,
        ALL,
        "A field of the pipeline that the release's protos do not know",
        "The API server reads a pipeline strictly: it refuses the file as a whole and says only "
        "that its format is unknown. Fields come with newer SDKs: `Literal` inputs, TaskConfig. "
        "Elsewhere than on KFP it is a warning.",
        _SDK,
        _unknown_fields,
        warns=ALL - KFP,
    ),
    Rule(
        "ignored-field",
        Severity.WARNING,
        KFP,
        "A field of an executor that the release's protos do not know",
        "What an executor has beside the known fields is dropped without a word, such as an "
        "importer's download into the workspace before 2.15.",
        _SDK,
        _ignored_fields,
    ),
    Rule(
        "unknown-setting",
        Severity.ERROR,
        KFP,
        "A Kubernetes setting that the release's protos do not know",
        "A field beside the executors makes the API server drop the whole platform document; one "
        "of an executor makes each run fail as it is made. The SDK 2.15 and later writes "
        f"`optional` for each variable from a Secret, which {KFP_2_14_3} does not know; the kit "
        "leaves `optional: false` out of what it compiles itself.",
        _SDK,
        _unknown_settings,
    ),
)
