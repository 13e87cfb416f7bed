"""Moments merge exactly and keep their digits far from zero; the F test against scipy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from controlplane.core.estimates_moments import PairMoments, merged, one_way

pairs_ = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=2, max_size=40)


def moments(y, x, near=(0.0, 0.0)):
    y, x = np.asarray(y, dtype=float) - near[0], np.asarray(x, dtype=float) - near[1]
    return PairMoments.around(near, len(y), *(float(v.sum()) for v in (y, x, y * y, x * x, x * y)))


@settings(max_examples=150, deadline=None)
@given(pairs_, st.integers(0, 40), st.floats(-200, 200), st.floats(-200, 200))
def test_parts_around_different_points_merge_to_the_whole(values, cut, a, b):
    y, x = np.array(values).T
    whole = moments(y[:cut], x[:cut], (a, b)) + moments(y[cut:], x[cut:], (b, a))
    assert (whole.mean_y, whole.mean_x) == pytest.approx((y.mean(), x.mean()), abs=1e-9)
    assert whole.variance_y == pytest.approx(np.var(y, ddof=1), rel=1e-8, abs=1e-7)
    assert whole.variance_x == pytest.approx(np.var(x, ddof=1), rel=1e-8, abs=1e-7)
    assert whole.covariance == pytest.approx(np.cov(y, x)[0, 1], rel=1e-8, abs=1e-7)


def test_a_difference_far_from_zero_keeps_its_digits():
    near = 1e15
    one, other = (moments(near + np.array(v), [0.0] * 3, (near, 0.0)) for v in ([0.0, 1.0, 1.0], [0.0, 0.0, 1.0]))
    assert one.above_y(other) == pytest.approx(1 / 3, rel=1e-15)
    assert one.mean_y - other.mean_y != pytest.approx(
        1 / 3, rel=1e-3
    )  # what the means themselves, as doubles, still know
    assert one.variance_y == pytest.approx(1 / 3, rel=1e-15)


def test_nothing_and_constants():
    assert PairMoments() + PairMoments() == PairMoments()
    some = moments([1, 2], [3, 4])
    assert some + PairMoments() == some == PairMoments() + some
    assert moments([7.1] * 9, [0.3] * 9, (3.0, 0.0)).yy == 0.0
    assert PairMoments.around((1.0, 1.0), 0, 0, 0, 0, 0, 0) == PairMoments()
    with pytest.raises(ValueError, match="finite"):
        PairMoments(2, float("inf"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.floats(-50, 50), min_size=2, max_size=12), min_size=2, max_size=5))
def test_the_f_test_is_scipys(groups):
    groups = [[*group, group[0] + 1 + i] for i, group in enumerate(groups)]  # something varies in each
    found = one_way(moments(group, np.zeros(len(group))) for group in groups)
    f, p = stats.f_oneway(*groups)
    assert (found.f, found.p) == pytest.approx((f, p), rel=1e-6, abs=1e-9)
    everything = np.concatenate(groups)
    inside = sum(((np.array(g) - np.mean(g)) ** 2).sum() for g in groups)
    assert found.r_squared == pytest.approx(1 - inside / ((everything - everything.mean()) ** 2).sum(), abs=1e-8)
    assert found.residual_sd == pytest.approx(np.sqrt(inside / (len(everything) - len(groups))), rel=1e-8)


def test_an_f_test_that_cannot_be_made():
    one = moments([1, 2, 3], [0, 0, 0])
    assert one_way([one]) is None
    assert one_way([one, PairMoments()]) is None
    flat = one_way([moments([1, 1], [0, 0]), moments([2, 2], [0, 0])])
    assert (flat.f, flat.p, flat.r_squared) == (None, None, 1.0)
    assert one_way([moments([1, 1], [0, 0]), moments([1, 1], [0, 0])]).r_squared is None
    assert merged([]).n == 0
