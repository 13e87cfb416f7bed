"""Incidents as values for people: how fast, what failed, one timeline, what is to be done. Pure: no Streamlit, no reading, no clock.

Times are those of `controlplane.core.incident_clock`; changes and how many of them failed are those of `controlplane.core.delivery`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import polars as pl

from controlplane.core.delivery import ChangeFail, change_fail
from controlplane.core.incident import asked_at, is_over
from controlplane.core.incident_clock import Due, Times, standing, times
from controlplane.store.state_rows import IncidentRow, from_text
from dashboards.contained import taken
from dashboards.values import Message, State
from dashboards.words import duration, trigger_title

UTC_TIME = pl.Datetime("us", "UTC")
DRAWN = 12  # incidents in the picture; more are in the table
BESIDE = frozenset({"action_opened", "action_closed", "incident_learned", "incident_taught_nothing"})
QUIET = frozenset({"cut_verified"})  # told by the incident's own timeline, a moment apart
EXPOSED, CONTAINED, NOT_CUT = "customers exposed", "contained, not resolved", "open, nothing was cut"
SPEEDS = {
    "to_detect": ("Time to detect", "from the likely onset to the detection"),
    "to_acknowledge": ("Time to acknowledge", "from the detection to a person"),
    "to_contain": ("Time to contain", "from the detection to the verified cut"),
    "to_resolve": ("Time to resolve", "from the detection to the end"),
}


@dataclass(frozen=True)
class Speed:
    """One of the four times over some incidents: median, fastest and slowest in seconds, how many are known of how many."""

    title: str
    span: str
    middle: float | None
    low: float | None
    high: float | None
    known: int
    of: int


@dataclass(frozen=True)
class Entry:
    """A line of a timeline. `tone`: the state it tells of, else "quiet"."""

    at: datetime
    actor: str
    text: str
    tone: str


def _asked(row: IncidentRow) -> list[datetime]:
    steps = ((str(one.get("event")), from_text(one["at"])) for one in row.timeline)
    return asked_at(row.detected_at, steps)


def asked_once(row: IncidentRow) -> bool:
    """Whether it has never come back, nor was reopened: then its times count from the detection."""
    return len(_asked(row)) == 1


def clock_of(row: IncidentRow) -> Times:
    """Seconds to detect, acknowledge, contain and resolve, as `controlplane incident show` has them."""
    return times(
        onset=row.onset_at,
        detected=row.detected_at,
        asked=_asked(row),
        acknowledged=row.acknowledged_at,
        verified=row.verified_at,
        resolved=row.resolved_at,
    )


def within(state: State, since: datetime, until: datetime) -> tuple[IncidentRow, ...]:
    """The incidents that were detected in [since, until], newest first."""
    return tuple(row for row in reversed(state.incidents) if since <= row.detected_at <= until)


def speeds(rows: Sequence[IncidentRow]) -> dict[str, Speed]:
    """The four times over these incidents."""
    clocks = [clock_of(row) for row in rows]
    found = {}
    for name in (field.name for field in fields(Times)):
        known = sorted(value for clock in clocks if (value := getattr(clock, name)) is not None)
        title, span = SPEEDS[name]
        middle, low, high = (median(known), known[0], known[-1]) if known else (None, None, None)
        found[name] = Speed(title, span, middle, low, high, len(known), len(rows))
    return found


def changes(state: State, since: datetime, until: datetime) -> ChangeFail:
    """How many changes reached customers, and how many of them had to be taken back."""
    return change_fail(sorted(state.stages, key=lambda row: row.version), since, until + timedelta(microseconds=1))


def fired_in(row: IncidentRow) -> str:
    """The segment that its trigger fired in: `all` where it fired on all traffic, or where nothing is on record."""
    found = [str(one["segment"]) for one in row.evidence.get("readings", ()) if one["trigger"] == row.trigger]
    return found[0] if found and "all" not in found else "all"


def spans(rows: Sequence[IncidentRow], now: datetime) -> pl.DataFrame:
    """What each incident spent its time in, newest first: name, what, begin, end (minutes from its onset), took (words)."""
    found = []
    for name, row in _named(rows):
        zero = row.onset_at or row.detected_at
        end, act = row.resolved_at or now, taken(row)
        safe = end if act is None or act.verified is None else min(act.verified, end)  # not before somebody has seen it
        parts = [(EXPOSED, zero, safe), (CONTAINED, safe, end)] if act else [(NOT_CUT, zero, end)]
        for what, since, until in parts:
            begin, stop = ((moment - zero).total_seconds() / 60 for moment in (since, until))
            if stop > begin:
                took = duration(until - since)
                found.append({"name": name, "what": what, "begin": begin, "end": stop, "took": took})
    kinds: dict[str, Any] = {"begin": pl.Float64, "end": pl.Float64}
    return pl.DataFrame(
        found, schema={name: kinds.get(name, pl.String) for name in ("name", "what", "begin", "end", "took")}
    )


def marks(rows: Sequence[IncidentRow]) -> pl.DataFrame:
    """When each of these was detected, acknowledged and verified: name, what, at (minutes from its onset)."""
    found = []
    for name, row in _named(rows):
        zero = row.onset_at or row.detected_at
        moments = {"detected": row.detected_at, "acknowledged": row.acknowledged_at, "cut verified": row.verified_at}
        found += [
            {"name": name, "what": what, "at": (moment - zero).total_seconds() / 60}
            for what, moment in moments.items()
            if moment is not None
        ]
    return pl.DataFrame(found, schema={"name": pl.String, "what": pl.String, "at": pl.Float64})


def _named(rows: Sequence[IncidentRow]) -> list[tuple[str, IncidentRow]]:
    """Those that are drawn: what each was and when, short enough for an axis; of the same minute they are told apart by a number."""
    seen: Counter[str] = Counter()
    found = []
    for row in rows[:DRAWN]:
        name = f"{trigger_title(row.trigger)}, {row.detected_at:%-d %b %H:%M}"
        seen[name] += 1
        found.append((f"{name} ({seen[name]})" if seen[name] > 1 else name, row))
    return found


def timeline(row: IncidentRow, audit: Iterable[Mapping[str, Any]], told: Sequence[Message]) -> list[Entry]:
    """Everything on record about an incident, oldest first: its own steps, what was done beside it, when people were told.

    audit: rows about the incident and its rollout (`at` aware); told: the incident's messages.
    """
    own = {(from_text(one["at"]), one["actor"]) for one in row.timeline}
    found = [
        Entry(from_text(one["at"]), one["actor"], one["text"], _tone(str(one.get("event")))) for one in row.timeline
    ]
    for one in audit:
        known = (one["at"], one["actor"]) in own and one["event"] not in BESIDE
        if not known and one["event"] not in QUIET:
            text = f"{str(one['event']).replace('_', ' ')}: {one['reason']}"
            found.append(Entry(one["at"], one["actor"], text, _tone(str(one["event"]).removeprefix("incident_"))))
    first = min((item.sent_at for item in told if item.sent_at is not None), default=None)
    if first is not None:
        by = next(item.receiver or "the receiver is not on record" for item in told if item.sent_at == first)
        found.append(Entry(first, by, "people were told first", "quiet"))
    found += [
        Entry(item.created_at, str(item.receiver or "outbox"), f"a message could not be delivered: {item.title}", "bad")
        for item in told
        if item.status == "dead"
    ]
    capital = [replace(entry, text=entry.text[:1].upper() + entry.text[1:]) for entry in found]
    return sorted(capital, key=lambda entry: entry.at)


def _tone(event: str) -> str:
    if event in ("onset", "rollback", "recur", "reopen", "hold", "report_overdue"):
        return "bad"
    if event in ("contain", "resolve", "clear", "review", "serious_reported", "action_closed"):
        return "good"
    return "wait" if event in ("acknowledge", "own", "triage", "report_soon", "serious") else "quiet"


def due_tone(due: datetime | None, now: datetime) -> str:
    """How an open action stands against its day."""
    if due is None:
        return "quiet"
    return "bad" if now >= due else "wait" if due - now < timedelta(days=2) else "quiet"


def report_due(row: IncidentRow, now: datetime) -> Due:
    """Where the report of a serious incident stands."""
    if not row.serious:
        return Due.NONE
    done = row.serious.get("reported_at")
    return standing(
        from_text(row.serious["since"]),
        from_text(row.serious["due_at"]),
        None if done is None else from_text(done),
        now,
    )


def cause_line(row: IncidentRow) -> str | None:
    """What the machine said about the cause when the incident was detected; None where it said nothing."""
    said = [str(one["text"]) for one in row.timeline if one.get("event") == "triage"]
    return said[-1] if said else None


def takes(row: IncidentRow) -> tuple[str, ...]:
    """What a person can do to the incident in its state, the most urgent first."""
    if row.state == "reviewed":
        return ("reopen", "note")
    if is_over(row.state):
        return ("review", "reopen", "note")
    if row.acknowledged_at is None:
        return ("acknowledge", "note") if row.state == "open" else ("acknowledge", "resolve", "note")
    return ("resolve", "own", "note")


def cause_points(found: Mapping[str, Any]) -> pl.DataFrame:
    """Points for and against each cause of a ranking, in its order: cause, points, total, side."""
    rows = []
    for cause in found["causes"]:
        for side, sign in (("for", 1), ("against", -1)):
            points = sum(line["points"] for line in cause["lines"] if line["points"] * sign > 0)
            rows.append({"cause": str(cause["title"]), "points": points, "total": cause["points"], "side": side})
    return pl.DataFrame(rows, schema={"cause": pl.String, "points": pl.Float64, "total": pl.Float64, "side": pl.String})
