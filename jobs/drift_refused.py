"""Columns whose rows never became facts: a producer that writes text where numbers were has its records refused, so what is left looks healthy.

The share of a window's records that ingest refused for a field is compared; a rise as large as the policy's `missing` makes the column broken,
whatever its remaining rows say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import duckdb

from controlplane.analysis.drift import NUMERIC, ColumnDrift, DriftResult, DriftSettings, Problem
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
    broken = {}
    for field in fields:
        before, now = (_share(found[side], field) for side in (REFERENCE, CURRENT))
        mine = [entry for entry in found[CURRENT] if entry["field"] == field]
        if now - before >= settings.missing and sum(entry["rows"] for entry in mine) >= settings.min_rows:
            broken[COLUMNS.get(field, field)] = (before, now, mine[0]["reason"])
    return DriftResult(tuple(_judged(column, broken.get(column.column)) for column in result.columns))


def _share(entries: Sequence[Mapping[str, Any]], field: str) -> float:
    return float(sum(entry["share"] for entry in entries if entry["field"] == field))


def _judged(column: ColumnDrift, found: tuple[float, float, str] | None) -> ColumnDrift:
    if found is None:
        return column
    before, now, reason = found
    said = f"{now:.0%} of the records were refused for this field ({reason}), {before:.0%} in the reference: `controlplane quarantine`"
    text = reason == WRONG_TYPE and column.kind == NUMERIC
    problem = Problem.TEXT_IN_NUMBERS if text else column.problem
    return replace(column, verdict=Verdict.ERROR, reason=said, problem=problem, drifted=False)
