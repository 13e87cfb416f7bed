"""Values that go into and come out of the state database, and their text forms.

Times are ISO-8601 UTC with microseconds and a trailing Z; structured values are canonical JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from controlplane.core.audit import canonical
from controlplane.core.model import Rollout, RolloutState


def to_text(moment: datetime) -> str:
    """ISO text of an aware time. Raises ValueError for a naive one."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone; times in the state are UTC")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_text(text: str) -> datetime:
    """The aware UTC time of `to_text`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


CHANGES = frozenset({"deploy", "policy"})
"""Events of the history that change what is served or how it is judged: certificates and approvals begin again."""


def optional_time(text: object) -> datetime | None:
    """`from_text` for a column that may be NULL."""
    return None if text is None else from_text(str(text))


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A closed block before it is chained; counts and readings are plain JSON values."""

    rollout_id: str
    policy_hash: str
    lane: str
    block_start: datetime
    span_seconds: int
    last_batch: int
    counts: list[dict[str, Any]]
    readings: list[dict[str, Any]]

    @property
    def block_key(self) -> str:
        """Unique per rollout and policy: the lane and the block's start."""
        return f"{self.lane}@{to_text(self.block_start)}"


@dataclass(frozen=True, slots=True)
class LaneState:
    """Where a lane stands: closed up to `closed_until`, detector states by stream key."""

    lane: str
    closed_until: datetime
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing that happened, before it is chained."""

    actor: str
    event: str
    subject: str
    reason: str
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """A message that must reach people."""

    outbox_id: str
    created_at: datetime
    kind: str
    incident_id: str | None
    payload: dict[str, Any]
    status: str
    attempts: int
    next_attempt_at: datetime
    receiver: str | None
    receipt: dict[str, Any] | None
    route: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message for the outbox; `outbox_id` is chosen by the caller so that a repeat is recognised."""

    outbox_id: str
    kind: str
    payload: dict[str, Any]
    incident_id: str | None = None


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident as stored; times are None until they happened."""

    incident_id: str
    rollout_id: str
    release: str
    state: str
    severity: str
    title: str
    trigger: str
    detected_at: datetime
    onset_at: datetime | None = None
    cut_at: datetime | None = None
    verified_at: datetime | None = None
    alerted_at: datetime | None = None
    resolved_at: datetime | None = None
    customers_exposed: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    timeline: tuple[dict[str, str], ...] = ()
    owner: str = ""
    acknowledged_at: datetime | None = None
    reviewed_at: datetime | None = None
    serious: dict[str, Any] = field(default_factory=dict)
    containments: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Containment:
    """A confirmed severe misrouting that has been acted upon, and the category that went to people for it."""

    evaluation_id: str
    category: str
    conversation_id: str
    rollout_id: str
    evaluator: str
    contained_at: datetime


@dataclass(frozen=True, slots=True)
class FactsHead:
    """The newest ingest batch that blocks were judged with, and what it was (`sql/decisions/facts_head.sql`)."""

    batch_id: int
    identity: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one decision writes, in one transaction.

    `rollout` replaces the row whose version is `expected_version` (0 = there is none yet). `stage_event` is set when the served
    share, phase or state changes.
    """

    ledger: Sequence[LedgerEntry] = ()
    lanes: Sequence[LaneState] = ()
    rollout: Rollout | None = None
    expected_version: int | None = None
    stage_event: str | None = None
    audit: Sequence[AuditEntry] = ()
    messages: Sequence[NewMessage] = ()
    incident: IncidentRow | None = None
    also: Sequence[IncidentRow] = ()  # further incidents that are told of it in their timeline, or end with it
    containments: Sequence[Containment] = ()
    facts_head: FactsHead | None = None


@dataclass(frozen=True, slots=True)
class StageRow:
    """A span of time in which one share was served; the next row of the rollout ends it."""

    rollout_id: str
    version: int
    release: str
    state: RolloutState
    phase: str
    stage: int
    share: float
    started_at: datetime
    event: str


def rollout_from_row(row: Any) -> Rollout:
    """The rollout value of a row of the table `rollouts`."""
    return Rollout(
        rollout_id=row.rollout_id,
        release=row.release,
        release_hash=row.release_hash,
        state=RolloutState(row.state),
        phase=row.phase,
        stage=row.stage,
        share=row.share,
        execution_enabled=row.execution_enabled,
        policy_hash=row.policy_hash,
        version=row.version,
        updated_at=from_text(row.updated_at),
        stage_started_at=from_text(row.stage_started_at),
        reason=row.reason,
        accepted_release=row.accepted_release,
        contained=tuple(json.loads(row.contained)),
    )


def rollout_values(rollout: Rollout) -> dict[str, Any]:
    """Column values of a rollout."""
    return {
        "rollout_id": rollout.rollout_id,
        "release": rollout.release,
        "release_hash": rollout.release_hash,
        "state": str(rollout.state),
        "phase": rollout.phase,
        "stage": rollout.stage,
        "share": rollout.share,
        "execution_enabled": rollout.execution_enabled,
        "policy_hash": rollout.policy_hash,
        "version": rollout.version,
        "updated_at": to_text(rollout.updated_at),
        "stage_started_at": to_text(rollout.stage_started_at),
        "reason": rollout.reason,
        "accepted_release": rollout.accepted_release,
        "contained": canonical(list(rollout.contained)),
    }


def outbox_from_row(row: Any) -> OutboxItem:
    """The outbox item of a row."""
    return OutboxItem(
        outbox_id=row.outbox_id,
        created_at=from_text(row.created_at),
        kind=row.kind,
        incident_id=row.incident_id,
        payload=json.loads(row.payload),
        status=row.status,
        attempts=row.attempts,
        next_attempt_at=from_text(row.next_attempt_at),
        receiver=row.receiver,
        receipt=None if row.receipt is None else json.loads(row.receipt),
        route=row.route,
    )


def incident_from_row(row: Any) -> IncidentRow:
    """The incident of a row."""
    return IncidentRow(
        incident_id=row.incident_id,
        rollout_id=row.rollout_id,
        release=row.release,
        state=row.state,
        severity=row.severity,
        title=row.title,
        trigger=row.trigger,
        detected_at=from_text(row.detected_at),
        onset_at=optional_time(row.onset_at),
        cut_at=optional_time(row.cut_at),
        verified_at=optional_time(row.verified_at),
        alerted_at=optional_time(row.alerted_at),
        resolved_at=optional_time(row.resolved_at),
        customers_exposed=row.customers_exposed,
        evidence=json.loads(row.evidence),
        timeline=tuple(json.loads(row.timeline)),
        owner=row.owner,
        acknowledged_at=optional_time(row.acknowledged_at),
        reviewed_at=optional_time(row.reviewed_at),
        serious=json.loads(row.serious),
        containments=tuple(json.loads(row.containments)),
    )


def stage_from_row(row: Any) -> StageRow:
    """The stage span of a row."""
    return StageRow(
        rollout_id=row.rollout_id,
        version=row.version,
        release=row.release,
        state=RolloutState(row.state),
        phase=row.phase,
        stage=row.stage,
        share=row.share,
        started_at=from_text(row.started_at),
        event=row.event,
    )
