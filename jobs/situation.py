"""What a heartbeat knows before it decides: facts against state, what is latched and set aside, what the tripwire and the probes found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from controlplane.core import overrides, silence, tripwire
from controlplane.core.blocks import StageEvent, let_go, spans
from controlplane.core.judge import AUTOMATIC, COOLING, Situation, not_let_go
from controlplane.core.model import Arm, Rollout, RolloutState
from controlplane.core.policy import Policy
from controlplane.core.silence import Heard, heard
from controlplane.core.tripwire import Misrouting
from controlplane.store.queries import load
from controlplane.store.state import StateReader
from controlplane.store.state_rows import FactsHead, LaneState
from controlplane.store.utc import to_aware
from controlplane.store.utc import to_naive as utc
from jobs import arms
from jobs.deps import Deps

LOOK_AGAIN = timedelta(seconds=30)
PEOPLE_VOUCH = frozenset({"start", "restart", "resume"})


def situation(
    deps: Deps,
    rollout: Rollout,
    lanes: Mapping[str, LaneState],
    history: Sequence[StageEvent],
    now: datetime,
    *,
    fresh: bool,
    behind: str,
) -> Situation:
    """The situation of the judge. `lanes`: after this heartbeat's blocks; `behind`: of `facts_behind`."""
    states = [lane.state for lane in lanes.values()]
    muted = overrides.muted(deps.policy, deps.state.overrides(rollout.rollout_id), rollout.rollout_id, now)
    started = history[0].started_at if history else rollout.stage_started_at
    return Situation(
        now=now,
        fresh=fresh,
        latched=not_let_go(deps.policy, states, let_go(history)),
        muted=muted,
        facts_behind=behind,
        swapped=arms.swapped(deps, rollout, now),
        silent=silent(deps, rollout, lanes, history, muted, resumed_at=let_go(history).resumed_at),
        tripped=tripped(deps, started, now) if deps.policy.decisions.tripwire else (),
    )


def told(lanes: Mapping[str, LaneState], history: Sequence[StageEvent]) -> dict[str, dict[Arm, Heard]]:
    """What the triggers have heard in the current stage."""
    return heard([lane.state for lane in lanes.values()], spans(history)[-1].version)


def silent(
    deps: Deps,
    rollout: Rollout,
    lanes: Mapping[str, LaneState],
    history: Sequence[StageEvent],
    muted: frozenset[str] = frozenset(),
    resumed_at: datetime | None = None,
) -> tuple[str, ...]:
    """Metrics that were heard in this stage and have stopped; none behind a rollback, which nobody is served. `resumed_at` as in `core.silence`."""
    if not history or rollout.state is RolloutState.ROLLED_BACK:
        return ()
    key = f"{rollout.rollout_id}/{spans(history)[-1].version}"

    def traffic(arm: Arm, since: datetime, until: datetime) -> tuple[int, int]:
        around = {"stage_key": key, "arm": str(arm), "since": utc(since), "until": utc(until)}
        with deps.warehouse.cursor() as cursor:
            before, behind = cursor.execute(load("decisions/units_around"), around).fetchall()[0]
        return int(before), int(behind)

    return silence.silent(
        deps.policy,
        told(lanes, history),
        {name: lane.closed_until for name, lane in lanes.items()},
        traffic,
        execution_enabled=rollout.execution_enabled,
        enabled_at=let_go(history).enabled_at,
        resumed_at=resumed_at,
        muted=muted,
    )


def facts_head(deps: Deps, now: datetime, batch_id: int | None = None) -> FactsHead | None:
    """The newest ingest batch of the facts, or that one; None where there is none."""
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("decisions/facts_head"), {"batch_id": batch_id}).fetchall()
    return FactsHead(int(rows[0][0]), str(rows[0][1]), now) if rows else None


def facts_behind(deps: Deps, history: Sequence[StageEvent]) -> str:
    """Why the facts are older than the state, "" when they are not: blocks were judged with an ingest batch that is not there (any more).

    Numbers of batches are used again after facts were restored, so the batch must also be what it was, until a person starts or resumes: that
    says the facts are right as they are now.
    """
    judged = deps.state.newest_ledger_batch()
    with deps.warehouse.cursor() as cursor:
        newest = int(cursor.execute(load("rollups/last_batch")).fetchall()[0][0])
    if judged <= newest:
        return _another_batch(deps, history)
    return (
        f"blocks were judged with ingest batch {judged}, the facts end at batch {newest}; restore the facts of the same time, or ingest the "
        "logs since then again and resume"
    )


def _another_batch(deps: Deps, history: Sequence[StageEvent]) -> str:
    head = deps.state.facts_head()
    vouched = [row.started_at for row in history if row.event in PEOPLE_VOUCH]
    if head is None or (vouched and head.recorded_at <= max(vouched)):
        return ""
    there = facts_head(deps, head.recorded_at, head.batch_id)
    if there is not None and there.identity == head.identity:
        return ""
    return (
        f"blocks were judged with an ingest batch {head.batch_id} that is not the one in the facts (any more), so records may be missing; "
        "restore the facts of the same time, or ingest the logs since then again and resume"
    )


def tripped(deps: Deps, since: datetime, now: datetime) -> tuple[Misrouting, ...]:
    """Confirmed severe misroutings that have not been acted upon; `since`: when the rollout began, for records that name no rollout.

    Those that lead to no conversation of the assistant (the menu's, another system's, or one whose records are still to come) are looked up
    again when another joins them, and after `LOOK_AGAIN`: the search reads all conversations.
    """
    with deps.warehouse.cursor() as cursor:
        severe = cursor.execute(load("decisions/severe_misroutings"), {"severe": tripwire.SEVERE}).fetchall()
        known = {row.evaluation_id for row in deps.state.containments()} if severe else set()
        fresh = frozenset(key for (key,) in severe if key not in known)
        if not fresh or (
            deps.strays is not None and deps.strays[0] == fresh and abs(now - deps.strays[1]) < LOOK_AGAIN
        ):
            return ()
        wanted = {"evaluations": sorted(fresh), "rollout_ids": deps.state.rollout_ids(), "since": utc(since)}
        rows = cursor.execute(load("decisions/confirmed_misroutings"), wanted).fetchall()
    deps.strays = None if rows else (fresh, now)
    found = [Misrouting(key, talk, intent, score, to_aware(at), who) for key, talk, intent, score, at, who in rows]
    return tripwire.severe(found, known)


def cooldown_until(state: StateReader, policy: Policy) -> datetime | None:
    """When people may grow or restart again after the machine last acted; None when it never did, or the policy has no cooldown."""
    if policy.decisions.cooldown_minutes <= 0:
        return None
    last = state.last_event_at(AUTOMATIC, [str(event) for event in COOLING])
    return None if last is None else last + timedelta(minutes=policy.decisions.cooldown_minutes)
