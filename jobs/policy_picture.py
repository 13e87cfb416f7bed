"""The blind spots of a policy as a heat map: one self-contained HTML page, no request leaves it, dark and light.

Colour is the time to detect on a log scale; what the stage does not last for is hatched, what is never found is left empty with a cross, so that
nothing is told by colour alone. Each cell says its figures in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log

from controlplane.core.forecast import Detection, Outlook
from controlplane.core.policy_words import duration

CELL_WIDTH, CELL_HEIGHT, LEFT, TOP = 132, 30, 300, 54
FASTEST, SLOWEST = 1.0, 20_160.0  # minutes: the ends of the colour scale, a minute and two weeks

STYLE = """
:root { color-scheme: light dark; --ink: #1a2230; --soft: #5b6678; --paper: #fff; --line: #d8dee8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf3; --soft: #9aa6b8; --paper: #12161d; --line: #2c3543; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } p, li { color: var(--soft); max-width: 60rem; } .map { overflow-x: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg text.soft { fill: var(--soft); }
svg text.dark { fill: #10202f; } svg text.light { fill: #fff; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); }
""".strip()


def heat_map(
    title: str,
    source: str,
    stages: Sequence[str],
    rows: Sequence[tuple[str, str, Sequence[Detection]]],
    gates: Sequence[tuple[str, str, str, str, str]],
    notes: Sequence[str],
) -> str:
    """The page. `title` and `source` are HTML already; everything else is escaped here."""
    width, height = LEFT + CELL_WIDTH * len(stages) + 8, TOP + CELL_HEIGHT * len(rows) + 8
    heads = "".join(
        f'<text x="{LEFT + CELL_WIDTH * i + 6}" y="{TOP - 12}">{escape(stage)}</text>' for i, stage in enumerate(stages)
    )
    body = "".join(_row(number, name, harm, cells, rows) for number, (name, harm, cells) in enumerate(rows))
    hatch = (
        '<defs><pattern id="late" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="7" stroke="#ff9d5c" stroke-width="2" stroke-opacity=".75"/></pattern></defs>'
    )
    picture = (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="time to detect per trigger, size of harm and stage">{hatch}{heads}{body}</svg>'
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{source}. Light: found soon; dark: found late; hatched: later than the stage lasts; cross: never.</p>"
        f'<div class="map">{picture}</div>{_gates(gates)}<ul>{"".join(f"<li>{escape(line)}</li>" for line in notes)}</ul></body></html>'
    )


def _row(
    number: int, name: str, harm: str, cells: Sequence[Detection], rows: Sequence[tuple[str, str, Sequence[Detection]]]
) -> str:
    y = TOP + CELL_HEIGHT * number
    first = number == 0 or rows[number - 1][0] != name
    label = f'<text x="0" y="{y + 19}">{escape(name)}</text>' if first else ""
    rule = (
        f'<line x1="0" x2="{LEFT + CELL_WIDTH * len(cells)}" y1="{y}" y2="{y}" stroke="var(--line)"/>' if first else ""
    )
    harm = f'<text class="soft" x="{LEFT - 10}" y="{y + 19}" text-anchor="end">{escape(harm)}</text>'
    return rule + label + harm + "".join(_cell(LEFT + CELL_WIDTH * i, y, item) for i, item in enumerate(cells))


def _cell(x: int, y: int, item: Detection) -> str:
    box = f'x="{x + 1}" y="{y + 1}" width="{CELL_WIDTH - 2}" height="{CELL_HEIGHT - 2}" rx="3"'
    if item.minutes is None or item.exposed is None:
        return (
            f'<g><title>never at this traffic</title><rect {box} fill="none" stroke="var(--line)"/>'
            f'<text class="soft" x="{x + 8}" y="{y + 19}">✕ never</text></g>'
        )
    heat = min(1.0, max(0.0, log(item.minutes / FASTEST) / log(SLOWEST / FASTEST)))
    fill = f"hsl(210 {55 + 15 * heat:.0f}% {90 - 62 * heat:.0f}%)"
    late = "" if item.outlook is Outlook.WITHIN else f'<rect {box} fill="url(#late)"/>'
    words = f"{duration(item.minutes)}, {item.exposed:,.0f} customers exposed by then; {item.outlook.value}"
    shade = "dark" if heat < 0.55 else "light"
    return (
        f'<g><title>{escape(words)}</title><rect {box} fill="{fill}"/>{late}'
        f'<text class="{shade}" x="{x + 8}" y="{y + 19}">{escape(short_time(item.minutes))} · {short_count(item.exposed)}</text></g>'
    )


def short_time(minutes: float) -> str:
    """A time in one unit, for a small cell."""
    for size, unit in ((1440.0, "d"), (60.0, "h")):
        if minutes >= 2 * size:
            return f"{minutes / size:.3g} {unit}"
    return f"{minutes:.3g} min"


def short_count(units: float) -> str:
    """A number of customers for a small cell."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if units >= (size if unit == "M" else 10 * size):
            return f"{units / size:.3g}{unit}"
    return f"{units:,.0f}"


def _gates(gates: Sequence[tuple[str, str, str, str, str]]) -> str:
    if not gates:
        return ""
    head = "".join(f"<th>{name}</th>" for name in ("gate", "asks for", "there after", "treated units", "least time"))
    body = "".join(f"<tr>{''.join(f'<td>{escape(value)}</td>' for value in row)}</tr>" for row in gates)
    return f"<h2>What gates ask for, while both arms are alike</h2><table><tr>{head}</tr>{body}</table>"
