"""What the pipeline tells a tracer about one request: the agent's turn, and inside it model calls, searches and tools.

The classes here do nothing; they are what runs when nobody configured telemetry. `telemetry` has the real ones.
"""

from typing import TYPE_CHECKING, Protocol

from controlplane.assistant.model import Message, ReleaseArtefacts, Reply

if TYPE_CHECKING:
    from controlplane.assistant.protocols import Generation, GenerationRequest, Generator
    from controlplane.assistant.retrieval import Hit


class Operation:
    """One operation under way; every one that was begun is ended exactly once."""

    def end(self, error_type: str | None = None) -> None:
        """It is over; `error_type` is the short stable name of a failure."""


class ChatOperation(Operation):
    """A call of a model."""

    def chunk(self) -> None:
        """A piece of a streamed answer has come."""

    def answered(self, generation: "Generation") -> None:
        """The model has answered; `end` still follows."""


class RetrievalOperation(Operation):
    """A search in the knowledge base."""

    def found(self, hits: "tuple[Hit, ...]") -> None:
        """What was found; `end` still follows."""


class Trace:
    """One turn of the agent."""

    def chat(self, generator: "Generator", request: "GenerationRequest", streamed: bool) -> ChatOperation:
        """A call of a model begins."""
        return ChatOperation()

    def retrieval(self, knowledge_version: str, question: str, limit: int) -> RetrievalOperation:
        """A search begins."""
        return RetrievalOperation()

    def tool(self, name: str, call_id: str) -> Operation:
        """A workflow is about to be executed."""
        return Operation()

    def finish(self, reply: Reply) -> None:
        """The turn is over."""

    def abort(self, error: BaseException) -> None:
        """The turn ended without a reply."""


class Telemetry(Protocol):
    """Begins the trace of each turn."""

    def begin(self, message: Message, artefacts: ReleaseArtefacts) -> Trace:
        """A customer's message has come in."""
        ...
