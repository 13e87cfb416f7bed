"""Two releases on the same rows: paired differences with intervals.

- Rates: Tango's score interval of a paired difference (Tango, Statistics in Medicine 17, 1998), which stays honest where both releases agree
  on every row, and McNemar's exact test on the rows where they differ.
- Means: percentile bootstrap of the rows' differences.

A difference is counted so that more is better, whatever the metric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from controlplane.core.acceptance import Figure

RESAMPLES = 2000
STEPS = 60
DRAWN_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Candidate minus baseline: the figure, rows on which each is better, and McNemar's exact two-sided p (None for means)."""

    figure: Figure
    better: int
    worse: int
    p_value: float | None


def paired_rate(candidate: Sequence[bool], baseline: Sequence[bool], good: bool, confidence: float) -> PairedDifference:
    """Difference of the rates of rows that are `good`, over the same rows in the same order."""
    _same_length(candidate, baseline)
    n = len(candidate)
    ahead = sum((a is good) and (b is not good) for a, b in zip(candidate, baseline, strict=True))
    behind = sum((a is not good) and (b is good) for a, b in zip(candidate, baseline, strict=True))
    if n == 0:
        return PairedDifference(Figure(0), 0, 0, None)
    low, high = tango_interval(ahead, behind, n, confidence)
    figure = Figure(n, (ahead - behind) / n, low, high, "Tango score, paired")
    return PairedDifference(figure, ahead, behind, mcnemar(ahead, behind))


def paired_mean(
    candidate: Sequence[float], baseline: Sequence[float], better: str, confidence: float, seed: int
) -> PairedDifference:
    """Difference of the means over the same rows in the same order; lower is better when `better` says so."""
    _same_length(candidate, baseline)
    sign = 1.0 if better == "higher" else -1.0
    gaps = sign * (np.asarray(candidate, dtype=float) - np.asarray(baseline, dtype=float))
    ahead, behind = int((gaps > 0).sum()), int((gaps < 0).sum())
    if len(gaps) < 2:
        return PairedDifference(Figure(0), ahead, behind, None)
    again = np.concatenate([gaps[draws].mean(axis=1) for draws in resamples(len(gaps), RESAMPLES, seed)])
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(again, [tail, 1.0 - tail])
    figure = Figure(len(gaps), float(gaps.mean()), float(low), float(high), "paired bootstrap")
    return PairedDifference(figure, ahead, behind, None)


def resamples(n: int, count: int, seed: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows drawn with replacement, `count` times `n` of them, in parts of at most some 32 MB; the parts change nothing of what is drawn."""
    random, most = np.random.default_rng(seed), max(1, DRAWN_AT_ONCE // n)
    for start in range(0, count, most):
        yield random.integers(0, n, (min(most, count - start), n))


def mcnemar(ahead: int, behind: int) -> float:
    """Exact two-sided p of McNemar's test: the rows that differ are a fair coin if the releases are equally good."""
    if ahead + behind == 0:
        return 1.0
    return float(stats.binomtest(ahead, ahead + behind, 0.5).pvalue)


def tango_interval(ahead: int, behind: int, n: int, confidence: float) -> tuple[float, float]:
    """Score interval of (ahead - behind)/n. Raises ValueError for counts that are not among `n`."""
    if min(ahead, behind) < 0 or ahead + behind > n or n < 1:
        raise ValueError(f"{ahead} and {behind} rows differ among {n}: they must be counted among the rows")
    z = float(stats.norm.isf((1.0 - confidence) / 2.0))
    estimate = (ahead - behind) / n

    def statistic(delta: float) -> float:
        b = -ahead - behind + (2 * n - ahead + behind) * delta
        c = -behind * delta * (1.0 - delta)
        share = (sqrt(max(b * b - 8.0 * n * c, 0.0)) - b) / (4.0 * n)
        spread = n * (2.0 * share + delta * (1.0 - delta))
        gap = ahead - behind - n * delta
        if spread <= 0.0:
            return 0.0 if abs(gap) < 1e-12 else float(np.copysign(np.inf, gap))
        return gap / sqrt(spread)

    low = _crossing(statistic, -1.0, estimate, z)
    high = _crossing(statistic, estimate, 1.0, -z)
    return low, high


def _crossing(function: Callable[[float], float], low: float, high: float, level: float) -> float:
    """Where a falling function passes `level` between two ends, by bisection."""
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        if function(middle) > level:
            low = middle
        else:
            high = middle
    return (low + high) / 2.0


def _same_length(candidate: Sequence[object], baseline: Sequence[object]) -> None:
    if len(candidate) != len(baseline):
        raise ValueError(
            f"{len(candidate)} and {len(baseline)} outcomes cannot be paired: both must be of the same rows"
        )
