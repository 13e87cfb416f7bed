"""Charts of the Live page: latency of both arms over time. Frame in, Altair chart out; pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from dashboards import charts
from dashboards.theme import Palette

STEPS = (1, 2, 5)
TIME = alt.Axis(title=None, format="%-d %b %H:%M", labelOverlap=True, tickCount=5, labelFlush=True)


def latency(frame: pl.DataFrame, slo_ms: float | None, colours: Palette, height: int = 250) -> Any:
    """p50 and p95 of both arms with their intervals and the objective, logarithmic. frame: start, arm, quantile, value, low, high, n."""
    drawn = [*frame["value"].to_list(), *([slo_ms] if slo_ms else [])]
    low, high = 0.75 * min(drawn), 1.35 * max(drawn)
    ticks = [step * 10**power for power in range(-1, 7) for step in STEPS if low <= step * 10**power <= high]
    y = alt.Y(
        "value:Q",
        title="ms (log scale)",
        scale=alt.Scale(type="log", nice=False, domain=[low, high], clamp=True),
        axis=alt.Axis(values=ticks, format="~s"),
    )
    arm = alt.Color("arm:N", scale=alt.Scale(domain=charts.ARMS, range=[colours.ink, colours.muted]), legend=None)
    dash = alt.StrokeDash("arm:N", scale=alt.Scale(domain=charts.ARMS, range=[[1, 0], [5, 4]]), legend=None)
    key = frame.with_columns(line=pl.col("arm") + pl.col("quantile"))
    x = alt.X("start:T", axis=TIME, scale=alt.Scale(type="utc"))
    base = alt.Chart(key).encode(x=x, color=arm, detail=alt.Detail("line:N"))
    tips = [
        alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", formatType="utc"),
        alt.Tooltip("arm:N"),
        alt.Tooltip("quantile:N"),
        *(alt.Tooltip(f"{name}:Q", format=",.0f") for name in ("value", "low", "high", "n")),
    ]
    band = base.mark_area(opacity=0.13).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    line = base.mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=14, filled=True)).encode(
        y=y, strokeDash=dash, tooltip=tips
    )
    last = key.filter(pl.col("start") == pl.col("start").max().over("line"))
    names = alt.Chart(last).mark_text(align="left", dx=6, fontSize=11)
    layers = [
        band,
        line,
        names.encode(x=alt.X("start:T"), y=alt.Y("value:Q"), text=alt.Text("quantile:N"), color=arm),
    ]
    if slo_ms is not None:
        layers += _objective(slo_ms, colours)
    return charts.finish(alt.layer(*layers), colours, height)


def _objective(value: float, colours: Palette) -> list[Any]:
    row = alt.Chart(pl.DataFrame({"limit": [value], "label": [f"objective {value:,.0f} ms"]}))
    text = row.mark_text(align="left", dx=4, dy=-6, color=colours.muted, fontSize=11)
    rule = row.mark_rule(color=colours.bad, strokeDash=[5, 3]).encode(y=alt.Y("limit:Q"))
    return [rule, text.encode(y=alt.Y("limit:Q"), x=alt.value(0), text=alt.Text("label:N"))]
