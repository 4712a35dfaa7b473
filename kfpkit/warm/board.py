"""Which drivers are to run: each suspended driver node once, and again while a part is away."""

from __future__ import annotations

import json
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.kfp.workflow import ANNOTATION, nodes
from kfpkit.warm import drive
from kfpkit.warm.drive import Job, Outcome
from kfpkit.warm.metadata import Proxy
from kfpkit.warm.nodes import ended, is_open

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfpkit.warm.lease import Lease
    from kfpkit.warm.logs import Logs
    from kfpkit.warm.nodes import Writer

#: Drivers that run at once; each waits for most of its time.
SLOTS = 6

#: Seconds between two tries while a part is away: the first wait, and the longest.
FIRST, LONGEST = 1.0, 10.0

#: Seconds that the end of a driver that failed waits for its log to be stored.
SOON = 5.0

#: Seconds after which a node that was written and is still suspended is taken up again.
LOST = 60.0

#: Seconds after the end of a Workflow's newest driver at which the Workflow is touched. Argo's
#: controller writes what it has stored over what its watch has told it meanwhile
#: (INFORMER_WRITE_BACK), so it may not know of that end until something changes again.
TOUCHES = (3.0, 10.0, 30.0, 60.0)

Key = tuple[str, str]


@dataclass
class Card:
    """A driver node on the board.

    Attributes:
        job: The node as it was last seen.
        since: When it was first seen (wall clock, for people).
        began: When its driver was first tried (monotonic clock); 0 until then.
        tries: How often it was tried.
        due: When it is tried next; infinite while it is at work or written.
        written: When its end was written; 0 until then.
        outcome: Its end, from when its log is kept.
        refused: How often that could not be written.
    """

    job: Job
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = 0.0
    tries: int = 0
    due: float = 0.0
    written: float = 0.0
    outcome: Outcome | None = None
    refused: int = 0

    @property
    def tried(self) -> str:
        """How often and since when it was tried, for people."""
        times = f"{self.tries} time{'s' if self.tries > 1 else ''}"
        return f"tried {times} since {self.since:%H:%M:%S} UTC"


class Board:
    """What is to be driven, and the threads that drive.

    Args:
        lease: Only its holder drives.
        writer: Writes nodes' ends.
        logs: Keeps drivers' logs.
        outage: Seconds that a part may be away before a node fails.
    """

    def __init__(self, lease: Lease, writer: Writer, logs: Logs, outage: float) -> None:
        self._lease = lease
        self._writer = writer
        self._logs = logs
        self._outage = outage
        self._lock = threading.Lock()
        self._cards: dict[Key, Card] = {}
        #: Nodes at work. One that was dropped and is there again waits until its driver has ended.
        self._running: set[Key] = set()
        #: Of each Workflow: a job of it, when the newest was written, and how often it was touched.
        self._touched: dict[str, tuple[Job, float, int]] = {}
        self._pool = ThreadPoolExecutor(SLOTS, "driver")
        self._keeping = ThreadPoolExecutor(2, "log")
        self._touching = ThreadPoolExecutor(1, "touch")
        self._proxies: queue.SimpleQueue[Proxy] = queue.SimpleQueue()
        for _ in range(SLOTS):
            self._proxies.put(Proxy(lambda: lease.held))
        self.numbers = {"driven": 0, "failed": 0, "tried_again": 0}

    def see(self, workflow: Mapping[str, Any]) -> None:
        """Take up the driver nodes of a Workflow that are suspended, and forget the others."""
        note = workflow["metadata"].get("annotations", {}).get(ANNOTATION)
        if not note:
            return
        commands = json.loads(note)
        uid = workflow["metadata"]["uid"]
        stopped = (
            "shutdown" in workflow["spec"] or workflow["spec"].get("activeDeadlineSeconds") == 0
        )
        found: dict[Key, Job] = {}
        known = nodes(workflow.get("status", {}))
        for node in known.values():
            command = commands.get(node.get("templateName", ""))
            # A run that is ended from outside still runs its exit handlers.
            if command is not None and is_open(node) and (not stopped or _of_exit(node, known)):
                job = Job(workflow, node, command)
                found[job.key] = job
        with self._lock:
            for key in [k for k in self._cards if k[0] == uid and k not in found]:
                del self._cards[key]
            for key, job in found.items():
                card = self._cards.get(key)
                lost = card and card.written and time.monotonic() - card.written > LOST
                if card is None or lost:
                    self._cards[key] = Card(job)
                else:
                    card.job = job
        self.start_due()

    def forget(self, uid: str) -> None:
        """Drop all nodes of a Workflow that has ended or is no longer there."""
        with self._lock:
            for key in [key for key in self._cards if key[0] == uid]:
                del self._cards[key]
            self._touched.pop(uid, None)

    def keep_only(self, uids: set[str]) -> None:
        """Drop all nodes of Workflows other than these."""
        with self._lock:
            for key in [key for key in self._cards if key[0] not in uids]:
                del self._cards[key]
            self._touched = {uid: t for uid, t in self._touched.items() if uid in uids}

    def start_due(self) -> None:
        """Start the drivers whose time has come."""
        now = time.monotonic()
        with self._lock:
            due = [
                key
                for key, card in self._cards.items()
                if card.due <= now and key not in self._running
            ]
            for key in due:
                self._cards[key].due = float("inf")
            self._running.update(due)
            quiet = [
                uid
                for uid, (_, since, times) in self._touched.items()
                if now - since >= TOUCHES[times]
            ]
            for uid in quiet:
                job, since, times = self._touched.pop(uid)
                self._touching.submit(self._touch, job)
                if times + 1 < len(TOUCHES):
                    self._touched[uid] = (job, since, times + 1)
        for key in due:
            self._pool.submit(self._work, key)

    @property
    def idle(self) -> bool:
        """Whether no driver runs."""
        return not self._running

    @property
    def waiting(self) -> int:
        """How many nodes are on the board and not written."""
        with self._lock:
            return sum(not card.written for card in self._cards.values())

    def _work(self, key: Key) -> None:
        with self._lock:
            card = self._cards.get(key)
            if card is not None:  # it may be another one than when this was asked for
                card.due = float("inf")
        proxy = self._proxies.get()
        try:
            if card is not None and self._lease.held:
                self._drive(key, card, proxy)
            else:
                self._yield(card)
        except requests.RequestException as error:
            say(card, f"the Kubernetes API is away, or refuses: {error}")
            self._again(card, _pause(card.refused if card else 0))
            if card is not None:
                card.refused += 1
        except Exception as error:  # one node's trouble must not end the thread
            say(card, f"cannot be driven: {error!r}")
            self._give_up(card, error)
        finally:
            proxy.away = ""
            self._proxies.put(proxy)
            with self._lock:
                self._running.discard(key)

    def _drive(self, key: Key, card: Card, proxy: Proxy) -> None:
        job = card.job
        began = time.monotonic()

        def hindrance() -> str:
            if not self._lease.held:
                return "the lease: another replica drives"
            return proxy.away if self._knows(key, card) else "the run: it has ended"

        card.began = card.began or began
        proxy.node = key[1]
        outcome = card.outcome
        if outcome is None:
            outcome = drive.run(job, proxy.port, hindrance)
            card.tries += 1
        if not self._knows(key, card):
            return
        if not self._lease.held:
            self._yield(card)
            return
        if outcome.outputs is None and proxy.away and not outcome.away:
            # The driver itself has told of it, in words of its own.
            outcome = replace(outcome, away=proxy.away.partition(":")[0])
        if outcome.outputs is None and outcome.away:
            if time.monotonic() - card.began < self._outage:
                self._wait(card, outcome)
                return
            outcome = Outcome(reason=f"{outcome.reason} ({card.tried})", log=outcome.log)
        self._end(card, outcome, began)

    def _wait(self, card: Card, outcome: Outcome) -> None:
        """Say in the node's message what is waited for, and try again later."""
        self.numbers["tried_again"] += 1
        part, why = outcome.away, outcome.reason.removeprefix(f"{outcome.away}: ")
        message = f"waiting for {part}: {why} ({card.tried})"
        say(card, message)
        self._writer.write(card.job, {"message": message})
        self._again(card, _pause(card.tries - 1))

    def _end(self, card: Card, outcome: Outcome, began: float) -> None:
        place = self._logs.place(card.job)
        took = time.monotonic() - began
        if card.outcome is None:
            card.outcome = outcome
            kept = self._keeping.submit(self._keep, card, outcome.log)
            if outcome.outputs is None:
                # Whoever reads the message looks for the log next.
                wait([kept], SOON)
        self._writer.write(card.job, ended(outcome.outputs, outcome.reason, place))
        card.written = time.monotonic()
        with self._lock:
            self._touched[card.job.key[0]] = (card.job, card.written, 0)
        self.numbers["failed" if outcome.outputs is None else "driven"] += 1
        how = f"failed: {outcome.reason}" if outcome.outputs is None else "driven"
        say(card, f"{how} in {took:.2f} s, written in {card.written - began - took:.2f} s")

    def _touch(self, job: Job) -> None:
        try:
            self._writer.touch(job)
        except requests.RequestException as error:
            say(None, f"{job.name} could not be touched: {error}")

    def _keep(self, card: Card, text: bytes) -> None:
        if why := self._logs.keep(card.job, text):
            say(card, f"its log could not be stored: {why}")

    def _give_up(self, card: Card | None, error: Exception) -> None:
        """Try again after trouble of our own, for as long as an outage may last."""
        if card is not None and card.began and time.monotonic() - card.began > self._outage:
            try:
                self._writer.write(card.job, ended(None, repr(error), None))
                card.written = time.monotonic()
            except requests.RequestException as refusal:
                say(card, f"its end cannot be written: {refusal}")
        self._again(card, float("inf") if card and card.written else LONGEST)

    def _yield(self, card: Card | None) -> None:
        """Leave a node to the replica that has the lease, and look again."""
        if card is not None:
            card.outcome = None
        self._again(card, FIRST)

    def _again(self, card: Card | None, seconds: float) -> None:
        if card is not None:
            card.due = time.monotonic() + seconds

    def _knows(self, key: Key, card: Card) -> bool:
        """Whether a node is still to be driven."""
        with self._lock:
            return self._cards.get(key) is card


def _pause(times: int) -> float:
    """Return for how many seconds to wait after so many tries."""
    return float(min(FIRST * 2 ** min(times, 10), LONGEST))


def _of_exit(node: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a node belongs to an exit handler."""
    while node and not node.get("name", "").endswith(".onExit"):
        node = known.get(node.get("boundaryID", ""), {})
    return bool(node)


def say(card: Card | None, text: str) -> None:
    """Write a line of the log: one JSON object."""
    about = {"workflow": card.job.name, "node": card.job.node["displayName"]} if card else {}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    print(json.dumps({"time": now, **about, "message": text}), flush=True)  # noqa: T201 - a pod's log
