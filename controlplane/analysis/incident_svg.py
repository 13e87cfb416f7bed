"""The moments of an incident on one line, as SVG: from the likely onset to the last moment known. Pure text; colours come from the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

WIDTH, LEFT, RIGHT, ROW = 960, 20, 20, 17
_END_OF_HARM = "traffic cut"


def time_line(moments: Sequence[tuple[str, str]]) -> str:
    """One dot a moment (name, ISO-8601), labels below in as many rows as they need; nothing for fewer than two.

    Distances are drawn on a logarithmic scale of the time since the first moment, because an incident has seconds at its beginning and days at its
    end; the first moment stands at the left.
    """
    found = sorted((datetime.fromisoformat(at.replace("Z", "+00:00")), name) for name, at in moments)
    if len(found) < 2:
        return ""
    places = _places([(at - found[0][0]).total_seconds() for at, _ in found])
    rows = _rows(places, [name for _, name in found])
    height = 34 + ROW * (max(rows) + 1)
    words = ", ".join(f"{name} {at:%Y-%m-%d %H:%M:%S}" for at, name in found)
    line = f'<line class="span" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="16" y2="16"/>'
    cut = next((x for x, (_, name) in zip(places, found, strict=True) if name == _END_OF_HARM), None)
    harm = "" if cut is None else f'<line class="harm" x1="{LEFT}" x2="{cut:.1f}" y1="16" y2="16"/>'
    dots = "".join(
        f'<circle class="moment" cx="{x:.1f}" cy="16" r="6"><title>{escape(name)} {at:%H:%M:%S}</title></circle>'
        f'<text x="{x:.1f}" y="{38 + ROW * row}" text-anchor="{_anchor(x)}">{escape(name)} {at:%H:%M:%S}</text>'
        for x, (at, name), row in zip(places, found, rows, strict=True)
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(words)}" width="100%">'
        f"{line}{harm}{dots}</svg>"
    )


def _places(seconds: Sequence[float]) -> list[float]:
    from math import log1p

    longest = log1p(max(seconds)) or 1.0
    return [LEFT + (WIDTH - LEFT - RIGHT) * log1p(max(value, 0.0)) / longest for value in seconds]


def _rows(places: Sequence[float], names: Sequence[str]) -> list[int]:
    """The first row in which a label has room, from the left to the right."""
    ends: list[float] = []
    found = []
    for x, name in zip(places, names, strict=True):
        width = 7.0 * (len(name) + 9)
        start = {"start": x, "middle": x - width / 2, "end": x - width}[_anchor(x)]
        row = next((number for number, end in enumerate(ends) if end <= start), len(ends))
        if row == len(ends):
            ends.append(0.0)
        ends[row] = start + width + 8
        found.append(row)
    return found


def _anchor(x: float) -> str:
    return "start" if x < 120 else "end" if x > WIDTH - 120 else "middle"
