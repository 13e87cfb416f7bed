"""Review, for leadership: may it grow, are customers better off, what happened, what does it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import streamlit as st

from controlplane.core.estimates import Interval
from controlplane.core.metrics import METRICS
from dashboards import acting, answers, data, export, filters, frames, measures, ui, windows
from dashboards.review import cards as review_cards
from dashboards.review import charts as charts_review
from dashboards.review import data as data_review
from dashboards.review import money as review_money
from dashboards.review import outlook
from dashboards.review import story as review_story
from dashboards.review import values as review_values
from dashboards.review import week as review_week
from dashboards.review.values import Pinned
from dashboards.shell import View, view
from dashboards.words import duration, percent, stamp, value_text

CARDS = (*measures.PROGRAMME, *measures.WATCHED)
AVERAGES = "Averages over a period hide the harm of its last minutes: while an incident is open, the incident decides, not these."
NO_WEEK = "no week"
BINS = 30


@dataclass(frozen=True)
class Period:
    """What the page looks at: its name, its bounds, the week where one was chosen."""

    name: str
    since: datetime
    until: datetime
    week: str | None = None

    @property
    def width(self) -> int:
        """Width of a bin of the trends, in seconds."""
        return data.bin_for(self.until - self.since, bins=BINS)

    @property
    def text(self) -> str:
        """Name and bounds."""
        return f"{self.name}: {stamp(self.since)[:16]} to {stamp(self.until)[:16]} UTC"


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    acting.outcome()
    answer = answers.answer(now.state, _traffic(now))
    ui.hero(answer)
    reviews = data_review.pinned(*now.at)
    _why(now, answer, reviews)
    if now.state.meta.newest is None:
        ui.empty(
            "No conversations yet.",
            "Send logs with `controlplane ingest FILE`, point an OpenTelemetry exporter at the control process, or watch `make demo`.",
        )
        return
    period = _period(now, reviews)
    sums, bins = _sums(now, period)
    _success(now, period, sums, bins)
    _trend(now, period, bins)
    _happened(now, period)
    _journey(now, period, sums, reviews)
    review_money.show(now, period.since, period.until, period.name, bins)
    review_week.earlier(now, reviews)


def _traffic(now: View) -> outlook.Traffic | None:
    if now.state.rollout is None:
        return None
    times = measures.maturities(now.state, METRICS)
    return data_review.traffic(*now.at, now.state.rollout.stage_started_at, now.state.meta.now, times)


def _why(now: View, answer: answers.Answer, reviews: Sequence[Pinned]) -> None:
    """The last incident's containment; what the gate asks beside the newest weekly review."""
    for incident in now.state.open_incidents[:1]:
        with st.container(border=True):
            st.html(ui.incident_head(incident))
            ui.containment(incident)
            st.caption(f"{ui.exposed(incident)} \u00b7 {incident.incident_id} \u00b7 times in UTC")
    if not answer.lines:
        review_week.newest(now, reviews)
        return
    left, right = st.columns([3, 2], gap="medium")
    with left, st.container(border=True):
        missing = [line for line in answer.lines if line.tone != answers.GOOD]
        met = len(answer.lines) - len(missing)
        said = ui.chip(f"{met} of {len(answer.lines)} met", answers.GOOD if not missing else answers.QUIET)
        st.html(ui.head("What the next step asks", said))
        st.html(review_cards.requirements(missing or list(answer.lines)))
        if missing and met:
            with st.expander(f"The {met} that are met"):
                st.html(review_cards.requirements([line for line in answer.lines if line.tone == answers.GOOD]))
    with right:
        review_week.newest(now, reviews)


def _period(now: View, reviews: Sequence[Pinned]) -> Period:
    """A window up to now, or a calendar week; both stand in the address."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    first = now.state.first or now.state.meta.now
    names = [NO_WEEK, *review_values.weeks(first, now.state.meta.now)]
    with right:
        week = _week(names, {one.week for one in reviews})
    bounds = None if week == NO_WEEK else review_values.week_bounds(week, now.state.meta.now)
    with left:
        if bounds is not None:
            st.caption(f"Week {week} is shown, Monday to Monday in UTC. Choose “{NO_WEEK}” for another period.")
            return Period(f"Week {week}", bounds[0], min(bounds[1], now.state.meta.now), week)
        choice = filters.pick("window", "Period", windows.REVIEW, windows.WEEK)
    since, until = windows.review_window(now.state, choice)
    return Period(choice, since, until)


def _week(names: Sequence[str], pinned: set[str]) -> str:
    """The week of the address, or the one that is picked."""
    asked = st.query_params.get("week", NO_WEEK)
    index = list(names).index(asked) if asked in names else 0
    chosen = st.selectbox(
        "Or a week, Monday to Monday",
        names,
        index=index,
        format_func=lambda name: f"{name} (pinned)" if name in pinned else name,
        key="pick_week",
    )
    if chosen != NO_WEEK:
        st.query_params["week"] = chosen
    elif "week" in st.query_params:
        del st.query_params["week"]
    return str(chosen)


def _sums(now: View, period: Period) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Sums of the comparison per share span, and of the trends per bin."""
    spans = measures.comparison_spans(answers.history(now.state), (period.since, period.until))
    sums = data.measures(*now.at, spans, measures.maturities(now.state, METRICS))
    shown_since = max(period.since, now.state.first or period.since)
    width = data.bin_for(period.until - shown_since, bins=BINS)
    names = (*CARDS, "cost_per_1k_tokens", "traffic_volume")
    bins = data.trend(*now.at, names, shown_since, period.until, width)
    return sums, bins.with_columns(width=pl.lit(width))


def _success(now: View, period: Period, sums: pl.DataFrame, bins: pl.DataFrame) -> None:
    ui.section(
        f"Is it better than the {now.baseline}?",
        f"{period.text}. Assistant against {now.baseline} at the same time, eligible conversations only, within each share of the ramp."
        " Bars are 95 % intervals; those of differences hold however often you look. The dashed mark is the most harm that the policy tolerates.",
    )
    if now.state.open_incidents:
        st.caption(AVERAGES)
    if sums.is_empty():
        ui.empty(
            "No comparison in this period.",
            "Choose a longer one, or wait until the assistant has served customers beside the baseline.",
        )
        return
    _cards(now, sums, bins)
    ui.legend(now.baseline)
    st.html('<div class="cp-title" style="margin-top:.6rem">Also watched</div>')
    found = [_measured(now, name, sums, bins, 30) for name in measures.WATCHED]
    st.html(review_cards.watched([(one, picture) for one, picture, _ in found], now.baseline))
    spans = measures.comparison_spans(answers.history(now.state), (period.since, period.until))
    params = data.measure_params(spans, measures.maturities(now.state, METRICS))
    export.offer("review_measures", sums, "pages/measures", params, "Sums per metric, share of the ramp and arm.")


def _cards(now: View, sums: pl.DataFrame, bins: pl.DataFrame) -> None:
    grid = st.grid(columns=3, min_column_width=270, border=True, key="grid_programme")
    for name in measures.PROGRAMME:
        one, picture, interval = _measured(now, name, sums, bins, 44)
        with grid.cell():
            st.html(review_cards.card(one, now.baseline, interval, picture))


def _measured(
    now: View, name: str, sums: pl.DataFrame, bins: pl.DataFrame, height: int
) -> tuple[measures.Measure, str, Interval | None]:
    """A measure, its course as a picture, and for a ratio the interval of its value."""
    one = measures.measure(name, sums, now.state.policy)
    points = frames.trend(bins, one.metric, _width(bins))
    mine = bins.filter((pl.col("metric") == name) & (pl.col("arm") == "assistant"))
    interval = measures.ratio_interval(mine, one.metric) if name == "cost_per_resolved" else None
    return one, review_cards.spark(points, one, now.colours, now.baseline, height), interval


def _width(bins: pl.DataFrame) -> timedelta:
    return timedelta(seconds=int(bins["width"][0]) if bins.height else 60)


def _trend(now: View, period: Period, bins: pl.DataFrame) -> None:
    ui.section(
        "How it went",
        "One measure of both arms over the period; bands are 95 % intervals, dotted lines mark where the share of traffic changed."
        " The newest points may still change until their labels are final. Times in UTC.",
    )
    shown = [name for name in CARDS if name != "cost_per_resolved"]
    left, right = st.columns([1, 2], vertical_alignment="bottom")
    with left:
        name = filters.pick("trend", "Measure", shown, shown[0], lambda item: METRICS[item].title)
    with right:
        ui.legend(now.baseline)
    metric = METRICS[name]
    points = frames.trend(bins, metric, _width(bins))
    if points.is_empty():
        ui.empty(f"No {metric.title} in this period.", "Choose another measure or a longer period.")
        return
    changes = [span.since for span in answers.history(now.state) if period.since < span.since < period.until]
    ui.figure(charts_review.trend(points, metric, changes, now.colours), _trend_words(points, name, now), "trend")


def _trend_words(points: pl.DataFrame, name: str, now: View) -> str:
    metric = METRICS[name]
    mine = points.filter(pl.col("arm") == "assistant").sort("start")
    if mine.is_empty():
        return f"{metric.title} of the {now.baseline} alone"
    first, last = (value_text(metric, float(mine["value"][index])) for index in (0, -1))
    return f"{metric.title} ({metric.unit}) of the assistant went from {first} to {last}, beside the {now.baseline}"


def _happened(now: View, period: Period) -> None:
    ui.section(
        "What happened",
        "Share of customers whom the assistant served, the releases below it, and what happened at the numbers. Times in UTC.",
    )
    spans = review_story.clipped(answers.history(now.state), period.since, period.until)
    if not spans:
        ui.empty(
            "No release was rolled out in this period.",
            "`controlplane release start NAME --actor YOU --artefact model=HASH` begins the first stage.",
        )
    else:
        _timeline(now, period, spans)
    decided = review_story.decisions(now.state, period.since, period.until)
    if decided:
        with st.expander("Decisions, newest first"):
            ui.table(("When", "What", "Who", "Why"), decided, when=(0,))


def _timeline(now: View, period: Period, spans: Sequence[answers.Span]) -> None:
    """The chart with the list of its numbers."""
    found = review_story.events(now.state, spans[0].since, period.until)
    shares = review_story.share_frame(spans, now.state.policy, now.baseline)
    lanes = review_story.release_frame(spans, now.baseline)
    said = "; ".join(f"{stamp(row['since'])[:16]} {row['what']}" for row in shares[-20:].to_dicts())
    chart = charts_review.timeline(shares, lanes, review_story.mark_frame(found), now.colours)
    ui.figure(chart, f"Share over time: {said}", "timeline")
    if found:
        ui.table(("", "When", "What"), review_story.event_rows(found, now.state.meta.now), when=(1,))


def _journey(now: View, period: Period, sums: pl.DataFrame, reviews: Sequence[Pinned]) -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _funnel(now, period, sums, reviews)
    with right:
        _topics(now)


def _funnel(now: View, period: Period, sums: pl.DataFrame, reviews: Sequence[Pinned]) -> None:
    kept = next((one for one in reviews if one.week == period.week and not one.corrected_by), None)
    source = f"As pinned in {kept.review_id}." if kept else "Outcomes as known now."
    ui.section(
        "From question to resolution",
        f"Conversations of the period, and beside each bar its share of the step before. {source}",
    )
    steps, said = review_story.pinned_funnel(data_review.document(*now.at, kept.review_id)) if kept else (None, "")
    if steps is None or steps.is_empty():
        names = ("escalation_rate", "resolution_rate")
        width = max(int((period.until - period.since).total_seconds()), 60)
        whole = data.trend(*now.at, names, period.since, period.until, width)
        steps = review_story.funnel(data.volume(*now.at, period.since, period.until), whole)
        said = _returned(now, sums)
    alt = "; ".join(f"{row['step']} {row['label']}" for row in steps.to_dicts())
    ui.figure(charts_review.funnel(steps, now.colours), alt, "funnel")
    if said:
        st.caption(said)


def _returned(now: View, sums: pl.DataFrame) -> str:
    found = measures.measure("contact_rate", sums, now.state.policy) if not sums.is_empty() else None
    if found is None or found.treated is None:
        return ""
    share, within = value_text(found.metric, 1 - found.treated), duration(found.maturity)
    young = " Provisional: for none of them is that time over." if found.provisional else ""
    return f"Not back within {within}: {share} of {found.n_treated:,} conversations with the assistant; {review_cards.maturity(found)}.{young}"


def _topics(now: View) -> None:
    ui.section(
        "What it could not answer",
        "Topics of unresolved or unsure questions, by customers affected: what to write into the knowledge base next.",
    )
    found = data_review.newest(*now.at, "topics")
    rows = review_story.topic_rows(found.get("topics") or ())
    if not found:
        ui.empty("No topics yet.", "They are found every week; `controlplane topics` finds them now.")
        return
    if not rows:
        ui.empty("No topic stands out.", str(found.get("reason") or "Too few open questions."))
    else:
        ui.table(("Topic", "Customers", ""), rows, numeric=(1,))
    asked, open_ones = int(found.get("asked") or 0), int(found.get("questions") or 0)
    share = f" ({percent(open_ones / asked)})" if asked else ""
    st.caption(
        f"{open_ones:,} open questions in {asked:,} conversations{share}, {str(found.get('since'))[:10]} to"
        f" {str(found.get('until'))[:10]}. All of them are on the page Quality."
    )
    st.page_link("app_pages/quality_page.py", label="All topics, with examples")


main()
