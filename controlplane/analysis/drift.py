"""Has the traffic changed? Drift of every column between a reference and a current set of rows, in SQL on all rows.

Rules
- One number per column decides, with its unit and its threshold: numeric columns by the first Wasserstein distance
  divided by the reference's standard deviation, categorical ones by the Jensen-Shannon distance (natural logarithm).
  Both equal scipy's and Evidently's on the same rows (Evidently floors the standard deviation at .001, we don't: a cost
  per request is smaller than that).
- A column is drifted when the effect reaches its threshold *and* a test (Kolmogorov-Smirnov, chi-square; Holm-corrected
  over the columns) says that it is not the luck of few rows. An effect without evidence is INCONCLUSIVE, never PASS.
- A broken column is a verdict, not an exception and not a silent skip: missing, all NULL, text where numbers were,
  constant.
- The verdict is per column. There is no flag for the whole set: one broken column among forty is still broken.

Python sees one row of sums per column, never the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import inf, isfinite
from pathlib import Path
from typing import Any

import duckdb
from duckdb import ColumnExpression, ConstantExpression
from scipy import stats

from controlplane.core.model import Verdict
from controlplane.store.queries import load

NUMERIC = "numeric"
CATEGORICAL = "categorical"
_NUMERIC_TYPES = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
    | {"float", "double", "decimal"}
)
_CATEGORICAL_TYPES = frozenset({"varchar", "boolean", "enum", "uuid"})


class Problem(StrEnum):
    """What is remarkable about a column besides its score."""

    MISSING_IN_CURRENT = "missing in current"
    MISSING_IN_REFERENCE = "missing in reference"
    NO_ROWS = "no rows"
    ALL_NULL = "all NULL"
    ALL_NULL_IN_CURRENT = "all NULL in current"
    ALL_NULL_IN_REFERENCE = "all NULL in reference"
    TYPE_CHANGED = "type changed"
    NOT_COMPARED = "not compared"
    IDENTIFIER = "identifier"
    CONSTANT = "constant"
    CONSTANT_IN_REFERENCE = "constant in reference"
    CONSTANT_IN_CURRENT = "constant in current"
    MORE_MISSING = "missing values"
    NEW_CATEGORY = "new category"


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """Thresholds of the gate numbers.

    numeric: Wasserstein distance in reference standard deviations. categorical: Jensen-Shannon distance, 0 to .8326
    (square root of ln 2). alpha: family-wise error over all columns. missing: rise of the share of missing values that
    counts as drift. min_rows: usable rows a side below which a column is INCONCLUSIVE.
    """

    numeric: float = 0.1
    categorical: float = 0.1
    alpha: float = 0.05
    missing: float = 0.1
    min_rows: int = 30


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """What happened to one column.

    `score` is in the method's unit, None where nothing could be computed; `p` is the test's p-value before,
    `corrected_p` after Holm's correction. Means are None for categories.
    """

    column: str
    kind: str
    method: str
    verdict: Verdict
    reason: str
    threshold: float
    score: float | None = None
    p: float | None = None
    corrected_p: float | None = None
    drifted: bool = False
    problem: Problem | None = None
    reference_rows: int = 0
    current_rows: int = 0
    reference_missing: float = 0.0
    current_missing: float = 0.0
    reference_mean: float | None = None
    current_mean: float | None = None
    new_categories: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class DriftResult:
    """All columns of one comparison, in the reference's order, then the columns that only the current rows have."""

    columns: tuple[ColumnDrift, ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the columns whose distribution moved."""
        return tuple(column.column for column in self.columns if column.drifted)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the columns that can't be compared because something is wrong with them."""
        return tuple(column.column for column in self.columns if column.verdict is Verdict.ERROR)

    @property
    def comparable(self) -> tuple[str, ...]:
        """Names of the columns that have a score."""
        return tuple(column.column for column in self.columns if column.score is not None)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: {"columns": {name: {...}}, "drifted": [...], "broken": [...]}, verdicts and problems by name."""
        columns = {}
        for column in self.columns:
            values = asdict(column)
            name = values.pop("column")
            values["verdict"] = column.verdict.name
            values["problem"] = column.problem.value if column.problem else None
            values["new_categories"] = [list(item) for item in column.new_categories]
            columns[name] = values
        return {"columns": columns, "drifted": list(self.drifted), "broken": list(self.broken)}


def compare_files(
    cursor: duckdb.DuckDBPyConnection, reference: Path, current: Path, settings: DriftSettings | None = None
) -> DriftResult:
    """Drift between two Parquet files. Raises FileNotFoundError that names the file that isn't there."""
    for path in (reference, current):
        if not path.is_file():
            raise FileNotFoundError(f"no rows to compare: {path} does not exist")
    return compare(cursor.read_parquet(str(reference)), cursor.read_parquet(str(current)), settings)


def compare(
    reference: duckdb.DuckDBPyRelation, current: duckdb.DuckDBPyRelation, settings: DriftSettings | None = None
) -> DriftResult:
    """Drift of every column between two relations of the same connection."""
    chosen = settings or DriftSettings()
    names = list(reference.columns) + [name for name in current.columns if name not in reference.columns]
    return DriftResult(_corrected([_column(name, reference, current, chosen) for name in names], chosen))


def kind_of(type_name: str) -> str | None:
    """numeric, categorical, or None for what has no distribution here (times, lists, structures)."""
    base = type_name.split("(")[0].strip().lower()
    if base in _NUMERIC_TYPES:
        return NUMERIC
    return CATEGORICAL if base in _CATEGORICAL_TYPES else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down corrected p-values, in the order given (S. Holm, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = worst
    return corrected


def _column(
    name: str, reference: duckdb.DuckDBPyRelation, current: duckdb.DuckDBPyRelation, settings: DriftSettings
) -> ColumnDrift:
    types = [dict(zip(side.columns, map(str, side.types), strict=True)).get(name) for side in (reference, current)]
    if types[0] is None or types[1] is None:
        return _absent(name, in_reference=types[0] is not None)
    kinds = [kind_of(kind) for kind in types if kind]
    if kinds[0] == kinds[1] == NUMERIC:
        return _numeric(name, _both_sides(name, reference, current, "DOUBLE"), settings)
    if kinds[0] == kinds[1] == CATEGORICAL:
        return _categorical(name, _both_sides(name, reference, current, "VARCHAR"), settings)
    profile = _one_row(_both_sides(name, reference, current, "VARCHAR"), "drift/category_profile")
    base = _blank(name, kinds[0] or "other", profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    if kinds[0] == kinds[1]:
        return _verdict(base, Verdict.NO_DATA, f"{types[0]} columns are not compared", Problem.NOT_COMPARED)
    reason = f"{types[0]} in the reference, {types[1]} now; find out what writes this column"
    return _verdict(base, Verdict.ERROR, reason, Problem.TYPE_CHANGED)


def _both_sides(
    name: str, reference: duckdb.DuckDBPyRelation, current: duckdb.DuckDBPyRelation, cast: str
) -> duckdb.DuckDBPyRelation:
    """(side, value): the column's values of both relations under one name, so that the SQL needs no identifiers."""
    sides = [
        relation.select(ConstantExpression(side).alias("side"), ColumnExpression(name).cast(cast).alias("value"))
        for side, relation in (("reference", reference), ("current", current))
    ]
    return sides[0].union(sides[1])


def _rows(both: duckdb.DuckDBPyRelation, query: str) -> list[dict[str, Any]]:
    result = both.query("both_sides", load(query))
    assert result is not None  # only statements without a result give None
    return [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]


def _one_row(both: duckdb.DuckDBPyRelation, query: str) -> dict[str, Any]:
    return _rows(both, query)[0]


def _absent(name: str, in_reference: bool) -> ColumnDrift:
    problem = Problem.MISSING_IN_CURRENT if in_reference else Problem.MISSING_IN_REFERENCE
    reason = (
        "the current rows no longer have this column"
        if in_reference
        else "the reference has no such column yet; it can be compared from the next reference on"
    )
    verdict = Verdict.ERROR if in_reference else Verdict.NO_DATA
    return ColumnDrift(name, "other", "none", verdict, reason, 0.0, problem=problem)


def _blank(name: str, kind: str, profile: dict[str, Any], settings: DriftSettings) -> ColumnDrift:
    """The column with its row counts, before any verdict."""
    method, threshold = {
        NUMERIC: ("Wasserstein / sd", settings.numeric),
        CATEGORICAL: ("Jensen-Shannon", settings.categorical),
    }.get(kind, ("none", 0.0))
    rows = {side: int(profile[f"{side}_rows"]) for side in ("reference", "current")}
    missing = {side: 1 - profile[f"{side}_usable"] / rows[side] if rows[side] else 0.0 for side in rows}
    return ColumnDrift(
        name,
        kind,
        method,
        Verdict.PASS,
        "",
        threshold,
        reference_rows=rows["reference"],
        current_rows=rows["current"],
        reference_missing=missing["reference"],
        current_missing=missing["current"],
    )


def _verdict(base: ColumnDrift, verdict: Verdict, reason: str, problem: Problem | None) -> ColumnDrift:
    return replace(base, verdict=verdict, reason=reason, problem=problem)


def _without_values(base: ColumnDrift, profile: dict[str, Any]) -> ColumnDrift | None:
    """The verdict of a column that has no values on a side; None when both sides have some."""
    if not base.reference_rows or not base.current_rows:
        side = "reference" if not base.reference_rows else "current window"
        return _verdict(base, Verdict.NO_DATA, f"the {side} has no rows", Problem.NO_ROWS)
    if profile["reference_usable"] and profile["current_usable"]:
        return None
    if not profile["reference_usable"] and not profile["current_usable"]:
        return _verdict(base, Verdict.NO_DATA, "no values on either side", Problem.ALL_NULL)
    if profile["reference_usable"]:
        reason = "every value is missing now; the reference had values"
        return _verdict(base, Verdict.ERROR, reason, Problem.ALL_NULL_IN_CURRENT)
    reason = "the reference has no values to compare with"
    return _verdict(base, Verdict.NO_DATA, reason, Problem.ALL_NULL_IN_REFERENCE)


def _numeric(name: str, both: duckdb.DuckDBPyRelation, settings: DriftSettings) -> ColumnDrift:
    profile = _one_row(both, "drift/numeric_profile")
    base = _blank(name, NUMERIC, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    base = replace(base, reference_mean=profile["reference_mean"], current_mean=profile["current_mean"])
    distance = _one_row(both, "drift/numeric_distance")
    n, m = profile["reference_usable"], profile["current_usable"]
    p = float(stats.kstwobign.sf(distance["ks"] * (n * m / (n + m)) ** 0.5))
    spread = profile["reference_sd"]
    score = distance["wasserstein"] / spread if spread else inf
    if profile["reference_min"] == profile["reference_max"] or not isfinite(score):
        # One value has no standard deviation to measure in, so the distance of the distribution functions is the effect.
        same = profile["current_min"] == profile["current_max"] == profile["reference_min"]
        problem = Problem.CONSTANT if same else Problem.CONSTANT_IN_REFERENCE
        return replace(base, method="Kolmogorov-Smirnov", score=float(distance["ks"]), p=p, problem=problem)
    if profile["current_min"] == profile["current_max"]:
        base = replace(base, problem=Problem.CONSTANT_IN_CURRENT)
    return replace(base, score=float(score), p=p)


def _categorical(name: str, both: duckdb.DuckDBPyRelation, settings: DriftSettings) -> ColumnDrift:
    profile = _one_row(both, "drift/category_profile")
    base = _blank(name, CATEGORICAL, profile, settings)
    if (empty := _without_values(base, profile)) is not None:
        return empty
    if _identifier_like(profile, "reference") and _identifier_like(profile, "current"):
        reason = (
            f"{profile['current_distinct']:,} different values in {profile['current_usable']:,} rows: an identifier"
        )
        return _verdict(base, Verdict.NO_DATA, reason, Problem.IDENTIFIER)
    distance = _one_row(both, "drift/category_distance")
    cells = int(distance["cells"])
    p = float(stats.chi2.sf(distance["chi_square"], cells - 1)) if cells > 1 else 1.0
    new = tuple((str(row["value"]), float(row["current_share"])) for row in _rows(both, "drift/new_categories"))
    problem = Problem.NEW_CATEGORY if new else None
    if profile["current_distinct"] == 1:
        problem = Problem.CONSTANT if profile["reference_distinct"] == 1 and not new else Problem.CONSTANT_IN_CURRENT
    return replace(base, score=float(distance["jensen_shannon"]), p=p, new_categories=new, problem=problem)


def _identifier_like(profile: dict[str, Any], side: str) -> bool:
    usable = profile[f"{side}_usable"]
    return bool(usable >= 100 and profile[f"{side}_distinct"] > usable / 2)


def _corrected(columns: Sequence[ColumnDrift], settings: DriftSettings) -> tuple[ColumnDrift, ...]:
    """The verdicts of the columns that have a score, after Holm's correction over all of them."""
    tested = [column for column in columns if column.p is not None]
    corrected = dict(zip((c.column for c in tested), holm([c.p for c in tested if c.p is not None]), strict=True))
    return tuple(
        _judged(replace(column, corrected_p=corrected[column.column]), settings) if column.p is not None else column
        for column in columns
    )


def _judged(column: ColumnDrift, settings: DriftSettings) -> ColumnDrift:
    assert column.score is not None
    assert column.corrected_p is not None
    measured = f"{column.method} {column.score:.3f}, threshold {column.threshold:g}"
    rose = column.current_missing - column.reference_missing
    usable = min(
        column.reference_rows * (1 - column.reference_missing), column.current_rows * (1 - column.current_missing)
    )
    if rose >= settings.missing and column.current_rows >= settings.min_rows:
        reason = f"missing values rose from {column.reference_missing:.0%} to {column.current_missing:.0%}; {measured}"
        moved = column.score >= column.threshold and column.corrected_p <= settings.alpha
        return replace(_verdict(column, Verdict.FAIL, reason, Problem.MORE_MISSING), drifted=moved)
    note = _note(column)
    if usable < settings.min_rows:
        reason = f"{measured}, but only {usable:.0f} usable rows, {settings.min_rows} are needed{note}"
        return _verdict(column, Verdict.INCONCLUSIVE, reason, column.problem)
    if column.score < column.threshold:
        return _verdict(column, Verdict.PASS, measured + note, column.problem)
    if column.corrected_p > settings.alpha:
        reason = f"{measured}, but {usable:.0f} rows can't tell it from chance (p = {column.corrected_p:.2g}){note}"
        return _verdict(column, Verdict.INCONCLUSIVE, reason, column.problem)
    return replace(_verdict(column, Verdict.FAIL, measured + note, column.problem), drifted=True)


def _note(column: ColumnDrift) -> str:
    if column.problem is Problem.NEW_CATEGORY:
        named = ", ".join(f'"{value}" ({share:.1%})' for value, share in column.new_categories[:3])
        return f"; new: {named}"
    return f"; {column.problem.value}" if column.problem else ""
