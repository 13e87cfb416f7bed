"""Answers that were given elsewhere: what is not proven is not resolved, and what is left out is counted as failed."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.evaluation.cases import CaseError, case_of
from controlplane.evaluation.measures import figure
from controlplane.evaluation.recorded import check_records, recorded_outcomes
from controlplane.evaluation.runner import Judges, Outcome

MOVED = case_of(
    {
        "id": "r1",
        "text": "please change my address",
        "goal": {"operations": [["set_address", None]], "address": "12 High Street"},
        "facts": ["is changed"],
    }
)
DONE = {"operations": [["set_address", "12 High Street"]], "address": "12 High Street"}


def outcome(case: Any, *records: dict[str, Any]) -> Outcome:
    check_records([case], [{"conversation_id": case.id, **record} for record in records])
    (found,) = recorded_outcomes(
        [case], [{"conversation_id": case.id, **record} for record in records], Judges(None, lambda _text: False)
    )
    return found


@pytest.mark.parametrize(
    ("answer", "extra", "resolved"),
    [
        ("your address is changed", DONE, True),
        (
            "your address is changed",
            {"operations": DONE["operations"]},
            False,
        ),  # says it, and the address on file is not known
        ("your address is changed", DONE | {"address": "1 Low Road"}, False),
        ("your address is changed", {"operations": [], "address": "12 High Street"}, False),
        ("your address is changed", DONE | {"operations": [*DONE["operations"], ["block_card", "all"]]}, False),
        ("your address is changed", {}, False),
        ("done", DONE, False),
    ],
)
def test_resolution_needs_the_goal_state_and_the_facts(answer: str, extra: dict[str, Any], resolved: bool) -> None:
    assert outcome(MOVED, {"turn": 1, "answer": answer, "extra": extra}).resolved is resolved


def test_the_last_address_counts() -> None:
    first = {"turn": 1, "answer": "", "extra": {"address": "12 High Street"}}
    second = {"turn": 2, "answer": "is changed", "extra": DONE | {"address": "elsewhere"}}
    assert outcome(MOVED, second, first).resolved is False


def test_a_masked_fact_is_found_in_a_masked_and_in_a_plain_answer() -> None:
    case = case_of({"id": "r1", "text": "whom do I call", "facts": ["call [phone]"]})
    for answer in ("call +44 7700 900123 now", "call [phone] now"):
        assert outcome(case, {"turn": 1, "answer": answer}).resolved is True
    assert outcome(case, {"turn": 1, "answer": "call us now"}).resolved is False


def test_a_row_that_is_left_out_fails_every_rate() -> None:
    row = {"expected_intent": "a", "mandatory_route": "none", "facts": ["x"], "out_of_scope": False}
    cases = [case_of({"id": f"r{i}", "text": "t", **row}) for i in range(2)]
    judges = Judges(None, lambda _text: False)
    records = [
        {"conversation_id": "r0", "turn": 1, "answer": "x", "intent_pred": "a", "grounded": True, "latency_ms": 5}
    ]
    outcomes = list(recorded_outcomes(cases, records, judges))
    for metric in ("intent_accuracy", "resolution_rate"):
        assert figure(metric, outcomes, 0.95, 1).estimate == 0.5
    for metric in ("hallucination_rate", "toxicity_rate", "over_routing_rate", "escalation_rate", "error_rate"):
        assert figure(metric, outcomes, 0.95, 1).estimate == 0.5, metric
    assert outcomes[1].wrong == ("there is no record of this row",)


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"latency_ms": float("nan")}, "latency_ms nan must be a number that is finite and not negative"),
        ({"latency_ms": -5}, "latency_ms -5 must be"),
        ({"cost_usd": "inf"}, "cost_usd 'inf' must be"),
        ({"intent_conf": 1.5}, "intent_conf 1.5 must be a number from 0 to 1"),
        ({"extra": {"operations": ["block_card"]}}, "must be pairs"),
        ({"extra": {"operations": "block_card"}}, "must be pairs"),
    ],
)
def test_records_that_cannot_be_meant_are_named(record: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=f"record of r1: .*{message}"):
        check_records([MOVED], [{"conversation_id": "r1", "turn": 1, **record}])


def test_an_answer_given_twice_is_refused() -> None:
    with pytest.raises(CaseError, match="records of r1: a turn stands there twice"):
        check_records([MOVED], [{"conversation_id": "r1", "turn": 1}, {"conversation_id": "r1", "turn": "1"}])
    check_records([MOVED], [{"conversation_id": "r1"}, {"conversation_id": "r1"}])
