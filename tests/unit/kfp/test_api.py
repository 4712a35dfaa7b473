"""The API's client: it sends what `kfp.Client` sends, and says what the API says."""

from __future__ import annotations

import json
import socket
import threading
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
import yaml

from kfpkit.core.errors import KitError
from kfpkit.kfp import api
from kfpkit.kfp.pipelines import GOLDEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A platform spec, as a second document of a compiled pipeline.
PLATFORM: dict[str, Any] = {
    "platforms": {"kubernetes": {"deploymentSpec": {"executors": {"exec-train": {}}}}}
}


class Server(ThreadingHTTPServer):
    """Takes down what is asked, and answers as an API would that holds one of everything."""

    def __init__(self) -> None:
        super().__init__(("localhost", 0), Handler)
        self.asked: list[tuple[str, str, list[Any]]] = []
        self.empty = False
        self.refusal = ""
        #: Bytes of each answer that are announced and do not come.
        self.lacking = 0
        self.pages: list[str] = []

    @property
    def host(self) -> str:
        return f"http://localhost:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kind = self.headers.get("Content-Type", "")
        boundary = kind.partition("boundary=")[2].encode()
        taken: Any = body.replace(boundary, b"")
        if not boundary:
            # An empty field or option is the same as none.
            taken = {key: value for key, value in json.loads(body or b"{}").items() if value != ""}
        path, _, query = self.path.partition("?")
        self.server.asked.append((self.command, path, [sorted(parse_qsl(query)), taken]))
        found = [] if self.server.empty else [{"display_name": "penguins", "pipeline_id": "p"}]
        answer = {
            "pipeline_id": "p",
            "pipeline_version_id": "v",
            "run_id": "r",
            "experiment_id": "e",
            "pipelines": found,
            "experiments": found,
            "runs": [{"run_id": "r"}],
            "next_page_token": self.server.pages.pop(0) if self.server.pages else "",
            "multi_user": False,
        }
        refused = self.server.refusal and "healthz" not in self.path
        text = json.dumps({"message": self.server.refusal} if refused else answer).encode()
        self.send_response(400 if refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text) + self.server.lacking))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - named by the standard library

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture(params=[1, 2], ids=["one document", "two documents"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A compiled pipeline's file."""
    file = tmp_path / "penguins.yaml"
    file.write_text((GOLDEN / "penguins.yaml").read_text())
    if request.param == 2:
        with file.open("a") as more:
            more.write(f"---\n{yaml.safe_dump(PLATFORM)}")
    return str(file)


def due(**more: Any) -> Callable[[Any, str], Any]:
    """Return the creation of a recurring run."""
    same: dict[str, Any] = {"description": "d", "max_concurrency": 1, "no_catchup": True}
    when: dict[str, Any] = {"cron_expression": None, "interval_second": None}
    given = {"params": {"seed": 1}, "pipeline_id": "p", "version_id": "v"}
    return lambda client, _: client.create_recurring_run("e", "name", **same, **given | when | more)


PAGE = {"page_size": 100, "sort_by": "created_at desc", "page_token": ""}

CALLS: dict[str, Callable[[Any, str], Any]] = {
    "experiment": lambda client, _: client.create_experiment("penguins"),
    "pipeline id": lambda client, _: client.get_pipeline_id("penguins"),
    "upload": lambda client, file: client.upload_pipeline(file, "penguins", description="a b"),
    "version": lambda client, file: client.upload_pipeline_version(file, "v2", pipeline_id="p"),
    "versions": lambda client, _: client.list_pipeline_versions("p", **PAGE),
    "get version": lambda client, _: client.get_pipeline_version("p", "v"),
    "run of a version": lambda client, _: client.run_pipeline(
        experiment_id="e", job_name="n", params={"x": [1, "ü"]}, pipeline_id="p", version_id="v"
    ),
    "run of a file": lambda client, file: client.run_pipeline(
        experiment_id="e", job_name="n", params={}, pipeline_package_path=file
    ),
    "run with a root": lambda client, _: client.run_pipeline(
        "e", "n", params={}, pipeline_id="p", version_id="v", pipeline_root="gs://b/r"
    ),
    "get run": lambda client, _: client.get_run("r"),
    "runs": lambda client, _: client.list_runs(experiment_id="e", **PAGE),
    "end": lambda client, _: client.terminate_run("r"),
    "delete": lambda client, _: client.delete_run("r"),
    "cron": due(cron_expression="0 0 6 * * *"),
    "every": due(interval_second=60),
    "every, with a root": due(interval_second=60, pipeline_root="gs://b/r"),
    "recurring runs": lambda client, _: client.list_recurring_runs(page_token="", page_size=9),
    "disable": lambda client, _: client.disable_recurring_run("r"),
    "delete recurring run": lambda client, _: client.delete_recurring_run("r"),
}


@pytest.mark.parametrize("call", CALLS)
def test_each_call_sends_what_kfps_own_client_sends(
    server: Server, package: str, call: str
) -> None:
    import kfp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        theirs = kfp.Client(host=server.host)
    for server.empty in (False, True):
        sent, answers = [], []
        for client in (api.connect(server.host), theirs):
            server.asked.clear()
            answers.append(CALLS[call](client, package))
            sent.append([asked for asked in server.asked if "healthz" not in asked[1]])
        assert sent[0]
        assert sent[0] == sent[1]
        if call != "runs":
            assert answers[0] == answers[1]


def test_the_address_may_have_a_path(server: Server) -> None:
    client = api.connect(f"{server.host}/team/")
    client.get_run("r")
    assert [path for _, path, _ in server.asked] == [
        "/team/apis/v2beta1/healthz",
        "/team/apis/v2beta1/runs/r",
    ]


def test_a_refusal_is_one_line_with_what_the_api_says(server: Server) -> None:
    server.refusal = "name is taken"
    client = api.connect(server.host)
    with pytest.raises(api.RefusedError) as refused:
        client.get_run("x")
    assert (
        refused.value.what == f"{server.host} refuses GET /apis/v2beta1/runs/x: 400 name is taken"
    )
    assert refused.value.status == 400


def test_no_answer_is_an_error_at_once() -> None:
    with pytest.raises(KitError, match="no Kubeflow Pipelines API answers at http://localhost:9:"):
        api.connect("http://localhost:9")


def test_an_api_that_takes_a_request_and_never_answers_is_given_up() -> None:
    with socket.create_server(("localhost", 0)) as silent:
        host = f"http://localhost:{silent.getsockname()[1]}"
        with pytest.raises(KitError, match=f"no Kubeflow Pipelines API answers at {host}: .*timed"):
            api.Client(host, timeout=1).get_run("x")


def test_the_state_of_a_run_is_what_all_of_it_says(server: Server) -> None:
    for server.empty in (False, True):
        client = api.connect(server.host)
        assert client.run_state("r") == (client.get_run("r").state or "")


@pytest.mark.parametrize("call", ["get run", "runs"])
def test_an_answer_that_breaks_off_is_one_line(server: Server, call: str) -> None:
    server.lacking = 10
    with pytest.raises(KitError, match=f"no Kubeflow Pipelines API answers at {server.host}: "):
        CALLS[call](api.Client(server.host), "")


def test_every_page_of_a_list_is_read(server: Server) -> None:
    server.pages = ["second", "third"]
    assert list(api.Client(server.host).all_runs()) == [{"run_id": "r"}] * 3
    tokens = [dict(query).get("page_token", "") for _, _, (query, _) in server.asked]
    assert tokens == ["", "second", "third"]


def test_documents_are_taken_apart_as_they_are_put_together(server: Server, package: str) -> None:
    api.connect(server.host).run_pipeline("e", "n", params={}, pipeline_package_path=package)
    _, _, [_, body] = server.asked[-1]
    assert api.documents(body["pipeline_spec"]) == api.read(Path(package))
