"""A stand-in for Slack on loopback, for drills: it keeps what was posted and changed, and fails in turn while it is told to be down.

It knows as much of the Web API as telling people needs (post, update, look up), over real HTTP. What it keeps is the drill's own count of what
a reader would see, independent of the outbox.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from jobs.drill_web_api import Answer, Request, web_api

TOKEN, CHANNEL = "xoxb-drill", "C0DRILL"
RETRY_AFTER = "20"  # seconds asked for with a 429
TURNS = ("drop", "500", "429")  # what an outage looks like from outside, one after the other


@dataclass(slots=True)
class Posted:
    """One message of the channel as a reader sees it now; `edits` counts how often it was changed."""

    ts: str
    thread_ts: str
    text: str
    outbox_id: str
    metadata: Mapping[str, Any]
    edits: int = 0


@dataclass(slots=True)
class Knock:
    """One request: which method, what became of it (`ok`, or a fault of `TURNS`), and what the witness saw at that moment."""

    method: str
    became: str
    seen: str


@dataclass(slots=True)
class SlackStandIn:
    """The channel. `witness` is asked at every request that is refused by the outage; its word is kept with it."""

    url: str = ""
    witness: Callable[[], str] = lambda: ""
    down: bool = False
    posted: list[Posted] = field(default_factory=list)
    knocks: list[Knock] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables with which a process tells people here."""
        return {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": CHANNEL, "SLACK_BASE_URL": self.url}

    @property
    def parents(self) -> list[Posted]:
        """Messages of the channel itself."""
        return [one for one in self.posted if not one.thread_ts]

    def answer(self, method: str, said: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """What becomes of a request, and the body of its answer."""
        with self._lock:
            if self.down:
                turn = TURNS[sum(knock.became != "ok" for knock in self.knocks) % len(TURNS)]
                self.knocks.append(Knock(method, turn, self.witness()))
                return turn, {"ok": False, "error": "ratelimited" if turn == "429" else "internal_error"}
            self.knocks.append(Knock(method, "ok", ""))
            return "ok", self._body(method, said)

    def _body(self, method: str, said: Mapping[str, Any]) -> dict[str, Any]:
        match method:
            case "chat.postMessage":
                return self._post(said)
            case "chat.update":
                return self._update(said)
            case "conversations.history":
                return {"ok": True, "messages": [_plain(one) for one in reversed(self.parents)], "has_more": False}
            case "conversations.replies":
                thread = [one for one in self.posted if said.get("ts") in (one.ts, one.thread_ts)]
                return {"ok": True, "messages": [_plain(one) for one in thread], "has_more": False}
            case "auth.test":
                return {"ok": True, "user_id": "U0DRILL", "team_id": "T0DRILL"}
            case _:
                return {"ok": False, "error": "unknown_method"}

    def _post(self, said: Mapping[str, Any]) -> dict[str, Any]:
        metadata = _object(said.get("metadata"))
        ts = f"1767603600.{next(self._numbers):06d}"
        owner = str(_object(metadata.get("event_payload")).get("outbox_id", ""))
        self.posted.append(Posted(ts, str(said.get("thread_ts") or ""), str(said.get("text", "")), owner, metadata))
        return {"ok": True, "channel": CHANNEL, "ts": ts}

    def _update(self, said: Mapping[str, Any]) -> dict[str, Any]:
        for one in self.posted:
            if one.ts == said.get("ts"):
                one.text, one.metadata, one.edits = (
                    str(said.get("text", "")),
                    _object(said.get("metadata")),
                    one.edits + 1,
                )
                return {"ok": True, "channel": CHANNEL, "ts": one.ts}
        return {"ok": False, "error": "message_not_found"}


def _object(value: Any) -> Mapping[str, Any]:
    found = json.loads(value) if isinstance(value, str) and value else value
    return found if isinstance(found, Mapping) else {}


def _plain(one: Posted) -> dict[str, Any]:
    where = {"thread_ts": one.thread_ts} if one.thread_ts else {}
    return {"type": "message", "ts": one.ts, "text": one.text, "metadata": dict(one.metadata), **where}


@contextmanager
def slack_stand_in() -> Iterator[SlackStandIn]:
    """Serve a stand-in on any free loopback port inside the block."""
    slack = SlackStandIn()

    def call(request: Request) -> Answer | None:
        became, body = slack.answer(request.method, request.arguments)
        if became == "drop":
            return None
        asked = {"Retry-After": RETRY_AFTER} if became == "429" else {}
        return Answer(body, 200 if became == "ok" else int(became), asked)

    with web_api(call) as address:
        slack.url = f"{address}/api/"
        yield slack
