"""The alert pipeline: a list of pure stages, each of which returns what survives it and why the rest did not.

    group -> inhibit -> silence -> dedup -> route -> (notify) -> log

What is due in the outbox enters as `Candidate`s. Candidates of one incident become one `Group`, so a storm is one message;
one without an incident is a group of its own. A stage only reads the `Context` it is given (rules, silences, what was told
before, the time) and never sends: notifying and logging are done by `alerts.deliver`, the log after the sending, so that a
crash repeats a message rather than losing it.

A candidate that does not survive is *withheld* with a `Reason`. Some reasons are final (the outbox records the message as
suppressed), the others only say "not yet" and the candidate comes back with the next run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from alerts.model import Alert, Severity, Status


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
    # withheld for now
    GROUP_WAIT = "waiting for others of the same group"
    GROUP_INTERVAL = "the group was told a moment ago"
    WAITS_FOR_EARLIER = "an earlier message of the incident goes first"
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
    """One due message of the outbox with its alert; `attempts` counts earlier attempts to send it."""

    outbox_id: str
    kind: str
    created_at: datetime
    alert: Alert
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """What becomes one message: the lead speaks, the others are named in it. Never empty."""

    key: str
    members: tuple[Candidate, ...]
    reason: Reason = Reason.FIRST
    receivers: tuple[str, ...] = ()

    @property
    def lead(self) -> Candidate:
        """The candidate whose outbox id the message carries."""
        return self.members[0]


@dataclass(frozen=True, slots=True)
class Withheld:
    """A candidate that is not told in this run; `detail` names the rule, silence or message that is why."""

    outbox_id: str
    stage: StageName
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What was told last about a group: keys of firing and of resolved alerts, and when."""

    firing: frozenset[str]
    resolved: frozenset[str]
    told_at: datetime


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

    Critical alerts and confirmed safety events are never inhibited, nor is an alert by its own incident.
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
class Route:
    """Alerts that match go to the first of `receivers`; the others stand in, in order, when it does not take them."""

    name: str
    receivers: tuple[str, ...]
    matcher: Matcher = field(default_factory=Matcher)


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits of the pipeline. Critical alerts wait for nothing but the repeat interval."""

    group_wait: timedelta = timedelta(0)
    group_interval: timedelta = timedelta(0)
    repeat_interval: timedelta = timedelta(hours=4)


DEFAULT_INHIBITIONS: tuple[Inhibition, ...] = (
    Inhibition(
        "rolled-back release", match(alertname="rollback", status="firing"), match(category="metric"), ("release",)
    ),
    Inhibition("stale data", match(alertname="stale_data", status="firing"), match(category="metric")),
)


@dataclass(frozen=True, slots=True)
class Context:
    """All a stage may look at."""

    now: datetime
    routes: tuple[Route, ...]
    entries: Mapping[str, LogEntry] = field(default_factory=dict)
    active: tuple[Alert, ...] = ()
    inhibitions: tuple[Inhibition, ...] = DEFAULT_INHIBITIONS
    silences: tuple[Silence, ...] = ()
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage lets through, and what it does not."""

    groups: tuple[Group, ...]
    withheld: tuple[Withheld, ...] = ()


Stage = Callable[[tuple[Group, ...], Context], Outcome]


def run(stages: Sequence[Stage], candidates: Sequence[Candidate], context: Context) -> Outcome:
    """All stages in order; every candidate ends in exactly one surviving group or one `Withheld`."""
    groups = tuple(Group(key_of(candidate), (candidate,)) for candidate in candidates)
    withheld: list[Withheld] = []
    for stage in stages:
        outcome = stage(groups, context)
        groups = outcome.groups
        withheld += outcome.withheld
    return Outcome(groups, tuple(withheld))


def key_of(candidate: Candidate) -> str:
    """Which group a candidate belongs to: its incident, or itself."""
    incident = candidate.alert.incident_id
    return f"incident:{incident}" if incident else f"message:{candidate.outbox_id}"


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


def waits_for_nothing(group: Group) -> bool:
    """Whether the group has something critical, or people were half told already (an attempt has begun)."""
    return any(c.alert.severity is Severity.CRITICAL or c.attempts for c in group.members)
