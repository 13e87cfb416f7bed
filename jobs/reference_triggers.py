"""The trigger catalogue: every metric that can decide, how, with which evidence, and what the shipped policy does with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from controlplane.core.evidence.forms import CERTIFICATES, FORMS
from controlplane.core.metrics import METRICS, Metric
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy import Policy, parse
from controlplane.core.policy_lint import RESERVED, allowed_kinds
from controlplane.core.policy_words import ACTION_WORDS, duration
from controlplane.settings import shipped_policy

FORM_WORDS: Mapping[str, tuple[str, str, str]] = {
    "two_sample": (
        "rate against the concurrent control",
        "treated rate - control rate <= limit, in every block",
        "xT ln(1+lT(1-p0T)) + (nT-xT) ln(1-lT p0T) + xC ln(1-lC(1-p0C)) + (nC-xC) ln(1+lC p0C), with p0T = p0C + limit, "
        "lT = L/nT, lC = L/nC, L = min(d/V, .95 nT/p0T, .95 nC/(1-p0C)), V = p0T(1-p0T)/nT + p0C(1-p0C)/nC",
    ),
    "rating": (
        "mean rating 1..5 against the concurrent control",
        "control mean - treated mean <= limit points, in every block",
        "the same on Y = (5 - rating)/4 with margin limit/4: one term per rating times its count",
    ),
    "one_sample": (
        "rate against an absolute limit",
        "treated rate <= limit, in every block",
        "x ln g + (n-x) ln((1 - g limit)/(1 - limit))",
    ),
    "rate_ratio": (
        "rare counts against the concurrent control",
        "treated rate <= limit times the control's, in every block",
        "xT ln r - (xT+xC) ln(1 + p0(r-1)), with p0 = nT limit/(nT limit + nC)",
    ),
    "sample_ratio": (
        "units on the arms against the configured share",
        "units fall on the treated arm with exactly the configured share",
        "nT ln r - (nT+nC) ln(1 + share(r-1))",
    ),
}
CHECKS: Mapping[str, str] = {
    "sample_ratio": "units fall on the arms as configured; holds",
    "aa_shadow": "the control arm, split by another salt, shows no difference; holds, and turns two-sample rollbacks into hold and page",
    "response_rate": "the arms' CSAT response rates differ by no more than `validity.response_margin`; holds",
    "swapped_arms": "synthetic customers are served the arm that is logged for them; holds",
    "tripwire": "one confirmed severe misrouting sends its category to people at once",
}


def page() -> str:
    """The page as Markdown."""
    policy = parse(shipped_policy("default"), "default.toml")
    lines = ["# Trigger catalogue", "", *_intro(policy), "", "## Metrics that can decide", ""]
    head = "| metric | better | unit | test | label final after | guarantee | in the default policy |"
    lines += [head, "|" + " --- |" * head.count(" |")]
    lines += [_row(item, policy) for item in METRICS.values() if item.decides]
    lines += [
        "",
        "## Tests",
        "",
        "| test | compares | null hypothesis | bets | log e-value of a block |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += _forms()
    lines += ["", "## What a firing does", "", "| action | what follows |", "| --- | --- |"]
    lines += [f"| `{action.value}` | {ACTION_WORDS[action].format(rollback_to='the baseline')} |" for action in Action]
    lines += [
        "",
        "## The product's own checks",
        "",
        "They are no triggers and take no part of the rollback budget; the names are reserved.",
        "",
    ]
    lines += ["| name | what it says |", "| --- | --- |", *(f"| `{name}` | {CHECKS[name]} |" for name in RESERVED)]
    return "\n".join(lines) + "\n"


def _intro(policy: Policy) -> Iterator[str]:
    yield (
        "A trigger names a metric, a test and a limit. Each of its streams (all traffic, and each watched segment) gathers the e-values of "
        "closed blocks and may begin again in each of them; it fires when the evidence reaches 1/alpha of the stream. Counts: `n` units, "
        "`x` events, `T` treated, `C` control; `p0C` is the control's rate in earlier blocks."
    )
    yield ""
    yield (
        f"The default policy promises that a release within all its limits is stopped with a probability of at most "
        f"{policy.budget.false_rollback:.0%} over {policy.budget.horizon_weeks:g} weeks."
    )


def _row(item: Metric, policy: Policy) -> str:
    kinds = ", ".join(f"`{kind.value}`" for kind in allowed_kinds(item.name)) or "none: better when higher"
    exact = "exact" if item.exact else "approximate: units may depend on each other"
    unit = item.unit
    cells = (
        f"`{item.name}`: {item.numerator} / {item.denominator}",
        item.direction.value,
        unit,
        kinds,
        duration(item.maturity.total_seconds() / 60) if item.maturity else "at once",
        exact,
        "<br>".join(_defaults(item.name, policy)) or "-",
    )
    return f"| {' | '.join(cells)} |"


def _defaults(metric: str, policy: Policy) -> Iterator[str]:
    for trigger in policy.triggers:
        if trigger.metric == metric:
            slo = f" over {trigger.slo_ms:g} ms" if trigger.slo_ms else ""
            slo += f" over {trigger.cap_usd:g} USD" if trigger.cap_usd else ""
            people = ", labels of people" if trigger.labels == "person" else ""
            yield (
                f"`{trigger.name}`: {trigger.kind} limit {_limit(trigger.kind, trigger.limit)}{slo}, {trigger.action}, weight {trigger.weight:g}, "
                f"judged after {duration(trigger.maturity_minutes) if trigger.maturity_minutes else 'the block'}{people}"
            )


def _limit(kind: MetricKind, limit: float) -> str:
    if kind is MetricKind.RATE_RATIO:
        return f"{limit:g} times"
    return (
        f"{limit:g} points"
        if kind is MetricKind.RATING
        else f"{limit * 100:g} {'%' if kind is MetricKind.ONE_SAMPLE else 'points'}"
    )


def _forms() -> Iterator[str]:
    limits = {"one_sample": 0.01, "rate_ratio": 1.0, "sample_ratio": 1.0}
    for kind, form in FORMS.items():
        compares, null, formula = FORM_WORDS[kind]
        bets = ", ".join(f"{bet:g}" for bet in form.bets(limits.get(kind, 0.02)))
        yield f"| `{kind}` | {compares} | {null} | {bets} | {formula} |"
    for kind, form in CERTIFICATES.items():
        compares, _, _ = FORM_WORDS[kind]
        bets = ", ".join(f"{bet:g}" for bet in form.bets(0.02))
        yield (
            f"| certificate `{kind}` | {compares} | treated is worse by the margin or more | {bets} | the same with the signs reversed; "
            "plain product, certified at 1/`budget.certificate` |"
        )
