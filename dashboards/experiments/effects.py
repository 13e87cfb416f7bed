"""The arms of a rollout as an experiment, from sums: effects with anytime intervals, over time, by segment, and the split of the traffic. Pure.

Rules
- Never pooled over shares (Simpson): each stage gives a difference, and those are averaged with the weights `nT nC / (nT + nC)`
  (`core.estimates_compare`).
- Intervals are confidence sequences (STATISTICS section 3): they hold at all times together, so looking often is no harm.
- Several comparisons are judged together: p-values are corrected over the outcomes, over the measures of the service (Holm each) and over the
  segments (Benjamini-Hochberg).
- Only mature units are judged. Where none is mature yet, the values so far are told as provisional, without a verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from controlplane.core.estimates import Sums
from controlplane.core.estimates_compare import Difference, Group, anytime_p, compare
from controlplane.core.estimates_mixed import Mixed, shrunk
from controlplane.core.estimates_split import split_over_stages
from controlplane.core.metrics import METRICS, Direction, DisplayKind, Family, Metric
from controlplane.core.model import MetricKind, RolloutState
from controlplane.core.multiplicity import adjusted
from controlplane.core.policy import Policy
from dashboards.answers import history
from dashboards.measures import ALPHA, RATES, empty, margin_of, maturity
from dashboards.values import State

BETTER, WORSE, NOT_WORSE, NOT_SHOWN, UNKNOWN = "better", "worse", "not worse", "no difference shown", "unknown"
SPLIT_LIMIT = 0.001  # as `analysis.experiment_analysis.MISMATCH`: a healthy split is accused once in a thousand
ARMS = ("assistant", "baseline")
TRAFFIC = "traffic_volume"
_SUMMED = (*RATES, MetricKind.RATING, DisplayKind.RATIO)
_FROM_HISTOGRAM = ("slow_share",)  # no sums in the rollup: Live shows it


@dataclass(frozen=True)
class Stage:
    """Time in which one share of one rollout was served; `key` is what its units carry."""

    key: str
    rollout_id: str
    release: str
    phase: str
    share: float
    since: datetime
    until: datetime
    current: bool

    @property
    def span(self) -> tuple[datetime, datetime]:
        """Since when and until when."""
        return self.since, self.until


@dataclass(frozen=True)
class Effect:
    """One metric in one selection. `found` is None where nothing can be told. `mature`: share of the assistant's units that is final.

    treated, control: means with the weights of the difference; while nothing can be compared, the plain values. `provisional`: they rest
    on units that are not final. `p` is corrected over the metrics that were looked at.
    """

    metric: Metric
    found: Difference | None
    treated: float | None
    control: float | None
    n_t: int
    n_c: int
    mature: float | None
    maturity: timedelta
    margin: float | None
    provisional: bool
    p: float | None = None
    verdict: str = UNKNOWN


@dataclass(frozen=True)
class Level:
    """One segment: its difference, `p` for its own effect, `differs` for being unlike the other segments; both corrected over the segments."""

    name: str
    found: Difference | None
    n_t: int
    n_c: int
    p: float | None
    differs: float | None
    verdict: str


@dataclass(frozen=True)
class Split:
    """Conversations of the assistant and how many were to be expected; `p` holds at any look."""

    treated: int
    units: int
    expected: float
    p: float

    @property
    def broken(self) -> bool:
        """Whether the comparison cannot be trusted."""
        return self.p < SPLIT_LIMIT


def comparable() -> tuple[str, ...]:
    """Metrics of which the rollups keep sums of both arms."""
    return tuple(
        metric.name
        for metric in METRICS.values()
        if metric.comparable and metric.kind in _SUMMED and metric.name not in _FROM_HISTOGRAM
    )


def stages(state: State) -> tuple[Stage, ...]:
    """Every stage in which customers were exposed, oldest first."""
    begun = [row for row in state.stages if row.event in ("start", "promote", "rollback", "restart")]
    pairs = zip(begun, history(state), strict=True)
    return tuple(
        Stage(
            f"{row.rollout_id}/{row.version}",
            span.rollout_id,
            span.release,
            span.phase,
            span.share,
            span.since,
            span.until,
            span.current,
        )
        for row, span in pairs
        if row.state is not RolloutState.ROLLED_BACK and span.exposed and span.since < span.until
    )


def drawn(chosen: Sequence[Stage]) -> list[Stage]:
    """The stages that drew lots: where everybody is on one arm nothing is compared. All of them where none did."""
    return [stage for stage in chosen if stage.share < 1.0] or list(chosen)


def outcome(metric: Metric) -> bool:
    """Whether it is what customers get; the others say how the service runs."""
    return metric.family in (Family.CONVERSATION, Family.EVALUATION)


def rolled_back(state: State, rollout_id: str) -> bool:
    """Whether the rollout ended, or stands, with its traffic cut."""
    mine = [row for row in state.stages if row.rollout_id == rollout_id]
    return bool(mine) and mine[-1].state is RolloutState.ROLLED_BACK


def effects(names: Sequence[str], frame: pl.DataFrame, policy: Policy | None, segment: str | None) -> list[Effect]:
    """All metrics; what customers get is judged together, and how the service runs. frame: as `data_experiments.sums`."""
    chosen = frame if segment is None else frame.filter(pl.col("segment") == segment)
    found = [_effect(METRICS[name], chosen.filter(pl.col("metric") == name), policy) for name in names]
    return [
        *_together([e for e in found if outcome(e.metric)]),
        *_together([e for e in found if not outcome(e.metric)]),
    ]


def _together(found: Sequence[Effect]) -> list[Effect]:
    """The effects with p-values corrected over them, and verdicts."""
    raw = [np.nan if effect.found is None else anytime_p(effect.found.log_e) for effect in found]
    corrected = adjusted(np.array(raw, dtype=float), "holm")
    return [_judged(effect, p) for effect, p in zip(found, corrected, strict=True)]


def levels(metric: Metric, frame: pl.DataFrame) -> tuple[list[Level], Mixed | None]:
    """One row per segment, judged together, and what the segments have in common."""
    rows = frame.filter(pl.col("metric") == metric.name)
    names = sorted(rows["segment"].unique().to_list())
    groups = {name: _groups(metric, rows.filter(pl.col("segment") == name)) for name in names}
    found = {name: _compared(metric, groups[name]) for name in names}
    known = {name: difference for name, difference in found.items() if difference is not None}
    mixed = shrunk([d.fixed.estimate for d in known.values()], [d.error for d in known.values()])
    own = adjusted(np.array([anytime_p(d.log_e) for d in known.values()], dtype=float), "bh")
    unlike = adjusted(np.array(mixed.differs if mixed else [], dtype=float), "bh")
    p = dict(zip(known, map(float, own), strict=True))
    differs = dict(zip(known, map(float, unlike), strict=True)) if mixed else {}
    made = []
    for name in names:
        n_t, n_c = (int(sum(group.n for group in side.values())) for side in groups[name])
        word = _word(metric, found[name], p.get(name), None)
        made.append(Level(name, found[name], n_t, n_c, p.get(name), differs.get(name), word))
    return made, mixed


def trace(metric: Metric, frame: pl.DataFrame) -> pl.DataFrame:
    """What was known at the end of each bin: start, estimate, low, high (any look), one_low, one_high (right for one look), n.

    frame: as `data_experiments.trace`. Bins before anything can be told are left out.
    """
    kept: dict[tuple[int, str], Sums] = {}
    made = []
    for start, bins in frame.group_by("start", maintain_order=True):
        for row in bins.to_dicts():
            place = int(row["span"]), str(row["arm"])
            kept[place] = kept.get(place, Sums()) + _sums(metric, row)
        treated, control = (
            {str(span): _group(sums) for (span, of), sums in kept.items() if of == arm and sums.n >= 2} for arm in ARMS
        )
        if (found := _compared(metric, (treated, control))) is not None:
            ends = (found.anytime.low, found.anytime.high, found.fixed.low, found.fixed.high)
            made.append((start[0], found.fixed.estimate, *ends, found.n_t + found.n_c))
    names = ("start", "estimate", "low", "high", "one_low", "one_high", "n")
    schema: dict[str, Any] = {"start": pl.Datetime("us", "UTC"), **dict.fromkeys(names[1:], pl.Float64)}
    return pl.DataFrame(made, schema=schema, orient="row")


def split(chosen: Sequence[Stage], frame: pl.DataFrame) -> Split | None:
    """The split of the traffic over stages that drew lots; None where none did, or nothing was counted.

    frame: as `data_experiments.sums` over the same stages, with the metric `traffic_volume`.
    """
    counted = frame.filter(pl.col("metric") == TRAFFIC).group_by("span", "arm").agg(pl.col("n_all").sum())
    units = {(int(span), str(arm)): int(n) for span, arm, n in counted.iter_rows()}
    stages_ = [(units.get((i, ARMS[0]), 0), units.get((i, ARMS[1]), 0), stage.share) for i, stage in enumerate(chosen)]
    found = split_over_stages(stages_)
    return None if found is None else Split(found.treated, found.units, found.expected, anytime_p(found.log_e))


def _effect(metric: Metric, rows: pl.DataFrame, policy: Policy | None) -> Effect:
    found = _compared(metric, _groups(metric, rows))
    n_all, n = (int(rows.filter(pl.col("arm") == ARMS[0])[name].sum()) for name in ("n_all", "n"))
    side_by_side = rows.filter((pl.col("arm").n_unique() >= 2).over("span"))
    told = (
        rows if side_by_side.is_empty() else side_by_side
    )  # a stage that everybody was in says nothing beside the other arm
    sides = [told.filter(pl.col("arm") == arm) for arm in ARMS]
    provisional = found is None and not any(int(side["n"].sum()) for side in sides)
    ends = "_all" if provisional else ""
    values = [_value(metric, side, ends) for side in sides]
    if found is not None:
        values = [found.mean_t, found.mean_c]
    counts = [int(side[f"n{ends}"].sum()) for side in sides]
    mature = n / n_all if n_all else None
    waited, margin = maturity(policy, metric.name), margin_of(policy, metric.name)
    return Effect(metric, found, values[0], values[1], counts[0], counts[1], mature, waited, margin, provisional)


def _compared(metric: Metric, sides: tuple[dict[str, Group], dict[str, Group]]) -> Difference | None:
    found = compare(*sides, ALPHA)
    return None if found is None or empty(metric, found.anytime) else found


def _judged(effect: Effect, p: float) -> Effect:
    known = None if np.isnan(p) else float(p)
    word = _word(effect.metric, effect.found, known, effect.margin)
    return Effect(
        **{**{name: getattr(effect, name) for name in Effect.__dataclass_fields__}, "p": known, "verdict": word}
    )


def _word(metric: Metric, found: Difference | None, p: float | None, margin: float | None) -> str:
    if found is None or p is None or metric.direction is Direction.NEITHER:
        return UNKNOWN
    good = found.fixed.estimate > 0.0 if metric.direction is Direction.HIGHER else found.fixed.estimate < 0.0
    if p <= ALPHA:
        return BETTER if good else WORSE
    worst = -found.anytime.low if metric.direction is Direction.HIGHER else found.anytime.high
    return NOT_WORSE if margin is not None and worst < margin else NOT_SHOWN


def _groups(metric: Metric, rows: pl.DataFrame) -> tuple[dict[str, Group], dict[str, Group]]:
    """Groups per stage of both arms, segments of a stage added up."""
    columns = ("n", "x", "total", "total_sq")
    added = rows.group_by("span", "arm").agg(*(pl.col(name).sum() for name in columns))
    sides: dict[str, dict[str, Group]] = {arm: {} for arm in ARMS}
    for row in added.sort("span", "arm").to_dicts():
        if row["arm"] in sides and row["n"] >= 2:
            sides[row["arm"]][str(row["span"])] = _group(_sums(metric, row))
    return sides[ARMS[0]], sides[ARMS[1]]


def _sums(metric: Metric, row: Mapping[str, float]) -> Sums:
    if metric.kind in RATES:
        return Sums.of_rate(row["n"], row["x"])
    return Sums(row["n"], row["total"], row["total_sq"])


def _group(sums: Sums) -> Group:
    return Group(sums.n, sums.mean, sums.variance)


def _value(metric: Metric, rows: pl.DataFrame, ends: str) -> float | None:
    n, x, total = (rows[f"{name}{ends}"].sum() for name in ("n", "x", "total"))
    return metric.value(int(n), int(x), float(total))
