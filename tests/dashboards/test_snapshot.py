"""The snapshot: whole or not at all, only when something changed, readable while the writer works, nothing private in it."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from controlplane.core.rollout import Event
from controlplane.store import snapshot
from controlplane.store.snapshot import NoSnapshot, SnapshotReader, VersionInfo, publish
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import AuditEntry, Commit, to_text
from controlplane.store.warehouse import Warehouse

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
INFO = VersionInfo(1, "0.1.0", "demo")


@pytest.fixture
def stores(tmp_path: Path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        state = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
        state.migrate(NOW)
        yield warehouse, state, tmp_path / "snapshots"
        state.close()


def put(stores, now: datetime = NOW, info: VersionInfo = INFO) -> Path:
    warehouse, state, folder = stores
    cursor = warehouse.cursor()
    path = publish(cursor, state.export(), folder, now, info)
    cursor.close()
    return path


def query(path: Path, sql: str) -> list:
    with snapshot.open_file(path) as connection:
        return connection.execute(sql).fetchall()


def add_minutes(stores, *minutes: datetime) -> None:
    cursor = stores[0].cursor()
    for minute in minutes:
        values = [minute.replace(tzinfo=None)]
        cursor.execute(
            "INSERT INTO rollup_minute VALUES ($1, 'assistant', 'v1', 'ramp', 'retail', TRUE, 'conversation', 'csat', 2, 0, 9, 41)",
            values,
        )
        cursor.execute("INSERT INTO rollup_runs VALUES ($1, 1, 1, 1)", values)
    cursor.close()


def test_nothing_published_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoSnapshot, match="controlplane up"):
        SnapshotReader(tmp_path / "snapshots").current()


def test_an_empty_workspace_has_every_table_with_its_types(stores) -> None:
    path = put(stores)
    tables = {row[0] for row in query(path, "SELECT table_name FROM duckdb_tables()")}
    assert {
        "meta",
        "rollup",
        "latency",
        "readings",
        "lanes",
        "rollouts",
        "stages",
        "incidents",
        "audit",
        "outbox",
        "artefacts",
    } <= tables
    assert query(path, "SELECT count(*) FROM rollouts WHERE active AND share > 0.1") == [(0,)]
    assert query(path, "SELECT kind, version, watermark, minute_from FROM meta") == [
        ("demo", 1, None, (NOW - timedelta(hours=48)).replace(tzinfo=None))
    ]


def test_no_content_and_no_customer_is_in_a_snapshot(stores) -> None:
    path = put(stores)
    names = {row[0] for row in query(path, "SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal")}
    assert not names & {"question", "answer", "user_id", "conversation_id", "record", "raw", "comment", "slots"}


def test_nothing_that_a_customer_said_gets_in_by_the_state(stores) -> None:
    state, said = stores[1], "where is my card ending 77"
    topic = {"topic_id": "t1", "terms": ["card"], "customers": 3, "examples": [said]}
    state.record_artefact("topics-1", "topics", "reports/topics/t.json", {"topics": [topic], "questions": 4}, NOW)
    state.record_artefact("drift-1", "drift", "reports/drift/d", {"status": "stable"}, NOW)
    readings = (
        AuditEntry("rita", "conversation_read", "conv-1", "complaint", {"day": "2026-01-05"}),
        AuditEntry("rita", "answers_read", "groundedness", "examples", {"conversations": ["conv-1"]}),
    )
    state.commit(Commit(audit=(*readings, AuditEntry("kim", "hold", "r1", "looks odd"))), NOW)
    path = put(stores)
    rows = query(path, "SELECT artefact_id, summary FROM artefacts ORDER BY 1")
    assert json.loads(rows[1][1]) == {
        "topics": [{"topic_id": "t1", "terms": ["card"], "customers": 3}],
        "questions": 4,
    }
    assert json.loads(rows[0][1]) == {"status": "stable"}
    assert [row[0] for row in query(path, "SELECT event FROM audit")] == ["hold"]
    words = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert said.encode() not in words
    assert b"conv-1" not in words
    columns = query(path, "SELECT table_name, column_name FROM duckdb_columns() WHERE table_name LIKE 'review_%'")
    assert {table for table, column in columns if column == "note"} == set()


def test_unchanged_is_not_written_again_but_checked(stores) -> None:
    first = put(stores)
    before = SnapshotReader(stores[2]).current()
    (stores[2] / "CURRENT").touch()
    assert put(stores, NOW + timedelta(minutes=5)) == first
    after = SnapshotReader(stores[2]).current()
    assert after.key == before.key
    assert after.checked_at >= before.checked_at


def test_new_rollups_or_a_new_state_make_a_new_one(stores) -> None:
    first = put(stores)
    add_minutes(stores, NOW)
    second = put(stores)
    third = put(stores, info=VersionInfo(2, "0.1.0", "demo"))
    assert [first.name, second.name, third.name] == ["snap-1.duckdb", "snap-2.duckdb", "snap-3.duckdb"]
    assert query(second, "SELECT n, total FROM rollup") == [(2, 9.0)]


def test_the_last_three_are_kept_and_numbers_only_rise(stores) -> None:
    for state_version in range(1, 6):
        put(stores, info=VersionInfo(state_version, "0.1.0", "demo"))
    assert sorted(path.name for path in stores[2].iterdir()) == [
        "CURRENT",
        "snap-3.duckdb",
        "snap-4.duckdb",
        "snap-5.duckdb",
    ]
    (stores[2] / "CURRENT").unlink()
    assert put(stores).name == "snap-6.duckdb"


def test_old_minutes_become_hours_and_sums_stay(stores) -> None:
    old = NOW - timedelta(hours=60)
    add_minutes(stores, old, old + timedelta(minutes=7), NOW, NOW + timedelta(minutes=1))
    path = put(stores, NOW + timedelta(minutes=30))
    rows = query(path, "SELECT start, span_seconds, n, total, total_sq FROM rollup ORDER BY start")
    assert rows[0] == (old.replace(tzinfo=None), 3600, 4, 18.0, 82.0)
    assert [row[1] for row in rows] == [3600, 60, 60]


def test_a_crash_before_the_pointer_leaves_the_old_one(stores, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stores)

    def crash(folder: Path, content: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_point", crash)
        add_minutes(stores, NOW)
        with pytest.raises(KeyboardInterrupt):
            put(stores)
    assert SnapshotReader(stores[2]).current().version == 1
    assert put(stores).name == "snap-3.duckdb"  # the half-published number is not taken again
    assert query(SnapshotReader(stores[2]).current().path, "SELECT count(*) FROM rollup") == [(1,)]


def test_a_damaged_pointer_is_named_and_replaced(stores) -> None:
    put(stores)
    (stores[2] / "CURRENT").write_text("{")
    with pytest.raises(NoSnapshot, match="CURRENT is damaged"):
        SnapshotReader(stores[2]).current()
    put(stores)
    assert SnapshotReader(stores[2]).current().version == 2


def test_a_pruned_file_is_a_clear_verdict(stores) -> None:
    path = put(stores)
    ref = SnapshotReader(stores[2]).current()
    path.unlink()
    with pytest.raises(NoSnapshot, match="is gone"):
        SnapshotReader(stores[2]).current()
    with pytest.raises(NoSnapshot, match="can't read"), SnapshotReader(stores[2]).open(ref):
        pass


def test_a_file_of_a_fresh_folder_with_the_same_name_has_another_key(stores) -> None:
    put(stores)
    before = SnapshotReader(stores[2]).current()
    for path in stores[2].iterdir():
        path.unlink()
    put(stores, NOW + timedelta(seconds=1))
    after = SnapshotReader(stores[2]).current()
    assert after.path == before.path
    assert after.key != before.key


def test_another_schema_is_refused_with_the_remedy(stores) -> None:
    put(stores)
    pointer = json.loads((stores[2] / "CURRENT").read_text())
    (stores[2] / "CURRENT").write_text(json.dumps(pointer | {"schema": 99}))
    with pytest.raises(NoSnapshot, match="restart the control process"):
        SnapshotReader(stores[2]).current()


def test_readers_of_another_process_work_while_the_writer_has_the_facts_open(stores) -> None:
    path = put(stores)
    code = "import sys, duckdb; print(duckdb.connect(sys.argv[1], read_only=True).execute('SELECT version FROM meta').fetchall())"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[(1,)]"


def test_a_reader_keeps_its_snapshot_while_newer_ones_come(stores) -> None:
    put(stores)
    with SnapshotReader(stores[2]).open() as connection:
        for state_version in range(2, 7):
            put(stores, info=VersionInfo(state_version, "0.1.0", "demo"))
        assert connection.execute("SELECT version FROM meta").fetchall() == [(1,)]


def test_the_ledger_becomes_readings_with_their_counts(tiny_world) -> None:
    tiny_world.state.register_policy(tiny_world.policy.hash, "p", tiny_world.policy.text, NOW)
    tiny_world.person(Event.START, "go")
    tiny_world.run(tiny_world.now + timedelta(minutes=45))
    path = tiny_world.save()
    rows = query(
        path,
        "SELECT trigger, segment, log_threshold, n_t + n_c, k_t FROM readings ORDER BY trigger, segment, block_start",
    )
    assert len(rows) == 3 * 5 * 2  # blocks, triggers, streams
    assert all(row[3] is not None and row[3] > 0 for row in rows if row[0] == "escalation_increase" and row[1] == "all")
    assert all(row[4] is not None for row in rows if row[0] == "csat_drop" and row[1] == "all")
    standing = json.loads(query(path, "SELECT standing FROM lanes")[0][0])
    assert set(standing) == {"last", "standings", "fired", "heard"}


def test_two_days_of_minute_blocks_with_thirty_streams_fit_in_memory(stores) -> None:
    streams = [(f"t{i}", segment) for i in range(10) for segment in ("all", "retail", "business")]
    seen = [
        {"trigger": t, "segment": g, "metric": "m", "log_e": -3.2, "log_threshold": 7.0, "fired": False}
        for t, g in streams
    ]
    counted = [{"stream": t, "segment": g, "nT": 1, "xT": 0, "nC": 4, "xC": 1} for t, g in streams]
    row = {
        "rollout_id": "r",
        "policy_hash": "p",
        "lane": "60s",
        "span_seconds": 60,
        "last_batch": 1,
        "prev_hash": "",
        "hash": "",
    }
    row |= {"closed_at": to_text(NOW), "readings": json.dumps(seen), "counts": json.dumps(counted)}
    ledger = [
        {**row, "seq": i, "block_key": str(i), "block_start": to_text(NOW - timedelta(minutes=i))}
        for i in range(2 * 24 * 60 + 600)
    ]
    cursor = stores[0].cursor()
    path = publish(cursor, stores[1].export() | {"ledger": ledger}, stores[2], NOW, INFO)
    cursor.close()
    assert query(path, "SELECT count(*), sum(n_t + n_c) FROM readings") == [(2881 * 30, 2881 * 30 * 5)]
    assert path.stat().st_size < 10e6


def test_a_failing_publication_releases_the_transaction(stores, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise duckdb.IOException("disk full")

    cursor = stores[0].cursor()
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "_write", broken)
        with pytest.raises(duckdb.IOException, match="disk full"):
            publish(cursor, stores[1].export(), stores[2], NOW, INFO)
    cursor.execute("BEGIN TRANSACTION")
    cursor.execute("ROLLBACK")
    assert publish(cursor, stores[1].export(), stores[2], NOW, INFO).is_file()
    cursor.close()
