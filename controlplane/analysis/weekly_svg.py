"""Pictures of the weekly review as SVG text: intervals against their margin, funnels, ratings, and the times of an incident.

Colour means state and nothing else; what colour says is also said in words beside it, and every picture has a text for who cannot see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any

from controlplane.core.weekly_format import MINUS, count_text, duration, interval_text, known, percent, signed_text

TONES = {"improved": "good", "better": "good", "not worse": "good", "worse": "bad", "unknown": "none"}
BAR_HEIGHT = 30
Plain = Mapping[str, Any]


def interval_bar(
    found: Plain | None, unit: str, direction: str, tone: str, *, margin: float | None = None, width: int = 220
) -> str:
    """The interval of a difference on a scale with 0 and the margin; the better side is tinted. Empty without a value."""
    value, low, high = (None if found is None else found.get(key) for key in ("value", "low", "high"))
    if not known(value):
        return ""
    ends = [float(end) for end in (low, high) if known(end)]
    line = -margin if direction == "higher" and margin else margin or 0.0
    reach = 1.15 * max((abs(x) for x in (value, line, *ends)), default=0.0) or 1.0

    def x(at: float) -> float:
        return width / 2 + (width / 2 - 6) * max(-1.0, min(1.0, at / reach))

    parts = [f'<rect x="0" y="12" width="{width}" height="6" rx="3" fill="var(--track)"/>']
    if direction in ("higher", "lower"):
        left, right = (x(0.0), width) if direction == "higher" else (0.0, x(0.0))
        parts.append(
            f'<rect x="{left:.1f}" y="12" width="{right - left:.1f}" height="6" rx="3" fill="var(--good-soft)"/>'
        )
    if margin:
        parts.append(
            f'<line x1="{x(line):.1f}" x2="{x(line):.1f}" y1="6" y2="24" stroke="var(--soft)" stroke-width="1.2" stroke-dasharray="2 2"/>'
        )
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="3" y2="27" stroke="var(--ink)" stroke-width="1.4"/>')
    if len(ends) == 2:
        parts.append(
            f'<line x1="{x(ends[0]):.1f}" x2="{x(ends[1]):.1f}" y1="15" y2="15" stroke="var(--{tone})" stroke-width="4" stroke-linecap="round"/>'
        )
    parts.append(
        f'<circle cx="{x(value):.1f}" cy="15" r="4.6" fill="var(--{tone})" stroke="var(--card)" stroke-width="1.4"/>'
    )
    said = f"difference {signed_text(value, unit)}"
    said += f", interval {interval_text(ends[0], ends[1], unit)}" if len(ends) == 2 else ", no interval"
    return _svg(width, BAR_HEIGHT, said, parts)


def funnel(steps: Sequence[Plain], width: int = 460) -> str:
    """Bars of one arm: each step's count, and its share of the step before."""
    if not steps:
        return ""
    first = max((float(step["n"]) for step in steps if known(step.get("n"))), default=0.0) or 1.0
    row, left = 30, 150
    parts, said = [], []
    for i, step in enumerate(steps):
        n = float(step["n"]) if known(step.get("n")) else None
        y, name = 4 + row * i, str(step.get("name"))
        words = "unknown" if n is None else count_text(n)
        words += f"  {percent(step['share'])}" if known(step.get("share")) and i else ""
        length = 0.0 if n is None else (width - left - 130) * n / first
        parts.append(
            f'<text class="ink" x="{left - 10}" y="{y + 14}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{y}" width="{max(length, 1.5):.1f}" height="20" rx="3" fill="var(--accent)" opacity=".8"/>'
            f'<text class="ink" x="{left + length + 8:.1f}" y="{y + 14}">{escape(words)}</text>'
        )
        said.append(f"{name} {words}")
    return _svg(width, row * len(steps) + 4, "; ".join(said), parts)


def ratings(distribution: Sequence[int], width: int = 420) -> str:
    """How many gave 1, 2, 3, 4, 5, as one bar; the darker, the better rated."""
    total = sum(distribution)
    if not total:
        return ""
    parts, at = [], 0.0
    for rating, n in enumerate(distribution, start=1):
        length = width * n / total
        shade = 0.18 + 0.2 * (rating - 1)
        parts.append(
            f'<rect x="{at:.1f}" y="0" width="{max(length - 1, 0):.1f}" height="20" fill="var(--accent)" opacity="{shade:.2f}"/>'
        )
        if length > 34:
            ink = "var(--card)" if rating > 3 else "var(--ink)"
            parts.append(
                f'<text x="{at + length / 2:.1f}" y="14" text-anchor="middle" style="fill:{ink}">{rating}: {percent(n / total, 0)}</text>'
            )
        at += length
    return _svg(width, 20, ", ".join(f"{r}: {n}" for r, n in enumerate(distribution, start=1)), parts)


def timeline(moments: Sequence[tuple[str, str | None]], width: int = 620) -> str:
    """The moments of an incident as they follow each other, with the time since the one before; those that are not known are hollow."""
    step = (width - 90) / max(len(moments) - 1, 1)
    parts = [f'<line x1="45" x2="{width - 45}" y1="22" y2="22" stroke="var(--line)" stroke-width="2"/>']
    before: datetime | None = None
    said = []
    for i, (name, text) in enumerate(moments):
        x, found = 45 + step * i, _time(text)
        fill = "var(--accent)" if found else "var(--card)"
        parts.append(f'<circle cx="{x:.1f}" cy="22" r="5" fill="{fill}" stroke="var(--accent)" stroke-width="1.5"/>')
        parts.append(f'<text class="ink" x="{x:.1f}" y="11" text-anchor="middle">{escape(name)}</text>')
        words = "unknown" if found is None else f"{found:%d %b %H:%M:%S}"
        if found is not None and before is not None:
            gap = (found - before).total_seconds()
            words = ("+" if gap >= 0 else MINUS) + duration(abs(gap))
        parts.append(f'<text x="{x:.1f}" y="42" text-anchor="middle">{words}</text>')
        said.append(f"{name} {words}")
        before = found or before
    return _svg(width, 48, ", ".join(said), parts)


def _time(text: str | None) -> datetime | None:
    try:
        return None if not text else datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None


def _svg(width: int, height: int, said: str, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(said)}">{"".join(parts)}</svg>'
