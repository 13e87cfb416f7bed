"""Charts of the Experiments page: frames in, Altair out. Pure. Zero is the baseline, drawn solid; the policy's margin is the dashed red line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import altair as alt
import polars as pl

from controlplane.core.metrics import Direction, Metric
from dashboards.charts import finish
from dashboards.theme import Palette

Chart = Any  # Altair ships no types

_TIME = alt.Axis(title=None, format="%-d %b %H:%M", labelOverlap=True, tickCount=6, labelFlush=True)


def scale_of(metric: Metric) -> tuple[float, str]:
    """What a difference is multiplied by to be shown, and its unit: shares in percentage points."""
    if metric.unit == "share":
        return 100.0, "percentage points"
    return 1.0, metric.unit.split(" (")[0]


def interval_over_time(
    frame: pl.DataFrame,
    metric: Metric,
    margin: float | None,
    changes: Sequence[tuple[datetime, str]],
    colours: Palette,
    one_look: bool,
    baseline: str = "baseline",
) -> Chart:
    """Difference so far with its interval at each moment.

    frame: as `experiments_effects.trace`. changes: moments at which the share changed, each with a label.
    """
    factor, unit = scale_of(metric)
    names = ("estimate", "low", "high", "one_low", "one_high")
    shown = frame.with_columns(*(pl.col(name) * factor for name in names))
    reach = _reach(shown, None if margin is None else margin * factor)
    x = alt.X("start:T", axis=_TIME, scale=alt.Scale(type="utc"))
    y = alt.Y(
        "low:Q",
        title=f"assistant \u2212 {baseline}, {unit}",
        scale=alt.Scale(domain=[-reach, reach], nice=False, clamp=True),
        axis=alt.Axis(tickCount=5),
    )
    base = alt.Chart(shown).encode(x=x)
    layers = [_rule(0.0, colours.muted, None)]
    if changes:
        marks = pl.DataFrame({"start": [at for at, _ in changes], "label": [label for _, label in changes]})
        when = alt.Chart(marks).encode(x=alt.X("start:T"))
        layers.append(when.mark_rule(color=colours.faint, strokeWidth=1.5).encode())
        words = when.mark_text(align="left", baseline="top", dx=4, color=colours.muted, fontSize=11)
        layers.append(words.encode(y=alt.value(2), text=alt.Text("label:N")))
    layers.append(base.mark_area(color=colours.ink, opacity=0.14).encode(y=y, y2=alt.Y2("high:Q")))
    if one_look:
        for end in ("one_low", "one_high"):
            dotted = base.mark_line(color=colours.muted, strokeWidth=1.2, strokeDash=[2, 3])
            layers.append(dotted.encode(y=alt.Y(f"{end}:Q")))
    if margin is not None:
        worse = -1.0 if metric.direction is Direction.HIGHER else 1.0
        layers.append(_rule(worse * margin * factor, colours.bad, [5, 3]))
    tips = [
        alt.Tooltip("start:T", title="until", format="%Y-%m-%d %H:%M", formatType="utc"),
        *(alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("estimate", "low", "high")),
        alt.Tooltip("n:Q", title="units", format=",.0f"),
    ]
    line = base.mark_line(color=colours.ink, strokeWidth=2.2, point=alt.OverlayMarkDef(size=18, color=colours.ink))
    layers.append(line.encode(y=alt.Y("estimate:Q"), tooltip=tips))
    return finish(alt.layer(*layers), colours, 300)


def forest(
    frame: pl.DataFrame, metric: Metric, common: float | None, colours: Palette, baseline: str = "baseline"
) -> Chart:
    """One interval per segment. frame: name (with its units), estimate, low, high, tone; `common`: the effect over all of them, dotted."""
    factor, unit = scale_of(metric)
    shown = frame.with_columns(*(pl.col(name) * factor for name in ("estimate", "low", "high")))
    reach = 1.08 * max(abs(float(end)) for name in ("low", "high") for end in shown[name].to_list()) or 1.0
    order = shown["name"].to_list()
    y = alt.Y("name:N", sort=order, title=None, axis=alt.Axis(labelLimit=230, ticks=False, domain=False))
    x = alt.X(
        "low:Q",
        title=f"assistant \u2212 {baseline}, {unit}",
        scale=alt.Scale(domain=[-reach, reach], nice=False, clamp=True),
        axis=alt.Axis(tickCount=7),
    )
    base = alt.Chart(shown).encode(y=y)
    tones = ["good", "wait", "bad", "quiet"]
    colour = alt.Color(
        "tone:N",
        scale=alt.Scale(domain=tones, range=[colours.good, colours.ink, colours.bad, colours.ink]),
        legend=None,
    )
    layers = [_rule(0.0, colours.muted, None, "x")]
    if common is not None:
        layers.append(_rule(common * factor, colours.muted, [2, 3], "x"))
    layers.append(base.mark_rule(strokeWidth=3).encode(x=x, x2=alt.X2("high:Q"), color=colour))
    tips = [alt.Tooltip("name:N", title="segment")]
    tips += [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("estimate", "low", "high")]
    dots = base.mark_point(filled=True, size=80, opacity=1)
    layers.append(dots.encode(x=alt.X("estimate:Q"), color=colour, tooltip=tips))
    return finish(alt.layer(*layers), colours, 30 * max(len(order), 2) + 52)


def _reach(frame: pl.DataFrame, margin: float | None) -> float:
    """Half the axis: room for all that is known and the margin; the first bins' very wide intervals are cut."""
    last = frame.tail(max(frame.height * 3 // 4, 1))
    ends = [abs(float(value)) for name in ("low", "high") for value in last[name].to_list()]
    return 1.12 * max([*ends, abs(margin or 0.0)]) or 1.0


def _rule(value: float, colour: str, dash: list[int] | None, axis: str = "y") -> Chart:
    row = alt.Chart(pl.DataFrame({"at": [value]}))
    mark = row.mark_rule(color=colour, strokeWidth=1.5, strokeDash=dash or [1, 0])
    return mark.encode(y=alt.Y("at:Q")) if axis == "y" else mark.encode(x=alt.X("at:Q"))
