"""A run looked up in all the places that know of it, for its explanation."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import reach
from kfpkit.kube import forward
from kfpkit.runs.explain import Explanation, Facts, explain, gather

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

#: Seconds for an answer of the API.
TIMEOUT = 20.0

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def look(target: Target, run: str) -> Explanation:
    """Return why a run is as it is; the API and the object store may be down.

    Raises:
        BadInputError: That is no run's ID, or there is no such run.
        KitError: The cluster does not answer.
    """
    if not _ID.fullmatch(run):
        raise BadInputError(
            f"{run!r} is no run's ID", "It is the last part of the run's address in the web UI"
        )
    with ExitStack() as stack:
        opened: list[Any] = []

        def archive(key: str) -> str:
            """Return a log that was kept; nothing where the store is down or has it no longer."""
            from obstore.exceptions import BaseError

            try:
                if not opened:
                    opened.append(stack.enter_context(reach.store(target)))
                return bytes(opened[0].get(key).bytes()).decode(errors="replace")
            except (KitError, BaseError):
                return ""

        facts = gather(target, run, archive=archive)
        if not facts.workflow:
            facts = Facts(run, record=_record(target, run))
        return explain(facts, target)


def _record(target: Target, run: str) -> dict[str, Any]:
    with reach.service(target, forward.API) as address:
        url = f"http://{address}/apis/v2beta1/runs/{run}"
        try:
            answer = requests.get(url, timeout=TIMEOUT)
        except requests.RequestException as error:
            raise KitError(
                f"the API does not answer: {error}", "make doctor looks at it"
            ) from error
    if answer.status_code == requests.codes.not_found:
        raise BadInputError(
            f"there is no run {run} on {target.context}", "Look it up in the web UI"
        )
    if not answer.ok:
        raise KitError(f"the API refuses the run {run}: {answer.status_code} {answer.text[:200]}")
    record: dict[str, Any] = answer.json()
    return record
