"""A stand-in for Cloud Storage's XML API, which obstore speaks and fake-gcs-server lacks.

Objects, conditions on their generation, and uploads in parts, as
https://cloud.google.com/storage/docs/xml-api has them.
"""

from __future__ import annotations

import json
import re
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


class Gcs(ThreadingHTTPServer):
    """Keeps objects in `objects`: by path with the bucket, the content and the generation."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.lock = Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def account(self) -> str:
        """The key of an account whose requests are not signed, for GOOGLE_SERVICE_ACCOUNT_KEY."""
        empty = dict.fromkeys(("private_key", "private_key_id", "client_email"), "")
        return json.dumps({**empty, "disable_oauth": True})


class _Request(BaseHTTPRequestHandler):
    server: Gcs
    protocol_version = "HTTP/1.1"

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path)[1:]

    @property
    def asked(self) -> dict[str, Any]:
        query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
        return {name: values[0] for name, values in query.items()}

    def do_GET(self) -> None:
        found = self.server.objects.get(self.key)
        if found:
            self.answer(200, found[0], found[1])
        else:
            self.answer(404)

    do_HEAD = do_GET  # noqa: N815 - named by its base class

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if "uploadId" in self.asked:
            self.server.parts[self.asked["uploadId"]][int(self.asked["partNumber"])] = content
            self.answer(200)
            return
        with self.server.lock:
            wanted = self.headers["x-goog-if-generation-match"]
            if wanted is not None and int(wanted) != self.server.objects.get(self.key, (b"", 0))[1]:
                self.answer(412)
                return
            self.keep(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if "uploads" in self.asked:
            self.server.parts[self.key] = {}
            text = f"<InitiateMultipartUploadResult><UploadId>{self.key}</UploadId>"
            self.answer(200, f"{text}</InitiateMultipartUploadResult>".encode())
            return
        numbers = [int(each) for each in re.findall(rb"<PartNumber>(\d+)<", body)]
        parts = self.server.parts.pop(self.asked["uploadId"])
        with self.server.lock:
            self.keep(b"".join(parts[number] for number in numbers), xml=True)

    def keep(self, content: bytes, *, xml: bool = False) -> None:
        """Keep an object under its next generation."""
        generation = self.server.objects.get(self.key, (b"", 0))[1] + 1
        self.server.objects[self.key] = (content, generation)
        done = "<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>"
        self.answer(200, done.encode() if xml else b"", generation)

    def answer(self, code: int, content: bytes = b"", generation: int = 0) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{md5(content).hexdigest()}"')  # noqa: S324 - as the real one
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 12:00:00 GMT")
        self.send_header("x-goog-generation", str(generation))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""
