"""Cost: what a resolved conversation costs, where the money goes, what the month comes to, and what would save some of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

import polars as pl
import streamlit as st

from controlplane.analysis.tradeoff import dollars
from controlplane.core.metrics import METRICS
from controlplane.core.policy import Trigger
from dashboards import export, filters, measures, ui
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer
from dashboards.cost import charts as charts_cost
from dashboards.cost import data as data_cost
from dashboards.cost import month as cost_month
from dashboards.cost import values as cost_values
from dashboards.cost import whatif as cost_whatif
from dashboards.cost.month import Month
from dashboards.cost.values import LARGE, Figure, interval, text
from dashboards.data import bin_for
from dashboards.shell import View, view
from dashboards.words import duration, percent, stamp

WINDOWS = {"24 h": timedelta(hours=24), "7 days": timedelta(days=7), "28 days": timedelta(days=28)}
HOUR = 3600
LEVEL = 0.95


def main() -> None:
    """Config, data, figures, page."""
    now = view()
    if now.state.meta.newest is None:
        ui.hero(Answer("Nothing has been spent yet.", "Costs appear here with the first conversation.", QUIET))
        ui.empty("No conversations yet.", "Send logs with `controlplane ingest FILE`, or watch `make demo`.")
        return
    head = st.container()
    name = filters.pick("window", "Time", tuple(WINDOWS), "7 days", lambda one: f"Last {one}")
    until = now.state.meta.now
    since = max(until - WINDOWS[name], now.state.first or until - WINDOWS[name])
    width = bin_for(until - since, 60)
    groups = data_cost.groups(*now.at, since, until, width)
    models = data_cost.models(*now.at, since, until, max(width, HOUR))
    month = _month(now)
    resolved, final = _resolved(now, groups, since, until, width)
    with head:
        ui.hero(_headline(now, resolved, month, groups, name))
    _cards(now, groups, models, resolved, final, (since, until, width))
    _money(now, models, (since, until, max(width, HOUR)))
    _this_month(now, month)
    _releases(groups, since, until, width)
    cost_whatif.show(now, (until - since) / timedelta(hours=1), f"last {name}")


def _month(now: View) -> Month:
    end = now.state.meta.now
    budget = now.state.policy.programme.monthly_budget_usd if now.state.policy else 0.0
    return cost_month.month(data_cost.days(*now.at, end - cost_month.LOOK_BACK), end, budget, _level(now))


def _level(now: View) -> float:
    """Of the forecast's interval."""
    return now.state.policy.programme.level if now.state.policy else LEVEL


def _resolved(now: View, groups: pl.DataFrame, since: datetime, until: datetime, width: int) -> tuple[Figure, bool]:
    """Cost per resolved conversation, of those whose outcome is final where there are any; and whether it is final."""
    name = "cost_per_resolved"
    ((_, mature),) = measures.maturities(now.state, (name,))
    if mature > since:
        early = cost_values.figure(
            name, cost_values.of_arm(data_cost.groups(*now.at, since, min(mature, until), width), name)
        )
        if early.value is not None:
            return early, True
    return cost_values.figure(name, cost_values.of_arm(groups, name)), False


def _headline(now: View, resolved: Figure, month: Month, groups: pl.DataFrame, name: str) -> Answer:
    spent = cost_values.of_arm(groups, "cost_per_1k_tokens")
    total = float(spent["total"]) if spent else 0.0
    said, tone = month.standing
    if set(now.state.firing) & {one.name for one in _costly_triggers(now)}:
        tone = BAD
    coming = month.told.month
    if coming.value is not None and coming.low is not None and coming.high is not None:
        course = f"{month.name} comes to about {dollars(coming.value)} ({dollars(coming.low)} to {dollars(coming.high)}), {said}."
    else:
        course = f"What {month.name} comes to is not known yet: {month.told.reason}."
    priceless = cost_values.figure("unpriced_share", cost_values.of_arm(groups, "unpriced_share")).value or 0.0
    least = "at least " if priceless > LARGE else ""
    missing = (
        f" {percent(priceless)} of the requests have no known price, so every cost is a lower bound." if least else ""
    )
    sentence = f"{dollars(total)} for model calls in the last {name}. {course}{missing}"
    if resolved.value is None:
        known = "No model call has been paid for" if not total else "Nobody has told yet what was resolved"
        return Answer(f"{known}.", sentence, QUIET)
    costs = f"A resolved conversation costs {least}{text(resolved)} in model calls."
    if tone == BAD and month.spent > month.budget > 0:
        return Answer(f"The budget of {month.name} is spent.", f"{costs} {sentence}", BAD)
    if tone == BAD and month.budget:
        return Answer(f"{month.name} goes over its budget.", f"{costs} {sentence}", BAD)
    return Answer(costs, sentence, WAIT if least and tone in (GOOD, QUIET) else tone)


def _cards(
    now: View,
    groups: pl.DataFrame,
    models: pl.DataFrame,
    resolved: Figure,
    final: bool,
    span: tuple[datetime, datetime, int],
) -> None:
    """The figures, each with its interval, what it rests on, and its course."""
    ui.section(
        "What it costs",
        f"The assistant's model calls in US dollars, from {stamp(span[0])[:16]} to {stamp(span[1])[:16]} UTC; small lines: the same over time.",
    )
    since, until, width = span
    trend = data_cost.trend(*now.at, since, until, width)
    grid = st.grid(columns=3, min_column_width=280, border=True, key="cost_cards")
    wait = measures.maturity(now.state.policy, "cost_per_resolved")
    state = "final" if final else f"provisional: outcomes are final after {duration(wait)}"
    with grid.cell():
        _card(
            now,
            resolved,
            f"{resolved.n:,} resolved \u00b7 {state}",
            trend,
            "usd",
            None if final else ("Provisional", WAIT),
        )
    for name, kind in (("tokens_per_request", "count"), ("cost_per_1k_tokens", "usd")):
        found = cost_values.figure(name, cost_values.of_arm(groups, name))
        of = f"{found.n:,} requests with known tokens" if kind == "count" else f"{found.n:,} tokens with a price"
        with grid.cell():
            _card(now, found, of, trend, kind)
    with grid.cell():
        _cached(models)
    with grid.cell():
        _costly(now, *span[:2])
    with grid.cell():
        found = cost_values.figure("unpriced_share", cost_values.of_arm(groups, "unpriced_share"))
        _card(now, found, f"of {found.n:,} requests with tokens", None, "share", _priced(found))
    params = data_cost.window(*span) | {"metrics": list(cost_values.METRIC_NAMES)}
    export.offer("cost_figures", groups, "pages/cost_groups", params)


def _priced(found: Figure) -> tuple[str, str] | None:
    """What an unknown price means for every other figure."""
    if found.value is None:
        return None
    return (
        ("Costs are a lower bound", WAIT) if found.value > LARGE else ("All priced", GOOD) if found.value == 0 else None
    )


def _card(
    now: View, found: Figure, of: str, trend: pl.DataFrame | None, kind: str, chip: tuple[str, str] | None = None
) -> None:
    metric = METRICS[found.metric]
    _figure(metric.title, text(found), interval(found), of if found.value is not None else "nothing was logged", chip)
    if trend is None:
        return
    frame = cost_values.line(trend, found.metric)
    if frame.height > 2:
        first, last = (float(frame["value"][index]) for index in (0, -1))
        alt = f"{metric.title} over time: {text(found, first)} at first, {text(found, last)} at the end"
        ui.figure(charts_cost.line(frame, metric.unit.split(" per")[0], kind, now.colours), alt, f"cost_{found.metric}")


def _figure(title: str, value: str, spread: str, note: str, chip: tuple[str, str] | None = None) -> None:
    mark = ui.chip(*chip) if chip else ""
    st.html(
        f'{ui.head(title, mark)}<div class="cp-value">{escape(value)}</div>'
        f'<div class="cp-small">{escape(spread) or "&nbsp;"}</div><div class="cp-small">{escape(note)}</div>'
    )


def _cached(models: pl.DataFrame) -> None:
    value, spread = cost_values.cached(models)
    if value is None:
        _figure("Input read from the cache", "unknown", "", "no call told its tokens")
        return
    told = (
        "no call has read from it"
        if value == 0.0
        else "too little data for an interval"
        if spread is None
        else f"95 %: {percent(spread.low)} to {percent(spread.high)}"
    )
    tokens = int(models["tokens_in"].sum())
    _figure(
        "Input read from the cache",
        percent(value),
        told,
        f"of {tokens:,} input tokens; the provider charges less for them",
    )


def _costly(now: View, since: datetime, until: datetime) -> None:
    """Share of dear first requests, against the policy's limit."""
    title = METRICS["costly_share"].title
    mine = next(iter(_costly_triggers(now)), None)
    if mine is None:
        note = "the policy has no trigger on it; see the what-ifs"
        _figure(title, "not watched", "", note)
        return
    n, x = data_cost.costly(*now.at, mine.name, since, until)
    found = cost_values.share("costly_share", x, n)
    line = f"dearer than {dollars(mine.cap_usd or 0.0)} \u00b7 limit {percent(mine.limit)} \u00b7 {n:,} first requests"
    note = line if n else f"{line}; no block is closed in this time"
    _figure(title, text(found), interval(found), note, _standing(found, mine.limit))


def _costly_triggers(now: View) -> list[Trigger]:
    return [one for one in (now.state.policy.triggers if now.state.policy else ()) if one.metric == "costly_share"]


def _standing(found: Figure, limit: float) -> tuple[str, str] | None:
    """Whether the whole interval lies on one side of the limit."""
    if found.low is None or found.high is None:
        return None
    if found.low > limit:
        return "Over the limit", BAD
    return ("Within the limit", GOOD) if found.high <= limit else ("Not known yet", QUIET)


def _money(now: View, models: pl.DataFrame, span: tuple[datetime, datetime, int]) -> None:
    """Which models answer, and what each of them costs."""
    ui.section(
        "Where the money goes",
        f"{METRICS['model_usage'].title}: requests answered by each model of the assistant, and what its calls cost, per"
        f" {duration(timedelta(seconds=span[2]))}; times in UTC.",
    )
    rows = cost_values.model_rows(models)
    if not rows:
        where = "`model` of a turn, `gen_ai.request.model` of a span"
        ui.empty("No model was named in this time.", f"Choose a longer time, or let the logs name the model: {where}.")
        return
    requests, costs = cost_values.mix(models, "requests"), cost_values.mix(models, "cost_usd")
    left, right = st.columns(2, gap="large")
    if models["start"].n_unique() > 1:
        with left:
            top = rows_by(rows, "requests")[0]
            alt = f"Share of the requests by model over time; most go to {top['model']}"
            st.caption("Share of the requests")
            ui.figure(charts_cost.mix(requests, span[2], "share of the requests", True, now.colours), alt, "cost_mix")
        if not costs.is_empty():
            with right:
                st.caption("US dollars")
                alt = f"Cost by model over time; most is spent on {rows[0]['model']}, {dollars(rows[0]['cost_usd'])} in all"
                ui.figure(charts_cost.mix(costs, span[2], "US dollars", False, now.colours), alt, "cost_spent")
    _models(rows)
    export.offer("cost_models", models, "pages/cost_models", data_cost.window(*span))


def rows_by(rows: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    """The rows, largest of a column first."""
    return sorted(rows, key=lambda row: -float(str(row[name])))


def _models(rows: list[dict[str, object]]) -> None:
    whole, usd = (sum(float(str(row[name])) for row in rows) for name in ("requests", "cost_usd"))
    cells = []
    for row in rows:
        n = {name: float(str(row[name])) for name in row if name != "model"}
        tokens = n["tokens_in"] + n["tokens_out"]
        cells.append(
            (
                escape(str(row["model"])),
                f"{n['requests']:,.0f}",
                percent(n["requests"] / whole) if whole else "\u2013",
                f"{n['tokens_in']:,.0f} + {n['tokens_out']:,.0f}" if tokens else "\u2013",
                percent(n["tokens_cached"] / n["tokens_in"]) if n["tokens_in"] else "\u2013",
                dollars(n["cost_usd"]) if n["calls"] else "no calls",
                percent(n["cost_usd"] / usd) if usd and n["calls"] else "\u2013",
                dollars(1000 * n["cost_usd"] / tokens) if tokens else "\u2013",
                f"{n['errors']:,.0f}" if n["calls"] else "\u2013",
            )
        )
    head = [
        "Model",
        "Requests",
        "Of them",
        "Tokens in + out",
        "Cached",
        "Cost",
        "Of the cost",
        "Per 1K tokens",
        "Failed calls",
    ]
    ui.table(head, cells, numeric=tuple(range(1, len(head))))


def _this_month(now: View, month: Month) -> None:
    """Spent, where it goes, and the budget."""
    ui.section(
        month.name,
        "US dollars for model calls since the month began (UTC); dashed: the mean of the last whole days for every day left, with its"
        f" {percent(_level(now))} interval. A trend is not foreseen.",
    )
    said, tone = month.standing
    coming = month.told.month
    grid = st.grid(columns=3, min_column_width=220, key="cost_month")
    with grid.cell():
        ui.tile("Spent so far", dollars(month.spent), f"day {month.day} of {(month.end - month.begin).days}")
    with grid.cell():
        if coming.value is None or coming.low is None or coming.high is None:
            ui.tile("Comes to", "unknown", month.told.reason)
        else:
            ui.tile(
                "Comes to",
                dollars(coming.value),
                f"{dollars(coming.low)} to {dollars(coming.high)}, from {month.told.days} whole days",
            )
    with grid.cell():
        budget = dollars(month.budget) if month.budget else "none"
        note = said if month.budget else "set monthly_budget_usd of the policy's [programme]"
        ui.tile("Budget", budget, note, tone if month.budget and tone != QUIET else None)
    frame = cost_month.course(month)
    if len([day for day in month.days.values() if day > 0]) >= 2:
        where = "unknown" if coming.value is None else dollars(coming.value)
        alt = (
            f"Spent since {month.begin:%d %B}: {dollars(month.spent)} so far, forecast for the end of the month {where}"
        )
        ui.figure(charts_cost.month(frame, month.now, month.budget, now.colours), alt, "cost_course")
        since = month.now - cost_month.LOOK_BACK
        export.offer("cost_days", data_cost.days(*now.at, since), "pages/cost_days", {"since": data_cost.naive(since)})


def _releases(groups: pl.DataFrame, since: datetime, until: datetime, width: int) -> None:
    ui.section(
        "By release and phase",
        "In the order in which they began; 95 % intervals below each value. Outcomes of the last day may still come.",
    )
    found = cost_values.releases(groups)
    if not found:
        ui.empty("The assistant served nobody in this time.", "Choose a longer time.")
        return
    names = ("cost_per_resolved", "tokens_per_request", "cost_per_1k_tokens", "unpriced_share")
    cells = [
        (
            escape(release),
            escape(phase),
            *(_cell(figures[name]) for name in names),
            dollars(spent),
        )
        for release, phase, figures, spent in found
    ]
    head = ["Release", "Phase", *(METRICS[name].title for name in names), "Spent"]
    ui.table(head, cells, numeric=tuple(range(2, len(head))))


def _cell(found: Figure) -> str:
    if found.value is None:
        return "\u2013"
    spread = "" if found.low is None or found.high is None else f"{text(found, found.low)} to {text(found, found.high)}"
    return f'{escape(text(found))}<div class="cp-small">{escape(spread) or "&nbsp;"}</div>'


main()
