"""The state database: a decision is written whole or not at all, once, and nobody writes behind another's back."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import parse
from controlplane.core.rollout import ActorKind, Change, Event, apply, start
from controlplane.settings import shipped_policy
from controlplane.store import state as state_module
from controlplane.store import state_migrations, state_tables
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_claims import FencedOff
from controlplane.store.state_rows import (
    AuditEntry,
    Commit,
    IncidentRow,
    LaneState,
    LedgerEntry,
    NewMessage,
    from_text,
    to_text,
)
from tests.store.conftest import T0

MINUTE = timedelta(minutes=1)
POLICY = parse(shipped_policy("default"))
Tables = dict[str, list[dict[str, Any]]]


@pytest.fixture
def other(url: str, state: StateWriter) -> Iterator[StateWriter]:
    writer = StateWriter(url)
    yield writer
    writer.close()


def first_rollout(release: str = "v1", now: datetime = T0) -> Rollout:
    named = {"rollout_id": f"r-{release}", "release": release, "release_hash": f"h-{release}"}
    return start(Change(Event.START, ActorKind.PERSON, "begin", now, **named), POLICY)


def begun(state: StateWriter) -> Rollout:
    rollout = first_rollout()
    state.commit(Commit(rollout=rollout, expected_version=0, stage_event="start"), T0)
    return rollout


def after(rollout: Rollout, event: str, now: datetime = T0 + MINUTE) -> Rollout:
    return apply(rollout, Change(Event(event), ActorKind.PERSON, f"because {event}", now), POLICY)


def entry(number: int = 0, rollout_id: str = "r-v1", lane: str = "60s+0s", **changes: Any) -> LedgerEntry:
    counts = [{"stream": "a", "nT": 5 + number}]
    readings = [{"trigger": "a", "log_e": None, "fired": False}]
    made = LedgerEntry(rollout_id, POLICY.hash, lane, T0 + number * MINUTE, 60, number, counts, readings)
    return replace(made, **changes)


def incident(state: str = "open", **changes: Any) -> IncidentRow:
    made = IncidentRow("i1", "r-v1", "v1", state, "critical", "v1 rolled back", "errors", T0, evidence={"x": 1.5})
    return replace(made, **changes)


def whole(rollout: Rollout, event: str = "rollback") -> Commit:
    return Commit(
        ledger=(entry(0), entry(1)),
        lanes=(LaneState("60s+0s", T0 + 2 * MINUTE, {"fired": ["a"], "x": None}),),
        rollout=after(rollout, event),
        expected_version=rollout.version,
        stage_event=event,
        audit=(AuditEntry("controlplane", event, "r-v1", "harm", {"evidence": {"log_e": 9.25}}),),
        messages=(NewMessage("i1:opened", "alert", {"title": "é"}, "i1"),),
        incident=incident(cut_at=T0),
    )


def test_a_decision_is_all_there(state: StateWriter) -> None:
    rollout = begun(state)
    decision = whole(rollout)
    before = state.version()
    state.commit(decision, T0 + MINUTE)
    assert state.rollout() == decision.rollout
    assert state.version() == before + 1
    assert [(row.event, row.state, row.share, row.version) for row in state.stages("r-v1")] == [
        ("start", RolloutState.RUNNING, 1.0, 1),
        ("rollback", RolloutState.ROLLED_BACK, 0.0, 2),
    ]
    assert state.lanes("r-v1") == {"60s+0s": decision.lanes[0]}
    assert [row["block_key"] for row in state.ledger_rows("r-v1")] == [item.block_key for item in decision.ledger]
    assert [row["policy_hash"] for row in state.audit_rows()] == [POLICY.hash]
    assert state.incidents() == [decision.incident]
    (message,) = state.outbox()
    assert (message.payload, message.status, message.attempts, message.incident_id) == (
        {"title": "é"},
        "pending",
        0,
        "i1",
    )
    assert (message.created_at, message.next_attempt_at) == (T0 + MINUTE, T0 + MINUTE)
    assert state.verify_chains() == {"audit": None, "ledger": None}


STEPS = [
    "swap_rollout",
    "append_stage",
    "append_ledger",
    "upsert_lane",
    "append_audit",
    "upsert_incident",
    "append_message",
]


@pytest.mark.parametrize("moment", ["before", "behind"])
@pytest.mark.parametrize("step", STEPS)
def test_a_decision_that_fails_anywhere_writes_nothing(
    state: StateWriter, url: str, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    rollout = begun(state)
    untouched = state.export()
    real = getattr(state_module, step)

    def broken(*arguments: Any) -> None:
        if moment == "behind":
            real(*arguments)
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(state_module, step, broken)
        with pytest.raises(OSError, match="disk is full"):
            state.commit(whole(rollout), T0)
    assert state.export() == untouched
    state.commit(whole(rollout), T0)  # and the next one finds no lock and no trace
    assert state.verify_chains() == {"audit": None, "ledger": None}


def test_who_decides_on_an_old_version_loses_and_writes_nothing(state: StateWriter) -> None:
    rollout = begun(state)
    state.commit(Commit(rollout=after(rollout, "hold"), expected_version=1, stage_event="hold"), T0)
    untouched = state.export()
    for expected in (1, 0, 3, None):
        with pytest.raises(LostRace, match="at version 2"):
            state.commit(replace(whole(rollout), expected_version=expected), T0)
    assert state.export() == untouched


def test_a_second_start_loses(state: StateWriter) -> None:
    begun(state)
    with pytest.raises(LostRace, match="version 1"):
        state.commit(Commit(rollout=first_rollout("v2"), expected_version=0, stage_event="start"), T0)
    row = state.rollout()
    assert row is not None
    assert row.release == "v1"


def test_the_first_start_must_not_expect_another(state: StateWriter) -> None:
    with pytest.raises(LostRace, match="at version 0"):
        state.commit(Commit(rollout=first_rollout(), expected_version=4, stage_event="start"), T0)
    assert state.rollout() is None


def test_of_many_threads_on_one_version_one_wins(state: StateWriter, url: str) -> None:
    rollout = begun(state)
    writers = [StateWriter(url) for _ in range(4)]
    for _ in range(8):
        gate, won, lost = threading.Barrier(len(writers)), [], []

        def decide(writer: StateWriter, rollout: Rollout = rollout, gate: threading.Barrier = gate) -> None:
            event = "hold" if rollout.state is RolloutState.RUNNING else "resume"
            change = Commit(rollout=after(rollout, event), expected_version=rollout.version, stage_event=event)
            gate.wait()
            try:
                writer.commit(change, T0)
                won.append(writer)  # noqa: B023 - joined before the next round
            except LostRace:
                lost.append(writer)  # noqa: B023

        threads = [threading.Thread(target=decide, args=(writer,)) for writer in writers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(won), len(lost)) == (1, 3)
        found = state.rollout()
        assert found is not None
        assert found.version == rollout.version + 1
        rollout = found
    assert [row.version for row in state.stages("r-v1")] == list(range(1, 10))
    for writer in writers:
        writer.close()


def test_one_writer_may_be_shared_by_threads(state: StateWriter) -> None:
    begun(state)
    threads = [
        threading.Thread(
            target=lambda n=n: state.commit(Commit(audit=(AuditEntry(f"t{n}", "note", "x", "y"),)), T0)  # type: ignore[misc]
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {row["actor"] for row in state.audit_rows()} == {f"t{n}" for n in range(8)}
    assert state.verify_chains()["audit"] is None


def test_a_block_is_closed_once(state: StateWriter) -> None:
    begun(state)
    state.commit(Commit(ledger=(entry(0),)), T0)
    untouched = state.export()
    again = entry(0, last_batch=99, counts=[{"nT": 1}])
    with pytest.raises(LostRace, match="closed already"):
        state.commit(Commit(ledger=(entry(1), again), audit=(AuditEntry("a", "b", "c", "d"),)), T0)
    assert state.export() == untouched
    with pytest.raises(LostRace, match="closed already"):
        state.commit(Commit(ledger=(entry(2), entry(2))), T0)
    assert state.export() == untouched
    others = (entry(0, lane="900s+0s"), entry(0, policy_hash="other"), entry(0, rollout_id="r-v2"))
    state.commit(Commit(ledger=others), T0)
    assert len(state.ledger_rows()) == 4
    assert state.verify_chains()["ledger"] is None


def test_a_restart_keeps_the_old_rollout_and_serves_the_new_one(state: StateWriter) -> None:
    rollout = begun(state)
    state.commit(whole(rollout), T0)
    cut = state.rollout()
    assert cut is not None
    named = {"rollout_id": "r-v2", "release": "v2", "release_hash": "h-v2"}
    again = apply(cut, Change(Event.RESTART, ActorKind.PERSON, "mended", T0 + MINUTE, **named), POLICY)
    state.commit(Commit(rollout=again, expected_version=cut.version, stage_event="restart"), T0)
    assert state.rollout() == again
    rows = {row["rollout_id"]: row for row in state.export()["rollouts"]}
    assert {name: row["active"] for name, row in rows.items()} == {"r-v1": False, "r-v2": True}
    assert rows["r-v1"]["state"] == "ROLLED_BACK"
    assert state.lanes("r-v2") == {}
    assert state.has_fired("r-v1")
    assert not state.has_fired("r-v2")


@pytest.mark.parametrize("table", ["audit", "ledger"])
@pytest.mark.parametrize("harm", ["change", "delete", "swap", "insert"])
def test_tampering_with_the_file_is_found_at_its_row(state: StateWriter, tmp_path: Path, table: str, harm: str) -> None:
    begun(state)
    for number in range(6):
        note = AuditEntry("ann", "note", "r-v1", f"reason {number}")
        state.commit(Commit(ledger=(entry(number),), audit=(note,)), T0)
    column = "reason" if table == "audit" else "counts"
    script = {
        "change": f"UPDATE {table} SET {column} = 'other' WHERE seq = 3",
        "delete": f"DELETE FROM {table} WHERE seq = 2",
        "swap": f"UPDATE {table} SET seq = 99 WHERE seq = 3; UPDATE {table} SET seq = 3 WHERE seq = 4; "
        f"UPDATE {table} SET seq = 4 WHERE seq = 99",
        "insert": f"CREATE TEMP TABLE forged AS SELECT * FROM {table} WHERE seq = 6; "
        "UPDATE forged SET seq = 7, prev_hash = hash, hash = 'f'; UPDATE forged SET prev_hash = 'x' || prev_hash;"
        + ("" if table == "audit" else "UPDATE forged SET block_key = 'forged';")
        + f"INSERT INTO {table} SELECT * FROM forged",
    }[harm]
    raw = sqlite3.connect(tmp_path / "state.sqlite")
    raw.executescript(script)
    raw.close()
    found = state.verify_chains()
    broken = found[table]
    assert broken is not None
    assert broken.seq == {"change": 3, "delete": 3, "swap": 3, "insert": 7}[harm]
    assert found["ledger" if table == "audit" else "audit"] is None


def test_a_claim_has_one_owner_until_it_expires_and_none_behind_done(state: StateWriter, other: StateWriter) -> None:
    lease = timedelta(minutes=5)
    assert state.claim_run("drift", "s1", "a", T0, lease)
    assert not other.claim_run("drift", "s1", "b", T0 + MINUTE, lease)
    assert not state.claim_run("drift", "s1", "a", T0 + MINUTE, lease)  # its owner is at it already
    assert state.claim_run("drift", "s2", "a", T0, lease)
    assert state.claim_run("rollup", "s1", "b", T0, lease)
    assert other.claim_run("drift", "s1", "b", T0 + lease, lease)  # expired: taken over
    assert not state.claim_run("drift", "s1", "a", T0 + lease + MINUTE, lease)
    other.finish_run("drift", "s1", {"rows": 3}, T0 + lease + 2 * MINUTE)
    assert not state.claim_run("drift", "s1", "a", T0 + timedelta(days=1), lease)
    (row,) = [row for row in state.export()["runs"] if (row["job"], row["slot"]) == ("drift", "s1")]
    assert (row["owner"], row["result"]) == ("b", '{"rows":3}')


def test_housekeeping_does_not_wake_readers(state: StateWriter) -> None:
    before = state.version()
    state.claim_run("job", "s", "a", T0, MINUTE)
    state.finish_run("job", "s", {}, T0)
    state.take_lease("writer", "a", T0, MINUTE)
    assert state.version() == before
    begun(state)
    assert state.version() == before + 1


def test_a_lease_has_one_holder_and_the_old_one_stops_writing(state: StateWriter, other: StateWriter) -> None:
    ttl = timedelta(seconds=30)
    assert state.take_lease("writer", "a", T0, ttl) == 1
    rollout = begun(state)
    assert state.take_lease("writer", "a", T0 + timedelta(seconds=20), ttl) == 1  # renewed
    with pytest.raises(FencedOff, match="held by a"):
        other.take_lease("writer", "b", T0 + timedelta(seconds=40), ttl)
    assert other.take_lease("writer", "b", T0 + timedelta(seconds=50), ttl) == 2  # expired
    untouched = state.export()
    for write in (
        lambda: state.commit(whole(rollout), T0),
        lambda: state.record_sent("m", {}, T0),
        lambda: state.claim_run("job", "s", "a", T0, ttl),
        lambda: state.approve(rollout, "ben", "", T0),
        lambda: state.register_policy("h", "n", "t", T0),
    ):
        with pytest.raises(FencedOff, match="taken over"):
            write()
    assert state.export() == untouched
    with pytest.raises(FencedOff, match="held by b"):
        state.take_lease("writer", "a", T0 + timedelta(seconds=60), ttl)
    with pytest.raises(FencedOff, match="taken over"):
        state.commit(whole(rollout), T0)
    other.commit(whole(rollout), T0)
    assert state.take_lease("writer", "a", T0 + timedelta(seconds=90), ttl) == 3
    with pytest.raises(FencedOff, match="taken over"):
        other.record_sent("m", {}, T0)


def test_a_failed_renewal_leaves_the_fence_up(state: StateWriter, other: StateWriter) -> None:
    state.take_lease("writer", "a", T0, MINUTE)
    with pytest.raises(ValueError, match="no time zone"):
        state.take_lease("writer", "a", T0.replace(tzinfo=None), MINUTE)
    other.take_lease("writer", "b", T0 + MINUTE, MINUTE)
    with pytest.raises(FencedOff):
        begun(state)


def test_a_lease_that_was_given_up_is_free_at_once_and_fences_what_comes_late(
    state: StateWriter, other: StateWriter
) -> None:
    state.take_lease("writer", "a", T0, timedelta(hours=1))
    state.give_up_lease("writer", "a", T0 + MINUTE)
    assert other.take_lease("writer", "b", T0 + MINUTE, MINUTE) == 2
    with pytest.raises(FencedOff):
        begun(state)
    state.give_up_lease("writer", "a", T0 + MINUTE)  # not its own any more: no effect
    with pytest.raises(FencedOff, match="held by b"):
        state.take_lease("writer", "c", T0 + MINUTE, MINUTE)


def test_a_person_without_a_lease_may_write(state: StateWriter, other: StateWriter) -> None:
    """The command line acts while the control process holds the lease."""
    state.take_lease("writer", "a", T0, MINUTE)
    rollout = begun(other)
    state.commit(whole(rollout), T0)


def test_the_export_has_every_table_and_column(state: StateWriter, tmp_path: Path) -> None:
    state.commit(whole(begun(state)), T0)
    exported = state.export()
    raw = sqlite3.connect(tmp_path / "state.sqlite")
    names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(exported) == names - {"sqlite_sequence"}
    for table in state_tables.metadata.sorted_tables:
        for row in exported[table.name]:
            assert list(row) == [column.name for column in table.columns]
            assert all(value is None or isinstance(value, str | int | float) for value in row.values())
    assert exported["ledger"] == state.ledger_rows()
    raw.close()


def test_an_export_is_of_one_moment(state: StateWriter, other: StateWriter) -> None:
    begun(state)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            note = AuditEntry("a", "note", str(number), "")
            other.commit(Commit(ledger=(entry(number),), audit=(note,)), T0)
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(40):
            exported = state.export()
            assert len(exported["ledger"]) == len(exported["audit"])
    finally:
        stop.set()
        thread.join()


def methods(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_who_only_reads_cannot_write(state: StateWriter, url: str) -> None:
    begun(state)
    reader = StateReader(url)
    writing = methods(StateWriter) - methods(StateReader)
    assert {"commit", "migrate", "approve", "take_lease", "claim_run", "record_sent", "register_policy"} <= writing
    verbs = ("commit", "record", "register", "approve", "take", "give", "claim", "finish", "migrate", "write", "set")
    assert not [name for name in methods(StateReader) if name.startswith(verbs)]
    assert reader.rollout() == state.rollout()
    reader.close()


def test_a_reader_sees_only_what_is_committed(state: StateWriter, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rollout = begun(state)
    reader, seen = StateReader(url), []
    real = state_module.append_audit

    def look(*arguments: Any) -> None:
        real(*arguments)
        seen.append((reader.rollout(), reader.version(), len(reader.audit_rows())))

    monkeypatch.setattr(state_module, "append_audit", look)
    state.commit(whole(rollout), T0)
    assert seen == [(rollout, 1, 0)]
    assert (reader.version(), len(reader.audit_rows())) == (2, 1)
    reader.close()


def test_migrating_twice_changes_nothing(state: StateWriter) -> None:
    begun(state)
    before = state.export()
    state.migrate(T0 + MINUTE)
    assert state.export() == before


def test_the_state_of_a_newer_program_is_refused_and_left_alone(state: StateWriter, tmp_path: Path, url: str) -> None:
    begun(state)
    raw = sqlite3.connect(tmp_path / "state.sqlite")
    raw.execute("INSERT INTO schema_version VALUES (?, ?)", (state_migrations.SCHEMA_VERSION + 1, to_text(T0)))
    raw.execute("DROP TABLE artefacts")  # as if the newer one had done without it
    raw.commit()
    with pytest.raises(RuntimeError, match="install the newer program"):
        state.migrate(T0)
    names = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "artefacts" not in names
    raw.close()


def test_approvals_belong_to_a_stage_and_a_release_and_count_once(state: StateWriter) -> None:
    rollout = begun(state)
    for approver in ("eva", "ben", "ben"):
        state.approve(rollout, approver, "looks good", T0)
    assert state.approvals(rollout) == ["ben", "eva"]
    assert [row["event"] for row in state.audit_rows()] == ["approve", "approve"]
    assert state.approvals(replace(rollout, stage=1)) == []
    assert state.approvals(replace(rollout, release_hash="h2")) == []
    assert state.approvals(replace(rollout, rollout_id="r2")) == []


@pytest.mark.parametrize("event", ["deploy", "policy"])
def test_an_approval_from_before_a_change_is_renewed_not_counted(state: StateWriter, event: str) -> None:
    rollout = begun(state)
    for moment in (T0, T0 + MINUTE):
        state.approve(rollout, "ben", "looks good", moment)
    changed = replace(rollout, version=2, updated_at=T0 + 2 * MINUTE)
    state.commit(Commit(rollout=changed, expected_version=1, stage_event=event), T0 + 2 * MINUTE)
    assert state.approvals(changed) == []
    state.approve(changed, "ben", "still good", T0 + 3 * MINUTE)
    assert state.approvals(changed) == ["ben"]
    assert [row["event"] for row in state.audit_rows()] == ["approve", "approve"]


def test_releases_and_policies_are_kept_as_they_were_first_registered(state: StateWriter) -> None:
    state.register_policy("p1", "one", "text é", T0)
    state.register_policy("p1", "two", "changed", T0)
    assert state.policy_text("p1") == "text é"
    assert state.policy_text("p2") is None
    state.register_release("v1", "h1", {"model": "m"}, "ann", T0)
    state.register_release("v2", "h1", {"model": "x"}, "ben", T0)
    assert state.release_hashes() == {"h1": "v1"}
    assert (state.author("h1"), state.author("h2")) == ("ann", None)


def test_a_verified_cut_is_marked_with_all_that_says_so(state: StateWriter) -> None:
    state.commit(whole(begun(state)), T0)
    assert state.cut_verified_at("r-v1") is None
    contained = incident("contained", cut_at=T0, verified_at=T0 + MINUTE)
    told = NewMessage("i1:contained", "alert", {})
    audit = AuditEntry("controlplane", "cut_verified", "r-v1", "seen")
    state.record_cut_verified("r-v1", Commit(audit=(audit,), incident=contained, messages=(told,)), T0 + MINUTE)
    assert state.cut_verified_at("r-v1") == T0 + MINUTE
    assert state.incidents() == [contained]
    assert [item.outbox_id for item in state.outbox()] == ["i1:opened", "i1:contained"]
    assert state.audit_rows()[-1]["event"] == "cut_verified"
    row = state.rollout()
    assert row is not None
    assert row.version == 2  # telling is no change of what is served


def test_the_first_alert_of_an_incident_is_kept(state: StateWriter) -> None:
    state.commit(Commit(incident=incident()), T0)
    state.record_alerted("i1", T0 + MINUTE)
    state.record_alerted("i1", T0 + 2 * MINUTE)
    assert state.incidents()[0].alerted_at == T0 + MINUTE


def test_an_artefact_has_one_version_of_each_id(state: StateWriter) -> None:
    state.record_artefact("d1", "drift", "reports/d1.html", {"drifted": ["x"]}, T0)
    before = state.export()
    with pytest.raises(Exception, match="UNIQUE"):
        state.record_artefact("d1", "drift", "reports/other.html", {}, T0)
    assert state.export() == before


def test_the_latch_is_what_the_lanes_remember(state: StateWriter) -> None:
    begun(state)
    assert not state.has_fired("r-v1")
    for number, fired in enumerate([[], ["trigger:a|all"], []]):
        lane = LaneState("60s+0s", T0, {"fired": fired})
        state.commit(Commit(ledger=(entry(number),), lanes=(lane,)), T0)
        assert state.has_fired("r-v1") == bool(fired)


def test_times_are_utc_text_that_sorts_as_it_compares() -> None:
    berlin = timezone(timedelta(hours=1))
    moments = [T0 + timedelta(microseconds=n * 333_333) for n in range(5)]
    texts = [to_text(moment) for moment in moments]
    assert all(one < two for one, two in pairwise(texts))
    assert [from_text(text) for text in texts] == moments
    assert to_text(T0.astimezone(berlin)) == to_text(T0) == "2026-01-05T09:00:00.000000Z"
    with pytest.raises(ValueError, match="no time zone"):
        to_text(T0.replace(tzinfo=None))


def test_a_state_that_is_not_there_is_an_error_and_no_empty_state(tmp_path: Path) -> None:
    reader = StateReader(f"sqlite:///{tmp_path / 'none.sqlite'}")
    with pytest.raises(Exception, match="no such table"):
        reader.rollout()
    reader.close()
