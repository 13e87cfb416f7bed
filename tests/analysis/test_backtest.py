"""The backtest as a whole: it keeps the promise of a sound engine, catches a broken one, finds harm, and shows what other rules do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as distributions

from controlplane.analysis import backtest as module
from controlplane.analysis import backtest_engine
from controlplane.analysis import backtest_rows as rows
from controlplane.analysis.backtest import Request, backtest
from controlplane.analysis.backtest_engine import first_alarms, make_stream, prepare
from controlplane.analysis.backtest_html import page
from controlplane.analysis.backtest_incidents import Window, alarms_of
from controlplane.analysis.backtest_ramp import TooLittleHistory, lay
from controlplane.analysis.backtest_replay import Work, run_all
from controlplane.analysis.backtest_rows import bounds
from controlplane.analysis.backtest_tables import build, columns, treated_draw
from controlplane.core.evidence.detector import DetectorState, Events, step
from controlplane.core.evidence.weights import WeightPlan
from controlplane.core.model import Action, BlockCounts, MetricKind
from controlplane.core.triggers import to_counts
from controlplane.store.backtest_facts import NEVER
from tests.analysis.backtest_world import MINUTE, MONDAY, history, policy

MADE = history(blocks=96, per_block=60, rated=0.5)
POLICY = policy(stage_minutes=480)


@pytest.fixture(scope="module")
def result():
    windows = (Window("quiet", MONDAY + 100 * MINUTE, MONDAY + 200 * MINUTE),)
    return backtest(POLICY, MADE, Request(replays=400, seed=3, windows=windows), MADE)


def test_a_sound_policy_keeps_its_promise(result):
    rollbacks = result["false_rollback"]
    assert rollbacks["count"] <= distributions.binom.ppf(0.999, 400, 0.01)
    assert rollbacks["promised"] == POLICY.budget.false_rollback
    assert 0 < rollbacks["at_stake"] <= 0.01
    assert rollbacks["verdict"] in ("kept", "not shown")
    assert rollbacks["counted_streams"] == rollbacks["triggers"] == rollbacks["judged"] == 4
    assert [row["stream"] for row in result["detail"]["triggers"]] == [t.name for t in POLICY.triggers]


def test_a_large_budget_is_kept_and_could_have_been_broken():
    """With a promise of 20 %, at the margin and with all the weight at stake, rollbacks do happen, and are not more than promised."""
    asked = policy(budget=0.2, weeks=1 / 7, stage_minutes=480, escalation=0.0, csat=0.0, slow=0.021)
    ramp = lay(asked, MADE)
    bench = prepare(asked, MADE, ramp, 1)
    work = Work("harmless", bench.streams, bench.tables, 600, (1,), ramp)
    alarms = run_all([work], MADE.rows)[0].ours
    for stream in bench.streams:
        fired = int((alarms[stream.name] < NEVER).sum())
        assert fired <= distributions.binom.ppf(0.9999, 600, stream.spec.alpha), stream.name
    false = int((np.minimum.reduce(list(alarms.values())) < NEVER).sum())
    assert 1 <= false <= distributions.binom.ppf(0.9999, 600, 0.2)


def test_a_broken_engine_is_caught(monkeypatch):
    """Weights that sum to a hundred times more than the account holds."""

    class Broken(WeightPlan):
        def draw(self, drawn, wanted):
            after, weight = super().draw(drawn, wanted)
            return after, weight * 2_000.0

    monkeypatch.setattr(
        backtest_engine,
        "weight_plan",
        lambda policy_, span: Broken(horizon_blocks=round(policy_.budget.horizon_weeks * 7 * 86_400 / span)),
    )
    ramp = lay(POLICY, MADE)
    bench = prepare(POLICY, MADE, ramp, 1)
    outcome = run_all([module._harmless(bench, Request(replays=300))], MADE.rows)[0]
    rollbacks = rows.false_rollbacks(bench, outcome)
    assert rollbacks["verdict"] == "broken"
    assert rollbacks["lower95"] > 0.01


def test_the_engine_is_the_one_that_guards_rollouts():
    """Block by block through `step`, as a rollout closes them, the alarm is the same."""
    ramp = lay(POLICY, MADE)
    drawn = treated_draw(ramp, 2, np.random.SeedSequence(9))
    for trigger in POLICY.triggers:
        stream = make_stream(POLICY, trigger, "all")
        table = build(stream.key, ramp, MADE)
        pair = table.pair(drawn)
        pair.treated[40:] = pair.treated[40:, ::-1]  # something to find
        counts = columns(MetricKind(stream.spec.kind), pair, 0.0)
        found = first_alarms(stream, table, counts)
        state, fired = DetectorState.fresh(stream.spec, stream.plan), -1
        for t in range(len(table.grid.opens)):
            levels = [tuple(int(v) for v in arm[t, :, 0]) for arm in (pair.treated, pair.control)]
            if trigger.kind is MetricKind.RATING:
                block = BlockCounts("m", "all", None, 900, k_t=levels[0], k_c=levels[1])
            else:
                block = BlockCounts("m", "all", None, 900, sum(levels[0]), levels[0][1], sum(levels[1]), levels[1][1])
            starts, deploys = table.grid.events[t].tolist()
            state, reading = step(stream.spec, state, t, to_counts(block), Events(starts, deploys))
            if reading.fired and fired < 0:
                fired = t
        assert found[0] == fired, trigger.name
        assert fired >= 40, trigger.name


def test_harm_is_found_and_more_harm_sooner(result):
    rows = {row["name"]: row for row in result["harms"]}
    assert len({row["metric"] for row in result["harms"]}) == 4
    for metric_harms in (["escalation rate +10 points", "escalation rate +20 points"], ["CSAT -0.5", "CSAT -1"]):
        small, large = (rows[f"{name}, mid-stage"] for name in metric_harms)
        assert large["found"] >= small["found"]
    worst = rows["escalation rate +20 points, mid-stage"]
    assert worst["found"] > 0.9
    assert worst["detect_minutes"] >= 120 + 15, "maturity and a block are part of the delay"
    assert worst["p95_minutes"] is None or worst["p95_minutes"] >= worst["detect_minutes"]
    assert worst["exposed"] > 0
    assert worst["curve"][0] <= worst["detect_minutes"]
    slow = rows["latency x2, mid-stage"]
    assert slow["detect_minutes"] < worst["detect_minutes"], "a limit trigger needs no labels"


def test_the_smallest_harm_shrinks_with_the_share(result):
    for row in result["detail"]["smallest"]:
        found = [size if size is not None else np.inf for size in row["stages"]]
        assert found[2] <= found[0], row["trigger"]


def test_other_rules_roll_back_far_more_harmless_releases(result):
    rivals = result["rivals"]
    assert set(rivals) >= {
        "fixed_threshold",
        "argo_failure_limit",
        "hourly_z",
        "growthbook_sequential",
        "kayenta_mann_whitney",
    }
    for name in ("fixed_threshold", "argo_failure_limit", "flagger_threshold", "hourly_z"):
        assert rivals[name]["false_rollback"] > 0.3, name
        assert set(rivals[name]["harms"]) == {row["name"] for row in result["harms"]}
    assert result["false_rollback"]["share"] <= 0.02


def test_stress_keeps_the_promise_and_a_swap_hides_harm(result):
    rows = {row["name"]: row for row in result["detail"]["stress"]}
    assert len(rows) == 7
    for row in rows.values():
        assert row["verdict"] in ("kept", "not shown"), row
        assert row["count"] <= distributions.binom.ppf(0.9999, row["replays"], 0.01)
        assert row["expected"]
    assert rows["swapped_arms"]["harm_found"] == 0.0
    assert sum(row["verdict"] == "kept" for row in rows.values()) >= 5, "none of 300 shows the promise of 1 %"


def test_the_same_seed_gives_the_same_result_on_any_number_of_cores():
    ramp = lay(POLICY, MADE)
    bench = prepare(POLICY, MADE, ramp, 1)
    harm = module.harms_of(bench, bench.tables)[0]
    work = module._harmful(bench, {}, harm, "start", int(ramp.edges[0]), 60, Request(seed=5))
    one, two = (run_all([work], MADE.rows, cores=cores)[0] for cores in (1, 2))
    other = run_all([replace(work, seed=(6,))], MADE.rows)[0]
    for name in one.ours:
        assert np.array_equal(one.ours[name], two.ours[name])
    assert np.array_equal(one.exposed, two.exposed)
    assert not np.array_equal(one.exposed, other.exposed)


def test_a_broken_limit_of_the_history_is_no_false_rollback():
    made = history(blocks=96, per_block=60, slow=0.2)
    found = backtest(POLICY, made, Request(replays=100))
    assert "latency_slo_breach" in found["detail"]["breaks"]
    assert found["false_rollback"]["count"] == 0
    assert found["false_rollback"]["counted_streams"] == 3
    row = next(row for row in found["detail"]["triggers"] if row["stream"] == "latency_slo_breach")
    assert row["count"] > 90, "and it would fire"
    assert "history breaks this limit" in page(found | {"failing": []})


def test_incidents_of_the_assistants_arm_are_found_and_nothing_outside():
    made = history(blocks=96, per_block=100)
    rng = np.random.default_rng(2)
    treated = (rng.random(made.rows) < 0.5).astype(np.int64)
    begin, end = MONDAY + 600 * MINUTE, MONDAY + 960 * MINUTE
    hit = (treated == 1) & (made.started >= begin) & (made.started < end) & (rng.random(made.rows) < 0.4)
    made = replace(made, treated=treated, escalated=np.where(hit, made.started + MINUTE, made.escalated))
    windows = (Window("bad prompt", begin, end), Window("quiet", MONDAY + 60 * MINUTE, MONDAY + 300 * MINUTE))
    found = backtest(POLICY, made, Request(replays=100, windows=windows), made)["detail"]["incidents"]
    bad, quiet = found["windows"]
    assert found["mode"] == "arms as recorded"
    assert bad["fired"]
    assert bad["streams"] == ["escalation_increase"]
    assert 120 < bad["after_minutes"] < 360
    assert not quiet["fired"]
    assert found["alarms_outside"] == []


def test_after_an_alarm_the_detector_begins_anew():
    ramp = lay(POLICY, MADE)
    stream = make_stream(POLICY, POLICY.triggers[3], "all")
    table = build(stream.key, ramp, MADE)
    pair = table.pair(treated_draw(ramp, 1, np.random.SeedSequence(1)))
    pair.treated[10:20] = pair.treated[10:20, ::-1]
    pair.treated[60:70] = pair.treated[60:70, ::-1]
    opened = sorted({int(np.searchsorted(table.grid.opens, alarm.opened)) for alarm in alarms_of(stream, table, pair)})
    assert any(10 <= t < 20 for t in opened)
    assert any(60 <= t < 70 for t in opened)
    assert not any(t < 10 or 20 < t < 60 or t > 70 for t in opened)


def test_too_little_history_is_said_and_is_no_pass():
    with pytest.raises(TooLittleHistory, match="no comparison with the control of policy 'four' can be judged"):
        backtest(POLICY, history(blocks=12, per_block=1), Request(replays=100))


@pytest.mark.parametrize(("count", "n"), [(0, 2000), (3, 400), (40, 40), (1, 1)])
def test_bounds_are_clopper_pearson(count, n):
    low, high = bounds(count, n)
    assert low == pytest.approx(0.0 if count == 0 else distributions.beta.ppf(0.05, count, n - count + 1))
    assert high == pytest.approx(1.0 if count == n else distributions.beta.ppf(0.95, count + 1, n - count))


def test_verdicts_need_the_whole_interval():
    assert rows.verdict_of({"lower95": 0.0, "upper95": 0.01}, 0.01) == "kept"
    assert rows.verdict_of({"lower95": 0.0, "upper95": 0.03}, 0.01) == "not shown"
    assert rows.verdict_of({"lower95": 0.011, "upper95": 0.03}, 0.01) == "broken"


def test_the_report_is_one_file_with_pictures(result):
    text = page(result | {"failing": [], "seconds": 1.0})
    assert text.count("<svg") > 8
    assert "keeps its promise" in text or "not shown" in text
    for word in ("http:", "https:", "<script", "src=", "url("):
        assert word not in text, word
    assert "promised: at most 1 %" in text
    broken = page(result | {"failing": ["stress <b>"], "seconds": 1.0})
    assert "breaks its promise" in broken
    assert "stress &lt;b&gt;" in broken


def test_segments_have_streams_of_their_own_within_the_budget():
    asked = replace(POLICY, watch=replace(POLICY.watch, segments=("new", "old")))
    segments = np.where(np.arange(MADE.rows) % 2 == 0, "new", "old").astype(object)
    made = replace(MADE, segment=segments)
    bench = prepare(asked, made, lay(asked, made), 1)
    assert {s.name for s in bench.streams} >= {"escalation_increase", "escalation_increase|new", "timeouts|old"}
    every = [make_stream(asked, t, segment) for t in asked.triggers for segment in asked.segments_of(t)]
    assert sum(stream.spec.alpha for stream in every) == pytest.approx(asked.budget.false_rollback)
    drawn = treated_draw(bench.ramp, 5, np.random.SeedSequence(1))
    whole, *halves = (
        bench.tables[make_stream(asked, asked.triggers[3], segment).key].pair(drawn).treated
        for segment in ("all", "new", "old")
    )
    assert np.array_equal(whole, halves[0] + halves[1])


def test_a_compared_latency_trigger_and_one_that_only_pages():
    """Slow share against the control, a page-only policy: nothing rolls back, and it says so with a count of none."""
    slow = replace(POLICY.triggers[2], kind=MetricKind.TWO_SAMPLE, limit=0.03, action=Action.PAGE)
    asked = replace(POLICY, triggers=(slow, replace(POLICY.triggers[1], action=Action.HOLD)))
    found = backtest(asked, MADE, Request(replays=50))
    assert found["false_rollback"]["triggers"] == found["false_rollback"]["counted_streams"] == 0
    assert found["false_rollback"]["any_alarm"]["replays"] == 50
    assert {row["metric"] for row in found["harms"]} == {"slow_share", "escalation_rate"}
    assert all(row["rollback_minutes"] is None for row in found["harms"])
    assert next(row for row in found["harms"] if row["name"] == "latency x2, mid-stage")["found"] > 0.9
    assert all(rival["false_rollback"] == 0.0 for rival in found["rivals"].values())


def test_a_rate_ratio_is_backtested_as_what_it_is():
    """Escalations at most 1.5 times the control's: harmless replays are quiet, twice as many are found; rivals take it as a difference."""
    ratio = replace(POLICY.triggers[1], kind=MetricKind.RATE_RATIO, limit=1.5)
    found = backtest(replace(POLICY, triggers=(replace(ratio, weight=1.0),)), MADE, Request(replays=100))
    assert found["false_rollback"]["counted_streams"] == 1
    assert found["false_rollback"]["count"] <= 5
    assert any(row["name"].startswith("escalation rate x") and row["found"] > 0.9 for row in found["harms"])
