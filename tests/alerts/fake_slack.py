"""A small faulty Slack on loopback: 429 with Retry-After, 500s, dropped connections, lost answers, hanging ones, and Slack's own errors."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


@dataclass
class FaultySlack:
    """A Slack that keeps messages with their metadata and breaks on demand.

    `faults` are used up one a request: an int is an HTTP status, "drop" closes the connection before anything happens,
    "swallow" after the message was stored, any other word is answered as Slack's error. `down`: the fault of every request, while it is set.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int | str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    down: int | str = ""
    hang: float = 0.0  # seconds before every answer
    requests: int = 0
    reads_metadata: bool = True
    retry_after: str = "17"
    url: str = ""

    def parents(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if "thread_ts" not in m]

    def replies(self) -> list[dict[str, Any]]:
        return [m for m in self.messages if "thread_ts" in m]

    def posts(self) -> int:
        return sum(1 for method, _ in self.calls if method == "chat.postMessage")

    def answer(self, method: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self.calls.append((method, arguments))
        return getattr(self, "_" + method.replace(".", "_"))(arguments)

    def _chat_postMessage(self, arguments: dict[str, Any]) -> dict[str, Any]:
        ts = f"{1_767_603_600 + len(self.messages)}.000100"
        self.messages.append({**arguments, "ts": ts})
        return {"ok": True, "channel": arguments["channel"], "ts": ts}

    def _chat_update(self, arguments: dict[str, Any]) -> dict[str, Any]:
        found = next((m for m in self.messages if m["ts"] == arguments["ts"]), None)
        if found is None:
            return {"ok": False, "error": "message_not_found"}
        found.update({"edited": True, **arguments})
        return {"ok": True, "channel": arguments["channel"], "ts": arguments["ts"]}

    def _shown(self, messages: list[dict[str, Any]], arguments: dict[str, Any]) -> dict[str, Any]:
        start, size = int(arguments.get("cursor") or 0), 3
        page = messages[start : start + size]
        shown = [m if self.reads_metadata else {k: v for k, v in m.items() if k != "metadata"} for m in page]
        more = {"response_metadata": {"next_cursor": str(start + size)}} if start + size < len(messages) else {}
        return {"ok": True, "messages": shown, **more}

    def _conversations_history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return self._shown(self.parents()[::-1], arguments)

    def _conversations_replies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        thread = [m for m in self.messages if arguments["ts"] in (m["ts"], m.get("thread_ts"))]
        return self._shown(thread, arguments)


def _handler(slack: FaultySlack) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            arguments = (
                json.loads(body)
                if "json" in self.headers["content-type"]
                else {k: _value(v[0]) for k, v in parse_qs(body.decode(), keep_blank_values=True).items()}
            )
            time.sleep(slack.hang)
            fault = slack.down or (slack.faults.pop(0) if slack.faults else "")
            slack.requests += 1
            method = self.path.rsplit("/", 1)[-1]
            if fault == "drop":
                self.close_connection = True
                return
            if isinstance(fault, int):
                self._send(fault, b"<html>upstream said no</html>", {"Retry-After": slack.retry_after})
                return
            answer = slack.answer(method, arguments) if fault in ("", "swallow") else {"ok": False, "error": fault}
            if fault == "swallow":
                self.close_connection = True
                return
            self._send(200, json.dumps(answer).encode(), {})

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {
                "content-length": str(len(body)),
                "content-type": "application/json",
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    return Handler


def _value(text: str) -> Any:
    try:
        return json.loads(text) if text[:1] in "[{" else text
    except ValueError:
        return text


@contextmanager
def serving(fake: FaultySlack, port: int = 0) -> Iterator[FaultySlack]:
    """Serve it on a free port of loopback, its `url` set."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(fake))
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
