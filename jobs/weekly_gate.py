"""May we grow? The gate out of the stage, as it stood when the review was pinned.

The same requirements as `promote` asks (`controlplane.core.gates`), from what can be told again: the evidence from the ledger, the approvals and
labels from the audit log, the treated customers from the units closed by then, swapped arms from the exposures. Flag servers are not asked: where
they served the wrong arm, or a metric had stopped, a heartbeat has held the ramp, and the held ramp is a line of the gate.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import Any

from controlplane.core.blocks import let_go, spans
from controlplane.core.gates import GateFacts, GateResult, Requirement, judge_gate
from controlplane.core.judge import AUTOMATIC, COOLING, Situation, not_let_go
from controlplane.core.model import Rollout, Verdict
from controlplane.core.policy import Policy
from controlplane.core.review import LABELS, ReviewTally, review_requirements
from controlplane.core.sampling import sampled
from controlplane.core.silence import heard, unheard
from controlplane.core.triggers import CertificateStanding, last_block
from controlplane.core.weekly import Pin
from controlplane.store.state import StateReader
from controlplane.store.state_rows import CHANGES, from_text
from controlplane.store.utc import to_naive
from jobs import arms, evidence_ledger
from jobs.closing import stage_key
from jobs.compose import registered_policy
from jobs.deps import Deps
from jobs.evaluate import is_fresh
from jobs.weekly_facts import rows_of
from jobs.weekly_record import Record, is_served

LEDGER_TAIL = 64  # rows: as the state looks back for the newest batch that blocks were judged with


def may_grow(deps: Deps, record: Record, policy: Policy, pin: Pin) -> dict[str, Any]:
    """answer (yes | no | not yet | nothing to grow), to (phase, share), lines (name, verdict, have, need), reasons."""
    rollout = record.rollout
    if rollout is None or not is_served(rollout):
        why = "no release was rolled out" if rollout is None else f"the rollout is {rollout.state}"
        return {"answer": "nothing to grow", "to": None, "lines": [], "reasons": [why]}
    following = policy.stages[rollout.stage + 1 : rollout.stage + 2]
    if not following:
        return {"answer": "nothing to grow", "to": None, "lines": [], "reasons": ["the last stage is reached"]}
    result = judge_gate(rollout, policy.phase(rollout.phase), _facts(deps, record, rollout, policy, pin))
    return {
        "answer": _answer(result),
        "to": {"phase": following[0].phase, "share": following[0].share},
        "lines": [_line(one) for one in result.requirements],
        "reasons": [f"{one.name}: {one.have}, needs {one.need}" for one in result.missing],
    }


def _answer(result: GateResult) -> str:
    if result.verdict is Verdict.PASS:
        return "yes"
    return "no" if result.verdict in (Verdict.FAIL, Verdict.ERROR) else "not yet"


def _line(one: Requirement) -> dict[str, str]:
    return {"name": one.name, "verdict": one.verdict.name, "have": one.have, "need": one.need}


def _facts(deps: Deps, record: Record, rollout: Rollout, policy: Policy, pin: Pin) -> GateFacts:
    history = record.history
    stage = spans(history)[-1]
    states = _lane_states(deps.state, record, rollout.rollout_id)
    now = max(record.moment, rollout.stage_started_at)
    mark = None if pin.watermark is None else from_text(pin.watermark)
    fresh = is_fresh(policy, rollout, mark, now)
    latched = not_let_go(policy, states.values(), let_go(history))
    swapped = _swapped(deps, rollout, policy, pin)
    situation = Situation(now=now, fresh=fresh, latched=latched, swapped=swapped)
    phase = policy.phase(rollout.phase)
    told = heard(states.values(), stage.version)
    judged = max((int(row["last_batch"]) for row in record.ledger[-LEDGER_TAIL:]), default=0)
    behind = judged > pin.last_batch
    return GateFacts(
        now=now,
        treated=_treated(deps, rollout, stage.version, pin),
        standings=_standings(states, record, stage.version),
        approvers=_approvers(record, rollout),
        author=deps.state.author(rollout.release_hash) or "",
        fired=any(state.get("fired") for state in states.values()),
        fresh=fresh,
        reviewed=_reviewed(deps, record, rollout, policy, pin),
        invalid=situation.invalid,
        unheard=unheard(policy, phase.audience, told) if phase.min_treated else (),
        facts_behind=f"judged with ingest batch {judged}, the facts end at {pin.last_batch}" if behind else "",
        cooldown_until=_cooldown(record, policy),
    )


def _lane_states(state: StateReader, record: Record, rollout_id: str) -> dict[str, dict[str, Any]]:
    """Where each lane stood: the ledger taken step by step again."""
    rows = [row for row in record.ledger if row["rollout_id"] == rollout_id]

    @lru_cache
    def policy_of(policy_hash: str) -> Policy:
        return registered_policy(state, policy_hash, rollout_id)

    return evidence_ledger.replay(rollout_id, rows, record.history, policy_of, lambda _: None).states


def _swapped(deps: Deps, rollout: Rollout, policy: Policy, pin: Pin) -> str:
    """What the log of exposures says against the assignment; as `jobs.arms`, without the flag servers."""
    if not policy.validity.swapped_arms:
        return ""
    values = {
        "rollout_id": rollout.rollout_id,
        "flag_version": rollout.version,
        "newest": arms.NEWEST,
        "since": to_naive(rollout.updated_at - arms.SKEW),
        "last_batch": pin.last_batch,
    }
    rows = rows_of(deps.warehouse, "review/newest_exposures", values)
    return arms.wrong_among([tuple(row.values()) for row in rows], rollout, policy)


def _treated(deps: Deps, rollout: Rollout, version: int, pin: Pin) -> int:
    if pin.units_until is None:
        return 0
    values = {
        "stage_key": stage_key(rollout.rollout_id, version),
        "units_until": to_naive(from_text(pin.units_until)),
    }
    return int(rows_of(deps.warehouse, "review/treated", values)[0]["units"])


def _standings(states: dict[str, dict[str, Any]], record: Record, version: int) -> dict[str, CertificateStanding]:
    """As `jobs.evaluate.standings`: of lanes that have closed a block of this stage, and of the time since its newest change."""
    changed = max((row.started_at for row in record.history if row.event in CHANGES), default=None)
    found: dict[str, CertificateStanding] = {}
    for state in states.values():
        last = last_block(state)
        if last is None or last.stage_version != version or (changed is not None and last.start < changed):
            continue
        found |= {name: CertificateStanding(**plain) for name, plain in state.get("standings", {}).items()}
    return found


def _approvers(record: Record, rollout: Rollout) -> tuple[str, ...]:
    """Who had approved leaving this stage since it is what it is."""
    changes = [row.started_at for row in record.history if row.event in CHANGES]
    since = max([rollout.stage_started_at, *changes])
    rows = record.rows_of("approve", rollout.rollout_id)
    return tuple(
        sorted(
            {
                str(row["actor"])
                for row in rows
                if row["payload"].get("stage") == rollout.stage and from_text(row["at"]) >= since
            }
        )
    )


def _reviewed(deps: Deps, record: Record, rollout: Rollout, policy: Policy, pin: Pin) -> tuple[Requirement, ...]:
    """What reviewed outputs add, in phases that are reviewed: the queue from the facts, the newest label of each answer from the audit log."""
    if rollout.phase not in policy.review.phases:
        return ()
    stage = spans(record.history)[-1]
    values = {"rollout_id": rollout.rollout_id, "since": to_naive(stage.start), "last_batch": pin.last_batch}
    queue = [
        str(row["interaction_id"])
        for row in rows_of(deps.warehouse, "review/answers", values)
        if sampled(str(row["interaction_id"]), policy.review.share)
    ]
    labels = {
        str(row["payload"]["interaction_id"]): str(row["payload"]["label"])
        for row in record.rows_of("output_reviewed", rollout.rollout_id)
        if row["payload"].get("stage_version") == stage.version
    }
    said = [labels[key] for key in queue if key in labels]
    counts = {label: said.count(label) for label in LABELS}
    return review_requirements(policy.review, ReviewTally(len(queue), **counts))


def _cooldown(record: Record, policy: Policy) -> Any:
    """When growing is allowed again after the last automatic act; None without one, or without a cooldown."""
    events = {str(event) for event in COOLING}
    acts = [row["at"] for row in record.audit if row["actor"] == AUTOMATIC and row["event"] in events]
    if not acts or policy.decisions.cooldown_minutes <= 0:
        return None
    return from_text(acts[-1]) + timedelta(minutes=policy.decisions.cooldown_minutes)
