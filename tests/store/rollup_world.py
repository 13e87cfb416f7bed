"""A small world of facts for the tests of rollups, units and block counts.

`Facts` writes rows straight into the facts tables, as ingest would, batch by batch; a conversation row is what the records
stored so far say. Nothing here computes a statistic: each test recounts in Python from the same objects.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta

from controlplane.core.metrics import METRICS
from controlplane.store.block_counts import CountSpec
from controlplane.store.units import UnitsClosed, close_units
from controlplane.store.warehouse import Warehouse

T0 = datetime(2026, 1, 7, 9, 0, tzinfo=UTC)  # a Wednesday
TABLES = (
    "batches", "sources", "interactions", "exposures", "model_calls", "dependency_calls", "evaluations", "conversations",
    "touched_minutes", "rollup_minute", "rollup_latency", "rollup_service", "rollup_model", "rollup_intent",
    "rollup_safety", "rollup_runs", "units", "unit_exclusions", "unit_blocks", "unit_progress",
)  # fmt: skip


def at(seconds: float) -> datetime:
    """T0 plus seconds."""
    return T0 + timedelta(seconds=seconds)


def minute_of(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


@dataclass(frozen=True)
class Turn:
    interaction_id: str
    conversation_id: str
    ts: datetime | None
    turn: int = 1
    arm: str | None = None
    release: str | None = None
    phase: str | None = None
    segment: str | None = None
    model: str | None = None
    intent_pred: str | None = None
    intent_true: str | None = None
    intent_conf: float | None = None
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    timed_out: bool | None = None


@dataclass(frozen=True)
class Exposure:
    exposure_id: str
    conversation_id: str
    ts: datetime
    variant: str
    release: str | None = None
    phase: str | None = None
    segment: str | None = None
    rollout_id: str | None = None
    eligible: bool | None = None


@dataclass(frozen=True)
class ModelCall:
    call_id: str
    conversation_id: str | None
    ts: datetime
    model: str | None = None
    tokens_in: int | None = None
    tokens_cached: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    error_type: str | None = None
    timed_out: bool | None = None


@dataclass(frozen=True)
class DependencyCall:
    call_id: str
    conversation_id: str | None
    ts: datetime
    dependency: str | None = None
    latency_ms: float | None = None
    error_type: str | None = None
    timed_out: bool | None = None


@dataclass(frozen=True)
class Judged:
    evaluation_id: str
    interaction_id: str | None
    conversation_id: str | None
    ts: datetime
    name: str
    label: str | None
    evaluator: str | None = "detector:content"
    sampling_rate: float | None = 0.1


@dataclass(frozen=True)
class Conversation:
    conversation_id: str
    user_id: str | None = None
    arm: str | None = None
    release: str | None = None
    phase: str | None = None
    rollout_id: str | None = None
    segment: str | None = None
    eligible: bool | None = None
    started_at: datetime | None = None
    last_at: datetime | None = None
    escalated_at: datetime | None = None
    resolved: bool | None = None
    resolved_at: datetime | None = None
    csat: float | None = None
    csat_at: datetime | None = None
    returned_at: datetime | None = None
    safety_route: str | None = None
    cost_usd: float | None = None


Row = Turn | Exposure | ModelCall | DependencyCall | Judged
_TABLE_OF: dict[type, str] = {
    Turn: "interactions",
    Exposure: "exposures",
    ModelCall: "model_calls",
    DependencyCall: "dependency_calls",
    Judged: "evaluations",
}


@dataclass
class Facts:
    """What is stored so far. `store` commits one batch, like ingest: rows, conversations, touched minutes, batch."""

    warehouse: Warehouse
    batch: int = 0
    rows: list[Row] = field(default_factory=list)
    known: dict[str, Conversation] = field(default_factory=dict)

    def clear(self) -> Facts:
        """Empty every table, so that one file serves many examples."""
        with self.warehouse.transaction() as cursor:
            for table in TABLES:
                cursor.execute(f"DELETE FROM {table}")
        self.batch, self.rows, self.known = 0, [], {}
        return self

    def store(self, *records: Row | Conversation) -> int:
        """Commit the records as one batch. A `Conversation` is laid over what is known of it (unset fields stay)."""
        self.batch += 1
        changed = [r.conversation_id for r in records if not isinstance(r, Judged | ModelCall | DependencyCall)]
        old = {name: self.known.get(name) for name in changed}
        for record in records:
            if isinstance(record, Conversation):
                self._overlay(record)
            else:
                self.rows.append(record)
                self._overlay(self._seen_in(record))
        with self.warehouse.transaction() as cursor:
            for record in records:
                if not isinstance(record, Conversation):
                    self._insert(
                        cursor, _TABLE_OF[type(record)], asdict(record) | {"id_hash": 0, "raw_hash": 0, "line": 0}
                    )
            for name in dict.fromkeys(changed):
                cursor.execute("DELETE FROM conversations WHERE conversation_id = ?", [name])
                self._insert(cursor, "conversations", asdict(self.known[name]) | {"id_hash": 0, "turns": 1})
            self._touch(cursor, records, old)
            self._insert(cursor, "batches", _batch_row(records))
        return self.batch

    def _seen_in(self, record: Row) -> Conversation:
        if isinstance(record, Turn):
            dims = {key: getattr(record, key) for key in ("arm", "release", "phase", "segment")}
            known = self.known.get(record.conversation_id)
            if known is not None:  # the first record that tells a dimension wins, an exposure outranks turns
                dims = {key: getattr(known, key) or value for key, value in dims.items()}
            return Conversation(record.conversation_id, started_at=record.ts, last_at=record.ts, **dims)
        if isinstance(record, Exposure):  # an exposure tells arm and segment, but only a turn starts a conversation
            dims = {key: getattr(record, key) for key in ("release", "phase", "segment", "rollout_id", "eligible")}
            return Conversation(record.conversation_id, arm=record.variant, **dims)
        return Conversation("")

    def _overlay(self, new: Conversation) -> None:
        if not new.conversation_id:
            return
        old = self.known.get(new.conversation_id, Conversation(new.conversation_id))
        told = {f.name: getattr(new, f.name) for f in fields(new) if getattr(new, f.name) is not None}
        if old.started_at and new.started_at:
            told["started_at"] = min(old.started_at, new.started_at)
        if old.last_at and new.last_at:
            told["last_at"] = max(old.last_at, new.last_at)
        self.known[new.conversation_id] = replace(old, **told)

    def _touch(self, cursor, records, old) -> None:
        """Only what the contract says: the minutes of the rows, and of the starts (before and after) of their conversations."""
        times = [record.ts for record in records if not isinstance(record, Conversation) and record.ts]
        for name, before in old.items():
            times += [row.started_at for row in (before, self.known[name]) if row and row.started_at]
        for minute in {minute_of(time) for time in times}:
            self._insert(cursor, "touched_minutes", {"minute": minute})

    def _insert(self, cursor, table: str, row: dict[str, object]) -> None:
        row = row | {"batch_id": self.batch}
        values = [v.astimezone(UTC).replace(tzinfo=None) if isinstance(v, datetime) else v for v in row.values()]
        cursor.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' for _ in row)})", values)


def _batch_row(records) -> dict[str, object]:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "source": "test", "path": "test", "file_key": "test", "from_offset": 0, "to_offset": 0, "records_read": len(records),
        "stored": len(records), "duplicates": 0, "quarantined": 0, "committed_at": now,
    }  # fmt: skip


def fetch(warehouse: Warehouse, query: str, *parameters: object) -> list[tuple]:
    """Rows of a query."""
    cursor = warehouse.cursor()
    try:
        return cursor.execute(query, list(parameters)).fetchall()
    finally:
        cursor.close()


def small_world(facts: Facts) -> Facts:
    """One treated and one control conversation, a failed call and a flagged answer."""
    facts.store(
        Exposure("x1", "c1", at(0), "assistant", "v1", "canary", "a", "r", True),
        Turn(
            "i1",
            "c1",
            at(1),
            arm="assistant",
            latency_ms=120,
            tokens_in=10,
            tokens_out=5,
            cost_usd=0.01,
            model="small",
            timed_out=False,
        ),
        Turn("i2", "c2", at(70), arm="baseline", latency_ms=20, timed_out=True),
        ModelCall("m1", "c1", at(2), "small", 10, 0, 5, 0.01, "http_429"),
        Judged("e1", "i1", "c1", at(10), "groundedness", "ungrounded"),
    )
    return facts


def spec(metric, maturity=0, span=60, segments=(), slo_ms=None) -> CountSpec:
    """A wish for counts of rollout r and release v1; slow means more than a second."""
    kind = METRICS[metric].kind
    slo_ms = 1000.0 if metric == "slow_share" and slo_ms is None else slo_ms
    cap_usd = 0.05 if metric == "costly_share" else None
    return CountSpec(metric, kind, span, maturity, slo_ms, segments, "r", "v1", cap_usd=cap_usd)


def close(facts, end, start=0.0) -> UnitsClosed:
    """Close the start block [at(start), at(end)) of rollout r."""
    return close_units(facts.warehouse, at(start), at(end), "s1", at(start), rollout_id="r", release="v1")
