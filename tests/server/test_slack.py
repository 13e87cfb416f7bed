"""Signed HTTP from Slack: only what Slack signed, freshly, is read; and what is taken is answered at once."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controlplane.server.services import SlackDoor
from controlplane.server.slack import BODY_BYTES, is_fresh, is_signed
from tests.jobs.slack_fake import SECRET, command, form_body, signature

from .conftest import Serve

INTERACTIONS, COMMANDS = "/v1/slack/interactions", "/v1/slack/commands"
PRESS = {"type": "block_actions", "user": {"id": "U1"}, "actions": []}
NOW = 1_767_603_600.0


class Desk:
    """Remembers what it takes."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Mapping[str, Any]]] = []
        self.answer: dict[str, Any] = {}
        self.error: Exception | None = None

    def take(self, kind: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        self.taken.append((kind, payload))
        return self.answer


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def http(serve: Serve, desk: Desk) -> httpx.Client:
    """Somebody without any token of ours."""
    return serve(None, slack=SlackDoor(signing_secret=SECRET, take=desk.take, now=lambda: NOW))


def test_what_slack_signed_is_taken_and_answered_with_nothing(http: httpx.Client, desk: Desk) -> None:
    body = form_body(PRESS)
    answer = http.post(INTERACTIONS, content=body, headers=signature(body, NOW))
    assert (answer.status_code, answer.content) == (200, b"")
    body = form_body(command("status", "U1"), "command")
    assert http.post(COMMANDS, content=body, headers=signature(body, NOW)).status_code == 200
    (first, second) = desk.taken
    assert first == ("interaction", PRESS)
    assert second[0] == "command"
    assert second[1]["text"] == "status"


def test_an_answer_to_a_form_is_json(http: httpx.Client, desk: Desk) -> None:
    desk.answer = {"response_action": "errors", "errors": {"reason": "say why"}}
    body = form_body(PRESS)
    assert http.post(INTERACTIONS, content=body, headers=signature(body, NOW)).json() == desk.answer


@pytest.mark.parametrize("late", [-301, 301, 86_400])
def test_an_expired_signature_is_refused(http: httpx.Client, desk: Desk, late: int) -> None:
    body = form_body(PRESS)
    answer = http.post(INTERACTIONS, content=body, headers=signature(body, NOW - late))
    assert answer.status_code == 401
    assert "SLACK_SIGNING_SECRET" in answer.json()["message"]
    assert desk.taken == []


@pytest.mark.parametrize("late", [-300, 0, 300])
def test_five_minutes_are_fresh(http: httpx.Client, desk: Desk, late: int) -> None:
    body = form_body(PRESS)
    assert http.post(INTERACTIONS, content=body, headers=signature(body, NOW - late)).status_code == 200


def test_a_tampered_request_is_refused(http: httpx.Client, desk: Desk) -> None:
    body = form_body(PRESS)
    good = signature(body, NOW)
    other = form_body({**PRESS, "user": {"id": "U2"}})
    tampered = [
        (other, good),
        (body, good | {"X-Slack-Request-Timestamp": str(int(NOW) + 1)}),
        (body, good | {"X-Slack-Signature": good["X-Slack-Signature"][:-1] + "0"})
        if good["X-Slack-Signature"][-1] != "0"
        else (other, good),
        (body, good | {"X-Slack-Signature": ""}),
        (body, good | {"X-Slack-Signature": "v0=é".encode("latin-1")}),
        (body, {name: text for name, text in good.items() if name != "X-Slack-Signature"}),
        (body, {name: text for name, text in good.items() if name != "X-Slack-Request-Timestamp"}),
        (body, signature(body, NOW, secret="another secret")),
        (b"payload=\xff", signature(b"payload=\xff", NOW)),
        (body, {"Authorization": "Bearer admin-token-for-tests"}),
    ]
    answers = [http.post(INTERACTIONS, content=content, headers=headers) for content, headers in tampered]
    assert [answer.status_code for answer in answers] == [401] * len(tampered)
    assert len({answer.content for answer in answers}) == 1  # nothing says what was wrong
    assert desk.taken == []


def test_stamps_that_are_no_time_are_refused(http: httpx.Client, desk: Desk) -> None:
    body = form_body(PRESS)
    for stamp in ("", "now", "-1", "1e9", "²", "9" * 40, f"{int(NOW)}.0", f"{int(NOW)}x"):
        headers = {**signature(body, NOW), "X-Slack-Request-Timestamp": stamp.encode("latin-1", "replace")}
        assert http.post(INTERACTIONS, content=body, headers=headers).status_code == 401
    assert desk.taken == []


def test_a_body_that_is_too_long_or_no_form_is_refused(http: httpx.Client, desk: Desk) -> None:
    long = b"payload=" + b"x" * BODY_BYTES
    assert http.post(INTERACTIONS, content=long, headers=signature(long, NOW)).status_code == 413
    for body in (b"", b"payload=", b"payload=%7B", b"payload=[]", b"payload=%22x%22", b"a=1&" * 60):
        assert http.post(INTERACTIONS, content=body, headers=signature(body, NOW)).status_code == 400
    assert desk.taken == []


def test_what_makes_no_sense_is_400_and_what_could_not_be_kept_503(http: httpx.Client, desk: Desk) -> None:
    body = form_body(PRESS)
    desk.error = ValueError("a request of Slack has a user with an id")
    assert http.post(INTERACTIONS, content=body, headers=signature(body, NOW)).status_code == 400
    desk.error = OSError("database is locked at /secret/place")
    answer = http.post(INTERACTIONS, content=body, headers=signature(body, NOW))
    assert answer.status_code == 503
    assert "secret" not in answer.text


def test_slack_checks_the_certificate(http: httpx.Client, desk: Desk) -> None:
    body = b"ssl_check=1&token=x"
    assert http.post(COMMANDS, content=body, headers=signature(body, NOW)).status_code == 200
    assert http.post(COMMANDS, content=body).status_code == 401
    assert desk.taken == []


def test_without_a_signing_secret_the_paths_do_not_exist(serve: Serve) -> None:
    body = form_body(PRESS)
    for path in (INTERACTIONS, COMMANDS):
        assert serve(None).post(path, content=body, headers=signature(body)).status_code == 404


def test_the_secret_is_never_shown() -> None:
    assert SECRET not in repr(SlackDoor(signing_secret=SECRET, take=lambda _kind, _payload: {}, now=time.time))


@settings(max_examples=50)
@given(st.binary(max_size=60), st.text(max_size=20), st.text(max_size=80))
@example(b"\xff", str(int(NOW)), "v0=")
def test_whatever_comes_is_refused_and_never_an_error(body: bytes, stamp: str, given_signature: str) -> None:
    assert not is_signed(SECRET, stamp, given_signature, body, NOW)
    is_fresh(stamp, NOW)


@settings(max_examples=50)
@given(st.data())
def test_one_changed_byte_breaks_the_signature(data: st.DataObject) -> None:
    body = json.dumps(PRESS).encode()
    headers = signature(body, NOW)
    stamp, signed = headers["X-Slack-Request-Timestamp"], headers["X-Slack-Signature"]
    assert is_signed(SECRET, stamp, signed, body, NOW)
    place = data.draw(st.integers(0, len(body) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != body[place]))
    assert not is_signed(SECRET, stamp, signed, body[:place] + bytes([other]) + body[place + 1 :], NOW)
