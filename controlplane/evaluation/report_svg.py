"""Small pictures of the report as SVG text: an interval against its line, and the reliability curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 190, 26
COLOURS = {"PASS": "good", "FAIL": "bad", "ERROR": "bad", "INCONCLUSIVE": "wait", "NO_DATA": "none"}
CURVE = 260


def interval(item: Mapping[str, Any]) -> str:
    """The interval of a judged criterion with the estimate as a dot and the line it must keep; empty where nothing was measured."""
    low, high, estimate, line = item["low"], item["high"], item["estimate"], item["line"]
    if estimate is None or low is None or high is None:
        return ""
    start, end = _range(item)
    place = _scale(start, end)
    colour = COLOURS[item["verdict"]]
    good = (start, line) if item["comparison"] == "at_most" else (line, end)
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="interval {low:.4g} to {high:.4g}, line {line:.4g}">'
        f'<rect x="0" y="10" width="{WIDTH}" height="6" rx="3" fill="var(--track)"/>'
        f'<rect x="{place(good[0]):.1f}" y="10" width="{max(place(good[1]) - place(good[0]), 0):.1f}" height="6" rx="3" fill="var(--good-soft)"/>'
        f'<line x1="{place(line):.1f}" x2="{place(line):.1f}" y1="2" y2="24" stroke="var(--ink)" stroke-width="1.5"/>'
        f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="13" y2="13" stroke="var(--{colour})" stroke-width="3" stroke-linecap="round"/>'
        f'<circle cx="{place(estimate):.1f}" cy="13" r="4.5" fill="var(--{colour})"/></svg>'
    )


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """Accuracy against confidence; the dot's area is the share of rows, the diagonal is perfect."""
    most = max(item["n"] for item in bins)
    dots = [
        f'<circle cx="{40 + item["confidence"] * CURVE:.1f}" cy="{10 + (1 - item["accuracy"]) * CURVE:.1f}" '
        f'r="{3 + 8 * (item["n"] / most) ** 0.5:.1f}" fill="var(--accent)" fill-opacity=".75">'
        f"<title>{item['n']} rows: {item['confidence']:.0%} sure, {item['accuracy']:.0%} right</title></circle>"
        for item in bins
    ]
    ticks = [
        f'<line x1="40" x2="{40 + CURVE}" y1="{10 + CURVE * k / 4:.0f}" y2="{10 + CURVE * k / 4:.0f}" stroke="var(--line)"/>'
        f'<text x="34" y="{14 + CURVE * k / 4:.0f}" text-anchor="end">{100 - 25 * k}%</text>'
        f'<text x="{40 + CURVE * k / 4:.0f}" y="{28 + CURVE}" text-anchor="middle">{25 * k}%</text>'
        for k in range(5)
    ]
    size = CURVE + 60
    return (
        f'<svg width="{size}" height="{size - 4}" viewBox="0 0 {size} {size - 4}" role="img" aria-label="reliability curve">'
        + "".join(ticks)
        + f'<line x1="40" x2="{40 + CURVE}" y1="{10 + CURVE}" y2="10" stroke="var(--soft)" stroke-dasharray="4 4"/>'
        + "".join(dots)
        + f'<text x="{40 + CURVE / 2:.0f}" y="{46 + CURVE}" text-anchor="middle">how sure it was</text></svg>'
    )


def _range(item: Mapping[str, Any]) -> tuple[float, float]:
    """Ends of the drawn scale: round the interval and the line, so that both are seen."""
    values = [item["low"], item["high"], item["line"]]
    start, end = min(values), max(values)
    room = (end - start) * 0.12 or abs(end) * 0.5 or 1.0
    start, end = start - room, end + room
    if item["unit"] == "share" and item["comparison"] != "not_worse":
        start, end = max(start, 0.0), min(end, 1.0)
    elif item["comparison"] != "not_worse":
        start = max(start, 0.0)
    return start, end


def _scale(start: float, end: float) -> Any:
    span = end - start or 1.0
    return lambda value: 6 + (WIDTH - 12) * min(max((value - start) / span, 0.0), 1.0)
