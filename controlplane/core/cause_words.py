"""Numbers of root-cause triage in sentences. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from math import exp

from controlplane.core.cause_model import Change, Measure, Shift, State

_STATES = {State.MOVED: "", State.STILL: " (no change that matters)", State.UNCLEAR: " (not clear)", State.UNKNOWN: ""}


def percent(value: float) -> str:
    """A share for people."""
    return f"{value * 100:.1f} %"


def moment(at: datetime) -> str:
    """A time of the day, UTC; with the day, as incidents cross midnight."""
    return f"{at.astimezone(UTC):%m-%d %H:%M}Z"


def size(value: float, measure: Measure | None) -> str:
    """A change in the measure's own unit: points of a share, per cent of a ratio."""
    if measure is not None and measure.ratio:
        return f"{(exp(value) - 1) * 100:+.0f} %"
    return f"{value * 100:+.1f} points"


def shift_words(name: str, shift: Shift, measure: Measure | None, against: str = "") -> str:
    """A change with both levels and its 95 % interval."""
    title = measure.title if measure is not None and name == measure.name else name
    if measure is not None and measure.ratio:
        levels = f"{exp(shift.before):,.0f} to {exp(shift.after):,.0f}"
    else:
        levels = f"{percent(shift.before)} to {percent(shift.after)}"
    ends = f"[{size(shift.low, measure)}, {size(shift.high, measure)}]"
    own = f", {size(shift.value, measure)} {ends}{f' {against}' if against else ''}"
    return f"{title} {levels}{own}{_STATES[shift.state]}"


def change_words(change: Change, onset: datetime) -> str:
    """A row of the change log with its distance from the onset."""
    minutes = (change.at - onset).total_seconds() / 60
    when = (
        "at the onset"
        if abs(minutes) < 1
        else f"{abs(minutes):,.0f} min {'after' if minutes > 0 else 'before'} the onset"
    )
    what = f" ({', '.join(change.artefacts)} changed)" if change.artefacts else ""
    return f"{change.event} at {moment(change.at)}, {when}: {change.text}{what}"
