"""Power so far from ledger rows: only this stage's blocks count, each stream gets its own figure, validity checks none."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp

import pytest

from controlplane.core.estimates_power import START_WEIGHT, smallest_harm_found
from controlplane.core.model import MetricKind, Rollout, RolloutState
from controlplane.core.policy import parse
from controlplane.store.state_rows import to_text
from jobs import evaluate, explain
from jobs.deps import Deps
from jobs.power import smallest_found, words
from tests.jobs.command_line import OPEN_POLICY
from tests.jobs.conftest import START as LIVED
from tests.jobs.conftest import FactsByHand

START = datetime(2026, 1, 5, tzinfo=UTC)
POLICY = parse(OPEN_POLICY, "open.toml")
KEY = ("escalation_increase", "all")
ROLLOUT = Rollout(
    rollout_id="r",
    release="v1",
    release_hash="h",
    state=RolloutState.RUNNING,
    phase="ramp",
    stage=0,
    share=0.5,
    execution_enabled=True,
    policy_hash="p",
    version=1,
    updated_at=START,
    stage_started_at=START,
)


def block(minute, **counts):
    row = {"stream": KEY[0], "segment": "all", "metric": "escalation_rate", "xT": 0, **counts}
    return {"block_start": to_text(START + timedelta(minutes=minute)), "counts": json.dumps([row])}


def test_the_sums_of_this_stage_are_asked():
    ledger = [block(-5, nT=9000, nC=9000, xC=900)] + [block(m, nT=20, nC=20, xC=2) for m in range(50)]
    found = smallest_found(POLICY, ROLLOUT, ledger, {KEY: 5.3, ("sample_ratio", "all"): 5.0})
    alone = smallest_harm_found("two_sample", {"nT": 1000, "nC": 1000, "xC": 100}, 0.03, exp(-5.3), START_WEIGHT / 2)
    assert found == {KEY: pytest.approx(alone)}
    assert 0.03 < found[KEY] < 0.2


def test_later_stages_have_less_to_stake_and_no_counts_find_nothing():
    ledger = [block(m, nT=20, nC=20, xC=2) for m in range(50)]
    first, third = (smallest_found(POLICY, replace(ROLLOUT, stage=k), ledger, {KEY: 5.3})[KEY] for k in (0, 2))
    assert third > first
    assert smallest_found(POLICY, ROLLOUT, [], {KEY: 5.3}) == {KEY: None}
    assert smallest_found(POLICY, ROLLOUT, ledger, {KEY: None}) == {}


def test_correlated_counts_count_less():
    ledger = [block(m, nT=20, nC=20, xC=2) for m in range(50)]
    (trigger,) = POLICY.triggers
    timid = replace(POLICY, triggers=(replace(trigger, icc=0.1),))
    assert smallest_found(timid, ROLLOUT, ledger, {KEY: 5.3})[KEY] > smallest_found(POLICY, ROLLOUT, ledger, {KEY: 5.3})[KEY]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "harm", "said"),
    [
        (MetricKind.TWO_SAMPLE, 0.031, "+3.1 points"),
        (MetricKind.RATING, 0.25, "0.25 rating points"),
        (MetricKind.ONE_SAMPLE, 0.08, "a rate of 8.0%"),
        (MetricKind.RATING, None, "nothing yet"),
    ],
)
def test_words(kind, harm, said):
    assert said in words(kind, harm)


def test_explain_says_what_each_stream_could_have_found(deps: Deps, facts: FactsByHand, started: str) -> None:
    for minute in range(12):
        facts.minute(LIVED + timedelta(minutes=minute), 100, 0.2, 0.1, 0.1, started)
    facts.heard(LIVED + timedelta(minutes=12))
    evaluate.run(deps, LIVED + timedelta(minutes=12))
    rollout = deps.state.rollout()
    assert rollout is not None
    rows = {row["trigger"]: row for row in explain.streams(deps.state, rollout, deps.policy)}
    escalation = rows["escalation_increase"]
    assert 0.02 < escalation["smallest_found"] < 0.5
    assert escalation["could_have_found"] == f"could have found {100 * escalation['smallest_found']:+.1f} points"
    assert "could_have_found" not in rows.get("sample_ratio", {})
    value = {"status": {}, "promise": "", "streams": list(rows.values()), "certificates": [], "decisions": []}
    assert escalation["could_have_found"] in explain.explanation_text(value)
