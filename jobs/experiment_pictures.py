"""Pictures of replayed experiments as SVG text: how the decisions ended, when they fell, mismatched splits per week."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH = 1000
LABEL = 330
ENDS = (
    ("agrees", "the last look agrees", "var(--good)"),
    ("unknown", "last look unknown", "var(--soft)"),
    ("beyond", "not significant at the last look", "var(--wait)"),
    ("opposite", "significant on the other side", "var(--bad)"),
)
MARKS = (("naive", "var(--wait)", 3.0), ("group_sequential", "var(--soft)", 3.0), ("ours", "var(--accent)", 4.5))
MARK_WORDS = {"naive": "naive", "group_sequential": "group sequential", "ours": "ours"}
ROW = 13


def methods_picture(methods: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """One bar per method: its first decisions by how they compare with the last look; the axis counts comparisons."""
    most = max((item["decided"] for _, item in methods), default=0) or 1
    scale = (WIDTH - LABEL - 60) / most
    parts = []
    for row, (words, item) in enumerate(methods):
        top, x = 8 + 34 * row, float(LABEL)
        parts.append(_text(LABEL - 10, top + 15, words, "end"))
        for key, name, colour in ENDS:
            width = item[key] * scale
            if width:
                parts.append(
                    f'<rect x="{x:.1f}" y="{top}" width="{width:.1f}" height="22" fill="{colour}" fill-opacity=".8">'
                    f"<title>{escape(words)}: {item[key]} {name}</title></rect>"
                )
            x += width
        parts.append(_text(x + 8, top + 15, str(item["decided"])))
    height = 8 + 34 * len(methods)
    return _svg(
        height + 24,
        "first decisions of each method",
        "".join(parts) + _legend(height + 12, [(n, c) for _, n, c in ENDS]),
    )


def timeline_picture(details: Sequence[dict[str, Any]]) -> str:
    """A line per comparison that anybody decided: when each method first did, in shares of the looks; bold = significant at the last look."""
    rows = [item for item in details if any(item[key] is not None for key, _, _ in MARKS)]
    if not rows:
        return "<p class='soft'>No method decided anything.</p>"
    rows.sort(key=lambda item: (item["metric"], item["experiment"], item["variant"]))
    left, span = 190, WIDTH - 190 - 150
    parts = [_text(left + span * k / 4, 12, f"{25 * k} % of the looks", "middle") for k in range(5)]
    for row, item in enumerate(rows):
        y = 26 + ROW * row
        name = f"{item['experiment']}/{item['variant']} metric {item['metric']}"
        parts.append(_text(left - 10, y + 4, name, "end"))
        parts.append(
            f'<line x1="{left}" x2="{left + span}" y1="{y}" y2="{y}" stroke="var(--line)" stroke-width="{3 if item["last"] else 1}"/>'
        )
        for key, colour, radius in MARKS:
            found = item[key]
            if found is not None:
                x = left + span * found["look"] / item["looks"]
                parts.append(
                    f'<circle cx="{x:.1f}" cy="{y}" r="{radius}" fill="{colour}"><title>{escape(name)}, {MARK_WORDS[key]}: look {found["look"]} of '
                    f"{item['looks']}, treated {'higher' if found['side'] > 0 else 'lower'}</title></circle>"
                )
        parts.append(_text(left + span + 10, y + 4, _last_words(item)))
    height = 26 + ROW * len(rows)
    legend = _legend(height + 10, [(MARK_WORDS[key], colour) for key, colour, _ in MARKS])
    return _svg(height + 24, "first decision of each method in each comparison", "".join(parts) + legend)


def _last_words(item: dict[str, Any]) -> str:
    if item["last"] is None:
        return "last look unknown"
    return (
        ("higher" if item["last"] > 0 else "lower") + " at the last look"
        if item["last"]
        else "nothing at the last look"
    )


def weeks_picture(weeks: Sequence[dict[str, Any]], documented: dict[str, Any]) -> str:
    """Share of mismatched tests per week with its 95 % interval; the documented weeks are shaded."""
    left, bottom, tall = 46, 230, 200
    step = (WIDTH - left - 10) / max(len(weeks), 1)

    def y(part: float) -> float:
        return bottom - tall * part

    parts = []
    for row, item in enumerate(weeks):
        x = left + step * (row + 0.5)
        if documented["first_week"] <= item["period"] <= documented["last_week"]:
            parts.append(
                f'<rect x="{x - step / 2:.1f}" y="{y(1):.1f}" width="{step + 0.3:.1f}" height="{tall}" fill="var(--wait-soft)"/>'
            )
        if item["share"] is None:
            continue
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y(item["low"]):.1f}" y2="{y(item["high"]):.1f}" stroke="var(--soft)" stroke-opacity=".45"/>'
            f'<circle cx="{x:.1f}" cy="{y(item["share"]):.1f}" r="3" fill="var(--accent)"><title>week {item["period"]}: {item["mismatched"]} of '
            f"{item['tests']} tests</title></circle>"
        )
        if row % 13 == 0:
            parts.append(_text(x, bottom + 18, item["period"], "middle"))
    axis = [
        f'<line x1="{left}" x2="{WIDTH}" y1="{y(k / 4):.1f}" y2="{y(k / 4):.1f}" stroke="var(--line)"/>'
        + _text(left - 6, y(k / 4) + 4, f"{25 * k} %", "end")
        for k in range(5)
    ]
    legend = _legend(
        bottom + 40,
        [("tests mismatched, with 95 % interval", "var(--accent)"), ("weeks of the documented problem", "var(--wait)")],
    )
    return _svg(bottom + 54, "share of mismatched tests per week", "".join(parts[:0] + axis + parts) + legend)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _legend(y: float, items: Sequence[tuple[str, str]]) -> str:
    parts, x = [], 20.0
    for words, colour in items:
        parts.append(f'<circle cx="{x:.0f}" cy="{y}" r="4.5" fill="{colour}"/>' + _text(x + 9, y + 4, words))
        x += 40 + 6.4 * len(words)
    return "".join(parts)


def _svg(height: float, label: str, body: str) -> str:
    return f'<svg width="100%" viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">{body}</svg>'
