"""Columns whose rows never became facts: a producer that writes text where numbers were has its records refused, so what is left looks healthy.

The share of a window's records that ingest refused for a field is compared; a rise as large as the policy's `missing` that is no luck of few rows
makes the column broken, whatever its remaining rows say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from controlplane.analysis.drift import NUMERIC, ColumnDrift, DriftResult, DriftSettings, Problem
from controlplane.analysis.drift_columns import RARELY
from controlplane.analysis.drift_statistics import fewer_values_p
from controlplane.core.model import Verdict
from controlplane.store.queries import load
from jobs.drift_rows import CURRENT, REFERENCE
from jobs.drift_windows import Window, rows

COLUMNS = {"question": "question_length", "answer": "answer_length"}
WRONG_TYPE = "wrong_type"
Refused = dict[str, list[dict[str, Any]]]


def refused(cursor: duckdb.DuckDBPyConnection, reference: Window, current: Window) -> Refused:
    """Refused interactions of both windows by field and reason, with their share of all that came in."""
    found: Refused = {}
    for side, window in ((REFERENCE, reference), (CURRENT, current)):
        counted = cursor.execute(load("drift/features_refused"), window.parameters).fetchall()
        everything = rows(cursor, window) + sum(n for _, _, n in counted)
        found[side] = [
            {"field": field, "reason": reason, "rows": n, "share": n / everything} for field, reason, n in counted
        ]
    return found


def with_refused(
    result: DriftResult, found: Mapping[str, Sequence[Mapping[str, Any]]], settings: DriftSettings
) -> DriftResult:
    """The result in which a column is broken when its rows are refused."""
    fields = {entry["field"] for entry in found[CURRENT]}
    sides: dict[str, tuple[_Side, _Side]] = {
        COLUMNS.get(field, field): (_side(found[REFERENCE], field), _side(found[CURRENT], field)) for field in fields
    }
    judged = (
        _judged(column, *sides[column.column], settings) if column.column in sides else column
        for column in result.columns
    )
    return DriftResult(tuple(judged))


@dataclass(frozen=True, slots=True)
class _Side:
    """Records of a window that were refused for a field, their share, and the most frequent reason."""

    rows: int
    share: float
    reason: str


def _side(entries: Sequence[Mapping[str, Any]], field: str) -> _Side:
    mine = [entry for entry in entries if entry["field"] == field]
    reason = str(mine[0]["reason"]) if mine else ""
    return _Side(sum(entry["rows"] for entry in mine), float(sum(entry["share"] for entry in mine)), reason)


def _judged(column: ColumnDrift, old: _Side, new: _Side, settings: DriftSettings) -> ColumnDrift:
    before, now, reason = old.share, new.share, new.reason
    kept = (
        (column.reference_rows, column.reference_rows + old.rows),
        (column.current_rows, column.current_rows + new.rows),
    )
    if now - before < settings.missing or new.rows < settings.min_rows or fewer_values_p(*kept) > RARELY:
        return column
    said = f"{now:.0%} of the records were refused for this field ({reason}), {before:.0%} in the reference: `controlplane quarantine`"
    text = reason == WRONG_TYPE and column.kind == NUMERIC
    problem = Problem.TEXT_IN_NUMBERS if text else column.problem
    return replace(column, verdict=Verdict.ERROR, reason=said, problem=problem, drifted=False)
