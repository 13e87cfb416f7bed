"""Messages in the state: from birth to delivery, once each, in the order in which they were born."""

from __future__ import annotations

from datetime import timedelta

from controlplane.store.state import StateWriter
from controlplane.store.state_rows import Commit, NewMessage, to_text
from tests.store.conftest import T0

MINUTE = timedelta(minutes=1)


def test_a_message_from_birth_to_delivery(state: StateWriter) -> None:
    later = T0 + 10 * MINUTE
    state.commit(Commit(messages=(NewMessage("m1", "alert", {"n": 1}),)), T0)
    assert [item.outbox_id for item in state.outbox_due(T0)] == ["m1"]
    assert state.outbox_due(T0 - MINUTE) == []
    state.record_sending("m1", "slack", T0)
    (sending,) = state.outbox_due(T0)  # a crash here: still due, and known to have been tried
    assert (sending.status, sending.attempts, sending.receiver) == ("sending", 1, "slack")
    state.record_failed("m1", "HTTP 500", later)
    assert state.outbox_due(later - timedelta(seconds=1)) == []
    assert [item.status for item in state.outbox_due(later)] == ["sending"]
    state.record_sending("m1", "slack", later)
    state.record_sent("m1", {"channel": "C1", "ts": "1.2"}, later)
    (sent,) = state.outbox()
    assert (sent.status, sent.attempts, sent.receipt) == ("sent", 2, {"channel": "C1", "ts": "1.2"})
    assert state.outbox_due(later + timedelta(days=9)) == []
    (row,) = state.export()["outbox"]
    assert (row["sent_at"], row["error"]) == (to_text(later), None)


def test_messages_that_end_otherwise(state: StateWriter) -> None:
    state.commit(Commit(messages=(NewMessage("dead", "alert", {}), NewMessage("mute", "alert", {}))), T0)
    state.record_failed("dead", "no such channel", None)
    state.record_suppressed({"mute": "silenced until noon"}, T0)
    assert state.outbox_due(T0 + timedelta(days=9)) == []
    rows = {row["outbox_id"]: (row["status"], row["error"]) for row in state.export()["outbox"]}
    assert rows == {"dead": ("dead", "no such channel"), "mute": ("suppressed", "silenced until noon")}


def test_a_message_is_told_once_however_often_it_is_written(state: StateWriter) -> None:
    state.commit(Commit(messages=(NewMessage("m1", "alert", {"n": 1}),)), T0)
    state.record_sending("m1", "slack", T0)
    state.record_sent("m1", {"ts": "1"}, T0)
    state.commit(Commit(messages=(NewMessage("m1", "alert", {"n": 2}),)), T0 + MINUTE)
    (item,) = state.outbox()
    assert (item.status, item.payload) == ("sent", {"n": 1})


def test_messages_are_due_in_the_order_they_were_born(state: StateWriter) -> None:
    for minute, name in ((2, "c"), (0, "b"), (0, "a")):
        state.commit(Commit(messages=(NewMessage(name, "alert", {}),)), T0 + minute * MINUTE)
    assert [item.outbox_id for item in state.outbox_due(T0 + timedelta(hours=1))] == ["a", "b", "c"]
