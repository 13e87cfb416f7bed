"""What a process listens to follows from the environment, and is said at the start: what is on, what is off, what is configured by half."""

from __future__ import annotations

import http.server
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from alerts.buttons import Press
from alerts.config import shipped
from alerts.people import Person
from controlplane import settings as settings_module
from controlplane.core.model import RolloutState
from controlplane.core.roles import Role
from jobs import slack_listen
from jobs.deps import Deps
from jobs.slack_answer import Answers
from tests.jobs.conftest import START
from tests.jobs.slack_fake import APP_TOKEN, BOT_TOKEN, CHANNEL, SECRET, FakeSlack, button, envelope, eventually

BOT = {"SLACK_BOT_TOKEN": BOT_TOKEN, "SLACK_CHANNEL": CHANNEL}
URL = "http://127.0.0.1:8321"


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        yield fake


def given(deps: Deps, *people: Person, **surroundings: str) -> list[str]:
    """What is said with these environment variables and people."""
    deps.settings = settings_module.load(deps.home, env=surroundings)
    deps.alerting = replace(shipped(), people=people)
    return slack_listen.said_at_start(deps, URL)


KIM = Person("Kim", Role.OPERATOR, "U0KIM")


def test_without_slack_nothing_is_said_and_nothing_listens(deps: Deps) -> None:
    assert given(deps) == []
    assert slack_listen.desk_of(deps, lambda: START) is None
    assert slack_listen.door_of(deps.settings, None) is None


def test_half_of_it_is_named(deps: Deps) -> None:
    (line,) = given(deps, KIM, SLACK_APP_TOKEN=APP_TOKEN, SLACK_SIGNING_SECRET=SECRET)
    assert line.startswith("SLACK_APP_TOKEN and SLACK_SIGNING_SECRET are set, but SLACK_BOT_TOKEN")
    assert slack_listen.desk_of(deps, lambda: START) is None
    (line,) = given(deps, KIM, **BOT)
    assert "buttons and commands are not listened to: set SLACK_APP_TOKEN" in line
    assert slack_listen.desk_of(deps, lambda: START) is None
    lines = given(deps, SLACK_SIGNING_SECRET=SECRET, **BOT)
    assert any("nobody in the alerting file has a Slack id" in line for line in lines)
    lines = given(deps, KIM, SLACK_APP_TOKEN="xoxb-the-wrong-one", **BOT)
    assert any("does not begin with xapp-" in line for line in lines)
    assert "wrong-one" not in " ".join(lines)


def test_what_is_on_is_said_with_its_address(deps: Deps) -> None:
    first, second = given(deps, KIM, SLACK_APP_TOKEN=APP_TOKEN, SLACK_SIGNING_SECRET=SECRET, **BOT)
    assert "connecting by Socket Mode" in first
    assert f"{URL}/v1/slack/interactions and {URL}/v1/slack/commands" in second
    desk = slack_listen.desk_of(deps, lambda: START)
    door = slack_listen.door_of(deps.settings, desk)
    assert door is not None
    assert door.signing_secret == SECRET
    given(deps, KIM, SLACK_APP_TOKEN=APP_TOKEN, **BOT)
    assert slack_listen.door_of(deps.settings, desk) is None


def test_a_press_over_the_socket_holds_the_ramp(deps: Deps, slack: FakeSlack, started: str) -> None:
    """The whole way, in one process: socket, desk, rollout, answer."""
    given(deps, KIM, SLACK_APP_TOKEN=APP_TOKEN, SLACK_BASE_URL=slack.base, **BOT)
    desk = slack_listen.desk_of(deps, lambda: START)
    with slack_listen.listening(deps, desk, URL):
        slack.connected().send(envelope("interactive", button(Press.HOLD, "U0KIM", rollout=started)))
        slack.said()
        eventually(slack.answers)
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.HELD
    assert slack.answers() == ["done: the ramp is held"]


def test_an_answer_goes_nowhere_else_and_its_address_is_not_logged(
    slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    answers = Answers(BOT_TOKEN, slack.base, CHANNEL)
    assert answers.tell("U0KIM", "<hello> & more", "", "http://127.0.0.1:9/actions/secret")
    (sent,) = slack.asked("chat.postEphemeral")  # the other way, because that address is not followed
    assert sent["text"] == "&lt;hello&gt; &amp; more"
    slack.fail["/actions/x"] = [(302, {}, {"Location": f"{slack.base}/chat.postMessage"})]
    assert not answers.tell("U0KIM", "x", "", slack.base.removesuffix("/api") + "/actions/x")
    assert slack.asked("chat.postMessage") == []
    assert "secret" not in caplog.text
    assert BOT_TOKEN not in caplog.text


def test_a_slack_that_does_not_answer_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Hangs_up(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hangs_up)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        answers = Answers(BOT_TOKEN, f"{base}/api", CHANNEL)
        with caplog.at_level(logging.WARNING, "controlplane.slack"):
            assert not answers.tell("U0KIM", "x")
            assert not answers.tell("U0KIM", "x", "", f"{base}/actions/key")
            assert not answers.open_form("t1", {})
            assert not answers.open_form("", {})
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert "did not reach Slack" in caplog.text
    assert "/actions/key" not in caplog.text
