"""The alert: one value that every receiver renders and the outbox stores.

The words are Alertmanager's. *Labels* identify an alert, and only labels: two alerts with the same labels are the same
alert at two times, and its `fingerprint` is the hash of them. *Annotations* describe it and may change. Everything a person
needs to judge it travels inside: the evidence against its threshold, the counts, the times, what has been done and whether
that was verified.

Labels in use: `alertname` (rollback, hold, execution_disabled, rollback_not_verified, stale_data, trigger, delivery_failed,
review, ...), `release`, `rollout_id`, `phase`, `trigger`, `metric`, `segment`, `action`, `category` (metric, validity, safety,
delivery), and `safety = "confirmed"`, which no silence may hide. Annotations in use: `title` (one line) and `summary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, TypeVar

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.model import TriggerReading

T = TypeVar("T")
APPROXIMATE = (
    " These probabilities are approximate: what this stream counts is not independent (several requests, calls or answers of one "
    "customer, or counts made smaller for causes that hit many customers at once)."
)


class Severity(StrEnum):
    """How urgent an alert is, worst first."""

    CRITICAL = "critical"
    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst, rising as it gets milder."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Status(StrEnum):
    """Whether what the alert speaks of is still so."""

    FIRING = "firing"
    RESOLVED = "resolved"


class AlertFormatError(ValueError):
    """A stored alert that cannot be read; the message names the field."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one trigger saw: evidence (natural logs) against its threshold and the counts of both arms.

    `log_e` is None while there is no evidence at all (its log would be minus infinity, which JSON cannot say).
    `x_*` are events among `n_*` units and None for ratings, which have `mean_*` instead. `estimate` and `interval` are ready
    to read ("+10.8 points", "[4.1, 17.5]"); they are computed since the likely onset, so they are labelled as selected.
    `exact`: whether the guarantee of the stream is exact or approximate.
    """

    trigger: str
    metric: str
    segment: str
    log_e: float | None
    log_threshold: float
    fired: bool
    n_t: int = 0
    x_t: int | None = None
    n_c: int = 0
    x_c: int | None = None
    mean_t: float | None = None
    mean_c: float | None = None
    estimate: str = ""
    interval: str = ""
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Times:
    """The five moments of a containment, UTC; None means it has not happened or is not known."""

    onset: datetime | None = None
    detected: datetime | None = None
    cut: datetime | None = None
    verified: datetime | None = None
    alerted: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Somewhere to read on."""

    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something people must know, with all they need to judge it. `starts_at` and `ends_at` are UTC.

    `step`: what happened just now, in one line for the incident's thread ("Kim acknowledged: on it"); "" for the alert itself. `standing`: where
    the incident stands for its parent message: `state`, `owner`, `acknowledged_at`, `due` (of a serious incident), as far as they are known.
    """

    alert_id: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    severity: Severity
    starts_at: datetime
    incident_id: str | None = None
    status: Status = Status.FIRING
    ends_at: datetime | None = None
    readings: tuple[Reading, ...] = ()
    promise: str = ""
    times: Times = field(default_factory=Times)
    customers_exposed: int | None = None
    done: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    step: str = ""
    standing: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """One line that says what happened."""
        return self.annotations.get("title") or self.labels.get("alertname") or self.alert_id

    @property
    def key(self) -> str:
        """Identity, status and state in one short word: 12 hex digits, "+" (firing) or "-" (over), 8 hex digits."""
        sign = "+" if self.status is Status.FIRING else "-"
        return f"{fingerprint(self.labels)[:12]}{sign}{self._state_hash()}"

    def _state_hash(self) -> str:
        # Evidence and counts move with every block; a message for each of them would only be noise.
        moments = {name: _iso(value) for name, value in _pairs(self.times) if name != "alerted"}
        state = {"status": self.status, "severity": self.severity, "done": list(self.done), "times": moments}
        state |= {"step": self.step} if self.step else {}
        state |= {"standing": dict(self.standing)} if self.standing else {}
        return sha256_text(canonical(state))[:8]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `Alert.from_dict` reads them back to an equal value."""
        return {
            **{name: getattr(self, name) for name in ("alert_id", "incident_id", "promise", "customers_exposed")},
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "severity": str(self.severity),
            "status": str(self.status),
            "starts_at": _iso(self.starts_at),
            "ends_at": _iso(self.ends_at),
            "readings": [asdict(reading) for reading in self.readings],
            "times": {name: _iso(value) for name, value in _pairs(self.times)},
            "done": list(self.done),
            "links": [asdict(link) for link in self.links],
            "step": self.step,
            "standing": dict(self.standing),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Alert:
        """The alert that `to_dict` wrote. Raises AlertFormatError naming the field that is missing or wrong."""
        starts_at = _moment(data, "starts_at")
        if starts_at is None:
            raise AlertFormatError("alert field 'starts_at' is missing; write alerts with Alert.to_dict")
        moments = _object(data, "times")
        return Alert(
            alert_id=_text(data, "alert_id"),
            labels=_texts(data, "labels"),
            annotations=_texts(data, "annotations"),
            severity=_member(Severity, data, "severity"),
            status=_member(Status, data, "status") if "status" in data else Status.FIRING,
            starts_at=starts_at,
            ends_at=_moment(data, "ends_at"),
            incident_id=_text(data, "incident_id") if data.get("incident_id") is not None else None,
            readings=tuple(_build(Reading, row, "readings") for row in _list(data, "readings")),
            promise=_text(data, "promise") if "promise" in data else "",
            times=Times(**{name: _moment(moments, name) for name, _ in _pairs(Times())}),
            customers_exposed=_count(data, "customers_exposed"),
            done=tuple(str(line) for line in _list(data, "done")),
            links=tuple(_build(Link, row, "links") for row in _list(data, "links")),
            step=_text(data, "step") if "step" in data else "",
            standing=_texts(data, "standing"),
        )


def fingerprint(labels: Mapping[str, str]) -> str:
    """Identity of an alert: 64 hex digits over its labels, whatever their order."""
    return sha256_text(canonical(dict(labels)))


def resolved(alert: Alert, now: datetime, done: Sequence[str] = ()) -> Alert:
    """The same alert, over since `now`; `done` lines are added to what was done."""
    return replace(alert, status=Status.RESOLVED, ends_at=now, done=(*alert.done, *done))


def reading_of(seen: TriggerReading, estimate: str = "", interval: str = "") -> Reading:
    """The alert's view of a trigger's reading. Ratings (counts per level 1..5) become means; rates keep events and units."""
    counts = seen.counts
    rated = any(counts.k_t) or any(counts.k_c)
    return Reading(
        trigger=seen.trigger,
        metric=seen.metric,
        segment=seen.segment,
        log_e=seen.log_e if isfinite(seen.log_e) else None,
        log_threshold=seen.log_threshold,
        fired=seen.fired,
        n_t=sum(counts.k_t) if rated else counts.n_t,
        x_t=None if rated else counts.x_t,
        n_c=sum(counts.k_c) if rated else counts.n_c,
        x_c=None if rated else counts.x_c,
        mean_t=_mean(counts.k_t) if rated else None,
        mean_c=_mean(counts.k_c) if rated else None,
        estimate=estimate,
        interval=interval,
        exact=seen.exact,
    )


def promise_text(
    alpha_stream: float,
    alpha_rollback: float,
    horizon_weeks: float,
    counted: bool = True,
    exact: bool = True,
    quarter: int = 0,
) -> str:
    """The error budget in words (STATISTICS, Error budget). Alphas are probabilities in (0, 1).

    `counted=False` is for the safety tripwire and validity holds, which are outside that budget. `exact=False` for streams whose
    units are not independent: their probability is approximate, and the text says so. `quarter`: after a release is complete the promise
    is one over each quarter; its number, 0 before.
    """
    if not counted:
        return (
            "The safety tripwire and validity holds are outside the false-alarm budget: no probability is promised for "
            "this alarm."
        )
    span = f"this quarter, of {horizon_weeks:g} weeks," if quarter else f"the planned {horizon_weeks:g} weeks"
    return (
        f"If this release stayed within its limits in every block, this stream would ever raise this alarm in {span} "
        f"with probability <= {_percent(alpha_stream)}, any automatic rollback <= "
        f"{_percent(alpha_rollback)} (safety tripwire and validity holds not counted).{'' if exact else APPROXIMATE}"
    )


def _percent(probability: float) -> str:
    return f"{100 * probability:.3g} %"


def _mean(levels: Sequence[int]) -> float | None:
    answers = sum(levels)
    return sum(rating * count for rating, count in enumerate(levels, start=1)) / answers if answers else None


def _pairs(times: Times) -> list[tuple[str, datetime | None]]:
    return [(f.name, getattr(times, f.name)) for f in fields(times)]


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _wrong(name: str, wanted: str, value: object) -> AlertFormatError:
    return AlertFormatError(
        f"alert field '{name}' must be {wanted}, it is {value!r:.80}; write alerts with Alert.to_dict"
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str):
        raise _wrong(name, "a text", value)
    return value


def _object(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, Mapping):
        raise _wrong(name, "an object", value)
    return value


def _texts(data: Mapping[str, Any], name: str) -> dict[str, str]:
    return {str(key): str(value) for key, value in _object(data, name).items()}


def _list(data: Mapping[str, Any], name: str) -> list[Any]:
    value = data.get(name, [])
    if not isinstance(value, list | tuple):
        raise _wrong(name, "a list", value)
    return list(value)


def _count(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise _wrong(name, "a whole number or null", value)
    return value


def _moment(data: Mapping[str, Any], name: str) -> datetime | None:
    value = data.get(name)
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _wrong(name, "an ISO-8601 time or null", value) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _member(enum: type[T], data: Mapping[str, Any], name: str) -> T:
    try:
        return enum(data.get(name))  # type: ignore[call-arg]
    except ValueError:
        raise _wrong(name, f"one of {', '.join(map(str, enum))}", data.get(name)) from None  # type: ignore[call-overload]


def _build(kind: type[T], row: object, name: str) -> T:
    if not isinstance(row, Mapping):
        raise _wrong(name, "a list of objects", row)
    try:
        return kind(**row)
    except TypeError as problem:
        raise _wrong(name, f"objects of {kind.__name__} ({problem})", dict(row)) from None
