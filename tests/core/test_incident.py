"""The life of an incident: the whole table, and nothing but it."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.incident import TRANSITIONS, IllegalIncidentEvent, IncidentEvent, IncidentState, advance

ALLOWED = {
    ("open", "acknowledge"): "acknowledged",
    ("open", "contain"): "contained",
    ("acknowledged", "contain"): "contained",
    ("contained", "acknowledge"): "contained",
    ("acknowledged", "resolve"): "resolved",
    ("contained", "resolve"): "resolved",
    ("resolved", "review"): "reviewed",
}
ORDER = ["open", "acknowledged", "contained", "resolved", "reviewed"]


@pytest.mark.parametrize(("state", "event"), list(product(IncidentState, IncidentEvent)))
def test_every_pair(state: IncidentState, event: IncidentEvent) -> None:
    expected = ALLOWED.get((str(state), str(event)))
    if expected is None:
        with pytest.raises(IllegalIncidentEvent, match=f"{state} does not take the event '{event}'"):
            advance(state, event)
    else:
        assert advance(state, event) == expected


@given(st.lists(st.sampled_from(list(IncidentEvent)), max_size=12))
def test_an_incident_never_goes_back(events: list[IncidentEvent]) -> None:
    state = IncidentState.OPEN
    for event in events:
        try:
            after = advance(state, event)
        except IllegalIncidentEvent:
            continue
        assert ORDER.index(after) >= ORDER.index(state)
        state = after


def test_every_state_can_be_reached_and_only_the_last_is_an_end() -> None:
    reached, targets = {IncidentState.OPEN}, set(TRANSITIONS.values())
    assert reached | targets == set(IncidentState)
    assert {state for state, _ in TRANSITIONS} == set(IncidentState) - {IncidentState.REVIEWED}
