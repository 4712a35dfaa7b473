"""What a test says that is skipped for want of the next release's images."""

from __future__ import annotations

#: What a test says that is skipped because the next release's images are not to be had.
NO_NEXT = "no images of the next release"
