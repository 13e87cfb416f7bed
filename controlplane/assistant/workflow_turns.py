"""Turns that belong to a workflow: starting, asking on, executing behind the bank's circuit breaker, leaving.

Rules
- What the bank refuses for a reason of its own (a card that is not blocked) is an answer; only silence and failures of the
  bank itself count against its breaker. While it is open nothing is executed and the run waits, to be tried again.
"""

from dataclasses import replace

from controlplane.assistant import dialogue
from controlplane.assistant.breaker import CircuitBreaker
from controlplane.assistant.model import (
    ConversationState,
    IntentPrediction,
    Message,
    PendingWorkflow,
    SafetyRoute,
)
from controlplane.assistant.parts import AssistantParts
from controlplane.assistant.replies import Served
from controlplane.assistant.service import ServiceDraw
from controlplane.assistant.turn import Answer, Turn
from controlplane.assistant.workflow import Outcome, WorkflowEngine

BANK_FAILURES = frozenset({"timeout", "service_error", "unavailable", "connection", "bank_unavailable", "bank_error"})


class WorkflowTurns:
    """The workflows of one release in conversation."""

    def __init__(self, parts: AssistantParts, breaker: CircuitBreaker) -> None:
        """`breaker` is the bank's."""
        self._engine = WorkflowEngine(parts.bank, parts.execution_enabled, parts.policy.workflow_confidence)
        self._answer_confidence = parts.policy.answer_confidence
        self._breaker = breaker

    def understands(self, pending: PendingWorkflow | None, message: Message) -> bool:
        """Whether a run waits and this message answers what it asked."""
        return pending is not None and self._engine.understands(pending, message)

    def changes_subject(self, pending: PendingWorkflow, prediction: IntentPrediction) -> bool:
        """Whether a message that does not answer the run is clearly about something else."""
        stays = prediction.label in (self._engine.intent_of(pending), dialogue.OUT_OF_SCOPE)
        return not stays and prediction.confidence >= self._answer_confidence

    def leave(self, turn: Turn, state: ConversationState) -> ConversationState:
        """The customer leaves the run that waits, if one does."""
        if state.pending is None:
            return state
        turn.workflow_runs.append(self._engine.abandon(state.pending, turn.message))
        return replace(state, pending=None)

    def start(self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction) -> Served | None:
        """Begins the workflow of a sure enough intent; None for a mere question or where there is none."""
        workflow = self._engine.for_message(prediction.label, prediction.confidence, question)
        if workflow is None:
            return None
        outcome = self._engine.start(workflow, turn.message)
        if outcome.ready and outcome.pending is not None:
            return self._execute(turn, state, outcome.pending)
        return self._after(turn, state, outcome)

    def intake(self, turn: Turn, served: Served, route: SafetyRoute, prediction: IntentPrediction) -> Served:
        """A hand-over that also takes the details of its subject while the customer waits, where a workflow does that."""
        state, answer = served
        outcome = self._engine.intake(route, prediction.label, prediction.confidence, turn.message)
        if outcome is None or outcome.pending is None:
            return served
        started, _ = self._after(turn, state, outcome)
        answer.text = f"{answer.text} {outcome.text}"
        answer.workflow, answer.workflow_status = outcome.workflow, outcome.status
        return started, answer

    def go_on(self, turn: Turn, state: ConversationState, pending: PendingWorkflow) -> Served:
        """Takes the customer's next word to a run, and executes it on a yes."""
        if not self._engine.wants_execution(pending, turn.message):
            return self._after(turn, state, self._engine.advance(pending, turn.message))
        return self._execute(turn, state, pending)

    def _execute(self, turn: Turn, state: ConversationState, pending: PendingWorkflow) -> Served:
        now = turn.message.ts
        if not self._breaker.allow(now):
            draw = ServiceDraw(0.0, "breaker_open")
            return self._after(turn, state, self._engine.execute(pending, turn.message, draw))
        draw = turn.draw("bank")
        turn.elapsed_ms()
        operation = turn.trace.tool(pending.workflow, pending.idempotency_key)
        succeeded, error = False, "failed"
        try:
            outcome = self._engine.execute(pending, turn.message, draw)
            error = (outcome.run.error_type if outcome.run else None) or ""
            succeeded = not draw.failed and error not in BANK_FAILURES
        finally:
            self._breaker.record(succeeded, now)
            operation.end(error or None)
        served = self._after(turn, state, outcome)
        turn.add_dependency("bank", draw, turn.steps[-1].measured_ms)
        return served

    def _after(self, turn: Turn, state: ConversationState, outcome: Outcome) -> Served:
        error = outcome.run.error_type if outcome.run else None
        turn.step("workflow", outcome.status, outcome.kind, error or outcome.workflow)
        if outcome.run is not None:
            turn.workflow_runs.append(outcome.run)
        turn.private += self._engine.private_values(state.pending, outcome, turn.message)
        state = replace(state, pending=outcome.pending, handed_over=state.handed_over or outcome.handover)
        answer = Answer(
            outcome.kind, outcome.text, outcome.reason, workflow=outcome.workflow, workflow_status=outcome.status
        )
        return state, answer
