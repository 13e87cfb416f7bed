"""`controlplane drift` on the workspace: windows through `jobs.work`, and what was recorded."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.store.state_evaluation import ArtefactRow
from jobs import work
from jobs.compose import open_state, workspace_settings
from jobs.drift_reference import known
from jobs.refused import Refused

KIND = "drift"
ORDER = ("ERROR", "FAIL", "INCONCLUSIVE", "PASS", "NO_DATA")
MARKS = {"FAIL": "drifted", "ERROR": "broken", "INCONCLUSIVE": "unclear", "PASS": "stable", "NO_DATA": "no data"}


def windows(home: str | None, asked: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Compare two windows of the workspace; what was found and where it is."""
    return work.do(home, "drift_run", asked, now)


def timeline(home: str | None, asked: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Distances per day or hour."""
    return work.do(home, "drift_timeline", asked, now)


def add_reference(home: str | None, asked: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Keep a named window."""
    return work.do(home, "drift_reference_add", asked, now)


def references(home: str | None, now: datetime) -> list[dict[str, Any]]:
    """Named windows, oldest first."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        return known(state)


def analyses(home: str | None, now: datetime, limit: int) -> list[dict[str, Any]]:
    """The newest analyses, newest first: what was compared with what, and what had moved."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        return [_short(row) for row in _newest_first(state.artefacts(KIND))[:limit]]


def analysis(home: str | None, artefact_id: str, now: datetime) -> dict[str, Any]:
    """One analysis as it was recorded; the beginning of an id is enough where it is the only one. Raises Refused for an unknown one."""
    with open_state(workspace_settings(home, must_exist=True), now) as state:
        rows = _newest_first(state.artefacts(KIND))
    exact = [row for row in rows if row.artefact_id == artefact_id]
    found = exact or [row for row in rows if artefact_id and row.artefact_id.startswith(artefact_id)]
    if artefact_id == "latest":
        found = rows[:1]
    if len(found) != 1:
        what = "more than one analysis begins" if found else "no analysis is"
        raise Refused(f"{what} {artefact_id!r}: `controlplane drift list` names them, `latest` is the newest")
    return dict(found[0].summary) | {"path": found[0].path}


def _newest_first(rows: list[ArtefactRow]) -> list[ArtefactRow]:
    return sorted(rows, key=lambda row: (row.created_at, row.artefact_id), reverse=True)


def _short(row: ArtefactRow) -> dict[str, Any]:
    summary = row.summary
    return {
        "artefact": row.artefact_id,
        "created_at": summary["created_at"],
        "trigger": summary.get("trigger"),
        "windows": summary["windows"],
        "reference": summary.get("reference"),
        "drifted": summary["drifted"],
        "broken": summary["broken"],
    }


def list_text(rows: list[dict[str, Any]]) -> str:
    """One line per analysis."""
    if not rows:
        return "no analysis yet: `controlplane drift run` makes one"
    return "\n".join(
        f"{row['artefact']}  {row['windows']['current']['since']} to {row['windows']['current']['until']}  "
        f"against {reference_name(row.get('reference'))}: drifted {', '.join(row['drifted']) or 'none'}"
        + (f"; broken {', '.join(row['broken'])}" if row["broken"] else "")
        for row in rows
    )


def reference_name(reference: Mapping[str, Any] | None) -> str:
    """The name with its version; a window that was worked out has none."""
    if not reference:
        return "an unnamed window"
    return str(reference["name"]) + (f"@{reference['version']}" if reference.get("version") else "")


def text(summary: Mapping[str, Any], every: bool = False) -> str:
    """An analysis for a terminal: the windows, every column that says something, effects. `every`: the quiet columns, too."""
    current, reference = summary["windows"]["current"], summary["windows"]["reference"]
    named = summary.get("reference") or {}
    lines = [f"{side['since']} to {side['until']}  {side['label']}" for side in (current, reference)]
    lines[1] = f"against {lines[1]} ({reference_name(named)})" + (f": {named['note']}" if named.get("note") else "")
    lines.append(
        f"drifted: {', '.join(summary['drifted']) or 'none'}; broken: {', '.join(summary['broken']) or 'none'}"
    )
    for name, column in sorted(summary["columns"].items(), key=lambda item: ORDER.index(item[1]["verdict"])):
        if every or column["verdict"] not in ("PASS", "NO_DATA"):
            lines.append(
                f"  {name}: {'broken' if name in summary['broken'] else MARKS[column['verdict']]}; {column['reason']}"
            )
            lines += _onset_lines(column)
    lines += [line for effect in summary.get("effects", []) for line in _effect_lines(effect)]
    error = summary.get("report_error")
    lines.append(f"report: {summary['report'] or error or 'not asked for'}")
    return "\n".join(lines)


def _onset_lines(column: Mapping[str, Any]) -> list[str]:
    detail = column.get("onset_detail")
    if not detail:
        return []
    moment = f"since {column['onset']}" if column.get("onset") else "when it began cannot be told"
    if column.get("onset") and detail["earliest"] != detail["latest"]:
        moment += f" (between {detail['earliest']} and {detail['latest']})"
    return [f"    {moment}: {detail['reason']}"]


def _effect_lines(effect: Mapping[str, Any]) -> list[str]:
    sides = {
        "onset": f"after {effect['at']} against before",
        "windows": "the current window against the reference",
        "new categories": f"conversations with {', '.join(effect.get('categories', []))} against the others",
    }[effect["split"]]
    lines = [f"  {', '.join(effect['columns'])}: {sides} ({effect['reading']})"]
    for found in effect["metrics"]:
        if found["difference"] is None:
            lines.append(f"    {found['metric']}: unknown ({found['n_before']} and {found['n_after']} rows)")
            continue
        ends = f"[{found['low']:+.3g}, {found['high']:+.3g}]"
        means = f"{found['mean_before']:.3g} -> {found['mean_after']:.3g} {found['unit']}"
        lines.append(f"    {found['metric']}: {means}, difference {found['difference']:+.3g} {ends}")
    return lines


def timeline_text(found: Mapping[str, Any]) -> str:
    """A sparkline per column, from 0 to twice the threshold."""
    head = found["timeline"]
    lines = [
        f"{head['since']} to {head['until']}, one mark per {head['bucket']}, against {reference_name(found['reference'])} "
        f"({found['reference']['since']} to {found['reference']['until']}); a full mark is twice the threshold or more"
    ]
    wide = max((len(name) for name in found["columns"]), default=0)
    for name, column in found["columns"].items():
        since = f"  since {column['onset']}" if column["onset"] else ""
        lines.append(f"{name:{wide}}  {column['sparkline']}  {MARKS[column['verdict']]}{since}")
    return "\n".join(lines)
