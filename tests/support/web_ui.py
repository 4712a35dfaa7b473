"""An installation with a web UI, runs of the sample on it, and a page of a browser.

Against an installation that is not this kit's kind cluster: name the addresses of its web UI and of
its API in KFP_UI and KFP_HOST.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any

from kfpkit.cluster.config import load as kind_cluster

UI = os.environ.get("KFP_UI", "http://localhost:8080")

HOST = os.environ.get("KFP_HOST", kind_cluster().api)

#: The Deployment of the web UI.
PART = "ml-pipeline-ui"

#: Seconds that a run of the sample may take on a loaded machine.
RUN = 900

#: Milliseconds that a page may take on such a machine.
PATIENCE = 90_000

EXPERIMENT = "web UI"

#: Requests that fail by design: those for the names of a Google project and cluster, and those for
#: the file of metrics, which are metadata alone.
EXPECTED = re.compile(r"/system/(cluster-name|project-id)|/artifacts/get\?.*metrics$")

#: How the UI begins a message in the console about a request that failed.
OF_A_RESPONSE = ("Failed to load resource", "Response for path")


@dataclass(frozen=True)
class Runs:
    """Runs of the sample pipeline."""

    pipeline: str
    #: The pipeline's name, which no other has.
    name: str
    first: str
    #: The same with fewer trees, to compare.
    second: str
    #: One whose last task fails.
    failed: str


@dataclass
class Ui:
    """A page of the web UI, and what went wrong on it."""

    page: Any
    address: str
    trouble: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        """Go to a page of the UI, such as `/runs`."""
        self.page.goto("about:blank")  # Else the page of before would stay as it is.
        self.page.goto(f"{self.address}/#{path}")
        return self.page

    def text(self, text: str, *, exact: bool = True) -> Any:
        """Return what shows this text, once it does."""
        found = self.page.get_by_text(text, exact=exact).locator("visible=true").first
        found.wait_for()
        return found

    def node(self, label: str) -> Any:
        """Return the node of the graph with this label."""
        return self.page.locator(f".react-flow__node:has([title='{label}'])").first

    def choose(self, label: str) -> None:
        """Choose a node of the graph of a finished run, also one that the small map lies over."""
        # Before the first mark is there the metadata is not, and a click finds nothing.
        self.page.locator(".bg-mui-green-50, .bg-mui-red-50").first.wait_for()
        self.node(label).locator("button").first.dispatch_event("click")

    def tab(self, name: str) -> None:
        """Choose a tab."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
