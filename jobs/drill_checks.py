"""What a drill saw, and whether it is what the incident expects. Every expectation that is not met becomes one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from controlplane.core.judge import AUTOMATIC
from controlplane.core.model import RolloutState
from controlplane.core.rollout import Event
from controlplane.simulation.incidents import Expect, Incident
from controlplane.store.queries import load
from controlplane.store.state_rows import IncidentRow
from jobs.drill_contained import Contained, containments
from jobs.drill_lost import Lost, account
from jobs.drill_stage import BEGIN, Stage
from jobs.drill_statements import STATEMENTS, always

FRESHNESS = "freshness"
THREE_SIGMA = 3.0
ACTS = frozenset(str(event) for event in Event)


@dataclass(frozen=True, slots=True)
class Times:
    """The story of an incident, in minutes since the release went in; None where it did not happen."""

    onset: float | None = None
    detected: float | None = None
    cut: float | None = None
    verified: float | None = None
    alerted: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the stores say at the end of a drill; `exposed_truth` and `treated_after_cut` come from the producer itself."""

    state: RolloutState
    execution: bool
    decisions: tuple[tuple[str, str], ...]
    times: Times
    incident: IncidentRow | None
    exposed_truth: int
    treated_after_cut: int
    told: bool
    contained: tuple[Contained, ...]
    lost: Lost
    verdicts: dict[str, str]
    quarantined: dict[str, int]
    naive: float | None
    beats: tuple[float, ...] = ()
    refusals: tuple[str, ...] = ()
    ledger: dict[str, str] = field(default_factory=dict)

    @property
    def brief(self) -> str:
        """In a few words."""
        did = ", ".join(f"{event} ({trigger})" for event, trigger in self.decisions) or "no action"
        return f"{self.state}: {did}"


def look(stage: Stage, naive: float | None, refusals: list[str]) -> Seen:
    """Read everything back from the stores."""
    state = stage.deps.state
    rollout = state.rollout()
    if rollout is None:
        raise RuntimeError("a drill without a rollout")
    mine = [row for row in state.incidents() if row.rollout_id == rollout.rollout_id]
    incident = mine[-1] if mine else None
    statements = {name: found for name in stage.incident.expect.ledger if (found := STATEMENTS[name](stage))}
    return Seen(
        state=rollout.state,
        execution=rollout.execution_enabled,
        decisions=_decisions(state.audit_rows(), {row.incident_id: row.trigger for row in mine}),
        times=_times(stage, incident),
        incident=incident,
        exposed_truth=_exposed(stage, incident),
        treated_after_cut=_treated_after_cut(stage, incident),
        told=_told(stage, mine),
        contained=containments(stage, mine),
        lost=account(stage),
        verdicts=_verdicts(state.ledger_rows(rollout.rollout_id)),
        quarantined=_quarantined(stage),
        naive=naive,
        beats=tuple(stage.beats),
        refusals=tuple(refusals),
        ledger=statements | always(stage),
    )


def failures(incident: Incident, seen: Seen) -> list[str]:
    """Every way in which what was seen is not what was expected."""
    want = incident.expect
    found = [*seen.refusals, *(f"{name}: {said}" for name, said in seen.ledger.items())]
    if seen.state is not want.state:
        found.append(f"the rollout is {seen.state}, expected {want.state}")
    if seen.decisions != want.decisions:
        found.append(f"decisions {_words(seen.decisions)}, expected {_words(want.decisions)}")
    if seen.execution != want.execution:
        found.append(f"execution is {'on' if seen.execution else 'off'}, expected {'on' if want.execution else 'off'}")
    for name, verdict in want.verdicts.items():
        if seen.verdicts.get(name) != verdict:
            found.append(f"the verdict of {name} is {seen.verdicts.get(name)}, expected {verdict}")
    found += [f"lost: {problem}" for problem in seen.lost.problems]
    if set(seen.quarantined) != set(want.quarantined):
        found.append(f"quarantined for {sorted(seen.quarantined)}, expected {sorted(want.quarantined)}")
    found += _naive(want, seen)
    return found + list(_containment(incident, seen))


def _words(decisions: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{event} by {trigger}" for event, trigger in decisions) or "none"


def _naive(want: Expect, seen: Seen) -> list[str]:
    if want.naive_fires is None:
        return []
    if seen.naive is None:
        return ["the naive rule was not looked at"]
    fires = seen.naive >= THREE_SIGMA
    if fires != want.naive_fires:
        return [f"the naive rule reached {seen.naive:.1f} standard errors: this story is not the trap it is told to be"]
    return []


def _containment(incident: Incident, seen: Seen) -> Iterator[str]:
    """From the onset to people: complete, in order, true."""
    yield from _effects(seen.contained)
    row, times, want = seen.incident, seen.times, incident.expect
    acted = [event for event, _ in seen.decisions if event != Event.RESUME]
    if row is None:
        if acted:
            yield "there was an automatic action and no incident"
        return
    if not acted:
        yield f"there is an incident without an automatic action: {row.title}"
    if not seen.told or times.alerted is None:
        yield "the message was not sent, or does not name its incident"
    if want.detected_within is not None and (
        times.onset is None or times.detected is None or times.detected - times.onset > want.detected_within
    ):
        yield f"detected at minute {times.detected} of an onset at {times.onset}: later than {want.detected_within:g} minutes"
    if want.state is not RolloutState.ROLLED_BACK:
        return
    order = [times.onset, times.detected, times.cut, times.verified]
    if any(moment is None for moment in order):
        yield f"onset, detected, cut, verified are {order}: something is missing"
    elif any(later < earlier for earlier, later in pairwise([moment or 0.0 for moment in order])):
        yield f"onset, detected, cut, verified are {order}: not in this order"
    if row.state not in ("contained", "resolved"):
        yield f"the incident is {row.state}, expected contained (or resolved, where the story has the person on call resolve it)"
    if row.customers_exposed != seen.exposed_truth or not row.customers_exposed:
        yield f"customers exposed: {row.customers_exposed} on record, {seen.exposed_truth} by the producer's own count"
    if seen.treated_after_cut:
        yield f"{seen.treated_after_cut} conversations were served by the assistant after the cut and the clients' poll limit"


def _effects(found: tuple[Contained, ...]) -> Iterator[str]:
    """What the machine did must have reached customers, and must have been verified."""
    for one in found:
        if not one.contained:
            yield f"{one.action} at minute {one.done:g} did not contain: {one.why}"
        if one.verified is None:
            yield f"{one.action} at minute {one.done:g} was not verified (by {one.by})"


def _decisions(audit: list[dict[str, Any]], causes: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """What the automatic actor did to the rollout, with the cause that its incident names (none: a resumption)."""
    found = []
    for row in audit:
        if row["actor"] == AUTOMATIC and row["event"] in ACTS:
            payload = json.loads(row["payload"])
            opened = causes.get(f"{row['subject']}-v{payload['version']}", FRESHNESS)
            found.append(
                (str(row["event"]), payload.get("cause", opened))
            )  # "cause": it joined an incident that was open
    return tuple(found)


def _minute(moment: datetime | None) -> float | None:
    return None if moment is None else round((moment - BEGIN) / timedelta(minutes=1), 2)


def _times(stage: Stage, row: IncidentRow | None) -> Times:
    onset = stage.incident.onset
    if row is None:
        return Times(onset=onset)
    moments = (row.detected_at, row.cut_at, row.verified_at, row.alerted_at)
    return Times(onset, *(_minute(moment) for moment in moments))


def _exposed(stage: Stage, row: IncidentRow | None) -> int:
    """Customers that the producer served by the assistant between the likely onset on record and the verification."""
    if row is None or row.verified_at is None:
        return 0
    since = row.onset_at or row.detected_at
    return len({item.user for item in stage.lines.treated if since <= item.at < row.verified_at})


def _treated_after_cut(stage: Stage, row: IncidentRow | None) -> int:
    if row is None or row.cut_at is None:
        return 0
    deadline = row.cut_at + timedelta(seconds=stage.policy.watch.client_poll_seconds)
    return sum(item.at > deadline for item in stage.lines.treated)


def _told(stage: Stage, incidents: list[IncidentRow]) -> bool:
    """Whether the last word on each incident was sent (what was withheld before stands in it) and the receiver's text names the incident."""
    text = (stage.settings.workspace.home / "alerts.txt").read_text(encoding="utf-8")
    last = {
        item.incident_id: item.status for item in sorted(stage.deps.state.outbox(), key=lambda item: item.created_at)
    }
    return all(last.get(row.incident_id) == "sent" and row.incident_id in text for row in incidents)


def _verdicts(ledger: list[dict[str, Any]]) -> dict[str, str]:
    newest: dict[str, str] = {}
    for entry in ledger:
        for reading in json.loads(entry["readings"]):
            if reading["segment"] == "all":
                newest[reading["trigger"]] = reading["verdict"]
    return newest


def _quarantined(stage: Stage) -> dict[str, int]:
    with stage.deps.warehouse.cursor() as cursor:
        return {str(reason): int(n) for reason, n in cursor.execute(load("drill/quarantined")).fetchall()}
