"""The making of one reply: every step, call and time of a request is collected here and ends in a `Reply`.

Rules
- With a service profile the latency is the sum of what the request really went through in the story; without one it is
  the measured time. Measured times are kept beside in both cases.
- What a request cost is the sum of its model calls; a call without a price makes the whole cost unknown (None).
- A failure that a fallback made good is a fact of its call, not of the request.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from controlplane.assistant.model import (
    DependencyCall,
    EscalationReason,
    Message,
    ModelCall,
    Reply,
    ReplyKind,
    SafetyRoute,
    StepVerdict,
    WorkflowRun,
    WorkflowStatus,
)
from controlplane.assistant.output_check import OutputVerdict
from controlplane.assistant.pricing import ModelPrice, Price
from controlplane.assistant.protocols import Generation, Generator
from controlplane.assistant.service import ServiceDraw, ServiceProfile
from controlplane.assistant.tracing import Trace

__all__ = ["NO_MODEL", "Answer", "ModelPrice", "Part", "Turn"]

NO_MODEL = "rules"
Part = Literal["request", "knowledge", "model", "bank"]


@dataclass(slots=True)
class Answer:
    """What a finished turn says; all but kind and text have a neutral default. `checked` = this very text's output check."""

    kind: ReplyKind
    text: str
    escalation_reason: EscalationReason | None = None
    safety_route: SafetyRoute | None = None
    workflow: str | None = None
    workflow_status: WorkflowStatus | None = None
    sources: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    grounded: float | None = None
    checked: OutputVerdict | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What a repeated answer did not use again: tokens in and out, and US dollars (None = unpriced)."""

    tokens: int
    cost_usd: float | None


@dataclass(slots=True)
class Turn:
    """One request under way. `clock` gives seconds; `service` is None where real time decides.

    `answered_by` is the model that wrote what the customer gets, `NO_MODEL` where rules and workflows did. `pages_offered`:
    the reply before this one could only offer pages.
    """

    message: Message
    service: ServiceProfile | None
    clock: Callable[[], float]
    intent: str | None = None
    confidence: float | None = None
    answered_by: str = NO_MODEL
    steps: list[StepVerdict] = field(default_factory=list)
    model_calls: list[ModelCall] = field(default_factory=list)
    dependency_calls: list[DependencyCall] = field(default_factory=list)
    workflow_runs: list[WorkflowRun] = field(default_factory=list)
    private: list[str] = field(default_factory=list, repr=False)
    latency_ms: float = 0.0
    error_type: str | None = None
    timed_out: bool = False
    saved: Saved | None = None
    pages_offered: bool = False
    trace: Trace = field(default_factory=Trace)
    _started: float = 0.0
    _last: float = 0.0

    def __post_init__(self) -> None:
        self._started = self._last = self.clock()

    def draw(self, part: Part, blame: bool = True) -> ServiceDraw:
        """What this request meets at one part of the service; nothing in real time.

        A failure is the request's unless `blame` is off, because something else may still answer.
        """
        if self.service is None:
            return ServiceDraw(0.0)
        draw = {
            "request": self.service.request,
            "knowledge": self.service.knowledge,
            "model": self.service.model,
            "bank": self.service.bank,
        }[part].draw(self.message.interaction_id)
        self.latency_ms += draw.latency_ms
        if draw.failed and blame:
            self.fail(f"{part}_{draw.error_type}", draw.timed_out)
        return draw

    def fail(self, error_type: str, timed_out: bool) -> None:
        """Notes a failure; the first one names the request's error."""
        self.error_type = self.error_type or error_type
        self.timed_out = self.timed_out or timed_out

    def elapsed_ms(self) -> float:
        """Real time since the last step, in ms; starts the next one."""
        now = self.clock()
        elapsed, self._last = (now - self._last) * 1000, now
        return elapsed

    def step(self, step: str, verdict: str, action: str, reason: str = "", score: float | None = None) -> None:
        """Adds one step's verdict and action, timed since the step before."""
        self.steps.append(StepVerdict(step, verdict, action, reason, score, self.elapsed_ms()))

    def add_dependency(self, dependency: str, draw: ServiceDraw, measured_ms: float) -> None:
        """Logs a call of a dependency."""
        latency = measured_ms if self.service is None else draw.latency_ms
        call_id = f"{self.message.interaction_id}:{dependency}"
        self.dependency_calls.append(
            DependencyCall(call_id, dependency, latency, draw.error_type, draw.timed_out, measured_ms)
        )

    def add_model_call(
        self,
        generator: Generator,
        generation: Generation | None,
        draw: ServiceDraw,
        price: Price | None,
        measured_ms: float,
    ) -> None:
        """Logs a call of the generator; `generation` is None if it failed."""
        self.model_calls.append(
            ModelCall(
                call_id=f"{self.message.interaction_id}:model{len(self.model_calls)}",
                operation="chat",
                provider=generator.provider,
                model=generation.model if generation else generator.model,
                latency_ms=measured_ms if self.service is None else draw.latency_ms,
                tokens_in=generation.tokens_in if generation else 0,
                tokens_cached=generation.tokens_cached if generation else 0,
                tokens_out=generation.tokens_out if generation else 0,
                cost_usd=(price.cost(generation) if price else None) if generation else 0.0,
                error_type=draw.error_type,
                timed_out=draw.timed_out,
                measured_ms=measured_ms,
            )
        )

    def finish(self, answer: Answer, disclosure: str = "") -> Reply:
        """The decision record; `disclosure` goes before the answer."""
        measured = (self.clock() - self._started) * 1000
        costs = [call.cost_usd for call in self.model_calls]
        return Reply(
            interaction_id=self.message.interaction_id,
            kind=answer.kind,
            text=f"{disclosure}\n\n{answer.text}" if disclosure else answer.text,
            intent_pred=self.intent,
            intent_conf=self.confidence,
            safety_route=answer.safety_route,
            escalated=answer.kind is ReplyKind.HANDOVER,
            escalation_reason=answer.escalation_reason,
            workflow=answer.workflow,
            workflow_status=answer.workflow_status,
            sources=answer.sources,
            options=answer.options,
            model=self.answered_by,
            tokens_in=sum(call.tokens_in for call in self.model_calls),
            tokens_cached=sum(call.tokens_cached for call in self.model_calls),
            tokens_out=sum(call.tokens_out for call in self.model_calls),
            cost_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
            error_type=self.error_type,
            timed_out=self.timed_out,
            latency_ms=measured if self.service is None else round(self.latency_ms, 1),
            grounded=answer.grounded,
            steps=tuple(self.steps),
            model_calls=tuple(self.model_calls),
            dependency_calls=tuple(self.dependency_calls),
            workflow_runs=tuple(self.workflow_runs),
            measured_ms=measured,
            disclosure=disclosure,
            cached=self.saved is not None,
            tokens_saved=self.saved.tokens if self.saved else 0,
            cost_saved_usd=self.saved.cost_usd if self.saved else 0.0,
            private=tuple(self.private),
        )
