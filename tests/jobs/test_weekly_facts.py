"""Facts as of a batch: whatever is ingested later, and in whatever order, the review reads what it read then."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.store.warehouse import Warehouse
from jobs.weekly_facts import Asked, Read, read, rows_of
from tests.jobs.weekly_world import MONDAY, WEEK, Desk, ingest, stamp

UNTIL = MONDAY + WEEK
NOW = UNTIL + timedelta(hours=7)
STARTS = (MONDAY - timedelta(days=3), MONDAY + timedelta(days=2), MONDAY + timedelta(days=5))
MATURITY = {"csat": 3600, "contact": 72 * 3600, "escalation": 7200, "resolution": 3600}


@pytest.fixture
def warehouse(tmp_path: Path) -> Iterator[Warehouse]:
    with Warehouse.open(tmp_path / "facts.duckdb") as found:
        yield found


def asked(last_batch: int, now: datetime = NOW) -> Asked:
    return Asked(MONDAY, UNTIL, now, last_batch, STARTS, MATURITY)


def newest(warehouse: Warehouse) -> int:
    return int(rows_of(warehouse, "review/pin", {})[0]["last_batch"])


def rows(found: dict[str, Read]) -> dict[str, list[dict[str, Any]]]:
    return {name: one.rows for name, one in found.items()}


def records(seed: int, n: int = 150) -> list[dict[str, Any]]:
    """Customers come back often; two weeks and some days around them."""
    return Desk(seed).weeks(MONDAY - WEEK - timedelta(days=2), UNTIL + timedelta(days=4), n, customers=60)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_ingested_later_changes_nothing(warehouse: Warehouse, tmp_path: Path, seed: int) -> None:
    """Any split of the records: a second half of late turns, exposures, ratings, labels and conversations is not seen as of the first."""
    everything = records(seed)
    random.Random(seed).shuffle(everything)
    ingest(warehouse, tmp_path, everything[: len(everything) // 2], NOW, "first")
    pinned = newest(warehouse)
    before = rows(read(warehouse, asked(pinned), "p"))
    ingest(warehouse, tmp_path, everything[len(everything) // 2 :], NOW, "second")
    again = rows(read(warehouse, asked(pinned), "p"))
    assert again == before
    assert rows(read(warehouse, asked(newest(warehouse)), "p")) != before


def test_the_order_of_arrival_does_not_matter(tmp_path: Path) -> None:
    """One file in order, or three in any: the same sums to the last digit."""
    everything = records(11)
    found = []
    for name in ("one", "three"):
        with Warehouse.open(tmp_path / f"{name}.duckdb") as warehouse:
            if name == "one":
                ingest(warehouse, tmp_path, everything, NOW, name)
            else:
                random.Random(4).shuffle(everything)
                for part in range(3):
                    ingest(warehouse, tmp_path, everything[part::3], NOW, f"{name}{part}")
            found.append(rows(read(warehouse, asked(newest(warehouse)), "p")))
    assert found[0] == found[1]


def test_a_late_turn_that_moves_the_start_and_a_return(warehouse: Warehouse, tmp_path: Path) -> None:
    """The late first turn moves a conversation into last week, and it is no longer what another customer's contact came back to."""
    turn = {"user_id": "u", "arm": "assistant", "latency_ms": 10.0}
    first = [
        {"interaction_id": "a1", "conversation_id": "a", "turn": 2, "ts": stamp(MONDAY + timedelta(hours=30)), **turn},
        {"interaction_id": "b1", "conversation_id": "b", "turn": 1, "ts": stamp(MONDAY + timedelta(hours=2)), **turn},
    ]
    ingest(warehouse, tmp_path, first, NOW, "first")
    pinned = newest(warehouse)
    before = rows(read(warehouse, asked(pinned), "p"))
    back = {row["arm"]: row["y"] for row in before["outcomes"] if row["metric"] == "contact_rate"}
    assert back == {"assistant": 1}
    late = [
        {"interaction_id": "a0", "conversation_id": "a", "turn": 1, "ts": stamp(MONDAY - timedelta(hours=1)), **turn}
    ]
    ingest(warehouse, tmp_path, late, NOW, "late")
    assert rows(read(warehouse, asked(pinned), "p")) == before
    now = rows(read(warehouse, asked(newest(warehouse)), "p"))
    assert {row["week"]: row["conversations"] for row in now["span"]} == {0: 1, 1: 1}


def test_ratings_that_come_after_the_pin_are_not_seen(warehouse: Warehouse, tmp_path: Path) -> None:
    turn = {
        "interaction_id": "a1",
        "conversation_id": "a",
        "turn": 1,
        "ts": stamp(MONDAY),
        "user_id": "u",
        "arm": "baseline",
    }
    ingest(warehouse, tmp_path, [turn], NOW, "first")
    pinned = newest(warehouse)
    rating = {
        "record": "feedback",
        "feedback_id": "f",
        "ts": stamp(MONDAY + timedelta(minutes=3)),
        "conversation_id": "a",
        "csat": 5,
    }
    ingest(warehouse, tmp_path, [rating], NOW, "rating")
    (then,) = read(warehouse, asked(pinned), "p")["ratings"].rows
    (now,) = read(warehouse, asked(newest(warehouse)), "p")["ratings"].rows
    assert (then["mature"], then["n5"]) == (1, 0)
    assert (now["mature"], now["n5"]) == (1, 1)


def test_labels_count_from_when_they_are_final(warehouse: Warehouse, tmp_path: Path) -> None:
    """A conversation of an hour ago is not mature; one whose rating came too late is mature and unrated."""
    turns = [
        {
            "interaction_id": f"i{n}",
            "conversation_id": f"c{n}",
            "turn": 1,
            "ts": stamp(start),
            "user_id": f"u{n}",
            "arm": "assistant",
        }
        for n, start in enumerate((MONDAY, MONDAY + timedelta(hours=5)))
    ]
    late = {
        "record": "feedback",
        "feedback_id": "f",
        "ts": stamp(MONDAY + timedelta(hours=2)),
        "conversation_id": "c0",
        "csat": 1,
    }
    ingest(warehouse, tmp_path, [*turns, late], NOW)
    (row,) = read(warehouse, asked(newest(warehouse), MONDAY + timedelta(hours=5, minutes=30)), "p")["ratings"].rows
    assert (row["conversations"], row["mature"], row["n1"]) == (2, 1, 0)


def test_an_empty_workspace_has_no_rows(warehouse: Warehouse) -> None:
    assert not any(rows(read(warehouse, asked(0), "p")).values())


def test_sums_by_hand(warehouse: Warehouse, tmp_path: Path) -> None:
    """The same counts from the records in plain Python: conversations, persons, tokens, costs and weighted labels."""
    everything = Desk(5).weeks(MONDAY, UNTIL - timedelta(days=1), 200, customers=80)
    ingest(warehouse, tmp_path, everything, NOW)
    found = rows(read(warehouse, asked(newest(warehouse)), "p"))
    turns = [row for row in everything if "interaction_id" in row and "record" not in row]
    shut = {row["conversation_id"] for row in everything if row.get("record") == "exposure" and not row["eligible"]}
    mine = [row for row in turns if row["conversation_id"] not in shut and row["arm"] == "assistant"]
    persons = {row["conversation_id"] for row in mine if row.get("escalated")}
    said = {(row["metric"]): row for row in found["outcomes"] if row["arm"] == "assistant"}
    assert said["escalation_rate"]["x"] == len({row["conversation_id"] for row in mine})
    assert said["escalation_rate"]["y"] == len(persons)
    assert said["escalation_rate"]["units"] == len({row["user_id"] for row in mine})
    asked_for = {(row["metric"]): row for row in found["requests"] if row["arm"] == "assistant"}
    assert asked_for["tokens_per_request"]["y"] == sum(row["tokens_in"] + row["tokens_out"] for row in mine)
    assert asked_for["cost_per_1k_tokens"]["y"] == round(sum(row["cost_usd"] for row in mine) * 1e9)
    by_key = {row["interaction_id"]: row for row in mine}
    weights: dict[str, float] = {}
    for row in everything:
        if row.get("name") == "intent_true" and row["interaction_id"] in by_key:
            weights[row["interaction_id"]] = 1000 / row["sampling_rate"]
    weights |= {key: 1000.0 for key, row in by_key.items() if "intent_true" in row and key not in weights}
    judged = {row["metric"]: row for row in found["judged"] if row["arm"] == "assistant"}
    assert judged["misclassification_rate"]["x"] == round(sum(weights.values()))
    assert judged["misclassification_rate"]["judged"] == len(weights)
    squares: dict[str, int] = {}
    for row in mine:
        squares[row["user_id"]] = squares.get(row["user_id"], 0) + row["tokens_in"] + row["tokens_out"]
    assert asked_for["tokens_per_request"]["yy"] == sum(total**2 for total in squares.values())


def test_each_source_names_its_text_and_parameters(warehouse: Warehouse) -> None:
    found = read(warehouse, asked(3), "policy")
    source = found["outcomes_firsts"].source
    assert source.query == "review/outcomes"
    assert source.parameters["firsts"] is True
    assert source.parameters["last_batch"] == 3
    assert source.parameters["since"] == "2026-01-12T00:00:00.000000Z"
    assert source.policy_hash == "policy"
    assert len({one.source.query_hash for one in found.values()}) == len({one.source.query for one in found.values()})
