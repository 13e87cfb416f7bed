"""The rows of an analysis: features of interactions, outcomes of conversations and judgements, exported once and compared.

Each label is compared on rows of its own, those whose time has passed (`core.metrics`: escalation 2 h, CSAT and misclassification 24 h after the
start). A conversation that is younger is *immature*: it is counted as such, and never taken for one without a label.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from duckdb import ColumnExpression, ConstantExpression, StarExpression

from controlplane.analysis.drift import ColumnDrift, DriftResult, DriftSettings, compare_all
from controlplane.core.metrics import metric
from controlplane.store.queries import load
from controlplane.store.utc import to_naive
from jobs.drift_windows import Window

REFERENCE, CURRENT, WHOLE = "reference", "current", "whole"
IDS = ("interaction_id", "conversation_id", "ts")
Relation = duckdb.DuckDBPyRelation


@dataclass(frozen=True, slots=True)
class Label:
    """A column that becomes known later: where its rows are, which of them count, and the metric whose maturity it has."""

    name: str
    table: str
    column: str
    mature: str
    metric: str
    judged_for: bool = False  # rows of `judged` that were judged for this metric

    @property
    def hours(self) -> float:
        """Hours until the label is final."""
        return metric(self.metric).maturity.total_seconds() / 3600

    def all(self, relation: Relation) -> Relation:
        """The rows that will have the label, mature or not."""
        if not self.judged_for:
            return relation
        return relation.filter(ColumnExpression("metric") == ConstantExpression(self.metric))

    def counted(self, relation: Relation) -> Relation:
        """The rows whose label is final, as (ts, conversation_id, NAME)."""
        value = ColumnExpression(self.column).alias(self.name)
        return (
            self.all(relation)
            .filter(ColumnExpression(self.mature))
            .select(ColumnExpression("ts"), ColumnExpression("conversation_id"), value)
        )


LABELS = (
    Label("escalated", "outcomes", "escalated", "escalation_mature", "escalation_rate"),
    Label("csat", "outcomes", "csat", "csat_mature", "csat"),
    Label("misclassified", "judged", "hit", "mature", "misclassification_rate", judged_for=True),
    Label("ungrounded", "judged", "hit", "mature", "hallucination_rate", judged_for=True),
    Label("groundedness", "judged", "score", "mature", "hallucination_rate", judged_for=True),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Exported rows in a folder: SIDE.features.parquet, SIDE.outcomes.parquet, SIDE.judged.parquet.

    `leave_out`: features by which the rows were chosen, so that comparing them says nothing.
    """

    cursor: duckdb.DuckDBPyConnection
    folder: Path
    leave_out: tuple[str, ...] = ()

    def path(self, side: str, table: str) -> Path:
        """The file of one table of a side."""
        return self.folder / f"{side}.{table}.parquet"

    def read(self, side: str, table: str) -> Relation:
        """Its rows."""
        return self.cursor.read_parquet(str(self.path(side, table)))

    def features(self, side: str) -> Relation:
        """The watched columns, without ids and times."""
        return self.read(side, "features").select(StarExpression(exclude=[*IDS, *self.leave_out]))

    def label(self, side: str, label: Label) -> Relation:
        """A label's mature rows."""
        return label.counted(self.read(side, label.table))


def export(rows: Rows, reference: Window, current: Window, now: datetime) -> None:
    """Write the rows of both windows; words are measured against the reference's."""
    learn_vocabulary(rows.cursor, reference)
    for side, window in ((REFERENCE, reference), (CURRENT, current)):
        export_features(rows, side, window, reference)
        export_labels(rows, side, window, now)


def learn_vocabulary(cursor: duckdb.DuckDBPyConnection, reference: Window) -> None:
    """What the reference said, for `export_features` on the same cursor."""
    cursor.execute(load("drift/features_vocabulary"), reference.parameters)


def export_features(rows: Rows, side: str, window: Window, reference: Window) -> None:
    """Write the features of a window; `learn_vocabulary` of that reference comes first."""
    known = {f"reference_{name}": value for name, value in reference.parameters.items()}
    found = rows.cursor.sql(load("drift/features"), params={**window.parameters, **known})
    found.write_parquet(str(rows.path(side, "features")))


def export_labels(rows: Rows, side: str, window: Window, now: datetime) -> None:
    """Write outcomes and judgements of a window as they are known `now`."""
    until = {"now": to_naive(now)}
    outcomes = {f"{name}_us": _us(of) for name, of in (("escalation", "escalation_rate"), ("csat", "csat"))}
    names = (("misclassification", "misclassification_rate"), ("hallucination", "hallucination_rate"))
    judged = {f"{name}_us": _us(of) for name, of in names}
    for table, more in (("outcomes", outcomes), ("judged", judged)):
        found = rows.cursor.sql(load(f"drift/features_{table}"), params={**window.parameters, **until, **more})
        found.write_parquet(str(rows.path(side, table)))


def _us(name: str) -> int:
    return int(metric(name).maturity.total_seconds() * 1_000_000)


def compared(rows: Rows, settings: DriftSettings) -> tuple[DriftResult, dict[str, Any]]:
    """Every column's verdict, and of each label how many rows were mature. Corrected over all columns together."""
    pairs = [(rows.features(REFERENCE), rows.features(CURRENT))]
    for label in LABELS:
        one, other = (rows.label(side, label).select(ColumnExpression(label.name)) for side in (REFERENCE, CURRENT))
        pairs.append((one, other))
    result = compare_all(pairs, settings)
    maturity = {label.name: _maturity(rows, label) for label in LABELS}
    return DriftResult(tuple(_explained(column, maturity) for column in result.columns)), maturity


def _maturity(rows: Rows, label: Label) -> dict[str, Any]:
    found: dict[str, Any] = {"maturity_hours": label.hours, "metric": label.metric}
    for side in (REFERENCE, CURRENT):
        rows_of = label.all(rows.read(side, label.table))
        mature_and_value = (
            ColumnExpression(label.mature).alias("mature"),
            ColumnExpression(label.column).alias("value"),
        )
        ((every, mature, labelled),) = queried(rows_of.select(*mature_and_value), "drift/features_maturity")
        found[side] = {"rows": every, "mature": mature, "immature": every - mature, "labelled": labelled}
    return found


def _explained(column: ColumnDrift, maturity: Mapping[str, Any]) -> ColumnDrift:
    """The column with the reason why a label has no rows, or how many of them wait."""
    label = maturity.get(column.column)
    if label is None or not label[CURRENT]["immature"]:
        return column
    of = f"{label[CURRENT]['immature']:,} of {label[CURRENT]['rows']:,} rows"
    hours = label["maturity_hours"]
    note = (
        f"{of} are not mature yet: the label is final {f'{hours:g} h' if hours >= 1 else f'{60 * hours:g} min'} after"
    )
    return replace(column, reason=f"{column.reason}; {note}" if label[CURRENT]["mature"] else note)


def numeric_and_categorical(relation: Relation) -> Iterator[tuple[str, str]]:
    """(column, kind) of a relation's columns that have a distribution."""
    from controlplane.analysis.drift import kind_of

    for name, kind in zip(relation.columns, map(str, relation.types), strict=True):
        if name not in IDS and (found := kind_of(kind)) is not None:
            yield name, found


def queried(observed: Relation, name: str) -> list[tuple[Any, ...]]:
    """Rows of a query of sql/ over a relation, which it calls `observed`."""
    result = observed.query("observed", load(name))
    assert result is not None  # only statements without a result give None
    return result.fetchall()
