"""From loaded sums to the frames that charts draw: values with intervals, spans, funnels. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import exp, inf, sqrt
from typing import Any

import polars as pl

from controlplane.core.estimates import Interval, Sums, wilson
from controlplane.core.metrics import Metric
from controlplane.core.policy import Policy
from dashboards.answers import Span
from dashboards.measures import RATES
from dashboards.values import State
from dashboards.words import count_text, percent, trigger_title

Z95 = 1.959963984540054
UTC_TIME = pl.Datetime("us", "UTC")
ROOM_FOR_LABEL = 9
GAP = 3
AUDIENCES = {"employees": " of employees", "low_risk": " of low-risk", "eligible": ""}
POINT: dict[str, Any] = {
    "start": UTC_TIME,
    "arm": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "n": pl.Int64,
}
FLOOR, CEILING = 1e-6, 100.0


def trend(sums: pl.DataFrame, metric: Metric, width: timedelta) -> pl.DataFrame:
    """start, arm, value, low, high, n, run of one metric: Wilson intervals for rates, normal ones for means.

    Empty bins are left out, and a line breaks where more than `GAP` bins are missing: a new run begins.
    """
    rows = []
    for row in sums.filter(pl.col("metric") == metric.name).to_dicts():
        found = interval_of(metric, row)
        if found is not None:
            values = {"value": found.estimate, "low": found.low, "high": found.high}
            rows.append({"start": row["start"], "arm": row["arm"], "n": row["n"], **values})
    known = pl.DataFrame([row for row in rows if row["arm"] in ("assistant", "baseline")], schema=POINT)
    gap = (pl.col("start").diff().over("arm") > GAP * width).fill_null(False)
    return known.sort("arm", "start").with_columns(run=gap.cum_sum().over("arm"))


def interval_of(metric: Metric, row: Mapping[str, float]) -> Interval | None:
    """A rate with Wilson's interval, a mean with the normal one; None where nothing was counted."""
    if metric.kind in RATES:
        return wilson(row["x"], row["n"])
    if row["n"] < 2:
        return None
    sums = Sums(row["n"], row["total"], row["total_sq"])
    half = Z95 * sqrt(sums.variance / sums.n)
    return Interval(sums.mean * metric.scale, (sums.mean - half) * metric.scale, (sums.mean + half) * metric.scale)


def share_spans(spans: Iterable[Span], policy: Policy | None, baseline: str) -> pl.DataFrame:
    """since, until, share, what, label of every stage span; the label only where there is room for it."""
    schema: dict[str, Any] = {
        "since": UTC_TIME,
        "until": UTC_TIME,
        "share": pl.Float64,
        "what": pl.String,
        "label": pl.String,
    }
    known = list(spans)
    audiences = {phase.name: AUDIENCES.get(phase.audience, "") for phase in policy.phases} if policy else {}
    room = (known[-1].until - known[0].since) / ROOM_FOR_LABEL if known else timedelta(0)
    rows = []
    for span in known:
        served = f"{span.release} {span.phase} {percent(span.share)}{audiences.get(span.phase, '')}"
        what = served if span.exposed else f"{baseline} only"
        label = what if span.until - span.since >= room else ""
        rows.append({"since": span.since, "until": span.until, "share": span.share, "what": what, "label": label})
    return pl.DataFrame(rows, schema=schema)


def marks(state: State, since: datetime) -> pl.DataFrame:
    """start, label, tone of what happened: incidents, holds, known changes."""
    schema: dict[str, Any] = {"start": UTC_TIME, "label": pl.String, "tone": pl.String}
    rows: list[dict[str, Any]] = [
        {"start": row.detected_at, "label": row.title, "tone": "bad" if row.severity == "critical" else "wait"}
        for row in state.incidents
    ]
    changes = [row for row in state.stages if row.event in ("deploy", "hold", "resume")]
    tones = {"hold": "wait"}
    rows += [{"start": r.started_at, "label": r.event, "tone": tones.get(r.event, "quiet")} for r in changes]
    return pl.DataFrame([row for row in rows if row["start"] >= since], schema=schema)


def funnel(volume: pl.DataFrame, sums: pl.DataFrame) -> pl.DataFrame:
    """step, n, label from all conversations to the resolved ones; each label says the share of the step before."""
    eligible = int(volume.filter(pl.col("eligible"))["n"].sum())
    exposed = int(volume.filter(pl.col("eligible") & (pl.col("arm") == "assistant"))["n"].sum())
    served = sums.filter(pl.col("arm") == "assistant").group_by("metric").agg(pl.col("n", "x").sum())
    by_metric = {row["metric"]: row for row in served.to_dicts()}
    steps = [
        ("All conversations", int(volume["n"].sum())),
        ("Eligible", eligible),
        ("Served by the assistant", exposed),
    ]
    if "escalation_rate" in by_metric:
        row = by_metric["escalation_rate"]
        steps.append(("Stayed with the assistant", int(row["n"] - row["x"])))
    if "resolution_rate" in by_metric:
        steps.append(("Resolved", int(by_metric["resolution_rate"]["x"])))
    rows = []
    for index, (step, n) in enumerate(steps):
        before = steps[index - 1][1] if index else 0
        share = f" \u00b7 {percent(n / before)}" if index and before else ""
        rows.append({"step": step, "n": n, "label": f"{count_text(n)}{share}"})
    return pl.DataFrame(rows, schema={"step": pl.String, "n": pl.Int64, "label": pl.String})


def evidence(frame: pl.DataFrame, trigger: str) -> pl.DataFrame:
    """start, ratio (evidence over its threshold, within the chart's range), fired of one trigger."""
    chosen = frame.filter(pl.col("trigger") == trigger)
    gap = (pl.col("log_e") - pl.col("log_threshold")).fill_null(-inf).exp().clip(FLOOR, CEILING)
    return chosen.select("start", gap.alias("ratio"), "fired", "n_t", "n_c")


def volume_bins(sums: pl.DataFrame, width: timedelta) -> pl.DataFrame:
    """start, until, arm, n of the traffic, with the baseline stacked (bottom, top) on the assistant."""
    known = sums.filter((pl.col("metric") == "traffic_volume") & pl.col("arm").is_in(["assistant", "baseline"]))
    top = pl.col("n").cum_sum().over("start", order_by="arm")
    return known.sort("start", "arm").select(
        "start",
        (pl.col("start") + width).alias("until"),
        "arm",
        "n",
        (top - pl.col("n")).alias("bottom"),
        top.alias("top"),
    )


def trigger_rows(state: State) -> list[dict[str, object]]:
    """The newest reading of every trigger on all traffic, strongest evidence first: name, title, ratio, tone, and what follows."""
    rows: list[dict[str, object]] = []
    for row in state.triggers.filter(pl.col("segment") == "all").to_dicts():
        gap = None if row["log_e"] is None else row["log_e"] - row["log_threshold"]
        fired = row["trigger"] in state.firing
        tone = (
            "bad" if fired else "quiet" if row["verdict"] == "NO_DATA" else "wait" if (gap or -inf) > -2.3 else "good"
        )
        ratio = 0.0 if gap is None else exp(min(gap, 50.0))
        title = trigger_title(row["trigger"])
        rows.append({**row, "title": title, "ratio": ratio, "tone": tone, "fired_now": fired})
    return sorted(rows, key=lambda row: (not row["fired_now"], -float(str(row["ratio"]))))
