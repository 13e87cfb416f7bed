"""The corrected rate: formulas against independent computation, coverage by simulation, and no number where none is possible."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from controlplane.evaluation.corrected_rate import (
    MIN_VALIDATION,
    CorrectedRate,
    Share,
    prediction_powered,
    rogan_gladen,
)

GOOD = (Share(90, 100), Share(190, 200))


def shares(rows: int = 500) -> st.SearchStrategy[Share]:
    return st.integers(0, rows).flatmap(lambda hits: st.integers(hits, rows).map(lambda of: Share(hits, of)))


def test_the_textbook_example() -> None:
    """20 % flagged with sensitivity .9 and specificity .95: (.20 + .95 - 1) / (.9 + .95 - 1) = .1765."""
    found = rogan_gladen(Share(200, 1000), *GOOD)
    assert found.rate == pytest.approx(0.15 / 0.85)
    assert found.low < found.rate < found.high


def test_the_interval_of_lang_and_reiczigel_computed_another_way() -> None:
    """Delta method on the adjusted shares, gradient by differences instead of the closed form, plus their shift."""
    flagged, (sensitivity, specificity), z = (
        Share(60, 400),
        (Share(45, 50), Share(110, 120)),
        float(stats.norm.ppf(0.975)),
    )
    rates = np.array([(60 + z * z / 2) / (400 + z * z), 46 / 52, 111 / 122])
    rows = np.array([400 + z * z, 52, 122])

    def corrected(p: np.ndarray) -> float:
        return (p[0] + p[2] - 1) / (p[1] + p[2] - 1)

    step = 1e-6
    gradient = np.array(
        [(corrected(rates + step * unit) - corrected(rates - step * unit)) / (2 * step) for unit in np.eye(3)]
    )
    variances = rates * (1 - rates) / rows
    error, centre = sqrt(gradient**2 @ variances), corrected(rates)
    shift = 2 * z * z * (centre * variances[1] - (1 - centre) * variances[2])
    found = rogan_gladen(flagged, sensitivity, specificity)
    assert found.low == pytest.approx(max(centre + shift - z * error, 0), abs=1e-6)
    assert found.high == pytest.approx(centre + shift + z * error, abs=1e-6)


def test_a_perfect_and_well_known_detector_leaves_the_rate_alone() -> None:
    found = rogan_gladen(Share(30, 1000), Share(100_000, 100_000), Share(100_000, 100_000))
    assert found.rate == pytest.approx(0.03)
    low, high = proportion_confint(30, 1000, method="agresti_coull")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-3), pytest.approx(high, abs=1e-3))


@given(shares(), shares(), shares())
def test_whatever_comes_out_is_a_rate_in_its_interval_or_unknown_with_a_reason(
    flagged, sensitivity, specificity
) -> None:
    found = rogan_gladen(flagged, sensitivity, specificity)
    if found.rate is None:
        assert found.low is found.high is None
        assert found.unknown
    else:
        assert 0 <= found.low <= found.rate <= found.high <= 1
        assert not found.unknown


@given(st.integers(10, 400), st.integers(10, 400), st.data())
def test_a_detector_no_better_than_chance_gives_no_number(positives: int, negatives: int, data) -> None:
    found = data.draw(st.integers(0, positives))
    passed = data.draw(st.integers(0, int(negatives * (1 - found / positives))))
    corrected = rogan_gladen(Share(50, 100), Share(found, positives), Share(passed, negatives))
    assert corrected.rate is None
    assert "chance" in corrected.unknown


@pytest.mark.parametrize(
    ("flagged", "sensitivity", "specificity", "reason"),
    [
        (Share(0, 0), *GOOD, "no answer was judged"),
        (Share(5, 50), Share(0, 0), Share(90, 100), "0 bad and 100 good"),
        (Share(5, 50), Share(9, MIN_VALIDATION - 1), Share(90, 100), "are needed"),
        (Share(5, 50), Share(6, 10), Share(6, 10), "cannot tell the detector from chance"),
    ],
)
def test_too_little_is_unknown(flagged: Share, sensitivity: Share, specificity: Share, reason: str) -> None:
    found = rogan_gladen(flagged, sensitivity, specificity)
    assert found == CorrectedRate(None, None, None, found.method, found.unknown)
    assert reason in found.unknown


@pytest.mark.parametrize("hits", [-1, 11])
def test_impossible_shares_are_refused(hits: int) -> None:
    with pytest.raises(ValueError, match="0 <= hits <= rows"):
        Share(hits, 10)


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "stream", "bad", "good"),
    [
        (0.05, 0.9, 0.9, 1000, 100, 100),
        (0.02, 0.8, 0.95, 500, 60, 200),
        (0.3, 0.7, 0.8, 400, 80, 80),
        (0.6, 0.9, 0.85, 2000, 200, 200),
        (0.0, 0.9, 0.97, 2000, 50, 300),
    ],
)
def test_the_corrected_interval_covers(rate, sensitivity, specificity, stream, bad, good) -> None:
    rng, covered, reported, repeats = np.random.default_rng(7), 0, 0, 1000
    flagged_share = rate * sensitivity + (1 - rate) * (1 - specificity)
    for _ in range(repeats):
        flagged = Share(int(rng.binomial(stream, flagged_share)), stream)
        found = rogan_gladen(
            flagged, Share(int(rng.binomial(bad, sensitivity)), bad), Share(int(rng.binomial(good, specificity)), good)
        )
        assert found.rate is not None
        covered += found.low <= rate <= found.high
        low, high = proportion_confint(flagged.hits, flagged.rows, method="wilson")
        reported += low <= rate <= high
    assert covered / repeats >= 0.935
    if abs(flagged_share - rate) > 0.05:
        assert reported / repeats < 0.5  # the uncorrected rate's interval misses the truth it pretends to hold


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "stream", "audited"),
    [
        (0.05, 0.9, 0.9, 2000, 200),
        (0.02, 0.9, 0.97, 4000, 300),
        (0.3, 0.6, 0.4, 1000, 100),
        (0.1, 0.95, 0.98, 4000, 100),
    ],
)
def test_prediction_powered_intervals_cover_and_gain(rate, sensitivity, specificity, stream, audited) -> None:
    rng, covered, repeats = np.random.default_rng(11), 0, 600
    widths, alone = [], []
    for _ in range(repeats):
        bad = rng.random(stream + audited) < rate
        flags = np.where(bad, rng.random(bad.size) < sensitivity, rng.random(bad.size) > specificity)
        found = prediction_powered(flags[:stream].tolist(), flags[stream:].tolist(), bad[stream:].tolist())
        covered += found.low <= rate <= found.high
        widths.append(found.high - found.low)
        low, high = proportion_confint(int(bad[stream:].sum()), audited, method="wilson")
        alone.append(high - low)
    assert covered / repeats >= 0.93
    assert np.mean(widths) < 1.03 * np.mean(alone)  # a useless detector costs next to nothing
    if sensitivity + specificity > 1.8:
        assert np.mean(widths) < 0.95 * np.mean(alone)


def test_prediction_powered_is_the_post_stratified_mean() -> None:
    found = prediction_powered(
        [True] * 300 + [False] * 700, [True] * 20 + [False] * 30, [True] * 15 + [False] * 5 + [True] * 3 + [False] * 27
    )
    share = 320 / 1050
    assert found.rate == pytest.approx(share * 15 / 20 + (1 - share) * 3 / 30)


@pytest.mark.parametrize(
    ("flags", "audited", "bad", "reason"),
    [
        ([True, False], [True], [True], "1 answers were audited"),
        ([True, False] * 9, [False] * 12, [False] * 12, "none of the flagged answers was audited"),
        ([True, False] * 9, [True] * 12, [True] * 12, "none of the passed answers was audited"),
    ],
)
def test_prediction_powered_needs_an_audit_of_both_kinds(flags, audited, bad, reason) -> None:
    found = prediction_powered(flags, audited, bad)
    assert found.rate is None
    assert reason in found.unknown


def test_prediction_powered_without_bad_answers_still_has_an_upper_end() -> None:
    found = prediction_powered([False] * 500, [False] * 60, [False] * 60)
    assert found.rate == found.low == 0
    assert 0.03 < found.high < 0.1


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="2 flags, 1 verdicts"):
        prediction_powered([True], [True, False], [True])
