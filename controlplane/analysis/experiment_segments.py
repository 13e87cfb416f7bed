"""Effects within segments: a ranked table per segment column, shrunk towards the common effect, with corrected p-values.

Two questions are kept apart. "Is there an effect in this segment?" (`p`, `corrected_p`) and "Does it differ from the other segments'?" (`differs`,
`corrected_differs`). Each is corrected over all rows of all tables. Segments must be known before the assignment; a segment that the treatment moves
(turns taken, tools used) compares different people.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import nan
from typing import Any

import numpy as np

from controlplane.analysis.experiment_effects import Effect, corrected, effect, few_events, interval, shown, verdict
from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_sums import ByArm, Totals, sums
from controlplane.core.estimates import Interval
from controlplane.core.estimates_mixed import Mixed, shrunk
from controlplane.core.multiplicity import adjusted

MOST_LEVELS = 300


def segments(every: Totals, request: Request, control: str, trusted: bool) -> list[dict[str, Any]]:
    """A table per segment column, metric and treated arm; rows ranked by the shrunk effect, the best first."""
    units = every.units
    treated = [arm for arm in units.arms if arm != control]
    tables, rows, found = [], [], []
    for place, column in enumerate(request.segments):
        levels = sums(units, request, by=f"s{place}")
        if len(levels) > MOST_LEVELS:
            raise ExperimentError(
                f"segment {column} has {len(levels)} different values, more than {MOST_LEVELS}: an effect each would be noise; group them"
            )
        for measure in request.measures:
            for arm in treated:
                made, effects = _table(every, column, measure, arm, control, levels, request)
                tables.append(made)
                rows += made["rows"]
                found += effects
    _correct(tables, rows, found, request, trusted)
    return tables


def _table(
    every: Totals,
    column: str,
    measure: Measure,
    arm: str,
    control: str,
    levels: Mapping[str, Mapping[str, ByArm]],
    request: Request,
) -> tuple[dict[str, Any], list[Effect]]:
    rows: list[dict[str, Any]] = []
    effects: list[Effect] = []
    rate = every.rate(measure, request)
    for level in sorted(levels):
        arms = levels[level].get(measure.name, {})
        treated, other = arms.get(arm, {}), arms.get(control, {})
        found = effect(measure, treated, other, request)
        rows.append({"level": level, **shown(found, measure, treated, other), "_measure": measure, "note": None})
        rows[-1]["note"], enough = few_events(rate, rows[-1])
        effects.append(found if enough else Effect(None, None))
    known = [i for i, item in enumerate(effects) if item.shown is not None]
    estimates = [_difference(effects[i]).fixed.estimate for i in known]
    errors = [_difference(effects[i]).error for i in known]
    mixed = shrunk(estimates, errors)
    for place, i in enumerate(known):
        rows[i] |= _shrunk(mixed, place, request)
    table: dict[str, Any] = {
        "segment": column,
        "metric": measure.name,
        "arm": arm,
        "direction": "lower" if measure.lower else "higher",
    }
    table["heterogeneity"] = _heterogeneity(mixed)
    return table | {"rows": rows}, effects


def _difference(item: Effect) -> Any:
    return item.shown


def _shrunk(mixed: Mixed | None, place: int, request: Request) -> dict[str, Any]:
    if mixed is None:
        return {"shrunk": None, "differs": None}
    from scipy.special import ndtri

    half = float(ndtri(1.0 - request.alpha / 2.0)) * mixed.errors[place]
    middle = mixed.estimates[place]
    return {"shrunk": interval(Interval(middle, middle - half, middle + half)), "differs": mixed.differs[place]}


def _heterogeneity(mixed: Mixed | None) -> dict[str, Any] | None:
    if mixed is None:
        return None
    return {
        "common": mixed.common,
        "common_error": mixed.common_error,
        "between_sd": mixed.between,
        "q": mixed.q,
        "degrees": len(mixed.estimates) - 1,
        "p": mixed.p,
    }


def _correct(
    tables: list[dict[str, Any]], rows: list[dict[str, Any]], found: list[Effect], request: Request, trusted: bool
) -> None:
    """Corrected p-values and words over all rows, then the rank within each table."""
    own = corrected([item.shown for item in found], request, request.segment_correction)
    raw = [nan if row.get("differs") is None else row["differs"] for row in rows]
    other = adjusted(np.array(raw, dtype=float), request.segment_correction)
    for row, item, p, differs in zip(rows, found, own, other, strict=True):
        row["corrected_p"] = p
        row["corrected_differs"] = None if np.isnan(differs) else float(differs)
        row["verdict"] = verdict(row.pop("_measure"), item.shown, p, trusted, request)
    for table in tables:
        sign = 1.0 if table["direction"] == "lower" else -1.0
        table["rows"].sort(key=lambda row, sign=sign: _rank(row, sign))
        for rank, row in enumerate(table["rows"], 1):
            row["rank"] = rank


def _rank(row: Mapping[str, Any], sign: float) -> tuple[bool, bool, float, str]:
    """Segments that can be judged come first, and an effect that was not shrunk never stands among those that were."""
    best = row.get("shrunk") or row["difference"]
    return row["corrected_p"] is None, best is None, 0.0 if best is None else sign * best["estimate"], row["level"]
