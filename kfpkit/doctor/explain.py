"""Why a run is stuck or has failed: one sentence out of its Workflow, its pods and their events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kfpkit import process
from kfpkit.install import health
from kfpkit.runs.workflow import archived_log, from_cache, nodes, pod_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.install.target import Target

Object = dict[str, Any]

#: Label of a pod: whose Workflow it is of.
WORKFLOW = "workflows.argoproj.io/workflow"

#: Annotation of a pod: which node of the Workflow it is.
NODE = "workflows.argoproj.io/node-id"

#: Where the runbooks are.
RUNBOOKS = "docs/operate/runbooks"

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
    r"|offload node status is not supported",
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
    "terminated": "run-failed",
    "driver": "run-failed",
    "launcher": "run-failed",
    "step": "run-failed",
    "stuck": "run-pending",
    "not-taken-up": "run-pending",
    "lost": "run-pending",
}

#: Phases of a Workflow, and of a node of it, that has failed; and that has ended.
BAD = ("Failed", "Error")
FINAL = ("Succeeded", *BAD)

#: Lines of a log that the launcher and Argo's executor write, not the step.
_MACHINERY = re.compile(r"^[IWEF]\d{4} |argo=true|^time=|^\s*$|^(Error: )?exit status \d+$")


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
    if _reason(message) == "too-large":
        return _tell(facts, target, state, _Trouble("too-large", "", "", message, driver=False))
    troubles = list(_troubles(facts, nodes(status).values()))
    if troubles:
        return _tell(facts, target, state, troubles[0])
    if state in BAD:
        said = message or "Argo gives no reason"
        return Explanation(facts.run, state, "step", f"the run failed: {said}", (), (look,))
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


def _troubles(facts: Facts, found: Any) -> Iterator[_Trouble]:
    """Yield what is wrong with the steps, the first that went wrong first."""
    by_id = {node["id"]: node for node in found}
    forgiven = {
        child
        for node in by_id.values()
        if node.get("type") == "Retry" and node.get("phase") not in BAD
        for child in node.get("children", [])
        if by_id.get(child, {}).get("phase") in BAD
    }
    pods = {p["metadata"].get("annotations", {}).get(NODE): p for p in facts.pods}
    steps = [n for n in by_id.values() if n.get("type") == "Pod" and n["id"] not in forgiven]
    order = [
        *sorted((n for n in steps if n.get("phase") in BAD), key=lambda n: n["finishedAt"] or ""),
        *sorted(
            (n for n in steps if n.get("phase") not in FINAL), key=lambda n: n.get("startedAt", "")
        ),
    ]
    for node in order:
        found = _trouble(facts, node, pods.get(node["id"]))
        if found:
            yield found


def _trouble(facts: Facts, node: Object, pod: Object | None) -> _Trouble | None:
    name = pod["metadata"]["name"] if pod else pod_name(node)
    driver = "driver" in node.get("templateName", "")
    failed, message = node.get("phase") in BAD, node.get("message", "")
    said = [message] if failed or _reason(message) else []
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
    killed = ""
    for words in said:
        reason = _reason(words)
        if reason == "killed":
            killed = words  # What else was said may tell by whom.
        elif reason:
            return _Trouble(reason, step, name, _line(words), driver)
    if not failed:
        return _Trouble("stuck", step, name, _line(said[-1]), driver)
    log = facts.log(node, name)
    # KFP's own errors alone: what a step prints may say all this of something else.
    error, own = _last_lines(log)
    reason = _reason(error, among=("out-of-memory", "deleted-artifact", "unreachable", "killed"))
    if killed or reason == "killed":
        last = f"; its last words: {own}" if own else ""
        return _Trouble("killed", step, name, _line(f"{killed or error}{last}"), driver)
    if not reason and not driver and (lacking := _lacking_input(facts.run, step, log)):
        return _Trouble("deleted-artifact", step, name, _line(lacking), driver)
    if not reason and not driver and error and "exit status" not in error:
        reason = "launcher"  # The step itself ended well, or had not begun.
    last = (error or own if driver or reason else own or error) or message
    return _Trouble(reason or ("driver" if driver else "step"), step, name, _line(last), driver)


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
    describe = kubectl(target, "describe", "pod", found.pod)
    log = kubectl(target, "logs", found.pod, "--container=main")
    again = "`.set_retry(...)` tries it again, `.set_memory_limit(...)` gives it more memory"
    if found.driver:  # Neither reaches one.
        again = "retry the run"
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
            "the run's Workflow is too large to be stored: the pipeline has too many tasks, "
            "or loops over too many items",
            [kubectl(target, "get", "workflow", name, "--output=yaml")],
        ),
        "evicted": (
            f"{who} was evicted: its node ran short, or it wrote more than it may",
            [f"{target.kubectl} --context {target.context} describe nodes"],
        ),
        "deadline": (f"{who} was ended: it took longer than it may", [describe]),
        "deleted-artifact": (
            f"{who} failed: an input of it is no longer in the object store{_cached(facts)}",
            [log, _forget(facts, target)],
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
        "step": (f"{who} failed by itself", [log]),
        "stuck": (f"{who} does not start", [describe]),
    }[found.reason]
    events = [
        f"event {e.get('reason')}: {_line(e.get('message', ''))}"
        for e in facts.events
        if e.get("type") == "Warning" and e["involvedObject"].get("name") == found.pod
    ]
    evidence = [f"pod {found.pod}"] if found.pod else [f"Workflow {name}"]
    evidence += [found.said, *events[-3:]]
    tail = (
        f": {found.said}"
        if found.reason in ("driver", "launcher", "step", "stuck") and found.said
        else ""
    )
    return Explanation(
        facts.run,
        state,
        found.reason,
        f"{sentence}{tail}",
        tuple(dict.fromkeys(filter(None, evidence))),
        tuple(commands),
    )


def _reason(words: str, among: Any = tuple(SIGNS)) -> str:
    return next((name for name in among if re.search(SIGNS[name], words)), "")


def _step(node: Object) -> str:
    """Return the step that a node belongs to: `wf.root.train.executor` is of `train`."""
    parts = re.sub(r"\(\d+\)$", "", node.get("name", "")).split(".")[1:]
    while len(parts) > 1 and parts[-1] in ("executor", "driver"):
        parts.pop()
    last = parts[-1] if parts else node.get("displayName", "")
    return "the run itself" if last in ("root-driver", "root") else last.removesuffix("-driver")


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


def _cached(facts: Facts) -> str:
    assert facts.workflow is not None  # noqa: S101 - asked for a trouble in one
    steps = cached_steps(facts.workflow)
    return f"; {', '.join(steps)} came from the cache, which still points at it" if steps else ""


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


def _last_lines(log: str) -> tuple[str, str]:
    """Return the last error that KFP wrote into a log, and the last line that the step wrote."""
    error = own = ""
    for row in log.splitlines():
        if re.match(r"[EF]\d{4} ", row):
            error = row
        elif not _MACHINERY.search(row):
            own = row
    # What was called with which arguments is long, and the cause stands behind it.
    error = re.sub(r"^[EF]\d{4} \S+ +(\d+ +)?", "", error)
    return re.sub(r"driver\.\w+\(.*\) failed: ", "", error), own


def _lacking_input(run: str, step: str, log: str) -> str:
    """Return the line in which a step misses the file of an artifact that is not its own.

    The launcher fetches what there is: of a deleted artifact nothing, without an error.
    """
    for row in log.splitlines():
        path = re.search(r"/(?:minio|s3|gcs)/[^\s'\":]+", row)
        if path and "No such file" in row and f"/{run}/{step}/" not in path[0]:
            return row
    return ""


def _line(text: str) -> str:
    """Return a text as one line of bearable length, with both its ends."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 400 else f"{joined[:150]} … {joined[-250:]}"
