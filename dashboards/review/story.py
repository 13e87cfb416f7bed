"""What happened and how far customers came, as frames and words for the Review page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape
from typing import Any

import polars as pl

from controlplane.core.policy import Policy
from controlplane.store.state_rows import IncidentRow
from dashboards import ui
from dashboards.answers import Span
from dashboards.frames import UTC_TIME
from dashboards.values import State
from dashboards.words import count_text, duration, percent

EMPLOYEES = "employees"
ROOM = 11  # a label needs about one part in so many of the width
MOST_MARKS = 12
CHANGES = {
    "deploy": "a known change went in",
    "hold": "held",
    "resume": "went on",
    "disable_execution": "workflows switched off",
}
CHANGE_TONES = {"hold": "wait", "disable_execution": "wait"}
QUIET = frozenset({"output_reviewed", "evaluation_started", "review_drawn", "review_assigned", "review_labelled"})
STEPS = {
    "eligible": "Eligible and drawn",  # of one arm: fewer than all that are eligible
    "exposed": "Exposed to the assistant",
    "involved": "Assistant involved",
    "known to be resolved": "Known to be resolved",
}


@dataclass(frozen=True)
class Event:
    """One thing on the timeline: when, what, a second line, its tone."""

    moment: datetime
    what: str
    detail: str
    tone: str


def clipped(spans: Sequence[Span], since: datetime, until: datetime) -> list[Span]:
    """The spans of the period, cut to it."""
    cut = [replace(span, since=max(span.since, since), until=min(span.until, until)) for span in spans]
    return [span for span in cut if span.since < span.until]


def share_frame(spans: Sequence[Span], policy: Policy | None, baseline: str) -> pl.DataFrame:
    """since, until, share (of customers; employees are none), what, label (only where there is room)."""
    audiences = {phase.name: phase.audience for phase in policy.phases} if policy else {}
    room = (spans[-1].until - spans[0].since) / ROOM if spans else timedelta(0)
    rows = []
    for span in spans:
        inside = audiences.get(span.phase) == EMPLOYEES
        few = " of low-risk" if audiences.get(span.phase) == "low_risk" else ""
        served = "employees only" if inside else f"{span.phase} {percent(span.share)}{few}"
        what = f"{span.release}: {served}" if span.exposed else f"{baseline} only"
        label = "" if span.until - span.since < room else served if span.exposed else f"{baseline} only"
        share = 0.0 if inside else span.share
        rows.append({"since": span.since, "until": span.until, "share": share, "what": what, "label": label})
    schema: dict[str, Any] = {
        "since": UTC_TIME,
        "until": UTC_TIME,
        "share": pl.Float64,
        "what": pl.String,
        "label": pl.String,
    }
    return pl.DataFrame(rows, schema=schema)


def release_frame(spans: Sequence[Span], baseline: str) -> pl.DataFrame:
    """since, until, release, label: neighbours of one release joined; the baseline where nobody was exposed."""
    rows: list[dict[str, Any]] = []
    for span in spans:
        name = span.release if span.exposed else f"{baseline} only"
        if rows and rows[-1]["release"] == name and rows[-1]["until"] == span.since:
            rows[-1]["until"] = span.until
        else:
            rows.append({"since": span.since, "until": span.until, "release": name})
    room = (spans[-1].until - spans[0].since) / ROOM if spans else timedelta(0)
    for row in rows:
        row["label"] = row["release"] if row["until"] - row["since"] >= room else ""
    schema: dict[str, Any] = {"since": UTC_TIME, "until": UTC_TIME, "release": pl.String, "label": pl.String}
    return pl.DataFrame(rows, schema=schema)


def events(state: State, since: datetime, until: datetime) -> list[Event]:
    """Incidents, holds and known changes of the period, oldest first; the newest `MOST_MARKS`."""
    found = [
        Event(row.detected_at, row.title, _incident_words(row), "bad" if row.severity == "critical" else "wait")
        for row in state.incidents
    ]
    for row in state.stages:
        if row.event in CHANGES:
            why = next((log for log in state.log if log.event == row.event and log.moment == row.started_at), None)
            told = f"{why.actor}: {why.reason}" if why else ""
            found.append(
                Event(
                    row.started_at,
                    f"{row.release}: {CHANGES[row.event]}",
                    told,
                    CHANGE_TONES.get(row.event, "quiet"),
                )
            )
    inside = sorted((one for one in found if since <= one.moment <= until), key=lambda one: one.moment)
    return inside[-MOST_MARKS:]


def _incident_words(row: IncidentRow) -> str:
    """Detected, contained, exposed, and how it stands, in one line."""
    parts = []
    if row.onset_at:
        parts.append(f"found {duration(row.detected_at - row.onset_at)} after its onset")
    if row.verified_at:
        parts.append(f"cut verified {duration(row.verified_at - row.detected_at)} after detection")
    elif row.cut_at:
        parts.append("the cut is NOT verified")
    if row.customers_exposed is not None:
        parts.append(f"{row.customers_exposed:,} customers exposed")
    parts.append(row.state)
    return ", ".join(parts)


def mark_frame(found: Sequence[Event]) -> pl.DataFrame:
    """start, number, label, tone of the events."""
    rows = [
        {"start": one.moment, "number": str(i), "label": one.what, "tone": one.tone}
        for i, one in enumerate(found, start=1)
    ]
    schema: dict[str, Any] = {"start": UTC_TIME, "number": pl.String, "label": pl.String, "tone": pl.String}
    return pl.DataFrame(rows, schema=schema)


def event_rows(found: Sequence[Event], now: datetime) -> list[tuple[str, str, str]]:
    """Cells of the events' table: number, when, what with its detail."""
    return [
        (
            ui.chip(str(i), one.tone),
            ui.when(one.moment, now),
            f'{escape(one.what)}<div class="cp-small">{escape(one.detail)}</div>',
        )
        for i, one in enumerate(found, start=1)
    ]


def decisions(state: State, since: datetime, until: datetime, most: int = 12) -> list[tuple[str, str, str, str]]:
    """Cells of the newest decisions of the period: when, what, who, why. Work that decides nothing is left out."""
    rows = [row for row in state.log if since <= row.moment <= until and row.event not in QUIET]
    return [
        (
            ui.when(row.moment, state.meta.now),
            escape(row.event.replace("_", " ").capitalize()),
            escape(row.actor),
            escape(row.reason),
        )
        for row in rows[:most]
    ]


def funnel(volume: pl.DataFrame, sums: pl.DataFrame) -> pl.DataFrame:
    """step, n, label from all conversations to the resolved ones, from rollups; each label says the share of the step before.

    volume: arm, eligible, n. sums: metric, arm, n, x of escalation_rate and resolution_rate, eligible conversations.
    """
    eligible = int(volume.filter(pl.col("eligible"))["n"].sum())
    exposed = int(volume.filter(pl.col("eligible") & (pl.col("arm") == "assistant"))["n"].sum())
    served = sums.filter(pl.col("arm") == "assistant").group_by("metric").agg(pl.col("n", "x").sum())
    found = {row["metric"]: (int(row["n"]), int(row["x"])) for row in served.to_dicts()}
    steps = [("All conversations", int(volume["n"].sum())), ("Eligible", eligible), ("With the assistant", exposed)]
    if "escalation_rate" in found:
        n, x = found["escalation_rate"]
        steps.append(("Stayed without a person", n - x))
    if "resolution_rate" in found:
        steps.append(("Known to be resolved", found["resolution_rate"][1]))
    return _steps(steps)


def pinned_funnel(document: Mapping[str, Any]) -> tuple[pl.DataFrame, str]:
    """The funnel of a pinned review with what it says of those who did not come back; an empty frame where it has none."""
    rows = (document.get("funnel") or {}).get("assistant") or ()
    steps = [(STEPS[row["name"]], int(row["n"])) for row in rows if row["name"] in STEPS]
    last = next((row for row in rows if str(row["name"]).startswith("not back")), None)
    said = ""
    if last is not None and last["of"]:
        said = (
            f"Of {last['of']:,} resolved conversations whose contact window is over, {last['n']:,}"
            f" ({percent(last['n'] / last['of'])}) did not lead to another contact."
        )
    return _steps(steps), said


def _steps(steps: Sequence[tuple[str, int]]) -> pl.DataFrame:
    rows = []
    for index, (step, n) in enumerate(steps):
        before = steps[index - 1][1] if index else 0
        share = f" \u00b7 {percent(n / before)}" if index and before else ""
        rows.append({"step": step, "n": n, "label": f"{count_text(n)}{share}"})
    return pl.DataFrame(rows, schema={"step": pl.String, "n": pl.Int64, "label": pl.String})


def topic_rows(topics: Sequence[Mapping[str, Any]], most: int = 5) -> list[tuple[str, str, str]]:
    """Cells of the topics with most customers: their terms, customers, and whether it is new."""
    rows = []
    for topic in topics[:most]:
        change = "new" if topic.get("new") else str(topic.get("change") or "")
        mark = ui.chip(change.capitalize(), "wait") if change in ("new", "grown") else ""
        label = str(topic.get("label") or ", ".join(str(term) for term in (topic.get("terms") or ())[:4]))
        rows.append((escape(label), f"{int(topic.get('customers') or 0):,}", mark))
    return rows
