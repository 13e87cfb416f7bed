"""The message about drift: one per analysis, warning for columns that moved, error for columns that are broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from alerts.model import Alert, Severity
from controlplane.analysis.drift import ColumnDrift, DriftResult
from controlplane.core.model import Verdict
from controlplane.store.state_rows import NewMessage
from jobs import links

MOST_NAMED = 8


def watched(result: DriftResult, alert_columns: Sequence[str]) -> list[ColumnDrift]:
    """Drifted or broken columns that are to be told, broken ones first; no names given: all of them."""
    told = [
        column
        for column in result.columns
        if column.verdict in (Verdict.FAIL, Verdict.ERROR) and (not alert_columns or column.column in alert_columns)
    ]
    return sorted(told, key=lambda column: column.column not in result.broken)


def message(
    artefact_id: str,
    result: DriftResult,
    alert_columns: Sequence[str],
    summary: Mapping[str, Any],
    now: datetime,
    dashboard_url: str | None = None,
) -> NewMessage | None:
    """What is put in the outbox; None when there is nothing to tell. The id makes a repeat recognisable."""
    told = watched(result, alert_columns)
    if not told:
        return None
    broken = [column.column for column in told if column.column in result.broken]
    moved = [column.column for column in told if column.column not in result.broken]
    parts = [f"broken: {_names(broken)}"] if broken else []
    parts += [f"drifted: {_names(moved)}"] if moved else []
    window, reference = summary["windows"]["current"], summary["reference"]
    version = f"@{reference['version']}" if reference["version"] else ""
    spans = f"{window['since']} to {window['until']} against {reference['name']}{version} ({reference['since']} to {reference['until']})"
    lines = [_line(column, summary["columns"][column.column]) for column in told[:MOST_NAMED]]
    key = f"drift:{artefact_id}"
    alert = Alert(
        alert_id=key,
        labels={"alertname": "drift", "category": "drift", "analysis": artefact_id},
        annotations={"title": f"Drift: {'; '.join(parts)}", "summary": f"{spans}. {' '.join(lines)}"},
        severity=Severity.ERROR if broken else Severity.WARNING,
        starts_at=now,
        done=("nothing was changed: drift is told, it decides nothing",),
        links=links.of_drift(dashboard_url, artefact_id),
    )
    return NewMessage(key, "alert", alert.to_dict())


def _line(column: ColumnDrift, told: Mapping[str, Any]) -> str:
    since = f", since about {told['onset']}" if told.get("onset") else ""
    return f"{column.column}: {column.reason}{since}."


def _names(columns: Sequence[str]) -> str:
    more = len(columns) - MOST_NAMED
    return ", ".join(columns[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
