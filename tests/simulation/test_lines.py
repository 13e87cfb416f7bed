"""Log lines of a made-up service: reproducible, of the rates that were asked for, and served by the real decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import duckdb
import pytest

from controlplane.core.assignment import Unit, bucket
from controlplane.core.model import Arm
from controlplane.ingest.schema import FUTURE_TOLERANCE, RECORDS
from controlplane.simulation.lines import (
    Behaviour,
    Crowd,
    LogLines,
    in_half,
    regulars_of,
    severe_misrouting,
)
from controlplane.store.queries import load
from tests.simulation.measure import exposure, of_kind, share

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
SALT = "lines"


def half(unit: Unit, _now: datetime) -> Any:
    """Half of the customers are treated; who must have a person is in no arm."""
    treated = not unit.mandatory_person and bucket(SALT, unit.user_id) < 0.5
    return exposure(Arm.ASSISTANT if treated else Arm.BASELINE, not unit.mandatory_person)


def lines(crowd: Crowd | None = None, seed: int = 1, expose: Callable[..., Any] = half, **both: Any) -> LogLines:
    made = LogLines(seed, START, crowd or Crowd(), expose, SALT)
    made.arms = {arm: replace(Behaviour(), **both) for arm in Arm}
    return made


def minutes(made: LogLines, until: float) -> list[dict[str, Any]]:
    return made.advance(START + timedelta(minutes=until))


def arm_of(records: list[dict[str, Any]], arm: str) -> list[dict[str, Any]]:
    return [turn for turn in of_kind(records, "interaction") if turn["arm"] == arm]


def test_the_same_seed_gives_the_same_lines_and_another_one_does_not() -> None:
    assert minutes(lines(), 3) == minutes(lines(), 3) != minutes(lines(seed=2), 3)


def test_lines_come_in_the_order_of_their_landing_and_each_once() -> None:
    made = lines()
    first, second = minutes(made, 2), minutes(made, 6)
    assert all(datetime.fromisoformat(row["ts"]) <= START + timedelta(minutes=2) for row in first)
    ids = [next(value for name, value in row.items() if name.endswith("_id")) for row in first + second]
    kinds = [(row["record"], row.get("evaluation_id") or key) for row, key in zip(first + second, ids, strict=True)]
    assert len(set(kinds)) == len(kinds)


def test_every_field_is_one_of_the_landing_schema() -> None:
    records = minutes(lines(Crowd(complaints=0.5)), 4)
    assert {row["record"] for row in records} == {
        *("exposure", "interaction", "model_call", "dependency_call", "evaluation", "feedback")
    }
    for row in records:
        assert set(row) - {"record"} <= set(RECORDS[row["record"]].names())
    assert set(severe_misrouting("c", START, 1.0, "human:a")) - {"record"} <= set(RECORDS["evaluation"].names())


def test_time_does_not_go_back() -> None:
    made = lines()
    minutes(made, 2)
    with pytest.raises(ValueError, match="goes back"):
        minutes(made, 1)


@pytest.mark.parametrize(
    ("field", "rate", "measured"),
    [
        ("escalates", 0.3, lambda rows: share([r["escalated"] for r in of_kind(rows, "interaction")])),
        ("slow", 0.3, lambda rows: share([r["latency_ms"] > 4000 for r in of_kind(rows, "interaction")])),
        ("timed_out", 0.3, lambda rows: share([r["timed_out"] for r in of_kind(rows, "interaction")])),
        (
            "misclassified",
            0.3,
            lambda rows: share([r["intent_pred"] != r["intent_true"] for r in of_kind(rows, "interaction")]),
        ),
        ("api_error", 0.3, lambda rows: share([r["error_type"] is not None for r in of_kind(rows, "model_call")])),
        (
            "dependency_error",
            0.3,
            lambda rows: share([r["error_type"] is not None for r in of_kind(rows, "dependency_call")]),
        ),
        ("ungrounded", 0.3, lambda rows: labelled(rows, "groundedness", "ungrounded")),
        ("misrouted", 0.3, lambda rows: labelled(rows, "safety_route", "misrouted")),
        ("rated", 0.3, lambda rows: len(of_kind(rows, "feedback")) / len(of_kind(rows, "interaction"))),
        ("returns", 0.3, lambda rows: 1 - len(users(rows)) / len(of_kind(rows, "interaction"))),
    ],
)
def test_rates_are_those_that_were_asked_for(field: str, rate: float, measured: Callable[..., float]) -> None:
    made = lines(Crowd(per_minute=400.0), **{field: rate})
    records = minutes(made, 6)
    made.crowd = Crowd(per_minute=0.0)
    assert measured(records + minutes(made, 30)) == pytest.approx(rate, abs=0.08)


def labelled(rows: list[dict[str, Any]], name: str, label: str) -> float:
    return share([row["label"] == label for row in of_kind(rows, "evaluation") if row["name"] == name])


def users(rows: list[dict[str, Any]]) -> set[str]:
    return {row["user_id"] for row in of_kind(rows, "interaction")}


def test_the_arm_is_the_decision_and_what_was_served_is_kept() -> None:
    made = lines()
    records = minutes(made, 5)
    for turn in of_kind(records, "interaction"):
        assert turn["arm"] == ("assistant" if bucket(SALT, turn["user_id"]) < 0.5 else "baseline")
    assert {item.user for item in made.treated} == {turn["user_id"] for turn in arm_of(records, "assistant")}


def test_a_cut_changes_the_very_next_lines() -> None:
    cut = START + timedelta(minutes=2)
    made = lines(expose=lambda unit, now: exposure(Arm.BASELINE) if now >= cut else half(unit, now))
    records = minutes(made, 4)
    assert max(item.at for item in made.treated) < cut
    assert {row["variant"] for row in of_kind(records, "exposure") if row["ts"] >= cut.isoformat()} == {"baseline"}


def test_swapped_lines_name_the_other_arm_and_are_served_as_before() -> None:
    made = lines()
    made.swapped = True
    records = minutes(made, 2)
    assert {item.user for item in made.treated} == {turn["user_id"] for turn in arm_of(records, "baseline")}


def test_who_must_go_to_a_person_escalates_in_whatever_arm() -> None:
    records = minutes(lines(Crowd(mandatory=0.4), escalates=0.0), 4)
    excluded = {row["conversation_id"] for row in of_kind(records, "exposure") if not row["eligible"]}
    assert excluded == {row["conversation_id"] for row in of_kind(records, "interaction") if row["escalated"]}
    assert excluded


def test_lost_lines_never_land_late_ones_land_late_and_repeats_are_the_same() -> None:
    assert minutes(lines(lost=1.0), 3) == []
    made = lines(late=1.0, late_seconds=300.0)
    assert minutes(made, 4) == []
    assert {row["ts"] <= (START + timedelta(minutes=4)).isoformat() for row in minutes(made, 9)} == {True}
    made = lines(repeated=1.0)
    rows = minutes(made, 3)
    made.crowd = Crowd(per_minute=0.0)
    turns = of_kind(rows + minutes(made, 30), "interaction")
    assert len(turns) == 2 * len({turn["interaction_id"] for turn in turns})


def test_skewed_stamps_lie_in_the_future_beyond_what_ingest_tolerates() -> None:
    records = minutes(lines(skewed=1.0, rated=0.0), 2)
    assert all(datetime.fromisoformat(row["ts"]) > START + timedelta(minutes=2) + FUTURE_TOLERANCE for row in records)


def test_nulls_are_nulls_in_every_record_that_has_the_field() -> None:
    records = minutes(lines(nulls=("latency_ms", "label", "csat")), 4)
    for name in ("latency_ms", "label", "csat"):
        values = [row[name] for row in records if name in row]
        assert values
        assert set(values) == {None}


def test_fates_come_in_clumps_and_keep_their_average() -> None:
    records = minutes(lines(Crowd(per_minute=400.0), escalates=0.5, clump=8, returns=0.0), 8)
    fates = [turn["escalated"] for turn in sorted(arm_of(records, "assistant"), key=lambda turn: turn["ts"])]
    changes = sum(a != b for a, b in pairwise(fates))
    assert changes < len(fates) / 10
    assert share(fates) == pytest.approx(0.5, abs=0.15)


def test_regulars_are_treated_at_every_share_above_theirs_and_always_want_a_person() -> None:
    assert all(bucket(SALT, user) < 0.05 for user in regulars_of(SALT, 5))
    records = minutes(lines(Crowd(per_minute=0.0, regulars=5, regular_per_minute=60.0)), 3)
    turns = of_kind(records, "interaction")
    assert users(records) == set(regulars_of(SALT, 5))
    assert {turn["arm"] for turn in turns} == {"assistant"}
    assert all(turn["escalated"] for turn in turns)
    assert len(turns) > 100


def test_complaints_have_no_sampling_rate_and_are_always_ungrounded() -> None:
    records = minutes(lines(Crowd(judged=0.3, complaints=1.0), ungrounded=0.0), 4)
    judged = [row for row in of_kind(records, "evaluation") if row["name"] == "groundedness"]
    picked = [row for row in judged if row["sampling_rate"] is None]
    assert {row["label"] for row in picked} == {"ungrounded"}
    assert {row["label"] for row in judged if row["sampling_rate"] is not None} == {"grounded"}
    assert picked


def test_ratings_of_unhappy_customers_come_sooner_where_the_behaviour_says_so() -> None:
    made = lines(Crowd(per_minute=300.0), rated=1.0, unhappy_answers_after=5.0, happy_answers_after=200.0, returns=0.0)
    records = minutes(made, 4)
    made.crowd = Crowd(per_minute=0.0)
    first, later = of_kind(records, "feedback"), of_kind(minutes(made, 60), "feedback")
    assert share([row["csat"] <= 2 for row in first]) > 0.2 > share([row["csat"] <= 2 for row in later])


def test_what_is_held_back_lands_at_the_moment_named() -> None:
    made = lines(returns=0.0)
    records = minutes(made, 2)
    made.crowd = Crowd(per_minute=0.0)
    made.hold_back(records, START + timedelta(minutes=40))
    early = minutes(made, 39)
    late = minutes(made, 40)
    assert late == records
    assert not {row["record"] for row in early} & {"exposure", "interaction"}


def test_the_shadow_half_is_the_one_that_the_counting_query_takes() -> None:
    """An independent account of the same split: DuckDB's own hash in the migration's macro."""
    users_ = [f"u{number}" for number in range(200)]
    with duckdb.connect() as connection:
        for statement in load("migrations/011_compared").split(";\n"):
            if "MACRO compared_arm" in statement:
                connection.execute(statement)
        found = {
            user: connection.execute("SELECT compared_arm('baseline', ?, ?)", [f"{SALT}/aa_shadow/", user]).fetchall()
            for user in users_
        }
    assert {user: rows == [("assistant",)] for user, rows in found.items()} == {
        user: in_half(SALT, user) for user in users_
    }
    assert 60 < sum(in_half(SALT, user) for user in users_) < 140
