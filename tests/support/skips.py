"""What tests say that are skipped, where the session's end counts and tells them."""

from __future__ import annotations

#: The installation has no web UI.
NO_UI = "no web UI"

#: The next release's images are not to be had.
NO_NEXT = "no images of the next release"
