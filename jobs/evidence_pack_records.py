"""What goes into an evidence pack: for each table of the state the file, the rows of the period, their order, and what the file is in words.

Rules
- *period*: rows whose time lies in [since, until). *until*: everything before the end, because what was in force had been registered before
  (policies, criteria, data sets, releases, metric definitions). The two chains are cut out in one piece.
- A rollout belongs to the pack when anything of the period is about it; its whole history up to the end comes along, because blocks and decisions
  follow from it.
- Rows keep the columns of the table; columns that hold JSON are written as JSON, except in the chains, whose hashes are over the text as it is.
- Whatever is not exported is named in `LEFT_OUT`, with the reason; a test holds that there is no third kind of table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, or_

from controlplane.store import state_tables as t
from controlplane.store.state_export import Row, StateStream, decoded
from controlplane.store.state_rows import to_text

CHAINS = ("audit", "ledger")
LEFT_OUT: Mapping[str, str] = {
    "schema_version": "a number, in the manifest",
    "state_version": "a counter for readers of the state",
    "leases": "which process may write now",
    "detectors": "where the detectors stand now; it follows from the ledger, as the replay shows",
    "facts_head": "the newest batch of facts that was judged, now",
    "presses": "what people pressed in a chat, under their id there; who did what is in the audit log, by name",
}
PERSONAL_KEYS = frozenset({"user_id", "customer_id", "customer", "targetingKey", "email", "phone", "mention"})
REPLACED = "left out: names a person"  # a customer; or, by the id in a chat, whom a message called (the audit log has the name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One file of rows. `time` places a row, `key` orders the file (strictly ascending) and names a row."""

    name: str
    table: str
    time: str
    key: tuple[str, ...]
    what: str
    json: tuple[str, ...] = ()
    select: str = "period"  # period | until | chain | rollout | rollouts | evaluations | incidents | outbox | runs
    chain: bool = False

    @property
    def file(self) -> str:
        """Where it lies in the pack."""
        return f"records/{self.name}.jsonl"


def _records(*found: Record) -> dict[str, Record]:
    return {one.name: one for one in found}


RECORDS: Mapping[str, Record] = _records(
    Record(
        name="audit",
        table="audit",
        time="at",
        key=("seq",),
        select="chain",
        chain=True,
        what="who did what, when and why: a hash chain",
    ),
    Record(
        name="ledger",
        table="ledger",
        time="closed_at",
        key=("seq",),
        select="chain",
        chain=True,
        what="every closed block with its counts and the evidence of every trigger: a hash chain",
    ),
    Record(
        name="rollouts",
        table="rollouts",
        time="updated_at",
        key=("rollout_id",),
        json=("contained",),
        select="rollouts",
        what="rollouts that the period is about, as they stand",
    ),
    Record(
        name="stages",
        table="stages",
        time="started_at",
        key=("rollout_id", "version"),
        select="rollout",
        what="which share was served when, by rollout, from its beginning to the end of the period",
    ),
    Record(
        name="overrides",
        table="overrides",
        time="at",
        key=("seq",),
        select="rollout",
        what="triggers set aside by a person, and the end of that",
    ),
    Record(
        name="approvals",
        table="approvals",
        time="approved_at",
        key=("approval_id",),
        select="rollouts",  # a renewed approval has its newest time
        what="who approved leaving a stage",
    ),
    Record(
        name="containments",
        table="containments",
        time="contained_at",
        key=("evaluation_id",),
        what="confirmed misroutings that sent a category to people",
    ),
    Record(
        name="incidents",
        table="incidents",
        time="detected_at",
        key=("incident_id",),
        json=("evidence", "timeline", "serious", "containments"),
        select="incidents",
        what="incidents detected in the period or open in it, with their clock and time line",
    ),
    Record(
        name="incident_actions",
        table="incident_actions",
        time="at",
        key=("seq",),
        what="what was to be done after incidents, and what became of it",
    ),
    Record(
        name="silences",
        table="silences",
        time="at",
        key=("seq",),
        json=("matchers",),
        select="until",
        what="alerts that people silenced: which, why and until when",
    ),
    Record(
        name="releases",
        table="releases",
        time="registered_at",
        key=("release_hash",),
        json=("artefacts",),
        select="until",
        what="what each release is made of, and its author",
    ),
    Record(
        name="policies",
        table="policies",
        time="registered_at",
        key=("policy_hash",),
        select="until",
        what="the text of every policy, under its sha256",
    ),
    Record(
        name="criteria",
        table="acceptance_criteria",
        time="registered_at",
        key=("seq",),
        json=("datasets",),
        select="until",
        what="acceptance criteria as registered",
    ),
    Record(
        name="evaluations",
        table="evaluation_runs",
        time="started_at",
        key=("seq",),
        json=("artefacts", "datasets", "result"),
        select="evaluations",
        what="evaluation runs of the period and of the releases in it: criteria, verdict, figures",
    ),
    Record(
        name="datasets",
        table="dataset_versions",
        time="created_at",
        key=("seq",),
        json=("summary",),
        select="until",
        what="versions of evaluation data sets: hash, size, origin (never the rows)",
    ),
    Record(
        name="review_labels",
        table="review_labels",
        time="labelled_at",
        key=("seq",),
        what="what people said of sampled answers",
    ),
    Record(
        name="review_draws",
        table="review_draws",
        time="drawn_at",
        key=("seq",),
        json=("design",),
        what="how answers were drawn for people to label",
    ),
    Record(
        name="review_items",
        table="review_items",
        time="drawn_at",
        key=("seq",),
        json=("reasons",),
        what="the answers that were drawn, and why",
    ),
    Record(
        name="review_assignments",
        table="review_assignments",
        time="assigned_at",
        key=("seq",),
        what="who was asked to label what",
    ),
    Record(name="review_opinions", table="review_opinions", time="at", key=("seq",), what="labels of the review queue"),
    Record(
        name="review_adjudications",
        table="review_adjudications",
        time="at",
        key=("seq",),
        what="who decided between two labels",
    ),
    Record(
        name="review_returns", table="review_returns", time="at", key=("seq",), what="labels handed back to the facts"
    ),
    Record(
        name="outbox",
        table="outbox",
        time="created_at",
        key=("outbox_id",),
        json=("payload", "receipt"),
        select="outbox",
        what="messages to people and their delivery",
    ),
    Record(
        name="runs",
        table="runs",
        time="done_at",
        key=("job", "slot"),
        json=("result",),
        select="runs",
        what="scheduled jobs: who ran what, and how it ended",
    ),
)
# Artefacts are one table and a file for each kind.
ARTEFACTS: Mapping[str, str] = {
    "drift": "drift analyses",
    "review": "weekly reviews, pinned",
    "csat": "CSAT with its response rate and what the silent may change",
    "drift_reference": "reference windows of drift analyses",
    "retraining": "proposals to retrain, with the candidate's evaluation",
    "topics": "topics of unresolved and out-of-scope questions",
    "tradeoff": "trade-off decisions",
    "backtest": "backtests of policies",
    "sampling": "sampling rates of the judge",
    "metric_definitions": "what every metric means, by version",
    "criteria_change": "what a change of acceptance criteria means for recorded runs",
}
KEPT_BEFORE = (
    "metric_definitions",
    "criteria_change",
    "backtest",
    "drift_reference",
)  # kinds that are in force after their own period


def artefact_record(kind: str) -> Record:
    """The file of one kind of artefact."""
    what = ARTEFACTS.get(kind, f"results of the kind {kind}")
    key = ("created_at", "artefact_id")
    return Record(name=f"artefacts_{kind}", table="artefacts", time="created_at", key=key, json=("summary",), what=what)


def record_of(name: str) -> Record:
    """The record of a file's name; a kind of artefact that is not known is one all the same."""
    return RECORDS[name] if name in RECORDS else artefact_record(name.removeprefix("artefacts_"))


@dataclass
class Scope:
    """The period (UTC text, end excluded), the part of each chain, and the rollouts that it is about."""

    since: str
    until: str
    segments: dict[str, tuple[int, int]] = field(default_factory=dict)
    rollouts: frozenset[str] = frozenset()
    release_hashes: frozenset[str] = frozenset()
    incidents: frozenset[str] = frozenset()  # that somebody acted on in the period, whenever they were


def scope_of(state: StateStream, since: datetime, until: datetime) -> Scope:
    """What the period needs."""
    scope = Scope(to_text(since), to_text(until))
    for name in CHAINS:
        record = RECORDS[name]
        table = table_of(record)
        scope.segments[name] = state.segment(table, table.c[record.time], scope.since, scope.until)
    ids = {str(one) for one in state.values(t.rollouts.c.rollout_id, ())}
    s, audit, ledger = t.stages.c, t.audit.c, t.ledger.c
    about = state.values(s.rollout_id, (s.started_at >= scope.since, s.started_at < scope.until))
    first, last = scope.segments["ledger"]
    about |= state.values(ledger.rollout_id, (ledger.seq >= first, ledger.seq <= last))
    first, last = scope.segments["audit"]
    about |= state.values(audit.subject, (audit.seq >= first, audit.seq <= last)) & ids
    acted = state.values(audit.subject, (audit.seq >= first, audit.seq <= last, audit.event.startswith("incident_")))
    scope.incidents = frozenset(str(one) for one in acted)
    before = state.stream(t.stages, (s.started_at < scope.since,), (s.seq,))
    served = ""
    for row in before:
        served = row["rollout_id"]
    scope.rollouts = frozenset({str(one) for one in about} | ({served} if served else set()))
    mine = (t.rollouts.c.rollout_id.in_(sorted(scope.rollouts)),)
    scope.release_hashes = frozenset(str(one) for one in state.values(t.rollouts.c.release_hash, mine))
    return scope


def table_of(record: Record) -> Table:
    """The table; KeyError where this state has none of that name."""
    return t.metadata.tables[record.table]


def rows_of(state: StateStream, record: Record, scope: Scope) -> Iterator[Row]:
    """The rows of a record, in the order of its key."""
    table = table_of(record)
    order = [table.c[name] for name in record.key]
    for row in state.stream(table, conditions(record, scope), order):
        yield row if record.chain else decoded(row, record.json)


def conditions(record: Record, scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """Which rows of the table the pack has."""
    table = table_of(record)
    time = table.c[record.time]
    inside = (time >= scope.since, time < scope.until)
    match record.select:
        case "chain":
            first, last = scope.segments[record.name]
            return (table.c.seq >= first, table.c.seq <= last)
        case "until":
            return (time < scope.until,)
        case "rollout":
            return (table.c.rollout_id.in_(sorted(scope.rollouts)), time < scope.until)
        case "rollouts":
            return (table.c.rollout_id.in_(sorted(scope.rollouts)),)
        case "evaluations":
            return (
                time < scope.until,
                or_(time >= scope.since, table.c.release_hash.in_(sorted(scope.release_hashes))),
            )
        case "incidents":
            ended = table.c.resolved_at
            acted = table.c.incident_id.in_(sorted(scope.incidents))
            return (time < scope.until, or_(time >= scope.since, ended.is_(None), ended >= scope.since, acted))
        case "runs":
            lease = table.c.lease_until
            open_ = and_(time.is_(None), lease >= scope.since, lease < scope.until)
            return (or_(and_(*inside), open_),)
    return inside


def artefact_conditions(kind: str, scope: Scope) -> tuple[ColumnElement[bool], ...]:
    """Artefacts of a kind: of the period, or of all time before its end where what they say stays in force."""
    c = t.artefacts.c
    start = () if kind in KEPT_BEFORE else (c.created_at >= scope.since,)
    return (c.kind == kind, c.created_at < scope.until, *start)


def without_customers(value: Any) -> tuple[Any, int]:
    """The value without what names a customer, and how often something did. What the program writes has none but `mention`; this is for what is
    handed in.

    A record from which something was left out no longer has the hash that the log vouches for, and the verification says so.
    """
    if isinstance(value, dict):
        found = {key: (REPLACED, 1) if key in PERSONAL_KEYS else without_customers(one) for key, one in value.items()}
        return {key: one for key, (one, _) in found.items()}, sum(n for _, n in found.values())
    if isinstance(value, list):
        items = [without_customers(one) for one in value]
        return [one for one, _ in items], sum(n for _, n in items)
    return value, 0
