"""Triggers of the Live page by urgency: how near each is to firing, what it counted, its evidence over time. Pure.

What two arms are compared by is counted since the stage began, never over two shares (Simpson); whoever loads it says since when.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf, log, sqrt
from typing import Any

import polars as pl

from controlplane.core.estimates import Interval, Sums, joined_difference, wilson
from controlplane.core.metrics import METRICS, Metric
from controlplane.core.model import MetricKind
from controlplane.core.policy import Policy
from dashboards.answers import QUIET
from dashboards.frames import CEILING, FLOOR, Z95, trigger_rows
from dashboards.live.frames import Window, ends, place, units
from dashboards.live.values import Watched
from dashboards.live.words import trigger_of
from dashboards.values import State
from dashboards.words import count_text, difference_text, value_text

NOTHING = "nothing counted in this stage yet"
NEAR = 0.1  # of its threshold: from here on a trigger is drawn large


def watched(state: State, evidence: pl.DataFrame, window: Window) -> list[Watched]:
    """Every trigger and check, the most urgent first."""
    found = []
    for row in trigger_rows(state):
        name = str(row["trigger"])
        rows = evidence.filter(pl.col("trigger") == name)
        gap = (pl.col("log_e") - pl.col("log_threshold")).fill_null(-inf).exp().clip(FLOOR, CEILING)
        drawn = rows.select("start", gap.alias("ratio"))
        ratio = float(str(row["ratio"]))
        counted = observed(state.policy, name, rows)
        tone = QUIET if counted == NOTHING and not row["fired_now"] else str(row["tone"])
        found.append(
            Watched(
                name=name,
                title=str(row["title"]),
                word="No data yet" if counted == NOTHING and not row["fired_now"] else _word(row, ratio),
                tone=tone,
                ratio=ratio,
                observed=counted,
                history=[(place(start, window), height(value)) for start, value in drawn.iter_rows()],
                fired=bool(row["fired_now"]),
            )
        )
    return found


def height(ratio: float) -> float:
    """Where evidence of that part of its threshold stands in a picture, in 0..1, logarithmic."""
    return (log(min(max(ratio, FLOOR), CEILING)) - log(FLOOR)) / (log(CEILING) - log(FLOOR))


def observed(policy: Policy | None, name: str, rows: pl.DataFrame) -> str:
    """What the trigger counted, with its 95 % interval: a rate, or a difference to the baseline; "" for checks of the comparison."""
    trigger = trigger_of(policy, name)
    if trigger is None or trigger.metric not in METRICS:
        return ""
    sums = {key: int(rows[key].sum()) for key in ("n_t", "x_t", "n_c", "x_c")}
    metric = METRICS[trigger.metric]
    if trigger.kind is MetricKind.RATING:
        return _rated(metric, rows)
    mine, theirs = wilson(sums["x_t"], sums["n_t"]), wilson(sums["x_c"], sums["n_c"])
    if mine is None:
        return NOTHING
    if trigger.kind is MetricKind.ONE_SAMPLE:
        return f"{value_text(metric, mine.estimate)} ({ends(metric, mine)}) of {units(metric, sums['n_t'])}"
    if theirs is None:
        return "nothing to compare with yet"
    found = joined_difference(mine, theirs)
    return f"{_signed(metric, found)} of {count_text(sums['n_t'])} and {units(metric, sums['n_c'])}"


def _signed(metric: Metric, found: Interval) -> str:
    ends = f"{difference_text(metric, found.low)} to {difference_text(metric, found.high)}"
    return f"{difference_text(metric, found.estimate)} ({ends})"


def _rated(metric: Metric, rows: pl.DataFrame) -> str:
    t, c = (Sums(*(float(rows[f"{key}_{arm}"].sum()) for key in ("rated", "sum", "square"))) for arm in ("t", "c"))
    if min(t.n, c.n) < 2:
        return "too few ratings to compare yet"
    half = Z95 * sqrt(t.variance / t.n + c.variance / c.n)
    mean = t.mean - c.mean
    return f"{_signed(metric, Interval(mean, mean - half, mean + half))} of {count_text(int(t.n))} and {count_text(int(c.n))} ratings"


def _word(row: Mapping[str, Any], ratio: float) -> str:
    if row["fired_now"]:
        return "Fired"
    if row["verdict"] == "NO_DATA" and row["tone"] == QUIET:
        return "No data"
    return f"{ratio:.0%} of threshold" if ratio >= 0.005 else "Quiet"
