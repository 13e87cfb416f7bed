"""One incident per cause: what the machine or a person does for a cause that has an incident already becomes a step of that incident.

The same cause on the same rollout is the same trigger (or the same doubt about the data). It joins its incident while that is open, and opens it
again for `incidents.reopen_minutes` after it was resolved; after that, and once the review is closed, it is an incident of its own. A person who
rolls back answers what is open: the incident that the person names, else the newest open one of the rollout.

An incident of stale data, or of a metric that had stopped, is over when records arrive again: it is resolved then, whether or not the ramp goes on.
One for which a person has rolled back meanwhile is for people to resolve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from alerts.model import Alert, Severity, fingerprint
from controlplane.core.incident import IncidentEvent, IncidentState, advance, is_over
from controlplane.core.judge import AUTOMATIC
from controlplane.core.masking import mask
from controlplane.core.model import Decision, Rollout, RolloutState
from controlplane.core.policy import Policy
from controlplane.core.rollout import Event
from controlplane.store.state import StateReader
from controlplane.store.state_rows import AuditEntry, Commit, IncidentRow, NewMessage, OutboxItem, to_text
from jobs.incident_alerts import MAIN, alert_from, ended_beside, message_of, standing_in
from jobs.incidents import Step, clock_values, with_step

FRESHNESS, SILENT_METRIC = "freshness", "silent_metric"  # causes that end by themselves (`jobs.decisions.cause`)
_ENDED = {FRESHNESS: "records arrive again", SILENT_METRIC: "the metric is heard of again"}


def correlate(state: StateReader, commit: Commit, decision: Decision, rollout: Rollout, policy: Policy) -> Commit:
    """The commit of an automatic decision, with the incident that it belongs to; behind `clear`, whose incidents it leaves alone."""
    if commit.incident is None:
        return commit
    ended = {row.incident_id for row in commit.also}
    mine, now = (
        [row for row in of_rollout(state, rollout.rollout_id) if row.incident_id not in ended],
        decision.decided_at,
    )
    before = same_cause(mine, commit.incident.trigger, now, policy.incidents.reopen_minutes)
    if before is not None:
        return join(commit, before, state.incident_messages(before.incident_id), AUTOMATIC, now)
    return replace(commit, also=(*commit.also, *_told(commit.incident, mine, now)))


def over_causes(
    rollout: Rollout,
    decision: Decision | None,
    heard_at: datetime | None,
    silent: Sequence[str],
    freshness: timedelta,
    now: datetime,
) -> frozenset[str]:
    """Which causes of the data are over: `heard_at` is the sources' watermark, `silent` the metrics that have stopped.

    Nothing is heard of a metric behind a rollback because nobody is served, so that ends nothing.
    """
    resumed = decision is not None and decision.event == Event.RESUME
    found = {FRESHNESS} if resumed or (heard_at is not None and now - heard_at <= freshness) else set()
    if not silent and rollout.state is not RolloutState.ROLLED_BACK:
        found.add(SILENT_METRIC)
    return frozenset(found)


def clear(state: StateReader, commit: Commit, rollout: Rollout, causes: frozenset[str], now: datetime) -> Commit:
    """The commit with the open incidents of these causes resolved by the machine."""
    step = IncidentEvent.CLEAR
    for row in state.open_incidents(rollout.rollout_id) if causes else ():
        if row.trigger not in causes or row.cut_at is not None:
            continue  # a person rolled back for it: that has not been let go of, and a person resolves it
        values = {"state": str(advance(IncidentState(row.state), step)), **clock_values(row, step, now)}
        line = f"resolved by itself: {_ENDED[row.trigger]}"
        after = with_step(row, Step(str(step), line, line, values), AUTOMATIC, now)
        messages = state.incident_messages(row.incident_id)
        alert = alert_from(after, messages, line)
        commit = replace(
            commit,
            also=(*commit.also, after),
            audit=(*commit.audit, AuditEntry(AUTOMATIC, f"incident_{step}", row.incident_id, line)),
            messages=(*commit.messages, message_of(alert, after), *ended_beside(after, messages, alert, now)),
        )
    return commit


def of_rollout(state: StateReader, rollout_id: str) -> list[IncidentRow]:
    """The incidents of a rollout, oldest first."""
    return [row for row in state.incidents() if row.rollout_id == rollout_id]


def same_cause(
    incidents: Sequence[IncidentRow], cause: str, now: datetime, reopen_minutes: float
) -> IncidentRow | None:
    """The incident that a cause belongs to: an open one, else the one that was resolved last and not too long ago; None: a new one."""
    mine = [row for row in incidents if row.trigger == cause and row.state != IncidentState.REVIEWED]
    open_ones = [row for row in mine if not is_over(row.state)]
    if open_ones:
        return open_ones[-1]
    again = timedelta(minutes=reopen_minutes)
    ended = [row for row in mine if row.resolved_at is not None and now - row.resolved_at <= again]
    return ended[-1] if ended else None


def join(commit: Commit, before: IncidentRow, messages: Sequence[OutboxItem], actor: str, now: datetime) -> Commit:
    """The commit with its new incident made a step of the one `before`. `messages`: of that one, oldest first."""
    new, opened = commit.incident, Alert.from_dict(commit.messages[0].payload)
    assert new is not None
    back = is_over(before.state)
    came_back = f"came back {_span(now, before.resolved_at)} after it was resolved: " if back else ""
    what = new.timeline[-1]["text"]
    step = Step(str(IncidentEvent.RECUR), what, f"{came_back or 'again: '}{what}", _values(before, new, now))
    after = with_step(before, step, actor, now)
    told = alert_from(before, messages)
    done = (*told.done, *(line for line in opened.done if line not in told.done))
    base = opened if Severity(after.severity) is opened.severity else told
    base = replace(base, done=done, readings=base.readings or told.readings, promise=base.promise or told.promise)
    alert = standing_in(base, after, step.told)
    more: tuple[NewMessage, ...] = ()
    if fingerprint(alert.labels) != fingerprint(told.labels):
        more = ended_beside(after, messages, alert, now, names=MAIN)
    said = {"version": _version(commit), "cause": new.trigger, "state": after.state, "before": _as_it_was(before)}
    audit = AuditEntry(actor, f"incident_{IncidentEvent.RECUR}", after.incident_id, what, said)
    first = replace(
        commit.audit[0], payload={**commit.audit[0].payload, "incident": after.incident_id, "cause": new.trigger}
    )
    return replace(
        commit,
        incident=after,
        audit=(first, *commit.audit[1:], audit),
        messages=(message_of(alert, after, by_person=actor != AUTOMATIC), *more, *commit.messages[1:]),
    )


def _values(before: IncidentRow, new: IncidentRow, now: datetime) -> dict[str, Any]:
    """What the joined row takes from the new act: the graver severity with its title, the earliest onset, the newest cut."""
    state = advance(IncidentState(before.state), IncidentEvent.RECUR)
    graver = Severity(new.severity).rank <= Severity(before.severity).rank
    onsets = [moment for moment in (before.onset_at, new.onset_at) if moment is not None]
    exposed = [n for n in (before.customers_exposed, new.customers_exposed) if n is not None]
    return {
        **clock_values(before, IncidentEvent.RECUR, now),
        "state": str(state),
        "severity": new.severity if graver else before.severity,
        "title": new.title if graver else before.title,
        "onset_at": min(onsets) if onsets else None,
        "cut_at": new.cut_at or before.cut_at,
        "customers_exposed": max(exposed) if exposed else None,
        "evidence": {**before.evidence, **new.evidence},
        "containments": (*before.containments, *new.containments),
    }


def _as_it_was(row: IncidentRow) -> dict[str, Any]:
    """What a step overwrites, so that a review of an earlier day can tell it as it was."""
    moments = {"onset_at": row.onset_at, "cut_at": row.cut_at, "verified_at": row.verified_at}
    moments |= {"acknowledged_at": row.acknowledged_at, "resolved_at": row.resolved_at}
    plain = {name: getattr(row, name) for name in ("severity", "title", "customers_exposed")}
    return plain | {name: None if moment is None else to_text(moment) for name, moment in moments.items()}


def _version(commit: Commit) -> int | None:
    return None if commit.rollout is None else commit.rollout.version


def _span(now: datetime, since: datetime | None) -> str:
    minutes = 0.0 if since is None else (now - since).total_seconds() / 60
    return f"{minutes:.0f} min" if minutes >= 1 else "less than a minute"


def _told(new: IncidentRow, mine: Sequence[IncidentRow], now: datetime) -> tuple[IncidentRow, ...]:
    """The other open incidents of the rollout, with a line that says what was done beside them. Their people are told by the new incident."""
    line = f"{new.title} (incident {new.incident_id})"
    step = Step("beside", line, line)
    return tuple(with_step(row, step, AUTOMATIC, now) for row in mine if not is_over(row.state))


def of_person(
    state: StateReader,
    commit: Commit,
    event: Event,
    rollout: Rollout,
    actor: str,
    reason: str,
    now: datetime,
    named: str,
) -> Commit:
    """The commit of what a person did to the rollout: a line in each open incident of it, and a rollback joins one. `named`: the incident that
    the person acted on ("" for none)."""
    open_ones, reason = state.open_incidents(rollout.rollout_id), mask(reason)
    if event is Event.ROLLBACK and open_ones:
        target = next((row for row in open_ones if row.incident_id == named), open_ones[-1])
        commit = join(commit, target, state.incident_messages(target.incident_id), actor, now)
        open_ones = [row for row in open_ones if row is not target]
    for row in open_ones:
        step = Step(str(event), f"{event}: {reason}", f"{actor}: {event.replace('_', ' ')}: {reason}")
        after = with_step(row, step, actor, now)
        alert = alert_from(after, state.incident_messages(row.incident_id), step.told)
        told = message_of(alert, after, by_person=True)
        commit = replace(commit, also=(*commit.also, after), messages=(*commit.messages, told))
    return commit
