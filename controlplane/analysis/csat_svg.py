"""Pictures of the CSAT report: plain SVG text, coloured by the variables of the style sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

Plain = Mapping[str, Any]
WIDTH = 960


def bars(counts: Sequence[int]) -> str:
    """Shares of the ratings 1 to 5."""
    total = sum(counts)
    if not total:
        return ""
    most = max(counts)
    parts = []
    for index, count in enumerate(counts):
        x, height = 8 + index * 62, 60.0 * count / most
        parts.append(
            f'<rect x="{x}" y="{76 - height:.1f}" width="46" height="{height:.1f}" rx="3" fill="var(--accent)" opacity=".75"/>'
            f'<text x="{x + 23}" y="{72 - height:.1f}" text-anchor="middle">{count / total:.0%}</text>'
            f'<text x="{x + 23}" y="91" text-anchor="middle">{index + 1}</text>'
        )
    return f'<svg width="320" height="96" viewBox="0 0 320 96" role="img" aria-label="shares of the ratings 1 to 5">{"".join(parts)}</svg>'


def dots(lines: Sequence[tuple[str, Plain | None]], margin: float) -> str:
    """Intervals on one scale of rating points; a line without a value has ends only. The band runs from minus the margin to 0.

    An interval much wider than the others (the bounds, mostly) runs out of the picture with an arrow and its ends as text.
    """
    told = [(name, item) for name, item in lines if item is not None and item["low"] is not None]
    if not told:
        return "<p>No interval can be told yet.</p>"
    tight = [item for _, item in told if item["value"] is not None] or [item for _, item in told]
    widest = max(max(abs(item["low"]), abs(item["high"])) for item in tight)
    reach = float(max(1.25 * widest, 2.0 * margin, 0.05))
    left, right, row = 200, 740, 30

    def place(value: float) -> float:
        return (left + right) / 2 + (right - left) / 2 * min(max(value / reach, -1.0), 1.0)

    height = row * len(told) + 34
    parts = [
        f'<rect x="{place(-margin):.1f}" y="4" width="{place(0) - place(-margin):.1f}" height="{height - 30}" fill="var(--wait-soft)"/>',
        f'<line x1="{place(0):.1f}" x2="{place(0):.1f}" y1="4" y2="{height - 26}" stroke="var(--soft)"/>',
    ]
    for index, (name, item) in enumerate(told):
        y = 20 + index * row
        colour = "good" if item["low"] > -margin else "bad" if item["high"] < 0.0 else "none"
        text = f"[{item['low']:+.2f}, {item['high']:+.2f}]"
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<line x1="{place(item["low"]):.1f}" x2="{place(item["high"]):.1f}" y1="{y}" y2="{y}" '
            f'stroke="var(--{colour})" stroke-width="3" stroke-linecap="round"/>'
        )
        for end, mark in ((item["low"], "&#9664;"), (item["high"], "&#9654;")):
            if abs(end) > reach:
                parts.append(f'<text x="{place(end):.1f}" y="{y + 4}" text-anchor="middle">{mark}</text>')
        if item["value"] is not None:
            parts.append(f'<circle cx="{place(item["value"]):.1f}" cy="{y}" r="5" fill="var(--{colour})"/>')
            text = f"{item['value']:+.2f} {text}"
        parts.append(f'<text x="{right + 14}" y="{y + 4}">{text}</text>')
    ticks = (-reach / 1.25, -margin, 0.0, reach / 1.25)
    parts += [f'<text x="{place(v):.1f}" y="{height - 8}" text-anchor="middle">{v:+.2g}</text>' for v in ticks]
    return _picture(height, "differences with intervals", parts)


def curve(table: Sequence[Plain], margin: float) -> str:
    """The difference over everybody as the silent of the assistant move, with its interval, against 0 and minus the margin."""
    xs = [float(row["delta"]) for row in table]
    lows, highs = ([float(row["treated"][end]) for row in table] for end in ("low", "high"))
    bottom, top = min(*lows, -2 * margin), max(*highs, 2 * margin)
    left, right, up, down = 60, 940, 10, 190

    def x(value: float) -> float:
        return left + (right - left) * (value - xs[0]) / (xs[-1] - xs[0])

    def y(value: float) -> float:
        return down - (down - up) * (value - bottom) / (top - bottom)

    area = " ".join(
        f"{x(d):.1f},{y(v):.1f}" for d, v in [*zip(xs, lows, strict=True), *reversed([*zip(xs, highs, strict=True)])]
    )
    line = " ".join(f"{x(row['delta']):.1f},{y(row['treated']['value']):.1f}" for row in table)
    parts = [
        f'<polygon points="{area}" fill="var(--accent)" opacity=".18"/>',
        f'<polyline points="{line}" fill="none" stroke="var(--accent)" stroke-width="2"/>',
    ]
    for value, dash, name in ((0.0, "", "no difference"), (-margin, "4 3", "minus the margin")):
        parts.append(
            f'<line x1="{left}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="var(--soft)" stroke-dasharray="{dash}"/>'
        )
        shift = -5 if value == 0.0 else 13
        parts.append(f'<text x="{right}" y="{y(value) + shift:.1f}" text-anchor="end">{name}</text>')
    steps = [value for value in xs if value % 0.5 == 0]
    parts += [f'<text x="{x(value):.1f}" y="206" text-anchor="middle">{value:+g}</text>' for value in steps]
    ends = (bottom, top)
    parts += [f'<text x="{left - 8}" y="{y(v) + 4:.1f}" text-anchor="end">{v:+.2f}</text>' for v in ends]
    parts.append(
        f'<text x="{(left + right) / 2}" y="224" text-anchor="middle">points by which the assistant\'s silent lie from its rated</text>'
    )
    return _picture(230, "difference by how the silent differ", parts)


def _picture(height: int, label: str, parts: Sequence[str]) -> str:
    box = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    return f'<svg {box} role="img" aria-label="{label}">{"".join(parts)}</svg>'
