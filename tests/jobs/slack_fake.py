"""A small Slack on loopback: the Web API calls that we make, response URLs, and Socket Mode; with what people press, and what can go wrong."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from queue import Empty, Queue
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from alerts.buttons import Press, value
from jobs.drill_web_api import Answer, Request, web_api

APP_TOKEN, BOT_TOKEN, SECRET, CHANNEL = "xapp-1-test", "xoxb-test", "8f742231b10e8888abcd99yyyzzz85a5", "C0INCIDENTS"
PATIENCE_SECONDS = 20.0  # a bound against waiting for ever on a busy machine
_numbers = itertools.count(1)

Failure = tuple[int, Mapping[str, Any], Mapping[str, str]]  # status, body, headers


class FakeSlack:
    """Serves in threads inside `with`. `fail` holds answers to give first, per method; `calls` what was asked: (method or path, arguments)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.fail: dict[str, list[Failure]] = {}
        self.socket_url: str | None = None  # another address to give out for the web socket
        self.connections: Queue[ServerConnection] = Queue()
        self.open: list[ServerConnection] = []
        self.received: Queue[dict[str, Any]] = Queue()
        self._stack = ExitStack()
        self._address = ""
        self._sockets: Server = serve(self._converse, "127.0.0.1", 0, close_timeout=0.5)
        self._thread = threading.Thread(target=self._sockets.serve_forever)

    def __enter__(self) -> Self:
        self._address = self._stack.enter_context(web_api(self._answer))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._sockets.shutdown()
        for connection in self.open:
            connection.close()
        self._thread.join()

    @property
    def base(self) -> str:
        return f"{self._address}/api"

    @property
    def response_url(self) -> str:
        return f"{self._address}/actions/T1/{next(_numbers)}"

    def asked(self, method: str) -> list[dict[str, Any]]:
        return [arguments for name, arguments in list(self.calls) if name == method]

    def answers(self) -> list[str]:
        """Everything that a person was told alone."""
        return [
            str(a["text"])
            for name, a in list(self.calls)
            if name == "chat.postEphemeral" or name.startswith("/actions/")
        ]

    def connected(self) -> ServerConnection:
        """The next connection that is made."""
        return self.connections.get(timeout=PATIENCE_SECONDS)

    def said(self) -> dict[str, Any]:
        """The next envelope that the client acknowledges."""
        return self.received.get(timeout=PATIENCE_SECONDS)

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether nothing is acknowledged for a moment."""
        try:
            self.received.get(timeout=seconds)
        except Empty:
            return True
        return False

    def _answer(self, request: Request) -> Answer:
        method = request.path.removeprefix("/api/")
        status, body, headers = self.called(method, request.arguments | {"token": request.authorization})
        return Answer(body, status, headers)

    def called(self, method: str, arguments: dict[str, Any]) -> Failure:
        failures = self.fail.get(method, [])
        self.calls.append((method, arguments))
        if failures:
            return failures.pop(0)
        port = self._sockets.socket.getsockname()[1]
        found: dict[str, Any] = {"ok": True}
        if method == "apps.connections.open":
            found["url"] = self.socket_url or f"ws://127.0.0.1:{port}/link/?ticket={next(_numbers)}&app_id=A1"
        if method in ("chat.postMessage", "chat.update"):
            found |= {"ts": f"{next(_numbers)}.000100", "channel": CHANNEL}
        return 200, found, {}

    def _converse(self, connection: ServerConnection) -> None:
        connection.send(json.dumps({"type": "hello", "num_connections": 1}))
        self.open.append(connection)
        self.connections.put(connection)
        try:
            for text in connection:
                self.received.put(json.loads(text))
        except ConnectionClosed:
            pass


def moment() -> str:
    """A time stamp as Slack gives one to every action, never the same twice."""
    return f"{int(time.time())}.{next(_numbers):06d}"


def button(
    action: Press | str, user: str, incident: str = "", rollout: str = "", trigger: str = "", **more: Any
) -> dict[str, Any]:
    """What Slack sends for a press on a button of a message."""
    ts = more.pop("action_ts", moment())
    pressed = {"type": "button", "action_id": str(action), "value": value(incident, rollout, trigger), "action_ts": ts}
    return {
        "type": "block_actions",
        "user": {"id": user, "username": "x", "team_id": "T1"},
        "team": {"id": "T1"},
        "container": {"type": "message", "message_ts": "1700000000.000100", "channel_id": CHANNEL},
        "channel": {"id": CHANNEL, "name": "incidents"},
        "trigger_id": f"t{ts}",
        "response_url": "",
        "actions": [pressed | more.pop("pressed", {})],
        **more,
    }


def form(opened: Mapping[str, Any], user: str, reason: str) -> dict[str, Any]:
    """What Slack sends for the form that `views.open` was asked to open, filled in."""
    values = {"reason": {"text": {"type": "plain_text_input", "value": reason}}}
    view = {"id": f"V{next(_numbers)}", **opened, "state": {"values": values}}
    return {"type": "view_submission", "user": {"id": user}, "team": {"id": "T1"}, "view": view}


def command(text: str, user: str, response_url: str = "") -> dict[str, str]:
    """What Slack sends for a slash command."""
    return {
        "command": "/controlplane",
        "text": text,
        "user_id": user,
        "channel_id": CHANNEL,
        "team_id": "T1",
        "trigger_id": f"t{moment()}",
        "response_url": response_url,
    }


def envelope(kind: str, payload: Mapping[str, Any]) -> str:
    """A Socket Mode envelope: `interactive` or `slash_commands`."""
    return json.dumps(
        {"type": kind, "envelope_id": f"e{next(_numbers)}", "payload": payload, "accepts_response_payload": True}
    )


def form_body(payload: Mapping[str, Any], kind: str = "interaction") -> bytes:
    """The body of a signed request."""
    fields = {"payload": json.dumps(payload)} if kind == "interaction" else payload
    return urlencode(fields).encode()


def signature(body: bytes, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    """Headers that say that Slack has sent this body at this time: written by the description of the signature, not with the SDK."""
    stamp = str(int(time.time() if at is None else at))
    digest = hmac.new(secret.encode(), b"v0:" + stamp.encode() + b":" + body, hashlib.sha256).hexdigest()
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}", **kind}


def eventually(seen: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := seen()):
        assert time.monotonic() < deadline, "never seen"
        time.sleep(0.01)
    return found
