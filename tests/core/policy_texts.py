"""Policies for the tests of lint, diff, forecast and words: one text with every table, edits of it, and random ones for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

TEXT = """schema = 1
name = "whole"
owner = "ann"
baseline = "menu"
release = "v2.*"

[budget]
false_rollback = 0.01
certificate = 0.05
horizon_weeks = 10
validity = 0.01

[assignment]
salt = "s1"
low_risk_intents = ["fees", "balance"]
unit = "customer"
exclude_intents = ["fraud"]
exclude_segments = ["minors"]

[watch]
lateness_seconds = 30
probes = 5
segments = ["retail", "business"]
verify_seconds = 60

[evaluation]
required = true
criteria = "support"

[serving]
compare_with = "menu"
rollback_to = "menu"

[validity]
sample_ratio = true
aa_shadow = true
response_margin = 0.1
swapped_arms = true
block_seconds = 900

[judge]
sample_base = 0.05
sample_alert = 1.0
sample_at_evidence = 0.01
sensitivity = 0.9
specificity = 0.97
accepted = true

[decisions]
cooldown_minutes = 30
tripwire = true
backtest_required = false

[overrides]
who = ["ann", "ben"]
max_hours = 12
never = ["unsafe"]

[traffic]
per_minute = 200
rated_share = 0.2
audited_share = 0.02

[[phases]]
name = "internal"
audience = "employees"
shares = [1.0]

[[phases]]
name = "canary"
audience = "low_risk"
shares = [0.05]
min_minutes = 1500
min_treated = 100
certificates = ["escalation"]
approvals = 1

[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.2, 0.5]
min_minutes = 2000
certificates = ["escalation"]
approvals = 2

[[phases]]
name = "full"
audience = "eligible"
shares = [0.97]

[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = 0.2
maturity_minutes = 1440
block_seconds = 900
weight = 0.25
action = "rollback"

[[triggers]]
name = "escalation_increase"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.02
maturity_minutes = 120
weight = 0.25
action = "rollback"

[[triggers]]
name = "hallucination"
metric = "hallucination_rate"
kind = "one_sample"
limit = 0.04
maturity_minutes = 5
weight = 0.2
action = "rollback"

[[triggers]]
name = "slow"
metric = "slow_share"
kind = "one_sample"
limit = 0.06
slo_ms = 4000
icc = 0.01
by_segment = false
weight = 0.2
action = "hold"

[[triggers]]
name = "unsafe"
metric = "misrouting_rate"
kind = "one_sample"
limit = 0.015
labels = "person"
maturity_minutes = 61
weight = 0.1
action = "disable_execution"

[[certificates]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.019
maturity_minutes = 121
"""


def edited(old: str, new: str, text: str = TEXT) -> str:
    """The text with one change, which must be possible in one place only."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def line_of(text: str, mark: str) -> int:
    """Line of a mark that stands once."""
    assert text.count(mark) == 1, mark
    return text[: text.index(mark)].count("\n") + 1


_KINDS = {
    "two_sample": (("escalation_rate", "contact_rate", "timeout_rate"), st.sampled_from([0.005, 0.02, 0.05, 0.2])),
    "rating": (("csat",), st.sampled_from([0.1, 0.3, 1.0])),
    "rate_ratio": (("escalation_rate", "misrouting_rate", "timeout_rate"), st.sampled_from([1.0, 1.5, 3.0])),
    "one_sample": (
        ("hallucination_rate", "misrouting_rate", "api_error_rate", "timeout_rate"),
        st.sampled_from([0.0005, 0.01, 0.05, 0.3, 0.7]),
    ),
}


@st.composite
def _trigger(draw: Any, number: int, weight: float) -> str:
    kind = draw(st.sampled_from(sorted(_KINDS)))
    metrics, limits = _KINDS[kind]
    return (
        f'[[triggers]]\nname = "t{number}"\nkind = "{kind}"\nmetric = "{draw(st.sampled_from(metrics))}"\n'
        f'limit = {draw(limits)}\nweight = {weight!r}\naction = "{draw(st.sampled_from(["page", "hold", "rollback"]))}"\n'
        f"maturity_minutes = {draw(st.sampled_from([0, 5, 120, 1440]))}\nblock_seconds = {draw(st.sampled_from([60, 900, 7200]))}\n"
        f"icc = {draw(st.sampled_from([0.0, 0.05]))}\nby_segment = {str(draw(st.booleans())).lower()}\n"
    )


@st.composite
def policies(draw: Any) -> str:
    """A policy text that lints without an error."""
    shares = sorted(draw(st.sets(st.sampled_from([0.01, 0.05, 0.2, 0.5, 0.97, 1.0]), min_size=1, max_size=4)))
    parts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    segments = draw(st.sampled_from(["[]", '["a"]', '["a", "b", "c"]']))
    certificates = draw(st.booleans())
    asked = '["shown"]' if certificates else "[]"
    text = (
        f'schema = 1\nname = "random"\nowner = "o"\nbaseline = "menu"\n'
        f"[budget]\nfalse_rollback = {draw(st.sampled_from([0.001, 0.01, 0.2]))}\nhorizon_weeks = {draw(st.sampled_from([2, 10, 52]))}\n"
        f'[assignment]\nsalt = "s"\nlow_risk_intents = ["fees"]\n[watch]\nsegments = {segments}\n'
        f"[judge]\naccepted = {str(draw(st.booleans())).lower()}\nsensitivity = 0.9\nspecificity = 0.99\n"
        f"[traffic]\nper_minute = {draw(st.sampled_from([0, 3, 500]))}\n"
        f'[[phases]]\nname = "canary"\naudience = "low_risk"\nshares = [0.01]\nmin_minutes = 1600\ncertificates = {asked}\n'
        f'[[phases]]\nname = "ramp"\naudience = "eligible"\nshares = {shares}\n'
    )
    text += "".join(draw(_trigger(i, part / sum(parts))) for i, part in enumerate(parts))
    if certificates:
        text += (
            '[[certificates]]\nname = "shown"\nmetric = "csat"\nkind = "rating"\nmargin = 0.2\nmaturity_minutes = 60\n'
        )
    return text
