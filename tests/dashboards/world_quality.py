"""Hourly intents and safety for the hand-made workspaces, in keeping with their sums per minute: what was predicted, and who reached a person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

INTENTS = ("balance", "card_not_arrived", "fees", "limits", "pin_reset", "refund_status", "transfer_failed")
PARTS = (0.24, 0.16, 0.2, 0.08, 0.14, 0.1, 0.08)
SLOTS = (5, 6, 7, 8, 9)
SURE, UNSURE = (
    (0.02, 0.03, 0.1, 0.15, 0.7),
    (0.25, 0.25, 0.2, 0.2, 0.1),
)  # confidence of what is right, and of what is not
ROUTES = {"fraud": 0.03, "legal": 0.012, "harassment": 0.008, "financial_dispute": 0.02, "agent_request": 0.06}
NAMES = {
    "fraud": "fraud",
    "legal": "legal_complaint",
    "harassment": "harassment",
    "financial_dispute": "dispute_charge",
    "agent_request": "human_agent",
}
RATE = 0.4  # of the audits, as the worlds count labels
LATE = 3  # audited answers of a whole world that should have gone to a person at once


def add(cursor: Any, rollups: Iterable[dict[str, Any]]) -> None:
    """Write `rollup_intent` and `rollup_safety` for these rows of `rollup_minute`."""
    rng = np.random.default_rng(3)
    labels: dict[tuple[datetime, str, str], list[int]] = defaultdict(lambda: [0, 0])
    volume: dict[tuple[datetime, str, str], int] = defaultdict(int)
    for row in rollups:
        key = (row["minute"].replace(minute=0), row["arm"], row["release"])
        if row["metric"] == "misclassification_rate":
            labels[key][0] += row["n"]
            labels[key][1] += row["x"]
        if row["metric"] == "traffic_volume" and row["eligible"]:
            volume[key] += row["n"]
    intents = [cell for key, (n, x) in labels.items() for cell in _intents(key, n, x, volume[key], rng)]
    safety = [cell for number, (key, n) in enumerate(volume.items()) for cell in _safety(key, n, number < LATE, rng)]
    for table, rows in (("rollup_intent", intents), ("rollup_safety", safety)):
        if rows:
            cursor.register("incoming", pl.DataFrame(rows, infer_schema_length=None).to_arrow())
            cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
            cursor.unregister("incoming")


def _intents(key: tuple[datetime, str, str], n: int, wrong: int, all_: int, rng: Any) -> Iterable[dict[str, Any]]:
    hour, arm, release = key
    where = {"hour": hour, "arm": arm, "release": release}
    right = rng.multinomial(n - wrong, np.outer(PARTS, SURE).ravel()).reshape(len(INTENTS), len(SLOTS))
    mixed = rng.multinomial(wrong, np.outer(PARTS, UNSURE).ravel()).reshape(len(INTENTS), len(SLOTS))
    silent = rng.multinomial(max(all_ - n, 0), np.outer(PARTS, SURE).ravel()).reshape(len(INTENTS), len(SLOTS))
    cells: dict[tuple[str, str, str, int], int] = {}
    for i, intent in enumerate(INTENTS):
        other = INTENTS[6 if i == 5 else (i + 1) % len(INTENTS)]  # refunds are taken for failed transfers
        for j, slot in enumerate(SLOTS):
            cells[intent, intent, "sampled", slot] = int(right[i, j])
            cells[other, intent, "sampled", slot] = int(mixed[i, j])
            cells[intent, "unlabelled", "none", slot] = int(silent[i, j])
    for (predicted, truth, basis, slot), count in cells.items():
        if not count:
            continue
        weight = 1 / RATE if basis == "sampled" else 1.0
        conf = slot / 10 + 0.06 if arm == "assistant" else 0.0
        yield {
            **where,
            "predicted": predicted,
            "truth": truth,
            "basis": basis,
            "bin": slot if arm == "assistant" else -1,
            "n": count,
            "confidence": conf * count,
            "weight": weight * count,
            "weight_sq": weight**2 * count,
            "weighted_confidence": weight * conf * count,
        }


def _safety(key: tuple[datetime, str, str], n: int, late: bool, rng: Any) -> Iterable[dict[str, Any]]:
    hour, arm, release = key
    where = {"hour": hour, "arm": arm, "release": release}
    seen = {route: int(rng.binomial(n, share)) for route, share in ROUTES.items()}
    cells = [("screen", route, "unsaid", "person", count, 1.0) for route, count in seen.items()]
    cells.append(("screen", "none", "unsaid", "nobody", max(n - sum(seen.values()), 0), 1.0))
    for route, count in seen.items():
        cells.append(("sampled", route, NAMES[route], "at_once", int(rng.binomial(count, RATE)), 1 / RATE))
    cells.append(("sampled", "none", "fees", "at_once", int(0.3 * n), 1 / RATE))
    cells.append(("sampled", "none", "dispute_charge", "late", int(late), 1 / RATE))
    for basis, screened, named, reached, count, weight in cells:
        if count:
            yield {
                **where,
                "basis": basis,
                "screened": screened,
                "named": named,
                "reached": reached,
                "n": count,
                "weight": weight * count,
                "weight_sq": weight**2 * count,
            }
