"""The log of a task or a driver: the step's own rows, between those of KFP's programs and Argo."""

from __future__ import annotations

import json
import math
import re
from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Rows of a step's own output that are shown of a failure.
SHOWN_ROWS = 30

#: What KFP's programs print themselves, kfp inside the step, and Argo's executor around them.
_GLOG = re.compile(r"(?P<level>[IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] ")
_KFP = re.compile(r"\[KFP Executor \S+ \S+ INFO\]: ")
_ARGO = re.compile(r"time=.+ level=|.* argo=true|(Error: )?exit status \d+$")
_NOT_STARTED = re.compile(r"Error: failed to start command: |exec /var/run/argo/argoexec: ")

#: How a driver's error begins: all that the driver was called with, before the cause.
_CALL = re.compile(r"driver\.\w+\(.*\) failed: ")

#: How the launcher's error ends where it is the step's own program that ended badly.
_ENDED = re.compile(r"(exit status (?P<code>\d+)|(?P<signal>signal: [\w ]+?))( \(core dumped\))?$")

#: Before what a step wrote for KFP, which the launcher prints when the step has ended well, with
#: all digits of the numbers; and keys in it that name nothing of the step's own.
_BEFORE = re.compile(r"launcher_v2\.go:\d+\] ExecutorOutput: ")
_FRAME = ("parameterValues", "artifacts", "metadata")


@dataclass(frozen=True)
class Log:
    """A log of a pod's main container, or of a driver without a pod, taken apart.

    Attributes:
        text: The whole.
        own: The rows of the step.
        error: The last error of KFP's launcher or driver, or of Argo where it could not start
            them; without the place in their source and without what they were called with.
    """

    text: str = ""
    own: tuple[str, ...] = ()
    error: str = ""

    @property
    def last(self) -> str:
        """The last row of the step; empty where it printed nothing."""
        return self.own[-1] if self.own else ""

    @property
    def of_step(self) -> bool:
        """Whether nothing but the step's own program is said to have ended badly."""
        return not self.error or bool(_ENDED.search(self.error))

    @property
    def excerpt(self) -> str:
        """What tells why: KFP's error; of a step its last traceback, or else its last rows."""
        if not self.of_step:
            return self.error
        starts = [place for place, row in enumerate(self.own) if row.startswith("Traceback (")]
        return "\n".join(self.own[starts[-1] :] if starts else self.own[-SHOWN_ROWS:])

    def end(self, message: str) -> str:
        """Return how the step's own program ended; empty for exit code 1.

        Args:
            message: What Argo says of the pod. Under a launcher its exit code is the launcher's.
        """
        ended = _ENDED.search(self.error)
        if ended and ended["signal"]:
            return ended["signal"]
        code = ended["code"] if ended else "".join(re.findall(r"exit code (\d+)", message)[-1:])
        return f"exit code {code}" if code not in ("", "1") else ""


def of_driver(error: str) -> Log:
    """Return the log of a driver of which there is its last error alone."""
    return Log(error, error=read(error).error or _CALL.sub("", error))


def read(text: str) -> Log:
    """Return a log taken apart."""
    own: list[str] = []
    error = ""
    rows = iter([row for row in text.splitlines() if row.strip()])
    for row in rows:
        match = _GLOG.match(row)
        if match and match["level"] in "EF":
            error = _CALL.sub("", row[match.end() :])
            if match["level"] == "F":
                break  # What follows are the stacks of the program's threads.
        elif match or _KFP.match(row):
            if row.endswith(("{", "executor_input:")):
                # An object that goes on in the rows below.
                deque(takewhile(lambda inner: inner != "}", rows), maxlen=0)
        elif _NOT_STARTED.match(row):
            error = row
        elif not _ARGO.match(row):
            own.append(row)
    return Log(text, tuple(own), error)


def written(log: str) -> dict[str, Any]:
    """Return what a step wrote for KFP; empty where the log has none.

    Args:
        log: The log of the pod's main container.
    """
    starts = [match.end() for match in _BEFORE.finditer(log)]
    try:
        output = json.JSONDecoder().raw_decode(log, starts[-1])[0] if starts else {}
    except ValueError:
        return {}
    return output if isinstance(output, dict) else {}


def not_finite(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    """Yield place and value of what a step wrote and KFP cannot keep: NaN and infinity."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from not_finite(inner, place if key in _FRAME else (*place, key))
    elif isinstance(value, list):
        for inner in value:
            yield from not_finite(inner, place)
    elif isinstance(value, float) and not math.isfinite(value):
        yield place, value
