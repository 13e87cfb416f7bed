"""Success measures: equal to plain SQL on the rollups, never pooled over shares, honest verdicts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.estimates import Interval, Sums, confidence_sequence
from controlplane.core.metrics import METRICS
from controlplane.core.policy import parse
from controlplane.store.snapshot import SnapshotReader
from controlplane.store.warehouse import Warehouse
from dashboards import answers, data, measures
from dashboards.values import State
from jobs import experiment_analyze_rollout


def load(home: Path) -> tuple[State, tuple[str, str]]:
    ref = SnapshotReader(home / "snapshots").current()
    at = (str(ref.path), ref.key)
    return data.state(*at), at


def loaded(home: Path) -> tuple[State, pl.DataFrame]:
    state, at = load(home)
    spans = measures.comparison_spans(answers.history(state), (state.stages[0].started_at, state.meta.now))
    return state, data.measures(*at, spans, measures.maturities(state, METRICS))


def sums(rows: list[tuple[str, int, str, int, int, float, float]]) -> pl.DataFrame:
    names = ("metric", "span", "arm", "n", "x", "total", "total_sq")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(n_all=pl.col("n"))


def test_every_sum_equals_sql_on_the_warehouse(healthy_home: Path) -> None:
    """Row by row, including the 48-hour border between minutes and hours and the maturity of each metric."""
    state, found = loaded(healthy_home)
    spans = measures.comparison_spans(answers.history(state), (state.stages[0].started_at, state.meta.now))
    mature = dict(measures.maturities(state, METRICS))
    with Warehouse.open(healthy_home / "facts.duckdb", read_only=True) as warehouse, warehouse.cursor() as cursor:
        for row in found.filter(pl.col("metric").is_in(["csat", "escalation_rate", "resolution_time"])).to_dicts():
            since, until = (moment.replace(tzinfo=None) for moment in spans[row["span"]])
            expected = cursor.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(x), 0), coalesce(sum(total), 0) FROM rollup_minute"
                " WHERE metric = $1 AND arm = $2 AND eligible AND minute >= $3 AND minute < $4 AND minute < $5",
                [row["metric"], row["arm"], since, until, mature[row["metric"]].replace(tzinfo=None)],
            ).fetchall()[0]
            assert (row["n"], row["x"]) == expected[:2]
            assert row["total"] == pytest.approx(expected[2], rel=1e-12)


def test_one_stratum_is_the_plain_confidence_sequence() -> None:
    treated, control = Sums.of_rate(400, 100), Sums.of_rate(1600, 520)
    assert measures.stratified([(treated, control)]) == confidence_sequence(treated, control, 0.05)


@given(st.integers(2, 400), st.integers(2, 400), st.data())
def test_splitting_a_stratum_in_equal_halves_changes_only_the_degrees_of_freedom(
    n: int, m: int, draw: st.DataObject
) -> None:
    x, y = draw.draw(st.integers(1, n - 1)), draw.draw(st.integers(1, m - 1))
    half = (Sums.of_rate(n, x), Sums.of_rate(m, y))
    whole = confidence_sequence(half[0] + half[0], half[1] + half[1], 0.05)
    split = measures.stratified([half, half])
    assert whole is not None
    assert split is not None
    assert split.estimate == pytest.approx(whole.estimate, abs=1e-12)
    assert split.high - split.low == pytest.approx(whole.high - whole.low, rel=0.5 / min(n, m) + 0.02)


def test_a_harm_that_one_arm_never_had_is_not_taken_for_exactly_known() -> None:
    """Nobody of 20 and 30, against 3 of 200 and 2 of 100: the assistant's error is unknown, not zero."""
    few = [(Sums.of_rate(20, 0), Sums.of_rate(200, 3)), (Sums.of_rate(30, 0), Sums.of_rate(100, 2))]
    assert measures.stratified(few) is None
    assert measures.stratified([]) is None


def test_without_an_interval_the_values_are_still_not_pooled() -> None:
    """A ramp in which each arm was all of one kind in each stage: pooled totals would differ, the stages do not."""
    rows = [
        ("escalation_rate", 0, "assistant", 10, 0, 0.0, 0.0),
        ("escalation_rate", 0, "baseline", 90, 0, 0.0, 0.0),
        ("escalation_rate", 1, "assistant", 50, 50, 0.0, 0.0),
        ("escalation_rate", 1, "baseline", 50, 50, 0.0, 0.0),
    ]
    found = measures.measure("escalation_rate", sums(rows), None)
    assert found.difference is None
    assert found.treated == pytest.approx(found.control)


def test_simpsons_paradox_is_not_shown_as_an_effect() -> None:
    """A ramp over a rising baseline: no difference in any stage, a big one in the pooled totals."""
    rows = [
        ("escalation_rate", 0, "assistant", 50, 5, 0.0, 0.0),
        ("escalation_rate", 0, "baseline", 950, 95, 0.0, 0.0),
        ("escalation_rate", 1, "assistant", 500, 150, 0.0, 0.0),
        ("escalation_rate", 1, "baseline", 500, 150, 0.0, 0.0),
    ]
    found = measures.measure("escalation_rate", sums(rows), None)
    assert found.difference is not None
    assert found.difference.estimate == pytest.approx(0.0, abs=1e-12)
    assert found.treated == pytest.approx(found.control)


@pytest.mark.parametrize(
    ("name", "interval", "margin", "expected"),
    [
        ("csat", Interval(0.2, 0.1, 0.3), 0.2, "improved"),
        ("csat", Interval(0.0, -0.1, 0.1), 0.2, "not worse"),
        ("csat", Interval(0.0, -0.3, 0.3), 0.2, "unknown"),
        ("csat", Interval(0.0, -0.1, 0.1), None, "unknown"),
        ("csat", Interval(-0.3, -0.4, -0.2), 0.2, "worse"),
        ("escalation_rate", Interval(-0.05, -0.08, -0.02), 0.02, "improved"),
        ("escalation_rate", Interval(0.0, -0.01, 0.01), 0.02, "not worse"),
        ("escalation_rate", Interval(0.05, 0.02, 0.08), 0.02, "worse"),
        ("escalation_rate", None, 0.02, "unknown"),
        ("traffic_volume", Interval(1.0, 0.5, 1.5), None, "unknown"),
    ],
)
def test_verdicts(name: str, interval: Interval | None, margin: float | None, expected: str) -> None:
    assert measures.verdict(METRICS[name], interval, margin) == expected


def test_limits_have_verdicts_too() -> None:
    assert measures.limit_verdict(Interval(0.02, 0.01, 0.03), 0.05) == "within limit"
    assert measures.limit_verdict(Interval(0.08, 0.06, 0.1), 0.05) == "over limit"
    assert measures.limit_verdict(Interval(0.05, 0.03, 0.07), 0.05) == "unknown"
    assert measures.limit_verdict(None, 0.05) == "unknown"


def test_a_limit_speaks_where_the_comparison_cannot() -> None:
    rows = [("misrouting_rate", 0, "assistant", 400, 1, 0.0, 0.0), ("misrouting_rate", 0, "baseline", 400, 1, 0.0, 0.0)]
    assert measures.measure("misrouting_rate", sums(rows), None).verdict == "unknown"
    policy = parse(POLICY.replace("timeout_rate", "misrouting_rate"))
    assert measures.measure("misrouting_rate", sums(rows), policy).verdict == "within limit"


def test_a_ratio_has_an_interval_from_its_bins() -> None:
    start = datetime(2026, 1, 5, tzinfo=UTC)
    rows = [
        {"start": start + timedelta(hours=i), "n": 50 + i, "total": (50 + i) * (0.2 + 0.01 * (i % 3))}
        for i in range(12)
    ]
    found = measures.ratio_interval(pl.DataFrame(rows), METRICS["cost_per_resolved"])
    assert found is not None
    assert found.estimate == pytest.approx(sum(row["total"] for row in rows) / sum(row["n"] for row in rows))
    assert found.low < found.estimate < found.high < found.estimate * 1.1
    assert measures.ratio_interval(pl.DataFrame(rows[:7]), METRICS["cost_per_resolved"]) is None


def test_no_data_is_unknown_everywhere() -> None:
    empty = sums([]).cast(
        {
            "span": pl.Int64,
            "n": pl.Int64,
            "x": pl.Int64,
            "total": pl.Float64,
            "n_all": pl.Int64,
            "metric": pl.String,
            "arm": pl.String,
        }
    )
    for name in (*measures.PROGRAMME, *measures.WATCHED):
        found = measures.measure(name, empty, None)
        assert (found.treated, found.mature, found.verdict) == (None, None, "unknown")


def test_maturity_is_the_policys_where_it_names_the_metric(healthy_home: Path) -> None:
    state, _ = load(healthy_home)
    assert measures.maturity(state.policy, "csat") == timedelta(0)
    assert measures.maturity(state.policy, "contact_rate") == timedelta(hours=72)
    assert measures.maturity(None, "escalation_rate") == timedelta(hours=2)


def test_a_resolution_waits_as_long_as_the_rating_that_tells_it(healthy_home: Path) -> None:
    """As the pinned weekly review counts it, so that the two never say different things of one week."""
    state, _ = load(healthy_home)
    for name in ("csat_response_rate", "resolution_rate", "resolution_time", "cost_per_resolved"):
        assert measures.maturity(state.policy, name) == measures.maturity(state.policy, "csat")
    assert measures.maturity(None, "resolution_time") == METRICS["resolution_time"].maturity


def test_the_analysis_of_the_conversations_waits_as_long_as_the_pages(healthy_home: Path) -> None:
    state, _ = load(healthy_home)
    for one in (state.policy, parse(POLICY)):
        waited = {name: experiment_analyze_rollout.maturity(one, name) for name in experiment_analyze_rollout.MEASURES}
        assert waited == {name: measures.maturity(one, name) for name in waited}


def test_margins_and_limits_come_from_the_policy(healthy_home: Path) -> None:
    state, _ = load(healthy_home)
    assert measures.margin_of(state.policy, "csat") == 0.05  # the certificate's, not the trigger's
    assert measures.limit_of(state.policy, "hallucination_rate") == 0.05
    assert measures.margin_of(state.policy, "contact_rate") is None


def test_immature_rows_count_for_maturity_but_not_for_the_number(healthy_home: Path) -> None:
    state, found = loaded(healthy_home)
    returned = measures.measure("contact_rate", found, state.policy)
    assert (returned.provisional, returned.mature, returned.verdict) == (True, 0.0, "unknown")
    assert returned.difference is not None
    assert returned.difference.high < 0  # it would be an improvement, if it were final
    assert measures.measure("contact_rate", found.drop("x_all"), state.policy).n_treated == 0
    classified = measures.measure("misclassification_rate", found, state.policy)
    assert classified.mature is not None
    assert 0.2 < classified.mature < 0.6


def test_rows_that_touch_a_change_of_share_are_left_out(incident_home: Path) -> None:
    """The rollback came 31 s after a row began: that row belongs to no share."""
    state, at = load(incident_home)
    cut = state.incidents[0].cut_at
    assert cut is not None
    spans = ((cut - timedelta(hours=1, seconds=31), cut), (cut, state.meta.now))
    found = data.measures(*at, spans, (("traffic_volume", state.meta.now),))
    per_row = data.trend(*at, ("traffic_volume",), cut - timedelta(hours=2), state.meta.now, 60)
    whole = per_row.filter((pl.col("start") >= spans[0][0]) & (pl.col("start") < cut - timedelta(seconds=31)))
    first = found.filter(pl.col("span") == 0)
    assert first["n_all"].sum() == whole["n"].sum()


POLICY = """
schema = 1
name = "n"
owner = "o"
baseline = "menu"
[assignment]
salt = "s"
[[phases]]
name = "p"
audience = "eligible"
shares = [0.5]
[[triggers]]
name = "t"
metric = "timeout_rate"
kind = "one_sample"
limit = 0.1
weight = 1.0
action = "hold"
"""


def test_a_policy_without_the_metric_gives_no_margin() -> None:
    policy = parse(POLICY)
    assert measures.margin_of(policy, "csat") is None
    assert measures.limit_of(policy, "timeout_rate") == 0.1
