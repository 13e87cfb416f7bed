"""Two weeks of a support desk as records, through the real ingest, and an account of them in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.store.facts import ingest_file
from controlplane.store.warehouse import Warehouse
from tests.store.facts_world import KEY, write_lines

MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
WEEK = timedelta(days=7)


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


@dataclass
class Desk:
    """Makes records; `share` of the customers go to the assistant."""

    seed: int = 1
    share: float = 0.5
    rng: random.Random = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def conversation(
        self, start: datetime, user: str, arm: str, *, escalates: float = 0.2, rating: float = 4.0, rollout: str = ""
    ) -> list[dict[str, Any]]:
        """All records of one conversation."""
        self.number += 1
        key, draw = f"c{self.seed}-{self.number}", self.rng.random
        found: list[dict[str, Any]] = []
        named = {"rollout_id": rollout, "release": "v1"} if rollout and arm == "assistant" else {}
        if draw() < 0.8:
            found.append(
                {
                    "record": "exposure",
                    "exposure_id": f"e{key}",
                    "ts": stamp(start - timedelta(seconds=1)),
                    "conversation_id": key,
                    "user_id": user,
                }
                | {
                    "variant": arm,
                    "eligible": draw() < 0.95,
                    "intent_first": self.rng.choice(["fees", "pin"]),
                    "flag_version": 1,
                    **named,
                }
            )
        turns = self.rng.randint(1, 3)
        person = draw() < escalates
        for turn in range(1, turns + 1):
            at = start + timedelta(seconds=40 * (turn - 1) + draw())
            row: dict[str, Any] = {
                "interaction_id": f"i{key}-{turn}",
                "conversation_id": key,
                "turn": turn,
                "ts": stamp(at),
                "user_id": user,
                "arm": arm,
            }
            row |= {
                "intent_pred": self.rng.choice(["fees", "pin"]),
                "latency_ms": round(self.rng.lognormvariate(6, 0.5), 3),
                "answer": "a",
                **named,
            }
            if arm == "assistant":
                row |= {
                    "tokens_in": self.rng.randint(50, 400),
                    "tokens_out": self.rng.randint(10, 90),
                    "cost_usd": round(self.rng.uniform(1e-4, 3e-3), 9),
                }
            row |= {"timed_out": draw() < 0.02} | ({"error_type": "http_500"} if draw() < 0.02 else {})
            row |= {"intent_true": self.rng.choice(["fees", "pin"])} if draw() < 0.1 else {}
            row |= {"escalated": True} if person and turn == turns else {}
            found.append(row)
            if draw() < 0.3:
                found.append(self._evaluation(f"{key}-{turn}", at))
        if draw() < 0.7:
            at = start + timedelta(seconds=200 + 4000 * draw())
            said = {"csat": min(max(round(self.rng.gauss(rating, 1)), 1), 5)} if draw() < 0.8 else {}
            found.append(
                {
                    "record": "feedback",
                    "feedback_id": f"f{key}",
                    "ts": stamp(at),
                    "conversation_id": key,
                    "resolved": draw() < 0.8,
                }
                | said
            )
        return found

    def _evaluation(self, key: str, at: datetime) -> dict[str, Any]:
        name = self.rng.choice(["groundedness", "intent_true", "safety_route"])
        label = {
            "groundedness": ["grounded"] * 5 + ["ungrounded"],
            "intent_true": ["fees", "pin"],
            "safety_route": ["ok"] * 9 + ["misrouted"],
        }[name]
        row: dict[str, Any] = {
            "record": "evaluation",
            "evaluation_id": f"v{key}-{name}",
            "ts": stamp(at + timedelta(minutes=5)),
            "interaction_id": f"i{key}",
        }
        row |= {
            "name": name,
            "label": self.rng.choice(label),
            "evaluator": "judge" if name == "groundedness" else "human:rev",
        }
        return row | {"sampling_rate": self.rng.choice([0.1, 0.25, 1.0]), "score": self.rng.choice([0.2, 0.9])}

    def weeks(
        self, since: datetime, until: datetime, conversations: int, customers: int = 0, **more: Any
    ) -> list[dict[str, Any]]:
        """Conversations spread over a window; a customer keeps to one arm."""
        found: list[dict[str, Any]] = []
        pool = customers or conversations
        for _ in range(conversations):
            who = self.rng.randrange(pool)
            arm = "assistant" if random.Random(f"{self.seed}/{who}").random() < self.share else "baseline"
            start = since + (until - since) * self.rng.random()
            found += self.conversation(start, f"u{who}", arm, **more)
        return found


def ingest(
    warehouse: Warehouse, folder: Path, records: Iterable[dict[str, Any]], now: datetime, name: str = "records"
) -> None:
    """Through a file, as any producer's."""
    ingest_file(warehouse, write_lines(folder / f"{name}.jsonl", records), source="desk", now=now, key=KEY, live=True)
