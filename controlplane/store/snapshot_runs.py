"""Evaluation runs as dashboards see them: who ran what on which data, the verdict, and each line of the criteria with its estimate.

What grows with a run (slices, per-row outcomes, the paired comparison) stays with the state; of the runs only the newest are published.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from controlplane.core.audit import canonical

MAX_RUNS = 300
_LINE = ("name", "metric", "unit", "comparison", "line", "estimate", "low", "high", "n", "verdict", "reason", "applied")
_PLAIN = (
    "run_id",
    "release",
    "release_hash",
    "criteria_hash",
    "criteria_name",
    "datasets",
    "code_version",
    "actor",
    "started_at",
    "finished_at",
    "verdict",
)
_SCHEMA: dict[str, Any] = {"seq": pl.Int64, **dict.fromkeys(_PLAIN, pl.String), "seed": pl.Int64}
_SCHEMA |= {"lines": pl.String, "compared_with": pl.String}


def reduced(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """The newest `MAX_RUNS` rows of the state's table `evaluation_runs`, oldest first. `lines` is canonical JSON: one object for each criterion."""
    newest = sorted(rows, key=lambda row: int(row["seq"]))[-MAX_RUNS:]
    return pl.DataFrame([_row(row) for row in newest], schema=_SCHEMA)


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    result = json.loads(row["result"]) if row["result"] else {}
    lines = [{key: one.get(key) for key in _LINE} for one in result.get("criteria", ())]
    other = (result.get("comparison") or {}).get("release")
    return {name: row[name] for name in ("seq", "seed", *_PLAIN)} | {"lines": canonical(lines), "compared_with": other}
