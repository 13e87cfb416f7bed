"""Replies that are no answers: questions back, refusals, hand-overs, pages to choose from. Each logs its step.

Pure in the conversation: a state goes in, the next one and what to say come out.
"""

from dataclasses import replace

from controlplane.assistant import dialogue
from controlplane.assistant.model import (
    SMALL_TALK_VERDICT,
    ConversationState,
    EscalationReason,
    IntentPrediction,
    Passage,
    ReplyKind,
    SafetyRoute,
)
from controlplane.assistant.turn import Answer, Turn

Served = tuple[ConversationState, Answer]


def ask_back(
    turn: Turn, state: ConversationState, question: str, prediction: IntentPrediction, max_clarifications: int
) -> Served:
    """Offers the likeliest subjects; a person takes over when that was tried often enough."""
    if state.clarifications >= max_clarifications:
        return give_up(turn, state, EscalationReason.LOW_CONFIDENCE)
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


def decline(turn: Turn, state: ConversationState, max_clarifications: int, score: float | None = None) -> Served:
    """Says what the assistant can do; a person takes over when that was said often enough."""
    if state.clarifications >= max_clarifications:
        return give_up(turn, state, EscalationReason.OUT_OF_SCOPE)
    turn.step("dialogue", "out_of_scope", "decline", score=score)
    return replace(state, clarifications=state.clarifications + 1), Answer(ReplyKind.DECLINE, dialogue.CANNOT)


def small_talk(turn: Turn, state: ConversationState, kind: str) -> Served:
    """Courtesy for courtesy, in fixed words; the conversation stays where it was."""
    turn.step("dialogue", SMALL_TALK_VERDICT, "answer", kind)
    return state, Answer(ReplyKind.ANSWER, dialogue.SMALL_TALK[kind])


def refuse_injection(turn: Turn, state: ConversationState, reason: str) -> Served:
    """No model sees a text that gives the assistant orders; who goes on with it gets a person, nothing is executed."""
    if state.clarifications > 0:
        turn.step("injection", "found", "hand_over", reason)
        return give_up(turn, state, EscalationReason.INJECTION)
    turn.step("injection", "found", "decline", reason)
    return replace(state, clarifications=1), Answer(ReplyKind.DECLINE, dialogue.NOT_MY_PART)


def refuse_rate(turn: Turn, state: ConversationState) -> Served:
    """Too many messages: nothing is looked up, the conversation stays as it is."""
    turn.step("rate_limit", "exceeded", "refuse")
    return state, Answer(ReplyKind.RATE_LIMITED, dialogue.TOO_MANY)


def offer_pages(turn: Turn, state: ConversationState, passages: tuple[Passage, ...], reason: str = "") -> Served:
    """Nobody could write an answer: the titles of the best pages; the second time in a row a person takes over."""
    if turn.pages_offered:
        turn.step("menu", "offered_before", "hand_over", reason)
        return give_up(turn, state, EscalationReason.FAILURE)
    turn.step("menu", "no_answer_written", "offer_pages", reason)
    options = (*(passage.title for passage in passages), dialogue.AGENT_OPTION)
    offered = (*(f"passage:{passage.id}" for passage in passages), "agent")
    text = dialogue.numbered(dialogue.NO_WORDS, options)
    return replace(state, offered=offered), Answer(ReplyKind.MENU, text, options=options)


def hand_over(state: ConversationState, route: SafetyRoute, asked: bool) -> Served:
    """A person takes over because the customer wants one or the subject demands one."""
    reason = EscalationReason.AGENT_REQUEST if asked else EscalationReason.MANDATORY_CATEGORY
    answer = Answer(ReplyKind.HANDOVER, dialogue.HANDOVERS[route], reason, safety_route=route)
    return replace(state, pending=None, offered=(), handed_over=True), answer


def give_up(turn: Turn, state: ConversationState, reason: EscalationReason) -> Served:
    """A person takes over because the assistant cannot go on."""
    turn.step("dialogue", reason, "hand_over")
    answer = Answer(ReplyKind.HANDOVER, dialogue.GIVING_UP[reason], reason)
    return replace(state, pending=None, offered=(), handed_over=True), answer
