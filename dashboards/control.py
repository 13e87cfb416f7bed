"""Asks the control process: to act, for rows that no snapshot holds, for long work. Pages change nothing themselves.

Every request carries the dashboards' token and the role of the person before them; the control process lets it do what both may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from controlplane.core.roles import Role
from dashboards.config import Config

TIMEOUT_SECONDS = 5.0
ASK_SECONDS = 30.0
ROLE_HEADER = "X-Controlplane-Role"
READ_ONLY = "Read-only: log in first. Without a way to log in, start the dashboards with CONTROLPLANE_URL and CONTROLPLANE_TOKEN."
SILENT = "The control process did not answer; is it running?"
UNKNOWN = (
    "The control process did not answer in time: whether it was done is not known. Watch the state on this page before you ask again; "
    "`controlplane rollback` works where it runs."
)
SAFER = ("hold", "rollback", "disable-execution")


@dataclass(frozen=True)
class Outcome:
    """Whether the control process did it, and a sentence for the person who asked."""

    done: bool
    text: str


@dataclass(frozen=True)
class Reply:
    """What the control process answered: `answer` of a question, `task` of long work; `text` says in words why there is neither."""

    done: bool
    text: str = ""
    answer: Mapping[str, Any] | None = None
    task: str | None = None


@dataclass(frozen=True)
class Progress:
    """How long work stands: waiting, running, done, refused, failed, or lost (the control process was restarted, or is silent)."""

    state: str
    part: float | None = None
    text: str = ""
    answer: Mapping[str, Any] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ("waiting", "running")


def ask(config: Config, role: Role | None, name: str, arguments: Mapping[str, Any], actor: str = "") -> Reply:
    """One question of `jobs.asking.ASKS`. Never raises: every failure is a Reply that says what to do."""
    if not config.may_act or role is None:
        return Reply(False, READ_ONLY)
    url = f"{config.control_url}/v1/ask/{name}"
    body = {"arguments": dict(arguments), "actor": actor}
    try:
        found = httpx.post(url, json=body, headers=_headers(config, role), timeout=ASK_SECONDS)
    except httpx.HTTPError:
        return Reply(False, SILENT)
    if not found.is_success:
        return Reply(False, _reason(found))
    told = found.json()
    return Reply(True, answer=told.get("answer"), task=told.get("task"))


def task(config: Config, role: Role | None, task_id: str) -> Progress:
    """How a task stands. Never raises."""
    if not config.may_act or role is None:
        return Progress("lost", text=READ_ONLY)
    try:
        found = httpx.get(
            f"{config.control_url}/v1/tasks/{task_id}", headers=_headers(config, role), timeout=TIMEOUT_SECONDS
        )
    except httpx.HTTPError:
        return Progress("lost", text=SILENT)
    if not found.is_success:
        return Progress("lost", text=_reason(found))
    told = found.json()
    return Progress(told["state"], told["part"], told["text"], told["answer"])


def _headers(config: Config, role: Role) -> dict[str, str]:
    """The dashboards' own token, and the role of the person: without it the control process would take the token's, an admin's."""
    return {"Authorization": f"Bearer {config.token}", ROLE_HEADER: str(role)}


def act(config: Config, action: str, actor: str, reason: str, seen_version: int, role: Role | None) -> Outcome:
    """Send one confirmed action in a person's name and role. Never raises: every failure is an Outcome that says what to do.

    Going on is refused when the rollout has changed since the version that the person saw; making it safer never is.
    """
    if not config.may_act or role is None:
        return Outcome(False, READ_ONLY)
    url = f"{config.control_url}/v1/actions/{action}"
    wish: dict[str, object] = {"actor": actor, "reason": reason}
    if action not in SAFER:
        wish["expected_version"] = seen_version
    try:
        answer = httpx.post(
            url,
            json=wish,
            headers=_headers(config, role),
            timeout=TIMEOUT_SECONDS,
        )
    except httpx.ConnectError:
        return Outcome(False, "The control process did not answer. Use `controlplane rollback` where it runs.")
    except httpx.HTTPError:
        return Outcome(False, UNKNOWN)
    if answer.is_success:
        return Outcome(True, f"{_PAST[action]}. The page shows it as soon as the next snapshot is published.")
    if answer.status_code == 401:
        return Outcome(False, "The control process refused the token of these dashboards.")
    return Outcome(False, f"Refused: {_reason(answer)}")


_PAST = {
    "hold": "The ramp is held",
    "resume": "The ramp goes on",
    "rollback": "The traffic is cut; the cut is being verified",
    "promote": "It grows to the next stage",
    "disable-execution": "Workflows are switched off",
    "enable-execution": "Workflows are switched on again",
}


def _reason(answer: httpx.Response) -> str:
    """The reason that the control process gives; a status code where it gives none."""
    try:
        found = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    text = found.get("message") if isinstance(found, dict) else None
    return str(text) if text else f"HTTP {answer.status_code}"
