"""The state database: who is served what, why, and what was told to whom.

`StateReader` looks, `StateWriter` changes: who is given a reader cannot write. All of a decision goes into **one** transaction
(`StateWriter.commit`): closed blocks with their evidence, the rollout row by compare-and-swap of its version, the audit row,
the incident and the message for people. Either all of it is there after a crash or none.

SQLite by default (WAL, fsync on every commit, `BEGIN IMMEDIATE` for writers); PostgreSQL by URL (row lock on the version row).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, make_url, or_, select, true, update

from controlplane.core.audit import ChainBreak, canonical, verify
from controlplane.core.model import Rollout
from controlplane.store import state_tables as t
from controlplane.store.state_append import (
    append_audit,
    append_containment,
    append_ledger,
    append_message,
    append_stage,
    put_facts_head,
    swap_rollout,
    upsert_incident,
    upsert_lane,
)
from controlplane.store.state_claims import FencedOff, claim_run, take_lease
from controlplane.store.state_evaluation import EvaluationReader, EvaluationWriter
from controlplane.store.state_governance import GovernanceReader, GovernanceWriter
from controlplane.store.state_incidents import IncidentReader, IncidentWriter
from controlplane.store.state_migrations import migrate
from controlplane.store.state_outbox import OutboxReader, OutboxWriter
from controlplane.store.state_outbox_log import OutboxLogReader
from controlplane.store.state_reviews import ReviewReader, ReviewWriter
from controlplane.store.state_rows import (
    CHANGES,
    AuditEntry,
    Commit,
    LaneState,
    StageRow,
    from_text,
    rollout_from_row,
    stage_from_row,
    to_text,
)

BUSY_SECONDS = 10.0  # what SQLite waits for another process's lock


def _engine(url: str, *, writer: bool) -> Engine:
    """Connections to the state. A SQLite URL may say how many seconds to wait for another process's lock: `?timeout=2.5` (default 10)."""
    address = make_url(url)
    waits = {"timeout": BUSY_SECONDS} if url.startswith("sqlite") and "timeout" not in address.query else {}
    engine = create_engine(address, pool_pre_ping=not url.startswith("sqlite"), connect_args=waits)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def configure(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # we say BEGIN ourselves, below
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            if writer:
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.execute("PRAGMA synchronous = FULL")
            cursor.close()

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writer else "BEGIN")

    return engine


class StateReader(EvaluationReader, GovernanceReader, ReviewReader, OutboxReader, IncidentReader, OutboxLogReader):
    """Read-only view of the state."""

    def __init__(self, url: str) -> None:
        self._engine = _engine(url, writer=False)

    def close(self) -> None:
        """Release the connections."""
        self._engine.dispose()

    def _rows(self, statement: Any) -> list[Any]:
        with self._engine.begin() as connection:
            return list(connection.execute(statement).all())

    def version(self) -> int:
        """Rises with every write."""
        rows = self._rows(select(t.state_version.c.version))
        return int(rows[0].version) if rows else 0

    def rollout(self) -> Rollout | None:
        """The active rollout."""
        rows = self._rows(select(t.rollouts).where(t.rollouts.c.active))
        return rollout_from_row(rows[0]) if rows else None

    def cut_verified_at(self, rollout_id: str) -> datetime | None:
        """When the cut of a rolled-back rollout was verified, or None."""
        rows = self._rows(select(t.rollouts.c.cut_verified_at).where(t.rollouts.c.rollout_id == rollout_id))
        return from_text(rows[0][0]) if rows and rows[0][0] else None

    def stages(self, rollout_id: str) -> list[StageRow]:
        """History of what was served when, oldest first."""
        rows = self._rows(select(t.stages).where(t.stages.c.rollout_id == rollout_id).order_by(t.stages.c.version))
        return [stage_from_row(row) for row in rows]

    def lanes(self, rollout_id: str) -> dict[str, LaneState]:
        """Where each lane of the rollout stands."""
        rows = self._rows(select(t.detectors).where(t.detectors.c.rollout_id == rollout_id))
        return {row.lane: LaneState(row.lane, from_text(row.closed_until), json.loads(row.state)) for row in rows}

    def policy_text(self, policy_hash: str) -> str | None:
        """The text of a registered policy."""
        rows = self._rows(select(t.policies.c.text).where(t.policies.c.policy_hash == policy_hash))
        return str(rows[0].text) if rows else None

    def release_hashes(self) -> dict[str, str]:
        """Release label by artefact hash."""
        return {row.release_hash: row.release for row in self._rows(select(t.releases))}

    def approvals(self, rollout: Rollout) -> list[str]:
        """Names of those who approved leaving the current stage of exactly this release.

        Who approved before the newest deploy or change of policy approved something else and is not counted.
        """
        c = t.approvals.c
        statement = select(c.approver).where(
            c.rollout_id == rollout.rollout_id,
            c.stage == rollout.stage,
            c.release_hash == rollout.release_hash,
            c.approved_at >= to_text(self.changed_at(rollout)),
        )
        return sorted({str(row.approver) for row in self._rows(statement)})

    def changed_at(self, rollout: Rollout) -> datetime:
        """Since when the stage is what it is: its start, or the newest deploy or change of policy since."""
        changes = [row.started_at for row in self.stages(rollout.rollout_id) if row.event in CHANGES]
        return max([rollout.stage_started_at, *changes])

    def audit_rows(self) -> list[dict[str, Any]]:
        """The audit log as plain rows, oldest first."""
        return [dict(row._mapping) for row in self._rows(select(t.audit).order_by(t.audit.c.seq))]

    def ledger_rows(self, rollout_id: str | None = None, since: datetime | None = None) -> list[dict[str, Any]]:
        """The evidence ledger as plain rows, oldest first; of one rollout, and of blocks that began at `since` or later, if asked."""
        statement = select(t.ledger).order_by(t.ledger.c.seq)
        if rollout_id is not None:
            statement = statement.where(t.ledger.c.rollout_id == rollout_id)
        if since is not None:
            statement = statement.where(t.ledger.c.block_start >= to_text(since))
        return [dict(row._mapping) for row in self._rows(statement)]

    def ledger_of_lane(self, lane: str, most: int) -> list[dict[str, Any]]:
        """The newest rows of one lane of the evidence ledger, of all rollouts, oldest first; without the chain."""
        c = t.ledger.c
        columns = (
            c.rollout_id,
            c.policy_hash,
            c.block_start,
            c.span_seconds,
            c.last_batch,
            c.closed_at,
            c.counts,
            c.readings,
        )
        statement = select(*columns).where(c.lane == lane).order_by(c.seq.desc()).limit(most)
        return [dict(row._mapping) for row in reversed(self._rows(statement))]

    def has_fired(self, rollout_id: str) -> bool:
        """Latch: whether any stream of the rollout has fired since a person last resumed it."""
        return any(lane.state.get("fired") for lane in self.lanes(rollout_id).values())

    def rolled_back(self) -> dict[str, str]:
        """Label by artefact hash of every release that was ever rolled back."""
        c = t.stages.c
        ids = select(c.rollout_id).where(c.event == "rollback")
        rows = self._rows(select(t.rollouts).where(t.rollouts.c.rollout_id.in_(ids)))
        return {str(row.release_hash): str(row.release) for row in rows}

    def author(self, release_hash: str) -> str | None:
        """Who registered a release; that person's approval does not count."""
        rows = self._rows(select(t.releases.c.author).where(t.releases.c.release_hash == release_hash))
        return str(rows[0].author) if rows else None

    def verify_chains(self) -> dict[str, ChainBreak | None]:
        """First break of the audit log and of the evidence ledger, None where the chain is whole."""
        return {name: verify(rows) for name, rows in self.chains().items()}

    def chains(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of the audit log and of the evidence ledger, in the order of their chains."""
        return {"audit": self.audit_rows(), "ledger": self.ledger_rows()}

    def export(self, ledger_since: datetime | None = None) -> dict[str, list[dict[str, Any]]]:
        """Every table as plain rows: what the snapshot publishes. Of the ledger only what began since then, or has fired."""
        c = t.ledger.c
        recent = (
            or_(c.block_start >= to_text(ledger_since), c.readings.contains('"fired":true')) if ledger_since else true()
        )
        with self._engine.begin() as connection:
            return {
                table.name: [
                    dict(row._mapping)
                    for row in connection.execute(select(table).where(recent if table is t.ledger else true()))
                ]
                for table in t.metadata.sorted_tables
            }


class StateWriter(StateReader, EvaluationWriter, GovernanceWriter, ReviewWriter, OutboxWriter, IncidentWriter):
    """The only type that changes the state."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._write_engine = _engine(url, writer=True)
        self._token: tuple[str, int] | None = None

    def close(self) -> None:
        """Release the connections."""
        super().close()
        self._write_engine.dispose()

    def migrate(self, now: datetime) -> None:
        """Create what is missing and bring an older schema up to date. A newer schema than this program's is refused."""
        with self._write_engine.begin() as connection:
            migrate(connection, now)

    @contextmanager
    def _transaction(self, *, visible: bool = True, fenced: bool = True) -> Iterator[Connection]:
        """A write transaction: locks the version row first (FOR UPDATE where the engine has it), checks the fencing token.

        `visible=False` for housekeeping that no reader waits for: it leaves the version as it is. `fenced=False` for the lease itself.
        """
        with self._write_engine.begin() as connection:
            connection.execute(select(t.state_version.c.version).with_for_update()).all()
            if fenced and self._token is not None:
                name, token = self._token
                held = connection.execute(select(t.leases.c.token).where(t.leases.c.name == name)).scalar()
                if held != token:
                    raise FencedOff(f"the lease '{name}' was taken over by another process; this one stops writing")
            yield connection
            if visible:
                connection.execute(update(t.state_version).values(version=t.state_version.c.version + 1))

    def commit(self, change: Commit, now: datetime) -> None:
        """Write one decision. Raises `LostRace` and writes nothing when the rollout has changed since it was read."""
        with self._transaction() as connection:
            policy_hash = ""
            if change.rollout is not None:
                swap_rollout(connection, change.rollout, change.expected_version)
                policy_hash = change.rollout.policy_hash
                if change.stage_event is not None:
                    append_stage(connection, change.rollout, change.stage_event)
            for entry in change.ledger:
                append_ledger(connection, entry, now)
            for lane in change.lanes:
                upsert_lane(connection, change.ledger[0].rollout_id, lane)
            for audit in change.audit:
                append_audit(connection, audit, policy_hash, now)
            if change.incident is not None:
                upsert_incident(connection, change.incident)
            for row in change.also:
                upsert_incident(connection, row)
            for found in change.containments:
                append_containment(connection, found)
            if change.facts_head is not None:
                put_facts_head(connection, change.facts_head)
            for message in change.messages:
                append_message(connection, message, now)

    def register_policy(self, policy_hash: str, name: str, text: str, now: datetime) -> None:
        """Keep the text of a policy under its hash (once)."""
        with self._transaction() as connection:
            if (
                connection.execute(select(t.policies.c.name).where(t.policies.c.policy_hash == policy_hash)).first()
                is None
            ):
                row = {"policy_hash": policy_hash, "name": name, "text": text, "registered_at": to_text(now)}
                connection.execute(insert(t.policies).values(**row))

    def register_release(
        self, release: str, release_hash: str, artefacts: Mapping[str, str], author: str, now: datetime
    ) -> None:
        """Keep what a release is made of under its hash (once)."""
        with self._transaction() as connection:
            c = t.releases.c
            if connection.execute(select(c.release).where(c.release_hash == release_hash)).first() is None:
                row = {"release": release, "release_hash": release_hash, "artefacts": canonical(dict(artefacts))}
                connection.execute(insert(t.releases).values(**row, author=author, registered_at=to_text(now)))

    def approve(self, rollout: Rollout, approver: str, note: str, now: datetime) -> None:
        """Record that a person approves leaving the current stage; repeated approvals by one person count once.

        An approval from before a deploy or a change of policy is renewed; the audit log keeps both.
        """
        c = t.approvals.c
        key = f"{rollout.rollout_id}/{rollout.stage}/{rollout.release_hash}/{approver}"
        since = to_text(self.changed_at(rollout))
        row = {"approval_id": key, "rollout_id": rollout.rollout_id, "phase": rollout.phase, "stage": rollout.stage}
        more = {"release_hash": rollout.release_hash, "approver": approver, "note": note, "approved_at": to_text(now)}
        with self._transaction() as connection:
            before = connection.execute(select(c.approved_at).where(c.approval_id == key)).first()
            if before is not None and before.approved_at >= since:
                return
            if before is None:
                connection.execute(insert(t.approvals).values(**row, **more))
            else:
                connection.execute(update(t.approvals).where(c.approval_id == key).values(**more))
            entry = AuditEntry(approver, "approve", rollout.rollout_id, note or "approved", {"stage": rollout.stage})
            append_audit(connection, entry, rollout.policy_hash, now)

    def record_cut_verified(self, rollout_id: str, change: Commit, now: datetime) -> None:
        """The cut has been verified: mark the rollout, and write the incident, audit row and message that say so."""
        with self._transaction() as connection:
            c = t.rollouts.c
            connection.execute(
                update(t.rollouts).where(c.rollout_id == rollout_id).values(cut_verified_at=to_text(now))
            )
            for entry in change.audit:
                append_audit(connection, entry, "", now)
            if change.incident is not None:
                upsert_incident(connection, change.incident)
            for message in change.messages:
                append_message(connection, message, now)

    def record_artefact(
        self, artefact_id: str, kind: str, path: str, summary: Mapping[str, Any], now: datetime
    ) -> None:
        """Keep a job's result (a drift report, a review) as a new version."""
        row = {"artefact_id": artefact_id, "kind": kind, "path": path, "summary": canonical(dict(summary))}
        with self._transaction() as connection:
            connection.execute(insert(t.artefacts).values(**row, created_at=to_text(now)))

    def claim_run(self, job: str, slot: str, owner: str, now: datetime, lease: timedelta) -> bool:
        """Claim a scheduled run: True for exactly one owner, or when an expired claim that is not done is taken over."""
        with self._transaction(visible=False) as connection:
            return claim_run(connection, job, slot, owner, now, lease)

    def finish_run(self, job: str, slot: str, result: Mapping[str, Any], now: datetime) -> None:
        """Mark a claimed run as done."""
        c = t.runs.c
        with self._transaction(visible=False) as connection:
            values = {"done_at": to_text(now), "result": canonical(dict(result))}
            connection.execute(update(t.runs).where(c.job == job, c.slot == slot).values(**values))

    def take_lease(self, name: str, owner: str, now: datetime, ttl: timedelta) -> int:
        """Take or renew a named lease; the fencing token rises when it changes hands. Raises `FencedOff` while another holds it."""
        with self._transaction(visible=False, fenced=False) as connection:
            token = take_lease(connection, name, owner, now, ttl)
        self._token = (name, token)
        return token

    def give_up_lease(self, name: str, owner: str, now: datetime) -> None:
        """Let go of a lease at a clean shutdown, so that a restart need not wait for it to expire.

        The token is kept: what this process still writes behind its successor's back is fenced off.
        """
        c = t.leases.c
        with self._transaction(visible=False, fenced=False) as connection:
            connection.execute(
                update(t.leases).where(c.name == name, c.owner == owner).values(lease_until=to_text(now))
            )
