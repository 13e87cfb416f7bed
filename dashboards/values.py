"""What the pages show, as values: the state of a snapshot, typed and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.store.state_rows import IncidentRow, StageRow

OPEN_INCIDENT = ("open", "acknowledged", "contained")


@dataclass(frozen=True)
class Meta:
    """The snapshot's own description; times are aware UTC. `now` is the control process's time of publication, `slowest` the newest
    time of the slowest live source, `watermark` that minus the lateness the policy allows, `newest` that of the fastest."""

    version: int
    kind: str
    app_version: str
    now: datetime
    watermark: datetime | None
    slowest: datetime | None
    newest: datetime | None
    minute_from: datetime
    records_read: int
    stored: int
    duplicates: int
    quarantined: int

    @property
    def data_age(self) -> timedelta | None:
        """How far the newest record of the slowest live source lies behind; None when a source never told a time."""
        return None if self.slowest is None else max(self.now - self.slowest, timedelta(0))


@dataclass(frozen=True)
class Source:
    """A producer: live or a finished file, its newest time, when it was last heard."""

    name: str
    live: bool
    newest: datetime | None
    heard: datetime | None


@dataclass(frozen=True)
class Log:
    """One row of the audit log."""

    moment: datetime
    actor: str
    event: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Message:
    """One message of the outbox and what became of it."""

    created_at: datetime
    kind: str
    title: str
    severity: str
    resolved: bool
    incident_id: str | None
    status: str
    receiver: str | None
    sent_at: datetime | None
    error: str | None


@dataclass(frozen=True)
class DriftReport:
    """A stored drift analysis; `path` is relative to the workspace."""

    artefact_id: str
    created_at: datetime
    path: str
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class PinnedReview:
    """A pinned weekly review; `path` is that of its page, relative to the workspace."""

    review_id: str
    headline: str
    pinned_at: datetime
    path: str


@dataclass(frozen=True)
class State:
    """Everything a snapshot says about who is served what and why. Newest first: log, messages, drift, reviews.

    `triggers` has the newest reading of every stream; `first` is when the oldest thing was counted."""

    meta: Meta
    rollout: Rollout | None
    cut_verified_at: datetime | None
    policy: Policy | None
    policy_error: str | None
    stages: tuple[StageRow, ...]
    incidents: tuple[IncidentRow, ...]
    approvers: tuple[str, ...]
    authors: Mapping[str, str]
    lanes: tuple[tuple[str, Mapping[str, Any]], ...]
    units: Mapping[tuple[str, str], int]
    log: tuple[Log, ...]
    messages: tuple[Message, ...]
    drift: tuple[DriftReport, ...]
    sources: tuple[Source, ...]
    quarantine: Mapping[str, int]
    triggers: pl.DataFrame
    first: datetime | None = None
    labels: Mapping[tuple[str, int], Mapping[str, str]] = field(
        default_factory=dict
    )  # label by answer, by rollout and stage version
    reviews: tuple[PinnedReview, ...] = ()

    @property
    def open_incidents(self) -> tuple[IncidentRow, ...]:
        """Incidents that still want somebody, newest first."""
        return tuple(row for row in reversed(self.incidents) if row.state in OPEN_INCIDENT)

    @property
    def firing(self) -> tuple[str, ...]:
        """Triggers of the running rollout that have fired and were not given up by a person's resume."""
        if self.rollout is None:
            return ()
        streams = (
            str(stream)
            for rollout_id, standing in self.lanes
            if rollout_id == self.rollout.rollout_id
            for stream in standing.get("fired", ())
        )
        return tuple(sorted({stream.removeprefix("trigger:").split("|")[0] for stream in streams}))
