"""The sentence that a page opens with: may it grow? From the state alone, by the same pure gate that the control process asks.

A page never decides. It recomputes `controlplane.core.gates.judge_gate` from what the snapshot says, as of the snapshot's own
time, and puts the result into words; an unreadable policy or a missing measurement is said, never guessed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp

from controlplane.core.blocks import StageEvent, let_go, spans
from controlplane.core.gates import GateFacts, GateResult, Requirement, judge_gate
from controlplane.core.judge import AUTOMATIC, COOLING, Situation, not_let_go
from controlplane.core.metrics import METRICS
from controlplane.core.model import Rollout, RolloutState, Verdict
from controlplane.core.policy import Certificate, Policy, Stage
from controlplane.core.review import ReviewTally, review_requirements
from controlplane.core.silence import heard, unheard
from controlplane.core.triggers import CertificateStanding, last_block
from controlplane.store.state_rows import CHANGES
from dashboards.values import State
from dashboards.words import clock, duration, percent, title_of, trigger_title

GOOD, WAIT, BAD, QUIET = "good", "wait", "bad", "quiet"


@dataclass(frozen=True)
class Line:
    """One requirement of the gate in words; `gap` says what is missing, `progress` is 0..1 where it can be measured."""

    name: str
    tone: str
    have: str
    need: str
    gap: str
    progress: float | None = None


@dataclass(frozen=True)
class Answer:
    """Headline, one or two sentences, their tone, and the gate line by line (empty where no gate applies)."""

    headline: str
    sentence: str
    tone: str
    lines: tuple[Line, ...] = ()


def answer(state: State) -> Answer:
    """May it grow?"""
    rollout = state.rollout
    if rollout is None:
        return Answer(
            "No release is being rolled out.",
            "Every customer is served by the baseline. `controlplane release start` begins the first stage of the policy.",
            QUIET,
        )
    if rollout.state is RolloutState.ROLLED_BACK:
        return _rolled_back(state)
    if state.policy is None:
        return Answer("May it grow? Unknown.", f"The policy can't be read: {state.policy_error}.", BAD)
    following = next_stage(state)
    if rollout.state is RolloutState.COMPLETE or following is None:
        holdback = f"{percent(1 - rollout.share)} stay on the {state.policy.baseline} as the comparison."
        return Answer(f"Fully rolled out at {percent(rollout.share)}.", f"{rollout.release}. {holdback}", GOOD)
    return _gate_answer(state, state.policy, following)


def next_stage(state: State) -> Stage | None:
    """The stage behind the current one; None at the last one or without a readable policy."""
    if state.rollout is None or state.policy is None:
        return None
    index = state.rollout.stage + 1
    return state.policy.stages[index] if index < len(state.policy.stages) else None


def gate(state: State) -> GateResult | None:
    """The gate out of the current stage as of the snapshot; None where there is no rollout or no readable policy."""
    rollout, policy = state.rollout, state.policy
    if rollout is None or policy is None:
        return None
    version = stage_version(state)
    facts = GateFacts(
        now=state.meta.now,
        treated=state.units.get((f"{rollout.rollout_id}/{version}", "assistant"), 0),
        standings=standings(state, version),
        approvers=state.approvers,
        author=state.authors.get(rollout.release_hash, ""),
        fired=bool(state.firing),
        fresh=is_fresh(state),
        reviewed=_reviewed(state, policy, rollout, version),
        invalid=_invalid(state, policy, rollout),
        unheard=_unheard(state, policy, rollout, version),
        cooldown_until=_cooldown_until(state, policy),
    )
    return judge_gate(rollout, policy.phase(rollout.phase), facts)


def _invalid(state: State, policy: Policy, rollout: Rollout) -> tuple[str, ...]:
    """Validity checks that have alarmed and that nobody has let go of. What only the control process can see (swapped arms, facts older than the
    state) holds the ramp, and is read from that."""
    lanes = [standing for rollout_id, standing in state.lanes if rollout_id == rollout.rollout_id]
    latched = not_let_go(policy, lanes, let_go(_history(state)))
    return Situation(state.meta.now, fresh=True, latched=latched).invalid


def _unheard(state: State, policy: Policy, rollout: Rollout, version: int) -> tuple[str, ...]:
    """Triggers that act and have heard nothing in this stage, where the phase asks for treated customers. A metric that stops holds the ramp."""
    if not policy.phase(rollout.phase).min_treated:
        return ()
    lanes = [standing for rollout_id, standing in state.lanes if rollout_id == rollout.rollout_id]
    return unheard(policy, policy.phase(rollout.phase).audience, heard(lanes, version))


def _cooldown_until(state: State, policy: Policy) -> datetime | None:
    """When growing is allowed again after the machine last acted; None where it never did, or the policy has no cooldown."""
    last = next((row.moment for row in state.log if row.actor == AUTOMATIC and row.event in COOLING), None)
    minutes = policy.decisions.cooldown_minutes
    return None if last is None or minutes <= 0 else last + timedelta(minutes=minutes)


def _reviewed(state: State, policy: Policy, rollout: Rollout, version: int) -> tuple[Requirement, ...]:
    """What reviewed outputs add; a snapshot holds no answers, so how many are queued is not known here."""
    if rollout.phase not in policy.review.phases:
        return ()
    counts = Counter(state.labels.get((rollout.rollout_id, version), {}).values())
    return review_requirements(
        policy.review, ReviewTally(None, counts["correct"], counts["incorrect"], counts["unsafe"])
    )


def stage_version(state: State) -> int:
    """Version of the rollout row at which the current stage began."""
    found = spans(_history(state))
    return found[-1].version if found else -1


def _history(state: State) -> list[StageEvent]:
    rollout_id = state.rollout.rollout_id if state.rollout else ""
    return [StageEvent(s.version, s.event, s.state, s.started_at) for s in state.stages if s.rollout_id == rollout_id]


def standings(state: State, version: int) -> dict[str, CertificateStanding]:
    """Where the certificates of the current stage stand; a lane without a closed block of it, and of the time since the newest deploy or change
    of policy, says nothing."""
    rollout_id = state.rollout.rollout_id if state.rollout else ""
    changed = max((row.started_at for row in _history(state) if row.event in CHANGES), default=None)
    found: dict[str, CertificateStanding] = {}
    for lane_rollout, standing in state.lanes:
        last = last_block(standing)
        if lane_rollout != rollout_id or last is None or last.stage_version != version:
            continue
        if changed is None or last.start >= changed:
            found |= {name: CertificateStanding(**plain) for name, plain in standing.get("standings", {}).items()}
    return found


def is_fresh(state: State) -> bool:
    """Whether data is young enough to judge by; a new stage is given the same time to produce some."""
    if state.rollout is None or state.policy is None:
        return False
    begun = state.rollout.stage_started_at
    newest = begun if state.meta.watermark is None else max(state.meta.watermark, begun)
    return state.meta.now - newest <= timedelta(seconds=state.policy.watch.freshness_seconds)


def _rolled_back(state: State) -> Answer:
    rollout = state.rollout
    assert rollout is not None
    cut = rollout.updated_at
    cause = next((row.title.split(": ", 1)[-1] for row in reversed(state.incidents) if row.cut_at), rollout.reason)
    verified = (
        f"the cut was verified {duration(state.cut_verified_at - cut)} later"
        if state.cut_verified_at
        else "the cut is NOT verified yet"
    )
    return Answer(
        "May it grow? No: it was rolled back.",
        f"{rollout.release} was taken off all customers at {clock(cut, state.meta.now)} ({cause}); {verified}. Everyone is served"
        " by the baseline. A person starts a fixed release once the incident is resolved.",
        BAD,
    )


def _gate_answer(state: State, policy: Policy, following: Stage) -> Answer:
    result = gate(state)
    assert result is not None
    lines = tuple(_line(item, state, policy) for item in result.requirements)
    question = f"May it grow to {percent(following.share)}?"
    if result.verdict is Verdict.PASS:
        sentence = f"Every requirement is met. `controlplane promote` takes it from {percent(_share(state))} to {percent(following.share)}."
        return Answer(f"{question} Yes.", sentence, GOOD, lines)
    missing = [line for line in lines if line.tone != GOOD]
    named = "; ".join(line.gap for line in missing[:3])
    more = f"; and {len(missing) - 3} more" if len(missing) > 3 else ""
    counted = f"{len(missing)} of {len(lines)} requirements {'is' if len(missing) == 1 else 'are'} missing"
    barred = result.verdict is Verdict.FAIL
    return Answer(
        f"{question} {'No.' if barred else 'Not yet.'}", f"{counted}: {named}{more}.", BAD if barred else WAIT, lines
    )


def _share(state: State) -> float:
    return state.rollout.share if state.rollout else 0.0


def _line(item: Requirement, state: State, policy: Policy) -> Line:
    tone = GOOD if item.verdict is Verdict.PASS else BAD if item.verdict is Verdict.FAIL else WAIT
    rollout = state.rollout
    assert rollout is not None
    if item.name.startswith("certificate "):
        return _certificate_line(item, tone, state, policy)
    if item.name == "time in stage":
        need = timedelta(minutes=policy.phase(rollout.phase).min_minutes)
        age = state.meta.now - rollout.stage_started_at
        gap = f"{duration(age)} of {duration(need)} in this stage"
        return Line("Time in this stage", tone, duration(age), duration(need), gap, _part(age / need if need else 1.0))
    if item.name == "treated customers":
        have, wanted = int(item.have), int(item.need)
        gap = f"{have:,} of {wanted:,} customers treated"
        return Line("Customers treated", tone, f"{have:,}", f"{wanted:,}", gap, _part(have / wanted if wanted else 1.0))
    names = {
        "state": ("Rollout is running", f"the rollout is {item.have.lower().replace('_', ' ')}"),
        "no trigger fired": ("No trigger has fired", f"fired: {', '.join(map(trigger_title, state.firing))}"),
        "fresh data": ("Data is fresh", "the data is stale"),
        "facts as old as the state": ("Facts are complete", item.have),
        "triggers have data": ("Every trigger has data", item.have),
        "valid comparison": ("Comparison is valid", f"the comparison is not valid: {item.have}"),
        "cooldown": ("Cooldown has passed", f"cooldown: {item.have}"),
        "approvals": ("Approved by a person", f"approvals: {item.have}, {item.need} needed"),
    }
    name, gap = names.get(item.name, (item.name, f"{item.name}: {item.have}, {item.need} needed"))
    return Line(name, tone, item.have.lower(), item.need.lower(), gap)


def _certificate_line(item: Requirement, tone: str, state: State, policy: Policy) -> Line:
    name = item.name.removeprefix("certificate ")
    certificate = next(one for one in policy.certificates if one.name == name)
    standing = standings(state, stage_version(state)).get(name)
    title = title_of(certificate.metric)
    label = f"{title} certified not worse by {margin_text(certificate)}"
    if standing is None or standing.blocks == 0:
        return Line(label, tone, "no comparable data yet", "evidence", f"{title} has no comparable data yet", 0.0)
    have, need = exp(min(standing.log_e, 700.0)), exp(standing.log_threshold)
    shown = f"{have:.2g}" if have < 10 else f"{have:.0f}" if have < 1e4 else "over 10,000"
    gap = f"{title} is not certified yet (evidence {shown} of {need:.0f})"
    return Line(label, tone, f"evidence {shown}", f"{need:.0f}", gap, _part(standing.log_e / standing.log_threshold))


def margin_text(certificate: Certificate) -> str:
    """The margin in the metric's unit."""
    unit = METRICS[certificate.metric].unit if certificate.metric in METRICS else ""
    return (
        f"{certificate.margin * 100:g} points"
        if unit == "share"
        else f"{certificate.margin:g} {unit.split(' (')[0]}".strip()
    )


def _part(value: float) -> float:
    return min(max(value, 0.0), 1.0)


@dataclass(frozen=True)
class Span:
    """Time in which one share was served: `[since, until)`, `until` the snapshot's time while it lasts."""

    rollout_id: str
    release: str
    phase: str
    stage: int
    share: float
    since: datetime
    until: datetime
    exposed: bool
    current: bool


def history(state: State) -> tuple[Span, ...]:
    """Every stage span of every rollout, oldest first; a rollout ends where the next one begins."""
    rows = [row for row in state.stages if row.event in ("start", "promote", "rollback", "restart")]
    ends = [row.started_at for row in rows[1:]] + [state.meta.now] * bool(rows)
    return tuple(
        Span(
            row.rollout_id,
            row.release,
            row.phase,
            row.stage,
            0.0 if row.state is RolloutState.ROLLED_BACK else row.share,
            row.started_at,
            end,
            row.state is not RolloutState.ROLLED_BACK,
            row is rows[-1],
        )
        for row, end in zip(rows, ends, strict=True)
    )
