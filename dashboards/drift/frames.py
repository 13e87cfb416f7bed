"""Drift analyses as frames for pictures and tables: scores, movement over time, distributions, what came with it, two analyses side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from dashboards.drift.words import Row, metric_of, moment, ratio, title, tone, word
from dashboards.values import DriftReport

SCORES = {"column": pl.String, "ratio": pl.Float64, "tone": pl.String, "verdict": pl.String}
SCORES |= {"score": pl.Float64, "threshold": pl.Float64, "method": pl.String}
MOST_BUCKETS = 60
SIDES = ("reference", "current")


def scores(every: Sequence[Row], most: int) -> pl.DataFrame:
    """Columns with a score, the strongest first: column, ratio, tone, verdict, score, threshold, method."""
    known = [row for row in every if row["score"] is not None]
    ranked = sorted(known, key=ratio, reverse=True)[:most]
    made = [
        (title(row["column"]), ratio(row), tone(row), word(row), row["score"], row["threshold"], row["method"])
        for row in ranked
    ]
    return pl.DataFrame(made, schema=SCORES, orient="row")


def has_timeline(row: Row) -> bool:
    """Whether distances over time were kept for the column."""
    return any(value is not None for value in (row.get("timeline") or {}).get("score") or ())


def heat(report: DriftReport, every: Sequence[Row], most: int) -> pl.DataFrame:
    """Distance of a column at a time as a multiple of its threshold: column, start, until, ratio, rows. At most `MOST_BUCKETS` times, else the
    largest of neighbours."""
    at = starts(report)
    chosen = [row for row in every if has_timeline(row)][:most]
    made = []
    step = -(-len(at) // MOST_BUCKETS) if at else 1
    ends = [*at[1:], at[-1] + (at[-1] - at[-2])] if len(at) > 1 else []
    for row in chosen:
        series, rows = row["timeline"]["score"], row["timeline"]["rows"]
        for first in range(0, len(ends), step):
            part = [value for value in series[first : first + step] if value is not None]
            if part and row["threshold"]:
                until = ends[min(first + step, len(ends)) - 1]
                found = max(part) / row["threshold"]
                made.append((title(row["column"]), at[first], until, found, sum(rows[first : first + step])))
    time = pl.Datetime("us", "UTC")
    schema: dict[str, Any] = {"column": pl.String, "start": time, "until": time, "ratio": pl.Float64, "rows": pl.Int64}
    return pl.DataFrame(made, schema=schema, orient="row")


def starts(report: DriftReport) -> list[datetime]:
    """The begins of the buckets of the timeline."""
    return [moment(text) for text in (report.summary.get("timeline") or {}).get("at", ())]


def timeline(report: DriftReport, row: Row) -> pl.DataFrame:
    """One column over time: start, score, rows."""
    at = starts(report) if has_timeline(row) else []
    told = row["timeline"] if at else {"score": [], "rows": []}
    schema: dict[str, Any] = {"start": pl.Datetime("us", "UTC"), "score": pl.Float64, "rows": pl.Int64}
    return pl.DataFrame([at, told["score"], told["rows"]], schema=schema, orient="col").drop_nulls("score")


def bins(row: Row) -> pl.DataFrame:
    """The distribution of numbers: low, high, side, share. Empty for categories and analyses that kept none."""
    told = row.get("distribution") or {}
    edges = told.get("edges") or []
    made = [
        (edges[i], edges[i + 1], side, told[side][i]) for side in SIDES if edges for i in range(len(told["reference"]))
    ]
    schema = {"low": pl.Float64, "high": pl.Float64, "side": pl.String, "share": pl.Float64}
    return pl.DataFrame(made, schema=schema, orient="row")


def shares(row: Row) -> pl.DataFrame:
    """The distribution of categories or few numbers: value, reference, current, new. Without a kept one what moved most, as the analysis tells it."""
    told = row.get("distribution") or {}
    new = {str(name) for name, _ in row.get("new_categories") or ()}
    if told.get("values"):
        made = [(v, a, b, v in new) for v, a, b in zip(told["values"], told["reference"], told["current"], strict=True)]
    else:
        made = [(str(v), a, b, str(v) in new) for v, a, b in row.get("moved") or ()]
        made += [
            (str(v), 0.0, b, True) for v, b in row.get("new_categories") or () if str(v) not in {m[0] for m in made}
        ]
    schema = {"value": pl.String, "reference": pl.Float64, "current": pl.Float64, "new": pl.Boolean}
    return pl.DataFrame([(_spoken(v), a, b, n) for v, a, b, n in made], schema=schema, orient="row")


def _spoken(value: str) -> str:
    return value.replace("_", " ")


def splits(report: DriftReport, least: int = 1) -> list[Mapping[str, Any]]:
    """What came with drift: the entries in which something could be compared."""
    found = report.summary.get("effects") or ()
    return [entry for entry in found if sum(one["difference"] is not None for one in entry["metrics"]) >= least]


def effect_rows(entry: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """(metric, before, after, difference, low, high, n before, n after) of one split; None where it is not known."""
    names = ("mean_before", "mean_after", "difference", "low", "high", "n_before", "n_after")
    return [(metric_of(one["metric"]), *(one[name] for name in names)) for one in entry["metrics"]]


def beside(one: Sequence[Row], other: Sequence[Row], most: int) -> pl.DataFrame:
    """Two analyses: column, this, other (multiples of the threshold), change (began | went on | ended | quiet); the strongest in either first."""
    theirs = {row["column"]: row for row in other if row["score"] is not None}
    pairs = [(row, theirs[row["column"]]) for row in one if row["score"] is not None and row["column"] in theirs]
    ranked = sorted(pairs, key=lambda pair: -max(map(ratio, pair)))[:most]
    made = [(title(a["column"]), ratio(a), ratio(b), _change(a, b)) for a, b in ranked]
    schema = {"column": pl.String, "this": pl.Float64, "other": pl.Float64, "change": pl.String}
    return pl.DataFrame(made, schema=schema, orient="row")


def _change(this: Row, other: Row) -> str:
    """What became of a column from the other analysis to this one."""
    names = {(True, True): "moved in both", (True, False): "moved here only", (False, True): "moved there only"}
    return names.get((this["verdict"] == "FAIL", other["verdict"] == "FAIL"), "moved in neither")
