"""Lint of the tables beside triggers and phases: who is drawn, who serves, what the judge is worth, who may override, what checks the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, log, sqrt
from typing import TYPE_CHECKING

from controlplane.core.evidence.forms import FORMS
from controlplane.core.metrics import METRICS, Family
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_lint_rules import ERROR, WARNING, Report

if TYPE_CHECKING:
    from controlplane.core.policy import Policy, Trigger

UNITS = ("customer",)
SERVERS = ("menu", "accepted")
"""The metric whose labels come from the judge."""
BAD_MINUTE = 0.1
"""Operational limits below this are crossed by a bad minute in an otherwise healthy week: they should not roll back."""
LONG_OVERRIDE_HOURS = 168.0
LARGEST_JENSEN_SHANNON = sqrt(log(2.0))
MOST_A_MINUTE = 1e7


def lint_tables(report: Report, policy: Policy) -> None:
    """Everything that stands in one table, or in one table against the triggers."""
    _lint_release(report, policy)
    _lint_assignment(report, policy)
    _lint_serving(report, policy)
    _lint_validity(report, policy)
    _lint_judge(report, policy)
    _lint_overrides(report, policy)
    _lint_traffic(report, policy)
    _lint_drift(report, policy)
    _lint_programme(report, policy)
    _lint_incidents(report, policy)
    if policy.decisions.cooldown_minutes < 0:
        report.problem(("decisions", "cooldown_minutes"), "is negative", "write 0 for no pause")
    if policy.evaluation.required and not policy.evaluation.criteria:
        message = "any registered criteria will do, however lax"
        remedy = 'name the criteria of this rollout, such as criteria = "support-release"'
        report.problem(("evaluation", "criteria"), message, remedy, WARNING)
    for position, trigger in enumerate(policy.triggers):
        _lint_rollback(report, position, trigger)


def _lint_release(report: Report, policy: Policy) -> None:
    glob = policy.release
    if glob and not glob.strip():
        report.problem(("release",), "names no release", 'write a pattern such as "v2.*", or leave it out for any')
    opened = glob.find("[")
    if opened >= 0 and "]" not in glob[opened + 2 :]:
        report.problem(
            ("release",), f"{glob!r} has a '[' that nothing closes", "close it, or write [[] for the sign itself"
        )


def _unique(report: Report, table: str, key: str, values: Sequence[str]) -> None:
    if len(set(values)) < len(values) or any(not value.strip() for value in values):
        report.problem((table, key), "has an empty or repeated entry", "write each one once")


def _lint_assignment(report: Report, policy: Policy) -> None:
    assignment = policy.assignment
    if assignment.unit not in UNITS:
        message = f"{assignment.unit!r} cannot be drawn: repeat contacts of one person would count as independent"
        report.problem(("assignment", "unit"), message, f"one of {', '.join(UNITS)}")
    for key in ("low_risk_intents", "exclude_intents", "exclude_segments"):
        _unique(report, "assignment", key, getattr(assignment, key))
    both = sorted(set(assignment.low_risk_intents) & set(assignment.exclude_intents))
    if both:
        message = f"{', '.join(both)} is low-risk and excluded"
        report.problem(("assignment", "exclude_intents"), message, "decide: who is excluded is never exposed")
    watched = sorted(set(policy.watch.segments) & set(assignment.exclude_segments))
    if watched:
        message = (
            f"{', '.join(watched)} is excluded and so has no treated customers, but its streams take part of the budget"
        )
        report.problem(("watch", "segments"), message, "watch only segments that are compared", WARNING)
    if not assignment.low_risk_intents and any(phase.audience == "low_risk" for phase in policy.phases):
        message = "there is a phase for low-risk intents, and no such intent"
        report.problem(
            ("assignment", "low_risk_intents"), message, "name the intents, or the phase exposes nobody", WARNING
        )


def _lint_serving(report: Report, policy: Policy) -> None:
    for key in ("compare_with", "rollback_to"):
        if getattr(policy.serving, key) not in SERVERS:
            report.problem(
                ("serving", key), f"{getattr(policy.serving, key)!r} serves nobody", f"one of {', '.join(SERVERS)}"
            )


def _lint_validity(report: Report, policy: Policy) -> None:
    validity = policy.validity
    if not 0 <= validity.response_margin < 1:
        remedy = "write the largest difference of response rates (0.1 = ten points), or 0 to watch none"
        report.problem(("validity", "response_margin"), f"{validity.response_margin:g} is impossible", remedy)
    if validity.block_seconds < 1:
        report.problem(("validity", "block_seconds"), f"{validity.block_seconds} is too short", "write at least 1")
    compared = any(trigger.kind is not MetricKind.ONE_SAMPLE for trigger in policy.triggers)
    if compared and not validity.sample_ratio:
        message = "a wrong split of customers would go unseen while the arms are compared"
        report.problem(("validity", "sample_ratio"), message, "write sample_ratio = true", WARNING)


def _lint_drift(report: Report, policy: Policy) -> None:
    drift = policy.drift
    for key, most in {"numeric": inf, "categorical": LARGEST_JENSEN_SHANNON, "missing": 1.0}.items():
        if not 0 < getattr(drift, key) < most:
            remedy = "write the smallest change that matters, such as 0.1"
            report.problem(("drift", key), f"{getattr(drift, key):g} is no threshold of that distance", remedy)
    if not 0 < drift.alpha < 1:
        report.problem(("drift", "alpha"), f"{drift.alpha:g} is no level", "write a number in (0, 1), such as 0.05")
    if drift.window_days <= 0:
        report.problem(("drift", "window_days"), f"{drift.window_days:g} is no length", "write days, such as 28")
    if drift.min_rows < 2:
        report.problem(("drift", "min_rows"), f"{drift.min_rows} rows show nothing", "write at least 2")
    if not drift.reference:
        report.problem(
            ("drift", "reference"), "is empty", 'write "accepted", "previous", "year" or the name of a window'
        )


def _lint_programme(report: Report, policy: Policy) -> None:
    programme = policy.programme
    for key in ("csat_margin", "misclassification_margin", "escalation_margin", "resolution_time_margin"):
        if not 0 <= getattr(programme, key) < (4 if key == "csat_margin" else 1):
            remedy = "write how much worse still counts as not worse; 0 asks for an improvement"
            report.problem(("programme", key), f"{getattr(programme, key):g} is no margin of that measure", remedy)
    if not 0.5 <= programme.level < 1:
        report.problem(("programme", "level"), f"{programme.level:g} is no level", "write a number in [0.5, 1)")
    if programme.monthly_budget_usd < 0:
        report.problem(("programme", "monthly_budget_usd"), "is negative", "write 0 where none was set")


def _lint_judge(report: Report, policy: Policy) -> None:
    judge = policy.judge
    for key in ("sample_base", "sample_alert", "sensitivity", "specificity"):
        if not 0 < getattr(judge, key) <= 1:
            report.problem(("judge", key), f"{getattr(judge, key):g} is no share", "write a number in (0, 1]")
    if judge.sample_alert < judge.sample_base:
        remedy = "write at least sample_base: suspicion asks for more labels"
        report.problem(("judge", "sample_alert"), f"{judge.sample_alert:g} is less than in quiet times", remedy)
    if judge.sample_at_evidence <= 0:
        remedy = "write the evidence E that raises the sampling, such as 0.01"
        report.problem(("judge", "sample_at_evidence"), f"{judge.sample_at_evidence:g} is impossible", remedy)
    if judge.sensitivity + judge.specificity <= 1:
        message = "sensitivity + specificity is not above 1: the judge says less than a coin"
        report.problem(("judge", "specificity"), message, "measure both against people's labels (`dataset`, `review`)")
    else:
        _lint_judged(report, policy)


def _lint_judged(report: Report, policy: Policy) -> None:
    """Triggers that count the judge's labels test its flag rate, and act by what its labels are worth."""
    for position, trigger in enumerate(policy.triggers):
        if not trigger.judged:
            continue
        rate = policy.judge.flag_rate(trigger.limit)
        if 0 < trigger.limit < 1 and (error := FORMS["one_sample"].limit_error(rate)):
            message = f"at this limit the judge flags {rate:.3g} of the answers, which cannot be tested: {error}"
            report.problem(("triggers", position, "limit"), message, "lower the limit, or find a better judge")
        if trigger.action is Action.ROLLBACK and not policy.judge.accepted:
            message = "the judge's labels alone may not roll back here, so it will only hold"
            remedy = 'write [judge] accepted = true with the reason beside it, or labels = "person", or action = "hold"'
            report.problem(("triggers", position, "action"), message, remedy, WARNING)


def _lint_rollback(report: Report, position: int, trigger: Trigger) -> None:
    """H0 is "in every block": a low operational limit is broken by a bad minute, not by a bad release."""
    metric = METRICS.get(trigger.metric)
    operational = metric is not None and metric.family in (Family.REQUEST, Family.CALL)
    if operational and trigger.action is Action.ROLLBACK and trigger.limit < BAD_MINUTE:
        message = f"a bad minute above {trigger.limit:g} rolls everything back, though the week is within it"
        remedy = (
            f"hold or disable_execution at this limit; roll back at {BAD_MINUTE:g} or more, in a trigger of its own"
        )
        report.problem(("triggers", position, "action"), message, remedy, WARNING)


def _lint_overrides(report: Report, policy: Policy) -> None:
    overrides = policy.overrides
    _unique(report, "overrides", "who", overrides.who)
    if overrides.max_hours <= 0:
        report.problem(("overrides", "max_hours"), f"{overrides.max_hours:g} is no time", "write hours above 0")
    elif overrides.max_hours > LONG_OVERRIDE_HOURS:
        message = f"a trigger may be set aside for {overrides.max_hours / 24:g} days"
        report.problem(
            ("overrides", "max_hours"), message, f"at most {LONG_OVERRIDE_HOURS:g} keeps people looking", WARNING
        )
    known = {trigger.name for trigger in policy.triggers}
    for name in overrides.never:
        if name not in known:
            report.problem(
                ("overrides", "never"), f"{name!r} is no trigger here", f"one of {', '.join(sorted(known)) or 'none'}"
            )


def _lint_traffic(report: Report, policy: Policy) -> None:
    traffic = policy.traffic
    if traffic.per_minute < 0:
        report.problem(("traffic", "per_minute"), "is negative", "write 0 when it is not known")
    elif traffic.per_minute > MOST_A_MINUTE:
        report.problem(
            ("traffic", "per_minute"), f"{traffic.per_minute:g} is no traffic", f"write at most {MOST_A_MINUTE:g}"
        )
    for key in ("rated_share", "audited_share"):
        if not 0 < getattr(traffic, key) <= 1:
            report.problem(
                ("traffic", key), f"{getattr(traffic, key):g} is no share", "write a number in (0, 1]", ERROR
            )


def _lint_incidents(report: Report, policy: Policy) -> None:
    incidents = policy.incidents
    if incidents.reopen_minutes < 0:
        report.problem(("incidents", "reopen_minutes"), "is negative", "write 0 to open a new incident every time")
    if not 0 < incidents.serious_days <= 15:
        message = f"{incidents.serious_days:g} days is no time that a serious incident may wait"
        report.problem(
            ("incidents", "serious_days"), message, "write more than 0 and at most 15 (EU AI Act, Art. 73(2))"
        )
