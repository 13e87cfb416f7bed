"""The life of an incident: the whole table, and nothing but it; and its clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core import incident_clock
from controlplane.core.incident import (
    TRANSITIONS,
    IllegalIncidentEvent,
    IncidentEvent,
    IncidentState,
    advance,
    diagram,
    is_over,
    state_after,
)
from controlplane.core.incident_clock import SERIOUS_DAYS, Due

ALLOWED = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "contain"): "contained",
    ("acknowledged", "contain"): "contained",
    ("contained", "acknowledge"): "contained",
    ("acknowledged", "resolve"): "resolved",
    ("contained", "resolve"): "resolved",
    ("open", "clear"): "resolved",
    ("acknowledged", "clear"): "resolved",
    ("contained", "clear"): "resolved",
    ("resolved", "review"): "reviewed",
    ("open", "recur"): "open",
    ("acknowledged", "recur"): "acknowledged",
    ("contained", "recur"): "open",
    ("resolved", "recur"): "open",
    ("resolved", "reopen"): "open",
    ("reviewed", "reopen"): "open",
}
ORDER = ["open", "acknowledged", "contained", "resolved", "reviewed"]
BACK = {IncidentEvent.RECUR, IncidentEvent.REOPEN}
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(("state", "event"), list(product(IncidentState, IncidentEvent)))
def test_every_pair(state: IncidentState, event: IncidentEvent) -> None:
    expected = ALLOWED.get((str(state), str(event)))
    if expected is None:
        with pytest.raises(IllegalIncidentEvent, match=f"{state} does not take the event '{event}'"):
            advance(state, event)
    else:
        assert advance(state, event) == expected


def test_a_refused_event_says_what_a_person_can_do_instead() -> None:
    with pytest.raises(IllegalIncidentEvent, match=r"of a person it takes acknowledge$"):
        advance(IncidentState.OPEN, IncidentEvent.RESOLVE)
    with pytest.raises(IllegalIncidentEvent, match=r"takes review, reopen$"):
        advance(IncidentState.RESOLVED, IncidentEvent.RESOLVE)


@given(st.lists(st.sampled_from(list(IncidentEvent)), max_size=12))
def test_an_incident_goes_back_only_where_its_cause_does(events: list[IncidentEvent]) -> None:
    state = IncidentState.OPEN
    for event in events:
        try:
            after = advance(state, event)
        except IllegalIncidentEvent:
            continue
        if event in BACK:
            assert after in (IncidentState.OPEN, state)
        else:
            assert ORDER.index(after) >= ORDER.index(state)
        state = after
    assert state_after(map(str, events)) == state


def test_every_state_can_be_reached_and_each_can_be_left() -> None:
    assert {IncidentState.OPEN} | set(TRANSITIONS.values()) == set(IncidentState)
    assert {state for state, _ in TRANSITIONS} == set(IncidentState)
    assert [str(state) for state in IncidentState if is_over(state)] == ["resolved", "reviewed"]


def test_the_figure_has_every_arrow_of_the_table() -> None:
    lines = diagram().splitlines()
    for (state, event), after in TRANSITIONS.items():
        drawn = [line for line in lines if line.strip().startswith(f"{state} --> {after}: ")]
        assert bool(drawn) == (state != after)
        assert all(str(event) in line for line in drawn)


# --- clocks


def seconds(n: float) -> timedelta:
    return timedelta(seconds=n)


def test_a_time_that_has_not_come_is_none_and_not_zero() -> None:
    found = incident_clock.times(
        onset=None, detected=NOON, asked=[NOON], acknowledged=None, verified=NOON + seconds(9), resolved=None
    )
    assert (found.to_detect, found.to_acknowledge, found.to_contain, found.to_resolve) == (None, None, 9.0, None)


def test_after_a_recurrence_the_times_begin_again_and_what_was_done_before_it_counts_from_the_detection() -> None:
    found = incident_clock.times(
        onset=NOON - seconds(30),
        detected=NOON,
        asked=[NOON, NOON + seconds(600)],
        acknowledged=NOON + seconds(660),
        verified=NOON + seconds(10),
        resolved=NOON + seconds(900),
    )
    assert (found.to_detect, found.to_acknowledge, found.to_contain, found.to_resolve) == (30.0, 60.0, 10.0, 300.0)
    assert incident_clock.since([NOON], NOON - seconds(1)) is None


@given(
    st.sampled_from(sorted(SERIOUS_DAYS)),
    st.floats(0.01, 60),
    st.floats(0, 60),
    st.none() | st.floats(0, 60),
)
def test_a_report_is_overdue_exactly_when_its_time_is_over(
    kind: str, policy_days: float, now_days: float, reported_days: float | None
) -> None:
    due = incident_clock.due_at(kind, NOON, policy_days)
    assert due <= NOON + timedelta(days=SERIOUS_DAYS[kind])
    assert due <= NOON + timedelta(days=policy_days)
    now = NOON + timedelta(days=now_days)
    reported = None if reported_days is None else NOON + timedelta(days=reported_days)
    found = incident_clock.standing(NOON, due, reported, now)
    if reported is not None:
        assert found is Due.NONE
    else:
        assert (found is Due.OVERDUE) == (now >= due)
        assert found is not Due.RUNNING or now - NOON <= (due - NOON) / 2 + seconds(1e-3)


def test_kinds_have_the_times_of_the_law() -> None:
    """Regulation (EU) 2024/1689, Art. 73(2)-(4): 15 days, 2 for critical infrastructure and widespread infringements, 10 after a death."""
    assert dict(SERIOUS_DAYS) == {
        "death": 10,
        "health": 15,
        "infrastructure": 2,
        "widespread": 2,
        "rights": 15,
        "property": 15,
    }
