"""Log lines of a made-up service, fast: two arms whose behaviour is given as rates, customers whose arm is the real decision's.

The world of `controlplane.simulation.world` answers every message with the real assistant and lets harm emerge; that takes minutes. A drill
asks another question (is what the log says found, cut, verified and told?), so here the log itself is drawn: numpy draws every outcome of a
span at once, and each conversation asks the flag for its arm when it begins, so that a cut, a ramp or a rollback changes the very next lines.

Rules
- Story time only; the seed is an argument. A record is handed out by the first `advance` that reaches the moment at which it lands.
- Behaviours are rates per conversation in [0, 1], spans in seconds. What is not lost, held back or repeated lands once.
- Records have the names of the landing schema (`controlplane.ingest.schema`); content fields are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import md5
from heapq import heappop, heappush
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.assistant.record import iso
from controlplane.core.assignment import Exposure, Unit, bucket
from controlplane.core.model import Arm
from controlplane.core.validity import AA_SHADOW
from controlplane.simulation.records import FLAG_KEY

Record = dict[str, Any]
Floats = npt.NDArray[np.float64]
SLOW_MS, QUICK_MS = 6_000.0, 700.0  # on either side of an objective of 4 s
USUAL_USD, DEAR_USD = 0.004, 0.12
PROMPT_SECONDS = 20.0  # until a judgement or an audit is logged
RETURN_SECONDS = 70.0  # until a customer whose need is still open comes back
REGULAR = "regular-"
INTENT, OTHER_INTENT, WRONG_INTENT = "balance", "fees", "opening_hours"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """One arm: shares of its conversations, `ratings` for 1..5 (sum 1), mean seconds until a rating comes, per kind of customer.

    `returns`: share of customers who come back with the same need about a minute later. `clump`: so many conversations in a row of the arm
    share one fate in `escalates` (a cause that hits one arm inside a block).
    `lost`: share of conversations that never land. `late`: share whose records land `late_seconds` behind their time. `repeated`: share of
    records that land twice. `skewed`: share of conversations stamped an hour ahead. `nulls`: fields that are logged as null.
    """

    escalates: float = 0.12
    clump: int = 1
    half_escalates: float | None = None
    ratings: tuple[float, float, float, float, float] = (0.05, 0.07, 0.13, 0.3, 0.45)
    rated: float = 0.6
    unhappy_answers_after: float = 60.0
    happy_answers_after: float = 60.0
    slow: float = 0.01
    dear: float = 0.01
    timed_out: float = 0.002
    api_error: float = 0.003
    dependency_error: float = 0.003
    ungrounded: float = 0.03
    misclassified: float = 0.06
    misrouted: float = 0.005
    returns: float = 0.02
    lost: float = 0.0
    late: float = 0.0
    late_seconds: float = 600.0
    repeated: float = 0.0
    skewed: float = 0.0
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """Who comes: `per_minute` conversations of new customers, and of `regulars` that come again and again.

    `regulars` customers (all of the treated arm at their share) open `regular_per_minute` conversations a minute, which all escalate: few and
    loud. `mandatory`: share of first messages that must go to a person, in whatever arm. `judged`, `audited`: random samples of answers.
    `complaints`: share of the assistant's answers that somebody picked by hand, all of them ungrounded, judged without a sampling rate.
    """

    per_minute: float = 200.0
    regulars: int = 0
    regular_per_minute: float = 0.0
    mandatory: float = 0.0
    other_subject: float = 0.0
    judged: float = 0.5
    audited: float = 0.5
    complaints: float = 0.0


Expose = Callable[[Unit, datetime], Exposure]


@dataclass(frozen=True, slots=True)
class Served:
    """A conversation that the assistant got, at which share, and whether it might execute workflows."""

    at: datetime
    user: str
    intent: str
    conversation: str
    share: float = 1.0
    execution: bool = True


@dataclass(slots=True)
class LogLines:
    """The producer. `arms` may be replaced between two calls of `advance`; `swapped` writes the other arm into every log line."""

    seed: int
    now: datetime
    crowd: Crowd
    expose: Expose
    salt: str
    arms: dict[Arm, Behaviour] = field(default_factory=lambda: {arm: Behaviour() for arm in Arm})
    swapped: bool = False
    treated: list[Served] = field(default_factory=list)  # what the assistant was really asked, whatever is logged
    begun: int = 0
    _waiting: list[tuple[datetime, int, Record]] = field(default_factory=list)
    _coming: list[tuple[datetime, str]] = field(default_factory=list)
    _put: int = 0
    _clumps: dict[Arm, tuple[int, bool]] = field(default_factory=dict)
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        """The generator belongs to the producer: the same seed and the same decisions give the same lines."""
        self._rng = np.random.default_rng(self.seed)

    def advance(self, until: datetime) -> list[Record]:
        """Everything that lands in `(now, until]`, in the order of its landing. Raises ValueError for a time that goes back."""
        if until < self.now:
            raise ValueError(f"story time goes back from {self.now.isoformat()} to {until.isoformat()}")
        for moment, user in self._arrivals(until):
            heappush(self._coming, (moment, user))
        while self._coming and self._coming[0][0] <= until:
            self._conversation(*heappop(self._coming))
        self.now = until
        landed = []
        while self._waiting and self._waiting[0][0] <= until:
            landed.append(heappop(self._waiting)[2])
        return landed

    def hold_back(self, records: Iterable[Record], until: datetime) -> None:
        """Keep records that could not be handed over; they land at `until`."""
        for record in records:
            self._wait(until, record)

    def _arrivals(self, until: datetime) -> Iterable[tuple[datetime, str]]:
        """When conversations begin in `(now, until]`, and who begins them (empty: a new customer)."""
        seconds = (until - self.now).total_seconds()
        fresh = int(self._rng.poisson(self.crowd.per_minute * seconds / 60))
        again = int(self._rng.poisson(self.crowd.regular_per_minute * seconds / 60)) if self.crowd.regulars else 0
        regulars = regulars_of(self.salt, self.crowd.regulars) if again else []
        users = [""] * fresh + [regulars[number] for number in self._rng.integers(len(regulars) or 1, size=again)]
        moments = self._rng.uniform(0.0, seconds, fresh + again).tolist()
        return [(self.now + timedelta(seconds=moment), user) for moment, user in zip(moments, users, strict=True)]

    def _conversation(self, moment: datetime, known: str) -> None:
        self.begun += 1
        key = f"d{self.seed}-{self.begun:06d}"
        user = known or f"u-{key}"
        draw = self._rng.random(16)
        mandatory = bool(draw[0] < self.crowd.mandatory)
        intent = OTHER_INTENT if draw[6] < self.crowd.other_subject else INTENT
        exposure = self.expose(Unit(user, intent=intent, mandatory_person=mandatory, low_risk=True), moment)
        how = self.arms[exposure.arm]
        if exposure.arm is Arm.ASSISTANT:
            self.treated.append(Served(moment, user, intent, key, exposure.share, exposure.execution_enabled))
        if not known and draw[5] < how.returns:
            heappush(self._coming, (moment + timedelta(seconds=RETURN_SECONDS), user))
        if draw[1] < how.lost:
            return
        loud = known.startswith(REGULAR)
        escalates = mandatory or loud or self._escalates(exposure.arm, how, user, float(draw[2]))
        talk = _Talk(key, user, intent, moment, exposure, how, escalates)
        self._land(list(self._records(talk, draw)), moment, how, draw)

    def _escalates(self, arm: Arm, how: Behaviour, user: str, draw: float) -> bool:
        if how.half_escalates is not None and in_half(self.salt, user):
            return draw < how.half_escalates
        left, fate = self._clumps.get(arm, (0, False))
        if left == 0:
            left, fate = how.clump, draw < how.escalates
        self._clumps[arm] = (left - 1, fate)
        return fate

    def _land(self, records: Iterable[Record], moment: datetime, how: Behaviour, draw: Floats) -> None:
        behind = timedelta(seconds=how.late_seconds if draw[3] < how.late else 0.0)
        for record in records:
            at = datetime.fromisoformat(record["ts"])
            for name in how.nulls:
                if name in record:
                    record[name] = None
            if draw[4] < how.skewed:
                record["ts"] = iso(at + timedelta(hours=1))
            self._wait(max(at, moment) + behind, record)
            if how.repeated and self._rng.random() < how.repeated:
                self._wait(max(at, moment) + behind + timedelta(seconds=90), dict(record))

    def _wait(self, at: datetime, record: Record) -> None:
        self._put += 1
        heappush(self._waiting, (at, self._put, record))

    def _records(self, talk: _Talk, draw: Floats) -> Iterable[Record]:
        arm = self._logged(talk.exposure.arm)
        yield _exposure(talk, arm)
        yield _interaction(talk, arm, draw)
        if talk.exposure.arm is Arm.ASSISTANT:
            yield _call(talk, "model_call", "model", bool(draw[10] < talk.how.api_error))
            yield _call(talk, "dependency_call", "core-banking", bool(draw[11] < talk.how.dependency_error))
            yield from self._judgements(talk, draw)
        if draw[12] < talk.how.rated:
            level = int(np.searchsorted(np.cumsum(talk.how.ratings), draw[13], side="right")) + 1
            mean = talk.how.unhappy_answers_after if level <= 2 else talk.how.happy_answers_after
            yield _feedback(talk, min(level, 5), 5.0 + float(self._rng.exponential(mean)))

    def _judgements(self, talk: _Talk, draw: Floats) -> Iterable[Record]:
        if draw[14] < self.crowd.judged:
            label = "ungrounded" if draw[15] < talk.how.ungrounded else "grounded"
            yield _evaluation(talk, "groundedness", label, "judge", self.crowd.judged)
        elif self.crowd.complaints and self._rng.random() < self.crowd.complaints:
            yield _evaluation(talk, "groundedness", "ungrounded", "human:complaints", None)
        if self._rng.random() < self.crowd.audited:
            label = "misrouted" if self._rng.random() < talk.how.misrouted else "ok"
            yield _evaluation(talk, "safety_route", label, "human:audit", self.crowd.audited)

    def _logged(self, arm: Arm) -> str:
        if not self.swapped:
            return str(arm)
        return str(Arm.BASELINE if arm is Arm.ASSISTANT else Arm.ASSISTANT)


@dataclass(frozen=True, slots=True)
class _Talk:
    """One conversation of one turn."""

    key: str
    user: str
    intent: str
    at: datetime
    exposure: Exposure
    how: Behaviour
    escalates: bool

    def after(self, seconds: float) -> str:
        """The moment so many seconds behind the start, as text."""
        return iso(self.at + timedelta(seconds=seconds))


def regulars_of(salt: str, count: int, below: float = 0.05) -> list[str]:
    """The first `count` customer ids whose position under `salt` is below `below`: treated at every share from there on."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        number += 1
        if bucket(salt, f"{REGULAR}{number}") < below:
            found.append(f"{REGULAR}{number}")
    return found


def in_half(salt: str, user: str) -> bool:
    """Whether a customer lies in the half of the control arm that the A/A shadow sets against the other."""
    digest = md5(f"{salt}/{AA_SHADOW}/{user}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little") % 2 == 0


def severe_misrouting(conversation: str, now: datetime, severity: float, reviewer: str) -> Record:
    """A person's finding that a conversation should have gone to people, and how bad that was (0..1)."""
    return {
        "record": "evaluation",
        "evaluation_id": f"{conversation}:severe",
        "ts": iso(now),
        "interaction_id": f"{conversation}:1",
        "conversation_id": conversation,
        "name": "safety_route",
        "score": severity,
        "label": "misrouted",
        "evaluator": reviewer,
        "sampling_rate": None,
    }


def _exposure(talk: _Talk, arm: str) -> Record:
    shown = talk.exposure
    return {
        "record": "exposure",
        "exposure_id": f"{talk.key}:exposure",
        "ts": iso(talk.at),
        "conversation_id": talk.key,
        "user_id": talk.user,
        "flag_key": FLAG_KEY,
        "variant": arm,
        "reason": str(shown.reason),
        "flag_version": shown.flag_version,
        "rollout_id": shown.rollout_id or None,
        "release": shown.release or None,
        "phase": shown.phase or None,
        "share": shown.share,
        "eligible": shown.eligible,
        "ineligible_reason": shown.ineligible_reason,
        "intent_first": talk.intent,
    }


def _interaction(talk: _Talk, arm: str, draw: Floats) -> Record:
    wrong = bool(draw[9] < talk.how.misclassified)
    return {
        "record": "interaction",
        "interaction_id": f"{talk.key}:1",
        "conversation_id": talk.key,
        "turn": 1,
        "ts": iso(talk.at),
        "user_id": talk.user,
        "arm": arm,
        "release": talk.exposure.release or None,
        "intent_pred": WRONG_INTENT if wrong else talk.intent,
        "intent_true": talk.intent,
        "latency_ms": SLOW_MS if draw[7] < talk.how.slow else QUICK_MS,
        "cost_usd": _cost(talk, draw),
        "escalated": talk.escalates,
        "error_type": None,
        "timed_out": bool(draw[8] < talk.how.timed_out),
    }


def _cost(talk: _Talk, draw: Floats) -> float:
    """The menu costs nothing; a dear answer of the assistant costs a multiple of the others."""
    if talk.exposure.arm is Arm.BASELINE:
        return 0.0
    return DEAR_USD if draw[7] >= 1.0 - talk.how.dear else USUAL_USD


def _call(talk: _Talk, record: str, name: str, failed: bool) -> Record:
    return {
        "record": record,
        "call_id": f"{talk.key}:1:{record}",
        "ts": talk.after(1.0),
        "interaction_id": f"{talk.key}:1",
        "conversation_id": talk.key,
        "model" if record == "model_call" else "dependency": name,
        "latency_ms": 300.0,
        "error_type": "unavailable" if failed else None,
        "timed_out": False,
    }


def _evaluation(talk: _Talk, name: str, label: str, evaluator: str, rate: float | None) -> Record:
    return {
        "record": "evaluation",
        "evaluation_id": f"{talk.key}:1:{name}",
        "ts": talk.after(PROMPT_SECONDS),
        "interaction_id": f"{talk.key}:1",
        "conversation_id": talk.key,
        "name": name,
        "label": label,
        "evaluator": evaluator,
        "sampling_rate": rate,
    }


def _feedback(talk: _Talk, level: int, seconds: float) -> Record:
    return {
        "record": "feedback",
        "feedback_id": f"{talk.key}:feedback",
        "ts": talk.after(seconds),
        "conversation_id": talk.key,
        "csat": level,
        "resolved": not talk.escalates,
    }
