"""Step-up procedures against statsmodels and against their definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from controlplane.core.multiplicity import adjusted, benjamini_hochberg, benjamini_yekutieli, e_bh

p_values = st.lists(st.one_of(st.floats(0, 1), st.floats(0, 0.01)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(p_values, st.sampled_from([0.01, 0.05, 0.3]))
@pytest.mark.parametrize(("ours", "method"), [(benjamini_hochberg, "fdr_bh"), (benjamini_yekutieli, "fdr_by")])
def test_p_values_equal_statsmodels(ours, method, p, level):
    cuts = level * np.arange(1, len(p) + 1) / len(p)
    if np.min(np.abs(np.subtract.outer(p, cuts))) < 1e-12:
        return  # on the very edge two ways of rounding may differ
    assert ours(p, level).tolist() == multipletests(p, level, method)[0].tolist()


@settings(max_examples=15, deadline=None)  # statsmodels collects garbage at every call: .1 s
@given(p_values)
@pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
def test_adjusted_p_values_equal_statsmodels(ours, theirs, p):
    assert adjusted([*p, np.nan], ours)[:-1] == pytest.approx(multipletests(p, method=theirs)[1], abs=1e-12)
    assert np.isnan(adjusted([*p, np.nan], ours)[-1])
    assert adjusted([], ours).tolist() == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-5, 12), min_size=1, max_size=40), st.sampled_from([0.05, 0.3]))
def test_e_values_follow_the_definition(log_e, level):
    ordered = np.sort(np.exp(log_e))[::-1]
    ks = [k for k in range(1, len(ordered) + 1) if ordered[k - 1] >= len(ordered) / (level * k)]
    found = e_bh(log_e, level)
    assert found.sum() == (max(ks) if ks else 0)
    if found.any():
        assert np.min(np.array(log_e)[found]) >= np.max(np.array(log_e)[~found], initial=-np.inf)


def test_what_was_not_tested_does_not_count():
    assert benjamini_hochberg([0.03, np.nan, np.nan], 0.05).tolist() == [True, False, False]
    assert e_bh([np.log(30), np.nan], 0.05).tolist() == [True, False]
    assert benjamini_hochberg([], 0.05).tolist() == []
    assert not benjamini_yekutieli([np.nan], 0.05).any()


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="between 0 and 1"):
        benjamini_hochberg([1.2], 0.05)
    with pytest.raises(ValueError, match="level is 0"):
        e_bh([1.0], 0)
