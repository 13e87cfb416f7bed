"""Pictures of an analysis as SVG text: relative differences of all metrics, an interval in a table row, effects over days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from controlplane.analysis.experiment_effects import BETTER, NOT_TRUSTED, UNKNOWN, WORSE
from controlplane.analysis.experiment_words import chance, difference, ends

Row = Mapping[str, Any]
WIDTH, LABEL, RIGHT, LINE = 1000, 250, 190, 30
CELL = 220
INK = {BETTER: "var(--good)", WORSE: "var(--bad)", NOT_TRUSTED: "var(--wait)", UNKNOWN: "var(--none)"}


def colour(word: str) -> str:
    """Colour means the verdict and nothing else."""
    return INK.get(word, "var(--none)")


def forest(rows: Sequence[tuple[str, Row]]) -> str:
    """(name, comparison) on the one scale of relative differences: thick for one look, thin for any number of looks."""
    known = [(name, row) for name, row in rows if row["relative"] is not None]
    if not known:
        return "<p class='soft'>No metric has a relative difference (its means are 0, or of two signs).</p>"
    spans = [_relative(row) for _, row in known]
    reach = min(max(abs(end) for span in spans for end in span), 4 * max(abs(span[1]) for span in spans)) or 0.01
    width = WIDTH - LABEL - RIGHT

    def x(value: float) -> float:
        return LABEL + width * (min(max(value, -reach), reach) + reach) / (2 * reach)

    height = 34 + LINE * len(known)
    parts = [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="22" y2="{height - 6}" stroke="var(--{"soft" if not tick else "line"})"/>'
        f'<text x="{x(tick):.1f}" y="14" text-anchor="middle">{f"{100 * tick:+.2g} %" if tick else "0"}</text>'
        for tick in (-reach, -reach / 2, 0.0, reach / 2, reach)
    ]
    for i, ((name, row), (low, inner_low, inner_high, high)) in enumerate(zip(known, spans, strict=True)):
        y, ink = 38 + LINE * i, colour(row["verdict"])
        middle = row["relative"]["estimate"]
        title = f"{name}: {100 * middle:+.3g} %, one look {ends(row['relative'], relative=True)}, p {chance(row['corrected_p'])}"
        parts.append(
            f"<g><title>{escape(title)}</title>"
            f'<text class="ink" x="{LABEL - 14}" y="{y + 4}" text-anchor="end">{escape(_short(name))}</text>'
            f'<line x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" stroke="{ink}" stroke-width="1.5"/>'
            f'<line x1="{x(inner_low):.1f}" x2="{x(inner_high):.1f}" y1="{y}" y2="{y}" stroke="{ink}" stroke-width="6" stroke-opacity=".55"/>'
            f'<circle cx="{x(middle):.1f}" cy="{y}" r="5" fill="{ink}"/>'
            f'<text x="{LABEL + width + 14}" y="{y + 4}">{100 * middle:+.3g} %, {escape(row["verdict"])}</text></g>'
        )
    return _svg(height, "relative difference of each metric with its intervals", parts)


def _relative(row: Row) -> tuple[float, float, float, float]:
    """Ends of the sequence (of the difference, over the control's mean) around those of the interval for one look."""
    found, base = row["relative"], abs(row["mean_control"])
    low, high = (row["anytime"][name] / base for name in ("low", "high"))
    return min(low, found["low"]), found["low"], found["high"], max(high, found["high"])


def cell(row: Row, reach: float) -> str:
    """The interval of one row of a table, with the shrunk estimate as a ring; `reach`: the scale's end on either side of 0."""
    found = row["difference"]
    if found is None or not reach:
        return ""

    def x(value: float) -> float:
        return 4 + (CELL - 8) * (min(max(value, -reach), reach) + reach) / (2 * reach)

    ink, ring = colour(row["verdict"]), ""
    if row.get("shrunk") is not None:
        ring = f'<circle cx="{x(row["shrunk"]["estimate"]):.1f}" cy="11" r="4.5" fill="none" stroke="var(--ink)" stroke-width="1.5"/>'
    return (
        f'<svg width="{CELL}" viewBox="0 0 {CELL} 22" role="img" aria-label="interval"><line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="22" '
        f'stroke="var(--line)"/><line x1="{x(found["low"]):.1f}" x2="{x(found["high"]):.1f}" y1="11" y2="11" stroke="{ink}" stroke-width="2"/>'
        f'<circle cx="{x(found["estimate"]):.1f}" cy="11" r="3.5" fill="{ink}"/>{ring}</svg>'
    )


def reach_of(rows: Sequence[Row]) -> float:
    """A scale for the rows that one hopeless interval does not squash: twice the median reach, or the largest where that is less."""
    spans = sorted(
        max(abs(row["difference"]["low"]), abs(row["difference"]["high"])) for row in rows if row["difference"]
    )
    return min(spans[-1], 2 * spans[len(spans) // 2]) if spans else 0.0


def over_days(cells: Sequence[Row], names: Sequence[str], rate: bool, second_half: int | None) -> str:
    """The effect with its interval per day (or weekday); the second half is shaded."""
    known = [row for row in cells if row["difference"] is not None]
    if not known:
        return "<p class='soft'>No day has units enough in both arms.</p>"
    reach = reach_of(known) * 1.1 or 1.0
    left, top, tall = 74, 10, 150
    step = (WIDTH - left - 16) / max(len(cells), 1)

    def y(value: float) -> float:
        return top + tall * (reach - min(max(value, -reach), reach)) / (2 * reach)

    parts = []
    if second_half is not None and second_half < len(cells):
        start = left + step * second_half
        parts.append(
            f'<rect x="{start:.1f}" y="{top}" width="{WIDTH - 16 - start:.1f}" height="{tall}" fill="var(--track)"/>'
        )
    parts += [
        f'<line x1="{left}" x2="{WIDTH - 16}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="var(--{"soft" if not tick else "line"})"/>'
        f'<text x="{left - 8}" y="{y(tick) + 4:.1f}" text-anchor="end">{difference(tick, rate)}</text>'
        for tick in (-reach, 0.0, reach)
    ]
    every = max(1, len(cells) // 15)
    for i, (row, name) in enumerate(zip(cells, names, strict=True)):
        x = left + step * (i + 0.5)
        if i % every == 0:
            parts.append(f'<text x="{x:.1f}" y="{top + tall + 18}" text-anchor="middle">{escape(name)}</text>')
        found = row["difference"]
        if found is not None:
            title = f"{name}: {difference(found['estimate'], rate)} {ends(found, rate)}, {row['n_treated']:,} and {row['n_control']:,} units"
            parts.append(
                f'<g><title>{escape(title)}</title><line x1="{x:.1f}" x2="{x:.1f}" y1="{y(found["low"]):.1f}" y2="{y(found["high"]):.1f}" '
                f'stroke="var(--accent)" stroke-width="2" stroke-opacity=".5"/><circle cx="{x:.1f}" cy="{y(found["estimate"]):.1f}" r="4" '
                f'fill="var(--accent)"/></g>'
            )
    return _svg(top + tall + 26, "effect over time", parts)


def _short(name: str) -> str:
    return name if len(name) <= 32 else f"{name[:31]}…"


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return f'<svg width="100%" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>'
