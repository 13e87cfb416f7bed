"""When and why a rollout was rolled back or held, whatever was done to it since. Pure."""

from __future__ import annotations

from datetime import datetime

from controlplane.core.judge import AUTOMATIC
from dashboards.values import State


def begun(state: State, event: str) -> datetime:
    """When the rollout was rolled back or held; other acts since, as switching workflows off or taking a topic away, do not move it."""
    rollout = state.rollout
    assert rollout is not None
    mine = [row.started_at for row in state.stages if row.rollout_id == rollout.rollout_id and row.event == event]
    return mine[-1] if mine else rollout.updated_at


def why(state: State, event: str) -> str:
    """The reason that was given when it was rolled back or held, and who gave it."""
    rollout = state.rollout
    assert rollout is not None
    found = next((row for row in state.log if row.event == event and row.subject == rollout.rollout_id), None)
    if found is None:
        return rollout.reason
    return found.reason if found.actor == AUTOMATIC else f"{found.reason} ({found.actor})"


def cut_for(state: State, reason: str) -> str:
    """What the rollout was taken back for: its incident's name, or the reason that a person gave."""
    mine = [
        row
        for row in reversed(state.incidents)
        if row.cut_at and state.rollout and row.rollout_id == state.rollout.rollout_id
    ]
    return mine[0].title.split(": ", 1)[1] if mine and ": " in mine[0].title else reason
