"""A policy that changes while a rollout runs: what each stream takes along, so that the promise about false alarms still holds.

The quantity that is kept. Let a stream draw weight w at a time when its part of the budget is alpha, and call alpha w *risked*. While
alpha never rises, alpha R minus what has been risked is a supermartingale that begins at 0: a step multiplies alpha (R + w) by an
e-value, and to lower alpha or to give R up only lowers it. A stream fires when alpha R >= 1. So the chance that any stream of the
rollout ever fires falsely is at most the expected sum of what all of them risk until then, whatever the dependence between them and
whoever changed the policy for whatever reason, and it is enough that on no path this sum passes the budget:

    sum over streams that run (owed + alpha) + sum over streams that have gone (owed + alpha x spent) <= budget

`owed` is what a stream had risked at earlier, higher alphas beyond today's: with every fall of alpha it grows by the fall x the weight
spent. The budget is the smallest that any of the policies promised. Per stream:

- The same test goes on: R and the account stay, and the change draws the weight of a known deploy. Its alpha may fall and never rises.
- Another test under the same name (metric, kind, limit, objective, labels, block or maturity changed): R = 0; the account goes on, so
  weight that is spent stays spent. Where the number of blocks of the horizon changes, the blocks drawn are carried over in proportion,
  rounded up.
- A new stream begins with an account of its own.
- A stream that goes has risked what it has risked for good: `RETIRED` keeps that.

What has been risked is paid first; if what is left does not cover the running streams, all of them are scaled down alike; new streams
get what is left then, scaled down alike. A share of at least a billionth of the budget is kept for each. `unaffordable` says when a
policy promises less than has been risked already, or leaves next to nothing to a stream: such a change is refused before it is made.
Should it be in force nonetheless, the budget on record (`BUDGETS`) says what is kept instead, and that is what people are told.

The validity checks have a budget of their own and are treated in the same way. After the completion every quarter is an account and a
promise of its own (`controlplane.core.streams`): a change concerns the quarter it falls in. A slow lane may still read blocks of the
quarter before; its streams count with the account that they are about to begin, and keep their alpha in it.

A new limit may have been chosen by looking at data. So new and changed streams, and all certificates, know only blocks that open
behind the change (`from`); blocks that opened before and close later are void for them. A lane that no longer exists keeps nothing
but how far it has come; one that is new begins at the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

from controlplane.core.blocks import Lane, check_lanes, lanes, whole_second
from controlplane.core.evidence import CertificateSpec, CertificateState, WeightAccount, WeightPlan
from controlplane.core.policy import Policy
from controlplane.core.streams import (
    ALLOTTED,
    BUDGETS,
    CHECKS,
    KNOWING,
    OWED,
    QUARTER,
    TRIGGERS,
    Stored,
    Stream,
    account_of,
    budgets_of,
    fresh,
    in_quarter,
    plain,
    streams_of,
)

RETIRED = "retired"
"""Key of a lane's state: streams that have gone, with the error budget they have used."""
POLICY = "policy"
SINCE = "from"
LEAST = 1e-9
BLIND = 1e-3
"""A stream with less than this part of what its policy gives it finds harm too late to be called watched."""
LaneStates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Old:
    """A stream under the old policy: its stored state and the pool of budget it draws on."""

    stored: Stored
    pool: str

    def account(self, quarter: int) -> tuple[float, float, float]:
        """alpha, weight spent and what is owed, in the account of this quarter; one of an earlier quarter is about to begin anew."""
        alpha = float(self.stored.get("alpha", 1.0))
        if self.stored.get(QUARTER, 0) < quarter:
            return alpha, 0.0, 0.0
        return alpha, float(self.stored["account"]["spent"]), float(self.stored.get(OWED, 0.0))

    def owed(self, alpha: float) -> float:
        """What it has risked beyond `alpha`, to which its part of the budget falls."""
        fall = float(self.stored.get("alpha", alpha)) - alpha
        return float(self.stored.get(OWED, 0.0)) + fall * float(self.stored["account"]["spent"])


def all_lanes(policy: Policy) -> tuple[Lane, ...]:
    """Lanes of triggers and certificates, then those of the validity checks."""
    return (*lanes(policy), *check_lanes(policy))


def is_under(states: LaneStates, policy: Policy, changed: bool = False) -> bool:
    """Whether the lanes' states belong to this policy; states from before a policy was noted in them do.

    `changed`: the rollout's policy has changed. Where no block had closed before, everything begins at the change.
    """
    if not states:
        return not changed
    return all(state.get(POLICY, policy.hash) == policy.hash for state in states.values())


def under(policy: Policy, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with a note of the policy it belongs to and of the budgets promised so far."""
    return {BUDGETS: budgets_of(policy), **state, POLICY: policy.hash}


def begun(policy: Policy, states: LaneStates) -> dict[str, dict[str, Any]]:
    """The lanes that have no state yet, before their first block: what their streams may risk is given out with everybody else's."""
    return {
        lane.key: under(policy, {"fired": [], **{stream.key: fresh(stream) for stream in streams_of(policy, lane)}})
        for lane in all_lanes(policy)
        if lane.key not in states
    }


@dataclass(frozen=True, slots=True)
class _Shares:
    """How the budgets are given out: `alphas` by stream, what those that have gone used, what is promised, and what all comes to."""

    alphas: Mapping[str, float]
    retired: list[dict[str, Any]]
    budgets: Mapping[str, float]
    committed: Mapping[str, float]


def switch(states: LaneStates, policy: Policy, changed_at: datetime, quarter: int = 0) -> dict[str, dict[str, Any]]:
    """The states of all lanes, old and new, under the new policy that came into force at `changed_at`, in that quarter."""
    since = whole_second(changed_at)
    index = _index(since)
    old = _old_streams(states)
    wanted = {lane.key: streams_of(policy, lane) for lane in all_lanes(policy)}
    shares = _shares(states, old, wanted.values(), policy, quarter)
    result: dict[str, dict[str, Any]] = {}
    for lane in all_lanes(policy):
        before = states.get(lane.key, {})
        found = [_allotted(stream, old.get(stream.key), shares, quarter) for stream in wanted[lane.key]]
        state: dict[str, Any] = {stream.key: _carried(stream, old.get(stream.key), index, quarter) for stream in found}
        state |= {f"certificate:{item.name}": _restarted(policy, item, before, index) for item in lane.certificates}
        fired = {key for one in states.values() for key in one.get("fired", ())}
        state["fired"] = sorted(fired & {stream.key for stream in found})
        knew = {key: at for one in states.values() for key, at in one.get(KNOWING, {}).items() if key in state["fired"]}
        state |= {KNOWING: knew} if knew else {}
        result[lane.key] = state | ({"last": before["last"]} if "last" in before else {})
        if not _lives(states, lane.key, policy, before):
            result[lane.key][SINCE] = since.isoformat()
    for key in set(states) - set(result):
        result[key] = {"fired": [], **({"last": states[key]["last"]} if "last" in states[key] else {})}
    kept = {pool: max(value, shares.committed[pool]) for pool, value in shares.budgets.items()}
    for state in result.values():
        state |= {POLICY: policy.hash, BUDGETS: kept} | ({QUARTER: quarter} if quarter else {})
    if shares.retired:
        result[min(result)][RETIRED] = shares.retired
    return result


def unaffordable(states: LaneStates, policy: Policy, quarter: int = 0) -> str | None:
    """Why the rollout's false-alarm promise does not allow this policy from now on; None when it does."""
    wanted = [streams_of(policy, lane) for lane in all_lanes(policy)]
    shares = _shares(states, _old_streams(states), wanted, policy, quarter)
    for pool, field in ((TRIGGERS, "budget.false_rollback"), (CHECKS, "budget.validity")):
        if shares.committed[pool] > shares.budgets[pool] * (1 + 1e-6):
            kept = f"the rollout has promised at most {shares.budgets[pool]:.3g}"
            return (
                f"{field}: {kept}, and with what its streams have risked already it would come to {shares.committed[pool]:.3g}; "
                "keep the budget that was promised, or start a new rollout under this policy"
            )
    for stream in (one for found in wanted for one in found):
        if shares.alphas[stream.key] < BLIND * stream.alpha:
            return (
                f"stream {stream.name} ({stream.segment}) would be left with {shares.alphas[stream.key]:.2g} of the error budget instead of "
                f"{stream.alpha:.2g}: the rest has been risked by streams that this rollout had before, so it could hardly ever fire; "
                "keep the triggers that ran, or start a new rollout under this policy"
            )
    return None


def promised(states: Iterable[Mapping[str, Any]], policy: Policy, quarter: int = 0) -> float:
    """The bound on any false rollback that holds for the rollout (or its quarter), also after changes of its policy."""
    kept = [
        one[BUDGETS][TRIGGERS] for one in states if one.get(QUARTER, 0) == quarter and TRIGGERS in one.get(BUDGETS, {})
    ]
    return max([policy.budget.false_rollback, *map(float, kept)])


def _lives(states: LaneStates, key: str, policy: Policy, before: Mapping[str, Any]) -> bool:
    """Whether the lane was already at work, so that its pending blocks are still its own."""
    return key in states and any(name.startswith(("trigger:", "certificate:")) for name in before)


def _smallest(promised: Iterable[Mapping[str, float]], now: Mapping[str, float]) -> dict[str, float]:
    kept = list(promised)
    return {pool: min([value, *(one[pool] for one in kept if pool in one)]) for pool, value in now.items()}


def _old_streams(states: LaneStates) -> dict[str, _Old]:
    return {
        key: _Old(stored, CHECKS if lane.startswith(CHECKS) else TRIGGERS)
        for lane, state in states.items()
        for key, stored in state.items()
        if key.startswith("trigger:")
    }


def _shares(
    states: LaneStates,
    old: Mapping[str, _Old],
    wanted: Iterable[tuple[Stream, ...]],
    policy: Policy,
    quarter: int,
) -> _Shares:
    """What each stream may risk from now on, so that each pool keeps its promise."""
    found = [stream for streams in wanted for stream in streams]
    now = [state.get(BUDGETS, {}) for state in states.values() if state.get(QUARTER, 0) == quarter]
    budgets = _smallest(now, budgets_of(policy))
    retired = _retired(states, old, {stream.key for stream in found}, quarter)
    alphas: dict[str, float] = {}
    committed: dict[str, float] = {}
    for pool, budget in budgets.items():
        mine = [stream for stream in found if (stream.check is not None) == (pool == CHECKS)]
        accounts = {s.key: old[s.key].account(quarter) for s in mine if s.key in old}
        new = {stream.key: stream.alpha for stream in mine if stream.key not in old}
        risked = sum(row["risked"] for row in retired if row["pool"] == pool)
        risked += sum(due + alpha * spent for alpha, spent, due in accounts.values())
        running = {s.key: min(s.alpha, accounts[s.key][0]) for s in mine if s.key in old}
        unspent = {key: 1.0 - accounts[key][1] for key in running}
        least = LEAST * budget
        room = budget - risked
        kept = _fitted(running, unspent, room - least * len(new), least)
        room -= sum(alpha * unspent[key] for key, alpha in kept.items())
        fitted = kept | _fitted(new, dict.fromkeys(new, 1.0), room, least)
        alphas |= fitted
        committed[pool] = risked + sum(fitted[key] * unspent.get(key, 1.0) for key in fitted)
    return _Shares(alphas, retired, budgets, committed)


def _retired(states: LaneStates, old: Mapping[str, _Old], wanted: set[str], quarter: int) -> list[dict[str, Any]]:
    """Streams that have gone, now or at an earlier change of this quarter: what they risked in all."""
    rows = (dict(row) for state in states.values() for row in state.get(RETIRED, ()))
    kept = [row for row in rows if row.get(QUARTER, 0) == quarter]
    for key in sorted(set(old) - wanted):
        alpha, spent, owed = old[key].account(quarter)
        row = {"stream": key, "alpha": alpha, "spent": spent, "risked": owed + alpha * spent, "pool": old[key].pool}
        kept.append(row | ({QUARTER: quarter} if quarter else {}))
    return kept


def _fitted(alphas: Mapping[str, float], unspent: Mapping[str, float], room: float, least: float) -> dict[str, float]:
    """The alphas, scaled down alike where what they still risk, alpha x unspent weight, is more than there is room for."""
    total = sum(alpha * unspent[key] for key, alpha in alphas.items())
    factor = 1.0 if not total or total <= room * (1 + LEAST) else max(room, 0.0) / total
    return {key: max(alpha * factor, min(alpha, least)) for key, alpha in alphas.items()}


def _allotted(stream: Stream, old: _Old | None, shares: _Shares, quarter: int) -> Stream:
    """The stream with its alpha, what it owes, and the account that it is in."""
    alpha = shares.alphas[stream.key]
    if old is None:
        return replace(in_quarter(stream, quarter), alpha=alpha)
    return replace(in_quarter(stream, old.stored.get(QUARTER, 0)), alpha=alpha, owed=old.owed(alpha))


def _carried(stream: Stream, old: _Old | None, index: int, quarter: int) -> dict[str, Any]:
    """The state with which a stream goes on under the new policy."""
    noted: dict[str, Any] = {OWED: stream.owed} if stream.owed > 0 else {}
    noted |= {ALLOTTED: quarter} if quarter else {}
    begun = fresh(stream)
    if old is None:
        return {**begun, **noted, SINCE: index}
    account = plain(replanned(account_of(old.stored), stream.plan))
    if stream.mark == old.stored.get("tests"):
        stored = {name: value for name, value in old.stored.items() if name != OWED}
        return {**stored, **noted, "account": account, "alpha": stream.alpha}
    return {**begun, **noted, "account": account, "waiting": list(old.stored["waiting"]), SINCE: index}


def replanned(account: WeightAccount, plan: WeightPlan) -> WeightAccount:
    """The account over another number of blocks: at least as much is spent as before, so R plus the unspent weight does not rise."""
    blocks = ceil(account.blocks * plan.horizon_blocks / account.plan.horizon_blocks)
    return replace(account, plan=plan, blocks=min(blocks, plan.horizon_blocks))


def _restarted(policy: Policy, item: Any, before: Mapping[str, Any], index: int) -> dict[str, Any]:
    """A certificate from E = 1; what is known of the control stays where the same thing is measured in the same lane."""
    spec = CertificateSpec(str(item.kind), item.margin, policy.budget.certificate)
    state = CertificateState.fresh(spec)
    stored = before.get(f"certificate:{item.name}")
    if stored is not None and (stored["kind"], stored["margin"]) == (spec.kind, spec.margin):
        state = replace(state, control=tuple(stored["control"]), last_block=stored["last_block"])
    return {**state.to_dict(), SINCE: index}


def _index(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
