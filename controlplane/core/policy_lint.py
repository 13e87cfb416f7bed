"""What a policy may not say although every value in it has the right type.

`lint` reports every rule that a policy breaks, each with the place, what is wrong and what to do. What passes without an error can be run:
limits are those that the evidence engine takes, metrics are those that a block counts, each trigger has a positive part of the error budget,
and its labels can be final while the rollout still grows. A warning is for what can be run and will disappoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isclose
from types import MappingProxyType
from typing import TYPE_CHECKING

from controlplane.core.evidence.forms import CERTIFICATES, FORMS
from controlplane.core.metrics import ALL_SEGMENTS, METRICS, Direction, Family
from controlplane.core.model import MetricKind
from controlplane.core.policy_effects import AUDIENCES
from controlplane.core.policy_lint_rules import WARNING, Report
from controlplane.core.policy_lint_tables import lint_tables
from controlplane.core.policy_lint_time import LabelDelay, lint_times
from controlplane.core.toml_lines import Path

if TYPE_CHECKING:
    from controlplane.core.policy import Certificate, Phase, Policy, Trigger

__all__ = ["AUDIENCES", "LabelDelay", "allowed_kinds", "lint"]

RESERVED = ("sample_ratio", "aa_shadow", "response_rate", "swapped_arms", "tripwire")
"""Names of the product's own checks in the ledger."""
SEPARATORS = frozenset("|:")
"""Streams are stored as `trigger:NAME|SEGMENT`."""
LABELS = ("any", "person")
MOST_PROBES = 10_000
_LOWEST = {
    "lateness_seconds": 0,
    "freshness_seconds": 1,
    "flag_max_age_seconds": 1,
    "client_poll_seconds": 0,
    "probes": 1,  # a cut that nothing has probed is not verified
    "verify_seconds": 1,
}


def lint(report: Report, policy: Policy, history: Mapping[str, LabelDelay] = MappingProxyType({})) -> None:
    """Report everything that `policy` must not, or had better not, say. `history`: how late labels came so far, by metric."""
    _lint_budget(report, policy)
    _lint_watch(report, policy)
    _lint_phases(report, policy)
    _lint_review(report, policy)
    for position, trigger in enumerate(policy.triggers):
        _lint_trigger(report, ("triggers", position), trigger)
    for position, certificate in enumerate(policy.certificates):
        _lint_certificate(report, ("certificates", position), certificate)
    _lint_names(report, "phases", policy.phases, ())
    _lint_names(report, "triggers", policy.triggers, ())
    _lint_names(report, "certificates", policy.certificates, [trigger.name for trigger in policy.triggers])
    lint_tables(report, policy)
    lint_times(report, policy, history)


def allowed_kinds(metric: str) -> tuple[MetricKind, ...]:
    """The kinds of test that a trigger on this metric may be; empty for a metric that no trigger may name."""
    return tuple(kind for kind in MetricKind if not _problems_of(metric, kind))


def _problems_of(metric: str, kind: MetricKind) -> list[str]:
    found: list[str] = []

    class Collect:
        def problem(self, path: Path, message: str, remedy: str, severity: str = "error") -> None:
            found.append(message)

    _lint_metric(Collect(), (), metric, kind)
    return found


def _lint_budget(report: Report, policy: Policy) -> None:
    for key in ("false_rollback", "certificate", "validity"):
        if not 0 < getattr(policy.budget, key) < 1:
            report.problem(("budget", key), "is not a probability", "write a number between 0 and 1")
    if policy.budget.horizon_weeks <= 0:
        remedy = "write the planned length of the rollout in weeks"
        report.problem(("budget", "horizon_weeks"), "is not positive", remedy)
    total = sum(trigger.weight for trigger in policy.triggers)
    if not policy.triggers:
        report.problem(
            ("triggers",), "there is none: no harm would ever stop the rollout", "write at least one [[triggers]]"
        )
    elif not isclose(total, 1.0, abs_tol=1e-9):
        remedy = "the weights share one error budget: make them sum to 1"
        report.problem(("triggers", 0, "weight"), f"the weights of all triggers sum to {total:g}", remedy)
    if not policy.assignment.salt:
        remedy = "write any fixed text; it must not change during the rollout"
        report.problem(("assignment", "salt"), "is empty", remedy)


def _lint_watch(report: Report, policy: Policy) -> None:
    for key, low in _LOWEST.items():
        if getattr(policy.watch, key) < low:
            report.problem(("watch", key), f"{getattr(policy.watch, key)} is too small", f"write at least {low}")
    if policy.watch.probes > MOST_PROBES:
        report.problem(
            ("watch", "probes"), f"{policy.watch.probes} would take for ever", f"write at most {MOST_PROBES}"
        )
    segments = policy.watch.segments
    if len(set(segments)) < len(segments) or {"", ALL_SEGMENTS} & set(segments):
        remedy = f"write the name of each segment once; '{ALL_SEGMENTS}' means all traffic"
        report.problem(("watch", "segments"), "are not segments of their own", remedy)
    if any(SEPARATORS & set(segment) for segment in segments):
        report.problem(
            ("watch", "segments"), "a name holds '|' or ':'", "evidence is stored under it: use another sign"
        )
    slowest = policy.watch.flag_max_age_seconds + policy.watch.client_poll_seconds
    if policy.watch.verify_seconds < slowest:
        message = f"clients may serve an older flag for {slowest} s, so a cut pages before it can be verified"
        report.problem(("watch", "verify_seconds"), message, f"write at least {slowest}", WARNING)


def _lint_phases(report: Report, policy: Policy) -> None:
    known = {certificate.name for certificate in policy.certificates}
    if not policy.phases:
        report.problem(("phases",), "there is none", "write at least one [[phases]] with shares")
    for position, phase in enumerate(policy.phases):
        _lint_phase(report, ("phases", position), phase, known)
    open_shares = [stage.share for stage in policy.stages if stage.audience != "employees"]
    if any(later < earlier for earlier, later in pairwise(open_shares)):
        report.problem(("phases",), "shares shrink from one phase to the next", "order the phases by their shares")


def _lint_review(report: Report, policy: Policy) -> None:
    review = policy.review
    unknown = sorted(set(review.phases) - {phase.name for phase in policy.phases})
    if unknown:
        known = ", ".join(phase.name for phase in policy.phases)
        report.problem(("review", "phases"), f"{', '.join(unknown)} is no phase here", f"of {known}")
    for key in ("share", "min_reviewed"):
        if not 0 < getattr(review, key) <= 1:
            report.problem(("review", key), f"{getattr(review, key)} is no share", "write a number in (0, 1]")
    if review.min_labelled < 1:
        remedy = "write at least 1, or leave phases empty to ask for nothing"
        report.problem(("review", "min_labelled"), f"{review.min_labelled} is too small", remedy)
    if not 0 <= review.min_correct < 1:
        remedy = "write a share below 1: no number of labels shows that all answers are correct"
        report.problem(("review", "min_correct"), f"{review.min_correct} cannot be shown", remedy)


def _lint_phase(report: Report, path: Path, phase: Phase, known: set[str]) -> None:
    if phase.audience not in AUDIENCES:
        report.problem((*path, "audience"), f"{phase.audience!r} is not known", f"one of {', '.join(AUDIENCES)}")
    rising = list(phase.shares) == sorted(set(phase.shares))
    if not phase.shares or not rising or not all(0 < share <= 1 for share in phase.shares):
        remedy = "write rising numbers in (0, 1], such as [0.05, 0.2]"
        report.problem((*path, "shares"), "are not rising shares", remedy)
    for key in ("min_minutes", "min_treated", "approvals"):
        if getattr(phase, key) < 0:
            report.problem((*path, key), "is negative", "write 0 to ask for nothing")
    for name in phase.certificates:
        if name not in known:
            report.problem((*path, "certificates"), f"{name!r} is not defined", "add a [[certificates]] of that name")


def _lint_names(report: Report, key: str, items: Sequence[Phase | Trigger | Certificate], taken: Sequence[str]) -> None:
    seen = set(taken)  # the counts of a block are told apart by these names
    for position, item in enumerate(items):
        if not item.name.strip() or SEPARATORS & set(item.name):
            remedy = "evidence is stored under it: write a word without '|' and ':'"
            report.problem((key, position, "name"), f"{item.name!r} is no name", remedy)
        if item.name in RESERVED and key != "phases":
            remedy = f"the product's own checks are called {', '.join(RESERVED)}"
            report.problem((key, position, "name"), f"{item.name!r} is reserved", remedy)
        if item.name in seen:
            remedy = "give each one a name of its own"
            report.problem((key, position, "name"), f"{item.name!r} stands twice", remedy)
        seen.add(item.name)


def _lint_trigger(report: Report, path: Path, trigger: Trigger) -> None:
    _lint_metric(report, path, trigger.metric, trigger.kind)
    _lint_spans(report, path, trigger)
    error = FORMS[str(trigger.kind)].limit_error(trigger.limit)
    if trigger.limit < 0 or error:
        report.problem((*path, "limit"), f"{trigger.limit:g} is impossible", error or "write 0 or more")
    if trigger.weight <= 0:
        remedy = "write a positive part of 1, or remove the trigger"
        report.problem((*path, "weight"), f"{trigger.weight:g} is no part of the error budget", remedy)
    if (trigger.metric == "slow_share") != (trigger.slo_ms is not None):
        report.problem((*path, "slo_ms"), "belongs to the metric slow_share, and only there", "add it or remove it")
    elif trigger.slo_ms is not None and trigger.slo_ms <= 0:
        report.problem((*path, "slo_ms"), f"{trigger.slo_ms:g} is impossible", "write milliseconds above 0")
    if (trigger.metric == "costly_share") != (trigger.cap_usd is not None):
        report.problem((*path, "cap_usd"), "belongs to the metric costly_share, and only there", "add it or remove it")
    elif trigger.cap_usd is not None and trigger.cap_usd <= 0:
        report.problem((*path, "cap_usd"), f"{trigger.cap_usd:g} is impossible", "write US dollars above 0")
    _lint_counting(report, path, trigger)


def _lint_counting(report: Report, path: Path, trigger: Trigger) -> None:
    if not 0 <= trigger.icc < 1:
        remedy = "write an intra-block correlation in [0, 1); 0 counts every unit in full"
        report.problem((*path, "icc"), f"{trigger.icc:g} is no correlation of units in a block", remedy)
    if trigger.labels not in LABELS:
        report.problem((*path, "labels"), f"{trigger.labels!r} is not known", f"one of {', '.join(LABELS)}")
    elif trigger.labels != "any" and (found := METRICS.get(trigger.metric)) and found.family is not Family.EVALUATION:
        remedy = "only evaluations carry labels of people: remove it"
        report.problem((*path, "labels"), f"{trigger.metric} is not labelled by anybody", remedy)


def _lint_certificate(report: Report, path: Path, certificate: Certificate) -> None:
    _lint_metric(report, path, certificate.metric, certificate.kind)
    _lint_spans(report, path, certificate)
    if str(certificate.kind) not in CERTIFICATES or certificate.margin <= 0:
        message = "a certificate compares two arms with a positive margin"
        report.problem((*path, "margin"), message, "use two_sample or rating")
    elif error := CERTIFICATES[str(certificate.kind)].limit_error(certificate.margin):
        report.problem((*path, "margin"), f"{certificate.margin:g} is impossible", error)


def _lint_spans(report: Report, path: Path, item: Trigger | Certificate) -> None:
    if item.block_seconds <= 0 or item.maturity_minutes < 0:
        report.problem((*path, "block_seconds"), "block and maturity cannot be negative", "write positive spans")


def _lint_metric(report: Report, path: Path, name: str, kind: MetricKind) -> None:
    known = {item.name: item for item in METRICS.values() if item.decides}
    found = known.get(name)
    if found is None:
        remedy = f"one of {', '.join(sorted(known))}"
        report.problem((*path, "metric"), f"{name!r} is not a metric that decides", remedy)
        return
    if (found.kind is MetricKind.RATING) != (kind is MetricKind.RATING):
        remedy = "ratings take rating, rates take two_sample, rate_ratio or one_sample"
        report.problem((*path, "kind"), f"{name} is counted as {found.kind}", remedy)
    elif kind is not MetricKind.RATING and found.direction is Direction.HIGHER:
        remedy = "the test would take an improvement for harm: name a metric that is better when lower"
        report.problem((*path, "metric"), f"{name} is better when it is higher", remedy)
    elif kind is not MetricKind.ONE_SAMPLE and not found.comparable:
        report.problem((*path, "metric"), f"the arms cannot be compared on {name}", "use kind one_sample")
