"""Who answers when models fail, and which model is asked first."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.assistant import (
    Assistant,
    AssistantPolicy,
    Breakers,
    ConversationState,
    Outside,
    Reply,
    ReplyKind,
    Routing,
    SqliteBank,
    build_assistant,
    good,
)
from controlplane.assistant.breaker import BreakerState, CircuitBreaker
from controlplane.assistant.model import EscalationReason, WorkflowStatus
from controlplane.assistant.pricing import ModelPrice
from controlplane.assistant.retry import RetryPolicy
from controlplane.assistant.service import ServiceModel
from tests.assistant.conftest import MakeAssistant
from tests.assistant.models_at_hand import FREE, Scripted, steps
from tests.assistant.talk import NOW, converse, faultless, message

QUESTION = "is the everyday account free"
LARGE_PRICE, SMALL_PRICE = ModelPrice(1.0, 0.5, 2.0), ModelPrice(0.1, 0.05, 0.2)


def both(models: Path, large: Scripted, small: Scripted, routing: Routing, **changes: object) -> Assistant:
    """An assistant with two models."""
    config = replace(good(), routing=routing, price=LARGE_PRICE, small_price=SMALL_PRICE, **changes)  # type: ignore[arg-type]
    outside = Outside(small=small, sleep=lambda seconds: None)
    return build_assistant(config, models, generator=large, outside=outside)


def ask(assistant: Assistant, conversation: str = "c1", seconds: float = 0.0, text: str = QUESTION) -> Reply:
    asked = message(text, conversation=conversation, ts=NOW + timedelta(seconds=seconds))
    return assistant.respond(ConversationState(), asked)[1]


def test_plain_questions_go_to_the_small_model_and_complex_ones_to_the_large(models: Path) -> None:
    large, small = Scripted("large"), Scripted("small")
    plain = ask(both(models, large, small, Routing(threshold=1.0)))
    assert (plain.model, large.calls, small.calls) == ("small", 0, 1)
    assert steps(plain.steps, "routing") == [("small", "continue")]
    complicated = ask(both(models, large, small, Routing(threshold=0.0)))
    assert (complicated.model, large.calls) == ("large", 1)
    assert steps(complicated.steps, "routing") == [("large", "continue")]


def test_each_model_has_its_own_price_and_cached_tokens_count_once(models: Path) -> None:
    large, small = Scripted("large"), Scripted("small")
    cheap = ask(both(models, large, small, Routing(threshold=1.0)))
    dear = ask(both(models, large, small, Routing(threshold=0.0)))
    assert cheap.cost_usd == pytest.approx((60 * 0.1 + 40 * 0.05 + 10 * 0.2) / 1000)
    assert dear.cost_usd == pytest.approx((60 * 1.0 + 40 * 0.5 + 10 * 2.0) / 1000)
    assert (dear.tokens_in, dear.tokens_cached, dear.tokens_out) == (100, 40, 10)


def test_the_ladder_goes_down_rung_by_rung_and_each_step_is_logged(models: Path) -> None:
    large, small = Scripted("large", "!timeout"), Scripted("small", "!http_400")
    reply = ask(both(models, large, small, Routing(threshold=0.0)))
    assert (reply.kind, reply.model, reply.error_type, reply.timed_out) == ("answer", "extractive-1", None, False)
    assert steps(reply.steps, "generation") == [
        ("timeout", "fall_back"),
        ("http_400", "fall_back"),
        ("answered", "continue"),
    ]
    assert [(c.model, c.error_type, c.timed_out) for c in reply.model_calls] == [
        ("large", "timeout", True),
        ("small", "http_400", False),
    ]
    assert reply.cost_usd == 0.0


def test_the_smaller_model_steps_in_for_the_large_one(models: Path) -> None:
    reply = ask(both(models, Scripted("large", "!timeout"), Scripted("small"), Routing(threshold=0.0)))
    assert (reply.model, reply.error_type) == ("small", None)
    assert reply.answer == FREE


def test_a_failing_small_model_does_not_climb_to_the_dear_one(models: Path) -> None:
    large = Scripted("large")
    reply = ask(both(models, large, Scripted("small", "!timeout"), Routing(threshold=1.0)))
    assert (reply.model, large.calls) == ("extractive-1", 0)


def test_a_passing_failure_is_tried_again_after_a_wait(models: Path) -> None:
    waits: list[float] = []
    model = Scripted("large", "!http_503", FREE)
    policy = AssistantPolicy(retry=RetryPolicy(3, 0.2, 1.0))
    config = replace(good(), policy=policy)
    reply = ask(build_assistant(config, models, generator=model, outside=Outside(sleep=waits.append)))
    assert (reply.model, model.calls) == ("large", 2)
    assert steps(reply.steps, "generation") == [("http_503", "retry"), ("answered", "continue")]
    assert [call.error_type for call in reply.model_calls] == ["http_503", None]
    assert len({call.call_id for call in reply.model_calls}) == 2
    assert len(waits) == 1
    assert 0 <= waits[0] <= 0.2


def test_in_the_story_a_wait_is_story_time(make_assistant: MakeAssistant) -> None:
    policy = AssistantPolicy(retry=RetryPolicy(2, 3.0, 3.0))
    once = converse(make_assistant(policy, generator=Scripted("m", FREE)), QUESTION)[0]
    twice = converse(make_assistant(policy, generator=Scripted("m", "!http_503", FREE)), QUESTION)[0]
    call = once.model_calls[0].latency_ms
    assert once.latency_ms + call < twice.latency_ms <= once.latency_ms + call + 3000
    assert twice.measured_ms < 1000


def test_each_model_has_its_own_breaker(models: Path) -> None:
    large, small = Scripted("large", "!timeout"), Scripted("small")
    assistant = both(models, large, small, Routing(threshold=0.0))
    replies = [ask(assistant, f"c{n}") for n in range(7)]
    assert large.calls == 5
    assert all(reply.model == "small" for reply in replies)
    assert steps(replies[-1].steps, "generation") == [("breaker_open", "fall_back"), ("answered", "continue")]
    states = assistant.breakers.states(NOW)
    assert (states["model:large"], states["model:small"]) == (BreakerState.OPEN, BreakerState.CLOSED)
    large.script = [FREE]
    assert ask(assistant, "c9", seconds=31).model == "large"


def test_breakers_can_be_shared(models: Path) -> None:
    breakers = Breakers(lambda: CircuitBreaker(1, 30.0))
    parts = build_assistant(good(), models, generator=Scripted("m", "!timeout"))._parts
    assert ask(Assistant(parts, breakers)).model_calls
    assert not ask(Assistant(parts, breakers), "c2").model_calls


def test_when_nobody_can_write_pages_are_offered_and_then_a_person_comes(make_assistant: MakeAssistant) -> None:
    service = replace(faultless(), model=ServiceModel("model", 100.0, error_rate=1.0))
    first, second = converse(
        make_assistant(service=service), "how long does a refund take", "how long does a refund take"
    )
    assert (first.kind, first.error_type) == (ReplyKind.MENU, "model_service_error")
    assert steps(first.steps, "menu") == [("no_answer_written", "offer_pages")]
    assert (second.kind, second.escalation_reason) == (ReplyKind.HANDOVER, EscalationReason.FAILURE)
    assert steps(second.steps, "menu") == [("offered_before", "hand_over")]


def test_a_knowledge_base_that_keeps_failing_is_left_alone(make_assistant: MakeAssistant) -> None:
    service = replace(faultless(), knowledge=ServiceModel("knowledge", 35.0, error_rate=1.0))
    assistant = make_assistant(service=service)
    replies = [ask(assistant, f"c{n}", text="how long does a refund take") for n in range(6)]
    assert [reply.kind for reply in replies] == [ReplyKind.ERROR] * 5 + [ReplyKind.HANDOVER]
    assert steps(replies[-1].steps, "retrieval") == [("breaker_open", "hand_over")]
    assert replies[-1].escalation_reason is EscalationReason.FAILURE
    assert not replies[-1].dependency_calls


def test_a_bank_that_keeps_failing_is_left_alone(make_assistant: MakeAssistant, bank: SqliteBank) -> None:
    service = replace(faultless(), bank=ServiceModel("bank", 100.0, error_rate=1.0))
    assistant = make_assistant(service=service)
    for n in range(5):
        failed = converse(assistant, "I lost my card", "yes", conversation=f"c{n}", user=f"u{n}")[1]
        assert failed.workflow_status is WorkflowStatus.FAILED
        assert failed.dependency_calls
    left = converse(assistant, "I lost my card", "yes", conversation="c9", user="u9")[1]
    assert left.workflow_status is WorkflowStatus.FAILED
    assert left.workflow_runs[-1].error_type == "breaker_open"
    assert not left.dependency_calls
    assert bank.operations("u9") == []


def test_a_model_that_answers_with_nothing_usable_never_breaks_a_conversation(models: Path) -> None:
    for said in ("", "   ", "[account-fees]", "\x00", "." * 5000):
        reply = ask(build_assistant(good(), models, generator=Scripted("odd", said)))
        assert reply.kind is ReplyKind.ANSWER
        assert reply.answer.strip()
