"""Why a run is stuck or has failed: one sentence out of its Workflow, its pods and their events."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kfpkit.core import process
from kfpkit.core.errors import CommandError
from kfpkit.kfp import log
from kfpkit.kfp.states import BAD, ENDED, Phase
from kfpkit.kfp.workflow import Node, Workflow
from kfpkit.kube import health
from kfpkit.runs.reasons import REASONS, RUNBOOKS, Reason, unexplained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target

Object = dict[str, Any]

#: Annotation of a pod: which node of the Workflow it is.
NODE = "workflows.argoproj.io/node-id"

#: Argo's event of a pod that no node took; it stays when the pod has found one.
UNSCHEDULED = "FailedScheduling"

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Explanation:
    """Why a run is as it is."""

    run: str
    #: As Argo or the API says it.
    state: str
    #: The name of a `Reason`; empty where there is no trouble.
    reason: str
    sentence: str
    evidence: tuple[str, ...] = ()
    #: Shell commands that mend it or show more.
    commands: tuple[str, ...] = ()
    #: The page about it, below the checkout; empty where there is no trouble.
    runbook: str = ""
    #: The part of the log that tells why; empty where there is no log, or nothing in it.
    excerpt: str = ""

    @property
    def text(self) -> str:
        """The sentence, and before it what the log has beyond it."""
        more = "" if self.excerpt in self.sentence else f"{self.excerpt}\n"
        return f"{more}{self.sentence}"

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What there is to see of a run.

    Attributes:
        run: Its ID.
        workflow: Empty where Kubernetes no longer has it.
        pods: Its pods.
        events: Those of the Workflow and of the pods, and any others.
        record: What the API says: `state`, and `error` with a `message` perhaps.
        log: Returns the log of a node's main container, of its pod or the one that was kept.
    """

    run: str
    workflow: Workflow = field(default_factory=Workflow)
    pods: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)
    record: Object = field(default_factory=dict)
    log: Callable[[Node], str] = lambda _: ""

    @property
    def state(self) -> str:
        """How the run stands, as Argo or the API says it."""
        if self.workflow:
            return self.workflow.phase or Phase.PENDING
        return str(self.record.get("state") or "unknown")

    def warnings(self, name: str) -> list[Object]:
        """Return the warnings about an object, the newest last."""
        about = [
            event
            for event in self.events
            if event.get("type") == "Warning"
            and event["involvedObject"].get("name") == name
            # Argo tells of each node, and of those around it that failed with it.
            and not re.fullmatch(r"(\w+ node \S+)?", event.get("message") or "")
        ]
        # Either time may be absent or null.
        return sorted(about, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")


def gather(target: Target, run: str, *, archive: Callable[[str], str] = lambda _: "") -> Facts:
    """Return what there is to see of a run; `archive` returns a kept log, by its key.

    Raises:
        CommandError: The cluster does not answer.
    """
    objects = target.items(["workflows", "pods"], "--selector", f"{health.RUN}={run}")
    try:
        events = target.items(["events"])
    except CommandError:
        events = []  # It is no right that the rest needs.
    return select(target, run, objects, events, archive=archive)


def select(
    target: Target,
    run: str,
    objects: list[Object],
    events: list[Object],
    *,
    archive: Callable[[str], str] = lambda _: "",
) -> Facts:
    """Return what Workflows, pods and events, of other runs too, tell of one run."""
    mine = [item for item in objects if item["metadata"].get("labels", {}).get(health.RUN) == run]
    workflow = next((item for item in mine if item["kind"] == "Workflow"), {})
    pods = [item for item in mine if item["kind"] == "Pod"]
    names = {pod["metadata"]["name"] for pod in pods}

    def read(node: Node) -> str:
        if node.pod in names:
            return target.query("logs", node.pod, "--container=main", check=False).stdout
        return archive(node.log) if node.log else ""

    return Facts(run, Workflow(workflow), pods, events, log=read)


@dataclass(frozen=True)
class Case:
    """What is to be explained: a node of a run's Workflow, or the run itself (role `run`)."""

    facts: Facts
    node: Node

    @cached_property
    def pod(self) -> Object:
        """The pod; empty where it has gone, or never was."""
        by_node = {p["metadata"].get("annotations", {}).get(NODE): p for p in self.facts.pods}
        return by_node.get(self.node.id, {})

    @property
    def pod_name(self) -> str:
        """Name of the pod; empty where it never was. Argo notes the host of one that has gone."""
        node = self.node
        return node.pod if self.pod or node.phase != Phase.ERROR or node.host else ""

    @property
    def step(self) -> str:
        """The step as its author knows it, with its round: `for-loop-1[0]/train`."""
        return self.node.row or ("the run itself" if "." in self.node.name else self.node.name)

    @cached_property
    def messages(self) -> list[str]:
        """What the pod says of its trouble; and events, of one that waits or left no log."""
        failed = self.node.failed
        messages = list(_pod_says(self.pod, failed=failed))
        waits = self.pod.get("status", {}).get("phase") == "Pending"
        if self.pod_name and (not self.log.text if failed else waits):
            messages += [
                f"{event.get('reason')}: {event['message']}"
                for event in self.facts.warnings(self.pod_name)
                # The pod itself says whether that is still so.
                if event.get("reason") != UNSCHEDULED
            ]
        return messages

    @cached_property
    def log(self) -> log.Log:
        """The log of a pod that failed."""
        return log.read(self.facts.log(self.node) if self.node.failed and self.pod_name else "")


def cases(facts: Facts) -> Iterator[Case]:
    """Yield the nodes of a run that failed or do not start, the first that went wrong first."""
    nodes = facts.workflow.nodes
    by_id = {node.id: node for node in nodes}
    past: set[str] = set()
    for node in nodes:
        if node.type == "Retry":
            attempts = [by_id[child] for child in node.children if child in by_id]
            # The last one decides, unless another is still to come.
            last = attempts[-1:] if node.failed else []
            past |= {each.name for each in attempts if each not in last and each.failed}
    inside = tuple(f"{name}." for name in past)
    nodes = [n for n in nodes if n.name not in past and not n.name.startswith(inside)]
    bad = [node for node in nodes if node.failed]
    names = sorted(node.name for node in bad)
    # Argo writes into a node without a pod why it made none, or only that the Workflow failed.
    nothing = ("", "Workflow operation error")
    bad = [n for n in bad if n.type == "Pod" or (n.message not in nothing and _leaf(n, names))]
    going = [node for node in nodes if node.type == "Pod" and node.phase not in ENDED]
    for node in [*sorted(bad, key=lambda n: n.finished or _NEVER), *going]:
        yield Case(facts, node)


def _leaf(node: Node, names: list[str]) -> bool:
    """Whether no node inside a node is among the sorted names: its rounds, attempts and tasks."""
    return not any(
        (place := bisect_left(names, start)) < len(names) and names[place].startswith(start)
        for start in (f"{node.name}.", f"{node.name}(")
    )


def _pod_says(pod: Object, *, failed: bool) -> Iterator[str]:
    status = pod.get("status", {})
    if pod and not failed:
        sickness = health.sick_pod(pod)
        if sickness and sickness.reason != "crash loop":
            yield f"{sickness.reason}: {sickness.detail}"
    yield from filter(None, [f"{status.get('reason', '')} {status.get('message', '')}".strip()])
    for container in status.get("containerStatuses", []):
        ended = container.get("state", {}).get("terminated", {})
        if ended.get("reason") == "OOMKilled":
            yield f"OOMKilled: {container['name']} (exit code {ended.get('exitCode')})"


def explain(facts: Facts, target: Target, row: str = "") -> Explanation:
    """Return why a run is stuck or failed.

    Args:
        facts: What there is to see of it.
        target: Where it runs.
        row: The task, or round of one, that is asked for; default the first that went wrong.
    """
    workflow = facts.workflow
    run = Case(facts, Node("", "run", "Workflow", workflow.phase, workflow.message))
    nodes = list(cases(facts))
    mine = [case for case in nodes if row and case.step == row]
    if workflow.phase == Phase.SUCCEEDED:
        look = kubectl(target, "get", "workflow", workflow.name, "--output=yaml")
        return Explanation(facts.run, facts.state, "", "the run succeeded", (), (look,))
    for case in (run, *(mine or nodes)):
        if explained := tell(case, target):
            return explained
    if workflow.phase in BAD:
        return _put(run, REASONS[-1], unexplained(run), target)
    if not workflow:
        words = (facts.record.get("error") or {}).get("message", "")
        ended = f"the run ended as {facts.state}"
        sentence = f"{ended}; its Workflow is gone, as it is a day after the end"
        evidence = (words,) if words else ()
        return Explanation(facts.run, facts.state, "", sentence, evidence, excerpt=words)
    pods = [node for node in workflow.nodes if node.type == "Pod"]
    busy = {Case(facts, n).step for n in pods if n.phase in (Phase.RUNNING, Phase.PENDING)}
    doing = f"at {', '.join(sorted(busy))}" if busy else "between two steps"
    return Explanation(facts.run, facts.state, "", f"the run goes on, {doing}; no trouble to see")


def tell(case: Case, target: Target) -> Explanation | None:
    """Return why a run, or a node of it, failed or does not start; None if there is no trouble."""
    for reason in REASONS:
        if reason.of_run == (case.node.role == "run") and (words := reason.when(case)) is not None:
            return _put(case, reason, words, target)
    return None


def _put(case: Case, reason: Reason, words: str, target: Target) -> Explanation:
    """Put a reason into a sentence, with the commands that help."""
    workflow, name = case.facts.workflow, case.pod_name
    who = {"run": "the run", "driver": f"the driver of {case.step}"}
    sentence = reason.sentence.format(
        who=who.get(case.node.role, f"the step {case.step}"),
        step=case.step,
        state=case.facts.state,
        detail=reason.detail(case, words),
        words=f": {_line(words)}" if words else "",
    )
    events = [
        f"event {event.get('reason')}: {_line(event['message'])}"
        for event in case.facts.warnings(name or workflow.name)
        # Of a pod that has waited and was begun since it tells nothing.
        if event.get("reason") != UNSCHEDULED or reason.name in ("unschedulable", "stuck")
    ]
    known = commands(case, target)
    where = f"pod {name}" if name else f"Workflow {workflow.name}" if workflow else ""
    return Explanation(
        case.facts.run,
        case.facts.state,
        reason.name,
        sentence,
        tuple(dict.fromkeys(filter(None, (where, _line(words), *events[-3:])))),
        tuple(command.format_map(known) for command in reason.commands),
        f"{RUNBOOKS}/{reason.runbook}.md",
        case.log.excerpt,
    )


def commands(case: Case, target: Target) -> dict[str, str]:
    """Return the commands, and parts of some, that the rows of `REASONS` name."""
    workflow, pod = case.facts.workflow, case.pod_name
    controller = kubectl(target, "logs", "deployment/workflow-controller", "--tail=50")
    # What KFP's drivers are called with; only printed, for a person to judge.
    named = re.search(r'"--pipeline_name", "([\w .-]+)"', json.dumps(workflow.spec))
    pipeline = named[1] if named else "NAME"
    sql = f"DELETE FROM mlpipeline.tasks WHERE PipelineName='pipeline/{pipeline}'"  # noqa: S608
    shell = f'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb --host=127.0.0.1 -u root -e "{sql}"'
    return {
        "run": case.facts.run,
        "namespace": target.namespace,
        "kubectl": kubectl(target),
        "cluster": f"{target.kubectl} --context {target.context}",
        "controller": controller,
        "workflow": kubectl(target, "get", "workflow", workflow.name, "--output=yaml"),
        "describe": kubectl(
            target, "describe", *(("pod", pod) if pod else ("workflow", workflow.name))
        ),
        "log": kubectl(target, "logs", pod, "--container=main") if pod else controller,
        # The pipeline's results, out of the cache.
        "forget": kubectl(target, "exec", "statefulset/database", "--", "sh", "-c", shell),
    }


def kubectl(target: Target, *arguments: str) -> str:
    """Return a kubectl command on the namespace as a line for a shell."""
    return process.line(target.argv(*arguments))


def _line(text: str) -> str:
    """Return a text as one line of bearable length, with both its ends."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 400 else f"{joined[:150]} … {joined[-250:]}"
