"""Review, for leadership: may it grow, are customers better off, what happened, what does it cost."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from html import escape

import polars as pl
import streamlit as st

from controlplane.core.metrics import METRICS
from dashboards import answers, charts, data, frames, measures, ui, windows
from dashboards.shell import View, view
from dashboards.words import count_text, difference_text, duration, percent, stamp, value_text

TRENDS = ("csat", "escalation_rate", "resolution_rate", "misclassification_rate", "contact_rate", "hallucination_rate")
AVERAGES = "Averages over a window hide the harm of its last minutes: while an incident is open, the incident decides, not these."
TONES = {
    measures.IMPROVED: "good",
    measures.NOT_WORSE: "good",
    "within limit": "good",
    measures.WORSE: "bad",
    "over limit": "bad",
}


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    answer = answers.answer(now.state)
    ui.hero(answer)
    _why(now, answer)
    _pinned(now)
    if now.state.meta.newest is None:
        ui.empty(
            "No conversations yet.",
            "Send logs with `controlplane ingest FILE`, point an OpenTelemetry exporter at the control process, or watch `make demo`.",
        )
        return
    choice = _window_choice()
    since, until = windows.review_window(now.state, choice)
    shown_since = max(since, now.state.first or since)
    sums = _sums(now, since, until)
    _success(now, sums, choice, f"{stamp(since)[:16]} to {stamp(until)[:16]} UTC")
    _timeline(now)
    _trends(now, shown_since, until)
    _funnel_and_cost(now, sums, since, until)


def _why(now: View, answer: answers.Answer) -> None:
    """The gate line by line, or the last incident's containment."""
    for incident in now.state.open_incidents[:1]:
        with st.container(border=True):
            st.html(ui.incident_head(incident))
            ui.containment(incident)
            st.caption(f"{ui.exposed(incident)} \u00b7 {incident.incident_id} \u00b7 times in UTC")
    if answer.lines:
        with st.expander("What the gate asks", expanded=True):
            ui.requirements(answer.lines)


def _pinned(now: View) -> None:
    """The newest pinned weekly review: its headline, and the page to keep or print."""
    if not now.state.reviews:
        return
    newest = now.state.reviews[0]
    with st.container(border=True):
        st.html(f"{ui.head('Newest weekly review')}<p>{escape(newest.headline)}</p>")
        st.caption(
            f"{newest.review_id}, pinned {stamp(newest.pinned_at)[:16]} UTC; `controlplane review show {newest.review_id}`"
        )
        path = (now.config.home / newest.path).resolve()
        if path.is_relative_to(now.config.home.resolve()) and path.is_file():
            st.download_button("Download the review", path.read_bytes(), path.name, "text/html", key="weekly_review")


def _window_choice() -> str:
    asked = st.query_params.get("window", windows.WEEK)
    start = asked if asked in windows.REVIEW else windows.WEEK
    choice = st.segmented_control("Window", windows.REVIEW, default=start, required=True, key="review_window")
    st.query_params["window"] = choice
    return choice


def _sums(now: View, since: datetime, until: datetime) -> pl.DataFrame:
    spans = measures.comparison_spans(answers.history(now.state), (since, until))
    return data.measures(*now.at, spans, measures.maturities(now.state, METRICS))


def _success(now: View, sums: pl.DataFrame, choice: str, window: str) -> None:
    baseline = now.baseline
    ui.section(
        f"Is it better than the {baseline}?",
        f"{choice}: {window}. Eligible conversations only, assistant against {baseline} at the same time; 95 % intervals that stay"
        " valid however often you look. Dashed line: the most harm that the policy tolerates.",
    )
    if now.state.open_incidents:
        st.caption(AVERAGES)
    if sums.is_empty():
        ui.empty(
            "No comparison in this window.",
            "Choose a longer window, or wait until the assistant has served customers beside the baseline.",
        )
        return
    _cards(now, sums, measures.PROGRAMME, "programme")
    st.caption("Also watched")
    _cards(now, sums, measures.WATCHED, "watched")


def _cards(now: View, sums: pl.DataFrame, names: Sequence[str], group: str) -> None:
    found = [measures.measure(name, sums, now.state.policy) for name in names]
    grid = st.grid(columns=len(names), min_column_width=205, border=True, key=f"grid_{group}")
    for one in found:
        with grid.cell():
            _card(now, one)


def _card(now: View, one: measures.Measure) -> None:
    metric = one.metric
    word = ui.chip(one.verdict.capitalize(), TONES.get(one.verdict, "quiet"))
    value = f"{value_text(metric, one.treated)} <small>{_beside(now, one)}</small>"
    st.html(f'{ui.head(metric.title)}<div class="cp-value">{value}</div><div>{word}</div>')
    if one.difference is not None:
        alt = f"{metric.title}, assistant minus {now.baseline}: {_difference(one)}"
        ui.figure(charts.difference(one, now.colours), alt, f"difference_{metric.name}")
    elif one.interval is not None and not metric.comparable:
        alt = f"{metric.title}: {value_text(metric, one.treated)}, {_beside(now, one)}"
        ui.figure(charts.against_limit(one, now.colours), alt, f"limit_{metric.name}")
    st.html(f'<div class="cp-small">{_footer(one)}</div>')


def _beside(now: View, one: measures.Measure) -> str:
    if one.metric.comparable:
        return f"{escape(now.baseline)} {value_text(one.metric, one.control)}"
    return "no limit set" if one.limit is None else f"limit {value_text(one.metric, one.limit)}"


def _difference(one: measures.Measure) -> str:
    found = one.difference
    if found is None:
        return "too little data for an interval"
    low, high = (difference_text(one.metric, end) for end in (found.low, found.high))
    return f"{difference_text(one.metric, found.estimate)} [{low}, {high}]"


def _footer(one: measures.Measure) -> str:
    if one.metric.comparable:
        first, counts = _difference(one), f"n {count_text(one.n_treated)} vs {count_text(one.n_control)}"
    else:
        found = one.interval
        ends = "" if found is None else f"[{value_text(one.metric, found.low)}, {value_text(one.metric, found.high)}]"
        first, counts = ends or "no data yet", f"n {count_text(one.n_treated)}"
    return f"{first}<br>{counts} \u00b7 {_maturity(one)}"


def _maturity(one: measures.Measure) -> str:
    if one.mature is None:
        return "no data in this window"
    if not one.maturity:
        return "final at once"
    return f"{percent(one.mature)} final (after {duration(one.maturity)})"


def _timeline(now: View) -> None:
    spans = answers.history(now.state)
    ui.section(
        "What happened",
        "Share of each phase's audience on the assistant; triangles: incidents, holds and known changes. Times in UTC.",
    )
    if not spans:
        ui.empty(
            "No release has been started.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` begins the first stage.",
        )
        return
    chart = charts.share_timeline(
        frames.share_spans(spans, now.state.policy, now.baseline), frames.marks(now.state, spans[0].since), now.colours
    )
    said = "; ".join(f"{stamp(span.since)[:16]} {span.phase} {percent(span.share)}" for span in spans)
    ui.figure(chart, f"Share over time: {said}", "timeline")
    _incident_table(now)
    ui.table(
        ("When", "What", "Who", "Why"),
        [
            (
                ui.when(row.moment, now.state.meta.now),
                escape(row.event.replace("_", " ")),
                escape(row.actor),
                escape(row.reason),
            )
            for row in now.state.log[:6]
        ],
        when=(0,),
    )


def _incident_table(now: View) -> None:
    """Every incident with the times that matter: onset to detection, detection to the verified cut, customers exposed."""
    rows = []
    for row in reversed(now.state.incidents[-5:]):
        found = duration(row.detected_at - row.onset_at) if row.onset_at else "\u2013"
        contained = (
            duration(row.verified_at - row.detected_at)
            if row.verified_at
            else "not verified"
            if row.cut_at
            else "\u2013"
        )
        met = "\u2013" if row.customers_exposed is None else f"{row.customers_exposed:,}"
        word = ui.chip(row.state.capitalize(), ui.INCIDENT_TONES.get(row.state, "bad"))
        rows.append((ui.when(row.detected_at, now.state.meta.now), escape(row.title), word, found, contained, met))
    if rows:
        head = ("Incident", "What", "State", "Onset to detection", "Detection to verified cut", "Customers exposed")
        ui.table(head, rows, numeric=(3, 4, 5), when=(0,))


def _trends(now: View, since: datetime, until: datetime) -> None:
    ui.section(
        "Trend",
        "Per arm over the window; dotted lines: the share of traffic changed. Recent points may still change until their labels are final.",
    )
    ui.legend(now.baseline)
    width = data.bin_for(until - since, bins=30)
    sums = data.trend(*now.at, TRENDS, since, until, width)
    changes = [span.since for span in answers.history(now.state) if since < span.since < until]
    grid = st.grid(columns=3, min_column_width=290, key="grid_trends")
    for name in TRENDS:
        metric = METRICS[name]
        points = frames.trend(sums, metric, timedelta(seconds=width))
        with grid.cell():
            st.html(f'<div class="cp-title">{escape(metric.title)}</div>')
            if points.is_empty():
                st.caption("no data in this window")
            else:
                ui.figure(
                    charts.trend(points, metric, changes, now.colours),
                    f"{metric.title} per arm over time",
                    f"trend_{name}",
                )


def _funnel_and_cost(now: View, sums: pl.DataFrame, since: datetime, until: datetime) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        ui.section(
            "From question to resolution",
            "Conversations in the window; beside each bar its share of the step before. Outcomes as known now.",
        )
        names = ("escalation_rate", "resolution_rate")
        whole = data.trend(*now.at, names, since, until, _whole(since, until))
        steps = frames.funnel(data.volume(*now.at, since, until), whole)
        ui.figure(charts.funnel(steps, now.colours), "Funnel of conversations", "funnel")
        returned = measures.measure("contact_rate", sums, now.state.policy) if not sums.is_empty() else None
        if returned and returned.treated is not None:
            share, within = value_text(returned.metric, returned.treated), duration(returned.maturity)
            st.caption(f"{share} of the assistant's customers came back within {within} ({_maturity(returned)}).")
    with right:
        _cost(now, since, until)


def _whole(since: datetime, until: datetime) -> int:
    """A bin that holds the whole window, in seconds: a few bins at most, which are added up."""
    return max(int((until - since).total_seconds()), 60)


def _cost(now: View, since: datetime, until: datetime) -> None:
    ui.section("Cost", "Model cost of the assistant in the window, in USD, at the price valid on the day.")
    names = ("cost_per_resolved", "cost_per_1k_tokens", "tokens_per_request")
    sums = data.trend(*now.at, names, since, until, _whole(since, until))
    sums = sums.filter(pl.col("arm") == "assistant")
    tiles = st.grid(columns=3, min_column_width=140, key="grid_cost")
    for name in names:
        rows, metric = sums.filter(pl.col("metric") == name), METRICS[name]
        value = metric.value(int(rows["n"].sum()), int(rows["x"].sum()), float(rows["total"].sum()))
        with tiles.cell():
            ui.tile(metric.title, value_text(metric, value), metric.denominator)
    usage = data.model_usage(*now.at, since, until)
    if usage.is_empty():
        st.caption("No model was called in this window.")
        return
    requests = max(int(usage["requests"].sum()), 1)
    lines = [
        (
            escape(row["model"]),
            count_text(row["requests"]),
            percent(row["requests"] / requests),
            f"${row['cost_usd']:,.2f}",
            count_text(row["unpriced"]),
        )
        for row in usage.to_dicts()
    ]
    ui.table(("Model", "Requests", "Share", "Cost", "Unpriced"), lines, numeric=(1, 2, 3, 4))


main()
