"""Success measures: the assistant against the baseline, with interval, counts, maturity and a verdict. Pure.

Rules
- Only eligible conversations are compared, and only mature ones; how much is mature is shown. Where nothing is mature yet, the young values
  are given as provisional: without a verdict, because they will change.
- A window may hold several shares of traffic. They are never pooled (Simpson): each span of one share gives a difference, and
  those are averaged with weights `nT nC / (nT + nC)`.
- The interval is the anytime one of STATISTICS section 3, so it may be looked at every day. It never decides anything.
- Improved and worse mean that the interval leaves zero on one side; not worse, that it stays within the policy's margin.
  Where the comparison is unknown, an absolute limit of the policy may still have a verdict. Everything else is unknown, and unknown is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import polars as pl

from controlplane.core.estimates import Interval, Sums, wilson
from controlplane.core.estimates_compare import Group, compare
from controlplane.core.metrics import METRICS, Direction, DisplayKind, Metric
from controlplane.core.model import MetricKind
from controlplane.core.policy import Certificate, Policy, Trigger
from dashboards.answers import Span
from dashboards.values import State

ALPHA = 0.05
PROGRAMME = ("csat", "escalation_rate", "contact_rate", "resolution_time", "misrouting_rate", "cost_per_resolved")
WATCHED = ("resolution_rate", "misclassification_rate", "hallucination_rate", "csat_response_rate")
# A resolution is told with the rating, so where a policy names neither, both wait alike; the pinned weekly review counts the same.
TOLD_WITH = {
    "csat_response_rate": ("csat",),
    "resolution_rate": ("csat",),
    "resolution_time": ("resolution_rate", "csat"),
    "cost_per_resolved": ("resolution_rate", "csat"),
}
YOUNG = {"n": "n_all", "x": "x_all", "total": "total_all", "total_sq": "total_sq_all"}
FEWEST_BINS = 8  # for an interval of a ratio
IMPROVED, NOT_WORSE, WORSE, UNKNOWN = "improved", "not worse", "worse", "unknown"
WITHIN, OVER = OF_LIMIT = "within limit", "over limit"
RATES = (MetricKind.TWO_SAMPLE, MetricKind.ONE_SAMPLE, DisplayKind.RATE)


@dataclass(frozen=True)
class Measure:
    """One metric in one window. `difference` is assistant minus baseline; for a metric of one arm it is None and `interval`
    is that of the assistant's value. `mature` is the share of the assistant's units old enough to be final."""

    metric: Metric
    treated: float | None
    control: float | None
    n_treated: int
    n_control: int
    mature: float | None
    maturity: timedelta
    difference: Interval | None
    interval: Interval | None
    margin: float | None
    limit: float | None
    verdict: str
    provisional: bool = False


def maturities(state: State, names: Iterable[str]) -> tuple[tuple[str, datetime], ...]:
    """(metric, time before which its labels are final): the policy's maturity where it names the metric, else the catalogue's."""
    known = state.meta.watermark or state.meta.now
    return tuple((name, known - maturity(state.policy, name)) for name in names)


def maturity(policy: Policy | None, name: str) -> timedelta:
    """How long after its start a label of the metric is final: as the policy says of it or of what it is told with, else as the catalogue says."""
    streams: tuple[Trigger | Certificate, ...] = () if policy is None else (*policy.triggers, *policy.certificates)
    for asked in (name, *TOLD_WITH.get(name, ())):
        stated = [timedelta(minutes=item.maturity_minutes) for item in streams if item.metric == asked]
        if stated:
            return max(stated)
    return METRICS[name].maturity


def measure(name: str, sums: pl.DataFrame, policy: Policy | None) -> Measure:
    """The measure of one metric from `dashboards.data.measures`; provisional where nothing of the assistant's is mature."""
    rows = sums.filter(pl.col("metric") == name)
    final = _measure(METRICS[name], rows, policy)
    if final.n_treated or not rows["n_all"].sum() or "x_all" not in rows.columns:
        return final
    young = rows.with_columns(**{final_name: pl.col(all_name) for final_name, all_name in YOUNG.items()})
    found = _measure(METRICS[name], young, policy)
    return replace(found, mature=final.mature, verdict=UNKNOWN, provisional=found.treated is not None)


def _measure(metric: Metric, rows: pl.DataFrame, policy: Policy | None) -> Measure:
    arms = {arm: rows.filter(pl.col("arm") == arm) for arm in ("assistant", "baseline")}
    strata = [_stratum(metric, rows.filter(pl.col("span") == span)) for span in rows["span"].unique().sort()]
    both = [(treated, control) for treated, control in strata if min(treated.n, control.n) >= 2]
    margin, limit = margin_of(policy, metric.name), limit_of(policy, metric.name)
    difference = stratified(both) if metric.comparable else None
    if difference is not None and empty(metric, difference):
        difference = None
    alone = _value_interval(metric, arms["assistant"])
    averaged = bool(both) and metric.comparable  # pooled totals would mix shares, whether or not there is an interval
    values = _standardised(both) if averaged else {arm: _value(metric, frame) for arm, frame in arms.items()}
    return Measure(
        metric=metric,
        treated=values["assistant"],
        control=values["baseline"] if metric.comparable else None,
        n_treated=int(arms["assistant"]["n"].sum()),
        n_control=int(arms["baseline"]["n"].sum()),
        mature=_mature(arms["assistant"]),
        maturity=maturity(policy, metric.name),
        difference=difference,
        interval=alone,
        margin=margin,
        limit=limit,
        verdict=_verdict(metric, difference, margin, alone, limit),
    )


def _verdict(
    metric: Metric, difference: Interval | None, margin: float | None, alone: Interval | None, limit: float | None
) -> str:
    """Of the comparison; where that can't tell, against the absolute limit that the policy sets."""
    compared = verdict(metric, difference, margin) if metric.comparable else UNKNOWN
    return compared if compared != UNKNOWN else limit_verdict(alone, limit)


def ratio_interval(bins: pl.DataFrame, metric: Metric) -> Interval | None:
    """A ratio's value with its 95 % interval from sums per bin (n, total): bins as clusters, linearised (Cochran 1977, 6.3; Student's t).

    None for fewer than `FEWEST_BINS` bins with units, or without any.
    """
    known = bins.group_by("start").agg(pl.col("n", "total").sum()).filter(pl.col("n") > 0)
    whole = int(known["n"].sum())
    if known.height < FEWEST_BINS or whole == 0:
        return None
    from scipy import stats  # takes a moment to import, and most pages do without

    value = float(known["total"].sum()) / whole
    spread = float(((known["total"] - value * known["n"]) ** 2).sum())
    error = (spread * known.height / (known.height - 1)) ** 0.5 / whole
    half = float(stats.t.ppf(0.975, known.height - 1)) * error
    return Interval(value * metric.scale, max(value - half, 0.0) * metric.scale, (value + half) * metric.scale)


def stratified(strata: Sequence[tuple[Sums, Sums]], alpha: float = ALPHA) -> Interval | None:
    """Difference averaged over strata (weights nT nC / (nT + nC)) with the anytime interval; None where it cannot be told.

    That of `controlplane.core.estimates_compare`, as on Experiments: an arm in which nothing ever differed is not taken for exactly known.
    """
    treated, control = (
        {str(i): Group(pair[side].n, pair[side].mean, pair[side].variance) for i, pair in enumerate(strata)}
        for side in (0, 1)
    )
    found = compare(treated, control, alpha)
    return None if found is None else found.anytime


def empty(metric: Metric, difference: Interval) -> bool:
    """Whether the interval says nothing: that of a share which reaches as far to both sides as shares can be apart."""
    return metric.kind in RATES and difference.high - difference.low >= 2.0


def verdict(metric: Metric, difference: Interval | None, margin: float | None) -> str:
    """Improved, not worse (within the margin), worse or unknown."""
    if difference is None or metric.direction is Direction.NEITHER:
        return UNKNOWN
    higher = metric.direction is Direction.HIGHER
    low, high = (difference.low, difference.high) if higher else (-difference.high, -difference.low)
    if low > 0:
        return IMPROVED
    if high < 0:
        return WORSE
    return NOT_WORSE if margin is not None and low > -margin else UNKNOWN


def limit_verdict(value: Interval | None, limit: float | None) -> str:
    """Against an absolute limit: within it, beyond it, or unknown."""
    if value is None or limit is None:
        return UNKNOWN
    if value.high <= limit:
        return WITHIN
    return OVER if value.low > limit else UNKNOWN


def margin_of(policy: Policy | None, name: str) -> float | None:
    """How much worse the policy tolerates, in the metric's unit: the certificate's margin, else a comparing trigger's limit."""
    if policy is None:
        return None
    found = [item.margin for item in policy.certificates if item.metric == name]
    found += [t.limit for t in policy.triggers if t.metric == name and t.kind is not MetricKind.ONE_SAMPLE]
    return found[0] if found else None


def limit_of(policy: Policy | None, name: str) -> float | None:
    """The strictest absolute limit that the policy sets on the assistant."""
    if policy is None:
        return None
    return min((t.limit for t in policy.triggers if t.metric == name and t.kind is MetricKind.ONE_SAMPLE), default=None)


def comparison_spans(
    history: Iterable[Span], window: tuple[datetime, datetime]
) -> tuple[tuple[datetime, datetime], ...]:
    """The parts of the window in which one share was served and customers were exposed."""
    cut = ((max(span.since, window[0]), min(span.until, window[1]), span) for span in history)
    return tuple((since, until) for since, until, span in cut if since < until and span.exposed)


def _stratum(metric: Metric, rows: pl.DataFrame) -> tuple[Sums, Sums]:
    arms = {row["arm"]: _sums(metric, row) for row in rows.to_dicts()}
    return arms.get("assistant", Sums()), arms.get("baseline", Sums())


def _sums(metric: Metric, row: Mapping[str, float]) -> Sums:
    if metric.kind in RATES:
        return Sums.of_rate(row["n"], row["x"])
    return Sums(row["n"], row["total"], row["total_sq"])


def _standardised(strata: list[tuple[Sums, Sums]]) -> dict[str, float | None]:
    """Both arms' means with the weights of the difference, so that the two values differ by what is shown."""
    weights = [t.n * c.n / (t.n + c.n) for t, c in strata]
    pairs = list(zip(weights, strata, strict=True))
    treated, control = (sum(w * arms[side].mean for w, arms in pairs) / sum(weights) for side in (0, 1))
    return {"assistant": treated, "baseline": control}


def _value(metric: Metric, rows: pl.DataFrame) -> float | None:
    return metric.value(int(rows["n"].sum()), int(rows["x"].sum()), float(rows["total"].sum()))


def _value_interval(metric: Metric, rows: pl.DataFrame) -> Interval | None:
    if metric.kind not in RATES:
        return None
    return wilson(int(rows["x"].sum()), int(rows["n"].sum()), ALPHA)


def _mature(rows: pl.DataFrame) -> float | None:
    seen = int(rows["n_all"].sum())
    return int(rows["n"].sum()) / seen if seen else None
