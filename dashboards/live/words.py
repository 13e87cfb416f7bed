"""What the Live page says in words: the sentence it opens with, and what each trigger looks for and does. Pure.

The sentence is the worst thing that is true: nobody watches, customers are not safe yet, data is stale, something fires, a person is waited for.
"""

from __future__ import annotations

import re
from datetime import timedelta
from math import exp

from controlplane.core.incident import is_over
from controlplane.core.metrics import METRICS
from controlplane.core.model import Action, MetricKind, RolloutState
from controlplane.core.policy import Policy, Trigger
from controlplane.core.validity import AA_SHADOW, RESPONSE_RATE, SAMPLE_RATIO
from controlplane.store.state_rows import IncidentRow
from dashboards.answers import BAD, GOOD, QUIET, WAIT, Answer, is_fresh
from dashboards.happened import begun, cut_for, why
from dashboards.live.values import Queue
from dashboards.values import Log, State
from dashboards.words import clock, duration, percent, trigger_title, value_text

ACTIONS = {
    Action.PAGE: "pages a person",
    Action.HOLD: "holds the ramp",
    Action.DISABLE_EXECUTION: "switches workflows off",
    Action.ROLLBACK: "rolls back",
}
CHECKS = {
    SAMPLE_RATIO: "Customers fall on the arms as the share says",
    AA_SHADOW: "Two halves of the baseline do not differ",
    RESPONSE_RATE: "Both arms answer the CSAT question alike",
}


DECIDED = frozenset(
    {
        *("start", "restart", "supersede", "promote", "approve", "hold", "resume", "rollback", "deploy", "policy"),
        *("disable_execution", "enable_execution", "contain", "release_category", "cut_verified", "execution_disabled"),
        *("override_added", "override_ended", "silence_added", "silence_ended", "incident_acknowledge", "incident_own"),
        *("incident_contain", "incident_resolve", "incident_clear", "incident_review", "incident_reopen"),
    }
)
"""Events of the audit log that changed what is served, what is heard, or who is on an incident."""


def decisions(state: State) -> list[Log]:
    """The rows of the audit log that on-call looks for, newest first; labels, evaluations and reports are on Governance."""
    return [row for row in state.log if row.event in DECIDED]


def hero(state: State, queue: Queue, silent: timedelta | None = None) -> Answer:
    """The state of the service in one sentence, and a second one with what matters next.

    silent: how long the control process has not been heard; None while it is heard.
    """
    rollout = state.rollout
    if silent is not None:
        return Answer(
            f"Nobody is watching: the control process has been silent for {duration(silent)}.",
            f"Last known at {clock(state.meta.now, state.meta.now)}: {_lower(served(state))}. Start it where it runs with `controlplane up`, "
            "or look with `controlplane status`.",
            BAD,
        )
    if rollout is None:
        return Answer(
            "No release is being rolled out; everyone is served by the baseline.",
            f"Nothing to watch yet; {data_age(state)}. `controlplane release start` begins the first stage of the policy.",
            QUIET,
        )
    if rollout.state is RolloutState.ROLLED_BACK:
        return _rolled_back(state)
    if not is_fresh(state):
        return _stale(state)
    if state.firing:
        return _firing(state)
    if rollout.state is RolloutState.HELD:
        return Answer(
            f"Held: {_lower(served(state))}.",
            f"{_sentence(plain(why(state, 'hold'), state.policy))} Nothing grows before a person goes on; {data_age(state)}.{_more(state, queue)}",
            WAIT,
        )
    tone = WAIT if state.open_incidents or queue.dead or not rollout.execution_enabled else GOOD
    return Answer(
        f"{served(state)}; nothing is firing; {data_age(state)}.", f"{_closest(state)}{_more(state, queue)}", tone
    )


def served(state: State) -> str:
    """`Serving 5 % on v1.1`."""
    rollout = state.rollout
    if rollout is None or rollout.state is RolloutState.ROLLED_BACK:
        return "Everyone is served by the baseline"
    return f"Serving {percent(rollout.share)} on {rollout.release}"


def data_age(state: State) -> str:
    """`data is 7 s old`, or that there is none."""
    age = state.meta.data_age
    return "no data has come in yet" if age is None else f"data is {duration(age)} old"


def _rolled_back(state: State) -> Answer:
    rollout = state.rollout
    assert rollout is not None
    cut = begun(state, "rollback")
    verified = state.cut_verified_at
    cause = cut_for(state, plain(why(state, "rollback"), state.policy))
    opened = [row for row in state.open_incidents if row.rollout_id == rollout.rollout_id]
    following = (
        "Its incident waits for a person, see below."
        if opened
        else "A person starts a fixed release with `controlplane release start`."
    )
    told = (
        f"{rollout.release} was taken off all customers at {clock(cut, state.meta.now)} because of {cause}. {following}"
    )
    if verified is None:
        waits = duration(state.meta.now - cut)
        return Answer(f"Rolled back {waits} ago, but the cut is NOT verified yet.", told, BAD)
    took = max(verified - cut, timedelta(0))
    return Answer(f"Rolled back: everyone is on the baseline, cut verified after {duration(took)}.", told, BAD)


def _stale(state: State) -> Answer:
    age = state.meta.data_age
    word = "no data has come in yet" if age is None else f"nothing new for {duration(age)}"
    limit = state.policy.watch.freshness_seconds if state.policy else 0.0
    return Answer(
        f"Data is stale: {word}.",
        f"{served(state)}, and no trigger can see harm until records come in again (limit {duration(timedelta(seconds=limit))}). "
        "See which source is behind under Delivery and data.",
        BAD,
    )


def _firing(state: State) -> Answer:
    rollout = state.rollout
    assert rollout is not None
    names = " and ".join(trigger_title(name) for name in state.firing[:2])
    more = f" and {len(state.firing) - 2} more" if len(state.firing) > 2 else ""
    verb = "is" if len(state.firing) == 1 else "are"
    stands = "the ramp is held at" if rollout.state is RolloutState.HELD else "serving"
    tone = BAD if rollout.state is not RolloutState.HELD else WAIT
    held = f"{_sentence(plain(why(state, 'hold'), state.policy))} " if rollout.state is RolloutState.HELD else ""
    return Answer(
        f"{names}{more} {verb} firing; {stands} {percent(rollout.share)} on {rollout.release}.",
        f"{held}Decide below: go on, hold, or roll back; {data_age(state)}.",
        tone,
    )


def _closest(state: State) -> str:
    found = [
        (row["log_e"] - row["log_threshold"], row["trigger"])
        for row in state.triggers.to_dicts()
        if row["segment"] == "all" and row["log_e"] is not None and row["trigger"] not in CHECKS
    ]
    if not found:
        return "No trigger has judged anything yet."
    gap, name = max(found)
    part = exp(min(gap, 50.0))
    word = f"{part:.0%} of" if part >= 0.01 else "less than 1 % of"
    return f"Closest to firing: {trigger_title(name)}, at {word} its threshold."


def _more(state: State, queue: Queue) -> str:
    """What else a person should know."""
    rollout = state.rollout
    parts = []
    if rollout is not None and not rollout.execution_enabled:
        parts.append("Workflows are switched off.")
    if rollout is not None and rollout.contained:
        parts.append(f"Sent to people: {', '.join(rollout.contained)}.")
    if count := len(state.open_incidents):
        parts.append(f"{count} incident{'s are' if count > 1 else ' is'} open.")
    if queue.dead:
        parts.append(f"{queue.dead} message{'s' if queue.dead > 1 else ''} could not be delivered.")
    return f" {' '.join(parts)}" if parts else ""


def rule(policy: Policy | None, name: str, baseline: str) -> str:
    """What a trigger looks for and what it does: `Hallucination frequency over 5.0 % rolls back`."""
    found = trigger_of(policy, name)
    if found is None:
        return f"{CHECKS.get(name, 'Check of the comparison')}, or the ramp is held"
    title = METRICS[found.metric].title if found.metric in METRICS else found.metric
    slo = f" (slower than {found.slo_ms:,.0f} ms)" if found.slo_ms else ""
    return f"{title}{slo} {limit(found, baseline)} {ACTIONS[found.action]}"


def trigger_of(policy: Policy | None, name: str) -> Trigger | None:
    """The policy's trigger of that name; None for a validity check."""
    return next((trigger for trigger in policy.triggers if trigger.name == name), None) if policy else None


def limit(trigger: Trigger, baseline: str) -> str:
    """The limit in the metric's unit."""
    if trigger.kind is MetricKind.RATING:
        return f"more than {trigger.limit:g} points below the {baseline}"
    if trigger.kind is MetricKind.RATE_RATIO:
        return f"more than {trigger.limit:g} times the {baseline}"
    if trigger.kind is MetricKind.TWO_SAMPLE:
        return f"more than {100 * trigger.limit:g} points above the {baseline}"
    metric = METRICS.get(trigger.metric)
    return f"over {value_text(metric, trigger.limit) if metric else trigger.limit}"


def plain(text: str, policy: Policy | None) -> str:
    """A recorded reason with the names of triggers and metrics as people call them."""
    names = {name: metric.title for name, metric in METRICS.items() if "_" in name}
    names |= {one.name: trigger_title(one.name) for one in policy.triggers if "_" in one.name} if policy else {}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"\b{re.escape(name)}\b", names[name], text)
    return text


def waits_for(incident: IncidentRow) -> str:
    """Who has an incident, or that nobody has."""
    if is_over(incident.state):
        return incident.state
    if incident.owner:
        return f"{incident.owner} has it"
    return "nobody has taken it yet" if incident.acknowledged_at is None else "acknowledged, without an owner"


def _sentence(text: str) -> str:
    trimmed = text.strip().rstrip(".")
    return f"{trimmed[:1].upper()}{trimmed[1:]}." if trimmed else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
