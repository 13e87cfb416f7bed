"""Evaluation in the state database: versions of data sets, registered criteria, runs, labels of reviewers.

Parts of `StateReader` and `StateWriter`, apart because they are a subject of their own. Every write puts an audit row behind it in the same
transaction. The rows hold hashes of what they stand for, and the audit row repeats them: whoever changes a row here later no longer agrees
with the hash chain, and `vouched_*` says so.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from controlplane.core.audit import canonical, sha256_text
from controlplane.store import state_tables as t
from controlplane.store.state_append import LostRace, append_audit
from controlplane.store.state_rows import AuditEntry, from_text, to_text

DATASET_EVENT, CRITERIA_EVENT = "dataset_version", "criteria_registered"
STARTED_EVENT, FINISHED_EVENT, REVIEW_EVENT = "evaluation_started", "evaluation_finished", "output_reviewed"


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """One version of a named data set."""

    name: str
    version: str
    rows: int
    parent: str | None
    origin: str
    actor: str
    created_at: datetime
    summary: dict[str, Any]


@dataclass(frozen=True, slots=True)
class CriteriaRow:
    """Registered criteria; `datasets` is the version by name that they are for, empty for any."""

    criteria_hash: str
    name: str
    owner: str
    text: str
    datasets: dict[str, str]
    actor: str
    registered_at: datetime


@dataclass(frozen=True, slots=True)
class RunRow:
    """One evaluation run; `finished_at` None = begun and not ended."""

    run_id: str
    release: str
    release_hash: str
    artefacts: dict[str, str]
    criteria_hash: str
    criteria_name: str
    datasets: dict[str, str]
    seed: int
    code_version: str
    actor: str
    started_at: datetime
    finished_at: datetime | None = None
    verdict: str | None = None
    result: dict[str, Any] | None = None
    result_hash: str | None = None
    outcomes_hash: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewLabel:
    """What one person said about one answer of a stage; the newest label of an answer counts."""

    interaction_id: str
    rollout_id: str
    stage_version: int
    label: str
    note: str
    reviewer: str
    labelled_at: datetime


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """A recorded result of a job (drift, backtest, trade-off, sampling): its kind, where its file lies (empty: nowhere), what it says."""

    artefact_id: str
    kind: str
    path: str
    summary: dict[str, Any]
    created_at: datetime


def criteria_identity(text: str, datasets: Mapping[str, str]) -> str:
    """Hash of criteria: their text and the data-set versions that they were registered for."""
    return sha256_text(canonical({"text": text, "datasets": dict(datasets)}))


def result_identity(run: RunRow) -> str:
    """Hash of everything that a finished run says, outcomes included."""
    return sha256_text(
        canonical(
            {
                "run_id": run.run_id,
                "release_hash": run.release_hash,
                "criteria_hash": run.criteria_hash,
                "datasets": run.datasets,
                "seed": run.seed,
                "verdict": run.verdict,
                "result": run.result,
                "outcomes_hash": run.outcomes_hash,
            }
        )
    )


class EvaluationReader(ABC):
    """Looks; part of `StateReader`, which knows the database."""

    @abstractmethod
    def _rows(self, statement: Any) -> list[Any]:
        """All rows of a query."""

    def dataset_versions(self, name: str | None = None) -> list[DatasetVersion]:
        """All versions, of one name or of all, oldest first."""
        statement = select(t.dataset_versions).order_by(t.dataset_versions.c.seq)
        if name is not None:
            statement = statement.where(t.dataset_versions.c.name == name)
        return [_dataset(row) for row in self._rows(statement)]

    def criteria(self, name: str | None = None) -> list[CriteriaRow]:
        """All registered criteria, of one name or of all, oldest first."""
        statement = select(t.acceptance_criteria).order_by(t.acceptance_criteria.c.seq)
        if name is not None:
            statement = statement.where(t.acceptance_criteria.c.name == name)
        return [_criteria(row) for row in self._rows(statement)]

    def evaluation_runs(self, release_hash: str | None = None) -> list[RunRow]:
        """All runs, of one release or of all, oldest first."""
        statement = select(t.evaluation_runs).order_by(t.evaluation_runs.c.seq)
        if release_hash is not None:
            statement = statement.where(t.evaluation_runs.c.release_hash == release_hash)
        return [_run(row) for row in self._rows(statement)]

    def started_releases(self) -> list[str]:
        """Artefact hashes of every release that was ever let in, by its newest start, oldest first."""
        c, r = t.stages.c, t.rollouts.c
        first = c.event.in_(("start", "restart"))
        rows = self._rows(
            select(r.release_hash)
            .join_from(t.stages, t.rollouts, c.rollout_id == r.rollout_id)
            .where(first)
            .order_by(c.seq)
        )
        return list(dict.fromkeys(str(row.release_hash) for row in reversed(rows)))[::-1]

    def review_labels(self, rollout_id: str) -> list[ReviewLabel]:
        """All labels of a rollout's answers, oldest first."""
        c = t.review_labels.c
        rows = self._rows(select(t.review_labels).where(c.rollout_id == rollout_id).order_by(c.seq))
        return [_label(row) for row in rows]

    def artefacts(self, kind: str) -> list[ArtefactRow]:
        """All recorded results of that kind, oldest first."""
        c = t.artefacts.c
        rows = self._rows(select(t.artefacts).where(c.kind == kind).order_by(c.created_at, c.artefact_id))
        return [
            ArtefactRow(r.artefact_id, r.kind, r.path, json.loads(r.summary), from_text(r.created_at)) for r in rows
        ]

    def vouched(self, event: str, subject: str) -> list[dict[str, Any]]:
        """Payloads of the audit rows that say this about that, oldest first."""
        c = t.audit.c
        rows = self._rows(select(c.payload).where(c.event == event, c.subject == subject).order_by(c.seq))
        return [json.loads(row.payload) for row in rows]

    def subjects_of(self, event: str) -> frozenset[str]:
        """What the audit log says this about."""
        return frozenset(
            str(row.subject) for row in self._rows(select(t.audit.c.subject).where(t.audit.c.event == event))
        )


class EvaluationWriter(EvaluationReader):
    """Changes; part of `StateWriter`, which knows how to write."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[Connection]:
        """One transaction that may change the state; it is undone by an exception."""

    def add_dataset_version(self, found: DatasetVersion) -> None:
        """Move a name to a version. Raises LostRace when the name is no longer at `parent`."""
        c = t.dataset_versions.c
        row = {"name": found.name, "version": found.version, "rows": found.rows, "parent": found.parent}
        more = {"origin": found.origin, "actor": found.actor, "summary": canonical(found.summary)}
        with self._transaction() as connection:
            newest = connection.execute(select(c.version).where(c.name == found.name).order_by(c.seq.desc())).first()
            if (None if newest is None else newest.version) != found.parent:
                raise LostRace(f"data set {found.name} has another version than the one this was made from: try again")
            values = {**row, **more, "created_at": to_text(found.created_at)}
            connection.execute(insert(t.dataset_versions).values(**values))
            entry = AuditEntry(found.actor, DATASET_EVENT, found.name, found.origin, row)
            append_audit(connection, entry, "", found.created_at)

    def register_criteria(self, found: CriteriaRow) -> bool:
        """Keep criteria under their hash; False when they were registered before, at their own time."""
        c = t.acceptance_criteria.c
        row = {"criteria_hash": found.criteria_hash, "name": found.name, "owner": found.owner, "text": found.text}
        more = {"datasets": canonical(found.datasets), "actor": found.actor}
        with self._transaction() as connection:
            if connection.execute(select(c.seq).where(c.criteria_hash == found.criteria_hash)).first() is not None:
                return False
            values = {**row, **more, "registered_at": to_text(found.registered_at)}
            connection.execute(insert(t.acceptance_criteria).values(**values))
            said = {"name": found.name, "datasets": found.datasets, "registered_at": to_text(found.registered_at)}
            reason = f"acceptance criteria {found.name}"
            entry = AuditEntry(found.actor, CRITERIA_EVENT, found.criteria_hash, reason, said)
            append_audit(connection, entry, "", found.registered_at)
            return True

    def begin_evaluation(self, run: RunRow) -> None:
        """Record a run before it measures anything: whoever stops it has still seen that release on that data."""
        with self._transaction() as connection:
            connection.execute(insert(t.evaluation_runs).values(**_run_values(run)))
            said = {
                "release_hash": run.release_hash,
                "criteria_hash": run.criteria_hash,
                "datasets": run.datasets,
                "seed": run.seed,
                "started_at": to_text(run.started_at),
            }
            entry = AuditEntry(run.actor, STARTED_EVENT, run.run_id, f"evaluation of {run.release}", said)
            append_audit(connection, entry, "", run.started_at)

    def finish_evaluation(self, run: RunRow, now: datetime) -> None:
        """Record what a run found, once. Raises LostRace for a run that was finished or never begun."""
        c = t.evaluation_runs.c
        with self._transaction() as connection:
            values = {key: value for key, value in _run_values(run).items() if key != "run_id"}
            done = connection.execute(
                update(t.evaluation_runs).where(c.run_id == run.run_id, c.finished_at.is_(None)).values(**values)
            )
            if done.rowcount != 1:
                raise LostRace(f"evaluation {run.run_id} is finished already, or was never begun")
            said = {"verdict": run.verdict, "result_hash": run.result_hash, "release_hash": run.release_hash}
            reason = f"{run.release} under {run.criteria_name}: {run.verdict}"
            append_audit(connection, AuditEntry(run.actor, FINISHED_EVENT, run.run_id, reason, said), "", now)

    def add_review_label(self, found: ReviewLabel) -> None:
        """Record what a reviewer said; a later label of the same answer replaces it in the count, never in the record."""
        values = {name: getattr(found, name) for name in ReviewLabel.__dataclass_fields__}
        with self._transaction() as connection:
            values["labelled_at"] = to_text(found.labelled_at)
            connection.execute(insert(t.review_labels).values(**values))
            said = {"interaction_id": found.interaction_id, "label": found.label, "stage_version": found.stage_version}
            entry = AuditEntry(found.reviewer, REVIEW_EVENT, found.rollout_id, found.note or found.label, said)
            append_audit(connection, entry, "", found.labelled_at)


def _dataset(row: Any) -> DatasetVersion:
    return DatasetVersion(
        name=row.name,
        version=row.version,
        rows=row.rows,
        parent=row.parent,
        origin=row.origin,
        actor=row.actor,
        created_at=from_text(row.created_at),
        summary=json.loads(row.summary),
    )


def _label(row: Any) -> ReviewLabel:
    values: dict[str, Any] = {name: getattr(row, name) for name in ReviewLabel.__dataclass_fields__}
    return ReviewLabel(**(values | {"labelled_at": from_text(row.labelled_at)}))


def _criteria(row: Any) -> CriteriaRow:
    return CriteriaRow(
        criteria_hash=row.criteria_hash,
        name=row.name,
        owner=row.owner,
        text=row.text,
        datasets=json.loads(row.datasets),
        actor=row.actor,
        registered_at=from_text(row.registered_at),
    )


def _run(row: Any) -> RunRow:
    plain = ("run_id", "release", "release_hash", "criteria_hash", "criteria_name", "seed", "code_version", "actor")
    values: dict[str, Any] = {name: getattr(row, name) for name in (*plain, "verdict", "result_hash", "outcomes_hash")}
    return RunRow(
        **values,
        artefacts=json.loads(row.artefacts),
        datasets=json.loads(row.datasets),
        started_at=from_text(row.started_at),
        finished_at=None if row.finished_at is None else from_text(row.finished_at),
        result=None if row.result is None else json.loads(row.result),
    )


def _run_values(run: RunRow) -> dict[str, Any]:
    values: dict[str, Any] = {name: getattr(run, name) for name in RunRow.__dataclass_fields__}
    values |= {"artefacts": canonical(run.artefacts), "datasets": canonical(run.datasets)}
    values |= {"started_at": to_text(run.started_at), "result": None if run.result is None else canonical(run.result)}
    return values | {"finished_at": None if run.finished_at is None else to_text(run.finished_at)}
