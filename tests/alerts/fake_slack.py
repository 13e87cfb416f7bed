"""A small faulty Slack on loopback: 429 with Retry-After, 500s, dropped connections, lost answers, hanging ones, and Slack's own errors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from jobs.drill_web_api import Answer, Request, web_api


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

    def call(self, request: Request) -> Answer | None:
        time.sleep(self.hang)
        fault = self.down or (self.faults.pop(0) if self.faults else "")
        self.requests += 1
        if fault == "drop":
            return None
        if isinstance(fault, int):
            return Answer(b"<html>upstream said no</html>", fault, {"Retry-After": self.retry_after})
        if fault not in ("", "swallow"):
            return Answer({"ok": False, "error": fault})
        body = self.answer(request.method, {name: _value(given) for name, given in request.arguments.items()})
        return None if fault == "swallow" else Answer(body)

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


def _value(given: Any) -> Any:
    """Structured arguments of a form are JSON texts."""
    try:
        return json.loads(given) if isinstance(given, str) and given[:1] in ("[", "{") else given
    except ValueError:
        return given


@contextmanager
def serving(fake: FaultySlack, port: int = 0) -> Iterator[FaultySlack]:
    """Serve it on a free port of loopback, its `url` set."""
    with web_api(fake.call, port) as address:
        fake.url = f"{address}/api/"
        yield fake
