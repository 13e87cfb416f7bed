"""Replayed experiments in sums that add up, as plain values: what `controlplane experiment replay --json` prints, and its report draws.

Every comparison is in exactly one place: significant at some look = kept + vanished + turned + unknown at the end; each method's decided =
agrees + beyond + opposite + unknown; what it missed is counted apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from controlplane.analysis.experiments import SPLIT_ALPHA, Decision, Replay, SampleRatio
from controlplane.analysis.experiments_arms import ArmFinds, Arms, PeriodShare, SplitFinds, by_period, period_share
from controlplane.core.multiplicity import benjamini_hochberg, e_bh

METHODS: dict[str, Callable[[Replay], Decision | None]] = {
    "naive": lambda found: found.naive,
    "group_sequential": lambda found: found.group_sequential,
    "asymptotic": lambda found: found.asymptotic,
    "ours": lambda found: found.ours,
}
FAULTY_WEEKS = ("201325", "201401")
"""First and last week of the randomisation problem that the Upworthy archive documents (25 June 2013 to 10 January 2014)."""


def looks_summary(replays: Sequence[Replay], ratios: Sequence[SampleRatio], false_share: float) -> dict[str, Any]:
    """Sums over comparisons with looks."""
    mismatched = {(item.experiment, item.variant) for item in ratios if item.found is not None}
    return {
        "comparisons": len(replays),
        "experiments": len({item.comparison.experiment for item in replays}),
        "looks": sum(len(item.comparison.time) for item in replays),
        "events": sum(item.comparison.binary for item in replays),
        "missing": _missing(replays),
        "naive": naive_sums(replays),
        "methods": {name: method_sums(replays, decided) for name, decided in METHODS.items()},
        "metrics": {
            metric: {"naive": naive_sums(part), "ours": method_sums(part, METHODS["ours"]), **_kind(part)}
            for metric, part in _by_metric(replays)
        },
        "multiplicity": _multiplicity(replays, false_share),
        "sample_ratio": _ratios(ratios),
        "ours_in_mismatched": sum(
            found.ours is not None and (found.comparison.experiment, found.comparison.variant) in mismatched
            for found in replays
        ),
        "details": [_detail(found, mismatched) for found in replays],
    }


def _by_metric(replays: Sequence[Replay]) -> list[tuple[str, list[Replay]]]:
    names = sorted({found.comparison.metric for found in replays})
    return [(name, [found for found in replays if found.comparison.metric == name]) for name in names]


def _kind(part: Sequence[Replay]) -> dict[str, Any]:
    events = sum(found.comparison.binary for found in part)
    test = "exact" if events == len(part) else "asymptotic" if not events else "mixed"
    return {"comparisons": len(part), "ours_is": test}


def naive_sums(replays: Iterable[Replay]) -> dict[str, int]:
    """Where the comparisons that were significant at some look stood at the last one."""
    flagged = [found for found in replays if found.naive is not None]
    ends = Counter(_end(found.naive, found.last) for found in flagged)
    return {
        "some_look": len(flagged),
        "kept": ends["agrees"],
        "vanished": ends["beyond"],
        "turned": ends["opposite"],
        "unknown": ends["unknown"],
    }


def _end(decision: Decision | None, last: int | None) -> str:
    if last is None:
        return "unknown"
    if decision is None:
        return "missed" if last else "none"
    if not last:
        return "beyond"
    return "agrees" if decision.side == last else "opposite"


def method_sums(replays: Sequence[Replay], decided: Callable[[Replay], Decision | None]) -> dict[str, Any]:
    """How a method's first decisions compare with the naive verdict of the last look. `beyond`: decided, the last look is not significant."""
    ends = Counter((_end(decided(found), found.last), decided(found) is not None) for found in replays)
    when = [(d.time, _part(found, d)) for found in replays if (d := decided(found)) is not None]
    return {
        "decided": len(when),
        "agrees": ends["agrees", True],
        "beyond": ends["beyond", True],
        "opposite": ends["opposite", True],
        "unknown": ends["unknown", True],
        "missed": ends["missed", False],
        "undecided": len(replays) - len(when),
        "median_time": median(t for t, _ in when) if when else None,
        "median_part": median(p for _, p in when) if when else None,
    }


def _part(found: Replay, decision: Decision) -> float:
    """Share of the looks that had been taken."""
    return (decision.look + 1) / len(found.comparison.time)


def _missing(replays: Sequence[Replay]) -> dict[str, Any]:
    return {
        "looks_without_variance": sum(found.without_variance for found in replays),
        "looks_untested": sum(found.untested for found in replays),
        "looks_with_falling_counts": sum(found.unordered for found in replays),
        "last_look_unknown": sum(found.last is None for found in replays),
        "declined": dict(Counter(found.declined for found in replays if found.declined)),
    }


def _multiplicity(replays: Sequence[Replay], false_share: float) -> dict[str, Any]:
    p = np.array([found.last_p for found in replays])
    log_e = np.array([np.nan if found.declined else found.log_e for found in replays])
    return {
        "false_share": false_share,
        "tested_at_last_look": int(np.sum(~np.isnan(p))),
        "significant_at_last_look": sum(bool(found.last) for found in replays),
        "benjamini_hochberg": int(benjamini_hochberg(p, false_share).sum()),
        "e_values": int(e_bh(log_e, false_share).sum()),
    }


def _ratios(ratios: Sequence[SampleRatio]) -> dict[str, Any]:
    tested = [item for item in ratios if item.shares]
    return {
        "arms": len(ratios),
        "tested": len(tested),
        "unequal_by_design": sum(not item.shares and item.units > 0 for item in ratios),
        "without_units": sum(not item.units > 0 for item in ratios),
        "mismatched": sum(item.found is not None for item in tested),
        "naive_some_look": sum(item.naive_looks > 0 for item in tested),
        "naive_last_look": sum(item.last_p <= SPLIT_ALPHA for item in tested),
        "found": [_ratio(item) for item in ratios if item.found is not None],
        "sound_as_planned_unequal": [
            _ratio(item) | {"sound_as": item.sound_as} for item in ratios if item.sound_as is not None
        ],
        "not_tested": [_ratio(item) for item in ratios if not item.shares],
    }


def _ratio(item: SampleRatio) -> dict[str, Any]:
    return {
        "experiment": item.experiment,
        "variant": item.variant,
        "configured": list(item.shares),
        "observed": _number(item.observed),
        "units": item.units,
        "log_e": _number(item.log_e),
        "time": None if item.found is None else item.found.time,
        "p_last": _number(item.last_p),
    }


def _detail(found: Replay, mismatched: set[tuple[str, str]]) -> dict[str, Any]:
    comparison = found.comparison
    return {
        "experiment": comparison.experiment,
        "variant": comparison.variant,
        "metric": comparison.metric,
        "looks": len(comparison.time),
        "test": "exact" if comparison.binary else "asymptotic",
        "estimate": _number(found.estimate),
        "low": _number(found.low),
        "high": _number(found.high),
        "last": found.last,
        "p_last": _number(found.last_p),
        "naive_looks": found.naive_looks,
        **{name: _decision(decided(found)) for name, decided in METHODS.items()},
        "log_e": _number(found.log_e),
        "declined": found.declined,
        "looks_without_variance": found.without_variance,
        "looks_untested": found.untested,
        "sample_ratio_mismatch": (comparison.experiment, comparison.variant) in mismatched,
    }


def _decision(found: Decision | None) -> dict[str, Any] | None:
    return None if found is None else {"look": found.look + 1, "time": found.time, "side": found.side}


def _number(value: float) -> float | None:
    """JSON knows no NaN: what is unknown is null."""
    return value if np.isfinite(value) else None


def arms_summary(arms: Arms, finds: ArmFinds, splits: SplitFinds, alpha: float, false_share: float) -> dict[str, Any]:
    """Sums over tests with many arms."""
    tested = ~np.isnan(finds.p)
    trusted = ~splits.found[arms.test]
    flagged = arms.totals(finds.naive.astype(float)) > 0
    return {
        "tests": len(arms.names),
        "arms": len(arms.n),
        "tests_of_one_arm": int(np.sum(arms.sizes < 2)),
        "compared": int(tested.sum()),
        "naive": {
            "arms": int(finds.naive.sum()),
            "tests_with_one": int(flagged.sum()),
            "false_if_nothing_differed": alpha * int(tested.sum()),
        },
        "multiplicity": {
            "false_share": false_share,
            "benjamini_hochberg": _believed(finds.hochberg, finds, trusted),
            "benjamini_yekutieli": _believed(finds.yekutieli, finds, trusted),
            "e_values": _believed(finds.e_values, finds, trusted),
        },
        "vanished": int(np.sum(finds.naive & ~finds.hochberg)),
        "sample_ratio": _splits(arms, splits, false_share),
    }


def _believed(flags: np.ndarray, finds: ArmFinds, trusted: np.ndarray) -> dict[str, int]:
    return {
        "arms": int(flags.sum()),
        "better": int(np.sum(flags & (finds.side > 0))),
        "worse": int(np.sum(flags & (finds.side < 0))),
        "in_well_split_tests": int(np.sum(flags & trusted)),
    }


def _splits(arms: Arms, splits: SplitFinds, false_share: float) -> dict[str, Any]:
    weeks = np.asarray(arms.period)
    inside = (weeks >= FAULTY_WEEKS[0]) & (weeks <= FAULTY_WEEKS[1])
    parts = {"inside": inside, "outside": ~inside & (np.char.isdigit(weeks.astype(str)))}  # neither: week unknown
    return {
        "tested": int(np.sum(~np.isnan(splits.p))),
        "mismatched": int(splits.found.sum()),
        "chi_square": int(splits.chi_square.sum()),
        "e_values": int(splits.e_values.sum()),
        "false_share": false_share,
        "documented": {"first_week": FAULTY_WEEKS[0], "last_week": FAULTY_WEEKS[1]}
        | {name: period(period_share(name, splits, chosen)) for name, chosen in parts.items()},
        "weeks": [period(item) for item in by_period(arms, splits)],
    }


def period(item: PeriodShare) -> dict[str, Any]:
    """One `PeriodShare` as plain values; null where no test could be tested."""
    share = item.share
    ends = (None, None, None) if share is None else (share.estimate, share.low, share.high)
    return {"period": item.period, "tests": item.tests, "mismatched": item.mismatches} | dict(
        zip(("share", "low", "high"), ends, strict=True)
    )
