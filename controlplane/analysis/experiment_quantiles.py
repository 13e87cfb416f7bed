"""Differences of quantiles between arms, from the exact order statistics in DuckDB.

Each arm's quantile has a distribution-free interval: order statistics of binomial ranks. The two are joined as estimates of variance on the side
where they matter (MOVER), as `core.estimates.quantile_difference` does for latency buckets. Each interval stands alone: none is corrected for others.
"""

from __future__ import annotations

from math import inf
from typing import Any

from duckdb import ColumnExpression, ConstantExpression, FunctionExpression

from controlplane.analysis.experiment_effects import BETTER, NOT_SHOWN, NOT_TRUSTED, UNKNOWN, WORSE, interval
from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_source import Units
from controlplane.analysis.experiment_sums import columns_of
from controlplane.core.estimates import Interval, joined_difference, quantile_ranks


def quantiles(units: Units, request: Request, control: str, trusted: bool) -> list[dict[str, Any]]:
    """One row per metric, quantile and treated arm."""
    if request.quantiles and request.strata:
        raise ExperimentError(
            "--quantiles with --strata: a difference of quantiles cannot be averaged over strata; leave one out"
        )
    found = []
    for name, asked in request.quantiles.items():
        measure = request.measure(name)
        arms = {arm: _arm(units, request, measure, arm, asked) for arm in units.arms}
        for place, q in enumerate(asked):
            found += [
                _row(measure, q, arm, arms[arm][place], arms[control][place], trusted) for arm in arms if arm != control
            ]
    return found


def _arm(units: Units, request: Request, measure: Measure, arm: str, asked: tuple[float, ...]) -> list[Interval | None]:
    """An arm's quantiles with their intervals; None without values."""
    column = f"v{columns_of(measure, units, request)[0]}"
    value = ColumnExpression(column)
    chosen = units.table.filter((ColumnExpression("arm") == ConstantExpression(arm)) & value.isnotnull())
    n = int(chosen.aggregate([FunctionExpression("count", value)]).fetchall()[0][0])
    if not n:
        return [None] * len(asked)
    ranks = [quantile_ranks(n, q, request.alpha) for q in asked]
    # the quantile (rank - 1/2)/n is the value of that rank
    places = [(min(max(rank, 1), n) - 0.5) / n for three in ranks for rank in three]
    row = chosen.aggregate([FunctionExpression("quantile_disc", value, ConstantExpression(places))]).fetchall()[0][0]
    found: list[Interval | None] = []
    for i, (first, _, last) in enumerate(ranks):
        low, middle, high = (float(item) for item in row[3 * i : 3 * i + 3])
        found.append(Interval(middle, low if first >= 1 else -inf, high if last <= n else inf))
    return found


def _row(
    measure: Measure, q: float, arm: str, treated: Interval | None, control: Interval | None, trusted: bool
) -> dict[str, Any]:
    difference = None if treated is None or control is None else joined_difference(treated, control)
    return {
        "metric": measure.name,
        "quantile": q,
        "arm": arm,
        "treated": interval(treated),
        "control": interval(control),
        "difference": interval(difference),
        "verdict": _word(measure, difference, trusted),
    }


def _word(measure: Measure, found: Interval | None, trusted: bool) -> str:
    if not trusted:
        return NOT_TRUSTED
    if found is None:
        return UNKNOWN
    if found.low <= 0.0 <= found.high:
        return NOT_SHOWN
    return BETTER if (found.high < 0.0) == measure.lower else WORSE
