"""Requests and dependencies per five minutes: a warehouse from before is filled, and the check sees what is missing."""

from __future__ import annotations

from pathlib import Path

from controlplane.store.rollups import failed_checks, refresh
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_recount import assert_rollups_equal_recount
from tests.store.rollup_world import T0, DependencyCall, Facts, Turn, at, fetch, small_world


def test_a_warehouse_from_before_is_filled_by_the_next_refresh(tmp_path: Path) -> None:
    path = tmp_path / "facts.duckdb"
    with Warehouse.open(path) as warehouse:
        facts = small_world(Facts(warehouse))
        facts.store(DependencyCall("d1", "c1", at(900), "bank", 190.0), Turn("i7", "c7", at(4000), latency_ms=0.0))
        refresh(warehouse, T0)
        with warehouse.transaction() as cursor:
            cursor.execute("DROP TABLE rollup_service")
            cursor.execute("DELETE FROM schema_migrations WHERE number = 14")
    with Warehouse.open(path) as facts.warehouse:
        assert fetch(facts.warehouse, "SELECT * FROM rollup_service") == []
        assert refresh(facts.warehouse, T0).minutes > 0
        assert_rollups_equal_recount(facts)
        assert refresh(facts.warehouse, T0).minutes == 0


def test_what_is_missing_or_too_much_is_found_and_waiting_minutes_are_not(tmp_path: Path) -> None:
    with Warehouse.open(tmp_path / "facts.duckdb") as warehouse:
        facts = Facts(warehouse)
        facts.store(Turn("i1", "c1", at(10)), DependencyCall("d1", "c1", at(12), "bank"))
        assert failed_checks(warehouse, at(0), at(3600)) == {}  # they wait to be rolled up
        refresh(warehouse, T0)
        assert failed_checks(warehouse, at(0), at(3600)) == {}
        with warehouse.transaction() as cursor:
            cursor.execute("UPDATE rollup_service SET calls = 5 WHERE name = 'bank'")
        ((_, name, told, rolled),) = failed_checks(warehouse, at(0), at(3600))["services_agree"]
        assert (name, told, rolled) == ("bank", 1, 5)
