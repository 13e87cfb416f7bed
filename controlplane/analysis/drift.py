"""Has the traffic changed? Drift of every column between a reference and a current set of rows, in SQL on all rows.

Rules
- One number per column decides, with its unit and its threshold: numeric columns by the first Wasserstein distance
  divided by the reference's standard deviation, categorical ones by the Jensen-Shannon distance (natural logarithm).
  Both equal scipy's and Evidently's on the same rows (Evidently floors the standard deviation at .001, we don't: a cost
  per request is smaller than that). PSI, KS, chi-square and the rest are told beside it and decide nothing.
- A column is drifted when the effect reaches its threshold *and* a test (Kolmogorov-Smirnov, chi-square; Holm-corrected
  over the columns) says that it is not the luck of few rows. An effect without evidence is INCONCLUSIVE, never PASS.
- A column has lost values when the rise of its missing share reaches its threshold *and* Fisher's test says that it is no luck.
- A broken column is a verdict, not an exception and not a silent skip: missing, all NULL, text where numbers were,
  constant. Identifiers and times are not compared: they move on by themselves.
- The verdict is per column. There is no flag for the whole set: one broken column among forty is still broken.

Python sees one row of sums per column, never the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue

import duckdb

from controlplane.analysis.drift_columns import RARELY, Sides, fewer_p, measure, with_verdict
from controlplane.analysis.drift_kinds import kind_of
from controlplane.analysis.drift_model import (
    CATEGORICAL,
    NUMERIC,
    TIME,
    ColumnDrift,
    DriftResult,
    DriftSettings,
    Problem,
)
from controlplane.core.model import Verdict
from controlplane.core.multiplicity import adjusted
from controlplane.store.queries import load

__all__ = [
    "CATEGORICAL",
    "NUMERIC",
    "TIME",
    "ColumnDrift",
    "DriftResult",
    "DriftSettings",
    "Problem",
    "Table",
    "compare",
    "compare_all",
    "compare_files",
    "compare_tables",
    "kind_of",
]

AT_ONCE = 4  # columns that are measured at the same time; each sorts its rows, so more of them need more memory


@dataclass(frozen=True, slots=True)
class Table:
    """A Parquet file; `untyped`: it was made of a CSV, so every column is text until its values say otherwise."""

    path: Path
    untyped: bool = False


def compare_files(
    cursor: duckdb.DuckDBPyConnection, reference: Path, current: Path, settings: DriftSettings | None = None
) -> DriftResult:
    """Drift between two Parquet files. Raises FileNotFoundError that names the file that isn't there."""
    return compare_tables(cursor, Table(reference), Table(current), settings)


def compare_tables(
    cursor: duckdb.DuckDBPyConnection,
    reference: Table,
    current: Table,
    settings: DriftSettings | None = None,
    weight: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> DriftResult:
    """Drift between two Parquet files, several columns at a time. `weight` names the column that says how many rows a row stands for.

    `progress(done, of)` is called after every column. Raises FileNotFoundError for a file that isn't there and ValueError for a weight
    column that is absent on a side or holds anything but numbers >= 0.
    """
    for table in (reference, current):
        if not table.path.is_file():
            raise FileNotFoundError(f"no rows to compare: {table.path} does not exist")
    chosen = settings or DriftSettings()
    sides = _opened(cursor, reference, current, weight)
    if weight is not None:
        _check_weights(sides, weight)
    names = _names(sides)
    ((threads,),) = cursor.execute(load("drift/threads")).fetchall()
    workers = max(1, min(AT_ONCE, int(threads), len(names)))
    cursors = [cursor.cursor() for _ in range(workers)]
    idle: SimpleQueue[Sides] = SimpleQueue()
    for one in cursors:
        idle.put(_opened(one, reference, current, weight))

    def work(name: str) -> ColumnDrift:
        mine = idle.get()
        try:
            return measure(name, mine, chosen)
        finally:
            idle.put(mine)

    pool = ThreadPoolExecutor(workers)
    try:
        columns = []
        for column in pool.map(work, names):
            columns.append(column)
            progress(len(columns), len(names))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for one in cursors:
            one.interrupt()
        raise
    finally:
        pool.shutdown(wait=True)
        for one in cursors:
            one.close()
    return DriftResult(_corrected(columns, chosen))


def compare(
    reference: duckdb.DuckDBPyRelation, current: duckdb.DuckDBPyRelation, settings: DriftSettings | None = None
) -> DriftResult:
    """Drift of every column between two relations of the same connection, one column after the other."""
    return compare_all([(reference, current)], settings)


def compare_all(
    pairs: Sequence[tuple[duckdb.DuckDBPyRelation, duckdb.DuckDBPyRelation]], settings: DriftSettings | None = None
) -> DriftResult:
    """Drift of the columns of several pairs (reference, current), for tables of other rows (features, labels); corrected over all.

    The pairs' column names must differ: ValueError names one that doesn't.
    """
    chosen = settings or DriftSettings()
    columns: dict[str, ColumnDrift] = {}
    for pair in pairs:
        sides = Sides(*pair)
        for name in _names(sides):
            if name in columns:
                raise ValueError(f'the column "{name}" is in two pairs of tables; give one of them another name')
            columns[name] = measure(name, sides, chosen)
    return DriftResult(_corrected(list(columns.values()), chosen))


def _opened(cursor: duckdb.DuckDBPyConnection, reference: Table, current: Table, weight: str | None) -> Sides:
    before, now = (cursor.read_parquet(str(table.path)) for table in (reference, current))
    return Sides(before, now, untyped=(reference.untyped, current.untyped), weight=weight)


def _names(sides: Sides) -> list[str]:
    names = dict.fromkeys([*sides.reference.columns, *sides.current.columns])
    return [name for name in names if name != sides.weight]


def _check_weights(sides: Sides, weight: str) -> None:
    for label, side in (("reference", sides.reference), ("current", sides.current)):
        if weight not in side.columns:
            raise ValueError(f'there is no column "{weight}" in the {label}; its columns: {", ".join(side.columns)}')
    plain = Sides(sides.reference, sides.current)
    found = plain.both(weight, "VARCHAR").query("text_sides", load("drift/bad_weights"))
    assert found is not None
    ((bad, example),) = found.fetchall()
    if bad:
        raise ValueError(f'{bad:,} weights in "{weight}" are not numbers >= 0, for example {example}; clean the column')


def _corrected(columns: Sequence[ColumnDrift], settings: DriftSettings) -> tuple[ColumnDrift, ...]:
    """The verdicts of the columns that have a score, after Holm's correction over all of them."""
    tested = [column for column in columns if column.p is not None]
    corrected = dict(
        zip(
            (c.column for c in tested), adjusted([c.p for c in tested if c.p is not None], "holm").tolist(), strict=True
        )
    )
    return tuple(
        _judged(replace(column, corrected_p=corrected[column.column]), settings) if column.p is not None else column
        for column in columns
    )


def _judged(column: ColumnDrift, settings: DriftSettings) -> ColumnDrift:
    assert column.score is not None
    assert column.corrected_p is not None
    usable = min(
        column.reference_rows * (1 - column.reference_missing), column.current_rows * (1 - column.current_missing)
    )
    measured = f"{column.method} {column.score:.3g} of {column.threshold:g}"
    moved = column.score >= column.threshold and column.corrected_p <= settings.alpha
    rise = column.current_missing - column.reference_missing
    enough = min(column.reference_rows, column.current_rows) >= settings.min_rows
    if rise >= settings.missing and enough and fewer_p(column) <= RARELY:
        drifted = moved and usable >= settings.min_rows
        return replace(with_verdict(column, Verdict.FAIL, *_more_missing(column, measured)), drifted=drifted)
    note = _note(column)
    if usable < settings.min_rows:
        reason = f"{measured}, but only {usable:.0f} usable rows, {settings.min_rows} are needed{note}"
        return with_verdict(column, Verdict.INCONCLUSIVE, reason, column.problem)
    if rise >= settings.missing and column.score < column.threshold:
        risen = f"missing values rose from {column.reference_missing:.0%} to {column.current_missing:.0%}"
        reason = f"{measured}; {risen}, but so few rows can't tell that from chance (p = {fewer_p(column):.2g}){note}"
        return with_verdict(column, Verdict.INCONCLUSIVE, reason, column.problem)
    if column.score < column.threshold:
        return with_verdict(column, Verdict.PASS, measured + note, column.problem)
    if column.corrected_p > settings.alpha:
        reason = f"{measured}, but {usable:.0f} rows can't tell it from chance (p = {column.corrected_p:.2g}){note}"
        return with_verdict(column, Verdict.INCONCLUSIVE, reason, column.problem)
    return replace(with_verdict(column, Verdict.FAIL, measured + note, column.problem), drifted=True)


def _more_missing(column: ColumnDrift, measured: str) -> tuple[str, Problem]:
    """The reason and the problem of a column that has lost values: written as text, or not written at all."""
    text = column.current_unparsable - column.reference_unparsable
    if text >= (column.current_missing - column.reference_missing) / 2:
        before, now = column.reference_unparsable, column.current_unparsable
        reason = f"{now:.0%} of the values are text where numbers were ({before:.0%} before); of the rest: {measured}"
        return reason, Problem.TEXT_IN_NUMBERS
    missing = f"missing values rose from {column.reference_missing:.0%} to {column.current_missing:.0%}"
    return f"{missing}; {measured}", Problem.MORE_MISSING


def _note(column: ColumnDrift) -> str:
    if column.problem is Problem.NEW_CATEGORY:
        named = ", ".join(f'"{value}" ({share:.1%})' for value, share in column.new_categories[:3])
        return f"; new: {named}"
    text = f"; {column.current_unparsable:.2%} of the values are text" if column.current_unparsable else ""
    return (f"; {column.problem.value}" if column.problem else "") + text
