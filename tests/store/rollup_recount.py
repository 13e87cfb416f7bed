"""An independent recount of the rollups: plain Python, one fact at a time, from the objects that were stored."""

import math
from collections import defaultdict
from datetime import timedelta

import pytest

from controlplane.store.rollups import failed_checks
from tests.store.quality_recount import assert_quality_equals_recount
from tests.store.rollup_world import (
    T0,
    Conversation,
    DependencyCall,
    Facts,
    Judged,
    ModelCall,
    Turn,
    at,
    fetch,
    minute_of,
)

DAY = 86400


def _dims(facts, conversation_id, ts, turn=None):
    row = facts.known.get(conversation_id)
    if row is None or row.started_at is None or not -3600 <= (ts - row.started_at).total_seconds() <= 2 * DAY:
        row = Conversation("")
    own = turn or Conversation("")
    names = [getattr(row, key) or getattr(own, key) or "unknown" for key in ("arm", "release", "phase", "segment")]
    return (*names, row.eligible is not False)


def recount(facts: Facts) -> dict[tuple, list[float]]:
    """(minute, arm, release, phase, segment, eligible, metric) -> [n, x, total, total_sq], one fact at a time."""
    sums: dict[tuple, list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])

    def add(ts, dims, metric, n, x=0, total=0.0, total_sq=0.0):
        if n or total:
            row = sums[minute_of(ts), *dims, metric]
            for position, value in enumerate((n, x, total, total_sq)):
                row[position] += value

    for c in facts.known.values():
        if c.started_at is None:
            continue
        ts, dims = c.started_at, _dims(facts, c.conversation_id, c.started_at)
        add(ts, dims, "traffic_volume", 1)
        add(ts, dims, "csat", c.csat is not None, 0, c.csat or 0, (c.csat or 0) ** 2)
        add(ts, dims, "csat_response_rate", 1, c.csat is not None)
        add(ts, dims, "contact_rate", 1, c.returned_at is not None and c.returned_at - ts <= timedelta(hours=72))
        add(ts, dims, "escalation_rate", 1, c.escalated_at is not None)
        alone = c.resolved is True and c.escalated_at is None
        add(ts, dims, "resolution_rate", c.resolved is not None, alone)
        if alone and c.resolved_at:
            seconds = (c.resolved_at - ts).total_seconds()
            add(ts, dims, "resolution_time", 1, 0, seconds, seconds**2)
        add(ts, dims, "cost_per_resolved", alone, 0, c.cost_usd or 0)
    for r in facts.rows:
        if isinstance(r, Turn) and r.ts is not None:
            dims = _dims(facts, r.conversation_id, r.ts, r)
            add(r.ts, dims, "request_volume", 1)
            add(r.ts, dims, "latency_mean", r.latency_ms is not None, 0, r.latency_ms or 0, (r.latency_ms or 0) ** 2)
            add(r.ts, dims, "timeout_rate", r.timed_out is not None, r.timed_out is True)
            add(r.ts, dims, "request_error_rate", 1, r.error_type is not None)
            if r.tokens_in is not None and r.tokens_out is not None:
                tokens = r.tokens_in + r.tokens_out
                add(r.ts, dims, "tokens_per_request", 1, 0, tokens, tokens**2)
                add(r.ts, dims, "unpriced_share", tokens > 0, tokens > 0 and r.cost_usd is None)
                if r.cost_usd is not None:
                    add(r.ts, dims, "cost_per_1k_tokens", tokens, 0, r.cost_usd)
        elif isinstance(r, ModelCall | DependencyCall):
            name = "api_error_rate" if isinstance(r, ModelCall) else "dependency_failure_rate"
            add(r.ts, _dims(facts, r.conversation_id, r.ts), name, 1, r.error_type is not None or r.timed_out is True)
    for metric, _subject, answered_at, conversation_id, hit in judgements(facts):
        dims = _dims(facts, conversation_id, answered_at)
        add(answered_at, dims, metric, 1, hit)
        if metric == "misrouting_rate":
            add(answered_at, dims, "safety_incidents", hit, hit)
    return dict(sums)


def judgements(facts: Facts):
    """(metric, subject, when answered, conversation, hit), one per judged answer."""
    turns = {r.interaction_id: r for r in facts.rows if isinstance(r, Turn)}
    found = defaultdict(list)
    for e in (r for r in facts.rows if isinstance(r, Judged)):
        turn = turns.get(e.interaction_id)
        whole = facts.known.get(e.conversation_id) if e.interaction_id is None else None
        answered_at = turn.ts if turn else whole.started_at if whole else None
        if answered_at is None or e.ts < answered_at - timedelta(days=1) or e.evaluation_id.startswith("targeted:"):
            continue
        conversation = turn.conversation_id if turn else e.conversation_id
        subject = (e.interaction_id or e.conversation_id, answered_at, conversation)
        human = (e.evaluator or "").startswith("human:")
        if e.name == "groundedness" and e.label in ("grounded", "ungrounded") and e.sampling_rate:
            found["hallucination_rate", *subject].append((0, e.ts, e.evaluation_id, e.label == "ungrounded"))
        if e.name == "intent_true" and human and e.label and turn and turn.intent_pred:
            found["misclassification_rate", *subject].append((0, e.ts, e.evaluation_id, e.label != turn.intent_pred))
        if e.name == "safety_route" and human and e.label in ("ok", "misrouted"):
            found["misrouting_rate", *subject].append((0, e.ts, e.evaluation_id, e.label == "misrouted"))
    for t in turns.values():
        if t.ts and t.intent_true and t.intent_pred:
            subject = (t.interaction_id, t.ts, t.conversation_id)
            found["misclassification_rate", *subject].append(
                (1, t.ts, t.interaction_id, t.intent_true != t.intent_pred)
            )
    for (metric, subject, answered_at, conversation), rows in found.items():
        hit = any(row[3] for row in rows) if metric == "misrouting_rate" else min(rows)[3]
        yield metric, subject, answered_at, conversation, hit


def rolled_up(warehouse) -> dict[tuple, tuple]:
    rows = fetch(
        warehouse,
        "SELECT minute, arm, release, phase, segment, eligible, metric, n, x, total, total_sq FROM rollup_minute",
    )
    keys = [(row[0].replace(tzinfo=T0.tzinfo), *row[1:7]) for row in rows]
    assert len(keys) == len(set(keys)), "a rollup row stands twice"
    return {key: row[7:] for key, row in zip(keys, rows, strict=True)}


def assert_rollups_equal_recount(facts: Facts) -> None:
    expected, found = recount(facts), rolled_up(facts.warehouse)
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key][:2] == tuple(row[:2]), key
        assert found[key][2:] == pytest.approx(row[2:], rel=1e-9, abs=1e-9), key
    assert _latency(facts.warehouse) == _latency_recount(facts)
    assert _models(facts.warehouse) == _models_recount(facts)
    assert _services(facts.warehouse) == _services_recount(facts)
    assert_quality_equals_recount(facts, _dims)
    assert failed_checks(facts.warehouse, at(-30 * DAY), at(30 * DAY)) == {}


def _latency(warehouse):
    rows = fetch(warehouse, "SELECT hour, arm, release, segment, eligible, bucket, n FROM rollup_latency")
    assert len({row[:6] for row in rows}) == len(rows)
    return {(row[0].replace(tzinfo=T0.tzinfo), *row[1:6]): row[6] for row in rows}


def _latency_recount(facts):
    counts = defaultdict(int)
    for r in facts.rows:
        if isinstance(r, Turn) and r.ts and r.latency_ms is not None:
            arm, release, _, segment, eligible = _dims(facts, r.conversation_id, r.ts, r)
            bucket = math.ceil(math.log(max(r.latency_ms, 0.001)) / math.log(1.01 / 0.99))
            counts[r.ts.replace(minute=0, second=0, microsecond=0), arm, release, segment, eligible, bucket] += 1
    return counts


def _services(warehouse):
    """(five minutes, kind, name, arm, eligible) -> calls, failed, timed out, timed, latency, buckets."""
    rows = fetch(
        warehouse,
        "SELECT slot, kind, name, arm, eligible, calls, failed, timed_out, timed, total_ms, buckets FROM rollup_service",
    )
    assert len({row[:5] for row in rows}) == len(rows)
    return {(row[0].replace(tzinfo=T0.tzinfo), *row[1:5]): [*row[5:9], pytest.approx(row[9]), row[10]] for row in rows}


def _services_recount(facts):
    found = {}
    for r in facts.rows:
        if not isinstance(r, Turn | DependencyCall) or not r.ts:
            continue
        request = isinstance(r, Turn)
        arm, _, _, _, eligible = _dims(facts, r.conversation_id, r.ts, r if request else None)
        slot = minute_of(r.ts).replace(minute=r.ts.minute // 5 * 5)
        name = ("request", "request") if request else ("dependency", r.dependency or "unknown")
        row = found.setdefault((slot, *name, arm, eligible), [0, 0, 0, 0, 0.0, {}])
        late = r.timed_out is True
        for position, value in enumerate((1, r.error_type is not None or late, late, r.latency_ms is not None)):
            row[position] += value
        if r.latency_ms is not None:
            row[4] += r.latency_ms
            bucket = math.ceil(math.log(max(r.latency_ms, 0.001)) / math.log(1.01 / 0.99))
            row[5][bucket] = row[5].get(bucket, 0) + 1
    return found


def _models(warehouse):
    rows = fetch(
        warehouse, "SELECT minute, model, arm, release, requests, calls, errors, unpriced, tokens_in FROM rollup_model"
    )
    assert len({row[:4] for row in rows}) == len(rows)
    return {(row[0].replace(tzinfo=T0.tzinfo), *row[1:4]): row[4:] for row in rows}


def _models_recount(facts):
    counts = defaultdict(lambda: [0] * 5)
    for r in facts.rows:
        if (isinstance(r, Turn) and r.ts and r.model) or isinstance(r, ModelCall):
            call = isinstance(r, ModelCall)
            arm, release = _dims(facts, r.conversation_id, r.ts, None if call else r)[:2]
            row = counts[minute_of(r.ts), r.model or "unknown", arm, release]
            failed = call and (r.error_type is not None or r.timed_out is True)
            for position, value in enumerate(
                (not call, call, failed, call and r.cost_usd is None, (r.tokens_in or 0) * call)
            ):
                row[position] += value
    return {key: tuple(row) for key, row in counts.items()}
