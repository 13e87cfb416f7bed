"""The automatic decisions of a rollout from its replayed evidence: which reading led to which event, and whether all that was asked for happened.

The judge is the one that runs live (`controlplane.core.judge.decide`), with what the record tells of the moment: the rollout as its history has
it, the latches as the replay has them, the overrides in force. What it cannot know from the evidence (stale data, facts behind the state,
swapped arms, a confirmed misrouting) leads to decisions without a trigger or by the tripwire; they are counted and not judged here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from controlplane.core import judge, overrides
from controlplane.core.blocks import StageEvent, let_go
from controlplane.core.judge import AUTOMATIC, Situation
from controlplane.core.model import Decision, Rollout, RolloutState, TriggerReading
from controlplane.core.overrides import Override
from controlplane.core.policy import Policy
from controlplane.core.rollout import ActorKind, Event, history_name
from controlplane.core.triggers import CountKey
from controlplane.store.state_rows import StageRow, from_text
from jobs.evidence_ledger import Closed, Difference, alike

OFF = ("rollback", "disable_execution", "contain")
ON = ("start", "restart", "supersede", "enable_execution")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An automatic event of the audit log; `trigger` and `segment` of the reading that led to it, "" where none did."""

    at: datetime
    event: str
    trigger: str
    segment: str
    evidence: Mapping[str, Any]


@dataclass
class Decided:
    """What came of the decisions of one rollout."""

    verified: int = 0
    of_data: int = 0
    differences: list[Difference] = field(default_factory=list)


def recorded(rollout_id: str, audit: Sequence[Mapping[str, Any]], triggers: Mapping[str, str]) -> list[Recorded]:
    """The automatic events of the rollout. `triggers`: what each incident was opened for."""
    found = []
    for row in audit:
        payload = json.loads(row["payload"])
        if row["actor"] != AUTOMATIC or row["subject"] != rollout_id or "version" not in payload:
            continue
        evidence = payload.get("evidence") or {}
        opened = triggers.get(f"{rollout_id}-v{payload['version']}", "")
        cause = payload.get("cause", opened)  # the log has one where the act joined an incident that was there
        name = cause if "segment" in evidence else ""
        found.append(Recorded(from_text(row["at"]), row["event"], name, str(evidence.get("segment", "")), evidence))
    return found


NAMES = frozenset(str(event) for event in Event)


def compare_history(
    rollout_id: str, stages: Sequence[StageRow], audit: Sequence[Mapping[str, Any]]
) -> Iterator[Difference]:
    """The rollout's history, from which blocks, weights and what was let go of follow, against the audit log, which is chained."""
    told: dict[tuple[str, datetime], Mapping[str, Any]] = {}
    for row in audit:
        if row["subject"] == rollout_id and row["event"] in NAMES:
            kind = ActorKind.AUTOMATIC if row["actor"] == AUTOMATIC else ActorKind.PERSON
            told[history_name(Event(row["event"]), kind), from_text(row["at"])] = json.loads(row["payload"])
    found = {(one.event, one.started_at): one for one in stages}
    for event, at in sorted(told.keys() | found.keys(), key=lambda key: (key[1], key[0])):
        payload, stage = told.get((event, at)), found.get((event, at))
        where = f"at {at.isoformat()}"
        if payload is None or stage is None:
            pair = ("in the history", "not in the audit log") if stage else ("not in the history", "in the audit log")
            yield Difference("history", rollout_id, where, event, *pair)
        elif payload.get("share", stage.share) != stage.share or payload.get("version", stage.version) != stage.version:
            shown = f"version {payload.get('version')} at {payload.get('share')}"
            yield Difference("history", rollout_id, where, event, f"version {stage.version} at {stage.share:g}", shown)


def of_people(rollout_id: str, audit: Sequence[Mapping[str, Any]]) -> set[tuple[datetime, str]]:
    """When people did what with the rollout, in the words of its history."""
    return {
        (from_text(row["at"]), "start" if row["event"] == "supersede" else row["event"])
        for row in audit
        if row["actor"] != AUTOMATIC and row["subject"] == rollout_id
    }


def compare(
    rollout_id: str,
    closed: Sequence[Closed],
    stages: Sequence[StageRow],
    events: Sequence[Recorded],
    people: Collection[tuple[datetime, str]],
    set_aside: Sequence[Override],
) -> Decided:
    """Judge every heartbeat again that closed a fired block or that decided something by a reading."""
    result = Decided(of_data=sum(not event.trigger for event in events))
    by_time = {event.at: event for event in events if event.trigger}
    heartbeats: dict[datetime, list[Closed]] = {}
    for one in closed:
        heartbeats.setdefault(one.closed_at, []).append(one)
    lanes: dict[str, Closed] = {}
    fired: dict[CountKey, TriggerReading] = {}
    for moment in sorted(heartbeats.keys() | by_time.keys()):
        new = heartbeats.get(moment, [])
        lanes |= {one.lane.key: one for one in new}
        readings = [r for one in new for row in one.readings for r in row if r.fired]
        fired |= {(reading.trigger, reading.segment): reading for reading in readings}
        event = by_time.get(moment)
        if event is None and not readings:
            continue
        standings = [one.standing for one in lanes.values() if one.standing]
        policy = max(lanes.values(), key=lambda one: one.closed_at).policy if lanes else None
        if policy is None:
            result.differences.append(_unfounded(rollout_id, moment, event))
            continue
        before = [row for row in stages if row.started_at < moment]
        also = [row for row in stages if row.started_at == moment and (moment, row.event) in people]
        instants = [before, [*before, *also]] if also else [before]
        answers = [
            _answer(rollout_id, moment, policy, standings, fired, known, set_aside) for known in instants if known
        ]
        result.differences += _compared(rollout_id, moment, event, answers)
        result.verified += event is not None
    return result


def _answer(
    rollout_id: str,
    moment: datetime,
    policy: Policy,
    standings: Sequence[Mapping[str, Any]],
    fired: Mapping[CountKey, TriggerReading],
    stages: Sequence[StageRow],
    set_aside: Sequence[Override],
) -> Decision | None:
    """What the judge says of the moment; what a person did in the same instant may have come before it or after."""
    history = [StageEvent(row.version, row.event, row.state, row.started_at, row.share) for row in stages]
    latched = judge.not_let_go(policy, standings, let_go(history))
    muted = overrides.muted(policy, [_until(item, moment) for item in set_aside], rollout_id, moment)
    situation = Situation(now=moment, fresh=True, latched=latched, muted=muted)
    return judge.decide(_rollout(rollout_id, stages, policy), policy, list(fired.values()), situation)


def _compared(
    rollout_id: str, moment: datetime, event: Recorded | None, answers: Sequence[Decision | None]
) -> Iterator[Difference]:
    if any(_agrees(event, answer) for answer in answers):
        return
    answer = answers[0] if answers else None
    found = "nothing" if answer is None else f"{answer.event} by {answer.trigger} {_figure(answer.evidence)}"
    stream = event.trigger if event else (answer.trigger or "") if answer else ""
    yield Difference("decision", rollout_id, f"at {moment.isoformat()}", stream, _said(event), found)


def _unfounded(rollout_id: str, moment: datetime, event: Recorded | None) -> Difference:
    stream = "" if event is None else event.trigger
    return Difference("decision", rollout_id, f"at {moment.isoformat()}", stream, _said(event), "no block had closed")


def _said(event: Recorded | None) -> str:
    return "nothing" if event is None else f"{event.event} by {event.trigger}|{event.segment} {_figure(event.evidence)}"


def _figure(evidence: Mapping[str, Any]) -> str:
    return f"(log evidence {evidence['log_e']:.12g})" if "log_e" in evidence else ""


def _agrees(event: Recorded | None, answer: Decision | None) -> bool:
    if event is None or answer is None or answer.trigger is None:
        return event is None and (answer is None or answer.trigger is None)
    names = (event.event, event.trigger, event.segment)
    same = names == (answer.event, answer.trigger, str(answer.evidence.get("segment", "")))
    return same and all(
        alike(event.evidence.get(name), answer.evidence.get(name)) for name in ("log_e", "log_threshold")
    )


def _until(item: Override, moment: datetime) -> Override:
    """The override as it was known then: an end that came later had not happened yet."""
    return item if item.ended_at is None or item.ended_at <= moment else replace(item, ended_at=None)


def _rollout(rollout_id: str, stages: Sequence[StageRow], policy: Policy) -> Rollout:
    """The rollout as its history has it at the end of `stages`."""
    last = stages[-1]
    execution = True
    for row in stages:
        execution = False if row.event in OFF else True if row.event in ON else execution
    return Rollout(
        rollout_id=rollout_id,
        release=last.release,
        release_hash="",
        state=RolloutState(last.state),
        phase=last.phase,
        stage=last.stage,
        share=last.share,
        execution_enabled=execution,
        policy_hash=policy.hash,
        version=last.version,
        updated_at=last.started_at,
        stage_started_at=last.started_at,
    )
