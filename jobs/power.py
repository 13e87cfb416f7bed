"""Power so far: the smallest harm that each stream's alarm could have found in this stage by now, from the counts of the ledger.

"No alarm" is worth as much as this figure is small; of a harm of this size about half would have been found.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import exp
from typing import Any

import numpy as np

from controlplane.core.estimates_power import START_WEIGHT, smallest_harm_found
from controlplane.core.evidence import effective
from controlplane.core.model import MetricKind, Rollout
from controlplane.core.policy import Policy, Trigger
from controlplane.core.streams import stream_limit
from controlplane.store.state_rows import to_text

Key = tuple[str, str]  # trigger, segment


def smallest_found(
    policy: Policy, rollout: Rollout, ledger: Iterable[Mapping[str, Any]], thresholds: Mapping[Key, float | None]
) -> dict[Key, float | None]:
    """Per stream of `thresholds` (log 1/alpha) a difference of rates, rating points lost or a rate; None = nothing could have been found yet.

    Validity checks, and streams without a threshold, are left out: they judge no harm.
    """
    triggers = {trigger.name: trigger for trigger in policy.triggers}
    totals = _totals(ledger, to_text(rollout.stage_started_at), triggers)
    weight = START_WEIGHT * 0.5 ** (rollout.stage + 1)  # each stage start halves what the account puts at stake
    found: dict[Key, float | None] = {}
    for (name, segment), threshold in thresholds.items():
        if name not in triggers or threshold is None:
            continue
        trigger, counts = triggers[name], totals.get((name, segment))
        limit = stream_limit(policy, trigger)
        found[name, segment] = (
            None if counts is None else smallest_harm_found(str(trigger.kind), counts, limit, exp(-threshold), weight)
        )
    return found


def _totals(
    ledger: Iterable[Mapping[str, Any]], since: str, triggers: Mapping[str, Trigger]
) -> dict[Key, dict[str, np.ndarray]]:
    """Sums of the stage's blocks per stream; rates as the effective counts that were judged."""
    totals: dict[Key, dict[str, np.ndarray]] = {}
    for row in ledger:
        if row["block_start"] < since:
            continue
        for counts in json.loads(row["counts"]):
            trigger = triggers.get(counts["stream"])
            if trigger is None:
                continue
            sums = totals.setdefault((counts["stream"], counts["segment"]), {})
            for name, value in _judged(counts, trigger).items():
                sums[name] = sums.get(name, np.zeros(1)) + np.asarray(value, dtype=np.float64)
    return {key: {name: _plain(value) for name, value in sums.items()} for key, sums in totals.items()}


def _judged(counts: Mapping[str, Any], trigger: Trigger) -> dict[str, Any]:
    if trigger.kind is MetricKind.RATING:
        return {name: counts.get(name, [0] * 5) for name in ("kT", "kC")}
    n_t, _ = effective(counts["nT"], counts["xT"], trigger.icc)
    n_c, x_c = effective(counts["nC"], counts["xC"], trigger.icc)
    return {"nT": n_t} if trigger.kind is MetricKind.ONE_SAMPLE else {"nT": n_t, "nC": n_c, "xC": x_c}


def _plain(value: np.ndarray) -> np.ndarray:
    return value if len(value) > 1 else value[0]


def words(kind: MetricKind, harm: float | None) -> str:
    """The figure for people."""
    if harm is None:
        return "could have found nothing yet"
    match kind:
        case MetricKind.TWO_SAMPLE:
            return f"could have found {100 * harm:+.1f} points"
        case MetricKind.RATE_RATIO:
            return f"could have found {harm:.1f} times the control's rate"
        case MetricKind.RATING:
            return f"could have found a loss of {harm:.2f} rating points"
        case MetricKind.ONE_SAMPLE:
            return f"could have found a rate of {harm:.1%}"
