"""The analysis of an experiment: from units in DuckDB to one JSON-ready answer, with verdicts.

The verdict of a metric rests on one p-value per treated arm, corrected over all metrics and arms (`request.correction`): of the test for one look, or
with `anytime` of the sequence that may be looked at at any time. With a covariate it is of the difference with the past taken out. A broken split
(sample-ratio mismatch, many units in two arms) makes every verdict "not to be trusted": what broke the split may have made the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from controlplane.analysis.experiment_effects import (
    corrected,
    effect,
    few_events,
    p_of,
    power_of,
    shown,
    tidy,
    verdict,
)
from controlplane.analysis.experiment_quantiles import quantiles
from controlplane.analysis.experiment_request import Measure, Request
from controlplane.analysis.experiment_segments import segments
from controlplane.analysis.experiment_source import Units
from controlplane.analysis.experiment_sums import Totals, count, totals
from controlplane.analysis.experiment_time import over_time
from controlplane.core.estimates_compare import anytime_p
from controlplane.core.estimates_moments import merged, one_way
from controlplane.core.estimates_split import split
from controlplane.core.multiplicity import METHODS

CONTROLS = ("control", "baseline", "c", "0", "false", "a")
MISMATCH = 0.001
"""Below this p-value the split is broken: a healthy experiment is accused once in a thousand."""
MOST_MIXED = 0.01
"""Share of units in two arms beyond which the assignment itself is broken."""


def choose_control(arms: Mapping[str, int], asked: str) -> tuple[str, str]:
    """The control and why it is that one."""
    if asked:
        return asked, "asked for"
    lowered = {name.lower(): name for name in arms}
    for name in CONTROLS[:2]:
        if name in lowered:
            return lowered[name], "by its name"
    return min(arms, key=_numbers_first), "the first by name; say --control for another"


def _numbers_first(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name


def analyse(units: Units, request: Request, ratio: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The whole answer, JSON-ready; `ratio`: the split as tested elsewhere (a ramp's), else against the shares. Raises ExperimentError."""
    control, why = choose_control(units.arms, request.control)
    ratio = sample_ratio(units, request) if ratio is None else ratio
    reasons = _broken(units, ratio)
    found = totals(units, request)
    units = found.units
    value: dict[str, Any] = {
        "unit": request.unit,
        "arm": request.arm,
        "control": control,
        "control_is": why,
        "arms": units.arms,
        "units": sum(units.arms.values()),
        "rows": units.counts["all_rows"],
        "excluded": _excluded(units),
        "several_rows_a_unit": _merging(units, request),
        "trusted": not reasons,
        "not_trusted_because": reasons,
        "sample_ratio": ratio,
        "judged": _judged(request),
        "metrics": _metrics(found, request, control, not reasons),
        "quantiles": quantiles(units, request, control, not reasons),
        "segments": segments(found, request, control, not reasons),
        "over_time": over_time(units, request, control),
    }
    tidied: dict[str, Any] = tidy(value)
    return tidied


def sample_ratio(units: Units, request: Request) -> dict[str, Any]:
    """Units per arm against the configured shares."""
    names = list(units.arms)
    shares = [request.shares.get(name, 1.0) for name in names]
    found = split([units.arms[name] for name in names], shares)
    assert found is not None  # every arm has a unit
    at_any_time = anytime_p(found.log_e)
    p = at_any_time if request.anytime else found.p
    return {
        "shares": {name: share / sum(shares) for name, share in zip(names, shares, strict=True)},
        "shares_are": "configured" if request.shares else "assumed equal",
        "expected": dict(zip(names, found.expected, strict=True)),
        "statistic": found.statistic,
        "p": found.p,
        "anytime_p": at_any_time,
        "limit": MISMATCH,
        "mismatch": p < MISMATCH,
    }


def _broken(units: Units, ratio: Mapping[str, Any]) -> list[str]:
    reasons = []
    if ratio["mismatch"]:
        counted = ratio.get("counted", units.arms)
        told = ", ".join(f"{name} {n:,}, expected {ratio['expected'][name]:,.0f}" for name, n in counted.items())
        reasons.append(
            f"sample-ratio mismatch: {told} (p {ratio['p']:.2g}); find out where units were lost before reading any result"
        )
    mixed = units.counts.get("in_two_arms", 0)
    if mixed > MOST_MIXED * units.counts["units"]:
        reasons.append(
            f"{mixed:,} of {units.counts['units']:,} units are in two arms: the assignment is not what was logged"
        )
    return reasons


def _excluded(units: Units) -> dict[str, int]:
    names = ("without_unit", "without_arm", "in_two_arms", "in_two_strata")
    return {name: int(units.counts.get(name, 0)) for name in names}


def _merging(units: Units, request: Request) -> str | None:
    return f"{request.per_unit} of a unit's rows; both parts of a ratio are added up" if units.several else None


def _judged(request: Request) -> dict[str, Any]:
    return {
        "alpha": request.alpha,
        "interval": "Welch's t, for one look"
        + (", differences averaged over strata by nT nC/(nT + nC)" if request.strata else ""),
        "anytime_interval": f"asymptotic confidence sequence, narrowest at {request.tightest:g} units",
        "relative": "delta method on the logarithm of the ratio of means",
        "verdict_by": "anytime_p" if request.anytime else "p",
        "correction": METHODS[request.correction],
        "segment_correction": METHODS[request.segment_correction],
    }


def _metrics(every: Totals, request: Request, control: str, trusted: bool) -> dict[str, Any]:
    units, totals = every.units, every.metrics
    treated = [arm for arm in units.arms if arm != control]
    keys = [(measure, arm) for measure in request.measures for arm in treated]
    effects = {
        (measure.name, arm): effect(measure, totals[measure.name].get(arm, {}), totals[measure.name][control], request)
        for measure, arm in keys
    }
    result = {measure.name: _metric(measure, every, request) for measure in request.measures}
    judged, per_day = [], _per_day(units)
    for measure, arm in keys:
        found, metric = effects[measure.name, arm], result[measure.name]
        row = shown(found, measure, totals[measure.name].get(arm, {}), totals[measure.name][control])
        row["note"], enough = few_events(metric["kind"] == "rate", row)
        judged.append(found.shown if enough else None)
        share = (units.arms[arm] + units.arms[control]) / sum(units.arms.values())
        goal = request.goals.get(measure.name, request.goals.get(""))
        row["power"] = power_of(found, goal, request, None if per_day is None else per_day * share)
        metric["arms"][arm] = row
    for (measure, arm), item, p in zip(keys, judged, corrected(judged, request, request.correction), strict=True):
        row = result[measure.name]["arms"][arm]
        row["corrected_p"], row["verdict"] = p, verdict(measure, item, p, trusted, request)
        if p is not None and p_of(item, request) <= request.alpha < p:
            alone = f"shown if it stood alone; not as one of {len(keys)} comparisons ({request.correction})"
            row["note"] = alone if row["note"] is None else f"{row['note']}; {alone}"
    return result


def _metric(measure: Measure, every: Totals, request: Request) -> dict[str, Any]:
    arms = every.metrics[measure.name]
    pooled = {name: merged(strata.values()) for name, strata in arms.items()}
    omnibus = None if measure.ratio else one_way(pooled.values())
    means = {name: _mean(measure, pairs.mean_y, pairs.mean_x) if pairs.n else None for name, pairs in pooled.items()}
    return {
        "kind": "ratio" if measure.ratio else "rate" if every.rate(measure, request) else "mean",
        "direction": "lower" if measure.lower else "higher",
        "formula": f"sum({measure.column})/sum({measure.per})" if measure.ratio else measure.column,
        "n": {name: count(strata) for name, strata in arms.items()},
        "missing": {name: every.units.arms[name] - count(strata) for name, strata in arms.items()},
        "means": means,
        "sd": {
            name: pairs.variance_y**0.5 if pairs.n >= 2 and not measure.ratio else None
            for name, pairs in pooled.items()
        },
        "omnibus": None if omnibus is None else asdict(omnibus),
        "arms": {},
    }


def _mean(measure: Measure, y: float, x: float) -> float | None:
    if not measure.ratio:
        return y
    return y / x if x else None


def _per_day(units: Units) -> float | None:
    """Units a day, as seen."""
    return sum(units.arms.values()) / units.span_days if units.span_days else None
