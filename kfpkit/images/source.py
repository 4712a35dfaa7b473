"""Where images come from: `upstream`, `mirror` or `packages` (docs/design/adr-0003)."""

from __future__ import annotations

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
        if registry_reachable():
            return Source.UPSTREAM, f"{PROBE} answers"
        return Source.PACKAGES, f"{PROBE} does not answer"
    if asked not in list(Source):
        raise BadInputError(
            f"IMAGES={asked} is no source of images", f"Use one of {', '.join(Source)}"
        )
    if asked == Source.MIRROR and not mirror:
        raise BadInputError(
            "IMAGES=mirror needs the registry", "Add MIRROR=registry.example:5000/prefix"
        )
    return Source(asked), "asked for"


def registry_reachable(url: str = PROBE) -> bool:
    """Whether a container registry answers; it answers 401 to those who did not log in."""
    try:
        with urllib.request.urlopen(url, timeout=PROBE_TIMEOUT):  # noqa: S310 - a constant of ours
            return True
    except urllib.error.HTTPError as error:
        return error.code == 401
    except (OSError, ValueError):
        return False
