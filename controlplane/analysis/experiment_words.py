"""How the figures of an analysis are written for people, in the terminal and in the report: the same words in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Figure = Mapping[str, Any]


def amount(value: float | None, rate: bool = False) -> str:
    """A mean or a rate."""
    if value is None:
        return "unknown"
    return f"{100 * value:.4g} %" if rate else f"{value:,.5g}"


def difference(value: float | None, rate: bool = False) -> str:
    """A difference with its sign; of rates in percentage points."""
    if value is None:
        return "unknown"
    return f"{100 * value:+.3g} pp" if rate else f"{value:+,.4g}"


def ends(found: Figure | None, rate: bool = False, relative: bool = False) -> str:
    """The ends of an interval."""
    if found is None:
        return "unknown"
    low, high = (_end(found[name], rate, relative) for name in ("low", "high"))
    return f"[{low}, {high}]"


def _end(value: float | None, rate: bool, relative: bool) -> str:
    if value is None:
        return "open"
    if relative:
        return f"{100 * value:+.3g} %"
    return f"{100 * value:+.3g}" if rate else f"{value:+,.4g}"


def share(found: Figure | None) -> str:
    """A relative difference in percent."""
    return "unknown" if found is None else f"{100 * found['estimate']:+.3g} %"


def chance(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return "unknown"
    return "< 1e-12" if value < 1e-12 else f"{value:.2g}"


def power_words(row: Figure, rate: bool) -> str:
    """What could have been found, and what a wanted difference needs."""
    power = row["power"]
    if power is None:
        return "its power is unknown"
    words = f"finds {difference(power['smallest_difference'], rate).lstrip('+')} with a chance of {power['chance']:.0%}"
    if power.get("units_needed") is None:
        return words
    now, needed = power["units_now"], power["units_needed"]
    words += f"; {difference(power['wanted'], rate).lstrip('+')} needs {needed:,.0f} units ({now:,.0f} now)"
    if needed <= now:
        return words + ": there are enough"
    days = power["days_needed"]
    return words + ("" if days is None else f": {days:,.1f} more days at {power['units_per_day']:,.0f} a day")


def novelty_words(found: Figure, rate: bool) -> str:
    """The second half against the first, in one sentence."""
    if found["change"] is None:
        return f"not tested: {found.get('reason', 'unknown')}"
    change = found["change"]
    told = (
        f"second half minus first {difference(change['estimate'], rate)} {ends(change, rate)}, p {chance(found['p'])}"
    )
    return f"the effect changes: {told}" if found["p"] <= 0.05 else f"no change shown: {told}"
