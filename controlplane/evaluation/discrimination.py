"""How well a probability tells two classes apart, how honest it is, and how far two raters agree: estimates with intervals.

Rules
- Rows may come in clusters (answers to one passage, answers of one conversation); intervals count clusters, not rows.
- What the data cannot carry is None: no AUROC without both classes, no interval from fewer than two clusters.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate and its two-sided interval; both ends are None where no interval can be given."""

    value: float
    low: float | None
    high: float | None


def auroc(
    positive: BoolArray, score: FloatArray, cluster: Sequence[object] | None = None, level: float = 0.95
) -> Estimate | None:
    """Area under the ROC curve: the probability that a positive row scores above a negative one, ties count half.

    `positive` and `score` have shape (n,). The variance is Obuchowski's for clustered data (Biometrics 53, 1997, 567-578); with every row its
    own cluster it is DeLong's (Biometrics 44, 1988, 837-845). The interval is built on the logit scale. None if a class is missing.
    """
    positive, score = np.asarray(positive, dtype=bool), np.asarray(score, dtype=np.float64)
    if positive.shape != score.shape or not np.isfinite(score).all():
        raise ValueError("auroc needs one finite score for every row")
    above, below = np.sort(score[positive]), np.sort(score[~positive])
    if not above.size or not below.size:
        return None
    # Structural components: for each row the share of the other class it beats.
    beats = np.empty(score.size)
    beats[positive] = _rank_share(below, score[positive])
    beats[~positive] = 1 - _rank_share(above, score[~positive])
    area = float(beats[positive].mean())
    variance = _clustered_variance(positive, beats, area, cluster)
    if variance is None or not 0 < area < 1:
        return Estimate(area, None, None)
    half = float(stats.norm.ppf(0.5 + level / 2)) * sqrt(variance) / (area * (1 - area))
    centre = log(area / (1 - area))
    return Estimate(area, _expit(centre - half), _expit(centre + half))


def expected_calibration_error(positive: BoolArray, probability: FloatArray, bins: int = ECE_BINS) -> float:
    """Mean gap between probability and frequency over `bins` bins of equal width on [0, 1], weighted by their rows (Guo et al., 2017)."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    gap = np.abs(np.bincount(place, probability, bins) - np.bincount(place, positive.astype(float), bins))
    return float(gap.sum() / rows.sum())


def brier(positive: BoolArray, probability: FloatArray) -> float:
    """Mean squared difference between probability and outcome."""
    return float(np.mean((probability - positive) ** 2))


def log_loss(positive: BoolArray, probability: FloatArray) -> float:
    """Mean negative log likelihood of the outcomes, in nats; probabilities are kept off 0 and 1 by 1e-9."""
    said = np.clip(np.where(positive, probability, 1 - probability), 1e-9, 1.0)
    return float(-np.log(said).mean())


def cohen_kappa(first: Sequence[object], second: Sequence[object], level: float = 0.95) -> Estimate | None:
    """Agreement of two raters beyond chance, with the large-sample interval of Fleiss, Cohen and Everitt (Psychol. Bull. 72, 1969, 323-327).

    None where nobody rated anything, or where both used one and the same class throughout: agreement beyond chance is then undefined.
    """
    if len(first) != len(second):
        raise ValueError(f"two raters must rate the same rows: {len(first)} and {len(second)}")
    classes = {name: place for place, name in enumerate(sorted({*first, *second}, key=str))}
    if len(classes) < 2:
        return None
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, ([classes[name] for name in first], [classes[name] for name in second]), 1.0)
    rows, columns = table.sum(axis=1) / len(first), table.sum(axis=0) / len(first)
    share = table / len(first)
    agreed, chance = float(np.trace(share)), float(rows @ columns)
    kappa = (agreed - chance) / (1 - chance)
    both = (
        rows[None, :] + columns[:, None]
    )  # of cell (i, j): marginal of j for the first rater plus of i for the second
    on = float(np.sum(np.diag(share) * (1 - (rows + columns) * (1 - kappa)) ** 2))
    off = float((1 - kappa) ** 2 * np.sum((share - np.diag(np.diag(share))) * both**2))
    variance = (on + off - (kappa - chance * (1 - kappa)) ** 2) / ((1 - chance) ** 2 * len(first))
    half = float(stats.norm.ppf(0.5 + level / 2)) * sqrt(max(variance, 0.0))
    return Estimate(kappa, max(kappa - half, -1.0), min(kappa + half, 1.0))


def _rank_share(others: FloatArray, values: FloatArray) -> FloatArray:
    """For each value the share of the sorted `others` below it, equal ones counted half."""
    left, right = np.searchsorted(others, values, "left"), np.searchsorted(others, values, "right")
    share: FloatArray = (left + right) / (2 * others.size)
    return share


def _clustered_variance(
    positive: BoolArray, beats: FloatArray, area: float, cluster: Sequence[object] | None
) -> float | None:
    names = range(positive.size) if cluster is None else cluster
    places: dict[object, int] = {}
    member = np.array([places.setdefault(name, len(places)) for name in names])
    excess = beats - area
    above = np.bincount(member[positive], excess[positive], len(places))
    below = np.bincount(member[~positive], excess[~positive], len(places))
    with_above = np.unique(member[positive]).size
    with_below = np.unique(member[~positive]).size
    if with_above < 2 or with_below < 2:
        return None
    m, n = int(positive.sum()), int((~positive).sum())
    s10 = with_above / ((with_above - 1) * m) * float(above @ above)
    s01 = with_below / ((with_below - 1) * n) * float(below @ below)
    s11 = len(places) / (len(places) - 1) * float(above @ below)
    variance = s10 / m + s01 / n + 2 * s11 / (m * n)
    return variance if variance > 0 else None


def _expit(value: float) -> float:
    return 1 / (1 + exp(-value))
