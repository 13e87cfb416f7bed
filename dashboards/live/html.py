"""Cards and rows of the Live page as HTML. Texts are escaped here; nothing is read or decided."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from controlplane.core.metrics import METRICS
from dashboards import ui
from dashboards.answers import BAD, QUIET, WAIT
from dashboards.live.spark import Trace, picture
from dashboards.live.triggers import height
from dashboards.live.values import Dependency, Vital, Watched
from dashboards.theme import Palette
from dashboards.words import count_text, value_text

FIRES = height(1.0)
WORDS = {BAD: "Over the limit", WAIT: "Near the limit"}
SMALL = 44


def vital(one: Vital, colours: Palette) -> str:
    """A measure: title, value with its interval, the line of the window, the baseline and the limit."""
    word = "Look at it" if one.name == "safety_incidents" else WORDS.get(one.tone, "")
    chip = ui.chip(word, one.tone) if one.tone else ""
    value = escape(one.shown) if one.shown else "\u2013"
    note = escape(one.interval) if one.interval else "nothing counted lately"
    return (
        f'<div class="cp-tile cp-vital">{ui.head(one.title, chip)}<div class="cp-value">{value}</div><div class="cp-small">{note}</div>'
        f'{_line(one, colours)}<div class="cp-small">{escape(one.against)}</div></div>'
    )


def _line(one: Vital, colours: Palette) -> str:
    drawn = [value for _, value in (*one.assistant, *one.baseline) if value is not None]
    if not drawn:
        return f'<div class="cp-spark" style="height:{SMALL}px"></div>'
    top = max([*drawn, (one.limit or 0.0) * 1.15]) * 1.05 or 1.0

    def scaled(points: Sequence[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
        return [(x, None if value is None else value / top) for x, value in points]

    words = f"{one.title} over the window, now {one.shown or 'unknown'} {one.interval}; {one.against}"
    traces = [Trace(scaled(one.assistant), filled=True)] if one.assistant else []
    traces += [Trace(scaled(one.baseline), dashed=True)] if one.baseline else []
    return picture(traces, words, colours, one.limit / top if one.limit else None, SMALL)


def watched(one: Watched, rule: str, colours: Palette) -> str:
    """A trigger: how near it is, what it counted, its evidence against the red line at which it fires, and what it does."""
    if one.history:
        words = f"Evidence of {one.title}: {one.word}. The red line is the threshold."
        line = picture([Trace(one.history, filled=True)], words, colours, FIRES, SMALL)
    else:
        line = '<div class="cp-small">no block closed in this window</div>'
    return f'<div class="cp-tile cp-vital">{trigger_head(one)}{line}<div class="cp-small">{escape(rule)}</div></div>'


def trigger_head(one: Watched) -> str:
    """Title and chip, and below them what was counted."""
    counted = escape(one.observed) if one.observed else "&nbsp;"
    return f'{ui.head(one.title, ui.chip(one.word, one.tone))}<div class="cp-counted">{counted}</div>'


def dependency_row(one: Dependency, limit: float | None, colours: Palette) -> tuple[str, ...]:
    """Name, state, calls, share that failed with its interval, time-outs, p50, p95, line of the failures."""
    rate, pace = METRICS["dependency_failure_rate"], METRICS["latency_p95"]
    failed = "\u2013"
    if one.failed is not None:
        ends = f"{value_text(rate, max(one.failed.low, 0.0))} to {value_text(rate, one.failed.high)}"
        failed = f'{value_text(rate, one.failed.estimate)} <span class="cp-small">({ends})</span>'
    top = max([value for _, value in one.history if value is not None] + [(limit or 0.0) * 1.15, 0.01])
    words = f"Share of failed calls of {one.name} over the window"
    drawn = [(x, None if value is None else value / top) for x, value in one.history]
    line = picture([Trace(drawn, filled=True)], words, colours, limit / top if limit else None, 26)
    unknown = "No calls" if not one.calls else "No limit" if limit is None else "Too few calls"
    word = {BAD: "Over the limit", WAIT: "Near the limit", QUIET: unknown}.get(one.tone, "Fine")
    return (
        f"{escape(one.name)}",
        ui.chip(word, one.tone),
        count_text(one.calls),
        failed,
        f"{one.timed_out:,}",
        "\u2013" if one.p50 is None else value_text(pace, one.p50.estimate),
        "\u2013" if one.p95 is None else value_text(pace, one.p95.estimate),
        f'<div class="cp-spark-cell">{line}</div>',
    )
