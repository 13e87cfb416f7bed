"""How the weekly review prints a number: by its unit, at one precision everywhere, so that a sentence and a table never differ.

Units are those of the metric catalogue. A share is printed in percent and its difference in percentage points ("relative": a difference
as a share of what it is a difference from, in percent), a rating and its difference in
points, a time in milliseconds, seconds or minutes, money in USD. A difference keeps its sign where it is shown as a number ("+0.34 points")
and loses it where a word says the direction ("better by 0.34 points"). A difference that is not 0 and rounds to 0 is "less than" one step of
the precision: printing 0 beside "rose" would contradict it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from math import isfinite
from typing import TypeGuard

MINUS = "\u2212"
NOTHING = "unknown"
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def number(value: float, digits: int) -> str:
    """With thousands separators and a true minus sign; a value that rounds to 0 has no sign."""
    text = f"{abs(value):,.{digits}f}"
    negative = value < 0 and any(character in "123456789" for character in text)
    return f"{MINUS if negative else ''}{text}"


def known(value: object) -> TypeGuard[float]:
    """Whether it is a number that can be printed: not None, not NaN, not infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def value_text(value: float | None, unit: str) -> str:
    """A value of that unit; "unknown" for None."""
    if value is None or not known(value):
        return NOTHING
    scaled, digits, before, behind = _form(value, unit, difference=False)
    sign, text = (MINUS, number(abs(scaled), digits)) if scaled < 0 else ("", number(scaled, digits))
    return f"{sign if any(c in '123456789' for c in text) else ''}{before}{text}{behind}"


def gap_text(value: float | None, unit: str, size: float | None = None) -> str:
    """The size of a difference without its sign. `size`: what picks seconds or minutes instead of the value itself."""
    if value is None or not known(value):
        return NOTHING
    scaled, digits, before, behind = _form(abs(value), unit, difference=True, size=size)
    step = 10.0**-digits
    if scaled and float(f"{scaled:.{digits}f}") == 0:
        return f"less than {before}{number(step, digits)}{behind}"
    return f"{before}{number(scaled, digits)}{behind}"


def signed_text(value: float | None, unit: str, *, named: bool = True, size: float | None = None) -> str:
    """A difference with its sign: "+2.0 percentage points"; `named=False` leaves the unit's words away. `size` as for `gap_text`."""
    if value is None or not known(value):
        return NOTHING
    scaled, digits, before, behind = _form(abs(value), unit, difference=True, size=size)
    text = number(scaled, digits)
    zero = not any(c in "123456789" for c in text)
    sign = "" if zero else MINUS if value < 0 else "+"
    return f"{sign}{before}{text}{behind if named else ''}"


def interval_text(low: float | None, high: float | None, unit: str) -> str:
    """Both ends of the interval of a difference, signed, the unit once; an end that is not known is "unknown"."""
    if low is None and high is None:
        return NOTHING
    size = max(abs(end) for end in (low, high) if end is not None)
    return f"{signed_text(low, unit, named=high is None, size=size)} to {signed_text(high, unit, size=size)}"


def range_text(low: float | None, high: float | None, unit: str) -> str:
    """Both ends of the interval of a value."""
    return f"{value_text(low, unit)} to {value_text(high, unit)}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of 1 in percent."""
    return NOTHING if share is None or not known(share) else f"{number(100 * share, digits)} %"


def whole_percent(share: float) -> str:
    """In whole percent, never rounded to 0 or 100 where it is not: "less than 1 %", "more than 99 %"."""
    if 0 < share < 0.005:
        return "less than 1 %"
    return "more than 99 %" if 0.995 <= share < 1 else f"{number(100 * share, 0)} %"


def count_text(n: float | None) -> str:
    """A count."""
    return NOTHING if n is None or not known(n) else number(n, 0)


def plural(n: float, one: str, many: str = "") -> str:
    """ "1 rating", "2 ratings"."""
    return f"{count_text(n)} {one if n == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """A span for people: "4.2 s", "12.5 min", "3.1 h", "2.4 days"."""
    if seconds is None or not known(seconds):
        return NOTHING
    for limit, size, word in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if abs(seconds) < limit:
            return f"{number(seconds / size, 1)} {word}"
    return f"{number(seconds / 86_400, 1)} days"


def day(text: str | None) -> str:
    """The day of an ISO-8601 time for people, "12 March 2026"; the text itself where it is none."""
    try:
        found = datetime.fromisoformat(str(text).replace("Z", "+00:00")).date()
    except ValueError:
        return str(text)
    return _day(found)


def _day(found: date) -> str:
    return f"{found.day} {MONTHS[found.month - 1]} {found.year}"


def moment(text: str | None) -> str:
    """An ISO-8601 time in UTC for people, to the minute; "unknown" for None."""
    return NOTHING if not text else f"{str(text)[:16].replace('T', ' ')} UTC"


def listed(items: Iterable[str]) -> str:
    """ "a, b and c"."""
    found = list(items)
    return " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))


def _form(value: float, unit: str, *, difference: bool, size: float | None = None) -> tuple[float, int, str, str]:
    """The number to print, its digits, and what stands before and behind it."""
    head, _, rest = unit.partition(" ")
    match head:
        case "share":
            return 100 * value, 1, "", " percentage points" if difference else " %"
        case "relative":
            return 100 * value, 1, "", " %"
        case "points":
            return value, 2, "", " points" if difference else ""
        case "ms":
            return value, 0 if abs(value) >= 10 else 1, "", " ms"
        case "seconds" | "s":
            big = abs(value if size is None else size) >= 120
            return (value / 60, 1, "", " min") if big else (value, 1, "", " s")
        case "USD":
            return value, _cents(value), "$", f" {rest}" if rest else ""
        case "tokens":
            return value, 0 if abs(value) >= 100 else 1, "", " tokens"
        case "conversations" | "requests" | "questions" | "ratings" | "incidents":
            whole = value == int(value)
            return value, 0 if whole else 1, "", f" {unit[:-1] if abs(value) == 1 and unit == head else unit}"
        case _:
            return value, 0 if abs(value) >= 100 else 2, "", f" {unit}" if unit else ""


def _cents(value: float) -> int:
    """Digits of a sum of money: cents from a dollar on, then so many that two digits count."""
    size = abs(value)
    if size >= 1 or size == 0:
        return 2
    return 3 if size >= 0.1 else 4 if size >= 0.01 else 5 if size >= 0.001 else 6
