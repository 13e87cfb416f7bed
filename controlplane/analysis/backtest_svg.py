"""Pictures of the backtest's report as SVG text: false rollbacks against the promise, how soon harm is found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any

LEAST = 1e-4
"""Left end of the logarithmic scale of chances; 0 is drawn there."""
BAR_WIDTH, BAR_LEFT, BAR_ROW = 1040, 210, 34
CURVE_WIDTH, CURVE_HEIGHT = 500, 210
COLOURS = ("--c3", "--c2", "--c1")


def _chance(value: float) -> str:
    """A chance as people write it."""
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"


def false_rollbacks(rows: Sequence[tuple[str, float, float, bool]], promised: float) -> str:
    """Bars on a logarithmic scale: (name, share, upper 95 % bound, whether it is this policy), and the promise as a line."""
    width = BAR_WIDTH - BAR_LEFT - 90

    def x(value: float) -> float:
        return BAR_LEFT + (log10(max(value, LEAST)) - log10(LEAST)) / -log10(LEAST) * width

    height = 34 + BAR_ROW * len(rows) + 34
    parts = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="28" y2="{height - 30}" stroke="var(--line)"/>'
        f'<text x="{x(tick):.1f}" y="{height - 12}" text-anchor="middle">{_chance(tick)}</text>'
        for tick in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]
    for i, (name, share, upper, ours) in enumerate(rows):
        y = 40 + BAR_ROW * i
        colour, style = ("--ours", "ours") if ours else ("--other", "ink")
        end = max(x(share), BAR_LEFT + 2)
        words = f"{_chance(share)}" if share else f"0, below {_chance(upper)}"
        parts.append(
            f'<text class="{style}" x="{BAR_LEFT - 12}" y="{y + 13}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{BAR_LEFT}" y="{y}" width="{end - BAR_LEFT:.1f}" height="18" rx="3" fill="var({colour})"/>'
            f'<line x1="{end:.1f}" x2="{x(upper):.1f}" y1="{y + 9}" y2="{y + 9}" stroke="var({colour})" stroke-width="2"/>'
            f'<line x1="{x(upper):.1f}" x2="{x(upper):.1f}" y1="{y + 3}" y2="{y + 15}" stroke="var({colour})" stroke-width="2"/>'
            f'<text class="{style}" x="{x(upper) + 8:.1f}" y="{y + 13}">{words}</text>'
        )
    parts.append(
        f'<line x1="{x(promised):.1f}" x2="{x(promised):.1f}" y1="22" y2="{height - 30}" stroke="var(--bad)" stroke-width="2" '
        f'stroke-dasharray="5 4"/><text class="bad" x="{x(promised):.1f}" y="15" text-anchor="middle">promised: at most {_chance(promised)}</text>'
    )
    return (
        f'<svg viewBox="0 0 {BAR_WIDTH} {height}" width="{BAR_WIDTH}" role="img" '
        f'aria-label="share of harmless replays rolled back, by rule">{"".join(parts)}</svg>'
    )


def detection(curves: Sequence[tuple[str, Sequence[float | None]]]) -> str:
    """Share of replays that have found a harm (0 to 100 %) against minutes since its onset; each curve gives the minutes of 21 equal shares."""
    longest = max((value for _, curve in curves for value in curve if value is not None), default=0.0)
    top = _round_up(longest or 60.0)
    left, right, bottom, height = 44, 12, 34, CURVE_HEIGHT

    def x(minutes: float) -> float:
        return left + minutes / top * (CURVE_WIDTH - left - right)

    def y(share: float) -> float:
        return 12 + (1.0 - share) * (height - 12 - bottom)

    parts = [
        f'<line x1="{left}" x2="{CURVE_WIDTH - right}" y1="{y(share):.1f}" y2="{y(share):.1f}" stroke="var(--line)"/>'
        f'<text x="{left - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        for share in (0.0, 0.5, 1.0)
    ]
    parts += [
        f'<text x="{x(part * top):.1f}" y="{height - 14}" text-anchor="{anchor}">{_time(part * top)}</text>'
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]
    for i, (name, curve) in enumerate(curves):
        points = [(value, k / (len(curve) - 1)) for k, value in enumerate(curve) if value is not None]
        colour = COLOURS[i % len(COLOURS)]
        path = _steps(points, x, y, top)
        parts.append(
            f'<path d="{path}" fill="none" stroke="var({colour})" stroke-width="2.5"><title>{escape(name)}</title></path>'
        )
    return f'<svg viewBox="0 0 {CURVE_WIDTH} {height}" width="{CURVE_WIDTH}" role="img" aria-label="share found by time">{"".join(parts)}</svg>'


def _steps(points: Sequence[tuple[float, float]], x: Any, y: Any, top: float) -> str:
    """A path through the quantiles, level from the last one to the right end."""
    if not points:
        return f"M{x(0.0):.1f} {y(0.0):.1f}H{x(top):.1f}"
    start = f"M{x(0.0):.1f} {y(0.0):.1f}H{x(points[0][0]):.1f}"
    return start + "".join(f"L{x(value):.1f} {y(share):.1f}" for value, share in points) + f"H{x(top):.1f}"


def legend(names: Sequence[str]) -> str:
    """What the colours of the curves mean."""
    items = (
        f'<span style="white-space:nowrap"><svg style="display:inline" width="22" height="10"><line x1="0" x2="18" y1="6" y2="6" '
        f'stroke="var({COLOURS[i % len(COLOURS)]})" stroke-width="3"/></svg>{escape(name)}</span>'
        for i, name in enumerate(names)
    )
    return f'<p class="soft">{" &nbsp; ".join(items)}</p>'


def ramp(stages: Sequence[Mapping[str, Any]]) -> str:
    """The ramp as steps: share over time."""
    total = sum(stage["minutes"] for stage in stages) or 1.0
    width, height, at, parts = 1040, 120, 0.0, []
    for stage in stages:
        x, w = 8 + at / total * (width - 16), stage["minutes"] / total * (width - 16)
        h = 6 + stage["share"] * 62
        words = (
            f"{stage['share']:.3g}".rstrip("0").rstrip(".")
            if stage["share"] < 0.001
            else f"{100 * stage['share']:.3g} %"
        )
        parts.append(
            f'<rect x="{x:.1f}" y="{86 - h:.1f}" width="{max(w - 2, 1):.1f}" height="{h:.1f}" rx="2" fill="var(--ours-soft)" stroke="var(--ours)"/>'
            f'<text class="ink" x="{x + w / 2:.1f}" y="{80 - h:.1f}" text-anchor="middle">{words}</text>'
            f'<text x="{x + w / 2:.1f}" y="104" text-anchor="middle">{escape(stage["phase"])}, {_time(stage["minutes"])}</text>'
        )
        at += stage["minutes"]
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" role="img" aria-label="the ramp over the history">{"".join(parts)}</svg>'


def _round_up(minutes: float) -> float:
    steps = (15, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320, 7200, 10_080, 20_160, 40_320, 80_640)
    return float(next((step for step in steps if step >= minutes), minutes))


def _time(minutes: float) -> str:
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{minutes / 60:.3g} h" if minutes < 2880 else f"{minutes / 1440:.3g} d"
