"""The history of a backtest counts exactly what production counts, and says what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from controlplane.analysis.backtest_incidents import one_stage
from controlplane.analysis.backtest_tables import Key, build
from controlplane.core.metrics import METRICS
from controlplane.core.model import MetricKind
from controlplane.store.backtest_facts import NEVER, read_history, take
from controlplane.store.block_counts import block_counts
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0, Conversation, DependencyCall, Facts, Judged, ModelCall, Turn, at, close, spec

BLOCK, BLOCKS = 300, 12
LAST = at(7 * 86_400)
MATURITY = {
    "csat": 1800,
    "escalation_rate": 900,
    "contact_rate": 3600,
    "hallucination_rate": 300,
    "misrouting_rate": 600,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An hour of two arms with every kind of record, made at random, and one late turn that puts the watermark far behind."""
    rng = np.random.default_rng(5)
    with Warehouse.open(tmp_path_factory.mktemp("facts") / "f.duckdb") as warehouse:
        facts = Facts(warehouse)
        records = []
        for i in range(220):
            start = float(rng.uniform(0, BLOCK * BLOCKS))
            name, arm = f"c{i:03d}", "assistant" if rng.random() < 0.4 else "baseline"

            def maybe(chance, value):
                return value if rng.random() < chance else None

            records.append(
                Turn(
                    f"i{i}",
                    name,
                    at(start),
                    arm=arm,
                    latency_ms=maybe(0.9, float(rng.uniform(100, 1500))),
                    cost_usd=round(i * 0.0005, 4),
                    timed_out=maybe(0.8, bool(rng.random() < 0.2)),
                    error_type=maybe(0.1, "http_500"),
                    intent_pred="fees",
                    intent_true=maybe(0.3, "fees" if rng.random() < 0.6 else "limits"),
                )
            )
            records.append(Turn(f"j{i}", name, at(start + 30), turn=2, arm=arm, latency_ms=5_000.0))
            records.append(
                Conversation(
                    name,
                    user_id=maybe(0.95, f"u{rng.integers(0, 140)}"),
                    segment="new" if rng.random() < 0.5 else "old",
                    eligible=maybe(0.9, True) if rng.random() < 0.9 else False,
                    escalated_at=maybe(0.3, at(start + rng.uniform(0, 1800))),
                    returned_at=maybe(0.2, at(start + rng.uniform(0, 7200))),
                    csat=maybe(0.5, float(rng.integers(1, 6))),
                    csat_at=at(start + rng.uniform(0, 3600)),
                    **(
                        {"resolved": bool(rng.random() < 0.7), "resolved_at": at(start + rng.uniform(0, 3600))}
                        if rng.random() < 0.6
                        else {}
                    ),
                )
            )
            if rng.random() < 0.5:
                records.append(ModelCall(f"m{i}", name, at(start + 2), error_type=maybe(0.2, "http_429")))
                records.append(DependencyCall(f"d{i}", name, at(start + 400), error_type=maybe(0.2, "down")))
            for k in range(int(rng.integers(0, 3))):
                label = "ungrounded" if rng.random() < 0.4 else "grounded"
                who = "human:ana" if rng.random() < 0.3 else "detector:content"
                records.append(
                    Judged(f"e{i}-{k}", f"i{i}", name, at(start + rng.uniform(0, 600)), "groundedness", label, who)
                )
            if rng.random() < 0.3:
                label = "misrouted" if rng.random() < 0.3 else "ok"
                records.append(Judged(f"s{i}", None, name, at(start + 60), "safety_route", label, "human:ben"))
        records.append(Turn("late", "late", LAST, arm="baseline"))
        facts.store(*records)
        close(facts, BLOCK * BLOCKS)
        yield facts, read_history(warehouse, "all")


def ramp_of(history):
    """One stage over exactly the blocks that production counts."""
    begin = int((T0 - timedelta(0)).timestamp() * 1e6)
    return replace(one_stage(history), edges=np.array([begin, begin + BLOCK * BLOCKS * 1_000_000]))


@pytest.mark.parametrize("segment", ["all", "new"])
@pytest.mark.parametrize("metric", sorted(name for name, m in METRICS.items() if m.decides))
def test_the_counts_of_the_recorded_arms_are_those_of_production(world, metric, segment):
    facts, history = world
    maturity = MATURITY.get(metric, 1800)
    wanted = spec(metric, maturity=maturity, span=BLOCK, segments=("new",))
    rows = [r for r in block_counts(facts.warehouse, [wanted], T0, at(BLOCK * BLOCKS)) if r.segment == segment]
    key = Key(metric, wanted.slo_ms or wanted.cap_usd or 0.0, BLOCK, maturity * 1_000_000, "any", segment)
    pair = build(key, ramp_of(history), history).pair(history.treated.astype(np.float32)[:, None])
    assert len(rows) == BLOCKS
    if METRICS[metric].kind is MetricKind.RATING:
        assert pair.treated[:, :, 0].tolist() == [list(r.k_t) for r in rows]
        assert pair.control[:, :, 0].tolist() == [list(r.k_c) for r in rows]
        return
    assert sum(r.n_t + r.n_c for r in rows) > 20, "the world must hold something to compare"
    assert [(n, x) for n, x in zip(pair.treated.sum(axis=1)[:, 0], pair.treated[:, 1, 0], strict=True)] == [
        (r.n_t, r.x_t) for r in rows
    ]
    assert [(n, x) for n, x in zip(pair.control.sum(axis=1)[:, 0], pair.control[:, 1, 0], strict=True)] == [
        (r.n_c, r.x_c) for r in rows
    ]


def test_labels_of_people_only(world):
    facts, history = world
    wanted = replace(spec("hallucination_rate", maturity=300, span=BLOCK), labels="person")
    rows = block_counts(facts.warehouse, [wanted], T0, at(BLOCK * BLOCKS))
    key = Key("hallucination_rate", 0.0, BLOCK, 300_000_000, "person", "all")
    pair = build(key, ramp_of(history), history).pair(history.treated.astype(np.float32)[:, None])
    assert pair.treated[:, 1, 0].tolist() == [r.x_t for r in rows]
    assert (
        0
        < pair.treated.sum()
        < sum(
            r.n_t
            for r in block_counts(facts.warehouse, [spec("hallucination_rate", 300, BLOCK)], T0, at(BLOCK * BLOCKS))
        )
    )


def test_the_arms_divide_the_history(world):
    facts, _ = world
    parts = [read_history(facts.warehouse, arm) for arm in ("baseline", "assistant", "all")]
    assert parts[0].rows + parts[1].rows == parts[2].rows
    assert not parts[0].treated.any()
    assert parts[1].treated.all()
    assert parts[0].left_out["other arm"] == parts[1].rows
    assert len({part.identity for part in parts}) == 3
    assert read_history(facts.warehouse, "all").identity == parts[2].identity
    with pytest.raises(ValueError, match="choose one of baseline"):
        read_history(facts.warehouse, "menu")


def test_plain_logs_without_arms_are_the_control(tmp_path: Path):
    with Warehouse.open(tmp_path / "f.duckdb") as warehouse:
        facts = Facts(warehouse)
        facts.store(*(Turn(f"i{i}", f"c{i}", at(i)) for i in range(5)), Turn("x", "x", None))
        found = read_history(warehouse, "baseline")
        assert found.rows == 5
        assert found.left_out == {"no start": 1}
        assert np.all(found.customer == -1)
        assert np.all(found.escalated == NEVER)
        assert read_history(warehouse, "assistant").rows == 0


def test_who_was_kept_out_by_the_audience_of_a_stage_is_taken(tmp_path: Path):
    with Warehouse.open(tmp_path / "f.duckdb") as warehouse:
        facts = Facts(warehouse)
        facts.store(*(Turn(f"i{i}", f"c{i}", at(i), arm="baseline") for i in range(3)))
        cursor = warehouse.cursor()
        for name, reason in (("c0", "not_low_risk"), ("c1", "mandatory_person")):
            cursor.execute(
                "UPDATE conversations SET eligible = FALSE, ineligible_reason = ? WHERE conversation_id = ?",
                [reason, name],
            )
        found = read_history(warehouse, "baseline")
        assert found.rows == 2
        assert found.left_out == {"not eligible": 1}


def test_taking_conversations_takes_what_belongs_to_them(world):
    _, history = world
    index = np.array([7, 3, 3, 11])
    found = take(history, index)
    order = index[np.argsort(history.started[index], kind="stable")]
    assert found.started.tolist() == history.started[order].tolist()
    for name in ("api_error_rate", "dependency_failure_rate"):
        for row, source in enumerate(order):
            mine = found.calls[name].hit[found.calls[name].place == row]
            assert mine.tolist() == history.calls[name].hit[history.calls[name].place == source].tolist()
    assert (
        found.requests.latency_ms[found.requests.place == 0].tolist()
        == history.requests.latency_ms[history.requests.place == order[0]].tolist()
    )
