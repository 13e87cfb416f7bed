"""Rules of other rollout tools, emulated on the same replays, so that false rollbacks and delays stand side by side.

Every rule sees the same relabelled and matured blocks of a trigger on all traffic and compares with the same limit, or, where the tool tests for
"any worsening", with no difference. That favours them: run as documented they would judge the answers that are in so far. Scores are the event
of a rate, or the points a rating lies below 5. Times are microseconds, NEVER = no alarm; arrays `(T, R)`: blocks or points by replays.

Sources: Argo Rollouts, "Analysis & Progressive Delivery" (`interval`, `failureLimit`); Flagger, "Metrics Analysis" (`interval`, `threshold`);
Kayenta, `NetflixACAJudge` (Mann-Whitney U, confidence .98, tolerance .25); GrowthBook, "Sequential Testing" (asymptotic confidence sequence tuned at
N* = 5,000; Waudby-Smith et al., arXiv 2103.06476); the z-test is the textbook's, repeated each hour.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sqrt

import numpy as np

from controlplane.analysis.backtest_ramp import SECOND, BoolArray
from controlplane.analysis.backtest_tables import Pair, Table, units
from controlplane.core.evidence.weights import IntArray
from controlplane.core.model import MetricKind
from controlplane.core.policy_model import Trigger
from controlplane.store.backtest_facts import NEVER, FloatArray

HOUR = 3_600 * SECOND
WINDOW = HOUR
LEAST_TREATED = 20
ARGO_INTERVAL, ARGO_FAILURES = 300 * SECOND, 3
FLAGGER_INTERVAL, FLAGGER_FAILURES = 60 * SECOND, 5
Z_95 = 1.6449
KAYENTA_Z = 2.3263 / (1.0 - 0.25)  # lower end at confidence .98 above a quarter of the estimated shift
GROWTHBOOK_ALPHA, GROWTHBOOK_TIGHTEST = 0.05, 5_000.0
MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Arm:
    """Outcomes `n`, sum of scores `s`, sum of squares `q`; `(T, R)`."""

    n: FloatArray
    s: FloatArray
    q: FloatArray

    def grouped(self, starts: IntArray) -> Arm:
        """Sums of runs of blocks that begin at these indices."""
        return self if len(starts) == len(self.n) else self.each(lambda values: np.add.reduceat(values, starts, axis=0))

    def running(self) -> Arm:
        """Sums of everything so far."""
        return self.each(lambda values: np.cumsum(values, axis=0))

    def each(self, change: Callable[[FloatArray], FloatArray]) -> Arm:
        """A rate's squares are its sums: what is one array stays one."""
        sums = change(self.s)
        return Arm(change(self.n), sums, sums if self.q is self.s else change(self.q))

    def mean(self) -> FloatArray:
        """Mean score, NaN without outcomes."""
        return np.asarray(np.divide(self.s, self.n, out=np.full(self.n.shape, np.nan), where=self.n > 0.0))

    def error(self) -> FloatArray:
        """Variance of the mean, NaN below two outcomes."""
        enough = self.n > 1.0
        mean = np.divide(self.s, self.n, out=np.zeros(self.n.shape), where=enough)
        spread = np.maximum(self.q - self.s * mean, 0.0)
        return np.asarray(np.divide(spread, self.n * (self.n - 1.0), out=np.full(self.n.shape, np.nan), where=enough))


@dataclass(frozen=True, slots=True)
class Series:
    """What a rule sees of one trigger: both arms, when each block could be judged, and the start of its stage. `limit` in scores."""

    treated: Arm
    control: Arm
    closes: IntArray
    maturity: int
    starts_stage: BoolArray
    span: int
    limit: float
    absolute: bool

    def looks(self, interval: int) -> IntArray:
        """First block of every interval (at least a block long), aligned to the first block."""
        run = max(1, round(interval / self.span))
        return np.arange(0, len(self.closes), run)

    def hourly(self) -> tuple[IntArray, Arm, Arm]:
        """First block of each hour, and both arms by the hour."""
        starts = self.looks(HOUR)
        return starts, self.treated.grouped(starts), self.control.grouped(starts)

    def at(self, starts: IntArray, fired: BoolArray) -> IntArray:
        """Time of the first True of each replay; `fired` `(looks, R)`, one row per group that begins at `starts`."""
        ends = np.append(starts[1:], len(self.closes)) - 1
        first = fired.argmax(axis=0)
        return np.where(fired.any(axis=0), self.closes[ends[first]] + self.maturity, NEVER)


def series(trigger: Trigger, table: Table, pair: Pair) -> Series:
    """The trigger's blocks as sums of scores."""
    arms = [_arm(counts, trigger.kind) for counts in (pair.treated, pair.control)]
    return Series(
        treated=arms[0],
        control=arms[1],
        closes=table.grid.closes,
        maturity=table.key.maturity,
        starts_stage=table.grid.events[:, 0] > 0,
        span=table.key.block_seconds * SECOND,
        limit=_as_margin(trigger, pair),
        absolute=trigger.kind is MetricKind.ONE_SAMPLE,
    )


def _as_margin(trigger: Trigger, pair: Pair) -> float:
    """The limit as the rivals take it: a rate ratio as the difference that it is at the control's own rate."""
    if trigger.kind is not MetricKind.RATE_RATIO:
        return trigger.limit
    control = pair.control.sum(axis=(0, 2), dtype=np.float64)
    return max(0.0, trigger.limit - 1.0) * float(control[1] / max(control.sum(), 1.0))


def _arm(counts: FloatArray, kind: MetricKind) -> Arm:
    if kind is not MetricKind.RATING:
        hits = counts[:, 1]
        return Arm(units(counts), hits, hits)
    points = np.array([4.0, 3.0, 2.0, 1.0, 0.0])
    return Arm(units(counts), np.tensordot(counts, points, (1, 0)), np.tensordot(counts, points**2, (1, 0)))


def _beyond(found: Series, treated: Arm, control: Arm) -> BoolArray:
    """Point estimate beyond the limit; no data is not beyond."""
    with np.errstate(invalid="ignore"):
        value = treated.mean() - (0.0 if found.absolute else control.mean())
        return np.asarray(value > found.limit)


def fixed_threshold(found: Series) -> IntArray:
    """After every block: the point estimate of the last hour against the limit, once the hour holds 20 treated outcomes."""
    width = max(1, WINDOW // found.span)
    arms = [arm.each(lambda values: _rolling(values, width)) for arm in (found.treated, found.control)]
    fired = _beyond(found, *arms) & (arms[0].n >= LEAST_TREATED)
    return found.at(np.arange(len(found.closes)), fired)


def _rolling(values: FloatArray, width: int) -> FloatArray:
    total = np.cumsum(values, axis=0)
    total[width:] = total[width:] - total[:-width].copy()
    return total


def _failures(found: Series, interval: int, allowed: int) -> IntArray:
    starts = found.looks(interval)
    failed = _beyond(found, found.treated.grouped(starts), found.control.grouped(starts))
    return found.at(starts, np.cumsum(failed, axis=0) >= allowed)


def argo_failure_limit(found: Series) -> IntArray:
    """Argo Rollouts: a measurement each 5 minutes (or block) fails beyond the limit; more than `failureLimit: 3` failures abort."""
    return _failures(found, ARGO_INTERVAL, ARGO_FAILURES + 1)


def flagger_threshold(found: Series) -> IntArray:
    """Flagger: a check each minute (or block); `threshold: 5` failed checks roll back."""
    return _failures(found, FLAGGER_INTERVAL, FLAGGER_FAILURES)


def hourly_z(found: Series) -> IntArray:
    """Each hour: z-test at 5 % of the stage so far, for any worsening (absolute limits: for being above the limit); never corrected."""
    starts, treated, control = found.hourly()
    stage = np.cumsum(np.logical_or.reduceat(found.starts_stage, starts), dtype=np.int64)
    treated, control = _since_stage(treated, stage), _since_stage(control, stage)
    with np.errstate(invalid="ignore", divide="ignore"):
        if found.absolute:
            error = np.sqrt(found.limit * (1.0 - found.limit) / treated.n)
            z = (treated.mean() - found.limit) / error
        else:
            z = (treated.mean() - control.mean()) / np.sqrt(treated.error() + control.error())
        return found.at(starts, np.asarray(z > Z_95) & (treated.n >= LEAST_TREATED))


def _since_stage(arm: Arm, stage: IntArray) -> Arm:
    """Running sums that begin anew with each stage."""
    begins = np.searchsorted(stage, stage, side="left")

    def running(values: FloatArray) -> FloatArray:
        total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, axis=0)])
        return np.asarray(total[1:] - total[begins])

    return arm.each(running)


def growthbook_sequential(found: Series) -> IntArray:
    """Each hour: the 95 % asymptotic confidence sequence of the difference, totals since the start of the ramp, per metric, no budget over all."""
    starts, treated, control = found.hourly()
    treated, control = treated.running(), control.running()
    n = treated.n + control.n
    rho2 = (-2.0 * log(GROWTHBOOK_ALPHA) + log(1.0 - 2.0 * log(GROWTHBOOK_ALPHA))) / GROWTHBOOK_TIGHTEST
    with np.errstate(invalid="ignore", divide="ignore"):
        tuned = n * rho2
        width = np.sqrt(2.0 * (tuned + 1.0) / tuned * np.log(np.sqrt(tuned + 1.0) / GROWTHBOOK_ALPHA))
        low = treated.mean() - control.mean() - np.sqrt(treated.error() + control.error()) * width
        return found.at(starts, np.asarray(low > 0.0) & (treated.s > 0.0))


def kayenta_mann_whitney(found: Series) -> IntArray:
    """Each hour: Mann-Whitney U of the points so far (one per hour, fewer in long histories): treated higher at confidence .98, tolerance .25."""
    span = max(HOUR, len(found.closes) * found.span // MOST_POINTS)
    starts = found.looks(span)
    treated, control = found.treated.grouped(starts).mean(), found.control.grouped(starts).mean()
    here_t, here_c = ~np.isnan(treated), ~np.isnan(control)
    u = np.zeros(treated.shape)
    with np.errstate(invalid="ignore"):
        for t in range(len(starts)):
            u[t] = _above(treated[t], control[: t + 1]) + _above(-control[t], -treated[:t])
        u = np.cumsum(u, axis=0)
        n, m = np.cumsum(here_t, axis=0), np.cumsum(here_c, axis=0)
        spread = np.sqrt(n * m * (n + m + 1.0) / 12.0)
        z = np.divide(u - n * m / 2.0, spread, out=np.zeros(u.shape), where=spread > 0.0)
    return found.at(starts, (z > KAYENTA_Z) & (np.minimum(n, m) >= 3))


def _above(value: FloatArray, others: FloatArray) -> FloatArray:
    """How many `others` `(t, R)` lie below `value` `(R,)`, ties a half; NaN on either side counts nothing."""
    return np.asarray((value > others).sum(axis=0) + 0.5 * (value == others).sum(axis=0))


@dataclass(frozen=True, slots=True)
class Rival:
    """A rule with its words."""

    name: str
    rule: str
    alarm: Callable[[Series], IntArray]


RIVALS: tuple[Rival, ...] = (
    Rival(
        "fixed_threshold",
        "point estimate of the last hour beyond the limit, looked at after every block",
        fixed_threshold,
    ),
    Rival(
        "argo_failure_limit",
        "Argo Rollouts: more than 3 failed measurements, one each 5 minutes or block",
        argo_failure_limit,
    ),
    Rival("flagger_threshold", "Flagger: 5 failed checks, one each minute or block", flagger_threshold),
    Rival("kayenta_mann_whitney", "Kayenta: Mann-Whitney U at confidence .98 each hour", kayenta_mann_whitney),
    Rival("hourly_z", "z-test at 5 % each hour, uncorrected", hourly_z),
    Rival("growthbook_sequential", "GrowthBook: asymptotic 95 % confidence sequence per metric", growthbook_sequential),
)


def confidence_width(n: float) -> float:
    """GrowthBook's half-width in standard errors after `n` outcomes in both arms (for the tests and the report)."""
    rho2 = (-2.0 * log(GROWTHBOOK_ALPHA) + log(1.0 - 2.0 * log(GROWTHBOOK_ALPHA))) / GROWTHBOOK_TIGHTEST
    return sqrt(2.0 * (n * rho2 + 1.0) / (n * rho2) * log(sqrt(n * rho2 + 1.0) / GROWTHBOOK_ALPHA))
