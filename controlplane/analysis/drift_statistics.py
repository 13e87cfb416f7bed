"""The pure part of the gate numbers: p-values, corrections and divergences from a few sums. No rows come here.

Sources: two-sample Kolmogorov-Smirnov, exact by counting lattice paths (J. L. Hodges, 1957), else by the finite-sample law of the
one-sample statistic at n m / (n + m) rows, which is what `scipy.stats.ks_2samp` does; Holm's step-down correction (S. Holm, 1979);
Sturges' number of bins (H. Sturges, 1926) over both sides together, as NumPy and Evidently bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, erfc, exp, frexp, lgamma, log, log2, pi, sqrt

import numpy as np

EXACT_ROWS = 10_000  # rows a side up to which the p-value is exact, as in SciPy
SMALLEST_EXACT = 1e-9  # below that one minus the share of the paths inside is rounding
FAR = 10.0  # n d^2 from which p is below 1e-8
LARGE = 2_000  # rows from which the expansion of the law of KS is good to ten digits
FEW_VALUES = 20  # a numeric column with so few values in the reference is binned by value, as in Evidently


def ks_p_value(distance: float, n: float, m: float, exact: bool = True) -> tuple[float, str]:
    """Two-sided p of the two-sample KS distance (0 to 1) for n and m rows, and which law gave it: "exact" or "asymptotic".

    Exact for at most 10,000 rows a side that count whole (`exact`: they do). Ties make both laws conservative.
    """
    likely = 2 * exp(-2 * distance * distance * n * m / (n + m)) >= SMALLEST_EXACT
    if exact and likely and max(n, m) <= EXACT_ROWS and (p := _paths_outside(distance, round(n), round(m))) is not None:
        return p, "exact"
    return _one_sample_p(distance, max(1, round(n * m / (n + m)))), "asymptotic"


def _one_sample_p(distance: float, n: int) -> float:
    """P(D_n >= distance) of the one-sample statistic, as `scipy.stats.kstwo.sf`, whose import alone takes seconds: it is left to few rows.

    Of many rows: ten digits after the point (SciPy leaves out a term of up to 3e-8 where p is below .025). What is below 1e-8 is both
    one-sided tails to the second order (U. R. Maag, G. Dicaire, 1971), an upper estimate: at 2,000 rows 2 % too large at 1e-9, 12 % at 1e-20
    and twenty times at 1e-100 (at 500,000 rows 1 %), its logarithm within 5 % down to 1e-300. The exact sum over all rows takes a second a
    column and changes no verdict.
    """
    if n < LARGE:
        from scipy.stats import kstwo

        return float(np.clip(kstwo.sf(distance, n), 0.0, 1.0))
    square = n * distance * distance
    if square < FAR:
        return min(1.0, max(0.0, 1.0 - _pelz_good(sqrt(square), n)))
    return min(1.0, 2.0 * exp(-((6 * n * distance + 1) ** 2) / (18 * n)))


def _pelz_good(z: float, n: int) -> float:
    """P(sqrt(n) D_n <= z) by the expansion in 1 / sqrt(n) up to the third order (W. Pelz, I. J. Good, 1976)."""
    if z < 0.05:  # the leading term is below e^-490
        return 0.0
    k = np.arange(1, 40, dtype=float)
    odd = ((2 * k - 1) * pi) ** 2 / 4
    theta, whole = np.exp(-odd / (2 * z * z)), (k * pi) ** 2
    inner = np.exp(-whole / (2 * z * z))
    first = theta.sum() / z
    second = (theta * (odd - z**2)).sum() / (6 * z**4)
    third = (theta * (6 * z**6 + 2 * z**4 + (2 * z**4 - 5 * z**2) * odd + (1 - 2 * z**2) * odd**2)).sum() / (72 * z**7)
    third -= (whole * inner).sum() / (36 * z**3)
    powers = (
        (5 - 30 * z**2) * odd**3
        + (212 * z**4 - 60 * z**2) * odd**2
        + (135 * z**4 - 96 * z**6) * odd
        - (30 * z**6 + 90 * z**8)
    )
    fourth = (theta * powers).sum() / (6480 * z**10) + (whole * inner * (3 * z * z - whole)).sum() / (216 * z**6)
    return float(sqrt(2 * pi) * (first + second / sqrt(n) + third / n + fourth / n**1.5))


def _paths_outside(distance: float, n: int, m: int) -> float | None:
    """Share of the lattice paths from (0, 0) to (n, m) that reach |i/n - j/m| >= distance somewhere; None where rounding would decide.

    Counts the paths that stay inside, row by row: N(i, j) = N(i, j-1) + N(i-1, j). Powers of two are taken out so that nothing overflows.
    """
    n, m = min(n, m), max(n, m)
    limit = distance * n * m - 0.5  # |i m - j n| are whole numbers; the rounding of distance is below one half
    if limit < 0:
        return 1.0
    high, exponent = min(m, int(limit // n)), 0
    low, counts = 0, np.ones(high + 1)
    for i in range(1, n + 1):
        first, high = max(0, ceil((i * m - limit) / n)), min(m, int((i * m + limit) // n))
        if high < first:
            return 1.0
        row = np.zeros(high + 1 - first)
        kept = counts[first - low :]
        row[: len(kept)] = kept
        _, shift = frexp(float(row.sum()))
        low, counts, exponent = first, np.cumsum(np.ldexp(row, -shift)), exponent + shift
    if counts[-1] <= 0:
        return 1.0
    every = lgamma(n + m + 1) - lgamma(n + 1) - lgamma(m + 1)
    p = 1.0 - exp(log(counts[-1]) + exponent * log(2.0) - every)
    return min(p, 1.0) if p > SMALLEST_EXACT / 10 else None


def chi_square_p_value(statistic: float, cells: int) -> float:
    """P of a chi-square statistic of a table of 2 x cells; 1 where there is one cell."""
    if cells < 2:
        return 1.0
    from scipy.special import chdtrc

    return float(chdtrc(cells - 1, statistic))


def fewer_values_p(reference: tuple[float, float], current: tuple[float, float]) -> float:
    """One-sided p that the current rows have as few values as they have, were values as likely on both sides; each side is (values, rows).

    Fisher's test (the number of values and the rows of both sides as given): exact where the current side has no value, else by the normal law
    with the hypergeometric variance and a continuity correction.
    """
    (k, n), (found, m) = reference, current
    values, rows = k + found, n + m
    if min(n, m) <= 0 or not 0 < values < rows:
        return 1.0
    if found == 0:
        return min(1.0, exp(lgamma(n + 1) - lgamma(n - k + 1) + lgamma(rows - k + 1) - lgamma(rows + 1)))
    mean, share = values * m / rows, values / rows
    spread = sqrt(m * share * (1 - share) * n / max(rows - 1, 1))
    return min(1.0, 0.5 * erfc((mean - found - 0.5) / (spread * sqrt(2)))) if spread > 0 else 1.0


def sturges_bins(rows: float, low: float, high: float) -> int:
    """Number of equal bins between the lowest and highest of `rows` values; 1 where all are equal."""
    width = (high - low) / (log2(rows) + 1.0) if rows >= 1 else 0.0
    return max(1, ceil((high - low) / width)) if width > 0 else 1


def population_stability(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI of two lists of shares (same bins, each sums to 1): sum of (r - c) ln(r / c).

    An empty bin is floored as Evidently does: by .0001, or a millionth of the smallest share where that is not above .0001.
    """
    sides = [_floored(reference), _floored(current)]
    return float(sum((r - c) * log(r / c) for r, c in zip(*sides, strict=True)))


def _floored(shares: Sequence[float]) -> list[float]:
    least = min(share for share in shares if share > 0)
    floor = least / 1e6 if least <= 0.0001 else 0.0001
    return [share if share > 0 else floor for share in shares]


def jensen_shannon(reference: Sequence[float], current: Sequence[float]) -> float:
    """Jensen-Shannon distance (natural logarithm; 0 to .8326) of two lists of shares."""
    total = 0.0
    for r, c in zip(reference, current, strict=True):
        middle = (r + c) / 2
        total += (r * log(r / middle) if r > 0 else 0.0) + (c * log(c / middle) if c > 0 else 0.0)
    return sqrt(max(total / 2, 0.0))
