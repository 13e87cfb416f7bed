"""Pictures of the record. Pure: frame in, Altair chart out."""

from __future__ import annotations

import altair as alt
import polars as pl

from dashboards.charts import Chart, finish
from dashboards.theme import Palette


def rooms(frame: pl.DataFrame, colours: Palette) -> Chart:
    """How far inside its line each result of an evaluation is, with its interval; left of the red line it is beyond it."""
    order = frame["name"].to_list()
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=240, ticks=False, domain=False))
    x = alt.X(
        "low:Q",
        title="room to the line, as a part of the line (left of 0: beyond it)",
        axis=alt.Axis(format="%", tickCount=6),
        scale=alt.Scale(zero=True, nice=False, padding=14),
    )
    tone = alt.Scale(domain=["PASS", "FAIL"], range=[colours.ink, colours.bad])
    colour = alt.Color("verdict:N", scale=tone, legend=None)
    tips = [alt.Tooltip("name:N"), alt.Tooltip("room:Q", format="+.0%"), alt.Tooltip("verdict:N")]
    base = alt.Chart(frame)
    rules = base.mark_rule(strokeWidth=3).encode(x=x, x2=alt.X2("high:Q"), y=y, color=colour, tooltip=tips)
    dots = base.mark_point(filled=True, size=75, opacity=1).encode(x=alt.X("room:Q"), y=y, color=colour, tooltip=tips)
    line = (
        alt.Chart(pl.DataFrame({"line": [0.0]})).mark_rule(color=colours.bad, strokeWidth=1.5).encode(x=alt.X("line:Q"))
    )
    return finish(alt.layer(line, rules, dots), colours, max(28 * len(order), 60))
