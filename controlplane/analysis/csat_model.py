"""Modelled satisfaction of the silent, beside the ratings and never instead of them.

Two models per arm on what is logged of everybody: who answers (logistic regression) and what they answer (ridge regression on the points), both on
categories and on quantile bins of numbers, additive. Every prediction comes from folds that did not see the unit (five folds). From them
- *IPW*: ratings weighted by one over the chance to answer (Hajek), influence-function error;
- *AIPW* (Robins, Rotnitzky and Zhao 1994; cross-fitted as in Chernozhukov et al. 2018): `mu(x) + R/pi(x) (Y - mu(x))` averaged over everybody;
  right if either model is. Its error is the standard deviation of that term over sqrt(n). Arms are independent, so their variances add.

It is shown only where it can be believed: enough ratings, predictions that are calibrated where there are ratings, a model that predicts anything at
all, and weights that do not rest on a handful of people. Else the answer is unknown, with the reason and the diagnostics but without a number.
A feature that is missing mostly where the rating is missing was told with the rating: it is left out, by name. No check here can see a cause of
silence that is not logged; the tipping points of `core.csat_silent` speak about those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.analysis.csat_calibration import area, calibration, r_squared

UNKNOWN = "unknown"
LABEL = "modelled, assumes the silent differ from the rated only by what is logged"
FOLDS = 5
TUNED_ON = 20_000  # units on which the penalty is chosen
BINS = 8
LEVELS = 40  # most frequent values of a category; the rest are one
MIN_RATINGS = 500  # per arm: with fewer the intervals covered 90 instead of 95 % of simulated worlds
SMALLEST_CHANCE = 0.005  # to answer; below, weights are cut there and the share is stated
MIN_EFFECTIVE = 100.0  # ratings that the weighted mean is worth
MOST_ERROR = 0.15  # expected calibration error of predicted ratings, points
MOST_CHANCE_ERROR = 0.03  # and of predicted chances to answer
SLOPES = (0.8, 1.25)  # a calibration slope whose interval lies wholly outside is off
INFORMED = 0.1  # a feature known that much more often of the rated than of the silent was told with the rating

FloatArray = npt.NDArray[np.float64]
Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Units:
    """Everybody of one arm: `rating` (n,) with NaN for the silent, and columns (n,) of floats (NaN: not known) or of text objects.

    `weight` (n,): what each counts for in the means, 1 where it is None; the models are learned without it.
    """

    rating: FloatArray
    columns: Mapping[str, npt.NDArray[Any]]
    weight: FloatArray | None = None

    @property
    def rated(self) -> npt.NDArray[np.bool_]:
        """Who rated."""
        return ~np.isnan(self.rating)


def modelled(
    treated: Units, control: Units, level: float, names: tuple[str, str] = ("treated", "control"), seed: int = 0
) -> Plain:
    """What the model says: `status` ok or unknown, `label`, per arm `aipw` and `ipw` means, their differences, and all diagnostics. JSON-ready.

    `names` are the arms in the reasons why it is unknown.
    """
    left_out = sorted(set(told_with_rating(treated)) | set(told_with_rating(control)))
    used = [name for name in treated.columns if name not in left_out and name in control.columns]
    answer: Plain = {"status": UNKNOWN, "label": LABEL, "features": used, "left_out": left_out, "reasons": []}
    named = {"treated": treated, "control": control}
    for name, arm in zip(names, named.values(), strict=True):
        if int(arm.rated.sum()) < MIN_RATINGS:
            answer["reasons"].append(f"{name}: fewer than {MIN_RATINGS} ratings to learn from")
        elif arm.weight is not None and not arm.weight.any():
            answer["reasons"].append(f"{name}: no stage that both arms served")
    if not used:
        answer["reasons"].append("nothing is logged of both the rated and the silent")
    if answer["reasons"]:
        return answer
    z = _z(level)
    from threadpoolctl import threadpool_limits

    # the order of adding, and with it the last digits, must not depend on how many cores there are; fits this small lose nothing
    with threadpool_limits(1):
        fitted = {name: _fit(arm, used, seed) for name, arm in named.items()}
    answer["diagnostics"] = {name: _diagnose(named[name], *fitted[name], z) for name in named}
    answer["reasons"] = [
        f"{name}: {why}"
        for name, side in zip(names, named, strict=True)
        for why in _doubts(answer["diagnostics"][side])
    ]
    if answer["reasons"]:
        return answer
    means = {name: _estimates(named[name], *fitted[name]) for name in named}
    for kind in ("aipw", "ipw"):
        answer[kind] = {name: _interval(*means[name][kind], z) for name in named}
        one, two = means["treated"][kind], means["control"][kind]
        answer[kind]["difference"] = _interval(one[0] - two[0], sqrt(one[1] ** 2 + two[1] ** 2), z)
    return answer | {"status": "ok"}


def stage_weights(strata: npt.NDArray[Any], treated: npt.NDArray[np.bool_]) -> FloatArray:
    """Weight of everybody (n,) that brings both arms to the same mix of strata.

    All of an arm in a stratum weigh `nT nC/(nT + nC)` together, and 0 where the other arm has nobody.
    """
    _, code = np.unique(strata.astype(str), return_inverse=True)
    mine = np.bincount(code, weights=treated, minlength=int(code.max(initial=-1)) + 1)
    others = np.bincount(code, minlength=len(mine)) - mine
    mix = mine * others / np.maximum(mine + others, 1.0)
    own = np.where(treated, mine[code], others[code])
    return np.asarray(mix[code] / own)


def told_with_rating(arm: Units) -> list[str]:
    """Features that are known much more often of the rated than of the silent: they arrived with the answer."""
    rated = arm.rated
    if rated.all() or not rated.any():
        return []
    found = []
    for name, column in arm.columns.items():
        known = _known(column)
        if known[rated].mean() - known[~rated].mean() > INFORMED:
            found.append(name)
    return found


def _known(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if column.dtype == object:
        return np.array([value is not None for value in column])
    return ~np.isnan(column.astype(np.float64))


def _fit(arm: Units, names: Sequence[str], seed: int) -> tuple[FloatArray, FloatArray]:
    """Predicted rating and chance to answer of everybody, each from folds that did not see them, (n,) each."""
    design, rated = _design(arm, names), arm.rated
    rng = np.random.default_rng(seed)
    fold = _folds(rated, FOLDS, rng)
    answering, outcome = _models(design, arm.rating, rated, rng)
    mean, chance = np.empty(len(rated)), np.ones(len(rated))
    for k in range(FOLDS):
        rest, now = fold != k, fold == k
        outcome.fit(design[rest & rated], arm.rating[rest & rated])
        mean[now] = np.clip(outcome.predict(design[now]), 1.0, 5.0)
        if not rated.all():
            chance[now] = answering.fit(design[rest], rated[rest]).predict_proba(design[now])[:, 1]
    return mean, chance


def _folds(rated: npt.NDArray[np.bool_], count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Fold of everybody; each fold has its share of the ratings."""
    fold = np.empty(len(rated), dtype=np.int64)
    for group in (rated, ~rated):
        fold[group] = rng.permutation(np.arange(int(group.sum())) % count)
    return fold


def _models(design: Any, rating: FloatArray, rated: npt.NDArray[np.bool_], rng: np.random.Generator) -> tuple[Any, Any]:
    """The two models, unfitted, each with the penalty that predicts best in three folds of at most TUNED_ON units."""
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.model_selection import GridSearchCV

    some = rng.permutation(len(rated))[:TUNED_ON]
    who = some[rated[some]]
    penalty = GridSearchCV(Ridge(), {"alpha": [2.0, 20.0, 200.0]}, scoring="neg_mean_squared_error", cv=3)
    outcome = penalty.fit(design[who], rating[who]).best_estimator_
    answering = LogisticRegression(max_iter=500)
    if (~rated[some]).sum() >= 3:
        strength = GridSearchCV(answering, {"C": [0.01, 0.1, 1.0]}, scoring="neg_log_loss", cv=3)
        answering = strength.fit(design[some], rated[some]).best_estimator_
    return answering, outcome


def _design(arm: Units, names: Sequence[str]) -> Any:
    """Sparse indicator matrix (n, columns): a column per value of a category, per quantile bin of a number, and for "not known"."""
    from scipy import sparse

    blocks = []
    for name in names:
        codes = _codes(arm.columns[name])
        width = int(codes.max()) + 1
        if width < 2:
            continue
        rows = np.arange(len(codes))
        blocks.append(sparse.csr_matrix((np.ones(len(codes)), (rows, codes)), shape=(len(codes), width)))
    if not blocks:
        return sparse.csr_matrix(np.ones((len(arm.rating), 1)))
    return sparse.hstack(blocks, format="csr")


def _codes(column: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Whole numbers from 0: bins of a number by its quantiles, or the most frequent values of a category; unknown is a value of its own."""
    if column.dtype == object:
        text = np.array(["" if value is None else str(value) for value in column])
        values, inverse, counts = np.unique(text, return_inverse=True, return_counts=True)
        if len(values) <= LEVELS:
            return inverse.astype(np.int64)
        rank = np.empty(len(values), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(values))
        return np.minimum(rank[inverse], LEVELS)
    numbers = column.astype(np.float64)
    known = ~np.isnan(numbers)
    edges = np.unique(np.quantile(numbers[known], np.linspace(0, 1, BINS + 1)[1:-1])) if known.any() else np.array([])
    codes = np.searchsorted(edges, numbers, side="right" if _few_values(numbers[known]) else "left")
    codes[~known] = len(edges) + 1
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _few_values(numbers: FloatArray) -> bool:
    """Flags and small counts: an edge that is a value itself must part it from the one below."""
    return len(np.unique(numbers)) <= BINS


def _estimates(arm: Units, mean: FloatArray, chance: FloatArray) -> dict[str, tuple[float, float]]:
    """(mean over everybody, standard error) by AIPW and by IPW."""
    rated = arm.rated
    share = np.ones(len(rated)) if arm.weight is None else arm.weight
    inverse = np.where(rated, 1.0 / np.maximum(chance, SMALLEST_CHANCE), 0.0)
    rating = np.where(rated, arm.rating, 0.0)
    terms = mean + inverse * (rating - mean)
    hajek = float(np.average(rating, weights=share * inverse))
    influence = hajek + inverse * (rating - hajek) / np.average(inverse, weights=share)
    return {"aipw": _weighted_mean(terms, share), "ipw": _weighted_mean(influence, share)}


def _weighted_mean(terms: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Mean of independent terms and its standard error, `sqrt(sum w^2 (t - mean)^2) / sum w`."""
    mean = float(np.average(terms, weights=weight))
    return mean, float(np.linalg.norm(weight * (terms - mean)) / weight.sum())


def _diagnose(arm: Units, mean: FloatArray, chance: FloatArray, z: float) -> Plain:
    """How far both models can be believed, on units that they did not see."""
    rated = arm.rated
    cut = np.maximum(chance, SMALLEST_CHANCE)
    weight = 1.0 / cut[rated]
    return {
        "units": len(rated),
        "rated": int(rated.sum()),
        "rating": calibration(mean[rated], arm.rating[rated], z),
        "r_squared": r_squared(mean[rated], arm.rating[rated], z),
        "answering": calibration(chance, rated.astype(np.float64), z),
        "answering_auc": area(chance, rated, z),
        "effective_ratings": float(weight.sum() ** 2 / (weight**2).sum()),
        "largest_weight_share": float(weight.max() / weight.sum()),
        "smallest_chance": float(chance.min()),
        "cut_share": float((chance < SMALLEST_CHANCE).mean()),
    }


def _doubts(found: Plain) -> list[str]:
    """Why the model's number must not be shown; empty: none."""
    doubts = []
    slope, fit = found["rating"]["slope"], found["r_squared"]
    if fit is None or fit["low"] <= 0.0 or slope is None:
        doubts.append("what is logged does not predict the rating, so a model adds nothing to the mean of the ratings")
    elif slope["high"] < SLOPES[0] or slope["low"] > SLOPES[1]:
        doubts.append("predicted ratings are not calibrated (slope)")
    if _error(found["rating"]) > MOST_ERROR:
        doubts.append("predicted ratings are not calibrated (expected calibration error)")
    if _error(found["answering"]) > MOST_CHANCE_ERROR:
        doubts.append("predicted chances to answer are not calibrated")
    if found["effective_ratings"] < MIN_EFFECTIVE:
        doubts.append("the weighted ratings are worth too few (little overlap of the rated and the silent)")
    if found["cut_share"] > 0.01:
        doubts.append("some people almost never answer (no overlap): nobody rated can stand for them")
    return doubts


def _error(found: Plain) -> float:
    """Expected calibration error beyond what few rows in a bin explain."""
    return float(found["ece"] - found["ece_noise"])


def _interval(value: float, error: float, z: float) -> Plain:
    return {"value": value, "low": value - z * error, "high": value + z * error}


def _z(level: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri((1.0 - level) / 2.0))
