"""A workspace with as many interactions as asked, over four weeks, made by SQL in the facts and by the product's own rollups and snapshot."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path

from controlplane.store.rollups import refresh, touch
from controlplane.store.snapshot import VersionInfo, publish
from controlplane.store.state import StateWriter
from controlplane.store.warehouse import Warehouse
from tests.dashboards.conftest import add_drift, build_healthy

DAYS = 28
REQUESTS = 2.5  # of a conversation
# One row per conversation number i of $n, spread over the span; half the customers of the last days are the assistant's.
SOURCE = """(
  SELECT i, CAST($since AS TIMESTAMP) + to_microseconds(CAST(i * (CAST($span AS DOUBLE) / $n) AS BIGINT)) AS begun, hash(i) AS h
  FROM range($n) AS t(i)
)"""
ARM = "if(h % 2 = 0, 'assistant', 'baseline')"
RELEASE = "if(h % 2 = 0, 'v1.4.0', 'menu-7')"
SAME = "i AS id_hash, 1 AS raw_hash, 1 AS batch_id, i AS line"
CONVERSATIONS = f"""
INSERT INTO conversations BY NAME
SELECT 'c' || i AS conversation_id, i AS id_hash, 'u' || (h % 1000003) AS user_id, {ARM} AS arm, {RELEASE} AS release, 'ramp' AS phase,
  'r1' AS rollout_id, if(h % 5 = 0, 'business', 'retail') AS segment, h % 9 > 0 AS eligible, 'intent' || (h % 20) AS intent_first,
  begun AS started_at, begun + INTERVAL 2 MINUTE AS last_at, 3 AS turns, if(h % 7 = 0, begun + INTERVAL 1 MINUTE, NULL) AS escalated_at,
  h % 3 > 0 AS resolved, if(h % 3 > 0, begun + INTERVAL 4 MINUTE, NULL) AS resolved_at, if(h % 4 = 0, 1 + h % 5, NULL) AS csat,
  if(h % 4 = 0, begun + INTERVAL 9 MINUTE, NULL) AS csat_at, if(h % 11 = 0, begun + INTERVAL 30 HOUR, NULL) AS returned_at,
  700 AS tokens_in, 90 AS tokens_out, 0.0011 AS cost_usd, 1 AS batch_id
FROM {SOURCE}
"""
INTERACTIONS = f"""
INSERT INTO interactions BY NAME
SELECT 'i' || i || '-' || k AS interaction_id, 'c' || i AS conversation_id, k AS turn, begun + INTERVAL 20 SECOND * k AS ts,
  'u' || (h % 1000003) AS user_id, {ARM} AS arm, {RELEASE} AS release, 'intent' || (h % 20) AS intent_pred, 0.5 + (h % 50) / 100 AS intent_conf,
  if(h % 50 = 0, 'intent' || (h % 21), NULL) AS intent_true, 200 + (h + k * 37) % 3000 AS latency_ms, 280 AS tokens_in, 36 AS tokens_out,
  0.00044 AS cost_usd, h % 500 = 0 AS timed_out, if(h % 300 = 0, 'internal', NULL) AS error_type, if(h % 83 = 0, 'fraud', NULL) AS safety_route,
  if(h % 6 = 0, 'large-llm', 'small-llm') AS model, i * 3 + k AS id_hash, 1 AS raw_hash, 1 AS batch_id, i AS line
FROM {SOURCE}, range(1, 4) AS r(k) WHERE k < 3 OR h % 2 = 0
"""
CALLS = f"""
INSERT INTO model_calls BY NAME
SELECT 'm' || i AS call_id, begun + INTERVAL 20 SECOND AS ts, 'i' || i || '-1' AS interaction_id, 'c' || i AS conversation_id,
  'chat' AS operation, 'own' AS provider, if(h % 6 = 0, 'large-llm', 'small-llm') AS model, 100 + h % 2000 AS latency_ms, 280 AS tokens_in,
  40 AS tokens_cached, 36 AS tokens_out, 0.00044 AS cost_usd, if(h % 400 = 0, 'rate_limit', NULL) AS error_type, h % 700 = 0 AS timed_out, {SAME}
FROM {SOURCE} WHERE h % 2 = 0
"""
DEPENDENCIES = f"""
INSERT INTO dependency_calls BY NAME
SELECT 'd' || i AS call_id, begun + INTERVAL 21 SECOND AS ts, 'i' || i || '-1' AS interaction_id, 'c' || i AS conversation_id,
  if(h % 3 = 0, 'core-banking', 'cards') AS dependency, 20 + h % 300 AS latency_ms, if(h % 250 = 0, 'unavailable', NULL) AS error_type,
  h % 900 = 0 AS timed_out, {SAME}
FROM {SOURCE} WHERE h % 4 = 0
"""
EVALUATIONS = f"""
INSERT INTO evaluations BY NAME
SELECT 'e' || i AS evaluation_id, begun + INTERVAL 30 SECOND AS ts, 'i' || i || '-1' AS interaction_id, 'c' || i AS conversation_id,
  'groundedness' AS name, if(h % 40 = 0, 'ungrounded', 'grounded') AS label, 'judge:small' AS evaluator, 0.05 AS sampling_rate, {SAME}
FROM {SOURCE} WHERE h % 20 = 0
"""
ROLLUPS = ("rollup_minute", "rollup_latency", "rollup_model", "rollup_intent", "rollup_safety", "rollup_service")
STATEMENTS = (CONVERSATIONS, INTERACTIONS, CALLS, DEPENDENCIES, EVALUATIONS)


def build(home: Path, interactions: int, template: Path | None = None) -> Path:
    """A workspace with about so many interactions; its home. `template`: one made before with the same state and evidence, which is copied."""
    if template is None:
        world = build_healthy(home)
        add_drift(world)
        world.state.close()
        now = world.now
        world.warehouse.close()
        (home / "now").write_text(now.isoformat())
    else:
        shutil.copytree(template, home)
    fill(home, interactions)
    return home


def fill(home: Path, interactions: int) -> None:
    """Replace the facts by generated ones, roll them up and publish."""
    now = datetime.fromisoformat((home / "now").read_text())
    since, n = now - timedelta(days=DAYS), round(interactions / REQUESTS)
    given = {"since": since.replace(tzinfo=None), "span": DAYS * 86_400_000_000, "n": n}
    state = StateWriter(f"sqlite:///{home / 'state.sqlite'}")
    with Warehouse.open(home / "facts.duckdb") as warehouse:
        with warehouse.cursor() as cursor:
            for table in ROLLUPS:
                cursor.execute(f"DELETE FROM {table}")
            for statement in STATEMENTS:
                cursor.execute(statement, given)
        touch(warehouse, (since + timedelta(minutes=minute) for minute in range(DAYS * 24 * 60)))
        refresh(warehouse, now)
        with warehouse.cursor() as cursor:
            info = VersionInfo(state.version(), "bench", "demo", 60)
            publish(cursor, state.export(ledger_since=now - timedelta(hours=48)), home / "snapshots", now, info)
    state.close()
