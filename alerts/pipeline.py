"""The alert pipeline: a list of pure stages, each of which returns what survives it and why the rest did not.

    (fan-out) -> group -> inhibit -> silence -> dedup -> route -> (notify) -> log

What is due in the outbox enters as `Candidate`s, each the copy of a message for one route. Candidates of one incident that go to the same
receiver are one *chain* and become one `Group`, so a storm is one message; those without an incident are grouped by the labels of their route. A
stage only reads the `Context` it is given (rules, silences, what was told before, the time) and never sends: fan-out, notifying and logging are
done by `alerts.deliver`, the log after the sending, so that a crash repeats a message rather than losing it.

A candidate that does not survive is *withheld* with a `Reason`. Some reasons are final (the outbox records the message as
suppressed), the others only say "not yet" and the candidate comes back with the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from alerts.model import Alert, Severity, Status, fingerprint

DELIVERY_FAILED = "delivery_failed"  # alertname of a dead letter; its label `receiver` names who did not take it
STEP, TIER, REVIEW, REPEATED = "step", "tier:", "review", "repeat"  # kinds of outbox messages that are told apart
ALONE = "..."  # in `Route.group_by`: every message by itself


class Reason(StrEnum):
    """Why a group is told now, or why a candidate is not."""

    # told
    FIRST = "first message of this incident"
    NEW_ALERTS = "something new is firing or has changed"
    NEW_RESOLVED = "part of it is over"
    ALL_RESOLVED = "all of it is over"
    REPEAT = "still firing after the repeat interval"
    # withheld for good
    NOTHING_NEW = "the same state was told already"
    RESOLVED_UNSEEN = "over before anybody was told"
    INHIBITED = "inhibited by a graver alert"
    SILENCED = "silenced"
    NO_ROUTE = "no route takes it"
    GROUPED = "told inside another message"
    OUTDATED = "a newer state of it was told"
    # withheld for now
    GROUP_WAIT = "waiting for others of the same group"
    GROUP_INTERVAL = "the group was told a moment ago"
    WAITS_FOR_EARLIER = "an earlier message of the chain goes first"
    RECEIVER_PAUSED = "the receiver asked for a pause or is down"

    @property
    def tells(self) -> bool:
        """Whether the group is told now."""
        return self in _TELLING

    @property
    def is_final(self) -> bool:
        """Whether a withheld candidate never comes back."""
        return self in _FINAL


_TELLING = frozenset({Reason.FIRST, Reason.NEW_ALERTS, Reason.NEW_RESOLVED, Reason.ALL_RESOLVED, Reason.REPEAT})
_FINAL = frozenset(
    {
        Reason.NOTHING_NEW,
        Reason.RESOLVED_UNSEEN,
        Reason.INHIBITED,
        Reason.SILENCED,
        Reason.NO_ROUTE,
        Reason.GROUPED,
        Reason.OUTDATED,
    }
)


class StageName(Enum):
    """Which stage withheld something."""

    GROUP = "group"
    INHIBIT = "inhibit"
    SILENCE = "silence"
    DEDUP = "dedup"
    ROUTE = "route"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One due message of the outbox with its alert; `attempts` counts earlier attempts to send it, `route` names the route of this copy."""

    outbox_id: str
    kind: str
    created_at: datetime
    alert: Alert
    attempts: int = 0
    route: str = ""

    @property
    def order(self) -> tuple[datetime, str]:
        """Sorts as the messages were written."""
        return self.created_at, self.outbox_id


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes one message. `members` are the newest message of each alert, never empty; the first lends its outbox id.

    `older` are earlier messages of the same alerts that nobody was told: their steps are told too, their state is not.
    """

    key: str
    members: tuple[Candidate, ...]
    reason: Reason = Reason.FIRST
    receivers: tuple[str, ...] = ()
    older: tuple[Candidate, ...] = ()

    @property
    def lead(self) -> Candidate:
        """The candidate whose outbox id the message carries."""
        return self.members[0]

    @property
    def all(self) -> tuple[Candidate, ...]:
        """Every candidate that the message tells, as they were written."""
        return tuple(sorted((*self.members, *self.older), key=lambda c: c.order))


@dataclass(frozen=True, slots=True)
class Withheld:
    """A candidate that is not told in this run; `detail` names the rule, silence or message that is why."""

    outbox_id: str
    stage: StageName
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What was told last of a chain: keys of firing and of resolved alerts, and when.

    `newest`: of each alert (first 12 digits of its fingerprint) the order of the newest message told. `automatic`: when anything was told that no
    person did or is called for.
    """

    firing: frozenset[str]
    resolved: frozenset[str]
    told_at: datetime
    newest: Mapping[str, tuple[datetime, str]] = field(default_factory=dict)
    automatic: tuple[datetime, ...] = ()

    def told_since(self, since: datetime) -> int:
        """How many automatic messages were told after that moment."""
        return sum(moment > since for moment in self.automatic)

    def knows(self, alert: Alert) -> bool:
        """Whether any state of the alert was told."""
        return any(alert_word(key) == word_of(alert) for key in self.firing | self.resolved)


@dataclass(frozen=True, slots=True)
class Matcher:
    """Labels that must each have one of the listed values; no labels match everything.

    `severity`, `status`, `kind` (of the outbox item) and `incident` ("yes" or "no") match like labels.
    """

    any_of: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def matches(self, alert: Alert, kind: str = "") -> bool:
        """Whether the alert has all of it."""
        incident = "no" if alert.incident_id is None else "yes"
        own = {"severity": str(alert.severity), "status": str(alert.status), "kind": kind, "incident": incident}
        known = {**alert.labels, **own}
        return all(known.get(label) in values for label, values in self.any_of.items())


def match(**labels: str | Sequence[str]) -> Matcher:
    """A matcher from keywords: `match(alertname="rollback", severity=("critical", "error"))`."""
    return Matcher({name: frozenset([value] if isinstance(value, str) else value) for name, value in labels.items()})


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert matches `source`, alerts that match `target` with the same `equal` labels are not told.

    Critical alerts, confirmed safety events and incidents in which something was done are never inhibited, nor is an alert by its own incident.
    """

    name: str
    source: Matcher
    target: Matcher
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Silence:
    """A person's decision not to be told for a while. Never hides a confirmed safety event."""

    silence_id: str
    matcher: Matcher
    author: str
    reason: str
    starts_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits of the pipeline. What is critical and firing waits for nothing but the repeat interval."""

    group_wait: timedelta = timedelta(0)
    group_interval: timedelta = timedelta(0)
    repeat_interval: timedelta = timedelta(hours=4)


@dataclass(frozen=True, slots=True)
class Route:
    """Alerts that match go to the first of `receivers`; the others stand in, in order, when it does not take them.

    `continue_`: the routes after this one are asked as well (the file says `continue = true`). `group_by`: labels whose equal values make one
    message of alerts that have no incident (an incident is always one group); "..." keeps each message by itself. `timing`: the route's own
    waits; None means those of the rules.
    """

    name: str
    receivers: tuple[str, ...]
    matcher: Matcher = field(default_factory=Matcher)
    continue_: bool = False
    group_by: tuple[str, ...] = ("alertname", "release")
    timing: Timing | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """All a stage may look at. `entries` are by the key of the chain."""

    now: datetime
    routes: tuple[Route, ...]
    entries: Mapping[str, LogEntry] = field(default_factory=dict)
    active: tuple[Alert, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    silences: tuple[Silence, ...] = ()
    timing: Timing = field(default_factory=Timing)

    def timing_of(self, candidate: Candidate) -> Timing:
        """The waits of the candidate's route."""
        route = route_of(candidate, self.routes)
        return self.timing if route is None or route.timing is None else route.timing


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage lets through, and what it does not."""

    groups: tuple[Group, ...]
    withheld: tuple[Withheld, ...] = ()


Stage = Callable[[tuple[Group, ...], Context], Outcome]


def run(stages: Sequence[Stage], candidates: Sequence[Candidate], context: Context) -> Outcome:
    """All stages in order; every candidate ends in exactly one surviving group (as a member or among `older`) or one `Withheld`."""
    groups = tuple(Group(chain_of(candidate, context.routes), (candidate,)) for candidate in candidates)
    withheld: list[Withheld] = []
    for stage in stages:
        outcome = stage(groups, context)
        groups = outcome.groups
        withheld += outcome.withheld
    return Outcome(groups, tuple(withheld))


def routes_for(alert: Alert, kind: str, routes: Sequence[Route]) -> tuple[Route, ...]:
    """The routes that take an alert: the first that matches, and with `continue_` those after it.

    A route whose first receiver is told by an earlier one adds nothing: a reader has one message of one incident.
    """
    found: dict[str, Route] = {}
    for route in routes:
        if not route.matcher.matches(alert, kind):
            continue
        if asked := receivers_for(route, alert, routes):
            found.setdefault(asked[0], route)
        if not route.continue_:
            break
    return tuple(found.values())


def route_of(candidate: Candidate, routes: Sequence[Route]) -> Route | None:
    """The candidate's route; the first that matches where it has none, or one that is not there any more."""
    named = next((route for route in routes if candidate.route and route.name == candidate.route), None)
    return named or next(iter(routes_for(candidate.alert, candidate.kind, routes)), None)


def receivers_for(route: Route, alert: Alert, routes: Sequence[Route]) -> tuple[str, ...]:
    """Who is asked to tell an alert by this route, in order. That a receiver is down is never told by that receiver."""
    if alert.labels.get("alertname") != DELIVERY_FAILED:
        return route.receivers
    broken = alert.labels.get("receiver")
    fallback = routes[-1].receivers if routes else ()
    others = (tuple(name for name in names if name != broken) for names in (route.receivers, fallback))
    return next(filter(None, others), route.receivers)


def chain_of(candidate: Candidate, routes: Sequence[Route]) -> str:
    """Which delivery chain a candidate belongs to: its incident, or the labels that its route groups by, at one receiver."""
    route = route_of(candidate, routes)
    asked = receivers_for(route, candidate.alert, routes) if route is not None else ()
    return chain_key(asked[0] if asked else "", candidate, route)


def chain_key(receiver: str, candidate: Candidate, route: Route | None) -> str:
    """The key of a chain at a receiver. A review is a document: it is never grouped with another."""
    alert = candidate.alert
    if alert.incident_id:
        return incident_key(receiver, alert.incident_id)
    names = () if route is None or candidate.kind == REVIEW else route.group_by
    if not names or ALONE in names:
        return f"{receiver}/message:{candidate.outbox_id.removesuffix(f'@{candidate.route}')}"
    return f"{receiver}/labels:" + ",".join(f"{name}={alert.labels.get(name, '')}" for name in names)


def incident_key(receiver: str, incident_id: str) -> str:
    """The key of an incident's chain at a receiver."""
    return f"{receiver}/incident:{incident_id}"


def needs_update(
    entry: LogEntry | None, firing: frozenset[str], resolved: frozenset[str], repeat: timedelta, now: datetime
) -> Reason:
    """The one hard question: is there anything that people have not been told?

    `firing` and `resolved` are the alert keys of the group now (`Alert.key`: identity and state), `entry` is what was told
    last. The answer is a reason either way; `Reason.tells` says whether to send.
    """
    if entry is None:
        return Reason.FIRST if firing else Reason.RESOLVED_UNSEEN
    if not firing <= entry.firing:
        return Reason.NEW_ALERTS
    if not resolved <= entry.resolved:
        return Reason.NEW_RESOLVED if firing else Reason.ALL_RESOLVED
    if firing and now - entry.told_at >= repeat:
        return Reason.REPEAT
    return Reason.NOTHING_NEW


def gravest_first(candidate: Candidate) -> tuple[bool, int, float]:
    """Sort key: firing before resolved, then by severity, then the newest."""
    alert = candidate.alert
    return alert.status is Status.RESOLVED, alert.severity.rank, -candidate.created_at.timestamp()


def is_urgent(candidate: Candidate) -> bool:
    """Whether it may not wait: something critical fires."""
    return candidate.alert.severity is Severity.CRITICAL and candidate.alert.status is Status.FIRING


def is_human(candidate: Candidate) -> bool:
    """Whether a person did it, or the ladder asks for one: people are not made to wait, and they do not flap."""
    return candidate.kind == STEP or candidate.kind.startswith(TIER)


def alert_word(key: str) -> str:
    """Which alert an `Alert.key` speaks of, whatever its state."""
    return key[:12]


def word_of(alert: Alert) -> str:
    """The same word of an alert itself."""
    return fingerprint(alert.labels)[:12]
