"""What counting reads: row groups around the window, whatever the length of the history."""

import json

import pytest

from controlplane.store import block_counts as module
from controlplane.store.block_counts import block_counts
from controlplane.store.queries import load
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import Facts, at, close, spec

MINUTES = 400_000  # one conversation a minute: more than three row groups of 122,880
FILL = """
INSERT INTO conversations BY NAME
SELECT 'c' || n AS conversation_id, n AS id_hash, 'u' || n AS user_id, 'assistant' AS arm, 'v1' AS release, 'r' AS rollout_id,
  $first + n * INTERVAL 1 MINUTE AS started_at, 1 AS turns, 1 AS batch_id FROM (SELECT range AS n FROM range($rows)) AS numbers;
INSERT INTO interactions BY NAME
SELECT 'i' || id_hash AS interaction_id, conversation_id, 1 AS turn, started_at AS ts, 'x' AS intent_pred, 5.0 AS latency_ms,
  id_hash, 0 AS raw_hash, 1 AS batch_id, 0 AS line FROM conversations ORDER BY id_hash;
INSERT INTO model_calls BY NAME
SELECT 'm' || id_hash AS call_id, conversation_id, ts, id_hash, raw_hash, batch_id, line FROM interactions ORDER BY id_hash;
INSERT INTO evaluations BY NAME
SELECT 'e' || id_hash AS evaluation_id, interaction_id, ts, 'groundedness' AS name, 'grounded' AS label, 0.1 AS sampling_rate,
  id_hash, raw_hash, batch_id, line FROM interactions ORDER BY id_hash;
"""


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("cost") / "facts.duckdb") as warehouse:
        facts = Facts(warehouse)
        with warehouse.transaction() as cursor:
            first, second = FILL.split(";", 1)
            cursor.execute(first, {"first": at(0).replace(tzinfo=None), "rows": MINUTES})
            cursor.execute(second)
        close(facts, MINUTES * 60)
        warehouse.checkpoint()
        yield facts


def _scans(plan: dict) -> list[tuple[str, int, int]]:
    """(table, row groups read, row groups there are) of every scan of a plan."""
    here = []
    if plan.get("type") == "TABLE_SCAN":
        here.append((plan["extra_info"]["Table"], plan["row_groups_scanned"], plan["total_row_groups_to_scan"]))
    return here + [scan for child in plan.get("children", []) for scan in _scans(child)]


@pytest.mark.parametrize("metric", ["escalation_rate", "slow_share", "api_error_rate", "hallucination_rate"])
def test_counting_a_block_reads_the_row_groups_around_it(facts, monkeypatch, metric):
    monkeypatch.setattr(
        module,
        "load",
        lambda name: ("EXPLAIN (ANALYZE, FORMAT JSON) " if name.startswith("rollups/count_") else "") + load(name),
    )
    plans = []
    monkeypatch.setattr(module, "_count_family", lambda *arguments: plans.extend(_plan(*arguments)) or {})
    block_counts(facts.warehouse, [spec(metric, 60)], at(200_000 * 60), at(200_000 * 60 + 60))
    scans = [scan for plan in plans for scan in _scans(plan)]
    assert {there for _, _, there in scans} == {4}, "the history has several row groups, and each scan could skip some"
    assert {read for _, read, _ in scans} <= {0, 1, 2}, scans


def _plan(cursor, family, streams, window) -> list[dict]:
    """The measured plan of the family's query, or nothing if the family is not asked for."""
    mine = [(number, stream) for number, stream in enumerate(streams) if stream.family is family]
    if not mine:
        return []
    query, parameters = module._QUERIES[family]
    rows = cursor.execute(module.load(query), parameters(mine, window)).fetchall()
    return json.loads(rows[0][1])["operator"]
