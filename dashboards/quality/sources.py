"""Whether answers keep to their sources: how often over time against the policy's limit, and answers to read."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import polars as pl
import streamlit as st

from controlplane.core.metrics import METRICS
from dashboards import charts, data, export, filters, frames, ui
from dashboards.quality import asked as quality_asked
from dashboards.quality import html as quality_html
from dashboards.quality.words import count, part
from dashboards.shell import View
from dashboards.words import stamp

METRIC = METRICS["hallucination_rate"]
VERDICTS = {"ungrounded": "Not backed by their sources", "grounded": "Backed by their sources"}
EXAMPLES = 4


def show(
    now: View, since: datetime, sums: pl.DataFrame, width: int, limit: float | None, asked: dict[str, Any]
) -> None:
    """The view. sums: per bin of `width` seconds, as `data.trend` gives them."""
    against = "the policy sets no limit" if limit is None else f"red line: the policy's limit, {part(limit)}"
    ui.section(
        "Answers that say what their sources do not",
        f"{METRIC.title}: share of the assistant's judged answers, drawn at random, whatever the release; {against}."
        " Bands are 95 % intervals, times in UTC.",
    )
    points = frames.trend(sums, METRIC, timedelta(seconds=width)).filter(pl.col("arm") == "assistant")
    if points.is_empty():
        ui.empty(
            "No answer was judged in this window.",
            "The control process judges a random share of the answers by itself (`controlplane up`); a longer window may have some.",
        )
    else:
        last = points.row(-1, named=True)
        newest = f"{part(last['value'])} ({part(last['low'])} to {part(last['high'])}) of {last['n']:,} answers"
        alt = f"{METRIC.title} over time, {against}. Newest: {newest}."
        ui.figure(charts.rates(points, limit, now.colours, height=230), alt, "quality_grounded")
        params = {
            "metrics": [METRIC.name],
            "since": since.replace(tzinfo=None),
            "until": now.state.meta.now.replace(tzinfo=None),
            "bin_seconds": width,
        }
        export.offer("quality_grounded", sums, "pages/trend", params)
    ui.section(
        "Read some",
        "The newest judged answers with the pages they name, masked as stored. Reading them is written into the audit log.",
    )
    verdict = filters.pick("verdict", "Answers", tuple(VERDICTS), "ungrounded", lambda name: VERDICTS[name])
    if quality_asked.silent(now):
        return
    found = quality_asked.rows(now, "quality_judged", asked | {"label": verdict, "most": EXAMPLES}, "answers")
    if found is None:
        return
    rows, among = found
    if not rows:
        ui.empty("None in this window.", "Choose a longer window, or look at the other kind.")
        return
    grid = st.grid(columns=2, min_column_width=330, gap="medium", key="quality_examples")
    for row in rows:
        with grid.cell():
            st.html(quality_html.example(row, verdict, f"{stamp(quality_html.moment(row['ts']))[:16]} UTC"))
    st.caption(f"The newest {len(rows)} of {count(among, 'answer')}. More: Conversation, what went wrong.")


def trend(now: View, since: datetime) -> tuple[pl.DataFrame, int]:
    """Sums of the metric per bin, and the width of a bin in seconds."""
    since = max(since, now.state.first or since)
    width = data.bin_for(now.state.meta.now - since, bins=40)
    return data.trend(*now.at, (METRIC.name,), since, now.state.meta.now + timedelta(seconds=1), width), width
