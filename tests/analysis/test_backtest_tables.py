"""Relabelling and counting: totals are kept, outcomes of one conversation stay together, the ramp is the policy's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from controlplane.analysis.backtest_engine import prepare, worst
from controlplane.analysis.backtest_harms import flipped, lowered
from controlplane.analysis.backtest_ramp import TooLittleHistory, lay
from controlplane.analysis.backtest_stress import stresses
from controlplane.analysis.backtest_tables import Pair, build, columns, grid_of, treated_draw, trigger_key
from controlplane.core.evidence import effective
from controlplane.core.model import MetricKind
from tests.analysis.backtest_world import MINUTE, MONDAY, history, policy

SMALL = history(blocks=48, per_block=40)
POLICY = policy(stage_minutes=240)


def tables(made=SMALL, asked=POLICY):
    ramp = lay(asked, made)
    return ramp, {t.name: build(trigger_key(t, "all"), ramp, made) for t in asked.triggers}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), replays=st.integers(1, 9))
def test_relabelling_keeps_the_totals_of_every_block(seed, replays):
    ramp, found = tables()
    drawn = treated_draw(ramp, replays, np.random.SeedSequence(seed))
    assert set(np.unique(drawn)) <= {0.0, 1.0}
    for table in found.values():
        pair = table.pair(drawn)
        assert pair.treated.shape == (len(table.grid.opens), table.levels, replays)
        assert np.all(pair.treated >= 0)
        assert np.all(pair.control >= 0)
        assert np.array_equal(pair.treated + pair.control, np.broadcast_to(table.totals[..., None], pair.treated.shape))


def test_counts_are_those_of_a_loop_over_the_conversations():
    ramp, found = tables()
    drawn = treated_draw(ramp, 3, np.random.SeedSequence(1))
    table = found["escalation_increase"]
    pair = table.pair(drawn)
    expected = np.zeros(pair.treated.shape)
    for i in range(SMALL.rows):
        block = int(np.searchsorted(table.grid.opens, SMALL.started[i], side="right")) - 1
        if ramp.unit[i] and block < len(table.grid.opens) and SMALL.started[i] < table.grid.closes[block]:
            level = int(SMALL.escalated[i] <= SMALL.started[i] + table.key.maturity)
            expected[block, level] += drawn[i]
    assert np.array_equal(pair.treated, expected)


def test_one_conversation_is_in_one_arm_for_all_triggers():
    """The draw is common: treated units of the escalation table and of the time-out table agree block by block."""
    ramp, found = tables()
    drawn = treated_draw(ramp, 20, np.random.SeedSequence(3))
    a, b = (found[name].pair(drawn).treated.sum(axis=1) for name in ("escalation_increase", "timeouts"))
    blocks = len(a) - 1  # the last one differs: a request may come a moment after its conversation's start
    assert np.corrcoef(a[:blocks].ravel(), b[:blocks].ravel())[0, 1] > 0.99


def test_shares_are_those_of_the_stages_and_customers_stay():
    made = history(blocks=48, per_block=100, customers=400)
    ramp, _ = tables(made)
    drawn = treated_draw(ramp, 200, np.random.SeedSequence(2))
    for stage, share in enumerate((0.05, 0.2, 0.5)):
        mine = ramp.stage_of == stage
        n = np.unique(ramp.customer[mine]).size * 200
        low, high = distributions.binom.ppf([1e-6, 1 - 1e-6], n, share) / n
        assert low <= drawn[mine].mean() <= high + 0.01
    first, later = (np.flatnonzero(ramp.stage_of == s) for s in (0, 2))
    both = np.intersect1d(ramp.customer[first], ramp.customer[later])[:50]
    for customer in both:
        rows = np.flatnonzero(ramp.customer == customer)
        assert np.all(np.diff(drawn[rows], axis=0) >= 0), "a growing share only ever adds customers"


def test_a_unit_is_the_first_conversation_of_customer_stage_and_week():
    made = history(blocks=48, per_block=100, customers=50)
    ramp = lay(POLICY, made)
    for stage in range(3):
        mine = ramp.stage_of == stage
        assert ramp.unit[mine].sum() == np.unique(made.customer[mine]).size
        for customer in range(5):
            rows = np.flatnonzero(mine & (made.customer == customer))
            assert ramp.unit[rows].tolist() == [i == 0 for i in range(rows.size)]
    long = history(blocks=48 * 4 * 14, per_block=1, customers=3)
    assert lay(policy(stage_minutes=1), long).unit.sum() > 9, "the same customer counts again in another week"


def test_the_ramp_fills_the_history_in_the_policys_proportions():
    ramp = lay(POLICY, SMALL)
    assert np.diff(ramp.edges).tolist() == [240 * MINUTE] * 3
    assert ramp.scale == pytest.approx(1.0)
    doubled = lay(policy(stage_minutes=120), SMALL)
    assert doubled.scale == pytest.approx(2.0)
    assert "scaled by 2" in doubled.notes[0]
    with pytest.raises(TooLittleHistory, match="the history spans"):
        lay(POLICY, history(blocks=4, per_block=10))
    empty = replace(SMALL, **{name: getattr(SMALL, name)[:0] for name in ("started", "customer", "last")})
    with pytest.raises(TooLittleHistory, match="no conversation of arm 'baseline'"):
        lay(POLICY, empty)


def test_low_risk_stages_and_exclusions_are_decided_before_assignment():
    text = POLICY.text.replace('audience = "eligible"', 'audience = "low_risk"')
    asked = replace(POLICY, phases=tuple(replace(p, audience="low_risk") for p in POLICY.phases), text=text)
    asked = replace(asked, assignment=replace(asked.assignment, low_risk_intents=("fees",), exclude_segments=("old",)))
    intents = np.where(np.arange(SMALL.rows) % 2 == 0, "fees", "fraud").astype(object)
    segments = np.where(np.arange(SMALL.rows) % 3 == 0, "old", "new").astype(object)
    ramp = lay(asked, replace(SMALL, intent=intents, segment=segments))
    assert set(intents[ramp.stage_of >= 0]) == {"fees"}
    assert set(segments[ramp.stage_of >= 0]) == {"new"}
    unknown = lay(asked, replace(SMALL, intent=np.full(SMALL.rows, "", dtype=object)))
    assert any("no first intents" in note for note in unknown.notes)


def test_customers_that_nobody_named():
    nobody = replace(SMALL, customer=np.full(SMALL.rows, -1))
    ramp = lay(POLICY, nobody)
    assert ramp.unit.all()
    assert any("no customer ids" in note for note in ramp.notes)
    some = replace(SMALL, customer=np.where(np.arange(SMALL.rows) < 10, -1, SMALL.customer))
    assert lay(POLICY, some).unit[:10].sum() == 0


def test_blocks_close_when_labels_are_mature_and_stages_draw_their_weight():
    ramp = lay(POLICY, SMALL)
    grid = grid_of(ramp, 900, 120 * MINUTE, SMALL.watermark, deploys=(MONDAY + 16 * MINUTE,))
    assert np.all(grid.closes + 120 * MINUTE <= SMALL.watermark)
    assert len(grid.opens) == 40
    assert np.flatnonzero(grid.events[:, 0]).tolist() == [0, 16, 32]
    assert np.flatnonzero(grid.events[:, 1]).tolist() == [2], "a deploy belongs to the next block that opens"
    internal = POLICY.text.replace(
        "[[phases]]", '[[phases]]\nname = "internal"\naudience = "employees"\nshares = [1.0]\n\n[[phases]]', 1
    )
    from controlplane.core.policy import parse

    staged = lay(parse(internal, "p"), SMALL)
    assert [stage.phase for stage in staged.stages] == ["ramp"] * 3
    assert grid_of(staged, 900, 0, SMALL.watermark).events[0, 0] == 2, (
        "the start of the employees' stage waits for the first block that counts"
    )


@given(n=st.integers(0, 60), x=st.integers(0, 60), icc=st.sampled_from([0.0, 0.01, 0.3, 1.0]))
def test_effective_counts_are_those_of_the_engine(n, x, icc):
    x = min(n, x)
    pair = Pair(np.array([[[n - x], [x]]], dtype=float), np.array([[[n - x], [x]]], dtype=float))
    found = columns(MetricKind.TWO_SAMPLE, pair, icc)
    wanted = effective(n, x, icc)
    assert found["nT"][0, 0] == pytest.approx(wanted[0])
    assert found["xC"][0, 0] == pytest.approx(wanted[1])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), points=st.sampled_from([0.1, 0.5, 1.0]), since=st.integers(0, 3))
def test_harms_move_outcomes_and_lose_none(seed, points, since):
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 50, (4, 5, 3)).astype(float)
    pair = Pair(ratings, ratings.copy())
    mix = ratings.sum(axis=(0, 2)) / ratings.sum()
    hurt = lowered(pair, points, mix, rng, since)
    assert np.array_equal(hurt.treated.sum(axis=1), ratings.sum(axis=1))
    assert np.array_equal(hurt.treated[:since], ratings[:since])
    assert np.array_equal(hurt.control, ratings)
    flips = flipped(Pair(ratings[:, :2], ratings[:, :2]), 0.4, rng, since)
    assert np.array_equal(flips.treated.sum(axis=1), ratings[:, :2].sum(axis=1))
    assert np.all(flips.treated[:, 1] >= ratings[:, 1])


def test_harms_have_the_size_they_say():
    rng = np.random.default_rng(1)
    mix = np.array([0.1, 0.1, 0.2, 0.3, 0.3])
    counts = np.broadcast_to(100_000 * mix[None, :, None], (1, 5, 4)).copy()
    levels = np.arange(1, 6)
    for points in (0.3, 0.5, 1.0):
        hurt = lowered(Pair(counts, counts), points, mix, rng, 0).treated[0, :, 0]
        assert (mix @ levels) - (hurt @ levels) / hurt.sum() == pytest.approx(points, abs=0.03)
    rates = np.array([[[90_000.0], [10_000.0]]])
    assert flipped(Pair(rates, rates), 0.1 / 0.9, rng, 0).treated[0, 1, 0] == pytest.approx(20_000, rel=0.02)
    assert worst(Pair(counts, counts)).treated[0, :, 0].tolist() == pytest.approx([100_000, 0, 0, 0, 0])
    assert worst(Pair(rates, rates)).treated[0, :, 0].tolist() == [0, 100_000]


def test_what_cannot_be_judged_says_why():
    ramp = lay(POLICY, SMALL)
    bench = prepare(POLICY, SMALL, ramp, 7)
    assert {stream.name for stream in bench.streams} | set(bench.untested) == {t.name for t in POLICY.triggers}
    silent = replace(SMALL, rating=np.zeros(SMALL.rows, dtype=np.int64))
    assert "no csat data" in prepare(POLICY, silent, ramp, 7).untested["csat_drop"]
    slow = replace(POLICY, triggers=(replace(POLICY.triggers[0], maturity_minutes=100_000.0),))
    assert "labels are mature 100000 minutes after" in prepare(slow, SMALL, ramp, 7).untested["csat_drop"]
    few = history(blocks=48, per_block=1)
    reasons = prepare(POLICY, few, lay(POLICY, few), 7).untested
    assert "could not fire if all of them were bad" in reasons["escalation_increase"]


def test_a_limit_that_the_history_breaks_is_told_apart():
    made = history(blocks=96, per_block=60, slow=0.15)
    bench = prepare(POLICY, made, lay(POLICY, made), 7)
    assert set(bench.breaks) == {"latency_slo_breach"}
    assert "history breaks this limit" in bench.breaks["latency_slo_breach"]


@pytest.mark.parametrize("test", stresses(240 * MINUTE), ids=lambda test: test.name)
def test_stress_changes_what_it_says_and_nothing_else(test):
    rng = np.random.default_rng(4)
    if test.history is None:
        ramp, found = tables()
        table = found["escalation_increase"]
        pair = table.pair(treated_draw(ramp, 50, np.random.SeedSequence(1)))
        changed = test.pair(table, pair, rng)
        if test.name == "swapped_arms":
            assert changed.treated is pair.control
        else:
            assert np.array_equal(changed.treated.sum(axis=1), pair.treated.sum(axis=1))
            assert changed.treated[:, 1].mean() == pytest.approx(pair.treated[:, 1].mean(), rel=0.2)
        return
    changed = test.history(SMALL, rng)
    assert np.all(np.diff(changed.started) >= 0)
    assert changed.requests.place.max() < changed.rows
    match test.name:
        case "log_loss":
            assert 0.9 * SMALL.rows < changed.rows < SMALL.rows
        case "duplicates":
            assert changed.rows > SMALL.rows
            assert lay(POLICY, changed).unit.sum() <= SMALL.rows + 3, "copies are no units"
        case "late_csat":
            happy, unhappy = changed.rating >= 3, (changed.rating > 0) & (changed.rating <= 2)
            delay = changed.rated - changed.started
            assert np.median(delay[unhappy]) < np.median(delay[happy]) / 4
        case _:
            assert (changed.escalated < 2**62).sum() > (SMALL.escalated < 2**62).sum()
            assert changed.rating.sum() < SMALL.rating.sum()
