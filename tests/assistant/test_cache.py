"""The semantic cache: what may be served again, to whom, for how long, and what it saves."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.assistant import Assistant, CacheConfig, ConversationState, Reply, ReplyKind
from controlplane.assistant.cache import CachedAnswer, SemanticCache, Vector
from controlplane.assistant.cache_encoder import DIMENSIONS, TfidfEncoder
from controlplane.assistant.generation import CarelessGenerator
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.model import IntentPrediction
from controlplane.assistant.release import build_assistant, good
from controlplane.assistant.training_data import load_examples
from tests.assistant.talk import NOW, faultless, message

ANSWER = CachedAnswer("Free.", ("account-fees",), "extractive-1", 1.0, 100, 0.002)
QUESTION = "is the everyday account free"


def vector(angle: float) -> Vector:
    return np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)


def cache(**config: float) -> SemanticCache:
    return SemanticCache(lambda text: vector(0.0), CacheConfig(**config))


def sure(label: str = "fees", confidence: float = 0.9) -> IntentPrediction:
    return IntentPrediction(label, confidence, {label: confidence})


def keep(
    store: SemanticCache, angle: float = 0.0, intent: str = "fees", versions: str = "v1", locale: str = "en"
) -> int:
    return store.keep(vector(angle), intent, versions, locale, NOW, ANSWER)


def test_a_near_question_of_the_same_kind_is_a_hit() -> None:
    store = cache(min_cosine=0.95)
    entry = keep(store)
    hit = store.find(vector(0.1), "fees", "v1", "en", NOW)
    assert hit is not None
    assert (hit.entry, hit.answer) == (entry, ANSWER)
    assert hit.cosine == pytest.approx(np.cos(0.1), abs=1e-6)
    assert store.find(vector(0.5), "fees", "v1", "en", NOW) is None


@pytest.mark.parametrize(
    ("intent", "versions", "locale"), [("limits", "v1", "en"), ("fees", "v2", "en"), ("fees", "v1", "de")]
)
def test_another_intent_version_or_locale_is_never_a_hit(intent: str, versions: str, locale: str) -> None:
    store = cache(min_cosine=0.0)
    keep(store)
    assert store.find(vector(0.0), intent, versions, locale, NOW) is None


@pytest.mark.parametrize(
    ("text", "confidence", "reason"),
    [
        (QUESTION, 0.69, "unsure"),
        ("is 40 pounds too much", 0.9, "personal"),
        ("write to anna@example.org please", 0.9, "personal"),
        ("why was £ taken", 0.9, "personal"),
        (QUESTION, 0.7, None),
    ],
)
def test_unsure_and_personal_questions_are_turned_away(text: str, confidence: float, reason: str | None) -> None:
    store = cache()
    assert store.guard(text, sure(confidence=confidence)) == reason
    assert store.stats.bypassed == (reason is not None)


def test_what_is_kept_must_be_surer_than_what_is_served() -> None:
    store = cache(min_confidence=0.7, keep_confidence=0.9)
    assert store.guard(QUESTION, sure(confidence=0.8)) is None
    assert not store.may_keep(sure(confidence=0.8))
    assert store.may_keep(sure(confidence=0.9))
    assert not cache(min_confidence=0.95, keep_confidence=0.5).may_keep(sure(confidence=0.9))


def test_an_old_answer_is_gone() -> None:
    store = cache(min_cosine=0.5, ttl_seconds=60)
    keep(store)
    assert store.find(vector(0.0), "fees", "v1", "en", NOW + timedelta(seconds=59)) is not None
    assert store.find(vector(0.0), "fees", "v1", "en", NOW + timedelta(seconds=60)) is None
    assert len(store) == 0


def test_what_was_not_used_for_longest_goes_first() -> None:
    store = cache(min_cosine=0.999, capacity=2)
    keep(store, 0.0)
    keep(store, 1.0)
    assert store.find(vector(0.0), "fees", "v1", "en", NOW) is not None
    keep(store, 2.0)
    found = [store.find(vector(angle), "fees", "v1", "en", NOW) is not None for angle in (0.0, 1.0, 2.0)]
    assert found == [True, False, True]
    assert len(store) == 2


def test_hits_and_savings_are_counted() -> None:
    store = cache(min_cosine=0.9)
    assert store.stats.hit_rate is None
    keep(store)
    for angle in (0.0, 0.1, 1.5):
        store.find(vector(angle), "fees", "v1", "en", NOW)
    assert (store.stats.hits, store.stats.misses) == (2, 1)
    assert store.stats.hit_rate == pytest.approx(2 / 3)
    assert store.stats.tokens_saved == 200
    assert store.stats.cost_saved_usd == pytest.approx(0.004)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.sampled_from("ab"), st.sampled_from("xy")), max_size=40), st.integers(1, 6)
)
def test_it_stays_bounded_and_answers_only_its_own_kind(steps: list[tuple[float, str, str]], capacity: int) -> None:
    store = cache(min_cosine=0.8, capacity=capacity)
    owner: dict[int, tuple[str, str]] = {}
    for angle, intent, versions in steps:
        hit = store.find(vector(angle), intent, versions, "en", NOW)
        if hit is not None:
            assert owner[hit.entry] == (intent, versions)
            assert hit.cosine >= 0.8
        owner[keep(store, angle, intent, versions)] = (intent, versions)
        assert len(store) <= capacity
    assert store.stats.stored - store.stats.evicted == len(store)


@pytest.mark.parametrize(
    "config",
    [{"min_cosine": 1.2}, {"min_confidence": -0.1}, {"keep_confidence": 2.0}, {"capacity": 0}, {"ttl_seconds": 0.0}],
)
def test_senseless_settings_are_refused(config: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cache: "):
        CacheConfig(**config)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_tfidf_vectors_have_unit_length_or_none(text: str) -> None:
    found = TfidfEncoder([QUESTION])(text)
    assert found.shape == (DIMENSIONS,)
    assert float(np.linalg.norm(found)) == pytest.approx(1.0, abs=1e-5) or not found.any()


def test_tfidf_puts_a_rewording_nearer_than_another_subject() -> None:
    encode = TfidfEncoder([example.text for example in load_examples(1)])
    asked = encode("how long does a refund take")
    assert asked @ encode("how long do refunds take?") > asked @ encode("where can I see my PIN") + 0.1
    assert asked @ encode("How long does a refund take?!") == pytest.approx(1.0, abs=1e-5)


@pytest.fixture
def cached(models: object) -> Assistant:
    config = replace(good(), cache=CacheConfig(min_cosine=0.9))
    return build_assistant(config, models, service=faultless())  # type: ignore[arg-type]


def ask(assistant: Assistant, text: str, conversation: str, locale: str = "en") -> Reply:
    asked = replace(message(text, conversation=conversation), locale=locale)
    return assistant.respond(ConversationState(), asked)[1]


def test_a_repeated_question_is_served_without_a_model(cached: Assistant) -> None:
    first, second = ask(cached, QUESTION, "c1"), ask(cached, f"{QUESTION}?", "c2")
    assert (first.cached, second.cached) == (False, True)
    assert second.answer == first.answer
    assert second.sources == first.sources
    assert (second.model, second.grounded) == (first.model, first.grounded)
    assert not second.model_calls
    assert not second.dependency_calls
    assert (second.tokens_in, second.tokens_out, second.cost_usd) == (0, 0, 0)
    assert second.tokens_saved == first.tokens_in + first.tokens_out > 0
    assert second.cost_saved_usd == pytest.approx(first.cost_usd)
    assert second.latency_ms < first.latency_ms
    steps = {step.step: (step.verdict, step.action) for step in second.steps}
    assert steps["cache"] == ("hit", "serve")
    assert "generation" not in steps


def test_another_locale_gets_its_own_answer(cached: Assistant) -> None:
    ask(cached, QUESTION, "c1")
    assert not ask(cached, QUESTION, "c2", locale="de").cached


def test_people_workflows_and_personal_questions_stay_out_of_it(cached: Assistant) -> None:
    texts = (
        "someone used my card in Lyon",
        "I want to talk to a human",
        "I lost my card",
        "is 20 pounds a fee for abroad",
    )
    for text in texts:
        for conversation in ("a", "b"):
            reply = ask(cached, text, f"{conversation}-{text}")
            assert not reply.cached
            assert {step.verdict for step in reply.steps if step.step == "cache"} <= {"bypassed"}


def test_an_ungrounded_answer_is_not_kept(models: object) -> None:
    config = replace(good(), cache=CacheConfig(min_cosine=0.9))
    careless = CarelessGenerator(load_knowledge(), carelessness=1.0)
    assistant = build_assistant(config, models, service=faultless(), generator=careless)  # type: ignore[arg-type]
    for conversation in ("c1", "c2"):
        reply = ask(assistant, "how long does a refund take", conversation)
        assert {step.step: step.verdict for step in reply.steps}["groundedness"] == "ungrounded"
        assert not reply.cached


def test_an_answer_to_two_messages_is_not_kept(models: object) -> None:
    policy = replace(good().policy, answer_confidence=0.9)
    config = replace(good(), policy=policy, cache=CacheConfig(min_cosine=0.9))
    assistant = build_assistant(config, models, service=faultless())  # type: ignore[arg-type]
    state, asked = assistant.respond(ConversationState(), message("refund or statement"))
    assert asked.kind is ReplyKind.CLARIFY
    chosen = [assistant.respond(state, message(str(n), 2))[1] for n in range(1, len(asked.options))]
    steps = [step for reply in chosen for step in reply.steps if step.step == "cache"]
    assert {(step.verdict, step.reason) for step in steps} == {("bypassed", "conversation")}


def test_by_default_there_is_no_cache(assistant: Assistant) -> None:
    for conversation in ("c1", "c2"):
        reply = ask(assistant, QUESTION, conversation)
        assert not reply.cached
        assert "cache" not in {step.step for step in reply.steps}
