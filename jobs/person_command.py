"""What a person sends to the rollout from the command line: hold, resume, roll back, switch execution."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controlplane.core.rollout import Event
from jobs import actions
from jobs.compose import open_state, policy_in_force, workspace_settings


def person_command(home: str | None, event: Event, actor: str, reason: str, now: datetime) -> dict[str, Any]:
    """Status after the event. Raises Refused when the transition table does not take it from a person now."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        policy = policy_in_force(settings, state)
        actions.act(state, policy, event, actor, reason, now)
        return actions.status(state, policy, now)
