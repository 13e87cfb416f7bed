"""Conversations in the OpenAI messages format -> interactions, one a turn.

Rules
- A turn is one user message and everything until the next: the assistant's texts are its answer, the tool calls are kept
  in `extra.tool_calls` (name and arguments, in order). Messages before the first user message (a greeting) are part of
  the first turn; system and developer messages are not part of the conversation. Without a user message there is one turn.
- What belongs to the conversation as a whole is told once, on its last turn: resolved, csat, cost_usd, tokens. Sums over
  turns are then the conversation's, and "the latest" is its outcome. All else is on every turn.
- A call of an escalation tool escalates its turn; the reason is the tool's name.
- Content may be text, null, or a list of parts (their texts are joined).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.ingest.columns import ColumnMap, UnmappedRow, find

ON_LAST_TURN = ("resolved", "csat", "cost_usd", "tokens_in", "tokens_cached", "tokens_out")
_SPEAKERS = ("user", "assistant", "tool", "function")


@dataclass(slots=True)
class _Turn:
    question: list[str] = field(default_factory=list)
    answer: list[str] = field(default_factory=list)
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    asked: bool = False


def interactions(row: Mapping[str, Any], columns: ColumnMap) -> list[dict[str, Any]]:
    """The interactions of one conversation. Raises UnmappedRow when the row has no messages array or no conversation id."""
    if columns.messages is None:
        raise UnmappedRow("messages: the map does not say where they are")
    common = columns.apply(row)
    conversation = common.get("conversation_id")
    if conversation is None:
        raise UnmappedRow("conversation_id: the row has none")
    messages = find(row, columns.messages.at)
    if not isinstance(messages, list):
        raise UnmappedRow(f"messages: no array at {columns.messages.at}")
    turns = list(_turns(messages))
    if not turns:
        raise UnmappedRow(f"messages: nobody speaks in {columns.messages.at}")
    whole = {name: common.pop(name) for name in ON_LAST_TURN if name in common}
    tools = columns.messages.escalation_tools
    records = [_record(common, conversation, number, turn, tools) for number, turn in enumerate(turns, start=1)]
    records[-1].update(whole)
    return records


def _record(
    common: Mapping[str, Any], conversation: Any, number: int, turn: _Turn, escalation_tools: tuple[str, ...]
) -> dict[str, Any]:
    record = {"interaction_id": f"{conversation}-{number}", "turn": number, **common}
    if turn.question:
        record["question"] = "\n".join(turn.question)
    if turn.answer:
        record["answer"] = "\n".join(turn.answer)
    if turn.tool_calls:
        record["extra"] = {**record.get("extra", {}), "tool_calls": turn.tool_calls}
    if escalation_tools:
        reason = next((call["name"] for call in turn.tool_calls if call["name"] in escalation_tools), None)
        record["escalated"] = reason is not None
        if reason is not None:
            record["escalation_reason"] = reason
    return record


def _turns(messages: list[Any]) -> Iterator[_Turn]:
    turn = _Turn()
    spoken = False
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in _SPEAKERS:
            continue
        if message["role"] == "user":
            if turn.asked:
                yield turn
                turn = _Turn()
            turn.asked = True
            turn.question += _texts(message.get("content"))
        elif message["role"] == "assistant":
            turn.answer += _texts(message.get("content"))
            turn.tool_calls += _tool_calls(message)
        spoken = True
    if spoken:
        yield turn


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    if isinstance(content, list):
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        return [part for part in parts if isinstance(part, str) and part]
    return []


def _tool_calls(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls") or []
    if isinstance(message.get("function_call"), Mapping):
        calls = [*calls, {"function": message["function_call"]}]
    functions = [
        call["function"] for call in calls if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping)
    ]
    return [{"name": str(each.get("name")), "arguments": _arguments(each.get("arguments"))} for each in functions]


def _arguments(arguments: Any) -> Any:
    """Arguments travel as JSON in a text; decoded they can be masked field by field."""
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
