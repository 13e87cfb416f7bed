"""How far predictions can be believed, on units that the model did not see: calibration, explained variance, and telling two groups apart."""

from __future__ import annotations

from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10
FloatArray = npt.NDArray[np.float64]
Plain = dict[str, Any]


def calibration(predicted: FloatArray, actual: FloatArray, z: float) -> Plain:
    """Calibration of predicted means, both (n,): `slope` and `intercept` of actual on predicted (1 and 0 when calibrated; heteroscedastic errors,
    HC0), `ece` (mean distance of predicted and actual over ten equally large bins, in the unit of the values), `ece_noise` (the distance that a
    perfect model would show too, because a bin has few rows: `sqrt(2/pi) sd/sqrt(n)`), `bias`, and the bins themselves.

    `slope` is None where the predictions do not vary.
    """
    centred = predicted - predicted.mean()
    spread = float(centred @ centred)
    found: Plain = {"slope": None, "intercept": None, "bias": float(predicted.mean() - actual.mean())}
    if spread > 1e-9 * len(predicted):
        slope = float(centred @ actual) / spread
        rest = actual - actual.mean() - slope * centred
        error = sqrt(float((centred**2) @ (rest**2))) / spread
        found["slope"] = {"value": slope, "low": slope - z * error, "high": slope + z * error}
        found["intercept"] = float(actual.mean() - slope * predicted.mean())
    order = np.argsort(predicted, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if len(part)]
    found["bins"] = [
        {"n": len(part), "predicted": float(predicted[part].mean()), "actual": float(actual[part].mean())}
        for part in bins
    ]
    noise = sum(float(actual[part].std()) * sqrt(2.0 / pi * len(part)) for part in bins)
    found["ece_noise"] = noise / len(predicted)
    found["ece"] = sum(row["n"] * abs(row["predicted"] - row["actual"]) for row in found["bins"]) / len(predicted)
    return found


def r_squared(predicted: FloatArray, actual: FloatArray, z: float) -> Plain | None:
    """Share of the variance that is predicted, `1 - mean e^2 / mean d^2`, with a delta-method interval; None where nothing varies."""
    errors, deviations = (actual - predicted) ** 2, (actual - actual.mean()) ** 2
    total = float(deviations.mean())
    if total == 0.0:
        return None
    ratio = float(errors.mean()) / total
    error = float((errors - ratio * deviations).std(ddof=1)) / total / sqrt(len(actual))
    return {"value": 1.0 - ratio, "low": 1.0 - ratio - z * error, "high": 1.0 - ratio + z * error}


def area(score: FloatArray, positive: npt.NDArray[np.bool_], z: float) -> Plain | None:
    """Area under the ROC curve with DeLong's interval (Biometrics 44, 1988); None where one group is empty."""
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        return None
    from scipy.stats import rankdata

    ranks, mine, others = rankdata(score), rankdata(score[positive]), rankdata(score[~positive])
    above = (ranks[positive] - mine) / n  # of each positive: share of the negatives below it
    below = 1.0 - (ranks[~positive] - others) / m
    value = float(above.mean())
    error = sqrt(float(above.var(ddof=1)) / m + float(below.var(ddof=1)) / n)
    return {"value": value, "low": value - z * error, "high": value + z * error}
