"""A rollout unit by unit, for the pages: what is to be expected never comes from a unit itself, CUPED moves no effect, answers stay small."""

import json
from datetime import timedelta

import polars as pl
import pytest

from controlplane.settings import SettingsError
from controlplane.store.queries import load
from jobs import ask_science
from jobs.asking import ASKS
from jobs.experiment_analyze_rollout import MEASURES, maturity, measure


@pytest.fixture
def told(deps, facts, started, at):
    """Two stages of a rollout without any effect, in which the first intent tells much of who escalates; all of it is final."""
    version = deps.state.stages(started)[0].version
    for minute in range(16):
        late = minute >= 8
        facts.minute(at(minute), 150, 0.5 if late else 0.2, 0.3, 0.3, started)
    with deps.warehouse.cursor() as cursor:
        cursor.execute(
            "UPDATE conversations SET segment = 'retail', region = 'north', channel = 'app', resolved = TRUE, "
            "resolved_at = started_at + INTERVAL 4 MINUTE, intent_first = CASE "
            "WHEN hash(conversation_id, 1) % 10 < 2 THEN 'other' WHEN escalated_at IS NULL THEN 'easy' ELSE 'hard' END"
        )
        cursor.execute(
            "INSERT INTO units BY NAME SELECT conversation_id, user_id, arm, rollout_id, release, DATE '2026-01-05' AS week, started_at, "
            "started_at AS block_start, $rollout || '/' || CASE WHEN started_at < $cut THEN $first ELSE 99 END AS stage_key FROM conversations",
            {"rollout": started, "cut": at(8).replace(tzinfo=None), "first": version},
        )
        # something is heard two days later, so that every label is final
        cursor.execute(
            "UPDATE conversations SET csat_at = $late WHERE conversation_id = 'c1'",
            {"late": (at(0) + timedelta(days=4)).replace(tzinfo=None)},
        )
    return started


def test_what_is_expected_of_a_unit_comes_from_the_baseline_of_the_other_half(deps, told, at):
    seconds = {name: int(maturity(deps.policy, name).total_seconds()) for name in MEASURES}
    with deps.warehouse.cursor() as cursor:
        as_of = (at(0) + timedelta(days=5)).replace(tzinfo=None)
        cursor.execute(load("experiment/rollout_create"), {"rollout": told, "as_of": as_of, **seconds})
        cursor.execute(load("experiment/rollout_expected"))
        rows = pl.DataFrame(
            cursor.sql("SELECT *, hash(conversation_id) % 2 AS half FROM experiment_units").to_arrow_table()
        )
    hits = rows.with_columns(pl.col("escalation_rate").cast(pl.Float64))
    control = hits.filter(pl.col("arm") == "baseline")
    for half in (0, 1):
        other = control.filter(pl.col("half") == 1 - half)
        mean = other["escalation_rate"].mean()
        for intent in ("easy", "hard", "other"):
            cell = other.filter(pl.col("intent") == intent)["escalation_rate"]
            mine = hits.filter((pl.col("half") == half) & (pl.col("intent") == intent))[
                "expected_escalation_rate"
            ].unique()
            assert mine.to_list() == [pytest.approx((cell.sum() + 20 * mean) / (len(cell) + 20))]
    assert rows.height == 2400


def test_cuped_moves_no_effect_and_narrows_its_interval(deps, told, at):
    parts = []
    found = ask_science.experiment(deps, at(9000), progress=lambda part, text: parts.append((part, text)))
    row = found["metrics"]["escalation_rate"]["arms"]["assistant"]
    raw = row["cuped"]["without"]
    assert row["cuped"]["variance_removed"] > 0.3
    width, before = (one["high"] - one["low"] for one in (row["anytime"], raw["anytime"]))
    assert width < 0.85 * before
    assert row["anytime"]["low"] < 0 < row["anytime"]["high"]  # there is none
    assert abs(row["difference"]["estimate"] - raw["difference"]["estimate"]) < before / 2
    plain = measure(deps, at(9000), metrics=["escalation_rate"], judged={"anytime": True})
    assert raw["anytime"] == pytest.approx(plain["metrics"]["escalation_rate"]["arms"]["assistant"]["anytime"])
    csat = next(one for one in found["segments"] if (one["segment"], one["metric"]) == ("intent", "csat"))
    known = [one["level"] for one in csat["rows"] if one["difference"] is not None]
    assert known == [
        "other"
    ]  # within the others every rating is the same: nothing is told of them, whatever rounding leaves
    assert [part for part, _ in parts] == sorted(part for part, _ in parts)
    assert "over_time" not in found
    assert json.dumps(found)


def test_quantiles_are_told_within_stages_and_one_stage_can_be_chosen(deps, told, at):
    found = ask_science.experiment(deps, at(9000), metrics=["resolution_time"])
    stages = {row["stage"] for row in found["quantiles"]}
    assert len(stages) == 2
    assert {row["quantile"] for row in found["quantiles"]} == set(ask_science.QUANTILES)
    median = next(row for row in found["quantiles"] if row["quantile"] == 0.5)
    assert (median["treated"]["estimate"], median["verdict"]) == (240.0, "not shown")
    first = next(row["stage"] for row in found["sample_ratio"]["stages"] if row["share"])
    one = ask_science.experiment(deps, at(9000), stage=first, metrics=["csat"])
    assert (one["units"], one["quantiles"]) == (1200, [])
    with pytest.raises(SettingsError, match="no stage 'x' has units"):
        ask_science.experiment(deps, at(9000), stage="x")


def test_a_table_of_segments_stays_small(deps, told, at, monkeypatch):
    monkeypatch.setattr(ask_science, "MOST_LEVELS", 2)
    found = ask_science.experiment(deps, at(9000), metrics=["escalation_rate"])
    table = next(one for one in found["segments"] if one["segment"] == "intent")
    assert ({row["level"] for row in table["rows"]}, table["levels_left_out"]) == ({"easy", "hard"}, 1)


def test_both_are_asked_for_as_long_work():
    assert all(ASKS[name].long for name in ("drift_run", "experiment_run"))
