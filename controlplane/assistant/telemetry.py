"""The assistant's spans and metrics under OpenTelemetry's GenAI names, beside the flat record of `record`.

    invoke_agent NAME           one customer message: conversation, agent version, outcome
      retrieval                 a search in the knowledge base: data source, number of hits
      chat MODEL                a call of a model, each try: provider, model, tokens in, out and cached, error
      execute_tool WORKFLOW     a workflow that is carried out

Rules
- OpenTelemetry is imported when telemetry is made, never by an assistant without it. Without a configured provider its API
  records nothing.
- No content: neither messages nor answers, pages or slots, unless `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so when
  telemetry is made. What is ours has names of ours (`controlplane.*`).
- Spans never become the caller's current span, so a stream that is read slowly adopts no foreign work. Telemetry reports; nothing
  it says changes an answer.
"""

from typing import TYPE_CHECKING, Any

from controlplane.assistant.model import Message, ReleaseArtefacts, Reply
from controlplane.assistant.tracing import ChatOperation, Operation, RetrievalOperation, Trace

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider
    from opentelemetry.util.genai.handler import TelemetryHandler
    from opentelemetry.util.genai.invocation import (
        GenAIInvocation,
        InferenceInvocation,
        LocalAgentInvocation,
        RetrievalInvocation,
    )

    from controlplane.assistant.protocols import Generation, GenerationRequest, Generator
    from controlplane.assistant.retrieval import Hit

AGENT_NAME = "alder-assistant"
SCOPE = "controlplane.assistant"


class OtelTelemetry:
    """Begins a trace for each message. By default the providers that the program has configured globally are used."""

    def __init__(
        self,
        tracer_provider: "TracerProvider | None" = None,
        meter_provider: "MeterProvider | None" = None,
        agent_name: str = AGENT_NAME,
    ) -> None:
        from opentelemetry.util.genai.handler import TelemetryHandler

        self._handler = TelemetryHandler(
            tracer_provider=tracer_provider, meter_provider=meter_provider, instrumentation_scope_name=SCOPE
        )
        self._agent_name = agent_name

    def begin(self, message: Message, artefacts: ReleaseArtefacts) -> Trace:
        """A customer's message has come in."""
        agent = self._handler.invoke_local_agent(agent_name=self._agent_name, conversation_id=message.conversation_id)
        agent.suspend()
        agent.attributes["gen_ai.agent.version"] = artefacts.version
        agent.attributes["controlplane.release.digest"] = artefacts.digest
        agent.attributes["controlplane.interaction.id"] = message.interaction_id
        if agent.should_capture_content:
            agent.input_messages = [_said("user", message.text)]
        return OtelTrace(self._handler, agent, self._agent_name)


class OtelTrace(Trace):
    """One turn of the agent."""

    def __init__(self, handler: "TelemetryHandler", agent: "LocalAgentInvocation", agent_name: str) -> None:
        self._handler = handler
        self._agent = agent
        self._agent_name = agent_name
        self._context: Context = agent.context
        self._over = False

    def chat(self, generator: "Generator", request: "GenerationRequest", streamed: bool) -> ChatOperation:
        """A call of a model begins."""
        call = self._handler.inference(generator.provider, request_model=generator.model, context=self._context)
        call.suspend()
        if call.should_capture_content:
            from controlplane.assistant.generation import prompt_text

            call.system_instruction = [_text(request.system)]
            call.input_messages = [_said("user", prompt_text(request))]
        return OtelChat(call, streamed)

    def retrieval(self, knowledge_version: str, question: str, limit: int) -> RetrievalOperation:
        """A search begins."""
        search = self._handler.retrieval(data_source_id=knowledge_version, context=self._context)
        search.suspend()
        search.top_k = limit
        if search.should_capture_content:
            search.query_text = question
        return OtelRetrieval(search)

    def tool(self, name: str, call_id: str) -> Operation:
        """A workflow is about to be executed."""
        tool = self._handler.tool(name, tool_type="function", agent_name=self._agent_name, context=self._context)
        tool.suspend()
        tool.tool_call_id = call_id
        return OtelOperation(tool)

    def finish(self, reply: Reply) -> None:
        """The turn is over: what was decided, and what all model calls together used."""
        agent = self._agent
        agent.input_tokens, agent.output_tokens = reply.tokens_in, reply.tokens_out
        agent.attributes["controlplane.reply.kind"] = str(reply.kind)
        agent.attributes["controlplane.reply.escalated"] = reply.escalated
        agent.attributes["controlplane.reply.model"] = reply.model
        optional: dict[str, Any] = {
            "controlplane.intent": reply.intent_pred,
            "controlplane.intent.confidence": reply.intent_conf,
            "controlplane.safety.route": reply.safety_route,
            "controlplane.escalation.reason": reply.escalation_reason,
            "controlplane.grounded": reply.grounded,
            "controlplane.cost.usd": reply.cost_usd,
        }
        agent.attributes.update({name: _plain(value) for name, value in optional.items() if value is not None})
        if agent.should_capture_content:
            agent.output_messages = [_answered(reply.text)]
        self._over = True
        _close(agent, reply.error_type)

    def abort(self, error: BaseException) -> None:
        """The turn ended without a reply."""
        if not self._over:
            self._over = True
            _close(self._agent, type(error).__name__)


class OtelOperation(Operation):
    """One span."""

    def __init__(self, invocation: "GenAIInvocation") -> None:
        self._invocation = invocation

    def end(self, error_type: str | None = None) -> None:
        """It is over."""
        _close(self._invocation, error_type)


class OtelChat(ChatOperation):
    """The span of a model call."""

    def __init__(self, call: "InferenceInvocation", streamed: bool) -> None:
        self._call = call
        if streamed:
            call.request_stream = True

    def chunk(self) -> None:
        """A piece has come: the first one gives the time to the first chunk."""
        self._call.record_stream_chunk()

    def answered(self, generation: "Generation") -> None:
        """`gen_ai.usage.input_tokens` includes those read from the provider's cache, as the convention wants it."""
        call = self._call
        call.response_model_name = generation.model
        call.input_tokens, call.output_tokens = generation.tokens_in, generation.tokens_out
        call.cache_read_input_tokens = generation.tokens_cached
        if call.should_capture_content:
            call.output_messages = [_answered(generation.text)]

    def end(self, error_type: str | None = None) -> None:
        """It is over."""
        _close(self._call, error_type)


class OtelRetrieval(RetrievalOperation):
    """The span of a search."""

    def __init__(self, search: "RetrievalInvocation") -> None:
        self._search = search

    def found(self, hits: "tuple[Hit, ...]") -> None:
        """Ids and scores are content only where content is wanted; how many there are always is told."""
        self._search.attributes["controlplane.retrieval.hits"] = len(hits)
        if self._search.should_capture_content:
            from opentelemetry.util.genai.types import RetrievalDocument

            self._search.documents = [RetrievalDocument(hit.passage.id, hit.score) for hit in hits]

    def end(self, error_type: str | None = None) -> None:
        """It is over."""
        _close(self._search, error_type)


def _close(invocation: "GenAIInvocation", error_type: str | None) -> None:
    if error_type is None:
        invocation.stop()
        return
    from opentelemetry.util.genai.types import Error

    invocation.fail(Error(message=error_type, type=error_type))


def _text(content: str) -> Any:
    from opentelemetry.util.genai.types import TextPart

    return TextPart(content)


def _said(role: str, content: str) -> Any:
    from opentelemetry.util.genai.types import InputMessage

    return InputMessage(role, [_text(content)])


def _answered(content: str) -> Any:
    from opentelemetry.util.genai.types import OutputMessage

    return OutputMessage("assistant", [_text(content)], "stop")


def _plain(value: Any) -> str | float | bool:
    return value if isinstance(value, float | int) else str(value)
