"""Frames in, Altair charts out. Pure: no Streamlit, no reading, no clock.

Every chart names its unit, draws its baseline or limit, and shows intervals where a value is an estimate. Colour is state only:
the assistant is a solid line in ink, the baseline a dashed one in grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import altair as alt
import polars as pl

from controlplane.core.metrics import Metric
from dashboards.theme import Palette

Chart = Any  # Altair ships no types

ARMS = ["assistant", "baseline"]
NO_DRIFT = 0.05  # of the threshold; smaller scores are drawn there
_TIME = alt.Axis(title=None, format="%-d %b %H:%M", labelOverlap=True, tickCount=5, labelFlush=True)


def trend(
    frame: pl.DataFrame, metric: Metric, changes: Sequence[datetime], colours: Palette, height: int = 190
) -> Chart:
    """Both arms over time with their intervals. frame: start, arm, value, low, high."""
    share = metric.unit == "share"
    axis = alt.Axis(format=".0%" if share else "~s", tickCount=4)
    scale = alt.Scale(zero=share, nice=True, domain=_range(frame, share), clamp=True)
    layers = _band_and_line(frame, "share" if share else metric.unit, axis, scale, colours)
    if changes:
        rules = alt.Chart(pl.DataFrame({"start": list(changes)}, schema={"start": pl.Datetime("us", "UTC")}))
        layers.insert(0, rules.mark_rule(color=colours.muted, strokeDash=[2, 3]).encode(x=alt.X("start:T")))
    return finish(alt.layer(*layers), colours, height)


def evidence(frame: pl.DataFrame, colours: Palette, height: int = 150) -> Chart:
    """One trigger's evidence as a multiple of its threshold, logarithmic. frame: start, ratio, fired."""
    powers = {1e-6: "10\u207b\u2076", 1e-4: "10\u207b\u2074", 1e-2: "10\u207b\u00b2", 1.0: "1 fires", 100.0: "100"}
    words = " : ".join(f"abs(datum.value / {value:g} - 1) < 0.01 ? '{text}'" for value, text in powers.items())
    y = alt.Y(
        "ratio:Q",
        title="evidence / threshold",
        scale=alt.Scale(type="log", domain=[1e-6, 100], clamp=True),
        axis=alt.Axis(values=list(powers), labelExpr=f"{words} : ''"),
    )
    base = alt.Chart(frame).encode(x=_time("start"), y=y, tooltip=_tips(frame))
    limit = alt.Chart(pl.DataFrame({"limit": [1.0]})).mark_rule(color=colours.bad, strokeWidth=1.5)
    layers = [limit.encode(y=alt.Y("limit:Q")), base.mark_line(color=colours.ink, strokeWidth=1.8)]
    if frame["fired"].any():
        fired = alt.Chart(frame.filter(pl.col("fired"))).encode(
            x=alt.X("start:T"), y=alt.Y("ratio:Q"), tooltip=_tips(frame)
        )
        layers.append(fired.mark_point(filled=True, size=46, color=colours.bad, opacity=1))
    return finish(alt.layer(*layers), colours, height)


def rates(frame: pl.DataFrame, limit: float | None, colours: Palette, height: int = 170) -> Chart:
    """A failure rate of both arms per bin, with the policy's limit. frame: start, arm, value, low, high."""
    reach = max(1.25 * float(frame["value"].to_numpy().max()), 1.6 * (limit or 0.0), 0.02)
    axis = alt.Axis(format=".1%", tickCount=4)
    layers = _band_and_line(frame, "share", axis, alt.Scale(domain=[0, reach], clamp=True), colours)
    if limit is not None:
        layers += _limit(limit, f"limit {limit:.0%}", colours)
    return finish(alt.layer(*layers), colours, height)


def volume(frame: pl.DataFrame, colours: Palette, minutes: float, height: int = 270) -> Chart:
    """Conversations per bin, the baseline's on top of the assistant's. frame: start, until, arm, n, bottom, top."""
    scale = alt.Scale(domain=ARMS, range=[colours.ink, colours.faint])
    y = alt.Y(
        "top:Q", title=f"conversations per {minutes:g} min", axis=alt.Axis(tickCount=4), scale=alt.Scale(domainMin=0)
    )
    bars = alt.Chart(frame).mark_rect(stroke=colours.paper, strokeWidth=0.5)
    shown = bars.encode(
        x=_time("start"),
        x2=alt.X2("until:T"),
        y=y,
        y2=alt.Y2("bottom:Q"),
        color=alt.Color("arm:N", scale=scale, legend=None),
        tooltip=_tips(frame.drop("bottom", "top")),
    )
    return finish(shown, colours, height)


def drift_scores(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Each column's score as a multiple of its threshold. frame: column, ratio, tone, verdict, score, threshold, method."""
    order = frame["column"].to_list()
    reach = max(2.0, *frame["ratio"].to_list()) * 1.3
    y = alt.Y("column:N", sort=order, title=None, axis=alt.Axis(labelLimit=200, ticks=False))
    scale = alt.Scale(type="log", domain=[NO_DRIFT, reach], nice=False, clamp=True)
    axis = alt.Axis(values=[value for value in (0.1, 0.3, 1, 3, 10, 30, 100) if value <= reach], format="~g")
    x = alt.X("ratio:Q", title="score / threshold (log scale)", scale=scale, axis=axis)
    base = alt.Chart(frame.with_columns(pl.col("ratio").clip(NO_DRIFT), none=pl.lit(NO_DRIFT))).encode(y=y)
    stems = base.mark_rule(strokeWidth=2.5, color=colours.faint).encode(x=x, x2=alt.X2("none:Q"))
    dots = base.mark_point(filled=True, size=95, opacity=1)
    shown = dots.encode(x=alt.X("ratio:Q"), color=_state_colour("tone", colours), tooltip=_tips(frame.drop("tone")))
    limit = alt.Chart(pl.DataFrame({"limit": [1.0]})).mark_rule(color=colours.muted, strokeDash=[4, 3])
    return finish(alt.layer(stems, limit.encode(x=alt.X("limit:Q")), shown), colours, 28 * len(order) + 50)


def _band_and_line(frame: pl.DataFrame, title: str, axis: Any, scale: Any, colours: Palette) -> list[Chart]:
    base = alt.Chart(frame).encode(x=_time("start"), color=_arm_colour(colours), detail=alt.Detail("run:N"))
    band = base.mark_area(opacity=0.15).encode(
        y=alt.Y("low:Q", title=title, axis=axis, scale=scale), y2=alt.Y2("high:Q")
    )
    y = alt.Y("value:Q", title=title)
    line = base.mark_line(strokeWidth=2).encode(y=y, strokeDash=_arm_dash(), tooltip=_tips(frame.drop("run")))
    alone = frame.filter(pl.len().over("arm", "run") == 1)
    if alone.is_empty():
        return [band, line]
    dots = alt.Chart(alone).mark_point(filled=True, size=22, opacity=1)
    return [
        band,
        line,
        dots.encode(x=_time("start"), y=y, color=_arm_colour(colours), tooltip=_tips(alone.drop("run"))),
    ]


def _range(frame: pl.DataFrame, share: bool) -> list[float]:
    """The range of the axis: that of the values with some room, so that one wide interval does not flatten everything."""
    low, high = (float(v) for v in (frame["value"].to_numpy().min(), frame["value"].to_numpy().max()))
    room = 0.35 * (high - low) or 0.1 * abs(high) or 1.0
    return [0.0, min(high + room, 1.0)] if share else [low - room, high + room]


def _limit(value: float, label: str, colours: Palette) -> list[Chart]:
    row = alt.Chart(pl.DataFrame({"limit": [value], "label": [label]}))
    text = row.mark_text(align="left", dx=4, dy=-6, color=colours.muted, fontSize=11)
    rule = row.mark_rule(color=colours.bad, strokeDash=[5, 3]).encode(y=alt.Y("limit:Q"))
    return [rule, text.encode(y=alt.Y("limit:Q"), x=alt.value(0), text=alt.Text("label:N"))]


def _time(field: str) -> Any:
    return alt.X(f"{field}:T", axis=_TIME, scale=alt.Scale(type="utc"))


def _arm_colour(colours: Palette) -> Any:
    return alt.Color("arm:N", scale=alt.Scale(domain=ARMS, range=[colours.ink, colours.muted]), legend=None)


def _arm_dash() -> Any:
    return alt.StrokeDash("arm:N", scale=alt.Scale(domain=ARMS, range=[[1, 0], [5, 4]]), legend=None)


def _state_colour(field: str, colours: Palette) -> Any:
    tones = ["good", "wait", "bad", "quiet"]
    return alt.Color(
        f"{field}:N", scale=alt.Scale(domain=tones, range=[colours.tone(tone) for tone in tones]), legend=None
    )


def _tips(frame: pl.DataFrame) -> list[Any]:
    """Tooltips of all columns; times in UTC like the axes."""
    shown = []
    for name, kind in frame.schema.items():
        if kind.is_temporal():
            shown.append(alt.Tooltip(f"{name}:T", format="%Y-%m-%d %H:%M", formatType="utc"))
        elif kind.is_float():
            shown.append(alt.Tooltip(f"{name}:Q", format=".4~g"))
        else:
            shown.append(alt.Tooltip(f"{name}:N"))
    return shown


def finish(chart: Chart, colours: Palette, height: int) -> Chart:
    """The common look, put on a chart that nobody else holds: changed in place, because each chained `configure_` of Altair copies all of it."""
    chart.height, chart.width, chart.background = height, "container", "transparent"
    chart.config = _config(colours)
    return chart


@cache
def _config(colours: Palette) -> Any:
    axis = alt.Axis(
        labelColor=colours.muted,
        titleColor=colours.muted,
        gridColor=colours.faint,
        domainColor=colours.faint,
        tickColor=colours.faint,
        labelFontSize=11,
        titleFontSize=11,
        titleFontWeight="normal",
        titlePadding=6,
    )
    return alt.Config(
        font='"Source Sans", "Source Sans 3", sans-serif',
        padding={"left": 2, "right": 12, "top": 6, "bottom": 2},
        axis=axis,
        axisX=alt.Axis(grid=False),
        view=alt.ViewConfig(stroke=None),
    )
