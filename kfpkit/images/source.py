"""Where images come from: `upstream`, `mirror` or `packages` (docs/design/adr-0003)."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from enum import StrEnum

from kfpkit.core.errors import BadInputError

#: Asked to find out whether public registries can be reached; any answer but a refusal counts.
PROBE = "https://registry-1.docker.io/v2/"

#: Seconds to wait for it.
PROBE_TIMEOUT = 4.0


class Source(StrEnum):
    """A source of images."""

    UPSTREAM = "upstream"
    MIRROR = "mirror"
    PACKAGES = "packages"


def choose(asked: str, mirror: str) -> tuple[Source, str]:
    """Return the source of images and why it was chosen.

    Args:
        asked: What the user asked for; empty to find out.
        mirror: The registry that the user named, if any.

    Raises:
        BadInputError: No such source, or `mirror` without a registry.
    """
    if not asked:
        why = refusal(PROBE)
        if not why:
            return Source.UPSTREAM, f"{PROBE} answers"
        return Source.PACKAGES, f"{PROBE} does not answer: {why}"
    if asked not in list(Source):
        raise BadInputError(
            f"IMAGES={asked} is no source of images", f"Use one of {', '.join(Source)}"
        )
    if asked == Source.MIRROR and not mirror:
        raise BadInputError(
            "IMAGES=mirror needs the registry", "Add MIRROR=registry.example:5000/prefix"
        )
    return Source(asked), "asked for"


def answers(registry: str) -> bool:
    """Whether a registry answers this machine, in whatever way.

    Args:
        registry: Its name in an image's: `HOST` or `HOST:PORT`.
    """
    host = {"docker.io": "registry-1.docker.io"}.get(registry, registry)
    return any(
        not (why := refusal(f"{scheme}://{host}/v2/", verify=False)) or why.startswith("it answers")
        for scheme in ("https", "http")
    )


def refusal(url: str, *, timeout: float = PROBE_TIMEOUT, verify: bool = True) -> str:
    """Return why no container registry answers at an address; empty where one does.

    Args:
        url: The address; a registry answers 401 to those who did not log in.
        timeout: Seconds to wait.
        verify: Whether its certificate must be one that this machine trusts.
    """
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=timeout, context=context):  # noqa: S310 - http(s)
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code == 401 else f"it answers {error.code} to {url}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))
