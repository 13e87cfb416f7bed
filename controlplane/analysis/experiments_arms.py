"""Thousands of tests with many arms and no control, each seen once: which arms differ, at how many false finds, and which tests were split wrongly.

One hypothesis per arm: "this arm has the event as often as the other arms of its test, pooled". That is the question a headline test asks (is this
one worth keeping?), it costs one hypothesis per arm instead of k(k-1)/2 pairs that repeat one another, and it names no winner beforehand, which
"best against the rest" would do by looking. The arms of one test depend on each other, so the guarantee comes from e-values (e-BH holds under any
dependence); Benjamini-Hochberg and -Yekutieli on p-values stand beside it.

The e-value of an arm is form 4 with ratio 1, in both directions: events split over the arms as units do. It needs no guess of the base rate, and
is exact for independent units of any chances. Sample ratio over k arms is form 4's sibling for many arms: a Dirichlet mixture over the arms' shares
against the equal one (Lindon and Malek, NeurIPS 2022), averaged over how far shares may lie from it; exact at every look as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from controlplane.core.estimates import Interval, clopper_pearson
from controlplane.core.evidence.forms import BoolArray, FloatArray, count_ratio_log_e
from controlplane.core.multiplicity import benjamini_hochberg, benjamini_yekutieli, e_bh

ARM_RATIOS = tuple(float(2.0 ** (1.0 / 2**k)) for k in range(6))
"""Rate ratios betted on, from twice as often down to 1.02 times."""

CONCENTRATIONS = (1e2, 1e3, 1e4, 1e5, 1e6)
"""How closely shares lie round the equal one: of five arms, about 22, 7, 2, 0.7 and 0.2 % of a share away."""


@dataclass(frozen=True, slots=True)
class Arms:
    """A arms of M tests. `test` `(A,)` number of the test, `n`, `x` `(A,)` units and events; `names` (M), `period` (M) when the test began."""

    names: Sequence[str]
    period: Sequence[str]
    test: np.ndarray
    n: FloatArray
    x: FloatArray

    def totals(self, values: FloatArray) -> FloatArray:
        """Sums per test `(M,)`."""
        return np.bincount(self.test, weights=values, minlength=len(self.names)).astype(np.float64)

    @property
    def sizes(self) -> FloatArray:
        """Arms per test `(M,)`."""
        return self.totals(np.ones(len(self.n)))


@dataclass(frozen=True, slots=True)
class ArmFinds:
    """Per arm `(A,)`: p-value of the z-test against the rest and log evidence, NaN = nothing to compare; flags of the four ways to believe."""

    p: FloatArray
    log_e: FloatArray
    side: FloatArray
    naive: BoolArray
    hochberg: BoolArray
    yekutieli: BoolArray
    e_values: BoolArray


def arm_finds(arms: Arms, alpha: float, false_share: float) -> ArmFinds:
    """Every arm against the rest of its test. `alpha` of the naive test; `false_share`: expected share of false finds allowed."""
    rest_n, rest_x = arms.totals(arms.n)[arms.test] - arms.n, arms.totals(arms.x)[arms.test] - arms.x
    said = (arms.n > 0) & (rest_n > 0) & (arms.x + rest_x > 0)
    n, m = np.where(said, arms.n, 1.0), np.where(said, rest_n, 1.0)
    x, rest_x = np.where(said, arms.x, 0.0), np.where(said, rest_x, 0.0)
    p, side = _two_proportions(x, n, rest_x, m)
    p = np.where(said, p, np.nan)
    more = count_ratio_log_e(x, rest_x, n / (n + m), ARM_RATIOS)
    less = count_ratio_log_e(rest_x, x, m / (n + m), ARM_RATIOS)
    both = np.logaddexp.reduce(np.concatenate([more, less], axis=-1), axis=-1) - log(2 * len(ARM_RATIOS))
    log_e = np.where(said, both, np.nan)
    return ArmFinds(
        p=p,
        log_e=log_e,
        side=side,
        naive=np.asarray(p <= alpha),
        hochberg=benjamini_hochberg(p, false_share),
        yekutieli=benjamini_yekutieli(p, false_share),
        e_values=e_bh(log_e, false_share),
    )


def _two_proportions(x: FloatArray, n: FloatArray, y: FloatArray, m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two-sided p of the pooled z-test and the side of the first arm (1 more often, -1 less)."""
    from scipy.special import ndtr

    pooled = (x + y) / (n + m)
    error = np.sqrt(pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m))
    difference = x / n - y / m
    z = np.divide(difference, error, out=np.zeros_like(difference), where=error > 0)
    return np.asarray(2.0 * ndtr(-np.abs(z))), np.sign(difference)


@dataclass(frozen=True, slots=True)
class SplitFinds:
    """Per test `(M,)`: was the split equal? `p` (chi-square) and `log_e` are NaN for one arm; `found` at 1/alpha, `e_values` at a false share."""

    p: FloatArray
    log_e: FloatArray
    found: BoolArray
    chi_square: BoolArray
    e_values: BoolArray


def split_finds(arms: Arms, alpha: float, false_share: float) -> SplitFinds:
    """Sample-ratio mismatch of every test, against equal shares of its arms."""
    from scipy.special import chdtrc

    sizes, units = arms.sizes, arms.totals(arms.n)
    said = (sizes >= 2) & (units > 0)
    expected = np.where(said, units / np.maximum(sizes, 1.0), 1.0)[arms.test]
    chi = arms.totals((arms.n - expected) ** 2 / expected)
    p = np.where(said, chdtrc(np.maximum(sizes - 1.0, 1.0), chi), np.nan)
    log_e = np.where(said, _dirichlet_evidence(arms, sizes, units), np.nan)
    return SplitFinds(
        p=p,
        log_e=log_e,
        found=np.asarray(log_e >= -log(alpha)),
        chi_square=np.asarray(p <= alpha),
        e_values=e_bh(log_e, false_share),
    )


def _dirichlet_evidence(arms: Arms, sizes: FloatArray, units: FloatArray) -> FloatArray:
    """Log evidence per test `(M,)` against equal shares: mean over `CONCENTRATIONS` c of Dirichlet(c/k, ..., c/k) mixtures of the multinomial."""
    from scipy.special import gammaln

    k = np.maximum(sizes, 1.0)
    logs = []
    for c in CONCENTRATIONS:
        each = (c / k)[arms.test]
        per_arm = gammaln(each + arms.n) - gammaln(each) + arms.n * np.log(k)[arms.test]
        logs.append(gammaln(c) - gammaln(c + units) + arms.totals(per_arm))
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - log(len(CONCENTRATIONS)))


@dataclass(frozen=True, slots=True)
class PeriodShare:
    """Tests and mismatches of one period (or of several), with the Clopper-Pearson interval of their share."""

    period: str
    tests: int
    mismatches: int
    share: Interval | None


def by_period(arms: Arms, finds: SplitFinds) -> list[PeriodShare]:
    """Share of mismatched tests per period, in the order of the periods; tests of one arm are left out."""
    periods = np.asarray(arms.period)
    return [period_share(str(name), finds, periods == name) for name in sorted(set(arms.period))]


def period_share(name: str, finds: SplitFinds, chosen: BoolArray, alpha: float = 0.05) -> PeriodShare:
    """The share among the `chosen` tests that could be tested."""
    tested = chosen & ~np.isnan(finds.log_e)
    tests, mismatches = int(tested.sum()), int(np.sum(finds.found & tested))
    return PeriodShare(name, tests, mismatches, clopper_pearson(mismatches, tests, alpha))
