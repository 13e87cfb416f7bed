"""Did the units split as configured? Sample-ratio mismatch, from unit counts alone.

- `p`: Pearson's chi-square test against the configured shares, right for one look; of two arms exact while few units are expected in one.
- `split_log_e`: log e-value of the multinomial against every other split (Dirichlet mixture; Lindon and Malek, NeurIPS 2022), right at any look,
  because it is a martingale unit by unit while the shares are as configured.

A mismatch means that the comparison itself is broken (units lost, doubled or sent astray in one arm), so no result of it can be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, lgamma, log

FEW = 50.0
"""Expected units of an arm below which a sum of draws is too skewed for the normal distribution far out in its tail."""
MOST_EXACT = 20_000


@dataclass(frozen=True, slots=True)
class Split:
    """Counts against shares. `p` is for one look, `log_e` for any number of looks."""

    counts: tuple[int, ...]
    expected: tuple[float, ...]
    statistic: float
    p: float
    log_e: float


def split(counts: Sequence[int], shares: Sequence[float]) -> Split | None:
    """Both tests; None without a unit. Raises ValueError for shares that are not above 0 or of another number than the counts."""
    if len(counts) != len(shares) or len(counts) < 2 or min(counts) < 0:
        raise ValueError("a split compares at least two counts with as many shares, and no count is negative")
    if not all(isfinite(share) and share > 0.0 for share in shares):
        raise ValueError("every configured share must be above 0")
    whole, n = sum(shares), sum(counts)
    if n == 0:
        return None
    expected = tuple(n * share / whole for share in shares)
    from scipy.special import chdtrc

    statistic = sum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
    p = float(chdtrc(len(counts) - 1, statistic))
    if len(counts) == 2:
        p = _two_sided([(counts[0], counts[1], shares[0] / whole)], counts[0], expected[0])
    return Split(tuple(counts), expected, statistic, p, split_log_e(counts, [share / whole for share in shares]))


def split_log_e(counts: Sequence[int], shares: Sequence[float], weight: float = 100.0) -> float:
    """Log of `integral of the likelihood under Dirichlet(weight x shares)` over `the likelihood under the shares`.

    `weight`: how near to the shares the alternatives lie, in units; about 100 finds splits that are off by some percent of the units.
    """
    prior = [weight * share for share in shares]
    n = sum(counts)
    mixture = lgamma(weight) - lgamma(weight + n)
    mixture += sum(lgamma(a + count) - lgamma(a) for a, count in zip(prior, counts, strict=True))
    return mixture - sum(count * log(share) for count, share in zip(counts, shares, strict=True))


@dataclass(frozen=True, slots=True)
class SplitOverStages:
    """Two arms whose share changed: `expected` treated units; `p` is for one look, `log_e` for any number of looks."""

    treated: int
    units: int
    expected: float
    p: float
    log_e: float


def split_over_stages(stages: Sequence[tuple[int, int, float]]) -> SplitOverStages | None:
    """(treated, control, share of the treated) per stage; None where no stage drew lots. Within a stage units are independent draws.

    One test on the sum of all deviations, because what loses units of an arm loses them in every stage: `sum(nT - n s) / sqrt(sum n s (1 - s))`,
    and while few units are expected in an arm (a canary's first), the sum's exact distribution, both tails alike.
    """
    drawn = [(t, c, share) for t, c, share in stages if 0.0 < share < 1.0 and t + c > 0]
    if not drawn:
        return None
    expected = sum((t + c) * share for t, c, share in drawn)
    treated = sum(t for t, _, _ in drawn)
    p = _two_sided(drawn, treated, expected)
    log_e = sum(split_log_e((t, c), (share, 1.0 - share)) for t, c, share in drawn)
    return SplitOverStages(treated, sum(t + c for t, c, _ in drawn), expected, p, log_e)


def _two_sided(stages: Sequence[tuple[int, int, float]], treated: int, expected: float) -> float:
    units = sum(t + c for t, c, _ in stages)
    if min(expected, units - expected) >= FEW or units > MOST_EXACT:
        from scipy.special import ndtr

        spread = sum((t + c) * share * (1.0 - share) for t, c, share in stages) ** 0.5
        return 2.0 * float(ndtr(-abs(treated - expected) / spread))
    import numpy as np
    from scipy.stats import binom

    chances = np.ones(1)
    for t, c, share in stages:
        chances = np.convolve(chances, binom.pmf(np.arange(t + c + 1), t + c, share))
    return min(1.0, 2.0 * float(min(chances[: treated + 1].sum(), chances[treated:].sum())))
