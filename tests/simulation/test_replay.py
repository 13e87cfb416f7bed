"""Replaying real messages: the same door as live traffic, counted, logged, repeatable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from controlplane.assistant import SqliteBank, build_menu
from controlplane.assistant.protocols import Responder
from controlplane.core.assignment import CONTAINED, Exposure, Unit
from controlplane.ingest.schema import RECORDS
from controlplane.simulation.replay import BATCH, ReplayPlan, replay_messages
from controlplane.simulation.service_desk import Screener
from jobs.replay import ReplayParts, run
from tests.simulation.measure import START, Record, of_kind, split, without_measured_times

DATA = Path(__file__).parents[3] / "shared" / "data"
PLAN = ReplayPlan("run-1", seed=3, low_risk_intents=frozenset({"balance"}))
TEXTS = ["what is my balance", "someone stole money from my account, this is fraud", "where is my refund"] * 100


class Ticking:
    """A clock that goes on a millisecond with every look."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture(scope="module")
def menu(bank: SqliteBank) -> Responder:
    return build_menu(bank)


@pytest.fixture
def parts(build: Callable[[str], Screener], menu: Responder) -> tuple[ReplayParts, list[Record]]:
    written: list[Record] = []
    return ReplayParts(build("healthy"), menu, split, frozenset({"balance"}), written.extend, Ticking()), written


def test_messages_meet_both_arms_and_are_counted(build: Callable[[str], Screener], menu: Responder) -> None:
    batches: list[list[Record]] = []
    seen: list[int] = []
    counts = replay_messages(
        TEXTS,
        PLAN,
        assistant=build("healthy"),
        menu=menu,
        expose=split,
        clock=Ticking(),
        write=lambda records: batches.append(list(records)),
        on_progress=seen.append,
    )
    records = [record for batch in batches for record in batch]
    turns = of_kind(records, "interaction")
    assert (counts.messages, counts.conversations, len(turns)) == (300, 300, 300)
    assert counts.arms == Counter(turn["arm"] for turn in turns)
    assert min(counts.arms.values()) > 50
    assert (
        counts.escalated == sum(turn["escalated"] for turn in turns) == counts.safety_routed == counts.routes["fraud"]
    )
    assert counts.safety_routed == 100
    assert seen == list(range(1, 301))
    assert [len(of_kind(batch, "interaction")) for batch in batches] == [BATCH, 100]
    assert [turn["question"] for turn in turns] == TEXTS
    for record in records:
        assert set(record) == {"record", *RECORDS[record["record"]].names()}


def test_the_same_seed_gives_the_same_records(build: Callable[[str], Screener], menu: Responder) -> None:
    def once(plan: ReplayPlan) -> list[Record]:
        records: list[Record] = []
        arms = {"assistant": build("healthy"), "menu": menu, "expose": split}
        replay_messages(TEXTS[:50], plan, clock=Ticking(), write=records.extend, **arms)
        return [
            {key: value for key, value in record.items() if key not in ("latency_ms", "ts")}
            for record in without_measured_times(records)
        ]

    assert once(PLAN) == once(PLAN)
    other = [e["user_id"] for e in of_kind(once(replace(PLAN, seed=4)), "exposure")]
    assert other != [e["user_id"] for e in of_kind(once(PLAN), "exposure")]


def test_the_exposure_decides_who_answers(parts: tuple[ReplayParts, list[Record]], tmp_path: Path) -> None:
    asked: list[Unit] = []

    def never(unit: Unit, now: datetime) -> Exposure:
        asked.append(unit)
        return replace(split(unit, now), arm=split(Unit("nobody", mandatory_person=True), now).arm)

    pl.DataFrame({"text": TEXTS[:30]}).write_csv(tmp_path / "m.csv")
    counts = run(tmp_path / "m.csv", replace(parts[0], expose=never))
    assert counts.arms == {"assistant": 0, "baseline": 30}
    assert {unit.mandatory_person for unit in asked} == {True, False}
    assert {unit.low_risk for unit in asked if unit.intent == "balance"} == {True}


def test_what_is_contained_reaches_a_person_at_once(parts: tuple[ReplayParts, list[Record]], tmp_path: Path) -> None:
    nobody = Unit("nobody", mandatory_person=True)

    def contained(_unit: Unit, now: datetime) -> Exposure:
        return replace(split(nobody, now), ineligible_reason=CONTAINED)

    pl.DataFrame({"text": ["what is my balance"] * 5}).write_csv(tmp_path / "m.csv")
    counts = run(tmp_path / "m.csv", replace(parts[0], expose=contained))
    assert (counts.arms["assistant"], counts.escalated) == (0, 5)
    assert run(tmp_path / "m.csv", replace(parts[0], expose=lambda _unit, now: split(nobody, now))).escalated == 0


def test_the_same_file_can_be_replayed_again(parts: tuple[ReplayParts, list[Record]], tmp_path: Path) -> None:
    pl.DataFrame({"message": TEXTS[:10]}).write_ndjson(tmp_path / "m.jsonl")
    run(tmp_path / "m.jsonl", parts[0])
    run(tmp_path / "m.jsonl", parts[0], limit=5)
    ids = [turn["interaction_id"] for turn in of_kind(parts[1], "interaction")]
    assert len(ids) == len(set(ids)) == 15


def test_counts_are_plain_values(parts: tuple[ReplayParts, list[Record]], tmp_path: Path) -> None:
    pl.DataFrame({"text": TEXTS[:10]}).write_parquet(tmp_path / "m.parquet")
    counts = run(tmp_path / "m.parquet", parts[0], text_column="text", seed=9).as_dict()
    assert counts["messages"] == 10
    assert set(counts) == {"messages", "conversations", "arms", "escalated", "safety_routed", "routes"}


@pytest.mark.parametrize(
    ("name", "least_routed"),
    [
        ("banking77/train.csv.gz", 0),
        ("multidogo/multidogo_turns.parquet", 0),
        ("cfpb_complaints/narratives_older.parquet", 50),
    ],
)
def test_real_customers_are_served(parts: tuple[ReplayParts, list[Record]], name: str, least_routed: int) -> None:
    if not (DATA / name).is_file():
        pytest.skip(f"real data {name} is not beside this checkout")
    counts = run(DATA / name, parts[0], limit=150)
    assert counts.messages == 150
    assert counts.arms["baseline"] > 0
    assert counts.safety_routed >= least_routed
    assert len(of_kind(parts[1], "interaction")) == 150
