"""The sentences of the Incidents page: is anything open, how did it go, what became of this one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from controlplane.core.delivery import ChangeFail
from controlplane.core.incident import is_over
from controlplane.store.state_rows import IncidentRow
from dashboards.answers import BAD, GOOD, WAIT, Answer
from dashboards.contained import CONTAIN, DISABLE, ROLLBACK, taken
from dashboards.incidents.values import SPEEDS, Speed, asked_once, clock_of
from dashboards.words import clock, duration, percent

DETECT = SPEEDS["to_detect"][0]
NOBODY = "nobody has acknowledged it yet"
TAKEN = {
    ROLLBACK: ("The traffic is cut, and the cut", "The cut was verified"),
    DISABLE: ("Workflows were switched off, and that", "Workflows were switched off, verified"),
    CONTAIN: ("The topic was taken from the assistant, and that", "The topic was taken from the assistant, verified"),
}
ACTS = {
    "acknowledge": ("Acknowledge", "You are on it: it is yours, and nobody is paged for it again."),
    "own": ("Take it over", "It is yours from now on; the one who had it is told."),
    "note": ("Add a note", "Your words go into the timeline and to the people who follow the incident."),
    "resolve": ("Resolve", "It is over: alerts about it end. If its cause comes back soon, it opens again by itself."),
    "review": ("Close the review", "What is to be learned is written down; a release may start again behind it."),
    "reopen": ("Reopen", "It was closed too early: people are asked again, and its clocks start anew."),
}
DONE = {
    "acknowledge": "Acknowledged: it is yours.",
    "own": "It is yours now.",
    "note": "Noted in the timeline.",
    "resolve": "Resolved.",
    "review": "The review is closed.",
    "reopen": "Reopened.",
}


def seconds(value: float | None) -> str:
    """`4 min`, or "not yet"."""
    return "not yet" if value is None else duration(timedelta(seconds=value))


def count(number: int, one: str, many: str = "") -> str:
    """`1 incident`, `3 incidents`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def overview(
    open_ones: Sequence[IncidentRow],
    recent: Sequence[IncidentRow],
    changes: ChangeFail,
    due: tuple[int, int],
    days: int,
) -> Answer:
    """Is anything open? recent: incidents of the last `days`; due: actions that are open, and how many of them are overdue."""
    if open_ones:
        first = min(open_ones, key=lambda row: not unsafe(row))  # the newest that may still harm, else the newest
        more = f" {count(len(open_ones) - 1, 'more is', 'more are')} open." if len(open_ones) > 1 else ""
        headline = f"{count(len(open_ones), 'incident is', 'incidents are')} open: {first.title}"
        return Answer(headline, f"{standing(first)}{more}", BAD if unsafe(first) else WAIT)
    told = f"{count(len(recent), 'incident')} in the last {days} days" if recent else f"None in the last {days} days"
    failed = f"{changes.failed} of {count(changes.changes, 'change')} had to be taken back"
    sentence = f"{told}; {failed}." if changes.changes else f"{told}; no change has reached customers in that time."
    if due[0]:
        late = f", {due[1]} of them overdue" if due[1] else ", none overdue"
        sentence += f" {count(due[0], 'action is', 'actions are')} still to be done{late}."
    return Answer("No incident is open", sentence, WAIT if due[1] else GOOD)


def one(row: IncidentRow, now: datetime) -> Answer:
    """What became of it, in one sentence."""
    act = taken(row)
    unverified = act is not None and act.verified is None
    tone = GOOD if is_over(row.state) else BAD if unsafe(row) else WAIT
    when = f"Detected {clock(row.detected_at, now)}"
    onset = clock_of(row).to_detect
    when += f", {seconds(onset)} after its likely onset." if onset is not None else "; its onset is not known."
    return Answer(row.title, f"{when} {standing(row)}", BAD if unverified else tone)


def unsafe(row: IncidentRow) -> bool:
    """Whether customers may still meet it: nothing was taken away, or nobody has seen that it is."""
    act = taken(row)
    return act is None or act.verified is None


def standing(row: IncidentRow) -> str:
    """Contained, acknowledged, resolved, and who met it."""
    said, act = clock_of(row), taken(row)
    if act is None:
        parts = ["Nothing was cut"]
    elif act.verified is None:
        parts = [f"{TAKEN[act.action][0]} {'is NOT verified yet' if act.pending else 'was never verified'}"]
    else:
        since = "after detection" if asked_once(row) else "after it came back"
        parts = [f"{TAKEN[act.action][1]} {seconds(said.to_contain)} {since}"]
    if row.state == "reviewed":
        parts.append("it is resolved and reviewed")
    elif is_over(row.state):
        parts.append("it is resolved; the review is still to be closed")
    elif row.acknowledged_at is None:
        parts.append(NOBODY)
    else:
        parts.append(f"{row.owner or 'somebody'} is on it")
    met = row.customers_exposed
    exposed = (
        "How many customers were exposed is not known yet."
        if met is None
        else f"{count(met, 'customer was', 'customers were')} exposed."
    )
    return f"{', '.join(parts)}. {exposed}"


def speed(found: Speed) -> tuple[str, str]:
    """Value and note of a tile: the median, of how many, from where to where."""
    if not found.of:
        return "\u2013", "no incident in this time"
    if found.middle is None:
        return "unknown" if found.title == DETECT else "not yet", f"{found.span}; {count(found.of, 'incident')}"
    spread = ""
    if found.known > 1 and found.low != found.high:
        spread = f", {seconds(found.low)} to {seconds(found.high)}"
    middle = "median of " if found.known > 1 else ""
    known = (
        f"{found.known:,} of " if found.known < found.of else ""
    )  # one that lasts has no time yet, and would be the longest
    return seconds(found.middle), f"{middle}{known}{count(found.of, 'incident')}{spread}"


def change_rate(changes: ChangeFail) -> tuple[str, str]:
    """Value and note of the change-fail rate, with its interval."""
    if changes.rate is None:
        return "unknown", "no change reached customers"
    low, high = percent(max(changes.rate.low, 0.0)).removesuffix(" %"), percent(changes.rate.high)
    return percent(changes.rate.estimate), f"{changes.failed} of {changes.changes:,} (95 %: {low} to {high})"
