"""The five promises of the programme in sentences: assistant against menu, from the numbers of a weekly review alone.

A verdict word is said only where the interval of the difference supports it; a document whose recorded verdict is not what its interval says
is answered with "unknown", and the sentence says so. The arms are assigned at random, so "better" and "worse" are about the assistant.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.core.weekly import Movement
from controlplane.core.weekly_format import (
    count_text,
    gap_text,
    interval_text,
    known,
    percent,
    signed_text,
    value_text,
    whole_percent,
)

LEADS = {
    "csat": "Customers rate the assistant {a}, the menu {m}",
    "misclassification": "The assistant misunderstands {a} of requests; with the menu {m} end in the wrong category",
    "escalation": "{a} of the assistant's conversations go to a person, {m} of the menu's",
    "resolution_time": "A conversation is resolved in {a} with the assistant, in {m} with the menu",
    "safety_incidents": "Safety incidents, {unit}: {a} with the assistant, {m} with the menu",
}
COUNTED = {
    "csat": "ratings",
    "misclassification": "customers with a request of known intent",
    "escalation": "conversations",
    "resolution_time": "resolved conversations",
    "safety_incidents": "audited requests",
}
FINAL = 0.995  # share of final labels from which maturity is not worth a word
Plain = Mapping[str, Any]


def success_line(item: Plain, level: float | None) -> dict[str, Any]:
    """{"measure", "title", "movement", "direction", "sentence", "numbers", "disagrees"}. `item` is a Success as a mapping; `level` of its intervals.

    `movement` is the recorded verdict, or unknown where the interval does not support it (`disagrees`).
    """
    recorded = Movement(str(item["movement"]))
    holds = supported(item)
    movement = recorded if holds else Movement.UNKNOWN
    value = _number(item["difference"], "value")
    sentence = (
        _unknown(item, level, disagrees=not holds) if movement is Movement.UNKNOWN else _said(item, movement, level)
    )
    return {
        "measure": item["measure"],
        "title": item["title"],
        "movement": str(movement),
        "direction": direction_word(value),
        "sentence": sentence,
        "numbers": _numbers(item),
        "disagrees": not holds,
    }


def supported(item: Plain) -> bool:
    """Whether the difference's interval supports the recorded verdict; unknown always is.

    Improved: all of it on the better side of 0. Worse: all of it on the worse side. Not worse: none of it beyond the margin. Safety incidents are
    counts with a test of their own and no margin: not worse needs that the assistant has none, or no more than the menu; worse, that it has more.
    """
    movement = Movement(str(item["movement"]))
    if movement is Movement.UNKNOWN:
        return True
    value, low, high = (_number(item["difference"], key) for key in ("value", "low", "high"))
    sign = -1.0 if item["direction"] == "lower" else 1.0
    if item["measure"] == "safety_incidents" and movement is not Movement.IMPROVED:
        if movement is Movement.WORSE:
            both = None not in (_number(item[arm], "value") for arm in ("assistant", "menu"))
            return both and value is not None and sign * value < 0.0
        return _number(item["assistant"], "value") == 0.0 or (value is not None and sign * value >= 0.0)
    if value is None or None in (_number(item[arm], "value") for arm in ("assistant", "menu")):
        return False
    if low is None or high is None:
        return False
    ends = (sign * low, sign * high)
    match movement:
        case Movement.IMPROVED:
            return min(ends) > 0.0
        case Movement.WORSE:
            return max(ends) < 0.0
        case _:
            return min(ends) > -(_number(item, "margin") or 0.0)


def difference_unit(item: Plain) -> str:
    """The unit of the difference and its margin: that of the values, but for the resolution time, whose difference is a share of the menu's."""
    return "relative" if item["measure"] == "resolution_time" else str(item["unit"])


def direction_word(value: float | None) -> str:
    """higher, lower, equal or unknown: the sign of a difference, assistant minus menu."""
    if value is None:
        return "unknown"
    return "higher" if value > 0 else "lower" if value < 0 else "equal"


def interval_words(level: float | None) -> str:
    """ "95 % interval"; "interval" where the level is not recorded."""
    return f"{percent(level, 0)} interval" if level is not None and known(level) else "interval"


def maturity_of(*estimates: Plain | None) -> float | None:
    """The smallest share of final labels among estimates; None where none has labels to wait for."""
    found = [m for item in estimates if item is not None and (m := _number(item, "maturity")) is not None]
    return min(found, default=None)


def _said(item: Plain, movement: Movement, level: float | None) -> str:
    unit = difference_unit(item)
    value, margin = _number(item["difference"], "value"), _number(item, "margin")
    basis = _basis(item, level)
    if movement is Movement.NOT_WORSE and item["measure"] == "safety_incidents":
        return f"{_lead(item)}: not worse; {str(item['reason']).strip().rstrip('.') or 'no more than the menu'}{basis}."
    if movement is Movement.NOT_WORSE:
        line = f", and the margin is {gap_text(margin, unit)}" if margin else ""
        return f"{_lead(item)}: not worse; the difference is {signed_text(value, unit)}{basis}{line}."
    word = "better" if movement is Movement.IMPROVED else "worse"
    return f"{_lead(item)}: {word} by {gap_text(value, unit)}{basis}."


def _unknown(item: Plain, level: float | None, *, disagrees: bool) -> str:
    reason = (
        "the recorded verdict is not what its interval says" if disagrees else str(item["reason"]).strip().rstrip(".")
    )
    maturity = maturity_of(item["assistant"], item["menu"])
    young = ""
    if maturity is not None and maturity < FINAL:
        young = f"{_final(maturity)} final"
    sentence = f"Unknown: {'; '.join(filter(None, [_lower(item['title']), reason, young]))}."
    if None in (_number(item["assistant"], "value"), _number(item["menu"], "value")):
        return sentence
    shown = f" So far: {_lower(_lead(item))}"
    value = _number(item["difference"], "value")
    if value is None:
        return f"{sentence}{shown}."
    return f"{sentence}{shown}; the difference is {signed_text(value, difference_unit(item))}{_basis(item, level, final=False)}."


def _final(maturity: float) -> str:
    """ "no label is", "less than 1 % of the labels are", "only 38 % of the labels are", "96 % of the labels are"."""
    if maturity <= 0.0:
        return "no label is"
    return ("only " if 0.005 <= maturity < 0.9 else "") + f"{whole_percent(maturity)} of the labels are"


def _lead(item: Plain) -> str:
    unit = str(item["unit"])
    a, m = (value_text(_number(item[arm], "value"), unit) for arm in ("assistant", "menu"))
    if item["measure"] == "safety_incidents":  # its unit is said once: "confirmed per 1,000 audited"
        a, m = a.removesuffix(f" {unit}"), m.removesuffix(f" {unit}")
    return LEADS.get(str(item["measure"]), str(item["title"]) + ": {a} with the assistant, {m} with the menu").format(
        a=a, m=m, unit=unit
    )


def _basis(item: Plain, level: float | None, *, final: bool = True) -> str:
    """What stands behind a difference, in brackets: its interval, how many on either side, how mature."""
    difference, parts = item["difference"], []
    low, high = _number(difference, "low"), _number(difference, "high")
    unit = "" if item["measure"] == "safety_incidents" else difference_unit(item)
    if low is not None or high is not None:
        parts.append(f"{interval_words(level)} of the difference {interval_text(low, high, unit)}")
    else:
        parts.append("no interval")
    counts = [int(item[arm].get("n") or 0) for arm in ("assistant", "menu")]
    if any(counts):
        parts.append(f"{' and '.join(map(count_text, counts))} {COUNTED.get(item['measure'], 'counted')}")
    maturity = maturity_of(item["assistant"], item["menu"]) if final else None
    if maturity is not None and maturity < FINAL:
        parts.append(f"{_final(maturity)} final")
    return f" ({'; '.join(parts)})"


def _numbers(item: Plain) -> dict[str, Any]:
    found: dict[str, Any] = {"margin": _number(item, "margin")}
    for name in ("assistant", "menu", "difference"):
        found |= {f"{name}_{key}": item[name].get(key) for key in ("value", "low", "high", "n", "maturity")}
    return {key: value for key, value in found.items() if value is not None}


def _number(found: Plain, key: str) -> float | None:
    value = found.get(key)
    return float(value) if known(value) else None


def _lower(words: str) -> str:
    """Lower case at the start, unless the first word is an abbreviation (CSAT)."""
    first = words.split(" ")[0]
    return words if len(first) > 1 and first.isupper() else words[:1].lower() + words[1:]
