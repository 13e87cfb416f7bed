"""Small lines over time as pictures: no script, so they change in place without a flicker, and dozens cost less than one chart. Pure.

A picture is an SVG in a data address. It has no axes: what the height means stands in the text beside it, and the words of the picture say
the numbers. Colour as everywhere: ink for the assistant, grey and dashed for the baseline, red only for the limit.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from dashboards.theme import Palette

WIDTH, HEIGHT = 240, 56
ROOM = 3.0  # above the highest and below the lowest, so that a line is never cut


@dataclass(frozen=True)
class Trace:
    """One line: (x, y) in 0..1, broken where y is None. Dashed and grey for the baseline; `filled` down to the bottom."""

    points: Sequence[tuple[float, float | None]]
    dashed: bool = False
    filled: bool = False


def picture(
    traces: Sequence[Trace], words: str, colours: Palette, limit: float | None = None, height: int = HEIGHT
) -> str:
    """An image element of the traces; `limit` (0..1) is a red line, `words` the text alternative."""
    parts = []
    if limit is not None:
        y = _y(limit, height)
        parts.append(_stroke(f"M0 {y:.1f}H{WIDTH}", colours.bad, 1.2, "5 3"))
    for trace in traces:
        ink = colours.muted if trace.dashed else colours.ink
        for run in _runs(trace.points):
            path = "M" + "L".join(f"{WIDTH * x:.1f} {_y(y, height):.1f}" for x, y in run)
            if trace.filled:
                first, last = WIDTH * run[0][0], WIDTH * run[-1][0]
                parts.append(
                    f'<path d="{path}L{last:.1f} {height}L{first:.1f} {height}Z" fill="{ink}" fill-opacity=".09"/>'
                )
            dot = f"h{0.1:g}" if len(run) == 1 else ""
            parts.append(
                _stroke(path + dot, ink, 3.0 if dot else 1.7, "4 3" if trace.dashed and not dot else "", bool(dot))
            )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" preserveAspectRatio="none">'
        f'<path d="M0 {height - 0.5}H{WIDTH}" stroke="{colours.faint}" vector-effect="non-scaling-stroke"/>{"".join(parts)}</svg>'
    )
    code = b64encode(svg.encode()).decode()
    return (
        f'<img class="cp-spark" style="height:{height}px" src="data:image/svg+xml;base64,{code}" alt="{escape(words)}">'
    )


def _y(value: float, height: int) -> float:
    return ROOM + (1.0 - min(max(value, 0.0), 1.0)) * (height - 2 * ROOM)


def _runs(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """The parts of a line between its gaps."""
    found: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            found.append([])
        else:
            found[-1].append((x, y))
    return [run for run in found if run]


def _stroke(path: str, colour: str, width: float, dash: str = "", round_: bool = False) -> str:
    dashes = f' stroke-dasharray="{dash}"' if dash else ""
    cap = ' stroke-linecap="round"' if round_ else ""
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}{cap} vector-effect="non-scaling-stroke"/>'
