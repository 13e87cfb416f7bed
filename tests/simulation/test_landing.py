"""The world's records go the real way: landing folder, ingest, facts. Nothing is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from controlplane.store.facts import ingest_landing
from controlplane.store.landing import LandingWriter
from controlplane.store.warehouse import Warehouse
from tests.simulation.conftest import MakeWorld
from tests.simulation.measure import START, of_kind


def test_everything_the_world_tells_becomes_a_fact(make_world: MakeWorld, tmp_path: Path) -> None:
    until = START + timedelta(minutes=5)
    records = make_world().advance(until)
    with LandingWriter(tmp_path / "landing", "embedded") as landing:
        landing.write(records)
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        counts = ingest_landing(warehouse, tmp_path / "landing", now=until, key=b"0" * 32).counts
        with warehouse.cursor() as cursor:
            stored = cursor.execute("SELECT arm, eligible, turns, escalated_at FROM conversations").fetchall()
            quarantined = cursor.execute("SELECT reason, field, detail FROM quarantine").fetchall()
    assert quarantined == []
    assert (counts.read, counts.stored, counts.duplicates, counts.quarantined) == (len(records), len(records), 0, 0)
    exposures, turns = of_kind(records, "exposure"), of_kind(records, "interaction")
    assert len(stored) == len(exposures)
    assert sum(row[2] for row in stored) == len(turns)
    assert sum(row[0] == "assistant" for row in stored) == sum(e["variant"] == "assistant" for e in exposures)
    assert sum(row[1] for row in stored) == sum(e["eligible"] for e in exposures)
    escalated = {turn["conversation_id"] for turn in turns if turn["escalated"]}
    assert sum(row[3] is not None for row in stored) == len(escalated)
