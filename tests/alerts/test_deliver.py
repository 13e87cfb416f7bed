"""From the outbox to a faulty Slack: delays, never loses, never doubles."""

import io
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from alerts.deliver import DeliveryResult, Pauses, Result, Retry, Rules, deliver_due
from alerts.message import DeliveryError, Message
from alerts.model import Alert, Severity, resolved
from alerts.pipeline import Route, Timing
from alerts.receivers.console import ConsoleReceiver
from alerts.receivers.slack import SlackReceiver

from .conftest import NOW, FaultySlack, Killed, Mortal, State, Steps, an_alert, wired

SECOND = timedelta(seconds=1)
SLACK_CALLS = ("chat_postMessage", "chat_update", "conversations_history", "conversations_replies")
WRITES = ("record_sending", "record_sent", "record_failed", "record_suppressed")


@dataclass
class Desk:
    """A running delivery: what a job keeps between two runs."""

    state: State
    slack: FaultySlack
    screen: io.StringIO = field(default_factory=io.StringIO)
    pauses: Pauses = field(default_factory=Pauses)
    retry: Retry = field(default_factory=Retry)
    receivers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = wired(self.slack.url, self.screen)
        self.receivers = dict(found.receivers)
        self.rules = replace(found.alerting.rules, timing=Timing(), retry=self.retry)

    def run(self, seconds: float = 0) -> dict[str, DeliveryResult]:
        now = NOW + timedelta(seconds=seconds)
        results = deliver_due(self.state, self.state, self.receivers, now, self.rules, self.pauses)
        return {result.outbox_id: result for result in results}


@pytest.fixture
def desk(state: State, slack: FaultySlack) -> Desk:
    return Desk(state, slack)


def verified(alert: Alert, seconds: int) -> Alert:
    return replace(
        alert, alert_id=f"{alert.alert_id}-v{seconds}", times=replace(alert.times, verified=NOW + seconds * SECOND)
    )


def test_an_incident_is_one_parent_updated_in_place_with_a_thread(desk: Desk) -> None:
    first = an_alert(times=replace(an_alert().times, verified=None))
    desk.state.add(first)
    told = desk.run(1)["a1"]
    assert (told.result, told.reason, told.alerted_at) == (Result.SENT, "first message of this incident", NOW + SECOND)
    (parent,) = desk.slack.messages
    assert parent["channel"] == "C1"
    assert parent["metadata"]["event_type"] == "controlplane_alert"
    assert parent["metadata"]["event_payload"]["outbox_id"] == "a1"
    assert "NOT verified" in parent["text"]

    desk.state.add(verified(first, 4), "a2", NOW + 4 * SECOND)
    desk.state.add(resolved(verified(first, 4), NOW + 60 * SECOND), "a3", NOW + 60 * SECOND)
    desk.run(5)
    assert "verified in 4.0 s" in parent["text"]
    assert desk.run(61)["a3"].alerted_at == NOW + SECOND
    assert parent["text"].startswith("RESOLVED")
    assert parent["metadata"]["event_payload"]["outbox_id"] == "a1"
    assert "alerted 09:00:01" in str(parent["attachments"])
    assert len(desk.slack.parents()) == 1
    assert [reply["thread_ts"] for reply in desk.slack.replies()] == [parent["ts"]] * 2
    assert desk.run(62) == {}


def test_a_milder_alert_of_the_incident_does_not_hide_the_graver_one(desk: Desk) -> None:
    desk.state.add(an_alert())
    desk.run(1)
    mild = an_alert("mild", labels={"alertname": "note"}, severity=Severity.INFO, annotations={"title": "Cause found"})
    desk.state.add(mild, at=NOW + 5 * SECOND)
    desk.run(6)
    (parent,), (reply,) = desk.slack.parents(), desk.slack.replies()
    assert parent["text"].startswith("CRITICAL · Escalations rose")
    assert "INFO · Cause found" in str(parent["attachments"])
    assert reply["text"].startswith("*INFO · Cause found*")


def test_an_alert_storm_is_one_message(desk: Desk) -> None:
    for n in range(20):
        for m in range(3):
            labels = {"alertname": "trigger", "trigger": f"t{n}", "segment": f"s{m}"}
            desk.state.add(an_alert(f"t{n}.{m}", labels=labels, severity=Severity.ERROR), at=NOW + n * SECOND)
    results = desk.run(30)
    assert len(desk.slack.messages) == 1
    counted = [r.result for r in results.values()]
    assert (counted.count(Result.SENT), counted.count(Result.SUPPRESSED)) == (1, 59)
    assert "… and" in str(desk.slack.messages[0]["attachments"])
    desk.state.add(
        an_alert("again", labels={"alertname": "trigger", "trigger": "t3", "segment": "s1"}, severity=Severity.ERROR),
        at=NOW + 31 * SECOND,
    )
    assert desk.run(32)["again"].reason == "dedup: the same state was told already"


@pytest.mark.parametrize("reads_metadata", [True, False])
def test_killed_between_any_two_steps_a_reader_sees_each_message_once(
    state: State, slack: FaultySlack, reads_metadata: bool
) -> None:
    slack.reads_metadata = reads_metadata
    die_at = 0
    while True:
        incident = f"inc-{die_at}"
        before = len(slack.messages)
        died = _story_with_a_death(state, slack, incident, die_at)
        parents, replies = slack.parents(), slack.replies()
        new = [m for m in slack.messages[before:] if m in parents]
        assert len(new) == 1, f"died at step {die_at}"
        assert len([m for m in replies if m["thread_ts"] == new[0]["ts"]]) == 2, f"died at step {die_at}"
        assert new[0]["text"].startswith("RESOLVED")
        if not died:
            break
        die_at += 1
    assert die_at >= 20
    assert set(state.statuses().values()) == {"sent"}


def _story_with_a_death(state: State, slack: FaultySlack, incident: str, die_at: int) -> bool:
    """Three messages of one incident; the process dies at one step and a new one carries on. True if it died at all."""
    steps, died = Steps(die_at), False
    first = an_alert("x", incident, times=replace(an_alert().times, verified=None))
    for n, alert in enumerate((first, verified(first, 4), resolved(verified(first, 4), NOW))):
        state.add(alert, f"{incident}/{n}", NOW + n * SECOND)
        for _ in range(2):
            receiver = SlackReceiver.connect("xoxb-1", "C1", slack.url)
            receiver._client = Mortal(receiver._client, steps, SLACK_CALLS)
            rules = Rules((Route("all", ("slack",)),))
            try:
                deliver_due(state, Mortal(state, steps, WRITES), {"slack": receiver}, NOW + n * SECOND, rules)
            except Killed:
                died = True
    return died


def test_an_answer_that_was_lost_does_not_double_the_message(desk: Desk) -> None:
    desk.slack.faults = ["swallow"]
    desk.state.add(an_alert())
    assert desk.run(0)["a1"].result is Result.FAILED
    desk.state.add(an_alert("other", labels={"alertname": "note"}, annotations={"title": "Other"}), at=NOW + SECOND)
    assert desk.run(1)["other"].result is Result.DELAYED
    results = desk.run(3)
    assert results["a1"].result is Result.FOUND
    assert results["other"].result is Result.SENT
    assert (len(desk.slack.parents()), len(desk.slack.replies())) == (1, 1)


def test_a_later_message_finds_the_parent_that_an_unanswered_one_made(desk: Desk) -> None:
    desk.slack.faults = ["swallow"]
    desk.state.add(an_alert())
    desk.run(0)
    desk.state.record_failed("a1", "still unknown", NOW + timedelta(hours=1))
    desk.state.add(an_alert("other", labels={"alertname": "note"}, annotations={"title": "Other"}), at=NOW + SECOND)
    results = desk.run(9)  # what was begun is looked up before anything else of its chain is told
    assert (results["a1"].result, results["other"].result) == (Result.FOUND, Result.SENT)
    assert desk.run(3_700) == {}
    assert (len(desk.slack.parents()), len(desk.slack.replies())) == (1, 1)


@pytest.mark.parametrize(("reads_metadata", "replies"), [(True, 0), (False, 1)])
def test_a_storm_whose_answer_was_lost_is_told_once(desk: Desk, reads_metadata: bool, replies: int) -> None:
    """With metadata the found message says all it told; without, the rest is told again, but in the thread."""
    desk.slack.reads_metadata = reads_metadata
    desk.slack.faults = ["swallow"]
    desk.state.add(an_alert())
    desk.state.add(an_alert("b1", labels={"alertname": "note"}, annotations={"title": "Beside"}))
    desk.run(0)
    desk.run(3)
    desk.run(9)
    assert set(desk.state.statuses().values()) <= {"sent", "suppressed"}
    assert (len(desk.slack.parents()), len(desk.slack.replies())) == (1, replies)
    assert "Beside" in str(desk.slack.parents()[0]["attachments"])


def test_a_parent_that_may_be_out_is_found_although_it_was_silenced_meanwhile(desk: Desk) -> None:
    desk.slack.faults = ["swallow"]
    desk.state.add(an_alert())
    desk.run(0)
    desk.state.record_suppressed({"a1": "silence: silenced"}, NOW + SECOND)
    desk.state.add(verified(an_alert(), 9), "a2", NOW + 2 * SECOND)
    assert desk.run(3)["a2"].result is Result.SENT
    assert (len(desk.slack.parents()), len(desk.slack.replies())) == (1, 1)


def test_the_parent_is_found_among_many(desk: Desk) -> None:
    desk.slack.faults = ["swallow"]
    desk.state.add(an_alert())
    desk.run(0)
    for n in range(10):  # the fake shows three messages a page
        desk.slack.answer("chat.postMessage", {"channel": "C1", "text": f"someone talks {n}"})
    quoted = {"channel": "C1", "client_msg_id": "1", "text": desk.slack.messages[0]["text"]}  # typed by a person
    desk.slack.answer("chat.postMessage", quoted)
    assert desk.run(3)["a1"].result is Result.FOUND
    assert desk.state.outbox()[0].receipt["ts"] == desk.slack.messages[0]["ts"]


def test_retry_after_is_honoured_by_all_messages_of_the_receiver(desk: Desk) -> None:
    desk.slack.faults = [429]
    desk.state.add(an_alert())
    failed = desk.run(0)["a1"]
    assert failed.next_attempt_at == NOW + 17 * SECOND
    desk.state.add(an_alert("b1", "inc-2"), at=NOW + SECOND)
    assert desk.run(16)["b1"].reason == "the receiver asked for a pause or is down"
    assert desk.slack.calls == []
    assert {r.result for r in desk.run(17).values()} == {Result.SENT}
    assert len(desk.slack.parents()) == 2


@pytest.mark.parametrize("fault", [500, 503, "drop", "internal_error"])
def test_an_outage_of_an_hour_delays_and_loses_nothing(desk: Desk, fault: int | str) -> None:
    asked = 0
    for minute in range(60):
        if minute % 20 == 0:
            desk.state.add(an_alert(f"a{minute}", f"inc-{minute}"), at=NOW + minute * 60 * SECOND)
        desk.slack.faults = [fault] * 99
        desk.run(minute * 60)
        asked += 99 - len(desk.slack.faults)
    assert 60 <= asked <= 70
    desk.slack.faults = []
    desk.run(3_700)
    desk.run(3_800)
    assert desk.state.statuses() == {"a0": "sent", "a20": "sent", "a40": "sent"}
    assert len(desk.slack.parents()) == 3
    assert desk.screen.getvalue().count("Not delivered by slack") == 3  # the stand-in was told while Slack was away


def test_the_pause_grows_and_has_an_end() -> None:
    retry = Retry()
    pauses = [retry.pause(attempt, None).total_seconds() for attempt in range(1, 9)]
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]
    assert retry.pause(10_000, None) == retry.longest
    assert retry.pause(1, 90.0) == timedelta(seconds=90)
    assert sum((retry.pause(n, None) for n in range(1, retry.max_attempts)), timedelta()) > timedelta(hours=3)


@pytest.mark.parametrize("word", ["invalid_auth", "channel_not_found", "missing_scope"])
def test_what_only_a_person_can_mend_is_a_dead_letter_that_the_next_receiver_tells(desk: Desk, word: str) -> None:
    desk.slack.faults = [word]
    desk.state.add(an_alert())
    dead = desk.run(0)["a1"]
    assert (dead.result, dead.receiver, dead.alerted_at) == (Result.DEAD, "console", NOW)
    assert "check SLACK_BOT_TOKEN" in dead.reason
    assert desk.state.statuses() == {"a1": "dead", "dead:slack:a1": "pending"}
    assert desk.run(10)["dead:slack:a1"].result is Result.SENT  # when its group has waited
    shown = desk.screen.getvalue()
    assert f"Not delivered by slack: slack: refused with {word}" in shown
    assert "Rolled back, verified in 4.2 s" in shown
    assert desk.run(999) == {}


def test_after_the_last_attempt_the_message_is_a_dead_letter(state: State, slack: FaultySlack) -> None:
    desk = Desk(state, slack, retry=Retry(max_attempts=3, tell_next_after=2))
    slack.faults = [500] * 9
    state.add(an_alert())
    assert [desk.run(n * 60)["a1"].result for n in range(3)] == [Result.FAILED, Result.FAILED, Result.DEAD]
    assert desk.screen.getvalue().count("Not delivered") == 2


def test_a_dead_letter_that_nobody_takes_stays_due(state: State, slack: FaultySlack) -> None:
    desk = Desk(state, slack)
    desk.screen.close()
    slack.faults = ["invalid_auth"]
    state.add(an_alert())
    assert desk.run(0)["a1"].result is Result.FAILED
    assert desk.run(61)["a1"].result is Result.SENT


@pytest.mark.parametrize("word", ["invalid_blocks", "msg_too_long", "metadata_too_large"])
def test_a_form_that_slack_does_not_take_goes_as_plain_text(desk: Desk, word: str) -> None:
    desk.slack.faults = [word]
    desk.state.add(an_alert())
    assert desk.run(0)["a1"].result is Result.SENT
    (only,) = desk.slack.messages
    assert "attachments" not in only
    assert "Rolled back, verified" in only["text"]


def test_a_parent_that_a_person_deleted_is_posted_again(desk: Desk) -> None:
    desk.state.add(an_alert())
    desk.run(0)
    desk.slack.messages.clear()
    desk.state.add(verified(an_alert(), 9), "a2", NOW + SECOND)
    assert desk.run(2)["a2"].result is Result.SENT
    desk.state.add(resolved(an_alert(), NOW), "a3", NOW + 3 * SECOND)
    desk.run(4)
    assert (len(desk.slack.parents()), len(desk.slack.replies())) == (1, 1)
    assert desk.slack.replies()[0]["thread_ts"] == desk.slack.parents()[0]["ts"]


def test_a_parent_that_can_no_longer_be_edited_still_gets_its_thread(desk: Desk) -> None:
    desk.state.add(an_alert())
    desk.run(0)
    desk.state.add(verified(an_alert(), 9), "a2", NOW + SECOND)
    desk.slack.faults = ["edit_window_closed"]
    receipt = desk.run(2)["a2"].receipt
    assert receipt is not None
    assert receipt["frozen"]
    assert len(desk.slack.replies()) == 1


def test_a_workspace_that_cannot_be_searched_is_told_anyway(desk: Desk) -> None:
    desk.slack.faults = ["swallow", "missing_scope"]
    desk.state.add(an_alert())
    desk.run(0)
    assert desk.run(3)["a1"].result is Result.SENT


def test_a_broken_receiver_or_payload_stops_nobody_else(state: State, slack: FaultySlack) -> None:
    class Broken:
        name = "broken"

        def send(self, message: Message) -> dict[str, Any]:
            raise KeyError("oops")

    desk = Desk(state, slack)
    desk.receivers["slack"] = Broken()
    state.add(an_alert())
    assert "unexpected KeyError" in desk.run(0)["a1"].reason
    good = Desk(state, slack)
    with state._transaction() as connection:
        connection.exec_driver_sql("UPDATE outbox SET payload = '{\"labels\": 3}', status = 'pending', attempts = 0")
    state.add(an_alert("b1", "inc-2"), at=NOW + SECOND)
    assert {r.result for r in good.run(90).values()} == {Result.SENT}
    unreadable = next(m for m in slack.parents() if "cannot be read" in m["text"])
    assert "alert field" in str(unreadable["attachments"])


def test_a_route_to_nowhere_is_said_and_the_next_one_told(state: State) -> None:
    screen = io.StringIO()
    rules = Rules((Route("all", ("pager", "console")),))
    state.add(an_alert())
    dead, news = deliver_due(state, state, {"console": ConsoleReceiver(screen)}, NOW, rules)
    assert (news.outbox_id, news.result) == ("dead:pager:a1", Result.SENT)
    assert (dead.result, "no receiver is called 'pager'" in dead.reason) == (Result.DEAD, True)
    assert "Escalations rose" in screen.getvalue()


def test_rules_that_could_lose_an_alert_are_refused() -> None:
    with pytest.raises(ValueError, match="must match everything"):
        Rules((Route("empty", ()),))


def test_without_slack_everything_is_on_the_console(state: State) -> None:
    screen = io.StringIO()
    half = wired(stream=screen, SLACK_BOT_TOKEN="xoxb-1")
    assert list(half.receivers) == ["console"]
    assert half.left_out["slack"] == "SLACK_CHANNEL"
    rules = half.alerting.rules
    state.add(an_alert())
    state.add(an_alert("review", incident=None, labels={"category": "review"}, severity=Severity.INFO), kind="review")
    results = deliver_due(state, state, half.receivers, NOW, rules)
    assert {r.result for r in results} == {Result.SENT}
    assert screen.getvalue().count("CRITICAL · Escalations rose") == 1
    assert deliver_due(state, state, half.receivers, NOW, rules) == []


def test_the_incidents_channel_gets_incidents_only(state: State, slack: FaultySlack) -> None:
    both = wired(slack.url, SLACK_REVIEW_CHANNEL="C2")
    state.add(an_alert())
    state.add(an_alert("review", incident=None, labels={"category": "review"}), kind="review")
    state.add(an_alert("loose", incident=None, labels={"alertname": "stale_data"}))
    deliver_due(state, state, both.receivers, NOW, both.alerting.rules)
    assert [m["channel"] for m in slack.parents()].count("C1") == 1
    assert [m["channel"] for m in slack.parents()].count("C2") == 2


def test_no_token_in_a_representation() -> None:
    webhook = {"CONTROLPLANE_ALERT_WEBHOOK_URL": "http://127.0.0.1:9/", "CONTROLPLANE_ALERT_WEBHOOK_SECRET": "hidden"}
    shown = repr(wired("http://127.0.0.1:9", SLACK_BOT_TOKEN="xoxb-secret", **webhook))
    assert "webhook=WebhookReceiver" in shown.replace("'", "").replace(": ", "=")
    assert "xoxb-secret" not in shown
    assert "hidden" not in shown


def test_a_delivery_error_says_who_asked_for_what(slack: FaultySlack) -> None:
    slack.faults, slack.retry_after = [429], "not a number"
    alert = an_alert()
    with pytest.raises(DeliveryError) as refused:
        SlackReceiver.connect("xoxb-1", "C1", slack.url).send(Message(outbox_id="o", event=alert, view=alert))
    assert (refused.value.permanent, refused.value.retry_after) == (False, 30.0)
