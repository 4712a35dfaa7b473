"""How a run, and what is in it, stands: Argo's phases and the API's states."""

from __future__ import annotations

from enum import StrEnum

from kfpkit.kfp.run import State


class Phase(StrEnum):
    """Argo's phase of a Workflow or of a node of it; one that has just been made has none."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"
    #: Of a node: its condition did not hold.
    SKIPPED = "Skipped"
    #: Of a node: what it depends on did not succeed.
    OMITTED = "Omitted"


#: Phases of what ended badly.
BAD = (Phase.FAILED, Phase.ERROR)

#: Phases of what has ended.
ENDED = (Phase.SUCCEEDED, *BAD, Phase.SKIPPED, Phase.OMITTED)


#: The API's states of a run that is over (v2beta1), and what each is in a run's description.
ENDS = {
    "SUCCEEDED": State.SUCCEEDED,
    "SKIPPED": State.SKIPPED,
    "FAILED": State.FAILED,
    "CANCELED": State.CANCELLED,
}
FINAL = tuple(ENDS)
