"""Why a run is stuck or has failed: one sentence out of its Workflow, its pods and their events."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.kfp.workflow import BAD, archived_log, from_cache, nodes, pod_name, row_of
from kfpkit.kube import health
from kfpkit.runs import signs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target

Object = dict[str, Any]

#: Label of a pod: whose Workflow it is of.
WORKFLOW = "workflows.argoproj.io/workflow"

#: Annotation of a pod: which node of the Workflow it is.
NODE = "workflows.argoproj.io/node-id"

#: Where the runbooks are.
RUNBOOKS = "docs/operate/runbooks"

#: The page about each reason.
RUNBOOK = {
    "quota": "run-pending",
    "pod-security": "run-pending",
    "missing-object": "run-pending",
    "image": "image-pull",
    "unschedulable": "pod-unschedulable",
    "out-of-memory": "run-out-of-memory",
    "too-large": "run-failed",
    "evicted": "disk-full",
    "deadline": "run-failed",
    "deleted-artifact": "run-failed",
    "unreachable": "run-failed",
    "pod-deleted": "run-failed",
    "killed": "run-failed",
    "forbidden": "run-failed",
    "not-begun": "run-failed",
    "argument-too-long": "run-failed",
    "no-output": "run-failed",
    "wrong-type": "run-failed",
    "not-finite": "run-failed",
    "message-too-large": "run-failed",
    "foreign-store": "run-failed",
    "missing-import": "run-failed",
    "terminated": "run-failed",
    "driver": "run-failed",
    "launcher": "run-failed",
    "step": "run-failed",
    "stuck": "run-pending",
    "not-taken-up": "run-pending",
    "lost": "run-pending",
}

#: Reasons whose sentence ends with what was said.
_TOLD = ("not-begun", "driver", "launcher", "step", "stuck")

#: Phases of a Workflow, and of a node of it, that has ended.
FINAL = ("Succeeded", *BAD)


@dataclass(frozen=True)
class Facts:
    """What there is to see of a run."""

    run: str
    #: None where Kubernetes no longer has it.
    workflow: Object | None = None
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    #: What the API says: `state`, and `error` with a `message` perhaps.
    record: Object | None = None
    #: Returns the log of a node's main container, of its pod or the one that was kept.
    log: Callable[[Object, str], str] = lambda *_: ""


@dataclass(frozen=True)
class Explanation:
    """Why a run is as it is."""

    run: str
    #: As Argo or the API says it.
    state: str
    #: A key of `RUNBOOK`; empty where there is no trouble.
    reason: str
    sentence: str
    evidence: tuple[str, ...] = ()
    #: Shell commands that mend it or show more.
    commands: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **{name: getattr(self, name) for name in ("run", "state", "reason", "sentence")},
            "evidence": list(self.evidence),
            "commands": list(self.commands),
            "runbook": f"{RUNBOOKS}/{RUNBOOK[self.reason]}.md" if self.reason else "",
        }


@dataclass(frozen=True)
class _Trouble:
    reason: str
    #: The step as its author knows it.
    step: str
    #: Name of the node's pod.
    pod: str
    #: What was said.
    said: str
    driver: bool
    #: What of it belongs into the sentence: an exit code, a value, the address of an artifact.
    detail: str = ""


def explain(facts: Facts, target: Target) -> Explanation:
    """Return why a run is stuck or failed."""
    workflow = facts.workflow
    if workflow is None:
        return _without_workflow(facts, target)
    name, status = workflow["metadata"]["name"], workflow.get("status", {})
    state, message = status.get("phase", ""), status.get("message", "")
    look = kubectl(target, "get", "workflow", name, "--output=yaml")
    if not state:
        return Explanation(
            facts.run,
            "Pending",
            "not-taken-up",
            "the workflow-controller has not taken the run up: it is not running, or far behind",
            (f"Workflow {name} has no status",),
            (kubectl(target, "logs", "deployment/workflow-controller", "--tail=50"),),
        )
    if state == "Succeeded":
        return Explanation(facts.run, state, "", "the run succeeded", (), (look,))
    # What the API writes into a Workflow whose run is terminated; and what Argo's own way is.
    spec = workflow["spec"]
    if spec.get("activeDeadlineSeconds") == 0 or spec.get("shutdown"):
        said = "somebody terminated the run"
        if state not in BAD:
            said += ", and its steps have not ended yet"
        return Explanation(facts.run, state, "terminated", said, (), (look,))
    if signs.reason(message) == "too-large":
        return _tell(facts, target, state, _Trouble("too-large", "", "", message, driver=False))
    troubles = list(_troubles(facts, nodes(status).values()))
    if troubles:
        return _tell(facts, target, state, troubles[0])
    if state in BAD:
        events = _workflow_events(facts)
        said = message or (events or ["Argo gives no reason"])[-1]
        return Explanation(
            facts.run, state, "step", f"the run failed: {said}", tuple(events[-3:]), (look,)
        )
    busy = sorted({_step(n) for n in _pods_of(status) if n.get("phase") in ("Running", "Pending")})
    doing = f"at {', '.join(busy)}" if busy else "between two steps"
    return Explanation(facts.run, state, "", f"the run goes on, {doing}; no trouble to see")


def gather(target: Target, run: str, *, archive: Callable[[str], str] | None = None) -> Facts:
    """Return what there is to see of a run.

    Args:
        target: Where it runs.
        run: Its ID.
        archive: Returns a log that was kept in the object store, by its key.

    Raises:
        CommandError: The cluster does not answer.
    """
    found = target.items(["workflows", "pods"], "--selector", f"{health.RUN}={run}")
    return select(target, run, found, target.items(["events"]), archive=archive)


def select(
    target: Target,
    run: str,
    objects: list[Object],
    events: list[Object],
    *,
    archive: Callable[[str], str] | None = None,
) -> Facts:
    """Return what Workflows, pods and events, of other runs too, tell of one run."""
    mine = [item for item in objects if item["metadata"].get("labels", {}).get(health.RUN) == run]
    workflow = next((item for item in mine if item["kind"] == "Workflow"), None)
    pods = [item for item in mine if item["kind"] == "Pod"]
    names = {item["metadata"]["name"] for item in mine}

    def log(node: Object, pod: str) -> str:
        if pod in names:
            said = target.query("logs", pod, "--container=main", "--tail=60", check=False)
            return said.stdout
        key = archived_log(node)
        return archive(key) if key and archive else ""

    told = [event for event in events if event["involvedObject"].get("name") in names]
    return Facts(run, workflow, pods, told, log=log)


def cached_steps(workflow: Object) -> list[str]:
    """Return the steps of a Workflow that took their result from the cache."""
    return sorted(_step(node) for node in _pods_of(workflow.get("status", {})) if from_cache(node))


def _without_workflow(facts: Facts, target: Target) -> Explanation:
    record = facts.record or {}
    state = str(record.get("state", "unknown"))
    said = (record.get("error") or {}).get("message", "")
    if state in ("RUNNING", "PENDING", "CANCELING", "unknown"):
        return Explanation(
            facts.run,
            state,
            "lost",
            f"the run will stay {state} for ever: its Workflow was removed before the persistence "
            "agent had seen its end",
            (f"no Workflow has the label {health.RUN}={facts.run}",),
            (
                kubectl(target, "logs", "deployment/persistence-agent", "--tail=50"),
                "make api  # in another terminal: the port of the next command",
                f".venv/bin/kfp --endpoint http://localhost:8889 run delete {facts.run}",
            ),
        )
    sentence = f"the run ended as {state}; its Workflow is gone, as it is a day after the end"
    return Explanation(facts.run, state, "", sentence, (said,) if said else ())


def _pods_of(status: Object) -> list[Object]:
    return [n for n in nodes(status).values() if n.get("type") == "Pod"]


def _workflow_events(facts: Facts) -> list[str]:
    """Return what warnings about the Workflow tell, the newest last."""
    warnings = [
        event
        for event in facts.events
        if event.get("type") == "Warning" and event["involvedObject"].get("kind") == "Workflow"
    ]
    # Either time may be absent or null.
    warnings.sort(key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
    # Argo tells of each node, and of those around it that failed with it.
    told = [str(event.get("message") or "") for event in warnings]
    return [_line(words) for words in told if words and not re.fullmatch(r"\w+ node \S+", words)]


def _troubles(facts: Facts, found: Any) -> Iterator[_Trouble]:
    """Yield what is wrong with the steps, the first that went wrong first."""
    by_id = {node["id"]: node for node in found}
    past: set[str] = set()
    for node in by_id.values():
        if node.get("type") == "Retry":
            attempts = [by_id[child] for child in node.get("children", []) if child in by_id]
            # The last one decides, unless another is still to come.
            last = attempts[-1:] if node.get("phase") in BAD else []
            past |= {n["name"] for n in attempts if n not in last and n.get("phase") in BAD}
    inside = tuple(f"{name}." for name in past)
    nodes = [
        node
        for node in by_id.values()
        if node.get("name") not in past and not node.get("name", "").startswith(inside)
    ]
    pods = {p["metadata"].get("annotations", {}).get(NODE): p for p in facts.pods}
    bad = [node for node in nodes if node.get("phase") in BAD]
    names = sorted(node.get("name", "") for node in bad)
    order = [
        *sorted(
            # Argo writes into a node without a pod why it made none, or nothing inside it.
            (n for n in bad if n.get("type") == "Pod" or (_says(n) and _leaf(n, names))),
            key=lambda n: n.get("finishedAt") or "",
        ),
        *sorted(
            (n for n in nodes if n.get("type") == "Pod" and n.get("phase") not in FINAL),
            key=lambda n: n.get("startedAt") or "",
        ),
    ]
    for node in order:
        found = _trouble(facts, node, pods.get(node["id"]))
        if found:
            yield found


def _says(node: Object) -> bool:
    """Whether a node that is no pod says why it failed, and not only that the Workflow did."""
    return node.get("message", "") not in ("", "Workflow operation error")


def _leaf(node: Object, names: list[str]) -> bool:
    """Whether no node inside a node is among the sorted names: its rounds, attempts and tasks."""
    return not any(
        (place := bisect_left(names, start)) < len(names) and names[place].startswith(start)
        for start in (f"{node.get('name', '')}.", f"{node.get('name', '')}(")
    )


def _trouble(facts: Facts, node: Object, pod: Object | None) -> _Trouble | None:
    # Argo notes the host of a pod, which stays known when the pod is gone.
    begun = node.get("type") == "Pod" and bool(
        pod or node.get("phase") != "Error" or node.get("hostNodeName")
    )
    name = pod["metadata"]["name"] if pod else pod_name(node) if begun else ""
    driver = "driver" in node.get("templateName", "")
    failed, message = node.get("phase") in BAD, node.get("message", "")
    said = [message] if failed or signs.reason(message) else []
    if pod:
        said += _pod_says(pod, failed=failed)
        if not failed:
            said += [
                f"{e.get('reason')}: {e.get('message', '')}"
                for e in facts.events
                if e.get("type") == "Warning"
                and e["involvedObject"].get("name") == name
                and pod.get("status", {}).get("phase") == "Pending"
                # The pod itself says whether that is still so.
                and e.get("reason") != "FailedScheduling"
            ]
    if not failed and not any(said):
        return None
    step = _step(node)

    def trouble(reason: str, words: str, detail: str = "") -> _Trouble:
        return _Trouble(reason, step, name, _line(words), driver, detail)

    killed = ""
    for words in said:
        reason = signs.reason(words)
        if reason == "killed":
            killed = words  # What else was said may tell by whom.
        elif reason:
            return trouble(reason, words, signs.forbidden(words) if reason == "forbidden" else "")
    if not failed:
        return trouble("stuck", said[-1])
    if not begun:
        return trouble("not-begun", message)
    log = facts.log(node, name)
    # KFP's own errors alone: what a step prints may say all this of something else.
    error, own = signs.last_lines(log)
    reason = signs.reason(error, signs.KFP_SIGNS)
    if killed or reason == "killed":
        last = f"; its last words: {own}" if own else ""
        return trouble("killed", f"{killed or error}{last}")
    if reason:
        tell = {
            "no-output": signs.output,
            "wrong-type": signs.wrong_type,
            "not-finite": lambda _: signs.not_finite(log),
            "message-too-large": signs.sizes,
            "deleted-artifact": signs.artifact,
            "forbidden": signs.forbidden,
        }.get(reason)
        return trouble(reason, error, tell(error) if tell else "")
    if driver:
        return trouble("driver", error or own or message)
    if lacking := signs.lacking_input(facts.run, step, log):
        return trouble("deleted-artifact", lacking, signs.artifact(lacking))
    end = signs.ended(error, message)
    if end is None:
        return trouble("launcher", error)  # The step itself ended well, or had not begun.
    return trouble("step", own or error or message, end)


def _pod_says(pod: Object, *, failed: bool) -> Iterator[str]:
    """Yield what a pod says of its trouble."""
    status = pod.get("status", {})
    if not failed:
        sickness = health.sick_pod(pod)
        if sickness and sickness.reason != "crash loop":
            yield f"{sickness.reason}: {sickness.detail}"
    yield from filter(None, [f"{status.get('reason', '')} {status.get('message', '')}".strip()])
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated", {})
        if ended.get("reason") == "OOMKilled":
            yield f"OOMKilled: {container['name']} (exit code {ended.get('exitCode')})"


def _tell(facts: Facts, target: Target, state: str, found: _Trouble) -> Explanation:
    """Put a trouble into a sentence, with the commands that help."""
    assert facts.workflow is not None  # noqa: S101 - there is no trouble without
    name = facts.workflow["metadata"]["name"]
    who = f"the {'driver of' if found.driver else 'step'} {found.step}"
    controller = kubectl(target, "logs", "deployment/workflow-controller", "--tail=50")
    describe, log = kubectl(target, "describe", "workflow", name), controller
    if found.pod:
        describe = kubectl(target, "describe", "pod", found.pod)
        log = kubectl(target, "logs", found.pod, "--container=main")
    again = "`.set_retry(...)` tries it again, `.set_memory_limit(...)` gives it more memory"
    if found.driver:  # Neither reaches one.
        again = "retry the run"
    cached, importers, reason = "", "", found.reason
    if reason == "deleted-artifact":
        cached, importers = _makers(facts, found)
        reason = "missing-import" if importers else reason
    sentence, commands = {
        "quota": (
            f"{who} gets no pod: the namespace's quota is used up",
            [kubectl(target, "describe", "resourcequota")],
        ),
        "pod-security": (
            f"{who} is refused: its pod breaks the namespace's PodSecurity level",
            [kubectl(target, "get", "namespace", target.namespace, "--show-labels")],
        ),
        "missing-object": (
            f"{who} cannot start: {_missing(found.said)} is not there",
            [kubectl(target, "get", "secrets,configmaps,serviceaccounts"), describe],
        ),
        "image": (
            f"{who} cannot start: the node cannot get its image{_image(facts, found)}",
            [describe],
        ),
        "unschedulable": (
            f"{who} waits: no node takes its pod",
            [describe, f"{target.kubectl} --context {target.context} describe nodes"],
        ),
        "out-of-memory": (
            f"{who} was ended: it used more memory than its limit{_limit(facts, found)}",
            [describe],
        ),
        "too-large": (
            f"{who} gets no pod: what it is given is too large to be stored; hand it over in a "
            "file, as an artifact"
            if found.step
            else "the run's Workflow is too large to be stored: the pipeline has too many tasks, "
            "or loops over too many items",
            [kubectl(target, "get", "workflow", name, "--output=yaml")],
        ),
        "forbidden": (
            f"{who} failed: Kubernetes forbids it: {found.detail}",
            ["make install  # brings the rights of all parts up to date", controller],
        ),
        "not-begun": (f"Argo could not begin {who}", [controller]),
        "argument-too-long": (
            f"{who} cannot start: a value that it is given is longer than 128 KiB, the most that "
            "Linux hands to a program; hand it over in a file, as an artifact",
            [describe],
        ),
        "no-output": (
            f"{who} failed: it ended well, but wrote nothing into its output{found.detail}; write "
            "it on every path, or give it no output",
            [log],
        ),
        "wrong-type": (
            f"{who} failed: {found.detail}; write what the type says, or declare the type that is "
            "written",
            [log],
        ),
        "not-finite": (
            f"{who} failed: {found.detail}, which KFP cannot store; leave it out, or hand it over "
            "as a text",
            [log],
        ),
        "message-too-large": (
            f"{who} failed: its metrics and values are more than one message to or from the "
            f"metadata server may hold{found.detail}; log fewer points, or put them into a file, "
            "as an artifact",
            [log],
        ),
        "foreign-store": (
            f"{who} failed: an input of it is in a store for which it has no credentials; copy it "
            "into the installation's bucket, and import it from there",
            [log],
        ),
        "evicted": (
            f"{who} was evicted: its node ran short, or it wrote more than it may",
            [f"{target.kubectl} --context {target.context} describe nodes"],
        ),
        "deadline": (f"{who} was ended: it took longer than it may", [describe]),
        "deleted-artifact": (
            f"{who} failed: an input of it is no longer in the object store; {cached} came from "
            "the cache, which still points at it"
            if cached
            else f"{who} failed: an input of it is not in the object store: the step that made it "
            "wrote no file, or it was removed since",
            [log, _forget(facts, target)] if cached else [log],
        ),
        "missing-import": (
            f"{who} failed: nothing is at {found.detail}, which {importers} imports; an import "
            "succeeds whatever is there",
            [log],
        ),
        "pod-deleted": (
            f"{who} failed: its pod was deleted from outside, with its node perhaps",
            [f"{target.kubectl} --context {target.context} get nodes"],
        ),
        "killed": (
            f"{who} was killed (SIGKILL): by somebody, with its node, or because its node had too "
            f"little memory; {again}",
            [describe, log, f"{target.kubectl} --context {target.context} get nodes"],
        ),
        "unreachable": (
            f"{who} failed: it did not reach the API, the metadata server or the object store",
            ["make doctor", log],
        ),
        "driver": (f"{who} failed", [log]),
        "launcher": (f"the launcher of {found.step} failed", [log]),
        "step": (f"{who} failed by itself{f' ({found.detail})' if found.detail else ''}", [log]),
        "stuck": (f"{who} does not start", [describe]),
    }[reason]
    events = [
        f"event {e.get('reason')}: {_line(e.get('message', ''))}"
        for e in facts.events
        if e.get("type") == "Warning"
        and e["involvedObject"].get("name") == found.pod
        # Of a pod that has waited and was begun since it tells nothing.
        and (e.get("reason") != "FailedScheduling" or reason in ("unschedulable", "stuck"))
    ]
    evidence = [f"pod {found.pod}"] if found.pod else [f"Workflow {name}"]
    evidence += [found.said, *events[-3:]]
    tail = f": {found.said}" if reason in _TOLD and found.said else ""
    return Explanation(
        facts.run,
        state,
        reason,
        f"{sentence}{tail}",
        tuple(dict.fromkeys(filter(None, evidence))),
        tuple(commands),
    )


def _step(node: Object) -> str:
    """Return the step that a node belongs to, with its round: `for-loop-1[0]/train`."""
    own = "the run itself" if "." in node.get("name", "") else node.get("displayName", "")
    return row_of(node) or str(own)


def _missing(words: str) -> str:
    if found := re.search(r"(?i)(secret|configmap|serviceaccount)s? \"([^\"]+)\"", words):
        return f"the {found[1]} {found[2]}"
    found = re.search(r"find key (\S+) in (\S+) (\S+)", words)
    return f"the key {found[1]} of the {found[2]} {found[3]}" if found else "a Secret or ConfigMap"


def _containers(facts: Facts, found: _Trouble) -> list[Object]:
    pod = next((p for p in facts.pods if p["metadata"]["name"] == found.pod), None)
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]] if pod else []


def _image(facts: Facts, found: _Trouble) -> str:
    for container in _containers(facts, found):
        if container["image"] in found.said or container["name"] == "main":
            return f" {container['image']}"
    return ""


def _limit(facts: Facts, found: _Trouble) -> str:
    for container in _containers(facts, found):
        if container["name"] == "main":
            memory = container.get("resources", {}).get("limits", {}).get("memory")
            return f" of {memory}; raise it with `.set_memory_limit(...)`" if memory else ""
    return ""


def _makers(facts: Facts, found: _Trouble) -> tuple[str, str]:
    """Return the steps that the missing artifact can be of: of those from the cache, of importers.

    KFP writes into a folder of the run and the step: `…/PIPELINE/RUN/STEP/NUMBER/NAME`.
    """
    assert facts.workflow is not None  # noqa: S101 - asked for a trouble in one
    folders = found.detail.split("/")[:-1]
    if facts.run in folders:
        return "", ""
    cached = [s for s in cached_steps(facts.workflow) if s.rpartition("/")[2] in folders]
    if cached:
        return ", ".join(cached), ""
    importers = {
        f"the step {_step(node)}"
        for node in _pods_of(facts.workflow.get("status", {}))
        if node.get("templateName", "").startswith("system-importer")
    }
    return "", " or ".join(sorted(importers))


def _forget(facts: Facts, target: Target) -> str:
    """Return the command that takes a pipeline's results out of the cache."""
    assert facts.workflow is not None  # noqa: S101 - asked for a trouble in one
    lists = [
        template["container"].get("args", [])
        for template in facts.workflow["spec"].get("templates", [])
        if "container" in template
    ]
    names = {a[a.index("--pipeline_name") + 1] for a in lists if "--pipeline_name" in a}
    pipeline = next((name for name in names if re.fullmatch(r"[\w .-]+", name)), "NAME")
    # Only printed, for a person to judge.
    sql = f"DELETE FROM mlpipeline.tasks WHERE PipelineName='pipeline/{pipeline}'"  # noqa: S608
    shell = f'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb --host=127.0.0.1 -u root -e "{sql}"'
    return kubectl(target, "exec", "statefulset/database", "--", "sh", "-c", shell)


def kubectl(target: Target, *arguments: str) -> str:
    """Return a kubectl command on the namespace as a line for a shell."""
    return process.line(target.argv(*arguments))


def _line(text: str) -> str:
    """Return a text as one line of bearable length, with both its ends."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 400 else f"{joined[:150]} … {joined[-250:]}"
