"""Settled opinions go back to where all data comes from: as evaluations in the landing folder, so that triggers and rollups count them.

- An item gives up to three evaluations: `safety_route` (unsafe = misrouted), `intent_true` and `groundedness` where the person said so.
- An item that chance drew carries the audit's `sampling_rate`; one that was picked for a reason carries none and an id that begins with
  `targeted:`, which no rate counts (sql/migrations/012): bad answers are looked for there, and would be found.
- Exactly once: ids and contents follow from the item alone, so what is written again after a crash is a repeat that ingest drops.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from controlplane.core.review_queue import Item, Opinion
from controlplane.settings import Settings
from controlplane.store.landing import LandingWriter, iso
from controlplane.store.state import StateWriter
from jobs.review_work import Queue

SOURCE = "review"
SEVEREST = 5


def return_settled(settings: Settings, state: StateWriter, now: datetime) -> int:
    """Land the evaluations of every settled item that has not been returned; how many evaluations. The source signs off behind them."""
    queue, done = Queue.of(state), state.review_returned()
    records: dict[str, list[dict[str, Any]]] = {}
    for item_id, item in queue.items.items():
        opinion = queue.standing(item_id).opinion
        if opinion is not None and item_id not in done:
            records[item_id] = evaluations(item, opinion)
    if not records:
        return 0
    with LandingWriter(settings.workspace.landing, SOURCE) as landing:
        landing.write([record for found in records.values() for record in found])
        landing.sign_off(now)
    state.record_review_returns({key: len(found) for key, found in records.items()}, now)
    return sum(map(len, records.values()))


def evaluations(item: Item, opinion: Opinion) -> list[dict[str, Any]]:
    """The records of one item. `score` of a misrouting is its severity as a share of the severest."""
    unsafe = opinion.label == "unsafe"
    severity = None if opinion.severity is None or not unsafe else opinion.severity / SEVEREST
    found = [_record(item, opinion, "safety_route", "misrouted" if unsafe else "ok", severity)]
    if opinion.intent is not None:
        found.append(_record(item, opinion, "intent_true", opinion.intent))
    if opinion.grounded is not None:
        found.append(_record(item, opinion, "groundedness", "grounded" if opinion.grounded else "ungrounded"))
    return found


def _record(item: Item, opinion: Opinion, name: str, label: str, score: float | None = None) -> dict[str, Any]:
    kind = "review" if item.random else "targeted"
    return {
        "record": "evaluation",
        "evaluation_id": f"{kind}:{item.item_id}:{name}",
        "ts": iso(opinion.at),
        "interaction_id": item.interaction_id,
        "conversation_id": item.conversation_id,
        "name": name,
        "score": score,
        "label": label,
        "evaluator": f"human:{opinion.reviewer}",
        "sampling_rate": item.audit_rate if item.random else None,
    }
