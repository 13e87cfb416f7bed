"""Power against statsmodels, and what our alarm could have found against simulated stages."""

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from controlplane.core.estimates_power import (
    smallest_difference,
    smallest_harm_found,
    units_needed,
)
from controlplane.core.evidence import StreamSpec, WeightPlan
from controlplane.core.evidence.detector import Streams, advance

ORACLE = NormalIndPower()


@pytest.mark.parametrize("chance", [0.8, 0.9])
def test_the_smallest_difference_and_the_units_it_takes(chance):
    n, error = 500, np.sqrt(2 / 500)
    found = smallest_difference(error, 0.05, chance)
    assert found == pytest.approx(ORACLE.solve_power(None, n, 0.05, chance), rel=1e-4)
    assert units_needed(error, n, 0.1, 0.05, chance) == pytest.approx(
        ORACLE.solve_power(0.1, None, 0.05, chance), rel=1e-4
    )
    assert units_needed(error, n, found, 0.05, chance) == pytest.approx(n)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="error is 0"):
        smallest_difference(0.0)
    with pytest.raises(ValueError, match="alpha is 2"):
        smallest_difference(0.1, 2.0)
    with pytest.raises(ValueError, match=r"chance is 0\.01"):
        smallest_difference(0.1, 0.05, 0.01)
    with pytest.raises(ValueError, match="difference of 0"):
        units_needed(0.1, 10, 0.0)
    with pytest.raises(ValueError, match="choose one of two_sample"):
        smallest_harm_found("sample_ratio", {}, 0.1, 0.01)
    with pytest.raises(ValueError, match="between 0 and 1"):
        smallest_harm_found("one_sample", {"nT": 5}, 0.1, 0.0)


RATINGS = np.array([0.08, 0.07, 0.15, 0.3, 0.4])
ALPHA = 0.001


def found_share(kind, stats, limit, blocks):
    """Share of simulated stages in which the alarm has gone off by their end."""
    spec, plan = StreamSpec(kind, limit, ALPHA), WeightPlan(horizon_blocks=10_080)
    events = np.zeros((blocks, 2), dtype=np.int64)
    events[0, 0] = 1
    columns = {name: np.asarray(values, dtype=float) for name, values in stats.items()}
    runs = next(iter(columns.values())).shape[1]
    # half of the first start's .25 is drawn by the plan: the same as weight .125
    _, track = advance(spec, Streams.fresh(spec, plan, runs), np.arange(blocks), columns, events)
    return (track.log_E >= spec.log_threshold).any(axis=0).mean()


BLOCKS, RUNS = 200, 300


def test_half_of_the_harms_of_that_size_have_been_found_rates():
    rng = np.random.default_rng(1)
    totals = {"nT": 5 * BLOCKS, "nC": 95 * BLOCKS, "xC": 0.12 * 95 * BLOCKS}
    harm = smallest_harm_found("two_sample", totals, 0.01, ALPHA, 0.125)
    n_t, n_c = np.full((BLOCKS, RUNS), 5), np.full((BLOCKS, RUNS), 95)
    stats = {"nT": n_t, "xT": rng.binomial(n_t, 0.12 + harm), "nC": n_c, "xC": rng.binomial(n_c, 0.12)}
    assert 0.3 < found_share("two_sample", stats, 0.01, BLOCKS) < 0.75


def test_half_of_the_harms_of_that_size_have_been_found_limits():
    rng = np.random.default_rng(2)
    harm = smallest_harm_found("one_sample", {"nT": 20 * BLOCKS}, 0.05, ALPHA, 0.125)
    n = np.full((BLOCKS, RUNS), 20)
    assert 0.3 < found_share("one_sample", {"nT": n, "xT": rng.binomial(n, harm)}, 0.05, BLOCKS) < 0.75


def test_half_of_the_harms_of_that_size_have_been_found_ratings():
    rng = np.random.default_rng(3)
    k_c = RATINGS * 30 * BLOCKS
    harm = smallest_harm_found("rating", {"kT": RATINGS * 5 * BLOCKS, "kC": k_c}, 0.1, ALPHA, 0.125)
    part = harm / (RATINGS @ np.arange(5))
    moved = RATINGS * (1 - part) + part * np.eye(5)[0]
    assert (RATINGS - moved) @ np.arange(1, 6) == pytest.approx(harm)
    stats = {"kT": rng.multinomial(5, moved, (BLOCKS, RUNS)), "kC": rng.multinomial(30, RATINGS, (BLOCKS, RUNS))}
    assert 0.3 < found_share("rating", stats, 0.1, BLOCKS) < 0.75


def test_more_units_find_less_and_none_find_nothing():
    def harm(units):
        return smallest_harm_found("two_sample", {"nT": units, "nC": 9 * units, "xC": units}, 0.02, ALPHA)

    assert harm(0) is None
    assert harm(3) is None
    sizes = [harm(units) for units in (50, 200, 1000, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] > 0.02
    assert smallest_harm_found("rating", {"kT": [0] * 5, "kC": [0] * 5}, 0.1, ALPHA) is None
    assert smallest_harm_found("rating", {"kT": [9] * 5, "kC": [9, 0, 0, 0, 0]}, 0.1, ALPHA) is None
    assert smallest_harm_found("one_sample", {"nT": 0}, 0.1, ALPHA) is None
