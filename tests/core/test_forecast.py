"""Blind spots: the forecast against simulated weeks of the real engine, against direct enumeration, and against published figures."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from controlplane.core.evidence import DetectorState, StreamSpec, WeightPlan, first_alarm
from controlplane.core.evidence.forms import CERTIFICATES, FORMS, one_sample_log_e, rate_log_e
from controlplane.core.forecast import (
    MULTIPLES,
    TREATED,
    USUAL_RATINGS,
    Expected,
    Outlook,
    blocks_to_reach,
    growth,
    lower_mean,
    plan,
    units_a_minute,
)
from controlplane.core.model import MetricKind
from controlplane.core.policy import parse
from controlplane.core.triggers import weight_plan
from tests.bench.forecast_bench import Cell, forecast, simulate
from tests.core.policy_texts import TEXT, edited, policies

POLICY = parse(TEXT)
TRAFFIC = Expected(per_minute=200)

CELLS = [
    Cell("two_sample", 5, 95, 0.02, 0.1),
    Cell("two_sample", 20, 80, 0.02, 0.2),
    Cell("two_sample", 50, 50, 0.02, 0.06, base=0.2),
    Cell("two_sample", 500, 500, 0.02, 0.04, base=0.2),
    Cell("one_sample", 1, 0, 0.05, 0.15),
    Cell("one_sample", 5, 0, 0.05, 0.1),
    Cell("one_sample", 20, 0, 0.05, 0.3),
    Cell("one_sample", 50, 0, 0.1, 0.15),
    Cell("rating", 5, 95, 0.2, 0.8),
    Cell("rating", 20, 80, 0.2, 0.5),
    Cell("rating", 30, 30, 0.2, 1.2),
]


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_the_median_of_simulated_weeks_is_near_the_forecast(cell: Cell) -> None:
    expected = forecast(cell)
    assert expected is not None
    median = simulate(cell, weeks=24, blocks=4 * expected + 20, rng=np.random.default_rng(7))
    assert expected / 1.6 <= median <= 1.6 * expected, (expected, median)


@pytest.mark.parametrize(("effect", "published"), [(0.05, 370), (0.10, 97), (0.20, 30)])
def test_the_reference_delays_of_escalation(effect: float, published: float) -> None:
    """STATISTICS, section 4: 100 units a minute, 5 % treated, mid-week. Its control rate is not told; 8 % at one point of margin gives all three."""
    expected = forecast(Cell("two_sample", 5, 95, 0.01, effect, base=0.08))
    assert expected is not None
    assert published / 1.2 <= expected <= published * 1.2


@pytest.mark.parametrize("rate", [0.06, 0.1, 0.3])
@pytest.mark.parametrize("units", [0.3, 4.0, 60.0])
def test_growth_without_a_control_is_the_mean_over_poisson_arrivals(units: float, rate: float) -> None:
    """Form 3 is linear in the units too, so the mean over arrivals is that at the mean."""
    limit = 0.05
    found = growth(FORMS["one_sample"], (units, 0.0), ((rate,), (0.0,)), limit)
    columns = {"nT": np.array([units]), "xT": np.array([units * rate])}
    assert found == pytest.approx(one_sample_log_e(columns, limit)[0], rel=2e-2, abs=1e-4)


def test_growth_of_the_best_bet_is_near_the_divergence_and_never_above() -> None:
    """No bet can grow faster than the Kullback-Leibler divergence of the harm from the limit, per unit."""
    for limit, rate in ((0.05, 0.1), (0.02, 0.1), (0.1, 0.5)):
        best = growth(FORMS["one_sample"], (100.0, 0.0), ((rate,), (0.0,)), limit).max() / 100
        divergence = rate * log(rate / limit) + (1 - rate) * log((1 - rate) / (1 - limit))
        assert 0.9 * divergence <= best <= divergence * 1.001


@pytest.mark.parametrize(("n_t", "n_c"), [(0.5, 9.5), (3.0, 3.0), (6.0, 40.0)])
def test_growth_of_two_arms_is_the_mean_over_all_pairs_of_arrivals(n_t: float, n_c: float) -> None:
    """Every pair of counts with its Poisson probability, one call of the form each."""
    found = growth(FORMS["two_sample"], (n_t, n_c), ((0.2,), (0.1,)), 0.02)
    prior = np.array([1e6, 1e5, 1e5])
    total = np.zeros(found.shape)
    for a in range(1, 40):
        for b in range(1, 90):
            p = poisson.pmf(a, n_t) * poisson.pmf(b, n_c)
            if p > 1e-9:
                columns = {
                    "nT": np.array(float(a)),
                    "xT": np.array(a * 0.2),
                    "nC": np.array(float(b)),
                    "xC": np.array(b * 0.1),
                }
                total += p * rate_log_e(columns, prior, 0.02, FORMS["two_sample"].bets(0.02), 1.0)
    assert found == pytest.approx(total, rel=2e-2, abs=2e-4)


def test_correlated_units_are_worth_less() -> None:
    plain = growth(FORMS["one_sample"], (50.0, 0.0), ((0.2,), (0.0,)), 0.05)
    correlated = growth(FORMS["one_sample"], (50.0, 0.0), ((0.2,), (0.0,)), 0.05, icc=0.05)
    assert 0 < correlated.max() < plain.max() / 2


def test_the_mean_path_is_the_engines_own_recursion() -> None:
    """Blocks whose counts are exactly the expected ones, read by the real detector."""
    n, rate, limit, alpha = 50, 0.1, 0.05, 1e-3
    blocks = 400
    stats = {"nT": np.full((blocks, 1), n), "xT": np.full((blocks, 1), round(n * rate))}
    alarm = int(first_alarm("one_sample", stats, limit, alpha)[0]) + 1
    rates = one_sample_log_e({"nT": np.array([float(n)]), "xT": np.array([n * rate])}, limit)[0]
    mid = blocks_to_reach([rates], [-log(alpha)], log(0.5 / 10_080), blocks)
    assert mid is not None
    assert alarm <= mid  # the week's start has .5 of the weight besides
    steps, log_r = 0, np.full(rates.shape, -np.inf)
    while np.logaddexp.reduce(log_r) - log(rates.size) < -log(alpha):
        log_r, steps = np.logaddexp(log_r, log(0.5 / 10_080)) + rates, steps + 1
    assert steps == mid


@given(st.lists(st.floats(-0.5, 3), min_size=1, max_size=6), st.floats(0.5, 12), st.integers(1, 300))
@settings(deadline=None, max_examples=80)
def test_blocks_to_reach_is_the_first_of_the_recursion(rates: list[float], level: float, most: int) -> None:
    growths, log_r, first = np.asarray(rates), np.full(len(rates), -np.inf), None
    for block in range(1, most + 1):
        log_r = np.logaddexp(log_r, log(1e-4)) + growths
        if first is None and np.logaddexp.reduce(log_r) - log(len(rates)) >= level:
            first = block
    found = blocks_to_reach([growths], [level], log(1e-4), most)
    if growths.max() > 0.05:  # below that the path may level off, or fall again
        assert found == first


def test_adaptive_sampling_grows_slowly_until_suspicion() -> None:
    slow, fast = np.array([0.01]), np.array([0.2])
    both = blocks_to_reach([slow, fast], [log(0.01), log(1000)], log(1e-5), 10**6)
    only = blocks_to_reach([slow], [log(1000)], log(1e-5), 10**6)
    always = blocks_to_reach([fast], [log(1000)], log(1e-5), 10**6)
    assert both is not None
    assert only is not None
    assert always is not None
    assert always < both < only


@given(st.floats(0.01, 2.5))
@settings(deadline=None)
def test_a_lower_mean_is_that_much_lower_and_nothing_is_impossible(points: float) -> None:
    levels = np.arange(1.0, 6.0)
    found = np.asarray(lower_mean(USUAL_RATINGS, points))
    assert found.sum() == pytest.approx(1)
    assert (found > 0).all()
    before = float(np.asarray(USUAL_RATINGS) @ levels)
    assert float(found @ levels) == pytest.approx(max(1.02, before - points), abs=1e-6)


def test_a_plan_has_a_cell_for_each_trigger_stage_and_effect() -> None:
    found = plan(POLICY, TRAFFIC)
    stages = [stage for stage in POLICY.stages if stage.audience != "employees"]
    cells = {(item.trigger, item.stage.index, item.multiple) for item in found.detections}
    assert (
        len(cells)
        == len(found.detections)
        == len(stages)
        * sum(
            len([m for m in MULTIPLES if t.kind is MetricKind.RATING or t.limit * m <= 0.98]) for t in POLICY.triggers
        )
    )
    assert {(gate.asks, gate.stage.index) for gate in found.gates} == {
        *(("escalation", i) for i in (1, 2, 3)),
        (TREATED, 1),
    }
    (customers,) = [gate for gate in found.gates if gate.asks == TREATED]
    assert customers.minutes == pytest.approx(100 / (200 * 0.05))
    for item in found.detections:
        trigger = next(t for t in POLICY.triggers if t.name == item.trigger)
        if item.minutes is None:
            assert item.outlook is Outlook.NEVER
            continue
        assert item.minutes > trigger.maturity_minutes
        assert item.exposed == pytest.approx(item.minutes * 200 * item.stage.share)
        least = POLICY.phase(item.stage.phase).min_minutes if item.stage.index < 4 else 100_800
        assert (item.outlook is Outlook.WITHIN) == (item.minutes <= least)


def test_more_harm_and_more_traffic_are_found_sooner() -> None:
    slow, fast = plan(POLICY, TRAFFIC), plan(POLICY, Expected(per_minute=2000))
    for before, after in zip(slow.detections, fast.detections, strict=True):
        assert (after.minutes or 1e9) <= (before.minutes or 1e9)
    for trigger in POLICY.triggers:
        for stage in {item.stage for item in slow.detections}:
            own = [item for item in slow.detections if (item.trigger, item.stage) == (trigger.name, stage)]
            times = [item.minutes or 1e9 for item in sorted(own, key=lambda item: item.multiple)]
            assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(("limit", "kind"), [("0.9", "two_sample"), ("0", "two_sample"), ("0.79", "one_sample")])
def test_limits_at_the_edge_of_what_can_happen_still_have_a_cell(limit: str, kind: str) -> None:
    text = TEXT.replace("limit = 0.02\n", f"limit = {limit}\n").replace(
        'kind = "two_sample"\nlimit', f'kind = "{kind}"\nlimit'
    )
    found = [
        item for item in plan(parse(text, in_force=True), TRAFFIC).detections if item.trigger == "escalation_increase"
    ]
    assert found
    assert all(0 < item.effect <= 0.98 for item in found)


def test_hardly_any_traffic_is_told_as_never() -> None:
    found = plan(POLICY, Expected(per_minute=0.01))
    assert {item.outlook for item in found.detections if item.trigger == "csat_drop"} == {Outlook.NEVER}
    assert all(gate.minutes is None and not gate.within for gate in found.gates if gate.asks != TREATED)
    with pytest.raises(ValueError, match="a traffic above 0"):
        plan(POLICY, Expected(per_minute=0))


def test_a_judge_with_mistakes_needs_longer() -> None:
    perfect = parse(TEXT.replace("sensitivity = 0.9\nspecificity = 0.97", "sensitivity = 1.0\nspecificity = 1.0"))
    worse = [item.minutes for item in plan(POLICY, TRAFFIC).detections if item.trigger == "hallucination"]
    better = [item.minutes for item in plan(perfect, TRAFFIC).detections if item.trigger == "hallucination"]
    assert all((one or 1e9) > (two or 1e9) for one, two in zip(worse, better, strict=True))


def test_what_counts_a_minute_depends_on_the_metric() -> None:
    stage = POLICY.stages[1]  # 5 % of the low-risk
    expected = Expected(per_minute=200, rated_share=0.25, audited_share=0.1, low_risk_share=0.5, calls=2.0)
    counted = {
        metric: units_a_minute(POLICY, expected, metric, labels, kind, stage)
        for metric, labels, kind in (
            ("csat", "any", MetricKind.RATING),
            ("escalation_rate", "any", MetricKind.TWO_SAMPLE),
            ("api_error_rate", "any", MetricKind.ONE_SAMPLE),
            ("misrouting_rate", "any", MetricKind.ONE_SAMPLE),
            ("hallucination_rate", "any", MetricKind.ONE_SAMPLE),
        )
    }
    assert {metric: treated for metric, (treated, _) in counted.items()} == pytest.approx(
        {"csat": 1.25, "escalation_rate": 5, "api_error_rate": 10, "misrouting_rate": 0.5, "hallucination_rate": 5}
    )
    assert counted["escalation_rate"][1] == pytest.approx(95)
    people = units_a_minute(POLICY, expected, "hallucination_rate", "person", MetricKind.ONE_SAMPLE, stage)
    assert people[0] == pytest.approx(0.5)


def test_certificates_need_what_the_reference_says() -> None:
    """STATISTICS, section 4: margin of 2 points, beta 5 %, true effect 0: 2,400 to 3,200 treated units; 6 points: about 300."""
    for margin, low, high in ((0.02, 2400, 3200), (0.06, 200, 480)):
        policy = parse(edited("margin = 0.019", f"margin = {margin}"))
        gate = next(item for item in plan(policy, Expected(per_minute=100)).gates if item.asks == "escalation")
        assert gate.treated is not None
        assert low <= gate.treated <= high


def test_a_certificates_forecast_against_simulation() -> None:
    form, rng, weeks, blocks = CERTIFICATES["two_sample"], np.random.default_rng(3), 60, 400
    n_t, n_c = rng.poisson(10, (blocks, weeks)), rng.poisson(90, (blocks, weeks))
    columns = {"nT": n_t, "xT": rng.binomial(n_t, 0.1), "nC": n_c, "xC": rng.binomial(n_c, 0.1)}
    prior = np.broadcast_to(np.array([1e6, 1e5, 1e5]), (blocks, weeks, 3))
    log_e = form.log_e({name: value.astype(float) for name, value in columns.items()}, prior, 0.05)
    evidence = np.logaddexp.reduce(np.cumsum(log_e, axis=0), axis=-1) - log(log_e.shape[-1])
    there = evidence >= log(20)
    median = float(np.median(np.where(there.any(axis=0), there.argmax(axis=0) + 1, np.inf)))
    rates = growth(form, (10.0, 90.0), ((0.1,), (0.1,)), 0.05)
    path = np.logaddexp.reduce(np.outer(np.arange(1, blocks), rates), axis=-1) - log(rates.size)
    expected = int((path >= log(20)).argmax()) + 1
    assert expected / 1.6 <= median <= expected * 1.6


@given(policies())
@settings(deadline=None, max_examples=25)
def test_any_policy_can_be_planned(text: str) -> None:
    policy = parse(text)
    found = plan(policy, Expected(per_minute=policy.traffic.per_minute or 50))
    assert {item.trigger for item in found.detections} == {trigger.name for trigger in policy.triggers}
    for item in found.detections:
        assert (item.minutes is None) == (item.exposed is None) == (item.outlook is Outlook.NEVER)
        assert item.minutes is None or 0 < item.minutes <= policy.budget.horizon_weeks * 10_080
    assert found.notes
    trigger = policy.triggers[0]
    spec = StreamSpec(str(trigger.kind), trigger.limit, policy.alpha(trigger, "all"))
    horizon = weight_plan(policy, trigger.block_seconds)
    assert isinstance(horizon, WeightPlan)
    assert DetectorState.fresh(spec, horizon).log_r  # what is planned can be run
