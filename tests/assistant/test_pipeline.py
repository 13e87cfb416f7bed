"""The assistant as a whole: what it says to plain and to difficult messages, and what it does when parts fail."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.assistant import (
    Assistant,
    AssistantPolicy,
    ConversationState,
    ReplyKind,
    ServiceModel,
    build_assistant,
    good,
)
from controlplane.assistant.generation import CarelessGenerator
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.model import EscalationReason
from controlplane.assistant.protocols import Generation, GenerationError, GenerationRequest
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import NOW, converse, faultless, message

UNCLEAR = "refund or statement"
CAUTIOUS = AssistantPolicy(answer_confidence=0.9)


class Broken:
    """A model that is down until told otherwise."""

    model = "broken-1"
    provider = "test"

    def __init__(self) -> None:
        self.calls = 0
        self.down = True

    def generate(self, request: GenerationRequest) -> Generation:
        self.calls += 1
        if self.down:
            raise GenerationError("connection", "refused")
        return Generation("The Everyday account is free.", ("account-fees",), self.model, 10, 4, 2)


def failing(operation: str) -> object:
    profile = faultless()
    return replace(profile, **{operation: ServiceModel(operation, 100.0, error_rate=1.0)})


def test_a_plain_question_is_answered_from_its_page(assistant: Assistant) -> None:
    reply = converse(assistant, "How much does it cost to pay with my card abroad?")[0]
    assert reply.kind is ReplyKind.ANSWER
    assert "1.5 %" in reply.text
    assert reply.sources == ("foreign-fees",)
    assert reply.grounded is not None
    assert reply.grounded > 0.9
    assert [s.step for s in reply.steps] == [
        "service",
        "intent",
        "safety",
        "retrieval",
        "generation",
        "groundedness",
        "output",
    ]


def test_latency_and_cost_are_sums_of_their_parts(assistant: Assistant) -> None:
    reply = converse(assistant, "How much does it cost to pay with my card abroad?")[0]
    parts = sum(call.latency_ms for call in (*reply.model_calls, *reply.dependency_calls))
    request = faultless().request.draw(reply.interaction_id).latency_ms
    assert reply.latency_ms == pytest.approx(parts + request, abs=0.2)
    call = reply.model_calls[0]
    fresh, cached, out = call.tokens_in - call.tokens_cached, call.tokens_cached, call.tokens_out
    assert reply.cost_usd == pytest.approx((fresh * 0.00015 + cached * 0.000075 + out * 0.0006) / 1000, abs=1e-8)


def test_the_same_messages_get_equal_replies(make_assistant: MakeAssistant) -> None:
    texts = ("hello", "where is my refund", UNCLEAR, "1", "I lost my card", "yes")
    assert converse(make_assistant(CAUTIOUS), *texts) == converse(make_assistant(CAUTIOUS), *texts)


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=120), min_size=1, max_size=4))
def test_no_message_breaks_it(texts: list[str]) -> None:
    replies = converse(_Shared.assistant(), *texts)
    assert all(reply.text and reply.steps for reply in replies)
    assert all(reply.escalated == (reply.kind is ReplyKind.HANDOVER) for reply in replies)


def test_an_unclear_message_gets_choices_and_a_number_chooses(make_assistant: MakeAssistant) -> None:
    asked, answered = converse(make_assistant(CAUTIOUS), UNCLEAR, "1")
    assert asked.kind is ReplyKind.CLARIFY
    assert asked.options[-1] == "Something else"
    assert all(option in asked.text for option in asked.options)
    assert answered.intent_conf == 1.0
    assert answered.workflow or answered.kind is ReplyKind.ANSWER


def test_choosing_something_else_or_staying_unclear_ends_with_a_person(make_assistant: MakeAssistant) -> None:
    choices = len(converse(make_assistant(CAUTIOUS), UNCLEAR)[0].options)
    for second in (str(choices), UNCLEAR):
        reply = converse(make_assistant(CAUTIOUS), UNCLEAR, second)[1]
        assert reply.escalation_reason is EscalationReason.LOW_CONFIDENCE


def test_after_a_question_back_both_messages_count(make_assistant: MakeAssistant) -> None:
    reply = converse(make_assistant(CAUTIOUS), UNCLEAR, "the fees when I pay abroad I mean")[1]
    assert reply.intent_pred == "fees"
    assert reply.kind is ReplyKind.ANSWER


def test_out_of_scope_is_declined_once_then_handed_over(assistant: Assistant) -> None:
    first, second, third = converse(assistant, "what is the weather like", "tell me a joke", "hello?")
    assert first.kind is ReplyKind.DECLINE
    assert second.escalation_reason is EscalationReason.OUT_OF_SCOPE
    assert third.escalation_reason is EscalationReason.WITH_PERSON


def test_a_failing_request_is_an_error_and_changes_nothing(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant(service=failing("request"))
    state, reply = assistant.respond(ConversationState(), message("where is my refund"))
    assert (reply.kind, reply.error_type) == (ReplyKind.ERROR, "request_service_error")
    assert state == ConversationState(turns=1)


def test_a_failing_search_is_an_error_of_the_dependency(make_assistant: MakeAssistant) -> None:
    reply = converse(make_assistant(service=failing("knowledge")), "how long does a refund take")[0]
    assert (reply.kind, reply.error_type) == (ReplyKind.ERROR, "knowledge_service_error")
    assert reply.dependency_calls[0].error_type == "service_error"


def test_when_extraction_fails_the_best_pages_are_offered(make_assistant: MakeAssistant) -> None:
    assistant = make_assistant(service=failing("model"))
    offered, page = converse(assistant, "how long does a refund take", "1")
    assert offered.kind is ReplyKind.MENU
    assert offered.error_type == "model_service_error"
    assert offered.model_calls[0].error_type == "service_error"
    assert "3 to 7 working days" in page.text
    assert page.kind is ReplyKind.ANSWER


def test_a_slow_model_times_out_for_the_customer_too(make_assistant: MakeAssistant) -> None:
    service = replace(faultless(), model=ServiceModel("model", 900.0, slow_factor=1000.0))
    reply = converse(make_assistant(service=service), "how long does a refund take")[0]
    assert reply.timed_out
    assert reply.error_type == "model_timeout"
    assert reply.latency_ms >= 10_000


def test_a_broken_model_is_left_alone_and_tried_again_later(make_assistant: MakeAssistant) -> None:
    broken = Broken()
    assistant = make_assistant(generator=broken)
    for n in range(8):
        reply = converse(assistant, "is the everyday account free", conversation=f"c{n}")[0]
        assert reply.kind is ReplyKind.ANSWER
        assert "Everyday account is free" in reply.text
        assert reply.model == "extractive-1"
        assert reply.sources
    assert broken.calls == 5
    assert reply.error_type is None
    assert any(step.verdict == "breaker_open" for step in reply.steps)
    broken.down = False
    later = message("is the everyday account free", conversation="c9", ts=NOW + timedelta(seconds=31))
    recovered = assistant.respond(ConversationState(), later)[1]
    assert recovered.model == "broken-1"
    assert recovered.error_type is None


def test_an_unexpected_fault_of_a_model_counts_against_it_and_is_not_hidden(make_assistant: MakeAssistant) -> None:
    class Buggy(Broken):
        def generate(self, request: GenerationRequest) -> Generation:
            raise ZeroDivisionError

    assistant = make_assistant(generator=Buggy())
    for n in range(5):
        with pytest.raises(ZeroDivisionError):
            converse(assistant, "is the everyday account free", conversation=f"c{n}")
    assert converse(assistant, "is the everyday account free", conversation="c9")[0].model == "extractive-1"


def test_an_ungrounded_answer_is_logged_and_replaced_where_the_policy_says_so(make_assistant: MakeAssistant) -> None:
    careless = CarelessGenerator(load_knowledge(), carelessness=1.0)
    question = "how long does a refund take"
    observed = converse(make_assistant(generator=careless), question)[0]
    blocked = converse(make_assistant(AssistantPolicy(block_ungrounded=True), generator=careless), question)[0]
    verdicts = {s.step: (s.verdict, s.action) for s in observed.steps}
    assert verdicts["groundedness"] == ("ungrounded", "continue")
    assert observed.grounded is not None
    assert blocked.grounded is not None
    assert observed.grounded < 0.6 < blocked.grounded
    assert "3 to 7 working days" in blocked.text


def test_in_real_time_the_measured_time_is_the_latency(make_assistant: MakeAssistant) -> None:
    ticks = iter(range(1000))
    reply = converse(make_assistant(service=None, clock=lambda: next(ticks) / 1000), "how long does a refund take")[0]
    assert reply.latency_ms == reply.measured_ms
    assert reply.measured_ms >= sum(step.measured_ms for step in reply.steps) > 0
    assert reply.model_calls[0].latency_ms == 1.0


def test_screening_says_what_a_first_message_is_about(assistant: Assistant) -> None:
    assert assistant.screen("I forgot my pin").intent == "pin_reset"
    assert assistant.screen("I forgot my pin").route is None
    assert assistant.screen("someone used my card without my permission").route == "fraud"


def test_the_package_is_importable_alone_and_light() -> None:
    heavy = ("sklearn", "scipy", "joblib", "openai", "duckdb", "sqlalchemy", "httpx", "controlplane.store")
    code = f"import sys, controlplane.assistant; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


class _Shared:
    """One assistant for hypothesis, which cannot take fixtures of function scope."""

    _assistant: Assistant | None = None

    @classmethod
    def assistant(cls) -> Assistant:
        if cls._assistant is None:
            import tempfile
            from pathlib import Path

            with tempfile.TemporaryDirectory() as folder:
                cls._assistant = build_assistant(good(), Path(folder), service=faultless())
        return cls._assistant
