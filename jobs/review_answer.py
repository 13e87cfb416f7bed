"""`controlplane review submit | adjudicate | open | rates`: what people say about drawn answers; no facts are needed, so none are opened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.core.review_queue import Opinion
from jobs import review_rates, review_work
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.moments import moment
from jobs.review_return import return_settled


def submit_command(home: str | None, item_id: str, opinion: Opinion, now: datetime) -> dict[str, Any]:
    """Record a label; what is settled by it goes back to the landing folder. Raises Refused."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        found = review_work.submit(state, item_id, opinion)
        return _said(item_id, opinion, found.status, return_settled(settings, state, now))


def adjudicate_command(home: str | None, item_id: str, opinion: Opinion, now: datetime) -> dict[str, Any]:
    """Record a decision between two people; it goes back to the landing folder. Raises Refused."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        owner = policy_in_force(settings, state).owner
        found = review_work.adjudicate(state, item_id, opinion, owner)
        return _said(item_id, opinion, found.status, return_settled(settings, state, now))


def open_command(home: str | None, level: float, now: datetime) -> dict[str, Any]:
    """Counts of the queue and how far people agree."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return review_work.overview(state, level)


def rates_command(
    home: str | None, since: str | None, until: str | None, release: str, level: float, now: datetime
) -> dict[str, Any]:
    """Weighted rates. Raises SettingsError for a time that is none."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        return review_rates.rates(state, moment(since, "--since"), moment(until, "--until"), release, level)


def open_text(value: Mapping[str, Any]) -> str:
    """The queue for people."""
    status = ", ".join(f"{n} {name}" for name, n in value["status"].items()) or "nothing drawn"
    lines = [f"{value['items']} items: {status}"]
    lines += [f"  {name}: {found['labelled']} of {found['assigned']}" for name, found in value["reviewers"].items()]
    for name, found in value["agreement"].items():
        if found["n"]:
            lines.append(f"  agreement on {name}: {found['same']} of {found['n']}{_beyond(found)}")
            lines += [f"    {found['note']}"] if found["note"] else []
    if value["disagreed"]:
        lines.append(f"  {len(value['disagreed'])} in dispute: controlplane review disputes")
    return "\n".join(lines)


def items_text(value: Mapping[str, Any]) -> str:
    """Items for whoever reads them."""
    parts = []
    for item in value["items"]:
        part = f"{item['item_id']}\n  customer:  {item.get('question') or ''}\n  assistant: {item.get('answer') or '(not in the facts)'}"
        said = item.get("opinions", ())
        part += "".join(f"\n    {one['reviewer']}: {one['label']} {one['intent'] or ''} {one['note']}" for one in said)
        parts.append(part)
    return "\n".join(parts) or "nothing waits"


def _beyond(found: Mapping[str, Any]) -> str:
    parts = []
    for key, name in (("kappa", "kappa"), ("ac1", "AC1"), ("alpha", "alpha")):
        value = found[key]
        if value is not None:
            ends = "" if value["low"] is None else f" [{value['low']:.2f}, {value['high']:.2f}]"
            parts.append(f"{name} {value['value']:.2f}{ends}")
    return f"; {', '.join(parts)}" if parts else ""


def _said(item_id: str, opinion: Opinion, status: str, landed: int) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "status": status,
        "label": opinion.label,
        "reviewer": opinion.reviewer,
        "evaluations": landed,
    }
