"""What root-cause triage is told: counts of the facts on both sides of an onset by SQL, and the change log from the audit rows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import duckdb

from controlplane.core.cause_changes import STARTS, kinds_changed, kinds_named
from controlplane.core.cause_model import MEASURES, CallKey, Calls, Cell, Change, Facts, Kind, Share, ShareKey, Sums
from controlplane.store.queries import load
from controlplane.store.state_rows import from_text
from controlplane.store.utc import to_aware, to_naive

RECORDED = STARTS | {"deploy", "policy", "promote"}
MOST_SLICES = 40  # of one dimension: of ids that were logged as a channel nothing is learnt

Row = Mapping[str, Any]


def read(
    cursor: duckdb.DuckDBPyConnection,
    window: tuple[datetime, datetime, datetime],
    changes: Iterable[Change] | None,
    *,
    slo_ms: float,
    measure: str | None = None,
) -> Facts:
    """Counts of the eligible conversations that began in the window (since, onset, until; aware UTC). It makes one temporary table."""
    since, onset, until = window
    span = {"since": to_naive(since), "until": to_naive(until)}
    cursor.execute(load("cause/units_create"), {**span, "onset": to_naive(onset), "slo_ms": slo_ms})
    cells = dict(_cells(_rows(cursor, "cells", {})))
    cells |= dict(_cells(_rows(cursor, "touched", span)))
    shares: dict[ShareKey, Share] = {
        (row["name"], row["said"], row["arm"], row["late"]): Share(
            row["n"], to_aware(row["first_seen"]), to_aware(row["last_seen"])
        )
        for row in _rows(cursor, "shares", {})
    }
    return Facts(
        since=since,
        onset=onset,
        until=until,
        cells=_readable(cells),
        shares=shares,
        calls=dict(_calls(_rows(cursor, "calls", span))),
        changes=None if changes is None else tuple(c for c in changes if c.at <= until),
        measure=measure,
    )


def _rows(cursor: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    cursor.execute(load(f"cause/{name}"), dict(values))
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _cells(rows: Iterable[Row]) -> Iterable[tuple[Cell, Sums]]:
    for row in rows:
        if row["dimension"] and row["slice"] is None:
            continue  # the slice is not known; the total counts these conversations
        for name in MEASURES:
            n = row[f"n:{name}"]
            if n:
                key = (name, row["dimension"], row["slice"] or "", row["arm"], row["late"])
                yield key, Sums(n, float(row[f"x:{name}"]), float(row[f"q:{name}"]))


def _readable(cells: Mapping[Cell, Sums]) -> dict[Cell, Sums]:
    """Without dimensions of so many values that they are none."""
    values: dict[str, set[str]] = {}
    for _, dimension, value, _, _ in cells:
        values.setdefault(dimension, set()).add(value)
    crowded = {dimension for dimension, found in values.items() if len(found) > MOST_SLICES and dimension != "intent"}
    return {key: sums for key, sums in cells.items() if key[1] not in crowded}


def _calls(rows: Iterable[Row]) -> Iterable[tuple[CallKey, Calls]]:
    for row in rows:
        latency = Sums(row["n_latency"], float(row["latency"] or 0.0), float(row["latency_sq"] or 0.0))
        yield (row["kind"], row["name"], row["arm"], row["late"]), Calls(row["n"], int(row["failed"]), latency)


def change_log(audit: Iterable[Row], since: datetime | None = None) -> list[Change]:
    """The changes that people or pipelines recorded, oldest first, at or after `since` (None: all).

    A start names the artefacts whose hashes differ from the start before it; a deploy and a policy name what their words say.
    """
    found: list[Change] = []
    before: dict[str, str] | None = None
    for row in audit:
        event = str(row["event"])
        if event not in RECORDED:
            continue
        payload = row["payload"] if isinstance(row["payload"], Mapping) else json.loads(row["payload"])
        kinds: tuple[Kind, ...] = ()
        names: tuple[str, ...] = ()
        if event in STARTS:
            after = {str(name): str(value) for name, value in (payload.get("artefacts") or {}).items()}
            kinds, names = kinds_changed(before, after) if before is not None else ((), ())
            before = after
        elif event == "policy":
            kinds = (Kind.POLICY,)
        elif event == "deploy":
            kinds = kinds_named(str(row["reason"]))
        else:
            kinds = (Kind.TRAFFIC,)
        at = from_text(str(row["at"]))
        if since is None or at >= since:
            text = f"{row['subject']}: {row['reason']}" if event in STARTS else str(row["reason"])
            found.append(Change(at, event, text, kinds, names))
    return found
