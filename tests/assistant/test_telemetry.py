"""Spans and metrics under OpenTelemetry's GenAI names, read back from the SDK's own in-memory exporter."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from controlplane.assistant import Assistant, ConversationState, Outside, build_assistant, good
from controlplane.assistant.telemetry import AGENT_NAME, OtelTelemetry
from tests.assistant.models_at_hand import FREE, Scripted, Streaming
from tests.assistant.talk import converse, faultless, message

QUESTION = "is the everyday account free"


@dataclass
class Observed:
    """What was exported so far."""

    exporter: InMemorySpanExporter
    reader: InMemoryMetricReader
    telemetry: OtelTelemetry

    def spans(self, operation: str) -> list[ReadableSpan]:
        finished = self.exporter.get_finished_spans()
        return [span for span in finished if (span.attributes or {}).get("gen_ai.operation.name") == operation]

    def everything(self) -> str:
        return json.dumps([json.loads(span.to_json()) for span in self.exporter.get_finished_spans()])

    def points(self, metric: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        found = [m for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics if m.name == metric]
        return [point for m in found for point in m.data.data_points]


@pytest.fixture
def observed() -> Iterator[Observed]:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers, meters = TracerProvider(), MeterProvider([reader])
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    yield Observed(exporter, reader, OtelTelemetry(tracers, meters))
    tracers.shutdown()
    meters.shutdown()


def watched(models: Path, observed: Observed, generator: Scripted | None = None) -> Assistant:
    outside = Outside(telemetry=observed.telemetry, sleep=lambda seconds: None)
    return build_assistant(good(), models, service=faultless(), generator=generator, outside=outside)


def test_one_message_is_one_agent_span_with_its_search_and_model_call_inside(models: Path, observed: Observed) -> None:
    assistant = watched(models, observed, Scripted("large"))
    reply = converse(assistant, QUESTION)[0]
    (agent,), (search,), (chat,) = (observed.spans(name) for name in ("invoke_agent", "retrieval", "chat"))
    assert agent.name == f"invoke_agent {AGENT_NAME}"
    assert agent.attributes is not None
    assert agent.attributes["gen_ai.agent.name"] == AGENT_NAME
    assert agent.attributes["gen_ai.agent.version"] == assistant.artefacts.version
    assert agent.attributes["gen_ai.conversation.id"] == "c1"
    assert agent.attributes["controlplane.interaction.id"] == "c1:1"
    assert agent.attributes["controlplane.reply.kind"] == "answer"
    assert agent.attributes["gen_ai.usage.input_tokens"] == reply.tokens_in == 100
    for inner in (search, chat):
        assert inner.parent is not None
        assert inner.parent.span_id == agent.context.span_id
        assert inner.attributes is not None
    assert search.attributes["gen_ai.data_source.id"] == assistant._parts.knowledge.version
    assert search.attributes["controlplane.retrieval.hits"] >= 1


def test_a_model_call_names_provider_model_and_tokens(models: Path, observed: Observed) -> None:
    converse(watched(models, observed, Scripted("large")), QUESTION)
    (chat,) = observed.spans("chat")
    assert chat.name == "chat large"
    attributes = dict(chat.attributes or {})
    assert attributes["gen_ai.provider.name"] == "test"
    assert attributes["gen_ai.request.model"] == attributes["gen_ai.response.model"] == "large"
    assert attributes["gen_ai.usage.input_tokens"] == 100
    assert attributes["gen_ai.usage.output_tokens"] == 10
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 40


def test_token_metrics_count_each_token_once(models: Path, observed: Observed) -> None:
    converse(watched(models, observed, Scripted("large")), QUESTION)
    sums = {p.attributes["gen_ai.token.type"]: p.sum for p in observed.points("gen_ai.client.token.usage")}
    assert sums == {"input": 100, "output": 10}
    assert len(observed.points("gen_ai.client.operation.duration")) == 2  # the model call and the search
    assert observed.points("gen_ai.invoke_agent.duration")[0].count == 1


def test_every_try_has_its_span_and_a_failed_one_its_error(models: Path, observed: Observed) -> None:
    reply = converse(watched(models, observed, Scripted("large", "!http_503", "!timeout")), QUESTION)[0]
    assert reply.error_type is None
    errors = [(span.attributes or {}).get("error.type") for span in observed.spans("chat")]
    assert errors == ["http_503", "timeout"]
    (agent,) = observed.spans("invoke_agent")
    assert "error.type" not in (agent.attributes or {})
    assert agent.status.status_code is not trace.StatusCode.ERROR


def test_a_workflow_is_a_tool(models: Path, observed: Observed) -> None:
    converse(watched(models, observed), "I lost my card", "yes")
    (tool,) = observed.spans("execute_tool")
    attributes = dict(tool.attributes or {})
    assert attributes["gen_ai.tool.name"] == "card_block_and_replace"
    assert attributes["gen_ai.tool.call.id"]
    assert "error.type" not in attributes


def test_a_stream_has_a_time_to_its_first_chunk_and_adopts_nothing(models: Path, observed: Observed) -> None:
    assistant = watched(models, observed, Streaming("large"))
    for _ in assistant.stream(ConversationState(), message(QUESTION)):
        assert trace.get_current_span() is trace.INVALID_SPAN
    (chat,) = observed.spans("chat")
    assert (chat.attributes or {})["gen_ai.request.stream"] is True
    assert observed.points("gen_ai.client.operation.time_to_first_chunk")[0].count == 1


def test_a_stream_that_is_left_ends_its_spans(models: Path, observed: Observed) -> None:
    reading = watched(models, observed, Streaming("large", FREE * 9)).stream(ConversationState(), message(QUESTION))
    next(reading)
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    for name in ("chat", "invoke_agent"):
        (span,) = observed.spans(name)
        assert (span.attributes or {})["error.type"] == "GeneratorExit"


def test_a_fault_of_a_model_is_not_hidden_and_ends_its_spans(models: Path, observed: Observed) -> None:
    class Buggy(Scripted):
        def generate(self, request: object) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        converse(watched(models, observed, Buggy("large")), QUESTION)
    assert [(s.attributes or {})["error.type"] for s in observed.spans("invoke_agent")] == ["ZeroDivisionError"]


def test_no_content_leaves_unless_it_is_switched_on(
    models: Path, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    converse(
        watched(models, observed, Scripted("large")), "is the everyday account free for Zebedee", "my card is lost"
    )
    for content in ("Zebedee", "Everyday account is free", "monthly fee"):
        assert content not in observed.everything()
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(observed.exporter))
    outside = Outside(telemetry=OtelTelemetry(tracers))
    told = build_assistant(good(), models, service=faultless(), generator=Scripted("large"), outside=outside)
    converse(told, "is the everyday account free for Zebedee")
    assert "Zebedee" in observed.everything()
    tracers.shutdown()


def test_telemetry_changes_no_reply(models: Path, observed: Observed) -> None:
    texts = (QUESTION, "I lost my card", "yes", "what is the weather")
    plain = build_assistant(good(), models, service=faultless())
    assert converse(watched(models, observed), *texts) == converse(plain, *texts)


def test_without_a_provider_nothing_is_recorded_and_nothing_fails(models: Path) -> None:
    outside = Outside(telemetry=OtelTelemetry())
    assistant = build_assistant(good(), models, service=faultless(), outside=outside)
    assert converse(assistant, QUESTION)[0].answer


def test_an_assistant_without_telemetry_imports_none(models: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from controlplane.assistant import *; "
        f"build_assistant(good(), Path({str(models)!r})); "
        "print([m for m in sys.modules if m.startswith('opentelemetry')])"
    )
    build_assistant(good(), models)
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"
