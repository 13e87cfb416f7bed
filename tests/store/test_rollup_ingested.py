"""Rollups of really ingested records: the same however the records are cut into batches and in whatever order they come."""

import json
import random
from datetime import timedelta

import pytest

from controlplane.store.facts import ingest_file
from controlplane.store.rollups import failed_checks, refresh
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0, at, fetch

NOW = T0 + timedelta(days=9)
ROLLUPS = {
    "rollup_minute": "SELECT * EXCLUDE (total, total_sq), round(total, 6), round(total_sq, 3) FROM rollup_minute ORDER BY ALL",
    "rollup_latency": "SELECT * FROM rollup_latency ORDER BY ALL",
    "rollup_service": "SELECT * EXCLUDE (total_ms), round(total_ms, 6) FROM rollup_service ORDER BY ALL",
    "rollup_intent": "SELECT * EXCLUDE (confidence, weighted_confidence), round(confidence, 6) FROM rollup_intent ORDER BY ALL",
    "rollup_safety": "SELECT * FROM rollup_safety ORDER BY ALL",
    "rollup_model": "SELECT * EXCLUDE (cost_usd), round(cost_usd, 9) FROM rollup_model ORDER BY ALL",
}


def _conversation(number: int, rng: random.Random) -> list[dict]:
    """One conversation with all that producers tell about it."""
    name, began, arm = f"c{number}", rng.randrange(0, 7200), rng.choice(["assistant", "baseline"])
    common = {"conversation_id": name, "user_id": f"u{rng.randrange(12)}"}
    assigned = {
        "variant": arm,
        "release": "v1",
        "phase": "canary",
        "rollout_id": "r",
        "eligible": rng.random() > 0.1,
        "segment": rng.choice("ab"),
    }
    records = [
        {"record": "exposure", "exposure_id": f"x{name}", "ts": at(began - 0.5).isoformat(), **common, **assigned}
    ]
    for turn in range(1, rng.randrange(2, 5)):
        ts, key = at(began + turn * 50).isoformat(), f"{name}-{turn}"
        records.append({
            "interaction_id": key, "turn": turn, "ts": ts, **common, "arm": arm, "model": "small", "latency_ms": rng.randrange(10, 9000),
            "tokens_in": rng.randrange(400), "tokens_out": 80, "cost_usd": rng.choice([None, 0.001]), "timed_out": rng.random() < 0.1,
            "intent_pred": rng.choice("xy"), "intent_true": "x", "escalated": rng.random() < 0.1, "error_type": rng.choice([None, None, "http_500"]),
        })  # fmt: skip
        call = {"ts": ts, "interaction_id": key, "conversation_id": name, "error_type": rng.choice([None, "http_429"])}
        records.append({"record": "model_call", "call_id": f"m{key}", "model": "small", **call})
        records.append({"record": "dependency_call", "call_id": f"d{key}", "dependency": "ledger", **call})
        judged = {
            "record": "evaluation",
            "ts": at(began + 90000).isoformat(),
            "interaction_id": key,
            "sampling_rate": 0.5,
        }
        label, route = rng.choice(["grounded", "ungrounded"]), rng.choice(["ok", "misrouted"])
        records.append(
            {**judged, "evaluation_id": f"g{key}", "name": "groundedness", "label": label, "evaluator": "detector:d"}
        )
        records.append(
            {**judged, "evaluation_id": f"s{key}", "name": "safety_route", "label": route, "evaluator": "human:ann"}
        )
    records.append({
        "record": "feedback", "feedback_id": f"f{name}", "ts": at(began + 86400).isoformat(), "conversation_id": name,
        "csat": rng.choice([None, 1, 3, 5]), "resolved": rng.choice([None, True, False]),
    })  # fmt: skip
    return records


def _rolled_up(folder, batches: list[list[dict]]) -> dict[str, list[tuple]]:
    """Every rollup after ingesting and refreshing batch by batch."""
    with Warehouse.open(folder / "facts.duckdb") as warehouse:
        for number, batch in enumerate(batches):
            path = folder / f"{number}.jsonl"
            path.write_text("".join(json.dumps(record) + "\n" for record in batch), encoding="utf-8")
            counts = ingest_file(warehouse, path, source="test", now=NOW, key=b"test")
            assert counts.stored == len(batch)
            refresh(warehouse, NOW)
        assert failed_checks(warehouse, T0 - timedelta(days=1), NOW) == {}
        return {name: fetch(warehouse, query) for name, query in ROLLUPS.items()}


@pytest.mark.parametrize("seed", range(3))
def test_batches_and_order_do_not_matter(tmp_path, seed):
    rng = random.Random(seed)
    records = [record for number in range(15) for record in _conversation(number, rng)]
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = _rolled_up(tmp_path / "whole", [records])
    assert len(whole["rollup_minute"]) > 200
    rng.shuffle(records)
    cut = _rolled_up(tmp_path / "cut", [records[low : low + 40] for low in range(0, len(records), 40)])
    assert cut == whole
