"""How far two people agree beyond chance, on nominal labels.

- `raw`: share of items with the same label, Clopper-Pearson interval.
- `kappa`: Cohen's, with the large-sample standard error of Fleiss, Cohen and Everitt (Psychological Bulletin 72, 1969).
- `ac1`: Gwet's, which does not fall where one label is rare (British Journal of Mathematical and Statistical Psychology 61, 2008); its standard
  error treats the items as the sample.
- `alpha`: Krippendorff's, nominal, every item with two labels (Content Analysis, 2004, section 11.3).

Each is None where it is not defined: chance agreement 1, or no pair. Below `MIN_PAIRS` pairs the intervals are not to be relied on, and `enough`
says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from controlplane.core.estimates import clopper_pearson

MIN_PAIRS = 30
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A value with its interval; the interval is None where no standard error is defined."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `n` pairs, `same` have one label twice."""

    n: int
    same: int
    raw: Coefficient | None
    kappa: Coefficient | None
    ac1: Coefficient | None
    alpha: Coefficient | None
    enough: bool
    note: str

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def agreement(pairs: Sequence[Pair], level: float = 0.95, categories: Sequence[str] = ()) -> Agreement:
    """Agreement of the pairs' first with their second labels. `categories`: the scale; labels beyond it are added."""
    scale = sorted({*categories, *(label for pair in pairs for label in pair)})
    n, same = len(pairs), sum(a == b for a, b in pairs)
    if n == 0:
        return Agreement(0, 0, None, None, None, None, False, "no item has two people's labels")
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    found = clopper_pearson(same, n, 1.0 - level)
    raw = Coefficient(same / n, *((None, None) if found is None else (found.low, found.high)))
    kappa, ac1 = _kappa(pairs, scale, z), _ac1(pairs, scale, z)
    note = ""
    if n < MIN_PAIRS:
        note = f"{n} pairs: below {MIN_PAIRS} the intervals of kappa and AC1 are not to be relied on"
    if kappa is None:
        note = "; ".join(part for part in (note, "both used one label only: kappa is not defined") if part)
    return Agreement(n, same, raw, kappa, ac1, _alpha(pairs), n >= MIN_PAIRS, note)


def _kappa(pairs: Sequence[Pair], scale: Sequence[str], z: float) -> Coefficient | None:
    n = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[k] * second[k] for k in scale) / n**2
    if chance >= 1.0:
        return None
    value = (sum(a == b for a, b in pairs) / n - chance) / (1.0 - chance)
    total = 0.0
    for (a, b), count in Counter(pairs).items():
        if a == b:
            total += count / n * (1.0 - (first[a] + second[a]) / n * (1.0 - value)) ** 2
        else:
            total += count / n * ((1.0 - value) * (second[a] + first[b]) / n) ** 2
    variance = (total - (value - chance * (1.0 - value)) ** 2) / (n * (1.0 - chance) ** 2)
    return _around(value, sqrt(max(variance, 0.0)), z)


def _ac1(pairs: Sequence[Pair], scale: Sequence[str], z: float) -> Coefficient | None:
    n, q = len(pairs), len(scale)
    if q < 2:
        return None
    used = Counter(label for pair in pairs for label in pair)
    share = {k: used[k] / (2 * n) for k in scale}
    chance = sum(p * (1.0 - p) for p in share.values()) / (q - 1)
    value = (sum(a == b for a, b in pairs) / n - chance) / (1.0 - chance)
    if n < 2:
        return Coefficient(value)
    squares = 0.0
    for a, b in pairs:
        own = (2.0 - share[a] - share[b]) / (2.0 * (q - 1))
        item = ((a == b) - chance) / (1.0 - chance)
        squares += (item - 2.0 * (1.0 - value) * (own - chance) / (1.0 - chance) - value) ** 2
    return _around(value, sqrt(squares / (n * (n - 1))), z)


def _alpha(pairs: Sequence[Pair]) -> Coefficient | None:
    values = 2 * len(pairs)
    used = Counter(label for pair in pairs for label in pair)
    expected = 1.0 - sum(count * (count - 1) for count in used.values()) / (values * (values - 1))
    if expected <= 0.0:
        return None
    observed = sum(a != b for a, b in pairs) / len(pairs)
    return Coefficient(1.0 - observed / expected)


def _around(value: float, error: float, z: float) -> Coefficient:
    return Coefficient(value, max(-1.0, value - z * error), min(1.0, value + z * error))
