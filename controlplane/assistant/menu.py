"""The rule-based menu that the assistant replaces: numbered choices and keywords over the same pages and workflows.

Rules
- Main menu = topics of the knowledge base, then "Talk to an agent". A topic lists its pages, a page shows its text, a page
  with a workflow offers it. Numbers choose.
- Free text is matched by whole keywords of the pages only: one clear winner opens its page, several list themselves,
  none shows the main menu. Two misses in a row offer a person.
- Mandatory people by the written rules of `safety` alone: a menu has no probabilities.
"""

import re
import time
from collections.abc import Callable
from dataclasses import replace

from controlplane.assistant import dialogue, safety
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import (
    ConversationState,
    EscalationReason,
    Message,
    Passage,
    PendingWorkflow,
    Reply,
    ReplyKind,
    SafetyRoute,
)
from controlplane.assistant.protocols import Bank
from controlplane.assistant.service import ServiceProfile
from controlplane.assistant.text import normalise
from controlplane.assistant.turn import Answer, Turn
from controlplane.assistant.workflow import Outcome, WorkflowEngine
from controlplane.core.masking import mask

MENU_MODEL = "menu-1"
MAX_LISTED = 4
MAX_MISSES = 2
WELCOME = "Welcome to Alder Bank. What is it about? Please answer with a number."
NOT_UNDERSTOOD = "Sorry, I did not understand that. What is it about? Please answer with a number."
CHOOSE = "Which of these do you need? Please answer with a number."

Served = tuple[ConversationState, Answer]


class Menu:
    """The baseline, ready to answer; the same signature and the same records as the assistant."""

    def __init__(
        self,
        knowledge: Knowledge,
        bank: Bank,
        service: ServiceProfile | None = None,
        execution_enabled: Callable[[], bool] = lambda: True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """A menu over these pages."""
        self._knowledge = knowledge
        self._service = service
        self._clock = clock
        self._workflows = WorkflowEngine(bank, execution_enabled, min_confidence=0.0)
        for page in knowledge.passages:
            if page.workflow is not None and not self._workflows.knows(page.workflow):
                raise ValueError(f"page {page.id}: no workflow {page.workflow!r}; correct its head or remove the line")
        self._topics = tuple(dict.fromkeys(passage.topic for passage in knowledge.passages))
        self._keywords = [
            (p, re.compile("|".join(rf"\b{re.escape(word)}\b" for word in p.keywords) or r"(?!)"))
            for p in self._pages()
        ]

    def respond(self, state: ConversationState, message: Message) -> tuple[ConversationState, Reply]:
        """Answers one message."""
        turn = Turn(message, self._service, self._clock, answered_by=MENU_MODEL)
        state, answer = self._serve(turn, replace(state, turns=state.turns + 1))
        answer.text = mask(answer.text)
        return replace(state, last_intent=turn.intent or state.last_intent), turn.finish(answer)

    def _serve(self, turn: Turn, state: ConversationState) -> Served:
        draw = turn.draw("request")
        turn.step("service", draw.error_type or "ok", "apologise" if draw.failed else "continue")
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        if state.handed_over:
            return self._with_person(turn, state)
        choice = dialogue.pick(state.offered, turn.message.text)
        routes = safety.rule_routes(turn.message.text)
        if not routes and state.mandatory is not None:
            routes = (state.mandatory,)  # what screening sent to a person reaches one, whichever arm serves
        turn.step("safety", routes[0] if routes else "clear", "hand_over" if routes else "continue")
        if routes or choice == "agent":
            return self._hand_over(turn, state, routes)
        if state.pending is not None:
            return self._continue_workflow(turn, state, state.pending)
        if choice is None:
            return self._match(turn, state)
        kind, _, value = choice.partition(":")
        if kind == "topic":
            return self._list([p for p in self._pages() if p.topic == value], state)
        return self._open(turn, state, self._knowledge.get(value))

    def _match(self, turn: Turn, state: ConversationState) -> Served:
        """Opens, lists or misses, by the number of different keywords a page has in the message."""
        plain = normalise(turn.message.text)
        hits = [(len(set(pattern.findall(plain))), passage) for passage, pattern in self._keywords]
        best = max(count for count, _ in hits)
        winners = [passage for count, passage in hits if count == best]
        turn.step("keywords", f"{len(winners)} pages" if best else "none", "continue", score=float(best))
        if best == 0 or len(winners) > MAX_LISTED:
            missed = state.turns > 1 and best == 0
            return self._main(replace(state, clarifications=state.clarifications + missed))
        if len(winners) > 1:
            return self._list(winners, state)
        return self._open(turn, state, winners[0])

    def _open(self, turn: Turn, state: ConversationState, passage: Passage) -> Served:
        """Shows a page; one with a workflow starts it."""
        turn.intent = passage.intents[0] if passage.intents else None
        state = replace(state, offered=(), clarifications=0)
        draw = turn.draw("knowledge")
        turn.step("page", draw.error_type or passage.id, "apologise" if draw.failed else "show")
        turn.add_dependency("knowledge", draw, turn.steps[-1].measured_ms)
        if draw.failed:
            return state, Answer(ReplyKind.ERROR, dialogue.TROUBLE)
        if passage.workflow is not None:
            served = self._start(turn, state, passage.workflow)
            if served is not None:
                return served
        return state, Answer(ReplyKind.ANSWER, passage.body, sources=(passage.id,), grounded=1.0)

    def _start(self, turn: Turn, state: ConversationState, workflow: str) -> Served | None:
        """The page's workflow; one that belongs to a person calls them first. None where a question only wants the page."""
        route = safety.SENSITIVE_INTENTS.get(turn.intent or "")
        if route is not None:
            turn.step("safety", route, "hand_over")
            state, answer = self._hand_over(turn, state, (route,))
            outcome = self._workflows.intake(route, turn.intent or "", 1.0, turn.message)
            if outcome is None:
                return state, answer
            started, _ = self._after_workflow(turn, state, outcome)
            answer.text = f"{answer.text} {outcome.text}"
            answer.workflow, answer.workflow_status = outcome.workflow, outcome.status
            return started, answer
        if self._workflows.only_reads(workflow) or not dialogue.asks_for_information(turn.message.text):
            outcome = self._workflows.start(workflow, turn.message)
            if outcome.ready and outcome.pending is not None:
                return self._execute(turn, state, outcome.pending)
            return self._after_workflow(turn, state, outcome)
        return None

    def _list(self, pages: list[Passage], state: ConversationState) -> Served:
        options = (*(page.title for page in pages), dialogue.AGENT_OPTION)
        state = replace(state, offered=(*(f"passage:{page.id}" for page in pages), "agent"))
        return state, Answer(ReplyKind.MENU, dialogue.numbered(CHOOSE, options), options=options)

    def _main(self, state: ConversationState) -> Served:
        if state.clarifications >= MAX_MISSES:
            return self._give_up(state)
        options = (*self._topics, dialogue.AGENT_OPTION)
        state = replace(state, offered=(*(f"topic:{topic}" for topic in self._topics), "agent"))
        intro = NOT_UNDERSTOOD if state.clarifications else WELCOME
        return state, Answer(ReplyKind.MENU, dialogue.numbered(intro, options), options=options)

    def _continue_workflow(self, turn: Turn, state: ConversationState, pending: PendingWorkflow) -> Served:
        if not self._workflows.wants_execution(pending, turn.message):
            return self._after_workflow(turn, state, self._workflows.advance(pending, turn.message))
        return self._execute(turn, state, pending)

    def _execute(self, turn: Turn, state: ConversationState, pending: PendingWorkflow) -> Served:
        draw = turn.draw("bank")
        turn.elapsed_ms()
        served = self._after_workflow(turn, state, self._workflows.execute(pending, turn.message, draw))
        turn.add_dependency("bank", draw, turn.steps[-1].measured_ms)
        return served

    def _after_workflow(self, turn: Turn, state: ConversationState, outcome: Outcome) -> Served:
        turn.step("workflow", outcome.status, outcome.kind, outcome.workflow)
        if outcome.run is not None:
            turn.workflow_runs.append(outcome.run)
        turn.private += self._workflows.private_values(state.pending, outcome, turn.message)
        state = replace(state, pending=outcome.pending, handed_over=state.handed_over or outcome.handover)
        return state, Answer(
            outcome.kind,
            outcome.text,
            outcome.reason,
            workflow=outcome.workflow,
            workflow_status=outcome.status,
        )

    def _hand_over(self, turn: Turn, state: ConversationState, routes: tuple[SafetyRoute, ...]) -> Served:
        if state.pending is not None:
            turn.workflow_runs.append(self._workflows.abandon(state.pending, turn.message))
        asked = not routes or SafetyRoute.AGENT_REQUEST in routes
        route = routes[0] if routes else SafetyRoute.AGENT_REQUEST
        reason = EscalationReason.AGENT_REQUEST if asked else EscalationReason.MANDATORY_CATEGORY
        answer = Answer(ReplyKind.HANDOVER, dialogue.HANDOVERS[route], reason, safety_route=route)
        return replace(state, pending=None, offered=(), handed_over=True), answer

    def _give_up(self, state: ConversationState) -> Served:
        reason = EscalationReason.LOW_CONFIDENCE
        return replace(state, offered=(), handed_over=True), Answer(
            ReplyKind.HANDOVER, dialogue.GIVING_UP[reason], reason
        )

    def _with_person(self, turn: Turn, state: ConversationState) -> Served:
        """A person has the conversation; only details for their case are still taken, and what safety hears is passed on."""
        pending = state.pending
        if pending is not None:
            routes = tuple(r for r in safety.rule_routes(turn.message.text) if r is not SafetyRoute.FINANCIAL_DISPUTE)
            turn.step("safety", routes[0] if routes else "clear", "hand_over" if routes else "continue")
            if routes:
                return self._hand_over(turn, state, routes)
            if self._workflows.understands(pending, turn.message):
                return self._continue_workflow(turn, state, pending)
            turn.workflow_runs.append(self._workflows.abandon(pending, turn.message))
        reason = EscalationReason.WITH_PERSON
        return replace(state, pending=None), Answer(ReplyKind.HANDOVER, dialogue.GIVING_UP[reason], reason)

    def _pages(self) -> tuple[Passage, ...]:
        return self._knowledge.passages
