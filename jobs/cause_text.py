"""Causes of an incident for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

MARKS = {"for": "+", "against": "-", "neutral": ".", "unknown": "?"}
SHOWN = 3


def text(found: Mapping[str, Any], every: bool = False) -> str:
    """The answer, then the evidence of the first causes (`every`: of all), what people say, and what limits it."""
    lines = [found["line"]]
    for place, cause in enumerate(found["causes"], 1):
        lines += _cause(place, cause) if every or place <= SHOWN else [_head(place, cause)]
    if found["causes"] and found["causes"][0]["changes_mind"]:
        lines += ["", "What would change this:"] + [f"  {item}" for item in found["causes"][0]["changes_mind"]]
    for said in found["disagreements"]:
        lines.append(
            f"\n{said['actor']} disagrees ({str(said['at'])[:16].replace('T', ' ')}Z): {said['cause']}: {said['reason']}"
        )
    lines += [f"note: {note}" for note in found["notes"]]
    return "\n".join(lines)


def _head(place: int, cause: Mapping[str, Any]) -> str:
    where = cause["slice"]
    inside = f" in {where['dimension']} {where['value']}" if where and cause["points"] > 0 else ""
    named = f" ({cause['named']})" if cause["named"] else ""
    return f"{place:>2}. {cause['kind']}{named}{inside}  {cause['points']:+.1f}"


def _cause(place: int, cause: Mapping[str, Any]) -> list[str]:
    return ["", _head(place, cause)] + [
        f"    {MARKS[item['says']]} {item['points']:+.1f}  {item['name']}: {item['text']}" for item in cause["lines"]
    ]
