"""Why runs fail or do not start: one row a reason, with its sign, its words and what helps.

The words of the signs are those of Kubernetes 1.34, Argo Workflows 3.6 and 4.0, and of KFP's
launcher and driver with their libraries (Go CDK, gRPC, protobuf).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kfpkit.kfp.log import not_finite, written
from kfpkit.kfp.states import BAD, ENDED, FINAL
from kfpkit.kube import health

if TYPE_CHECKING:
    from collections.abc import Callable

    from kfpkit.kfp.workflow import Workflow
    from kfpkit.runs.facts import Case, Object

    #: Returns the words in which a case shows its reason; None where it is not this one.
    When = Callable[[Case], str | None]

#: Where the runbooks are.
RUNBOOKS = "docs/operate/runbooks"

#: An artifact in quotes, by its address or its path in the pod; or without.
_ARTIFACT = re.compile(
    r"""(?P<quote>["'])(?P<quoted>(?:(?:minio|s3|gs)://|/(?:minio|s3|gcs)/).*?)(?P=quote)"""
    r"""|(?:minio|s3|gs)://[^\s"']+|/(?:minio|s3|gcs)/[^\s"':]+"""
)

#: Of a Workflow, or of what is made for a step.
TOO_LARGE = (
    r"longer than maximum allowed size|request is too large|[Ee]ntity too large"
    r"|offload node status is not supported|Too long: (may not be more|must have at most)"
)

#: What KFP's types of a parameter are called.
_TYPES = {
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a dict",
}


def _message(sign: str) -> When:
    """Look for a sign in what Argo, Kubernetes and the pod say."""
    return lambda case: next(
        (w for w in (case.node.message, *case.messages) if re.search(sign, w)), None
    )


def _kfp(sign: str) -> When:
    """Look for a sign in KFP's own error: what a step prints may say all this of something else."""
    return lambda case: case.log.error if re.search(sign, case.log.error) else None


def _either(sign: str) -> When:
    message, kfp = _message(sign), _kfp(sign)
    return lambda case: message(case) or kfp(case)


def _lost(case: Case) -> str | None:
    facts = case.facts
    over = facts.record.get("state") in FINAL
    return None if facts.workflow or over else f"no Workflow has the label {health.RUN}={facts.run}"


def _not_taken_up(case: Case) -> str | None:
    workflow = case.facts.workflow
    return f"Workflow {workflow.name} has no status" if workflow and not workflow.phase else None


def _terminated(case: Case) -> str | None:
    """Look for what the API writes into a Workflow whose run is terminated, and for Argo's way."""
    spec = case.facts.workflow.spec
    if spec.get("activeDeadlineSeconds") == 0:
        return "spec.activeDeadlineSeconds is 0"
    return f"spec.shutdown is {spec['shutdown']}" if spec.get("shutdown") else None


def _away(case: Case) -> str | None:
    """Look for a warm driver that is not there for a driver that has not ended."""
    waits = case.node.warm and case.node.phase not in ENDED
    return (case.facts.away() or None) if waits else None


def _waits_for(case: Case) -> str | None:
    return case.node.message if case.node.warm and case.node.waits else None


def _killed(case: Case) -> str | None:
    """Look for SIGKILL: of a container, of a step's program, or of what its shell had started."""
    words = _either(r"exit (code|status) 137|signal: killed")(case)
    return f"{words}; its last words: {case.log.last}" if words and case.log.last else words


def _gone(case: Case) -> str | None:
    """Look for an input that is not in the object store."""
    words = _either(r"NoSuchKey|code=NotFound|specified key does not exist")(case)
    if words or case.node.role == "driver":
        return words
    # The launcher fetches what there is: of a deleted artifact nothing, without an error.
    own = f"/{case.facts.run}/{case.step.rpartition('/')[2]}/"
    missing = [row for row in case.log.own if "No such file" in row and _artifact(row)]
    return next((row for row in missing if own not in _artifact(row)), None)


def _gone_from(makers: Callable[[Case, str], str]) -> When:
    """Look for such an input of certain steps."""
    return lambda case: words if (words := _gone(case)) and makers(case, words) else None


def _stuck(case: Case) -> str | None:
    if case.node.failed:
        return None
    return case.messages[-1] if case.messages else case.node.message if case.node.waits else None


def _driver(case: Case) -> str | None:
    failed = case.node.failed and case.node.role == "driver"
    return (case.log.error or case.log.last or case.node.message or None) if failed else None


def _step(case: Case) -> str | None:
    words = case.log.last or case.log.error or case.node.message
    return words or None if case.node.failed else None


def unexplained(case: Case) -> str:
    """Return what is said of the Workflow, where nothing is of the node."""
    workflow = case.facts.workflow
    told = [event["message"] for event in case.facts.warnings(workflow.name)]
    return workflow.message or (told or ["neither a log nor Kubernetes says why"])[-1]


def _artifact(words: str) -> str:
    """Return the address of the artifact that a message names; empty for none.

    The launcher puts `gs://bucket/key` where a step reads it as `/gcs/bucket/key`.
    """
    named = _ARTIFACT.search(words)
    text = (named["quoted"] or named[0]) if named else ""
    return re.sub(r"^/(\w+)/", r"\1://", text).replace("gcs://", "gs://")


def _folders(case: Case, words: str) -> list[str]:
    """Return the folders of a missing artifact, if another run is among them or none.

    KFP writes into a folder of the run and the step: `…/PIPELINE/RUN/STEP/NUMBER/NAME`.
    """
    folders = _artifact(words).split("/")[:-1]
    return [] if case.facts.run in folders else folders


def _cached(case: Case, words: str) -> str:
    """Return which steps from the cache the missing artifact can be of."""
    steps, folders = cached_steps(case.facts.workflow), _folders(case, words)
    return ", ".join(step for step in steps if step.rpartition("/")[2] in folders)


def _imported(case: Case, words: str) -> str:
    """Return the address of the missing artifact and the importers that it can be of."""
    nodes = case.facts.workflow.nodes if _folders(case, words) else []
    steps = {f"the step {n.row}" for n in nodes if n.template.startswith("system-importer")}
    return f"{_artifact(words)}, which {' or '.join(sorted(steps))} imports" if steps else ""


def cached_steps(workflow: Workflow) -> list[str]:
    """Return the steps of a Workflow that took their result from the cache."""
    return sorted(node.row for node in workflow.nodes if node.cached)


def _end(case: Case, _: str) -> str:
    end = case.log.end(case.node.message)
    return f" ({end})" if end else ""


def _part(_: Case, words: str) -> str:
    """Return what is waited for and why, without how often it has been tried."""
    return re.sub(r" \(tried .*\)$", "", words.removeprefix("waiting for "))


def _missing(_: Case, words: str) -> str:
    if named := re.search(r"(?i)(secret|configmap|serviceaccount)s? \"([^\"]+)\"", words):
        return f"the {named[1]} {named[2]}"
    key = re.search(r"find key (\S+) in (\S+) (\S+)", words)
    return f"the key {key[1]} of the {key[2]} {key[3]}" if key else "a Secret or ConfigMap"


def _image(case: Case, words: str) -> str:
    for container in _containers(case):
        if container["image"] in words or container["name"] == "main":
            return f" {container['image']}"
    return ""


def _limit(case: Case, _: str) -> str:
    main = next((each for each in _containers(case) if each["name"] == "main"), {})
    memory = main.get("resources", {}).get("limits", {}).get("memory")
    return f" of {memory}; raise it with `.set_memory_limit(...)`" if memory else ""


def _containers(case: Case) -> list[Object]:
    spec = case.pod.get("spec", {})
    return [*spec.get("initContainers", []), *spec.get("containers", [])]


def _forbidden(_: Case, words: str) -> str:
    """Return who may not do what."""
    account = r'User "(?:system:serviceaccount:[^:"]+:)?([^"]+)" (cannot .+?) in API group'
    named = re.search(account, words)
    return f"{named[1]} {named[2]}" if named else words


def _output(_: Case, words: str) -> str:
    named = re.search(r'output parameter name="([^"]*)"', words)
    return f" {named[1]}" if named else ""


def _wrong_type(_: Case, words: str) -> str:
    """Return which parameter is to be of which type, and what it is instead."""
    output = r'output parameter name="([^"]*)" type="(\w+)".*?text="(.*?)", type='
    if named := re.search(output, words):
        value = named[3] if len(named[3]) <= 60 else f"{named[3][:57]}…"
        due = _TYPES.get(named[2], named[2])
        return f'its output {named[1]} is to be {due}, and it wrote "{value}"'
    if named := re.search(r'parameter "([^"]*)" type mismatch: expect (\w+), got (\w+)', words):
        due = _TYPES.get(named[2], named[2])
        return f"its input {named[1]} is to be {due}, and is a {named[3]}"
    return "a value is of another type than is declared"


def _numbers(case: Case, _: str) -> str:
    """Return which metric or output is not a finite number: the launcher logs what it reads."""
    numbers = dict.fromkeys(not_finite(written(case.log.text)))
    told = "; ".join(f"{'.'.join(place)} is {json.dumps(value)}" for place, value in [*numbers][:3])
    return told or "a metric or an output is NaN or infinite"


def _sizes(_: Case, words: str) -> str:
    """Return how large a message is, and how large it may be."""
    sizes = re.search(r"\((\d+) vs\. (\d+)\)", words)
    return f" ({int(sizes[1]):,} bytes of {int(sizes[2]):,})" if sizes else ""


def _again(case: Case, _: str) -> str:
    if case.node.role == "driver":  # What a pipeline can say of a step does not reach its driver.
        return "retry the run"
    return "`.set_retry(...)` tries it again, `.set_memory_limit(...)` gives it more memory"


@dataclass(frozen=True)
class Reason:
    """A reason.

    Attributes:
        name: What programs know it by.
        when: Where a case has it.
        sentence: `{who}` it happened to, `{step}`, its `{state}`, the `{detail}`; `{words}` are
            those in which it shows, after a colon.
        commands: What mends it or shows more: lines for a shell, or names of `explain.commands`.
        detail: What of those words, or of the case, belongs into the sentence.
        runbook: The page about it in `RUNBOOKS`.
        of_run: Whether it is of a run as a whole, not of a node.
    """

    name: str
    when: When
    sentence: str
    commands: tuple[str, ...] = ("{log}",)
    detail: Callable[[Case, str], str] = lambda *_: ""
    runbook: str = "run-failed"
    of_run: bool = False


#: The first that fits is the reason: what is special comes before what is general.
REASONS = (
    Reason(
        "lost",
        _lost,
        "the run will stay {state} for ever: its Workflow was removed before the persistence agent "
        "had seen its end",
        (
            "{kubectl} logs deployment/persistence-agent --tail=50",
            "make api  # in another terminal: the port of the next command",
            ".venv/bin/kfp --endpoint http://localhost:8889 run delete {run}",
        ),
        of_run=True,
        runbook="run-pending",
    ),
    Reason(
        "not-taken-up",
        _not_taken_up,
        "the workflow-controller has not taken the run up: it is not running, or far behind",
        ("{controller}",),
        of_run=True,
        runbook="run-pending",
    ),
    Reason(
        "terminated",
        _terminated,
        "somebody terminated the run{detail}",
        ("{workflow}",),
        lambda case, _: (
            "" if case.facts.workflow.phase in BAD else ", and its steps have not ended yet"
        ),
        of_run=True,
    ),
    Reason(
        "workflow-too-large",
        _message(TOO_LARGE),
        "the run's Workflow is too large to be stored: the pipeline has too many tasks, or loops "
        "over too many items",
        ("{workflow}",),
        of_run=True,
    ),
    Reason(
        "warm-driver-away",
        _away,
        "{who} waits for the warm driver, which is away; it goes on as soon as that is back{words}",
        (
            "make doctor",
            "{kubectl} describe deployments,pods --selector=app.kubernetes.io/name=warm-driver",
        ),
        runbook="run-pending",
    ),
    Reason(
        "part-away",
        _waits_for,
        "{who} waits for {detail}; it is tried again by itself",
        ("make doctor",),
        _part,
        runbook="run-pending",
    ),
    # An error of KFP's may quote what a step has written, so what is known by more words is first.
    Reason(
        "no-output",
        _kfp(r"failed to read output parameter .*: no such file or directory$"),
        "{who} failed: it ended well, but wrote nothing into its output{detail}; write it on every "
        "path, or give it no output",
        detail=_output,
    ),
    Reason(
        "wrong-type",
        _kfp(
            r"failed to read output parameter .* TextToPbValue"
            r"|parameter \"[^\"]*\" type mismatch: expect "
        ),
        "{who} failed: {detail}; write what the type says, or declare the type that is written",
        detail=_wrong_type,
    ),
    Reason(
        "not-finite",
        # protojson of Go, its structpb, encoding/json, and Python's protobuf.
        _kfp(
            r"invalid value -?(NaN|Infinity)|invalid (NaN|[+-]Inf) value"
            r"|unsupported value: (NaN|[+-]Inf)|SerializeToJsonError"
        ),
        "{who} failed: {detail}, which KFP cannot store; leave it out, or hand it over as a text",
        detail=_numbers,
    ),
    Reason(
        "message-too-large",
        _kfp(r"(?i)(received|send) message larger than max"),
        "{who} failed: its metrics and values are more than one message to or from the metadata "
        "server may hold{detail}; log fewer points, or put them into a file, as an artifact",
        detail=_sizes,
    ),
    Reason(
        "foreign-store",
        _kfp(
            r"no driver registered for|NoCredentialProviders|failed to refresh cached credentials"
        ),
        "{who} failed: an input of it is in a store for which it has no credentials; copy it into "
        "the installation's bucket, and import it from there",
    ),
    Reason(
        "quota",
        _message(r"exceeded quota"),
        "{who} gets no pod: the namespace's quota is used up",
        ("{kubectl} describe resourcequota",),
        runbook="run-pending",
    ),
    Reason(
        "pod-security",
        _message(r"violates PodSecurity"),
        "{who} is refused: its pod breaks the namespace's PodSecurity level",
        ("{kubectl} get namespace {namespace} --show-labels",),
        runbook="run-pending",
    ),
    Reason(
        "missing-object",
        _message(
            r"(?i)(secret|configmap|serviceaccount)s? \"[^\"]+\" not found"
            r"|couldn't find key \S+ in (Secret|ConfigMap) \S+"
        ),
        "{who} cannot start: {detail} is not there",
        ("{kubectl} get secrets,configmaps,serviceaccounts", "{describe}"),
        _missing,
        runbook="run-pending",
    ),
    Reason(
        "image",
        _message(
            r"(?i)ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|image pull"
        ),
        "{who} cannot start: the node cannot get its image{detail}",
        ("{describe}",),
        _image,
        runbook="image-pull",
    ),
    Reason(
        "unschedulable",
        _message(r"(?i)unschedulable|nodes are available"),
        "{who} waits: no node takes its pod",
        ("{describe}", "{cluster} describe nodes"),
        runbook="pod-unschedulable",
    ),
    Reason(
        "out-of-memory",
        _either(r"OOMKilled"),
        "{who} was ended: it used more memory than its limit{detail}",
        ("{describe}",),
        _limit,
        runbook="run-out-of-memory",
    ),
    Reason(
        "too-large",
        _message(TOO_LARGE),
        "{who} gets no pod: what it is given is too large to be stored; hand it over in a file, as "
        "an artifact",
        ("{workflow}",),
    ),
    Reason(
        "forbidden",
        _either(r"is forbidden: User "),
        "{who} failed: Kubernetes forbids it: {detail}",
        ("make install  # brings the rights of all components up to date", "{controller}"),
        _forbidden,
    ),
    Reason(
        "argument-too-long",
        _either(r"(?i)argument list too long"),
        "{who} cannot start: a value that it is given is longer than 128 KiB, the most that Linux "
        "hands to a program; hand it over in a file, as an artifact",
        ("{describe}",),
    ),
    Reason(
        "evicted",
        _message(r"(?i)the node was low on resource|exceeds the total limit of containers|evicted"),
        "{who} was evicted: its node ran short, or it wrote more than it may",
        ("{cluster} describe nodes",),
        runbook="disk-full",
    ),
    Reason(
        "deadline",
        _message(r"(?i)longer than the specified deadline|DeadlineExceeded"),
        "{who} was ended: it took longer than it may",
        ("{describe}",),
    ),
    Reason(
        "unreachable",
        _either(r"code = Unavailable|connection refused|no such host|i/o timeout"),
        "{who} failed: it did not reach the API, the metadata server or the object store",
        ("make doctor", "{log}"),
    ),
    Reason(
        "pod-deleted",
        # SIGTERM, which a pod gets that is deleted with notice.
        _message(r"(?i)pod deleted|exit code 143"),
        "{who} failed: its pod was deleted from outside, with its node perhaps",
        ("{cluster} get nodes",),
    ),
    Reason(
        "killed",
        _killed,
        "{who} was killed (SIGKILL): by somebody, with its node, or because its node had too "
        "little memory; {detail}",
        ("{describe}", "{log}", "{cluster} get nodes"),
        _again,
    ),
    Reason(
        "cached-artifact",
        _gone_from(_cached),
        "{who} failed: an input of it is no longer in the object store; {detail} came from the "
        "cache, which still points at it",
        ("{log}", "{forget}"),
        _cached,
    ),
    Reason(
        "missing-import",
        _gone_from(_imported),
        "{who} failed: nothing is at {detail}; an import succeeds whatever is there",
        detail=_imported,
    ),
    Reason(
        "deleted-artifact",
        _gone,
        "{who} failed: an input of it is not in the object store: the step that made it wrote no "
        "file, or it was removed since",
    ),
    Reason(
        "stuck",
        _stuck,
        "{who} does not start{words}",
        ("{describe}",),
        runbook="run-pending",
    ),
    Reason(
        "not-begun",
        lambda case: None if case.begun or not case.node.failed else case.node.message or None,
        "Argo could not begin {who}{words}",
        ("{controller}",),
    ),
    Reason("driver", _driver, "{who} failed{words}"),
    Reason(
        "launcher",
        lambda case: None if case.log.of_step else case.log.error,
        "the launcher of {step} failed{words}",
    ),
    Reason("step", _step, "{who} failed by itself{detail}{words}", detail=_end),
    Reason(
        "unexplained",
        lambda case: unexplained(case) if case.node.failed else None,
        "{who} failed{words}",
        ("{describe}",),
    ),
)
