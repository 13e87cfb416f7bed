"""The values of the drift analysis: settings, what happened to one column, the result of a comparison."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from controlplane.core.model import Verdict

NUMERIC = "numeric"
CATEGORICAL = "categorical"
TIME = "time"


class Problem(StrEnum):
    """What is remarkable about a column besides its score."""

    MISSING_IN_CURRENT = "missing in current"
    MISSING_IN_REFERENCE = "missing in reference"
    NO_ROWS = "no rows"
    ALL_NULL = "all NULL"
    ALL_NULL_IN_CURRENT = "all NULL in current"
    ALL_NULL_IN_REFERENCE = "all NULL in reference"
    TYPE_CHANGED = "type changed"
    TEXT_IN_NUMBERS = "text where numbers were"
    OUT_OF_RANGE = "out of range"
    NOT_COMPARED = "not compared"
    MOVES_ON = "moves on with time"
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

    `score` is in the method's unit, None where nothing could be computed; it and `corrected_p` decide, every other number is told
    beside them. `p` is the test's p-value before, `corrected_p` after Holm's correction. Shares are 0 to 1: `*_missing` (no value, or
    none that the column's kind can hold), `*_unparsable` (text in a column of numbers). Means and sd are None for categories.
    `wasserstein` is in the column's own unit. `psi` and `jensen_shannon` of numbers are over equal bins (`bins`: their number;
    Sturges' rule over both sides) or, with at most 20 values in the reference, over the values. `moved`: the categories whose share
    changed most, as (value, share before, share now).
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
    reference_rows: float = 0
    current_rows: float = 0
    reference_missing: float = 0.0
    current_missing: float = 0.0
    reference_mean: float | None = None
    current_mean: float | None = None
    new_categories: tuple[tuple[str, float], ...] = ()
    test: str = ""
    psi: float | None = None
    jensen_shannon: float | None = None
    wasserstein: float | None = None
    ks: float | None = None
    chi_square: float | None = None
    bins: int | None = None
    reference_sd: float | None = None
    current_sd: float | None = None
    reference_distinct: int | None = None
    current_distinct: int | None = None
    reference_unparsable: float = 0.0
    current_unparsable: float = 0.0
    moved: tuple[tuple[str, float, float], ...] = ()


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
        """Names of the columns that something is wrong with: they can't be compared, or have lost values (missing, or text now)."""
        lost = (Problem.MORE_MISSING, Problem.TEXT_IN_NUMBERS)
        return tuple(
            column.column
            for column in self.columns
            if column.verdict is Verdict.ERROR or (column.verdict is Verdict.FAIL and column.problem in lost)
        )

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
            values["moved"] = [list(item) for item in column.moved]
            columns[name] = values
        return {"columns": columns, "drifted": list(self.drifted), "broken": list(self.broken)}
