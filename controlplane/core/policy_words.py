"""A policy in plain words: who is exposed when, what stops it, what a gate asks, what nobody may do. For a reader who has never seen TOML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from controlplane.core.blocks import QUARTER_WEEKS
from controlplane.core.metrics import METRICS
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_lint_time import gated_stages
from controlplane.core.policy_model import Certificate, Phase, Policy, Trigger

AUDIENCE_WORDS = {
    "employees": "your own employees",
    "low_risk": "customers whose first message has a low-risk intent",
    "eligible": "all eligible customers",
}
ACTION_WORDS = {
    Action.PAGE: "somebody is paged, and nothing else happens",
    Action.HOLD: "the rollout stops growing until a person resumes it",
    Action.DISABLE_EXECUTION: "the assistant goes on answering but may not carry out anything until a person allows it again",
    Action.ROLLBACK: "everybody is served {rollback_to} again at once, and the cut is verified",
}
SERVER_WORDS = {"menu": "the menu", "accepted": "the release that was accepted before (the menu while there is none)"}


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with its sentences."""

    title: str
    lines: tuple[str, ...]


def explain(policy: Policy) -> tuple[Section, ...]:
    """The policy in plain words, section by section."""
    return (
        Section("What this is", tuple(_head(policy))),
        Section("Who is exposed, and when", tuple(_exposure(policy))),
        Section("What stops it", tuple(_trigger(policy, trigger) for trigger in policy.triggers)),
        Section("What is promised", tuple(_promise(policy))),
        Section("What must be shown before it grows", tuple(_gates(policy))),
        Section("What checks the comparison itself", tuple(_validity(policy))),
        Section("What nobody may do", tuple(_forbidden(policy))),
    )


def duration(minutes: float) -> str:
    """A span of time for people, in the largest two units."""
    if minutes <= 0:
        return "no time"
    if minutes < 1:
        return f"{minutes * 60:g} seconds"
    parts, rest = [], round(minutes)
    for size, unit in ((7 * 1440, "week"), (1440, "day"), (60, "hour"), (1, "minute")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}{'' if count == 1 else 's'}")
    return " ".join(parts[:2])


def percent(share: float) -> str:
    """A share for people: as many digits as it needs, at most three."""
    return f"{share * 100:.3g} %"


def _listed(items: Sequence[str]) -> str:
    return ", ".join(items[:-1]) + f" and {items[-1]}" if len(items) > 1 else "".join(items)


def _head(policy: Policy) -> Iterator[str]:
    which = f"releases named {policy.release}" if policy.release else "any release"
    yield f"Policy '{policy.name}' for {which}; {policy.owner} answers for it."
    yield (
        f"Customers are drawn by their id. Those who are not drawn are the other side of every comparison: "
        f"they are served by {SERVER_WORDS[policy.serving.compare_with]}."
    )
    if policy.evaluation.required:
        under = f"'{policy.evaluation.criteria}'" if policy.evaluation.criteria else "some registered criteria"
        yield f"A release starts only after an evaluation of exactly its artefacts has passed under {under}."
    else:
        yield "A release may start without an evaluation."


def _exposure(policy: Policy) -> Iterator[str]:
    for phase in policy.phases:
        steps = _listed([percent(share) for share in phase.shares])
        yield f"{phase.name}: {steps} of {AUDIENCE_WORDS[phase.audience]}."
    if any(phase.audience == "low_risk" for phase in policy.phases):
        yield f"Low-risk intents: {_listed(policy.assignment.low_risk_intents) or 'none, so nobody is exposed there'}."
    kept = [*policy.assignment.exclude_intents, *(f"segment {name}" for name in policy.assignment.exclude_segments)]
    if kept:
        yield f"Never exposed, in any phase: {_listed(kept)}."
    last = policy.stages[-1]
    if last.share < 1:
        yield f"{percent(1 - last.share)} stay with the baseline to the end, so that there is always something to compare with."


def _trigger(policy: Policy, trigger: Trigger) -> str:
    then = ACTION_WORDS[trigger.action].format(rollback_to=SERVER_WORDS[policy.serving.rollback_to])
    judged = trigger.judged
    if judged and trigger.action is Action.ROLLBACK and not policy.judge.accepted:
        then = f"{ACTION_WORDS[Action.HOLD]} (the judge's labels alone may not roll back)"
    segments = len(policy.segments_of(trigger)) - 1
    where = (
        f"; {percent(policy.alpha(trigger, policy.watch.segments[0]))} in each of {segments} segments"
        if segments
        else ""
    )
    approximate = trigger.icc > 0 or not METRICS[trigger.metric].exact
    return (
        f"{trigger.name}: when {_harm(policy, trigger)}, {then}. {_counted(trigger)} "
        f"A release that never does this raises it in {duration(policy.budget.horizon_weeks * 10080)} with a probability of at most "
        f"{percent(policy.alpha(trigger, 'all'))} in all traffic{where}"
        f"{' (about: its units are not independent)' if approximate else ''}."
    )


def _harm(policy: Policy, trigger: Trigger) -> str:
    metric = METRICS[trigger.metric]
    if trigger.kind is MetricKind.RATING:
        return f"the mean rating of treated customers is more than {trigger.limit:g} points below that of the others"
    if trigger.kind is MetricKind.RATE_RATIO:
        return f"the {_name(metric.title)} of treated customers is more than {trigger.limit:g} times that of the others"
    if trigger.kind is MetricKind.TWO_SAMPLE:
        return f"the {_name(metric.title)} of treated customers is more than {trigger.limit * 100:g} points above that of the others"
    slower = f" than {trigger.slo_ms:g} ms" if trigger.slo_ms else ""
    what = f"the share of answers slower{slower}" if slower else f"the {_name(metric.title)}"
    if trigger.cap_usd:
        what = f"the share of first answers that cost more than {trigger.cap_usd:g} USD"
    if trigger.judged and (rate := policy.judge.flag_rate(trigger.limit)) != trigger.limit:
        return f"{what} is above {percent(trigger.limit)} (the judge flags {percent(rate)} then)"
    return f"{what} is above {percent(trigger.limit)}"


def _name(title: str) -> str:
    """A title inside a sentence; abbreviations keep their capitals."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]


def _counted(trigger: Trigger) -> str:
    who = " by people" if trigger.labels == "person" else ""
    block = duration(trigger.block_seconds / 60).removeprefix("1 ")
    if trigger.maturity_minutes:
        return f"Labels{who} count once they are {duration(trigger.maturity_minutes)} old, every {block}."
    return f"It is judged every {block}."


def _promise(policy: Policy) -> Iterator[str]:
    rolling = [trigger.name for trigger in policy.triggers if trigger.action is Action.ROLLBACK]
    yield (
        f"A release that stays within all its limits is stopped by any trigger with a probability of at most "
        f"{percent(policy.budget.false_rollback)} over {duration(policy.budget.horizon_weeks * 10080)}, however often one looks."
    )
    yield f"Once the rollout is complete, the same holds for each quarter of {QUARTER_WEEKS} weeks from then on."
    yield f"Triggers that may roll back: {_listed(rolling) or 'none'}."
    yield "The safety tripwire and the checks of the comparison are outside that figure."


def _gates(policy: Policy) -> Iterator[str]:
    for phase in policy.phases:
        if gated_stages(policy, phase) > 0:
            yield f"{phase.name}, before each next step: {_listed(list(_asked(policy, phase))) or 'nothing'}."
        else:
            yield f"{phase.name}: nothing comes after it."
    for certificate in policy.certificates:
        yield f"Certificate {certificate.name}: {_certificate(policy, certificate)}"


def _asked(policy: Policy, phase: Phase) -> Iterator[str]:
    if phase.min_minutes:
        yield duration(phase.min_minutes)
    if phase.min_treated:
        yield f"{phase.min_treated:,} treated customers"
    if phase.certificates:
        yield f"the certificate{'s' * (len(phase.certificates) > 1)} {_listed(phase.certificates)}"
    if phase.name in policy.review.phases:
        yield f"{policy.review.min_labelled} answers that people have labelled"
    if phase.approvals:
        yield f"the approval of {phase.approvals} {'person' if phase.approvals == 1 else 'people'} other than the author"


def _certificate(policy: Policy, certificate: Certificate) -> str:
    if certificate.kind is MetricKind.RATING:
        shown = f"treated customers' mean rating is less than {certificate.margin:g} points below that of the others"
    else:
        name = _name(METRICS[certificate.metric].title)
        shown = f"treated customers' {name} is less than {certificate.margin * 100:g} points above that of the others"
    return (
        f"it is shown that {shown}; wrong with a probability of at most {percent(policy.budget.certificate)}. "
        "That no alarm was raised shows nothing."
    )


def _validity(policy: Policy) -> Iterator[str]:
    checks = policy.validity
    found = {
        "customers fall on the two sides as configured": checks.sample_ratio,
        "two halves of the untreated customers show no difference": checks.aa_shadow,
        f"the sides answer the rating question alike within {percent(checks.response_margin)}": checks.response_margin
        > 0,
        "customers are served what the log says": checks.swapped_arms,
    }
    for text, on in found.items():
        yield f"{'Watched' if on else 'NOT watched'}: {text}."
    yield f"They stop a sound rollout with a probability of at most {percent(policy.budget.validity)}, and never roll back."
    yield f"Data older than {duration(policy.watch.freshness_seconds / 60)} stops the growth: no data is never good news."


def _forbidden(policy: Policy) -> Iterator[str]:
    yield "Nobody approves a release of their own, and nothing grows without what its gate asks."
    yield "Nothing but a person restarts what was rolled back or resumes what was stopped."
    if policy.decisions.cooldown_minutes:
        yield f"Nobody grows or restarts within {duration(policy.decisions.cooldown_minutes)} of an automatic action."
    who = _listed(policy.overrides.who) or "a person"
    yield f"A trigger is set aside only by {who}, with a reason, for at most {duration(policy.overrides.max_hours * 60)}."
    if policy.overrides.never:
        yield f"Nobody sets aside {_listed(policy.overrides.never)}."
    if policy.incidents.review_before_restart:
        yield "Nobody restarts before the incident that stopped the release before is reviewed."
    if policy.incidents.learn_before_restart and policy.evaluation.required:
        yield "Nobody restarts before an evaluation has passed on data with the conversations that failed in it."
    if not policy.judge.accepted:
        yield "A model that judges answers may stop the growth; it may not roll back by itself."
    if policy.decisions.tripwire:
        yield "Nobody waits for statistics after one confirmed severe misrouting: its category goes to people at once."
    if policy.decisions.backtest_required:
        yield "Nobody starts a release under this policy before a backtest has shown that it keeps its promise."
