"""Who is served what: uniform, stable, growing only, the same test for both arms, and the baseline whenever in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from controlplane.core.assignment import Reason, Unit, bucket, decide_exposure, ineligible_reason
from controlplane.core.model import Arm, Rollout, RolloutState
from controlplane.core.policy import Stage, parse
from controlplane.core.policy_model import Serving
from controlplane.settings import shipped_policy

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
POLICY = parse(shipped_policy("default"))
SALT = POLICY.assignment.salt
CUSTOMERS = [f"c{number}" for number in range(20_000)]
UNITS = st.builds(
    Unit,
    st.text(max_size=12),
    employee=st.booleans(),
    segment=st.sampled_from(["", "retail"]),
    intent=st.sampled_from(["fees", "fraud"]),
    mandatory_person=st.booleans(),
    low_risk=st.booleans(),
)


def at_stage(number: int, **changes: object) -> Rollout:
    stage = POLICY.stages[number]
    row = Rollout("r", "v1", "h", RolloutState.RUNNING, stage.phase, number, stage.share, True, POLICY.hash, 5, T0, T0)
    return replace(row, **changes)  # type: ignore[arg-type]


def exposure(rollout: Rollout | None, unit: Unit, age: float = 0.0) -> object:
    return decide_exposure(rollout, POLICY, unit, T0 + timedelta(seconds=age), T0)


def test_golden_values_never_move() -> None:
    """A change here draws every customer of every running rollout anew."""
    assert bucket("rollout-1", "c1") == pytest.approx(0.8855705642879653, abs=1e-15)
    assert bucket("rollout-1", "") == pytest.approx(0.1280063081230579, abs=1e-15)
    assert bucket("s2", "kunde-ß") == pytest.approx(0.9833782260126221, abs=1e-15)


def test_buckets_are_uniform_and_independent_between_salts() -> None:
    first = [bucket("salt-a", customer) for customer in CUSTOMERS]
    second = [bucket("salt-b", customer) for customer in CUSTOMERS]
    assert all(0 <= value < 1 for value in (*first, *second))
    cells = [0] * 100
    pairs = [[0] * 8 for _ in range(8)]
    for one, two in zip(first, second, strict=True):
        cells[int(one * 100)] += 1
        pairs[int(one * 8)][int(two * 8)] += 1
    assert stats.chisquare(cells).pvalue > 0.001
    assert stats.kstest(second, "uniform").pvalue > 0.001
    assert stats.chi2_contingency(pairs).pvalue > 0.001


def test_the_position_stays_below_one_at_the_largest_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    class Largest:
        def digest(self) -> bytes:
            return b"\xff" * 32

    monkeypatch.setattr("controlplane.core.assignment.hashlib.sha256", lambda _: Largest())
    assert bucket("s", "u") < 1.0


def test_salt_and_customer_cannot_be_confused() -> None:
    assert bucket("a", "bc") != bucket("ab", "c")


@given(st.text(st.characters(), max_size=10))
def test_any_customer_id_has_a_bucket(user_id: str) -> None:
    assert 0 <= bucket("s", user_id) < 1


def test_an_id_that_is_no_valid_text_still_has_a_bucket() -> None:
    """JSON may carry half a character; the flag path serves it like any other id."""
    assert 0 <= bucket("s", "\ud800") < 1


@given(st.text(max_size=12), st.floats(0.001, 1), st.floats(0.001, 1))
@settings(deadline=None)
def test_a_growing_share_only_ever_adds_customers(user_id: str, one: float, two: float) -> None:
    small, large = sorted((one, two))
    unit = Unit(user_id, low_risk=True)
    before = decide_exposure(at_stage(3, share=small), POLICY, unit, T0, T0)
    after = decide_exposure(at_stage(3, share=large), POLICY, unit, T0, T0)
    assert (before.arm, after.arm) != (Arm.ASSISTANT, Arm.BASELINE)


def test_the_share_is_served() -> None:
    for number in (1, 3, 5):
        share = POLICY.stages[number].share
        row = at_stage(number)
        arms = [decide_exposure(row, POLICY, Unit(c, low_risk=True), T0, T0).arm for c in CUSTOMERS]
        treated = arms.count(Arm.ASSISTANT)
        assert stats.binomtest(treated, len(arms), share).pvalue > 0.001


AUDIENCE_RULES = {
    # (audience, employee, low_risk, mandatory_person) -> why not; written from the design
    (audience, employee, low_risk, mandatory): (
        "mandatory_person"
        if mandatory
        else (None if employee else "not_employee")
        if audience == "employees"
        else "employee"
        if employee
        else "not_low_risk"
        if audience == "low_risk" and not low_risk
        else None
    )
    for audience, employee, low_risk, mandatory in product(
        ("employees", "low_risk", "eligible"), (False, True), (False, True), (False, True)
    )
}


@pytest.mark.parametrize(("facts", "why"), AUDIENCE_RULES.items())
def test_who_may_take_part(facts: tuple[str, bool, bool, bool], why: str | None) -> None:
    audience, employee, low_risk, mandatory = facts
    unit = Unit("u", employee=employee, low_risk=low_risk, mandatory_person=mandatory)
    assert ineligible_reason(unit, Stage(0, "p", audience, 0.5)) == why


@given(UNITS, st.integers(0, len(POLICY.stages) - 1), st.floats(0.01, 1))
@settings(deadline=None, max_examples=200)
def test_eligibility_knows_nothing_of_the_arm(unit: Unit, stage: int, share: float) -> None:
    """The same customer at a share that takes them and one that does not is judged alike."""
    taken = decide_exposure(at_stage(stage, share=1.0), POLICY, unit, T0, T0)
    left = decide_exposure(at_stage(stage, share=1e-18), POLICY, unit, T0, T0)
    other = decide_exposure(at_stage(stage, share=share), POLICY, unit, T0, T0)
    assert (taken.eligible, taken.ineligible_reason) == (left.eligible, left.ineligible_reason)
    assert (other.eligible, other.ineligible_reason) == (left.eligible, left.ineligible_reason)
    assert left.arm is Arm.BASELINE
    assert taken.arm is (Arm.ASSISTANT if taken.eligible else Arm.BASELINE)
    assert taken.reason is (Reason.SPLIT if taken.eligible else Reason.TARGETING_MATCH)


@given(UNITS, st.integers(0, len(POLICY.stages) - 1))
@settings(deadline=None)
def test_a_rollback_serves_the_baseline_to_everyone(unit: Unit, stage: int) -> None:
    for cut in (
        at_stage(stage, state=RolloutState.ROLLED_BACK, share=0.0),
        at_stage(stage, state=RolloutState.ROLLED_BACK),  # the state alone is enough
        at_stage(stage, share=0.0),  # and so is the share
    ):
        found = decide_exposure(cut, POLICY, unit, T0, T0)
        assert (found.arm, found.reason) == (Arm.BASELINE, Reason.DISABLED)
        assert found.flag_version == 5


@given(UNITS)
def test_a_held_ramp_serves_what_it_served(unit: Unit) -> None:
    running, held = at_stage(4), at_stage(4, state=RolloutState.HELD)
    assert decide_exposure(running, POLICY, unit, T0, T0) == decide_exposure(held, POLICY, unit, T0, T0)


@given(UNITS, st.floats(5.000001, 1e6))
@settings(deadline=None)
def test_in_doubt_the_baseline(unit: Unit, age: float) -> None:
    row = at_stage(0)
    for found, reason in (
        (decide_exposure(None, POLICY, unit, T0, T0), Reason.DEFAULT),
        (decide_exposure(row, None, unit, T0, T0), Reason.DEFAULT),
        (decide_exposure(row, POLICY, unit, T0 + timedelta(seconds=age), T0), Reason.STALE),
    ):
        assert (found.arm, found.eligible, found.reason) == (Arm.BASELINE, False, reason)
        assert (found.execution_enabled, found.share, found.release) == (False, 0.0, "")


def test_a_flag_is_stale_only_behind_its_age() -> None:
    unit = Unit("u", employee=True)
    at_limit = decide_exposure(at_stage(0), POLICY, unit, T0 + timedelta(seconds=5), T0)
    assert at_limit.arm is Arm.ASSISTANT
    behind = decide_exposure(at_stage(0), POLICY, unit, T0 + timedelta(seconds=5, microseconds=1), T0)
    assert behind.reason is Reason.STALE


def test_a_read_from_the_future_has_no_known_age() -> None:
    """A clock that was set back makes the row look young for ever; what cannot be dated is stale."""
    found = decide_exposure(at_stage(0), POLICY, Unit("u", employee=True), T0, T0 + timedelta(hours=1))
    assert (found.arm, found.reason) == (Arm.BASELINE, Reason.STALE)


def test_an_exposure_says_where_it_comes_from() -> None:
    found = decide_exposure(at_stage(0, execution_enabled=False), POLICY, Unit("u", employee=True), T0, T0)
    assert (found.rollout_id, found.release, found.phase, found.share) == ("r", "v1", "internal", 1.0)
    assert (found.flag_version, found.execution_enabled) == (5, False)


# what is excluded, contained, and who serves the other side


def test_what_is_contained_goes_to_people_on_both_sides() -> None:
    row = at_stage(3, share=0.5, contained=("fraud", ""))
    for customer in CUSTOMERS[:50]:
        for intent in ("fraud", ""):
            found = decide_exposure(row, POLICY, Unit(customer, intent=intent), T0, T0)
            assert (found.arm, found.eligible, found.ineligible_reason) == (Arm.BASELINE, False, "contained_category")
        assert decide_exposure(row, POLICY, Unit(customer, intent="fees"), T0, T0).eligible
    must = decide_exposure(row, POLICY, Unit("u", intent="fraud", mandatory_person=True), T0, T0)
    assert must.ineligible_reason == "mandatory_person"


def test_what_the_policy_excludes_is_served_the_baseline_and_not_compared() -> None:
    assignment = replace(POLICY.assignment, exclude_intents=("fraud", ""), exclude_segments=("retail",))
    policy = replace(POLICY, assignment=assignment)
    cases = [
        (Unit("u", intent="fraud"), "excluded_intent"),
        (Unit("u", segment="retail"), "excluded_segment"),
        (Unit("u", intent="fraud", segment="retail"), "excluded_intent"),
        (Unit("u", intent="fees", segment="business"), None),
        (Unit("u"), None),  # what is not told is not excluded
    ]
    for unit, why in cases:
        found = decide_exposure(at_stage(3, share=1.0), policy, unit, T0, T0)
        assert (found.ineligible_reason, found.eligible) == (why, why is None)
        assert found.arm is (Arm.ASSISTANT if why is None else Arm.BASELINE)


@given(unit=UNITS, contained=st.sets(st.sampled_from(["fees", "fraud"])), share=st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_eligibility_does_not_depend_on_the_arm(unit: Unit, contained: set[str], share: float) -> None:
    rows = [at_stage(3, share=s, contained=tuple(contained)) for s in (share, 1.0, 1e-18)]
    found = [decide_exposure(row, POLICY, unit, T0, T0) for row in rows]
    assert len({(e.eligible, e.ineligible_reason) for e in found}) == 1
    assert all(e.eligible or e.arm is Arm.BASELINE for e in found)


@pytest.mark.parametrize("compare", ["menu", "accepted"])
@pytest.mark.parametrize("fall_back", ["menu", "accepted"])
@pytest.mark.parametrize("accepted", ["", "v0"])
def test_the_answer_says_which_release_serves_the_baseline(compare: str, fall_back: str, accepted: str) -> None:
    policy = replace(POLICY, serving=Serving(compare_with=compare, rollback_to=fall_back))
    running = at_stage(3, accepted_release=accepted)
    cut = replace(running, state=RolloutState.ROLLED_BACK, share=0.0, execution_enabled=False)
    for row, side in ((running, compare), (replace(running, state=RolloutState.HELD), compare), (cut, fall_back)):
        found = decide_exposure(row, policy, Unit("c1", intent="fees"), T0, T0)
        assert found.baseline_release == ("v0" if side == "accepted" and accepted else "menu")
        assert found.release == "v1"
    assert decide_exposure(None, policy, Unit("c1"), T0, T0).baseline_release == ""
