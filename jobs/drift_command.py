"""`controlplane drift`: the last hours against the hours before, on the facts of the workspace."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from controlplane.store.queries import load
from controlplane.store.utc import to_aware
from controlplane.store.warehouse import Warehouse
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.deps import Deps
from jobs.drift import Window, run


def drift_command(home: str | None, hours: float, now: datetime) -> dict[str, Any] | None:
    """Drifted columns and the report's path; None when one of the windows is empty. Windows end at the newest interaction."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state, Warehouse.open(settings.workspace.facts) as warehouse:
        length = timedelta(hours=hours)
        with warehouse.cursor() as cursor:
            newest = cursor.execute(load("drift/newest")).fetchall()[0][0]
        if newest is None:
            return None
        until = to_aware(newest) + timedelta(seconds=1)
        reference = Window("before", until - 2 * length, until - length)
        current = Window("now", until - length, until)
        deps = Deps(settings, warehouse, state, policy_in_force(settings, state))
        with warehouse.cursor() as cursor:
            for window in (reference, current):
                bounds = {"since": window.since.replace(tzinfo=None), "until": window.until.replace(tzinfo=None)}
                if not cursor.execute(load("drift/rows"), bounds).fetchall()[0][0]:
                    return None
        outcome = run(deps, now, reference, current)
    return {
        "artefact": outcome.artefact_id,
        "columns": list(outcome.result.to_dict().get("columns", [])),
        "drifted": list(outcome.result.drifted),
        "report": None if outcome.report_error else str(outcome.folder / "report.html"),
        "report_error": outcome.report_error,
    }
