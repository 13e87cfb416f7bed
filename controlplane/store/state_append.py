"""Statements of the state's write transactions, one small function per table.

Each takes the connection of a transaction that `controlplane.store.state.StateWriter` has opened; none commits. The heads of
the hash chains are read here, inside that transaction, so two writers can never append behind the same row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from controlplane.core.audit import GENESIS, canonical, chain_hash
from controlplane.core.model import Rollout
from controlplane.store import state_tables as t
from controlplane.store.state_rows import (
    AuditEntry,
    Containment,
    FactsHead,
    IncidentRow,
    LaneState,
    LedgerEntry,
    NewMessage,
    rollout_values,
    to_text,
)


class LostRace(RuntimeError):
    """Another decision changed the rollout first; read again and decide again."""


def swap_rollout(connection: Connection, rollout: Rollout, expected: int | None) -> None:
    c = t.rollouts.c
    row = connection.execute(select(c.rollout_id, c.version).where(c.active)).first()
    found = 0 if row is None else int(row.version)
    if found != expected:
        raise LostRace(f"the rollout is at version {found}, the decision was made on version {expected}")
    values = rollout_values(rollout)
    if row is not None and row.rollout_id == rollout.rollout_id:
        connection.execute(update(t.rollouts).where(c.rollout_id == rollout.rollout_id).values(**values))
        return
    connection.execute(update(t.rollouts).where(c.active).values(active=False))
    connection.execute(insert(t.rollouts).values(**values, active=True))


def append_stage(connection: Connection, rollout: Rollout, stage_event: str) -> None:
    row = {
        "rollout_id": rollout.rollout_id,
        "version": rollout.version,
        "release": rollout.release,
        "state": str(rollout.state),
        "phase": rollout.phase,
        "stage": rollout.stage,
        "share": rollout.share,
        "started_at": to_text(rollout.updated_at),
        "event": stage_event,
    }
    connection.execute(insert(t.stages).values(**row))


def head(connection: Connection, table: Any) -> str:
    row = connection.execute(select(table.c.hash).order_by(table.c.seq.desc()).limit(1)).first()
    return GENESIS if row is None else str(row.hash)


def append_ledger(connection: Connection, entry: LedgerEntry, now: datetime) -> None:
    row = {
        "rollout_id": entry.rollout_id,
        "policy_hash": entry.policy_hash,
        "block_key": entry.block_key,
        "lane": entry.lane,
        "block_start": to_text(entry.block_start),
        "span_seconds": entry.span_seconds,
        "last_batch": entry.last_batch,
        "closed_at": to_text(now),
        "counts": canonical(entry.counts),
        "readings": canonical(entry.readings),
    }
    c = t.ledger.c
    same = (c.rollout_id == entry.rollout_id, c.policy_hash == entry.policy_hash, c.block_key == entry.block_key)
    if connection.execute(select(c.seq).where(*same)).first() is not None:
        raise LostRace(f"block {entry.block_key} of {entry.rollout_id} is closed already")
    prev = head(connection, t.ledger)
    connection.execute(insert(t.ledger).values(**row, prev_hash=prev, hash=chain_hash(prev, row)))


def upsert_lane(connection: Connection, rollout_id: str, lane: LaneState) -> None:
    c = t.detectors.c
    values = {"closed_until": to_text(lane.closed_until), "state": canonical(lane.state)}
    here = (c.rollout_id == rollout_id, c.lane == lane.lane)
    if connection.execute(select(c.lane).where(*here)).first() is None:
        connection.execute(insert(t.detectors).values(rollout_id=rollout_id, lane=lane.lane, **values))
    else:
        connection.execute(update(t.detectors).where(*here).values(**values))


def append_audit(connection: Connection, entry: AuditEntry, policy_hash: str, now: datetime) -> None:
    row = {
        "at": to_text(now),
        "actor": entry.actor,
        "event": entry.event,
        "subject": entry.subject,
        "reason": entry.reason,
        "payload": canonical(entry.payload),
        "policy_hash": policy_hash,
    }
    prev = head(connection, t.audit)
    connection.execute(insert(t.audit).values(**row, prev_hash=prev, hash=chain_hash(prev, row)))


def append_containment(connection: Connection, found: Containment) -> None:
    if connection.execute(
        select(t.containments.c.category).where(t.containments.c.evaluation_id == found.evaluation_id)
    ).first():
        raise LostRace(f"evaluation {found.evaluation_id} has been acted upon already")
    plain = ("evaluation_id", "category", "conversation_id", "rollout_id", "evaluator")
    row = {name: getattr(found, name) for name in plain} | {"contained_at": to_text(found.contained_at)}
    connection.execute(insert(t.containments).values(**row))


def append_message(connection: Connection, message: NewMessage, now: datetime) -> None:
    if (
        connection.execute(select(t.outbox.c.status).where(t.outbox.c.outbox_id == message.outbox_id)).first()
        is not None
    ):
        return
    row = {"outbox_id": message.outbox_id, "kind": message.kind, "incident_id": message.incident_id}
    more = {"payload": canonical(message.payload), "status": "pending", "attempts": 0}
    times = {"created_at": to_text(now), "next_attempt_at": to_text(now)}
    connection.execute(insert(t.outbox).values(**row, **more, **times))


def put_facts_head(connection: Connection, found: FactsHead) -> None:
    values = {"batch_id": found.batch_id, "identity": found.identity, "recorded_at": to_text(found.recorded_at)}
    if connection.execute(update(t.facts_head).values(**values)).rowcount == 0:
        connection.execute(insert(t.facts_head).values(id=1, **values))


def upsert_incident(connection: Connection, incident: IncidentRow) -> None:
    c = t.incidents.c
    moments = ("onset_at", "detected_at", "cut_at", "verified_at", "alerted_at", "resolved_at")
    times = (*moments, "acknowledged_at", "reviewed_at")
    plain = ("rollout_id", "release", "state", "severity", "title", "trigger", "customers_exposed", "owner")
    values: dict[str, Any] = {name: getattr(incident, name) for name in plain}
    for name in times:
        moment = getattr(incident, name)
        values[name] = None if moment is None else to_text(moment)
    values |= {"evidence": canonical(incident.evidence), "timeline": canonical(list(incident.timeline))}
    values |= {"serious": canonical(incident.serious), "containments": canonical(list(incident.containments))}
    found = select(c.timeline, c.alerted_at, c.containments).where(c.incident_id == incident.incident_id)
    row = connection.execute(found).first()
    if row is None:
        connection.execute(insert(t.incidents).values(incident_id=incident.incident_id, **values))
        return
    if json.loads(row.timeline) != list(incident.timeline)[: len(json.loads(row.timeline))]:
        raise LostRace(f"incident {incident.incident_id} has changed since it was read")
    # Neither has a line in the timeline that would tell of it (alerted_at is written by itself, by record_alerted): a row that was read before
    # must not take it back.
    values["alerted_at"] = row.alerted_at or values["alerted_at"]
    values["containments"] = canonical(merged_containments(json.loads(row.containments), incident.containments))
    connection.execute(update(t.incidents).where(c.incident_id == incident.incident_id).values(**values))


def merged_containments(
    stored: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Both lists in one, by action and time; where both know one, what only the stored one knows of it stays."""
    found = {(one.get("action"), one.get("done_at")): one for one in stored}
    for one in new:
        key = (one.get("action"), one.get("done_at"))
        known = found.get(key, {})
        found[key] = {**one, **{name: value for name, value in known.items() if one.get(name) in (None, "")}}
    return list(found.values())
