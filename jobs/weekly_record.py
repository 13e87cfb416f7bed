"""The record as it was when a review was pinned: rollout, history, incidents, overrides, decisions, artefacts.

The audit log and the ledger are append-only and numbered, so "as of the pin" is a row number; what the state keeps in place (the rollout's row,
incidents) is told again from them. Every version of a rollout was committed together with one audit row, so the n-th of these rows says whether
the n-th version was there: exact, also where the clock stood still.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controlplane.core.audit import GENESIS
from controlplane.core.blocks import StageEvent
from controlplane.core.delivery import BEGINS
from controlplane.core.incident import TRANSITIONS, IncidentEvent, IncidentState, is_over, state_after
from controlplane.core.model import Rollout, RolloutState
from controlplane.core.overrides import Override
from controlplane.core.rollout import Event
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.state_rows import IncidentRow, StageRow, from_text, optional_time, to_text

CHANGES = frozenset(str(event) for event in Event)
_STAGE_BEGINS = frozenset({"start", "restart", "promote"})
_SWITCHES_OFF = frozenset({"disable_execution", "rollback", "contain"})
_SWITCHES_ON = frozenset({"enable_execution", "start", "restart"})
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """What was known: audit rows (payloads as values) oldest first, the history of all rollouts, and the rollout that was served."""

    moment: datetime
    audit: Sequence[Row]
    stages: Sequence[StageRow]
    rollout: Rollout | None
    incidents: Sequence[IncidentRow]
    overrides: Sequence[Override]
    ledger: Sequence[Row] = field(repr=False)

    @property
    def history(self) -> list[StageEvent]:
        """The history of the rollout that was served, as the block grid reads it."""
        return [
            StageEvent(row.version, row.event, row.state, row.started_at, row.share)
            for row in self.stages
            if self.rollout is not None and row.rollout_id == self.rollout.rollout_id
        ]

    def rows_of(self, event: str, subject: str | None = None) -> list[Row]:
        """Audit rows of an event."""
        return [row for row in self.audit if row["event"] == event and subject in (None, row["subject"])]


def heads(state: StateReader) -> dict[str, tuple[int, str]]:
    """Row number and hash of the newest row of both chains."""
    return {
        name: (int(rows[-1]["seq"]), str(rows[-1]["hash"])) if rows else (0, GENESIS)
        for name, rows in (("audit", state.audit_rows()), ("ledger", state.ledger_rows()))
    }


def as_of(state: StateReader, audit_seq: int, ledger_seq: int, moment: datetime) -> Record:
    """The record up to these rows of both chains; `moment`: when, for what is kept by time alone."""
    everything = state.audit_rows()
    audit = [row | {"payload": json.loads(row["payload"])} for row in everything if row["seq"] <= audit_seq]
    ids = state.rollout_ids()
    stages = _visible(
        sorted((row for one in ids for row in state.stages(one)), key=lambda r: r.version),
        everything,
        set(ids),
        audit_seq,
        moment,
    )
    versions = {f"{row.rollout_id}-v{row.version}" for row in stages}
    known = {f"{one}-v" for one in ids}
    incidents = [
        _incident(state, row, audit, moment)
        for row in state.incidents()
        if (
            row.incident_id in versions
            if row.incident_id.rpartition("v")[0] + "v" in known
            else row.detected_at <= moment
        )
    ]
    return Record(
        moment=moment,
        audit=audit,
        stages=stages,
        rollout=_rollout(state, stages, audit),
        incidents=incidents,
        overrides=_overrides(state, audit),
        ledger=[row for row in state.ledger_rows() if row["seq"] <= ledger_seq],
    )


def artefact(state: StateReader, kind: str, record: Record) -> ArtefactRow | None:
    """The newest result of that kind that the audit log vouched for by then; what was recorded and not vouched for yet does not count."""
    vouched = {str(row["subject"]) for row in record.audit}
    found = [row for row in state.artefacts(kind) if row.artefact_id in vouched]
    return found[-1] if found else None


def _visible(
    stages: list[StageRow], everything: Sequence[Row], ids: set[str], audit_seq: int, moment: datetime
) -> list[StageRow]:
    changes = [row["seq"] for row in everything if row["event"] in CHANGES and row["subject"] in ids]
    if len(changes) != len(stages):  # a history that was written otherwise: by time
        return [row for row in stages if row.started_at <= moment]
    return stages[: sum(seq <= audit_seq for seq in changes)]


def _rollout(state: StateReader, stages: Sequence[StageRow], audit: Sequence[Row]) -> Rollout | None:
    """The row of the rollout as it was, from its history and the audit rows beside it."""
    if not stages:
        return None
    last = stages[-1]
    mine = [row for row in stages if row.rollout_id == last.rollout_id]
    told = [row for row in audit if row["subject"] == last.rollout_id and row["event"] in CHANGES]
    begun: dict[str, Any] = next((row["payload"] for row in reversed(told) if row["event"] in BEGINS), {})
    switches = [row.event for row in mine if row.event in _SWITCHES_OFF | _SWITCHES_ON]
    return Rollout(
        rollout_id=last.rollout_id,
        release=last.release,
        release_hash=str(begun.get("release_hash", "")),
        state=last.state,
        phase=last.phase,
        stage=last.stage,
        share=last.share,
        execution_enabled=bool(switches) and switches[-1] in _SWITCHES_ON,
        policy_hash=next((str(row["policy_hash"]) for row in reversed(told) if row["policy_hash"]), ""),
        version=last.version,
        updated_at=last.started_at,
        stage_started_at=max(row.started_at for row in mine if row.event in _STAGE_BEGINS or row is mine[0]),
        reason=str(told[-1]["reason"]) if told else "",
        accepted_release=str(begun.get("accepted_release", "")),
        contained=_contained(told),
    )


def _contained(told: Sequence[Row]) -> tuple[str, ...]:
    """Categories that went to people: those a containment's evidence named, or as a person's act left them."""
    held: tuple[str, ...] = ()
    for row in told:
        if row["event"] == "contain":
            evidence = row["payload"].get("evidence", {})
            held = tuple(sorted({*held, *evidence.get("categories", row["payload"].get("contained", ()))}))
        elif "contained" in row["payload"]:
            held = tuple(row["payload"]["contained"])
    return held


def _incident(state: StateReader, row: IncidentRow, audit: Sequence[Row], moment: datetime) -> IncidentRow:
    """An incident as it was: its state from the audit log, its times as far as they had come, and without what a later recurrence overwrote."""
    mine = [one for one in audit if one["subject"] == row.incident_id and str(one["event"]).startswith("incident_")]
    recurred = [one for one in mine if one["event"] == "incident_recur"]
    row = _before_the_next_recurrence(state, row, len(recurred))
    versions = {str(one["payload"].get("version")) for one in recurred} | {row.incident_id.rpartition("-v")[2]}
    cuts = [
        one
        for one in audit
        if one["event"] in _VERIFIED and one["subject"] == row.rollout_id and _is_of(one, row, versions)
    ]
    steps = sorted([*mine, *cuts], key=lambda one: one["seq"])
    names = [("contain" if one in cuts else str(one["event"]).removeprefix("incident_"), one) for one in steps]
    moves = [(name, one) for name, one in names if name in _EVENTS]
    status = state_after(name for name, _ in moves)
    last = _moments(moves)
    alerted = row.alerted_at if row.alerted_at is not None and row.alerted_at <= moment else None
    return IncidentRow(
        incident_id=row.incident_id,
        rollout_id=row.rollout_id,
        release=row.release,
        state=status,
        severity=row.severity,
        title=row.title,
        trigger=row.trigger,
        detected_at=row.detected_at,
        onset_at=row.onset_at,
        cut_at=row.cut_at,
        verified_at=last.get("contain"),
        alerted_at=alerted,
        resolved_at=last.get("resolve") or last.get("clear"),
        acknowledged_at=last.get("acknowledge"),
        reviewed_at=last.get("review"),
        customers_exposed=_exposed(state, row, cuts[-1] if cuts else None),
    )


def _moments(moves: Sequence[tuple[str, Row]]) -> dict[str, datetime]:
    """When each event was the last time, without what a recurrence or a reopening took back (`jobs.incidents.clock_values`)."""
    found: dict[str, datetime] = {}
    state = IncidentState.OPEN
    for name, one in moves:
        event = IncidentEvent(name)
        if event is IncidentEvent.REOPEN:
            found = {kept: at for kept, at in found.items() if kept == "contain"}
        elif event is IncidentEvent.RECUR and state is not IncidentState.ACKNOWLEDGED:
            found = {}
        found[name] = from_text(one["at"])
        state = TRANSITIONS.get((state, event), state)
    return found


_VERIFIED = frozenset({"cut_verified", "containment_verified"})
_EVENTS = frozenset(str(event) for event in IncidentEvent)
_TIMES = ("onset_at", "cut_at", "verified_at", "acknowledged_at", "resolved_at")


def _before_the_next_recurrence(state: StateReader, row: IncidentRow, seen: int) -> IncidentRow:
    """The row without what the recurrences behind the first `seen` took it to: each keeps in the log what it overwrote."""
    later = state.vouched("incident_recur", row.incident_id)[seen:]
    if not later:
        return row
    before: dict[str, Any] = {
        name: optional_time(value) if name in _TIMES else value for name, value in later[0].get("before", {}).items()
    }
    return replace(row, **before)


def _is_of(verified: Row, incident: IncidentRow, versions: Collection[str]) -> bool:
    """Whether a verification is of the incident; older programs told the version that cut: the one that opened the incident, or that joined it."""
    told = verified["payload"]
    if "incident" in told:
        return bool(told["incident"] == incident.incident_id)
    return incident.cut_at is not None and str(told.get("version", next(iter(versions)))) in versions


def _exposed(state: StateReader, row: IncidentRow, verified: Row | None) -> int | None:
    """Customers exposed as it was told then: counted again at the verification, before that as the first message said."""
    if verified is not None and verified["payload"].get("customers_exposed") is not None:
        return int(verified["payload"]["customers_exposed"])
    first = next((item for item in state.outbox() if item.outbox_id == f"{row.incident_id}:opened"), None)
    told = row.customers_exposed if first is None else first.payload.get("customers_exposed")
    return None if told is None else int(told)


def _overrides(state: StateReader, audit: Sequence[Row]) -> list[Override]:
    """Overrides that had been added, with their early end where that had come."""
    added = {row["payload"].get("override_id") for row in audit if row["event"] == "override_added"}
    ended = {row["payload"].get("override_id") for row in audit if row["event"] == "override_ended"}
    return [
        Override(
            override_id=item.override_id,
            rollout_id=item.rollout_id,
            trigger=item.trigger,
            actor=item.actor,
            reason=item.reason,
            started_at=item.started_at,
            until=item.until,
            ended_at=item.ended_at if item.override_id in ended else None,
            ended_by=item.ended_by if item.override_id in ended else "",
        )
        for item in state.overrides()
        if item.override_id in added
    ]


def rollout_json(rollout: Rollout | None) -> dict[str, Any] | None:
    """The rollout as the review tells it."""
    if rollout is None:
        return None
    return {
        "rollout_id": rollout.rollout_id,
        "release": rollout.release,
        "release_hash": rollout.release_hash,
        "state": str(rollout.state),
        "phase": rollout.phase,
        "share": rollout.share,
        "version": rollout.version,
        "execution_enabled": rollout.execution_enabled,
        "stage_started_at": to_text(rollout.stage_started_at),
        "accepted_release": rollout.accepted_release,
        "contained": list(rollout.contained),
    }


def incident_json(row: IncidentRow) -> dict[str, Any]:
    """An incident with its times from onset to alert."""
    times = ("onset_at", "detected_at", "cut_at", "verified_at", "alerted_at", "resolved_at")
    plain = ("incident_id", "rollout_id", "release", "state", "severity", "title", "trigger", "customers_exposed")
    moments: Mapping[str, datetime | None] = {name: getattr(row, name) for name in times}
    return {name: getattr(row, name) for name in plain} | {
        name: None if moment is None else to_text(moment) for name, moment in moments.items()
    }


def is_open(row: IncidentRow) -> bool:
    """Whether somebody still has to do something about it."""
    return not is_over(row.state)


def is_served(rollout: Rollout | None) -> bool:
    """Whether a release is in front of customers and could be given more of them."""
    return rollout is not None and rollout.state in (RolloutState.RUNNING, RolloutState.HELD)
