"""Log e-values of one block: the six tests that the engine can run, and nothing else.

An e-value is a nonnegative number whose mean is at most 1 while the null hypothesis holds, so a large one is evidence against it. Each form
turns the *counts of one block* into one log e-value per bet; a bet is a guess at the size of the effect, fixed in advance. Everything here is
exact for any true control rate, any traffic share and any block size, because

- form 1, 2, 5: with `L = nT lT = nC lC` the mean is at most `exp(L (excess of treated over control, beyond the margin)) <= 1`; the control rate
  cancels. (Turner, Ly, Grunwald, arXiv 2106.02693; margins 2203.09785.)
- form 3: `g p + (1 - p)(1 - g p0)/(1 - p0)` rises in p and equals 1 at p = p0.
- form 4: `exp(nT pT (p1/p0 - 1) - nC pC (p1 - p0)/(1 - p0)) <= 1` as soon as `pT <= r0 pC`. This bounds the mean for independent Bernoulli units,
  not only for the Poisson limit from which the form comes, so rare counts need no approximation. (Lindon and Malek, NeurIPS 2022.)

Rules: what a bet knows about the control comes from *earlier* blocks only (`prior`). A block that cannot speak (an arm without units) has e = 1.
Which blocks those are may depend on the units only, never on the outcomes, or the mean would exceed 1: hence a sample-ratio block, whose outcome
*is* the units, is empty only when both arms are.

Arrays: any number of leading axes, streams or blocks, then the bet as the last axis. `prior` is `(..., 3)`: count, sum and sum of squares of the
control's scores so far.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Columns = Mapping[str, FloatArray]
Bets = tuple[float, ...]

TWO_SAMPLE_BETS: Bets = (0.0075, 0.015, 0.03, 0.06, 0.12, 0.25)
RATING_BETS: Bets = tuple(points / 4 for points in (0.0375, 0.075, 0.15, 0.3, 0.6))
ONE_SAMPLE_BETS: Bets = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 25.0)
TINY_LIMIT_BETS: Bets = (2.0, 5.0, 15.0, 50.0, 200.0, 1000.0)
TINY_LIMIT = 1e-3
RATE_RATIO_BETS: Bets = ONE_SAMPLE_BETS
SAMPLE_RATIO_BETS: Bets = (0.8, 0.9, 0.95, 0.98, 1.02, 1.05, 1.1, 1.25)
CERTIFICATE_BETS: Bets = (0.01, 0.02, 0.04, 0.08)

CLIP = 1e-6
VARIANCE_FLOOR = 1e-3
LARGEST_LOSS = 0.95
"""No single unit may cost a bet more than this fraction of its stake, so no log e-value is ever -inf."""

RATE_LEVELS: Bets = (0.0, 1.0)
RATING_LEVELS: Bets = (1.0, 0.75, 0.5, 0.25, 0.0)
"""Dissatisfaction `Y = (5 - rating)/4` of the ratings 1..5."""
RATING_SPAN = 4.0


@dataclass(frozen=True, slots=True)
class Form:
    """One kind of test: which counts a block carries, and what they are worth.

    `columns`: names of the counts, with the number of levels (0 = one number). `limit_error(limit)`: why a limit is unusable, or None.
    `bets(limit)`: the K effects betted on. `log_e(columns, prior, limit)`: `(..., K)`. `is_empty(columns)`: `(...)`, blocks without a say.
    `learn(columns)`: `(..., 3)`, what the block adds to `prior`.
    """

    kind: str
    columns: Mapping[str, int]
    limit_error: Callable[[float], str | None]
    bets: Callable[[float], Bets]
    log_e: Callable[[Columns, FloatArray, float], FloatArray]
    is_empty: Callable[[Columns], BoolArray]
    learn: Callable[[Columns], FloatArray]


def _control_mean(prior: FloatArray, margin: FloatArray) -> FloatArray:
    """Expected control score `(...)`, one pseudo-unit at each end, clipped so that mean and mean + margin are both possible."""
    mean = (prior[..., 1] + 1.0) / (prior[..., 0] + 2.0)
    clipped: FloatArray = np.clip(mean, CLIP + np.maximum(-margin, 0.0), 1.0 - CLIP - np.maximum(margin, 0.0))
    return clipped


def _two_arm(
    treated: FloatArray,
    control: FloatArray,
    levels: Bets,
    means: tuple[FloatArray, FloatArray],
    variances: tuple[FloatArray, FloatArray],
    bets: Bets,
    sign: float,
) -> FloatArray:
    """Log e `(..., K)` of betting that treated scores are above (sign 1) or below (-1) their null mean, relative to the control's.

    `treated`, `control`: `(..., J)` units per level. `means`, `variances`: predicted (treated, control) under the edge of the null.
    """
    n_t, n_c = treated.sum(axis=-1), control.sum(axis=-1)
    empty = (n_t <= 0.0) | (n_c <= 0.0)
    n_t, n_c = np.where(empty, 1.0, n_t), np.where(empty, 1.0, n_c)
    mean_t, mean_c = means
    spread = variances[0] / n_t + variances[1] / n_c
    worst_t, worst_c = (mean_t, 1.0 - mean_c) if sign > 0 else (1.0 - mean_t, mean_c)
    cap = np.minimum(LARGEST_LOSS * n_t / worst_t, LARGEST_LOSS * n_c / worst_c)
    stake = np.minimum(np.asarray(bets) / spread[..., None], cap[..., None])
    bet_t, bet_c = sign * stake / n_t[..., None], -sign * stake / n_c[..., None]
    log_e = np.zeros_like(stake)
    for j, level in enumerate(levels):
        log_e += treated[..., j, None] * np.log1p(bet_t * (level - mean_t)[..., None])
        log_e += control[..., j, None] * np.log1p(bet_c * (level - mean_c)[..., None])
    return np.where(empty[..., None], 0.0, log_e)


def rate_log_e(columns: Columns, prior: FloatArray, margin: float | FloatArray, bets: Bets, sign: float) -> FloatArray:
    """Forms 1 (sign 1, H0: pT - pC <= margin) and 5 (sign -1, H0: pT - pC >= margin) on rates; `margin` in (-1, 1) broadcasts."""
    edge = np.asarray(margin, dtype=np.float64)
    mean_c = _control_mean(prior, edge)
    mean_t = mean_c + edge
    treated = np.stack([columns["nT"] - columns["xT"], columns["xT"]], axis=-1)
    control = np.stack([columns["nC"] - columns["xC"], columns["xC"]], axis=-1)
    variances = (mean_t * (1.0 - mean_t), mean_c * (1.0 - mean_c))
    return _two_arm(treated, control, RATE_LEVELS, (mean_t, mean_c), variances, bets, sign)


def score_log_e(columns: Columns, prior: FloatArray, points: float | FloatArray, bets: Bets, sign: float) -> FloatArray:
    """Forms 2 and 5 on ratings: the same algebra on `Y = (5 - rating)/4`, the margin given in rating points lost."""
    edge = np.asarray(points, dtype=np.float64) / RATING_SPAN
    mean_c = _control_mean(prior, edge)
    units = prior[..., 0] + 2.0
    variance = np.maximum((prior[..., 2] + 1.0) / units - ((prior[..., 1] + 1.0) / units) ** 2, VARIANCE_FLOOR)
    means = (mean_c + edge, mean_c)
    return _two_arm(columns["kT"], columns["kC"], RATING_LEVELS, means, (variance, variance), bets, sign)


def _one_sample_bets(limit: float) -> Bets:
    """The multiples of the limit that are still probabilities; tiny limits need far larger ones."""
    return tuple(g for g in (TINY_LIMIT_BETS if limit < TINY_LIMIT else ONE_SAMPLE_BETS) if g * limit < 1.0)


def one_sample_log_e(columns: Columns, limit: float) -> FloatArray:
    """Form 3, H0: p <= limit: `x ln g + (n - x) ln((1 - g p0)/(1 - p0))`."""
    g = np.asarray(_one_sample_bets(limit))
    n, x = columns["nT"][..., None], columns["xT"][..., None]
    return np.asarray(x * np.log(g) + (n - x) * (np.log1p(-g * limit) - np.log1p(-limit)))


def count_ratio_log_e(k_t: FloatArray, k_c: FloatArray, p0: FloatArray, ratios: Bets) -> FloatArray:
    """Form 4, `(p1/p0)^kT ((1-p1)/(1-p0))^kC` where the bet multiplies the odds of p0 by `ratio`, in a shape that cannot overflow."""
    r = np.asarray(ratios)
    return np.asarray(k_t[..., None] * np.log(r) - (k_t + k_c)[..., None] * np.log1p(p0[..., None] * (r - 1.0)))


def _rate_ratio_log_e(columns: Columns, prior: FloatArray, limit: float) -> FloatArray:
    """H0: pT <= limit pC, from the share of the events that fell on the treated arm, given the exposures of this very block."""
    empty = _either_arm_empty(columns)
    exposure_t, exposure_c = np.where(empty, 1.0, columns["nT"]) * limit, np.where(empty, 1.0, columns["nC"])
    log_e = count_ratio_log_e(columns["xT"], columns["xC"], exposure_t / (exposure_t + exposure_c), RATE_RATIO_BETS)
    return np.where(empty[..., None], 0.0, log_e)


def _sample_ratio_log_e(columns: Columns, prior: FloatArray, limit: float) -> FloatArray:
    """H0: units fall on the treated arm with exactly the configured `share` of the block."""
    empty = _nothing_to_split(columns)
    log_e = count_ratio_log_e(columns["nT"], columns["nC"], columns["share"], SAMPLE_RATIO_BETS)
    return np.where(empty[..., None], 0.0, log_e)


def _either_arm_empty(columns: Columns) -> BoolArray:
    return (columns["nT"] <= 0.0) | (columns["nC"] <= 0.0)


def _no_treated(columns: Columns) -> BoolArray:
    return columns["nT"] <= 0.0


def _either_arm_unrated(columns: Columns) -> BoolArray:
    return np.asarray((columns["kT"].sum(axis=-1) <= 0.0) | (columns["kC"].sum(axis=-1) <= 0.0))


def _nothing_to_split(columns: Columns) -> BoolArray:
    """No units at all, or a share of 0 or 1 under which a ratio says nothing."""
    return (columns["nT"] + columns["nC"] <= 0.0) | (columns["share"] <= 0.0) | (columns["share"] >= 1.0)


def _learn_rate(columns: Columns) -> FloatArray:
    return np.stack([columns["nC"], columns["xC"], columns["xC"]], axis=-1)


def _learn_scores(columns: Columns) -> FloatArray:
    scores = np.asarray(RATING_LEVELS)
    return np.asarray(columns["kC"] @ np.stack([np.ones_like(scores), scores, scores**2], axis=-1))


def _learn_nothing(columns: Columns) -> FloatArray:
    return np.zeros((*columns["nT"].shape, 3))


def _rate_margin_error(limit: float) -> str | None:
    return None if -0.999 <= limit <= 0.999 else "a margin on a rate lies between -0.999 and 0.999 (0.02 = two points)"


def _points_error(limit: float) -> str | None:
    return None if -3.996 <= limit <= 3.996 else "a margin on a rating lies between -3.996 and 3.996 points"


def _absolute_error(limit: float) -> str | None:
    if limit <= 0.0:
        return "an absolute limit must be above 0; use the safety tripwire for events that may never happen"
    return None if _one_sample_bets(limit) else "an absolute limit must be below 0.8; count the good events instead"


def _ratio_error(limit: float) -> str | None:
    return None if 0.0 < limit < np.inf else "a rate ratio must be above 0 (1 = no more often than the control)"


def _share_error(limit: float) -> str | None:
    return (
        None if limit == 1.0 else "the sample-ratio test takes no limit: leave it at 1, the share comes with each block"
    )


_TWO_ARM_COUNTS = {"nT": 0, "xT": 0, "nC": 0, "xC": 0}
_RATING_COUNTS = {"kT": len(RATING_LEVELS), "kC": len(RATING_LEVELS)}

FORMS: Mapping[str, Form] = {
    form.kind: form
    for form in (
        Form(
            kind="two_sample",
            columns=_TWO_ARM_COUNTS,
            limit_error=_rate_margin_error,
            bets=lambda limit: TWO_SAMPLE_BETS,
            log_e=lambda columns, prior, limit: rate_log_e(columns, prior, limit, TWO_SAMPLE_BETS, 1.0),
            is_empty=_either_arm_empty,
            learn=_learn_rate,
        ),
        Form(
            kind="rating",
            columns=_RATING_COUNTS,
            limit_error=_points_error,
            bets=lambda limit: RATING_BETS,
            log_e=lambda columns, prior, limit: score_log_e(columns, prior, limit, RATING_BETS, 1.0),
            is_empty=_either_arm_unrated,
            learn=_learn_scores,
        ),
        Form(
            kind="one_sample",
            columns={"nT": 0, "xT": 0},
            limit_error=_absolute_error,
            bets=_one_sample_bets,
            log_e=lambda columns, prior, limit: one_sample_log_e(columns, limit),
            is_empty=_no_treated,
            learn=_learn_nothing,
        ),
        Form(
            kind="rate_ratio",
            columns=_TWO_ARM_COUNTS,
            limit_error=_ratio_error,
            bets=lambda limit: RATE_RATIO_BETS,
            log_e=_rate_ratio_log_e,
            is_empty=_either_arm_empty,
            learn=_learn_nothing,
        ),
        Form(
            kind="sample_ratio",
            columns={"nT": 0, "nC": 0, "share": 0},
            limit_error=_share_error,
            bets=lambda limit: SAMPLE_RATIO_BETS,
            log_e=_sample_ratio_log_e,
            is_empty=_nothing_to_split,
            learn=_learn_nothing,
        ),
    )
}
"""Forms 1-4, which may raise an alarm."""

CERTIFICATES: Mapping[str, Form] = {
    form.kind: form
    for form in (
        Form(
            kind="two_sample",
            columns=_TWO_ARM_COUNTS,
            limit_error=_rate_margin_error,
            bets=lambda limit: CERTIFICATE_BETS,
            log_e=lambda columns, prior, limit: rate_log_e(columns, prior, limit, CERTIFICATE_BETS, -1.0),
            is_empty=_either_arm_empty,
            learn=_learn_rate,
        ),
        Form(
            kind="rating",
            columns=_RATING_COUNTS,
            limit_error=_points_error,
            bets=lambda limit: CERTIFICATE_BETS,
            log_e=lambda columns, prior, limit: score_log_e(columns, prior, limit, CERTIFICATE_BETS, -1.0),
            is_empty=_either_arm_unrated,
            learn=_learn_scores,
        ),
    )
}
"""Form 5, which may certify that the treated arm is not worse than the margin."""
