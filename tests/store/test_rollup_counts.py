"""Block counts: what the decision engine is given, against a recount in Python and at every edge of the rules."""

from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.core.metrics import METRICS
from controlplane.core.model import BlockCounts, MetricKind
from controlplane.store.block_counts import UnitsNotClosed, block_counts
from controlplane.store.warehouse import Warehouse
from tests.store.rollup_world import (
    T0,
    Conversation,
    DependencyCall,
    Exposure,
    Facts,
    Judged,
    ModelCall,
    Turn,
    at,
    close,
    spec,
)

MINUTE = 60
HOUR = 3600


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with Warehouse.open(tmp_path_factory.mktemp("counts") / "facts.duckdb") as warehouse:
        yield warehouse


@pytest.fixture
def facts(warehouse):
    return Facts(warehouse).clear()


def conversation(name, started, arm="assistant", **fields):
    told = {"release": "v1", "rollout_id": "r", "segment": "a", "started_at": at(started), "last_at": at(started)}
    return Conversation(name, f"user of {name}", arm, **told | fields)


def count_one(facts, wanted, end=MINUTE) -> BlockCounts:
    rows = block_counts(facts.warehouse, [wanted], T0, at(end))
    assert len(rows) == end // wanted.span_seconds
    return rows[0]


def treated(row):
    return row.n_t, row.x_t


# --- conversations -----------------------------------------------------------------------------------------------------

_EVENTS = {"escalation_rate": "escalated_at", "contact_rate": "returned_at"}


@pytest.mark.parametrize("metric", _EVENTS)
@pytest.mark.parametrize(("after", "events"), [(0, 1), (HOUR, 1), (HOUR + 0.000001, 0), (None, 0)])
def test_an_event_counts_up_to_the_very_instant_of_its_maturity(facts, metric, after, events):
    told = {} if after is None else {_EVENTS[metric]: at(5 + after)}
    facts.store(conversation("a", 5, **told))
    close(facts, MINUTE)
    assert treated(count_one(facts, spec(metric, HOUR))) == (1, events)


@pytest.mark.parametrize(("after", "level"), [(HOUR, 1), (HOUR + 0.000001, 0)])
def test_a_rating_counts_up_to_the_very_instant_of_its_maturity(facts, after, level):
    facts.store(
        conversation("a", 5, csat=4.0, csat_at=at(5 + after)),
        conversation("b", 6, csat=2.0),  # nobody knows when it was given
        conversation("c", 7, "baseline", csat=1.0, csat_at=at(8)),
        conversation("d", 8),
    )
    close(facts, MINUTE)
    row = count_one(facts, spec("csat", HOUR))
    assert (row.n_t, row.x_t, row.n_c, row.x_c) == (0, 0, 0, 0), "ratings are counted by level only"
    assert row.k_t == (0, 0, 0, level, 0)
    assert row.k_c == (1, 0, 0, 0, 0)
    response = count_one(facts, spec("csat_response_rate", HOUR))
    assert (response.n_t, response.x_t, response.n_c, response.x_c) == (3, level, 1, 1)


def test_resolution_counts_known_outcomes_only(facts):
    facts.store(
        conversation("a", 1, resolved=True, resolved_at=at(30)),
        conversation("b", 2, resolved=False, resolved_at=at(30)),
        conversation("c", 3),
        conversation("d", 4, resolved=True, resolved_at=at(4 + HOUR + 1)),
    )
    close(facts, MINUTE)
    assert treated(count_one(facts, spec("resolution_rate", HOUR))) == (2, 1)


def test_what_a_person_resolved_was_not_resolved_by_the_arm(facts):
    facts.store(
        conversation("a", 1, resolved=True, resolved_at=at(30)),
        conversation("b", 2, resolved=True, resolved_at=at(30), escalated_at=at(20)),
        conversation("c", 3, resolved=False, resolved_at=at(30), escalated_at=at(20)),
        conversation("d", 4, resolved=True, resolved_at=at(30), escalated_at=at(4 + HOUR + 1)),
    )
    close(facts, MINUTE)
    assert treated(count_one(facts, spec("resolution_rate", HOUR))) == (4, 2)


def test_only_units_count_and_each_in_the_block_of_its_start(facts):
    first = conversation("a", 59.999999, escalated_at=at(60))
    again = replace(conversation("b", 60, escalated_at=at(61)), user_id=first.user_id)
    facts.store(first, again, conversation("c", 60, eligible=False, escalated_at=at(61)), conversation("d", 60))
    close(facts, 3 * MINUTE)
    rows = block_counts(facts.warehouse, [spec("escalation_rate", HOUR)], T0, at(3 * MINUTE))
    assert [(row.start, row.n_t, row.x_t) for row in rows] == [(at(0), 1, 1), (at(60), 1, 0), (at(120), 0, 0)]


def test_a_unit_keeps_its_block_when_a_late_turn_moves_its_start(facts):
    facts.store(conversation("a", 65, escalated_at=at(70)))
    close(facts, 2 * MINUTE)
    facts.store(Conversation("a", started_at=at(5)))
    rows = block_counts(facts.warehouse, [spec("escalation_rate", HOUR)], T0, at(2 * MINUTE))
    assert [treated(row) for row in rows] == [(0, 0), (1, 1)]


def test_all_traffic_and_each_listed_segment_have_rows(facts):
    facts.store(
        conversation("a", 1, segment="a"), conversation("b", 2, segment="b"), conversation("n", 3, segment=None)
    )
    close(facts, MINUTE)
    rows = block_counts(facts.warehouse, [spec("escalation_rate", segments=("b", "empty"))], T0, at(MINUTE))
    assert [(row.segment, row.n_t) for row in rows] == [("all", 3), ("b", 1), ("empty", 0)]


# --- requests ----------------------------------------------------------------------------------------------------------


def test_the_first_request_of_a_unit_counts_in_the_block_of_its_own_time(facts):
    facts.store(
        Exposure("x", "a", at(58), "assistant", "v1", rollout_id="r"),
        Turn("i1", "a", at(61), 1, latency_ms=2000, timed_out=True, error_type="http_500"),
        Turn("i2", "a", at(63), 2, latency_ms=5, timed_out=False),
        Conversation("a", "u1"),
    )
    close(facts, 2 * MINUTE)
    for metric in ("slow_share", "timeout_rate", "request_error_rate"):
        rows = block_counts(facts.warehouse, [spec(metric)], T0, at(2 * MINUTE))
        assert [treated(row) for row in rows] == [(0, 0), (1, 1)], metric


@pytest.mark.parametrize(("latency", "slow"), [(1000.0, (1, 0)), (1000.001, (1, 1)), (None, (0, 0))])
def test_slow_means_more_than_the_objective_and_unknown_is_not_counted(facts, latency, slow):
    facts.store(Turn("i1", "a", at(1), latency_ms=latency), conversation("a", 1))
    close(facts, MINUTE)
    assert treated(count_one(facts, spec("slow_share"))) == slow
    assert treated(count_one(facts, spec("timeout_rate"))) == (0, 0), "nobody said whether it timed out"


@pytest.mark.parametrize(("cost", "dear"), [(0.05, (1, 0)), (0.0501, (1, 1)), (None, (0, 0))])
def test_costly_means_more_than_the_cap_and_an_unpriced_request_is_not_counted(facts, cost, dear):
    facts.store(Turn("i1", "a", at(1), cost_usd=cost), conversation("a", 1))
    facts.store(Turn("i2", "a", at(2), 2, cost_usd=9.0))  # the first request counts
    close(facts, MINUTE)
    assert treated(count_one(facts, spec("costly_share"))) == dear


def test_turns_at_one_time_are_ordered_by_turn(facts):
    facts.store(
        Turn("i1", "a", at(1), 2, latency_ms=1), Turn("i2", "a", at(1), 1, latency_ms=5000), conversation("a", 1)
    )
    close(facts, MINUTE)
    assert treated(count_one(facts, spec("slow_share"))) == (1, 1)


def test_a_request_is_never_counted_twice_however_the_window_is_cut(facts):
    facts.store(
        conversation("a", 0),
        Turn("i1", "a", at(70), 1, latency_ms=5000),
        Turn("i2", "a", at(130), 2, latency_ms=1),
        conversation("b", 0),
        Turn("i3", "b", at(HOUR + 1), 1, latency_ms=5000),  # too long after its start to be its first request
    )
    close(facts, 2 * HOUR)
    whole = block_counts(facts.warehouse, [spec("slow_share")], T0, at(2 * HOUR))
    parts = [
        row
        for k in range(120)
        for row in block_counts(facts.warehouse, [spec("slow_share")], at(60 * k), at(60 * k + 60))
    ]
    assert whole == parts
    assert [(row.start, *treated(row)) for row in whole if row.n_t] == [(at(60), 1, 1)]


# --- calls and evaluations ---------------------------------------------------------------------------------------------


def test_calls_count_by_their_own_time_for_eligible_conversations_of_the_rollout(facts):
    facts.store(
        conversation("a", 0),
        conversation("b", 0, "baseline", release="menu"),
        *(conversation(name, 0, **told) for name, told in _FOREIGN.items()),
        *(ModelCall(f"m-{name}", name, at(65), error_type="http_500") for name in ("a", "nobody", None, *_FOREIGN)),
        ModelCall("ok", "a", at(66)),
        ModelCall("out", "a", at(67), timed_out=True),
        DependencyCall("d1", "a", at(1), error_type="refused"),
        DependencyCall("d2", "b", at(2)),
    )
    rows = block_counts(facts.warehouse, [spec("api_error_rate"), spec("dependency_failure_rate")], T0, at(2 * MINUTE))
    assert [(row.metric, row.n_t, row.x_t, row.n_c, row.x_c) for row in rows] == [
        ("api_error_rate", 0, 0, 0, 0),
        ("api_error_rate", 3, 2, 0, 0),
        ("dependency_failure_rate", 1, 1, 1, 0),
        ("dependency_failure_rate", 0, 0, 0, 0),
    ]


def test_a_call_that_is_stamped_before_the_first_turn_of_its_conversation_counts(facts):
    facts.store(conversation("a", 65), ModelCall("m", "a", at(55)))
    assert treated(count_one(facts, spec("api_error_rate"))) == (1, 0)


_FOREIGN = {
    "excluded": {"eligible": False},
    "elsewhere": {"rollout_id": "q"},
    "older": {"release": "v0"},
    "armless": {"arm": None},
}


def _judged_turn(facts, *judged, **told):
    facts.store(conversation("a", 1), Turn("i1", "a", at(2), **told), *judged)


@pytest.mark.parametrize(
    ("metric", "judged", "counts"),
    [
        ("hallucination_rate", Judged("e", "i1", "a", at(9), "groundedness", "ungrounded"), (1, 1)),
        ("hallucination_rate", Judged("e", "i1", None, at(9), "groundedness", "grounded"), (1, 0)),
        ("hallucination_rate", Judged("e", "i1", "a", at(9), "groundedness", "ungrounded", sampling_rate=None), (0, 0)),
        ("hallucination_rate", Judged("e", "i1", "a", at(9), "groundedness", "maybe"), (0, 0)),
        ("hallucination_rate", Judged("e", "i7", "a", at(9), "groundedness", "ungrounded"), (0, 0)),
        ("hallucination_rate", Judged("e", None, "a", at(9), "groundedness", "ungrounded"), (1, 1)),
        ("misclassification_rate", Judged("e", "i1", "a", at(9), "intent_true", "fees", "human:ann"), (1, 1)),
        ("misclassification_rate", Judged("e", "i1", "a", at(9), "intent_true", "balance", "human:ann"), (1, 0)),
        ("misclassification_rate", Judged("e", "i1", "a", at(9), "intent_true", "fees", "detector:llm"), (0, 0)),
        ("misrouting_rate", Judged("e", "i1", "a", at(9), "safety_route", "misrouted", "human:ann"), (1, 1)),
        ("misrouting_rate", Judged("e", "i1", "a", at(9), "safety_route", "ok", "human:ann"), (1, 0)),
        ("misrouting_rate", Judged("e", "i1", "a", at(9), "safety_route", "misrouted", "detector:rules"), (0, 0)),
        ("misrouting_rate", Judged("e", None, "a", at(9), "safety_route", "misrouted", "human:ann"), (1, 1)),
    ],
)
def test_what_counts_as_a_judgement(facts, metric, judged, counts):
    _judged_turn(facts, judged, intent_pred="balance")
    assert treated(count_one(facts, spec(metric, HOUR))) == counts


@pytest.mark.parametrize(
    ("after", "counts"), [(HOUR, (1, 1)), (HOUR + 0.000001, (0, 0)), (-HOUR, (1, 1)), (-86401, (0, 0))]
)
def test_a_judgement_counts_up_to_the_very_instant_of_its_maturity(facts, after, counts):
    _judged_turn(facts, Judged("e", "i1", "a", at(2 + after), "groundedness", "ungrounded"))
    assert treated(count_one(facts, spec("hallucination_rate", HOUR))) == counts


def test_several_judgements_of_an_answer_count_once(facts):
    _judged_turn(
        facts,
        Judged("e1", "i1", "a", at(5), "groundedness", "grounded"),
        Judged("e2", "i1", "a", at(6), "groundedness", "ungrounded"),
        Judged("e3", "i1", "a", at(5), "safety_route", "ok", "human:ann"),
        Judged("e4", "i1", "a", at(9), "safety_route", "misrouted", "human:bob"),
        Judged("e5", "i1", "a", at(9), "intent_true", "x", "human:ann"),
        intent_pred="x",
        intent_true="y",
    )
    assert treated(count_one(facts, spec("hallucination_rate", HOUR))) == (1, 0), "the first one"
    assert treated(count_one(facts, spec("misrouting_rate", HOUR))) == (1, 1), "the worst one"
    assert treated(count_one(facts, spec("misrouting_rate", 4))) == (1, 0), "the worst one known by then"
    assert treated(count_one(facts, spec("misclassification_rate", HOUR))) == (1, 0), "a person outranks the log"
    assert treated(count_one(facts, spec("misclassification_rate", 4))) == (1, 1), "until then the log is what is known"


# --- what is asked -----------------------------------------------------------------------------------------------------


def test_rows_are_complete_and_in_order_without_any_data(facts):
    close(facts, 2 * MINUTE)
    asked = [spec(name, segments=("a",)) for name, entry in METRICS.items() if entry.decides]
    rows = block_counts(facts.warehouse, asked, T0, at(2 * MINUTE))
    assert rows == [
        BlockCounts(name, segment, start, MINUTE)
        for name in sorted(spec.metric for spec in asked)
        for segment in ("a", "all")
        for start in (at(0), at(60))
    ]
    assert block_counts(facts.warehouse, [], T0, at(60)) == []
    assert block_counts(facts.warehouse, asked, T0, T0) == []


def test_rows_name_the_newest_batch(facts):
    facts.store(conversation("a", 1))
    facts.store(conversation("b", 2))
    close(facts, MINUTE)
    assert count_one(facts, spec("escalation_rate")).last_batch == 2


def test_equal_wishes_are_counted_once(facts):
    close(facts, MINUTE)
    assert len(block_counts(facts.warehouse, [spec("csat")] * 3, T0, at(MINUTE))) == 1


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([spec("csat", 1), spec("csat", 2)], "two ways to count csat"),
        ([spec("slow_share"), spec("slow_share", slo_ms=5.0)], "ask for them in two calls"),
        ([replace(spec("csat"), kind=MetricKind.TWO_SAMPLE)], "csat can't be counted as two_sample"),
        ([replace(spec("escalation_rate"), kind=MetricKind.RATING)], "the catalogue says two_sample"),
        ([replace(spec("csat"), metric="latency_p95")], "latency_p95 is for display only"),
        ([replace(spec("slow_share"), slo_ms=None)], "slo_ms belongs to slow_share"),
        ([spec("csat", slo_ms=5.0)], "slo_ms belongs to slow_share"),
        ([replace(spec("costly_share"), cap_usd=None)], "cap_usd belongs to costly_share"),
        ([replace(spec("csat"), cap_usd=0.1)], "cap_usd belongs to costly_share"),
        ([spec("csat", -1)], "maturity -1 s"),
        ([spec("csat", span=0)], "a block of 0 s"),
        ([spec("csat", span=7)], "no whole number of 7 s blocks"),
        ([spec("csat", segments=("all",))], "can't name a segment"),
    ],
)
def test_what_can_not_be_counted_is_refused_by_name(facts, asked, message):
    close(facts, MINUTE)
    with pytest.raises(ValueError, match=message):
        block_counts(facts.warehouse, asked, T0, at(MINUTE))


def test_an_unknown_metric_is_refused(facts):
    with pytest.raises(KeyError, match="no metric 'csta'"):
        block_counts(facts.warehouse, [replace(spec("csat"), metric="csta")], T0, at(MINUTE))


def test_blocks_start_on_whole_seconds(facts):
    with pytest.raises(ValueError, match="from a whole second"):
        block_counts(facts.warehouse, [spec("api_error_rate")], at(0.5), at(60.5))


def test_counts_of_open_units_are_refused_but_calls_need_no_units(facts):
    assert count_one(facts, spec("api_error_rate")).n_t == 0
    with pytest.raises(UnitsNotClosed, match=r"rollout r are closed not at all.*call close_units first"):
        count_one(facts, spec("csat"))
    close(facts, MINUTE)
    with pytest.raises(UnitsNotClosed, match=r"closed up to 2026-01-07T09:01:00\+00:00"):
        count_one(facts, spec("csat"), 2 * MINUTE)


def test_counting_is_one_query_per_family_and_none_for_families_not_asked(facts, monkeypatch):
    close(facts, MINUTE)
    from controlplane.store import block_counts as module

    asked, load = [], module.load
    monkeypatch.setattr(module, "load", lambda name: asked.append(Path(name).name) or load(name))
    block_counts(
        facts.warehouse,
        [spec("csat"), spec("contact_rate"), spec("escalation_rate"), spec("timeout_rate")],
        T0,
        at(MINUTE),
    )
    assert [name for name in asked if name.startswith("count_")] == ["count_conversations", "count_requests"]
