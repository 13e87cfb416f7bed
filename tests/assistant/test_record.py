"""The records that land: the agreed keys, JSON all through, and one stable sample for evaluation."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant import (
    Assistant,
    ConversationState,
    GroundednessEvaluator,
    RecordContext,
    bad,
    build_assistant,
    landing_records,
    reference_knowledge,
)
from controlplane.assistant.record import Record, iso, sampled
from tests.assistant.talk import NOW, faultless, message

CONTEXT = RecordContext("assistant", "ramp", "2.1.0", "0.1.0")
INTERACTION = (
    "interaction_id conversation_id turn ts user_id segment region channel arm phase release model agent_version "
    "intent_pred intent_true intent_conf latency_ms tokens_in tokens_cached tokens_out cost_usd csat escalated "
    "escalation_reason resolved error_type timed_out safety_route workflow question answer sources extra"
)
OTHERS = {
    "model_call": "call_id ts interaction_id conversation_id operation provider model latency_ms tokens_in tokens_cached "
    "tokens_out cost_usd error_type timed_out",
    "dependency_call": "call_id ts interaction_id conversation_id dependency latency_ms error_type timed_out",
    "workflow_run": "run_id ts interaction_id conversation_id workflow status idempotency_key error_type slots",
    "evaluation": "evaluation_id ts interaction_id conversation_id name score label evaluator sampling_rate",
}


def records_of(assistant: Assistant, *texts: str, rate: float = 1.0) -> list[Record]:
    evaluator = GroundednessEvaluator(reference_knowledge(), rate)
    state, records = ConversationState(), []
    for turn, text in enumerate(texts, 1):
        asked = message(text, turn)
        state, reply = assistant.respond(state, asked)
        records += landing_records(asked, reply, CONTEXT, evaluator)
    return json.loads(json.dumps(records))


def test_keys_are_the_agreed_ones(assistant: Assistant) -> None:
    records = records_of(assistant, "how long does a refund take", "I lost my card", "yes")
    seen = {record["record"] for record in records}
    assert seen == {"interaction", *OTHERS}
    for record in records:
        kind = record.pop("record")
        assert sorted(record) == sorted((INTERACTION if kind == "interaction" else OTHERS[kind]).split())


def test_ids_are_unique_and_point_to_their_interaction(assistant: Assistant) -> None:
    records = records_of(assistant, "how long does a refund take", "I lost my card", "yes", "fees abroad please")
    interactions = {r["interaction_id"] for r in records if r["record"] == "interaction"}
    assert len(interactions) == 4
    for key in ("call_id", "run_id", "evaluation_id"):
        ids = [record[key] for record in records if key in record]
        assert len(ids) == len(set(ids)) > 0
    assert {record["interaction_id"] for record in records} == interactions


def test_an_interaction_tells_the_story_and_hides_nothing(assistant: Assistant) -> None:
    record = records_of(assistant, "someone used my card in a shop in Lyon")[0]
    assert record["safety_route"] == "fraud"
    assert record["escalated"] is True
    assert record["escalation_reason"] == "mandatory_category"
    assert (record["arm"], record["phase"], record["release"]) == ("assistant", "ramp", "2.1.0")
    assert record["csat"] is record["resolved"] is record["intent_true"] is None
    assert record["ts"] == "2026-03-02T09:30:00+00:00"
    assert record["extra"]["measured_ms"] > 0
    assert [step["step"] for step in record["extra"]["steps"]] == ["service", "intent", "safety", "output"]


def test_private_slots_do_not_land_in_workflow_records(assistant: Assistant) -> None:
    records = records_of(assistant, "change my address to 12 Elm Road, Leeds LS1 4AB", "yes")
    runs = [record for record in records if record["record"] == "workflow_run"]
    assert [run["status"] for run in runs] == ["started", "completed"]
    assert "Elm" not in json.dumps(runs)


def test_times_are_utc_and_naive_ones_refused() -> None:
    assert iso(datetime(2026, 3, 2, 11, 30, tzinfo=timezone(timedelta(hours=2)))) == iso(NOW)
    with pytest.raises(ValueError, match="has no time zone"):
        iso(datetime(2026, 3, 2))  # noqa: DTZ001


@given(st.text(), st.floats(0.01, 1), st.floats(0.01, 1))
def test_a_larger_sample_contains_a_smaller_one(interaction_id: str, one: float, other: float) -> None:
    assert sampled(interaction_id, min(one, other)) <= sampled(interaction_id, max(one, other))
    assert sampled(interaction_id, 1.0)


def test_the_sampling_rate_is_met_and_recorded() -> None:
    assert sum(sampled(f"c{i}:1", 0.3) for i in range(5000)) / 5000 == pytest.approx(0.3, abs=0.03)
    with pytest.raises(ValueError, match="sampling_rate"):
        GroundednessEvaluator(reference_knowledge(), 0.0)


def test_only_answers_are_judged(assistant: Assistant) -> None:
    records = records_of(assistant, "I lost my card", "no", "tell me a joke", "agent")
    assert not [record for record in records if record["record"] == "evaluation"]


@pytest.mark.parametrize(
    ("fault", "least", "most"), [(None, 0.0, 0.02), ("knowledge", 0.7, 1.0), ("generator", 0.5, 0.95)]
)
def test_broken_releases_are_found_ungrounded(fault: str | None, least: float, most: float, models: Path) -> None:
    release = bad("x", fault) if fault else bad("x")  # type: ignore[arg-type]
    assistant = build_assistant(release, models, service=faultless())
    evaluator = GroundednessEvaluator(reference_knowledge(), 1.0)
    labels = []
    for n, page in enumerate(reference_knowledge().passages):
        for turn, text in enumerate((page.title, f"please tell me about {page.title}"), 1):
            asked = message(text, turn, f"c{n}")
            evaluation = evaluator.evaluate(asked, assistant.respond(ConversationState(), asked)[1])
            if evaluation is not None:
                labels.append(evaluation["label"])
    assert len(labels) >= 40
    assert least <= labels.count("ungrounded") / len(labels) <= most
