"""The five measures and the figures from rows as the queries give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from controlplane.analysis.review_figures import (
    SPECS,
    JudgeError,
    Tables,
    corrected,
    described,
    figures,
    standardised_histograms,
    whole,
)
from controlplane.analysis.review_success import PER, safety, success, why_not
from controlplane.core.estimates import bucket
from controlplane.core.policy_model import Programme
from controlplane.core.weekly import Estimate, Figure, Movement, Source

SOURCE = Source(query="q", query_hash="h", parameters={}, policy_hash="p")
ARMS = ("assistant", "baseline")
Rows = Sequence[Mapping[str, Any]]


def row(
    metric: str,
    arm: str,
    n: int,
    total: float,
    week: int = 1,
    stratum: int = 1,
    squares: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """A rate of `total` in `n` customers with one conversation each, or a mean with the sum of `squares`."""
    sums = {"units": n, "y": total, "x": n, "yy": total if squares is None else squares, "xx": n, "xy": total}
    return {
        "metric": metric,
        "week": week,
        "stratum": stratum,
        "arm": arm,
        "conversations": n,
        "mature": n,
        **sums,
        **more,
    }


def tables(outcomes: Rows = (), judged: Rows = (), **more: Rows) -> Tables:
    rows: dict[str, Rows] = {
        "outcomes": outcomes,
        "judged": judged,
        "requests": [],
        "costs": [],
        "latency": [],
    } | more
    rows |= {f"{name}_firsts": rows[name] for name in ("outcomes", "judged", "requests")}
    return Tables(rows, dict.fromkeys(rows, SOURCE), 0.95, {"escalation_rate": 0.02})


def judged(arm: str, audited: int, severe: int) -> dict[str, Any]:
    return row("misrouting_rate", arm, audited, severe, judged=audited, severe=severe)


def measures(found: Tables, programme: Programme | None = None) -> dict[str, Any]:
    return {one.measure: one for one in success(found, programme or Programme())}


def test_without_rows_every_measure_is_unknown_and_says_why() -> None:
    found = measures(tables())
    assert list(found) == ["csat", "misclassification", "escalation", "resolution_time", "safety_incidents"]
    assert {one.movement for one in found.values()} == {Movement.UNKNOWN}
    assert found["safety_incidents"].reason == "nobody has audited where the assistant's customers were sent"
    assert "the assistant has nothing" in found["csat"].reason


@pytest.mark.parametrize(
    ("treated", "control", "moved"),
    [(500, 1000, Movement.IMPROVED), (1000, 1000, Movement.NOT_WORSE), (1300, 1000, Movement.WORSE)],
)
def test_escalation_against_its_margin(treated: int, control: int, moved: Movement) -> None:
    rows = [row("escalation_rate", "assistant", 10_000, treated), row("escalation_rate", "baseline", 10_000, control)]
    found = measures(tables(rows))["escalation"]
    assert found.movement is moved
    assert found.difference.value == pytest.approx((treated - control) / 10_000)
    assert found.margin == Programme().escalation_margin
    assert found.assistant.value is not None
    assert found.menu.value is not None
    assert found.difference.value == pytest.approx(found.assistant.value - found.menu.value)


def test_a_wider_margin_of_the_policy_decides() -> None:
    rows = [row("escalation_rate", "assistant", 10_000, 1200), row("escalation_rate", "baseline", 10_000, 1000)]
    assert measures(tables(rows))["escalation"].movement is Movement.WORSE
    wide = Programme(escalation_margin=0.05)
    assert measures(tables(rows), wide)["escalation"].movement is Movement.NOT_WORSE


def test_csat_is_better_when_it_is_higher() -> None:
    rows = [row("csat", "assistant", 1000, 4500, squares=20_900), row("csat", "baseline", 1000, 4000, squares=16_900)]
    found = measures(tables(rows))["csat"]
    assert found.movement is Movement.IMPROVED
    assert found.direction == "higher"


def test_resolution_time_is_a_share_of_the_menus() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for arm, mean in (("assistant", 11.0), ("baseline", 11.02)):
        times = rng.lognormal(mean, 0.3, 3000)
        rows.append(row("resolution_time", arm, 3000, times.sum(), squares=(times**2).sum()))
    found = measures(tables(rows))["resolution_time"]
    assert found.movement in (Movement.NOT_WORSE, Movement.IMPROVED)
    assert found.assistant.value is not None
    assert found.menu.value is not None
    assert found.difference.value == pytest.approx(found.assistant.value / found.menu.value - 1)
    assert 50 < found.menu.value < 80  # seconds, from milliseconds


def test_why_arms_cannot_be_compared() -> None:
    young = [row("csat", arm, 100, 400, mature=0) | {"x": 0, "units": 0} for arm in ARMS]
    assert why_not(young, "csat", "outcomes") == "no label is old enough yet to be final"
    silent = [row("csat", arm, 100, 0) | {"x": 0, "units": 0} for arm in ARMS]
    assert why_not(silent, "csat", "outcomes") == "nothing is known of the assistant and the menu: no label"
    assert "the menu has nothing" in why_not([row("csat", "assistant", 100, 400)], "csat", "outcomes")
    few = [row("csat", arm, 10, 40) for arm in ARMS]
    assert why_not(few, "csat", "outcomes") == "too few customers in both arms at the same time"


@pytest.mark.parametrize(
    ("treated", "control", "moved", "why"),
    [
        ((2000, 0), (5000, 0), Movement.NOT_WORSE, "none was confirmed, and enough"),
        ((20, 0), (5000, 0), Movement.UNKNOWN, "too little was audited"),
        ((2000, 0), (0, 0), Movement.NOT_WORSE, "none was confirmed, and enough"),
        ((0, 0), (5000, 3), Movement.UNKNOWN, "nobody has audited"),
        ((2000, 12), (5000, 2), Movement.WORSE, "more confirmed"),
        ((5000, 1), (2000, 15), Movement.IMPROVED, "fewer confirmed"),
        ((2000, 2), (2000, 2), Movement.UNKNOWN, "cannot be told"),
        ((2000, 2), (0, 0), Movement.UNKNOWN, "nobody has audited the menu"),
    ],
)
def test_safety_incidents(treated: tuple[int, int], control: tuple[int, int], moved: Movement, why: str) -> None:
    rows = [judged(arm, *counts) for arm, counts in zip(ARMS, (treated, control), strict=True) if counts[0]]
    found = safety(tables(judged=rows), 0.01)
    assert found.movement is moved
    assert why in found.reason
    if treated[0]:
        upper = stats.binomtest(treated[1], treated[0]).proportion_ci(0.95, "exact").high
        assert found.assistant.high == pytest.approx(PER * upper, rel=1e-9)


def test_verdict_of_safety_agrees_with_the_exact_test() -> None:
    """Worse exactly when the conditional binomial test says so at 5 %, two-sided by tails."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        n_t, n_c = (int(n) for n in rng.integers(500, 3000, 2))
        k_t, k_c = int(rng.poisson(n_t * 0.004)), int(rng.poisson(n_c * 0.002))
        found = safety(tables(judged=[judged("assistant", n_t, k_t), judged("baseline", n_c, k_c)]), 0.01)
        worse = k_t > 0 and stats.binom.sf(k_t - 1, k_t + k_c, n_t / (n_t + n_c)) < 0.025
        assert (found.movement is Movement.WORSE) == worse


def test_figures_come_with_every_metric_of_the_review() -> None:
    names = [one.name for one in figures(tables(), JudgeError(0.9, 0.98))]
    assert {spec.name for spec in SPECS} < set(names)
    assert {"latency_p50", "latency_p95", "traffic_volume", "request_volume"} < set(names)
    assert names[names.index("hallucination_rate") + 1] == "hallucination_rate_corrected"
    assert len(names) == len(set(names))
    assert "hallucination_rate_corrected" not in [one.name for one in figures(tables(), None)]
    assert described("csat")[2] == "higher"


def test_a_change_against_last_week() -> None:
    rows = [row("escalation_rate", "assistant", 5000, 500), row("escalation_rate", "assistant", 5000, 800, week=0)]
    rows += [row("escalation_rate", "baseline", 5000, 500)]
    found = {one.name: one for one in figures(tables(rows), None)}["escalation_rate"]
    assert found.change is not None
    assert found.change.value == pytest.approx(-0.06)
    assert found.movement is Movement.IMPROVED
    assert found.last_week is not None
    assert found.last_week.value == pytest.approx(0.16)
    assert found.baseline is not None


def flagged(value: float, low: float, high: float) -> Figure:
    assistant = Estimate(value=value, low=low, high=high, n=100)
    return Figure(
        name="hallucination_rate", title="t", unit="share", direction="lower", assistant=assistant, source=SOURCE
    )


def test_the_judges_error_is_taken_out() -> None:
    found = corrected(flagged(0.10, 0.05, 0.20), JudgeError(0.9, 0.95))
    assert found.assistant.value == pytest.approx((0.10 + 0.95 - 1) / 0.85)
    assert found.assistant.low == 0.0
    assert found.assistant.high == pytest.approx(0.15 / 0.85)
    assert found.source.parameters == {"sensitivity": 0.9, "specificity": 0.95}


def test_a_judge_no_better_than_chance_corrects_nothing() -> None:
    assert corrected(flagged(0.1, 0.05, 0.2), JudgeError(0.5, 0.5)).assistant.value is None
    assert corrected(flagged(0.1, 0.05, 0.2), JudgeError(1.0, 1.0)).assistant.value == pytest.approx(0.1)


def histogram(arm: str, stratum: int, values: Any) -> list[dict[str, Any]]:
    buckets, counts = np.unique([bucket(float(v)) for v in values], return_counts=True)
    return [
        {"week": 1, "stratum": stratum, "arm": arm, "bucket": int(b), "n": int(n)}
        for b, n in zip(buckets, counts, strict=True)
    ]


def test_latency_over_a_ramp_is_compared_within_stages() -> None:
    """Everybody is slow in the second stage, when the assistant had most: pooled it looks slower, within stages it is as the menu."""
    rng = np.random.default_rng(2)
    rows = histogram("assistant", 1, rng.lognormal(5, 0.4, 100)) + histogram("baseline", 1, rng.lognormal(5, 0.4, 1900))
    rows += histogram("assistant", 2, rng.lognormal(7, 0.4, 1000)) + histogram(
        "baseline", 2, rng.lognormal(7, 0.4, 1000)
    )
    found = {one.name: one for one in figures(tables(latency=rows), None)}["latency_p50"]
    assert found.difference is not None
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert found.difference.low < 0 < found.difference.high
    assert found.baseline is not None
    assert (found.assistant.value or 0) > 2 * (found.baseline.value or 0)
    treated, control = standardised_histograms(rows)
    assert 0 < sum(treated.values()) <= 1100
    assert 0 < sum(control.values()) <= 2900


def test_rounding_keeps_the_total() -> None:
    values = dict.fromkeys(range(100), 0.3)
    assert sum(whole(values).values()) == 30
    assert whole({}) == {}
