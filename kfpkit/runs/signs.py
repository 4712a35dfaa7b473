"""What the messages of Argo, Kubernetes and KFP mean, and what of them belongs into a sentence."""

from __future__ import annotations

import json
import re

from kfpkit.kfp import executor_output

#: What a message of Argo, Kubernetes or a container's log means, the more special first. The words
#: are those of Kubernetes 1.34, Argo Workflows 3.6 and 4.0, and the launcher's Go CDK.
SIGNS = {
    "quota": r"exceeded quota",
    "pod-security": r"violates PodSecurity",
    "missing-object": r"(?i)(secret|configmap|serviceaccount)s? \"[^\"]+\" not found"
    r"|couldn't find key \S+ in (Secret|ConfigMap) \S+",
    "image": r"(?i)ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|image pull",
    "unschedulable": r"(?i)unschedulable|nodes are available",
    "out-of-memory": r"OOMKilled",
    "too-large": r"longer than maximum allowed size|request is too large|[Ee]ntity too large"
    r"|offload node status is not supported|Too long: (may not be more|must have at most)",
    "forbidden": r"is forbidden: User ",
    "argument-too-long": r"(?i)argument list too long",
    "evicted": r"(?i)the node was low on resource|exceeds the total limit of containers|evicted",
    "deadline": r"(?i)longer than the specified deadline|DeadlineExceeded",
    "deleted-artifact": r"NoSuchKey|code=NotFound|specified key does not exist",
    "unreachable": r"code = Unavailable|connection refused|no such host|i/o timeout",
    # SIGTERM, which a pod gets that is deleted with notice.
    "pod-deleted": r"(?i)pod deleted|exit code 143",
    # SIGKILL: of a container, of a step's program, or of what its shell had started. By whom, only
    # a pod that says OOMKilled tells.
    "killed": r"exit (code|status) 137|signal: killed",
}

#: The same for an error of KFP's launcher or driver. It may quote what a step has written, so what
#: is known by more words comes first.
KFP_SIGNS = {
    "no-output": r"failed to read output parameter .*: no such file or directory$",
    "wrong-type": r"failed to read output parameter .* TextToPbValue"
    r"|parameter \"[^\"]*\" type mismatch: expect ",
    # protojson of Go, its structpb, encoding/json, and Python's protobuf.
    "not-finite": r"invalid value -?(NaN|Infinity)|invalid (NaN|[+-]Inf) value"
    r"|unsupported value: (NaN|[+-]Inf)|SerializeToJsonError",
    "message-too-large": r"(?i)(received|send) message larger than max",
    "foreign-store": r"no driver registered for|NoCredentialProviders"
    r"|failed to refresh cached credentials",
    **{
        reason: SIGNS[reason]
        for reason in (
            *("argument-too-long", "out-of-memory", "deleted-artifact", "unreachable"),
            *("forbidden", "killed"),
        )
    },
}

#: Lines of a log that the launcher and Argo's executor write, not the step; and their errors.
_MACHINERY = re.compile(r"^[IWEF]\d{4} |argo=true|^time=|^\s*$|^(Error: )?exit status \d+$")
_ERROR = re.compile(r"[EF]\d{4} |Error: failed to start command: |exec /var/run/argo/argoexec: ")

#: How the launcher says that the step's own program ended badly.
_ENDED = re.compile(r"(exit status (?P<code>\d+)|(?P<signal>signal: [\w ]+?))( \(core dumped\))?$")

#: An artifact in quotes, by its address or its path in the pod; or without.
_ARTIFACT = re.compile(
    r"""(?P<quote>["'])(?P<quoted>(?:(?:minio|s3|gs)://|/(?:minio|s3|gcs)/).*?)(?P=quote)"""
    r"""|(?:minio|s3|gs)://[^\s"']+|/(?:minio|s3|gcs)/[^\s"':]+"""
)

#: What KFP's types of a parameter are called.
_TYPES = {
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a dict",
}


def reason(words: str, signs: dict[str, str] = SIGNS) -> str:
    """Return what a message means; empty where no sign is in it."""
    return next((name for name, sign in signs.items() if re.search(sign, words)), "")


def ended(error: str, message: str) -> str | None:
    """Return how a step's own program ended, empty for exit code 1; None if it did not fail itself.

    Args:
        error: The launcher's last error, whose own exit code is always 1; empty without a launcher.
        message: What Argo says of the node.
    """
    found = _ENDED.search(error)
    if error and not found:
        return None
    if found and found["signal"]:
        return found["signal"]
    code = found["code"] if found else "".join(re.findall(r"exit code (\d+)", message)[-1:])
    return f"exit code {code}" if code not in ("", "1") else ""


def last_lines(log: str) -> tuple[str, str]:
    """Return the last error that KFP wrote into a log, and the last line that the step wrote."""
    error = own = ""
    for row in log.splitlines():
        if _ERROR.match(row):
            error = row
        elif not _MACHINERY.search(row):
            own = row
    # What was called with which arguments is long, and the cause stands behind it.
    error = re.sub(r"^[EF]\d{4} \S+ +(\d+ +)?", "", error)
    return re.sub(r"driver\.\w+\(.*\) failed: ", "", error), own


def artifact(words: str) -> str:
    """Return the address of the artifact that a message names; empty for none.

    The launcher puts `gs://bucket/key` where a step reads it as `/gcs/bucket/key`.
    """
    found = _ARTIFACT.search(words)
    text = (found["quoted"] or found[0]) if found else ""
    return re.sub(r"^/(\w+)/", r"\1://", text).replace("gcs://", "gs://")


def forbidden(words: str) -> str:
    """Return who may not do what."""
    account = r'User "(?:system:serviceaccount:[^:"]+:)?([^"]+)" (cannot .+?) in API group'
    found = re.search(account, words)
    return f"{found[1]} {found[2]}" if found else words


def output(words: str) -> str:
    """Return the name of the output that a message is about, after a blank."""
    found = re.search(r'output parameter name="([^"]*)"', words)
    return f" {found[1]}" if found else ""


def wrong_type(words: str) -> str:
    """Return which parameter is to be of which type, and what it is instead."""
    found = re.search(r'output parameter name="([^"]*)" type="(\w+)".*?text="(.*?)", type=', words)
    if found:
        value = found[3] if len(found[3]) <= 60 else f"{found[3][:57]}…"
        due = _TYPES.get(found[2], found[2])
        return f'its output {found[1]} is to be {due}, and it wrote "{value}"'
    found = re.search(r'parameter "([^"]*)" type mismatch: expect (\w+), got (\w+)', words)
    if found:
        return (
            f"its input {found[1]} is to be {_TYPES.get(found[2], found[2])}, and is a {found[3]}"
        )
    return "a value is of another type than is declared"


def not_finite(log: str) -> str:
    """Return which metric or output is not a finite number: the launcher logs what it reads."""
    given = executor_output.written(log)
    if not given:
        return "a metric or an output is NaN or infinite"
    found = list(executor_output.not_finite(given))
    return "; ".join(f"{'.'.join(place)} is {json.dumps(value)}" for place, value in found[:3])


def sizes(words: str) -> str:
    """Return how large a message is, and how large it may be, in brackets after a blank."""
    found = re.search(r"\((\d+) vs\. (\d+)\)", words)
    return f" ({int(found[1]):,} bytes of {int(found[2]):,})" if found else ""


def lacking_input(run: str, step: str, log: str) -> str:
    """Return the line in which a step misses the file of an artifact that is not its own.

    The launcher fetches what there is: of a deleted artifact nothing, without an error.
    """
    own = f"/{run}/{step.rpartition('/')[2]}/"
    for row in log.splitlines():
        address = artifact(row) if "No such file" in row else ""
        if address and own not in address:
            return row
    return ""
