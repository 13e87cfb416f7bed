"""A real client against a small endpoint on loopback: answers, and every way in which an endpoint fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.openai_generator import OpenAIGenerator
from controlplane.assistant.protocols import GenerationError, GenerationRequest
from tests.assistant.chat_endpoint import ChatEndpoint, serving
from tests.assistant.conftest import MakeAssistant
from tests.assistant.talk import converse

KNOWLEDGE = load_knowledge()
REQUEST = GenerationRequest("c1:1", "Be brief.", "what does a lost card cost", (KNOWLEDGE.get("card-lost"),))
ANSWER = "The replacement card is free. [card-lost] [not-a-page]"


@pytest.fixture
def endpoint() -> Iterator[ChatEndpoint]:
    usage = {"prompt_tokens": 90, "completion_tokens": 8, "total_tokens": 98}
    with serving(
        ChatEndpoint(ANSWER, "tiny-2026", {**usage, "prompt_tokens_details": {"cached_tokens": 64}})
    ) as server:
        yield server


@pytest.fixture
def connect(endpoint: ChatEndpoint) -> Iterator[Callable[..., OpenAIGenerator]]:
    made: list[OpenAIGenerator] = []

    def make(timeout_seconds: float = 5.0, url: str | None = None) -> OpenAIGenerator:
        made.append(OpenAIGenerator(url or endpoint.url, "tiny", "secret-key", timeout_seconds))
        return made[-1]

    yield make
    for generator in made:
        generator.close()


def test_an_answer_with_its_sources_and_tokens(endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator]) -> None:
    answer = connect().generate(REQUEST)
    assert answer.text == ANSWER
    assert answer.sources == ("card-lost",)
    assert answer.model == "tiny-2026"
    assert (answer.tokens_in, answer.tokens_cached, answer.tokens_out) == (90, 64, 8)
    path, headers, asked = endpoint.seen[0]
    assert path == "/v1/chat/completions"
    assert headers["authorization"] == "Bearer secret-key"
    assert asked["model"] == "tiny"
    assert [part["role"] for part in asked["messages"]] == ["system", "user"]
    assert KNOWLEDGE.get("card-lost").body in asked["messages"][1]["content"]


def test_nothing_is_taken_from_the_environment(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "other-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_ORG_ID", "other-org")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "other-project")
    connect().generate(REQUEST)
    headers = endpoint.seen[0][1]
    assert headers["authorization"] == "Bearer secret-key"
    assert "openai-organization" not in headers
    assert "openai-project" not in headers


@pytest.mark.parametrize(("status", "error_type"), [(429, "rate_limited"), (500, "http_500"), (401, "http_401")])
def test_refusals_are_named_and_not_retried(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], status: int, error_type: str
) -> None:
    endpoint.statuses = [status] * 9
    with pytest.raises(GenerationError) as caught:
        connect().generate(REQUEST)
    assert caught.value.error_type == error_type
    assert not caught.value.timed_out
    assert len(endpoint.seen) == 1


def test_silence_is_a_time_out(endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator]) -> None:
    endpoint.delay = 0.6
    with pytest.raises(GenerationError, match="did not answer in time") as caught:
        connect(timeout_seconds=0.15).generate(REQUEST)
    assert (caught.value.error_type, caught.value.timed_out) == ("timeout", True)


def test_a_dead_endpoint_is_a_connection_error(connect: Callable[..., OpenAIGenerator]) -> None:
    with pytest.raises(GenerationError, match="no connection") as caught:
        connect(url="http://127.0.0.1:9/v1").generate(REQUEST)
    assert caught.value.error_type == "connection"


@pytest.mark.parametrize("content", ["", "   ", None])
def test_an_empty_answer_is_an_error(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], content: str | None
) -> None:
    endpoint.content = content
    with pytest.raises(GenerationError, match="returned no text"):
        connect().generate(REQUEST)


@pytest.mark.parametrize("raw", [b"{torn", b"[]", b'{"choices": null}', b'"hello"'])
def test_nonsense_is_an_error_of_the_generator_and_nothing_else(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], raw: bytes
) -> None:
    endpoint.raw = raw
    with pytest.raises(GenerationError):
        connect().generate(REQUEST)


def test_the_assistant_falls_back_and_recovers(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], make_assistant: MakeAssistant
) -> None:
    assistant = make_assistant(generator=connect(), service=None)
    question = "is a replacement for a lost card free"
    endpoint.statuses = [500] * 9
    fallen = converse(assistant, question)[0]
    assert (fallen.kind, fallen.error_type, fallen.model) == ("answer", None, "extractive-1")
    assert [call.error_type for call in fallen.model_calls] == ["http_500", "http_500"]
    tried = [(step.verdict, step.action) for step in fallen.steps if step.step == "generation"]
    assert tried == [("http_500", "retry"), ("http_500", "fall_back"), ("answered", "continue")]
    assert "replacement card is free" in fallen.text
    endpoint.statuses = [200] * 9
    answered = converse(assistant, question, conversation="c2")[0]
    assert (answered.model, answered.error_type) == ("tiny-2026", None)
    assert answered.tokens_in == 90
    assert answered.model_calls[0].provider == "openai_compatible"


def test_an_invention_of_the_model_is_flagged(
    endpoint: ChatEndpoint, connect: Callable[..., OpenAIGenerator], make_assistant: MakeAssistant
) -> None:
    endpoint.content = "Our Madrid office sends a golden card for 99 euros within 3 weeks. [card-lost]"
    reply = converse(make_assistant(generator=connect()), "is a replacement for a lost card free")[0]
    assert {s.step: s.verdict for s in reply.steps}["groundedness"] == "ungrounded"
