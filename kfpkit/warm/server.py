"""What the pod answers: the webhook over TLS, and how it is over plain HTTP."""

from __future__ import annotations

import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEBHOOK, HEALTH = 8443, 8080

#: Bytes of the largest request: the Kubernetes API itself takes 3 MiB, and a review has it once.
LARGEST = 8 * 1024 * 1024

#: Seconds for a handshake; and that a connection may stand still, which is longer than the
#: Kubernetes API keeps one (90 s), so that it never asks on one that is being closed.
HANDSHAKE, IDLE = 10.0, 100.0


def serve(
    port: int, answer: Callable[[str, bytes], tuple[int, bytes]], tls: Path | None = None
) -> None:
    """Answer on a port, in threads of their own.

    Args:
        port: On all addresses of the pod.
        answer: From a path and a body to a status and a body.
        tls: Folder with `tls.crt` and `tls.key`; a new certificate there is used at once.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = IDLE

        def _answer(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if not length.isdigit() or int(length) > LARGEST:
                status, body = 413, b"too large"
                self.close_connection = True
            else:
                status, body = answer(self.path.partition("?")[0], self.rfile.read(int(length)))
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if tls else "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Say nothing: what goes wrong is told elsewhere."""

        def handle(self) -> None:
            with suppress(OSError):  # the other side has gone
                super().handle()

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128
        loaded: tuple[float, ssl.SSLContext] | None = None

        def context(self) -> ssl.SSLContext:
            assert tls is not None  # noqa: S101 - asked for with TLS only
            changed = (tls / "tls.crt").stat().st_mtime
            if self.loaded is None or self.loaded[0] != changed:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(tls / "tls.crt", tls / "tls.key")
                self.loaded = (changed, context)
            return self.loaded[1]

        def finish_request(self, request, client_address) -> None:  # type: ignore[no-untyped-def]
            # In the connection's own thread, so that a slow handshake keeps nobody waiting.
            request.settimeout(HANDSHAKE)
            try:
                if tls is not None:
                    request = self.context().wrap_socket(request, server_side=True)
                super().finish_request(request, client_address)
            except OSError:
                pass  # A probe that only connects, or whoever does not trust the certificate.

    threading.Thread(target=Server(("", port), Handler).serve_forever, daemon=True).start()
