"""The policy in plain words says what the policy says: every name, every promise, and nothing that a reader would have to know."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from controlplane.core.policy import parse
from controlplane.core.policy_words import duration, explain, percent
from tests.core.policy_texts import TEXT, edited, policies


def said(text: str) -> str:
    return "\n".join(line for part in explain(parse(text)) for line in part.lines)


def test_every_part_of_the_whole_policy_is_told() -> None:
    words = said(TEXT)
    for name in (
        "csat_drop",
        "escalation_increase",
        "hallucination",
        "slow",
        "unsafe",
        "canary",
        "ramp",
        "full",
        "ann",
        "ben",
    ):
        assert name in words
    for phrase in (
        "releases named v2.*",
        "5 % of customers whose first message has a low-risk intent",
        "fraud and segment minors",
        "0.2 points below",
        "2 points above",
        "slower than 4000 ms is above 6 %",
        "the judge flags 6.48 % then",  # .04 x .9 + .96 x .03
        "at most 0.125 % in all traffic; 0.0625 % in each of 2 segments",
        "at most 1 % over 10 weeks",
        "approval of 2 people other than the author",
        "treated customers' escalation rate is less than 1.9 points above",
        "within 30 minutes of an automatic action",
        "set aside only by ann and ben, with a reason, for at most 12 hours",
        "Nobody sets aside unsafe",
        "3 % stay with the baseline",
        "under 'support'",
        "20 %",
    ):
        assert phrase in words, phrase


@pytest.mark.parametrize(
    ("old", "new", "phrase"),
    [
        ("accepted = true", "accepted = false", "the judge's labels alone may not roll back"),
        ("required = true", "required = false", "may start without an evaluation"),
        ("response_margin = 0.1", "response_margin = 0", "NOT watched: the sides answer the rating question"),
        ("backtest_required = false", "backtest_required = true", "before a backtest"),
        ('rollback_to = "menu"', 'rollback_to = "accepted"', "the release that was accepted before"),
        ('who = ["ann", "ben"]', "who = []", "set aside only by a person"),
        ("shares = [0.97]", "shares = [1]", "full: 100 % of all eligible customers"),
    ],
)
def test_what_is_changed_is_told_differently(old: str, new: str, phrase: str) -> None:
    assert phrase in said(edited(old, new))
    assert phrase not in said(TEXT)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [
        (0, "no time"),
        (0.5, "30 seconds"),
        (1, "1 minute"),
        (61, "1 hour 1 minute"),
        (1440, "1 day"),
        (100_800, "10 weeks"),
    ],
)
def test_spans_of_time_in_words(minutes: float, words: str) -> None:
    assert duration(minutes) == words


def test_shares_keep_the_digits_they_need() -> None:
    assert [percent(share) for share in (0.5, 0.0125, 0.00025, 1.0)] == ["50 %", "1.25 %", "0.025 %", "100 %"]


@given(policies())
@settings(deadline=None, max_examples=40)
def test_any_policy_can_be_explained_with_the_promise_of_every_stream(text: str) -> None:
    policy = parse(text)
    lines = [line for part in explain(policy) for line in part.lines]
    assert all(line.strip() and line.endswith(".") for line in lines)
    for trigger in policy.triggers:
        (sentence,) = [line for line in lines if line.startswith(f"{trigger.name}: ")]
        assert percent(policy.alpha(trigger, "all")) in sentence
        assert ("segments" in sentence) == (len(policy.segments_of(trigger)) > 1)
