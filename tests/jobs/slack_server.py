"""An independent Slack emulator in a process of its own, with one channel, and a client that reads what people see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import backlot
from slack_sdk import WebClient

TRIES = 4  # the emulator gives itself some seconds to start, which a busy machine may not grant it
FIRST = {
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


@dataclass(frozen=True)
class Emulated:
    """The channel, a client of its own, and the surroundings that make a process of ours post there."""

    client: WebClient
    channel: str
    surroundings: Mapping[str, str]


@contextmanager
def emulated() -> Iterator[Emulated]:
    """The emulator while the block lasts."""
    with ExitStack() as stack:
        server = started(stack)
        base = f"{server.base_url}/slack/api"
        client = WebClient(server.token, base_url=f"{base}/", retry_handlers=[])
        (channel,) = client.conversations_list()["channels"]
        slack = {"SLACK_BOT_TOKEN": server.token, "SLACK_CHANNEL": str(channel["id"]), "SLACK_BASE_URL": base}
        yield Emulated(client, str(channel["id"]), slack)


def started(stack: ExitStack) -> backlot.Server:
    """The emulator, until the stack closes."""
    for number in range(TRIES):
        try:
            return stack.enter_context(backlot.serve(records=[FIRST], telemetry=False))
        except RuntimeError as problem:
            if "did not become ready" not in str(problem) or number + 1 == TRIES:
                raise
    raise AssertionError("unreachable")
