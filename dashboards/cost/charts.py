"""Charts of the cost page. Frames in, Altair charts out; pure. Models are told apart by shades of ink, because colour means state."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from dashboards.charts import finish
from dashboards.theme import Palette

Chart = Any
_TIME: dict[str, Any] = {
    "title": None,
    "format": "%-d %b %H:%M",
    "labelOverlap": True,
    "tickCount": 5,
    "labelFlush": True,
}
_SHADES = (0.8, 0.52, 0.34, 0.22, 0.13)  # opacity of ink, the busiest model darkest


def mix(frame: pl.DataFrame, seconds: int, title: str, share: bool, colours: Palette, height: int = 200) -> Chart:
    """Bars stacked by model over time. frame: start, model, value, order; share: of each bar's whole."""
    ranks = dict(zip(frame["model"], frame["order"], strict=True))
    names = sorted(ranks, key=ranks.__getitem__)
    until = pl.col("start") + pl.duration(seconds=seconds)
    placed = frame.sort("start", "order").with_columns(until=until, top=pl.col("value").cum_sum().over("start"))
    placed = placed.with_columns(bottom=pl.col("top") - pl.col("value"), whole=pl.col("value").sum().over("start"))
    if share:
        placed = placed.with_columns([pl.col(name) / pl.col("whole") for name in ("top", "bottom", "value")])
    scale = alt.Scale(domain=names, range=[_shade(colours, ranks[name]) for name in names])
    axis = alt.Axis(format=".0%" if share else "$.2~r", tickCount=4)
    bars = alt.Chart(placed.select("start", "until", "model", "value", "top", "bottom")).mark_rect(
        stroke=colours.paper, strokeWidth=0.8
    )
    shown = bars.encode(
        x=alt.X("start:T", axis=alt.Axis(**_TIME), scale=alt.Scale(type="utc")),
        x2=alt.X2("until:T"),
        y=alt.Y("top:Q", title=title, axis=axis, scale=alt.Scale(domain=[0, 1]) if share else alt.Scale(domainMin=0)),
        y2=alt.Y2("bottom:Q"),
        color=alt.Color("model:N", scale=scale, legend=_legend(colours)),
        tooltip=[
            alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", formatType="utc"),
            alt.Tooltip("model:N"),
            alt.Tooltip("value:Q", format=".1%" if share else "$.4~g"),
        ],
    )
    return finish(shown, colours, height)


def month(frame: pl.DataFrame, now: Any, budget: float, colours: Palette, height: int = 230) -> Chart:
    """Spent since the month began, then the forecast to its end, dashed, with its interval; the budget in red. frame: at, usd, low, high."""
    x = alt.X("at:T", axis=alt.Axis(title=None, format="%-d %b", tickCount=6), scale=alt.Scale(type="utc"))
    y = alt.Y(
        "usd:Q",
        title="US dollars since the month began",
        axis=alt.Axis(format="$.2~r", tickCount=5),
        scale=alt.Scale(domainMin=0),
    )
    tips = [alt.Tooltip("at:T", format="%Y-%m-%d %H:%M", formatType="utc"), alt.Tooltip("usd:Q", format="$,.4~g")]
    past = alt.Chart(frame.filter(pl.col("at") <= now)).encode(x=x, tooltip=tips)
    layers = [past.mark_line(color=colours.ink, strokeWidth=2.2).encode(y=y)]
    ahead = frame.filter(pl.col("at") >= frame.filter(pl.col("at") <= now)["at"].max())
    if ahead.height > 1:
        base = alt.Chart(ahead).encode(
            x=x, tooltip=[*tips, alt.Tooltip("low:Q", format="$,.4~g"), alt.Tooltip("high:Q", format="$,.4~g")]
        )
        layers.insert(
            0, base.mark_area(color=colours.muted, opacity=0.18).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
        )
        layers.append(base.mark_line(color=colours.ink, strokeWidth=1.8, strokeDash=[5, 4]).encode(y=alt.Y("usd:Q")))
    if budget:
        row = alt.Chart(pl.DataFrame({"budget": [budget], "label": ["budget of the month"]}))
        layers.append(row.mark_rule(color=colours.bad, strokeDash=[5, 3]).encode(y=alt.Y("budget:Q")))
        text = row.mark_text(align="left", dx=4, dy=-6, color=colours.muted, fontSize=11)
        layers.append(text.encode(y=alt.Y("budget:Q"), x=alt.value(0), text=alt.Text("label:N")))
    return finish(alt.layer(*layers), colours, height)


def line(frame: pl.DataFrame, title: str, kind: str, colours: Palette, height: int = 92) -> Chart:
    """One figure over time, from zero. frame: start, value; kind: "usd", "share" or "count"."""
    axis = alt.Axis(format={"usd": "$.2~r", "share": ".0%"}.get(kind, "~s"), tickCount=3)
    top = max(float(frame["value"].to_numpy().max()), 0.0) * 1.15 or 1.0
    base = alt.Chart(frame).encode(
        x=alt.X("start:T", axis=alt.Axis(**_TIME | {"tickCount": 3}), scale=alt.Scale(type="utc")),
        y=alt.Y("value:Q", title=title, axis=axis, scale=alt.Scale(domain=[0, top])),
        tooltip=[
            alt.Tooltip("start:T", format="%Y-%m-%d %H:%M", formatType="utc"),
            alt.Tooltip("value:Q", format={"usd": "$.3~g", "share": ".1%"}.get(kind, ",.0f")),
        ],
    )
    drawn = (
        base.mark_line(color=colours.ink, strokeWidth=1.8)
        if frame.height > 1
        else base.mark_point(color=colours.ink, filled=True)
    )
    return finish(drawn, colours, height)


def savings(frame: pl.DataFrame, colours: Palette) -> Chart:
    """Saved share of the model cost of each what-if with its interval, from zero. frame: title, mid, low, high."""
    order = frame["title"].to_list()
    names = alt.Axis(labelLimit=260, labelFontSize=12, domain=False, ticks=False)
    reach = min(max(float(frame["high"].to_numpy().max()) * 1.12, 0.05), 1.0)
    scale = alt.Scale(domain=[0, reach], clamp=True)
    x = alt.X("mid:Q", title="share of the model cost saved", axis=alt.Axis(format=".0%", tickCount=5), scale=scale)
    tips = [alt.Tooltip("title:N"), *(alt.Tooltip(f"{name}:Q", format=".1%") for name in ("mid", "low", "high"))]
    base = alt.Chart(frame).encode(y=alt.Y("title:N", sort=order, title=None, axis=names), tooltip=tips)
    bars = base.mark_bar(color=colours.faint, height=16, cornerRadiusEnd=2).encode(x=x)
    spread = base.mark_rule(color=colours.ink, strokeWidth=2.4).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    dots = base.mark_point(filled=True, size=62, color=colours.ink, opacity=1).encode(x=alt.X("mid:Q"))
    return finish(alt.layer(bars, spread, dots), colours, 34 * len(order) + 46)


def _shade(colours: Palette, rank: int) -> str:
    """Ink mixed with the paper: a solid colour, so that stacked bars don't shine through each other."""
    part = _SHADES[min(rank, len(_SHADES) - 1)]
    ink, paper = (tuple(int(text[i : i + 2], 16) for i in (1, 3, 5)) for text in (colours.ink, colours.paper))
    return "#" + "".join(f"{round(part * a + (1 - part) * b):02x}" for a, b in zip(ink, paper, strict=True))


def _legend(colours: Palette) -> Any:
    return alt.Legend(
        title=None,
        orient="top",
        labelColor=colours.muted,
        symbolType="square",
        symbolStrokeWidth=0,
        labelLimit=220,
        columns=0,
    )
