"""Who changes an installation: one record in the cluster, which every operation looks at first.

A ConfigMap says which operation is under way, who began it, how far it is, and the commands that go
on with it or take it back. It is made before anything changes and removed at the end, so there is
one operation at a time. While it works, a thread writes to it again and again; a holder that has
not done so for a while is gone, and what it left is gone on with as `TAKERS` says.

How long ago that was is the difference of two times that the Kubernetes API wrote: the clocks of
two machines may differ.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import socket
import threading
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from kfpkit.core import process
from kfpkit.core.errors import BadInputError, CommandError, KitError
from kfpkit.core.waiting import wait_for
from kfpkit.operations import journal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kfpkit.kfp.target import Target

#: ConfigMap of the installation's namespace.
NAME = "kfpkit-operation"

#: Annotation of a Deployment that is held: how many pods it had.
HELD = "kfpkit/held-replicas"

#: Secret with the new values while a rotation is under way.
PENDING = "secrets-rotation"

#: ConfigMap by which a kit of before 28 November 2026 said which backup is being put back.
EARLIER_RESTORE = "kfpkit-restore"

#: Seconds between two signs of life, and without one until the holder is gone: a busy machine or
#: API server may miss some.
BEAT, GONE = 10.0, 60.0

#: kubectl gives a sign of life up after this time: the next one may come through.
PATIENCE = f"--request-timeout={BEAT:.0f}s"

#: Seconds that an operation waits for the removal of old runs to end.
PRUNING = 900.0


class Operation(StrEnum):
    """What changes an installation, as make calls it."""

    INSTALL = "install"
    UNINSTALL = "uninstall"
    DELETE = "uninstall DELETE_DATA=1"
    ROTATE = "rotate-secrets"
    BACKUP = "backup"
    RESUME = "backup-resume"
    RESTORE = "restore"
    PRUNE = "prune"
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"


#: Who may begin where the holder of this operation is gone and has left something half done.
TAKERS = {
    Operation.BACKUP: {Operation.BACKUP, Operation.RESUME, Operation.RESTORE, Operation.DELETE},
    Operation.RESUME: {Operation.BACKUP, Operation.RESUME, Operation.RESTORE, Operation.DELETE},
    Operation.RESTORE: {Operation.RESTORE, Operation.RESUME, Operation.DELETE},
    Operation.ROTATE: {Operation.ROTATE, Operation.DELETE},
    Operation.UPGRADE: {Operation.UPGRADE, Operation.ROLLBACK, Operation.DELETE},
    Operation.ROLLBACK: {Operation.ROLLBACK, Operation.DELETE},
}

#: Those that make the namespace, and with it the place of the record.
MAKERS = (Operation.INSTALL, Operation.RESTORE)


@dataclass(frozen=True)
class Record:
    """An operation that was begun and is not at its end."""

    operation: Operation
    #: `user@machine` and a random id; empty where an earlier kit began it.
    holder: str = ""
    #: How far it is, for a person.
    phase: str = ""
    #: When it began, by the clock of the holder's machine.
    since: str = ""
    #: Command that goes on with what is half done; empty while nothing is.
    again: str = ""
    #: Another command, which takes that back; may be empty.
    back: str = ""
    #: The backup whose databases a restore puts into use: its folder and its manifest's SHA-256.
    folder: str = ""
    backup: str = ""
    #: Counts the signs of life; empty once the holder has ended and said so.
    beat: str = ""


@dataclass(frozen=True)
class Found:
    """An operation that is in the cluster, and what became of who holds it."""

    record: Record
    alive: bool
    #: resourceVersion of the record; empty where there is none, and notes of an operation tell.
    version: str = ""

    @property
    def said(self) -> str:
        """What is under way, as a sentence without a full stop."""
        one = self.record
        by = f"begun {one.since} by {one.holder}" if self.version else "begun by an earlier kit"
        at = f", at: {one.phase}" if one.phase else ""
        return f"{one.operation} is {'under way' if self.alive else 'not at its end'}: {by}{at}"

    @property
    def do(self) -> str:
        """What to do about it, with the command that goes on or takes back."""
        if self.alive:
            return "Wait for its end: make status shows whether it goes on"
        unless = "" if self.version else "Unless it is at work now, "
        back = f"; {self.record.back} takes it back" if self.record.back else ""
        return f"{unless}{self.command} goes on with it{back}"

    @property
    def command(self) -> str:
        """The command that goes on."""
        return self.record.again or f"make {self.record.operation}"

    def stops(self, operation: Operation) -> bool:
        """Whether it is in the way of another operation."""
        record = self.record
        return self.alive or (record.again != "" and operation not in TAKERS[record.operation])


class BusyError(BadInputError):
    """Another operation is under way, or has left something half done."""

    def __init__(self, found: Found) -> None:
        self.found = found
        super().__init__(found.said, found.do)


class Lock:
    """The record that this process holds."""

    #: Whether the operation is a part of another one, which holds the record.
    inner = False

    def __init__(self, target: Target, operation: Operation, record: Record) -> None:
        self.record = record
        self.target, self.operation = target, operation

    def note(self, phase: str, **changes: str) -> None:
        """Write down how far the operation is, and from now on the fields `changes`.

        Raises:
            CommandError: The record is another's by now, or the cluster does not answer.
        """
        changes |= {"phase": phase, "operation": self.operation}
        self.target.run(*self._patch(**changes))
        self.record = replace(self.record, **changes)  # type: ignore[arg-type]

    def release(self, *, ended: bool) -> None:
        """Remove the record; leave it where the operation failed and something is half done."""
        kept = not ended and self.record.again
        if self.target.run(*self._patch(beat=""), check=False).ok and not kept:
            # Of one that failed, its own error counts.
            self.target.run("delete", "configmap", NAME, "--ignore-not-found", check=ended)

    def taker(self) -> Found | None:
        """Return who has taken the record over, although this process lives: it was away.

        Raises:
            CommandError: The cluster does not answer.
        """
        found = _stored(self.target)
        return found if found and found.record.holder != self.record.holder else None

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        """Say that the holder lives, all through a `with` block."""
        ended = threading.Event()

        def beat() -> None:
            count = 0
            while not ended.wait(BEAT):
                count += 1
                # Not printed: it changes nothing that anybody would repeat by hand.
                patch = (*self._patch(beat=str(count)), PATIENCE)
                if self.target.query(*patch, check=False).ok:
                    continue
                with contextlib.suppress(CommandError):  # The next one may come through.
                    if self.taker():
                        # `core.signals` unwinds it. SIGINT is ignored by what a script has in the
                        # background.
                        main = threading.main_thread().ident
                        signal.pthread_kill(main or 0, signal.SIGTERM)
                        return

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _patch(self, **changes: str) -> list[str]:
        """Return the command that changes fields of the record while it is this process's."""
        steps = [{"op": "test", "path": "/data/holder", "value": self.record.holder}]
        steps += [{"op": "add", "path": f"/data/{k}", "value": v} for k, v in changes.items()]
        return ["patch", "configmap", NAME, "--type=json", f"--patch={json.dumps(steps)}"]


class _Inner(Lock):
    """The record during an operation that is a part of another one: that one's commands stay."""

    inner = True

    def __init__(self, outer: Lock) -> None:
        super().__init__(outer.target, outer.operation, outer.record)
        self._outer = outer

    def note(self, phase: str, **changes: str) -> None:
        kept = {k: v for k, v in changes.items() if k not in ("again", "back")}
        self._outer.note(phase, **kept)
        self.record = self._outer.record


#: What this process holds, by context and namespace.
_OWN: dict[tuple[str, str], Lock] = {}


@contextlib.contextmanager
def held(target: Target, operation: Operation) -> Iterator[Lock]:
    """Hold the record of an installation for the length of a `with` block.

    Within the block, an operation that is a part of this one is held by it too. A record that was
    left half done is taken over as it is, until `Lock.note` says otherwise.

    Raises:
        BusyError: Another operation has it.
        KitError: It was taken over, or there is no namespace.
    """
    key = (target.context, target.namespace)
    if outer := _OWN.get(key):
        yield _Inner(outer)
        return
    lock = _OWN[key] = _take(target, operation)
    try:
        with contextlib.nullcontext() if process.dry_run() else lock.beating():
            yield lock
    except BaseException as error:
        with contextlib.suppress(CommandError):
            if not process.dry_run() and (taker := lock.taker()):
                raise KitError(
                    f"{operation} gave no sign of life for {GONE:.0f} s and was taken over: "
                    f"{taker.said}",
                    "make status says how it stands",
                ) from error
        lock.release(ended=False)
        raise
    else:
        lock.release(ended=True)
    finally:
        del _OWN[key]


def read(target: Target) -> Found | None:
    """Return the operation that was begun and is not at its end, if any.

    Raises:
        CommandError: The cluster does not answer.
    """
    if (found := _stored(target)) is None:
        return _earlier(target)
    alive = bool(found.record.beat) and _silence(target) < GONE
    return replace(found, alive=alive)


def require(target: Target, operation: Operation) -> Found | None:
    """Raise where an operation is in the way of another one; return one whose holder is gone.

    Raises:
        BusyError: One is.
    """
    try:
        found = read(target)
    except CommandError:
        if process.dry_run():
            return None  # Without a cluster, it shows the commands all the same.
        raise
    if found and found.stops(operation):
        raise BusyError(found)
    return found


def admit(target: Target, operation: Operation) -> Found | None:
    """Wait for the end of a removal of old runs, and then do as `require`."""
    if operation is not Operation.PRUNE and not process.dry_run():
        _wait_for_prune(target)
    return require(target, operation)


def _take(target: Target, operation: Operation) -> Lock:
    """Make the record, or take over one whose holder is gone."""
    if operation in MAKERS and not target.has_namespace():
        # Somebody else may be making it: what counts is who makes the record.
        argv = [target.kubectl, "--context", target.context, "create", "namespace"]
        process.run([*argv, target.namespace], check=False)
    left = admit(target, operation)
    record = replace(
        left.record if left and left.record.again else Record(operation),
        holder=_holder(),
        phase="",
        since=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        beat="0",
    )
    metadata = {"name": NAME}
    if left and left.version:
        metadata["resourceVersion"] = left.version
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": asdict(record)}
    # The server refuses both where another one was faster.
    verb = "replace" if left and left.version else "create"
    done = target.run(verb, "--filename", "-", stdin=json.dumps(item), check=False)
    if not done.ok:
        require(target, operation)
        if not target.has_namespace():
            raise KitError(
                f"there is no namespace {target.namespace} on {target.context}",
                "make install makes it",
            )
        raise CommandError(target.line(verb), done.returncode, done.stderr)
    if left and not left.version:
        target.run("delete", "configmap", EARLIER_RESTORE, "--ignore-not-found")
    return Lock(target, operation, record)


def _holder() -> str:
    user = os.environ.get("USER", os.getuid())
    return f"{user}@{socket.gethostname()} {secrets.token_hex(4)}"


def _wait_for_prune(target: Target) -> None:
    """Wait while old runs are removed, which takes minutes and nobody need begin again for."""

    def going() -> str | None:
        if not (found := _stored(target)) or found.record.operation is not Operation.PRUNE:
            return None
        found = read(target)
        return found.said if found and found.alive else None

    wait_for("the removal of old runs", going, timeout=PRUNING, interval=3)


def _stored(target: Target) -> Found | None:
    """Return the record of the cluster; whether its holder lives is not looked at."""
    argv = ("get", "configmap", NAME, "--ignore-not-found", "--output=json")
    said = target.query(*argv).stdout.strip()
    if not said:
        return None
    item = json.loads(said)
    data = item["data"]
    # A later kit may have noted more.
    known = {field.name: data[field.name] for field in fields(Record) if field.name in data}
    record = Record(**{**known, "operation": Operation(data["operation"])})
    return Found(record, alive=True, version=item["metadata"]["resourceVersion"])


def _silence(target: Target) -> float:
    """Return the seconds since the record was last changed, by the cluster's own clock."""
    # The server writes down when each program changed an object; of a dry run, when that would be.
    now = "kfpkit-now"
    steps = json.dumps([{"op": "add", "path": "/data/now", "value": secrets.token_hex(4)}])
    argv = ["patch", "configmap", NAME, "--type=json", f"--patch={steps}", "--dry-run=server"]
    argv += [f"--field-manager={now}", "--show-managed-fields", "--output=json"]
    said = target.query(*argv, check=False)
    if not said.ok:
        return 0.0  # Who may not ask has to take it for alive.
    times: dict[bool, list[datetime]] = {True: [], False: []}
    for one in json.loads(said.stdout)["metadata"]["managedFields"]:
        times[one["manager"] == now].append(datetime.fromisoformat(one["time"]))
    return (max(times[True]) - max(times[False])).total_seconds()


def _earlier(target: Target) -> Found | None:
    """Return what operations have noted for themselves where there is no record.

    A kit of before 28 November 2026 made none, and a record may have been removed by hand.
    """
    items = target.items(["configmaps", "deployments"])
    notes = {item["metadata"]["name"]: item["data"] for item in items if "data" in item}
    state = notes.get(EARLIER_RESTORE)
    restoring = {key: state[key] for key in ("folder", "backup")} if state else {}
    upgrade = journal.parsed(notes[journal.NAME]) if journal.NAME in notes else None
    # A pod of the kit may not read it.
    look = ("get", "secret", PENDING, "--ignore-not-found", "--output=name")
    if upgrade and upgrade.phase is journal.Phase.ROLLBACK:
        record = Record(Operation.ROLLBACK, again="make rollback", **restoring)
    elif state:
        again = restore_command(state["folder"])
        record = Record(Operation.RESTORE, again=again, back="make backup-resume", **restoring)
    elif upgrade and upgrade.phase is not journal.Phase.DONE:
        again, back = "make upgrade", "make rollback"
        record = Record(Operation.UPGRADE, phase=upgrade.phase, again=again, back=back)
    elif not target.inside and target.query(*look).stdout.strip():
        record = Record(Operation.ROTATE, again="make rotate-secrets")
    elif any(HELD in item["metadata"].get("annotations", {}) for item in items):
        record = Record(Operation.BACKUP, again="make backup-resume")
    else:
        return None
    return Found(record, alive=False)


def restore_command(folder: str) -> str:
    """Return the command that goes on with a restore."""
    return f"make restore BACKUPS={shlex.quote(folder)}"
