"""What a test says that is skipped because the installation has no web UI."""

from __future__ import annotations

#: What a test says that is skipped because the installation has no web UI.
NO_UI = "no web UI"
