"""The assistant: intent -> safety -> (workflow | retrieval -> generation -> groundedness) -> output check.

Rules
- Mandatory people come before everything else, also in the middle of a workflow and above the rate limit.
- A text that gives the assistant orders reaches no model and executes no workflow.
- Below `answer_confidence` the assistant asks back with choices, once; then a person takes over. A workflow needs more
  confidence than an answer, and a question about a subject gets an answer, not a workflow.
- A message of nothing but a greeting, thanks or goodbye gets one back in fixed words; it neither asks nor costs anything.
- Every dependency stands behind a circuit breaker. When a model fails or is left alone a smaller one answers, then the
  passages' own sentences, then the customer chooses from pages, then a person takes over.
- The first reply of a conversation says that a machine answers.
- `respond` keeps nothing about a conversation. What it shares between conversations are breakers, cache, rate limit, bank.
"""

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import lru_cache

from controlplane.assistant import dialogue, injection, replies, safety
from controlplane.assistant.answering import Answering, Draft
from controlplane.assistant.breaker import Breakers
from controlplane.assistant.ladder import Piece
from controlplane.assistant.model import (
    ConversationState,
    EscalationReason,
    IntentPrediction,
    Message,
    ReleaseArtefacts,
    Reply,
    ReplyKind,
    SafetyRoute,
)
from controlplane.assistant.output_check import check_output
from controlplane.assistant.parts import AssistantParts, AssistantPolicy, Screening
from controlplane.assistant.replies import Served
from controlplane.assistant.streaming import SentenceGate, by_sentence
from controlplane.assistant.tracing import Trace
from controlplane.assistant.turn import Answer, Turn
from controlplane.assistant.workflow_turns import WorkflowTurns

__all__ = ["Assistant", "AssistantParts", "AssistantPolicy", "Screening"]

SILENT_KINDS = frozenset({ReplyKind.ERROR, ReplyKind.RATE_LIMITED})


class Assistant:
    """One release of the assistant, ready to answer."""

    def __init__(self, parts: AssistantParts, breakers: Breakers | None = None) -> None:
        """`breakers` may be shared with other assistants that use the same models, knowledge and bank."""
        self._parts = parts
        self._policy = parts.policy
        self.breakers = breakers or Breakers()
        # A first message is screened before an arm is drawn and classified again when it is answered.
        self._predict = lru_cache(maxsize=64)(parts.classifier.predict)
        self._answering = Answering(parts, self.breakers)
        self._workflows = WorkflowTurns(parts, self.breakers.of("bank"))

    @property
    def artefacts(self) -> ReleaseArtefacts:
        """What this release is made of."""
        return self._parts.artefacts

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        """Answers one message; never raises for what a customer writes."""
        turn = self._begin(message)
        try:
            served = self._serve(turn, replace(state, turns=state.turns + 1))
            if isinstance(served, Draft):
                served = _drain(self._answering.write(turn, served, streamed=False))
            return self._finish(turn, *served)
        except BaseException as error:
            turn.trace.abort(error)
            raise

    def stream(self, state: ConversationState, message: Message) -> Iterator[str | tuple[ConversationState, Reply]]:
        """Answers one message in pieces as they are written, then yields what `respond` returns.

        The pieces together are the reply's text. Where the policy replaces ungrounded answers nothing leaves before the
        whole answer is judged.
        """
        turn = self._begin(message)
        try:
            served = self._serve(turn, replace(state, turns=state.turns + 1))
            gate = SentenceGate(self._may_leave)
            told = ""
            if isinstance(served, Draft):
                if not served.state.disclosed:
                    told = f"{dialogue.DISCLOSURE}\n\n"
                    yield told
                writing = self._answering.write(turn, served, streamed=not self._policy.block_ungrounded)
                served = yield from _through(gate, writing)
            state, reply = self._finish(turn, *served)
            text, rest = gate.close(reply.text.removeprefix(told))
            yield from by_sentence(rest)
            yield state, replace(reply, text=told + text)
        except BaseException as error:
            turn.trace.abort(error)
            raise

    def screen(self, text: str) -> Screening:
        """Classifies and screens one message without answering it."""
        prediction = self._predict(text)
        courtesy = dialogue.small_talk(text) is not None
        verdict = safety.screen(text, prediction, self._policy.sensitive_mass, courtesy)
        return Screening(prediction.label, prediction.confidence, verdict.route)

    def _begin(self, message: Message) -> Turn:
        telemetry = self._parts.telemetry
        trace = Trace() if telemetry is None else telemetry.begin(message, self._parts.artefacts)
        return Turn(message, self._parts.service, self._parts.clock, trace=trace)

    def _serve(self, turn: Turn, state: ConversationState) -> Served | Draft:
        draw = turn.draw("request")
        turn.step("service", draw.error_type or "ok", "apologise" if draw.failed else "continue")
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        if state.handed_over:
            return self._with_person(turn, state)
        turn.pages_offered = any(choice.startswith("passage:") for choice in state.offered)
        choice = dialogue.pick(state.offered, turn.message.text)
        question, prediction = self._understand(turn, state, choice)
        waiting = self._workflows.understands(state.pending, turn.message)
        courtesy = dialogue.small_talk(turn.message.text) if choice is None else None
        by_rules = choice is not None or waiting or courtesy is not None
        stopped = self._stop(turn, state, prediction, choice, by_rules)
        if stopped is not None:
            return stopped
        if state.pending is not None:
            if waiting or not self._workflows.changes_subject(state.pending, prediction):
                return self._workflows.go_on(turn, state, state.pending)
            state = self._workflows.leave(turn, state)
        if choice is not None and choice.startswith("passage:"):
            return self._answering.show_page(turn, state, choice.removeprefix("passage:"))
        if courtesy is not None:
            return replies.small_talk(turn, state, courtesy)
        return self._help(turn, state, question, prediction, chosen=choice is not None)

    def _with_person(self, turn: Turn, state: ConversationState) -> Served:
        """A person has the conversation; only details for their case are still taken, and what safety hears is passed on."""
        routes = [r for r in safety.rule_routes(turn.message.text) if r is not SafetyRoute.FINANCIAL_DISPUTE]
        pending = state.pending
        if pending is not None and not routes and injection.inspect(turn.message.text).found:
            turn.step("injection", "found", "stop_workflow")
        elif pending is not None and not routes and self._workflows.understands(pending, turn.message):
            turn.step("safety", "clear", "continue")
            return self._workflows.go_on(turn, state, pending)
        if pending is not None and routes:
            turn.step("safety", routes[0], "hand_over")
            asked = SafetyRoute.AGENT_REQUEST in routes
            return replies.hand_over(self._workflows.leave(turn, state), routes[0], asked)
        return replies.give_up(turn, self._workflows.leave(turn, state), EscalationReason.WITH_PERSON)

    def _stop(
        self, turn: Turn, state: ConversationState, prediction: IntentPrediction, choice: str | None, by_rules: bool
    ) -> Served | None:
        """What keeps a message from being worked on: a person must have it, it gives orders, or there are too many.

        `by_rules`: an answer to our own question, or a mere courtesy, of which a probability says nothing.
        """
        text = turn.message.text
        verdict = safety.screen(text, prediction, self._policy.sensitive_mass, by_rules)
        action = "hand_over" if verdict.route or choice == "agent" else "continue"
        turn.step("safety", verdict.route or "clear", action, verdict.reason, verdict.sensitive_mass)
        if verdict.route is not None or choice == "agent":
            state = self._workflows.leave(turn, state)
            route = verdict.route or SafetyRoute.AGENT_REQUEST
            served = replies.hand_over(state, route, verdict.asks_for_agent or choice == "agent")
            return served if len(verdict.routes) != 1 else self._workflows.intake(turn, served, route, prediction)
        if verdict.injection:
            return replies.refuse_injection(turn, state, verdict.reason)
        limiter = self._parts.limiter
        if limiter is not None and not limiter.allow(turn.message.user_id, turn.message.ts):
            return replies.refuse_rate(turn, state)
        return None

    def _understand(self, turn: Turn, state: ConversationState, choice: str | None) -> tuple[str, IntentPrediction]:
        """The question to answer and its intent; after a question back the earlier words count too."""
        text = turn.message.text
        if choice is not None:
            question = state.unclear_text or text
            kind, _, value = choice.partition(":")
            prediction = IntentPrediction(value, 1.0, {value: 1.0}) if kind == "intent" else self._predict(question)
        else:
            question, prediction = text, self._predict(text)
            if state.unclear_text:
                together = f"{state.unclear_text}. {text}"
                both = self._predict(together)
                if both.confidence > prediction.confidence:
                    question, prediction = together, both
        turn.intent, turn.confidence = prediction.label, prediction.confidence
        turn.step("intent", prediction.label, "chosen" if choice else "predicted", score=prediction.confidence)
        return question, prediction

    def _help(
        self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction, chosen: bool
    ) -> Served | Draft:
        limit = self._policy.max_clarifications
        if prediction.label == dialogue.OUT_OF_SCOPE:
            return replies.decline(turn, state, limit)
        if not chosen and prediction.in_scope < self._parts.scope_threshold:
            return replies.decline(turn, state, limit, prediction.in_scope)
        if prediction.confidence < self._policy.answer_confidence:
            return replies.ask_back(turn, state, question, prediction, limit)
        state = replace(state, unclear_text="", offered=(), clarifications=0)
        started = self._workflows.start(turn, state, question, prediction)
        return started or self._answering.find(turn, state, question, prediction)

    def _finish(self, turn: Turn, state: ConversationState, answer: Answer) -> tuple[ConversationState, Reply]:
        """Checks what is about to leave, says once who is speaking, and closes the record."""
        output = answer.checked or check_output(answer.text, self._parts.prompt)
        action = "blocked" if output.blocked else "masked" if output.text != answer.text else "sent"
        turn.step("output", ",".join(output.findings) or "clean", action)
        answer.text = output.text
        silent = answer.kind in SILENT_KINDS or answer.escalation_reason is EscalationReason.WITH_PERSON
        discloses = not state.disclosed and not silent
        reply = turn.finish(answer, dialogue.DISCLOSURE if discloses else "")
        turn.trace.finish(reply)
        state = replace(state, last_intent=turn.intent or state.last_intent, disclosed=state.disclosed or discloses)
        return state, reply

    def _may_leave(self, text: str) -> str | None:
        output = check_output(text, self._parts.prompt)
        return None if output.blocked else output.text


def _drain(writing: Generator[Piece, None, Served]) -> Served:
    """The result of an answer that nobody reads on the way."""
    while True:
        try:
            next(writing)
        except StopIteration as end:
            served: Served = end.value
            return served


def _through(gate: SentenceGate, writing: Generator[Piece, None, Served]) -> Generator[str, None, Served]:
    """Hands out what the gate lets through; closes the model's stream when its reader leaves."""
    try:
        while True:
            try:
                piece = next(writing)
            except StopIteration as end:
                served: Served = end.value
                return served
            if isinstance(piece, str):
                fresh = gate.write(piece)
                if fresh:
                    yield fresh
            else:
                gate.restart()
    finally:
        writing.close()
