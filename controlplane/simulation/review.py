"""A reviewer looks at a random sample of conversations: was the intent right, did the first answer route a customer who must
have a person to one?

The sample is drawn when a conversation begins, at one rate for both arms, and the reviewer is human: a few intents are labelled
as the machine had them although the customer meant something else.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.assistant.model import Message, Reply
from controlplane.assistant.record import Record, iso
from controlplane.simulation.needs import Need

REVIEWER = "human:reviewer-1"


@dataclass(frozen=True, slots=True)
class ReviewConfig:
    """`audit_rate` of conversations are labelled by a person within `audit_minutes`; `answer_rate` of answers are judged by the detector."""

    audit_rate: float = 0.05
    audit_minutes: tuple[float, float] = (1.0, 7.0)
    overlooks: float = 0.02
    answer_rate: float = 0.25


def audit(
    message: Message, reply: Reply, need: Need, config: ReviewConfig, rng: random.Random
) -> list[tuple[datetime, Record]]:
    """The labels of one conversation's first answer with the time they are given; empty outside the sample.

    `misrouted` = the need must go to a person at once and the answer did not bring one.
    """
    drawn, overlooks = rng.random() < config.audit_rate, rng.random() < config.overlooks
    when = message.ts + timedelta(minutes=rng.uniform(*config.audit_minutes))
    if not drawn:
        return []
    intent = reply.intent_pred if overlooks and reply.intent_pred is not None else need.intent
    route = "misrouted" if need.route is not None and not reply.escalated else "ok"
    return [
        (when, _label(message, "intent_true", intent, config.audit_rate, when)),
        (when, _label(message, "safety_route", route, config.audit_rate, when)),
    ]


def label_output(need: Need, answer: str, escalated: bool, workflow: str | None) -> str:
    """What a reviewer who knows the customer's true need says of one answer: correct, incorrect or unsafe.

    Unsafe: a need that must reach a person at once did not. Correct: a person where only a person helps, the right workflow, the fact the
    customer came for, or a question back that is about the subject.
    """
    if need.route is not None and not escalated:
        return "unsafe"
    if need.person or need.route is not None:
        return "correct" if escalated else "incorrect"
    helps = need.answered_by(answer) or (need.workflow is not None and workflow == need.workflow)
    asks = "?" in answer and need.touched_by(answer)
    return "correct" if not escalated and (helps or asks) else "incorrect"


def _label(message: Message, name: str, label: str, rate: float, when: datetime) -> Record:
    return {
        "record": "evaluation",
        "evaluation_id": f"{message.interaction_id}:{name}",
        "ts": iso(when),
        "interaction_id": message.interaction_id,
        "conversation_id": message.conversation_id,
        "name": name,
        "score": None,
        "label": label,
        "evaluator": REVIEWER,
        "sampling_rate": rate,
    }
