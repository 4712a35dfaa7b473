"""The KFP API: connecting to it, and what it says when it does not do as asked."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from typing import TYPE_CHECKING, Any

import requests

from kfpkit.errors import KitError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds that a first answer may take.
TIMEOUT = 30.0


def connect(host: str) -> Any:
    """Return the SDK's client of the API, a `kfp.Client`.

    Args:
        host: Address of the API.

    Raises:
        KitError: Nothing answers there as the API does.
    """
    import kfp

    # The client itself would ask five times and print a traceback each time.
    try:
        answer = requests.get(f"{host.rstrip('/')}/apis/v2beta1/healthz", timeout=TIMEOUT)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise _no_answer(host, error) from error
    with warnings.catch_warnings():
        # It announces with each use that it is no client of KFP 1.
        warnings.filterwarnings("ignore", "This client only works", FutureWarning)
        return kfp.Client(host=host)


@contextlib.contextmanager
def asking(host: str, what: str) -> Iterator[None]:
    """Turn the client's exceptions into the kit's, and keep what it prints from the output.

    Args:
        host: Address of the API, for the error.
        what: What is asked for, as in "refuses ...".

    Raises:
        KitError: The API does not answer, or refuses.
    """
    from kfp_server_api.exceptions import ApiException
    from urllib3.exceptions import HTTPError

    try:
        # The client prints a link with each object that it makes, also where there is no web UI.
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    except ApiException as error:
        raise KitError(f"{host} refuses {what}: {error.status} {_said(error)}") from error
    except HTTPError as error:
        raise _no_answer(host, error) from error


def _no_answer(host: str, error: Exception) -> KitError:
    return KitError(
        f"no Kubeflow Pipelines API answers at {host}: {error}",
        "make status looks at it; name another address with KFP_HOST=",
    )


def _said(error: Any) -> str:
    """Return the message of a refusal without the server's stack of it."""
    try:
        said = json.loads(error.body)
    except (TypeError, ValueError):
        return str(error.body or error.reason)
    return str(said.get("message") or said.get("error") or error.body)
