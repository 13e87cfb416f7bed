"""A gate opens only when everything it asks for is there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from controlplane.core.gates import GateFacts, GateResult, Requirement, judge_gate
from controlplane.core.model import Rollout, RolloutState, Verdict
from controlplane.core.policy import Phase
from controlplane.core.triggers import CertificateStanding

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
PHASE = Phase(
    name="canary",
    audience="low_risk",
    shares=(0.05,),
    min_minutes=60,
    min_treated=100,
    certificates=("escalation", "csat"),
    approvals=1,
)
ROLLOUT = Rollout("r", "v1", "h", RolloutState.RUNNING, "canary", 1, 0.05, True, "p", 3, T0, T0)


def standing(name: str, log_e: float = 3.2, blocks: int = 40) -> CertificateStanding:
    return CertificateStanding(name, "m", 0.02, log_e, 3.0, log_e >= 3.0, blocks)


FACTS = GateFacts(
    now=T0 + timedelta(minutes=60),
    treated=100,
    standings={"escalation": standing("escalation"), "csat": standing("csat")},
    approvers=("ben",),
    author="ann",
    fired=False,
    fresh=True,
)


def shut_by(facts: GateFacts, rollout: Rollout = ROLLOUT, phase: Phase = PHASE) -> dict[str, Verdict]:
    result = judge_gate(rollout, phase, facts)
    assert (result.verdict is Verdict.PASS) == (not result.missing)
    return {line.name: line.verdict for line in result.missing}


def test_the_gate_opens_exactly_at_what_is_asked() -> None:
    result = judge_gate(ROLLOUT, PHASE, FACTS)
    assert result.verdict is Verdict.PASS
    assert [line.name for line in result.requirements] == [
        "state",
        "no trigger fired",
        "fresh data",
        "facts as old as the state",
        "valid comparison",
        "triggers have data",
        "cooldown",
        "time in stage",
        "treated customers",
        "certificate escalation",
        "certificate csat",
        "approvals",
    ]
    assert all(line.have and line.need for line in result.requirements)


ALONE = [
    ("no trigger fired", replace(FACTS, fired=True), Verdict.FAIL),
    ("fresh data", replace(FACTS, fresh=False), Verdict.NO_DATA),
    ("facts as old as the state", replace(FACTS, facts_behind="batch 7 is gone"), Verdict.ERROR),
    ("valid comparison", replace(FACTS, invalid=("aa_shadow (csat_drop)",)), Verdict.FAIL),
    ("triggers have data", replace(FACTS, unheard=("csat_drop",)), Verdict.NO_DATA),
    ("triggers have data", replace(FACTS, silent=("csat",)), Verdict.NO_DATA),
    ("cooldown", replace(FACTS, cooldown_until=FACTS.now + timedelta(microseconds=1)), Verdict.INCONCLUSIVE),
    ("time in stage", replace(FACTS, now=FACTS.now - timedelta(microseconds=1)), Verdict.INCONCLUSIVE),
    ("time in stage", replace(FACTS, now=T0 - timedelta(days=1)), Verdict.INCONCLUSIVE),
    ("treated customers", replace(FACTS, treated=99), Verdict.INCONCLUSIVE),
    ("treated customers", replace(FACTS, treated=0), Verdict.INCONCLUSIVE),
    (
        "certificate csat",
        replace(FACTS, standings={**FACTS.standings, "csat": standing("csat", 2.99)}),
        Verdict.INCONCLUSIVE,
    ),
    ("certificate csat", replace(FACTS, standings={"escalation": standing("escalation")}), Verdict.NO_DATA),
    (
        "certificate escalation",
        replace(FACTS, standings={**FACTS.standings, "escalation": standing("escalation", 9.0, blocks=0)}),
        Verdict.NO_DATA,
    ),
    ("approvals", replace(FACTS, approvers=()), Verdict.INCONCLUSIVE),
    ("approvals", replace(FACTS, approvers=("ann",)), Verdict.INCONCLUSIVE),
    ("approvals", replace(FACTS, author=""), Verdict.NO_DATA),  # or the author's own approval might count
]


@pytest.mark.parametrize(("name", "facts", "verdict"), ALONE, ids=[f"{a[0]}-{i}" for i, a in enumerate(ALONE)])
def test_each_requirement_alone_keeps_the_gate_shut(name: str, facts: GateFacts, verdict: Verdict) -> None:
    assert shut_by(facts) == {name: verdict}
    result = judge_gate(ROLLOUT, PHASE, facts)
    assert result.verdict is verdict
    assert result.without(name).verdict is Verdict.PASS


@pytest.mark.parametrize("state", [state for state in RolloutState if state is not RolloutState.RUNNING])
def test_only_a_running_rollout_grows(state: RolloutState) -> None:
    assert shut_by(FACTS, replace(ROLLOUT, state=state)) == {"state": Verdict.FAIL}


def test_every_combination_opens_only_when_nothing_is_missing() -> None:
    broken = {
        "no trigger fired": {"fired": True},
        "fresh data": {"fresh": False},
        "time in stage": {"now": T0},
        "treated customers": {"treated": 5},
        "approvals": {"approvers": ()},
    }
    for choice in product([False, True], repeat=len(broken)):
        chosen = {name: change for (name, change), taken in zip(broken.items(), choice, strict=True) if taken}
        facts = replace(FACTS, **{key: value for change in chosen.values() for key, value in change.items()})
        assert set(shut_by(facts)) == set(chosen)


def test_the_worst_verdict_speaks() -> None:
    both = replace(FACTS, fired=True, fresh=False, treated=0)
    assert judge_gate(ROLLOUT, PHASE, both).verdict is Verdict.FAIL
    assert judge_gate(ROLLOUT, PHASE, replace(FACTS, fresh=False)).verdict is Verdict.NO_DATA
    assert GateResult(()).verdict is Verdict.NO_DATA  # a gate that asks nothing does not exist


def test_the_authors_approval_does_not_count() -> None:
    two = replace(PHASE, approvals=2)
    assert shut_by(replace(FACTS, approvers=("ann", "ben")), phase=two) == {"approvals": Verdict.INCONCLUSIVE}
    assert shut_by(replace(FACTS, approvers=("ben", "eva")), phase=two) == {}
    lines = judge_gate(ROLLOUT, PHASE, replace(FACTS, approvers=("ann",))).missing
    assert lines[0].have == "only the author"


@pytest.mark.parametrize("approvers", [("ben", "ben"), ("ben", "")])
def test_one_person_is_one_approval(approvers: tuple[str, ...]) -> None:
    assert shut_by(replace(FACTS, approvers=approvers), phase=replace(PHASE, approvals=2)) == {
        "approvals": Verdict.INCONCLUSIVE
    }


def test_a_phase_that_asks_for_no_approval_needs_none() -> None:
    assert shut_by(replace(FACTS, approvers=()), phase=replace(PHASE, approvals=0)) == {}


def test_a_line_says_what_there_is_and_what_is_needed() -> None:
    facts = replace(FACTS, treated=7, now=T0 + timedelta(minutes=12))
    lines = {line.name: line for line in judge_gate(ROLLOUT, PHASE, facts).requirements}
    assert (lines["treated customers"].have, lines["treated customers"].need) == ("7", "100")
    assert (lines["time in stage"].have, lines["time in stage"].need) == ("12 min", "60 min")
    assert lines["certificate csat"] == Requirement("certificate csat", Verdict.PASS, "log evidence 3.20", "3.00")
