"""Receivers of notifications, on real sockets: HTTP and SMTP.

The standard library alone: in a pod it runs as a program, which prints what it gets as lines of
JSON.
"""

from __future__ import annotations

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import ssl


class Http(ThreadingHTTPServer):
    """Takes POSTs into `got`, and answers them with `code`.

    Args:
        port: Of this machine; 0 for a free one.
        host: Address to listen on.
        code: The answer.
        context: For TLS.
    """

    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        code: int = 200,
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__((host, port), _Post)
        self.code = code
        self.got: list[dict[str, Any]] = []
        if context:
            self.socket = context.wrap_socket(self.socket, server_side=True)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


class _Post(BaseHTTPRequestHandler):
    server: Http

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append({"path": self.path, "headers": headers, "body": json.loads(body)})
        self.send_response(self.server.code)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.got.append({"path": self.path, "followed": True})
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing: lines of a pod are JSON."""


class Smtp(ThreadingTCPServer):
    """Takes mails into `got`, as they were sent, each with its envelope and the login's words.

    Args:
        port: Of this machine; 0 for a free one.
        host: Address to listen on.
        context: For STARTTLS.
        password: The one that a login must have; empty for a server without logins.
        refuse: Recipients that are refused.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(
        self,
        port: int = 0,
        host: str = "127.0.0.1",
        context: ssl.SSLContext | None = None,
        password: str = "",
        refuse: tuple[str, ...] = (),
    ) -> None:
        super().__init__((host, port), _Session)
        self.context = context
        self.password = password
        self.refuse = refuse
        self.got: list[dict[str, Any]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: object) -> None:
        """Say nothing of a client that went away."""


class _Session(StreamRequestHandler):
    server: Smtp
    encodings: ClassVar = {"encoding": "utf-8", "errors": "surrogateescape"}

    def handle(self) -> None:
        envelope: dict[str, Any] = {"to": [], "encrypted": False, "login": ""}
        self.say("220 receiver")
        while line := self.rfile.readline().decode(**self.encodings).rstrip("\r\n"):
            match line.partition(":")[0].split()[0].upper():
                case "EHLO" | "HELO":
                    able = ["STARTTLS"] if self.server.context else []
                    able += ["AUTH PLAIN"] if self.server.password else []
                    able += ["8BITMIME"]
                    self.say(*[f"250-{each}" for each in ["receiver", *able[:-1]]])
                    self.say(f"250 {able[-1]}")
                case "STARTTLS" if self.server.context:
                    self.say("220 go on")
                    self.rfile.close()
                    self.request = self.server.context.wrap_socket(self.request, server_side=True)
                    self.rfile = self.request.makefile("rb")
                    self.wfile = self.request.makefile("wb", 0)
                    envelope["encrypted"] = True
                case "AUTH":
                    words = base64.b64decode(line.split()[-1]).decode().split("\0")
                    envelope["login"] = words[1]
                    good = words[2] == self.server.password
                    self.say("235 welcome" if good else f"535 not with {words[2]}")
                case "MAIL":
                    envelope["from"] = line.partition(":")[2].split()[0].strip("<>")
                    self.say("250 ok")
                case "RCPT":
                    address = line.partition(":")[2].split()[0].strip("<>")
                    good = address not in self.server.refuse
                    envelope["to"] += [address] if good else []
                    self.say("250 ok" if good else f"550 no {address}")
                case "DATA":
                    self.say("354 go on")
                    lines = list(iter(self.rfile.readline, b".\r\n"))
                    text = b"".join(lines).decode(**self.encodings)
                    self.server.got.append({**envelope, "mail": text})
                    self.say("250 taken")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 ok")

    def finish(self) -> None:
        super().finish()
        self.request.close()  # TLS has another socket than the one that the server closes

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


class _Printed(list[dict[str, Any]]):
    """Prints a line for each, whole: `print` alone writes a line's end by itself, and two threads
    that print at once then make one line of two.
    """

    _one_at_a_time: ClassVar = Lock()

    def append(self, got: dict[str, Any]) -> None:
        with self._one_at_a_time:
            print(json.dumps(got), flush=True)  # noqa: T201 - a program


def main(http: int, smtp: int) -> None:
    """Receive on two ports of every address, until the end."""
    servers = (Http(http, "0.0.0.0"), Smtp(smtp, "0.0.0.0"))  # noqa: S104 - in a pod
    for server in servers:
        server.got = _Printed()
        Thread(target=server.serve_forever).start()
    print("ready", flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
