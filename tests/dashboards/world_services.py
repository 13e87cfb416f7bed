"""Requests and calls of dependencies per five minutes for the hand-made workspaces, as the rollup of the real facts has them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np

G = 1.01 / 0.99
SLOTS_PER_STEP = 3  # a step of the worlds is a quarter of an hour
DEPENDENCIES = {"knowledge": (36.0, 0.004), "bank": (190.0, 0.006)}  # median ms, share of calls that fail
SQL = (
    "INSERT INTO rollup_service SELECT slot, kind, name, arm, TRUE, calls, failed, timed_out, timed, total_ms, "
    "map(buckets, counts) FROM incoming"
)


def slots(now: datetime, arm: str, latency: Any, rng: np.random.Generator, harm: float = 1.0) -> list[dict[str, Any]]:
    """Rows of a quarter of an hour: the requests of an arm with these latencies, and for the assistant what they called."""
    found = []
    for part, some in enumerate(np.array_split(latency, SLOTS_PER_STEP)):
        slot = now.replace(tzinfo=None, minute=now.minute + 5 * part)
        found.append(_row(slot, "request", "request", arm, some, 0.006, rng))
        if arm == "assistant":
            for name, (median, failing) in DEPENDENCIES.items():
                took = rng.lognormal(np.log(median), 0.35, len(some))
                found.append(_row(slot, "dependency", name, arm, took, failing * harm, rng))
    return [row for row in found if row["calls"]]


def _row(
    slot: datetime, kind: str, name: str, arm: str, latency: Any, failing: float, rng: np.random.Generator
) -> dict[str, Any]:
    buckets, counts = np.unique(np.ceil(np.log(latency) / np.log(G)).astype(int), return_counts=True)
    failed = int(rng.binomial(len(latency), failing))
    key = {"slot": slot, "kind": kind, "name": name, "arm": arm, "calls": len(latency), "failed": failed}
    key |= {"timed_out": failed // 2, "timed": len(latency), "total_ms": float(latency.sum())}
    return {**key, "buckets": buckets.tolist(), "counts": counts.tolist()}
