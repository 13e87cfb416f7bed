"""The stages of the alert pipeline, in the order in which they run. All pure: groups and a context in, groups out.

| stage | asks | withholds |
|---|---|---|
| group | who speaks for this chain? | what waits for its group |
| inhibit | does a graver alert explain this one? | metric alerts of a release that is rolled back, or on stale data |
| silence | has a person asked not to hear this? | what a live silence matches, never a confirmed safety event |
| dedup | do people know this already? | what was told in the same or a newer state; a step is always news |
| route | who is asked to take it? | what no route takes |
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
    LogEntry,
    Outcome,
    Reason,
    Silence,
    Stage,
    StageName,
    Withheld,
    gravest_first,
    is_human,
    is_urgent,
    needs_update,
    receivers_for,
    route_of,
    word_of,
)

_NO_TIME = timedelta(0)  # a clock that was set back makes nobody wait longer than the rule says
URGENT_MOST = 5  # automatic messages of one chain in a group interval, however urgent: people read no faster
NEW_MOST = 10  # the same for a critical alert that the chain has not told yet, such as a cut that is not verified


def group_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """One group per chain. The newest message of each alert speaks for it, older ones are told inside it; then the group may wait."""
    merged: dict[str, list[Candidate]] = {}
    for group in groups:
        merged.setdefault(group.key, []).extend(group.all)
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for key, members in merged.items():
        group = _one_group(key, members)
        wait = _wait(group, context)
        if wait is None:
            survivors.append(group)
        else:
            withheld += [Withheld(c.outbox_id, StageName.GROUP, wait) for c in members]
    return Outcome(tuple(survivors), tuple(withheld))


def _one_group(key: str, candidates: list[Candidate]) -> Group:
    written = sorted(candidates, key=lambda c: c.order)
    newest = {fingerprint(candidate.alert.labels): candidate for candidate in written}
    kept = sorted(newest.values(), key=gravest_first)
    begun = next((c for c in written if c.attempts), None)
    if begun is not None:  # it may be out already: what is sent goes by its id, so that it is looked up by it
        kept = [begun, *(c for c in kept if c is not begun)]
    known = {id(c) for c in kept}
    return Group(key, tuple(kept), older=tuple(c for c in written if id(c) not in known))


def _wait(group: Group, context: Context) -> Reason | None:
    if any(c.attempts or is_human(c) for c in group.all):
        return None
    entry, timing = context.entries.get(group.key), context.timing_of(group.lead)
    urgent = any(map(is_urgent, group.members))
    if entry is None:
        oldest = min(c.created_at for c in group.all)
        waiting = timing.group_wait > max(context.now - oldest, _NO_TIME)
        return Reason.GROUP_WAIT if waiting and not urgent else None
    if timing.group_interval <= max(context.now - entry.told_at, _NO_TIME):
        return None
    told = entry.told_since(context.now - timing.group_interval)
    new = any(is_urgent(c) and not entry.knows(c.alert) for c in group.members)
    free = urgent and told < (NEW_MOST if new else URGENT_MOST)
    return None if free else Reason.GROUP_INTERVAL


def inhibit_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold members that a graver alert, of this run or still active, already explains."""
    alerts = [*context.active, *(c.alert for group in groups for c in group.members)]
    safety = _safety_incidents(groups, context)
    sources = [(rule, [alert for alert in alerts if rule.source.matches(alert)]) for rule in context.inhibitions]

    def why(candidate: Candidate) -> str | None:
        if _is_safety(candidate.alert, safety):
            return None
        return next((rule.name for rule, found in sources if found and _inhibited(candidate, rule, found)), None)

    return _filter(groups, why, StageName.INHIBIT, Reason.INHIBITED)


def _inhibited(candidate: Candidate, rule: Inhibition, sources: Iterable[Alert]) -> bool:
    alert = candidate.alert
    if alert.severity is Severity.CRITICAL or _was_acted_upon(alert) or not rule.target.matches(alert, candidate.kind):
        return False
    return any(
        source.labels != alert.labels
        and (source.incident_id is None or source.incident_id != alert.incident_id)
        and all(source.labels.get(label) == alert.labels.get(label) for label in rule.equal)
        for source in sources
    )


def _was_acted_upon(alert: Alert) -> bool:
    """Whether it tells of something that was done: whatever else explains it, people must know that."""
    return alert.incident_id is not None and alert.labels.get("action", "page") != "page"


def silence_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold what a person has silenced for now."""
    live = [s for s in context.silences if s.starts_at <= context.now < s.expires_at]
    safety = _safety_incidents(groups, context)

    def why(candidate: Candidate) -> str | None:
        if _is_safety(candidate.alert, safety):
            return None
        return next((_told(s) for s in live if s.matcher.matches(candidate.alert, candidate.kind)), None)

    return _filter(groups, why, StageName.SILENCE, Reason.SILENCED)


def _told(silence: Silence) -> str:
    return f"{silence.silence_id} by {silence.author} until {silence.expires_at.isoformat()}: {silence.reason}"


def _safety_incidents(groups: Iterable[Group], context: Context) -> frozenset[str]:
    """Ids of the incidents of confirmed safety events: whatever stands beside one (its cut is not verified, its report is due) is told as it is."""
    alerts = [*context.active, *(c.alert for group in groups for c in group.all)]
    return frozenset(alert.incident_id for alert in alerts if alert.incident_id and _confirmed_safety(alert))


def _is_safety(alert: Alert, incidents: frozenset[str]) -> bool:
    return _confirmed_safety(alert) or alert.incident_id in incidents


def _confirmed_safety(alert: Alert) -> bool:
    return alert.labels.get("safety") == "confirmed"


def dedup_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Withhold messages that a newer one has overtaken, then groups whose present state was told already (`needs_update`).

    An attempt that has begun passes: whether it arrived is looked up at the receiver, not guessed here. A step happened once and is always news.
    """
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for whole in groups:
        entry = context.entries.get(whole.key)
        group, outdated = _without_outdated(whole, entry)
        withheld += outdated
        if group is None:
            continue
        reason = _update_reason(group, entry, context)
        if reason.tells:
            survivors.append(replace(group, reason=reason))
        elif any(map(_always_news, group.all)):
            survivors.append(replace(group, reason=Reason.FIRST if entry is None else Reason.NEW_ALERTS))
        else:
            withheld += [Withheld(c.outbox_id, StageName.DEDUP, reason) for c in group.all]
    return Outcome(tuple(survivors), tuple(withheld))


def _always_news(candidate: Candidate) -> bool:
    return bool(candidate.attempts or candidate.alert.step)


def _without_outdated(group: Group, entry: LogEntry | None) -> tuple[Group | None, list[Withheld]]:
    def outdated(candidate: Candidate) -> bool:
        told = None if entry is None else entry.newest.get(word_of(candidate.alert))
        return told is not None and candidate.order < told and not _always_news(candidate)

    late = [c for c in group.all if outdated(c)] if entry is not None and entry.newest else []
    if not late:
        return group, []
    gone = {c.outbox_id for c in late}
    withheld = [Withheld(c.outbox_id, StageName.DEDUP, Reason.OUTDATED) for c in late]
    left = [c for c in group.all if c.outbox_id not in gone]
    return (_one_group(group.key, left) if left else None), withheld


def _update_reason(group: Group, entry: LogEntry | None, context: Context) -> Reason:
    firing = frozenset(c.alert.key for c in group.members if c.alert.status is Status.FIRING)
    resolved = frozenset(c.alert.key for c in group.members if c.alert.status is Status.RESOLVED)
    repeat = context.timing_of(group.lead).repeat_interval
    if entry is not None and group.lead.alert.incident_id is None:
        # Such an alert has no life of its own that could still be going on: each message is an event, told once by its id.
        return Reason.NEW_ALERTS if firing else Reason.ALL_RESOLVED
    reason = needs_update(entry, firing, resolved, repeat, context.now)
    grave = any(c.alert.severity.rank <= Severity.ERROR.rank for c in group.members)
    # An outage of the receiver can outlast an incident. A grave one is told even when it is over by then.
    return Reason.FIRST if reason is Reason.RESOLVED_UNSEEN and grave else reason


def route_stage(groups: tuple[Group, ...], context: Context) -> Outcome:
    """Give each group the receivers of its route."""
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for group in groups:
        route = route_of(group.lead, context.routes)
        asked = () if route is None else receivers_for(route, group.lead.alert, context.routes)
        if asked:
            survivors.append(replace(group, receivers=asked))
        else:
            withheld += [Withheld(c.outbox_id, StageName.ROUTE, Reason.NO_ROUTE) for c in group.all]
    return Outcome(tuple(survivors), tuple(withheld))


def _filter(
    groups: tuple[Group, ...], why: Callable[[Candidate], str | None], stage: StageName, reason: Reason
) -> Outcome:
    """Withhold each message for which `why` names something; a group that loses all of them is gone."""
    survivors: list[Group] = []
    withheld: list[Withheld] = []
    for group in groups:
        found = [(candidate, why(candidate)) for candidate in group.all]
        gone = {c.outbox_id: name for c, name in found if name is not None}
        withheld += [Withheld(outbox_id, stage, reason, name) for outbox_id, name in gone.items()]
        left = [c for c, _ in found if c.outbox_id not in gone]
        if not gone:
            survivors.append(group)
        elif left:
            survivors.append(_one_group(group.key, left))
    return Outcome(tuple(survivors), tuple(withheld))


STAGES: tuple[Stage, ...] = (group_stage, inhibit_stage, silence_stage, dedup_stage, route_stage)
