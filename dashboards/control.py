"""Asks the control process to act. Pages change nothing themselves: they send what a person confirmed, and show the answer."""

from __future__ import annotations

from dataclasses import dataclass

import httpx

from controlplane.core.model import RolloutState
from dashboards.config import Config

TIMEOUT_SECONDS = 5.0
SAFER = ("hold", "rollback")
ACTIONS = {
    RolloutState.RUNNING: ("hold", "rollback"),
    RolloutState.HELD: ("resume", "rollback"),
    RolloutState.COMPLETE: ("hold", "rollback"),
    RolloutState.ROLLED_BACK: (),
}


@dataclass(frozen=True)
class Outcome:
    """Whether the control process did it, and a sentence for the person who asked."""

    done: bool
    text: str


def allowed(state: RolloutState) -> tuple[str, ...]:
    """The actions that a rollout in this state takes from a person here."""
    return ACTIONS[state]


def act(config: Config, action: str, actor: str, reason: str, seen_version: int) -> Outcome:
    """Send one confirmed action in a person's name. Never raises: every failure is an Outcome that says what to do.

    Going on is refused when the rollout has changed since the version that the person saw; making it safer never is.
    """
    if not config.may_act:
        return Outcome(False, "Read-only: set CONTROLPLANE_URL and CONTROLPLANE_TOKEN for the dashboards to act.")
    url = f"{config.control_url}/v1/actions/{action}"
    wish: dict[str, object] = {"actor": actor, "reason": reason}
    if action not in SAFER:
        wish["expected_version"] = seen_version
    try:
        answer = httpx.post(
            url,
            json=wish,
            headers={"Authorization": f"Bearer {config.token}"},
            timeout=TIMEOUT_SECONDS,
        )
    except httpx.HTTPError:
        return Outcome(False, "The control process did not answer. Use `controlplane rollback` where it runs.")
    if answer.is_success:
        return Outcome(True, f"{_PAST[action]}. The page shows it as soon as the next snapshot is published.")
    if answer.status_code in (401, 403):
        return Outcome(False, "The control process refused the token of these dashboards.")
    return Outcome(False, f"Refused: {_reason(answer)}")


_PAST = {
    "hold": "The ramp is held",
    "resume": "The ramp goes on",
    "rollback": "The traffic is cut; the cut is being verified",
}


def _reason(answer: httpx.Response) -> str:
    """The reason that the control process gives; a status code where it gives none."""
    try:
        found = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    text = found.get("message") if isinstance(found, dict) else None
    return str(text) if text else f"HTTP {answer.status_code}"
