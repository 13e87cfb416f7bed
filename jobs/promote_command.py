"""`controlplane promote`: needs the facts for the gate, so it asks the running control process when there is one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx

from controlplane.settings import Settings
from controlplane.store.warehouse import Warehouse
from jobs import actions
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.deps import Deps
from jobs.process import control_url


def promote_command(home: str | None, actor: str, reason: str, now: datetime) -> dict[str, Any]:
    """Status after the promotion. Raises Refused with what the gate still asks."""
    settings = workspace_settings(home, must_exist=True)
    url = control_url(settings)
    if url is not None:
        return _ask(settings, url, actor, reason)
    with open_state(settings, now) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        policy = policy_in_force(settings, state)
        actions.promote(Deps(settings, warehouse, state, policy), actor, reason, now)
        return actions.status(state, policy, now)


def _ask(settings: Settings, url: str, actor: str, reason: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {settings.token}"}
    try:
        answer = httpx.post(
            f"{url}/v1/actions/promote", json={"actor": actor, "reason": reason}, headers=headers, timeout=60
        )
    except httpx.HTTPError as error:
        raise actions.Refused(f"the control process at {url} does not answer: {error}") from None
    value: dict[str, Any] = answer.json()
    if answer.status_code != 200:
        raise actions.Refused(str(value.get("message", value)))
    return value
