"""An installation with a web UI, runs of the sample on it, and a page of a browser.

Against an installation that is not this kit's kind cluster: name the addresses of its web UI and of
its API in KFP_UI and KFP_HOST.
"""

from __future__ import annotations

import os
import tempfile
import uuid
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from kfpkit.kfp.pipelines import compile_to, find
from tests.support.web_ui import (
    EXPECTED,
    EXPERIMENT,
    HOST,
    OF_A_RESPONSE,
    PART,
    PATIENCE,
    RUN,
    UI,
    Runs,
    Ui,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def ui(request: pytest.FixtureRequest) -> str:
    """Address of a web UI that answers; skips where the installation has none."""
    if "KFP_UI" not in os.environ:
        from kfpkit.kfp.target import choose
        from kfpkit.operations import installation as lifecycle

        target = choose(context=request.getfixturevalue("cluster"))
        if not any(d["metadata"]["name"] == PART for d in target.documents):
            pytest.skip(
                f"the overlay {target.overlay} has no web UI: its image is in no package registry. "
                "Run these tests where images can be pulled, or name an installation in KFP_UI "
                "and KFP_HOST"
            )
        lifecycle.install(target, timeout=900)
    # Beyond this an installation has a UI, and one that does not answer is a failure.
    said = requests.get(f"{UI}/apis/v2beta1/healthz", timeout=10).json()
    assert said["apiServerReady"], said
    return UI


@pytest.fixture(scope="session")
def client(ui: str) -> Any:  # noqa: ARG001 - the API is there once the UI is
    """The SDK's own client."""
    import kfp

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "This client only works", FutureWarning)
        return kfp.Client(host=HOST)


@pytest.fixture(scope="session")
def runs(client: Any) -> Iterator[Runs]:
    """The sample uploaded, run twice to its end and once to a failure."""
    name = f"web-ui-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "penguins.yaml"
        compile_to(find("penguins"), file)
        pipeline = client.upload_pipeline(str(file), name).pipeline_id
        ids = {
            name: client.create_run_from_pipeline_package(
                str(file), arguments, run_name=f"web UI: {name}", experiment_name=EXPERIMENT
            ).run_id
            for name, arguments in {
                "first": {},
                "second": {"n_estimators": 2, "max_depth": 1, "min_accuracy": 0.0},
                "failed": {"min_accuracy": 1.0},
            }.items()
        }
    states = {
        name: client.wait_for_run_completion(run, timeout=RUN, sleep_duration=2).state
        for name, run in ids.items()
    }
    assert states == {"first": "SUCCEEDED", "second": "SUCCEEDED", "failed": "FAILED"}
    yield Runs(pipeline=pipeline, name=name, **ids)
    for version in client.list_pipeline_versions(pipeline).pipeline_versions:
        client.delete_pipeline_version(pipeline, version.pipeline_version_id)
    client.delete_pipeline(pipeline)


@pytest.fixture
def recurring(client: Any, runs: Runs) -> Iterator[str]:
    """A recurring run of the sample that is never due while a test looks at it."""
    version = client.list_pipeline_versions(runs.pipeline).pipeline_versions[0]
    made = client.create_recurring_run(
        client.get_experiment(experiment_name=EXPERIMENT).experiment_id,
        "web UI: every day",
        cron_expression="0 0 4 * * *",
        pipeline_id=runs.pipeline,
        version_id=version.pipeline_version_id,
        params={"seed": 7},
        enabled=False,
    )
    yield made.recurring_run_id
    client.delete_recurring_run(made.recurring_run_id)


@pytest.fixture
def web(browser: Any, ui: str) -> Iterator[Ui]:
    """A page that fails the test when the UI reports an error or a request of it fails."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(PATIENCE)
    found = Ui(context.new_page(), ui)
    here = urlsplit(ui).netloc

    def elsewhere(route: Any) -> None:
        # Fonts, of which the pages can do without. Nothing else may be asked of another host.
        if route.request.resource_type not in ("stylesheet", "font"):
            found.trouble.append(f"asks another host: {route.request.url}")
        route.fulfill(status=200, content_type="text/css", body="")

    context.route(lambda url: urlsplit(url).netloc not in (here, ""), elsewhere)

    def said(message: Any) -> None:
        # What it says of a request that failed is seen in the response.
        if message.type == "error" and not message.text.startswith(OF_A_RESPONSE):
            found.trouble.append(f"console: {message.text}")

    def answered(response: Any) -> None:
        if response.status >= 400 and not EXPECTED.search(response.url):
            found.trouble.append(f"{response.status} {response.url}")

    found.page.on("console", said)
    found.page.on("pageerror", lambda error: found.trouble.append(f"error: {error}"))
    found.page.on("response", answered)
    yield found
    context.close()
    assert found.trouble == []
