"""Incidents in the state: schema 4 from schema 3; silences, action items, presses; what two writers do to one row."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace, merged_containments
from controlplane.store.state_incidents import ActionItem, Press, SilenceRow
from controlplane.store.state_migrations import SCHEMA_VERSION
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage
from tests.store.conftest import T0

HOUR = timedelta(hours=1)
NEW_COLUMNS = ("owner", "acknowledged_at", "reviewed_at", "serious", "containments")
INCIDENT = IncidentRow(
    incident_id="r-v1-v3",
    rollout_id="r-v1",
    release="v1",
    state="open",
    severity="critical",
    title="v1 rolled back",
    trigger="api_errors",
    detected_at=T0,
    cut_at=T0,
    timeline=({"at": "2026-01-05T09:00:00.000000Z", "actor": "controlplane", "text": "rollback: errors"},),
)

MESSAGE = NewMessage("r-v1-v3:opened", "alert", {"title": "v1 rolled back"}, "r-v1-v3")
SILENCE = SilenceRow("s1", {"alertname": ("hold", "trigger")}, "kim", "load test", T0, T0 + HOUR)
ITEM = ActionItem("r-v1-v3-a1", "r-v1-v3", "guardrail", "check the index", "ben", "ana", T0, T0 + 24 * HOUR)
PRESS = Press("p1", T0, "socket", "U1", "incident_ack", "r-v1-v3", {"value": "x"})


def to_schema_3(path: Path) -> None:
    """What the program of schema 3 left: none of the tables and columns of schema 4."""
    with closing(sqlite3.connect(path)) as raw:
        for table in ("silences", "incident_actions", "presses"):
            raw.execute(f"DROP TABLE {table}")
        for column in NEW_COLUMNS:
            raw.execute(f"ALTER TABLE incidents DROP COLUMN {column}")
        for index in ("outbox_open", "outbox_incident"):
            raw.execute(f"DROP INDEX {index}")
        raw.execute("ALTER TABLE outbox DROP COLUMN route")
        raw.execute("DELETE FROM schema_version")
        raw.execute("INSERT INTO schema_version VALUES (3, '2026-01-01T00:00:00.000000Z')")
        raw.commit()


def columns(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """Name, type, NOT NULL and default of every column, by table; and the columns of every index."""
    with closing(sqlite3.connect(path)) as raw:
        indexes = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'index'")]
        found = {f"index {i}": {tuple(row) for row in raw.execute(f"PRAGMA index_info('{i}')")} for i in indexes}
        tables = [name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return found | {t: {tuple(row[1:5]) for row in raw.execute(f"PRAGMA table_info({t})")} for t in tables}


def test_a_state_of_schema_3_keeps_its_incidents_and_its_chain_and_gets_the_rest(
    path: Path, state: StateWriter
) -> None:
    audit = AuditEntry("controlplane", "rollback", "r-v1", "errors")
    state.commit(Commit(audit=(audit,), incident=INCIDENT, messages=(MESSAGE,)), T0)
    before, made_new = state.audit_rows(), columns(path)
    state.close()
    to_schema_3(path)
    again = StateWriter(f"sqlite:///{path}")
    again.migrate(T0 + HOUR)
    assert columns(path) == made_new
    assert again.incident("r-v1-v3") == INCIDENT
    assert [(item.outbox_id, item.route) for item in again.incident_messages("r-v1-v3")] == [("r-v1-v3:opened", "")]
    assert again.audit_rows() == before
    assert again.verify_chains()["audit"] is None
    assert sorted(row["version"] for row in again.export()["schema_version"]) == list(range(3, SCHEMA_VERSION + 1))
    again.add_silence(SILENCE, T0)
    assert again.silences() == [SILENCE]
    again.migrate(T0 + 2 * HOUR)  # a second time changes nothing
    assert again.incident("r-v1-v3") == INCIDENT
    again.close()


def test_everything_of_an_incident_is_read_again(path: Path, state: StateWriter) -> None:
    whole = replace(
        INCIDENT,
        state="reviewed",
        owner="kim",
        acknowledged_at=T0 + HOUR,
        reviewed_at=T0 + 3 * HOUR,
        resolved_at=T0 + 2 * HOUR,
        serious={"kind": "rights", "since": "2026-01-05T09:00:00.000000Z"},
        containments=(
            {"action": "rollback", "done_at": "2026-01-05T09:00:00.000000Z", "verified_at": None, "how": ""},
        ),
    )
    state.commit(Commit(incident=whole), T0)
    state.commit(Commit(incident=replace(INCIDENT, incident_id="r-v1-v5", detected_at=T0 + HOUR)), T0)
    reader = StateReader(f"sqlite:///{path}")
    assert reader.incident("r-v1-v3") == whole
    assert reader.incident("r-v1-v9") is None
    assert [row.incident_id for row in reader.serious_incidents()] == ["r-v1-v3"]
    reader.close()


def test_a_commit_tells_further_incidents_or_none(state: StateWriter) -> None:
    second = replace(INCIDENT, incident_id="r-v1-v5")
    state.commit(Commit(incident=INCIDENT, also=(second,)), T0)
    assert {row.incident_id for row in state.incidents()} == {"r-v1-v3", "r-v1-v5"}
    line = {"at": "2026-01-05T10:00:00.000000Z", "actor": "kim", "text": "resume"}
    state.commit(Commit(incident=replace(second, timeline=(*second.timeline, line))), T0)
    stale = replace(second, timeline=(*second.timeline, {**line, "actor": "ben"}))
    with pytest.raises(LostRace, match="has changed since it was read"):
        state.commit(Commit(incident=replace(INCIDENT, owner="ben"), also=(stale,)), T0)
    found = state.incident("r-v1-v3")
    assert found is not None
    assert found.owner == ""  # nothing of the lost commit was written


def test_a_row_read_before_a_message_or_a_verification_takes_neither_back(state: StateWriter) -> None:
    done = {"action": "rollback", "done_at": "2026-01-05T09:00:00.000000Z", "verified_at": None, "how": ""}
    row = replace(INCIDENT, containments=(done,))
    state.commit(Commit(incident=row), T0)
    state.record_alerted("r-v1-v3", T0 + HOUR)
    seen = {**done, "verified_at": "2026-01-05T09:00:09.000000Z", "how": "probes"}
    state.commit(Commit(incident=replace(row, containments=(seen,))), T0)
    line = {"at": "2026-01-05T10:00:00.000000Z", "actor": "kim", "text": "acknowledge: on it"}
    state.commit(Commit(incident=replace(row, state="acknowledged", timeline=(*row.timeline, line))), T0)
    found = state.incident("r-v1-v3")
    assert found is not None
    assert (found.state, found.alerted_at) == ("acknowledged", T0 + HOUR)
    assert [(one["verified_at"], one["how"]) for one in found.containments] == [
        ("2026-01-05T09:00:09.000000Z", "probes")
    ]


ACTS = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["rollback", "hold"]),
        "done_at": st.sampled_from(["t1", "t2"]),
        "verified_at": st.sampled_from([None, "v"]),
        "how": st.sampled_from(["", "probes"]),
    }
)
LISTS = st.lists(ACTS, max_size=4, unique_by=lambda one: (one["action"], one["done_at"]))


@given(LISTS, LISTS)
def test_merging_loses_no_act_and_no_verification(stored: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    merged = {(one["action"], one["done_at"]): one for one in merged_containments(stored, new)}
    assert set(merged) == {(one["action"], one["done_at"]) for one in [*stored, *new]}
    for one in [*stored, *new]:
        if one["verified_at"]:
            assert merged[one["action"], one["done_at"]]["verified_at"] == "v"
    assert merged_containments(stored, stored) == stored


# --- silences and action items: append-only, with an audit row each


def test_a_silence_is_in_force_until_it_expires_or_somebody_ends_it(path: Path, state: StateWriter) -> None:
    state.add_silence(SILENCE, T0)
    (found,) = state.silences()
    assert found == SILENCE
    assert [found.is_active(T0 + minutes * timedelta(minutes=1)) for minutes in (-1, 0, 59, 60)] == [
        *(False, True),
        *(True, False),
    ]
    state.end_silence(found, "ben", "the test is over", T0 + HOUR / 2)
    (ended,) = StateReader(f"sqlite:///{path}").silences()
    assert (ended.ended_at, ended.ended_by, ended.author) == (T0 + HOUR / 2, "ben", "kim")
    assert not ended.is_active(T0 + HOUR / 2)
    rows = state.audit_about(["s1"])
    assert [(row["actor"], row["event"], row["reason"]) for row in rows] == [
        ("kim", "silence_added", "load test"),
        ("ben", "silence_ended", "the test is over"),
    ]
    assert '"expires_at":"2026-01-05T10:00:00.000000Z"' in rows[0]["payload"]


def test_a_silence_is_added_once_and_ended_once(state: StateWriter) -> None:
    state.add_silence(SILENCE, T0)
    with pytest.raises(LostRace, match="s1 is added already"):
        state.add_silence(replace(SILENCE, author="mallory"), T0)
    state.end_silence(SILENCE, "ben", "over", T0)
    with pytest.raises(LostRace, match="s1 is ended already"):
        state.end_silence(SILENCE, "ben", "over", T0)
    assert len(state.audit_rows()) == 2  # what was refused is not in the log


def test_an_action_item_is_open_until_it_is_closed_and_its_first_row_stays(path: Path, state: StateWriter) -> None:
    state.add_action_item(ITEM)
    other = replace(ITEM, action_id="r-v2-v2-a1", incident_id="r-v2-v2", due_at=None)
    state.add_action_item(other)
    assert state.action_items("r-v1-v3") == [ITEM]
    assert ITEM.is_open
    closed = replace(ITEM, outcome="done", evidence="ev-12ab", closed_by="ben", closed_at=T0 + HOUR)
    with pytest.raises(ValueError, match="no outcome"):
        state.close_action_item(replace(ITEM, outcome="done"))
    state.close_action_item(closed)
    assert state.action_items() == [closed, other]
    assert not closed.is_open
    with pytest.raises(LostRace, match="closed already"):
        state.close_action_item(replace(closed, outcome="dropped"))
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute("SELECT event, outcome FROM incident_actions WHERE action_id = 'r-v1-v3-a1' ORDER BY seq")
        assert rows.fetchall() == [("opened", ""), ("closed", "done")]
    events = [(row["event"], row["actor"]) for row in state.audit_about(["r-v1-v3"])]
    assert events == [("action_opened", "ana"), ("action_closed", "ben")]
    assert state.verify_chains()["audit"] is None


# --- presses


def test_a_press_is_taken_once_and_answered_once(path: Path, state: StateWriter) -> None:
    assert state.receive_press(PRESS)
    assert not state.receive_press(replace(PRESS, user_id="U2"))  # a repeat changes nothing
    assert state.open_presses() == [PRESS]
    audit = AuditEntry("kim", "press_done", "r-v1-v3", "acknowledged")
    assert state.finish_press("p1", "done", "you are on it", audit, T0 + HOUR)
    assert not state.finish_press("p1", "refused", "too late", replace(audit, reason="twice"), T0 + HOUR)
    assert state.open_presses() == []
    found = StateReader(f"sqlite:///{path}").press("p1")
    assert found == replace(PRESS, status="done", answer="you are on it", done_at=T0 + HOUR)
    assert [row["reason"] for row in state.audit_about(["r-v1-v3"])] == ["acknowledged"]
    assert not state.receive_press(PRESS)  # nor is it taken again after it was answered
    assert state.press("p9") is None


def test_presses_wait_in_the_order_in_which_they_came(state: StateWriter) -> None:
    for name, minutes in (("c", 2), ("a", 1), ("b", 1)):
        state.receive_press(replace(PRESS, press_id=name, received_at=T0 + minutes * timedelta(minutes=1)))
    assert [press.press_id for press in state.open_presses()] == ["a", "b", "c"]


def test_a_press_that_nobody_received_is_not_finished(state: StateWriter) -> None:
    assert not state.finish_press("p9", "done", "", AuditEntry("kim", "press_done", "x", "y"), T0)
    assert state.audit_rows() == []
