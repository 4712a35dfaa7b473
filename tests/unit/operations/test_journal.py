"""What an upgrade notes in the cluster, and reads there again."""

from __future__ import annotations

import json
from typing import Any

from kfpkit.core import process
from kfpkit.kfp.target import Target
from kfpkit.operations import journal
from kfpkit.operations.journal import Journal, Phase

WRITTEN = Journal("2.14.3", "2.17.0", {"ml-pipeline": 1}, "token", Phase.VERIFY, "backups/1")


class Noting(Target):
    """A target that keeps what is applied, and shows it."""

    noted: list[dict[str, Any]]

    def run(self, *arguments: str, stdin: str | None = None, **_: Any) -> process.Result:
        assert arguments[0] == "apply"
        self.noted[:] = [json.loads(stdin or "")]
        return process.Result(0, "", "")

    def query(self, *arguments: str, **_: Any) -> process.Result:
        assert arguments[:3] == ("get", "configmap", journal.NAME)
        return process.Result(0, "\n".join(map(json.dumps, self.noted)), "")


def target() -> Noting:
    made = Noting("kind", "nowhere", "kubectl")
    object.__setattr__(made, "noted", [])
    return made


def test_what_is_noted_is_read() -> None:
    there = target()
    assert journal.read(there) is None
    journal.write(there, WRITTEN)
    assert journal.read(there) == WRITTEN


def test_what_an_earlier_kit_noted_besides_is_left_out() -> None:
    there = target()
    journal.write(there, WRITTEN)
    data = there.noted[0]["data"]
    data["journal"] = json.dumps({**json.loads(data["journal"]), "recurring": ["daily"]})
    assert journal.read(there) == WRITTEN
