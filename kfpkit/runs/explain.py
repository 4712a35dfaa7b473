"""Why a run is stuck or has failed: one sentence out of its Workflow, its pods and their events."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import CommandError
from kfpkit.kfp import webhook
from kfpkit.kfp.states import BAD, ENDED, Phase
from kfpkit.kfp.workflow import Node, Workflow
from kfpkit.kube import health
from kfpkit.runs.facts import UNSCHEDULED, Case, Facts, Object
from kfpkit.runs.reasons import REASONS, RUNBOOKS, Reason, unexplained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kfpkit.kfp.target import Target

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

    @property
    def help(self) -> str:
        """The sentence, and below it what helps, as `Run.explanation` has it."""
        lines = [self.sentence, *(f"    {command}" for command in self.commands)]
        return "\n".join([*lines, f"Read {self.runbook}"] if self.runbook else lines)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def gather(target: Target, run: str, *, archive: Callable[[str], str] = lambda _: "") -> Facts:
    """Return what there is to see of a run; `archive` returns a kept log, by its key.

    Raises:
        CommandError: The cluster does not answer.
    """
    objects = target.items(["workflows", "pods"], "--selector", f"{health.RUN}={run}")
    try:
        events = warnings(target)
    except CommandError:
        events = []  # It is no right that the rest needs.
    return select(target, run, objects, events, archive=archive)


def warnings(target: Target) -> list[Object]:
    """Return the warnings among a namespace's events: one in twenty of them, in a day of runs.

    Raises:
        CommandError: The cluster does not answer or refuses.
    """
    return target.items(["events"], "--field-selector=type=Warning")


def select(
    target: Target,
    run: str,
    objects: list[Object],
    events: list[Object],
    *,
    archive: Callable[[str], str] = lambda _: "",
) -> Facts:
    """Return what Workflows, pods and warnings, of other runs too, tell of one run."""
    mine = [item for item in objects if item["metadata"].get("labels", {}).get(health.RUN) == run]
    workflow = next((item for item in mine if item["kind"] == "Workflow"), {})
    pods = [item for item in mine if item["kind"] == "Pod"]
    names = {pod["metadata"]["name"] for pod in pods}

    def read(node: Node) -> str:
        if node.pod in names:
            return target.query("logs", node.pod, "--container=main", check=False).stdout
        return archive(node.log) if node.log else ""

    return Facts(run, Workflow(workflow), pods, events, log=read, away=cache(lambda: _away(target)))


def _away(target: Target) -> str:
    """Return why no pod of the warm driver is ready; empty where one is."""
    pods = target.items(["pods"], "--selector", f"{health.PART}={webhook.NAME}")
    if any(_is_ready(pod) for pod in pods):
        return ""
    sick = next(filter(None, map(health.sick_pod, pods)), None)
    return f"{sick.object}: {sick.reason}" if sick else "no pod of it is ready"


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


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
    # Argo writes into a node without a program why it began none, or only that the Workflow failed.
    nothing = ("", "Workflow operation error")
    bad = [n for n in bad if n.works or (n.message not in nothing and _leaf(n, names))]
    going = [node for node in nodes if node.works and node.phase not in ENDED]
    for node in [*sorted(bad, key=lambda n: n.finished or _NEVER), *going]:
        yield Case(facts, node)


def _leaf(node: Node, names: list[str]) -> bool:
    """Whether no node inside a node is among the sorted names: its rounds, attempts and tasks."""
    return not any(
        (place := bisect_left(names, start)) < len(names) and names[place].startswith(start)
        for start in (f"{node.name}.", f"{node.name}(")
    )


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
        look = target.line("get", "workflow", workflow.name, "--output=yaml")
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
    working = [node for node in workflow.nodes if node.works]
    busy = {Case(facts, n).step for n in working if n.phase in (Phase.RUNNING, Phase.PENDING)}
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
        for event in case.facts.warnings(name if case.begun else workflow.name)
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
    controller = target.line("logs", "deployment/workflow-controller", "--tail=50")
    runner = webhook.NAME if case.node.warm else "workflow-controller"
    # What KFP's drivers are called with; only printed, for a person to judge.
    called = json.dumps(workflow.spec) + workflow.drivers
    named = re.search(r'"--pipeline_name",\s*"([\w .-]+)"', called)
    pipeline = named[1] if named else "NAME"
    sql = f"DELETE FROM mlpipeline.tasks WHERE PipelineName='pipeline/{pipeline}'"  # noqa: S608
    shell = f'MYSQL_PWD="$MARIADB_ROOT_PASSWORD" mariadb --host=127.0.0.1 -u root -e "{sql}"'
    return {
        "run": case.facts.run,
        "namespace": target.namespace,
        "kubectl": target.line(),
        "cluster": f"{target.kubectl} --context {target.context}",
        "controller": controller,
        "workflow": target.line("get", "workflow", workflow.name, "--output=yaml"),
        "describe": target.line(
            "describe", *(("pod", pod) if pod else ("workflow", workflow.name))
        ),
        "log": target.line(
            "logs", *((pod, "--container=main") if pod else (f"deployment/{runner}", "--tail=50"))
        ),
        # The pipeline's results, out of the cache.
        "forget": target.line("exec", "statefulset/database", "--", "sh", "-c", shell),
    }


def _line(text: str) -> str:
    """Return a text as one line of bearable length, with both its ends."""
    joined = " ".join(text.split())
    return joined if len(joined) <= 400 else f"{joined[:150]} … {joined[-250:]}"
