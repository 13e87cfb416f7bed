"""A small OpenAI-compatible endpoint on loopback for tests: answers as told, fails as told, and keeps what was asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """One request: its path, its headers in lower case, its JSON body."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ChatEndpoint(ThreadingHTTPServer):
    """What the next requests get, and what they brought. `statuses` are used up, then it is 200; `raw` replaces the whole body."""

    daemon_threads = True

    def __init__(self, content: str, model: str, usage: Mapping[str, Any]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content: str | None = content
        self.statuses: list[int] = []
        self.raw: bytes | None = None
        self.delay = 0.0
        self.seen: list[Asked] = []
        self._head = {"id": "x", "object": "chat.completion", "created": 1, "model": model}
        self._usage = dict(usage)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": self.content}}
        return json.dumps({**self._head, "choices": [choice], "usage": self._usage}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: ChatEndpoint

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append(Asked(self.path, headers, asked))
        time.sleep(self.server.delay)
        body = self.server.body()
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(server: ChatEndpoint) -> Iterator[ChatEndpoint]:
    """The endpoint, answering until the end of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
