"""What can be pressed on an incident's message, and how a press says which incident it was. Shared by those who draw and those who listen."""

from __future__ import annotations

import json
from enum import StrEnum


class Press(StrEnum):
    """`action_id` of a button."""

    ACKNOWLEDGE = "incident_ack"
    HOLD = "rollout_hold"
    ROLLBACK = "rollout_rollback"
    OVERRIDE = "trigger_override"
    EVIDENCE = "open_evidence"  # a link; Slack reports the press all the same


OVERRIDE_HOURS = 24.0


class ButtonError(ValueError):
    """The value of a press that no button of ours has."""


def value(incident_id: str, rollout_id: str, trigger: str = "") -> str:
    """What a button carries: ids only, well below Slack's 2,000 characters."""
    return json.dumps({"incident": incident_id, "rollout": rollout_id, "trigger": trigger}, separators=(",", ":"))


def read(text: str) -> tuple[str, str, str]:
    """Incident, rollout and trigger of a press. Raises ButtonError for what `value` did not write."""
    try:
        plain = json.loads(text)
        found = plain["incident"], plain["rollout"], plain["trigger"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ButtonError(f"{text!r:.80} is no value of a button of ours") from None
    if not all(isinstance(part, str) for part in found):
        raise ButtonError(f"{text!r:.80} is no value of a button of ours")
    return found
