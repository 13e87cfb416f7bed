"""Against an independent Slack emulator: posts, updates in place, threads, and looking up after a crash."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import backlot
import pytest
from slack_sdk import WebClient

from alerts.deliver import Result, Rules, deliver_due
from alerts.message import DeliveryError, Message
from alerts.model import resolved
from alerts.pipeline import Route
from alerts.receivers.slack import SlackReceiver, reference

from .conftest import NOW, Killed, Mortal, State, Steps, an_alert

RULES = Rules((Route("all", ("slack",)),))
SECOND = timedelta(seconds=1)


class Channel:
    """The emulator's channel, read back with a client of its own."""

    def __init__(self, server: backlot.Server) -> None:
        self.token, self.url = server.token, f"{server.base_url}/slack/api"
        self.client = WebClient(token=server.token, base_url=f"{self.url}/", retry_handlers=[])
        (found,) = self.client.conversations_list()["channels"]
        self.id = str(found["id"])

    def receiver(self) -> SlackReceiver:
        return SlackReceiver.connect(self.token, self.id, self.url)

    def parents(self, incident: str) -> list[dict[str, Any]]:
        mark = reference(incident, "").split("-")[0]
        history = self.client.conversations_history(channel=self.id, limit=200)["messages"]
        return [message for message in history if f"{mark}-" in message["text"]]

    def thread(self, ts: str) -> list[str]:
        return [m["text"] for m in self.client.conversations_replies(channel=self.id, ts=ts)["messages"][1:]]


@pytest.fixture(scope="module")
def channel(emulator: backlot.Server) -> Channel:
    return Channel(emulator)


def test_an_incident_from_opening_to_resolution_is_one_parent_and_a_thread(state: State, channel: Channel) -> None:
    receivers = {"slack": channel.receiver()}
    opened = an_alert(times=replace(an_alert().times, verified=None), incident="story")
    contained = replace(opened, times=an_alert().times)
    for n, alert in enumerate((opened, contained, resolved(contained, NOW, ["release 2026.3 started"]))):
        state.add(alert, f"story/{n}", NOW + n * SECOND)
        (told,) = deliver_due(state, state, receivers, NOW + n * SECOND, RULES)
        assert told.result is Result.SENT
    (parent,) = channel.parents("story")
    assert parent["text"].startswith("RESOLVED · Escalations rose — Rolled back, verified in 4.2 s after detection.")
    assert "edited" in parent
    first, second = channel.thread(parent["ts"])
    assert "verified in 4.2 s" in first
    assert "release 2026.3 started" in second


@pytest.mark.parametrize("die_at", range(0, 22, 2))
def test_killed_at_a_step_the_next_process_finishes_without_a_double(
    state: State, channel: Channel, die_at: int
) -> None:
    incident, steps = f"kill-{die_at}", Steps(die_at)
    first = an_alert("x", incident, times=replace(an_alert().times, verified=None))
    for n, alert in enumerate((first, replace(first, times=an_alert().times))):
        state.add(alert, f"{incident}/{n}", NOW + n * SECOND)
        for _ in range(2):
            receiver = channel.receiver()
            receiver._client = Mortal(receiver._client, steps, ("chat_postMessage", "chat_update"))
            writer = Mortal(state, steps, ("record_sending", "record_sent"))
            try:
                deliver_due(state, writer, {"slack": receiver}, NOW + n * SECOND, RULES)
            except Killed:
                continue
    (parent,) = channel.parents(incident)
    assert "verified in 4.2 s" in parent["text"]
    assert len(channel.thread(parent["ts"])) == 1
    assert set(state.statuses().values()) == {"sent"}


def test_a_channel_that_does_not_exist_is_named_as_what_to_check(channel: Channel) -> None:
    receiver = SlackReceiver.connect(channel.token, "C0NOTHERE", channel.url)
    alert = an_alert()
    with pytest.raises(DeliveryError, match=r"channel_not_found.*SLACK_CHANNEL") as refused:
        receiver.send(Message(outbox_id="o", event=alert, view=alert))
    assert refused.value.permanent


def test_a_wrong_token_is_permanent(channel: Channel) -> None:
    alert = an_alert()
    with pytest.raises(DeliveryError, match="SLACK_BOT_TOKEN") as refused:
        SlackReceiver.connect("xoxb-wrong", channel.id, channel.url).send(
            Message(outbox_id="o", event=alert, view=alert)
        )
    assert refused.value.permanent


def test_text_arrives_escaped_and_whole(state: State, channel: Channel) -> None:
    odd = an_alert("odd", "odd", annotations={"title": "<!channel> & é 😀", "summary": "x" * 10_000})
    state.add(odd)
    deliver_due(state, state, {"slack": channel.receiver()}, NOW, RULES)
    (parent,) = channel.parents("odd")
    assert parent["text"].startswith("CRITICAL · &lt;!channel&gt; &amp; é 😀")
    assert len(parent["text"]) <= 3_000
