"""Every rule of the linter beside plain types: the place, the words, and how bad it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.metrics import METRICS
from controlplane.core.model import MetricKind
from controlplane.core.policy import PolicyError, Problem, check, parse, warnings
from controlplane.core.policy_lint import RESERVED, LabelDelay, allowed_kinds
from controlplane.core.streams import stream_limit
from tests.core.policy_texts import TEXT, edited, line_of, policies


def problems(text: str) -> list[Problem]:
    """Errors and warnings, whether the text is refused or not."""
    return list(check(parse(text, in_force=True)))


def test_the_whole_policy_has_nothing_to_complain_about() -> None:
    assert problems(TEXT) == []


# what is changed, into what, the key that is named, words of the message or the remedy
ERRORS = [
    ("validity = 0.01", "validity = 0", "budget.validity", "not a probability"),
    ("validity = 0.01", "validity = 1.0", "budget.validity", "not a probability"),
    ('unit = "customer"', 'unit = "session"', "assignment.unit", "one of customer"),
    ('["fees", "balance"]', '["fees", "fees"]', "assignment.low_risk_intents", "repeated"),
    (
        'exclude_intents = ["fraud"]',
        'exclude_intents = ["fees"]',
        "assignment.exclude_intents",
        "low-risk and excluded",
    ),
    ('exclude_segments = ["minors"]', 'exclude_segments = [""]', "assignment.exclude_segments", "empty"),
    ('compare_with = "menu"', 'compare_with = "nobody"', "serving.compare_with", "one of menu, accepted"),
    ('rollback_to = "menu"', 'rollback_to = "none"', "serving.rollback_to", "one of menu, accepted"),
    ("response_margin = 0.1", "response_margin = 1", "validity.response_margin", "impossible"),
    ("response_margin = 0.1", "response_margin = -0.1", "validity.response_margin", "0 to watch none"),
    ("swapped_arms = true\nblock_seconds = 900", "block_seconds = 0", "validity.block_seconds", "too short"),
    ("sample_base = 0.05", "sample_base = 0", "judge.sample_base", "no share"),
    ("sample_alert = 1.0", "sample_alert = 1.1", "judge.sample_alert", "no share"),
    ("sample_alert = 1.0", "sample_alert = 0.01", "judge.sample_alert", "less than in quiet times"),
    ("sample_at_evidence = 0.01", "sample_at_evidence = 0", "judge.sample_at_evidence", "impossible"),
    ("sensitivity = 0.9", "sensitivity = 1.2", "judge.sensitivity", "no share"),
    ("specificity = 0.97", "specificity = 0.1", "judge.specificity", "a coin"),
    ("specificity = 0.97", "specificity = 0.15", "triggers.2.limit", "cannot be tested"),
    ("cooldown_minutes = 30", "cooldown_minutes = -1", "decisions.cooldown_minutes", "negative"),
    ("max_hours = 12", "max_hours = 0", "overrides.max_hours", "no time"),
    ('who = ["ann", "ben"]', 'who = ["ann", "ann"]', "overrides.who", "repeated"),
    ('never = ["unsafe"]', 'never = ["unsave"]', "overrides.never", "'unsave' is no trigger here"),
    ("per_minute = 200", "per_minute = -1", "traffic.per_minute", "negative"),
    ("rated_share = 0.2", "rated_share = 0", "traffic.rated_share", "no share"),
    ("audited_share = 0.02", "audited_share = 2", "traffic.audited_share", "no share"),
    ("verify_seconds = 60", "verify_seconds = 0", "watch.verify_seconds", "at least 1"),
    ("verify_seconds = 60", "verify_seconds = 1000000000", "watch.verify_seconds", "longer than ten years"),
    ("cooldown_minutes = 30", "cooldown_minutes = 1e300", "decisions.cooldown_minutes", "longer than ten years"),
    ("max_hours = 12", "max_hours = 1e6", "overrides.max_hours", "longer than ten years"),
    ("per_minute = 200", "per_minute = 1e300", "traffic.per_minute", "no traffic"),
    ('segments = ["retail", "business"]', 'segments = ["retail|x", "business"]', "watch.segments", "'|'"),
    ('release = "v2.*"', 'release = "  "', "release", "names no release"),
    ('release = "v2.*"', 'release = "v[2"', "release", "nothing closes"),
    ("icc = 0.01", "icc = 1", "triggers.3.icc", "no correlation"),
    ("icc = 0.01", "icc = -0.1", "triggers.3.icc", "no correlation"),
    ('labels = "person"', 'labels = "people"', "triggers.4.labels", "one of any, person"),
    ("slo_ms = 4000", 'slo_ms = 4000\nlabels = "person"', "triggers.3.labels", "not labelled by anybody"),
    ('name = "slow"', 'name = "slow|all"', "triggers.3.name", "is no name"),
    ('name = "slow"', 'name = " "', "triggers.3.name", "is no name"),
    (
        "maturity_minutes = 120\n",
        "maturity_minutes = 4000\n",
        "triggers.1.maturity_minutes",
        "can't mature inside its phase",
    ),
    ("maturity_minutes = 120\n", "maturity_minutes = 100800\n", "triggers.1.maturity_minutes", "behind the horizon"),
    ("maturity_minutes = 121\n", "maturity_minutes = 1501\n", "phases.1.min_minutes", "first block after 1502 minutes"),
    ("maturity_minutes = 120\n", "maturity_minutes = 120\nblock_seconds = 5\n", "triggers.1.block_seconds", "two arms"),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), ERRORS, ids=[f"{m[2]}:{m[1][:24]!r}" for m in ERRORS])
def test_an_error_is_named_with_its_place_and_a_remedy(old: str, new: str, key: str, words: str) -> None:
    text = edited(old, new)
    with pytest.raises(PolicyError) as caught:
        parse(text, "my.toml")
    found = [problem for problem in caught.value.problems if problem.key == key and problem.severity == "error"]
    assert len(found) == 1, caught.value
    assert words in f"{found[0].message}; {found[0].remedy}"
    assert str(caught.value).count(f"my.toml:{found[0].line}: {key}: ") == 1


@pytest.mark.parametrize("name", RESERVED)
def test_names_of_the_products_own_checks_are_reserved(name: str) -> None:
    with pytest.raises(PolicyError, match=f"'{name}' is reserved"):
        parse(edited('name = "slow"', f'name = "{name}"'))
    with pytest.raises(PolicyError, match="reserved"):
        parse(
            edited("margin = 0.019", "margin = 0.019").replace(
                'certificates]]\nname = "escalation"', f'certificates]]\nname = "{name}"'
            )
        )


def test_a_policy_without_triggers_stops_no_harm() -> None:
    text = TEXT[: TEXT.index("[[triggers]]")] + TEXT[TEXT.index("[[certificates]]") :]
    with pytest.raises(PolicyError) as caught:
        parse(text)
    found = {problem.key: problem for problem in caught.value.problems}
    assert "there is none" in found["triggers"].message
    assert "one of none" in found["overrides.never"].remedy


def test_a_policy_that_exposes_nobody_is_warned_of() -> None:
    text = TEXT
    for audience in ("low_risk", "eligible"):
        text = text.replace(f'audience = "{audience}"', 'audience = "employees"')
    assert text != TEXT
    assert [p.key for p in problems(text) if "nobody but employees" in p.message] == ["phases"]


WARNINGS = [
    ('criteria = "support"', 'criteria = ""', "evaluation.criteria", "any registered criteria"),
    ("accepted = true", "accepted = false", "triggers.2.action", "it will only hold"),
    ("verify_seconds = 60", "verify_seconds = 6", "watch.verify_seconds", "at least 10"),
    ('action = "hold"', 'action = "rollback"', "triggers.3.action", "a bad minute"),
    ("sample_ratio = true", "sample_ratio = false", "validity.sample_ratio", "unseen"),
    ("max_hours = 12", "max_hours = 400", "overrides.max_hours", "at most 168"),
    ('exclude_segments = ["minors"]', 'exclude_segments = ["retail"]', "watch.segments", "retail is excluded"),
    ('low_risk_intents = ["fees", "balance"]\n', "", "assignment.low_risk_intents", "exposes nobody"),
    ("horizon_weeks = 10", "horizon_weeks = 0.3", "budget.horizon_weeks", "longer than the planned"),
    ("shares = [0.97]", "shares = [1]", "phases.3.shares", "nobody is left to compare with"),
    ("maturity_minutes = 120\n", "maturity_minutes = 60\n", "triggers.1.maturity_minutes", "final after 120 minutes"),
    ("maturity_minutes = 121\n", "maturity_minutes = 1500\n", "phases.1.min_minutes", "first block after 1501"),
    ("margin = 0.019", "margin = 0.03", "certificates.0.margin", "'escalation_increase' is there to stop"),
    ("per_minute = 200", "per_minute = 20", "triggers.1.block_seconds", "write block_seconds = 540 or more"),
    (
        'min_minutes = 2000\ncertificates = ["escalation"]\napprovals = 2',
        "",
        "phases.2.min_minutes",
        "asks for nothing",
    ),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), WARNINGS, ids=[f"{m[2]}:{m[1][:24]!r}" for m in WARNINGS])
def test_a_warning_is_named_and_stops_nothing(old: str, new: str, key: str, words: str) -> None:
    policy = parse(edited(old, new))
    found = [problem for problem in warnings(policy) if problem.key == key]
    assert len(found) == 1, warnings(policy)
    assert words in f"{found[0].message}; {found[0].remedy}"
    assert found[0].text("p.toml").startswith(f"p.toml:{found[0].line}: {key}: warning: ")


def test_a_certificate_that_no_gate_asks_for_is_told() -> None:
    (found,) = warnings(parse(TEXT.replace('certificates = ["escalation"]\n', "")))
    assert (found.key, found.message) == ("certificates.0.name", "no gate asks for it")


def test_warnings_point_at_their_line() -> None:
    text = edited("margin = 0.019", "margin = 0.03")
    (found,) = warnings(parse(text))
    assert found.line == line_of(text, "margin = 0.03")


def test_a_page_may_come_late_but_not_unsaid() -> None:
    late = edited("maturity_minutes = 120\n", "maturity_minutes = 4000\n")
    head, tail = late.split('name = "escalation_increase"')
    paged = f'{head}name = "escalation_increase"{tail.replace("rollback", "page", 1)}'
    assert [item.key for item in warnings(parse(paged))] == ["triggers.1.maturity_minutes"]


@pytest.mark.parametrize("minutes", [3999, 3998])
def test_the_time_of_a_phase_is_that_of_all_its_gated_stages(minutes: int) -> None:
    """`ramp` has two stages of 2,000 minutes with a gate each; a block of a minute must close inside them."""
    text = edited("maturity_minutes = 120\n", f"maturity_minutes = {minutes}\n")
    assert not [item for item in problems(text) if item.severity == "error"]


def test_the_only_phase_with_customers_is_open_ended() -> None:
    """Nothing follows its last stage, so a label may mature there until the horizon."""
    parts = TEXT.split("[[")
    text = "[[".join(part for part in parts if not part.startswith("phases") or '"ramp"' in part)
    text = text.replace("maturity_minutes = 120\n", "maturity_minutes = 9000\n")
    assert parse(text).stages[-1].share == 0.5


def test_history_replaces_the_usual_maturity_by_what_was_seen() -> None:
    policy = parse(edited("maturity_minutes = 120\n", "maturity_minutes = 60\n"))
    late = check(policy, {"escalation_rate": LabelDelay(90.0, 1000)})
    assert [(item.key, item.severity) for item in late] == [("triggers.1.maturity_minutes", "error")]
    assert "95% of 1000 labels so far came within 90 minutes" in late[0].message
    assert check(policy, {"escalation_rate": LabelDelay(45.0, 1000)}) == ()  # theirs are sooner than usual: no warning
    assert [item.severity for item in check(policy)] == ["warning"]


def test_what_is_in_force_stays_readable_for_a_newer_linter() -> None:
    text = edited("max_hours = 12", "max_hours = 0")
    with pytest.raises(PolicyError):
        parse(text)
    assert parse(text, in_force=True).overrides.max_hours == 0
    with pytest.raises(PolicyError, match="unknown key"):
        parse(edited("max_hours = 12", "max_hour = 12"), in_force=True)


@pytest.mark.parametrize(
    ("sensitivity", "specificity", "expected"), [(1, 1, 0.04), (0.9, 0.97, 0.0648), (0.5, 1, 0.02)]
)
def test_the_judges_flag_rate_at_the_limit(sensitivity: float, specificity: float, expected: float) -> None:
    text = TEXT.replace("sensitivity = 0.9", f"sensitivity = {sensitivity}").replace(
        "0.97\naccepted", f"{specificity}\naccepted"
    )
    policy = parse(text)
    assert policy.judge.flag_rate(0.04) == pytest.approx(expected)
    assert stream_limit(policy, policy.triggers[2]) == policy.judge.flag_rate(0.04)  # what the engine tests


def test_the_kinds_of_a_metric_are_those_that_the_linter_lets_pass() -> None:
    assert allowed_kinds("csat") == (MetricKind.RATING,)
    assert allowed_kinds("hallucination_rate") == (MetricKind.ONE_SAMPLE,)
    assert allowed_kinds("escalation_rate") == (MetricKind.TWO_SAMPLE, MetricKind.RATE_RATIO, MetricKind.ONE_SAMPLE)
    assert allowed_kinds("resolution_rate") == ()  # better when higher
    assert not any(allowed_kinds(item.name) for item in METRICS.values() if not item.decides)


@given(policies())
@settings(deadline=None, max_examples=40)
def test_what_lints_without_error_has_only_warnings_and_says_them_twice_alike(text: str) -> None:
    policy = parse(text)
    found = check(policy)
    assert found == check(policy) == warnings(policy)
    assert all(item.severity == "warning" and item.message and item.remedy for item in found)
    assert [item.line for item in found] == sorted(item.line for item in found)


@given(st.integers(0, 4000), st.integers(60, 3600), st.integers(0, 2000), st.integers(1, 3))
@settings(deadline=None, max_examples=60)
def test_a_label_matures_in_some_phase_or_is_refused(maturity: int, block: int, minutes: int, stages: int) -> None:
    """Against the rule told by a calendar: an early phase with `stages` gates of `minutes`, and an end without a gate."""
    shares = [0.1, 0.2, 0.3][:stages]
    text = (
        'schema = 1\nname = "n"\nowner = "o"\nbaseline = "b"\nassignment = { salt = "s" }\n'
        f'[[phases]]\nname = "early"\naudience = "eligible"\nshares = {shares}\nmin_minutes = {minutes}\n'
        '[[phases]]\nname = "end"\naudience = "eligible"\nshares = [0.9]\n'
        '[[triggers]]\nname = "t"\nmetric = "timeout_rate"\nkind = "one_sample"\nlimit = 0.2\nweight = 1.0\naction = "rollback"\n'
        f"maturity_minutes = {maturity}\nblock_seconds = {block}\n"
    )
    fits = maturity == 0 or maturity * 60 + block <= minutes * 60 * stages
    found = [item for item in problems(text) if item.key == "triggers.0.maturity_minutes" and item.severity == "error"]
    assert (not found) == fits
