"""Google's client for Vertex AI, and its errors in one line each.

It is an extra of the kit, and it takes seconds to import: nothing but a Vertex target does.
"""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfpkit.core.errors import BadInputError, KitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.auth.credentials import Credentials

    from kfpkit.kfp.targets_file import Vertex

#: The client's package, whose loggers write to standard output.
_PACKAGE = "google.cloud.aiplatform"

#: Characters of an answer that a message shows.
_SHOWN = 500

#: In an answer about where a run keeps its artifacts.
_ROOT = re.compile(
    r"(?i)gcs|cloud storage|bucket|storage\.objects|output.?directory|pipeline.?root"
)

_SIGN_IN = "Sign in: gcloud auth application-default login"


class SilentError(KitError):
    """Vertex AI does not answer, or not now: asking again may help."""


def connect(target: Vertex) -> Any:
    """Return Google's module `aiplatform`, made ready for a target.

    Raises:
        KitError: It is not installed.
        BadInputError: Vertex AI has no such location.
    """
    try:
        aiplatform = import_module(_PACKAGE)
    except ModuleNotFoundError as error:
        if error.name not in ("google", "google.cloud", _PACKAGE):
            raise
        raise KitError(
            f"the target {target.name} is on Vertex AI, and Google's client for it is not here",
            "Install it: uv tool install 'kfpkit[vertex]', or pip install 'kfpkit[vertex]'",
        ) from None
    for name in logging.root.manager.loggerDict:
        if name.startswith(_PACKAGE):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    # `init` keeps what it is not given: an earlier target's address and credentials would stay.
    config = aiplatform.initializer.global_config
    vars(config).update(vars(type(config)()))
    try:
        aiplatform.init(
            project=target.project,
            location=target.location,
            credentials=credentials(target),
            # gRPC would not go through most proxies.
            api_transport="rest",
            api_endpoint=target.api_endpoint or None,
        )
    except ValueError:
        raise BadInputError(
            f"Vertex AI has no location {target.location!r}",
            f"Mend location of [{target.name}], as in us-central1 or europe-west4",
        ) from None
    return aiplatform


def credentials(target: Vertex) -> Credentials | None:
    """Return the credentials of a target; None for those of this machine's user."""
    if not target.credentials:
        return None
    from google.auth.credentials import AnonymousCredentials

    return AnonymousCredentials()


@contextmanager
def no_other_bucket() -> Iterator[None]:
    """Keep Google's client, while it submits a run, from looking after the bucket of its artifacts.

    It makes a bucket that is not there, which the kit refuses instead. Of one that is there it asks
    Google's Resource Manager the owner, over gRPC, which does not go through most proxies: it asks
    for a minute, and then goes on whatever it got (google-cloud-aiplatform 2.7.0,
    `PipelineJob.submit`).
    """
    utils = import_module(f"{_PACKAGE}.utils.gcs_utils")
    name = "create_gcs_bucket_for_pipeline_artifacts_if_it_does_not_exist"
    theirs = getattr(utils, name)
    setattr(utils, name, lambda **_: None)
    try:
        yield
    finally:
        setattr(utils, name, theirs)


@contextmanager
def answers(target: Vertex, what: str) -> Iterator[None]:
    """Turn what Google's client raises during a `with` block into one line.

    Args:
        target: Where the requests go.
        what: What is asked for, as `the run`.

    Raises:
        SilentError: There is no answer, or not now.
        KitError: The answer is no, or there are no credentials.
    """
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    place = f"{target.project} in {target.location}"
    try:
        yield
    except auth.DefaultCredentialsError:
        raise KitError(
            "this machine has no credentials for Google Cloud",
            f"{_SIGN_IN}; or name a key file in GOOGLE_APPLICATION_CREDENTIALS",
        ) from None
    except (auth.RefreshError, api.Unauthorized) as error:
        raise KitError(
            f"Google Cloud takes the credentials no longer: {_text(error)}", _SIGN_IN
        ) from None
    except api.Forbidden as error:
        raise KitError(f"Vertex AI refuses {what}: {_text(error)}", _right(target, error)) from None
    except api.NotFound as error:
        raise BadInputError(
            f"Vertex AI has no such thing in {place} ({what}): {_text(error)}",
            f"Look at project and location of [{target.name}], and at the ID",
        ) from None
    except api.TooManyRequests as error:
        raise SilentError(
            f"a quota of {place} is used up ({what}): {_text(error)}",
            "Try again later, or ask for more: Google Cloud console, IAM & Admin, Quotas",
        ) from None
    except api.Conflict as error:
        raise KitError(f"Vertex AI has {what} already: {_text(error)}", "Try again") from None
    except api.ServerError as error:
        raise SilentError(
            f"Vertex AI has an error of its own ({what}): {_text(error)}", "Try again later"
        ) from None
    except (
        api.RetryError,  # Google's client has asked again for two minutes
        auth.TransportError,
        requests.RequestException,
        ConnectionError,
        TimeoutError,
    ) as error:
        endpoint = target.api_endpoint or f"https://{target.location}-aiplatform.googleapis.com"
        raise SilentError(
            f"{endpoint} does not answer: {_text(getattr(error, 'cause', None) or error)}",
            "Look at the network, at a proxy's settings, and at the location",
        ) from None
    except api.GoogleAPICallError as error:
        root = target.pipeline_root
        raise KitError(
            f"Vertex AI refuses {what}: {_text(error)}",
            f"Look at pipeline_root of [{target.name}]: {root}" if _is_of_root(error) else "",
        ) from None
    except ValueError as error:
        raise BadInputError(f"Google's client refuses {what}: {_text(error)}") from None


def _is_of_root(error: Exception) -> bool:
    return bool(_ROOT.search(str(error)))


def _right(target: Vertex, error: Exception) -> str:
    """Return what to do about a refusal for want of a right."""
    text = str(error)
    if "SERVICE_DISABLED" in text or "has not been used in project" in text:
        return f"gcloud services enable aiplatform.googleapis.com --project={target.project}"
    if "actAs" in text or "act as" in text:
        account = target.service_account or "the project's default service account"
        return f"Give yourself the role roles/iam.serviceAccountUser on {account}"
    if _is_of_root(error):
        account = target.service_account or "the project's default service account"
        return f"Give {account} the role roles/storage.objectUser on {target.pipeline_root}"
    return (
        f"Give yourself the role roles/aiplatform.user in {target.project}; "
        "`gcloud auth list` shows as whom you are signed in"
    )


def _text(error: Exception) -> str:
    """Return what an error says, in one line; of a web page its title."""
    text = str(getattr(error, "message", "") or error)
    if title := re.search(r"<title>(.*?)</title>", text, re.DOTALL):
        text = title[1]
    # The REST client puts the request before the answer.
    text = re.sub(r"^(GET|POST|DELETE|PATCH) https?://\S+: ", "", text)
    line = " ".join(text.split()).rstrip(".")
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
