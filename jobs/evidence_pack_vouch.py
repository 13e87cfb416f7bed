"""Records of a pack against its audit log: what a record says must be what the log vouched for, and what the log vouched for must be there.

The log is a chain, so it is verified first; a record that was changed, taken out or put in no longer agrees with it. Records from before the period
are vouched for by rows that the pack does not have: they are checked by their own hash where they have one, and counted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.judge import AUTOMATIC
from controlplane.core.rollout import ActorKind, Event, history_name
from controlplane.store.state_evaluation import (
    CRITERIA_EVENT,
    DATASET_EVENT,
    FINISHED_EVENT,
    REVIEW_EVENT,
    STARTED_EVENT,
    RunRow,
    criteria_identity,
    result_identity,
)
from controlplane.store.state_reviews import ADJUDICATED_EVENT, DRAWN_EVENT, LABELLED_EVENT
from controlplane.store.state_rows import from_text
from jobs.evidence_pack_vouch_incidents import INCIDENT_EVENTS, vouch_action, vouch_incident, vouch_silence

Row = Mapping[str, Any]
Key = tuple[str, str]  # event, subject
EVENTS = frozenset(str(event) for event in Event)
# Kinds of artefacts: the event that vouches for one, the name of the hash in its payload, and over what of the summary it is.
Identity = Callable[[Row], str]


def _whole(row: Row) -> str:
    return sha256_text(canonical(row["summary"]))


VOUCHED_ARTEFACTS: Mapping[str, tuple[str, str, Identity]] = {
    "tradeoff": ("tradeoff_recorded", "result_hash", _whole),
    "backtest": ("backtest_finished", "summary_hash", _whole),
    "metric_definitions": ("metric_definitions_registered", "result_hash", _whole),
    "criteria_change": ("criteria_changed", "result_hash", _whole),
    "review": ("review_pinned", "document_hash", _whole),
    "drift": ("drift_recorded", "summary_hash", _whole),
    "drift_reference": ("drift_reference_added", "summary_hash", _whole),
    "csat": ("csat_recorded", "result_hash", _whole),
    "topics": ("topics_found", "result_hash", _whole),
    "retraining": ("retraining_proposed", "result_hash", _whole),
    "cause": ("cause_disagreed", "result_hash", _whole),
    "incident_report": ("incident_reported", "result_hash", _whole),
}
ONCE_UNVOUCHED = frozenset({"drift"})
"""Kinds that older programs recorded without a word in the log: such a one is told, and accuses nobody."""
OPINION = ("label", "intent", "grounded", "severity", "note")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that does not agree: the file, the row in it ("" for the whole file), and why."""

    file: str
    row: str
    reason: str

    def text(self) -> str:
        """One line."""
        return f"{self.file}{f' row {self.row}' if self.row else ''}: {self.reason}"


@dataclass
class Log:
    """What the audit rows of a pack vouch for: payloads by event and subject, and the events of rollouts by name and time."""

    said: dict[Key, list[dict[str, Any]]] = field(default_factory=dict)
    history: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    decided: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # seq, rollout, evidence

    def add(self, row: Row) -> None:
        """One audit row, in order."""
        payload = json.loads(row["payload"])
        event, subject, at = str(row["event"]), str(row["subject"]), str(row["at"])
        if event in EVENTS:
            kind = ActorKind.AUTOMATIC if row["actor"] == AUTOMATIC else ActorKind.PERSON
            self.history[subject, history_name(Event(event), kind), at] = payload
        evidence = payload.get("evidence") or {}
        if row["actor"] == AUTOMATIC and event in EVENTS and "log_e" in evidence:
            self.decided.append((str(row["seq"]), subject, evidence))
        if event in VOUCHING:
            who = {"_actor": row["actor"], "_at": at, "_reason": row["reason"]}
            self.said.setdefault((event, subject), []).append({**payload, **who})


@dataclass
class Vouching:
    """Checks rows as they stream by; `before`: how many records are vouched for by rows before the pack."""

    log: Log
    since: str
    until: str
    problems: list[Problem] = field(default_factory=list)
    before: dict[str, int] = field(default_factory=dict)
    checked: int = 0
    unvouched: list[str] = field(default_factory=list)
    _seen: dict[str, set[Any]] = field(default_factory=dict)

    def see(self, record: str, file: str, key: str, row: Row) -> None:
        """A row of a file of the pack."""
        kind = record.removeprefix("artefacts_")
        check = _CHECKS.get(record) or (_artefact if kind != record else None)
        if check is None:
            return
        for problem in check(self, kind, row):
            self.problems.append(Problem(file, key, problem))

    def said(
        self, record: str, event: str, subject: str, at: str, *, values: Mapping[str, Any], shared: bool = False
    ) -> Iterator[str]:
        """The log has an event of that subject whose payload has these values; `shared`: the subject has several such records.

        A record of another time than the period's is vouched for outside of the pack, unless the log of the period speaks of it.
        """
        found = self.log.said.get((event, subject), [])
        if any(all(one.get(name) == value for name, value in values.items()) for one in found):
            self.checked += 1
            return
        if not self.inside(at) and (shared or not found):
            self.before[record] = self.before.get(record, 0) + 1
            return
        yield f"the audit log of the pack does not vouch for it (no {event} with the same content)"

    def said_before(self, event: str, row: Row) -> bool:
        """Whether the log of the pack had such an event before the record was made: from then on the program vouches for every one."""
        known = (one["_at"] for (name, _), found in self.log.said.items() if name == event for one in found)
        return any(at <= str(row["created_at"]) for at in known)

    def inside(self, at: str) -> bool:
        """Whether a time lies in the period."""
        return self.since <= at < self.until

    def note(self, name: str, value: Any) -> None:
        """Something that is there."""
        self._seen.setdefault(name, set()).add(value)

    def there(self, name: str) -> set[Any]:
        """What was noted."""
        return self._seen.get(name, set())

    def _told(self, *events: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """(subject, payload) of what the log says of the period itself: a part of a chain may hold rows of other times (a clock set back)."""
        for (event, subject), found in self.log.said.items():
            if event in events:
                yield from ((subject, one) for one in found if self.inside(one["_at"]))

    def missing(self) -> Iterator[Problem]:
        """What the log vouched for and no file has."""
        for name, event, file, identity in _MUST_BE_THERE:
            told = {identity(subject, said) for subject, said in self._told(event)}
            for one in sorted(told - self.there(name)):
                yield Problem(file, one, f"the audit log says {event}, and the record is not there")
        for kind, (event, _, _) in VOUCHED_ARTEFACTS.items():
            for subject in sorted({subject for subject, _ in self._told(event)} - self.there(f"artefact {kind}")):
                file = f"records/artefacts_{kind}.jsonl"
                yield Problem(file, subject, f"the audit log says {event}, and the record is not there")
        history = {key for key in self.log.history if self.inside(key[2])}
        for rollout, event, at in sorted(history - self.there("stage")):
            where = f"{rollout} {event} {at}"
            yield Problem("records/stages.jsonl", where, "the audit log has the event, and the history does not")
        told_labels = Counter(subject for subject, _ in self._told(REVIEW_EVENT))
        labels = Counter(subject for subject, _ in self.there("label"))
        for subject, n in sorted(told_labels.items()):
            if labels[subject] < n:
                why = f"the audit log has {n} labels of this rollout, the file {labels[subject]}"
                yield Problem("records/review_labels.jsonl", subject, why)


def _subject(subject: str, _: Mapping[str, Any]) -> str:
    return subject


_MUST_BE_THERE: tuple[tuple[str, str, str, Callable[[str, Mapping[str, Any]], str]], ...] = (
    ("criteria", CRITERIA_EVENT, "records/criteria.jsonl", _subject),
    ("dataset", DATASET_EVENT, "records/datasets.jsonl", lambda subject, said: f"{subject}@{said.get('version')}"),
    ("run", STARTED_EVENT, "records/evaluations.jsonl", _subject),
    ("run", FINISHED_EVENT, "records/evaluations.jsonl", _subject),
    (
        "approval",
        "approve",
        "records/approvals.jsonl",
        lambda subject, said: f"{subject}/{said.get('stage')}/{said['_actor']}",
    ),
    ("override", "override_added", "records/overrides.jsonl", lambda _, said: f"{said.get('override_id')} added"),
    ("override", "override_ended", "records/overrides.jsonl", lambda _, said: f"{said.get('override_id')} ended"),
    ("draw", DRAWN_EVENT, "records/review_draws.jsonl", _subject),
    ("adjudication", ADJUDICATED_EVENT, "records/review_adjudications.jsonl", _subject),
    ("opinion", LABELLED_EVENT, "records/review_opinions.jsonl", lambda subject, said: f"{subject}/{said['_at']}"),
    *(("incident", event, "records/incidents.jsonl", _subject) for event in INCIDENT_EVENTS),
    ("action", "action_opened", "records/incident_actions.jsonl", lambda _, said: f"{said.get('action_id')} opened"),
    ("action", "action_closed", "records/incident_actions.jsonl", lambda _, said: f"{said.get('action_id')} closed"),
    ("silence", "silence_added", "records/silences.jsonl", lambda subject, _: f"{subject} added"),
    ("silence", "silence_ended", "records/silences.jsonl", lambda subject, _: f"{subject} ended"),
)
VOUCHING = frozenset(
    {
        REVIEW_EVENT,
        *(event for _, event, _, _ in _MUST_BE_THERE),
        *(event for event, _, _ in VOUCHED_ARTEFACTS.values()),
    }
)
"""The events whose payloads are kept while a pack is verified: of a long log only what vouches for a record."""


def _policy(_: Vouching, __: str, row: Row) -> Iterator[str]:
    if sha256_text(str(row["text"])) != row["policy_hash"]:
        yield "its text does not have the hash that names it"


def _release(_: Vouching, __: str, row: Row) -> Iterator[str]:
    if sha256_text(canonical(row["artefacts"])) != row["release_hash"]:
        yield "its artefacts do not have the hash that names it"


def _criteria(v: Vouching, _: str, row: Row) -> Iterator[str]:
    v.note("criteria", row["criteria_hash"])
    if criteria_identity(row["text"], row["datasets"]) != row["criteria_hash"]:
        yield "its text and data sets do not have the hash that names it"
    values = {name: row[name] for name in ("name", "datasets", "registered_at")}
    yield from v.said("criteria", CRITERIA_EVENT, row["criteria_hash"], row["registered_at"], values=values)


def _dataset(v: Vouching, _: str, row: Row) -> Iterator[str]:
    if v.inside(row["created_at"]):
        v.note("dataset", f"{row['name']}@{row['version']}")
    values = {name: row[name] for name in ("version", "rows", "parent")}
    yield from v.said("datasets", DATASET_EVENT, row["name"], row["created_at"], shared=True, values=values)


def _run(v: Vouching, _: str, row: Row) -> Iterator[str]:
    v.note("run", row["run_id"])
    if row["finished_at"] is None:
        yield from v.said(
            "evaluations", STARTED_EVENT, row["run_id"], row["started_at"], values={"release_hash": row["release_hash"]}
        )
        return
    run = RunRow(**row_of_run(row))
    if sha256_text(canonical(run.artefacts)) != run.release_hash or result_identity(run) != run.result_hash:
        yield "its result does not have its hash"
    values = {name: row[name] for name in ("verdict", "result_hash", "release_hash")}
    yield from v.said("evaluations", FINISHED_EVENT, row["run_id"], row["finished_at"], values=values)


def row_of_run(row: Row) -> dict[str, Any]:
    """Values of a run from a row of a pack."""
    values = {name: row[name] for name in RunRow.__dataclass_fields__}
    finished = row["finished_at"]
    return values | {
        "started_at": from_text(row["started_at"]),
        "finished_at": None if finished is None else from_text(finished),
    }


def _label(v: Vouching, _: str, row: Row) -> Iterator[str]:
    if v.inside(row["labelled_at"]):
        v.note("label", (row["rollout_id"], row["seq"]))
    values = {name: row[name] for name in ("interaction_id", "label", "stage_version")} | {"_actor": row["reviewer"]}
    yield from v.said("review_labels", REVIEW_EVENT, row["rollout_id"], row["labelled_at"], shared=True, values=values)


def _override(v: Vouching, _: str, row: Row) -> Iterator[str]:
    if v.inside(row["at"]):
        v.note("override", f"{row['override_id']} {row['event']}")
    values = {name: row[name] for name in ("override_id", "trigger")}
    event = f"override_{row['event']}"
    if row["event"] == "added":
        values["until"] = row["until"]
    values |= {"_actor": row["actor"], "_at": row["at"]}
    yield from v.said("overrides", event, row["rollout_id"], row["at"], shared=True, values=values)


def _approval(v: Vouching, _: str, row: Row) -> Iterator[str]:
    v.note("approval", f"{row['rollout_id']}/{row['stage']}/{row['approver']}")
    values = {"stage": row["stage"], "_actor": row["approver"], "_at": row["approved_at"]}
    yield from v.said("approvals", "approve", row["rollout_id"], row["approved_at"], shared=True, values=values)


def _stage(v: Vouching, _: str, row: Row) -> Iterator[str]:
    key = (str(row["rollout_id"]), str(row["event"]), str(row["started_at"]))
    v.note("stage", key)
    payload = v.log.history.get(key)
    if payload is None:
        if row["started_at"] >= v.since:
            yield "the history has an event that the audit log has not"
        else:
            v.before["stages"] = v.before.get("stages", 0) + 1
    elif payload.get("version", row["version"]) != row["version"] or payload.get("share", row["share"]) != row["share"]:
        yield f"the audit log says version {payload.get('version')} at {payload.get('share')}"
    else:
        v.checked += 1


def _draw(v: Vouching, _: str, row: Row) -> Iterator[str]:
    v.note("draw", row["draw_id"])
    values = {name: row[name] for name in ("since", "until", "frame", "design")}
    yield from v.said("review_draws", DRAWN_EVENT, row["draw_id"], row["drawn_at"], values=values)


def _opinion(v: Vouching, _: str, row: Row) -> Iterator[str]:
    if v.inside(row["at"]):
        v.note("opinion", f"{row['item_id']}/{row['at']}")
    values = {name: row[name] for name in ("round", *OPINION)} | {"_actor": row["reviewer"]}
    yield from v.said("review_opinions", LABELLED_EVENT, row["item_id"], row["at"], shared=True, values=values)


def _adjudication(v: Vouching, _: str, row: Row) -> Iterator[str]:
    v.note("adjudication", row["item_id"])
    values = {name: row[name] for name in ("role", *OPINION)} | {"_actor": row["reviewer"]}
    yield from v.said("review_adjudications", ADJUDICATED_EVENT, row["item_id"], row["at"], values=values)


def _artefact(v: Vouching, kind: str, row: Row) -> Iterator[str]:
    v.note(f"artefact {kind}", row["artefact_id"])
    if kind not in VOUCHED_ARTEFACTS:
        return
    event, name, identity = VOUCHED_ARTEFACTS[kind]
    if kind in ONCE_UNVOUCHED and (event, row["artefact_id"]) not in v.log.said and not v.said_before(event, row):
        v.unvouched.append(f"{kind} {row['artefact_id']}")
        return
    yield from v.said(f"artefacts_{kind}", event, row["artefact_id"], row["created_at"], values={name: identity(row)})


_CHECKS: Mapping[str, Callable[[Vouching, str, Row], Iterator[str]]] = {
    "policies": _policy,
    "releases": _release,
    "criteria": _criteria,
    "datasets": _dataset,
    "evaluations": _run,
    "review_labels": _label,
    "overrides": _override,
    "approvals": _approval,
    "stages": _stage,
    "incidents": vouch_incident,
    "incident_actions": vouch_action,
    "silences": vouch_silence,
    "review_draws": _draw,
    "review_opinions": _opinion,
    "review_adjudications": _adjudication,
}
