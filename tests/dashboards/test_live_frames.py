"""The figures of the Live page against an independent count: quantiles, rates, dependencies, triggers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.estimates import quantile, wilson
from controlplane.core.policy import Policy, parse
from controlplane.store.snapshot import SnapshotReader
from dashboards import data
from dashboards.live import data as data_live
from dashboards.live import frames as live_frames
from dashboards.live import triggers as live_triggers
from tests.dashboards.world_policy import POLICY

T0 = datetime(2026, 1, 7, 9, tzinfo=UTC)
WINDOW = (T0, T0 + timedelta(hours=1))
RECENT = T0 + timedelta(minutes=30)


@pytest.fixture(scope="module")
def policy() -> Policy:
    return parse(POLICY)


def sums(*rows: tuple) -> pl.DataFrame:
    """(metric, minute, arm, n, x, total, total_sq)"""
    names = ("metric", "start", "arm", "n", "x", "total", "total_sq")
    plain = [dict(zip(names, (m, T0 + timedelta(minutes=at), *rest), strict=True)) for m, at, *rest in rows]
    return pl.DataFrame(plain, schema_overrides={"total": pl.Float64, "total_sq": pl.Float64})


def services(*rows: tuple) -> pl.DataFrame:
    """(kind, name, arm, minute, calls, failed, timed out, {bucket: count})"""
    plain = [
        {"kind": kind, "name": name, "arm": arm, "start": T0 + timedelta(minutes=at), "calls": calls, "failed": failed, "timed_out": late}
        | {"timed": sum(found.values()), "total_ms": 0.0, "buckets": list(found), "counts": list(found.values())}
        for kind, name, arm, at, calls, failed, late, found in rows
    ]  # fmt: skip
    return pl.DataFrame(plain, schema_overrides={"buckets": pl.List(pl.Int64), "counts": pl.List(pl.Int64)})


@settings(max_examples=60, deadline=None)
@given(
    histogram=st.dictionaries(st.integers(-50, 600), st.integers(1, 400), max_size=12), q=st.sampled_from([0.5, 0.95])
)
def test_quantiles_are_those_of_the_core(histogram: dict[int, int], q: float) -> None:
    ordered = dict(sorted(histogram.items()))
    assert live_frames.quantile((list(ordered), list(ordered.values())), q) == quantile(histogram, q)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.dictionaries(st.integers(0, 9), st.integers(1, 9)), max_size=5))
def test_merging_adds_up_whatever_the_parts(parts: list[dict[int, int]]) -> None:
    buckets, counts = live_frames.merge((list(part), list(part.values())) for part in parts)
    assert buckets == sorted(set().union(*parts)) if parts else not buckets
    assert sum(counts) == sum(sum(part.values()) for part in parts)


def test_a_rate_is_that_of_the_newest_minutes_with_its_interval(policy: Policy) -> None:
    loaded = sums(
        ("timeout_rate", 0, "assistant", 500, 250, 0.0, 0.0),  # long ago: in the line, not in the figure
        ("timeout_rate", 30, "assistant", 100, 2, 0.0, 0.0),
        ("timeout_rate", 55, "assistant", 100, 4, 0.0, 0.0),
        ("timeout_rate", 55, "baseline", 400, 2, 0.0, 0.0),
    )
    found = live_frames.rate_vital("timeout_rate", loaded, WINDOW, RECENT, policy, "menu")
    exact = wilson(6, 200)
    assert found.shown == "3.0 %"
    assert found.interval == f"{100 * exact.low:.1f} % to {100 * exact.high:.1f} %, 200 requests"
    assert found.against == "menu 0.50 %, limit 3.0 %"
    assert found.tone == ""  # at the limit, not over it
    assert [round(x, 2) for x, _ in found.assistant] == [0.0, 0.5, 0.92]
    assert found.assistant[0][1] == 0.5


@pytest.mark.parametrize(("events", "tone"), [(2, ""), (4, "wait"), (30, "bad")])
def test_colour_says_how_sure_it_is_that_the_limit_is_passed(policy: Policy, events: int, tone: str) -> None:
    loaded = sums(("timeout_rate", 40, "assistant", 100, events, 0.0, 0.0))
    assert live_frames.rate_vital("timeout_rate", loaded, WINDOW, RECENT, policy, "menu").tone == tone


def test_where_the_assistant_serves_nobody_the_baseline_is_shown_and_named(policy: Policy) -> None:
    loaded = sums(
        ("timeout_rate", 40, "baseline", 400, 2, 0.0, 0.0), ("api_error_rate", 40, "baseline", 9, 1, 0.0, 0.0)
    )
    found = live_frames.rate_vital("timeout_rate", loaded, WINDOW, RECENT, policy, "menu")
    assert (found.shown, found.against) == ("0.50 %", "menu; nothing of the assistant")
    nothing = live_frames.rate_vital("latency_mean", loaded, WINDOW, RECENT, policy, "menu")
    assert (nothing.shown, nothing.interval, nothing.tone) == ("", "", "")


def test_a_mean_has_the_normal_interval(policy: Policy) -> None:
    values = np.array([100.0, 200.0, 300.0, 400.0])
    loaded = sums(("latency_mean", 40, "assistant", 4, 0, values.sum(), (values**2).sum()))
    found = live_frames.rate_vital("latency_mean", loaded, WINDOW, RECENT, policy, "menu")
    half = 1.959963984540054 * values.std(ddof=1) / 2
    assert found.shown == "250 ms"
    assert found.interval == f"{250 - half:,.0f} ms to {250 + half:,.0f} ms, 4 requests"


def test_volumes_are_per_minute_of_both_arms() -> None:
    loaded = sums(
        ("traffic_volume", 30, "assistant", 60, 0, 0.0, 0.0),
        ("traffic_volume", 50, "baseline", 240, 0, 0.0, 0.0),
        ("traffic_volume", 50, "unknown", 999, 0, 0.0, 0.0),
    )
    found = live_frames.volume_vital("traffic_volume", loaded, WINDOW, RECENT, 300)
    assert (found.shown, found.interval) == ("10.0 per min", "300 conversations in 30 min")
    assert found.against == "20 % on the assistant"
    assert [value for _, value in found.assistant] == [12.0, 48.0]
    assert live_frames.volume_vital("request_volume", loaded, WINDOW, RECENT, 300).shown == ""


def test_one_confirmed_misrouting_is_red() -> None:
    loaded = sums(
        ("safety_incidents", 5, "assistant", 1, 1, 0.0, 0.0), ("safety_incidents", 5, "baseline", 3, 3, 0.0, 0.0)
    )
    found = live_frames.incidents_vital(loaded, WINDOW)
    assert (found.shown, found.tone, found.interval) == ("1", "bad", "confirmed by a person in 1 h")
    assert live_frames.incidents_vital(loaded.clear(), WINDOW).tone == ""


def test_slow_requests_are_those_beyond_the_objective(policy: Policy) -> None:
    edge = 415  # holds (3961, 4041] ms
    loaded = services(
        ("request", "request", "assistant", 40, 100, 0, 0, {300: 80, edge: 12, edge + 1: 8}),
        ("request", "request", "baseline", 40, 50, 0, 0, {200: 50}),
    )
    found = live_frames.slow_vital(loaded, WINDOW, RECENT, policy, "menu")
    assert found.shown == "8.0 %"
    assert found.against == "over 4,000 ms; menu 0.0 %, limit 5.0 %"
    without = replace(policy, triggers=tuple(one for one in policy.triggers if one.slo_ms is None))
    assert live_frames.slow_vital(loaded, WINDOW, RECENT, without, "menu") is None


def test_latency_has_both_arms_and_closes_open_ends() -> None:
    loaded = services(
        ("request", "request", "assistant", 0, 3, 0, 0, {300: 3}),
        ("request", "request", "baseline", 0, 2, 0, 0, {200: 2}),
        ("request", "request", "unknown", 0, 2, 0, 0, {200: 2}),
        ("dependency", "bank", "all", 0, 2, 0, 0, {200: 2}),
    )
    found = live_frames.latency(loaded)
    assert found.height == 4
    assert set(found["arm"]) == {"assistant", "baseline"}
    assert (found["low"] <= found["value"]).all()
    assert (found["value"] <= found["high"]).all()
    assert found["high"].is_finite().all()


def test_the_dependency_that_fails_most_comes_first() -> None:
    loaded = services(
        ("dependency", "bank", "all", 0, 100, 30, 4, {400: 90}),
        ("dependency", "bank", "all", 30, 100, 50, 1, {400: 90}),
        ("dependency", "a-quiet-one", "all", 0, 100, 0, 0, {250: 100}),
    )
    first, second = live_frames.dependencies(loaded, WINDOW, WINDOW[0], 0.1)
    assert (first.name, first.calls, first.timed_out, first.tone) == ("bank", 200, 5, "bad")
    assert first.failed == wilson(80, 200)
    assert [value for _, value in first.history] == [0.3, 0.5]
    assert (second.name, second.tone) == ("a-quiet-one", "good")
    assert second.p95 == quantile({250: 100}, 0.95)
    newest = {one.name: one for one in live_frames.dependencies(loaded, WINDOW, RECENT, 0.1)}
    assert (newest["bank"].calls, newest["bank"].failed) == (100, wilson(50, 100))  # hours that were well hide nothing
    assert (newest["a-quiet-one"].calls, newest["a-quiet-one"].tone) == (0, "quiet")
    assert {one.tone for one in live_frames.dependencies(loaded, WINDOW, WINDOW[0], None)} == {
        "quiet"
    }  # no limit: nobody says it is fine
    few = services(("dependency", "bank", "all", 0, 3, 0, 0, {400: 3}))
    assert live_frames.dependencies(few, WINDOW, WINDOW[0], 0.1)[0].tone == "quiet"


@pytest.mark.parametrize(("hours", "width"), [(0.5, 300), (2, 300), (6, 900), (24, 3600), (48, 3600)])
def test_bins_are_whole_slots(hours: float, width: int) -> None:
    assert live_frames.bin_seconds(timedelta(hours=hours)) == width


def test_figures_never_count_from_before_the_stage(healthy_home: Path) -> None:
    state = _state(healthy_home)
    window = (state.meta.now - timedelta(hours=6), state.meta.now)
    assert live_frames.recent_from(state, window, 300) == state.meta.now - timedelta(minutes=30)
    young = replace(state, rollout=replace(state.rollout, stage_started_at=state.meta.now - timedelta(minutes=7)))
    assert live_frames.recent_from(young, window, 300) == state.meta.now - timedelta(minutes=10)
    assert live_frames.recent_from(replace(state, rollout=None), (RECENT, RECENT), 300) == RECENT


def test_triggers_say_what_they_counted(incident_home: Path) -> None:
    """Against the readings themselves, counted another way."""
    state = _state(incident_home)
    ref = SnapshotReader(incident_home / "snapshots").current()
    since, window = state.meta.now - timedelta(hours=6), (state.meta.now - timedelta(hours=6), state.meta.now)
    loaded = data_live.evidence(str(ref.path), ref.key, "r1", window[0], since, 600)
    rows = {one.name: one for one in live_triggers.watched(state, loaded, window)}
    assert next(iter(rows)) == "hallucination_breach"
    assert rows["hallucination_breach"].fired
    raw = data.read(str(ref.path), "pages/triggers_now", {"rollout_id": "r1"})
    assert set(rows) == set(raw.filter(pl.col("segment") == "all")["trigger"])
    with SnapshotReader(incident_home / "snapshots").open(ref) as connection:
        ((n, x),) = connection.execute(
            "SELECT sum(n_t), sum(x_t) FROM readings WHERE trigger = 'hallucination_breach' AND segment = 'all' AND block_start >= ?",
            [since.replace(tzinfo=None)],
        ).fetchall()
        levels = connection.execute(
            "SELECT k_t, k_c FROM readings WHERE trigger = 'csat_drop' AND segment = 'all' AND block_start >= ?",
            [since.replace(tzinfo=None)],
        ).fetchall()
    exact = wilson(x, n)
    assert rows["hallucination_breach"].observed.startswith(f"{100 * exact.estimate:.1f} % ({100 * exact.low:.1f} %")
    means = [
        np.sum([row[arm] for row in levels], axis=0) @ np.arange(1, 6) / np.sum([row[arm] for row in levels])
        for arm in (0, 1)
    ]
    assert rows["csat_drop"].observed.replace("\u2212", "-").startswith(f"{means[0] - means[1]:+.2f} (")
    assert " pp (" in rows["escalation_increase"].observed
    assert all(0.0 <= x <= 1.0 and 0.0 <= y <= 1.0 for one in rows.values() for x, y in one.history)


def test_without_counts_a_trigger_is_unknown_and_not_quiet(healthy_home: Path) -> None:
    state = _state(healthy_home)
    ref = SnapshotReader(healthy_home / "snapshots").current()
    window = (state.meta.now - timedelta(hours=6), state.meta.now)
    loaded = data_live.evidence(str(ref.path), ref.key, "r1", window[0], state.meta.now + timedelta(hours=1), 600)
    found = {one.name: one for one in live_triggers.watched(state, loaded, window)}["timeouts"]
    assert (found.word, found.tone) == ("No data yet", "quiet")
    assert found.history


def test_evidence_at_the_threshold_stands_at_the_red_line() -> None:
    assert live_triggers.height(1e-9) == 0.0
    assert live_triggers.height(1.0) == pytest.approx(0.75)
    assert live_triggers.height(1e9) == 1.0


def _state(home: Path):
    ref = SnapshotReader(home / "snapshots").current()
    return data.state(str(ref.path), ref.key)
