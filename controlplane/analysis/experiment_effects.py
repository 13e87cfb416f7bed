"""One metric of one treated arm against the control, from moments, as a JSON-ready mapping; the same for all units, a segment or a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite, nan
from typing import Any

import numpy as np

from controlplane.analysis.experiment_request import Goal, Measure, Request
from controlplane.analysis.experiment_sums import Strata, count
from controlplane.core.estimates import Interval
from controlplane.core.estimates_compare import (
    Difference,
    anytime_p,
    compare,
    cuped_groups,
    plain_groups,
    ratio_groups,
)
from controlplane.core.estimates_power import smallest_difference, units_needed
from controlplane.core.multiplicity import adjusted

BETTER, WORSE, NOT_SHOWN, UNKNOWN, NOT_TRUSTED = "better", "worse", "not shown", "unknown", "not to be trusted"
FEW_EVENTS = 10
FEW_UNITS = 30
LEAST_EXPECTED = 5


@dataclass(frozen=True, slots=True)
class Effect:
    """What a comparison found: `shown` decides (the past taken out where there is one), `raw` is without that."""

    shown: Difference | None
    raw: Difference | None
    slope: float = 0.0
    intercept: float = 0.0

    @property
    def reduction(self) -> float:
        """Share of the variance that the past took with it."""
        if self.shown is None or self.raw is None:
            return 0.0
        return 1.0 - (self.shown.error / self.raw.error) ** 2


def effect(measure: Measure, treated: Strata, control: Strata, request: Request) -> Effect:
    """Treated against control within strata."""
    if measure.ratio:
        found = compare(ratio_groups(treated), ratio_groups(control), request.alpha, request.tightest)
        return Effect(found, found)
    raw = compare(plain_groups(treated), plain_groups(control), request.alpha, request.tightest)
    if measure.before is None:
        return Effect(raw, raw)
    left, right, past = cuped_groups(treated, control)
    shown = compare(left, right, request.alpha, request.tightest)
    return Effect(shown, raw, past.slope, past.intercept)


def p_of(found: Difference | None, request: Request) -> float:
    """The p-value that the verdict rests on; NaN where nothing could be compared."""
    if found is None:
        return nan
    return anytime_p(found.log_e) if request.anytime else found.p


def corrected(found: Sequence[Difference | None], request: Request, method: str) -> list[float | None]:
    """Their corrected p-values, None where there is none."""
    values = adjusted(np.array([p_of(item, request) for item in found], dtype=float), method)
    return [None if np.isnan(value) else float(value) for value in values]


def verdict(
    measure: Measure, found: Difference | None, corrected_p: float | None, trusted: bool, request: Request
) -> str:
    """The word for people."""
    if not trusted:
        return NOT_TRUSTED
    if found is None or corrected_p is None:
        return UNKNOWN
    if corrected_p > request.alpha:
        return NOT_SHOWN
    return BETTER if (found.fixed.estimate < 0.0) == measure.lower else WORSE


def shown(found: Effect, measure: Measure, treated: Strata, control: Strata) -> dict[str, Any]:
    """Means, difference, both intervals, relative difference and p; unknown figures are None."""
    base: dict[str, Any] = {"n_treated": count(treated), "n_control": count(control)}
    if found.shown is None:
        return base | {"reason": _why_not(measure, treated, control)} | dict.fromkeys(_FIGURES)
    difference = found.shown
    result = base | {
        "mean_treated": difference.mean_t,
        "mean_control": difference.mean_c,
        "difference": interval(difference.fixed),
        "anytime": interval(difference.anytime),
        "relative": interval(difference.relative),
        "error": difference.error,
        "degrees": difference.degrees,
        "p": difference.p,
        "anytime_p": anytime_p(difference.log_e),
        "strata": difference.strata,
    }
    if measure.before is not None and found.raw is not None:
        raw: dict[str, Any] = {
            "difference": interval(found.raw.fixed),
            "anytime": interval(found.raw.anytime),
            "relative": interval(found.raw.relative),
            "p": found.raw.p,
            "anytime_p": anytime_p(found.raw.log_e),
        }
        raw |= {"mean_treated": found.raw.mean_t, "mean_control": found.raw.mean_c, "error": found.raw.error}
        result["cuped"] = {
            "before": measure.before,
            "slope": found.slope,
            "intercept": found.intercept,
            "variance_removed": found.reduction,
            "without": raw,
        }
    return result


_FIGURES = ("mean_treated", "mean_control", "difference", "anytime", "relative", "error", "degrees", "p", "anytime_p")


def _why_not(measure: Measure, treated: Strata, control: Strata) -> str:
    if min(count(treated), count(control)) < 2:
        return "fewer than two units with a value in an arm"
    if not any(min(treated[name].n, control[name].n) >= 2 for name in treated if name in control):
        return "no stratum has two units in both arms"
    if measure.ratio and any(pairs.mean_x == 0.0 for arm in (treated, control) for pairs in arm.values()):
        return f"{measure.per} adds up to 0"
    return "the values of an arm do not vary, so its error is unknown"


def few_events(rate: bool, row: Mapping[str, Any]) -> tuple[str | None, bool]:
    """What to be careful about in a comparison, and whether it may be judged at all.

    A rate is judged when each arm would expect at least 5 events and 5 non-events if both had one rate; an arm without any event would else look as
    if its rate were known exactly. Other values are near enough to normal in the mean from some 30 units on, unless they are very skewed.
    """
    if row["mean_treated"] is None:
        return None, True
    sides = (("n_treated", "mean_treated"), ("n_control", "mean_control"))
    if not rate:
        few = min(row[n] for n, _ in sides) < FEW_UNITS
        return (
            f"fewer than {FEW_UNITS} units in an arm: the interval is right only for values near normal"
            if few
            else None
        ), True
    common = sum(row[n] * row[mean] for n, mean in sides) / sum(row[n] for n, _ in sides)
    if min(row[n] * part for n, _ in sides for part in (common, 1.0 - common)) < LEAST_EXPECTED:
        return f"an arm expects fewer than {LEAST_EXPECTED} events or non-events: too few to judge", False
    if min(row[n] * part for n, mean in sides for part in (row[mean], 1.0 - row[mean])) < FEW_EVENTS:
        return f"fewer than {FEW_EVENTS} events or non-events in an arm: the interval is approximate", True
    return None, True


def power_of(found: Effect, goal: Goal | None, request: Request, per_day: float | None) -> dict[str, Any] | None:
    """The smallest difference that this many units find, and the units and days that a wanted one needs; None without an error."""
    if found.shown is None:
        return None
    difference = found.shown
    now = difference.n_t + difference.n_c
    smallest = smallest_difference(difference.error, request.alpha, request.power)
    base = abs(difference.mean_c)
    result: dict[str, Any] = {
        "smallest_difference": smallest,
        "smallest_relative": smallest / base if base else None,
        "chance": request.power,
        "units_now": now,
        "units_per_day": per_day,
    }
    if goal is None:
        return result
    wanted = goal.size * base if goal.relative else goal.size
    if not wanted:
        return result | {"wanted": None, "units_needed": None, "days_needed": None}
    needed = units_needed(difference.error, now, wanted, request.alpha, request.power)
    days = max(needed - now, 0.0) / per_day if per_day else None
    return result | {"wanted": wanted, "units_needed": needed, "days_needed": days}


def interval(found: Interval | None) -> dict[str, float | None] | None:
    """JSON has no infinity: an end that the data cannot bound is null."""
    return (
        None if found is None else {name: value if isfinite(value) else None for name, value in asdict(found).items()}
    )


def tidy(value: Any) -> Any:
    """JSON-ready: what is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): tidy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if isfinite(value) else None
    return value
