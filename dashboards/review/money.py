"""What it costs and what that means: spent, the month's forecast with its interval, the cost of serving everyone, the recorded trade-off."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape

import polars as pl
import streamlit as st

from controlplane.core.estimates import Interval
from controlplane.core.metrics import METRICS
from controlplane.core.weekly_forecast import DAY, of_month
from dashboards import measures, ui
from dashboards.review import data as data_review
from dashboards.shell import View

LOOK_BACK = timedelta(days=62)  # this month and, for the forecast, the last 28 days before it
LEVEL = 0.95
VERDICT_TONES = {"grow": "good", "roll back": "bad", "hold": "wait"}


def show(now: View, since: datetime, until: datetime, name: str, bins: pl.DataFrame) -> None:
    """Two cards side by side."""
    left, right = st.columns(2, gap="large")
    with left:
        ui.section("What it costs", "Model cost of the assistant in USD, at the price valid on the day.")
        _cost(now, since, until, name, bins)
    with right:
        ui.section(
            "Satisfaction, latency, cost: the trade-off", "The newest recorded decision, from certified figures."
        )
        _tradeoff(now)


def _cost(now: View, since: datetime, until: datetime, name: str, bins: pl.DataFrame) -> None:
    mine = bins.filter((pl.col("arm") == "assistant") & (pl.col("metric") == "cost_per_1k_tokens"))
    spent = float(mine["total"].sum())
    pairs = [(name, money(spent)), *month_rows(now, until), *everyone_rows(bins)]
    budget = now.state.policy.programme.monthly_budget_usd if now.state.policy else 0.0
    pairs.append(("Budget of the month", money(budget) if budget else "none is set in the policy"))
    cells = "".join(f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in pairs)
    st.html(f'<dl class="cp-facts">{cells}</dl>')
    st.page_link("app_pages/cost_page.py", label="Models, tokens and savings")


def month_rows(now: View, until: datetime) -> list[tuple[str, str]]:
    """The month so far, and its forecast or why there is none. The same method as the weekly review's."""
    end = min(until, now.state.meta.now)
    since = end - LOOK_BACK
    daily = {row["day"]: float(row["cost_usd"]) for row in data_review.daily_cost(*now.at, since, end).to_dicts()}
    month = of_month(daily, since, end, LEVEL)
    told = month.told
    label = f"{month.begin:%B} so far"
    if told.month.value is None or told.month.low is None or told.month.high is None:
        return [(label, money(month.spent)), (f"Forecast of {month.begin:%B}", f"not yet: {told.reason}")]
    shown = f"{money(told.month.value)} [{money(told.month.low)}, {money(told.month.high)}]"
    return [(label, money(month.spent)), (f"Forecast of {month.begin:%B}", shown)]


def everyone_rows(bins: pl.DataFrame) -> list[tuple[str, str]]:
    """What a month would cost if every eligible customer were served, at the traffic and the cost per conversation of the period."""
    found = everyone(bins)
    if found is None:
        return []
    return [
        (
            "Serving everyone, 30 days",
            f"{money(found.estimate)} [{money(found.low)}, {money(found.high)}] at the period\u2019s traffic",
        )
    ]


def everyone(bins: pl.DataFrame) -> Interval | None:
    """USD for 30 days of all eligible conversations, with the 95 % interval of the cost per conversation; None for too little data."""
    volume = bins.filter(pl.col("metric") == "traffic_volume")
    cost = bins.filter((pl.col("metric") == "cost_per_1k_tokens") & (pl.col("arm") == "assistant"))
    if volume.is_empty() or cost.is_empty():
        return None
    mine = volume.filter(pl.col("arm") == "assistant").select("start", "n")
    joined = mine.join(cost.select("start", "total"), on="start", how="left").with_columns(
        pl.col("total").fill_null(0.0)
    )
    each = measures.ratio_interval(joined, METRICS["cost_per_resolved"])
    width = int(bins["width"][0])
    seconds = (volume["start"].max() - volume["start"].min()).total_seconds() + width  # type: ignore[operator, union-attr]
    if each is None:
        return None
    a_month = int(volume["n"].sum()) / seconds * 30 * DAY.total_seconds()
    return Interval(each.estimate * a_month, each.low * a_month, each.high * a_month)


def money(value: float) -> str:
    """USD for people: cents where they matter."""
    if 0 < value < 1:
        return f"${value:.3f}" if value < 0.1 else f"${value:.2f}"
    return f"${value:,.2f}" if value < 1000 else f"${value:,.0f}"


def _tradeoff(now: View) -> None:
    found = data_review.newest(*now.at, "tradeoff")
    if not found:
        ui.empty(
            "No trade-off is recorded.",
            "`controlplane tradeoff --record --actor YOU` weighs satisfaction, latency and cost of the release, and keeps the answer.",
        )
        return
    verdict, reason = str(found.get("verdict") or "unknown"), str(found.get("reason") or "").strip().rstrip(".")
    rows = []
    for key, title in (("satisfaction", "Satisfaction"), ("latency", "Latency"), ("cost", "Cost")):
        part = found.get(key) or {}
        rows.append((title, f"{part.get('verdict', 'unknown')}. {_sentence(str(part.get('reason') or ''))}"))
    cells = "".join(f"<dt>{title}</dt><dd>{escape(_capital(said))}</dd>" for title, said in rows)
    tone = VERDICT_TONES.get(verdict, "quiet")
    release = escape(str((found.get("question") or {}).get("release") or "release unknown"))
    recorded = escape(str(found["created_at"])[:16].replace("T", " "))
    st.html(
        f'{ui.head(f"{_capital(reason)}.", ui.chip(_capital(verdict), tone))}<dl class="cp-facts">{cells}</dl>'
        f'<div class="cp-small">{release}, recorded {recorded} UTC</div>'
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sentence(text: str) -> str:
    """A reason as a sentence; options of the command line are for who types them, so they are left away."""
    told = text.partition(": name --")[0].rstrip(".")
    return f"{_capital(told)}." if told else ""
