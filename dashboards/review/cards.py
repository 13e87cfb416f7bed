"""The cards of the success measures as HTML: value, baseline, verdict, interval against zero and the margin, counts, maturity. Pure.

The strip of an interval is drawn so that the right is always better, whichever way the metric counts; numbers keep their own sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import polars as pl

from controlplane.core.estimates import Interval
from controlplane.core.metrics import Direction
from dashboards import measures, ui
from dashboards.answers import GOOD, Line
from dashboards.live import spark as live_spark
from dashboards.measures import Measure
from dashboards.theme import Palette
from dashboards.words import count_text, difference_text, duration, percent, value_text

TONES = {
    measures.IMPROVED: "good",
    measures.NOT_WORSE: "good",
    measures.WITHIN: "good",
    measures.WORSE: "bad",
    measures.OVER: "bad",
}
NO_LIMIT, TOO_FEW, PROVISIONAL, NO_DATA = "no limit set", "can't tell yet", "provisional", "no data yet"


@dataclass(frozen=True)
class Strip:
    """Where things lie on a strip, in percent from the left: the interval's ends and its estimate, zero or None, the margin or limit or None."""

    low: float
    high: float
    middle: float
    zero: float | None
    mark: float | None


def word(one: Measure) -> tuple[str, str]:
    """The chip of a measure: its word and its tone."""
    if one.provisional:
        return PROVISIONAL, "wait"
    if one.treated is None:
        return NO_DATA, "quiet"
    if one.verdict != measures.UNKNOWN:
        return one.verdict, TONES.get(one.verdict, "quiet")
    asked = one.metric.comparable or one.limit is not None
    return (TOO_FEW, "quiet") if asked else (NO_LIMIT, "quiet")


def strip(one: Measure) -> Strip | None:
    """The strip of the difference, or of the assistant's own value against its limit; None where there is no interval."""
    if one.difference is not None:
        return _of_difference(one, one.difference)
    return None if one.interval is None else _of_value(one, one.interval)


def _of_difference(one: Measure, found: Interval) -> Strip:
    sign = 1.0 if one.metric.direction is Direction.HIGHER else -1.0
    margin = one.margin or 0.0
    reach = 1.12 * max(abs(found.low), abs(found.high), margin) or 1.0

    def place(value: float) -> float:
        return 50.0 * (1.0 + max(-1.0, min(1.0, sign * value / reach)))

    ends = sorted((place(found.low), place(found.high)))
    mark = 50.0 * (1.0 - margin / reach) if one.margin else None
    return Strip(ends[0], ends[1], place(found.estimate), 50.0, mark)


def _of_value(one: Measure, found: Interval) -> Strip:
    reach = 1.12 * max(found.high, one.limit or 0.0) or 1.0

    def place(value: float) -> float:
        return 100.0 * (1.0 - value / reach)

    mark = place(one.limit) if one.limit else None
    return Strip(place(found.high), place(found.low), place(found.estimate), None, mark)


def card(one: Measure, baseline: str, interval: Interval | None = None, picture: str = "") -> str:
    """The whole card. `interval`: of the assistant's value, for a metric whose sums have none (a ratio); `picture`: its course (`spark`)."""
    shown, tone = word(one)
    value = f'{value_text(one.metric, one.treated)} <small class="cp-nowrap">{escape(beside(one, baseline))}</small>'
    parts = [
        ui.head(one.metric.title, ui.chip(shown.capitalize(), tone)),
        f'<div class="cp-value">{value}</div>',
        strip_html(one, tone if tone in ("good", "bad") else "ink", baseline),
        f'<div class="cp-small">{"<br>".join(escape(line) for line in footer(one, interval))}</div>',
        picture,
    ]
    return f'<div class="cp-measure">{"".join(parts)}</div>'


def watched(found: Sequence[tuple[Measure, str]], baseline: str) -> str:
    """Measures with their pictures (`spark`) as a table: value, baseline, difference, strip, course, counts, verdict."""
    heads = (
        *("Measure", "Verdict", "Assistant", baseline.capitalize()),
        *("Difference, 95 % interval", "Worse to better", "Over the period", "n, maturity"),
    )
    right = (2, 3)
    top = "".join(f"<th{_number(i in right)}>{escape(head)}</th>" for i, head in enumerate(heads))
    rows = "".join(_watched_row(one, picture, baseline, right) for one, picture in found)
    return f'<div class="cp-scroll"><table class="cp-lines cp-watched"><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table></div>'


def _watched_row(one: Measure, picture: str, baseline: str, right: tuple[int, ...]) -> str:
    shown, tone = word(one)
    *said, second = (escape(line) for line in footer(one))
    against = (
        value_text(one.metric, one.control) if one.metric.comparable else f"limit {value_text(one.metric, one.limit)}"
    )
    cells = (
        escape(one.metric.title),
        ui.chip(shown.capitalize(), tone),
        f"<b>{value_text(one.metric, one.treated)}</b>",
        against,
        "<br>".join(f'<span class="cp-nowrap">{line}</span>' for line in said),
        strip_html(one, tone if tone in ("good", "bad") else "ink", baseline),
        picture,
        f'<span class="cp-small">{second}</span>',
    )
    wide = (5, 6)
    return f"<tr>{''.join(f'<td{_number(i in right, i in wide)}>{cell}</td>' for i, cell in enumerate(cells))}</tr>"


def _number(right: bool, wide: bool = False) -> str:
    return ' class="cp-num"' if right else ' class="cp-wide"' if wide else ""


def beside(one: Measure, baseline: str) -> str:
    """What the value is held against, beside it."""
    if one.metric.comparable and one.control is not None:
        return f"{baseline} {value_text(one.metric, one.control)}"
    if one.limit is not None:
        return f"limit {value_text(one.metric, one.limit)}"
    return f"the {baseline} calls no model" if one.metric.name == "cost_per_resolved" else ""


def strip_html(one: Measure, tone: str, baseline: str) -> str:
    """The strip, with words at its ends and a text for who cannot see it; an empty one where there is nothing to draw."""
    found = strip(one)
    if found is None:
        return '<div class="cp-ivl cp-ivl-none" role="img" aria-label="no interval"></div><div class="cp-ivl-ends">&nbsp;</div>'
    parts = [
        f'<i class="cp-ivl-bar cp-ivl-{tone}" style="left:{found.low:.1f}%;width:{found.high - found.low:.1f}%"></i>'
    ]
    if found.mark is not None:
        parts.append(f'<i class="cp-ivl-mark" style="left:{found.mark:.1f}%"></i>')
    if found.zero is not None:
        parts.append(f'<i class="cp-ivl-zero" style="left:{found.zero:.1f}%"></i>')
    parts.append(f'<i class="cp-ivl-dot cp-ivl-{tone}" style="left:{found.middle:.1f}%"></i>')
    ends = ("worse", f"same as the {escape(baseline)}", "better") if found.zero is not None else ("worse", "", "none")
    said = escape(f"{one.metric.title}: {difference(one)}")
    return (
        f'<div class="cp-ivl" role="img" aria-label="{said}">{"".join(parts)}</div>'
        f'<div class="cp-ivl-ends"><span>{ends[0]}</span><span>{ends[1]}</span><span>{ends[2]}</span></div>'
    )


def difference(one: Measure) -> str:
    """The difference with its interval in the metric's unit, or why there is none."""
    found = one.difference
    if found is None:
        if not one.metric.comparable:
            return "not compared"
        return "too few cases to compare" if min(one.n_treated, one.n_control) >= 2 else "too little data to compare"
    low, high = (difference_text(one.metric, end) for end in (found.low, found.high))
    return f"{difference_text(one.metric, found.estimate)} [{low}, {high}]"


def footer(one: Measure, interval: Interval | None = None) -> list[str]:
    """Interval with the margin; the assistant's own with the limit where that gives the verdict of a comparison; counts and maturity."""
    alone = interval or one.interval
    ends = "" if alone is None else f"[{value_text(one.metric, alone.low)}, {value_text(one.metric, alone.high)}]"
    lines = [ends or "too little data for an interval"]
    counts = f"n {count_text(one.n_treated)}"
    if one.metric.comparable:
        margin = f", margin {difference_text(one.metric, one.margin)[1:]}" if one.margin and one.difference else ""
        limited = one.verdict in measures.OF_LIMIT
        lines = [f"{difference(one)}{margin}"]
        lines += [f"assistant {ends}, limit {value_text(one.metric, one.limit)}"] * limited
        counts += f" vs {count_text(one.n_control)}"
    return [*lines, f"{counts}, {maturity(one)}"] if one.treated is not None else ["", maturity(one)]


def maturity(one: Measure) -> str:
    """How much of it can no longer change."""
    if one.mature is None:
        return "nothing in this period"
    if not one.maturity:
        return "final at once"
    return f"{percent(one.mature)} final (needs {duration(one.maturity)})"


def spark(points: pl.DataFrame, one: Measure, colours: Palette, baseline: str, height: int = 44) -> str:
    """Both arms over the period as a small picture (`frames.trend`'s points); empty where there are fewer than two of the assistant's."""
    mine = points.filter(pl.col("arm") == "assistant")
    if mine.height < 2:
        return '<div class="cp-spark-none"></div>'
    low, high = (float(value) for value in (points["value"].to_numpy().min(), points["value"].to_numpy().max()))
    first, last = points["start"].min(), points["start"].max()
    span = (last - first).total_seconds() or 1.0  # type: ignore[operator, union-attr]
    reach = (high - low) or 1.0
    traces = []
    for arm in ("baseline", "assistant"):
        rows = points.filter(pl.col("arm") == arm).sort("start")
        traces.append(live_spark.Trace(_broken(rows, first, span, low, reach), dashed=arm == "baseline"))
    values = [value_text(one.metric, float(mine.sort("start")["value"][index])) for index in (0, -1)]
    said = (
        f"{one.metric.title} of the assistant over the period: first {values[0]}, last {values[1]}; dashed: {baseline}"
    )
    return live_spark.picture(traces, said, colours, height=height)


def _broken(rows: pl.DataFrame, first: Any, span: float, low: float, reach: float) -> list[tuple[float, float | None]]:
    """Points in 0..1 with a gap where a new run begins."""
    found: list[tuple[float, float | None]] = []
    run = None
    for start, value, current in rows.select("start", "value", "run").iter_rows():
        if run is not None and current != run:
            found.append((0.0, None))
        run = current
        found.append(((start - first).total_seconds() / span, (value - low) / reach))
    return found


def requirements(lines: Sequence[Line]) -> str:
    """The gate's lines with progress and outlook, as HTML: mark, requirement, what there is of what is needed, when."""
    return f'<div class="cp-gate">{"".join(_requirement(line) for line in lines)}</div>'


def _requirement(line: Line) -> str:
    mark, said = ui.MARKS[line.tone]
    bar = ""
    if line.progress is not None and line.tone != GOOD:
        width = round(100 * line.progress)
        bar = (
            f'<div class="cp-bar" role="img" aria-label="{width} %"><span style="width:{max(width, 1)}%"></span></div>'
        )
    have = f"{line.have} of {line.need}" if line.progress is not None and line.have[:1].isdigit() else line.have
    if line.progress is not None and line.have.startswith("evidence"):
        have = f"{line.have} of {line.need}"
    if line.name.startswith("Approved"):
        have = f"{line.have} so far, needs {line.need}" if line.tone != GOOD else line.have
    when = line.when or (line.left.why if line.left is not None else "")
    small = " \u00b7 ".join(filter(None, [have, when]))
    return (
        f'<div><span class="cp-chip cp-{line.tone}" aria-label="{said}">{mark}</span><div><b>{escape(line.name)}</b>'
        f'<span class="cp-small">{escape(small)}</span>{bar}</div></div>'
    )
