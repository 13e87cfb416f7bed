"""Short ways to talk to an assistant in tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from controlplane.assistant import ConversationState, Message, Reply, ServiceProfile
from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.protocols import Responder
from controlplane.assistant.safety import AGENT_INTENT, SENSITIVE_INTENTS
from controlplane.assistant.training_data import load_heldout

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def message(text: str, turn: int = 1, conversation: str = "c1", user: str = "u1", ts: datetime = NOW) -> Message:
    """A message of one customer."""
    return Message(conversation, turn, user, text, ts)


def converse(bot: Responder, *texts: str, conversation: str = "c1", user: str = "u1") -> list[Reply]:
    """Says the texts one after the other; all replies."""
    state, replies = ConversationState(), []
    for turn, text in enumerate(texts, 1):
        state, reply = bot.respond(state, message(text, turn, conversation, user))
        replies.append(reply)
    return replies


def faultless(seed: int = 0) -> ServiceProfile:
    """The story's service without errors and time-outs."""
    profile = ServiceProfile().seeded(seed)
    parts = (profile.request, profile.knowledge, profile.model, profile.bank)
    return ServiceProfile(*(replace(part, error_rate=0.0, timeout_rate=0.0) for part in parts))


def helped(bot: Responder) -> float:
    """Share of the held-out everyday questions whose first reply carries a fact that answers them, or starts their workflow.

    This is how a customer judges: by what was said or done, not by who said it.
    """
    person = {AGENT_INTENT, *SENSITIVE_INTENTS}
    asked = [question for question in load_heldout() if question.passage and question.intent not in person]
    met = 0
    for n, question in enumerate(asked):
        page = load_knowledge().get(str(question.passage))
        reply = converse(bot, question.text, conversation=f"c{n}", user=f"u{n}")[0]
        said = any(fact in reply.text.casefold() for fact in page.facts)
        met += said or (page.workflow is not None and reply.workflow == page.workflow)
    return met / len(asked)
