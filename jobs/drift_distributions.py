"""What a column looked like in both windows, small enough to be kept with the analysis: shares per bin or value, and five quantiles a side.

Made from the sketches of the timeline (100 quantiles for numbers, counts for categories), so a share of numbers is told to 1 % and what lies beyond
the .5 % tails is in the outermost bins. They illustrate; scores and tests are computed on all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from controlplane.analysis.drift_timeline import Sketch

BINS = 24
FEW_VALUES = 12  # as many different numbers are shown one by one
MOST_CATEGORIES = 12
WIDE = 50.0  # largest over smallest value from which the bins grow by factors
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
OTHERS = "(others)"


def distribution(reference: Sketch | None, current: Sketch | None) -> dict[str, Any] | None:
    """Both sides of one column, JSON-ready; None where a side has no values or they are of two kinds.

    Categories and few numbers: `values` with the shares `reference` and `current`. Else `edges` (one more than shares) and `quantiles` per side.
    """
    if reference is None or current is None or not reference.usable or not current.usable:
        return None
    if reference.quantiles and current.quantiles:
        return _numbers(np.asarray(reference.quantiles), np.asarray(current.quantiles))
    if reference.quantiles or current.quantiles:
        return None
    return _categories(reference, current)


def _numbers(reference: np.typing.NDArray[np.float64], current: np.typing.NDArray[np.float64]) -> dict[str, Any]:
    values = np.unique(np.concatenate([reference, current]))
    sides = {"reference": reference, "current": current}
    told = {name: [_short(x) for x in np.quantile(side, QUANTILES)] for name, side in sides.items()}
    if len(values) <= FEW_VALUES:
        shares = {name: [_short(float(np.mean(side == value))) for value in values] for name, side in sides.items()}
        return {"kind": "values", "values": [f"{value:g}" for value in values], **shares, "quantiles": told}
    low, high = float(values[0]), float(values[-1])
    spread = low > 0.0 and high / low > WIDE
    edges = np.geomspace(low, high, BINS + 1) if spread else np.linspace(low, high, BINS + 1)
    edges[0], edges[-1] = low, high  # as rounding left them they might leave the outermost values out
    shares = {name: [_short(n / len(side)) for n in np.histogram(side, edges)[0]] for name, side in sides.items()}
    kept = [_short(edge) for edge in edges]
    return {"kind": "bins", "edges": kept, "logarithmic": spread, **shares, "quantiles": told}


def _categories(reference: Sketch, current: Sketch) -> dict[str, Any]:
    def share(counts: Mapping[str, int], value: str, usable: int) -> float:
        return counts.get(value, 0) / usable

    names = sorted({*reference.counts, *current.counts} - {OTHERS})
    sides = (("reference", reference), ("current", current))
    every = {name: [share(side.counts, value, side.usable) for value in names] for name, side in sides}
    largest = np.maximum(every["reference"], every["current"])
    kept = [int(i) for i in np.argsort(-largest, kind="stable")[:MOST_CATEGORIES]]
    shares = {name: [_short(of[i]) for i in kept] for name, of in every.items()}
    rest = {name: round(max(1.0 - sum(of[i] for i in kept), 0.0), 4) for name, of in every.items()}
    values = [names[i] for i in kept]
    if max(rest.values()) > 0.0:
        values = [*values, OTHERS]
        shares = {name: [*of, rest[name]] for name, of in shares.items()}
    return {"kind": "values", "values": values, **shares, "quantiles": None}


def _short(value: float) -> float:
    return float(f"{value:.4g}")
