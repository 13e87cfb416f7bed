"""What went wrong, counted, and the rows of a list of conversations, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from controlplane.core.estimates import wilson
from dashboards.answers import BAD, QUIET, WAIT
from dashboards.conversation.words import REASONS, humanised, share_text, usd
from dashboards.words import clock

# Kind -> metric of the rollups that counts it, and whether x counts what went well.
COUNTED = {
    "escalated": ("escalation_rate", False),
    "misrouted": ("misrouting_rate", False),
    "ungrounded": ("hallucination_rate", False),
    "misunderstood": ("misclassification_rate", False),
    "timed_out": ("timeout_rate", False),
    "failed": ("request_error_rate", False),
    "unresolved": ("resolution_rate", True),
    "came_back": ("contact_rate", False),
}
OF = {
    "escalated": "conversations",
    "misrouted": "audited routes",
    "ungrounded": "judged answers",
    "misunderstood": "labelled questions",
    "timed_out": "turns",
    "failed": "turns",
    "unresolved": "known outcomes",
    "came_back": "conversations",
}
TONES = {
    "misrouted": BAD,
    "ungrounded": BAD,
    "failed": BAD,
    "timed_out": BAD,
    "misunderstood": WAIT,
    "low_csat": BAD,
    "unresolved": BAD,
}


@dataclass(frozen=True)
class Count:
    """How often a kind happened: `x` of `n`, and the share with its interval as text ("" when n is 0)."""

    x: int
    n: int
    share: str


def counts(frame: pl.DataFrame) -> dict[str, Count]:
    """Kind -> count, of the frame metric, n, x."""
    rows = {row["metric"]: row for row in frame.to_dicts()}
    found = {}
    for kind, (metric, good) in COUNTED.items():
        n, x = (int(rows[metric][key]) for key in ("n", "x")) if metric in rows else (0, 0)
        hit = n - x if good else x
        rate = wilson(hit, n) if n else None
        share = (
            "" if rate is None else f"{share_text(rate.estimate)} ({share_text(rate.low)} to {share_text(rate.high)})"
        )
        found[kind] = Count(hit, n, share)
    return found


@dataclass(frozen=True)
class Item:
    """A line of the list: the id, its title and when, what went wrong, and the rest as one line."""

    conversation_id: str
    title: str
    mark: str
    tone: str
    rest: str


def items(rows: Sequence[Mapping[str, Any]], kind: str, baseline: str, now: datetime) -> list[Item]:
    """The rows of `conversation_find` as lines."""
    return [_item(row, kind, baseline, now) for row in rows]


def _item(row: Mapping[str, Any], kind: str, baseline: str, now: datetime) -> Item:
    began = None if row["started_at"] is None else datetime.fromisoformat(row["started_at"])
    arm = baseline if row["arm"] == "baseline" else row["arm"]
    turns = f"{row['turns']} turn{'s' if row['turns'] != 1 else ''}"
    rated = "not rated" if row["csat"] is None else f"rated {row['csat']:g} of 5"
    rest = [arm, row["release"], row["phase"], turns, rated, usd(row["cost_usd"])]
    intent = humanised(row["intent"]) or "Subject unknown"
    when = "time unknown" if began is None else clock(began, now)
    return Item(
        conversation_id=str(row["conversation_id"]),
        title=f"{when} \u00b7 {intent}",
        mark=_mark(row, kind),
        tone=TONES.get(kind, QUIET),
        rest=" \u00b7 ".join(str(part) for part in rest if part),
    )


def _mark(row: Mapping[str, Any], kind: str) -> str:
    detail = row.get("detail")
    if not detail:
        return ""
    if kind == "escalated":
        return REASONS.get(detail, humanised(detail).lower())
    if kind == "misunderstood":
        taken, _, meant = str(detail).partition(" > ")
        return f"taken for {humanised(taken).lower()}, was {humanised(meant).lower()}"
    if kind == "low_csat":
        return f"rated {float(detail):g} of 5"
    return humanised(str(detail)).lower()
