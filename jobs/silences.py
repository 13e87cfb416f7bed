"""Silences: alerts that people asked not to hear for a while, and what explains other alerts at the moment.

A silence has an author, a reason and an end, and never hides a confirmed safety event: one that is for these alone is refused, and delivery lets
them through whatever a silence says. What a silence kept back is in the outbox, as `suppressed` with the silence's name.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from alerts.config_lint import LABELS, PSEUDO
from alerts.model import Alert, AlertFormatError, Severity, Status
from alerts.pipeline import Matcher, Silence
from controlplane.store.state import StateReader, StateWriter
from controlplane.store.state_append import LostRace
from controlplane.store.state_incidents import SilenceRow
from controlplane.store.state_rows import to_text
from jobs.incidents import alert_of
from jobs.refused import Refused

LONGEST_HOURS = 30 * 24.0
LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PSEUDO = {"severity": tuple(Severity), "status": tuple(Status), "incident": ("yes", "no")}


def labels_of(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Labels as they are typed: `metric=csat severity=warning,error`; a name twice adds values. Raises Refused naming the word that is none."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, sign, values = word.partition("=")
        parts = tuple(part for part in values.split(",") if part)
        if not sign or not LABEL.fullmatch(name) or not parts:
            raise Refused(f"{word!r} is no label: write NAME=VALUE or NAME=VALUE,VALUE, such as metric=csat")
        found[name] = tuple(dict.fromkeys((*found.get(name, ()), *parts)))
    return found


def add(
    state: StateWriter, matchers: Mapping[str, Sequence[str]], hours: float, author: str, reason: str, now: datetime
) -> SilenceRow:
    """Silence what has all these labels, each with one of its values, for `hours` from `now`; audited.

    Raises Refused without labels, author or reason, for no time or more than 30 days, and for confirmed safety events.
    """
    wanted = {name: tuple(values) for name, values in matchers.items()}
    problem = _problem(wanted, hours, author, reason)
    if problem:
        raise Refused(problem)
    row = SilenceRow(
        silence_id=f"s-{uuid.uuid4().hex[:8]}",
        matchers=wanted,
        author=author.strip(),
        reason=reason.strip(),
        starts_at=now,
        expires_at=now + timedelta(hours=hours),
    )
    state.add_silence(row, now)
    return row


def unknown(labels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Labels that no alert of ours has: a silence with one of them keeps nothing of ours back."""
    return tuple(name for name in labels if name not in LABELS | PSEUDO)


def _problem(matchers: Mapping[str, tuple[str, ...]], hours: float, author: str, reason: str) -> str:
    if not matchers or not all(name and values and all(values) for name, values in matchers.items()):
        return "a silence needs labels, such as metric=csat: one without would hide everything"
    if not author.strip() or not reason.strip():
        return "a silence needs an author and a reason: they are written to the audit log"
    if not 0 < hours <= LONGEST_HOURS:
        return f"a silence ends: give it more than 0 and at most {LONGEST_HOURS:g} hours, not {hours:g}"
    if "confirmed" in matchers.get("safety", ()):
        return "a confirmed safety event cannot be silenced"
    for name, known in _PSEUDO.items():
        wrong = [value for value in matchers.get(name, ()) if value not in known]
        if wrong:
            return f"{wrong[0]!r} is no {name}: one of {', '.join(map(str, known))}"
    return ""


def end(state: StateWriter, silence_id: str, actor: str, reason: str, now: datetime) -> SilenceRow:
    """End a silence now; audited. Raises Refused when there is none of that name in force."""
    row = next((item for item in state.silences() if item.silence_id == silence_id), None)
    if row is None:
        raise Refused(f"there is no silence {silence_id!r}: `controlplane alerts silence list` shows them")
    if not actor.strip() or not reason.strip():
        raise Refused("to end a silence needs somebody and a reason: they are written to the audit log")
    if not row.is_active(now):
        over = row.expires_at if row.ended_at is None else row.ended_at
        raise Refused(f"silence {silence_id} is not in force: it ended at {to_text(over)}")
    try:
        state.end_silence(row, actor.strip(), reason.strip(), now)
    except LostRace as error:
        raise Refused(str(error)) from None
    return next(item for item in state.silences() if item.silence_id == silence_id)


def in_force(state: StateReader, now: datetime) -> tuple[Silence, ...]:
    """The silences that delivery must know at `now`."""
    return tuple(
        Silence(
            silence_id=row.silence_id,
            matcher=Matcher({name: frozenset(values) for name, values in row.matchers.items()}),
            author=row.author,
            reason=row.reason,
            starts_at=row.starts_at,
            expires_at=row.expires_at,
        )
        for row in state.silences()
        if row.is_active(now)
    )


def standing(state: StateReader) -> tuple[Alert, ...]:
    """The alerts of the incidents that are not resolved, as they are now: what may explain, and so inhibit, other alerts."""
    found = []
    for row in state.open_incidents():
        try:
            found.append(alert_of(state, row, ""))
        except (AlertFormatError, ValueError):
            continue  # delivery tells people of a message that cannot be read; it explains nothing
    return tuple(found)


def as_json(row: SilenceRow, now: datetime) -> dict[str, Any]:
    """A silence as plain values; `active` is as of `now`."""
    return {
        "silence_id": row.silence_id,
        "matchers": {name: list(values) for name, values in row.matchers.items()},
        "author": row.author,
        "reason": row.reason,
        "starts_at": to_text(row.starts_at),
        "expires_at": to_text(row.expires_at),
        "ended_at": None if row.ended_at is None else to_text(row.ended_at),
        "ended_by": row.ended_by,
        "active": row.is_active(now),
    }


def line(value: Mapping[str, Any]) -> str:
    """A silence of `as_json` in one line."""
    labels = " ".join(f"{name}={','.join(values)}" for name, values in value["matchers"].items())
    until = "until" if value["active"] else "was until"
    ended = f", ended by {value['ended_by']} at {value['ended_at'][:16]}Z" if value["ended_at"] else ""
    return f"{value['silence_id']}  {labels}  {until} {value['expires_at'][:16]}Z{ended}  {value['author']}: {value['reason']}"
