"""From readings to at most one decision.

The automatic actor may contain a category, hold, disable execution or roll back, and takes the strictest action that a stream asks for and
that would change anything; ties go to the stream with the most evidence over its threshold. What counts is the latch: a stream that has fired
and that no person has let go of (ADR 3) asks again at every heartbeat, so a lost race, an expired override or a cured comparison is acted upon
at the next one. The machine never grows anything.

What weakens an action
- overridden: the trigger pages (`controlplane.core.overrides`);
- the A/A shadow has alarmed: the comparison of the arms cannot be trusted, so two-sample and rating triggers hold and page instead of rolling
  back. Limits on the treated arm alone, safety and people are never weakened by it;
- a hallucination trigger that counts labels of a judge whom the policy does not accept holds instead of rolling back.

Stale data holds the ramp (unknown never passes, and never accuses), and a hold that was set for staleness alone is released when the data is
fresh again and shows no harm; a metric that stops while customers are served holds likewise. Facts that are older than the state, and
customers served another arm than is logged, hold until a person resumes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controlplane.core import tripwire
from controlplane.core.blocks import LetGo
from controlplane.core.model import Action, Decision, MetricKind, Rollout, RolloutState, TriggerReading
from controlplane.core.policy import Policy, Trigger
from controlplane.core.rollout import PRECEDENCE, Event
from controlplane.core.triggers import CountKey, fired_knowing, last_block, latched, let_go_acts
from controlplane.core.tripwire import Misrouting

AUTOMATIC = "controlplane"
STALE = "data is stale"
FACTS_BEHIND = "facts are older than the state"
SWAPPED = "arms are swapped"
SILENT = "a metric has stopped"
AA_SHADOW = "aa_shadow"
COOLING = (Event.HOLD, Event.DISABLE_EXECUTION, Event.ROLLBACK, Event.CONTAIN)
"""Acts of the machine behind which the cooldown begins."""
VALIDITY = frozenset({"sample_ratio", AA_SHADOW, "response_rate"})

_EVENT = {Action.HOLD: Event.HOLD, Action.DISABLE_EXECUTION: Event.DISABLE_EXECUTION, Action.ROLLBACK: Event.ROLLBACK}
_OPEN = (RolloutState.RUNNING, RolloutState.COMPLETE)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known at a heartbeat, beside the rollout row and the policy.

    `latched`: streams that have fired and that no person has let go of. `muted`: overridden triggers. `facts_behind`, `swapped`: what is wrong,
    "" = nothing. `silent`: metrics that have stopped (`controlplane.core.silence`). `tripped`: confirmed severe misroutings that have not been
    acted upon.
    """

    now: datetime
    fresh: bool
    latched: frozenset[CountKey] = frozenset()
    muted: frozenset[str] = frozenset()
    facts_behind: str = ""
    swapped: str = ""
    silent: tuple[str, ...] = ()
    tripped: tuple[Misrouting, ...] = ()

    @property
    def shadow_alarm(self) -> bool:
        """Whether the control arm, split by another salt, has shown a difference: arms cannot be compared."""
        return any(name == AA_SHADOW for name, _ in self.latched)

    @property
    def invalid(self) -> tuple[str, ...]:
        """What speaks against the comparison itself, in words."""
        checks = sorted(key for key in self.latched if key[0] in VALIDITY)
        named = [name if segment == "all" else f"{name} ({segment})" for name, segment in checks]
        return (*named, *(text for text in (self.swapped,) if text))


@dataclass(frozen=True, slots=True)
class Ask:
    """What a stream asks for now; `weakened` says why it is not what the policy names, "" when it is."""

    key: CountKey
    action: Action
    weakened: str = ""


def not_let_go(policy: Policy, states: Iterable[Mapping[str, Any]], released: LetGo) -> frozenset[CountKey]:
    """Streams of these lanes that are latched and that no person has let go of.

    A lane drops what was let go of at its first block behind the act (`controlplane.core.triggers`); until then it is let go of already.
    """
    execution = {trigger.name for trigger in policy.triggers if trigger.action is Action.DISABLE_EXECUTION}
    found: set[CountKey] = set()
    for state in states:
        last = last_block(state)
        for name, segment in latched([state]):
            acts = let_go_acts(name in execution, released, fired_knowing(state, (name, segment)))
            if all(last is not None and last.start >= act for act in acts):
                found.add((name, segment))
    return frozenset(found)


def asks(policy: Policy, situation: Situation) -> tuple[Ask, ...]:
    """What each latched stream asks for now, in the order of their keys. A stream that the policy no longer has asks for nothing."""
    triggers = {trigger.name: trigger for trigger in policy.triggers}
    found = []
    for key in sorted(situation.latched):
        trigger = triggers.get(key[0])
        if trigger is not None:
            found.append(Ask(key, *_weakened(policy, trigger, situation)))
        elif key[0] in VALIDITY:
            found.append(Ask(key, Action.HOLD))
    return tuple(found)


def _weakened(policy: Policy, trigger: Trigger, situation: Situation) -> tuple[Action, str]:
    if trigger.name in situation.muted:
        return Action.PAGE, "overridden by a person: it pages instead of acting"
    if trigger.action is not Action.ROLLBACK:
        return trigger.action, ""
    if situation.shadow_alarm and trigger.kind is not MetricKind.ONE_SAMPLE:
        return Action.HOLD, "held instead of rolled back: the A/A shadow has alarmed, so the arms cannot be compared"
    if trigger.judged and not policy.judge.accepted:
        return Action.HOLD, (
            "held instead of rolled back: it counts labels of a judge that the policy does not accept (judge.accepted)"
        )
    return trigger.action, ""


def decide(
    rollout: Rollout, policy: Policy, readings: Sequence[TriggerReading], situation: Situation
) -> Decision | None:
    """What the automatic actor does now, or None.

    `readings` are those of the blocks that closed since the last decision: they name the evidence of what `situation` says is latched.
    """
    wanted = [ask for ask in asks(policy, situation) if _changes(rollout, ask.action)]
    if situation.tripped and not any(ask.action is Action.ROLLBACK for ask in wanted):
        return _contain(policy, situation)
    if wanted:
        return _of_stream(policy, wanted, readings, situation.now)
    return _of_data(rollout, policy, situation)


def _of_stream(policy: Policy, wanted: Sequence[Ask], readings: Sequence[TriggerReading], now: datetime) -> Decision:
    newest = {(reading.trigger, reading.segment): reading for reading in readings if reading.fired}

    def weight(ask: Ask) -> tuple[int, float]:
        reading = newest.get(ask.key)
        return -PRECEDENCE.index(_EVENT[ask.action]), 0.0 if reading is None else reading.log_e - reading.log_threshold

    ask = max(wanted, key=weight)
    name, segment = ask.key
    reading = newest.get(ask.key)
    why = reading.reason if reading is not None else _fired_before(policy, name, segment)
    evidence: dict[str, object] = {"segment": segment}
    if reading is not None:
        evidence = {"log_e": reading.log_e, "log_threshold": reading.log_threshold, "segment": segment}
    if ask.weakened:
        why, evidence = f"{why}; {ask.weakened}", evidence | {"weakened": ask.weakened}
    kind = "validity check" if name in VALIDITY else "trigger"
    return Decision(
        event=str(_EVENT[ask.action]),
        actor=AUTOMATIC,
        reason=f"{kind} {name}: {why}",
        decided_at=now,
        policy_hash=policy.hash,
        trigger=name,
        evidence=evidence,
    )


def _fired_before(policy: Policy, name: str, segment: str) -> str:
    where = "" if segment == "all" else f" in segment {segment}"
    metric = next((trigger.metric for trigger in policy.triggers if trigger.name == name), name)
    return f"{metric}{where} has been found beyond its limit before, and nobody has let go of it"


def _contain(policy: Policy, situation: Situation) -> Decision:
    tripped = situation.tripped
    categories = sorted({tripwire.category(item) for item in tripped})
    evidence: dict[str, object] = {"categories": categories, "evaluations": [item.evaluation_id for item in tripped]}
    return Decision(
        event=str(Event.CONTAIN),
        actor=AUTOMATIC,
        reason=tripwire.reason(tripped),
        decided_at=situation.now,
        policy_hash=policy.hash,
        trigger="tripwire",
        evidence=evidence,
    )


def _changes(rollout: Rollout, action: Action) -> bool:
    """Whether the action would change anything: no hold of what is held, no second switch-off, nothing behind a rollback."""
    if rollout.state is RolloutState.ROLLED_BACK:
        return False
    match action:
        case Action.HOLD:
            return rollout.state in _OPEN
        case Action.DISABLE_EXECUTION:
            return rollout.execution_enabled
        case Action.ROLLBACK:
            return True
        case _:
            return False


def stale_reason(policy: Policy) -> str:
    """The reason of a hold for stale data; a person's hold never has exactly this one."""
    return f"{STALE}: no record for more than {policy.watch.freshness_seconds} s"


def silent_reason(silent: Iterable[str]) -> str:
    """The reason of a hold for metrics that have stopped; a person's hold ends with who it was."""
    return f"{SILENT}: customers are served and nothing is heard of {', '.join(silent)}"


def _of_data(rollout: Rollout, policy: Policy, situation: Situation) -> Decision | None:
    def decided(event: Event, reason: str) -> Decision:
        return Decision(str(event), AUTOMATIC, reason, situation.now, policy.hash)

    if rollout.state in _OPEN:
        if situation.facts_behind:
            return decided(Event.HOLD, f"{FACTS_BEHIND}: {situation.facts_behind}")
        if situation.swapped:
            return decided(Event.HOLD, f"{SWAPPED}: {situation.swapped}")
        if not situation.fresh:
            return decided(Event.HOLD, stale_reason(policy))
        return decided(Event.HOLD, silent_reason(situation.silent)) if situation.silent else None
    machines = rollout.reason == stale_reason(policy) or (
        rollout.reason.startswith(f"{SILENT}: ") and not rollout.reason.endswith(")")
    )
    stale_hold = rollout.state is RolloutState.HELD and machines
    harmful = any(ask.action is not Action.PAGE for ask in asks(policy, situation))
    if (
        stale_hold
        and situation.fresh
        and not (harmful or situation.facts_behind or situation.swapped or situation.silent)
    ):
        return decided(Event.RESUME, "data is fresh again")
    return None
