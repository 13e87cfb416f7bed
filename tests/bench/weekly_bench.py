"""What the facts of a weekly review cost: two weeks of conversations read as of a batch, when nothing came later and when a part was touched since.

Compared with DuckDB's own join of the requests to their conversations with one count by arm, in the same run on the same rows.
"""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.store.warehouse import Warehouse
from jobs.weekly_facts import Asked, read

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
TOUCHED_BATCH = 1_000_000
MATURITY = {"csat": 86_400, "contact": 259_200, "escalation": 7_200, "resolution": 86_400}
SOURCE = "(SELECT i, TIMESTAMP '2026-01-05' + INTERVAL 1 MILLISECOND * CAST(i * 1209600000 // $n AS BIGINT) AS begun FROM range($n) AS t(i))"
CONVERSATIONS = f"""
INSERT INTO conversations BY NAME
SELECT 'c' || i AS conversation_id, i AS id_hash, 'u' || (i % ($n // 3)) AS user_id,
  if(i % ($n // 3) % 2 = 0, 'assistant', 'baseline') AS arm, 'v1' AS release, TRUE AS eligible, 'intent' || (i % 20) AS intent_first,
  begun AS started_at, begun + INTERVAL 2 MINUTE AS last_at, 3 AS turns, if(i % 7 = 0, begun, NULL) AS escalated_at,
  i % 7 = 0 AS escalated, i % 3 > 0 AS resolved, begun + INTERVAL 8 MINUTE AS resolved_at, if(i % 4 = 0, 1 + i % 5, NULL) AS csat,
  begun + INTERVAL 9 MINUTE AS csat_at, if(i % 5 = 0, begun + INTERVAL 30 HOUR, NULL) AS returned_at, 1 AS batch_id
FROM {SOURCE}
"""
INTERACTIONS = f"""
INSERT INTO interactions BY NAME
SELECT 'i' || i || '-' || k AS interaction_id, 'c' || i AS conversation_id, k AS turn, begun + INTERVAL 1 MINUTE * (k - 1) AS ts,
  'u' || (i % ($n // 3)) AS user_id, if(i % ($n // 3) % 2 = 0, 'assistant', 'baseline') AS arm, 'intent' || (i % 20) AS intent_pred,
  if(i % 50 = 0, 'intent' || (i % 21), NULL) AS intent_true, 100 + (i + k) % 3000 AS latency_ms, 100 + i % 300 AS tokens_in,
  20 AS tokens_out, 0.001 AS cost_usd, i % 500 = 0 AS timed_out, i * 3 + k AS id_hash, 1 AS raw_hash, 1 AS batch_id, i AS line
FROM {SOURCE}, range(1, 4) AS r(k)
"""
PLAIN = """
SELECT c.arm, count(*), sum(i.tokens_in) FROM interactions AS i JOIN conversations AS c ON c.conversation_id = i.conversation_id GROUP BY c.arm
"""


def run(conversations: int = 1_000_000, touched: float = 0.02) -> dict[str, Any]:
    """Figures of a week of `conversations` and the one before, of three requests each; `touched`: share with a later record."""
    asked = Asked(
        MONDAY + timedelta(days=7),
        MONDAY + timedelta(days=14),
        MONDAY + timedelta(days=14, hours=6),
        1,
        tuple(MONDAY + timedelta(days=day) for day in range(0, 14, 2)),
        MATURITY,
    )
    with tempfile.TemporaryDirectory() as folder, Warehouse.open(Path(folder) / "facts.duckdb") as warehouse:
        with warehouse.cursor() as cursor:
            for statement in (CONVERSATIONS, INTERACTIONS):
                cursor.execute(statement, {"n": 2 * conversations})
        plain = _seconds(lambda: _plain(warehouse))
        found = {}
        fresh = _seconds(lambda: found.update(then=read(warehouse, asked, "p")))
        with warehouse.cursor() as cursor:
            cursor.execute(
                f"UPDATE conversations SET csat = 1, batch_id = {TOUCHED_BATCH} WHERE id_hash % {round(1 / touched)} = 0"
            )
        later = _seconds(lambda: found.update(now=read(warehouse, asked, "p")))
    return {
        "conversations of both weeks": 2 * conversations,
        "seconds": fresh,
        "as a multiple of one plain join": fresh / plain,
        "rebuilt, touched since": later / fresh,
        "peak memory MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _plain(warehouse: Warehouse) -> None:
    with warehouse.cursor() as cursor:
        cursor.execute(PLAIN).fetchall()


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
