"""A run looked up in all the places that know of it, for its explanation."""

from __future__ import annotations

import re
from contextlib import ExitStack
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError, KitError
from kfpkit.kfp import api, reach
from kfpkit.kube import forward
from kfpkit.runs.explain import Explanation, explain, gather
from kfpkit.runs.facts import Facts

if TYPE_CHECKING:
    from kfpkit.kfp.target import Target

#: Seconds for an answer of the API.
TIMEOUT = 20

#: ID of a run of Kubeflow Pipelines.
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def look(target: Target, run: str) -> Explanation:
    """Return why a run is as it is; the API and the object store may be down.

    Raises:
        BadInputError: That is no run's ID, or there is no such run.
        KitError: The cluster does not answer.
    """
    if not ID.fullmatch(run):
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
        try:
            record: dict[str, Any] = api.Client(f"http://{address}", TIMEOUT).get_run(run).to_dict()
        except api.RefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise BadInputError(
                f"there is no run {run} on {target.context}", "Look it up in the web UI"
            ) from error
    return record
