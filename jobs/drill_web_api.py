"""The HTTP side of a stand-in for Slack's Web API on loopback: arguments out of a request, an answer back, or the connection dropped.

What is answered is the caller's. Drills stand on it; so do the tests' own stand-ins, which differ in what they know and in how they fail.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

LOOPBACK = "127.0.0.1"
POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its path, its arguments (of the query, a form or a JSON object), and its Authorization header."""

    path: str
    arguments: dict[str, Any]
    authorization: str = ""

    @property
    def method(self) -> str:
        """The method of the Web API, such as `chat.postMessage`."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: JSON, or raw bytes with their status and headers."""

    body: Mapping[str, Any] | bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Call = Callable[[Request], Answer | None]
"""Answers a request; None drops the connection. Called from several threads."""


@contextmanager
def web_api(call: Call, port: int = 0) -> Iterator[str]:
    """Serve inside the block, on any free port of loopback where none is given; yields the address without a slash at the end."""
    server = ThreadingHTTPServer((LOOPBACK, port), _handler(call))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,), daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(call: Call) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Every path, by GET or POST."""

        def do_GET(self) -> None:
            self._serve(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            is_json = "json" in self.headers.get("Content-Type", "")
            self._serve(_object(body) if is_json else dict(parse_qsl(body, keep_blank_values=True)))

        def _serve(self, arguments: dict[str, Any]) -> None:
            answer = call(Request(urlsplit(self.path).path, arguments, self.headers.get("Authorization", "")))
            if answer is None:
                self.close_connection = True
                return
            body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, text in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a stand-in keeps its own record."""

    return Handler


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text or "{}")
    return found if isinstance(found, dict) else {}
