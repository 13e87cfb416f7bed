"""Does the effect last? The effect by day and by weekday, and its first half against its second.

Two cases, and the answer says which it is:
- *tenure*: units have several rows, so each is followed from its own first day. Day d compares what units did on their d-th day; the halves are
  compared within units (second minus first, for those seen in both), because the same units are in both.
- *entry*: one row for a unit. Then only the day on which units came in can be compared: cohorts, not habit. Units are different ones, so the two
  effects are compared as independent.

A novelty effect fades with tenure; a primacy effect grows. Days are whole 24 hours. Effects by weekday are tested for being one effect (Cochran's Q;
approximate where a unit is seen on several weekdays).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

from duckdb import CaseExpression, ColumnExpression, ConstantExpression, Expression, FunctionExpression

from controlplane.analysis.experiment_effects import effect as effect_of
from controlplane.analysis.experiment_effects import interval
from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_source import Relation, Units
from controlplane.analysis.experiment_sums import ByArm, Strata, columns_of, count, sums
from controlplane.core.estimates import Interval
from controlplane.core.estimates_compare import Difference, compare, plain_groups
from controlplane.core.estimates_mixed import shrunk
from controlplane.core.estimates_moments import PairMoments
from controlplane.store.queries import load

MOST_DAYS = 400
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TOO_SHORT = "the data covers one day only: nothing to compare over time"


def over_time(units: Units, request: Request, control: str) -> dict[str, Any] | None:
    """Effects by day and weekday per metric and treated arm; None without --time."""
    if not request.time:
        return None
    table = _placed(units, request)
    days, weekdays = (sums(units, request, _daily(table, units, by), by) for by in ("day", "weekday"))
    if len(days) > MOST_DAYS:
        raise ExperimentError(f"--time {request.time}: the data covers {len(days)} days, more than {MOST_DAYS}")
    last = max((int(day) for day in days), default=0)
    middle = (last + 1) // 2 + (
        last + 1
    ) % 2  # the first day of the second half; with an odd number the first half is longer
    halves = sums(units, request, _daily(_halved(table, middle), units, "half"), "half") if last else {}
    both = _within(table, units, request, middle) if units.several and last else None
    found = []
    for measure in request.measures:
        for arm in (name for name in units.arms if name != control):
            made: dict[str, Any] = {"metric": measure.name, "arm": arm}
            made["days"] = [
                {"day": day, **_cell(days[str(day)], measure, arm, control, request)} for day in sorted(map(int, days))
            ]
            made["novelty"] = _novelty(halves, both, measure, arm, control, request, middle)
            made |= _weekdays(weekdays, measure, arm, control, request)
            found.append(made)
    return {"view": "tenure" if units.several else "entry", "days": last + 1, "effects": found}


def _placed(units: Units, request: Request) -> Relation:
    """Rows with their day and weekday: of tenure where units have several rows, of entry else."""
    if not units.several:
        return _query(units.table, "experiment/entry")
    kept = units.table.select(ColumnExpression("unit").alias("kept"))
    rows = units.rows.join(kept, ColumnExpression("unit") == ColumnExpression("kept"), how="semi")
    return _query(rows, "experiment/tenure")


def _query(relation: Relation, name: str) -> Relation:
    found = relation.query("seen", load(name))
    assert found is not None
    return found


def _halved(table: Relation, middle: int) -> Relation:
    half = CaseExpression(ColumnExpression("day") < ConstantExpression(middle), ConstantExpression("first"))
    return table.select("*", half.otherwise(ConstantExpression("second")).alias("half"))


def _daily(table: Relation, units: Units, by: str) -> Relation:
    """One row per unit and day (weekday, half), with the unit's values there."""
    if not units.several:
        return table
    keys = [ColumnExpression(name) for name in ("unit", by)]
    arms = [FunctionExpression("any_value", ColumnExpression(name)).alias(name) for name in ("arm", "stratum")]
    return table.aggregate([*keys, *arms, *_values(units)], "unit, day" if by == "day" else _GROUPS[by])


_GROUPS = {"weekday": "unit, weekday", "half": "unit, half"}


def _values(units: Units) -> list[Expression]:
    return [
        FunctionExpression({"mean": "favg", "sum": "fsum"}.get(value.how, value.how), ColumnExpression(f"v{i}")).alias(
            f"v{i}"
        )
        for i, value in enumerate(units.values)
    ]


def _within(table: Relation, units: Units, request: Request, middle: int) -> dict[str, ByArm]:
    """metric -> arm -> stratum -> moments of (second half minus first) of the units with a value in both."""
    later = ColumnExpression("day") >= ConstantExpression(middle)
    columns = []
    for measure in request.measures:
        if not measure.ratio:
            y, _ = columns_of(measure, units, request)
            value = ColumnExpression(f"v{y}")
            how = {"mean": "favg", "sum": "fsum"}.get(request.per_unit, request.per_unit)
            second = FunctionExpression(how, CaseExpression(later, value))
            first = FunctionExpression(how, CaseExpression(~later, value))
            columns.append((second - first).alias(f"v{y}"))
    if not columns:
        return {}
    keys = [FunctionExpression("any_value", ColumnExpression(name)).alias(name) for name in ("arm", "stratum")]
    changes = table.aggregate([ColumnExpression("unit"), *keys, *dict.fromkeys(columns)], "unit")
    found: dict[str, ByArm] = {}
    for measure in request.measures:
        if not measure.ratio:
            found[measure.name] = _change(changes, columns_of(measure, units, request)[0])
    return found


def _change(changes: Relation, y: int) -> ByArm:
    value = ColumnExpression(f"v{y}")
    keys = [ColumnExpression("arm"), ColumnExpression("stratum")]
    sums_ = [
        FunctionExpression(name, part) for name, part in (("count", value), ("fsum", value), ("fsum", value * value))
    ]
    arms: ByArm = {}
    for arm, stratum, n, total, squares in changes.aggregate([*keys, *sums_], "arm, stratum").fetchall():
        moments = PairMoments.around((0.0, 0.0), n, total or 0.0, 0.0, squares or 0.0, 0.0, 0.0)
        arms.setdefault(arm, {})[stratum] = moments
    return arms


def _cell(metrics: Mapping[str, ByArm], measure: Measure, arm: str, control: str, request: Request) -> dict[str, Any]:
    treated, other = _arms(metrics, measure, arm, control)
    found = effect_of(measure, treated, other, request).shown
    cell: dict[str, Any] = {"n_treated": count(treated), "n_control": count(other)}
    if found is None:
        return cell | {"difference": None, "error": None, "p": None}
    return cell | {"difference": interval(found.fixed), "error": found.error, "p": found.p}


def _arms(metrics: Mapping[str, ByArm], measure: Measure, arm: str, control: str) -> tuple[Strata, Strata]:
    arms = metrics.get(measure.name, {})
    return arms.get(arm, {}), arms.get(control, {})


def _novelty(
    halves: Mapping[str, Mapping[str, ByArm]],
    within: Mapping[str, ByArm] | None,
    measure: Measure,
    arm: str,
    control: str,
    request: Request,
    middle: int,
) -> dict[str, Any]:
    """The first half of the days against the second, with a test of the change."""
    cells = {half: _cell(halves.get(half, {}), measure, arm, control, request) for half in ("first", "second")}
    made: dict[str, Any] = {"second_half_from_day": middle, **cells, "change": None, "p": None}
    if not halves:
        return made | {"reason": TOO_SHORT}
    if within is not None:
        if measure.ratio:
            return made | {"reason": "a ratio's two halves come from the same units; they are shown, not tested"}
        arms = within.get(measure.name, {})
        found = compare(
            plain_groups(arms.get(arm, {})), plain_groups(arms.get(control, {})), request.alpha, request.tightest
        )
        if found is None:
            return made | {"reason": "too few units were seen in both halves"}
        return made | {"change": interval(found.fixed), "p": found.p, "units_in_both": found.n_t + found.n_c}
    effects = [
        effect_of(measure, *_arms(halves.get(half, {}), measure, arm, control), request).shown
        for half in ("first", "second")
    ]
    if effects[0] is None or effects[1] is None:
        return made | {"reason": "a half has no comparable units"}
    return made | _independent(effects[0], effects[1], request)


def _independent(first: Difference, second: Difference, request: Request) -> dict[str, Any]:
    from scipy.special import ndtr, ndtri

    change = second.fixed.estimate - first.fixed.estimate
    error = sqrt(first.error**2 + second.error**2)
    half = float(ndtri(1.0 - request.alpha / 2.0)) * error
    found = interval(Interval(change, change - half, change + half))
    return {"change": found, "p": 2.0 * float(ndtr(-abs(change) / error))}


def _weekdays(
    levels: Mapping[str, Mapping[str, ByArm]], measure: Measure, arm: str, control: str, request: Request
) -> dict[str, Any]:
    cells = [
        {"weekday": WEEKDAYS[number - 1], **_cell(levels[str(number)], measure, arm, control, request)}
        for number in range(1, 8)
        if str(number) in levels
    ]
    known = [cell for cell in cells if cell["difference"] is not None]
    mixed = shrunk([cell["difference"]["estimate"] for cell in known], [cell["error"] for cell in known])
    return {"weekdays": cells, "weekdays_differ_p": None if mixed is None else mixed.p}
