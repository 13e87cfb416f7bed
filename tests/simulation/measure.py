"""Figures of one arm, counted from the records alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controlplane.core.assignment import Exposure, Reason, Unit, bucket
from controlplane.core.model import Arm

Record = dict[str, Any]
START = datetime(2026, 1, 5, 9, tzinfo=UTC)


def exposure(arm: Arm, eligible: bool = True) -> Exposure:
    """An exposure of an imagined rollout at 50 %."""
    why_not = None if eligible else "mandatory_person"
    return Exposure(arm, eligible, why_not, Reason.SPLIT, 1, "rollout-1", "2.0.0", "ramp", 0.5, True)


def split(unit: Unit, now: datetime) -> Exposure:
    """Half of the customers; who must have a person, and employees, are not part of the comparison."""
    eligible = not (unit.mandatory_person or unit.employee)
    exposed = eligible and bucket("test", unit.user_id) < 0.5
    return exposure(Arm.ASSISTANT if exposed else Arm.BASELINE, eligible)


def of_kind(records: Iterable[Record], kind: str) -> list[Record]:
    return [record for record in records if record["record"] == kind]


def without_measured_times(records: Iterable[Record]) -> list[Record]:
    """The records with the real time of this machine left out; it never decides."""
    kept = []
    for record in records:
        extra = record.get("extra")
        kept.append(record if extra is None else {**record, "extra": {**extra, "measured_ms": 0.0}})
    return kept


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares in [0, 1], `csat` in points, latency in ms; eligible conversations only."""

    conversations: int
    escalation: float
    csat: float
    contact: float
    ungrounded: float
    misclassified: float
    misrouted: float
    slow: float
    p95: float
    api_errors: float
    timeouts: float


def figures(records: list[Record], arm: str) -> Figures:
    """What one arm did for its eligible conversations."""
    mine = {e["conversation_id"] for e in of_kind(records, "exposure") if e["eligible"] and e["variant"] == arm}
    records = [record for record in records if record["conversation_id"] in mine]
    turns = of_kind(records, "interaction")
    predicted = {turn["interaction_id"]: turn["intent_pred"] for turn in turns}
    latencies = sorted(turn["latency_ms"] for turn in turns)
    ratings = [given["csat"] for given in of_kind(records, "feedback")]
    evaluations = of_kind(records, "evaluation")
    judged = [e["label"] == "ungrounded" for e in evaluations if e["name"] == "groundedness"]
    routes = [e["label"] == "misrouted" for e in evaluations if e["name"] == "safety_route"]
    intents = [e for e in evaluations if e["name"] == "intent_true" and predicted[e["interaction_id"]] is not None]
    return Figures(
        conversations=len(mine),
        escalation=len({turn["conversation_id"] for turn in turns if turn["escalated"]}) / len(mine),
        csat=sum(ratings) / len(ratings),
        contact=sum(f"{conversation}r" in mine for conversation in mine) / len(mine),
        ungrounded=share(judged),
        misclassified=share([e["label"] != predicted[e["interaction_id"]] for e in intents]),
        misrouted=share(routes),
        slow=share([turn["latency_ms"] > 4000 for turn in turns if turn["turn"] == 1]),
        p95=latencies[int(0.95 * len(latencies))],
        api_errors=share([call["error_type"] is not None for call in of_kind(records, "model_call")]),
        timeouts=share([turn["timed_out"] for turn in turns]),
    )


def share(hits: list[bool]) -> float:
    """Share of true ones; 0 without any."""
    return sum(hits) / len(hits) if hits else 0.0
