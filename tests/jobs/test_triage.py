"""The likely cause in the incident's thread: once, after a pause, again when the incident comes back, and unknown where nothing can be said."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controlplane.core.rollout import Event
from jobs import actions, incidents, triage
from jobs.deps import Deps
from tests.jobs.conftest import START, FactsByHand

MINUTE = timedelta(minutes=1)


@pytest.fixture
def incident(deps: Deps, facts: FactsByHand, started: str) -> str:
    """A rollback by a person after ten minutes of traffic in which only the assistant's customers ask for a person, from the fifth on."""
    for minute in range(10):
        facts.minute(START + minute * MINUTE, 40, 0.5, 0.1 if minute < 5 else 0.7, 0.1, started)
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "too many ask for a person", START + 10 * MINUTE)
    (row,) = deps.state.incidents()
    return row.incident_id


def told(deps: Deps, incident_id: str) -> list[str]:
    return [item.payload["step"] for item in deps.state.outbox() if item.incident_id == incident_id][1:]


def test_the_cause_is_told_once_after_a_pause(deps: Deps, incident: str) -> None:
    detected = START + 10 * MINUTE
    assert triage.run(deps, detected + triage.WAIT - timedelta(seconds=1)) == []
    (said,) = triage.run(deps, detected + triage.WAIT)
    assert said.startswith("Cause")
    assert told(deps, incident) == [said]
    assert triage.run(deps, detected + MINUTE) == []
    row = deps.state.incident(incident)
    assert row is not None
    assert [(entry["actor"], entry["text"]) for entry in row.timeline if entry["event"] == "triage"] == [
        ("controlplane", said)
    ]
    assert deps.state.verify_chains() == {"audit": None, "ledger": None}


def test_it_is_told_again_when_the_incident_comes_back_and_not_while_it_is_over(deps: Deps, incident: str) -> None:
    now = START + 12 * MINUTE
    triage.run(deps, now)
    for event in ("acknowledge", "resolve"):
        incidents.act(deps.state, incident, event, "kim", "seen", now)
    assert triage.run(deps, now + MINUTE) == []
    incidents.act(deps.state, incident, "reopen", "kim", "it is back", now + MINUTE)
    assert triage.run(deps, now + MINUTE) == []
    assert len(triage.run(deps, now + 2 * MINUTE)) == 1


def test_what_cannot_be_ranked_is_unknown(deps: Deps, started: str) -> None:
    actions.act(deps.state, deps.policy, Event.ROLLBACK, "ana", "no", START)
    (said,) = triage.run(deps, START + MINUTE)
    assert said.startswith("Cause: unknown")
