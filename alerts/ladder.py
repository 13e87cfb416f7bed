"""The on-call ladder: who is to be told next because nobody has acknowledged an incident. Pure.

A tier is told when its time has passed since people were asked, or since the tier before it was told: so a control process that was down for an
hour calls one tier at a time, and gives each the time that the file promises it. What is not critical waits for the end of the quiet hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alerts.config import Tier
from alerts.model import Severity
from alerts.schedule import QuietHours


@dataclass(frozen=True, slots=True)
class Waiting:
    """An incident that nobody has acknowledged since people were asked at `asked_at`; `told`: which tiers were told since then, and when."""

    incident_id: str
    severity: Severity
    asked_at: datetime
    told: Mapping[int, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A tier that is to be told now; `number` counts from 1. `due_at` is when its time had come."""

    incident_id: str
    number: int
    tier: Tier
    due_at: datetime


def due_at(incident: Waiting, number: int, ladder: Sequence[Tier], quiet: QuietHours | None = None) -> datetime:
    """When tier `number` is to be told if nobody acknowledges, given when the one before was told."""
    since = incident.told.get(number - 1, incident.asked_at)
    moment = since + ladder[number - 1].after
    return moment if quiet is None or incident.severity is Severity.CRITICAL else quiet.after(moment)


def calls(
    waiting: Iterable[Waiting], ladder: Sequence[Tier], quiet: QuietHours | None, now: datetime
) -> tuple[Call, ...]:
    """Who is to be told now, at most one tier of each incident, the longest overdue first. Tiers are told in order, each once."""
    found = []
    for incident in waiting:
        number = max(incident.told, default=0) + 1
        if number > len(ladder):
            continue
        moment = due_at(incident, number, ladder, quiet)
        if moment <= now:
            found.append(Call(incident.incident_id, number, ladder[number - 1], moment))
    return tuple(sorted(found, key=lambda call: (call.due_at, call.incident_id)))
