"""Estimates for people, beside the evidence that decides: what each fired stream looked like since its likely onset.

The onset was selected by looking back, so the text says so. Counts come from the ledger, never from raw rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from controlplane.core.estimates import Interval, clopper_pearson, exact_sequence
from controlplane.core.model import MetricKind, Rollout, TriggerReading
from controlplane.store.state_rows import LedgerEntry, from_text
from jobs.decisions import trigger_of
from jobs.deps import Deps

ALPHA = 0.05
Shown = tuple[str, str]  # estimate, interval


def estimates_since(
    deps: Deps, rollout: Rollout, ledger: Sequence[LedgerEntry], fired: Iterable[TriggerReading]
) -> dict[tuple[str, str], Shown]:
    """Estimate and interval of each fired stream since its likely onset; a stream without enough data is left out.

    Reads the ledger from the first of the onsets on: a cut must not wait for the whole history of the rollout.
    """
    fired = list(fired)
    since = min((reading.onset or reading.block_start for reading in fired), default=None)
    rows = [] if since is None else deps.state.ledger_rows(rollout.rollout_id, since)
    stored = [(from_text(row["block_start"]), json.loads(row["counts"])) for row in rows]
    blocks = [*stored, *((entry.block_start, entry.counts) for entry in ledger)]
    result = {}
    for reading in fired:
        since = reading.onset or reading.block_start
        kind = trigger_of(deps.policy, reading.trigger).kind
        shown = _show(kind, _since(blocks, reading, since))
        if shown is not None:
            result[reading.trigger, reading.segment] = shown
    return result


def _since(
    blocks: Sequence[tuple[datetime, list[dict[str, Any]]]], reading: TriggerReading, since: datetime
) -> list[dict[str, Any]]:
    wanted = (reading.trigger, reading.segment)
    return [
        row for start, rows in blocks if start >= since for row in rows if (row["stream"], row["segment"]) == wanted
    ]


def _show(kind: MetricKind, rows: list[dict[str, Any]]) -> Shown | None:
    if not rows:
        return None
    match kind:
        case MetricKind.ONE_SAMPLE:
            found = clopper_pearson(sum(row["xT"] for row in rows), sum(row["nT"] for row in rows), ALPHA)
            return None if found is None else _rate(found)
        case MetricKind.TWO_SAMPLE | MetricKind.RATE_RATIO:
            stats = {name: [row[name] for row in rows] for name in ("nT", "xT", "nC", "xC")}
            return _difference(exact_sequence("two_sample", stats, ALPHA), 100, "percentage points")
        case MetricKind.RATING:
            ratings = {name: [row.get(name, [0] * 5) for row in rows] for name in ("kT", "kC")}
            return _difference(exact_sequence("rating", ratings, ALPHA), 1, "points")


def _rate(found: Interval) -> Shown:
    return f"{found.estimate:.1%}", f"[{found.low:.1%}, {found.high:.1%}]"


def _difference(found: Interval | None, scale: float, unit: str) -> Shown | None:
    if found is None:
        return None
    low, high = found.low * scale, found.high * scale
    return f"{found.estimate * scale:+.2g} {unit}", f"[{low:+.2g}, {high:+.2g}]"
