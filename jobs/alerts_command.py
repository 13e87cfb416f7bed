"""What `controlplane alerts` does: check the alerting file, say what it means, where an alert goes, and what was told or withheld and why."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from alerts.config import Alerting, load
from alerts.config_read import check
from alerts.config_words import alert_of_labels, tree, verdict, verdict_json
from alerts.history import candidate_of
from alerts.model import Alert
from alerts.pipeline import Silence
from alerts.wiring import ReceiverError, Wired, wire
from controlplane.settings import Settings, SettingsError
from controlplane.settings import load as load_settings
from controlplane.store.state_outbox_log import OutboxEnd
from controlplane.store.state_rows import to_text
from jobs import alerting, silences
from jobs.compose import open_state, workspace_settings
from jobs.moments import moment
from jobs.refused import Refused

STATUSES = ("pending", "sending", "sent", "suppressed", "dead")


def _named(home: str | None, file: Path | None) -> tuple[Settings, str, str]:
    """Settings, and text and name of the file: the one that is named, else the workspace's."""
    settings = load_settings(home) if file is not None else workspace_settings(home, must_exist=True)
    return settings, *(alerting.text_of(settings) if file is None else alerting.read_text(file))


def lint(home: str | None, file: Path | None) -> dict[str, Any]:
    """Errors and warnings of the file, and which of its receivers are not configured here."""
    settings, text, source = _named(home, file)
    found, problems = check(text, source)
    errors = [problem.text(source) for problem in problems if problem.severity == "error"]
    warnings = [problem.text(source) for problem in problems if problem.severity != "error"]
    left_out: dict[str, str] = {}
    if found is not None and not errors:
        try:
            left_out = dict(wire(found, settings.alert_variables).left_out)
        except ReceiverError as error:
            errors.append(f"{source}: {error}")
    return {"ok": not errors, "source": source, "errors": errors, "warnings": warnings, "not_configured": left_out}


def lint_text(value: dict[str, Any]) -> str:
    """The outcome of `lint` in words."""
    lines = [*value["errors"], *value["warnings"]]
    lines += [
        f"receiver {name} is not configured here: {missing} not set"
        for name, missing in value["not_configured"].items()
    ]
    said = "can be used" if value["ok"] else "cannot be used"
    return "\n".join(
        [*lines, f"{value['source']} {said}: {len(value['errors'])} errors, {len(value['warnings'])} warnings"]
    )


def _wired(settings: Settings, text: str, source: str) -> tuple[Alerting, Wired]:
    found = load(text, source)
    try:
        return found, wire(found, settings.alert_variables)
    except ReceiverError as error:
        raise SettingsError(str(error)) from None


def show(home: str | None, file: Path | None, now: datetime) -> dict[str, Any]:
    """The file in words (`lines`) and as plain values."""
    settings, text, source = _named(home, file)
    found, connected = _wired(settings, text, source)
    on_call = {rota.name: rota.on_call(now) for rota in found.rotas}
    return {
        "source": source,
        "hash": found.hash,
        "lines": tree(connected, found, now),
        "routes": [
            {"route": route.name, "receivers": list(route.receivers), "continues": route.continue_}
            for route in found.rules.routes
        ],
        "receivers": sorted(connected.receivers),
        "not_configured": dict(connected.left_out),
        "people": [{"name": item.name, "role": str(item.role), "slack": bool(item.slack)} for item in found.people],
        "on_call": on_call,
        "ladder": [
            {
                "tier": tier.name,
                "after_seconds": tier.after.total_seconds(),
                "receivers": list(tier.receivers),
                "people": [person.name for person in found.on_call(tier.people, now)],
            }
            for tier in found.ladder
        ],
    }


def route_test(
    home: str | None, file: Path | None, words: Sequence[str], at: str | None, now: datetime
) -> dict[str, Any]:
    """Where an alert with these labels goes, and whether something holds it back now. With a `file` silences and incidents are not asked."""
    settings, text, source = _named(home, file)
    whole, connected = _wired(settings, text, source)
    when = now if at is None else moment(at, "--at")
    try:
        alert, kind = alert_of_labels(labels(words), when)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    silenced: tuple[Silence, ...] = ()
    active: tuple[Alert, ...] = ()
    if file is None:
        with open_state(settings, now) as state:
            silenced, active = silences.in_force(state, when), silences.standing(state)
    outcome = verdict(connected, whole, alert, kind, when, silenced, active)
    return {"source": source} | verdict_json(outcome, when)


def labels(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Labels as they are typed on the command line. Raises SettingsError naming the word that is none."""
    try:
        return silences.labels_of(words)
    except Refused as error:
        raise SettingsError(str(error)) from None


def log(home: str | None, limit: int, status: str | None, now: datetime) -> dict[str, Any]:
    """The newest messages of the outbox, oldest first: what was told by whom, what was withheld or failed, and why."""
    if status is not None and status not in STATUSES:
        raise SettingsError(f"--status {status!r} is not known: one of {', '.join(STATUSES)}")
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        rows = state.outbox_log(limit, status)
    return {"messages": [_message(row) for row in rows]}


def _message(row: OutboxEnd) -> dict[str, Any]:
    item = row.item
    alert = candidate_of(item).alert
    return {
        "outbox_id": item.outbox_id,
        "at": to_text(item.created_at),
        "kind": item.kind,
        "incident_id": item.incident_id,
        "severity": str(alert.severity),
        "title": alert.title,
        "step": alert.step,
        "status": item.status,
        "route": item.route,
        "receiver": (item.receipt or {}).get("receiver", item.receiver),
        "attempts": item.attempts,
        "ended_at": None if row.ended_at is None else to_text(row.ended_at),
        "why": row.error,
    }


def log_text(value: dict[str, Any]) -> str:
    """The log in words, one message a line."""
    return "\n".join(_line(row) for row in value["messages"]) or "no messages"


def _line(row: dict[str, Any]) -> str:
    by = f" by {row['receiver']}" if row["receiver"] and row["status"] == "sent" else ""
    tried = f" ({row['attempts']} attempts)" if row["attempts"] > 1 else ""
    step = f": {row['step']}" if row["step"] else ""
    why = f" - {row['why']}" if row["why"] else ""
    return f"{row['at'][:19]}Z  {row['status']:10} {row['severity']:8} {row['title']}{step}{by}{tried}{why}"
