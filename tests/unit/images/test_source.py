"""The source of images: what is asked for wins, else what can be reached, and it says why."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from kfpkit.cluster import tools
from kfpkit.core.errors import BadInputError
from kfpkit.images import source as sources
from kfpkit.images.source import Source


def test_what_is_asked_for_is_taken() -> None:
    assert sources.choose("packages", "") == (Source.PACKAGES, "asked for")


def test_a_wrong_source_is_named() -> None:
    with pytest.raises(BadInputError, match="IMAGES=docker is no source"):
        sources.choose("docker", "")


def test_a_mirror_needs_its_address() -> None:
    with pytest.raises(BadInputError, match="MIRROR=registry"):
        sources.choose("mirror", "")
    assert sources.choose("mirror", "registry.example:5000/kfp")[0] is Source.MIRROR


@pytest.mark.parametrize(("reachable", "source"), [(True, "upstream"), (False, "packages")])
def test_nothing_asked_for_takes_what_can_be_reached(
    monkeypatch: pytest.MonkeyPatch, reachable: bool, source: str
) -> None:
    # No variable decides: it is asked by options.
    monkeypatch.setenv("IMAGES", "mirror")
    monkeypatch.setattr(sources, "registry_reachable", lambda: reachable)
    chosen, why = sources.choose("", "")
    assert chosen == source
    assert sources.PROBE in why


@pytest.mark.parametrize(("code", "reachable"), [(401, True), (200, True), (403, False)])
def test_a_registry_answers_that_one_must_log_in(code: int, reachable: bool) -> None:
    class Registry(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Registry) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert sources.registry_reachable(f"http://127.0.0.1:{server.server_port}") is reachable


def test_no_registry_is_no_error() -> None:
    assert not sources.registry_reachable("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    ("client", "fits"),
    [("v1.34.4", True), ("v1.33.0-gke.1", True), ("v1.32.4", False), ("x", False)],
)
def test_a_kubectl_more_than_one_minor_version_away_does_not_fit(client: str, fits: bool) -> None:
    text = f'{{"clientVersion": {{"gitVersion": "{client}"}}}}'
    assert tools.kubectl_fits(text, "v1.34.4") is fits
    assert not tools.kubectl_fits("no JSON", "v1.34.4")
