"""The figures of the cost page: value, interval, what it rests on. Pure.

Sums of a window are exact: nothing of them is sampled. Their 95 % intervals say how much the value would move had the same traffic come on other
minutes: from the spread between bins of time for ratios (delta method), from the spread between requests for tokens, Wilson's for shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from controlplane.analysis.tradeoff import dollars
from controlplane.core.estimates import Interval, wilson
from controlplane.core.estimates_ratio import PairSums, ratio
from controlplane.core.metrics import METRICS

Z95 = 1.959963984540054
LEAST_BINS = 8  # fewer bins of time say too little about how they differ
OTHER = "other models"
MOST_MODELS = 5
LARGE = 0.01  # share of requests without a price from which a cost is a lower bound that matters


@dataclass(frozen=True)
class Figure:
    """`value` in the metric's unit (None: unknown), its ends (None: no interval), and how many units it rests on."""

    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int


def figure(metric: str, row: Mapping[str, Any] | None) -> Figure:
    """The figure of one row of `data_cost.groups`; without a row, or without units, it is unknown."""
    if row is None or not row["n"]:
        return Figure(metric, None, None, None, 0)
    n = int(row["n"])
    if metric == "unpriced_share":
        return share(metric, int(row["x"]), n)
    if metric == "tokens_per_request":
        mean = row["total"] / row["n"]
        spread = max(row["total_sq"] / row["n"] - mean * mean, 0.0)
        half = Z95 * (spread / row["n"]) ** 0.5 if n >= 2 else None
        return _around(metric, mean, half, n)
    sums = PairSums(row["bins"], row["total"], row["n"], row["yy"], row["xx"], row["xy"])
    found = ratio(sums) if row["bins"] >= LEAST_BINS else None
    scale = METRICS[metric].scale
    return _around(metric, row["total"] / row["n"] * scale, None if found is None else Z95 * found[1] * scale, n)


def share(metric: str, x: int, n: int) -> Figure:
    """A share of n units with Wilson's interval."""
    found = wilson(x, n) if n else None
    if found is None:
        return Figure(metric, None, None, None, 0)
    low, high = (found.low if x else 0.0), (found.high if x < n else 1.0)  # exactly: rounding leaves a crumb
    return Figure(metric, found.estimate, low, high, n)


def _around(metric: str, value: float, half: float | None, n: int) -> Figure:
    if half is None:
        return Figure(metric, value, None, None, n)
    return Figure(metric, value, max(value - half, 0.0), value + half, n)


def of_arm(groups: pl.DataFrame, metric: str, arm: str = "assistant") -> Mapping[str, Any] | None:
    """The row of a whole arm."""
    rows = groups.filter((pl.col("metric") == metric) & (pl.col("arm") == arm) & pl.col("release").is_null()).to_dicts()
    return rows[0] if rows else None


def releases(groups: pl.DataFrame) -> list[tuple[str, str, dict[str, Figure], float]]:
    """(release, phase, figures by metric, US dollars spent) of the assistant, in the order of their beginning."""
    mine = groups.filter((pl.col("arm") == "assistant") & pl.col("release").is_not_null()).sort("first")
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in mine.to_dicts():
        found.setdefault((row["release"], row["phase"]), {})[row["metric"]] = row
    rows = []
    for (release, phase), by_metric in found.items():
        figures = {name: figure(name, by_metric.get(name)) for name in METRIC_NAMES}
        rows.append((release, phase, figures, float((by_metric.get("cost_per_1k_tokens") or {"total": 0.0})["total"])))
    return rows


METRIC_NAMES = ("cost_per_resolved", "tokens_per_request", "cost_per_1k_tokens", "unpriced_share")


def text(found: Figure, value: float | None = None) -> str:
    """A value of the figure's metric with its unit; `value` an end of its interval instead."""
    shown = found.value if value is None else value
    if shown is None:
        return "unknown"
    unit = METRICS[found.metric].unit
    if unit == "share":
        return f"{100 * shown:.1f} %" if 0 < shown < 1 else f"{100 * shown:.0f} %"
    return dollars(shown) if unit.startswith("USD") else f"{shown:,.0f}"


def interval(found: Figure) -> str:
    """`(low to high)`, or why there is none."""
    if found.value is None:
        return ""
    if found.low is None or found.high is None:
        return "too little data for an interval"
    return f"95 %: {text(found, found.low)} to {text(found, found.high)}"


def line(trend: pl.DataFrame, metric: str) -> pl.DataFrame:
    """start, value of a metric per bin, in its unit; bins without units are left out."""
    mine = trend.filter((pl.col("metric") == metric) & (pl.col("n") > 0))
    top = pl.col("x") if metric == "unpriced_share" else pl.col("total")
    return mine.select("start", (top / pl.col("n") * METRICS[metric].scale).alias("value"))


def model_rows(models: pl.DataFrame) -> list[dict[str, Any]]:
    """Totals per model, dearest first, then busiest."""
    sums = models.group_by("model").agg(pl.exclude("model", "start").sum())
    return sums.sort(["cost_usd", "requests", "model"], descending=[True, True, False]).to_dicts()


def mix(models: pl.DataFrame, what: str) -> pl.DataFrame:
    """start, model, value (of the column `what`), order: the busiest models by name, the rest as one.

    `order` is that of the requests whatever is asked for, so that a model looks the same in every chart.
    """
    sums = models.group_by("model").agg(pl.col("requests", "cost_usd").sum())
    named = sums.filter((pl.col("requests") > 0) | (pl.col("cost_usd") > 0))
    names = named.sort(["requests", "cost_usd", "model"], descending=[True, True, False])["model"].to_list()
    kept = names if len(names) <= MOST_MODELS else names[: MOST_MODELS - 1]
    order = [*kept, *([OTHER] if len(kept) < len(names) else [])]
    ranks = {"model": order, "order": list(range(len(order)))}
    shown = pl.when(pl.col("model").is_in(kept)).then(pl.col("model")).otherwise(pl.lit(OTHER)).alias("model")
    found = (
        models.with_columns(shown).group_by("start", "model").agg(pl.col(what).sum().cast(pl.Float64).alias("value"))
    )
    ranked = found.join(pl.DataFrame(ranks, schema={"model": pl.String, "order": pl.Int64}), on="model")
    return ranked.filter(pl.col("value") > 0).sort("start", "order")


def cached(models: pl.DataFrame) -> tuple[float | None, Interval | None]:
    """Share of the input tokens that were read from the provider's cache, and its interval from hour to hour."""
    bins = models.group_by("start").agg(pl.col("tokens_cached", "tokens_in").sum()).filter(pl.col("tokens_in") > 0)
    if bins.is_empty():
        return None, None
    y, x = (bins[name].cast(pl.Float64) for name in ("tokens_cached", "tokens_in"))
    value = float(y.sum()) / float(x.sum())
    sums = PairSums(bins.height, *(float(one.sum()) for one in (y, x, y * y, x * x, x * y)))
    found = ratio(sums) if bins.height >= LEAST_BINS and value else None
    if found is None:
        return value, None
    return value, Interval(value, max(value - Z95 * found[1], 0.0), min(value + Z95 * found[1], 1.0))
