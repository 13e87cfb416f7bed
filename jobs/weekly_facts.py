"""What the weekly review reads from the facts, as they were at an ingest batch: a few queries, all sums, each with its source.

The facts are append-only but for `conversations`, whose rows that were touched later are told again from the records of that time
(`sql/review/conversations.sql`). Everything is counted in integers, so no order of addition changes a digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import duckdb

from controlplane.core.audit import sha256_text
from controlplane.core.metrics import metric
from controlplane.core.policy import Certificate, Policy, Trigger
from controlplane.core.tripwire import SEVERE
from controlplane.core.weekly import Source
from controlplane.store.queries import load
from controlplane.store.state_rows import to_text
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse

Row = dict[str, Any]
WEEK = timedelta(days=7)
COST_DAYS = timedelta(days=28)
CONVERSATIONS, ASKED, JUDGEMENTS = "review/conversations", "review/asked", "review/judgements"
_BEHIND = {
    "review/outcomes": (CONVERSATIONS,),
    "review/requests": (CONVERSATIONS, ASKED),
    "review/costs": (CONVERSATIONS, ASKED),
    "review/latency": (CONVERSATIONS,),
    "review/judged": (CONVERSATIONS, JUDGEMENTS),
    "review/ratings": (CONVERSATIONS,),
    "review/funnel": (CONVERSATIONS,),
    "review/intents": (CONVERSATIONS,),
    "review/span": (CONVERSATIONS,),
    "review/daily_cost": (),
}
"""The queries, and the temporary tables that each reads."""
_PARAMETER = re.compile(r"\$([a-z_]+)")


def cost_since(until: datetime) -> datetime:
    """From when on the cost per day is read: the whole month of `until` so far, and at least the days that a forecast may rest on."""
    month = until - timedelta(microseconds=1)
    return min(until - COST_DAYS, month.replace(day=1, hour=0, minute=0, second=0, microsecond=0))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which facts: the week `[since, until)`, known at batch `last_batch`; labels are final as of `now`; stages began at `starts`."""

    since: datetime
    until: datetime
    now: datetime
    last_batch: int
    starts: tuple[datetime, ...] = ()
    maturity: Mapping[str, int] = field(default_factory=dict)  # seconds: csat, contact, escalation, resolution

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter of the review's queries, times naive UTC as DuckDB keeps them."""
        return {
            "since": to_naive(self.since),
            "until": to_naive(self.until),
            "before": to_naive(self.since - WEEK),
            "from": to_naive(cost_since(self.until)),
            "now": to_naive(self.now),
            "last_batch": self.last_batch,
            "starts": [to_naive(start) for start in self.starts],
            "severe": SEVERE,
            **{f"maturity_{name}": seconds for name, seconds in self.maturity.items()},
        }


@dataclass(frozen=True, slots=True)
class Read:
    """The rows of a query, and where they come from."""

    rows: list[Row]
    source: Source


def maturities(policy: Policy) -> dict[str, int]:
    """Seconds until each label is final: the longest that the policy waits for it, else the catalogue's. A resolution is told with the rating."""
    waits: dict[str, float] = {}
    items: tuple[Trigger | Certificate, ...] = (*policy.triggers, *policy.certificates)
    for item in items:
        waits[item.metric] = max(waits.get(item.metric, 0.0), item.maturity_minutes * 60)
    named = {
        "csat": "csat",
        "contact": "contact_rate",
        "escalation": "escalation_rate",
        "resolution": "resolution_rate",
    }
    found = {key: round(waits.get(name, metric(name).maturity.total_seconds())) for key, name in named.items()}
    if "resolution_rate" not in waits:
        found["resolution"] = found["csat"]
    return found


def read(warehouse: Warehouse, asked: Asked, policy_hash: str) -> dict[str, Read]:
    """All rows by query (`outcomes`, `outcomes_firsts`, ...): those with a parameter `$firsts` are read with both of its values."""
    values = asked.parameters
    found: dict[str, Read] = {}
    with warehouse.cursor() as cursor:
        for name in (CONVERSATIONS, ASKED, JUDGEMENTS):
            cursor.execute(load(name), _used(name, values))
        for name, behind in _BEHIND.items():
            both = (False, True) if "$firsts" in load(name) else (None,)
            for firsts in both:
                given = values if firsts is None else values | {"firsts": firsts}
                key = name.split("/")[1] + ("_firsts" if firsts else "")
                found[key] = Read(_rows(cursor, name, given), _source((*behind, name), given, policy_hash))
    return found


def rows_of(warehouse: Warehouse, name: str, values: Mapping[str, Any]) -> list[Row]:
    """The rows of one query, with the parameters that it names."""
    with warehouse.cursor() as cursor:
        return _rows(cursor, name, values)


def _rows(cursor: duckdb.DuckDBPyConnection, name: str, values: Mapping[str, Any]) -> list[Row]:
    found = cursor.execute(load(name), _used(name, values))
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def _used(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    text = "\n".join(line for line in load(name).splitlines() if not line.lstrip().startswith("--"))
    return {key: values[key] for key in dict.fromkeys(_PARAMETER.findall(text))}


def _source(names: Sequence[str], values: Mapping[str, Any], policy_hash: str) -> Source:
    used: dict[str, Any] = {}
    for name in names:
        used |= _used(name, values)
    return Source(
        query=names[-1],
        query_hash=sha256_text("\n".join(load(name) for name in names)),
        parameters={key: _plain(used[key]) for key in sorted(used)},
        policy_hash=policy_hash,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        from datetime import UTC

        return to_text(value.replace(tzinfo=UTC))
    return value
