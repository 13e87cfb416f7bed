"""The post-incident report: everything that the record says about one incident, as one document, one page and one Markdown file.

Nothing is written for the report alone: times and containment come from the incident, the evidence from its alert, who was told from the outbox,
the causes from the triage, what was learned from the audit log. What is not known is null in the document and said on the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from alerts.model import Alert, AlertFormatError
from alerts.wording import reading_lines
from controlplane.analysis.incident_html import page
from controlplane.analysis.incident_markdown import markdown
from controlplane.core.audit import canonical, sha256_text
from controlplane.core.incident_clock import since
from controlplane.core.model import RolloutState
from controlplane.store.state import StateReader
from controlplane.store.state_rows import IncidentRow, to_text
from jobs.after_learn import learned
from jobs.artefacts import keep
from jobs.console import plain
from jobs.dataset_command import find_incident
from jobs.deps import Deps
from jobs.files import write_whole
from jobs.incident_view import asked, asked_since, timeline_of, times_of
from jobs.restart_gate import NOTHING_EVENT, has_seen

KIND, EVENT = "incident_report", "incident_reported"
_MOMENTS = ("onset", "detected", "alerted", "acknowledged", "cut", "verified", "resolved", "reviewed")


def write(deps: Deps, now: datetime, *, incident: str, actor: str) -> Mapping[str, Any]:
    """Make the report, file it under `reports/incidents/ID/`, and record it. Returns the document with the paths in it."""
    row = find_incident(deps.state, incident)
    found = document(deps, row, now)
    folder = deps.reports / "incidents" / safe(row.incident_id)
    write_whole(folder / "report.html", page(found))
    write_whole(folder / "report.md", markdown(found))
    digest = sha256_text(canonical(found))
    name = f"{row.incident_id}-report-{to_text(now)}"
    path = (folder / "report.html").relative_to(deps.home).as_posix()
    said = {"incident": row.incident_id, "document_hash": digest}
    reason = f"post-incident report of {row.incident_id}, {row.state}"
    keep(deps.state, (name, KIND, path), said | {"state": row.state}, (EVENT, actor, reason), said, now)
    return {"document": found, "html": str(folder / "report.html"), "markdown": str(folder / "report.md")}


def safe(incident_id: str) -> str:
    """An incident's id as the name of a folder."""
    return "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in incident_id)


def document(deps: Deps, row: IncidentRow, now: datetime) -> dict[str, Any]:
    """All that is known of an incident at `now`, in plain JSON values."""
    state = deps.state
    alert = opened_alert(state, row.incident_id)
    found = {
        "incident_id": row.incident_id,
        "title": row.title,
        "release": row.release,
        "rollout_id": row.rollout_id,
        "severity": row.severity,
        "state": row.state,
        "trigger": row.trigger,
        "owner": row.owner,
        "serious": row.serious,
        "written_at": to_text(now),
        "customers_exposed": row.customers_exposed,
        "times": times(row),
        "seconds": spans(row),
        "asked_again": None if asked_since(row) == row.detected_at else to_text(asked_since(row)),
        "summary": "" if alert is None else alert.annotations.get("summary", ""),
        "promise": "" if alert is None else alert.promise,
        "evidence": [] if alert is None else reading_lines(alert.readings),
        "done": [] if alert is None else list(alert.done),
        "containments": [dict(item) for item in row.containments],
        "timeline": timeline_of(state, row),
        "told": told(state, row.incident_id),
        "causes": _causes(deps, row, now),
        "actions": [asdict(item) | {"open": item.is_open} for item in state.action_items(row.incident_id)],
        "learned": learned(state, row.incident_id),
        "nothing_learned": _reasons(state, row.incident_id),
        "evaluations": _evaluations(state, row),
        "after": _after(state, row),
    }
    return dict(json.loads(json.dumps(found, default=plain)))


def times(row: IncidentRow) -> dict[str, str | None]:
    """The moments of an incident, ISO-8601 UTC, None where they have not happened or are not known."""
    moments = {name: getattr(row, f"{name}_at") for name in _MOMENTS}
    return {name: None if moment is None else to_text(moment) for name, moment in moments.items()}


def spans(row: IncidentRow) -> dict[str, float | None]:
    """Seconds to detect, alert, acknowledge, cut, contain (verified), resolve, review; None where an end is not known. As `incident show` has them:
    behind a recurrence they count from when people were asked again."""
    said, rounds = times_of(row), asked(row)
    reviewed = None if row.resolved_at is None else since([row.resolved_at], row.reviewed_at)
    return {
        "detect": said.to_detect,
        "alert": since([row.detected_at], row.alerted_at),
        "acknowledge": said.to_acknowledge,
        "cut": since(rounds, row.cut_at),
        "contain": said.to_contain,
        "resolve": said.to_resolve,
        "review": reviewed,
    }


def opened_alert(state: StateReader, incident_id: str) -> Alert | None:
    """The first alert of an incident, with its evidence; None where it is not in the outbox or cannot be read."""
    mine = [item for item in state.outbox() if item.incident_id == incident_id]
    for item in sorted(mine, key=lambda one: (not one.outbox_id.endswith(":opened"), one.created_at)):
        try:
            return Alert.from_dict(item.payload)
        except AlertFormatError:
            continue
    return None


def told(state: StateReader, incident_id: str) -> list[dict[str, Any]]:
    """Every message about the incident: what became of it, by whom it was taken, and when."""
    found = []
    for item in state.outbox():
        if item.incident_id == incident_id:
            receipt = item.receipt or {}
            found.append(
                {
                    "message": item.outbox_id,
                    "written_at": to_text(item.created_at),
                    "status": item.status,
                    "receiver": receipt.get("receiver", item.receiver),
                    "sent_at": receipt.get("sent_at"),
                    "attempts": item.attempts,
                }
            )
    return found


def _causes(deps: Deps, row: IncidentRow, now: datetime) -> dict[str, Any]:
    """The triage, or why there is none: a report must not fail with it."""
    from jobs.cause import causes_of

    try:
        return dict(causes_of(deps, row, now))
    except ValueError as problem:
        return {"unknown": str(problem)}


def _reasons(state: StateReader, incident_id: str) -> list[str]:
    rows = [row for row in state.audit_rows() if row["event"] == NOTHING_EVENT and row["subject"] == incident_id]
    return [f"{row['actor']}: {row['reason']}" for row in rows]


def _evaluations(state: StateReader, row: IncidentRow) -> list[dict[str, Any]]:
    """Runs whose data held conversations of the incident."""
    runs = [run for run in state.evaluation_runs() if run.finished_at is not None and has_seen(state, run, row)]
    return [
        {
            "run": run.run_id,
            "release": run.release,
            "release_hash": run.release_hash,
            "verdict": run.verdict,
            "finished_at": None if run.finished_at is None else to_text(run.finished_at),
        }
        for run in runs
    ]


def _after(state: StateReader, row: IncidentRow) -> dict[str, Any] | None:
    """What is served now, where that is another release."""
    rollout = state.rollout()
    if rollout is None or rollout.rollout_id == row.rollout_id:
        return None
    growing = rollout.state is not RolloutState.ROLLED_BACK
    return {"release": rollout.release, "state": str(rollout.state), "phase": rollout.phase, "served": growing}


def report_path(reports: Path, incident_id: str) -> Path:
    """Where the page of an incident lies."""
    return reports / "incidents" / safe(incident_id) / "report.html"
