"""The gate numbers of drift: equal to scipy's on the same rows, honest about broken columns, quiet on equal halves."""

from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from controlplane.analysis.drift import ColumnDrift, DriftResult, Problem, compare, compare_files, kind_of
from controlplane.core.model import Verdict

SERVEGEN = Path("../shared/data/servegen_traffic/m-small_client31_token_hist.parquet")
CONNECTION = duckdb.connect()
EMPLOYMENT = Path("../shared/data/nannyml_employment_ma")


def drift_of(reference: pl.DataFrame, current: pl.DataFrame) -> DriftResult:
    return compare(CONNECTION.from_arrow(reference.to_arrow()), CONNECTION.from_arrow(current.to_arrow()))


def column_drift(reference: list, current: list, dtype: pl.DataType | None = None) -> ColumnDrift:
    """Drift of one column; dtype is needed only where the current side has no value to tell its type."""
    sides = pl.DataFrame({"value": reference}), pl.DataFrame({"value": current}, schema={"value": dtype})
    return drift_of(*sides).columns[0]


def js_distance(reference: list, current: list) -> float:
    keys = sorted({value for value in reference + current if value is not None})
    shares = [[side.count(key) for key in keys] for side in (reference, current)]
    return float(distance.jensenshannon(*shares))


finite = st.floats(-1e6, 1e6, allow_subnormal=False)


@settings(max_examples=40, deadline=None)
@given(st.lists(finite, min_size=2, max_size=60), st.lists(finite, min_size=1, max_size=60))
def test_numeric_score_is_scipys_wasserstein_over_the_reference_sd(
    reference: list[float], current: list[float]
) -> None:
    column = column_drift(reference, current)
    spread = float(np.std(reference))
    if spread == 0:
        assert column.method == "Kolmogorov-Smirnov"
        assert column.score == pytest.approx(stats.ks_2samp(reference, current).statistic)
    elif spread > 1e-6 * max(map(abs, reference)):  # below that the reference's own variance is rounding
        expected = stats.wasserstein_distance(reference, current) / spread
        assert column.score == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_ks_distance_and_p_value_are_scipys() -> None:
    rng = np.random.default_rng(3)
    for rows, shift, method in ((400, 0.15, "exact"), (60, 0.9, "exact"), (12_000, 0.02, "asymp")):
        reference, current = rng.normal(size=rows).round(2), rng.normal(shift, 1, size=rows - rows // 4).round(2)
        column = column_drift(list(reference), list(current))
        expected = stats.ks_2samp(reference, current)  # its own choice of the method
        assert column.ks == pytest.approx(expected.statistic, abs=1e-12)
        assert column.p == pytest.approx(expected.pvalue, abs=1e-9)
        assert column.test == f"Kolmogorov-Smirnov, {'exact' if method == 'exact' else 'asymptotic'}"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=80),
    st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=80),
)
def test_categorical_score_is_scipys_jensen_shannon(reference: list[str], current: list[str]) -> None:
    column = column_drift(reference, current)
    assert column.score == pytest.approx(js_distance(reference, current), abs=1e-7)


def test_chi_square_is_scipys_when_no_category_is_rare() -> None:
    reference, current = ["a"] * 60 + ["b"] * 40 + ["c"] * 30, ["a"] * 30 + ["b"] * 50 + ["c"] * 25
    expected = stats.chi2_contingency([[60, 40, 30], [30, 50, 25]], correction=False).pvalue
    assert column_drift(reference, current).p == pytest.approx(expected)


def test_a_shift_is_drift_and_a_missing_value_is_not_a_category() -> None:
    rng = np.random.default_rng(5)
    shifted = column_drift(list(rng.normal(size=500)), list(rng.normal(0.5, 1, size=500)))
    assert (shifted.verdict, shifted.drifted) == (Verdict.FAIL, True)
    same = column_drift(["a", "b", None] * 100, ["a", "b"] * 150)
    assert (same.verdict, same.score, same.reference_missing) == (Verdict.PASS, 0.0, pytest.approx(1 / 3))


def test_infinite_values_count_as_missing() -> None:
    column = column_drift([1.0, 2.0, 3.0, float("inf")] * 20, [1.0, 2.0, 3.0, float("nan")] * 20)
    assert column.score == 0.0
    assert (column.reference_missing, column.current_missing) == (0.25, 0.25)


def test_few_rows_are_inconclusive_never_a_pass_or_an_accusation() -> None:
    few = column_drift([1.0, 2.0, 3.0], [7.0, 8.0, 9.0])
    assert few.verdict is Verdict.INCONCLUSIVE
    assert "30 are needed" in few.reason
    rng = np.random.default_rng(11)
    chance = column_drift(list(rng.normal(size=40)), list(rng.normal(0.2, 1, size=40)))
    assert chance.score > 0.1
    assert chance.verdict is Verdict.INCONCLUSIVE
    assert "chance" in chance.reason


@pytest.mark.parametrize(
    ("reference", "current", "verdict", "problem"),
    [
        ([1.0] * 50, [None] * 50, Verdict.ERROR, Problem.ALL_NULL_IN_CURRENT),
        ([None] * 50, [1.0] * 50, Verdict.NO_DATA, Problem.ALL_NULL_IN_REFERENCE),
        ([None] * 50, [None] * 50, Verdict.NO_DATA, Problem.ALL_NULL),
        ([1, 2] * 50, ["one", "two"] * 50, Verdict.ERROR, Problem.TYPE_CHANGED),
        ([5.0] * 50, [5.0] * 50, Verdict.PASS, Problem.CONSTANT),
        ([5.0] * 50, [5.0] * 25 + [6.0] * 25, Verdict.FAIL, Problem.CONSTANT_IN_REFERENCE),
        ([5.0, 6.0] * 50, [6.0] * 100, Verdict.FAIL, Problem.CONSTANT_IN_CURRENT),
        (["a"] * 50, ["a"] * 50, Verdict.PASS, Problem.CONSTANT),
        (["a", "b"] * 50, ["a"] * 100, Verdict.FAIL, Problem.CONSTANT_IN_CURRENT),
        (["a", "b"] * 50, ["a", "b"] * 49 + ["z"], Verdict.PASS, Problem.NEW_CATEGORY),
        (["a", "b"] * 50, ["a", "z"] * 50, Verdict.FAIL, Problem.NEW_CATEGORY),
        ([1.0, 2.0] * 50, [1.0, None] * 25 + [1.0, 2.0] * 25, Verdict.FAIL, Problem.MORE_MISSING),
        ([f"id-{i}" for i in range(200)], [f"id-{i}" for i in range(300, 500)], Verdict.NO_DATA, Problem.IDENTIFIER),
        ([[1], [2]] * 50, [[1], [2]] * 50, Verdict.NO_DATA, Problem.NOT_COMPARED),
        ([1.0], [], Verdict.NO_DATA, Problem.NO_ROWS),
    ],
)
def test_every_broken_column_gets_a_verdict(reference: list, current: list, verdict: Verdict, problem: Problem) -> None:
    column = column_drift(reference, current, None if current else pl.Float64())
    assert (column.verdict, column.problem) == (verdict, problem)
    assert column.reason


def test_columns_that_come_and_go() -> None:
    result = drift_of(pl.DataFrame({"kept": [1, 2], "gone": [1, 2]}), pl.DataFrame({"kept": [1, 2], "new": [1, 2]}))
    found = {column.column: (column.verdict, column.problem) for column in result.columns}
    assert found["gone"] == (Verdict.ERROR, Problem.MISSING_IN_CURRENT)
    assert found["new"] == (Verdict.NO_DATA, Problem.MISSING_IN_REFERENCE)
    assert result.broken == ("gone",)


def test_a_column_name_is_never_read_as_sql() -> None:
    name = 'value"; DROP TABLE x; -- '
    result = drift_of(pl.DataFrame({name: [1.0, 2.0] * 50}), pl.DataFrame({name: [1.0, 2.0] * 50}))
    assert result.to_dict()["columns"][name]["verdict"] == "PASS"


def test_two_random_halves_do_not_drift() -> None:
    """Family-wise: 18 columns, 3 splits; a single false drift would be p <= .05 * 10 by luck, but the effect forbids it."""
    rng = np.random.default_rng(7)
    rows = pl.DataFrame(
        {f"c{i}": rng.lognormal(size=1200) for i in range(12)}
        | {f"k{i}": rng.integers(0, 9, 1200).astype(str) for i in range(6)}
    )
    for seed in range(3):
        shuffled = rows.sample(fraction=1, shuffle=True, seed=seed)
        assert drift_of(shuffled[:600], shuffled[600:]).drifted == ()


def test_kind_of_types() -> None:
    assert [kind_of(name) for name in ("DECIMAL(9,2)", "VARCHAR", "BOOLEAN", "TIMESTAMP", "INTEGER[]")] == [
        "numeric",
        "categorical",
        "categorical",
        "time",
        None,
    ]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.parquet"):
        compare_files(CONNECTION, tmp_path / "nowhere.parquet", tmp_path / "nowhere.parquet")


@pytest.mark.skipif(not EMPLOYMENT.is_dir(), reason=f"real data set {EMPLOYMENT} is absent")
def test_real_census_years_drift_only_in_what_counts_up() -> None:
    result = compare_files(CONNECTION, EMPLOYMENT / "reference_2015.parquet", EMPLOYMENT / "analysis_2016.parquet")
    assert set(result.drifted) == {"year"}
    assert {c.column: c.problem for c in result.columns}["id"] is Problem.IDENTIFIER
    assert result.broken == ("employed",)  # the label has not arrived yet


@pytest.mark.skipif(not SERVEGEN.is_file(), reason=f"real data set {SERVEGEN} is absent")
def test_real_token_lengths_drift_from_the_first_to_the_last_days() -> None:
    lengths = pl.read_parquet(SERVEGEN).filter(pl.col("field") == "input_tokens")
    rows = lengths.with_columns(pl.col("value").cast(pl.Float64)).select(
        "window_s", pl.col("value").repeat_by((pl.col("prob") * 2_000).round().cast(pl.UInt32)).alias("tokens")
    )
    rows = rows.explode("tokens").drop_nulls()
    day = 86_400
    first, last = rows.filter(pl.col("window_s") < 3 * day), rows.filter(pl.col("window_s") >= 11 * day)
    assert drift_of(first.select("tokens"), last.select("tokens")).drifted == ("tokens",)
