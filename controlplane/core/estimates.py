"""Intervals that people see. They never decide: decisions come from `evidence`.

- `confidence_sequence`: difference of two means from additive sums, valid however often it is looked at (asymptotic; Waudby-Smith et al.,
  arXiv 2103.06476), tightest near `tightest` units.
- `exact_sequence`: the same for rates and ratings from block counts, exact, by inverting form 1/2 of the evidence engine over a grid of margins.
- `wilson`, `clopper_pearson`: one rate, looked at once.
- `quantile`: latency quantiles with an interval from mergeable logarithmic buckets (DDSketch), relative error 1 %;
  `quantile_difference` between two arms. Ratio metrics: `estimates_ratio`; CUPED: `estimates_compare`; power: `estimates_power`.

Unknown is a verdict: where the data cannot carry an estimate the answer is None, and an end that the data cannot bound is infinite.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, exp, hypot, inf, isfinite, log, sqrt

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.counts import checked_columns
from controlplane.core.evidence.forms import (
    FORMS,
    RATING_BETS,
    RATING_SPAN,
    TWO_SAMPLE_BETS,
    BoolArray,
    Columns,
    FloatArray,
    rate_log_e,
    score_log_e,
)

GAMMA = 1.01 / 0.99
LOG_GAMMA = log(GAMMA)
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its interval; an end may be infinite."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Sums:
    """Additive statistics of a score: units, sum, sum of squares. `+` merges exactly."""

    n: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def __post_init__(self) -> None:
        if not all(map(isfinite, (self.n, self.total, self.squares))) or self.n < 0 or self.squares < 0:
            raise ValueError(
                f"{self} is no count, sum and sum of squares; they must be finite, counts and squares not negative"
            )

    @classmethod
    def of_rate(cls, units: float, events: float) -> "Sums":
        """Sums of a 0/1 score."""
        if not 0 <= events <= units:
            raise ValueError(f"{events} events in {units} units; events must be counted among the units")
        return cls(units, events, events)

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.n + other.n, self.total + other.total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Mean score; ZeroDivisionError without units."""
        return self.total / self.n

    @property
    def variance(self) -> float:
        """Unbiased variance of one unit, for n >= 2; 0 where only rounding tells the scores apart."""
        spread = self.squares - self.total * self.mean
        return spread / (self.n - 1.0) if spread > ROUNDING * self.squares else 0.0


def confidence_sequence(treated: Sums, control: Sums, alpha: float, tightest: float = 5000.0) -> Interval | None:
    """Treated minus control with a (1 - alpha) asymptotic confidence sequence; None until each arm has varied (the
    error of an arm that has not is unknown, not zero).

    STATISTICS section 3: `N = nT + nC`, half-width `se sqrt(N) sqrt(2 (N rho^2 + 1)/(N^2 rho^2) ln(sqrt(N rho^2 + 1)/alpha))`.
    """
    _check_level(alpha)
    if min(treated.n, control.n) < 2.0:
        return None
    if min(treated.variance, control.variance) == 0.0:
        return None
    error = sqrt(treated.variance / treated.n + control.variance / control.n)
    half = float(sequence_half_width(error, treated.n + control.n, alpha, tightest))
    difference = treated.mean - control.mean
    return Interval(difference, difference - half, difference + half)


def sequence_half_width(error: npt.ArrayLike, units: npt.ArrayLike, alpha: float, tightest: float) -> FloatArray:
    """Half-width of the asymptotic sequence from the standard error of an estimate and the units behind it; arrays broadcast."""
    tuned = _tuned(units, alpha, tightest)
    width = np.sqrt(2.0 * (tuned + 1.0) / tuned * np.log(np.sqrt(tuned + 1.0) / alpha))
    return np.asarray(np.asarray(error, dtype=np.float64) * width)


def sequence_log_evidence(z: npt.ArrayLike, units: npt.ArrayLike, alpha: float, tightest: float) -> FloatArray:
    """Log of the (asymptotic) e-value behind that sequence, at the estimate over its error `z`: 0 lies outside exactly when it is >= log(1/alpha)."""
    tuned = _tuned(units, alpha, tightest)
    return np.asarray(tuned * np.square(z) / (2.0 * (tuned + 1.0)) - 0.5 * np.log1p(tuned))


def _tuned(units: npt.ArrayLike, alpha: float, tightest: float) -> FloatArray:
    """N rho^2 of STATISTICS section 3."""
    _check_level(alpha)
    if not 0.0 < tightest < inf:
        raise ValueError(
            f"tightest is {tightest}; give the number of units, above 0, at which the interval shall be narrowest"
        )
    factor = (-2.0 * log(alpha) + log(1.0 - 2.0 * log(alpha))) / tightest
    return np.asarray(np.asarray(units, dtype=np.float64) * factor)


def exact_sequence(kind: str, stats: Mapping[str, npt.ArrayLike], alpha: float, steps: int = 200) -> Interval | None:
    """Treated minus control with an exact (1 - alpha) confidence sequence, ends on a grid of `steps` margins; None without a comparable block
    or where no constant difference fits (the effect has changed).

    `kind` and `stats`: "two_sample" with `nT, xT, nC, xC` of shape (T,), difference of rates; "rating" with `kT, kC` of shape (T, 5), difference
    of mean ratings in points. A margin is excluded once the evidence of either side against it has ever reached 2/alpha. Exact for a difference
    that is the same in every block, whatever the control does. Ends outside the grid are the ends of the scale.
    """
    _check_level(alpha)
    if kind not in ("two_sample", "rating"):
        raise ValueError(f"kind is {kind!r}; an exact sequence exists for two_sample and rating")
    columns = checked_columns(FORMS[kind], stats)
    if np.all(FORMS[kind].is_empty(columns)):
        return None
    span = 1.0 if kind == "two_sample" else RATING_SPAN
    grid = span * np.linspace(-0.995, 0.995, 2 * (steps // 2) + 1)
    above = _largest_evidence(kind, columns, grid, 1.0) >= log(2.0 / alpha)
    below = _largest_evidence(kind, columns, grid, -1.0) >= log(2.0 / alpha)
    # unbroken runs from the ends of the scale: only one margin, the grid's nearest to the truth, can then be excluded wrongly
    excluded_low, excluded_high = _leading(above), _leading(below[::-1])
    low = float(grid[excluded_low - 1]) if excluded_low else -span
    high = float(grid[-excluded_high]) if excluded_high else span
    if low >= high:
        return None
    estimate = _difference(kind, columns)
    # a rating difference is the other way round than the dissatisfaction that the bets see
    return Interval(estimate, low, high) if kind == "two_sample" else Interval(estimate, -high, -low)


def _leading(flags: BoolArray) -> int:
    """How many flags are set before the first one that is not."""
    return int(np.argmin(np.append(flags, False)))


def _largest_evidence(kind: str, columns: Columns, grid: FloatArray, sign: float) -> FloatArray:
    """Largest log of the mean product so far, per margin of the grid `(G,)`. Bet by bet: blocks x grid is memory enough."""
    learn = FORMS[kind].learn(columns)
    prior = (np.cumsum(learn, axis=0) - learn)[:, None]
    wide = {name: values[:, None] for name, values in columns.items()}
    log_e_of, bets = (rate_log_e, TWO_SAMPLE_BETS) if kind == "two_sample" else (score_log_e, RATING_BETS)
    log_mean = np.full((len(learn), len(grid)), -inf)
    for bet in bets:
        log_mean = np.logaddexp(log_mean, np.cumsum(log_e_of(wide, prior, grid, (bet,), sign)[..., 0], axis=0))
    return np.asarray(log_mean.max(axis=0)) - log(len(bets))


def _difference(kind: str, columns: Columns) -> float:
    """Blocks weighted by `nT nC/(nT + nC)`, so a ramp over a drifting baseline does not show as an effect."""
    if kind == "two_sample":
        n_t, n_c, sum_t, sum_c = (columns[name] for name in ("nT", "nC", "xT", "xC"))
    else:
        ratings = np.arange(1.0, 6.0)
        n_t, n_c = columns["kT"].sum(axis=-1), columns["kC"].sum(axis=-1)
        sum_t, sum_c = columns["kT"] @ ratings, columns["kC"] @ ratings
    said = (n_t > 0.0) & (n_c > 0.0)
    n_t, n_c, sum_t, sum_c = n_t[said], n_c[said], sum_t[said], sum_c[said]
    return float(np.average(sum_t / n_t - sum_c / n_c, weights=n_t * n_c / (n_t + n_c)))


def wilson(events: float, units: float, alpha: float = 0.05) -> Interval | None:
    """Wilson score interval of a rate; None without units."""
    return _rate(events, units, alpha, "wilson")


def clopper_pearson(events: float, units: float, alpha: float = 0.05) -> Interval | None:
    """Clopper-Pearson (exact, conservative) interval of a rate; None without units."""
    return _rate(events, units, alpha, "exact")


def _rate(events: float, units: float, alpha: float, method: str) -> Interval | None:
    _check_level(alpha)
    if not 0 <= events <= units or not isfinite(units):
        raise ValueError(f"{events} events in {units} units; events must be counted among the units")
    if units == 0:
        return None
    from scipy import special

    # the same numbers as `scipy.stats`, a quarter of its time to import: an alert waits for them
    if method == "wilson":
        return _wilson(events / units, units, -float(special.ndtri(alpha / 2.0)))
    low = 0.0 if events == 0 else float(special.betaincinv(events, units - events + 1.0, alpha / 2.0))
    high = 1.0 if events == units else float(special.betainccinv(events + 1.0, units - events, alpha / 2.0))
    return Interval(events / units, low, high)


def _wilson(rate: float, units: float, z: float) -> Interval:
    centre = (rate + z * z / (2.0 * units)) / (1.0 + z * z / units)
    half = z * sqrt(rate * (1.0 - rate) / units + z * z / (4.0 * units * units)) / (1.0 + z * z / units)
    return Interval(rate, max(centre - half, 0.0), min(centre + half, 1.0))


def bucket(value: float) -> int:
    """Logarithmic bucket `ceil(ln x / ln gamma)` of a positive value: bucket i holds `gamma^(i-1) < x <= gamma^i`."""
    if not 0.0 < value < inf:
        raise ValueError(f"{value} has no logarithmic bucket; count values that are not positive and finite apart")
    return ceil(log(value) / LOG_GAMMA)


def bucket_value(index: int) -> float:
    """The value that stands for a bucket, at most 1 % from any value in it."""
    return 2.0 * exp(index * LOG_GAMMA) / (1.0 + GAMMA)


def quantile(histogram: Mapping[int, int], q: float, alpha: float = 0.05) -> Interval | None:
    """The q-quantile with a distribution-free (1 - alpha) interval, from counts per logarithmic bucket; None without values.

    Ends are order statistics of binomial ranks, widened to the edges of their buckets; with too few values an end is 0 or infinite.
    """
    if any(count < 0 for count in histogram.values()):
        raise ValueError("a histogram counts values, and a count cannot be negative")
    ordered = sorted(index for index, count in histogram.items() if count)
    upto = np.cumsum([histogram[index] for index in ordered])
    n = int(upto[-1]) if ordered else 0
    first, middle, last = quantile_ranks(n, q, alpha)
    if not ordered:
        return None

    def at_rank(rank: int) -> int:
        return ordered[int(np.searchsorted(upto, rank))]

    low = exp((at_rank(first) - 1) * LOG_GAMMA) if first >= 1 else 0.0
    high = exp(at_rank(last) * LOG_GAMMA) if last <= n else inf
    return Interval(bucket_value(at_rank(middle)), low, high)


def quantile_difference(
    treated: Mapping[int, int], control: Mapping[int, int], q: float, alpha: float = 0.05
) -> Interval | None:
    """Treated minus control q-quantile, from two histograms; None while one is empty, an end infinite where an arm's is open.

    The two intervals are joined as estimates of variance on the side where they matter (MOVER: Zou and Donner, Statistics in Medicine 27, 2008).
    """
    t, c = quantile(treated, q, alpha), quantile(control, q, alpha)
    if t is None or c is None:
        return None
    joined = joined_difference(t, c)
    # a low end of 0 is one that the data does not bound
    return replace(joined, low=joined.low if t.low > 0.0 else -inf, high=joined.high if c.low > 0.0 else inf)


def joined_difference(treated: Interval, control: Interval) -> Interval:
    """Difference of two estimates from their intervals (MOVER); ends that are infinite stay so."""
    difference = treated.estimate - control.estimate
    low = difference - hypot(treated.estimate - treated.low, control.high - control.estimate)
    high = difference + hypot(treated.high - treated.estimate, control.estimate - control.low)
    return Interval(difference, low, high)


def quantile_ranks(n: int, q: float, alpha: float = 0.05) -> tuple[int, int, int]:
    """Ranks (from 1) of the order statistics of `n` values that are the q-quantile and the ends of its distribution-free (1 - alpha) interval.

    A low rank of 0 and a high rank of n + 1 are ends that so few values cannot bound.
    """
    _check_level(alpha)
    if not 0.0 < q < 1.0:
        raise ValueError(f"q is {q}; a quantile lies strictly between 0 and 1")
    # P(fewer than `first` values below the quantile) <= alpha/2, and the same from above
    return _binomial_quantile(alpha / 2.0, n, q), max(1, ceil(q * n)), _binomial_quantile(1.0 - alpha / 2.0, n, q) + 1


def _binomial_quantile(level: float, n: int, q: float) -> int:
    """The smallest k with P(X <= k) >= level for X of a binomial distribution.

    As `scipy.stats.binom.ppf`, of which pages would feel the import: it takes a second, the two functions of `scipy.special` a tenth of that.
    """
    from scipy.special import bdtr, bdtrik

    if n == 0:
        return 0
    k = max(ceil(float(bdtrik(level, n, q))), 0)
    while k > 0 and bdtr(k - 1, n, q) >= level:
        k -= 1
    while bdtr(k, n, q) < level:
        k += 1
    return k


def _check_level(alpha: float) -> None:
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha is {alpha}; it must lie strictly between 0 and 1")
