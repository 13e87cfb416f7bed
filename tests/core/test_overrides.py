"""Who may set what aside, for how long; and that time alone ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.overrides import Override, active, can_be_overridden, muted, problem
from controlplane.core.policy import parse
from controlplane.core.policy_model import Overrides
from controlplane.settings import shipped_policy

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
DEFAULT = parse(shipped_policy("default"))
SAFETY = next(trigger.name for trigger in DEFAULT.triggers if trigger.metric == "misrouting_rate")
POLICY = replace(DEFAULT, overrides=Overrides(who=("ana", "ben"), max_hours=8, never=("csat_drop",)))


def one(trigger: str = "timeouts", hours: float = 2, **more: object) -> Override:
    item = Override(f"o-{trigger}", "r", trigger, "ana", "load test", T0, T0 + hours * HOUR)
    return replace(item, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trigger", "actor", "hours", "words"),
    [
        ("timeouts", "ana", 8, None),
        ("timeouts", "cleo", 8, "'cleo' may not override: policy 'default' names ana, ben"),
        ("timeouts", "ana", 8.01, "at most overrides.max_hours = 8"),
        ("timeouts", "ana", 0, "more than 0"),
        ("timeouts", "ana", float("nan"), "more than 0"),
        ("csat_drop", "ana", 1, "overrides.never"),
        (SAFETY, "ana", 1, "it guards safety"),
        ("tripwire", "ana", 1, "controlplane containment release"),
        ("tiemouts", "ana", 1, "no trigger 'tiemouts': it has csat_drop"),
        ("sample_ratio", "ana", 1, "no trigger"),
    ],
)
def test_the_policy_says_who_what_and_how_long(trigger: str, actor: str, hours: float, words: str | None) -> None:
    found = problem(POLICY, trigger, actor, hours)
    assert (found is None) == (words is None)
    assert words is None or (found is not None and words in found)


def test_without_names_any_person_may() -> None:
    assert problem(replace(POLICY, overrides=Overrides()), "timeouts", "whoever", 24) is None


@pytest.mark.parametrize(
    ("at", "in_force"), [(-0.001, False), (0, True), (1.999, True), (2, False), (48, False), (-48, False)]
)
def test_it_is_in_force_from_its_start_to_before_its_end(at: float, in_force: bool) -> None:
    """Also when the clock was set back: what has not begun is not in force."""
    assert one().is_active(T0 + at * HOUR) == in_force
    assert bool(muted(POLICY, [one()], "r", T0 + at * HOUR)) == in_force


def test_a_person_ends_it_before_its_time() -> None:
    assert muted(POLICY, [one(ended_at=T0 + HOUR)], "r", T0 + HOUR) == frozenset()


def test_it_belongs_to_its_rollout() -> None:
    assert muted(POLICY, [one()], "another", T0) == frozenset()


def test_what_the_policy_in_force_does_not_allow_any_more_is_not_muted() -> None:
    """An override lives on when the policy changes; the policy has the last word."""
    items = [one("timeouts"), one("csat_drop"), one(SAFETY), one("gone")]
    assert muted(POLICY, items, "r", T0) == {"timeouts"}
    assert muted(replace(POLICY, overrides=Overrides(never=("timeouts",))), items, "r", T0) == {"csat_drop"}


@given(
    spans=st.lists(
        st.tuples(st.integers(0, 20), st.integers(1, 10), st.sampled_from(["timeouts", SAFETY])), max_size=6
    ),
    at=st.integers(-5, 40),
)
def test_safety_is_never_set_aside_and_nothing_outlives_its_end(spans: list[tuple[int, int, str]], at: int) -> None:
    items = [
        Override(f"o{i}", "r", name, "ana", "", T0 + begin * HOUR, T0 + (begin + long) * HOUR)
        for i, (begin, long, name) in enumerate(spans)
    ]
    now = T0 + at * HOUR
    found = muted(POLICY, items, "r", now)
    assert SAFETY not in found
    expected = any(name == "timeouts" and begin <= at < begin + long for begin, long, name in spans)
    assert ("timeouts" in found) == expected
    assert [item.started_at for item in active(items, "r", now)] == sorted(
        i.started_at for i in items if i.is_active(now)
    )
    assert not can_be_overridden(POLICY, SAFETY)
