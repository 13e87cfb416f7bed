"""Incidents that still fire, told again after the repeat interval of their route. Pure.

The chain's history says when it was told last. A reminder is a message like any other, with an id that counts, so the same one is written once; while
something of the chain is still on its way, nothing is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from alerts.delivery import Rules
from alerts.history import Item, candidate_of, log_entry, standing, told_items
from alerts.model import Alert, Status
from alerts.pipeline import REPEATED
from alerts.wording import duration
from controlplane.store.state_rows import NewMessage


def reminders(messages: Iterable[Item], rules: Rules, now: datetime) -> list[tuple[NewMessage, str]]:
    """What is due to be told again, with the name of its route. `messages` are all of the incidents that are not over."""
    chains: dict[tuple[str, str], list[Item]] = {}
    for item in messages:
        if item.incident_id and item.route:
            chains.setdefault((item.incident_id, item.receiver or ""), []).append(item)
    found = [_reminder(incident, chain, rules, now) for (incident, _), chain in chains.items()]
    return [one for one in found if one is not None]


def _reminder(incident: str, chain: Sequence[Item], rules: Rules, now: datetime) -> tuple[NewMessage, str] | None:
    entry = log_entry(chain)
    newest = max(
        (item for item in chain if item.status == "sent"), key=lambda i: (i.created_at, i.outbox_id), default=None
    )
    if entry is None or newest is None or any(item.status in ("pending", "sending") for item in chain):
        return None
    route = next((one for one in rules.routes if one.name == newest.route), None)
    if route is None or now - entry.told_at < rules.timing_of(route.name).repeat_interval:
        return None
    gravest = standing(map(candidate_of, told_items(chain)))[0].alert
    if gravest.status is not Status.FIRING:
        return None
    count = sum(item.kind == REPEATED for item in chain)
    identity = f"{incident}:repeat:{route.name}:{count + 1}"
    alert = replace(gravest, alert_id=identity, step=_words(gravest, now))
    return NewMessage(identity, REPEATED, alert.to_dict(), incident), route.name


def _words(alert: Alert, now: datetime) -> str:
    state = alert.standing.get("state", "firing")
    owner = alert.standing.get("owner")
    return f"Still {state} after {duration(now - alert.starts_at)}" + (f", {owner} has it" if owner else "")
