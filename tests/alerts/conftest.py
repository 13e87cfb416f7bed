"""Fixtures of the alert tests: a real state database, an independent Slack emulator, and a small faulty Slack."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import backlot
import pytest

from alerts.model import Alert, Link, Reading, Severity, Times
from controlplane.store.state import Commit, StateWriter
from controlplane.store.state_rows import NewMessage

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class State(StateWriter):
    """The real state with short words for tests."""

    def add(self, alert: Alert, outbox_id: str = "", at: datetime = NOW, kind: str = "alert") -> str:
        """Put an alert into the outbox, as a decision does."""
        identity = outbox_id or alert.alert_id
        message = NewMessage(identity, kind, alert.to_dict(), alert.incident_id)
        self.commit(Commit(messages=[message]), at)
        return identity

    def statuses(self) -> dict[str, str]:
        return {item.outbox_id: item.status for item in self.outbox()}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    writer = State(f"sqlite:///{tmp_path / 'state.sqlite'}")
    writer.migrate(NOW)
    yield writer
    writer.close()


def an_alert(alert_id: str = "a1", incident: str | None = "inc-1", **more: Any) -> Alert:
    """A rollback alert with everything in it; keywords replace fields."""
    fields: dict[str, Any] = {
        "labels": {
            "alertname": "rollback",
            "release": "2026.2",
            "phase": "canary",
            "trigger": "escalation",
            "action": "rollback",
        },
        "annotations": {"title": "Escalations rose", "summary": "Traffic is back on the menu."},
        "severity": Severity.CRITICAL,
        "starts_at": NOW,
        "readings": (
            Reading("escalation", "escalation_rate", "all", 8.4, 7.6, True, 260, 41, 240, 12, estimate="+10.8 points"),
        ),
        "times": Times(NOW - timedelta(minutes=3), NOW, NOW + timedelta(seconds=0.2), NOW + timedelta(seconds=4.2)),
        "customers_exposed": 312,
        "done": ("traffic cut to the menu",),
        "links": (Link("evidence", "http://127.0.0.1:8501/review?a=1&b=2"),),
    }
    return Alert(alert_id=alert_id, incident_id=incident, **{**fields, **more})


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


@dataclass
class Steps:
    """Counts the steps of a run and dies at one of them."""

    die_at: int = -1
    taken: int = 0

    def step(self) -> None:
        if self.taken == self.die_at:
            self.taken += 1
            raise Killed
        self.taken += 1


class Mortal:
    """Wraps an object so that every call of the named methods has a step before and one after it."""

    def __init__(self, target: Any, steps: Steps, names: tuple[str, ...]) -> None:
        self._target, self._steps, self._names = target, steps, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._steps.step()
            answer = found(*args, **kwargs)
            self._steps.step()
            return answer

        return call


@dataclass
class FaultySlack:
    """A Slack that keeps messages with their metadata and breaks on demand.

    `faults` are used up one a request: an int is an HTTP status, "drop" closes the connection before anything happens,
    "swallow" after the message was stored, any other word is answered as Slack's error.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    faults: list[int | str] = field(default_factory=list)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
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
            fault = slack.faults.pop(0) if slack.faults else ""
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


@pytest.fixture
def slack() -> Iterator[FaultySlack]:
    fake = FaultySlack()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/api/"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def emulator() -> Iterator[backlot.Server]:
    """The independent Slack emulator on a free loopback port; its process ends with the session."""
    first = {
        "source_type": "slack",
        "doc_id": "d1",
        "channel": "incidents",
        "group": "platform",
        "content": "This channel is for incidents.",
        "created": "2026-01-01T09:00:00Z",
        "visibility": "public",
        "author_email": "ava@example.com",
        "author_name": "Ava",
        "author_groups": ["platform"],
        "participants": ["ava@example.com"],
    }
    with backlot.serve(records=[first], telemetry=False) as server:
        yield server
