"""What a change of policy means: every key has a rule, the two directions are opposites, and nothing is a change that is none."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings

from controlplane.core.blocks import lanes
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy import parse
from controlplane.core.policy_diff import HEADS, TABLES, Change, Effect, Evidence, diff, summary
from controlplane.core.policy_effects import RULES
from controlplane.core.policy_model import Certificate, Phase, Policy, Trigger
from controlplane.core.streams import Stream, streams_of
from tests.core.policy_texts import TEXT, edited, policies

WHOLE = parse(TEXT)


def changes(old: str, new: str) -> list[Change]:
    return list(diff(WHOLE, parse(edited(old, new), in_force=True)))


def test_every_key_of_a_policy_has_a_rule_and_no_rule_is_left_over() -> None:
    keys = set(HEADS)
    for table in TABLES:
        keys |= {f"{table}.{field.name}" for field in fields(getattr(WHOLE, table))}
    for name, kind in {"phases": Phase, "triggers": Trigger, "certificates": Certificate}.items():
        keys |= {f"{name}.{field.name}" for field in fields(kind) if field.name != "name"}
    assert keys == set(RULES)
    covered = {*HEADS, *TABLES, "phases", "triggers", "certificates", "text", "hash"}
    assert covered == {field.name for field in fields(Policy)}


# what is changed, into what, key, effect, evidence
CHANGES = [
    ("false_rollback = 0.01", "false_rollback = 0.05", "budget.false_rollback", "weakens", "draws"),
    ("certificate = 0.05", "certificate = 0.01", "budget.certificate", "tightens", "restarts"),
    ("horizon_weeks = 10", "horizon_weeks = 5", "budget.horizon_weeks", "weakens", "draws"),
    ('salt = "s1"', 'salt = "s2"', "assignment.salt", "weakens", "keeps"),
    ('["fees", "balance"]', '["fees"]', "assignment.low_risk_intents", "tightens", "keeps"),
    ('["fees", "balance"]', '["fees", "loans"]', "assignment.low_risk_intents", "weakens", "keeps"),
    ('exclude_intents = ["fraud"]', "exclude_intents = []", "assignment.exclude_intents", "weakens", "keeps"),
    ("probes = 5", "probes = 50", "watch.probes", "tightens", "keeps"),
    ('segments = ["retail", "business"]', 'segments = ["retail"]', "watch.segments", "weakens", "draws"),
    ("response_margin = 0.1", "response_margin = 0", "validity.response_margin", "weakens", "restarts"),
    ("response_margin = 0.1", "response_margin = 0.05", "validity.response_margin", "tightens", "restarts"),
    ("sample_ratio = true", "sample_ratio = false", "validity.sample_ratio", "weakens", "draws"),
    ("tripwire = true", "tripwire = false", "decisions.tripwire", "weakens", "keeps"),
    ("backtest_required = false", "backtest_required = true", "decisions.backtest_required", "tightens", "keeps"),
    ('who = ["ann", "ben"]', "who = []", "overrides.who", "weakens", "keeps"),
    ('who = ["ann", "ben"]', 'who = ["ann"]', "overrides.who", "tightens", "keeps"),
    ('never = ["unsafe"]', "never = []", "overrides.never", "weakens", "keeps"),
    ('criteria = "support"', 'criteria = ""', "evaluation.criteria", "weakens", "keeps"),
    ("per_minute = 200", "per_minute = 20", "traffic.per_minute", "neutral", "keeps"),
    ("specificity = 0.97", "specificity = 0.98", "judge.specificity", "neutral", "restarts"),
    ("shares = [0.2, 0.5]", "shares = [0.2, 0.4]", "phases.ramp.shares", "tightens", "keeps"),
    ("shares = [0.2, 0.5]", "shares = [0.5]", "phases.ramp.shares", "weakens", "keeps"),
    ("shares = [0.2, 0.5]", "shares = [0.1, 0.6]", "phases.ramp.shares", "weakens", "keeps"),
    ('audience = "low_risk"', 'audience = "eligible"', "phases.canary.audience", "weakens", "keeps"),
    ("min_minutes = 2000", "min_minutes = 3000", "phases.ramp.min_minutes", "tightens", "keeps"),
    ("approvals = 2", "approvals = 1", "phases.ramp.approvals", "weakens", "keeps"),
    ("limit = 0.2\n", "limit = 0.3\n", "triggers.csat_drop.limit", "weakens", "restarts"),
    ("limit = 0.06", "limit = 0.05", "triggers.slow.limit", "tightens", "restarts"),
    ('action = "hold"', 'action = "rollback"', "triggers.slow.action", "tightens", "keeps"),
    ('action = "disable_execution"', 'action = "page"', "triggers.unsafe.action", "weakens", "keeps"),
    ("by_segment = false", "by_segment = true", "triggers.slow.by_segment", "tightens", "draws"),
    ("margin = 0.019", "margin = 0.02", "certificates.escalation.margin", "weakens", "restarts"),
    ('owner = "ann"', 'owner = "ben"', "owner", "neutral", "keeps"),
    ('release = "v2.*"', 'release = "v3.*"', "release", "neutral", "keeps"),
]


@pytest.mark.parametrize(("old", "new", "key", "effect", "evidence"), CHANGES, ids=[f"{c[2]}:{c[3]}" for c in CHANGES])
def test_a_change_is_named_with_its_effect(old: str, new: str, key: str, effect: str, evidence: str) -> None:
    (found,) = changes(old, new)
    assert (found.key, found.effect, found.evidence) == (key, effect, evidence)
    assert found.consequence
    assert found.text().startswith(f"{effect:9} {key}: ")
    assert found.old != found.new


def test_weights_move_between_triggers_by_name() -> None:
    text = TEXT.replace("by_segment = false\nweight = 0.2", "by_segment = false\nweight = 0.1")
    text = text.replace("maturity_minutes = 61\nweight = 0.1", "maturity_minutes = 61\nweight = 0.2")
    found = {item.key: item for item in diff(WHOLE, parse(text))}
    assert {key: item.effect for key, item in found.items()} == {
        "triggers.slow.weight": Effect.WEAKENS,
        "triggers.unsafe.weight": Effect.TIGHTENS,
    }
    assert found["triggers.slow.weight"].about == "slow"
    assert summary(WHOLE, parse(text)).restarted == ()


def test_another_order_and_comments_are_no_change() -> None:
    head, *triggers = TEXT.split("[[triggers]]")
    *middle, last = triggers
    last, certificates = last.split("[[certificates]]")
    other = "[[triggers]]".join([head + "# nothing\n", last, *middle]) + "[[certificates]]" + certificates
    assert other != TEXT
    assert diff(WHOLE, parse(other)) == ()


def test_a_trigger_that_comes_or_goes() -> None:
    start = TEXT.index('[[triggers]]\nname = "unsafe"')
    end = TEXT.index("[[certificates]]")
    fewer = parse(
        (TEXT[:start] + TEXT[end:]).replace('weight = 0.2\naction = "hold"', 'weight = 0.3\naction = "hold"'),
        in_force=True,
    )
    gone = [item for item in diff(WHOLE, fewer) if item.key == "triggers.unsafe"]
    come = [item for item in diff(fewer, WHOLE) if item.key == "triggers.unsafe"]
    assert [(item.effect, item.evidence, item.new) for item in gone] == [(Effect.WEAKENS, Evidence.ENDS, None)]
    assert [(item.effect, item.evidence, item.old) for item in come] == [(Effect.TIGHTENS, Evidence.BEGINS, None)]
    assert come[0].new["metric"] == "misrouting_rate"  # type: ignore[index]
    assert (summary(WHOLE, fewer).ended, summary(fewer, WHOLE).begun) == (("unsafe",), ("unsafe",))


def test_a_phase_that_goes_takes_its_gate_with_it() -> None:
    start, end = TEXT.index('[[phases]]\nname = "canary"'), TEXT.index('[[phases]]\nname = "ramp"')
    without = parse(TEXT[:start] + TEXT[end:], in_force=True)
    (gone,) = diff(WHOLE, without)
    assert (gone.key, gone.effect, gone.evidence) == ("phases.canary", Effect.WEAKENS, Evidence.KEEPS)
    (come,) = diff(without, WHOLE)
    assert come.effect is Effect.WEAKENS  # a new audience is exposed
    swapped = parse(
        TEXT[:start] + TEXT[end:].replace("[[triggers]]", TEXT[start:end] + "[[triggers]]", 1), in_force=True
    )
    assert [item.key for item in diff(WHOLE, swapped)] == ["phases"]


def streams(policy: Policy) -> dict[str, Stream]:
    """What the engine runs, by the key under which it keeps the state."""
    return {stream.key: stream for lane in lanes(policy) for stream in streams_of(policy, lane)}


def begins_again(old: Policy, new: Policy) -> set[str]:
    """Triggers whose streams the engine gives up although they stay; told by what it compares when the policy changes."""
    before, after = streams(old), streams(new)
    kept = [(stream, before[key]) for key, stream in after.items() if key in before and stream.check is None]
    return {stream.name for stream, was in kept if stream.tests != was.tests}


@pytest.mark.parametrize(("old", "new", "key", "effect", "evidence"), CHANGES, ids=[f"{c[2]}:{c[3]}" for c in CHANGES])
def test_what_is_said_to_begin_again_is_what_the_engine_gives_up(
    old: str, new: str, key: str, effect: str, evidence: str
) -> None:
    changed = parse(edited(old, new), in_force=True)
    assert set(summary(WHOLE, changed).restarted) == begins_again(WHOLE, changed)


def test_every_key_of_a_trigger_restarts_it_exactly_when_the_engine_does() -> None:
    values = {
        "limit": 0.031,
        "weight": 0.3,
        "block_seconds": 120,
        "maturity_minutes": 6.0,
        "slo_ms": 4100.0,
        "cap_usd": 0.1,
        "icc": 0.02,
    }
    values |= {
        "by_segment": False,
        "labels": "person",
        "action": Action.PAGE,
        "metric": "timeout_rate",
        "kind": MetricKind.TWO_SAMPLE,
    }
    assert set(values) | {"name"} == {field.name for field in fields(Trigger)}
    for key, value in values.items():
        place = 3 if key in ("slo_ms", "icc") else 2
        trigger = replace(WHOLE.triggers[place], **{key: value})
        triggers = (*WHOLE.triggers[:place], trigger, *WHOLE.triggers[place + 1 :])
        changed = replace(WHOLE, triggers=triggers, hash=key)
        assert [item.key for item in diff(WHOLE, changed)] == [f"triggers.{trigger.name}.{key}"]
        assert set(summary(WHOLE, changed).restarted) == begins_again(WHOLE, changed), key


@given(policies(), policies())
@settings(deadline=None, max_examples=40)
def test_a_change_and_its_way_back_are_opposites(one: str, other: str) -> None:
    old, new = parse(one), parse(other)
    assert diff(old, old) == diff(new, new) == ()
    there, back = diff(old, new), diff(new, old)
    assert {item.key for item in there} == {item.key for item in back}
    away = {item.key: item for item in there}
    for item in back:
        assert (item.old, item.new) == (away[item.key].new, away[item.key].old)
        if away[item.key].effect is Effect.NEUTRAL:
            assert item.effect is Effect.NEUTRAL
        elif not item.key.endswith((".shares", ".metric", ".kind")):  # mixed changes are taken for the worse both ways
            assert item.effect is away[item.key].effect.opposite
    assert all(item.text() and item.consequence for item in there)


@given(policies(), policies())
@settings(deadline=None, max_examples=40)
def test_a_running_rollout_keeps_the_smaller_promise_and_only_what_the_engine_keeps(one: str, other: str) -> None:
    old, new = parse(one), parse(other)
    together = summary(old, new)
    assert together.running == min(old.budget.false_rollback, new.budget.false_rollback) <= together.promise
    assert set(together.restarted) >= begins_again(old, new)
    assert summary(old, old).restarted == ()
