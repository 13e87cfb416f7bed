"""The reference page of the policy file: every key with its type, default and meaning. A key without a description stops the generator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from inspect import cleandoc
from typing import Any

from controlplane.core import policy as policy_module

SECTIONS: Mapping[str, Any] = {
    "budget": policy_module.Budget,
    "assignment": policy_module.Assignment,
    "watch": policy_module.Watch,
    "evaluation": policy_module.Evaluation,
    "review": policy_module.Review,
    "serving": policy_module.Serving,
    "validity": policy_module.Validity,
    "judge": policy_module.Judge,
    "decisions": policy_module.Decisions,
    "overrides": policy_module.Overrides,
    "traffic": policy_module.Traffic,
    "drift": policy_module.Drift,
    "programme": policy_module.Programme,
    "incidents": policy_module.Incidents,
    "phases": policy_module.Phase,
    "triggers": policy_module.Trigger,
    "certificates": policy_module.Certificate,
}
LISTS = ("phases", "triggers", "certificates")

HEADS = {
    "schema": "version of this format; 1",
    "name": "name of the policy in the record",
    "owner": "who answers for it",
    "baseline": "what serves customers that are not drawn",
    "release": "pattern of the release names it is for, such as `v2.*`; empty: any",
}
_BUDGET = {
    "budget.false_rollback": "probability, over the whole planned rollout, that any trigger ever stops a release within its limits",
    "budget.certificate": "probability that a promotion certificate is wrong",
    "budget.horizon_weeks": "planned length of the rollout, which the promise covers",
    "budget.validity": "probability that the checks of the comparison stop a sound rollout; they never roll back",
}
_ASSIGNMENT = {
    "assignment.salt": "any fixed text; changing it draws all customers anew",
    "assignment.low_risk_intents": "first intents that the audience `low_risk` may be exposed on",
    "assignment.unit": "what is drawn: `customer`",
    "assignment.exclude_intents": "first intents that keep the baseline in every phase",
    "assignment.exclude_segments": "segments that keep the baseline in every phase",
}
_WATCH = {
    "watch.lateness_seconds": "how far behind a producer may be before a block closes",
    "watch.freshness_seconds": "data older than this holds the ramp",
    "watch.flag_max_age_seconds": "a client serves the baseline when its flag is older",
    "watch.client_poll_seconds": "clients read the flag again within this time",
    "watch.probes": "synthetic customers that verify a cut",
    "watch.segments": "segments with streams of their own; they share half of each trigger's budget",
    "watch.verify_seconds": "a cut that is not verified by then pages, and is tried again until it is",
}
_SHOWING = {
    "evaluation.required": "whether a release needs a passing evaluation of exactly its artefacts",
    "evaluation.criteria": "name or hash of the criteria it must pass under; empty: any registered ones",
    "review.phases": "phases in which people look at a sample of the answers before the gate opens",
    "review.share": "share of the answers that is queued for them",
    "review.min_labelled": "answers that must be labelled",
    "review.min_reviewed": "share of the queue that must be labelled",
    "review.min_correct": "least lower end (95 %) of the share of correct answers",
    "serving.compare_with": "who serves the control: `menu`, or `accepted` (the release that was COMPLETE before)",
    "serving.rollback_to": "who serves everybody after a rollback: `menu` or `accepted`",
}
_CHECKS = {
    "validity.sample_ratio": "watch whether customers fall on the arms as configured",
    "validity.aa_shadow": "watch two halves of the control; an alarm turns two-sample rollbacks into hold and page",
    "validity.response_margin": "largest difference of the arms' CSAT response rates; 0: not watched",
    "validity.swapped_arms": "probe that synthetic customers are served the arm that is logged for them",
    "validity.block_seconds": "length of the blocks of these checks",
    "judge.sample_base": "share of the answers that is judged in quiet times",
    "judge.sample_alert": "share that is judged while the evidence of hallucination is at least `sample_at_evidence`",
    "judge.sample_at_evidence": "evidence E (an e-value, not its logarithm) that raises the sampling",
    "judge.sensitivity": "share of ungrounded answers that the judge flags, measured against people",
    "judge.specificity": "share of grounded answers that the judge passes, measured against people",
    "judge.accepted": "whether the judge's labels alone may roll back; else such a trigger only holds",
    "decisions.cooldown_minutes": "after an automatic action nobody grows or restarts before this has passed",
    "decisions.tripwire": "whether one confirmed severe misrouting sends its category to people at once",
    "decisions.backtest_required": "whether a release starts only with a backtest that kept the policy's promise",
    "overrides.who": "people who may set a trigger aside; empty: any",
    "overrides.max_hours": "longest override",
    "overrides.never": "triggers that nobody may set aside",
    "traffic.per_minute": "expected eligible units a minute, both arms, for lint and plan; 0: not known",
    "traffic.rated_share": "share of them with a rating",
    "traffic.audited_share": "share of the treated whose route a person audits",
}
_PRACTICES = {
    "drift.reference": "what the present is compared with: `accepted`, `previous`, `year` or the name of a registered window",
    "drift.window_days": "length of the monthly analysis' windows",
    "drift.numeric": "Wasserstein distance, in reference standard deviations, from which a numeric column has drifted",
    "drift.categorical": "Jensen-Shannon distance (natural logarithm) from which a categorical column has drifted",
    "drift.missing": "rise of the share of missing values that is drift",
    "drift.alpha": "family-wise level of the tests over all columns",
    "drift.min_rows": "rows a side below which a column is inconclusive",
    "drift.alert_columns": "columns whose drift alerts; empty: any",
    "programme.csat_margin": "rating points that still count as not worse than the menu",
    "programme.misclassification_margin": "how much larger the share of wrong intents may be than the menu's share of wrong categories",
    "programme.escalation_margin": "how much larger the share of escalated conversations may be",
    "programme.resolution_time_margin": "how much longer a resolution may take, as a share of the menu's time",
    "programme.level": "confidence level of the intervals behind the weekly verdicts",
    "programme.monthly_budget_usd": "what the model may cost a month; 0: no budget was set",
    "programme.owners": "who signs a weekly review; empty: any person",
    "incidents.review_before_restart": "whether the incidents of a rolled-back release must be reviewed, not only resolved, before the next starts",
    "incidents.learn_before_restart": "whether the required evaluation must hold conversations of every incident that rolled back",
    "incidents.reopen_minutes": "the same cause that comes back so soon after a resolution reopens its incident",
    "incidents.serious_days": "a serious incident is to be reported to the authority within this time",
}
_PHASES = {
    "phases.name": "name of the phase",
    "phases.audience": "`employees`, `low_risk` (first intents of that list) or `eligible`",
    "phases.shares": "the stages: rising shares of the audience",
    "phases.min_minutes": "least time in each stage",
    "phases.min_treated": "least treated customers in each stage",
    "phases.certificates": "certificates that the gate asks for",
    "phases.approvals": "people, other than the release's author, who must approve",
}
_TRIGGERS = {
    "triggers.name": "name of the trigger in the record; no `|` or `:`",
    "triggers.metric": "a metric that decides, see the trigger catalogue",
    "triggers.kind": "`two_sample`, `rating` or `one_sample`",
    "triggers.limit": "margin on the rate, rating points that may be lost, or absolute rate",
    "triggers.weight": "part of `budget.false_rollback`; all weights sum to 1",
    "triggers.action": "`page`, `hold`, `disable_execution` or `rollback`",
    "triggers.block_seconds": "length of a block; at least 60 where arms are compared",
    "triggers.maturity_minutes": "age at which a label is final and a block is judged",
    "triggers.cap_usd": "what a first request may cost, of `costly_share`, and only of it",
    "triggers.slo_ms": "objective of `slow_share`, and only of it",
    "triggers.icc": "intra-block correlation from an A/A period; above 0 the guarantee is approximate",
    "triggers.by_segment": "whether the policy's segments have streams of their own",
    "triggers.labels": "evaluation metrics: `any` label counts, or only those of a `person`",
}
_CERTIFICATES = {
    "certificates.name": "name that phases ask for",
    "certificates.metric": "a metric on which the arms can be compared",
    "certificates.kind": "`two_sample` or `rating`",
    "certificates.margin": "the treated arm is shown to be not worse by this or more",
    "certificates.block_seconds": "as for triggers",
    "certificates.maturity_minutes": "as for triggers",
}
KEYS = _BUDGET | _ASSIGNMENT | _WATCH | _SHOWING | _CHECKS | _PRACTICES | _PHASES | _TRIGGERS | _CERTIFICATES


def page() -> str:
    """The page as Markdown. KeyError names a key that has no description."""
    lines = [
        "# Keys of a policy",
        "",
        "One TOML file; `controlplane policy lint FILE` names every problem with its line, `policy explain FILE` says it in plain words.",
        "",
        "## Top level",
        "",
        "| key | meaning |",
        "| --- | --- |",
        *(f"| `{key}` | {text} |" for key, text in HEADS.items()),
    ]
    for name, kind in SECTIONS.items():
        title = f"[[{name}]]" if name in LISTS else f"[{name}]"
        lines += ["", f"## {title}", "", cleandoc(kind.__doc__ or ""), ""]
        lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
        for item in fields(kind):
            default = "required" if item.default is MISSING else f"`{_toml(item.default)}`"
            lines.append(f"| `{item.name}` | {_type(str(item.type))} | {default} | {KEYS[f'{name}.{item.name}']} |")
    return "\n".join(lines) + "\n"


def _type(name: str) -> str:
    """The type in the words of TOML."""
    words = {"float": "number", "int": "whole number", "str": "text", "bool": "true or false", "float | None": "number"}
    lists = {"tuple[str, ...]": "list of texts", "tuple[float, ...]": "list of numbers"}
    return (words | lists).get(name, "word")


def _toml(value: object) -> str:
    """A default as it would stand in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return "not set" if value is None else f'"{value}"' if isinstance(value, str) else f"{value:g}"
