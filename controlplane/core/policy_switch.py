"""A policy that changes while a rollout runs: what each stream takes along, so that the promise about false alarms still holds.

Per stream, R plus the unspent weight is a nonnegative supermartingale that begins at 1, so it ever reaches 1/alpha with probability
at most alpha, and at most alpha x weight by the time only that weight has been spent. What the change may do to it:

- The same test goes on: R and the account stay, and the change draws the weight of a known deploy. Raising a threshold only makes
  an alarm rarer, so alpha may fall at any time; it must never rise, for by then the evidence has been seen. A stream's alpha in a
  rollout is therefore the smallest it has ever had.
- Another test under the same name (metric, kind, limit, objective, labels, block or maturity changed): R = 0, which gives up
  evidence and keeps the supermartingale; the account goes on, so weight that is spent stays spent. Where the number of blocks of
  the horizon changes, the blocks drawn are carried over in proportion, rounded up.
- A new stream begins with an account of its own.
- A stream that goes has risked alpha x (weight spent) for good: `RETIRED` keeps that.

What the union bound needs is one number per rollout: the sum of alpha over all streams that run, plus alpha x spent over those that
have gone, must stay within the budget. The budget is the smallest that any of the policies promised. Retired streams are paid
first; if the running ones then do not fit, all of them are scaled down alike; new streams get what is left, scaled down alike, and
never less than a billionth of the budget each (below that the sum may exceed the budget, by less than one in a million). The
validity checks have a budget of their own and are treated in the same way.

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
from controlplane.core.streams import Stored, Stream, account_of, fresh, plain, streams_of

RETIRED = "retired"
"""Key of a lane's state: streams that have gone, with the error budget they have used."""
POLICY = "policy"
BUDGETS = "budgets"
SINCE = "from"
LEAST = 1e-9
TRIGGERS, CHECKS = "triggers", "checks"
LaneStates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Old:
    """A stream under the old policy: its stored state and the pool of budget it draws on."""

    stored: Stored
    pool: str


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
    return {BUDGETS: _budgets(policy), **state, POLICY: policy.hash}


def begun(policy: Policy, states: LaneStates) -> dict[str, dict[str, Any]]:
    """The lanes that have no state yet, before their first block: what their streams may risk is given out with everybody else's."""
    return {
        lane.key: under(policy, {"fired": [], **{stream.key: fresh(stream) for stream in streams_of(policy, lane)}})
        for lane in all_lanes(policy)
        if lane.key not in states
    }


def switch(states: LaneStates, policy: Policy, changed_at: datetime) -> dict[str, dict[str, Any]]:
    """The states of all lanes, old and new, under the new policy that came into force at `changed_at`."""
    since = whole_second(changed_at)
    index = _index(since)
    old = _old_streams(states)
    wanted = {lane.key: streams_of(policy, lane) for lane in all_lanes(policy)}
    budgets = _smallest([state.get(BUDGETS, {}) for state in states.values()], _budgets(policy))
    retired = _retired(states, old, {stream.key for found in wanted.values() for stream in found})
    alphas = _alphas(old, wanted.values(), retired, budgets)
    result: dict[str, dict[str, Any]] = {}
    for lane in all_lanes(policy):
        before = states.get(lane.key, {})
        found = [replace(stream, alpha=alphas[stream.key]) for stream in wanted[lane.key]]
        state: dict[str, Any] = {stream.key: _carried(stream, old.get(stream.key), index) for stream in found}
        state |= {f"certificate:{item.name}": _restarted(policy, item, before, index) for item in lane.certificates}
        fired = {key for one in states.values() for key in one.get("fired", ())}
        state["fired"] = sorted(fired & {stream.key for stream in found})
        result[lane.key] = state | ({"last": before["last"]} if "last" in before else {})
        if not _lives(states, lane.key, policy, before):
            result[lane.key][SINCE] = since.isoformat()
    for key in set(states) - set(result):
        result[key] = {"fired": [], **({"last": states[key]["last"]} if "last" in states[key] else {})}
    for state in result.values():
        state |= {POLICY: policy.hash, BUDGETS: budgets}
    if retired:
        result[min(result)][RETIRED] = retired
    return result


def _lives(states: LaneStates, key: str, policy: Policy, before: Mapping[str, Any]) -> bool:
    """Whether the lane was already at work, so that its pending blocks are still its own."""
    return key in states and any(name.startswith(("trigger:", "certificate:")) for name in before)


def _budgets(policy: Policy) -> dict[str, float]:
    return {TRIGGERS: policy.budget.false_rollback, CHECKS: policy.budget.validity}


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


def _retired(states: LaneStates, old: Mapping[str, _Old], wanted: set[str]) -> list[dict[str, Any]]:
    """Streams that have gone, now or at an earlier change: what they risked in all."""
    kept = [dict(row) for state in states.values() for row in state.get(RETIRED, ())]
    for key in sorted(set(old) - wanted):
        found = old[key]
        row = {"stream": key, "alpha": found.stored.get("alpha", 0.0), "spent": found.stored["account"]["spent"]}
        kept.append({**row, "pool": found.pool})
    return kept


def _alphas(
    old: Mapping[str, _Old],
    wanted: Iterable[tuple[Stream, ...]],
    retired: list[dict[str, Any]],
    budgets: Mapping[str, float],
) -> dict[str, float]:
    """What each stream may risk from now on, so that each pool keeps its promise."""
    found = [stream for streams in wanted for stream in streams]
    result: dict[str, float] = {}
    for pool, budget in budgets.items():
        mine = [stream for stream in found if (stream.check is not None) == (pool == CHECKS)]
        room = budget - sum(row["alpha"] * row["spent"] for row in retired if row["pool"] == pool)
        running = {s.key: min(s.alpha, old[s.key].stored.get("alpha", s.alpha)) for s in mine if s.key in old}
        new = {stream.key: stream.alpha for stream in mine if stream.key not in old}
        for group in (running, new):
            fitted = _fitted(group, room, LEAST * budget)
            result |= fitted
            room -= sum(fitted.values())
    return result


def _fitted(alphas: Mapping[str, float], room: float, least: float) -> dict[str, float]:
    total = sum(alphas.values())
    factor = 1.0 if not alphas or total <= room * (1 + LEAST) else max(room, 0.0) / total
    return {key: max(alpha * factor, min(alpha, least)) for key, alpha in alphas.items()}


def _carried(stream: Stream, old: _Old | None, index: int) -> dict[str, Any]:
    """The state with which a stream goes on under the new policy."""
    begun = fresh(stream)
    if old is None:
        return {**begun, SINCE: index}
    account = plain(replanned(account_of(old.stored), stream.plan))
    if stream.mark == old.stored.get("tests"):
        return {**old.stored, "account": account, "alpha": stream.alpha}
    return {**begun, "account": account, "waiting": list(old.stored["waiting"]), SINCE: index}


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
