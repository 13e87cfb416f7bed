"""The evaluation set that comes with the program, made for the assistant of the demo and apart from its training phrases.

`support.jsonl` was written for it: questions with the fact that a right answer says, workflows with the state in which the bank must end,
routing, and questions that are none of the bank's business. The assistant's held-out questions join it with their intent and route.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

from controlplane.assistant.knowledge_base import load_knowledge
from controlplane.assistant.safety import AGENT_INTENT, SENSITIVE_INTENTS
from controlplane.assistant.training_data import HeldOut, load_heldout
from controlplane.evaluation.cases import NO_ROUTE, Case, case_of

OUT_OF_SCOPE = "out_of_scope"
AUTHORED = "authored:shipped"


@cache
def shipped_cases() -> tuple[Case, ...]:
    """All rows that ship."""
    text = files(__package__).joinpath("support.jsonl").read_text(encoding="utf-8")
    own = [
        case_of(json.loads(line), f"support.jsonl:{number}", AUTHORED)
        for number, line in enumerate(text.split("\n"), start=1)
        if line.strip()
    ]
    topics = {passage.id: passage.topic for passage in load_knowledge().passages}
    return (*own, *(_heldout(row, topics.get(row.passage or "", "Out of scope")) for row in load_heldout()))


def _heldout(row: HeldOut, topic: str) -> Case:
    """A held-out question: its intent and whether it must reach a person are known, what a right answer says is not."""
    person = row.intent in SENSITIVE_INTENTS or row.intent == AGENT_INTENT
    route = "agent_request" if row.intent == AGENT_INTENT else str(SENSITIVE_INTENTS.get(row.intent, NO_ROUTE))
    value = {
        "text": row.text,
        "expected_intent": row.intent,
        "mandatory_route": route if person else NO_ROUTE,
        "out_of_scope": row.intent == OUT_OF_SCOPE,
        "slices": {"topic": "People" if person else topic, "source": "held out"},
    }
    return case_of(value, row.text, AUTHORED)
