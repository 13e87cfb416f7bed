"""Block counts of any small world against a recount in Python, one unit at a time."""

from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controlplane.core.metrics import METRICS, Family
from controlplane.store.block_counts import block_counts
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import T0, Conversation, Facts, Turn, at, close, fetch, spec


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("recount") / "facts.duckdb") as warehouse:
        yield warehouse


_second = st.integers(0, 299)
_later = st.none() | st.sampled_from([0, 1, 119, 120, 121, 3000])
_conversations = st.builds(
    lambda number, started, arm, user, segment, eligible, release, later, csat: Conversation(
        f"c{number}",
        f"u{user}",
        arm,
        release,
        None,
        "r",
        segment,
        eligible,
        at(started),
        at(started),
        csat=csat,
        **{key: None if value is None else at(started + value) for key, value in later.items()},
    ),
    st.integers(0, 40),
    _second,
    st.sampled_from(["assistant", "baseline"]),
    st.integers(0, 20),
    st.sampled_from(["a", "b", None]),
    st.sampled_from([True, None, False]),
    st.sampled_from(["v1", "v1", None, "v0"]),
    st.fixed_dictionaries(dict.fromkeys(("escalated_at", "returned_at", "csat_at"), _later)),
    st.none() | st.sampled_from([1.0, 2.0, 3.0, 3.5, 4.0, 5.0]),
)
_turns = st.builds(
    Turn,
    interaction_id=st.integers(0, 99).map("i{}".format),
    conversation_id=st.integers(0, 40).map("c{}".format),
    ts=_second.map(at),
    turn=st.integers(1, 4),
    latency_ms=st.none() | st.sampled_from([5.0, 1000.0, 1001.0]),
    timed_out=st.sampled_from([True, False, None]),
    error_type=st.sampled_from(["http_500", None]),
)


def _recount(facts, spec, start, end):
    """Counts by (segment, block) from the units that the warehouse decided, one unit at a time."""
    found = Counter()
    decided = fetch(facts.warehouse, "SELECT conversation_id, arm, segment, started_at FROM units")
    for name, arm, segment, naive_start in decided:
        began = naive_start.replace(tzinfo=T0.tzinfo)
        limit = began + timedelta(seconds=spec.maturity_seconds)
        c = facts.known[name]
        when, answer = began, None
        if METRICS[spec.metric].family is Family.REQUEST:
            turns = [r for r in facts.rows if isinstance(r, Turn) and r.conversation_id == name and r.ts >= began]
            if not turns:
                continue
            turn = min(turns, key=lambda r: (r.ts, r.turn, r.interaction_id))
            when = turn.ts
            late = None if turn.latency_ms is None else turn.latency_ms > 1000
            answer = {
                "slow_share": late,
                "timeout_rate": turn.timed_out,
                "request_error_rate": turn.error_type is not None,
            }[spec.metric]
        elif spec.metric == "csat":
            answer = int(c.csat + 0.5) if c.csat and c.csat_at and c.csat_at <= limit else None
        else:
            event = {"escalation_rate": c.escalated_at, "contact_rate": c.returned_at}[spec.metric]
            answer = event is not None and event <= limit
        if answer is None or not start <= when < end:
            continue
        for shown in {"all", segment} & {"all", *spec.segments}:
            found[shown, (when - start) // timedelta(seconds=spec.span_seconds), arm, answer] += 1
    return found


def _as_row(found, spec, segment, block):
    if spec.metric == "csat":
        levels = [
            tuple(found[segment, block, arm, level] for level in range(1, 6)) for arm in ("assistant", "baseline")
        ]
        return (0, 0, 0, 0, *levels)
    n = [found[segment, block, arm, True] + found[segment, block, arm, False] for arm in ("assistant", "baseline")]
    x = [found[segment, block, arm, True] for arm in ("assistant", "baseline")]
    return (n[0], x[0], n[1], x[1], (0,) * 5, (0,) * 5)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    conversations=st.lists(_conversations, max_size=25, unique_by=lambda c: c.conversation_id),
    turns=st.lists(_turns, max_size=25, unique_by=lambda t: t.interaction_id),
    closes=st.integers(1, 3),
)
def test_counts_equal_a_recount_for_any_world(warehouse, conversations, turns, closes):
    facts = Facts(warehouse).clear()
    facts.store(*conversations)
    known = {c.conversation_id: c for c in conversations}
    facts.store(*(t for t in turns if t.conversation_id in known and t.ts >= known[t.conversation_id].started_at))
    for part in range(closes):
        close(facts, 300 // closes * (part + 1), 300 // closes * part)
    close(facts, 360, 300)
    names = ("escalation_rate", "contact_rate", "csat", "slow_share", "timeout_rate", "request_error_rate")
    asked = [spec(name, 120, span, ("a",)) for name, span in zip(names, (60, 120, 180, 60, 120, 5), strict=True)]
    rows = block_counts(warehouse, asked, T0, at(360))
    recounted = {wanted.metric: (wanted, _recount(facts, wanted, T0, at(360))) for wanted in asked}
    for row in rows:
        wanted, found = recounted[row.metric]
        block = (row.start - T0) // timedelta(seconds=row.span_seconds)
        counts = (row.n_t, row.x_t, row.n_c, row.x_c, row.k_t, row.k_c)
        assert counts == _as_row(found, wanted, row.segment, block), row
    assert len(rows) == sum(2 * 360 // wanted.span_seconds for wanted in asked)
