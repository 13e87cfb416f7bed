"""Socket Mode against a small Slack: kept before acknowledged, acknowledged before done, and a connection that comes back."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from alerts.buttons import Press
from jobs.slack_answer import may_follow
from jobs.slack_socket import Listener, may_connect
from tests.jobs.slack_fake import APP_TOKEN, FakeSlack, button, command, envelope, eventually

PAUSE = 0.02


class Desk:
    """Remembers what it takes; may be held up or broken."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Mapping[str, Any], str]] = []
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None
        self.answer: dict[str, Any] = {}

    def take(self, kind: str, payload: Mapping[str, Any], channel: str) -> dict[str, Any]:
        assert self.go.wait(20)
        if self.error is not None:
            raise self.error
        self.taken.append((kind, payload, channel))
        return self.answer


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        yield fake


@pytest.fixture
def desk() -> Desk:
    return Desk()


Listen = Callable[..., list[str]]


@pytest.fixture
def listen(slack: FakeSlack, desk: Desk) -> Iterator[Listen]:
    """Starts listening; returns what is said to people."""
    running: list[Listener] = []

    def begin() -> list[str]:
        said: list[str] = []
        running.append(Listener(APP_TOKEN, desk.take, said.append, slack.base, PAUSE))
        running[-1].start()
        return said

    yield begin
    for listener in running:
        listener.stop()
    left = [thread.name for thread in threading.enumerate() if thread.name == "slack-socket"]
    assert left == []


def test_an_envelope_is_kept_then_acknowledged(slack: FakeSlack, desk: Desk, listen: Listen) -> None:
    said = listen()
    connection = slack.connected()
    assert APP_TOKEN in slack.asked("apps.connections.open")[0]["token"]
    desk.go.clear()
    text = envelope("interactive", button(Press.HOLD, "U0KIM"))
    connection.send(text)
    assert slack.silent()
    desk.go.set()
    assert slack.said() == {"envelope_id": json.loads(text)["envelope_id"]}
    ((kind, payload, channel),) = desk.taken
    assert (kind, payload["type"], channel) == ("interaction", "block_actions", "socket")
    connection.send(envelope("slash_commands", command("status", "U0KIM")))
    slack.said()
    assert desk.taken[1][0] == "command"
    assert said == ["Slack: buttons and commands are listened to (Socket Mode is connected)"]


def test_a_form_without_a_reason_is_answered_in_the_acknowledgement(
    slack: FakeSlack, desk: Desk, listen: Listen
) -> None:
    listen()
    desk.answer = {"response_action": "errors", "errors": {"reason": "say why"}}
    slack.connected().send(envelope("interactive", {"type": "view_submission"}))
    assert slack.said()["payload"] == desk.answer


def test_what_is_not_kept_is_not_acknowledged(slack: FakeSlack, desk: Desk, listen: Listen) -> None:
    listen()
    connection = slack.connected()
    desk.error = OSError("disk full")
    text = envelope("interactive", button(Press.HOLD, "U0KIM"))
    connection.send(text)
    assert slack.silent()
    desk.error = None
    connection.send(text)  # as Slack does
    assert slack.said()["envelope_id"] == json.loads(text)["envelope_id"]
    assert len(desk.taken) == 1


def test_what_makes_no_sense_or_is_not_for_us_is_acknowledged_and_forgotten(
    slack: FakeSlack, desk: Desk, listen: Listen
) -> None:
    listen()
    connection = slack.connected()
    connection.send(envelope("events_api", {"type": "event_callback"}))
    slack.said()
    desk.error = ValueError("no user")
    connection.send(envelope("interactive", {"type": "block_actions"}))
    slack.said()
    connection.send("no json")
    connection.send(json.dumps({"type": "unknown"}))
    desk.error = None
    connection.send(envelope("interactive", button(Press.HOLD, "U0KIM")))
    slack.said()
    assert len(desk.taken) == 1


def test_a_long_message_comes_whole(slack: FakeSlack, desk: Desk, listen: Listen) -> None:
    """A press carries the message it stands under; the client's own buffer overflows the stack at about a megabyte."""
    listen()
    blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "ü" * 3_000}} for _ in range(60)]
    slack.connected().send(envelope("interactive", button(Press.HOLD, "U0KIM", message={"blocks": blocks})))
    slack.said()
    assert desk.taken[0][1]["message"]["blocks"] == blocks


def test_a_disconnect_message_opens_another_connection(slack: FakeSlack, desk: Desk, listen: Listen) -> None:
    listen()
    first = slack.connected()
    first.send(json.dumps({"type": "disconnect", "reason": "warning"}))
    second = slack.connected()
    second.send(envelope("interactive", button(Press.HOLD, "U0KIM")))
    slack.said()
    assert len(desk.taken) == 1
    urls = len(slack.asked("apps.connections.open"))
    assert urls == 2


@pytest.mark.parametrize("how", ["closed", "ended without a word"])
def test_a_lost_connection_is_opened_again(slack: FakeSlack, desk: Desk, listen: Listen, how: str) -> None:
    said = listen()
    first = slack.connected()
    if how == "closed":
        first.close(1012)
    else:
        first.socket.shutdown(socket.SHUT_RDWR)
    slack.connected().send(envelope("interactive", button(Press.HOLD, "U0KIM")))
    slack.said()
    assert len(desk.taken) == 1
    eventually(lambda: sum("is connected" in line for line in said) == 2)
    assert sum("lost" in line for line in said) == 1


def test_an_outage_at_the_start_is_said_and_sat_out(slack: FakeSlack, listen: Listen) -> None:
    slack.fail["apps.connections.open"] = [
        (500, {}, {}),
        (200, {"ok": False, "error": "internal_error"}, {}),
        (200, {"ok": False, "error": "invalid_auth"}, {}),
        (429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "0"}),
    ]
    said = listen()
    slack.connected()
    eventually(lambda: "is connected" in said[-1])
    assert len(said) == 5
    assert "internal_error" in said[1]
    assert "SLACK_APP_TOKEN" in said[2]
    assert "asks to wait" in said[3]
    assert not any(APP_TOKEN in line or "ticket" in line for line in said)


def test_a_rate_limit_is_waited_for_and_does_not_keep_it_from_ending(slack: FakeSlack, listen: Listen) -> None:
    slack.fail["apps.connections.open"] = [(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "3000"})]
    said = listen()
    eventually(lambda: said)
    assert "tried again in 3000 s" in said[0]


def test_an_address_that_is_not_slacks_is_not_followed(slack: FakeSlack, listen: Listen) -> None:
    slack.socket_url = "wss://example.org/link"
    said = listen()
    eventually(lambda: said)
    assert "is not followed" in said[0]


def test_an_address_that_does_not_answer_is_said(slack: FakeSlack, listen: Listen) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        slack.socket_url = f"ws://127.0.0.1:{closed.getsockname()[1]}/link"
        said = listen()
        eventually(lambda: said)
    assert "does not answer" in said[0]
    slack.socket_url = None
    slack.connected()


REAL, TEST = "https://slack.com/api/", "http://127.0.0.1:8080/api/"


@pytest.mark.parametrize(
    ("url", "base", "followed"),
    [
        ("wss://wss-primary.slack.com/link/?ticket=1", REAL, True),
        ("wss://slack.com/link", REAL, True),
        ("wss://wss.slack-gov.com/link", "https://slack-gov.com/api/", True),
        ("wss://wss-primary.slack.com:8443/link", REAL, False),
        ("ws://wss-primary.slack.com/link", REAL, False),
        ("wss://notslack.com/link", REAL, False),
        ("wss://slack.com.example.org/link", REAL, False),
        ("ws://127.0.0.1:9000/link", TEST, True),
        ("ws://127.0.0.1:9000/link", REAL, False),
        ("ws://example.org:9000/link", TEST, False),
        ("http://slack.com/link", REAL, False),
        ("wss://[/link", REAL, False),
        ("", REAL, False),
    ],
)
def test_which_sockets_are_followed(url: str, base: str, followed: bool) -> None:
    assert may_connect(url, base) is followed


@pytest.mark.parametrize(
    ("url", "base", "followed"),
    [
        ("https://hooks.slack.com/actions/T1/1/x", "", True),
        ("https://hooks.slack.com/commands/T1/1/x", REAL, True),
        ("https://hooks.slack-gov.com/actions/x", "https://slack-gov.com/api", True),
        ("https://hooks.slack.com/actions/x", "https://slack-gov.com/api", False),
        ("http://hooks.slack.com/actions/x", "", False),
        ("https://hooks.slack.com.example.org/x", "", False),
        ("https://hooks.slack.com:8443/x", "", False),
        ("https://evil@hooks.slack.com/x", "", False),
        ("https://hooks.slack.com@example.org/x", "", False),
        ("https://169.254.169.254/latest/meta-data", "", False),
        ("http://127.0.0.1:8080/actions/x", TEST, True),
        ("http://127.0.0.1:8081/actions/x", TEST, False),
        ("http://localhost:8080/actions/x", TEST, False),
        ("file:///etc/passwd", "", False),
        ("https://hooks.slack.com:x/", "", False),
        ("", "", False),
    ],
)
def test_which_response_urls_are_followed(url: str, base: str, followed: bool) -> None:
    assert may_follow(url, base) is followed
