"""Rolls up what ingest stored since the last run: display sums for dashboards, never a decision."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from controlplane.store.rollups import Refreshed, refresh
from controlplane.store.warehouse import Warehouse


class Deps(Protocol):
    """What the job needs."""

    @property
    def warehouse(self) -> Warehouse:
        """The warehouse, open for writing."""
        ...


def run(deps: Deps, now: datetime) -> Refreshed:
    """Recompute the rollups that new batches made stale. Safe to repeat after a crash at any point."""
    return refresh(deps.warehouse, now)
