"""Overrides, containments and what decisions ask of the past; and a state of schema 1 that becomes one of today."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.core.overrides import Override
from controlplane.core.policy import parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, start
from controlplane.settings import shipped_policy
from controlplane.store import state_tables
from controlplane.store.state import StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_migrations import SCHEMA_VERSION
from controlplane.store.state_rows import AuditEntry, Commit, Containment, LedgerEntry, NewMessage
from tests.store.conftest import T0

MINUTE = timedelta(minutes=1)
POLICY = parse(shipped_policy("default"))
SCHEMA_1 = Path(__file__).with_name("state_schema_1.sql")


@pytest.fixture
def old(tmp_path: Path) -> Iterator[StateWriter]:
    """A state database as the program of schema 1 left it."""
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(SCHEMA_1.read_text())
    writer = StateWriter(f"sqlite:///{path}")
    yield writer
    writer.close()


# migration


def columns(writer: StateWriter) -> dict[str, list[str]]:
    return {table: list(rows[0]) for table, rows in writer.export().items() if rows}


def test_a_state_of_schema_1_goes_on_where_it_was(old: StateWriter, state: StateWriter) -> None:
    old.migrate(T0 + MINUTE)
    rollout = old.rollout()
    assert rollout is not None
    assert (rollout.rollout_id, rollout.version, rollout.phase) == ("r-v1", 1, "internal")
    assert (rollout.accepted_release, rollout.contained) == ("", ())
    assert old.verify_chains() == {"audit": None, "ledger": None}
    assert [row["event"] for row in old.audit_rows()] == ["start"]
    held = apply(rollout, Change(Event.HOLD, ActorKind.PERSON, "wait", T0 + MINUTE), POLICY)
    contained = replace(held, contained=("fraud",), accepted_release="v0")
    old.commit(Commit(rollout=contained, expected_version=1, stage_event="hold"), T0 + MINUTE)
    assert old.rollout() == contained


def test_an_old_state_ends_up_with_the_tables_of_a_new_one(
    old: StateWriter, tmp_path: Path, state: StateWriter
) -> None:
    old.migrate(T0)

    def shape(path: Path) -> dict[str, set[str]]:
        with closing(sqlite3.connect(path)) as raw:
            return {
                name: {row[1] for row in raw.execute(f"PRAGMA table_info({name})")}
                for name in state_tables.metadata.tables
            }

    assert shape(tmp_path / "old.sqlite") == shape(tmp_path / "state.sqlite")


def test_the_schema_is_recorded_and_migrated_once(old: StateWriter) -> None:
    for _ in range(2):
        old.migrate(T0 + MINUTE)
        versions = sorted(row["version"] for row in old.export()["schema_version"])
        assert versions == list(range(1, SCHEMA_VERSION + 1))


def test_a_migration_that_fails_changes_nothing(
    old: StateWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "controlplane.store.state_migrations._statements",
        lambda text: [text.splitlines()[1].rstrip(";"), "ALTER TABLE nowhere ADD COLUMN x INTEGER"],
    )
    with pytest.raises(Exception, match="nowhere"):
        old.migrate(T0)
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as raw:
        assert raw.execute("SELECT max(version) FROM schema_version").fetchone() == (1,)
        assert "accepted_release" not in {row[1] for row in raw.execute("PRAGMA table_info(rollouts)")}
        assert not raw.execute("PRAGMA table_info(overrides)").fetchall()


# overrides


def one(number: int = 1, rollout_id: str = "r") -> Override:
    return Override(f"{rollout_id}-o{number}", rollout_id, "timeouts", "ana", "load test", T0, T0 + 60 * MINUTE)


def test_an_override_is_kept_with_its_audit_row_and_its_end_beside_it(state: StateWriter) -> None:
    state.add_override(one(), "p")
    assert state.overrides() == [one()]
    state.end_override(one(), "ben", "test is over", "p", T0 + MINUTE)
    assert state.overrides("r") == [replace(one(), ended_at=T0 + MINUTE, ended_by="ben")]
    assert [(row["actor"], row["event"]) for row in state.audit_rows()] == [
        ("ana", "override_added"),
        ("ben", "override_ended"),
    ]
    assert len(state.export()["overrides"]) == 2  # the row of the addition is as it was
    assert state.verify_chains()["audit"] is None


def test_an_override_is_added_and_ended_once(state: StateWriter) -> None:
    state.add_override(one(), "p")
    with pytest.raises(LostRace, match="added already"):
        state.add_override(one(), "p")
    state.end_override(one(), "ben", "over", "p", T0)
    with pytest.raises(LostRace, match="ended already"):
        state.end_override(one(), "eve", "over", "p", T0)
    assert len(state.audit_rows()) == 2


def test_overrides_of_a_rollout_alone(state: StateWriter) -> None:
    state.add_override(one(1, "r"), "p")
    state.add_override(one(1, "s"), "p")
    assert [item.rollout_id for item in state.overrides("s")] == ["s"]
    assert len(state.overrides()) == 2


# containments


FOUND = Containment("e1", "fraud", "c1", "r-v1", "human:eve", T0)


def test_an_evaluation_is_acted_upon_once_and_the_second_writes_nothing(state: StateWriter) -> None:
    change = {"rollout_id": "r-v1", "release": "v1", "release_hash": "h"}
    first = start(Change(Event.START, ActorKind.PERSON, "begin", T0, **change), POLICY)
    state.commit(Commit(rollout=first, expected_version=0, stage_event="start"), T0)
    contain = Change(Event.CONTAIN, ActorKind.AUTOMATIC, "tripwire", T0, categories=("fraud",))
    second = apply(first, contain, POLICY)
    state.commit(Commit(rollout=second, expected_version=1, containments=(FOUND,)), T0)
    assert state.containments() == [FOUND]
    third = apply(second, contain, POLICY)
    with pytest.raises(LostRace, match="acted upon already"):
        state.commit(Commit(rollout=third, expected_version=2, containments=(FOUND,)), T0)
    assert state.rollout() == second


# the past


def test_what_an_actor_did_last(state: StateWriter) -> None:
    assert state.last_event_at("controlplane", ["hold"]) is None
    for minute, actor, event in ((1, "controlplane", "hold"), (2, "controlplane", "resume"), (3, "ana", "hold")):
        state.commit(Commit(audit=(AuditEntry(actor, event, "r", "because"),)), T0 + minute * MINUTE)
    assert state.last_event_at("controlplane", ["hold", "rollback"]) == T0 + MINUTE
    assert state.newest_time() == T0 + 3 * MINUTE


def ledger_row(number: int, fired: bool) -> LedgerEntry:
    readings = [{"trigger": "a", "fired": fired}]
    return LedgerEntry("r", POLICY.hash, "60s+0s", T0 + number * MINUTE, 60, number, [{"stream": "a"}], readings)


def test_the_ledger_says_what_it_was_judged_with_and_what_fired(state: StateWriter) -> None:
    assert (state.newest_ledger_batch(), state.fired_rows("r"), state.newest_time()) == (0, [], None)
    state.commit(Commit(ledger=[ledger_row(n, n in (2, 5)) for n in range(8)]), T0 + 9 * MINUTE)
    assert state.newest_ledger_batch() == 7
    assert [row["last_batch"] for row in state.fired_rows("r")] == [5, 2]
    assert state.fired_rows("r")[0]["readings"] == [{"trigger": "a", "fired": True}]
    assert state.fired_rows("s") == []
    assert state.newest_time() == T0 + 9 * MINUTE


def test_a_message_is_known_by_its_id(state: StateWriter) -> None:
    state.commit(Commit(messages=(NewMessage("m1", "alert", {}),)), T0)
    assert state.has_message("m1")
    assert not state.has_message("m2")
