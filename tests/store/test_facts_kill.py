"""Killed between any two steps, ingest loses nothing that was acknowledged and doubles nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from controlplane.store.facts import IngestCounts, ingest_landing
from controlplane.store.landing import LandingWriter
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import KEY, NOW, contents, exposure, feedback, ingest, interaction, rows, write_lines

ROOT = Path(__file__).resolve().parents[2]
STEPS = ["stage", "judge", "settle", "store", "record", "converse", "note", "commit"]


def lines():
    """A file of several slices: conversations that span them, duplicates, bad rows."""
    made = []
    for number in range(40):
        made.append(
            interaction(
                number,
                f"c{number // 4}",
                number * 10,
                turn=number % 4,
                user_id=f"u{number // 4 % 3}",
                csat=1 + number % 5,
                tokens_in=1,
            )
        )
        if number % 4 == 0:
            made.append(exposure(number, f"c{number // 4}", number * 10, user_id=f"u{number // 4 % 3}"))
        if number % 10 == 3:
            made += [
                made[-1],
                "torn {",
                interaction(number, csat=9),
                feedback(number, f"c{number // 4}", 500 + number, csat=2),
            ]
    return made


def killed(*arguments):
    """Runs the worker to its own SIGKILL."""
    program = str(ROOT / "tests" / "store" / "ingest_worker.py")
    done = subprocess.run(
        [sys.executable, program, *map(str, arguments)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What an uninterrupted run stores."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with Warehouse.open(folder / "w.duckdb") as warehouse:
        counts = ingest(warehouse, write_lines(folder / "a.jsonl", lines()))
        return counts, contents(warehouse)


@pytest.mark.parametrize(("step", "times"), [*((step, 2) for step in STEPS), ("stage", 3)])
def test_a_file_is_taken_in_whole_after_a_kill_at_any_step(tmp_path, undisturbed, step, times):
    path = write_lines(tmp_path / "a.jsonl", lines())
    killed("file", tmp_path / "w.duckdb", path, step, times)
    counts, expected = undisturbed
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        before = rows(warehouse, "SELECT coalesce(sum(stored), 0) FROM batches")[0][0]
        again = ingest(warehouse, path)
        assert again == IngestCounts(
            counts.read, counts.stored - before, counts.duplicates + before, counts.quarantined
        )
        assert contents(warehouse) == expected


@pytest.mark.parametrize(("step", "times"), [("settle", 1), ("converse", 2), ("record", 2), ("commit", 1)])
def test_the_landing_folder_is_read_on_after_a_kill(tmp_path, undisturbed, step, times):
    folder = tmp_path / "landing"
    (folder / "phone").mkdir(parents=True)
    path = write_lines(folder / "phone" / "00000001.jsonl", lines())
    killed("landing", tmp_path / "w.duckdb", folder, step, times)
    counts, expected = undisturbed
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        done = rows(warehouse, "SELECT coalesce(sum(records_read), 0), coalesce(max(to_offset), 0) FROM batches")[0]
        rest = ingest_landing(warehouse, folder, now=NOW, key=KEY)
        assert rest.counts.read == counts.read - done[0]
        assert rows(warehouse, "SELECT next_offset FROM files") == [(path.stat().st_size,)]
        assert contents(warehouse) == expected
        sums = rows(warehouse, "SELECT sum(records_read), sum(stored), sum(duplicates), sum(quarantined) FROM batches")[
            0
        ]
        assert sums == (counts.read, counts.stored, counts.duplicates, counts.quarantined)


def test_what_a_killed_writer_was_told_is_durable_is_there(tmp_path):
    folder = tmp_path / "landing"
    program = str(ROOT / "tests" / "store" / "ingest_worker.py")
    worker = subprocess.Popen(
        [sys.executable, program, "write", str(folder)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout
    acknowledged = [worker.stdout.readline().strip() for _ in range(20)]
    with Warehouse.open(tmp_path / "w.duckdb") as warehouse:
        ingest_landing(warehouse, folder, now=NOW, key=KEY)
        worker.kill()
        acknowledged += worker.stdout.read().split()
        worker.wait()
        worker.stdout.close()
        segment = folder / "phone" / "00000001.jsonl"
        with segment.open("ab") as file:
            file.write(b'{"interaction_id": "never acknowledged", "conv')
        ingest_landing(warehouse, folder, now=NOW, key=KEY)
        assert rows(warehouse, "SELECT count(*) FROM quarantine") == [(0,)]
        with LandingWriter(folder, "phone") as writer:
            writer.write([interaction(900_000_000, "next")])
        result = ingest_landing(warehouse, folder, now=NOW, key=KEY)
        assert result.counts == IngestCounts(2, 1, 0, 1)
        stored = {row[0] for row in rows(warehouse, "SELECT interaction_id FROM interactions")}
        assert set(acknowledged) <= stored
        assert rows(warehouse, "SELECT count(*) - count(DISTINCT interaction_id) FROM interactions") == [(0,)]
        assert rows(warehouse, "SELECT reason, path FROM quarantine") == [("torn_line", str(segment))]
        assert ingest_landing(warehouse, folder, now=NOW, key=KEY).slices == 0
