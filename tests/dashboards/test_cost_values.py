"""The figures of the cost page: values and intervals from sums, the month, the what-ifs, and charts that hold against Vega-Lite's schema."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from controlplane.analysis.tradeoff_savings import Gpu
from dashboards.cost import charts as charts_cost
from dashboards.cost import month as cost_month
from dashboards.cost import savings as cost_savings
from dashboards.cost import values as cost_values
from dashboards.cost.savings import Assumptions
from dashboards.theme import DARK, LIGHT

NOW = datetime(2026, 1, 20, 6, tzinfo=UTC)
DAY = timedelta(days=1)
SAID = Assumptions(0.2, 0.2, 24.0, 0.0, None)


def sums(metric: str, n: Any, total: Any, **more: Any) -> dict[str, Any]:
    n, total = np.asarray(n, float), np.asarray(total, float)
    row = {"metric": metric, "bins": len(n), "n": n.sum(), "total": total.sum(), "total_sq": 0.0, "x": 0.0}
    return {**row, "yy": (total**2).sum(), "xx": (n**2).sum(), "xy": (n * total).sum(), **more}


def test_a_ratio_has_the_interval_of_its_bins() -> None:
    rng = np.random.default_rng(2)
    n = rng.integers(50, 150, 40).astype(float)
    total = n * 0.002 * rng.normal(1, 0.1, 40)
    found = cost_values.figure("cost_per_1k_tokens", sums("cost_per_1k_tokens", n, total))
    again = np.array([(lambda at: total[at].sum() / n[at].sum())(rng.integers(0, 40, 40)) for _ in range(4000)]) * 1000
    assert found.value == pytest.approx(1000 * total.sum() / n.sum())
    assert found.low is not None
    assert found.high is not None
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * again.std(), rel=0.08)


def test_few_bins_have_a_value_and_no_interval() -> None:
    found = cost_values.figure("cost_per_resolved", sums("cost_per_resolved", [10, 20], [1.0, 2.0]))
    assert (found.value, found.low, cost_values.interval(found)) == (0.1, None, "too little data for an interval")


def test_tokens_vary_from_request_to_request_and_shares_have_wilsons_interval() -> None:
    tokens = np.array([100.0, 200.0, 300.0] * 30)
    found = cost_values.figure(
        "tokens_per_request", sums("tokens_per_request", [90], [tokens.sum()], total_sq=(tokens**2).sum())
    )
    assert found.value == 200
    assert found.high == pytest.approx(200 + 1.96 * tokens.std() / 90**0.5, rel=1e-4)
    share = cost_values.figure("unpriced_share", sums("unpriced_share", [200], [0.0], x=3))
    assert (cost_values.text(share), cost_values.interval(share)) == ("1.5 %", "95 %: 0.5 % to 4.3 %")
    for n, high in ((200, "1.9 %"), (786, "0.5 %")):
        assert cost_values.interval(cost_values.share("unpriced_share", 0, n)) == f"95 %: 0 % to {high}"


@pytest.mark.parametrize("row", [None, sums("unpriced_share", [0], [0.0])])
def test_without_units_a_figure_is_unknown(row: dict[str, Any] | None) -> None:
    found = cost_values.figure("unpriced_share", row)
    assert (cost_values.text(found), cost_values.interval(found), found.n) == ("unknown", "", 0)


def models() -> pl.DataFrame:
    rows = []
    for hour in range(12):
        for rank in range(7):
            base = {
                "model": f"m{rank}",
                "start": NOW - (12 - hour) * timedelta(hours=1),
                "requests": 100 >> rank,
                "calls": 1,
                "errors": 0,
            }
            rows.append(
                {
                    **base,
                    "unpriced": 0,
                    "tokens_in": 1000,
                    "tokens_cached": 100 + 10 * hour,
                    "tokens_out": 9,
                    "cost_usd": 0.1 * rank,
                }
            )
    return pl.DataFrame(rows)


def test_the_mix_keeps_the_busiest_models_and_loses_nothing() -> None:
    frame = models()
    mix = cost_values.mix(frame, "requests")
    assert mix.sort("order")["model"].unique(maintain_order=True).to_list() == [
        "m0",
        "m1",
        "m2",
        "m3",
        cost_values.OTHER,
    ]
    assert mix["value"].sum() == frame["requests"].sum()
    ranks = [dict(zip(one["model"], one["order"], strict=True)) for one in (mix, cost_values.mix(frame, "cost_usd"))]
    assert all(ranks[0][name] == rank for name, rank in ranks[1].items())  # one look in every chart
    assert "m0" not in cost_values.mix(frame, "cost_usd")["model"].to_list()  # it cost nothing
    assert [row["model"] for row in cost_values.model_rows(frame)][:2] == ["m6", "m5"]
    value, spread = cost_values.cached(frame)
    assert value == pytest.approx(0.155)
    assert spread is not None
    assert spread.low < 0.155 < spread.high
    assert cost_values.cached(frame.clear()) == (None, None)
    assert cost_values.cached(frame.filter(pl.col("start") == frame["start"][0]))[1] is None


def days(count: int, cost: float = 2.0) -> pl.DataFrame:
    rows = [{"day": date(2026, 1, 19) - i * DAY, "cost": cost + 0.2 * (i % 3)} for i in range(count)]
    return pl.DataFrame(rows, schema={"day": pl.Date, "cost": pl.Float64})


def test_the_month_is_what_was_spent_and_what_the_last_days_say() -> None:
    found = cost_month.month(days(19), NOW, 100.0, 0.95)
    assert found.spent == pytest.approx(days(19)["cost"].sum())
    assert found.told.days == 18  # the first day may have begun late
    assert found.standing == ("within the budget", "good")
    course = cost_month.course(found)
    assert course["at"].to_list()[0] == datetime(2026, 1, 1, tzinfo=UTC)
    assert course["at"].to_list()[-2:] == [NOW, datetime(2026, 2, 1, tzinfo=UTC)]
    assert course["usd"].to_list()[-2] == pytest.approx(found.spent)
    assert course["low"].to_list()[-1] < course["usd"].to_list()[-1] < course["high"].to_list()[-1]
    assert all(a <= b for a, b in zip(course["usd"].to_list(), course["usd"].to_list()[1:], strict=False))


@pytest.mark.parametrize(
    ("count", "budget", "said"),
    [
        (19, 0.0, ("no budget is set", "quiet")),
        (3, 60.0, ("not known yet", "quiet")),
        (19, 20.0, ("the budget is spent", "bad")),
        (19, 50.0, ("over the budget", "bad")),
        (19, 68.2, ("may pass the budget", "wait")),
    ],
)
def test_how_the_month_stands_to_its_budget(count: int, budget: float, said: tuple[str, str]) -> None:
    assert cost_month.month(days(count), NOW, budget, 0.95).standing == said


def test_the_last_moment_of_a_month_belongs_to_it() -> None:
    end = datetime(2026, 2, 1, tzinfo=UTC)
    found = cost_month.month(days(19), end, 0.0, 0.95)
    assert (found.name, found.day, found.told.month.value) == ("January 2026", 31, pytest.approx(found.spent))


def test_before_there_are_seven_whole_days_there_is_no_forecast() -> None:
    found = cost_month.month(days(3), NOW, 0.0, 0.95)
    assert found.told.month.value is None
    assert "2 whole days" in found.told.reason
    assert cost_month.course(found)["at"].to_list()[-1] == NOW
    assert cost_month.month(days(0), NOW, 0.0, 0.95).spent == 0.0


def answer(hours: float = 48.0) -> dict[str, Any]:
    eased = {"model": "large", "low_risk": True, "hybrid": False, "requests": 80, "cost": 8.0, "cost_sq": 0.9}
    arm = [1000, 900, 600, 100, 5.0, 0.1, 2.0, 0.5, 1000, 0]
    return {
        "since": (NOW - timedelta(hours=hours)).isoformat(),
        "until": NOW.isoformat(),
        "logged_hours": hours,
        "cache_hours": 24.0,
        "cap_usd": 0.05,
        "maturity_seconds": 3600,
        "eased": [eased, {**eased, "low_risk": False, "hybrid": True, "requests": 20, "cost": 2.0, "cost_sq": 0.3}],
        "prices": [{"model": "large", "fresh": 2e-6, "cached": 1e-6, "output": 8e-6, "fit": 0.001, "known": True}],
        "prompts": [["large", 100, 1e6, 2e10, 2e5, 10.0, 1.2]],
        "repeats": [[False, False, 60, 60, 6.0, 0.7], [True, True, 40, 40, 4.0, 0.5]],
        "hours": [[0, 50, 500_000, 500_000, 5.0], [1, 50, 500_000, 500_000, 5.0]],
        "firsts": [[90, 3, 0.01, 0.04, 0.06, 0.09]],
        "arms": [["assistant", *arm], ["baseline", 1000, 900, 300, 400, 0.0, 0.0, 0.0, 0.0, 0, 0]],
    }


def test_savings_move_with_what_is_assumed_and_are_sorted_by_what_they_save() -> None:
    found = cost_savings.traffic(answer())
    rows = cost_savings.savings(found, SAID)
    assert [row.name for row in rows] == ["small_model", "cache_words", "cache_intents", "hybrid", "prompts"]
    assert rows[0].saved is not None
    assert rows[0].saved.estimate == pytest.approx(0.8 * 0.8)
    assert rows[-1].usd == pytest.approx(0.2 * 2e-6 * 1e6)
    dear = cost_savings.savings(found, replace(SAID, small=1.0))
    assert next(row for row in dear if row.name == "small_model").usd == 0.0
    assert (found.a_month, found.spent) == (15.0, 10.0)
    assert cost_savings.traffic(answer(23.0)).a_month is None
    no_price = answer() | {"prices": []}
    told = cost_savings.savings(cost_savings.traffic(no_price), SAID)
    assert (told[-1].name, told[-1].saved) == ("prompts", None)
    assert cost_savings.savings_frame(told).height == 4


def test_people_decide_what_a_resolved_conversation_costs() -> None:
    found = cost_savings.traffic(answer())
    treated, control = cost_savings.against_people(found, replace(SAID, person=4.0))
    assert treated.interval is not None
    assert control.interval is not None
    assert treated.interval.estimate == pytest.approx((5.0 + 400.0) / 600)
    assert control.interval.estimate == pytest.approx(1600 / 300)
    assert str(treated.verdict) == "within target"
    dear, _ = cost_savings.against_people(found, replace(SAID, person=4.0, target=0.1))
    assert str(dear.verdict) == "above target"
    assert cost_savings.hardware(found, Gpu(2.0, 1500.0, 0.5)).yes is not None


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_charts_are_valid_and_name_their_units(colours: Any) -> None:
    frame = models()
    month = cost_month.month(days(19), NOW, 60.0, 0.95)
    drawn = {
        "share of the requests": charts_cost.mix(
            cost_values.mix(frame, "requests"), 3600, "share of the requests", True, colours
        ),
        "US dollars": charts_cost.mix(cost_values.mix(frame, "cost_usd"), 3600, "US dollars", False, colours),
        "budget of the month": charts_cost.month(cost_month.course(month), NOW, 60.0, colours),
        "tokens": charts_cost.line(
            frame.select("start", pl.col("tokens_in").alias("value")), "tokens", "count", colours
        ),
        "share of the model cost saved": charts_cost.savings(
            cost_savings.savings_frame(cost_savings.savings(cost_savings.traffic(answer()), SAID)), colours
        ),
    }
    for title, chart in drawn.items():
        assert title in str(chart.to_dict())
    for hue in (LIGHT.good, LIGHT.bad, DARK.good, DARK.bad):
        assert hue not in str(drawn["US dollars"].to_dict())
