"""An independent account of what the table `conversations` must hold: plain Python over all records of a conversation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

RETURN_WINDOW = timedelta(hours=72)
_NEVER = datetime.min.replace(tzinfo=UTC).replace(tzinfo=None)
ATTRIBUTES = ("release", "phase", "segment", "region", "channel")


def expected_conversations(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Conversation id -> what its row must say, from valid records without contradictions."""
    by_conversation: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        if record.get("record", "interaction") in ("interaction", "exposure", "feedback"):
            by_conversation[record["conversation_id"]].append(record)
    accounts = {conversation: _account(found) for conversation, found in by_conversation.items()}
    for account in accounts.values():
        account["returned_at"] = _return(account, accounts.values())
    return accounts


def _account(records: list[Mapping[str, Any]]) -> dict[str, Any]:
    turns = sorted(
        (each for each in records if "record" not in each), key=lambda each: (_when(each) or _NEVER, each["turn"])
    )
    exposures = sorted((each for each in records if each.get("record") == "exposure"), key=_when)
    answers = sorted((each for each in records if each.get("record") == "feedback"), key=_when)
    spoken = sorted([*turns, *answers], key=lambda each: (_when(each) or _NEVER, each.get("turn", 2**31 - 1)))
    first, shown = (turns[0] if turns else {}), (exposures[0] if exposures else {})
    known = [*exposures, *turns]
    escalated = [each for each in turns if each.get("escalated")]
    account = {name: _first_known(shown.get(name), first.get(name)) for name in ATTRIBUTES}
    account |= {name: shown.get(name) for name in ("rollout_id", "flag_version", "eligible", "ineligible_reason")}
    account |= {
        "user_id": next((each["user_id"] for each in known if each.get("user_id")), None),
        "arm": next((arm for each in known if (arm := each.get("variant") or each.get("arm"))), None),
        "intent_first": _first_known(shown.get("intent_first"), first.get("intent_pred")),
        "turns": len(turns),
        "started_at": min((when for each in turns if (when := _when(each))), default=None),
        "last_at": max((when for each in turns if (when := _when(each))), default=None),
        "escalated": None if all(each.get("escalated") is None for each in turns) else bool(escalated),
        "escalated_at": min((when for each in escalated if (when := _when(each))), default=None),
        "escalation_reason": (escalated[0].get("escalation_reason") or "unspecified") if escalated else None,
        "safety_route": next((each["safety_route"] for each in turns if each.get("safety_route")), None),
        "workflow": next((each["workflow"] for each in reversed(turns) if each.get("workflow")), None),
    }
    for name in ("resolved", "csat"):
        latest = next((each for each in reversed(spoken) if each.get(name) is not None), {})
        account |= {name: latest.get(name), f"{name}_at": _when(latest)}
    for name in ("tokens_in", "tokens_out", "cost_usd"):
        known_values = [each[name] for each in turns if each.get(name) is not None]
        account[name] = round(sum(known_values), 9) if known_values else None
    return account


def _return(account: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> datetime | None:
    start, user = account["started_at"], account["user_id"]
    if start is None or user is None:
        return None
    starts = [other["started_at"] for other in others if other["user_id"] == user and other["started_at"]]
    return min((each for each in starts if start < each <= start + RETURN_WINDOW), default=None)


def _first_known(one: Any, other: Any) -> Any:
    return other if one is None else one


def _when(record: Mapping[str, Any]) -> datetime | None:
    if not record.get("ts"):
        return None
    return datetime.fromisoformat(record["ts"]).replace(tzinfo=None)
