"""Charts of the Drift page: frames in, Altair out. Pure. The reference is grey, the current window ink; red is beyond the threshold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import altair as alt
import polars as pl

from dashboards.charts import finish
from dashboards.theme import Palette

Chart = Any  # Altair ships no types

_TIME = alt.Axis(title=None, format="%-d %b %H:%M", labelOverlap=True, tickCount=6, labelFlush=True, grid=False)
HOTTEST = 3.0  # of the threshold; more is drawn as this much


def heat(frame: pl.DataFrame, current: datetime, colours: Palette) -> Chart:
    """Columns over time: the darker, the farther from the reference; red beyond the threshold. frame: column, start, until, ratio, rows.

    current: when the current window begins, a line where it lies inside.
    """
    order = list(dict.fromkeys(frame["column"].to_list()))
    shown = frame.with_columns(
        depth=pl.col("ratio").clip(0.0, HOTTEST) / HOTTEST,
        beyond=pl.when(pl.col("ratio") >= 1.0).then(pl.lit("beyond")).otherwise(pl.lit("within")),
    )
    tips = [
        alt.Tooltip("column:N"),
        alt.Tooltip("start:T", title="from", format="%Y-%m-%d %H:%M", formatType="utc"),
        alt.Tooltip("ratio:Q", title="of its threshold", format=".2f"),
        alt.Tooltip("rows:Q", format=",.0f"),
    ]
    cells = alt.Chart(shown).mark_rect(stroke=colours.paper, strokeWidth=1)
    drawn = cells.encode(
        x=alt.X("start:T", axis=_TIME, scale=alt.Scale(type="utc")),
        x2=alt.X2("until:T"),
        y=alt.Y("column:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, ticks=False, domain=False)),
        color=alt.Color(
            "beyond:N",
            scale=alt.Scale(domain=["within", "beyond"], range=[colours.muted, colours.bad]),
            legend=None,
        ),
        opacity=alt.Opacity("depth:Q", scale=alt.Scale(domain=[0, 1], range=[0.07, 1.0]), legend=None),
        tooltip=tips,
    )
    layers = [drawn]
    if min(frame["start"].to_list()) < current < max(frame["until"].to_list()):
        mark = alt.Chart(pl.DataFrame({"at": [current]})).mark_rule(color=colours.ink, strokeWidth=1.8)
        layers.append(mark.encode(x=alt.X("at:T")))
    return finish(alt.layer(*layers), colours, 26 * len(order) + 34)


def timeline(
    frame: pl.DataFrame, threshold: float, onset: datetime | None, windows: pl.DataFrame, colours: Palette
) -> Chart:
    """One column's distance over time. frame: start, score, rows; windows: since, until of the current window, shaded."""
    reach = 1.15 * max(threshold * 1.5, *frame["score"].to_list())
    x = alt.X("start:T", axis=_TIME, scale=alt.Scale(type="utc"))
    y = alt.Y(
        "score:Q",
        title="distance beyond chance",
        scale=alt.Scale(domain=[0, reach], nice=False),
        axis=alt.Axis(tickCount=4),
    )
    shade = alt.Chart(windows).mark_rect(color=colours.faint, opacity=0.45)
    layers: list[Chart] = [shade.encode(x=alt.X("since:T"), x2=alt.X2("until:T"))]
    limit = alt.Chart(pl.DataFrame({"at": [threshold]})).mark_rule(color=colours.bad, strokeDash=[5, 3])
    layers.append(limit.encode(y=alt.Y("at:Q")))
    if onset is not None:
        began = alt.Chart(pl.DataFrame({"start": [onset], "label": ["began"]}))
        layers.append(began.mark_rule(color=colours.ink, strokeDash=[2, 3]).encode(x=alt.X("start:T")))
        text = began.mark_text(align="right", baseline="top", dx=-4, color=colours.muted, fontSize=11)
        layers.append(text.encode(x=alt.X("start:T"), y=alt.value(2), text=alt.Text("label:N")))
    tips = [
        alt.Tooltip("start:T", title="from", format="%Y-%m-%d %H:%M", formatType="utc"),
        alt.Tooltip("score:Q", title="distance", format=".3f"),
        alt.Tooltip("rows:Q", format=",.0f"),
    ]
    line = alt.Chart(frame).mark_line(
        color=colours.ink,
        strokeWidth=1.8,
        interpolate="step-after",
        point=alt.OverlayMarkDef(size=16, color=colours.ink),
    )
    layers.append(line.encode(x=x, y=y, tooltip=tips))
    return finish(alt.layer(*layers), colours, 250)


def histogram(frame: pl.DataFrame, unit: str, logarithmic: bool, colours: Palette) -> Chart:
    """Both distributions of a number over the same bins. frame: low, high, side, share."""
    scale = alt.Scale(type="log", nice=False) if logarithmic else alt.Scale(nice=False, zero=False)
    axis = alt.Axis(title=unit or "value", tickCount=6, format="~s", grid=False)
    x = alt.X("low:Q", scale=scale, axis=axis)
    y = alt.Y(
        "share:Q", title="share of the rows", axis=alt.Axis(format="%", tickCount=4), scale=alt.Scale(domainMin=0)
    )
    before = frame.filter(pl.col("side") == "reference")
    after = frame.filter(pl.col("side") == "current")
    tips = [
        alt.Tooltip("side:N"),
        alt.Tooltip("low:Q", title="from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
        alt.Tooltip("share:Q", format=".0%"),
    ]
    bars = alt.Chart(before).mark_rect(color=colours.muted, opacity=0.35)
    closing = after.tail(1).with_columns(low=pl.col("high"))
    line = alt.Chart(pl.concat([after, closing])).mark_line(color=colours.ink, strokeWidth=2, interpolate="step-after")
    zero = alt.datum(0)
    layers = [
        bars.encode(x=x, x2=alt.X2("high:Q"), y=y, y2=zero, tooltip=tips),
        line.encode(x=x, y=alt.Y("share:Q"), tooltip=tips),
    ]
    return finish(alt.layer(*layers), colours, 250)


def categories(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Shares of values in both windows: a grey tick for the reference, a dot for now, joined. frame: value, reference, current, new."""
    order = frame["value"].to_list()
    base = alt.Chart(frame).encode(
        y=alt.Y("value:N", sort=order, title=None, axis=alt.Axis(labelLimit=180, ticks=False, domain=False))
    )
    x = alt.X(
        "reference:Q",
        title="share of the rows",
        axis=alt.Axis(format="%", tickCount=5),
        scale=alt.Scale(domainMin=0, nice=True),
    )
    tips = [
        alt.Tooltip("value:N"),
        alt.Tooltip("reference:Q", format=".1%"),
        alt.Tooltip("current:Q", title="now", format=".1%"),
        alt.Tooltip("new:N", title="never seen before"),
    ]
    layers = [
        base.mark_rule(color=colours.faint, strokeWidth=3).encode(x=x, x2=alt.X2("current:Q")),
        base.mark_tick(color=colours.muted, thickness=3, size=15).encode(x=x, tooltip=tips),
        base.mark_point(filled=True, size=85, color=colours.ink, opacity=1).encode(x=alt.X("current:Q"), tooltip=tips),
    ]
    return finish(alt.layer(*layers), colours, 26 * max(len(order), 2) + 46)


def beside(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Two analyses: a grey tick for the other one, a dot for this. frame: column, this, other, change."""
    order = frame["column"].to_list()
    least = 0.05
    shown = frame.with_columns(pl.col("this").clip(least), pl.col("other").clip(least))
    reach = 1.3 * max(2.0, *shown["this"].to_list(), *shown["other"].to_list())
    base = alt.Chart(shown).encode(
        y=alt.Y("column:N", sort=order, title=None, axis=alt.Axis(labelLimit=220, ticks=False))
    )
    x = alt.X(
        "other:Q",
        title="score / threshold (log scale)",
        scale=alt.Scale(type="log", domain=[least, reach], nice=False, clamp=True),
        axis=alt.Axis(values=[v for v in (0.1, 0.3, 1, 3, 10, 30, 100) if v <= reach], format="~g"),
    )
    tips = [
        alt.Tooltip("column:N"),
        alt.Tooltip("this:Q", format=".2f"),
        alt.Tooltip("other:Q", format=".2f"),
        alt.Tooltip("change:N"),
    ]
    limit = alt.Chart(pl.DataFrame({"at": [1.0]})).mark_rule(color=colours.bad, strokeDash=[5, 3])
    layers = [
        base.mark_rule(color=colours.faint, strokeWidth=3).encode(x=x, x2=alt.X2("this:Q")),
        limit.encode(x=alt.X("at:Q")),
        base.mark_tick(color=colours.muted, thickness=3, size=15).encode(x=x, tooltip=tips),
        base.mark_point(filled=True, size=85, color=colours.ink, opacity=1).encode(x=alt.X("this:Q"), tooltip=tips),
    ]
    return finish(alt.layer(*layers), colours, 26 * max(len(order), 2) + 46)
