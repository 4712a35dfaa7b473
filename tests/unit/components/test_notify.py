"""The notification: what arrives on real sockets; failures that are told, and no secret is."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from contextlib import ExitStack, closing, suppress
from email import message_from_string
from email.policy import default as policy
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from components.notify import logic
from kfpkit.core import process
from kfpkit.core.versions import ROOT
from tests.support.receiver import Http, Smtp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

    Server = TypeVar("Server", Http, Smtp)

#: A word that is in every secret of these tests.
SECRET = "s3cr3t-Wörd"  # noqa: S105 - for these tests only
PLAIN = "s3cr3t-word"

FAILED = {
    "state": "FAILED",
    "pipelineTaskName": "exit-handler-1",
    "pipelineJobResourceName": "penguins-x7x7x",
    "error": {"message": "accuracy below\nmin_accuracy"},
}

BODY = {
    "run_name": "Pinguïns <!channel> & Köln 🐧",
    "run_id": "1-2-3",
    "state": "FAILED",
    "task": "exit-handler-1",
    "error": "accuracy below min_accuracy",
    "link": "http://kfp.example:8080/#/runs/details/1-2-3",
}


@pytest.fixture
def serve() -> Iterator[Callable[[Server], Server]]:
    """What lets a server serve until the test's end."""
    with ExitStack() as stack:

        def serve(server: Server) -> Server:
            stack.enter_context(server)
            stack.callback(server.shutdown)
            Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
            return server

        yield serve


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for `localhost` alone."""
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    argv += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    process.query([*argv, "-keyout", str(file), "-out", f"{file}.crt"])
    file.write_text(file.read_text() + (file.parent / "both.pem.crt").read_text())
    return file


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    """A server's TLS."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate)
    return made


@pytest.fixture
def told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[str]]:
    """What notifies with settings, and returns the lines that were printed."""

    def told(status: Any = FAILED, name: str = str(BODY["run_name"]), **given: str) -> list[str]:
        for key, value in given.items():
            monkeypatch.setenv(f"NOTIFY_{key}", value)
        text = status if isinstance(status, str) else json.dumps(status)
        assert logic.notify(text, name, "1-2-3", "http://kfp.example:8080/") == {}
        out, err = capsys.readouterr()
        assert not err
        assert not [word for word in (SECRET, PLAIN) if word in out]
        return [line.removeprefix("notify: ") for line in out.splitlines()]

    return told


@pytest.fixture
def mail(told: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """What notifies by mail through a server."""

    def mail(server: Smtp, **given: str) -> list[str]:
        where = {"SMTP_HOST": "localhost", "SMTP_PORT": str(server.port), "SMTP_FROM": "kfp@a.test"}
        return told(**where | {"SMTP_TO": "b@a.test, c@a.test", "SMTP_SECURITY": "none"} | given)

    return mail


def read(server: Smtp) -> EmailMessage:
    [got] = server.got
    return message_from_string(got["mail"], policy=policy)


def test_nothing_set_is_said_and_no_failure(told: Callable[..., list[str]]) -> None:
    [line] = told()
    assert line.startswith("no notification: none of NOTIFY_WEBHOOK_URL, NOTIFY_SLACK_URL, ")


def test_a_webhook_gets_all_that_is_known(
    told: Callable[..., list[str]], serve: Callable[[Http], Http]
) -> None:
    server = serve(Http())
    # A Secret made by `echo` ends in a line break.
    url = f"http://localhost:{server.port}/hook?key={PLAIN}\n"
    assert told(WEBHOOK_URL=url, WEBHOOK_TOKEN=f"{PLAIN}\n") == ["NOTIFY_WEBHOOK_URL: sent"]
    [got] = server.got
    assert got["path"] == f"/hook?key={PLAIN}"
    assert got["body"] == BODY
    assert got["headers"]["authorization"] == f"Bearer {PLAIN}"
    assert got["headers"]["content-type"] == "application/json; charset=utf-8"


def test_slack_calls_nobody_by_a_runs_name(
    told: Callable[..., list[str]], serve: Callable[[Http], Http]
) -> None:
    server = serve(Http())
    assert told(SLACK_URL=f"http://localhost:{server.port}/services/{PLAIN}") == [
        "NOTIFY_SLACK_URL: sent"
    ]
    [got] = server.got
    text = got["body"]["text"]
    assert set(got["body"]) == {"text"}
    assert text.startswith("Run Pinguïns &lt;!channel&gt; &amp; Köln 🐧: failed\nID: 1-2-3\n")
    assert text.endswith(f"Error: {BODY['error']}\nLink: {BODY['link']}\n")


def test_a_mail_over_starttls_with_a_login(
    mail: Callable[..., list[str]],
    serve: Callable[[Smtp], Smtp],
    context: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = serve(Smtp(context=context, password=PLAIN))
    login = {"SMTP_SECURITY": "starttls", "SMTP_USER": "kfp", "SMTP_PASSWORD": PLAIN}
    assert mail(server, **login) == ["NOTIFY_SMTP_HOST: sent"]
    [got] = server.got
    assert (got["encrypted"], got["login"]) == (True, "kfp")
    assert (got["from"], got["to"]) == ("kfp@a.test", ["b@a.test", "c@a.test"])
    message = read(server)
    assert message["Subject"] == f"Run {BODY['run_name']}: failed"
    assert message["To"] == "b@a.test, c@a.test"
    assert f"Error: {BODY['error']}\n" in message.get_content().replace("\r\n", "\n")


def test_a_name_with_line_breaks_adds_no_header(
    mail: Callable[..., list[str]], serve: Callable[[Smtp], Smtp]
) -> None:
    server = serve(Smtp())
    assert mail(server, name="x\r\nBcc: d@a.test\n\nbody\u2028z") == ["NOTIFY_SMTP_HOST: sent"]
    message = read(server)
    assert message["Subject"] == "Run x Bcc: d@a.test body z: failed"
    assert message["Bcc"] is None


@pytest.mark.parametrize("name", ["SMTP_FROM", "SMTP_TO", "SMTP_HOST"])
def test_a_setting_with_a_line_break_is_refused(
    mail: Callable[..., list[str]], serve: Callable[[Smtp], Smtp], name: str
) -> None:
    server = serve(Smtp())
    assert mail(server, **{name: f"{PLAIN}@a.test\r\nBcc: d@a.test"}) == [
        f"NOTIFY_SMTP_HOST: not sent: NOTIFY_{name} has a line break or a control character in it"
    ]
    assert not server.got


def test_one_place_that_fails_keeps_no_other_from_being_told(
    told: Callable[..., list[str]], serve: Callable[[Http], Http]
) -> None:
    server = serve(Http())
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens there
        refusing = f"http://127.0.0.1:{taken.getsockname()[1]}/{PLAIN}"
        lines = told(WEBHOOK_URL=refusing, SLACK_URL=f"http://localhost:{server.port}/x")
    assert lines == [
        "NOTIFY_WEBHOOK_URL: not sent: Connection refused",
        "NOTIFY_SLACK_URL: sent",
    ]


@pytest.mark.parametrize("code", [302, 307, 400, 404, 500])
def test_an_answer_that_is_no_success_is_told(
    told: Callable[..., list[str]], serve: Callable[[Http], Http], code: int
) -> None:
    server = serve(Http(code=code))
    assert told(WEBHOOK_URL=f"http://localhost:{server.port}/{PLAIN}") == [
        f"NOTIFY_WEBHOOK_URL: not sent: the server answered {code}"
    ]
    assert len(server.got) == 1  # a redirect is not followed: it would lose what is sent


@pytest.mark.parametrize(
    "url",
    [
        PLAIN,
        f"file:///etc/passwd?{PLAIN}",
        f"ftp://localhost/{PLAIN}",
        f"https://{PLAIN}:{PLAIN}@localhost/",
        f"https://localhost:{PLAIN}/",
        f"https://[{PLAIN}/",
        f"https:///{PLAIN}",
        f"https://localhost/{PLAIN} x",
        f"https://localhost/{SECRET}",
        "https://localhost:99999/x",
    ],
)
def test_what_is_no_address_is_refused_and_not_shown(
    told: Callable[..., list[str]], url: str
) -> None:
    reason = "is no http or https address without a user name"
    for name in ("WEBHOOK_URL", "SLACK_URL"):
        assert f"NOTIFY_{name}: not sent: NOTIFY_{name} {reason}" in told(**{name: url})


def test_an_unknown_host_is_told(told: Callable[..., list[str]]) -> None:
    [line] = told(WEBHOOK_URL=f"https://{PLAIN}.invalid/x")
    assert line.startswith("NOTIFY_WEBHOOK_URL: not sent: ")


def test_an_untrusted_certificate_is_told(
    told: Callable[..., list[str]], serve: Callable[[Http], Http], context: ssl.SSLContext
) -> None:
    server = serve(Http(context=context))
    [line] = told(WEBHOOK_URL=f"https://localhost:{server.port}/{PLAIN}")
    assert line == "NOTIFY_WEBHOOK_URL: not sent: TLS: self-signed certificate"


def test_a_certificate_of_another_host_is_told(
    told: Callable[..., list[str]],
    serve: Callable[[Http], Http],
    context: ssl.SSLContext,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server = serve(Http(context=context))
    [line] = told(WEBHOOK_URL=f"https://127.0.0.1:{server.port}/{PLAIN}")
    assert line.startswith("NOTIFY_WEBHOOK_URL: not sent: TLS: ")
    assert told(WEBHOOK_URL=f"https://localhost:{server.port}/") == ["NOTIFY_WEBHOOK_URL: sent"]


def test_a_server_that_never_answers_is_given_up(
    told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}/{PLAIN}"
        assert told(WEBHOOK_URL=where) == ["NOTIFY_WEBHOOK_URL: not sent: no answer within 0.2 s"]


def test_a_server_that_says_a_little_for_ever_is_given_up(
    told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logic, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            client = server.accept()[0]
            client.settimeout(0.05)
            with client, suppress(OSError):
                while True:
                    client.sendall(b"X")
                    with suppress(TimeoutError):
                        client.recv(1)

        Thread(target=drip, daemon=True).start()
        where = f"http://127.0.0.1:{server.getsockname()[1]}/{PLAIN}"
        assert told(WEBHOOK_URL=where) == ["NOTIFY_WEBHOOK_URL: not sent: no end within 0.5 s"]


def test_all_places_share_one_deadline(
    told: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 5.0

    class Endless:
        def __init__(self, **_: object) -> None:
            """Do nothing."""

        def start(self) -> None:
            """Do nothing."""

        def join(self, seconds: float) -> None:
            nonlocal now
            now += seconds

    monkeypatch.setattr(logic, "Thread", Endless)
    monkeypatch.setattr(logic, "monotonic", lambda: now)
    lines = told(WEBHOOK_URL="http://a.test", SLACK_URL="http://a.test", SMTP_HOST="a.test")
    assert [line.partition(": ")[2] for line in lines] == ["not sent: no end within 30 s"] * 3
    assert now == 5.0 + logic.DEADLINE


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"SMTP_TO": " "}, "NOTIFY_SMTP_TO is not set"),
        ({"SMTP_PORT": "smtp"}, "NOTIFY_SMTP_PORT is no port"),
        ({"SMTP_PORT": "0"}, "NOTIFY_SMTP_PORT is no port"),
        ({"SMTP_SECURITY": "ssl"}, "NOTIFY_SMTP_SECURITY is none of starttls, tls, none"),
        ({"SMTP_SECURITY": "starttls"}, "STARTTLS extension not supported by server."),
        ({"SMTP_USER": "kfp"}, "NOTIFY_SMTP_PASSWORD is not set"),
        ({"SMTP_USER": "kfp", "SMTP_PASSWORD": f"{PLAIN}-wrong"}, "the server answered 535"),
        ({"SMTP_TO": "nobody@a.test"}, "the server refused every recipient"),
        (
            {"SMTP_TO": "nobody@a.test, b@a.test"},
            "the server refused 1 of the recipients",
        ),
        ({"SMTP_TO": f"Jörg <jörg-{PLAIN}@a.test>"}, "SMTPUTF8"),
    ],
)
def test_mails_that_cannot_be_sent_are_told(
    mail: Callable[..., list[str]],
    serve: Callable[[Smtp], Smtp],
    given: dict[str, str],
    reason: str,
) -> None:
    server = serve(Smtp(password="right", refuse=("nobody@a.test",)))  # noqa: S106
    [line] = mail(server, **given)
    assert line.startswith("NOTIFY_SMTP_HOST: not sent: ")
    assert reason in line


def test_a_mounted_secret_is_read_and_a_variable_wins(
    told: Callable[..., list[str]],
    serve: Callable[[Http], Http],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mounted Secret is links into a folder of dots, beside each other."""
    server = serve(Http())
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data/NOTIFY_WEBHOOK_URL").write_text(f"http://localhost:{server.port}/file\n")
    (tmp_path / "NOTIFY_WEBHOOK_URL").symlink_to(tmp_path / "..data/NOTIFY_WEBHOOK_URL")
    monkeypatch.setattr(logic, "FOLDER", tmp_path)
    assert told() == ["NOTIFY_WEBHOOK_URL: sent"]
    assert told(WEBHOOK_URL=f"http://localhost:{server.port}/env") == ["NOTIFY_WEBHOOK_URL: sent"]
    assert [got["path"] for got in server.got] == ["/file", "/env"]


@pytest.mark.parametrize("text", ["", "null", "[]", "7", "{", '{"error": "x"}'])
def test_a_status_that_cannot_be_read_is_told(told: Callable[..., list[str]], text: str) -> None:
    assert told(text) == ["no notification: the status is no PipelineTaskFinalStatus in JSON"]


def test_the_words_of_each_backend_are_one() -> None:
    """KFP 2.14.3 says COMPLETE, and no message; Vertex AI has a page that the name leads to."""
    ended = logic.ending('{"state": "COMPLETE", "error": {}}', "", "", "http://x")
    assert (ended.state, ended.error, ended.link) == ("SUCCEEDED", "", "")
    assert ended.title == "Run without a name: succeeded"
    name = "projects/7/locations/europe-west4/pipelineJobs/penguins-2026"
    given = json.dumps({"state": "FAILED", "pipelineJobResourceName": name, "error": None})
    vertex = logic.ending(given, "", "", "http://kfp.example")
    assert vertex.run_name == "penguins-2026"
    assert vertex.link == (
        "https://console.cloud.google.com/vertex-ai/pipelines/locations/europe-west4/runs/"
        "penguins-2026?project=7"
    )


def test_a_huge_message_is_cut() -> None:
    given = {"state": "FAILED", "error": {"message": "x" * 10**6}}
    assert len(logic.ending(json.dumps(given), "", "", "").error) == logic.LONGEST


@pytest.mark.parametrize("name", ["a run", "-x", "--help"])
def test_the_program_ends_well_whatever_it_is_given(name: str) -> None:
    argv = [sys.executable, "-m", "components.notify", "--status", "{", "--run-name", name]
    argv += ["--run-id", "1", "--ui-address", ""]
    assert process.query(argv, cwd=ROOT).ok
