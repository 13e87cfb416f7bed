"""One heartbeat's work at 1x and at 10x history: ingest, rollup, units and block counts of one minute's new records.

Both warehouses hold the same traffic per minute (`per_minute` conversations of two turns, with exposures, calls, ratings a
day later and sampled judgements), one for ten times as many days as the other. The same new records are then landed in both,
minute by minute and in turns, so that a slow moment of the machine hits both sides. The look-backs of a heartbeat end at
three days (returning customers, judgements) and DuckDB skips what it need not read in groups of 122,880 rows, so the shorter
history is longer than either.

`evidence` is the other half of a heartbeat: one closed block of 20 triggers on 30 segments is read, from the stored text of the lane's
state to the text of the next one with its ledger row, and compared with one scan of the shorter history's requests by DuckDB, which is
what any rule over raw logs must pay.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from controlplane.core.audit import canonical
from controlplane.core.blocks import Block, lanes
from controlplane.core.model import BlockCounts, MetricKind
from controlplane.core.policy import Policy, parse
from controlplane.core.triggers import step_blocks
from controlplane.store.block_counts import CountSpec, block_counts
from controlplane.store.facts import ingest_landing
from controlplane.store.rollups import refresh, touch
from controlplane.store.units import close_units
from controlplane.store.warehouse import Warehouse
from jobs.decisions import counts_json, reading_json

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
DAYS = 5
FACTOR = 10
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)

_CONVERSATIONS = """
INSERT INTO conversations BY NAME
SELECT 'h' || n AS conversation_id, md5_number_lower('h' || n) AS id_hash, 'u' || (n * 7919 % $customers) AS user_id,
  CASE WHEN n % 5 = 0 THEN 'assistant' ELSE 'baseline' END AS arm, CASE WHEN n % 5 = 0 THEN 'v1' ELSE 'menu' END AS release,
  'canary' AS phase, 'r' AS rollout_id, 'seg' || n % 3 AS segment, TRUE AS eligible, ts AS started_at,
  ts + INTERVAL 40 SECOND AS last_at, 2 AS turns, CASE WHEN n % 9 = 0 THEN ts + INTERVAL 40 SECOND END AS escalated_at,
  CASE WHEN n % 3 = 0 THEN 1.0 + n % 5 END AS csat, CASE WHEN n % 3 = 0 THEN ts + INTERVAL 1 DAY END AS csat_at, 0.001 AS cost_usd, 1 AS batch_id
FROM (SELECT $rows - range AS n, $since + range * to_microseconds($step) AS ts FROM range($rows)) AS starts
"""
_TURNS = """
INSERT INTO interactions BY NAME
SELECT 'h' || n || '-' || turn AS interaction_id, 'h' || n AS conversation_id, turn, ts + turn * INTERVAL 20 SECOND AS ts,
  'u' || (n * 7919 % $customers) AS user_id, CASE WHEN n % 5 = 0 THEN 'assistant' ELSE 'baseline' END AS arm, 'seg' || n % 3 AS segment,
  'small' AS model, 'fees' AS intent_pred, 200.0 + n * 7919 % 3000 AS latency_ms, 300 AS tokens_in, 80 AS tokens_out, 0.0005 AS cost_usd,
  n % 200 = 0 AS timed_out, 'what are the fees of my account' AS question, 'the fees are listed in your price list' AS answer,
  md5_number_lower('h' || n || '-' || turn) AS id_hash, n AS raw_hash, 1 AS batch_id, n AS line
FROM (SELECT $rows - range AS n, $since + range * to_microseconds($step) AS ts FROM range($rows)) AS starts, (SELECT unnest([0, 1]) AS turn) AS turns
ORDER BY ts
"""
_CALLS = """
INSERT INTO model_calls BY NAME
SELECT 'm' || interaction_id AS call_id, ts, interaction_id, conversation_id, 'small' AS model, latency_ms, tokens_in, tokens_out, cost_usd,
  CASE WHEN line % 300 = 0 THEN 'http_500' END AS error_type, id_hash, raw_hash, batch_id, line
FROM interactions WHERE arm = 'assistant'
"""
_JUDGED = """
INSERT INTO evaluations BY NAME
SELECT 'e' || interaction_id AS evaluation_id, ts + INTERVAL 1 MINUTE AS ts, interaction_id, conversation_id, 'groundedness' AS name,
  CASE WHEN line % 300 = 0 THEN 'ungrounded' ELSE 'grounded' END AS label, 'detector:content' AS evaluator, 0.1 AS sampling_rate,
  id_hash, raw_hash, batch_id, line
FROM interactions WHERE arm = 'assistant' AND line % 10 = 0
"""
_BATCH = """
INSERT INTO batches BY NAME
SELECT 1 AS batch_id, 'history' AS source, 'history' AS path, 'history' AS file_key, 0 AS from_offset, 0 AS to_offset, $rows AS records_read,
  $rows AS stored, 0 AS duplicates, 0 AS quarantined, $since AS committed_at
"""

_SPECS = (
    # metric, kind, block, maturity, objective: the triggers of the default policy
    ("csat", MetricKind.RATING, 900, 86400, None),
    ("escalation_rate", MetricKind.TWO_SAMPLE, 60, 7200, None),
    ("contact_rate", MetricKind.TWO_SAMPLE, 900, 259200, None),
    ("hallucination_rate", MetricKind.ONE_SAMPLE, 60, 300, None),
    ("slow_share", MetricKind.ONE_SAMPLE, 60, 0, 4000.0),
    ("misrouting_rate", MetricKind.ONE_SAMPLE, 60, 3600, None),
    ("api_error_rate", MetricKind.ONE_SAMPLE, 60, 0, None),
    ("dependency_failure_rate", MetricKind.ONE_SAMPLE, 60, 0, None),
    ("timeout_rate", MetricKind.ONE_SAMPLE, 60, 0, None),
)


@dataclass
class _Side:
    """One warehouse with its landing folder and the seconds that each step of its heartbeats took."""

    home: Path
    warehouse: Warehouse
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, step: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = work()
        self.seconds.setdefault(step, []).append(time.perf_counter() - started)
        return result

    def fastest(self, step: str) -> float:
        return min(self.seconds[step])  # other load on the machine only ever adds


_TRIGGERS, _SEGMENTS = 20, 30
_KINDS = (("two_sample", "escalation_rate", 0.02), ("rating", "csat", 0.2), ("one_sample", "api_error_rate", 0.05))
_SCAN = "SELECT arm, count(*), sum(CASE WHEN latency_ms > 4000 THEN 1 ELSE 0 END), sum(cost_usd) FROM interactions GROUP BY arm"


def _wide_policy() -> Policy:
    """20 triggers of all kinds on all traffic and 29 segments: 600 streams that close together."""
    text = f"""schema = 1
name = "wide"
owner = "bench"
baseline = "menu"
assignment = {{ salt = "s" }}
phases = [{{ name = "one", audience = "eligible", shares = [0.5] }}]
watch = {{ segments = {json.dumps([f"s{n}" for n in range(_SEGMENTS - 1)])} }}
"""
    for number in range(_TRIGGERS):
        kind, name, limit = _KINDS[number % len(_KINDS)]
        text += f'[[triggers]]\nname = "t{number}"\nmetric = "{name}"\nkind = "{kind}"\nlimit = {limit}\n'
        text += f'weight = {1 / _TRIGGERS}\naction = "hold"\n'
    return parse(text)


def _wide_counts(policy: Policy, number: int, rng: np.random.Generator) -> dict[tuple[str, str], BlockCounts]:
    start = NOW + number * _MINUTE
    found = {}
    for trigger in policy.triggers:
        for segment in policy.segments_of(trigger):
            k_t, k_c = (tuple(int(n) for n in rng.integers(0, 5, 5)) for _ in "TC")
            rate = {"n_t": 20, "x_t": int(rng.integers(0, 2)), "n_c": 80, "x_c": int(rng.integers(0, 4))}
            values: dict[str, Any] = {"k_t": k_t, "k_c": k_c} if trigger.kind is MetricKind.RATING else rate
            found[trigger.name, segment] = BlockCounts(trigger.metric, segment, start, 60, **values)
    return found


def evidence(warehouse: Warehouse, blocks: int = 30) -> dict[str, Any]:
    """Milliseconds per closed block of 600 streams: alone with state and ledger as text, its part without text, and many at once."""
    policy, rng = _wide_policy(), np.random.default_rng(1)
    (lane,) = lanes(policy)
    grid = [Block(NOW + n * _MINUTE, NOW + (n + 1) * _MINUTE, 1, n == 0) for n in range(blocks)]
    counts = [_wide_counts(policy, n, rng) for n in range(blocks)]
    text, whole, alone = "{}", [], []
    for block, of_block in zip(grid, counts, strict=True):
        began = time.perf_counter()
        state = json.loads(text)
        stepping = time.perf_counter()
        done = step_blocks(policy, lane, state, [block], [of_block])
        alone.append(time.perf_counter() - stepping)
        text = canonical(done.state)
        canonical([reading_json(reading) for reading in done.readings[0]])
        canonical([counts_json(name, found) for (name, _), found in of_block.items()])
        whole.append(time.perf_counter() - began)
    began = time.perf_counter()
    step_blocks(policy, lane, {}, grid, counts)
    together = (time.perf_counter() - began) / blocks
    scans = []
    with warehouse.cursor() as cursor:
        for _ in range(5):
            began = time.perf_counter()
            cursor.execute(_SCAN).fetchall()
            scans.append(time.perf_counter() - began)
    figures = {"evidence": min(whole), "evidence_step": min(alone), "evidence_catch_up": together, "scan": min(scans)}
    result: dict[str, Any] = {f"{name}_ms": round(1000 * seconds, 2) for name, seconds in figures.items()}
    return result | {"evidence_per_scan": round(min(whole) / min(scans), 2)}


def run(ticks: int = 12, per_minute: int = 20, days: int = DAYS) -> dict[str, Any]:
    """Milliseconds of the fastest heartbeat and of each step at both histories, and their ratios (aim: 1)."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [_prepare(Path(folder) / f"x{factor}", days * factor, per_minute) for factor in (1, FACTOR)]
        try:
            for tick in range(ticks + 2):
                records = list(_records(tick, per_minute))
                for side in sides:
                    if tick == 2:  # the first two heartbeats fill caches
                        side.seconds.clear()
                    _heartbeat(side, tick, records)
            engine = evidence(sides[0].warehouse)
        finally:
            for side in sides:
                side.warehouse.close()
    result: dict[str, Any] = {"conversations_1x": days * 1440 * per_minute, "new_records": len(records)}
    for step in ("ingest", "rollup", "units", "counts", "tick"):
        short, long = (side.fastest(step) * 1000 for side in sides)
        result |= {
            f"{step}_ms_1x": round(short, 1),
            f"{step}_ms_10x": round(long, 1),
            f"{step}_ratio": round(long / short, 2),
        }
    return result | engine


def _prepare(home: Path, days: int, per_minute: int) -> _Side:
    """A warehouse with `days` of history up to NOW, rolled up, its units closed."""
    (home / "landing" / "app").mkdir(parents=True)
    warehouse = Warehouse.open(home / "facts.duckdb")
    rows, since = days * 1440 * per_minute, NOW - days * _DAY
    values = {"rows": rows, "since": since.replace(tzinfo=None)}
    made = {**values, "step": 60_000_000 // per_minute, "customers": days * 1440 * per_minute // 3}
    with warehouse.transaction() as cursor:
        cursor.execute(_CONVERSATIONS, made)
        cursor.execute(_TURNS, made)
        cursor.execute(_CALLS)
        cursor.execute(_JUDGED)
        cursor.execute(_BATCH, values)
    touch(warehouse, [since + minute * _MINUTE for minute in range(days * 1440 + 2)])
    refresh(warehouse, NOW)
    for day in range(days):
        _close(warehouse, since + day * _DAY, since + (day + 1) * _DAY)
    warehouse.checkpoint()
    return _Side(home, warehouse)


def _close(warehouse: Warehouse, start: datetime, end: datetime) -> None:
    close_units(warehouse, start, end, "r/1", NOW - 60 * _DAY, rollout_id="r", release="v1")


def _heartbeat(side: _Side, tick: int, records: list[dict[str, Any]]) -> None:
    now = NOW + (tick + 1) * _MINUTE
    with (side.home / "landing" / "app" / "00000001.jsonl").open("a", encoding="utf-8") as landed:
        landed.writelines(json.dumps(record) + "\n" for record in records)

    def tick_work() -> None:
        side.timed("ingest", lambda: ingest_landing(side.warehouse, side.home / "landing", now=now, key=b"bench"))
        side.timed("rollup", lambda: refresh(side.warehouse, now))
        side.timed("units", lambda: _close(side.warehouse, now - _MINUTE, now))
        side.timed("counts", lambda: _count(side.warehouse, now))

    side.timed("tick", tick_work)


def _count(warehouse: Warehouse, now: datetime) -> None:
    """One block of each stream of the default policy, when its labels are mature."""
    for metric, kind, span, maturity, slo in _SPECS:
        spec = CountSpec(metric, kind, span, maturity, slo, ("seg0",), "r", "v1")
        end = now - timedelta(seconds=maturity)
        block_counts(warehouse, [spec], end - timedelta(seconds=span), end)


def _records(tick: int, per_minute: int) -> Iterator[dict[str, Any]]:
    """What one minute brings: new conversations, and ratings and judgements of earlier ones."""
    began = NOW + tick * _MINUTE
    for number in range(per_minute):
        name, ts = f"t{tick}-{number}", began + number * _MINUTE / per_minute
        arm = "assistant" if number % 5 == 0 else "baseline"
        common = {"conversation_id": name, "user_id": f"new{tick}-{number}", "segment": f"seg{number % 3}"}
        yield {
            "record": "exposure", "exposure_id": f"x{name}", "ts": ts.isoformat(), **common, "flag_key": "arm", "variant": arm,
            "rollout_id": "r", "release": "v1" if arm == "assistant" else "menu", "phase": "canary", "eligible": True,
        }  # fmt: skip
        for turn in (1, 2):
            at = (ts + turn * _MINUTE / per_minute / 3).isoformat()
            yield {
                "interaction_id": f"{name}-{turn}", "turn": turn, "ts": at, **common, "arm": arm, "model": "small", "intent_pred": "fees",
                "latency_ms": 500, "tokens_in": 300, "tokens_out": 80, "cost_usd": 0.0005, "timed_out": False,
            }  # fmt: skip
            yield {
                "record": "model_call", "call_id": f"m{name}-{turn}", "ts": at, "interaction_id": f"{name}-{turn}", "conversation_id": name,
                "model": "small", "cost_usd": 0.0005,
            }  # fmt: skip
        if number % 3 == 0:
            rated = f"h{1440 * per_minute - tick * per_minute - number}"  # started a day ago
            yield {
                "record": "feedback",
                "feedback_id": f"f{name}",
                "ts": ts.isoformat(),
                "conversation_id": rated,
                "csat": 4,
            }
        if number % 5 == 0:
            yield {
                "record": "evaluation", "evaluation_id": f"e{name}", "ts": ts.isoformat(), "interaction_id": f"{name}-1", "conversation_id": name,
                "name": "groundedness", "label": "grounded", "evaluator": "detector:content", "sampling_rate": 0.1,
            }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
