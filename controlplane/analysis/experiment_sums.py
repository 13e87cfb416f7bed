"""Sums of a metric's pairs per arm, stratum and level of a group, in one scan for all metrics; compensated, around points near the means.

The points are the means of the first units. Where these turn out to lie far from the means (rows sorted by value, the first ones empty), so that
digits would be lost, the scan is repeated around the means themselves.

What y and x of a metric are: y its value (a ratio's numerator); x a ratio's denominator, or the value before the experiment, or nothing (0). A unit
counts where y is known, for a ratio x as well. A value before that is not known is put at the mean of all (which is a function of the past alone, so
the comparison stays fair).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import duckdb
from duckdb import CoalesceOperator, ColumnExpression, ConstantExpression, Expression, FunctionExpression

from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_source import LARGEST, Relation, Units, refuse_unbounded, where
from controlplane.core.estimates_moments import PairMoments, merged

Strata = dict[str, PairMoments]  # stratum -> moments
ByArm = dict[str, Strata]  # arm -> strata
SUMS = 6
FAR = 16.0  # squares of the distance of a point from the mean, in variances: beyond, more than a digit is lost


def columns_of(measure: Measure, units: Units, request: Request) -> tuple[int, int | None]:
    """Numbers of the columns of y and x."""
    y = units.place(measure.column, "sum" if measure.ratio else request.per_unit)
    if measure.per is not None:
        return y, units.place(measure.per, "sum")
    return y, None if measure.before is None else units.place(measure.before, "mean")


@dataclass(frozen=True)
class Totals:
    """All units together: metric -> arm -> stratum -> moments, and for each column of values whether it holds 0 and 1 only."""

    units: Units
    metrics: dict[str, ByArm]
    binary: tuple[bool, ...]

    def rate(self, measure: Measure, request: Request) -> bool:
        """Whether the metric is a rate."""
        return not measure.ratio and self.binary[columns_of(measure, self.units, request)[0]]


def totals(units: Units, request: Request) -> Totals:
    """The first look at all units, in one scan; its `units` have points near enough. Raises ExperimentError for values that are not finite."""
    places = range(len(units.values))
    ends = [FunctionExpression(name, ColumnExpression(f"v{i}")) for i in places for name in ("min", "max")]
    try:
        rows = _scan(units, request, units.table, "", ends)
    except duckdb.OutOfRangeException as error:
        _known_ends(units, [units.table.aggregate(ends).fetchall()[0]])
        raise _too_large(error) from error
    known = _known_ends(units, rows)
    found = _moments(rows, units, request).get("", {})
    better = _better(found, units, request)
    if better is not None:
        units = replace(units, near=better)
        found = sums(units, request).get("", {})
    may_be = [i for i in places if known[i] and min(known[i]) >= 0.0 and max(known[i]) <= 1.0]
    return Totals(units, found, _binary(units, may_be))


def _known_ends(units: Units, rows: Sequence[Sequence[Any]]) -> list[list[float]]:
    """Smallest and largest values of each column, from the last two entries a column of each row; refuses those that are not finite."""
    places = range(-2 * len(units.values), 0, 2)
    found = [[end for row in rows for end in (row[k], row[k + 1]) if end is not None] for k in places]
    for i, ends in enumerate(found):
        if not all(isfinite(end) and abs(end) < LARGEST for end in ends):
            refuse_unbounded(units, i)
    return found


def _binary(units: Units, may_be: Sequence[int]) -> tuple[bool, ...]:
    """Whether each column of values holds 0 and 1 only; `may_be`: those that lie between."""
    columns = [ColumnExpression(f"v{i}") for i in may_be]
    tests = [(c == ConstantExpression(0.0)) | (c == ConstantExpression(1.0)) for c in columns]
    said = (
        units.table.aggregate([FunctionExpression("bool_and", test) for test in tests]).fetchall()[0] if tests else ()
    )
    are = dict(zip(may_be, said, strict=True))
    return tuple(bool(are.get(i, False)) for i in range(len(units.values)))


def _better(metrics: Mapping[str, ByArm], units: Units, request: Request) -> tuple[float, ...] | None:
    """The means as points to take sums around, where a point lies so far from one that digits are lost; None where none does."""
    near, far = list(units.near), False
    for measure in request.measures:
        y, x = columns_of(measure, units, request)
        every = merged(pairs for strata in metrics.get(measure.name, {}).values() for pairs in strata.values())
        parts = [(y, every.off_y, every.yy, every.mean_y)]
        parts += [] if x is None else [(x, every.off_x, every.xx, every.mean_x)]
        for place, off, squares, mean in parts:
            far = far or every.n * off * off > FAR * squares
            near[place] = mean
    return tuple(near) if far else None


def sums(units: Units, request: Request, relation: Relation | None = None, by: str = "") -> dict[str, dict[str, ByArm]]:
    """level of column `by` -> metric -> arm -> stratum -> moments; without `by` the one level "". `relation` else the units."""
    try:
        return _moments(_scan(units, request, units.table if relation is None else relation, by), units, request)
    except duckdb.OutOfRangeException as error:
        raise _too_large(error) from error


def _scan(
    units: Units, request: Request, table: Relation, by: str, more: Sequence[Expression] = ()
) -> list[tuple[Any, ...]]:
    """Rows of level, arm, stratum, SUMS sums of each metric, and `more` aggregates of the columns of values."""
    level = ColumnExpression(by).cast("VARCHAR") if by else ConstantExpression("")
    columns = [columns_of(measure, units, request) for measure in request.measures]
    pairs = [
        part.alias(f"{name}{i}")
        for i, (measure, (y, x)) in enumerate(zip(request.measures, columns, strict=True))
        for name, part in zip("de", _pair(measure, y, x, _point(units, y, x)), strict=True)
    ]
    keys = [ColumnExpression("arm"), ColumnExpression("stratum"), level.alias("level")]
    values = [ColumnExpression(f"v{i}") for i in range(len(units.values))] if more else []
    found = [sum_ for i, (_, x) in enumerate(columns) for sum_ in _sums(i, x)]
    groups = [ColumnExpression(name) for name in ("level", "arm", "stratum")]
    return table.select(*keys, *pairs, *values).aggregate([*groups, *found, *more], "level, arm, stratum").fetchall()


def _point(units: Units, y: int, x: int | None) -> tuple[float, float]:
    return units.near[y], 0.0 if x is None else units.near[x]


def _too_large(error: Exception) -> ExperimentError:
    return ExperimentError(f"the values are too large for their squares to be added up; rescale them ({error})")


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


def _moments(rows: Sequence[Sequence[Any]], units: Units, request: Request) -> dict[str, dict[str, ByArm]]:
    result: dict[str, dict[str, ByArm]] = {}
    for level, arm, stratum, *numbers in rows:
        for i, measure in enumerate(request.measures):
            n, y, yy, x, xx, xy = (float(value or 0.0) for value in numbers[SUMS * i : SUMS * i + SUMS])
            point = _point(units, *columns_of(measure, units, request))
            arms = result.setdefault(str(level), {}).setdefault(measure.name, {})
            try:
                arms.setdefault(str(arm), {})[str(stratum)] = PairMoments.around(point, n, y, x, yy, xx, xy)
            except ValueError as error:
                raise _too_large(error) from error
    return result


def count(strata: Mapping[str, PairMoments]) -> int:
    """Units over all strata."""
    return int(sum(pairs.n for pairs in strata.values()))
