"""The assistant: intent -> safety -> (workflow | retrieval -> generation -> groundedness) -> output check.

Rules
- Mandatory people come before everything else, also in the middle of a workflow.
- Below `answer_confidence` the assistant asks back with choices, once; then a person takes over. A workflow needs more
  confidence than an answer, and a question about a subject gets an answer, not a workflow.
- The generator stands behind a circuit breaker. When it fails or is left alone the extractive generator answers; if that
  is the generator that failed, the customer gets the titles of the best pages to choose from.
- `respond` keeps nothing about a conversation. What it shares between conversations is the breaker, and the bank.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from controlplane.assistant import dialogue, groundedness, safety
from controlplane.assistant.breaker import CircuitBreaker
from controlplane.assistant.generation import ExtractiveGenerator
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import (
    ConversationState,
    EscalationReason,
    IntentPrediction,
    Message,
    Passage,
    PendingWorkflow,
    ReleaseArtefacts,
    Reply,
    ReplyKind,
    SafetyRoute,
)
from controlplane.assistant.protocols import (
    Bank,
    Classifier,
    Generation,
    GenerationError,
    GenerationRequest,
    Generator,
)
from controlplane.assistant.retrieval import Bm25Index, Hit
from controlplane.assistant.service import ServiceDraw, ServiceProfile
from controlplane.assistant.turn import Answer, ModelPrice, Turn
from controlplane.assistant.workflow import Outcome, WorkflowEngine

Served = tuple[ConversationState, Answer]


@dataclass(frozen=True, slots=True)
class AssistantPolicy:
    """Thresholds of the pipeline. Probabilities in [0, 1], scores of retrieval >= 0."""

    answer_confidence: float = 0.45
    workflow_confidence: float = 0.6
    sensitive_mass: float = safety.SENSITIVE_MASS
    max_clarifications: int = 1
    min_retrieval_score: float = 1.0
    passages: int = 3
    block_ungrounded: bool = False


@dataclass(frozen=True, slots=True)
class AssistantParts:
    """What an assistant is made of. `service` None = real time decides; `price` None = unpriced; `clock` in seconds."""

    artefacts: ReleaseArtefacts
    classifier: Classifier
    knowledge: Knowledge
    generator: Generator
    bank: Bank
    prompt: str
    policy: AssistantPolicy = field(default_factory=AssistantPolicy)
    service: ServiceProfile | None = None
    price: ModelPrice | None = None
    execution_enabled: Callable[[], bool] = lambda: True
    clock: Callable[[], float] = time.perf_counter


@dataclass(frozen=True, slots=True)
class Screening:
    """What a first message is about, and whether it needs a person: the basis of eligibility, the same in both arms."""

    intent: str
    confidence: float
    route: SafetyRoute | None


class Assistant:
    """One release of the assistant, ready to answer."""

    def __init__(self, parts: AssistantParts, breaker: CircuitBreaker | None = None) -> None:
        """`breaker` is the generator's; by default it opens for 30 s after 5 failures in a row."""
        self._parts = parts
        self._policy = parts.policy
        self._index = Bm25Index(parts.knowledge)
        self._breaker = breaker or CircuitBreaker()
        self._fallback = ExtractiveGenerator()
        self._workflows = WorkflowEngine(parts.bank, parts.execution_enabled, parts.policy.workflow_confidence)

    @property
    def artefacts(self) -> ReleaseArtefacts:
        """What this release is made of."""
        return self._parts.artefacts

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        """Answers one message; never raises for what a customer writes."""
        turn = Turn(message, self._parts.service, self._parts.clock)
        state, answer = self._serve(turn, replace(state, turns=state.turns + 1))
        self._check_output(turn, answer)
        return replace(state, last_intent=turn.intent or state.last_intent), turn.finish(answer)

    def screen(self, text: str) -> Screening:
        """Classifies and screens one message without answering it."""
        prediction = self._parts.classifier.predict(text)
        verdict = safety.screen(text, prediction, self._policy.sensitive_mass)
        return Screening(prediction.label, prediction.confidence, verdict.route)

    def _serve(self, turn: Turn, state: ConversationState) -> Served:
        draw = turn.draw("request")
        turn.step("service", draw.error_type or "ok", "apologise" if draw.failed else "continue")
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        if state.handed_over:
            return self._give_up(turn, state, EscalationReason.WITH_PERSON)
        choice = dialogue.pick(state.offered, turn.message.text)
        question, prediction = self._understand(turn, state, choice)
        waiting = state.pending is not None and self._workflows.understands(state.pending, turn.message)
        verdict = safety.screen(turn.message.text, prediction, self._policy.sensitive_mass, bool(choice) or waiting)
        action = "hand_over" if verdict.route or choice == "agent" else "continue"
        turn.step("safety", verdict.route or "clear", action, verdict.reason, verdict.sensitive_mass)
        if verdict.route is not None or choice == "agent":
            route = verdict.route or SafetyRoute.AGENT_REQUEST
            return self._hand_over(turn, state, route, verdict.asks_for_agent or choice == "agent")
        if state.pending is not None:
            if waiting or not self._changes_subject(state.pending, prediction):
                return self._continue_workflow(turn, state, state.pending)
            turn.workflow_runs.append(self._workflows.abandon(state.pending, turn.message))
            state = replace(state, pending=None)
        if choice is not None and choice.startswith("passage:"):
            return self._show_page(turn, state, choice.removeprefix("passage:"))
        return self._help(turn, state, question, prediction)

    def _understand(self, turn: Turn, state: ConversationState, choice: str | None) -> tuple[str, IntentPrediction]:
        """The question to answer and its intent; after a question back the earlier words count too."""
        text = turn.message.text
        if choice is not None:
            question = state.unclear_text or text
            kind, _, value = choice.partition(":")
            prediction = (
                IntentPrediction(value, 1.0, {value: 1.0})
                if kind == "intent"
                else self._parts.classifier.predict(question)
            )
        else:
            question, prediction = text, self._parts.classifier.predict(text)
            if state.unclear_text:
                together = f"{state.unclear_text}. {text}"
                both = self._parts.classifier.predict(together)
                if both.confidence > prediction.confidence:
                    question, prediction = together, both
        turn.intent, turn.confidence = prediction.label, prediction.confidence
        turn.step("intent", prediction.label, "chosen" if choice else "predicted", score=prediction.confidence)
        return question, prediction

    def _help(self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction) -> Served:
        if prediction.label == dialogue.OUT_OF_SCOPE:
            return self._decline(turn, state)
        if prediction.confidence < self._policy.answer_confidence:
            return self._ask_back(turn, state, question, prediction)
        state = replace(state, unclear_text="", offered=(), clarifications=0)
        workflow = self._workflows.for_intent(prediction.label, prediction.confidence)
        if workflow is not None and not dialogue.asks_for_information(question):
            return self._after_workflow(turn, state, self._workflows.start(workflow, turn.message))
        return self._answer(turn, state, question, prediction)

    def _answer(self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction) -> Served:
        draw = turn.draw("knowledge")
        turn.elapsed_ms()
        hits = () if draw.failed else self._index.search(question, prediction, self._policy.passages)
        best = hits[0].score if hits else 0.0
        found = best >= self._policy.min_retrieval_score
        verdict = draw.error_type or ("found" if found else "nothing")
        turn.step("retrieval", verdict, "continue" if found else "stop", score=best)
        turn.add_dependency("knowledge", draw, turn.steps[-1].measured_ms)
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        if not found:
            return self._give_up(turn, state, EscalationReason.NO_ANSWER)
        passages = tuple(hit.passage for hit in hits)
        generation = self._generate(turn, question, passages)
        if generation is None:
            return self._offer_pages(state, hits)
        return state, self._judge(turn, question, passages, generation)

    def _generate(self, turn: Turn, question: str, passages: tuple[Passage, ...]) -> Generation | None:
        """An answer of the generator, else of the fallback; None if the fallback is what failed."""
        request = GenerationRequest(turn.message.interaction_id, self._parts.prompt, question, passages)
        generator, now = self._parts.generator, turn.message.ts
        generation = None
        if self._breaker.allow(now):
            try:
                generation, error = self._call_model(turn, generator, request)
            finally:
                self._breaker.record(generation is not None, now)
            turn.step("generation", error or "answered", "fall_back" if error else "continue", generator.model)
        else:
            turn.step("generation", "breaker_open", "fall_back", generator.model)
        if generation is None and not isinstance(generator, ExtractiveGenerator):
            return self._fallback.generate(request)
        return generation

    def _call_model(
        self, turn: Turn, generator: Generator, request: GenerationRequest
    ) -> tuple[Generation | None, str | None]:
        draw = turn.draw("model")
        generation = None
        turn.elapsed_ms()
        started = self._parts.clock()
        if not draw.failed:
            try:
                generation = generator.generate(request)
            except GenerationError as error:
                draw = ServiceDraw(draw.latency_ms, error.error_type, error.timed_out)
                turn.fail(f"model_{error.error_type}", error.timed_out)
        measured = (self._parts.clock() - started) * 1000
        turn.add_model_call(generator, generation, draw, self._parts.price, measured)
        return generation, draw.error_type

    def _judge(self, turn: Turn, question: str, passages: tuple[Passage, ...], generation: Generation) -> Answer:
        """Scores the answer against its passages; an ungrounded one is replaced where the policy says so."""
        judged = groundedness.score(generation.text, passages)
        blocked = judged.label == groundedness.UNGROUNDED and self._policy.block_ungrounded
        turn.step("groundedness", judged.label, "replace" if blocked else "continue", score=judged.score)
        if blocked:
            request = GenerationRequest(turn.message.interaction_id, self._parts.prompt, question, passages)
            generation = self._fallback.generate(request)
            judged = groundedness.score(generation.text, passages)
        turn.answered_by = generation.model
        sources = generation.sources or tuple(passage.id for passage in passages)
        return Answer(ReplyKind.ANSWER, generation.text, sources=sources, grounded=judged.score)

    def _show_page(self, turn: Turn, state: ConversationState, passage_id: str) -> Served:
        passage = self._parts.knowledge.get(passage_id)
        turn.step("retrieval", "chosen", "continue", passage_id)
        return replace(state, offered=()), Answer(ReplyKind.ANSWER, passage.body, sources=(passage_id,), grounded=1.0)

    def _offer_pages(self, state: ConversationState, hits: tuple[Hit, ...]) -> Served:
        options = (*(hit.passage.title for hit in hits), dialogue.AGENT_OPTION)
        offered = (*(f"passage:{hit.passage.id}" for hit in hits), "agent")
        text = dialogue.numbered(dialogue.NO_WORDS, options)
        return replace(state, offered=offered), Answer(ReplyKind.MENU, text, options=options)

    def _ask_back(self, turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction) -> Served:
        if state.clarifications >= self._policy.max_clarifications:
            return self._give_up(turn, state, EscalationReason.LOW_CONFIDENCE)
        intents = dialogue.candidates(prediction)
        options = (*(dialogue.SUBJECTS[intent] for intent in intents), dialogue.ELSE_OPTION)
        text = dialogue.numbered(dialogue.WHICH, options) if intents else dialogue.OTHER_WORDS
        turn.step("dialogue", "unsure", "ask_back", score=prediction.confidence)
        state = replace(
            state,
            unclear_text=question,
            clarifications=state.clarifications + 1,
            offered=(*(f"intent:{intent}" for intent in intents), "else") if intents else (),
        )
        return state, Answer(ReplyKind.CLARIFY, text, options=options if intents else ())

    def _decline(self, turn: Turn, state: ConversationState) -> Served:
        if state.clarifications >= self._policy.max_clarifications:
            return self._give_up(turn, state, EscalationReason.OUT_OF_SCOPE)
        turn.step("dialogue", "out_of_scope", "decline")
        return replace(state, clarifications=state.clarifications + 1), Answer(ReplyKind.DECLINE, dialogue.CANNOT)

    def _continue_workflow(self, turn: Turn, state: ConversationState, pending: PendingWorkflow) -> Served:
        if not self._workflows.wants_execution(pending, turn.message):
            return self._after_workflow(turn, state, self._workflows.advance(pending, turn.message))
        draw = turn.draw("bank")
        turn.elapsed_ms()
        outcome = self._workflows.execute(pending, turn.message, draw)
        served = self._after_workflow(turn, state, outcome)
        turn.add_dependency("bank", draw, turn.steps[-1].measured_ms)
        return served

    def _after_workflow(self, turn: Turn, state: ConversationState, outcome: Outcome) -> Served:
        error = outcome.run.error_type if outcome.run else None
        turn.step("workflow", outcome.status, outcome.kind, error or outcome.workflow)
        if outcome.run is not None:
            turn.workflow_runs.append(outcome.run)
        reason = None
        if outcome.handover:
            disabled = error == "execution_disabled"
            reason = EscalationReason.EXECUTION_DISABLED if disabled else EscalationReason.FAILURE
        state = replace(state, pending=outcome.pending, handed_over=outcome.handover)
        return state, Answer(
            outcome.kind, outcome.text, reason, workflow=outcome.workflow, workflow_status=outcome.status
        )

    def _changes_subject(self, pending: PendingWorkflow, prediction: IntentPrediction) -> bool:
        stays = prediction.label in (self._workflows.intent_of(pending), dialogue.OUT_OF_SCOPE)
        return not stays and prediction.confidence >= self._policy.answer_confidence

    def _hand_over(self, turn: Turn, state: ConversationState, route: SafetyRoute, asked: bool) -> Served:
        if state.pending is not None:
            turn.workflow_runs.append(self._workflows.abandon(state.pending, turn.message))
        reason = EscalationReason.AGENT_REQUEST if asked else EscalationReason.MANDATORY_CATEGORY
        answer = Answer(ReplyKind.HANDOVER, dialogue.HANDOVERS[route], reason, safety_route=route)
        return replace(state, pending=None, offered=(), handed_over=True), answer

    def _give_up(self, turn: Turn, state: ConversationState, reason: EscalationReason) -> Served:
        turn.step("dialogue", reason, "hand_over")
        answer = Answer(ReplyKind.HANDOVER, dialogue.GIVING_UP[reason], reason)
        return replace(state, pending=None, offered=(), handed_over=True), answer

    def _check_output(self, turn: Turn, answer: Answer) -> None:
        masked = safety.check_output(answer.text)
        changed = masked != answer.text
        answer.text = masked
        turn.step("output", "personal_data" if changed else "clean", "masked" if changed else "sent")
