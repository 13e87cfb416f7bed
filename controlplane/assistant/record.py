"""From a reply to the records that land: interaction, model and dependency calls, workflow events, evaluations.

Rules
- Keys and meanings are those of the flat interaction record, version 1, and its companions; values are JSON types, times
  ISO-8601 UTC. Unknown is null: a rating, a true intent and a resolution arrive later as records of their own.
- Content is written as it was said, with two exceptions: the sentence which discloses the machine stands apart
  (`extra.disclosure`), it is no part of the answer that is judged; and what a workflow was given in confidence (`Reply.private`)
  is left out. Whoever lands the records masks the rest before the first durable write.
- Which answers are judged is a stable hash of the interaction id, so a replay judges the same ones.
- Groundedness online is judged against the *reviewed* knowledge base: the reviewed text of the pages an answer cites and
  of those that fit the question. A release that quotes its own broken page faithfully is wrong all the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from controlplane.assistant import groundedness
from controlplane.assistant.knowledge_base import Knowledge
from controlplane.assistant.model import Message, Reply, ReplyKind
from controlplane.assistant.reviewed import ReviewedPassages
from controlplane.core.sampling import sampled

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordContext:
    """What a reply does not know about itself: arm, phase, release label, version of the code."""

    arm: str
    phase: str | None
    release: str | None
    agent_version: str


class GroundednessEvaluator:
    """Judges a sample of answers against reviewed pages."""

    def __init__(self, reference: Knowledge, sampling_rate: float) -> None:
        """`sampling_rate` in (0, 1]."""
        if not 0 < sampling_rate <= 1:
            raise ValueError(f"sampling_rate must lie in (0, 1], got {sampling_rate}")
        self._reviewed = ReviewedPassages(reference)
        self._rate = sampling_rate

    def evaluate(self, message: Message, reply: Reply) -> Record | None:
        """The evaluation record of an answer in the sample, else None; a courtesy is no answer."""
        if reply.kind is not ReplyKind.ANSWER or reply.is_small_talk or not sampled(reply.interaction_id, self._rate):
            return None
        judged = groundedness.score(
            reply.answer, self._reviewed.passages(message.text, reply.intent_pred, reply.intent_conf, reply.sources)
        )
        return {
            "record": "evaluation",
            "evaluation_id": f"{reply.interaction_id}:groundedness",
            "ts": iso(message.ts),
            "interaction_id": reply.interaction_id,
            "conversation_id": message.conversation_id,
            "name": "groundedness",
            "score": round(judged.score, 4),
            "label": judged.label,
            "evaluator": groundedness.detector(),
            "sampling_rate": self._rate,
        }


def landing_records(
    message: Message, reply: Reply, context: RecordContext, evaluator: GroundednessEvaluator | None = None
) -> list[Record]:
    """All records of one request, the interaction first."""
    records = [interaction_record(message, reply, context)]
    records += model_call_records(message, reply)
    records += dependency_call_records(message, reply)
    records += workflow_run_records(message, reply)
    evaluation = evaluator.evaluate(message, reply) if evaluator is not None else None
    return [*records, evaluation] if evaluation is not None else records


def interaction_record(message: Message, reply: Reply, context: RecordContext) -> Record:
    """The flat interaction record, version 1."""
    return {
        "record": "interaction",
        "interaction_id": reply.interaction_id,
        "conversation_id": message.conversation_id,
        "turn": message.turn,
        "ts": iso(message.ts),
        "user_id": message.user_id,
        "segment": message.segment,
        "region": message.region,
        "channel": message.channel,
        "arm": context.arm,
        "phase": context.phase,
        "release": context.release,
        "model": reply.model,
        "agent_version": context.agent_version,
        "intent_pred": reply.intent_pred,
        "intent_true": None,
        "intent_conf": _rounded(reply.intent_conf),
        "latency_ms": round(reply.latency_ms, 1),
        "tokens_in": reply.tokens_in,
        "tokens_cached": reply.tokens_cached,
        "tokens_out": reply.tokens_out,
        "cost_usd": reply.cost_usd,
        "csat": None,
        "escalated": reply.escalated,
        "escalation_reason": reply.escalation_reason,
        "resolved": None,
        "error_type": reply.error_type,
        "timed_out": reply.timed_out,
        "safety_route": reply.safety_route,
        "workflow": reply.workflow,
        "question": without(message.text, reply.private),
        "answer": without(reply.answer, reply.private),
        "sources": list(reply.sources),
        "extra": _extra(reply),
    }


def model_call_records(message: Message, reply: Reply) -> list[Record]:
    """One record per call of the generator."""
    return [
        {
            "record": "model_call",
            "call_id": call.call_id,
            **_of(message, reply),
            "operation": call.operation,
            "provider": call.provider,
            "model": call.model,
            "latency_ms": round(call.latency_ms, 1),
            "tokens_in": call.tokens_in,
            "tokens_cached": call.tokens_cached,
            "tokens_out": call.tokens_out,
            "cost_usd": call.cost_usd,
            "error_type": call.error_type,
            "timed_out": call.timed_out,
        }
        for call in reply.model_calls
    ]


def dependency_call_records(message: Message, reply: Reply) -> list[Record]:
    """One record per call of the knowledge search or the bank."""
    return [
        {
            "record": "dependency_call",
            "call_id": call.call_id,
            **_of(message, reply),
            "dependency": call.dependency,
            "latency_ms": round(call.latency_ms, 1),
            "error_type": call.error_type,
            "timed_out": call.timed_out,
        }
        for call in reply.dependency_calls
    ]


def workflow_run_records(message: Message, reply: Reply) -> list[Record]:
    """One record per event of a workflow run."""
    return [
        {
            "record": "workflow_run",
            "run_id": run.run_id,
            **_of(message, reply),
            "workflow": run.workflow,
            "status": run.status,
            "idempotency_key": run.idempotency_key,
            "error_type": run.error_type,
            "slots": dict(run.slots),
        }
        for run in reply.workflow_runs
    ]


def without(text: str, private: Sequence[str]) -> str:
    """The text with "(private)" for each of these values, however its words are spaced."""
    for value in sorted(filter(None, map(str.split, private)), key=len, reverse=True):
        pattern = r"\s+".join(map(re.escape, value))
        text = re.sub(rf"(?<!\w){pattern}(?!\w)", "(private)", text, flags=re.IGNORECASE)
    return text


def iso(ts: datetime) -> str:
    """ISO-8601 in UTC; a naive time is refused because nobody knows what it means."""
    if ts.tzinfo is None:
        raise ValueError(f"time {ts.isoformat()} has no time zone: pass an aware UTC datetime")
    return ts.astimezone(UTC).isoformat()


def _of(message: Message, reply: Reply) -> Mapping[str, str]:
    return {
        "ts": iso(message.ts),
        "interaction_id": reply.interaction_id,
        "conversation_id": message.conversation_id,
    }


def _extra(reply: Reply) -> Record:
    steps = [
        {"step": s.step, "verdict": s.verdict, "action": s.action, "reason": s.reason, "score": _rounded(s.score)}
        for s in reply.steps
    ]
    return {
        "kind": reply.kind,
        "measured_ms": round(reply.measured_ms, 3),
        "grounded": _rounded(reply.grounded),
        "workflow_status": reply.workflow_status,
        "disclosure": reply.disclosure or None,
        "cached": reply.cached,
        "tokens_saved": reply.tokens_saved,
        "cost_saved_usd": reply.cost_saved_usd,
        "steps": steps,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
