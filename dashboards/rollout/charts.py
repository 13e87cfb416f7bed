"""Charts of the Rollout page: frames in, Altair out. Pure."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from dashboards.charts import finish
from dashboards.rollout.whatif import CEILING, FLOOR, OTHER, TODAY
from dashboards.theme import Palette

Chart = Any  # Altair ships no types
TIME = alt.Axis(title=None, format="%-d %b %H:%M", labelOverlap=True, tickCount=4, labelFlush=True)
UTC = alt.Scale(type="utc")
DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [1, 3], [10, 4]]
POWERS = {1e-6: "10\u207b\u2076", 1e-4: "10\u207b\u2074", 1e-2: "1 %", 1.0: "alarm", 100.0: "100\u00d7"}


def certificate(path: pl.DataFrame, bound: float, unit: str, colours: Palette) -> Chart:
    """Difference over time with its anytime interval, zero, and the margin that must lie outside. path: as `rollout_gates.PATH`."""
    scale = 100.0 if unit == "share" else 1.0
    title = "percentage points" if unit == "share" else unit.split(" (")[0]
    shown = path.with_columns(*(pl.col(name) * scale for name in ("value", "low", "high")))
    edge, newest = bound * scale, shown.row(-1, named=True)
    low, high = min(0.0, 1.3 * edge, newest["low"]), max(0.0, 1.3 * edge, newest["high"])
    room = 0.12 * (high - low)
    domain = alt.Scale(domain=[low - room, high + room], clamp=True, nice=False)
    axis = alt.Y("low:Q", title=title, scale=domain, axis=alt.Axis(tickCount=5, format="~f"))
    x = alt.X("start:T", axis=TIME, scale=UTC)
    base = alt.Chart(shown)
    line = base.mark_line(color=colours.ink, strokeWidth=2, point=alt.OverlayMarkDef(size=18, color=colours.ink))
    what = ["alike", "margin"]
    rules = alt.Chart(pl.DataFrame({"at": [0.0, edge], "what": what})).encode(y=alt.Y("at:Q"))
    shade = alt.Color("what:N", scale=alt.Scale(domain=what, range=[colours.muted, colours.bad]), legend=None)
    dash = alt.StrokeDash("what:N", scale=alt.Scale(domain=what, range=[[1, 0], [5, 3]]), legend=None)
    named = alt.Chart(pl.DataFrame({"at": [edge], "word": ["margin: the most harm tolerated"]}))
    words = named.mark_text(align="left", dx=4, dy=-7 if edge > 0 else 9, fontSize=11, color=colours.muted)
    return finish(
        alt.layer(
            base.mark_area(color=colours.ink, opacity=0.14).encode(x=x, y=axis, y2=alt.Y2("high:Q")),
            rules.mark_rule(strokeWidth=1.3).encode(color=shade, strokeDash=dash),
            words.encode(x=alt.value(0), y=alt.Y("at:Q"), text=alt.Text("word:N")),
            line.encode(x=x, y=alt.Y("value:Q"), tooltip=_tips(shown)),
        ),
        colours,
        190,
    )


def detection(frame: pl.DataFrame, unit: str, scale: float, colours: Palette) -> Chart:
    """Time to detect by size of harm, a line per stage; full dots: while the stage lasts. frame: as `rollout_blind.curve`."""
    shown = frame.with_columns(effect=pl.col("effect") * scale, hours=pl.col("minutes") / 60)
    order = list(dict.fromkeys(shown["stage"].to_list()))
    key = alt.Legend(
        orient="top",
        columns=3,
        title=None,
        labelColor=colours.ink,
        labelFontSize=12,
        symbolSize=900,
        symbolStrokeColor=colours.ink,
    )
    values = [1, 5, 20, 60, 240, 1440, 10080, 40320]
    words = {
        1: "1 min",
        5: "5 min",
        20: "20 min",
        60: "1 h",
        240: "4 h",
        1440: "1 day",
        10080: "1 week",
        40320: "4 weeks",
    }
    expr = " : ".join(f"datum.value == {value} ? '{text}'" for value, text in words.items())
    y = alt.Y(
        "minutes:Q",
        title="time to detect",
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(values=values, labelExpr=f"{expr} : ''"),
    )
    x = alt.X(
        "effect:Q",
        title=unit,
        scale=alt.Scale(type="log", nice=False, padding=8),
        axis=alt.Axis(tickCount=5, format="~g"),
    )
    dash = alt.StrokeDash("stage:N", sort=order, scale=alt.Scale(domain=order, range=DASHES[: len(order)]), legend=key)
    base = alt.Chart(shown).encode(x=x, y=y)
    fill = alt.Fill("within:N", scale=alt.Scale(domain=[True, False], range=[colours.ink, colours.paper]), legend=None)
    tips = [
        alt.Tooltip("stage:N"),
        alt.Tooltip("harm:N"),
        alt.Tooltip("minutes:Q", format=".3~s"),
        alt.Tooltip("found:N"),
    ]
    return finish(
        alt.layer(
            base.mark_line(color=colours.muted, strokeWidth=1.6).encode(strokeDash=dash, detail=alt.Detail("stage:N")),
            base.mark_point(size=42, stroke=colours.ink, strokeWidth=1.2, opacity=1, filled=True).encode(
                fill=fill, tooltip=tips
            ),
        ),
        colours,
        330,
    )


def evidence(points: pl.DataFrame, colours: Palette) -> Chart:
    """Evidence over its threshold, as it is and with the change. points: as `rollout_whatif.points`."""
    words = " : ".join(f"abs(datum.value / {value:g} - 1) < 0.01 ? '{text}'" for value, text in POWERS.items())
    y = alt.Y(
        "ratio:Q",
        title="evidence of harm / threshold (log)",
        scale=alt.Scale(type="log", domain=[FLOOR, CEILING], clamp=True),
        axis=alt.Axis(values=list(POWERS), labelExpr=f"{words} : ''"),
    )
    which = [TODAY, OTHER]
    colour = alt.Color("which:N", scale=alt.Scale(domain=which, range=[colours.muted, colours.ink]), legend=None)
    dash = alt.StrokeDash("which:N", scale=alt.Scale(domain=which, range=[[5, 4], [1, 0]]), legend=None)
    limit = alt.Chart(pl.DataFrame({"limit": [1.0]})).mark_rule(color=colours.bad, strokeWidth=1.5)
    line = alt.Chart(points).mark_line(strokeWidth=1.9)
    x = alt.X("start:T", axis=TIME, scale=UTC)
    return finish(
        alt.layer(
            limit.encode(y=alt.Y("limit:Q")),
            line.encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=_tips(points)),
        ),
        colours,
        240,
    )


def _tips(frame: pl.DataFrame) -> list[Any]:
    """Tooltips of all columns; times in UTC like the axes."""
    found = []
    for name, kind in frame.schema.items():
        if kind.is_temporal():
            found.append(alt.Tooltip(f"{name}:T", format="%Y-%m-%d %H:%M", formatType="utc"))
        else:
            found.append(alt.Tooltip(f"{name}:Q", format=".4~g") if kind.is_float() else alt.Tooltip(f"{name}:N"))
    return found
