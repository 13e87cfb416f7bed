"""Pictures of incidents: what the time was spent in, and how much speaks for and against each cause. Pure: frame in, Altair chart out."""

from __future__ import annotations

import altair as alt
import polars as pl

from dashboards.charts import Chart, finish
from dashboards.incidents.values import CONTAINED, EXPOSED, NOT_CUT
from dashboards.theme import Palette

ROW, ROOM = 46, 56  # a bar with its marks, and the axis
TONES = {EXPOSED: "bad", CONTAINED: "wait", NOT_CUT: "muted"}


def spans(frame: pl.DataFrame, marks: pl.DataFrame, colours: Palette) -> Chart:
    """One bar an incident from its onset, in minutes; marks show detection, acknowledgement and the verified cut. What they mean is said above it."""
    names = frame["name"].unique(maintain_order=True).to_list()
    y = alt.Y("name:N", sort=names, title=None, axis=alt.Axis(labelLimit=150, ticks=False, domain=False))
    x = alt.X("begin:Q", title="minutes from the likely onset", axis=alt.Axis(tickCount=6), scale=alt.Scale(zero=True))
    there = [what for what in TONES if what in set(frame["what"])]
    tone = alt.Scale(domain=there, range=[colours.tone(TONES[what]) for what in there])
    tips = [alt.Tooltip("name:N"), alt.Tooltip("what:N"), alt.Tooltip("took:N")]
    bars = alt.Chart(frame).mark_bar(height=14, opacity=0.85, cornerRadius=2)
    layer = bars.encode(x=x, x2=alt.X2("end:Q"), y=y, color=alt.Color("what:N", scale=tone, legend=None), tooltip=tips)
    layers = [layer]
    if not marks.is_empty():
        shape = alt.Scale(
            domain=["detected", "acknowledged", "cut verified"], range=["triangle-down", "circle", "diamond"]
        )
        points = alt.Chart(marks).mark_point(filled=True, size=70, color=colours.ink, opacity=1, yOffset=-13)
        layers.append(
            points.encode(
                x=alt.X("at:Q"),
                y=y,
                shape=alt.Shape("what:N", scale=shape, legend=None),
                tooltip=[alt.Tooltip("what:N"), alt.Tooltip("at:Q", format=".1f", title="minutes")],
            )
        )
    chart = alt.layer(*layers).resolve_scale(color="independent", shape="independent")
    return finish(chart, colours, ROW * len(names) + ROOM)


def causes(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Points of evidence for (right) and against (left) each cause; the dot is their sum."""
    order = frame["cause"].unique(maintain_order=True).to_list()
    y = alt.Y("cause:N", sort=order, title=None, axis=alt.Axis(labelLimit=190, ticks=False, domain=False))
    x = alt.X(
        "points:Q",
        title="points of evidence against (left) and for (right); the dot is the sum",
        scale=alt.Scale(nice=False, padding=14),
        axis=alt.Axis(tickCount=8, format="+~g"),
    )
    tips = [alt.Tooltip("cause:N"), alt.Tooltip("side:N"), alt.Tooltip("points:Q", format="+.1f")]
    ink = alt.Scale(domain=["for", "against"], range=[colours.ink, colours.muted])
    base = alt.Chart(frame)
    bars = base.mark_bar(height=10, opacity=0.55).encode(
        x=x, y=y, color=alt.Color("side:N", scale=ink, legend=None), tooltip=tips
    )
    zero = alt.Chart(pl.DataFrame({"zero": [0.0]})).mark_rule(color=colours.muted).encode(x=alt.X("zero:Q"))
    dots = base.mark_point(filled=True, size=60, color=colours.ink, opacity=1).encode(x=alt.X("total:Q"), y=y)
    return finish(alt.layer(bars, zero, dots), colours, max(26 * len(order), 60))
