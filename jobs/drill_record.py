"""The record of drills in a workspace: one row of the audit log per run, and what it says about when each drill was last carried out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.settings import Settings
from controlplane.store.state import StateReader
from controlplane.store.state_rows import AuditEntry, Commit, from_text, to_text
from jobs.compose import open_state

EVENT, SUBJECT = "drill", "drills"
UNNAMED = "unnamed (controlplane drill)"
_KEPT = (
    "name",
    "ok",
    "failures",
    "policy",
    "state",
    "decisions",
    "minutes",
    "contained",
    "verified",
    "lost",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class Last:
    """When a drill was last carried out, by whom, and how it ended."""

    at: datetime
    ok: bool
    actor: str
    failures: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """In plain values."""
        return {"at": to_text(self.at), "ok": self.ok, "actor": self.actor, "failures": list(self.failures)}

    @property
    def words(self) -> str:
        """For a table."""
        return f"{self.at:%Y-%m-%d %H:%M} {'ok' if self.ok else 'FAILED'}"


def record(settings: Settings, found: Mapping[str, Any], actor: str, now: datetime) -> None:
    """Write a run to the audit log of the workspace: each drill, under which policy text, what was seen, what was lost, what failed.

    `found` is `jobs.drill_run.result`. The row is one transaction: a run is on record whole or not at all.
    """
    told = [{key: row[key] for key in _KEPT if key in row} for row in found["drills"]]
    good = sum(row["ok"] for row in told)
    reason = f"{good} of {len(told)} drills as expected"
    payload = {"drills": told, "failed": list(found["failed"])}
    with open_state(settings, now) as state:
        state.commit(Commit(audit=(AuditEntry(actor or UNNAMED, EVENT, SUBJECT, reason, payload),)), now)


def last_drilled(state: StateReader) -> dict[str, Last]:
    """The newest run of every drill that was ever recorded, by name."""
    newest: dict[str, Last] = {}
    for row in state.audited(EVENT):
        for one in json.loads(row["payload"]).get("drills", ()):
            failures = tuple(str(failure) for failure in one.get("failures", ()))
            newest[str(one["name"])] = Last(from_text(row["at"]), bool(one["ok"]), str(row["actor"]), failures)
    return newest


def known(settings: Settings, now: datetime) -> dict[str, Last]:
    """The same for a workspace; nothing where there is none."""
    if settings.workspace.kind() is None:
        return {}
    with open_state(settings, now) as state:
        return last_drilled(state)


def standing(state: StateReader) -> dict[str, Any] | None:
    """The newest run in plain values, and which drills failed when they were last carried out; None: no drill was ever recorded."""
    runs = state.audited(EVENT)
    if not runs:
        return None
    failing = sorted(name for name, one in last_drilled(state).items() if not one.ok)
    return {"at": runs[-1]["at"], "actor": runs[-1]["actor"], "said": runs[-1]["reason"], "failing": failing}
