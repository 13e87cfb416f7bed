"""Which sources the watermark waits for: those that live, and those that ended hard, but not those that signed off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.store.facts import ingest_landing
from controlplane.store.landing import LandingWriter
from controlplane.store.rollups import watermark
from controlplane.store.warehouse import Warehouse

T0 = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
KEY = b"k" * 32


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "facts.duckdb") as found:
        yield found


def after(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def test_the_watermark_waits_for_a_source_that_ended_hard_but_not_for_one_that_signed_off(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"

    def take(minutes: float) -> datetime | None:
        ingest_landing(warehouse, landing, now=after(minutes), key=KEY)
        return watermark(warehouse, 0)

    with LandingWriter(landing, "steady") as steady, LandingWriter(landing, "guest") as guest:
        steady.heartbeat(after(1))
        guest.heartbeat(after(1))
        assert take(1) == after(1)
        steady.heartbeat(after(5))
        assert take(5) == after(1)
        guest.sign_off(after(2))
        assert take(5) == after(5)
        guest.heartbeat(after(6))
        assert take(6) == after(5)


def test_a_sign_off_in_the_same_slice_as_its_records_counts_once_they_are_stored(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    landing = tmp_path / "landing"
    with LandingWriter(landing, "guest") as guest:
        turn = {"interaction_id": "a", "conversation_id": "c", "turn": 1, "ts": after(0).isoformat()}
        guest.write([turn])
        guest.sign_off(after(1))
    counts = ingest_landing(warehouse, landing, now=after(2), key=KEY).counts
    assert (counts.read, counts.stored) == (1, 1)
    assert watermark(warehouse, 0) is None
