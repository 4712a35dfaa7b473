"""Running a pipeline on a cluster: submitting it and following it to its end.

The KFP API takes the run and says how it ended. How far each task is, it does not tell in a form
that both releases share, so that is read from the run's Argo Workflow (`workflow`); and what the
run leaves is brought here by `results`.
"""

from __future__ import annotations

import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from components.image import DEFAULT as RUNTIME_IMAGE
from kfpkit.cluster import loading
from kfpkit.core import console, process
from kfpkit.core.errors import KitError
from kfpkit.core.waiting import Patience
from kfpkit.images.recipe import RUNTIME
from kfpkit.kfp import api, metadata, workflow
from kfpkit.kfp import spec as ir
from kfpkit.kfp.pipelines import compile_to
from kfpkit.kfp.run import State, sum_up
from kfpkit.kfp.states import BAD, ENDED, ENDS, Phase
from kfpkit.kfp.upload import upload
from kfpkit.kube import watch
from kfpkit.kube.health import RUN, WORKFLOWS, WORKFLOWS_PATH
from kfpkit.runs import packages, results
from kfpkit.runs.explain import explain, gather
from kfpkit.runs.facts import Facts
from kfpkit.runs.local.run import InterruptedRun
from kfpkit.runs.parameters import complete
from kfpkit.runs.phases import attempts, spend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kfpkit.kfp.pipelines import Pipeline
    from kfpkit.kfp.run import Parameter, Run, Task
    from kfpkit.kfp.spec import Spec
    from kfpkit.kfp.workflow import Node
    from kfpkit.runs.phases import Attempt
    from kfpkit.runs.place import Place
    from kfpkit.runs.progress import Progress

#: Seconds between two looks at a run; and where its Workflow is over, and KFP will say so soon.
INTERVAL = 1.0
SOON = 0.2

#: Seconds between two questions to KFP of a run whose Workflow is told of and goes on.
ASK = 5.0

#: Seconds for which nothing may answer before the run is followed no further.
PATIENCE = 180.0

#: Seconds between two looks at the pods: the kit's Workflows keep one that succeeded for 300.
PODS = 120.0

#: Seconds after which a driver that the warm driver is to run, and that says nothing, is looked at.
DRIVING = 30.0


def prepare(where: Place, pipeline: Pipeline) -> None:
    """Put the images of a pipeline onto the nodes of a kind cluster, and say what it would lack.

    The image of the sample's tasks is built where it is not there yet.

    Raises:
        BadInputError: Nobody has an image, or packages that a task installs cannot be reached.
        KitError: An image cannot be built or loaded.
    """
    kind = where.target.kind
    if not kind:
        return
    images = ir.images(pipeline.spec)
    packages.check_on_kind(kind, pipeline.spec)
    given = [image for image in images if image != RUNTIME_IMAGE and "{{" not in image]
    loading.bring(kind, given, ir.pulled_always(pipeline.spec, pipeline.platform))
    if RUNTIME_IMAGE in images and not where.target.image_prefix:
        loading.load(kind, [RUNTIME])


def submit(
    where: Place,
    pipeline: Pipeline,
    parameters: Sequence[Parameter],
    *,
    name: str,
    experiment: str,
    cache: bool,
) -> str:
    """Upload a pipeline if it is new, create a run of it, and return the run's ID.

    Args:
        where: The cluster.
        pipeline: The pipeline.
        parameters: All parameters of the run.
        name: The run's display name.
        experiment: Name of the experiment, which is made if it is not there.
        cache: Whether tasks may take their outputs from earlier runs. Without, the run belongs to
            no uploaded version.

    Returns:
        The ID; empty in a dry run.

    Raises:
        KitError: The API does not answer, or refuses.
    """
    values = {p.name: p.value for p in parameters if p.differs}
    pipeline = replace(pipeline, image_prefix=where.target.image_prefix)
    with tempfile.TemporaryDirectory() as folder:
        made_from = source(where.host, pipeline, Path(folder), cache=cache)
        if process.dry_run():
            console.say(f"would create the run {name} in the experiment {experiment}")
            return ""
        client = api.connect(where.host)
        made = client.run_pipeline(
            experiment_id=client.create_experiment(experiment).experiment_id,
            job_name=name,
            params=values,
            pipeline_root=where.target.pipeline_root,
            **made_from,
        )
        return str(made.run_id)


def source(host: str, pipeline: Pipeline, folder: Path, *, cache: bool) -> dict[str, str]:
    """Return what a run is made from, as arguments of `api.Client`'s calls.

    With the cache that is a version on the server, uploaded if it is new. Without, it is a file in
    which each task has its caching off: KFP has no such switch for a version.

    Args:
        host: Address of the KFP API.
        pipeline: The pipeline.
        folder: Takes the file.
        cache: Whether tasks may take their outputs from earlier runs.

    Raises:
        KitError: The API does not answer, or refuses.
    """
    if cache:
        version = upload(pipeline, host)
        if version is None:
            return {}
        state = "new" if version.new else "there already"
        console.say(f"{host}: pipeline version {version.version} is {state}")
        return {"pipeline_id": version.pipeline_id, "version_id": version.version_id}
    file = folder / "pipeline.yaml"
    compile_to(pipeline, file)
    compiled = api.read(file)
    ir.disable_caching(compiled[0])
    file.write_text(yaml.safe_dump_all(compiled), encoding="utf-8")
    return {"pipeline_package_path": str(file)}


def existing(where: Place, run_id: str) -> tuple[Spec, list[Parameter]]:
    """Return the compiled pipeline and all parameters of a run that is there.

    Raises:
        KitError: There is no such run, or the API does not answer.
    """
    client = api.connect(where.host)
    record = client.get_run(run_id)
    spec = record.pipeline_spec
    version = record.pipeline_version_reference
    if not spec:
        spec = client.get_pipeline_version(
            version.pipeline_id, version.pipeline_version_id
        ).pipeline_spec
    given = (record.runtime_config and record.runtime_config.parameters) or {}
    compiled = api.documents(spec)[0]
    return compiled, complete(compiled, given)


def run(
    where: Place,
    run_id: str,
    spec: Spec,
    parameters: Sequence[Parameter],
    folder: Path,
    progress: Progress,
    *,
    wait: bool = True,
) -> Run:
    """Follow a run to its end, good or bad, and bring its results here.

    Args:
        where: The cluster it runs on.
        run_id: The run's ID.
        spec: The compiled pipeline.
        parameters: All parameters of the run.
        folder: The run's own folder; takes the log and the outputs.
        progress: Is told of the tasks and of each change of their states.
        wait: Without, a run that is not over is described as it is now.

    Returns:
        The description of the run.

    Raises:
        InterruptedRun: The user interrupted; it holds what is known of the run, which goes on.
        KitError: The cluster or the API did not answer for too long.
    """
    description = ir.run(spec, parameters, run_id, where.name)
    description.link = where.link(run_id)
    follower = _Follower(where, description, spec, progress)
    progress.show(description.tasks)
    interrupted = False
    try:
        follower.follow(wait=wait)
    except KeyboardInterrupt:
        interrupted = True
    with bringing(description):
        follower.look_at_pods()
        spend(description, follower.seen, follower.pods)
        results.bring(where.target, description, spec, follower.seen, folder)
    if interrupted:
        raise InterruptedRun(description)
    return description


@contextmanager
def bringing(run: Run) -> Iterator[None]:
    """Keep the description of a run whatever hinders bringing its results, in a `with` block.

    What cannot be written is said: that the run is over counts for more.

    Raises:
        InterruptedRun: The user interrupted; it holds the description.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRun(run) from None
    except (KitError, OSError) as error:
        console.warn(f"not all that the run left is here: {str(error).removesuffix('.')}")


class _Follower:
    """Keeps the description of a run up to date with the cluster."""

    def __init__(self, where: Place, description: Run, spec: Spec, progress: Progress) -> None:
        self._where = where
        self._client = api.connect(where.host)
        self._run = description
        self._spec = spec
        self._progress = progress
        self._warned: set[str] = set()
        #: When each driver without a pod was first seen at work, by its node's ID.
        self._driving: dict[str, float] = {}
        self._watch = watch.Watch()
        self._looked = time.monotonic()
        self._asked = -ASK
        #: The run's Workflow as last seen.
        self.seen = workflow.Workflow()
        #: How far each of its pods got, also of those that have gone.
        self.pods: dict[str, Attempt] = {}

    def follow(self, *, wait: bool) -> None:
        """Return when the run is over, or after one look.

        Raises:
            KitError: Nothing answered for too long.
        """
        if not wait:
            self._look()
            return
        selector = f"{RUN}={self._run.id}"
        with watch.opened(self._where.target, WORKFLOWS_PATH, selector) as self._watch:
            self._follow()

    def look_at_pods(self) -> None:
        """Take note of how far the pods are that are there; where that is refused, say so once."""
        self._looked = time.monotonic()
        try:
            self.pods |= attempts(self._where.target, self._where.selector(self._run.id))
        except KitError as error:
            self._warn(f"where the tasks' time went is not known: {error.what}")

    def _follow(self) -> None:
        patience = Patience(PATIENCE)
        while True:
            try:
                if self._look():
                    return
                patience.answered()
            except KitError as error:
                patience.silent(error)
            self._watch.changed.wait(SOON if self.seen.finished else INTERVAL)
            self._watch.changed.clear()

    def _look(self) -> bool:
        """Take note of how far the run is, and return whether it is over."""
        told, state = self._watch.object, ""
        if not told or self.seen.finished or time.monotonic() - self._asked > ASK:
            state = self._client.run_state(self._run.id)
            self._asked = time.monotonic()
        over = state in ENDS
        # At its end nothing may be missing that was not told yet.
        told = None if over else told
        selector = self._where.selector(self._run.id)
        found = [told] if told else self._where.target.items([WORKFLOWS], selector)
        if found:
            self.seen = workflow.Workflow(found[0])
            self._update()
        if not over:
            if not found:
                lost = Facts(self._run.id, record={"state": state})
                self._warn(explain(lost, self._where.target).sentence)
            return False
        self._close(self._client.get_run(self._run.id))
        return True

    def _update(self) -> None:
        for task in self._run.tasks:
            if workflow.update(task, self.seen):
                self._progress.changed(task)
        self._wait([node for node in self.seen.nodes if node.waits or self._lingers(node)])
        self._run.started = self.seen.started or self._run.started
        if time.monotonic() - self._looked > PODS:
            self.look_at_pods()

    def _lingers(self, node: Node) -> bool:
        """Whether the warm driver has long had a driver to run, and has not said a word."""
        if not node.warm or node.phase in ENDED:
            return False
        since = self._driving.setdefault(node.id, time.monotonic())
        return time.monotonic() - since >= DRIVING

    def _wait(self, nodes: list[Node]) -> None:
        """Say once why a pod does not start or a driver waits, as `make explain` does."""
        new = {f"{node.id} {node.message}": node.row for node in nodes}
        new = {key: row for key, row in new.items() if key not in self._warned}
        if not new:
            return
        facts = replace(gather(self._where.target, self._run.id), workflow=self.seen)
        for row in new.values():
            why = explain(facts, self._where.target, row)
            if why.reason:
                self._warn(why.sentence)
        self._warned |= new.keys()

    def _warn(self, message: str) -> None:
        """Say something once."""
        if message not in self._warned:
            self._warned.add(message)
            console.warn(message)

    def _close(self, there: Any) -> None:
        """Give the run and its unfinished tasks the state they end with."""
        run = self._run
        run.state = ENDS[there.state]
        run.created = there.created_at
        run.started = run.started or there.created_at
        run.finished = self.seen.finished or there.finished_at
        run.error = (there.error and there.error.message) or ""
        before = {task.name: task.state for task in run.tasks}
        known = bool(self.seen.nodes)
        if any(row.state in (State.PENDING, State.RUNNING) for row in run.rows):
            # The Workflow is gone a day after its end, and one may be too large to be read.
            try:
                placed, _ = results.recorded(self._where.target, run.id, self._spec)
                known = known or bool(placed)
                for task in run.tasks:
                    metadata.update(task, placed)
            except KitError as error:
                console.warn(f"the states of some tasks are not known: {error.what}")
        if known:
            settle(run)
        said = disagreement(run, self.seen.phase)
        if said:
            console.warn(said)
            run.state, run.error = State.FAILED, said
        for task in run.tasks:
            if task.state is not before[task.name]:
                self._progress.changed(task)


def settle(run: Run) -> None:
    """Give the rows of a run that is over the states they end with.

    Args:
        run: The run with its final state, and its tasks as far as they are known. In a run that
            succeeded nothing failed: what did not run was left out by the pipeline itself.
    """
    for task in run.tasks:
        for row in task.rounds or [task]:
            if row.state is State.RUNNING:
                row.state = run.state
                row.finished = run.finished
            elif row.state is State.FAILED and run.state is State.CANCELLED:
                # Ending a run fails the tasks that were under way.
                row.state = State.CANCELLED
            elif row.state in (State.PENDING, State.NOT_RUN):
                left_out = run.state is State.SUCCEEDED or _after_a_skipped(run, row)
                row.state = State.SKIPPED if left_out else State.NOT_RUN
        sum_up(task)


def _after_a_skipped(run: Run, row: Task) -> bool:
    """Return whether a row did not run because those before it were left out, not for a failure."""
    states = {each.name: each.state for task in run.tasks for each in (task, *task.rounds)}
    before = [
        states.get(workflow.round_of(row.name, name), states[name]) for name in row.depends_on
    ]
    return State.SKIPPED in before and set(before) <= {State.SKIPPED, State.SUCCEEDED}


def disagreement(run: Run, phase: str) -> str:
    """Return in what the sources disagree about how a run ended; empty if in nothing.

    Args:
        run: The run, its tasks settled.
        phase: Argo's phase of its Workflow; empty where there is none.
    """
    if run.state is State.FAILED and phase == Phase.SUCCEEDED:
        return "KFP says that the run failed, but its Workflow succeeded"
    against = [f"task {row.name} failed" for row in run.failed]
    if phase in BAD:
        against.insert(0, f"its Workflow is {phase}")
    if run.state is State.SUCCEEDED and against:
        return f"KFP says that the run succeeded, but {', '.join(against)}"
    return ""
