"""Opening the warehouse: migrations, the lock, threads, time zone."""

import subprocess
import sys
import threading
from datetime import UTC, datetime

import duckdb
import pytest

from controlplane.store.queries import migrations
from controlplane.store.warehouse import Warehouse, WarehouseError, WarehouseLocked


def tables(warehouse):
    return {row[0] for row in warehouse.cursor().execute("SHOW TABLES").fetchall()}


def test_a_new_file_gets_every_migration_once(tmp_path):
    path = tmp_path / "deep" / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        assert {"interactions", "conversations", "quarantine", "touched_minutes"} <= tables(warehouse)
    with Warehouse.open(path) as warehouse:
        applied = warehouse.cursor().execute("SELECT number, name FROM schema_migrations ORDER BY number").fetchall()
    assert applied == migrations()


def test_the_file_is_readable_by_the_pinned_version(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        tags = (
            warehouse.cursor().execute("SELECT tags FROM duckdb_databases() WHERE database_name = 'facts'").fetchall()
        )
    assert tags[0][0]["storage_version"].startswith("v1.5.0")


def test_a_failed_migration_leaves_nothing_behind(tmp_path, monkeypatch):
    from controlplane.store import warehouse as module

    real = module.load
    monkeypatch.setattr(module, "migrations", lambda: [*migrations(), (999, "migrations/999_bad")])
    monkeypatch.setattr(
        module,
        "load",
        lambda name: "CREATE TABLE half (i INTEGER); SELECT * FROM nowhere;" if "999" in name else real(name),
    )
    with pytest.raises(duckdb.Error):
        Warehouse.open(tmp_path / "facts.duckdb")
    monkeypatch.undo()
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        assert "half" not in tables(warehouse)


def test_another_process_is_named_with_the_remedy(tmp_path):
    path = tmp_path / "facts.duckdb"
    program = "import sys; from controlplane.store.warehouse import Warehouse; Warehouse.open(sys.argv[1], read_only=sys.argv[2] == 'read')"
    with Warehouse.open(path):
        for way in ("write", "read"):
            done = subprocess.run(
                [sys.executable, "-c", program, str(path), way], capture_output=True, text=True, check=False
            )
            assert done.returncode == 1
            assert "WarehouseLocked" in done.stderr
            assert "is in use by process" in done.stderr
            assert "controlplane up" in done.stderr


def test_locked_is_a_warehouse_error():
    assert issubclass(WarehouseLocked, WarehouseError)


def test_reading_needs_a_file(tmp_path):
    with pytest.raises(WarehouseError, match=r"no warehouse at .*`controlplane ingest`"):
        Warehouse.open(tmp_path / "facts.duckdb", read_only=True)


def test_reading_cannot_write(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb"):
        pass
    with Warehouse.open(tmp_path / "facts.duckdb", read_only=True) as warehouse, pytest.raises(duckdb.Error):
        warehouse.cursor().execute("DELETE FROM interactions")


def test_a_foreign_file_is_refused(tmp_path):
    (tmp_path / "facts.duckdb").write_bytes(b"no database" * 1000)
    with pytest.raises(WarehouseError, match="can't open the warehouse"):
        Warehouse.open(tmp_path / "facts.duckdb")
    duckdb.connect(str(tmp_path / "other.duckdb")).close()
    with pytest.raises(WarehouseError, match="not a warehouse of controlplane"):
        Warehouse.open(tmp_path / "other.duckdb", read_only=True)


def test_an_older_file_is_not_read_and_a_newer_one_not_written(tmp_path):
    path = tmp_path / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        warehouse.cursor().execute("DELETE FROM schema_migrations WHERE number > 1")
    with pytest.raises(WarehouseError, match="lacks migrations/002"):
        Warehouse.open(path, read_only=True)
    connection = duckdb.connect(str(path))
    connection.execute("INSERT INTO schema_migrations VALUES (900, 'migrations/900_future')")
    connection.close()
    with pytest.raises(WarehouseError, match="newer version"):
        Warehouse.open(path)


def test_times_with_offsets_are_utc_in_every_session(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        query = "SELECT TRY_CAST('2026-01-01T00:00:00' AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
        assert warehouse.cursor().execute(query).fetchall() == [
            (datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None),)
        ]


def test_each_thread_has_its_own_cursor(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        seen = []

        def work(number):
            with warehouse.transaction() as cursor:
                cursor.execute("INSERT INTO sources VALUES (?, false, NULL, now()::TIMESTAMP)", [f"s{number}"])
            seen.append(number)

        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == [0, 1, 2, 3]
        assert warehouse.cursor().execute("SELECT count(*) FROM sources").fetchall() == [(4,)]


def test_a_transaction_that_raises_changes_nothing(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:

        def half_done():
            with warehouse.transaction() as cursor:
                cursor.execute("INSERT INTO sources VALUES ('s', false, NULL, now()::TIMESTAMP)")
                raise RuntimeError("stop")

        with pytest.raises(RuntimeError, match="stop"):
            half_done()
        assert warehouse.cursor().execute("SELECT count(*) FROM sources").fetchall() == [(0,)]


def test_closing_releases_the_file_though_cursors_live(tmp_path):
    path = tmp_path / "facts.duckdb"
    warehouse = Warehouse.open(path)
    kept = warehouse.cursor()
    warehouse.close()
    warehouse.close()
    with pytest.raises(duckdb.Error):
        kept.execute("SELECT 1")
    Warehouse.open(path, memory_limit="256MB", threads=1).close()


def test_checkpoint_empties_the_log(tmp_path):
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        warehouse.cursor().execute("INSERT INTO sources VALUES ('s', false, NULL, now()::TIMESTAMP)")
        warehouse.checkpoint()
        assert not (tmp_path / "facts.duckdb.wal").exists()
