"""Say how a run ended: to a webhook, to Slack, by mail.

Addresses and passwords come from a Secret: variables of the environment, or files of the same names
in `FOLDER`, where it is mounted. Which of them are set says where to send to. A notification that
fails never fails the run: one line says so. No line has a value of the Secret in it, for an address
of a webhook is a password; so of an error from elsewhere only what cannot hold one is told.
"""

from __future__ import annotations

import json
import os
import re
import smtplib
import ssl
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from components.executor_output import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Settings = Mapping[str, str]

#: Where a Secret may be mounted.
FOLDER = Path("/etc/notify")

PREFIX = "NOTIFY_"

#: Seconds for one answer of a server, and for all that is sent.
PATIENCE = 10.0
DEADLINE = 30.0

#: Characters of an error's message that are sent.
LONGEST = 1000

#: Ports by how a connection to a mail server is encrypted.
PORTS = {"starttls": 587, "tls": 465, "none": 25}

#: A run's resource name on Vertex AI.
_VERTEX = re.compile(
    r"projects/(?P<project>[^/]+)/locations/(?P<place>[^/]+)/pipelineJobs/(?P<id>.+)"
)


class NotSentError(Exception):
    """A notification cannot be sent; the text holds no value of a setting."""


@dataclass(frozen=True)
class Ending:
    """How a run ended, as the webhook's JSON has it; what is not known is empty.

    Attributes:
        run_name: Name of the run.
        run_id: Its ID.
        state: `SUCCEEDED`, `FAILED`, or what else the backend says.
        task: The task or block that the state is of.
        error: The message of the error, where the backend gives one.
        link: The run's page.
    """

    run_name: str
    run_id: str
    state: str
    task: str
    error: str
    link: str

    @property
    def title(self) -> str:
        """One line."""
        return f"Run {self.run_name or self.run_id or 'without a name'}: {self.state.lower()}"

    @property
    def text(self) -> str:
        """All that is known, a line each."""
        known = {"ID": self.run_id, "Task": self.task, "Error": self.error, "Link": self.link}
        return "".join(f"{name}: {value}\n" for name, value in known.items() if value)


def notify(status: str, run_name: str, run_id: str, ui_address: str) -> dict[str, Metadata]:
    """Send to each place that is set, and print a line for each; never raises.

    Args:
        status: KFP's PipelineTaskFinalStatus as JSON.
        run_name: Name of the run; without one, that of the status.
        run_id: ID of the run.
        ui_address: Address of KFP's web UI for the link; empty for none.

    Returns:
        Nothing: the component has no output artifact.
    """
    try:
        lines = _send(settings(), ending(status, run_name, run_id, ui_address))
    except Exception as error:  # whatever it is, the run must not fail by it
        lines = [f"no notification: {_reason(error)}"]
    for line in lines:
        print(f"notify: {line}", flush=True)  # noqa: T201 - the task's log
    return {}


def settings() -> dict[str, str]:
    """Return what the Secret says by name of the variable, without the blanks around a value."""
    files = {file.name: file for file in FOLDER.glob(f"{PREFIX}*") if file.is_file()}
    found = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    found |= {name: value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {name: value.strip() for name, value in found.items() if value.strip()}


def ending(status: str, run_name: str, run_id: str, ui_address: str) -> Ending:
    """Read KFP's status.

    Raises:
        NotSentError: It is no JSON object.
    """
    try:
        given = json.loads(status)
        error = (given.get("error") or {}).get("message") or ""
    except (ValueError, AttributeError):
        raise NotSentError("the status is no PipelineTaskFinalStatus in JSON") from None
    resource = str(given.get("pipelineJobResourceName") or "")
    # KFP 2.14.3 has another word for a block that ended well.
    state = {"COMPLETE": "SUCCEEDED"}.get(given.get("state"), given.get("state") or "UNKNOWN")
    link = f"{ui_address.rstrip('/')}/#/runs/details/{run_id}" if ui_address and run_id else ""
    if vertex := _VERTEX.fullmatch(resource):
        console = "https://console.cloud.google.com/vertex-ai/pipelines/locations"
        link = f"{console}/{vertex['place']}/runs/{vertex['id']}?project={vertex['project']}"
    known = (
        run_name or resource.rpartition("/")[2],
        run_id,
        state,
        given.get("pipelineTaskName") or "",
        error,
        link,
    )
    return Ending(*(_one_line(str(each)) for each in known))


def _one_line(text: str) -> str:
    """Return a text that cannot begin another line, of a mail's head in particular."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(printable.split())[:LONGEST]


def _send(given: Settings, ended: Ending) -> list[str]:
    wanted = {name: send for name, send in PLACES.items() if name in given}
    if not wanted:
        return [f"no notification: none of {', '.join(PLACES)} is set"]
    said = dict.fromkeys(wanted, f"not sent: no end within {DEADLINE:g} s")

    def work(name: str, send: Callable[[Settings, Ending], None]) -> None:
        try:
            send(given, ended)
        except Exception as error:  # of any library, with any text
            said[name] = f"not sent: {_reason(error)}"
        else:
            said[name] = "sent"

    # A server that sends a byte now and then is never too late for a socket.
    end = monotonic() + DEADLINE
    threads = [Thread(target=work, args=item, daemon=True) for item in wanted.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - monotonic()))
    return [f"{name}: {what}" for name, what in said.items()]


def _reason(error: BaseException) -> str:
    """Say what an error is without its text, which may have an address or a password in it."""
    match error:
        case NotSentError() | smtplib.SMTPNotSupportedError():
            return str(error)
        case HTTPError():
            return f"the server answered {error.code}"
        case URLError(reason=BaseException() as reason):
            return _reason(reason)
        case smtplib.SMTPRecipientsRefused():
            return "the server refused every recipient"
        case smtplib.SMTPResponseException():
            return f"the server answered {error.smtp_code}"
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message.partition(',')[0]}"
        case TimeoutError():
            return f"no answer within {PATIENCE:g} s"
        case OSError(strerror=str() as text):
            return text
    return type(error).__name__


def _setting(given: Settings, name: str, default: str = "") -> str:
    """Return a setting that may stand in a head's line.

    Raises:
        NotSentError: It is not set and has no default, or has a control character in it.
    """
    value = given.get(name, default)
    if not value:
        raise NotSentError(f"{name} is not set")
    if not value.isprintable():
        raise NotSentError(f"{name} has a line break or a control character in it")
    return value


class _NoRedirect(HTTPRedirectHandler):
    """Takes a redirect for an answer: following one would drop what is sent."""

    def redirect_request(self, *_: object) -> None:
        return None


def _post(given: Settings, name: str, body: object, headers: dict[str, str]) -> None:
    address = _setting(given, name)
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good or not address.isascii() or " " in address or parts.username is not None:
        raise NotSentError(f"{name} is no http or https address without a user name")
    request = Request(  # noqa: S310 - checked above
        address,
        json.dumps(body).encode(),
        {"Content-Type": "application/json; charset=utf-8", "User-Agent": "kfpkit"} | headers,
    )
    with build_opener(_NoRedirect).open(request, timeout=PATIENCE):
        pass


def _webhook(given: Settings, ended: Ending) -> None:
    token = "NOTIFY_WEBHOOK_TOKEN"  # noqa: S105 - a name
    headers = {"Authorization": f"Bearer {_setting(given, token)}"} if token in given else {}
    _post(given, "NOTIFY_WEBHOOK_URL", asdict(ended), headers)


def _slack(given: Settings, ended: Ending) -> None:
    text = f"{ended.title}\n{ended.text}"
    # Slack's own three: otherwise a run's name could call a channel.
    for char, written in {"&": "&amp;", "<": "&lt;", ">": "&gt;"}.items():
        text = text.replace(char, written)
    _post(given, "NOTIFY_SLACK_URL", {"text": text}, {})


def _mail(given: Settings, ended: Ending) -> None:
    security = _setting(given, "NOTIFY_SMTP_SECURITY", "starttls")
    if security not in PORTS:
        raise NotSentError(f"NOTIFY_SMTP_SECURITY is none of {', '.join(PORTS)}")
    port = _setting(given, "NOTIFY_SMTP_PORT", str(PORTS[security]))
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise NotSentError("NOTIFY_SMTP_PORT is no port")
    mail = EmailMessage()
    mail["Subject"] = ended.title
    mail["From"] = _setting(given, "NOTIFY_SMTP_FROM")
    mail["To"] = _setting(given, "NOTIFY_SMTP_TO")
    mail["Date"] = formatdate()
    mail["Message-ID"] = make_msgid(domain="kfpkit.invalid")
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(ended.text or ended.title)
    host, context = _setting(given, "NOTIFY_SMTP_HOST"), ssl.create_default_context()
    with (
        smtplib.SMTP_SSL(host, int(port), timeout=PATIENCE, context=context)
        if security == "tls"
        else smtplib.SMTP(host, int(port), timeout=PATIENCE)
    ) as server:
        if security == "starttls":
            server.starttls(context=context)
        if "NOTIFY_SMTP_USER" in given:
            server.login(given["NOTIFY_SMTP_USER"], _setting(given, "NOTIFY_SMTP_PASSWORD"))
        if refused := server.send_message(mail):
            raise NotSentError(f"the server refused {len(refused)} of the recipients")


#: Where to send to, by the setting that names it.
PLACES: dict[str, Callable[[Settings, Ending], None]] = {
    "NOTIFY_WEBHOOK_URL": _webhook,
    "NOTIFY_SLACK_URL": _slack,
    "NOTIFY_SMTP_HOST": _mail,
}
