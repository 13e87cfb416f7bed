"""The onset of drift: planted changes are found where they are, nothing is found in noise, and doubt is said in words."""

from math import isclose

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance as scipy_distance

from controlplane.analysis.drift_timeline import (
    LEVEL,
    Shape,
    Sketch,
    distance,
    excess,
    expected,
    jensen_shannon,
    onset,
    sparkline,
)

GRID = (np.arange(100) + 0.5) / 100
COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 50), max_size=6)


def numbers(values: np.ndarray) -> Sketch:
    """What the SQL makes of the values of a bucket."""
    quantiles = tuple(np.quantile(values, GRID, method="inverted_cdf").tolist())
    return Sketch(len(values), len(values), float(np.mean(values)), float(np.std(values)), quantiles)


def words(counts: dict[str, int]) -> Sketch:
    return Sketch(sum(counts.values()), sum(counts.values()), counts=counts)


# distances


@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0, 3.0])
def test_the_distance_of_numbers_is_scipys_but_for_the_tails(shift: float) -> None:
    rng = np.random.default_rng(3)
    reference, bucket = rng.normal(5, 2, 20_000), rng.normal(5 + 2 * shift, 2, 20_000)
    exact = stats.wasserstein_distance(reference, bucket) / np.std(reference)
    found = distance(numbers(reference), numbers(bucket))
    assert found is not None
    assert abs(found - exact) < 0.01
    tails = 0.02 * exact + 0.01
    skewed = distance(numbers(np.exp(reference / 4)), numbers(np.exp(bucket / 4)))
    exact = stats.wasserstein_distance(np.exp(reference / 4), np.exp(bucket / 4)) / np.std(np.exp(reference / 4))
    assert skewed is not None
    assert exact - 0.1 * exact - tails < skewed < exact + tails


@given(COUNTS, COUNTS)
def test_the_distance_of_categories_is_scipys(first: dict[str, int], second: dict[str, int]) -> None:
    found = jensen_shannon(first, second)
    if not sum(first.values()) or not sum(second.values()):
        assert found is None
        return
    rows = [[side.get(key, 0) for key in "abcdef"] for side in (first, second)]
    assert found is not None
    assert isclose(found, float(scipy_distance.jensenshannon(*rows)), abs_tol=1e-7)


def test_a_reference_of_one_value_is_measured_by_the_share_that_differs() -> None:
    constant = numbers(np.full(50, 7.0))
    assert distance(constant, numbers(np.asarray([7.0] * 60 + [9.0] * 40))) == pytest.approx(0.4)
    assert excess(constant, constant) == 0.0


def test_nothing_to_compare_is_no_distance() -> None:
    empty, text, number = Sketch(9, 0), words({"a": 5}), numbers(np.arange(20.0))
    for pair in ((empty, number), (number, empty), (empty, text), (text, number), (number, text)):
        assert distance(*pair) is None
        assert excess(*pair) is None
    assert empty.missing == 1.0
    assert Sketch(0, 0).missing is None


@pytest.mark.parametrize("rows", [20, 100, 400])
@pytest.mark.parametrize("kind", ["normal", "lognormal", "uniform", "integers"])
def test_what_chance_gives_is_taken_out_of_numbers(rows: int, kind: str) -> None:
    rng = np.random.default_rng(rows)
    draw = {
        "normal": lambda n: rng.normal(0, 1, n),
        "lognormal": lambda n: rng.lognormal(0, 0.6, n),
        "uniform": lambda n: rng.random(n),
        "integers": lambda n: rng.integers(0, 30, n).astype(float),
    }[kind]
    reference = numbers(draw(5_000))
    raw = [distance(reference, numbers(draw(rows))) or 0.0 for _ in range(200)]
    told = expected(reference, Sketch(rows, rows, quantiles=(0.0,) * 100))
    assert np.mean(raw) == pytest.approx(told, rel=0.15)


@pytest.mark.parametrize("rows", [60, 300])
def test_what_chance_gives_is_taken_out_of_categories(rows: int) -> None:
    rng = np.random.default_rng(rows)
    shares = {"a": 0.4, "b": 0.3, "c": 0.2, "d": 0.1}
    reference = words({key: int(100_000 * share) for key, share in shares.items()})
    drawn = rng.multinomial(rows, list(shares.values()), size=400)
    raw = [distance(reference, words(dict(zip(shares, row.tolist(), strict=True)))) or 0.0 for row in drawn]
    told = expected(reference, words({"a": rows}))
    assert np.sqrt(np.mean(np.square(raw))) == pytest.approx(told, rel=0.1)


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.1, 5))
def test_the_excess_is_never_more_than_the_distance(first: int, second: int, shift: float) -> None:
    rng = np.random.default_rng(first)
    sides = numbers(rng.normal(0, 1, first)), numbers(rng.normal(shift, 1, second))
    raw, found = distance(*sides), excess(*sides)
    assert raw is not None
    assert found is not None
    assert 0.0 <= found <= raw


def test_a_sketch_survives_its_own_text() -> None:
    for sketch in (numbers(np.arange(30.0)), words({"ü": 3, "(others)": 1}), Sketch(4, 0)):
        assert Sketch.from_list(sketch.to_list()) == sketch
    with pytest.raises(ValueError, match="no sketch"):
        Sketch.from_list([1, 2, 3])


# onset


@pytest.mark.parametrize("change", [3, 10, 17, 25])
@pytest.mark.parametrize("height", [0.15, 0.5])
def test_a_step_is_found_in_its_bucket(change: int, height: float) -> None:
    rng = np.random.default_rng(change)
    scores = np.abs(rng.normal(0.04, 0.02, 28))
    scores[change:] += height
    found = onset(scores.tolist(), [300] * 28, 0.1)
    assert (found.shape, found.index) == (Shape.STEP, change)
    assert found.earliest is not None
    assert found.latest is not None
    assert found.earliest <= change <= found.latest
    assert found.after is not None
    assert found.before is not None
    assert found.after - found.before == pytest.approx(height, abs=0.03)


def test_a_small_step_in_noise_has_a_span_that_holds_it() -> None:
    held = wide = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scores = np.abs(rng.normal(0.05, 0.05, 30)) + np.where(np.arange(30) >= 18, 0.09, 0)
        found = onset(scores.tolist(), [200] * 30, 0.1)
        if found.earliest is not None and found.latest is not None:
            wide += 1
            held += found.earliest <= 18 <= found.latest
    assert wide >= 50
    assert held >= 0.9 * wide


def test_noise_has_no_onset_more_often_than_promised() -> None:
    told = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        found = onset(np.abs(rng.normal(0, 0.05, 28)).tolist(), rng.integers(20, 400, 28).tolist(), 0.1)
        told += found.p is not None and found.p <= LEVEL
        assert found.shape is not Shape.FROM_THE_START
    assert stats.binomtest(told, 300, LEVEL, alternative="greater").pvalue > 0.01


def test_days_that_resemble_the_day_before_are_no_onset() -> None:
    """Autocorrelation .6: one in four such series would have a moment if its days were permuted one by one."""
    rng, claimed = np.random.default_rng(4), 0
    for _ in range(60):
        noise = rng.normal(0, 0.02, 56)
        for i in range(1, 56):
            noise[i] += 0.6 * noise[i - 1]
        claimed += onset(list(np.maximum(0.1 + noise, 0)), [60] * 56, 0.3).index is not None
    assert claimed <= 8


def test_drift_from_the_first_bucket_on_has_no_moment() -> None:
    rng = np.random.default_rng(1)
    found = onset(rng.normal(0.6, 0.03, 28).tolist(), [300] * 28, 0.1)
    assert (found.shape, found.index) == (Shape.FROM_THE_START, None)
    assert "began before the first" in found.reason
    higher = np.concatenate([rng.normal(0.5, 0.02, 14), rng.normal(0.8, 0.02, 14)])
    assert onset(higher.tolist(), [300] * 28, 0.1).shape is Shape.FROM_THE_START


def test_a_slow_change_is_dated_by_its_threshold_and_called_slow() -> None:
    rng = np.random.default_rng(2)
    found = onset((np.linspace(0.0, 0.5, 40) + rng.normal(0, 0.01, 40)).tolist(), [300] * 40, 0.2)
    assert found.shape is Shape.GRADUAL
    assert found.index is not None
    assert abs(found.index - 16) <= 2
    assert "no single moment" in found.reason


def test_drift_that_goes_back_is_not_given_a_beginning() -> None:
    rng = np.random.default_rng(4)
    scores = np.concatenate([rng.normal(0.5, 0.02, 14), rng.normal(0.05, 0.02, 14)])
    found = onset(scores.tolist(), [300] * 28, 0.1)
    assert (found.shape, found.index) == (Shape.UNCLEAR, None)
    assert "coming back" in found.reason


def test_buckets_without_values_or_with_few_rows_are_passed_over() -> None:
    scores = [0.02, None, 0.03, 9.0, 0.01, 0.02, 0.03, 0.4, 0.42, None, 0.41, 0.4, 0.43, 0.42]
    rows = [100, 0, 100, 3, 100, 100, 100, 100, 100, 0, 100, 100, 100, 100]
    found = onset(scores, rows, 0.1)
    assert (found.shape, found.index) == (Shape.STEP, 7)


@pytest.mark.parametrize("scores", [[], [0.1] * 5, [None] * 30])
def test_too_few_buckets_are_said(scores: list[float | None]) -> None:
    found = onset(scores, [100] * len(scores), 0.1)
    assert (found.shape, found.index) == (Shape.UNCLEAR, None)
    assert "6 are needed" in found.reason


def test_a_flat_series_has_no_moment() -> None:
    assert onset([0.0] * 20, [50] * 20, 0.1).shape is Shape.UNCLEAR
    assert onset([0.7] * 20, [50] * 20, 0.1).shape is Shape.FROM_THE_START


def test_what_is_no_series_is_refused() -> None:
    with pytest.raises(ValueError, match="3 scores and 2 row counts"):
        onset([0.1] * 3, [10] * 2, 0.1)
    with pytest.raises(ValueError, match="not a finite number"):
        onset([0.1] * 7 + [float("nan")], [20] * 8, 0.1)


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), min_size=0, max_size=40), st.integers(0, 50))
def test_any_series_has_an_answer_in_words(scores: list[float | None], seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, 500, len(scores)).tolist()
    found = onset(scores, rows, 0.1)
    assert found.reason
    assert found == onset(scores, rows, 0.1)
    if found.index is not None:
        assert scores[found.index] is not None
        assert found.shape in (Shape.STEP, Shape.GRADUAL)


def test_the_sparkline_has_a_mark_per_bucket() -> None:
    assert sparkline([0.0, 0.1, None, 0.2]) == "▁▅ █"
    assert sparkline([0.1, 0.2], top=0.8) == "▂▃"
    assert sparkline([]) == ""
    assert sparkline([0.0, 0.0]) == "▁▁"
