"""The sentence that a page opens with: may it grow? From the state alone, by the same pure gate that the control process asks.

A page never decides. It recomputes `controlplane.core.gates.judge_gate` from what the snapshot says, as of the snapshot's own
time, and puts the result into words; an unreadable policy or a missing measurement is said, never guessed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
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
from dashboards.happened import begun, cut_for, why
from dashboards.review import outlook
from dashboards.values import State
from dashboards.words import clock, duration, percent, title_of, trigger_title

GOOD, WAIT, BAD, QUIET = "good", "wait", "bad", "quiet"
CUSTOMERS, TIME, DATA = "Customers treated", "Time in this stage", "Every trigger has data"
CERTIFICATE = "certificate "


@dataclass(frozen=True)
class Line:
    """One requirement of the gate in words; `gap` says what is missing, `progress` is 0..1 where it can be measured.

    `left`: how much is missing and when that may be there, where it can be told; `when` the same in words."""

    name: str
    tone: str
    have: str
    need: str
    gap: str
    progress: float | None = None
    left: outlook.Left | None = None
    when: str = ""


@dataclass(frozen=True)
class Answer:
    """Headline, one or two sentences, their tone, and the gate line by line (empty where no gate applies)."""

    headline: str
    sentence: str
    tone: str
    lines: tuple[Line, ...] = ()


def answer(state: State, traffic: outlook.Traffic | None = None) -> Answer:
    """May it grow? `traffic`: what was measured in this stage, for the date."""
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
    return _gate_answer(state, state.policy, following, traffic)


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
    cut = begun(state, "rollback")
    cause = cut_for(state, why(state, "rollback"))
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


def _gate_answer(state: State, policy: Policy, following: Stage, traffic: outlook.Traffic | None) -> Answer:
    result = gate(state)
    assert result is not None
    lines = tuple(
        _with_outlook(_line(item, state, policy), item, state, policy, traffic) for item in result.requirements
    )
    question = f"May it grow to {percent(following.share)}?"
    if result.verdict is Verdict.PASS:
        sentence = f"Every requirement is met. `controlplane promote` takes it from {percent(_share(state))} to {percent(following.share)}."
        return Answer(f"{question} Yes.", sentence, GOOD, lines)
    barred = result.verdict is Verdict.FAIL
    return Answer(
        f"{question} {'No.' if barred else 'Not yet.'}",
        _missing_sentence(lines, policy.baseline),
        BAD if barred else WAIT,
        lines,
    )


def _missing_sentence(lines: tuple[Line, ...], baseline: str) -> str:
    """What is missing: what speaks against it first, then what takes longest with its date or with why it has none, then the rest in a few words."""
    missing = [line for line in lines if line.tone != GOOD]
    barring = [line for line in missing if line.tone == BAD]
    awaited = [(line, line.left) for line in missing if line.left is not None and line not in barring]
    undated = [line for line, left in awaited if not left.known]
    latest = sorted(
        ((left.latest or timedelta(0), line) for line, left in awaited if left.known), key=lambda pair: pair[0]
    )
    dated = [line for _, line in latest]
    # what has no date may take longest: a date of something else in front of it would be read as the date of the step
    lead = [*barring, *(undated[-1:] or dated[-1:])] or missing[:1]
    first = "; ".join(
        _capital(_with_date(line, baseline)) if line is lead[0] else _with_date(line, baseline) for line in lead
    )
    rest = [line for line in missing if line not in lead]
    if not rest:
        return f"{first}."
    rest.sort(key=lambda line: (line.left is None, line.name == DATA))
    named = "; ".join(line.gap for line in rest[:4])
    more = f"; and {len(rest) - 4} more" if len(rest) > 4 else ""
    return f"{first}. Also missing: {named}{more}."


def _with_date(line: Line, baseline: str) -> str:
    """The gap with how many customers it takes and when: `CSAT is not certified: it needs about 1,900 more customers, likely Thursday`."""
    left = line.left
    if left is None or line.name == CUSTOMERS:
        return f"{line.gap}{f', {line.when}' if line.when else ''}"
    needs = f"it needs {outlook.about(left.more)} more customers" if left.more else ""
    when = (f"{line.when} if it is as good as the {baseline}" if left.alike else line.when) or left.why
    return f"{line.gap}{f': {needs}' if needs else ''}{f', {when}' if when else ''}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _with_outlook(line: Line, item: Requirement, state: State, policy: Policy, traffic: outlook.Traffic | None) -> Line:
    """The line with how much is left and when; nothing for what is met, and for what only a person or chance decides."""
    version = stage_version(state)
    found = outlook.pace(state, version)
    if line.tone == GOOD or found is None or state.rollout is None:
        return line
    left = None
    if line.name == CUSTOMERS:
        left = outlook.customers(found, int(item.need))
    elif line.name == TIME:
        wait = timedelta(minutes=policy.phase(state.rollout.phase).min_minutes - found.minutes)
        left = outlook.Left(None, wait, wait)
    elif item.name.startswith(CERTIFICATE):
        name = item.name.removeprefix(CERTIFICATE)
        certificate = next(one for one in policy.certificates if one.name == name)
        stage = policy.stages[state.rollout.stage]
        standing = standings(state, version).get(name)
        left = outlook.certificate(policy, stage, certificate, standing, found, traffic)
    return line if left is None else replace(line, left=left, when=outlook.likely(state.meta.now, left))


def _share(state: State) -> float:
    return state.rollout.share if state.rollout else 0.0


def _line(item: Requirement, state: State, policy: Policy) -> Line:
    tone = GOOD if item.verdict is Verdict.PASS else BAD if item.verdict is Verdict.FAIL else WAIT
    rollout = state.rollout
    assert rollout is not None
    if item.name.startswith(CERTIFICATE):
        return _certificate_line(item, tone, state, policy)
    if item.name == "time in stage":
        need = timedelta(minutes=policy.phase(rollout.phase).min_minutes)
        age = state.meta.now - rollout.stage_started_at
        gap = f"{duration(max(need - age, timedelta(0)))} in this stage"
        return Line(TIME, tone, duration(age), duration(need), gap, _part(age / need if need else 1.0))
    if item.name == "treated customers":
        have, wanted = int(item.have), int(item.need)
        more = max(wanted - have, 0)
        gap = f"{more:,} more customer{'' if more == 1 else 's'}"
        return Line(CUSTOMERS, tone, f"{have:,}", f"{wanted:,}", gap, _part(have / wanted if wanted else 1.0))
    if item.name == "triggers have data":
        return _data_line(item, tone)
    name, gap = _names(item, state).get(item.name, (_capital(item.name), f"{item.name}: {item.have}"))
    return Line(name, tone, _plain(item.have), item.need.lower(), gap)


def _names(item: Requirement, state: State) -> dict[str, tuple[str, str]]:
    """Title of a requirement, and what is missing in words."""
    rollout = state.rollout
    stands = "" if rollout is None else str(rollout.state).lower().replace("_", " ")
    needed = item.need.partition(" ")[0]
    people = "one person" if needed == "1" else f"{needed} people"
    return {
        "state": ("Rollout is running", f"the rollout is {stands}"),
        "no trigger fired": ("No trigger has fired", f"fired: {', '.join(map(trigger_title, state.firing))}"),
        "fresh data": ("Data is fresh", "the data is stale"),
        "facts as old as the state": ("Facts are complete", item.have),
        "valid comparison": ("Comparison is valid", f"the comparison is not valid: {item.have}"),
        "cooldown": ("Cooldown has passed", f"the cooldown ({item.have})"),
        "approvals": ("Approved by a person", f"the approval of {people} who did not write the release"),
    }


def _plain(have: str) -> str:
    """States of the machine as words; people's names stay as they are written."""
    return have.lower().replace("_", " ") if have.isupper() else have


def _data_line(item: Requirement, tone: str) -> Line:
    """Which triggers have heard nothing, by their titles."""
    parts = [part.strip() for part in item.have.split(",")] if tone != GOOD else []
    silent = [trigger_title(part.removeprefix("nothing heard by ")) for part in parts if part.startswith("nothing")]
    stopped = [title_of(part.removesuffix(" has stopped")) for part in parts if part.endswith("has stopped")]
    told = [f"none yet for {_list(silent)}"] * bool(silent) + [f"stopped for {_list(stopped)}"] * bool(stopped)
    gap = [f"first data for {_list(silent)}"] * bool(silent) + [f"data for {_list(stopped)}, which has stopped"] * bool(
        stopped
    )
    return Line(DATA, tone, "; ".join(told) or "all", "all that act", " and ".join(gap))


def _list(names: list[str]) -> str:
    """`A`, `A and B`, `A, B and C`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _certificate_line(item: Requirement, tone: str, state: State, policy: Policy) -> Line:
    name = item.name.removeprefix(CERTIFICATE)
    certificate = next(one for one in policy.certificates if one.name == name)
    standing = standings(state, stage_version(state)).get(name)
    title = title_of(certificate.metric)
    label = f"{title} certified not worse by {margin_text(certificate)}"
    gap = f"{title} is not certified"
    if standing is None or standing.blocks == 0:
        return Line(label, tone, "no comparable data yet", "evidence", gap, 0.0)
    have, need = exp(min(standing.log_e, 700.0)), exp(standing.log_threshold)
    shown = f"{have:.2g}" if have < 10 else f"{have:.0f}" if have < 1e4 else "over 10,000"
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
