"""The numbers of one column, by SQL on all rows; Python sees a row of sums a side. No verdicts that need the other columns.

Every query reads a view of three columns (is_reference, value, weight), so that no query has to know a column's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any

import duckdb
from duckdb import CaseExpression, ColumnExpression, ConstantExpression, FunctionExpression, StarExpression

from controlplane.analysis.drift_kinds import OTHER, TRUTH, Reads, is_text, kind_of, settle
from controlplane.analysis.drift_model import CATEGORICAL, NUMERIC, TIME, ColumnDrift, DriftSettings, Problem
from controlplane.analysis.drift_statistics import (
    FEW_VALUES,
    chi_square_p_value,
    fewer_values_p,
    jensen_shannon,
    ks_p_value,
    population_stability,
    sturges_bins,
)
from controlplane.core.model import Verdict
from controlplane.store.queries import load

Relation = duckdb.DuckDBPyRelation
SIDES = ("reference", "current")
REPEATING = (
    0.1  # distinct values per row up to which adding up by value before the sort is faster than sorting all rows
)
MANY_VALUES = 10_000  # values that are still told one by one
IDENTIFIER_ROWS = 100
RARELY = 0.001  # chance, were nothing changed, of so few values as there are now, above which a column is not accused of having lost them
LUCK = 20.0  # pairs of equal values that chance would give a column of whole numbers; none at all then is no chance (e^-20)


@dataclass(frozen=True, slots=True)
class Sides:
    """Two relations of one connection, whether each is without types (CSV), and the column that says how many rows a row stands for."""

    reference: Relation
    current: Relation
    untyped: tuple[bool, bool] = (False, False)
    weight: str | None = None

    def types(self, name: str) -> list[str | None]:
        """The column's type on each side, None where it is absent."""
        sides = (self.reference, self.current)
        return [dict(zip(side.columns, map(str, side.types), strict=True)).get(name) for side in sides]

    def both(self, name: str, cast: str) -> Relation:
        """(is_reference, value, weight): the column's values of both relations under one name; a weight of 0 is no row."""
        one = ConstantExpression(1.0) if self.weight is None else ColumnExpression(self.weight).cast("DOUBLE")
        parts = []
        for is_reference, side in ((True, self.reference), (False, self.current)):
            value = ColumnExpression(name)
            if cast == "VARCHAR" and self.types(name)[0 if is_reference else 1] == "JSON":
                value = FunctionExpression("json_extract_string", value, ConstantExpression("$"))
            columns = (ConstantExpression(is_reference).alias("is_reference"), value.cast(cast).alias("value"))
            part = side.select(*columns, one.alias("weight"))
            parts.append(
                part if self.weight is None else part.filter(ColumnExpression("weight") > ConstantExpression(0))
            )
        return parts[0].union(parts[1])

    def read_as(self, name: str, query: str) -> Relation:
        """As `both`, from text."""
        result = self.both(name, "VARCHAR").query("text_sides", load(query))
        assert result is not None  # only statements without a result give None
        return result


def measure(name: str, sides: Sides, settings: DriftSettings) -> ColumnDrift:
    """One column's numbers, before the correction over all of them; the verdict already where it can't be compared."""
    types = sides.types(name)
    before, now = types
    if before is None or now is None:
        return _absent(name, in_reference=before is not None)
    kinds = [kind_of(before), kind_of(now)]
    text = [is_text(before), is_text(now)]
    typed_text = all(text) and not any(sides.untyped)
    if None in kinds:
        return _unlike(name, sides, before, now, kinds[0] == kinds[1], settings)
    if kinds[0] == kinds[1] and (not any(text) or typed_text):
        return _of_kind(name, sides, str(kinds[0]), settings)
    profile = _profile(sides.both(name, "VARCHAR"), "drift/text_profile")
    reads = [Reads.of(profile, side) for side in SIDES]
    kind = settle(*reads)
    if kind is None:
        said = [_said(kind, side) for kind, side in zip(types, reads, strict=True)]
        return _type_changed(_blank(name, OTHER, _usable(profile, "written"), settings), said[0], said[1], profile)
    readers: dict[str, Callable[[], ColumnDrift]] = {
        NUMERIC: lambda: _numeric(name, sides, sides.read_as(name, "drift/text_as_number"), settings),
        TIME: lambda: _time(name, sides.read_as(name, "drift/text_as_time"), settings),
        TRUTH: lambda: _categorical(name, sides.read_as(name, "drift/text_as_truth"), settings),
        CATEGORICAL: lambda: _categorical(name, sides.both(name, "VARCHAR"), settings),
    }
    column = readers[kind]()
    if kind != NUMERIC:
        return column
    shares = [
        (read.present - read.numbers) / profile[f"{side}_total"] if profile[f"{side}_total"] else 0.0
        for read, side in zip(reads, SIDES, strict=True)
    ]
    return replace(column, reference_unparsable=shares[0], current_unparsable=shares[1])


def _of_kind(name: str, sides: Sides, kind: str, settings: DriftSettings) -> ColumnDrift:
    if kind == NUMERIC:
        return _numeric(name, sides, sides.both(name, "DOUBLE"), settings)
    if kind == TIME:
        return _time(name, sides.both(name, "TIMESTAMP"), settings)
    return _categorical(name, sides.both(name, "VARCHAR"), settings)


def _rows(both: Relation, query: str) -> list[dict[str, Any]]:
    result = both.query("both_sides", load(query))
    assert result is not None  # only statements without a result give None
    return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def _profile(both: Relation, query: str) -> dict[str, Any]:
    """The query's figures with the side before the name; 0 for the figures of a side without rows."""
    result = both.query("both_sides", load(query))
    assert result is not None
    names = result.columns[1:]
    found = {("reference" if row[0] else "current"): row[1:] for row in result.fetchall()}
    empty = (None,) * len(names)
    return {
        f"{side}_{name}": value or 0 if name not in ("mean", "sd", "lowest", "highest") else value
        for side in SIDES
        for name, value in zip(names, found.get(side, empty), strict=True)
    }


def _absent(name: str, in_reference: bool) -> ColumnDrift:
    problem = Problem.MISSING_IN_CURRENT if in_reference else Problem.MISSING_IN_REFERENCE
    reason = (
        "the current rows no longer have this column"
        if in_reference
        else "the reference has no such column yet; it can be compared from the next reference on"
    )
    verdict = Verdict.ERROR if in_reference else Verdict.NO_DATA
    return ColumnDrift(name, OTHER, "none", verdict, reason, 0.0, problem=problem)


def _unlike(name: str, sides: Sides, before: str, now: str, same: bool, settings: DriftSettings) -> ColumnDrift:
    """The verdict where a side has a type that nothing here compares."""
    profile = _profile(sides.both(name, "VARCHAR"), "drift/category_profile")
    base = _blank(name, OTHER, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    if same:
        return with_verdict(base, Verdict.NO_DATA, f"{before} columns are not compared", Problem.NOT_COMPARED)
    return _type_changed(base, before, now, profile)


def _said(type_name: str | None, reads: Reads) -> str:
    shares = {
        "text": 1.0,
        "numbers": reads.numbers / reads.present,
        "times": reads.times / reads.present,
        "true or false": reads.truths / reads.present,
    }
    likely = max((name for name in shares if name != "text"), key=lambda name: shares[name])
    return f"{likely if shares[likely] >= 0.95 else 'text'} ({type_name})"


def _type_changed(base: ColumnDrift, before: str, now: str, profile: dict[str, Any]) -> ColumnDrift:
    if empty := _without_values(base, _usable(profile, "written") if "reference_written" in profile else profile):
        return empty
    reason = f"{before} in the reference, {now} now; find out what writes this column"
    return with_verdict(base, Verdict.ERROR, reason, Problem.TYPE_CHANGED)


def _usable(profile: dict[str, Any], name: str) -> dict[str, Any]:
    return profile | {f"{side}_usable": profile[f"{side}_{name}"] for side in SIDES}


def _blank(name: str, kind: str, profile: dict[str, Any], settings: DriftSettings) -> ColumnDrift:
    """The column with its row counts, before any verdict."""
    method, threshold = {
        NUMERIC: ("Wasserstein / sd", settings.numeric),
        CATEGORICAL: ("Jensen-Shannon", settings.categorical),
    }.get(kind, ("none", 0.0))
    rows = {side: profile[f"{side}_total"] for side in SIDES}
    missing = {side: 1 - profile[f"{side}_usable"] / rows[side] if rows[side] else 0.0 for side in SIDES}
    return ColumnDrift(
        name,
        kind,
        method,
        Verdict.PASS,
        "",
        threshold,
        reference_rows=_whole(rows["reference"]),
        current_rows=_whole(rows["current"]),
        reference_missing=missing["reference"],
        current_missing=missing["current"],
    )


def _whole(rows: float) -> float:
    return int(rows) if rows == int(rows) else rows


def with_verdict(base: ColumnDrift, verdict: Verdict, reason: str, problem: Problem | None) -> ColumnDrift:
    return replace(base, verdict=verdict, reason=reason, problem=problem)


def _without_values(base: ColumnDrift, profile: dict[str, Any]) -> ColumnDrift | None:
    """The verdict of a column that has no values on a side; None when both sides have some."""
    if not base.reference_rows or not base.current_rows:
        side = "reference has" if not base.reference_rows else "current side has"
        return with_verdict(base, Verdict.NO_DATA, f"the {side} no rows", Problem.NO_ROWS)
    if profile["reference_usable"] and profile["current_usable"]:
        return None
    if not profile["reference_usable"] and not profile["current_usable"]:
        return with_verdict(base, Verdict.NO_DATA, "no values on either side", Problem.ALL_NULL)
    if profile["reference_usable"]:
        if fewer_p(base) > RARELY:
            filled = 1 - base.reference_missing
            reason = f"no value now, but only {filled:.2%} of the reference had one: {base.current_rows:,} rows without are no surprise"
            return with_verdict(base, Verdict.INCONCLUSIVE, reason, Problem.ALL_NULL_IN_CURRENT)
        reason = "every value is missing now; the reference had values"
        return with_verdict(base, Verdict.ERROR, reason, Problem.ALL_NULL_IN_CURRENT)
    reason = "the reference has no values to compare with"
    return with_verdict(base, Verdict.NO_DATA, reason, Problem.ALL_NULL_IN_REFERENCE)


def fewer_p(column: ColumnDrift) -> float:
    """Chance of as few values as the current rows have, were a value as likely as in the reference."""
    values = (
        column.reference_rows * (1 - column.reference_missing),
        column.current_rows * (1 - column.current_missing),
    )
    return fewer_values_p((round(values[0]), column.reference_rows), (round(values[1]), column.current_rows))


def _untested(base: ColumnDrift, reason: str, problem: Problem, settings: DriftSettings) -> ColumnDrift:
    """The verdict of a column whose values are not compared: only that more of them are missing can be said."""
    enough = min(base.reference_rows, base.current_rows) >= settings.min_rows
    if base.current_missing - base.reference_missing >= settings.missing and enough and fewer_p(base) <= RARELY:
        risen = f"missing values rose from {base.reference_missing:.0%} to {base.current_missing:.0%}; {reason}"
        return with_verdict(base, Verdict.FAIL, risen, Problem.MORE_MISSING)
    return with_verdict(base, Verdict.NO_DATA, reason, problem)


def _time(name: str, both: Relation, settings: DriftSettings) -> ColumnDrift:
    profile = _profile(both, "drift/time_profile")
    base = _blank(name, TIME, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    spans = [f"{profile[f'{side}_lowest']} to {profile[f'{side}_highest']}" for side in SIDES]
    reason = f"times move on by themselves and are not compared; {spans[0]} before, {spans[1]} now"
    return _untested(base, reason, Problem.MOVES_ON, settings)


def _numeric(name: str, sides: Sides, both: Relation, settings: DriftSettings) -> ColumnDrift:
    weighted = sides.weight is not None
    try:
        profile = _profile(both, "drift/weighted_profile" if weighted else "drift/numeric_profile")
    except duckdb.OutOfRangeException:
        return _too_large(ColumnDrift(name, NUMERIC, "none", Verdict.ERROR, "", settings.numeric))
    base = _blank(name, NUMERIC, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    base = replace(
        base,
        reference_mean=_finite(profile["reference_mean"]),
        current_mean=_finite(profile["current_mean"]),
        reference_sd=_finite(profile["reference_sd"]),
        current_sd=_finite(profile["current_sd"]),
    )
    if base.reference_sd is None or not isfinite(_span(profile)):
        return _too_large(base)
    if not weighted and (counter := _counter(both, profile)) is not None:
        return _untested(base, counter, Problem.IDENTIFIER, settings)
    base = _binned(_distances(base, both, profile, not weighted), both, profile)
    return _scored(base, profile)


def _finite(value: float) -> float | None:
    return value if isfinite(value) else None


def _span(profile: dict[str, Any]) -> float:
    """From the lowest to the highest value of both sides; infinite where it is no number."""
    highest = max(profile[f"{side}_highest"] for side in SIDES)
    return float(highest - min(profile[f"{side}_lowest"] for side in SIDES))


def _too_large(base: ColumnDrift) -> ColumnDrift:
    reason = "values so large that their variance is no number; find out what writes this column"
    return with_verdict(base, Verdict.ERROR, reason, Problem.OUT_OF_RANGE)


def _scored(base: ColumnDrift, profile: dict[str, Any]) -> ColumnDrift:
    assert base.wasserstein is not None
    spread = profile["reference_sd"]
    score = base.wasserstein / spread if spread else inf
    if profile["reference_lowest"] == profile["reference_highest"] or not isfinite(score):
        # One value has no standard deviation to measure in, so the distance of the distribution functions is the effect.
        same = profile["current_lowest"] == profile["current_highest"] == profile["reference_lowest"]
        problem = Problem.CONSTANT if same else Problem.CONSTANT_IN_REFERENCE
        base = replace(base, method="Kolmogorov-Smirnov", score=base.ks, problem=problem)
        return base if isfinite(base.wasserstein or 0) else replace(base, wasserstein=None)
    if profile["current_lowest"] == profile["current_highest"]:
        base = replace(base, problem=Problem.CONSTANT_IN_CURRENT)
    return replace(base, score=score)


def _distances(base: ColumnDrift, both: Relation, profile: dict[str, Any], exact: bool) -> ColumnDrift:
    n, m = float(profile["reference_usable"]), float(profile["current_usable"])
    weight, is_reference = ColumnExpression("weight"), ColumnExpression("is_reference")
    # Whole steps (m up, n down) add up exactly; shares (1/n, 1/m) would not.
    step = CaseExpression(is_reference, weight * ConstantExpression(m)).otherwise(weight * ConstantExpression(-n))
    about = max(profile[f"{side}_about_distinct"] / profile[f"{side}_usable"] for side in SIDES)
    query = "drift/counted_distance" if about <= REPEATING else "drift/sorted_distance"
    (found,) = _rows(both.select(ColumnExpression("value"), step.alias("step")), query)
    ks = min(1.0, (found["ks"] or 0.0) / (n * m))
    p, law = ks_p_value(ks, n, m, exact)
    return replace(base, wasserstein=found["wasserstein"] / (n * m), ks=ks, p=p, test=f"Kolmogorov-Smirnov, {law}")


def _binned(base: ColumnDrift, both: Relation, profile: dict[str, Any]) -> ColumnDrift:
    """PSI and Jensen-Shannon of numbers, binned as Evidently bins them."""
    low = min(profile["reference_lowest"], profile["current_lowest"])
    high = max(profile["reference_highest"], profile["current_highest"])
    cells = None
    if profile["reference_about_distinct"] <= 2 * FEW_VALUES and profile["current_about_distinct"] <= MANY_VALUES:
        cells = _rows(both, "drift/values")
        if sum(cell["reference"] > 0 for cell in cells) > FEW_VALUES:
            cells = None
    if cells is None:
        rows = profile["reference_usable"] + profile["current_usable"]
        bins = sturges_bins(rows, low, high)
        if (high - low) / bins <= 0:
            return base
        edges = {"lowest": low, "highest": high, "bins": float(bins)}
        columns = [ConstantExpression(value).alias(name) for name, value in edges.items()]
        cells = [{"reference": 0.0, "current": 0.0} for _ in range(bins)]
        for cell in _rows(both.select(StarExpression(), *columns), "drift/bins"):
            cells[cell["bin"]]["reference" if cell["is_reference"] else "current"] = cell["n"]
    shares = [[cell[side] / profile[f"{side}_usable"] for cell in cells] for side in SIDES]
    return replace(base, psi=population_stability(*shares), jensen_shannon=jensen_shannon(*shares), bins=len(cells))


def _counter(both: Relation, profile: dict[str, Any]) -> str | None:
    """Why a column of numbers is an identifier (a row number, a key that counts up); None when it isn't.

    None of its whole numbers repeats on either side, although numbers drawn at random from the same range would repeat.
    """
    for side in SIDES:
        if any(profile[f"{side}_{end}"] % 1 for end in ("lowest", "highest")):
            return None
        rows = profile[f"{side}_usable"]
        spread = profile[f"{side}_highest"] - profile[f"{side}_lowest"] + 1
        if rows < IDENTIFIER_ROWS or profile[f"{side}_about_distinct"] < 0.8 * rows or rows**2 / (2 * spread) < LUCK:
            return None
    (found,) = _rows(both, "drift/repeats")
    if not found["whole"] or any(found[side] < profile[f"{side}_usable"] for side in SIDES):
        return None
    return f"{found['current']:,} whole numbers and none of them twice: an identifier"


def _categorical(name: str, both: Relation, settings: DriftSettings) -> ColumnDrift:
    profile = _profile(both, "drift/category_profile")
    base = _blank(name, CATEGORICAL, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    distinct = {side: profile[f"{side}_about_distinct"] for side in SIDES}
    if all(IDENTIFIER_ROWS <= profile[f"{side}_usable"] < 2 * distinct[side] for side in SIDES):
        reason = (
            f"about {distinct['current']:,} different values in {profile['current_usable']:,.0f} rows: an identifier"
        )
        return _untested(base, reason, Problem.IDENTIFIER, settings)
    (found,) = _rows(both, "drift/category_distance")
    new = tuple((item["value"], item["share"]) for item in found["fresh"] or ())
    problem = Problem.NEW_CATEGORY if new else None
    if found["current_distinct"] == 1:
        problem = Problem.CONSTANT if found["reference_distinct"] == 1 and not new else Problem.CONSTANT_IN_CURRENT
    return replace(
        base,
        score=found["jensen_shannon"],
        p=chi_square_p_value(found["chi_square"], found["cells"]),
        test="chi-square",
        psi=found["psi"],
        jensen_shannon=found["jensen_shannon"],
        chi_square=found["chi_square"],
        reference_distinct=found["reference_distinct"],
        current_distinct=found["current_distinct"],
        moved=tuple((item["value"], item["before"], item["now"]) for item in found["moved"] or ()),
        new_categories=new,
        problem=problem,
    )
