"""From loaded sums to what the Live page shows of the service: vital signs with intervals, latency over time, dependencies. Pure.

Rules
- A figure is of the newest minutes of the stage (`recent_from`), because on call that is what counts; the line beside it shows the window.
- Where the assistant serves nobody, the baseline's figure is shown and named: then that is what customers get.
- Rates have Wilson intervals, means normal ones, quantiles distribution-free ones. Where nothing was counted, that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from math import ceil, exp, inf, isfinite, log

import polars as pl

from controlplane.core.estimates import (
    LOG_GAMMA,
    Interval,
    bucket_value,
    quantile_ranks,
    wilson,
)
from controlplane.core.metrics import METRICS, Family, Metric
from controlplane.core.model import RolloutState
from controlplane.core.policy import Policy
from dashboards.answers import BAD, GOOD, QUIET, WAIT
from dashboards.frames import POINT, interval_of
from dashboards.live.values import Dependency, Vital
from dashboards.measures import limit_of
from dashboards.values import State
from dashboards.words import count_text, percent, value_text

NOW_SPAN = timedelta(minutes=30)
WIDTHS = (300, 600, 900, 1800, 3600)
FAILURES = ("request_error_rate", "timeout_rate", "api_error_rate", "dependency_failure_rate")

Window = tuple[datetime, datetime]
Series = list[tuple[float, float | None]]
Histogram = tuple[Sequence[int], Sequence[int]]


def bin_seconds(span: timedelta, bins: int = 30) -> int:
    """Width of a bin, whole slots, so that a window has at most about that many."""
    return next((width for width in WIDTHS if span.total_seconds() / width <= bins), WIDTHS[-1])


def recent_from(state: State, window: Window, width: int) -> datetime:
    """Since when the figures count: half an hour, but not from before the stage began; a whole bin of `width` seconds."""
    since = max(window[0], window[1] - NOW_SPAN)
    rollout = state.rollout
    if rollout is not None and rollout.state is not RolloutState.ROLLED_BACK:
        since = max(since, rollout.stage_started_at)
    seconds = since.timestamp()
    return since - timedelta(seconds=seconds % width)


def rate_vital(
    name: str, sums: pl.DataFrame, window: Window, recent: datetime, policy: Policy | None, baseline: str
) -> Vital:
    """A rate or a mean of the catalogue from `data.trend`; its figure counts the bins since `recent`."""
    metric = METRICS[name]
    rows = sums.filter(pl.col("metric") == name)
    newest = {arm: _total(rows.filter(pl.col("start") >= recent), arm) for arm in _ARMS}
    found = {arm: interval_of(metric, one) for arm, one in newest.items()}
    limit = limit_of(policy, name)
    return Vital(
        name=name,
        title=metric.title,
        **_figure(metric, found, {arm: int(one["n"]) for arm, one in newest.items()}, limit, baseline),
        assistant=_series(metric, rows.filter(pl.col("arm") == "assistant"), window),
        baseline=_series(metric, rows.filter(pl.col("arm") == "baseline"), window),
        limit=limit,
    )


def volume_vital(name: str, sums: pl.DataFrame, window: Window, recent: datetime, width: int) -> Vital:
    """Conversations or requests per minute, all arms; the part that the assistant took."""
    metric = METRICS[name]
    rows = sums.filter((pl.col("metric") == name) & pl.col("arm").is_in(["assistant", "baseline"]))
    minutes = (window[1] - recent).total_seconds() / 60 or 1.0
    newest = {arm: _total(rows.filter(pl.col("start") >= recent), arm)["n"] for arm in _ARMS}
    whole = sum(newest.values())
    per = rows.group_by("start").agg(pl.col("n").sum()).sort("start")
    drawn = [(place(row["start"], window), row["n"] / width * 60) for row in per.to_dicts()]
    mine = f"{percent(newest['assistant'] / whole)} on the assistant" if whole else ""
    return Vital(
        name=name,
        title=metric.title,
        shown=f"{whole / minutes:,.1f} per min" if whole else "",
        interval=f"{count_text(int(whole))} {metric.unit} in {minutes:.0f} min" if whole else "",
        against=mine or "nothing came in",
        tone="",
        assistant=drawn,
        baseline=(),
    )


def incidents_vital(sums: pl.DataFrame, window: Window) -> Vital:
    """Misroutings that a person confirmed, over the whole window: rare, and each one matters."""
    metric = METRICS["safety_incidents"]
    rows = sums.filter((pl.col("metric") == metric.name) & (pl.col("arm") == "assistant"))
    count = int(rows["n"].sum())
    drawn: Series = [(place(row["start"], window), float(row["n"])) for row in rows.to_dicts()]
    hours = (window[1] - window[0]).total_seconds() / 3600
    return Vital(
        name=metric.name,
        title=metric.title,
        shown=f"{count:,}",
        interval=f"confirmed by a person in {hours:.2g} h",
        against="none is accepted",
        tone=BAD if count else "",
        assistant=drawn,
        baseline=(),
    )


def quantile_vital(name: str, services: pl.DataFrame, window: Window, recent: datetime, baseline: str) -> Vital:
    """Latency p50 or p95 of the requests, from the counts per bucket."""
    metric, q = METRICS[name], 0.5 if name == "latency_p50" else 0.95
    rows = requests(services)
    newest = rows.filter(pl.col("start") >= recent)
    merged = {arm: merge(newest.filter(pl.col("arm") == arm).select("buckets", "counts").rows()) for arm in _ARMS}
    found = {arm: quantile(histogram, q) for arm, histogram in merged.items()}
    series = {arm: _quantiles(rows.filter(pl.col("arm") == arm), q, window) for arm in _ARMS}
    return Vital(
        name=name,
        title=metric.title,
        **_figure(metric, found, {arm: sum(one[1]) for arm, one in merged.items()}, None, baseline),
        assistant=series["assistant"],
        baseline=series["baseline"],
        limit=None,
    )


def slow_vital(
    services: pl.DataFrame, window: Window, recent: datetime, policy: Policy | None, baseline: str
) -> Vital | None:
    """Requests slower than the policy's objective, within the 2 % that a bucket is wide; None without an objective."""
    slo = objective(policy)
    if slo is None:
        return None
    metric, rows = METRICS["slow_share"], requests(services)
    edge = ceil(log(slo) / LOG_GAMMA)
    points = {
        arm: [
            (row["start"], *_slower(row["buckets"], row["counts"], edge))
            for row in rows.filter(pl.col("arm") == arm).to_dicts()
        ]
        for arm in _ARMS
    }
    newest = {arm: [(x, n) for start, x, n in some if start >= recent] for arm, some in points.items()}
    counted = {arm: sum(n for _, n in some) for arm, some in newest.items()}
    found = {arm: wilson(sum(x for x, _ in some), counted[arm]) for arm, some in newest.items()}
    limit = limit_of(policy, "slow_share")
    figure = _figure(metric, found, counted, limit, baseline)
    return Vital(
        name="slow_share",
        title=metric.title,
        **{**figure, "against": f"over {slo:,.0f} ms; {figure['against']}"},
        assistant=[(place(start, window), x / n) for start, x, n in points["assistant"] if n],
        baseline=[(place(start, window), x / n) for start, x, n in points["baseline"] if n],
        limit=limit,
    )


def objective(policy: Policy | None) -> float | None:
    """The strictest latency objective of the policy in ms."""
    return min((trigger.slo_ms for trigger in policy.triggers if trigger.slo_ms), default=None) if policy else None


def requests(services: pl.DataFrame) -> pl.DataFrame:
    """The rows of requests among `data_live.services`."""
    return services.filter(pl.col("kind") == "request")


def latency(services: pl.DataFrame) -> pl.DataFrame:
    """start, arm, quantile (p50, p95), value, low, high in ms, n: for the chart; open ends of an interval are closed at the value."""
    found = []
    for row in requests(services).filter(pl.col("arm").is_in(_ARMS)).to_dicts():
        for label, q in (("p50", 0.5), ("p95", 0.95)):
            one = quantile((row["buckets"], row["counts"]), q)
            if one is not None:
                ends = {"low": one.low or one.estimate, "high": one.high if isfinite(one.high) else one.estimate}
                key = {"start": row["start"], "arm": row["arm"], "n": row["timed"], "quantile": label}
                found.append({**key, "value": one.estimate, **ends})
    return pl.DataFrame(found, schema={**POINT, "quantile": pl.String})


def dependencies(services: pl.DataFrame, window: Window, recent: datetime, limit: float | None) -> list[Dependency]:
    """Every dependency that was called in the window, the one that fails most first. Figures count the bins since `recent`: hours in which it was
    well do not hide that it is down now. limit: the policy's on the share that fails."""
    found = []
    for (name,), rows in services.filter(pl.col("kind") == "dependency").group_by("name"):
        newest = rows.filter(pl.col("start") >= recent)
        calls = int(newest["calls"].sum())
        failed = wilson(int(newest["failed"].sum()), calls)
        merged = merge(newest.select("buckets", "counts").rows())
        drawn = [(place(row["start"], window), row["failed"] / row["calls"]) for row in rows.sort("start").to_dicts()]
        found.append(
            Dependency(
                name=str(name),
                calls=calls,
                failed=failed,
                timed_out=int(newest["timed_out"].sum()),
                p50=quantile(merged, 0.5),
                p95=quantile(merged, 0.95),
                tone=_tone(failed, limit) or (GOOD if failed and limit and failed.high <= limit else QUIET),
                history=drawn,
            )
        )
    return sorted(found, key=lambda one: (-(one.failed.estimate if one.failed else 0.0), one.name))


def merge(histograms: Iterable[Histogram]) -> Histogram:
    """The sum of histograms, by bucket."""
    whole: dict[int, int] = {}
    for buckets, counts in histograms:
        for bucket, count in zip(buckets, counts, strict=True):
            whole[bucket] = whole.get(bucket, 0) + count
    ordered = sorted(whole)
    return ordered, [whole[bucket] for bucket in ordered]


def quantile(histogram: Histogram, q: float) -> Interval | None:
    """As `controlplane.core.estimates.quantile`, for ordered buckets, with the ranks remembered: they take longest, and old bins do not change."""
    buckets, counts = histogram
    n = sum(counts)
    if not n:
        return None
    first, middle, last = _ranks(n, q)
    below = 0
    at: dict[int, int] = {}
    for bucket, count in zip(buckets, counts, strict=True):
        below += count
        for rank in (first, middle, last):
            if rank <= below:
                at.setdefault(rank, bucket)
    low = exp((at[first] - 1) * LOG_GAMMA) if first >= 1 else 0.0
    high = exp(at[last] * LOG_GAMMA) if last <= n else inf
    return Interval(bucket_value(at[middle]), low, high)


@lru_cache(maxsize=16384)
def _ranks(n: int, q: float) -> tuple[int, int, int]:
    return quantile_ranks(n, q)


_ARMS = ("assistant", "baseline")
_UNITS = {
    Family.CONVERSATION: "conversation",
    Family.REQUEST: "request",
    Family.CALL: "call",
    Family.EVALUATION: "judged answer",
}


def _total(rows: pl.DataFrame, arm: str) -> dict[str, float]:
    mine = rows.filter(pl.col("arm") == arm)
    return {name: float(mine[name].sum()) for name in ("n", "x", "total", "total_sq")}


def _series(metric: Metric, rows: pl.DataFrame, window: Window) -> Series:
    return [
        (place(row["start"], window), metric.value(int(row["n"]), int(row["x"]), float(row["total"])))
        for row in rows.sort("start").to_dicts()
    ]


def _quantiles(rows: pl.DataFrame, q: float, window: Window) -> Series:
    found = []
    for start, buckets, counts in rows.sort("start").select("start", "buckets", "counts").iter_rows():
        one = quantile((buckets, counts), q)
        found.append((place(start, window), one.estimate if one else None))
    return found


def _slower(buckets: Sequence[int], counts: Sequence[int], edge: int) -> tuple[int, int]:
    pairs = zip(buckets, counts, strict=True)
    return sum(count for bucket, count in pairs if bucket > edge), sum(counts)


def place(moment: datetime, window: Window) -> float:
    """Where a time lies in the window, 0..1."""
    return (moment - window[0]) / (window[1] - window[0]) if window[1] > window[0] else 0.0


def _figure(
    metric: Metric, found: Mapping[str, Interval | None], counted: Mapping[str, int], limit: float | None, name: str
) -> dict[str, str]:
    """shown, interval, against, tone of a Vital: the assistant's figure, the baseline's where the assistant serves nobody."""
    mine, theirs = found["assistant"], found["baseline"] if metric.comparable else None
    if mine is None and theirs is not None:
        note = f"{ends(metric, theirs)}, {units(metric, counted['baseline'])}"
        return {
            "shown": value_text(metric, theirs.estimate),
            "interval": note,
            "against": f"{name}; nothing of the assistant",
            "tone": "",
        }
    if mine is None:
        return {"shown": "", "interval": "", "against": _against(metric, None, limit, name), "tone": ""}
    note = f"{ends(metric, mine)}, {units(metric, counted['assistant'])}"
    against = _against(metric, theirs, limit, name)
    return {
        "shown": value_text(metric, mine.estimate),
        "interval": note,
        "against": against,
        "tone": _tone(mine, limit),
    }


def units(metric: Metric, count: int) -> str:
    """`340 requests`: what the metric counts."""
    one = _UNITS[metric.family]
    return f"{count_text(count)} {one}{'' if count == 1 else 's'}"


def ends(metric: Metric, found: Interval) -> str:
    if not isfinite(found.high):
        return f"at least {value_text(metric, found.low)}"
    low = max(found.low, 0.0)
    return f"{value_text(metric, low)} to {value_text(metric, found.high)}"


def _against(metric: Metric, baseline: Interval | None, limit: float | None, name: str) -> str:
    parts = [] if baseline is None or not metric.comparable else [f"{name} {value_text(metric, baseline.estimate)}"]
    parts += [] if limit is None else [f"limit {value_text(metric, limit)}"]
    return ", ".join(parts) or "no limit in the policy"


def _tone(found: Interval | None, limit: float | None) -> str:
    """Red when the whole interval is over the limit, amber when the value is; nothing otherwise."""
    if found is None or limit is None:
        return ""
    return BAD if found.low > limit else WAIT if found.estimate > limit else ""
