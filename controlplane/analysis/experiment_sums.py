"""Sums of a metric's pairs per arm, stratum and level of a group, in one scan for all metrics; compensated, around the means of all units.

What y and x of a metric are: y its value (a ratio's numerator); x a ratio's denominator, or the value before the experiment, or nothing (0). A unit
counts where y is known, for a ratio x as well. A value before that is not known is put at the mean of all (which is a function of the past alone, so
the comparison stays fair).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
from duckdb import CoalesceOperator, ColumnExpression, ConstantExpression, Expression, FunctionExpression

from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_source import Relation, Units, where
from controlplane.core.estimates_moments import PairMoments

Strata = dict[str, PairMoments]  # stratum -> moments
ByArm = dict[str, Strata]  # arm -> strata
SUMS = 6


def columns_of(measure: Measure, units: Units, request: Request) -> tuple[int, int | None]:
    """Numbers of the columns of y and x."""
    y = units.place(measure.column, "sum" if measure.ratio else request.per_unit)
    if measure.per is not None:
        return y, units.place(measure.per, "sum")
    return y, None if measure.before is None else units.place(measure.before, "mean")


def sums(units: Units, request: Request, relation: Relation | None = None, by: str = "") -> dict[str, dict[str, ByArm]]:
    """level of column `by` -> metric -> arm -> stratum -> moments; without `by` the one level "". `relation` else the units."""
    table = units.table if relation is None else relation
    level = ColumnExpression(by).cast("VARCHAR") if by else ConstantExpression("")
    pairs, points = [], []
    for i, measure in enumerate(request.measures):
        y, x = columns_of(measure, units, request)
        near = (units.profiles[y].mean, 0.0 if x is None else units.profiles[x].mean)
        points.append(near)
        pairs += [part.alias(f"{name}{i}") for name, part in zip("de", _pair(measure, y, x, near), strict=True)]
    keys = [ColumnExpression("arm"), ColumnExpression("stratum"), level.alias("level")]
    centred = table.select(*keys, *pairs)
    found = [
        sum_ for i, measure in enumerate(request.measures) for sum_ in _sums(i, columns_of(measure, units, request)[1])
    ]
    try:
        rows = centred.aggregate(
            [*(ColumnExpression(name) for name in ("level", "arm", "stratum")), *found], "level, arm, stratum"
        ).fetchall()
        return _read(rows, request, points)
    except (duckdb.OutOfRangeException, ValueError) as error:
        raise ExperimentError(
            f"the values are too large for their squares to be added up; rescale them ({error})"
        ) from error


def _pair(measure: Measure, y: int, x: int | None, near: tuple[float, float]) -> tuple[Expression, Expression]:
    above = ColumnExpression(f"v{y}")
    first = above - ConstantExpression(near[0])
    if x is None:
        return first, ConstantExpression(0.0)
    other = ColumnExpression(f"v{x}")
    second = other - ConstantExpression(near[1])
    if measure.ratio:
        both = above.isnotnull() & other.isnotnull()
        return where(first, both), where(second, both)
    return first, where(CoalesceOperator(second, ConstantExpression(0.0)), above.isnotnull())


def _sums(place: int, x: int | None) -> Sequence[Expression]:
    d, e = ColumnExpression(f"d{place}"), ColumnExpression(f"e{place}")
    nothing = ConstantExpression(0.0)

    def total(value: Expression) -> Expression:
        return FunctionExpression("fsum", value)  # compensated

    own = [FunctionExpression("count", d), total(d), total(d * d)]
    return [*own, nothing, nothing, nothing] if x is None else [*own, total(e), total(e * e), total(d * e)]


def _read(
    rows: Sequence[Sequence[object]], request: Request, points: Sequence[tuple[float, float]]
) -> dict[str, dict[str, ByArm]]:
    result: dict[str, dict[str, ByArm]] = {}
    for level, arm, stratum, *numbers in rows:
        for i, measure in enumerate(request.measures):
            n, y, yy, x, xx, xy = (float(value or 0.0) for value in numbers[SUMS * i : SUMS * i + SUMS])  # type: ignore[arg-type]
            arms = result.setdefault(str(level), {}).setdefault(measure.name, {})
            arms.setdefault(str(arm), {})[str(stratum)] = PairMoments.around(points[i], n, y, x, yy, xx, xy)
    return result


def count(strata: Mapping[str, PairMoments]) -> int:
    """Units over all strata."""
    return int(sum(pairs.n for pairs in strata.values()))
