"""Weighted rates: by simulation the naive share of a targeted queue is biased, and the weighted one covers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.estimates import clopper_pearson
from controlplane.core.review_queue import NO_REASON, design
from controlplane.core.weighted_rate import Seen, weighted_rate

SIZES = {NO_REASON: 3600, "failure": 300, "low_confidence": 250, "low_confidence+failure": 50}
WRONG = {NO_REASON: 0.03, "failure": 0.5, "low_confidence": 0.3, "low_confidence+failure": 0.8}
TRUE = sum(n * WRONG[name] for name, n in SIZES.items()) / sum(SIZES.values())


def queue(rng: random.Random, read: float = 1.0) -> list[Seen]:
    """A drawn queue; a share `read` of it, chosen at random, is labelled."""
    plan = design(SIZES, 300, 0.5)
    found = []
    for name, n in SIZES.items():
        chance = plan.probability(name)
        for i in range(n):
            if rng.random() < chance:
                hit = rng.random() < WRONG[name]
                found.append(Seen(hit if rng.random() < read else None, chance, f"{name}{i}", name))
    return found


@pytest.mark.parametrize("read", [1.0, 0.6])
def test_the_naive_share_is_biased_and_the_weighted_rate_covers(read: float) -> None:
    rng = random.Random(11)
    found = [weighted_rate(queue(rng, read)) for _ in range(120)]
    naive = sum(one.naive_low <= TRUE <= one.naive_high for one in found)
    covered = sum(one.low <= TRUE <= one.high for one in found)
    mean = sum(one.rate or 0.0 for one in found) / len(found)
    assert naive == 0  # the queue looks for trouble: nearly three times too high
    assert sum(one.naive or 0.0 for one in found) / len(found) > 2.0 * TRUE
    assert mean == pytest.approx(TRUE, rel=0.03)
    assert covered >= 0.92 * len(found)
    assert all(one.effective_n <= one.n <= one.drawn for one in found)


def test_what_people_label_first_does_not_matter_within_a_class() -> None:
    """Failures are all read, the rest half: weights within classes make up for it, a weight of 1/probability alone would not."""
    rng = random.Random(3)
    means = []
    for _ in range(80):
        seen = [
            one if one.group != NO_REASON or rng.random() < 0.4 else Seen(None, one.probability, one.cluster, one.group)
            for one in queue(rng)
        ]
        means.append(weighted_rate(seen).rate or 0.0)
    assert sum(means) / len(means) == pytest.approx(TRUE, rel=0.05)


@given(hits=st.lists(st.booleans(), min_size=2, max_size=80), probability=st.floats(0.01, 1.0))
def test_equal_probabilities_give_the_plain_share(hits: list[bool], probability: float) -> None:
    found = weighted_rate([Seen(hit, probability, str(i)) for i, hit in enumerate(hits)])
    assert found.rate == pytest.approx(found.naive)
    assert found.low <= found.naive_low + 1e-9
    assert found.high >= found.naive_high - 1e-9
    if not any(hits):
        exact = clopper_pearson(0, len(hits), 0.05)
        assert exact is not None
        assert found.high == pytest.approx(exact.high)


def test_answers_of_one_conversation_count_as_one() -> None:
    rng = random.Random(1)
    alone = [Seen(rng.random() < 0.3, 0.5, str(i)) for i in range(60)]
    fivefold = [Seen(one.hit, 0.5, one.cluster) for one in alone for _ in range(5)]
    assert weighted_rate(fivefold).effective_n == pytest.approx(weighted_rate(alone).effective_n, rel=0.08)


def test_a_class_that_nobody_has_read_widens_the_interval() -> None:
    read = [Seen(False, 0.5, str(i), "none") for i in range(50)]
    unread = [Seen(None, 0.5, f"f{i}", "failure") for i in range(50)]
    found = weighted_rate([*read, *unread])
    assert found.covered == pytest.approx(0.5)
    assert found.low == 0.0
    assert found.high > 0.5


def test_nothing_is_unknown_and_an_impossible_probability_an_error() -> None:
    assert weighted_rate([]).rate is None
    found = weighted_rate([Seen(None, 0.5, "c")])
    assert (found.rate, found.low, found.high, found.n, found.drawn) == (None, 0.0, 1.0, 0, 1)
    for wrong in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="probability"):
            weighted_rate([Seen(True, wrong, "c")])
