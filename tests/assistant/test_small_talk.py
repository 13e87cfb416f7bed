"""A greeting, thanks or goodbye gets one back in fixed words, and only a message of nothing else does."""

from __future__ import annotations

import random

import pytest

from controlplane.assistant import Assistant, AssistantPolicy, GroundednessEvaluator, ReplyKind, reference_knowledge
from controlplane.assistant.dialogue import DISCLOSURE, SMALL_TALK, small_talk
from controlplane.assistant.model import EscalationReason
from controlplane.simulation import wording
from controlplane.simulation.needs import all_needs
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import converse, message

KINDS = {
    "greeting": ("hello", "Hi there!", "hey", "Good morning", "HELLO???", "hiii", "hello, how are you?", "Hey 👋"),
    "thanks": ("thanks!", "Thank you so much for your help", "thx", "ok great, thanks a lot!", "no thanks", "cheers"),
    "goodbye": ("bye", "ok thanks bye", "Bye, thanks", "have a nice day", "that's all", "Goodbye!"),
}
OTHER = (
    "", "?", "1", "2.", "hello 2", "yes", "no", "ok", "hi I lost my card", "thanks for nothing", "thank you but where is my refund",
    "hello agent", "bye bye to my money", "good", "that is all I have to say to my lawyer", "hello how much is the fee",
    "morning withdrawal I did not make", "have a nice day thief", "hi there " * 40, "are you there",
)  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_courtesy_is_answered_in_kind_and_costs_nothing(assistant: Assistant, kind: str, text: str) -> None:
    assert small_talk(text) == kind
    assert assistant.screen(text).route is None
    reply = converse(assistant, text)[0]
    assert reply.kind is ReplyKind.ANSWER
    assert reply.text == f"{DISCLOSURE}\n\n{SMALL_TALK[kind]}"
    assert (reply.escalated, reply.model_calls, reply.sources, reply.grounded) == (False, (), (), None)
    step = next(step for step in reply.steps if step.step == "dialogue")
    assert (step.verdict, step.action, step.reason) == ("small_talk", "answer", kind)


def test_a_courtesy_is_not_judged_as_an_answer(assistant: Assistant) -> None:
    evaluator = GroundednessEvaluator(reference_knowledge(), 1.0)
    for text, judged in (("hello", False), ("thanks!", False), ("how long does a refund take", True)):
        reply = converse(assistant, text)[0]
        assert (evaluator.evaluate(message(text), reply) is not None) == judged == (not reply.is_small_talk)


@pytest.mark.parametrize("text", OTHER, ids=lambda text: repr(text[:30]))
def test_one_word_more_and_it_is_a_message_like_any_other(text: str) -> None:
    assert small_talk(text) is None


def test_courtesy_between_questions_changes_nothing(make_assistant: MakeAssistant) -> None:
    cautious = make_assistant(AssistantPolicy(answer_confidence=0.9))
    asked, greeted, answered = converse(cautious, "refund or statement", "hello", "1")
    assert asked.kind is ReplyKind.CLARIFY
    assert greeted.text == SMALL_TALK["greeting"]
    assert answered.intent_conf == 1.0


def test_greetings_do_not_count_as_failed_tries(assistant: Assistant) -> None:
    replies = converse(assistant, "hello", "hello", "hello", "how long does a refund take")
    assert [reply.kind for reply in replies] == [ReplyKind.ANSWER] * 4
    assert replies[-1].sources


def test_a_workflow_waits_for_its_answer_and_a_person_keeps_the_conversation(assistant: Assistant) -> None:
    asked, thanked = converse(assistant, "I lost my card, block it", "thanks")
    assert asked.kind is ReplyKind.CONFIRM
    assert thanked.workflow == asked.workflow
    assert converse(assistant, "agent", "hello")[1].escalation_reason is EscalationReason.WITH_PERSON


def test_simulated_customers_never_say_only_that() -> None:
    rng = random.Random(3)
    phrases = [phrase for need in all_needs() for phrase in need.phrases]
    said = [wording.type_out(phrase, 0.6, rng) for phrase in phrases for _ in range(5)]
    said += [*wording.PERSON_REQUESTS, *(need.opening(rng) for need in all_needs())]
    assert len(said) > 500
    assert not [text for text in said if small_talk(text)]
