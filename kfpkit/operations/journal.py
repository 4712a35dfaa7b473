"""How far an upgrade is, kept in the cluster so that any machine can go on with it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kfpkit.kfp.target import Target

#: ConfigMap of the installation's namespace.
NAME = "kfpkit-upgrade"


class Phase(StrEnum):
    """What is being done; the plan comes before all of them and leaves no note."""

    DRAIN = "drain"
    BACKUP = "backup"
    #: From here on the database may be the new release's.
    MIGRATE = "migrate"
    VERIFY = "verify"
    RESUME = "resume"
    DONE = "done"
    #: The state before is being put back: there is no way but that.
    ROLLBACK = "rollback"


#: Phases that a rollback out of them puts the backup back in.
TOUCHED = (Phase.MIGRATE, Phase.VERIFY, Phase.RESUME, Phase.DONE, Phase.ROLLBACK)


@dataclass
class Journal:
    """An upgrade that was begun."""

    #: Release before, and after.
    source: str
    to: str
    #: Pods that each part which is held had before, by its Deployment.
    pods: dict[str, int]
    #: What the canary run before and the one after are told, so that the second is the first.
    token: str
    phase: Phase = Phase.DRAIN
    #: Folder of the backup on the machine that made it.
    backup: str = ""


def read(target: Target) -> Journal | None:
    """Return what is noted in the cluster, if anything."""
    argv = ("get", "configmap", NAME, "--ignore-not-found", "--output=json")
    said = target.query(*argv).stdout.strip()
    return parsed(json.loads(said)["data"]) if said else None


def parsed(noted: Mapping[str, str]) -> Journal:
    """Return what the ConfigMap's data say."""
    data = json.loads(noted["journal"])
    # An earlier kit may have noted more.
    known = {field.name: data[field.name] for field in fields(Journal)}
    return Journal(**{**known, "phase": Phase(data["phase"])})


def write(target: Target, journal: Journal) -> None:
    """Note in the cluster how far the upgrade is."""
    data = {"journal": json.dumps(asdict(journal), indent=1)}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}
    target.run("apply", "--filename", "-", stdin=json.dumps(item))


def remove(target: Target) -> None:
    """Forget the upgrade."""
    target.run("delete", "configmap", NAME, "--ignore-not-found")
