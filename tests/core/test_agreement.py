"""Agreement of two people, against scikit-learn, statsmodels and definitions written out."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from controlplane.core.agreement import Pair, agreement

LABELS = ("correct", "incorrect", "unsafe")
pairs_of = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=2, max_size=60)


@settings(deadline=None)
@given(pairs=pairs_of)
def test_kappa_is_that_of_statsmodels_with_its_standard_error(pairs: list[Pair]) -> None:
    table = np.array([[sum(pair == (a, b) for pair in pairs) for b in LABELS] for a in LABELS])
    found = agreement(pairs, 0.9, LABELS)
    if found.kappa is None:
        assert len({label for pair in pairs for label in pair}) == 1
        assert "not defined" in found.note
        return
    with np.errstate(all="ignore"):  # its test of kappa 0 divides by 0 where one margin is empty
        oracle = cohens_kappa(table)
    assert found.kappa.value == pytest.approx(oracle.kappa)
    assert found.kappa.low is not None
    expected = max(-1.0, oracle.kappa - 1.6448536 * np.sqrt(max(oracle.var_kappa, 0.0)))
    assert found.kappa.low == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(pairs=pairs_of)
def test_kappa_is_that_of_scikit_learn(pairs: list[Pair]) -> None:
    found = agreement(pairs)
    if found.kappa is not None:
        assert found.kappa.value == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


@settings(deadline=None)
@given(pairs=pairs_of)
def test_alpha_by_its_definition(pairs: list[Pair]) -> None:
    """1 - observed / expected disagreement, over all pairs of values within and between items."""
    values = [label for pair in pairs for label in pair]
    n = len(values)
    expected = sum(values[i] != values[j] for i, j in product(range(n), repeat=2) if i != j) / (n * (n - 1))
    observed = sum(a != b for a, b in pairs) / len(pairs)
    found = agreement(pairs).alpha
    if expected == 0:
        assert found is None
    else:
        assert found is not None
        assert found.value == pytest.approx(1 - observed / expected)


def test_ac1_stays_where_kappa_falls() -> None:
    """118 of 125 agree and one label is rare: kappa calls that poor, AC1 does not (the paradox that Gwet's paper begins with)."""
    pairs = [("+", "+")] * 118 + [("+", "-")] * 5 + [("-", "+")] * 2
    found = agreement(pairs)
    assert found.kappa is not None
    assert found.ac1 is not None
    assert found.kappa.value < 0.0
    chance = 2 * (243 / 250) * (7 / 250)
    assert found.ac1.value == pytest.approx((118 / 125 - chance) / (1 - chance))
    assert found.ac1.value > 0.93


def test_the_interval_of_ac1_covers() -> None:
    rng = random.Random(5)

    def draw(n: int) -> list[Pair]:
        truth = [rng.random() < 0.1 for _ in range(n)]
        return [tuple(str(t ^ (rng.random() < 0.08)) for _ in range(2)) for t in truth]  # type: ignore[misc]

    exact = agreement(draw(60_000)).ac1
    assert exact is not None
    inside = 0
    for _ in range(300):
        found = agreement(draw(150), categories=("True", "False")).ac1
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= exact.value <= found.high
    assert inside >= 0.91 * 300


def test_too_few_pairs_say_so() -> None:
    none = agreement([])
    assert (none.n, none.raw, none.enough) == (0, None, False)
    few = agreement([("a", "b")] * 3 + [("a", "a")])
    assert not few.enough
    assert "below 30" in few.note
    assert few.raw is not None
    assert few.raw.low is not None
    assert few.raw.low < few.raw.value < 1.0
