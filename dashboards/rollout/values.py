"""What the Rollout page shows, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.core.policy import Policy

KEPT, BROKEN, OPEN = "kept", "broken", "not shown"


@dataclass(frozen=True)
class Registered:
    """A registered policy. `releases`: those whose rollout it judges, or judged when it ended; `in_force`: that of the active rollout."""

    policy_hash: str
    name: str
    registered_at: datetime
    text: str
    policy: Policy | None
    releases: tuple[str, ...]
    in_force: bool


@dataclass(frozen=True)
class Backtest:
    """A recorded backtest; `path` of its report as it was written, `summary` as `jobs.backtest_command` keeps it."""

    artefact_id: str
    created_at: datetime
    path: str
    summary: Mapping[str, Any]

    @property
    def verdict(self) -> str:
        """kept, broken or not shown; broken also for a stress that broke the promise."""
        return BROKEN if self.summary.get("failing") else str(self.summary["verdict"])
