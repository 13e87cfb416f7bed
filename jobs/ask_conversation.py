"""Single conversations, for the dashboards: a short list by what went wrong, and one conversation end to end.

Text leaves as it was stored, that is masked. Whoever reads a conversation is written into the audit log, once per person, conversation and
day: who looked at a customer's words is a fact that somebody may ask for (docs/adr/0037). A list shows no words, so it leaves no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from controlplane.store.queries import load
from controlplane.store.state_rows import AuditEntry, Commit
from controlplane.store.utc import to_aware, to_naive
from jobs.deps import Deps

READ = "conversation_read"
MOST = 25  # conversations of a list
MOST_PARTS = 200  # turns, calls, judgements of one conversation
LONGEST_ID = 300
MOST_HOURS = 24 * 90
ARMS = ("", "assistant", "baseline")
KINDS: Mapping[str, str] = {
    "escalated": "ask/conversations_by_outcome",
    "low_csat": "ask/conversations_by_outcome",
    "came_back": "ask/conversations_by_outcome",
    "unresolved": "ask/conversations_by_outcome",
    "any": "ask/conversations_by_outcome",
    "timed_out": "ask/conversations_by_turn",
    "failed": "ask/conversations_by_turn",
    "ungrounded": "ask/conversations_by_judgement",
    "misrouted": "ask/conversations_by_judgement",
    "misunderstood": "ask/conversations_by_judgement",
}
PARTS = ("turns", "exposures", "calls", "workflows", "judgements", "feedback")


def find(deps: Deps, now: datetime, kind: str, arm: str = "assistant", hours: float = 168) -> Mapping[str, Any]:
    """The newest conversations of a kind (a key of KINDS), at most MOST: `rows`, newest first, and `among`, how many there are.

    Raises ValueError for an unknown kind or arm, or for a time that is not within 0 and MOST_HOURS.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r} is not known; there are {', '.join(KINDS)}")
    if arm not in ARMS:
        raise ValueError(f"arm: {arm!r} is not known; there are assistant, baseline, and '' for both")
    if not 0 < hours <= MOST_HOURS:
        raise ValueError(f"hours: {hours:g} is not within 0 and {MOST_HOURS}")
    since = now - timedelta(hours=hours)
    params = {"kind": kind, "arm": arm, "since": to_naive(since), "most": MOST}
    with deps.warehouse.cursor() as cursor:
        rows = _rows(cursor, KINDS[kind], params)
    among = int(rows[0]["among"]) if rows else 0
    return {"rows": [{**row, "among": None} for row in rows], "among": among, "since": since}


def read(deps: Deps, now: datetime, actor: str, conversation_id: str) -> Mapping[str, Any]:
    """One conversation: `head` (None when nobody told of it), and its PARTS as lists of rows, each in time; `cut` names lists that were cut.

    Raises ValueError for a text that cannot be an id.
    """
    if not 0 < len(conversation_id) <= LONGEST_ID:
        raise ValueError(f"conversation_id: needs 1 to {LONGEST_ID} characters")
    with deps.warehouse.cursor() as cursor:
        heads = _rows(cursor, "ask/conversation_head", {"conversation_id": conversation_id})
        if not heads:
            return {"head": None}
        params = {"conversation_id": conversation_id, "most": MOST_PARTS + 1}
        parts = {name: _rows(cursor, f"ask/conversation_{name}", params) for name in PARTS}
    _remember(deps, now, actor, conversation_id)
    cut = [name for name, rows in parts.items() if len(rows) > MOST_PARTS]
    return {"head": heads[0], **{name: rows[:MOST_PARTS] for name, rows in parts.items()}, "cut": cut}


def _remember(deps: Deps, now: datetime, actor: str, conversation_id: str) -> None:
    """One audit row per person, conversation and day (UTC); a second look on the same day is the same reading."""
    said = {"reader": actor, "day": now.date().isoformat()}
    if said not in deps.state.vouched(READ, conversation_id):
        entry = AuditEntry(actor, READ, conversation_id, "read on the dashboards", said)
        deps.state.commit(Commit(audit=(entry,)), now)


def _rows(cursor: duckdb.DuckDBPyConnection, query: str, params: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = cursor.execute(load(query), dict(params))
    names = [item[0] for item in found.description or []]
    return [dict(zip(names, map(_aware, row), strict=True)) for row in found.fetchall()]


def _aware(value: Any) -> Any:
    return to_aware(value) if isinstance(value, datetime) else value
