"""A workspace with months of quiet traffic, and changes planted into it: what a drift analysis must find, and what it must not."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse

NOW = datetime(2026, 5, 4, 3, 0, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)
YEAR = timedelta(days=364)
INTENTS = ("card", "transfer", "balance", "limits")
WORDS = (
    *("where", "is", "my", "card", "please", "help", "me", "with", "the", "transfer", "of"),
    *("money", "why", "was", "it", "declined", "how", "do", "see", "balance"),
)
NEW_WORDS = ["crypto", "wallet", "staking", "ledger", "coin"]


@dataclass
class Day:
    """How a day's conversations are; every conversation has one request."""

    rows: int = 40
    tokens: float = 300.0
    topic: float = 0.0  # share of a new topic, which escalates and is rated badly
    lost: tuple[str, ...] = ()  # columns that are NULL
    arm: str | None = "assistant"
    release: str = "v1"
    more: dict[str, Any] = field(default_factory=dict)


class DriftWorld:
    """Writes days into the facts, as ingest would leave them."""

    def __init__(self, warehouse: Warehouse, seed: int = 7) -> None:
        self.warehouse = warehouse
        self._rng = np.random.default_rng(seed)
        self._n = 0
        self._batch = 0

    def days(self, until: datetime, n: int, day: Day | None = None) -> None:
        """`n` days alike, the last one ends at `until`."""
        self.each([(until - (n - i) * DAY, day or Day()) for i in range(n)])

    def each(self, days: list[tuple[datetime, Day]]) -> None:
        """Days by their begin."""
        self._batch += 1
        made = [self._day(begin, day) for begin, day in days]
        self._insert("interactions", [row for rows, _, _ in made for row in rows])
        self._insert("conversations", [row for _, rows, _ in made for row in rows])
        self._insert("evaluations", [row for _, _, rows in made for row in rows])

    def _day(self, begin: datetime, day: Day) -> tuple[list[Any], list[Any], list[Any]]:
        rng = self._rng
        interactions, conversations, evaluations = [], [], []
        for i in range(day.rows):
            self._n += 1
            ts = to_naive(begin + DAY * i / day.rows)
            strange = rng.random() < day.topic
            intent = "crypto" if strange else str(rng.choice(INTENTS))
            words = [*rng.choice(WORDS, 5), *(rng.choice(NEW_WORDS, 4) if strange else rng.choice(WORDS, 4))]
            true = "card" if strange and rng.random() < 0.9 else intent if rng.random() < 0.95 else "other"
            row = {
                "interaction_id": f"i{self._n}",
                "conversation_id": f"c{self._n}",
                "turn": 1,
                "ts": ts,
                "arm": day.arm,
                "release": day.release,
                "model": "m1",
                "region": str(rng.choice(["north", "south"])),
                "intent_pred": intent,
                "intent_true": true,
                "intent_conf": float(rng.beta(8, 2)),
                "latency_ms": float(rng.lognormal(6, 0.4)),
                "tokens_in": int(rng.lognormal(np.log(day.tokens), 0.3)),
                "tokens_out": int(rng.integers(50, 400)),
                "cost_usd": float(rng.lognormal(-8, 0.3)),
                "question": " ".join(map(str, words)),
                "answer": "word " * int(rng.integers(10, 60)),
                "extra": json.dumps({"kind": str(rng.choice(["answer", "handover"], p=[0.9, 0.1]))}),
                **day.more,
            }
            interactions.append({**row, **dict.fromkeys(day.lost), **self._ids()})
            escalated = bool(rng.random() < (0.7 if strange else 0.1))
            rated = rng.random() < 0.5
            conversations.append(
                {
                    "conversation_id": row["conversation_id"],
                    "arm": day.arm,
                    "release": day.release,
                    "started_at": ts,
                    "turns": 1,
                    "escalated": escalated,
                    "escalated_at": ts + timedelta(minutes=3) if escalated else None,
                    "csat": float(rng.choice([1, 2] if strange else [4, 5])) if rated else None,
                    "csat_at": ts + timedelta(minutes=9) if rated else None,
                    "id_hash": self._n,
                    "batch_id": self._batch,
                }
            )
            if i % 4 == 0:
                judged = {"evaluation_id": f"e{self._n}", "ts": ts, "interaction_id": row["interaction_id"]}
                judged |= {"conversation_id": row["conversation_id"], "name": "groundedness", "label": "grounded"}
                score = {"score": float(rng.beta(20, 2)), "evaluator": "detector", "sampling_rate": 0.25}
                evaluations.append({**judged, **score, **self._ids()})
        return interactions, conversations, evaluations

    def _ids(self) -> dict[str, int]:
        return {"id_hash": self._n, "raw_hash": self._n, "batch_id": self._batch, "line": self._n}

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        frame = pl.DataFrame(rows, infer_schema_length=None).select(pl.exclude(pl.Null))
        cursor = self.warehouse.cursor()
        cursor.register("incoming", frame.to_arrow())
        cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM incoming")
        cursor.close()


def planted(world: DriftWorld) -> None:
    """A year ago prompts were shorter; two quiet months; then a month with a new topic from its 15th day and a column that stops on its 21st."""
    world.days(NOW - YEAR, 28, Day(tokens=200.0))
    world.days(NOW - 28 * DAY, 56)
    begin = NOW - 28 * DAY
    month = [
        Day(topic=0.3 if i >= 14 else 0.0, lost=(("cost_usd", "latency_ms") if i >= 20 else ("cost_usd",)))
        for i in range(28)
    ]
    world.each([(begin + i * DAY, day) for i, day in enumerate(month)])
