"""Effects in many groups at once: do they differ, and what is left of each once luck is taken out.

The largest of many noisy effects is mostly luck. `shrunk` pulls each towards the common effect by as much as its error is large against the spread
between groups (random effects; DerSimonian and Laird, Controlled Clinical Trials 7, 1986; the estimate is empirical Bayes). `p` asks of each group
whether its effect differs from the others' (not from 0), and wants a correction for many groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt


@dataclass(frozen=True, slots=True)
class Mixed:
    """`common`: the effect over all groups; `between`: standard deviation of true effects between groups; `q`: Cochran's Q, `p` its p-value.

    Per group, in the order given: `estimates` pulled towards the common effect, their standard `errors`, and the p-values `differs`.
    """

    common: float
    common_error: float
    between: float
    q: float
    p: float
    estimates: tuple[float, ...]
    errors: tuple[float, ...]
    differs: tuple[float, ...]


def shrunk(effects: Sequence[float], errors: Sequence[float]) -> Mixed | None:
    """Effects `(k,)` with standard errors above 0; None for fewer than two groups."""
    if len(effects) != len(errors) or any(not error > 0.0 for error in errors):
        raise ValueError("every effect needs a standard error above 0")
    k = len(effects)
    if k < 2:
        return None
    from scipy.special import chdtrc, ndtr

    precision = [1.0 / error**2 for error in errors]
    q, _ = _around(effects, precision)
    scale = sum(precision) - sum(w * w for w in precision) / sum(precision)
    spread = max((q - (k - 1)) / scale, 0.0)
    weights = [1.0 / (error**2 + spread) for error in errors]
    _, common = _around(effects, weights)
    common_error = sqrt(1.0 / sum(weights))
    kept = [spread / (spread + error**2) for error in errors]
    estimates = tuple(common + keep * (effect - common) for keep, effect in zip(kept, effects, strict=True))
    # the common effect is itself an estimate, so what is not kept carries its error
    spreads = tuple(
        sqrt(keep * error**2 + (1.0 - keep) ** 2 * common_error**2) for keep, error in zip(kept, errors, strict=True)
    )
    differs = tuple(2.0 * float(ndtr(-abs(_without(effects, precision, place)))) for place in range(k))
    return Mixed(common, common_error, sqrt(spread), q, float(chdtrc(k - 1, q)), estimates, spreads, differs)


def _around(effects: Sequence[float], weights: Sequence[float]) -> tuple[float, float]:
    mean = sum(w * effect for w, effect in zip(weights, effects, strict=True)) / sum(weights)
    return sum(w * (effect - mean) ** 2 for w, effect in zip(weights, effects, strict=True)), mean


def _without(effects: Sequence[float], precision: Sequence[float], place: int) -> float:
    """z of one group's effect against that of all the others together."""
    rest = sum(precision) - precision[place]
    mean = (
        sum(w * effect for w, effect in zip(precision, effects, strict=True)) - precision[place] * effects[place]
    ) / rest
    return (effects[place] - mean) / sqrt(1.0 / precision[place] + 1.0 / rest)
