"""New values for the Secrets of an installation.

The new values are written to a Secret of their own before anything takes them, so that a rotation
which was broken off at any point is taken up by starting it again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kfpkit.core import console, process
from kfpkit.core.errors import BadInputError, KitError, join_names
from kfpkit.kfp import database, secrets
from kfpkit.kfp.states import ENDED
from kfpkit.kfp.webhook import SECRET, wanted
from kfpkit.kube import health, render
from kfpkit.operations import installation as lifecycle
from kfpkit.operations import lock, webhook
from kfpkit.operations.lock import PENDING, Operation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kfpkit.kfp.target import Target
    from kfpkit.operations.lock import Lock

    #: Values by Secret and key.
    Values = Mapping[str, Mapping[str, str]]

DATABASE = "database-password"


def rotate(target: Target, *, timeout: float, despite_runs: bool) -> None:
    """Give stores and webhook new passwords, keys and certificate, and restart who uses them.

    Args:
        target: What is where.
        timeout: Seconds to wait for the parts after each of the two restarts.
        despite_runs: Go on while runs are under way; steps that write meanwhile fail.

    Raises:
        BadInputError: No Secret is the kit's, a part is not ready, or runs or another operation
            are under way.
        KitError: Nothing is installed there, or a part does not come back.
    """
    names = [name for name, made in secrets.MADE.items() if made.store in _stores(target)]
    if not names and not wanted(target.documents):
        raise BadInputError(
            f"both stores of the overlay {target.overlay} are yours, and so are their keys",
            "docs/operate/secrets.md says how to change them",
        )
    with lock.held(target, Operation.ROTATE) as mine:
        _rotate(target, names, timeout, mine, despite_runs=despite_runs)


def _rotate(
    target: Target, names: list[str], timeout: float, mine: Lock, *, despite_runs: bool
) -> None:
    new = _taken_up(target)
    if new:
        console.say("going on with the rotation that was broken off")
    else:
        # A run goes on without the webhook.
        _require_quiet(target, despite_runs=despite_runs or not names)
        new = {name: secrets.new(name) for name in names}
        flat = {f"{name}.{key}": value for name in names for key, value in new[name].items()}
        mine.note("gives new values to who needs them", again="make rotate-secrets")
        if flat:
            target.run("create", "--filename", "-", stdin=secrets.manifest(PENDING, flat))
    if DATABASE in new:
        _alter_accounts(target, new[DATABASE])
    for name, values in new.items():
        patch = json.dumps({"stringData": dict(values)})
        target.run("patch", "secret", name, "--patch-file", "/dev/stdin", stdin=patch)
    if new:
        # The stores first: what starts with the new values must find them there.
        stores = [f"statefulset/{secrets.MADE[name].store}" for name in new]
        _restart(target, stores, timeout)
        _restart(target, _readers(target, new), timeout)
    _certify(target, timeout)
    if new:
        target.run("delete", "secret", PENDING)
    made = [*new, SECRET] if wanted(target.documents) else [*new]
    console.say(f"new values in {join_names([f'Secret {name}' for name in made])}")


def _certify(target: Target, timeout: float) -> None:
    """Give the webhook a new certificate; until its pods have it, drivers have pods."""
    crt, outdated = webhook.certify(target, renew=True)
    if outdated:
        _restart(target, [webhook.DEPLOYMENT], timeout)
    webhook.connect(target, crt)


def _stores(target: Target) -> set[str]:
    return {d["metadata"]["name"] for d in target.documents if d["kind"] == "StatefulSet"}


def _readers(target: Target, names: Iterable[str]) -> list[str]:
    """Return the Deployments whose pods take a value of these Secrets at their start."""
    wanted = set(names)
    return [
        f"deployment/{workload['metadata']['name']}"
        for workload in render.workloads(target.documents)
        if workload["kind"] == "Deployment" and wanted & secrets.needed([workload]).keys()
    ]


def _taken_up(target: Target) -> dict[str, dict[str, str]]:
    """Return the values of a rotation that was broken off, if there was one."""
    if process.dry_run():
        return {}
    found: dict[str, dict[str, str]] = {}
    for flat, value in secrets.read(target, PENDING).items():
        name, _, key = flat.rpartition(".")
        found.setdefault(name, {})[key] = value
    return found


def _require_quiet(target: Target, *, despite_runs: bool) -> None:
    """Raise unless every component is ready and no run is under way."""
    if process.dry_run():
        return
    lifecycle.require_ready(target)
    if despite_runs:
        return
    going = [
        item["metadata"]["name"]
        for item in target.items([health.WORKFLOWS])
        if item.get("status", {}).get("phase") not in ENDED
    ]
    if going:
        raise BadInputError(
            f"runs are under way: {join_names(going)}; nothing was changed",
            "Wait for them, or add DESPITE_RUNS=1: steps that write meanwhile fail",
        )


def _alter_accounts(target: Target, new: Mapping[str, str]) -> None:
    """Give the database's two accounts their new passwords."""
    argv = database.Database(target).argv(f"{database.WITH_PASSWORD}db mariadb --batch")
    root = new["root-password"]
    if not process.dry_run():
        # The old one; or the new one, where a rotation was broken off after this step.
        tried = (secrets.read(target, DATABASE)["root-password"], root)
        admitted = [
            candidate
            for candidate in dict.fromkeys(tried)
            if process.query(argv, stdin=f"{candidate}\nSELECT 1;\n", check=False).ok
        ]
        if not admitted:
            raise KitError(
                f"the database does not admit root with the password of the Secret {DATABASE}",
                f"Look at `{target.line('logs', 'database-0')}`",
            )
        root = admitted[0]
    account = next(
        d["data"]["username"]
        for d in target.documents
        if d["kind"] == "ConfigMap" and "username" in d.get("data", {})
    )
    sql = [f"ALTER USER '{account}'@'%' IDENTIFIED BY '{new['password']}';"] + [
        f"ALTER USER IF EXISTS root@'{host}' IDENTIFIED BY '{new['root-password']}';"
        for host in ("localhost", "%")
    ]
    process.run(argv, stdin="\n".join([root, *sql, ""]))


def _restart(target: Target, parts: list[str], timeout: float) -> None:
    target.run("rollout", "restart", *parts)
    if not process.dry_run():
        lifecycle.wait_until_ready(target, timeout=timeout)
