"""The words of the conversation page: what the log's own names mean to somebody who has never seen the log. Pure."""

from __future__ import annotations

import json

from controlplane.analysis.tradeoff import dollars

REASONS = {
    "agent_request": "the customer asked for one",
    "mandatory_category": "its subject always goes to a person",
    "failure": "the assistant failed",
    "low_confidence": "the assistant was not sure enough",
    "out_of_scope": "it was outside what the assistant answers",
    "no_answer": "no answer was found",
    "injection": "somebody tried to steer the assistant",
    "execution_disabled": "the assistant was not allowed to act at that time",
    "with_person": "a colleague had it already",
}
BY_RULE = {"mandatory_category": "fraud, legal matters, harassment and disputes always go to a person"}
ASSIGNED = {
    "SPLIT": "chosen by the random split",
    "TARGETING_MATCH": "chosen by a rule",
    "DISABLED": "the flag was off",
    "STALE": "the flag was too old, so the baseline served",
    "ERROR": "the flag could not be read, so the baseline served",
}
NOT_ELIGIBLE = {
    "mandatory_person": "its subject always goes to a person",
    "contained_category": "its subject went to people while an incident was open",
    "excluded_intent": "its subject is left out of the comparison",
    "excluded_segment": "its customers are left out of the comparison",
    "not_employee": "only employees took part at that time",
    "employee": "an employee wrote it",
    "not_low_risk": "its subject is not among the low-risk ones",
}
STEPS = {
    "service": "Service",
    "intent": "Understood as",
    "safety": "Safety check",
    "dialogue": "Dialogue",
    "retrieval": "Search for sources",
    "generation": "Answer written",
    "groundedness": "Checked against its sources",
    "output": "Checked before it was sent",
    "workflow": "Workflow",
    "keywords": "Search by words",
    "page": "Page shown",
    "cache": "Cache",
}
JUDGED = {"groundedness": "backed by sources", "intent_true": "what was asked", "safety_route": "route"}
KINDS = {
    "escalated": "Handed to a person",
    "misrouted": "Sent the wrong way",
    "ungrounded": "Not backed by its sources",
    "misunderstood": "Misunderstood",
    "timed_out": "Timed out",
    "failed": "Ended in an error",
    "low_csat": "Rated 1 or 2",
    "unresolved": "Not resolved without a person",
    "came_back": "Customer wrote again",
    "any": "All conversations",
}


def humanised(name: str | None) -> str:
    """`card_not_arrived` -> `Card not arrived`; "" for nothing."""
    text = (name or "").replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def said(text: str) -> str:
    """A customer's words in quotation marks."""
    return f"\u201c{text}\u201d"


def usd(value: float | None) -> str:
    """US dollars with three digits that count; a cost that nobody knows is said to be unknown."""
    return "price unknown" if value is None else dollars(value)


def share_text(share: float) -> str:
    """`0.05` -> `5 %`, `0.998` -> `99.8 %`: no share that is not whole is rounded to all or nothing."""
    value = 100 * share
    if 99.9 < value < 100:
        return "over 99.9 %"
    close = (0 < value < 1) or (99 < value < 100)
    return f"{value:.1f} %" if close else f"{value:.0f} %"


def known(number: int | None) -> str:
    """A number that the log may have left out."""
    return "unknown" if number is None else f"{number:,}"


def took_text(milliseconds: float | None) -> str:
    """A duration; "" where it is not known."""
    if milliseconds is None:
        return ""
    return f"{milliseconds:,.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def score_text(value: float) -> str:
    """A score of a step: two digits after the point below one, else one."""
    return f"{value:.2f}" if abs(value) <= 1 else f"{value:.1f}"


def sources(text: str | None) -> tuple[str, ...]:
    """Names of the pages that an answer rests on."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return (text,) if text else ()
    return tuple(str(name) for name in found) if isinstance(found, list) else ()
