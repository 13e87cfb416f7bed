"""Lint of times and traffic: labels must be final while it still matters, and a block must hold enough units to speak.

The *least time* of a phase is `min_minutes` for every stage that has a gate; the last stage of the last phase has none and lasts as long as
the rollout. A trigger belongs to every phase in which customers are exposed. If its labels mature in none of them, the rollout has grown past
its last gate before the trigger has said a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controlplane.core.metrics import METRICS, Family
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_lint_rules import ERROR, WARNING, Report
from controlplane.core.toml_lines import Path

if TYPE_CHECKING:
    from controlplane.core.policy import Certificate, Phase, Policy, Stage, Trigger

COVERED = 0.95
"""Share of the historic labels that must have arrived by the maturity."""
MINUTES_OF_A_WEEK = 7 * 24 * 60.0
LEAST_UNITS = 5.0
"""Units that a two-arm block expects in each arm; finer blocks lose most of the information."""
LONGEST = {"seconds": 3.2e8, "minutes": 5.3e6, "hours": 8.8e4, "weeks": 522.0}
"""Ten years by the unit that a key ends with: longer times are slips, and beyond the calendar they cannot even be added to a date."""
SHORT_BLOCK_SECONDS = 60
"""Shorter blocks are for absolute limits, which need no second arm."""


@dataclass(frozen=True, slots=True)
class LabelDelay:
    """How late the labels of a metric came: `quantile_minutes` is the delay within which 95 % of `labels` had arrived."""

    quantile_minutes: float
    labels: int


def lint_times(report: Report, policy: Policy, history: Mapping[str, LabelDelay]) -> None:
    """Everything about maturity, horizon and units per block."""
    _lint_longest(report, policy)
    for position, trigger in enumerate(policy.triggers):
        path: Path = ("triggers", position)
        _lint_phase_time(report, policy, path, trigger)
        _lint_maturity(report, path, trigger, history)
        _lint_block(report, policy, path, trigger)
    for position, certificate in enumerate(policy.certificates):
        _lint_maturity(report, ("certificates", position), certificate, history)
        _lint_block(report, policy, ("certificates", position), certificate)
        _lint_margin(report, policy, position, certificate)
    _lint_gates(report, policy)
    if policy.phases and not exposed(policy):
        message = "nobody but employees is ever exposed: triggers and certificates have nothing to compare"
        report.problem(("phases",), message, 'add a phase with audience = "eligible"', WARNING)
    least = sum(least_minutes(policy, phase) for phase in policy.phases)
    if least > horizon_minutes(policy) > 0:
        message = f"the gates ask for {least:g} minutes, longer than the planned {horizon_minutes(policy):g}"
        remedy = f"write at least {least / MINUTES_OF_A_WEEK:.3g}: blocks behind the horizon get no weight"
        report.problem(("budget", "horizon_weeks"), message, remedy, WARNING)
    last = policy.stages[-1] if policy.stages else None
    if last is not None and last.share >= 1 and last.audience != "employees" and _compares(policy):
        message = "nobody is left to compare with at the end: triggers with a control fall silent there"
        report.problem(("phases", len(policy.phases) - 1, "shares"), message, "keep 1 to 5 % on the baseline", WARNING)


def _lint_longest(report: Report, policy: Policy) -> None:
    tables = ("budget", "watch", "validity", "decisions", "overrides")
    items: list[tuple[Path, object]] = [((name,), getattr(policy, name)) for name in tables]
    for key in ("phases", "triggers", "certificates"):
        items += [((key, position), item) for position, item in enumerate(getattr(policy, key))]
    for path, item in items:
        for name in getattr(item, "__dataclass_fields__", {}):
            most = LONGEST.get(name.rsplit("_", 1)[-1])
            value = getattr(item, name)
            if most is not None and value > most:
                message = f"{value:g} {name.rsplit('_', 1)[-1]} are longer than ten years"
                report.problem((*path, name), message, f"write at most {most:g}")


def horizon_minutes(policy: Policy) -> float:
    """The planned length of the rollout."""
    return policy.budget.horizon_weeks * MINUTES_OF_A_WEEK


def gated_stages(policy: Policy, phase: Phase) -> int:
    """How many stages of the phase have a gate behind them: all but the very last stage of the policy."""
    return len(phase.shares) - (phase.name == policy.phases[-1].name)


def least_minutes(policy: Policy, phase: Phase) -> float:
    """The time that the gates of a phase ask for at least, all its stages together."""
    return phase.min_minutes * gated_stages(policy, phase)


def exposed(policy: Policy) -> tuple[Phase, ...]:
    """The phases in which customers are exposed."""
    return tuple(phase for phase in policy.phases if phase.audience != "employees")


def label_minutes(item: Trigger | Certificate) -> float:
    """From the opening of a block until it can be judged."""
    return item.maturity_minutes + item.block_seconds / 60


def _compares(policy: Policy) -> bool:
    return any(trigger.kind is not MetricKind.ONE_SAMPLE for trigger in policy.triggers)


def _lint_phase_time(report: Report, policy: Policy, path: Path, trigger: Trigger) -> None:
    needed, horizon = label_minutes(trigger), horizon_minutes(policy)
    if needed > horizon > 0:
        message = f"its first label is final after {needed:g} minutes, behind the horizon of {horizon:g}"
        report.problem((*path, "maturity_minutes"), message, "shorten the maturity or plan a longer horizon_weeks")
        return
    phases = exposed(policy)
    if not trigger.maturity_minutes or not phases or phases[0].name == policy.phases[-1].name:
        return  # nothing to wait for, or the only phase with customers, which is open-ended: the horizon is its length
    longest = max(phases, key=lambda phase: least_minutes(policy, phase))
    least = least_minutes(policy, longest)
    if needed > least:
        message = (
            f"its label can't mature inside its phase: a block is judged after {needed:g} minutes, "
            f"'{longest.name}' lasts {least:g}"
        )
        remedy = f"raise min_minutes to {_minutes_needed(policy, longest, needed):g} there, or judge an earlier label"
        severity = WARNING if trigger.action is Action.PAGE else ERROR  # a page keeps nobody from growing anyway
        report.problem((*path, "maturity_minutes"), message, remedy, severity)


def _minutes_needed(policy: Policy, phase: Phase, needed: float) -> float:
    return -(-needed // max(1, gated_stages(policy, phase)))


def _lint_maturity(report: Report, path: Path, item: Trigger | Certificate, history: Mapping[str, LabelDelay]) -> None:
    seen = history.get(item.metric)
    if seen is not None and item.maturity_minutes < seen.quantile_minutes:
        message = f"{COVERED:.0%} of {seen.labels} labels so far came within {seen.quantile_minutes:g} minutes, not within {item.maturity_minutes:g}"
        remedy = f"write at least {seen.quantile_minutes:g}: judging early favours the arm whose customers answer later"
        report.problem((*path, "maturity_minutes"), message, remedy)
        return
    metric = METRICS.get(item.metric)
    usual = metric.maturity.total_seconds() / 60 if metric is not None else 0.0
    if seen is None and item.maturity_minutes < usual:
        message = f"labels of {item.metric} are final after {usual:g} minutes, not after {item.maturity_minutes:g}"
        remedy = "wait for them, or show with `policy lint --history` that yours are sooner"
        report.problem((*path, "maturity_minutes"), message, remedy, WARNING)


def _lint_block(report: Report, policy: Policy, path: Path, item: Trigger | Certificate) -> None:
    if item.kind is MetricKind.ONE_SAMPLE or item.block_seconds <= 0:
        return
    if item.block_seconds < SHORT_BLOCK_SECONDS:
        message = f"blocks of {item.block_seconds} s are for absolute limits: two arms share too few units in them"
        report.problem((*path, "block_seconds"), message, f"write at least {SHORT_BLOCK_SECONDS}")
        return
    per_block = policy.traffic.per_minute * item.block_seconds / 60
    if item.kind is MetricKind.RATING:
        per_block *= policy.traffic.rated_share
    elif item.metric in METRICS and METRICS[item.metric].family is Family.EVALUATION:
        per_block *= policy.traffic.audited_share
    thin = [
        stage
        for stage in policy.stages
        if stage.audience != "employees" and 0 < least_units(per_block, stage) < LEAST_UNITS
    ]
    if thin:
        worst = min(thin, key=lambda stage: least_units(per_block, stage))
        message = (
            f"a block expects {least_units(per_block, worst):.2g} units in the smaller arm at {worst.phase} {worst.share:.0%}, "
            f"fewer than {LEAST_UNITS:g}"
        )
        seconds = item.block_seconds * LEAST_UNITS / least_units(per_block, worst)
        remedy = f"write block_seconds = {round(-(-seconds // 60) * 60)} or more"
        report.problem((*path, "block_seconds"), message, remedy, WARNING)


def least_units(per_block: float, stage: Stage) -> float:
    """Units in the smaller arm of a block; without a control (share 1) nothing is compared, and nothing is too few."""
    return per_block * (min(stage.share, 1 - stage.share) if stage.share < 1 else 0.0)


def _lint_margin(report: Report, policy: Policy, position: int, certificate: Certificate) -> None:
    for trigger in policy.triggers:
        same = (trigger.metric, trigger.kind) == (certificate.metric, certificate.kind)
        if same and certificate.margin > trigger.limit:
            message = f"certifies a release as good enough that '{trigger.name}' is there to stop ({trigger.limit:g})"
            remedy = f"write at most {trigger.limit:g}, or say so beside it"
            report.problem(("certificates", position, "margin"), message, remedy, WARNING)


def _lint_gates(report: Report, policy: Policy) -> None:
    known = {certificate.name: certificate for certificate in policy.certificates}
    asked = {name for phase in policy.phases if gated_stages(policy, phase) > 0 for name in phase.certificates}
    for position, certificate in enumerate(policy.certificates):
        if certificate.name not in asked:
            remedy = "name it in the certificates of a phase with a gate, or remove it"
            report.problem(("certificates", position, "name"), "no gate asks for it", remedy, WARNING)
    for position, phase in enumerate(policy.phases):
        if gated_stages(policy, phase) <= 0:
            continue
        for name in phase.certificates:
            if name in known:
                _lint_gate(report, position, phase, known[name])
        nothing = not (phase.min_minutes or phase.min_treated or phase.certificates or phase.approvals)
        if nothing and phase.audience != "employees":
            message = "its gate asks for nothing: the ramp runs through it at once"
            report.problem(
                ("phases", position, "min_minutes"), message, "ask for time, customers or certificates", WARNING
            )


def _lint_gate(report: Report, position: int, phase: Phase, certificate: Certificate) -> None:
    path: Path = ("phases", position, "min_minutes")
    needed = label_minutes(certificate)
    message = f"certificate '{certificate.name}' has its first block after {needed:g} minutes, the gate says {phase.min_minutes:g}"
    remedy = f"write at least {needed:g}: the gate stays shut until then anyway"
    if certificate.maturity_minutes > phase.min_minutes:
        report.problem(path, message, remedy)
    elif needed > phase.min_minutes:
        report.problem(path, message, remedy, WARNING)
