"""The streams of a lane as arrays: what each tests, its state as it is stored, and one pass over many blocks.

Streams of one kind, limit and weight plan are read together by the evidence engine, however many segments and blocks there are; a
stored state goes into arrays and back without an object in between. The numbers are those of `evidence.step`, one by one.

A stored state is the dictionary of `evidence.DetectorState`, its account with the `horizon` in place of the whole plan (a lane has
hundreds of streams, and all is written with every block), and more: `alpha`, the stream's part of the error budget (it never rises
within an account), `tests`, a mark of what it has been testing, after a change of the policy `from`, `owed` and `allotted` (see
`controlplane.core.policy_switch`), and after the completion `quarter`.

After the completion each quarter is a new account (STATISTICS section 1): at the first block of a quarter R = 0, nothing is spent, and
the promise is one over the quarter's 13 weeks. R must begin anew with the account, or R plus the unspent weight would exceed 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.blocks import QUARTER_WEEKS, Lane
from controlplane.core.evidence.counts import checked_columns
from controlplane.core.evidence.detector import DetectorState, Streams, StreamSpec, Track, advance
from controlplane.core.evidence.forms import BoolArray, FloatArray
from controlplane.core.evidence.weights import ROUNDING, IntArray, WeightAccount, WeightPlan
from controlplane.core.metrics import METRICS
from controlplane.core.model import Action, BlockCounts
from controlplane.core.policy import Policy, Trigger
from controlplane.core.validity import Check, compared, finding

ALL = "all"
COUNTERS = ("starts", "deploys", "blocks", "refused")
OWED, ALLOTTED, QUARTER, BUDGETS = "owed", "allotted", "quarter", "budgets"
TRIGGERS, CHECKS = "triggers", "checks"
KNOWING = "knowing"
"""Key of a lane's state: of what has fired, the newest act of a person that was known by then (`controlplane.core.triggers`)."""
Stored = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """One trigger or validity check on all traffic or on one segment.

    `limit` and `alpha` are those of the evidence form. `tests`: everything its null hypothesis and its counts depend on; evidence
    is kept only while that stays the same. `exact`: whether the error guarantee is, or else approximate. `owed`: what it has risked at
    earlier, higher alphas beyond this one.
    """

    name: str
    metric: str
    segment: str
    action: Action
    kind: str
    limit: float
    alpha: float
    plan: WeightPlan
    tests: tuple[Any, ...]
    shown_limit: float = 0.0
    icc: float = 0.0
    exact: bool = True
    check: Check | None = None
    span_seconds: int = 60
    quarter: int = 0
    owed: float = 0.0

    @property
    def key(self) -> str:
        """The stream's place in the lane's state."""
        return f"trigger:{self.name}|{self.segment}"

    @property
    def mark(self) -> str:
        """A short mark of `tests`."""
        return _mark(self.tests)

    @property
    def spec(self) -> StreamSpec:
        """What the evidence engine needs to know."""
        return _spec(self.kind, self.limit, self.alpha)

    def finding(self) -> str:
        """What its alarm says."""
        if self.check is not None:
            return f"{finding(self.check)}: the evidence has crossed its threshold"
        where = "" if self.segment == ALL else f" in segment {self.segment}"
        return (
            f"{self.metric}{where} is beyond its limit of {self.shown_limit:g}: the evidence has crossed its threshold"
        )


@lru_cache(maxsize=4096)
def _mark(tests: tuple[Any, ...]) -> str:
    return sha256_text(canonical(list(tests)))[:12]


@lru_cache(maxsize=4096)
def _spec(kind: str, limit: float, alpha: float) -> StreamSpec:
    return StreamSpec(kind, limit, alpha)


def stream_limit(policy: Policy, trigger: Trigger) -> float:
    """The limit that a trigger's streams test: for labels of a judge it is on the flag rate, not on the true rate."""
    return policy.judge.flag_rate(trigger.limit) if trigger.judged else trigger.limit


def weight_plan(policy: Policy, span_seconds: int) -> WeightPlan:
    """The account of one stream over the planned horizon."""
    return _plan(policy.budget.horizon_weeks, span_seconds)


def _plan(weeks: float, span_seconds: int) -> WeightPlan:
    return WeightPlan(horizon_blocks=max(1, round(weeks * 7 * 86400 / span_seconds)))


def budgets_of(policy: Policy) -> dict[str, float]:
    """What the policy promises: of triggers over the rollout or a quarter, and of the validity checks likewise."""
    return {TRIGGERS: policy.budget.false_rollback, CHECKS: policy.budget.validity}


def is_exact(trigger: Trigger) -> bool:
    """Whether the error guarantee of the trigger's streams is a theorem: its units are independent and its counts those of units."""
    entry = METRICS.get(trigger.metric)
    return trigger.icc == 0 and entry is not None and entry.exact


@lru_cache(maxsize=64)
def streams_of(policy: Policy, lane: Lane) -> tuple[Stream, ...]:
    """All detector streams of a lane, in the order of its readings."""
    found = [stream for trigger in lane.triggers for stream in _of_trigger(policy, trigger)]
    return (*found, *(_of_check(policy, check) for check in lane.checks))


def _of_trigger(policy: Policy, trigger: Trigger) -> Iterator[Stream]:
    limit, exact = stream_limit(policy, trigger), is_exact(trigger)
    plan = weight_plan(policy, trigger.block_seconds)
    what = (trigger.metric, str(trigger.kind), limit, trigger.slo_ms, trigger.cap_usd, trigger.labels, trigger.icc)
    for segment in policy.segments_of(trigger):
        yield Stream(
            name=trigger.name,
            metric=trigger.metric,
            segment=segment,
            action=trigger.action,
            kind=str(trigger.kind),
            limit=limit,
            alpha=policy.alpha(trigger, segment),
            plan=plan,
            tests=(*what, trigger.block_seconds, trigger.maturity_minutes),
            shown_limit=trigger.limit,
            icc=trigger.icc,
            exact=exact,
            span_seconds=trigger.block_seconds,
        )


def _of_check(policy: Policy, check: Check) -> Stream:
    shadowed = check.shadowed
    what = () if shadowed is None else (shadowed.slo_ms, shadowed.labels, shadowed.icc)
    span = policy.validity.block_seconds
    return Stream(
        name=check.name,
        metric=check.metric,
        segment=check.segment,
        action=Action.HOLD,
        kind=check.kind,
        limit=check.limit,
        alpha=check.alpha,
        plan=weight_plan(policy, span),
        tests=(check.metric, check.kind, check.limit, *what, span, check.maturity_seconds),
        icc=check.icc,
        exact=check.exact,
        check=check,
        span_seconds=span,
    )


def granted(stream: Stream, stored: Stored | None) -> Stream:
    """The stream with the account that it has now: its quarter, and of the error budget never more than it had before."""
    if stored is None:
        return stream
    alpha, owed = min(stream.alpha, stored.get("alpha", stream.alpha)), stored.get(OWED, 0.0)
    stream = in_quarter(stream, stored.get(QUARTER, 0))
    return stream if (alpha, owed) == (stream.alpha, stream.owed) else replace(stream, alpha=alpha, owed=owed)


def in_quarter(stream: Stream, quarter: int) -> Stream:
    """The stream with the account of a quarter since the completion; 0: with that of the rollout, as the policy has it."""
    if quarter == 0:
        return stream
    return replace(stream, plan=_plan(QUARTER_WEEKS, stream.span_seconds), quarter=quarter)


def renewed(stream: Stream, stored: Stored, quarter: int) -> dict[str, Any]:
    """The stored state with the account of a later quarter and no evidence; what is known of the control stays.

    Its alpha is the policy's again, unless a change of the policy in this very quarter has given out the quarter's budget already.
    """
    alpha = stream.alpha
    if stored.get(ALLOTTED, 0) >= quarter:
        alpha = min(alpha, stored.get("alpha", alpha))
    begun = fresh(replace(in_quarter(stream, quarter), alpha=alpha))
    kept = {name: stored[name] for name in ("last_block", "control")}
    return {**{name: value for name, value in stored.items() if name != OWED}, **begun, **kept}


def fresh(stream: Stream) -> dict[str, Any]:
    """The stored state of a stream before its first block."""
    state = DetectorState.fresh(stream.spec, stream.plan)
    begun = {**state.to_dict(), "account": plain(state.account), "alpha": stream.alpha, "tests": stream.mark}
    return begun | ({QUARTER: stream.quarter} if stream.quarter else {})


def plain(account: WeightAccount) -> dict[str, Any]:
    """The account as a stored state has it."""
    counters = {name: getattr(account, name) for name in COUNTERS}
    return {"horizon": account.plan.horizon_blocks, **counters, "spent": account.spent}


def account_of(stored: Stored) -> WeightAccount:
    """The account of a stored state; also of one that was written with its whole plan."""
    account = stored["account"]
    plan = WeightPlan(horizon_blocks=_horizon(account))
    return WeightAccount(plan, **{name: account[name] for name in COUNTERS})


def _horizon(account: Mapping[str, Any]) -> int:
    return int(account["horizon"] if "horizon" in account else account["plan"]["horizon_blocks"])


def without_evidence(stored: Stored) -> dict[str, Any]:
    """R = 0 again; the weight account and what is known of the control stay."""
    k = len(stored["log_r"])
    return {**stored, "log_r": [None] * k, "climb": [0.0] * k, "onset": [0] * k}


@dataclass(frozen=True, slots=True)
class Group:
    """Streams of one kind, limit and plan: their places in the lane's order, themselves, and their states."""

    places: list[int]
    streams: list[Stream]
    stored: list[Stored]

    @property
    def spec(self) -> StreamSpec:
        """Kind and limit are common; the threshold is each stream's own."""
        return self.streams[0].spec


def grouped(streams: Sequence[Stream], stored: Sequence[Stored]) -> Iterator[Group]:
    """The streams that can be read together, in the order of their first one."""
    groups: dict[tuple[str, float, WeightPlan], Group] = {}
    for place, (stream, state) in enumerate(zip(streams, stored, strict=True)):
        group = groups.setdefault((stream.kind, stream.limit, stream.plan), Group([], [], []))
        group.places.append(place)
        group.streams.append(stream)
        group.stored.append(state)
    yield from groups.values()


def pack(group: Group) -> Streams:
    """The group's states as arrays. Raises ValueError naming the stream whose state is not its own or does not add up."""
    first = group.streams[0]
    horizon = first.plan.horizon_blocks
    for stream, state in zip(group.streams, group.stored, strict=True):
        found = (state["kind"], state["limit"], _horizon(state["account"]))
        if found != (stream.kind, stream.limit, horizon):
            raise ValueError(
                f"{stream.key}: the state belongs to {found[0]} at {found[1]} over {found[2]} blocks, not to {stream.kind} at "
                f"{stream.limit} over {horizon}; the policy changed without the engine being told"
            )
    accounts = [state["account"] for state in group.stored]
    drawn = np.array([[account[name] for name in COUNTERS] for account in accounts], dtype=np.int64)
    off = np.abs(first.plan.spent(drawn) - np.array([account["spent"] for account in accounts])) > ROUNDING
    if off.any():
        at = int(np.argmax(off))
        said = accounts[at]["spent"]
        raise ValueError(
            f"{group.streams[at].key}: its weight account says spent {said}, its draws do not; restore the row"
        )
    log_r = np.array([state["log_r"] for state in group.stored], dtype=np.float64)  # None becomes NaN
    return Streams(
        plan=first.plan,
        log_r=np.where(np.isnan(log_r), -np.inf, log_r),
        climb=np.array([state["climb"] for state in group.stored], dtype=np.float64),
        onset=np.array([state["onset"] for state in group.stored], dtype=np.int64),
        control=np.array([state["control"] for state in group.stored], dtype=np.float64),
        drawn=drawn,
        waiting=np.array([state["waiting"] for state in group.stored], dtype=np.int64),
    )


def unpack(group: Group, after: Streams, last_block: int) -> list[dict[str, Any]]:
    """The states after `last_block` as they are stored, in the order of the group."""
    lists = {name: getattr(after, name).tolist() for name in ("climb", "control", "waiting", "drawn")}
    lists["onset"] = np.where(after.climb > 0.0, after.onset, 0).tolist()  # a bet that does not climb has none
    log_r = [[None if value == -np.inf else value for value in row] for row in after.log_r.tolist()]
    spent = after.plan.spent(after.drawn).tolist()
    result = []
    for i, (stream, before) in enumerate(zip(group.streams, group.stored, strict=True)):
        starts, deploys, blocks, refused = lists["drawn"][i]
        account = {"horizon": after.plan.horizon_blocks, "starts": starts, "deploys": deploys, "blocks": blocks}
        state = {
            **before,
            "last_block": max(last_block, before["last_block"] or 0),
            "account": {**account, "refused": refused, "spent": spent[i]},
            "log_r": log_r[i],
            "alpha": stream.alpha,
            "tests": stream.mark,
        }
        state |= {name: lists[name][i] for name in ("climb", "onset", "control", "waiting")}
        result.append(state)
    return result


def read(
    group: Group,
    indices: IntArray,
    counts: Sequence[Sequence[BlockCounts]],
    void: BoolArray,
    shares: Sequence[float],
    events: IntArray,
) -> tuple[Streams, Track]:
    """Read T blocks of the group's N streams: `counts[t][i]`, `void` `(T, N)` blocks without a say, `shares[t]`, `events` as in `advance`."""
    return advance(group.spec, pack(group), indices, _columns(group, counts, void, shares), events, trace=True)


def _columns(
    group: Group, counts: Sequence[Sequence[BlockCounts]], void: BoolArray, shares: Sequence[float]
) -> dict[str, FloatArray]:
    if any(stream.check is not None for stream in group.streams):
        counts = [
            [
                found if s.check is None else compared(s.check, found)
                for s, found in zip(group.streams, row, strict=True)
            ]
            for row in counts
        ]
    sources = {"nT": "n_t", "xT": "x_t", "nC": "n_c", "xC": "x_c", "kT": "k_t", "kC": "k_c"}
    form = group.spec.form
    columns: dict[str, FloatArray] = {}
    for name, levels in form.columns.items():
        if name == "share":
            columns[name] = np.repeat(np.asarray(shares, dtype=np.float64)[:, None], len(group.streams), axis=1)
            continue
        source = sources[name]
        values = np.array([[getattr(found, source) for found in row] for row in counts], dtype=np.float64)
        columns[name] = np.where(void[..., None] if levels else void, 0.0, values)
    icc = np.array([stream.icc for stream in group.streams])
    return checked_columns(form, _effective(columns, icc) if icc.any() else columns)


def _effective(columns: Mapping[str, FloatArray], icc: FloatArray) -> dict[str, FloatArray]:
    """As `evidence.effective`, arm by arm: every count of an arm is divided by the design effect `1 + (n - 1) icc` of its units."""
    result = dict(columns)
    for arm in ("T", "C"):
        rated = f"k{arm}" in columns
        mine = [f"k{arm}"] if rated else [name for name in (f"n{arm}", f"x{arm}") if name in columns]
        if mine:
            units = columns[mine[0]].sum(axis=-1) if rated else columns[mine[0]]
            design = 1.0 + np.maximum(units - 1.0, 0.0) * icc
            result |= {name: columns[name] / (design[..., None] if rated else design) for name in mine}
    return result
