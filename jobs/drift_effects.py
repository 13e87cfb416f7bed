"""What came with drift: escalation, CSAT, misclassification and latency on either side of a split. An association, never a cause.

A column's split is the moment it began, where one can be named; else the two windows. New categories are set against the rest of the current
window. The unit is the conversation: its judged answers and its requests are not independent, so each conversation has its mean. Intervals are
confidence sequences (`core.estimates`), valid however often they are looked at; they are not corrected for the number of splits. Labels that are
not mature are left out on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import duckdb
from duckdb import ColumnExpression, ConstantExpression, FunctionExpression

from controlplane.analysis.drift import CATEGORICAL, ColumnDrift, DriftResult
from controlplane.analysis.drift_timeline import Onset
from controlplane.core.estimates import Sums, confidence_sequence
from controlplane.core.model import Verdict
from controlplane.store.queries import load
from controlplane.store.utc import to_naive
from jobs.drift_rows import CURRENT, LABELS, REFERENCE, WHOLE, Label, Relation, Rows, queried
from jobs.drift_timeline import Timeline, has_moment
from jobs.drift_windows import Window, iso

ALPHA = 0.05
MOST_SPLITS = 12
WATCHED = ("escalated", "csat", "misclassified")
UNITS = {"escalated": "share", "csat": "points", "misclassified": "share", "latency_ms": "ms"}
READING = "an association in time or between groups, not a cause: other things may have changed with it"
Observed = dict[str, Relation]  # (ts, conversation_id, value) by metric


def effects(
    rows: Rows, result: DriftResult, onsets: Mapping[str, Onset], timeline: Timeline, shown: Window
) -> list[dict[str, Any]]:
    """One entry per split, JSON-ready; columns that began together share one."""
    drifted = [column for column in result.columns if column.verdict in (Verdict.FAIL, Verdict.ERROR)]
    found: list[dict[str, Any]] = []
    moments: dict[datetime, list[str]] = {}
    for column in drifted:
        known = onsets.get(column.column)
        if known is not None and has_moment(known) and known.index:
            moments.setdefault(timeline.at[known.index], []).append(column.column)
    observed = _whole(rows, shown) if moments else {}
    for moment, columns in sorted(moments.items())[:MOST_SPLITS]:
        spans = {"before": [iso(timeline.since), iso(moment)], "after": [iso(moment), iso(timeline.until)]}
        metrics = [_metric(name, _at(relation, moment)) for name, relation in observed.items()]
        found.append({"columns": columns, "split": "onset", "at": iso(moment), **spans, "metrics": metrics})
    rest = [column.column for column in drifted if not any(column.column in names for names in moments.values())]
    if rest:
        metrics = [_metric(name, relation) for name, relation in _windows(rows)]
        found.append(
            {"columns": rest, "split": "windows", "at": None, "before": None, "after": None, "metrics": metrics}
        )
    features = rows.features(CURRENT).columns
    new = [column for column in drifted if column.new_categories and column.column in features]
    split = [_new_categories(rows, column) for column in new[:MOST_SPLITS]]
    found += [entry for entry in split if any(one["n_before"] and one["n_after"] for one in entry["metrics"])]
    return [entry | {"reading": READING} for entry in found]


def _whole(rows: Rows, shown: Window) -> Observed:
    found = {label.name: _label(rows, WHOLE, label) for label in LABELS if label.name in WATCHED}
    found["latency_ms"] = rows.cursor.sql(load("drift/effect_latency"), params=shown.parameters)
    return found


def _at(relation: Relation, moment: datetime) -> Relation:
    """(part, value): whether a row is from the moment on or later."""
    (value,) = [name for name in relation.columns if name not in ("ts", "conversation_id")]
    part = (ColumnExpression("ts") >= ConstantExpression(to_naive(moment))).alias("part")
    return relation.select(part, ColumnExpression(value).cast("DOUBLE").alias("value"))


def _windows(rows: Rows) -> Iterator[tuple[str, Relation]]:
    """(metric, (part, value)): whether a row is of the current window."""
    for label in LABELS:
        if label.name in WATCHED:
            yield label.name, _parted(_label(rows, REFERENCE, label), _label(rows, CURRENT, label), label.name)
    yield "latency_ms", _parted(_latency(rows, REFERENCE), _latency(rows, CURRENT), "latency_ms")


def _label(rows: Rows, side: str, label: Label) -> Relation:
    """One row per conversation."""
    found = rows.label(side, label)
    if not label.judged_for:
        return found
    mean = FunctionExpression("avg", ColumnExpression(label.name).cast("DOUBLE")).alias(label.name)
    first = FunctionExpression("min", ColumnExpression("ts")).alias("ts")
    return found.aggregate([ColumnExpression("conversation_id"), first, mean])


def _latency(rows: Rows, side: str) -> Relation:
    """Mean latency per conversation: its requests are not independent."""
    finite = rows.read(side, "features").filter(ColumnExpression("latency_ms").isnotnull())
    return finite.aggregate("conversation_id, min(ts) AS ts, avg(latency_ms) AS latency_ms")


def _new_categories(rows: Rows, column: ColumnDrift) -> dict[str, Any]:
    """Conversations of the current window with a value that the reference never had, against the others."""
    assert column.kind == CATEGORICAL
    values = [value for value, _ in column.new_categories]
    wanted = ColumnExpression(column.column).cast("VARCHAR").isin(*map(ConstantExpression, values))
    having = rows.read(CURRENT, "features").filter(wanted).select(ColumnExpression("conversation_id")).distinct()
    observed = {label.name: _label(rows, CURRENT, label) for label in LABELS if label.name in WATCHED}
    observed["latency_ms"] = _latency(rows, CURRENT)
    metrics = []
    for name, relation in observed.items():
        sides = [
            relation.set_alias("one").join(having.set_alias("other"), "conversation_id", how=how)
            for how in ("anti", "semi")
        ]
        metrics.append(_metric(name, _parted(sides[0], sides[1], name)))
    spans = {"before": None, "after": None, "at": None}
    return {"columns": [column.column], "split": "new categories", "categories": values, **spans, "metrics": metrics}


def _parted(before: Relation, after: Relation, name: str) -> Relation:
    sides = [
        side.select(ConstantExpression(part).alias("part"), ColumnExpression(name).cast("DOUBLE").alias("value"))
        for part, side in ((False, before), (True, after))
    ]
    return sides[0].union(sides[1])


def _metric(name: str, observed: duckdb.DuckDBPyRelation) -> dict[str, Any]:
    """Means on both sides and their difference with its interval; None where it cannot be told."""
    sums = {
        part: Sums(float(n), float(total), float(squares))
        for part, n, total, squares in queried(observed, "drift/effect_sums")
    }
    before, after = sums.get(False, Sums()), sums.get(True, Sums())
    means = {key: side.mean if side.n else None for key, side in (("mean_before", before), ("mean_after", after))}
    interval = confidence_sequence(after, before, ALPHA)
    told: dict[str, float | None] = {"difference": None, "low": None, "high": None}
    if interval is not None:
        told = {"difference": interval.estimate, "low": interval.low, "high": interval.high}
    counts = {"n_before": int(before.n), "n_after": int(after.n)}
    return {"metric": name, "unit": UNITS[name], **counts, **means, **told, "level": 1 - ALPHA}
