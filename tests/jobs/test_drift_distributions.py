"""What is kept of a distribution: shares that add up, common bins, the rest as others; small whatever the column."""

import json

import numpy as np
import pytest

from controlplane.analysis.drift_timeline import Sketch
from jobs.drift_distributions import BINS, OTHERS, distribution


def numbers(values):
    quantiles = np.quantile(values, (np.arange(100) + 0.5) / 100, method="inverted_cdf")
    return Sketch(len(values), len(values), float(np.mean(values)), float(np.std(values)), tuple(map(float, quantiles)))


def words(**counts):
    return Sketch(sum(counts.values()), sum(counts.values()), counts=counts)


def test_numbers_share_their_bins_and_keep_their_quantiles():
    rng = np.random.default_rng(1)
    found = distribution(numbers(rng.normal(10, 2, 5000)), numbers(rng.normal(14, 2, 5000)))
    assert (found["kind"], found["logarithmic"], len(found["edges"])) == ("bins", False, BINS + 1)
    for side in ("reference", "current"):
        assert sum(found[side]) == pytest.approx(1.0)
    assert found["quantiles"]["reference"][2] == pytest.approx(10, abs=0.2)
    assert found["quantiles"]["current"][2] == pytest.approx(14, abs=0.2)
    assert len(json.dumps(found)) < 1500


def test_wide_positive_numbers_get_bins_that_grow():
    rng = np.random.default_rng(1)
    found = distribution(numbers(rng.lognormal(6, 1.5, 5000)), numbers(rng.lognormal(6, 1.5, 5000)))
    edges = found["edges"]
    assert found["logarithmic"]
    assert edges[2] / edges[1] == pytest.approx(edges[-1] / edges[-2], rel=0.01)
    assert sum(found["current"]) == pytest.approx(1.0)


def test_few_different_numbers_are_shown_one_by_one():
    found = distribution(numbers([1, 1, 2, 3]), numbers([2, 2, 2, 4]))
    assert found["values"] == ["1", "2", "3", "4"]
    assert found["reference"] == [0.5, 0.25, 0.25, 0.0]
    assert found["current"][1] == 0.75


def test_constant_numbers_are_one_value():
    assert distribution(numbers([5.0, 5.0]), numbers([5.0]))["values"] == ["5"]


def test_categories_keep_the_largest_of_either_side_and_add_up_the_rest():
    many = {f"v{i:02d}": 10 for i in range(30)}
    found = distribution(words(**many, big=200), words(new=100, big=100))
    assert found["values"][:2] == ["big", "new"]
    assert found["values"][-1] == OTHERS
    assert len(found["values"]) == 13
    for side in ("reference", "current"):
        assert sum(found[side]) == pytest.approx(1.0, abs=0.01)
    assert found["reference"][1] == 0.0
    assert distribution(words(a=1, b=3), words(a=2))["values"] == ["a", "b"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, words(a=1)),
        (words(a=1), Sketch(5, 0)),
        (numbers([1.0, 2.0]), words(a=1)),
    ],
)
def test_a_side_without_values_or_of_another_kind_has_none(one, other):
    assert distribution(one, other) is None
