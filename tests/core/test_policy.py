"""Every mistake in a policy is named with its line and a remedy; what is accepted can be run."""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.model import Action, MetricKind
from controlplane.core.policy import Policy, PolicyError, Problem, parse
from controlplane.core.triggers import ALL, stream_spec, weight_plan
from controlplane.settings import shipped_policy

TEXT = """# a policy with one of everything
schema = 1
name = "small"
owner = "ann"
baseline = "menu"

[budget]
false_rollback = 0.01
horizon_weeks = 2
certificate = 0.05

[assignment]
salt = "s1"
low_risk_intents = ["fees"]

[watch]
lateness_seconds = 30
probes = 5
segments = ["retail", "business", "private"]

[[phases]]
name = "internal"
audience = "employees"
shares = [1.0]

[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.05, 0.2]
min_minutes = 60
min_treated = 100
certificates = ["escalation"]
approvals = 1

[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = 0.2
maturity_minutes = 1440
weight = 0.25
action = "rollback"

[[triggers]]
name = "slow"
metric = "slow_share"
kind = "one_sample"
limit = 0.05
slo_ms = 4000
weight = 0.75
action = "hold"

[[certificates]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.02
"""


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        parse(text, "my.toml")
    problems = list(caught.value.problems)
    assert [str(caught.value)] == ["\n".join(problem.text("my.toml") for problem in problems)]
    assert all(problem.message and problem.remedy and problem.key for problem in problems)
    return problems


def line_of(text: str, mark: str) -> int:
    assert text.count(mark) == 1, mark
    return text[: text.index(mark)].count("\n") + 1


def edited(old: str, new: str) -> str:
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


# what is changed, into what, the key that is named, words of the message or the remedy
MISTAKES = [
    # unknown keys
    ("schema = 1", "schema = 1\nbudgets = 3", "budgets", "unknown key"),
    (
        "horizon_weeks = 2",
        "horizon_week = 2",
        "budget.horizon_week",
        "known here: false_rollback, certificate, horizon_",
    ),
    ('salt = "s1"', 'salt = "s1"\npepper = "p"', "assignment.pepper", "unknown key"),
    ("probes = 5", "probs = 5", "watch.probs", "unknown key"),
    ("min_minutes = 60", "min_hours = 1", "phases.1.min_hours", "unknown key"),
    ("slo_ms = 4000", "slo = 4000", "triggers.1.slo", "unknown key"),
    ("margin = 0.02", "margins = 0.02", "certificates.0.margins", "unknown key"),
    # wrong types
    ("false_rollback = 0.01", 'false_rollback = "1 %"', "budget.false_rollback", "'1 %' is not a float"),
    ("false_rollback = 0.01", "false_rollback = true", "budget.false_rollback", "not a float"),
    ("probes = 5", "probes = 5.5", "watch.probes", "not a int"),
    ("probes = 5", "probes = true", "watch.probes", "not a int"),
    ('salt = "s1"', "salt = 1", "assignment.salt", "not a str"),
    ('low_risk_intents = ["fees"]', "low_risk_intents = [1]", "assignment.low_risk_intents", "not a tuple"),
    ("shares = [0.05, 0.2]", 'shares = ["5 %"]', "phases.1.shares", "not a tuple"),
    ("shares = [0.05, 0.2]", "shares = 0.05", "phases.1.shares", "not a tuple"),
    ("shares = [1.0]", "shares = [true]", "phases.0.shares", "not a tuple"),
    ('kind = "rating"', 'kind = "ratings"', "triggers.0.kind", "one of two_sample, rating, rate_ratio, one_sample"),
    ('action = "rollback"', 'action = "roll_back"', "triggers.0.action", "one of page, hold, disable_execution, roll"),
    ('name = "small"', "name = 7", "name", "not a text"),
    ('owner = "ann"', 'owner = ""', "owner", "is missing"),
    ("[budget]", "[[budget]]", "budget", "is not a table"),
    # what is missing
    ("schema = 1", "", "schema", "write schema = 1"),
    ("schema = 1", "schema = 2", "schema", "2 is not a known schema"),
    ('baseline = "menu"', "", "baseline", "is missing"),
    ('salt = "s1"', "", "assignment", "missing 'salt'"),
    ("limit = 0.2\n", "", "triggers.0", "missing 'limit'"),
    ("margin = 0.02", "", "certificates.0", "missing 'margin'"),
    # numbers that cannot be
    ("weight = 0.75", "weight = 0.7", "triggers.0.weight", "sum to 0.95"),
    ("false_rollback = 0.01", "false_rollback = 0", "budget.false_rollback", "not a probability"),
    ("false_rollback = 0.01", "false_rollback = 1", "budget.false_rollback", "not a probability"),
    ("certificate = 0.05", "certificate = 1.5", "budget.certificate", "not a probability"),
    ("horizon_weeks = 2", "horizon_weeks = 0", "budget.horizon_weeks", "not positive"),
    ("horizon_weeks = 2", "horizon_weeks = inf", "budget.horizon_weeks", "not a float"),
    ("horizon_weeks = 2", "horizon_weeks = nan", "budget.horizon_weeks", "not a float"),
    ("limit = 0.05", "limit = nan", "triggers.1.limit", "not a float"),
    ("limit = 0.05", "limit = 0", "triggers.1.limit", "0 is impossible"),
    ("limit = 0.05", "limit = -0.1", "triggers.1.limit", "-0.1 is impossible"),
    ("limit = 0.05", "limit = 1", "triggers.1.limit", "1 is impossible"),
    ("limit = 0.05", "limit = 0.9", "triggers.1.limit", "0.9 is impossible"),
    ("limit = 0.2\n", "limit = 4\n", "triggers.0.limit", "4 is impossible"),
    ("limit = 0.2\n", "limit = -0.2\n", "triggers.0.limit", "-0.2 is impossible"),
    ("margin = 0.02", "margin = 0", "certificates.0.margin", "positive margin"),
    ("margin = 0.02", "margin = 1", "certificates.0.margin", "margin"),
    ("margin = 0.02", "margin = nan", "certificates.0.margin", "not a float"),
    ("margin = 0.02", "margin = 0.02\nblock_seconds = 0", "certificates.0.block_seconds", "positive"),
    ("slo_ms = 4000", "slo_ms = 4000\nblock_seconds = 0", "triggers.1.block_seconds", "positive"),
    ("maturity_minutes = 1440", "maturity_minutes = -1", "triggers.0.block_seconds", "negative"),
    ("slo_ms = 4000", "slo_ms = -4", "triggers.1.slo_ms", "above 0"),
    ("probes = 5", "probes = 0", "watch.probes", "at least 1"),
    ("probes = 5", "probes = 5\nfreshness_seconds = -300", "watch.freshness_seconds", "at least 1"),
    ("lateness_seconds = 30", "lateness_seconds = -1", "watch.lateness_seconds", "at least 0"),
    ("min_treated = 100", "min_treated = -1", "phases.1.min_treated", "negative"),
    ("approvals = 1", "approvals = -1", "phases.1.approvals", "negative"),
    # phases
    ('audience = "employees"', 'audience = "staff"', "phases.0.audience", "one of employees, low_risk, eligible"),
    ("shares = [0.05, 0.2]", "shares = [0.2, 0.05]", "phases.1.shares", "rising"),
    ("shares = [0.05, 0.2]", "shares = [0.05, 0.05]", "phases.1.shares", "rising"),
    ("shares = [0.05, 0.2]", "shares = [0, 0.2]", "phases.1.shares", "rising"),
    ("shares = [0.05, 0.2]", "shares = [0.05, 1.2]", "phases.1.shares", "rising"),
    ("shares = [0.05, 0.2]", "shares = []", "phases.1.shares", "rising"),
    ('certificates = ["escalation"]', 'certificates = ["csat"]', "phases.1.certificates", "'csat' is not defined"),
    ('name = "ramp"', 'name = "internal"', "phases.1.name", "stands twice"),
    # triggers
    ('name = "slow"', 'name = "csat_drop"', "triggers.1.name", "stands twice"),
    ('name = "slow"', 'name = "escalation"', "certificates.0.name", "stands twice"),
    ("slo_ms = 4000", "slo_ms = 4000\ncap_usd = 0.1", "triggers.1.cap_usd", "belongs to the metric costly_share"),
    ("slo_ms = 4000\n", "", "triggers.1.slo_ms", "belongs to the metric slow_share"),
    ("limit = 0.2\n", "limit = 0.2\nslo_ms = 4000.0\n", "triggers.0.slo_ms", "belongs to the metric slow_share"),
    ('kind = "two_sample"', 'kind = "one_sample"', "certificates.0.margin", "compares two arms"),
    # metrics that cannot be what is asked of them
    ('metric = "escalation_rate"', 'metric = "escalation_rte"', "certificates.0.metric", "one of api_error_rate"),
    ('metric = "csat"', 'metric = "cost_per_resolved"', "triggers.0.metric", "is not a metric that decides"),
    ('kind = "rating"', 'kind = "two_sample"', "triggers.0.kind", "csat is counted as rating"),
    ('metric = "escalation_rate"', 'metric = "resolution_rate"', "certificates.0.metric", "higher"),
    ('metric = "escalation_rate"', 'metric = "api_error_rate"', "certificates.0.metric", "compared"),
    # segments
    ('segments = ["retail", "business", "private"]', 'segments = ["retail", "retail"]', "watch.segments", "once"),
    ('segments = ["retail", "business", "private"]', 'segments = ["all"]', "watch.segments", "once"),
    ('segments = ["retail", "business", "private"]', 'segments = [""]', "watch.segments", "once"),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), MISTAKES, ids=[f"{m[2]}:{m[1][:24]!r}" for m in MISTAKES])
def test_a_mistake_is_named_with_its_place_and_a_remedy(old: str, new: str, key: str, words: str) -> None:
    text = edited(old, new)
    found = [problem for problem in problems_of(text) if problem.key == key]
    assert len(found) == 1
    assert words in f"{found[0].message}; {found[0].remedy}"
    assert found[0].text("my.toml").startswith(f"my.toml:{found[0].line}: {key}: ")


LINES = [
    ("horizon_weeks = 2", "horizon_week = 2", "horizon_week ="),
    ("schema = 1", "schema = 1\nbudgets = 3", "budgets ="),
    ("probes = 5", "probes = 5.5", "probes ="),
    ("min_minutes = 60", 'min_minutes = "60"', "min_minutes"),
    ("limit = 0.05", "limit = 1", "limit = 1"),
    ("slo_ms = 4000", "slo = 4000", "slo ="),
    ("margin = 0.02", "margins = 0.02", "margins"),
    ('name = "slow"', 'name = "csat_drop" # twice', "# twice"),
    ("shares = [0.05, 0.2]", "shares = [0.2, 0.05]", "[0.2, 0.05]"),
    ("limit = 0.2\n", "", '"csat_drop"'),  # a missing key is placed at the head of its table, checked below
    ("certificate = 0.05", "'certificate' = 1.5", "'certificate'"),
    ("certificate = 0.05", '"certificate" = 1.5', '"certificate"'),
]


@pytest.mark.parametrize(("old", "new", "mark"), LINES)
def test_the_line_is_the_right_one(old: str, new: str, mark: str) -> None:
    text = edited(old, new)
    expected = line_of(text, mark) - (not new)  # the table's header stands right above its name
    assert [problem.line for problem in problems_of(text)][-1] == expected


def test_keys_written_with_dots_are_found_on_their_line() -> None:
    text = edited("[budget]\n", "").replace("false_rollback = 0.01", "budget.false_rollbacks = 2")
    text = text.replace("horizon_weeks = 2\n", "").replace("certificate = 0.05\n", 'budget . "certificate" = "5 %"\n')
    assert [(problem.line, problem.key) for problem in problems_of(text)] == [
        (line_of(text, "budget.false_rollbacks"), "budget.false_rollbacks"),
        (line_of(text, 'budget . "certificate"'), "budget.certificate"),
    ]


def test_strange_white_space_does_not_shift_lines() -> None:
    text = edited("probes = 5", "# a comment with\u2028 and\u0085 inside\nprobes = -5")
    assert problems_of(text)[0].line == line_of(text, "probes = -5")
    windows = edited("probes = 5", "probes = -5").replace("\n", "\r\n")
    assert problems_of(windows)[0].line == line_of(windows, "probes = -5")


@pytest.mark.parametrize(
    ("old", "new"),
    [("owner = ", "owner = = "), ("[budget]", "[budget"), ("limit = 0.05", "limit = 0.05 x"), ("probes = 5", "probes")],
)
def test_a_syntax_error_names_its_line(old: str, new: str) -> None:
    text = edited(old, new)
    (found,) = problems_of(text)
    assert (found.line, found.key, found.remedy) == (line_of(text, new.split("\n")[0]), "TOML", "mend the syntax")


def test_a_text_that_ends_too_early_names_its_last_line() -> None:
    text = TEXT + 'title = "open'
    assert problems_of(text)[0].line == text.count("\n") + 1
    assert problems_of(TEXT + "xs = [1,")[0].line == text.count("\n") + 1


def test_a_repeated_key_is_a_problem_and_not_the_last_one_wins() -> None:
    assert "TOML" in {problem.key for problem in problems_of(edited("probes = 5", "probes = 5\nprobes = 6"))}


@pytest.mark.parametrize("text", ["", "# nothing\n", "schema = 1\n"])
def test_an_empty_text_lacks_everything(text: str) -> None:
    keys = {problem.key for problem in problems_of(text)}
    assert {"name", "owner", "baseline", "assignment"} <= keys


@pytest.mark.parametrize("section", ["phases", "triggers"])
def test_a_policy_without_phases_or_triggers_is_refused(section: str) -> None:
    parts = TEXT.split("[[")
    text = "[[".join(part for part in parts if not part.startswith(f"{section}]]"))
    assert any(problem.key.startswith(section) for problem in problems_of(text))


def test_all_problems_are_told_at_once_in_the_order_of_their_lines() -> None:
    text = edited("horizon_weeks = 2", "horizon_week = 2").replace("probes = 5", 'probes = "5"')
    text = text.replace('kind = "rating"', 'kind = "stars"').replace("slo_ms", "slo")
    found = problems_of(text)
    assert [p.key for p in found] == ["budget.horizon_week", "watch.probes", "triggers.0.kind", "triggers.1.slo"]
    assert all(one.line < two.line for one, two in pairwise(found))
    values = edited("false_rollback = 0.01", "false_rollback = 2").replace("shares = [1.0]", "shares = [2.0]")
    values = values.replace("limit = 0.05", "limit = 7").replace("weight = 0.75", "weight = 0.5")
    assert {p.key for p in problems_of(values)} == {
        "budget.false_rollback",
        "phases.0.shares",
        "triggers.1.limit",
        "triggers.0.weight",
    }


def test_weights_must_be_shares_of_the_budget_each() -> None:
    """Weights of 1.5 and -0.5 sum to 1, and would give one trigger more than the whole budget."""
    text = edited("weight = 0.25", "weight = -0.5").replace("weight = 0.75", "weight = 1.5")
    assert "triggers.0.weight" in {problem.key for problem in problems_of(text)}
    text = edited("weight = 0.25", "weight = 0.0").replace("weight = 0.75", "weight = 1.0")
    assert "triggers.0.weight" in {problem.key for problem in problems_of(text)}


def test_shares_may_not_shrink_from_one_phase_to_the_next() -> None:
    second = '\n[[phases]]\nname = "full"\naudience = "eligible"\nshares = [0.1]\n'
    assert "phases" in {problem.key for problem in problems_of(TEXT + second)}
    slow = edited("min_minutes = 60", "min_minutes = 1441")  # two gates now stand before the end
    assert parse(slow + second.replace("0.1]", "0.2]")).stages[-1].share == 0.2


def test_what_is_read_is_what_was_written() -> None:
    policy = parse(TEXT)
    assert (policy.name, policy.owner, policy.baseline) == ("small", "ann", "menu")
    assert policy.budget.horizon_weeks == 2.0
    assert policy.assignment.low_risk_intents == ("fees",)
    assert (policy.watch.probes, policy.watch.freshness_seconds) == (5, 300)  # written, and a default
    assert [(s.index, s.phase, s.audience, s.share) for s in policy.stages] == [
        (0, "internal", "employees", 1.0),
        (1, "ramp", "eligible", 0.05),
        (2, "ramp", "eligible", 0.2),
    ]
    assert policy.phase("ramp").min_treated == 100
    with pytest.raises(KeyError, match="internal, ramp"):
        policy.phase("canary")
    csat, slow = policy.triggers
    assert (csat.kind, csat.action, csat.maturity.total_seconds()) == (MetricKind.RATING, Action.ROLLBACK, 86400.0)
    assert (slow.slo_ms, slow.maturity_minutes, slow.block_seconds) == (4000.0, 0.0, 60)
    assert policy.certificates[0].lane == "60s+0s"
    assert csat.lane == "60s+86400s"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40))
@settings(deadline=None, max_examples=40)
def test_the_hash_is_of_the_very_text(comment: str) -> None:
    text = f"# {comment}\n{TEXT}"
    policy = parse(text)
    assert policy.text == text
    assert policy.hash == hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("name", ["default", "demo"])
def test_the_shipped_policies_can_be_run(name: str) -> None:
    policy = parse(shipped_policy(name), f"{name}.toml")
    assert policy.name == name
    assert policy.stages[0].audience == "employees"
    for trigger in policy.triggers:
        assert stream_spec(policy, trigger, ALL).log_threshold > 0
        assert weight_plan(policy, trigger.block_seconds).horizon_blocks >= 1
    for phase in policy.phases:
        assert policy.phase(phase.name) == phase


def all_alphas(policy: Policy) -> float:
    segments = (ALL, *policy.watch.segments)
    return math.fsum(policy.alpha(trigger, segment) for trigger in policy.triggers for segment in segments)


@given(
    weights=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    segments=st.integers(1, 9),
    budget=st.floats(1e-4, 0.2),
)
@settings(deadline=None, max_examples=60)
def test_the_budget_is_spent_once_over_all_streams(weights: list[int], segments: int, budget: float) -> None:
    names = ", ".join(f'"s{i}"' for i in range(segments))
    head, rest = TEXT.replace('"retail", "business", "private"', names).split("[[triggers]]", 1)
    head = head.replace("false_rollback = 0.01", f"false_rollback = {budget!r}")
    triggers = "".join(
        f'[[triggers]]\nname = "t{i}"\nmetric = "timeout_rate"\nkind = "one_sample"\nlimit = 0.1\n'
        f'weight = {weight / sum(weights)!r}\naction = "hold"\n'
        for i, weight in enumerate(weights)
    )
    policy = parse(head + triggers + "[[certificates]]" + rest.split("[[certificates]]")[1])
    assert all_alphas(policy) == pytest.approx(budget, rel=1e-9)


def test_without_segments_no_more_than_the_budget_is_spent() -> None:
    policy = parse(edited('segments = ["retail", "business", "private"]\n', ""))
    assert 0 < all_alphas(policy) <= policy.budget.false_rollback
