"""The stages of the alert pipeline, in the order in which they run. All pure: groups and a context in, groups out.

| stage | asks | withholds |
|---|---|---|
| group | who speaks for this incident? | what waits for its group, and what an earlier attempt goes before |
| inhibit | does a graver alert explain this one? | metric alerts of a release that is rolled back, or on stale data |
| silence | has a person asked not to hear this? | what a live silence matches, never a confirmed safety event |
| dedup | do people know this already? | what was told in the same state |
| route | who takes it? | what no route takes |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta

from alerts.model import Alert, Severity, Status, fingerprint
from alerts.pipeline import (
    Candidate,
    Context,
    Group,
    Inhibition,
    Outcome,
    Reason,
    Silence,
    Stage,
    StageName,
    Withheld,
    gravest_first,
    needs_update,
    waits_for_nothing,
)

_NO_TIME = timedelta(0)  # a clock that was set back makes nobody wait longer than the rule says


def group_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """One group per key. The newest message of each alert stays, older ones are told inside it; then the group may wait."""
    merged: dict[str, list[Candidate]] = {}
    for group in groups:
        merged.setdefault(group.key, []).extend(group.members)
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for key, members in merged.items():
        group, rest = _one_group(key, members)
        wait = None if waits_for_nothing(group) else _wait(group, context)
        if wait is None:
            survivors.append(group)
            withheld += rest
        else:
            withheld += [Withheld(c.outbox_id, StageName.GROUP, wait) for c in members]
    return Outcome(tuple(survivors), tuple(withheld))


def _one_group(key: str, members: list[Candidate]) -> tuple[Group, list[Withheld]]:
    begun = sorted((c for c in members if c.attempts), key=lambda c: (c.created_at, c.outbox_id))
    if begun:
        # It may be out already: it must be looked up alone, by its own id and with its own content.
        first = begun[0]
        rest = [c for c in members if c is not first]
        return Group(key, (first,)), [
            Withheld(c.outbox_id, StageName.GROUP, Reason.WAITS_FOR_EARLIER, first.outbox_id) for c in rest
        ]
    newest: dict[str, Candidate] = {}
    for candidate in sorted(members, key=lambda c: (c.created_at, c.outbox_id)):
        newest[fingerprint(candidate.alert.labels)] = candidate
    kept = sorted(newest.values(), key=gravest_first)
    older = [c for c in members if newest[fingerprint(c.alert.labels)] is not c]
    lead = kept[0].outbox_id
    return Group(key, tuple(kept)), [Withheld(c.outbox_id, StageName.GROUP, Reason.GROUPED, lead) for c in older]


def _wait(group: Group, context: Context) -> Reason | None:
    entry, timing = context.entries.get(group.key), context.timing
    if entry is not None:
        return Reason.GROUP_INTERVAL if timing.group_interval > max(context.now - entry.told_at, _NO_TIME) else None
    oldest = min(c.created_at for c in group.members)
    return Reason.GROUP_WAIT if timing.group_wait > max(context.now - oldest, _NO_TIME) else None


def inhibit_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold members that a graver alert, of this run or still active, already explains."""
    alerts = [*context.active, *(c.alert for group in groups for c in group.members)]
    sources = [(rule, [alert for alert in alerts if rule.source.matches(alert)]) for rule in context.inhibitions]

    def why(candidate: Candidate) -> str | None:
        return next((rule.name for rule, found in sources if _inhibited(candidate, rule, found)), None)

    return _filter(groups, why, StageName.INHIBIT, Reason.INHIBITED)


def _inhibited(candidate: Candidate, rule: Inhibition, sources: Iterable[Alert]) -> bool:
    alert = candidate.alert
    if (
        alert.severity is Severity.CRITICAL
        or _confirmed_safety(alert)
        or not rule.target.matches(alert, candidate.kind)
    ):
        return False
    return any(
        source.labels != alert.labels
        and (source.incident_id is None or source.incident_id != alert.incident_id)
        and all(source.labels.get(label) == alert.labels.get(label) for label in rule.equal)
        for source in sources
    )


def silence_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold what a person has silenced for now."""
    live = [s for s in context.silences if s.starts_at <= context.now < s.expires_at]

    def why(candidate: Candidate) -> str | None:
        if _confirmed_safety(candidate.alert):
            return None
        return next((_told(s) for s in live if s.matcher.matches(candidate.alert, candidate.kind)), None)

    return _filter(groups, why, StageName.SILENCE, Reason.SILENCED)


def _told(silence: Silence) -> str:
    return f"{silence.silence_id} by {silence.author} until {silence.expires_at.isoformat()}: {silence.reason}"


def _confirmed_safety(alert: Alert) -> bool:
    return alert.labels.get("safety") == "confirmed"


def dedup_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold groups whose present state was told already (`needs_update`).

    An attempt that has begun passes: whether it arrived is looked up at the receiver, not guessed here.
    """
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for group in groups:
        reason = _update_reason(group, context)
        if reason.tells or group.lead.attempts:
            survivors.append(replace(group, reason=reason if reason.tells else Reason.NEW_ALERTS))
        else:
            withheld += [Withheld(c.outbox_id, StageName.DEDUP, reason) for c in group.members]
    return Outcome(tuple(survivors), tuple(withheld))


def _update_reason(group: Group, context: Context) -> Reason:
    firing = frozenset(c.alert.key for c in group.members if c.alert.status is Status.FIRING)
    resolved = frozenset(c.alert.key for c in group.members if c.alert.status is Status.RESOLVED)
    entry = context.entries.get(group.key)
    reason = needs_update(entry, firing, resolved, context.timing.repeat_interval, context.now)
    grave = any(c.alert.severity.rank <= Severity.ERROR.rank for c in group.members)
    # An outage of the receiver can outlast an incident. A grave one is told even when it is over by then.
    return Reason.FIRST if reason is Reason.RESOLVED_UNSEEN and grave else reason


def route_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Give each group the receivers of the first route that takes its lead."""
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for group in groups:
        lead = group.lead
        route = next((r for r in context.routes if r.matcher.matches(lead.alert, lead.kind)), None)
        if route is not None and route.receivers:
            survivors.append(replace(group, receivers=route.receivers))
        else:
            withheld += [Withheld(c.outbox_id, StageName.ROUTE, Reason.NO_ROUTE) for c in group.members]
    return Outcome(tuple(survivors), tuple(withheld))


def _filter(
    groups: tuple[Group, ...], why: Callable[[Candidate], str | None], stage: StageName, reason: Reason
) -> Outcome:
    """Withhold each member for which `why` names something; a group that loses all its members is gone."""
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for group in groups:
        found = [(candidate, why(candidate)) for candidate in group.members]
        withheld += [Withheld(c.outbox_id, stage, reason, name) for c, name in found if name is not None]
        left = tuple(c for c, name in found if name is None)
        if left:
            survivors.append(replace(group, members=left))
    return Outcome(tuple(survivors), tuple(withheld))


STAGES: tuple[Stage, ...] = (group_stage, inhibit_stage, silence_stage, dedup_stage, route_stage)
