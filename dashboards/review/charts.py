"""Charts of the Review page: one large trend, the timeline, the funnel. Frames in, Altair charts out; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt
import polars as pl

from controlplane.core.metrics import Metric
from dashboards import charts
from dashboards.theme import Palette

Chart = Any  # Altair ships no types
LOWEST = 0.1  # the least height of the share axis


def trend(points: pl.DataFrame, metric: Metric, changes: Sequence[datetime], colours: Palette) -> Chart:
    """One metric of both arms, large, with intervals; dotted: the share changed."""
    return charts.trend(points, metric, changes, colours, height=280)


def timeline(spans: pl.DataFrame, lanes: pl.DataFrame, marks: pl.DataFrame, colours: Palette) -> Chart:
    """The share that the assistant serves, the releases below it, and numbered marks of what happened.

    spans: since, until, share, what, label. lanes: since, until, release, label. marks: start, number, label, tone.
    """
    top = max(LOWEST, float(spans["share"].to_numpy().max()))
    scale = alt.Scale(domain=[-0.34 * top, 1.34 * top], nice=False)
    axis = alt.Axis(format="%", values=[0.0, top / 2, top], grid=True)
    y = alt.Y("share:Q", title="customers served", axis=axis, scale=scale)
    base = alt.Chart(spans).encode(x=charts._time("since"), tooltip=charts._tips(spans.drop("label")))
    text = base.mark_text(align="left", dx=5, dy=-9, color=colours.ink, fontSize=12)
    layers = [
        base.mark_rect(color=colours.faint, opacity=0.8).encode(x2=alt.X2("until:T"), y=y, y2=alt.datum(0)),
        base.mark_rule(color=colours.ink, strokeWidth=2.5).encode(x2=alt.X2("until:T"), y=alt.Y("share:Q")),
        text.encode(y=alt.Y("share:Q"), text=alt.Text("label:N")),
        *_lanes(lanes, colours, (-0.3 * top, -0.1 * top)),
    ]
    if not marks.is_empty():
        layers += _marks(marks, colours, (-0.1 * top, 1.22 * top))
    return charts.finish(alt.layer(*layers), colours, 280)


def _lanes(lanes: pl.DataFrame, colours: Palette, lane: tuple[float, float]) -> list[Chart]:
    base = alt.Chart(lanes).encode(x=charts._time("since"), tooltip=charts._tips(lanes.drop("label")))
    bars = base.mark_rect(color=colours.panel, stroke=colours.muted, strokeWidth=0.8, cornerRadius=3)
    texts = base.mark_text(align="left", dx=6, color=colours.ink, fontSize=12)
    return [
        bars.encode(x2=alt.X2("until:T"), y=alt.datum(lane[0]), y2=alt.datum(lane[1])),
        texts.encode(y=alt.datum(sum(lane) / 2), text=alt.Text("label:N")),
    ]


def _marks(marks: pl.DataFrame, colours: Palette, reach: tuple[float, float]) -> list[Chart]:
    colour, tips = charts._state_colour("tone", colours), charts._tips(marks)
    base = alt.Chart(marks).encode(x=charts._time("start"), color=colour, tooltip=tips)
    number = alt.Chart(marks).encode(x=charts._time("start"), text=alt.Text("number:N"), tooltip=tips)
    return [
        base.mark_rule(strokeWidth=1.5, strokeDash=[3, 3]).encode(y=alt.datum(reach[0]), y2=alt.datum(reach[1])),
        base.mark_point(filled=True, size=330, opacity=1).encode(y=alt.datum(reach[1])),
        number.mark_text(color=colours.paper, fontSize=11, fontWeight=600).encode(y=alt.datum(reach[1])),
    ]


def funnel(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Conversations from all to resolved, and those that did not come back. frame: step, n, label; rows in the order of the steps."""
    order = frame["step"].to_list()
    y = alt.Y(
        "step:N", sort=order, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False, labelFontSize=12)
    )
    room = 1.45 * max(float(frame["n"].to_numpy().max()), 1.0)
    scale = alt.Scale(domain=[0, room], nice=False)
    base = alt.Chart(frame).encode(y=y, tooltip=charts._tips(frame))
    bars = base.mark_bar(color=colours.muted, height=20, cornerRadiusEnd=3).encode(
        x=alt.X("n:Q", axis=None, scale=scale)
    )
    text = base.mark_text(align="left", dx=7, color=colours.ink, fontSize=12).encode(
        x=alt.X("n:Q"), text=alt.Text("label:N")
    )
    return charts.finish(bars + text, colours, 40 * len(order) + 10)
