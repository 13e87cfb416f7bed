"""Charts of the Quality page: frames in, Altair charts out. Pure."""

from __future__ import annotations

import altair as alt
import polars as pl

from dashboards.charts import Chart, finish
from dashboards.theme import Palette


def calibration(frame: pl.DataFrame, colours: Palette, height: int = 300) -> Chart:
    """How often the classifier is right against how sure it says it is. frame: said, right, low, high, labels, answers.

    The dashed diagonal is perfect calibration; below it the classifier is surer than it should be.
    """
    scale = alt.Scale(domain=[0, 1.04], nice=False)  # room for the dot of those that are surest
    ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
    x = alt.X("said:Q", title="it says (confidence)", scale=scale, axis=alt.Axis(format="%", values=ticks))
    y = alt.Y("right:Q", title="it is right (share of labels)", scale=scale, axis=alt.Axis(format="%", values=ticks))
    ideal = alt.Chart(pl.DataFrame({"said": [0.0, 1.0], "right": [0.0, 1.0]}))
    diagonal = ideal.mark_line(color=colours.muted, strokeDash=[4, 4], strokeWidth=1.5).encode(x=x, y=y)
    base = alt.Chart(frame)
    bars = base.mark_rule(color=colours.ink, strokeWidth=1.6, opacity=0.55).encode(
        x=alt.X("said:Q"), y=alt.Y("low:Q"), y2=alt.Y2("high:Q")
    )
    size = alt.Size("answers:Q", scale=alt.Scale(range=[40, 420], domainMin=0), legend=None)
    tips = [
        alt.Tooltip("said:Q", format=".1%", title="it says"),
        alt.Tooltip("right:Q", format=".1%", title="it is right"),
        alt.Tooltip("low:Q", format=".1%", title="95 % from"),
        alt.Tooltip("high:Q", format=".1%", title="to"),
        alt.Tooltip("labels:Q", format=",", title="labels"),
        alt.Tooltip("answers:Q", format=",", title="answers of that confidence"),
    ]
    dots = base.mark_point(filled=True, color=colours.ink, opacity=0.9).encode(
        x=alt.X("said:Q"), y=alt.Y("right:Q"), size=size, tooltip=tips
    )
    return finish(alt.layer(diagonal, bars, dots), colours, height)


def matrix(frame: pl.DataFrame, order: list[str], colours: Palette) -> Chart:
    """The confusion matrix: a row a true intent, shaded by the share of the row. frame: truth, predicted, n, share, wrong, label."""
    axis = alt.Axis(ticks=False, domain=False, labelLimit=170, labelFontSize=11)
    across = alt.Axis(ticks=False, domain=False, labelAngle=-45, labelLimit=140, labelFontSize=11, orient="top")
    x = alt.X("predicted:N", sort=order, title="taken for", axis=across)
    y = alt.Y("truth:N", sort=order, title="meant", axis=axis)
    tips = [
        alt.Tooltip("truth:N", title="meant"),
        alt.Tooltip("predicted:N", title="taken for"),
        alt.Tooltip("n:Q", format=",", title="labels"),
        alt.Tooltip("share:Q", format=".1%", title="of the row"),
    ]
    base = alt.Chart(frame).encode(x=x, y=y, tooltip=tips)
    shade = alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.08, 0.55]), legend=None)
    tone = alt.Color("wrong:N", scale=alt.Scale(domain=[False, True], range=[colours.muted, colours.bad]), legend=None)
    cells = base.mark_rect(cornerRadius=3).encode(opacity=shade, color=tone)
    words = base.mark_text(color=colours.ink, fontSize=11).encode(text=alt.Text("label:N"))
    return finish(alt.layer(cells, words), colours, 26 * len(order) + 110)


def confidences(frame: pl.DataFrame, colours: Palette, height: int = 90) -> Chart:
    """How sure the classifier was of all answers. frame: low, high, answers."""
    x = alt.X(
        "low:Q",
        title="confidence of all answers, labelled or not",
        scale=alt.Scale(domain=[0, 1], nice=False),
        axis=alt.Axis(format="%", values=[0, 0.2, 0.4, 0.6, 0.8, 1]),
    )
    y = alt.Y("answers:Q", title="answers", axis=alt.Axis(tickCount=2, format="~s"))
    bars = alt.Chart(frame).mark_rect(color=colours.muted, opacity=0.6, stroke=colours.paper)
    tips = [alt.Tooltip("low:Q", format=".0%", title="from"), alt.Tooltip("answers:Q", format=",")]
    return finish(bars.encode(x=x, x2=alt.X2("high:Q"), y=y, y2=alt.datum(0), tooltip=tips), colours, height)
