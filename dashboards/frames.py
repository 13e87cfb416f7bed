"""From loaded sums to the frames that charts draw: values with intervals, spans, funnels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from math import exp, inf, sqrt
from typing import Any

import polars as pl

from controlplane.core.estimates import Interval, Sums, wilson
from controlplane.core.metrics import Metric
from dashboards.measures import RATES
from dashboards.values import State
from dashboards.words import trigger_title

Z95 = 1.959963984540054
UTC_TIME = pl.Datetime("us", "UTC")
GAP = 3
AUDIENCES = {"employees": " of employees", "low_risk": " of low-risk", "eligible": ""}
POINT: dict[str, Any] = {
    "start": UTC_TIME,
    "arm": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}
FLOOR, CEILING = 1e-6, 100.0


def trend(sums: pl.DataFrame, metric: Metric, width: timedelta) -> pl.DataFrame:
    """start, arm, value, low, high, n, run of one metric: Wilson intervals for rates, normal ones for means.

    Empty bins are left out, and a line breaks where more than `GAP` bins are missing: a new run begins.
    """
    rows = []
    for row in sums.filter(pl.col("metric") == metric.name).to_dicts():
        found = interval_of(metric, row)
        if found is not None:
            values = {"value": found.estimate, "low": found.low, "high": found.high}
            rows.append({"start": row["start"], "arm": row["arm"], "n": row["n"], **values})
    known = pl.DataFrame([row for row in rows if row["arm"] in ("assistant", "baseline")], schema=POINT)
    gap = (pl.col("start").diff().over("arm") > GAP * width).fill_null(False)
    return known.sort("arm", "start").with_columns(run=gap.cum_sum().over("arm"))


def interval_of(metric: Metric, row: Mapping[str, float]) -> Interval | None:
    """A rate with Wilson's interval, a mean with the normal one; None where nothing was counted."""
    if metric.kind in RATES:
        return wilson(row["x"], row["n"])
    if row["n"] < 2:
        return None
    sums = Sums(row["n"], row["total"], row["total_sq"])
    half = Z95 * sqrt(sums.variance / sums.n)
    return Interval(sums.mean * metric.scale, (sums.mean - half) * metric.scale, (sums.mean + half) * metric.scale)


def evidence(frame: pl.DataFrame, trigger: str) -> pl.DataFrame:
    """start, ratio (evidence over its threshold, within the chart's range), fired of one trigger."""
    chosen = frame.filter(pl.col("trigger") == trigger)
    gap = (pl.col("log_e") - pl.col("log_threshold")).fill_null(-inf).exp().clip(FLOOR, CEILING)
    return chosen.select("start", gap.alias("ratio"), "fired", "n_t", "n_c")


def volume_bins(sums: pl.DataFrame, width: timedelta) -> pl.DataFrame:
    """start, until, arm, n of the traffic, with the baseline stacked (bottom, top) on the assistant."""
    known = sums.filter((pl.col("metric") == "traffic_volume") & pl.col("arm").is_in(["assistant", "baseline"]))
    top = pl.col("n").cum_sum().over("start", order_by="arm")
    return known.sort("start", "arm").select(
        "start",
        (pl.col("start") + width).alias("until"),
        "arm",
        "n",
        (top - pl.col("n")).alias("bottom"),
        top.alias("top"),
    )


def trigger_rows(state: State) -> list[dict[str, object]]:
    """The newest reading of every trigger on all traffic, strongest evidence first: name, title, ratio, tone, and what follows."""
    rows: list[dict[str, object]] = []
    for row in state.triggers.filter(pl.col("segment") == "all").to_dicts():
        gap = None if row["log_e"] is None else row["log_e"] - row["log_threshold"]
        fired = row["trigger"] in state.firing
        tone = (
            "bad" if fired else "quiet" if row["verdict"] == "NO_DATA" else "wait" if (gap or -inf) > -2.3 else "good"
        )
        ratio = 0.0 if gap is None else exp(min(gap, 50.0))
        title = trigger_title(row["trigger"])
        rows.append({**row, "title": title, "ratio": ratio, "tone": tone, "fired_now": fired})
    return sorted(rows, key=lambda row: (not row["fired_now"], -float(str(row["ratio"]))))
