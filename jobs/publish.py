"""Publish what dashboards need as a snapshot: bring the rollups up to date, read state and facts, write one file. Off the decision path."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path

from controlplane.store.snapshot import VersionInfo, publish
from jobs import rollup
from jobs.deps import Deps

LEDGER_SHOWN = timedelta(hours=48)


def run(deps: Deps, now: datetime) -> Path:
    """The path of the current snapshot, newly written when something changed. At most every 5 s is the scheduler's affair."""
    rollup.run(deps, now)
    workspace = deps.settings.workspace
    info = VersionInfo(
        state_version=deps.state.version(),
        app_version=version("controlplane"),
        kind=workspace.kind() or "unknown",
        lateness_seconds=deps.policy.watch.lateness_seconds,
    )
    state = deps.state.export(ledger_since=now - LEDGER_SHOWN)
    cursor = deps.warehouse.cursor()
    try:
        return publish(cursor, state, workspace.snapshots, now, info)
    finally:
        cursor.close()
