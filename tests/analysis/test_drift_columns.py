"""One column's numbers against oracles on the same rows, what a column is taken for, and rows that stand for many."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from scipy import stats

from controlplane.analysis import drift_columns
from controlplane.analysis.drift import Problem, Table, compare, compare_all, compare_files, compare_tables
from controlplane.analysis.drift_columns import Sides, measure
from controlplane.analysis.drift_model import ColumnDrift, DriftResult, DriftSettings
from controlplane.core.model import Verdict

CONNECTION = duckdb.connect()
START = datetime(2026, 1, 5, tzinfo=UTC)
SERVEGEN = Path("../shared/data/servegen_traffic/m-small_client31_token_hist.parquet")
EMPLOYMENT = Path("../shared/data/nannyml_employment_ma/reference_2015.parquet")
DAY = 86_400

EVIDENTLY = """
import json, sys
import polars as pl
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
current, reference = (pl.read_parquet(path).to_pandas() for path in sys.argv[1:3])
numeric = [name for name in reference.columns if reference[name].dtype.kind in "if"]
text = [name for name in reference.columns if name not in numeric]
definition = DataDefinition(numerical_columns=numeric, categorical_columns=text)
asked = [(n, m) for n in numeric for m in ("psi", "jensenshannon", "wasserstein")]
asked += [(n, m) for n in text for m in ("psi", "jensenshannon")]
report = Report([ValueDrift(column=name, method=method) for name, method in asked])
run = report.run(*(Dataset.from_pandas(side, data_definition=definition) for side in (current, reference)))
values = [float(metric["value"]) for metric in run.dict()["metrics"]]
print(json.dumps([[*pair, value] for pair, value in zip(asked, values)]))
"""


def drift_of(reference: pl.DataFrame, current: pl.DataFrame) -> DriftResult:
    return compare(CONNECTION.from_arrow(reference.to_arrow()), CONNECTION.from_arrow(current.to_arrow()))


def one(reference: list, current: list, untyped: bool = False) -> ColumnDrift:
    frames = [pl.DataFrame({"value": side}, strict=False) for side in (reference, current)]
    sides = Sides(*(CONNECTION.from_arrow(frame.to_arrow()) for frame in frames), untyped=(untyped, untyped))
    return measure("value", sides, DriftSettings())


def binned(reference: np.ndarray, current: np.ndarray) -> list[np.ndarray]:
    """Shares per bin as Evidently bins: Sturges over both sides, or by value for at most 20 values in the reference."""
    if len(set(reference)) > 20:
        edges = np.histogram_bin_edges(np.concatenate([reference, current]), bins="sturges")
        return [np.histogram(side, edges)[0] / len(side) for side in (reference, current)]
    keys = sorted(set(reference) | set(current))
    return [np.array([np.mean(side == key) for key in keys]) for side in (reference, current)]


def psi(shares: list[np.ndarray]) -> float:
    filled = []
    for side in shares:
        least = side[side > 0].min()
        filled.append(np.where(side > 0, side, least / 1e6 if least <= 0.0001 else 0.0001))
    return float(np.sum((filled[0] - filled[1]) * np.log(filled[0] / filled[1])))


@pytest.mark.slow  # another import of Evidently; test_drift_job compares the deciding numbers with its report in every run
def test_all_numbers_equal_evidentlys_on_the_same_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    frames = []
    for n, shift in ((2_000, 0.0), (1_500, 0.4)):
        columns = {
            "skewed": rng.lognormal(5 + shift, 0.6, n),
            "tokens": rng.integers(20, 400, n),
            "few": rng.choice([1, 2, 3, 9], n, p=[0.4 - shift / 2, 0.3, 0.2, 0.1 + shift / 2]),
            "intent": rng.choice(["card", "pin", "größe", "rare"] + (["new"] if shift else []), n),
            "outlier": np.append(rng.normal(size=n - 1), 1e4 * (1 + shift)),
        }
        frames.append(pl.DataFrame(columns))
    paths = [tmp_path / "reference.parquet", tmp_path / "current.parquet"]
    for frame, path in zip(frames, paths, strict=True):
        frame.write_parquet(path)
    argv = [sys.executable, "-c", EVIDENTLY, str(paths[1]), str(paths[0])]
    done = subprocess.run(argv, capture_output=True, env=os.environ | {"DO_NOT_TRACK": "1"}, check=True, timeout=300)
    ours = {column.column: column for column in compare_files(CONNECTION, *paths).columns}
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert len(theirs) == 4 * 3 + 2
    for name, method, value in theirs:
        column = ours[name]
        mine = {"psi": column.psi, "jensenshannon": column.jensen_shannon, "wasserstein": column.score}[method]
        assert mine == pytest.approx(value, rel=1e-9, abs=1e-9), (name, method)


numbers = st.one_of(
    st.lists(st.floats(-1e4, 1e4, allow_subnormal=False), min_size=1, max_size=80),
    st.lists(st.integers(0, 40), min_size=1, max_size=80),
)


@settings(max_examples=25, deadline=None)
@given(numbers, numbers)
def test_numeric_numbers_are_scipys_and_numpys(reference: list, current: list) -> None:
    before, now = (np.array(side, dtype=float) for side in (reference, current))
    column = one(list(before), list(now))
    assert column.wasserstein == pytest.approx(stats.wasserstein_distance(before, now), rel=1e-9, abs=1e-9)
    try:
        expected = stats.ks_2samp(before, now, method="exact")
    except RuntimeWarning:  # SciPy's own sum rounds to more than 1: no oracle
        reject()
    assert column.ks == pytest.approx(expected.statistic, abs=1e-12)
    assert column.p == pytest.approx(expected.pvalue, abs=1e-9)
    assert column.reference_sd == pytest.approx(float(before.std()), rel=1e-9, abs=1e-9)
    span = np.ptp(np.concatenate([before, now]))
    if span > 1e-9 and column.psi is not None:
        shares = binned(before, now)
        assert column.psi == pytest.approx(psi(shares), rel=1e-9, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 400))
def test_adding_up_before_the_sort_changes_nothing(seed: int, values: int) -> None:
    rng = np.random.default_rng(seed)
    sides = [list(rng.integers(0, values, rows).astype(float)) for rows in (150, 90)]
    found = []
    for limit in (0.0, 2.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drift_columns, "REPEATING", limit)
            column = one(*sides)
            found.append((column.wasserstein, column.ks, column.p))
    assert found[0] == pytest.approx(found[1], rel=1e-12)


def test_category_psi_is_the_oracles() -> None:
    rng = np.random.default_rng(5)
    sides = [rng.choice(list("abcdefgh"), 600, p=p) for p in ([0.125] * 8, [0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05, 0])]
    column = one(*(list(map(str, side)) for side in sides))
    assert column.psi == pytest.approx(psi(binned(*sides)), rel=1e-9)
    assert (column.reference_distinct, column.current_distinct) == (8, 7)
    assert column.moved[0][0] == "a"
    assert column.moved[0][2] == pytest.approx(np.mean(sides[1] == "a"))


IDS = [f"id-{i}" for i in range(300)]
TIMES = [START + timedelta(hours=i) for i in range(300)]


@pytest.mark.parametrize(
    ("reference", "current", "untyped", "verdict", "problem"),
    [
        (list(range(300)), list(range(300, 600)), False, Verdict.NO_DATA, Problem.IDENTIFIER),
        ([str(i) for i in range(300)], [str(i) for i in range(300, 600)], True, Verdict.NO_DATA, Problem.IDENTIFIER),
        (list(range(300)), [i % 250 for i in range(300)], False, Verdict.FAIL, None),  # values repeat: no identifier
        ([i / 7 for i in range(300)], [1 + i / 7 for i in range(300)], False, Verdict.PASS, None),
        (IDS, [*IDS[:100], *[None] * 200], False, Verdict.FAIL, Problem.MORE_MISSING),
        (TIMES, [when + timedelta(days=90) for when in TIMES], False, Verdict.NO_DATA, Problem.MOVES_ON),
        (TIMES, [*TIMES[:200], *[None] * 100], False, Verdict.FAIL, Problem.MORE_MISSING),
        (TIMES, [1.0, 2.0] * 150, False, Verdict.ERROR, Problem.TYPE_CHANGED),
        ([True, False] * 50, [1, 0] * 50, False, Verdict.PASS, None),
        (["0", "1"] * 50, ["True", "False"] * 50, True, Verdict.PASS, None),
        ([True, False] * 50, [7, 0] * 50, False, Verdict.ERROR, Problem.TYPE_CHANGED),
        (["1", "2"] * 50, ["1", "oops"] * 50, True, Verdict.FAIL, Problem.TEXT_IN_NUMBERS),
        (["1", "2"] * 50, ["1", "NA"] * 50, True, Verdict.FAIL, Problem.MORE_MISSING),
        (["1", "2"] * 50, ["one", "two"] * 50, True, Verdict.ERROR, Problem.TYPE_CHANGED),
        (["one", "two"] * 50, ["1", "2"] * 50, True, Verdict.ERROR, Problem.TYPE_CHANGED),
        (["A1", "12"] * 50, ["A1", "12"] * 50, True, Verdict.PASS, None),
        (["02139", "02140"] * 50, ["02139", "99999"] * 50, False, Verdict.FAIL, Problem.NEW_CATEGORY),
        ([1, 2] * 50, ["1", "2"] * 50, False, Verdict.PASS, None),  # numbers written as text are still numbers
        (["", "a"] * 50, ["", "a"] * 50, False, Verdict.PASS, Problem.CONSTANT),
        ([1.0, 2.0] * 50, [1.0, 1e200] * 50, False, Verdict.FAIL, None),
        ([1e308, -1e308] * 50, [1.0, 2.0] * 50, False, Verdict.ERROR, Problem.OUT_OF_RANGE),
        ([1.0, float("inf")] * 50, [float("nan")] * 100, False, Verdict.ERROR, Problem.ALL_NULL_IN_CURRENT),
    ],
)
def test_what_a_column_is_taken_for(
    reference: list, current: list, untyped: bool, verdict: Verdict, problem: Problem | None
) -> None:
    frames = [pl.DataFrame({"value": side}, strict=False) for side in (reference, current)]
    sides = Sides(*(CONNECTION.from_arrow(frame.to_arrow()) for frame in frames), untyped=(untyped, untyped))
    column = measure("value", sides, DriftSettings())
    if column.p is not None:
        column = drift_columns_judged(sides)
    assert (column.verdict, column.problem) == (verdict, problem), column.reason
    assert column.reason
    json.dumps(DriftResult((column,)).to_dict(), allow_nan=False)


def drift_columns_judged(sides: Sides) -> ColumnDrift:
    """The column with its verdict, for sides that may be without types."""
    from controlplane.analysis.drift import _corrected

    return _corrected([measure("value", sides, DriftSettings())], DriftSettings())[0]


def test_lost_values_are_broken_and_named_in_the_reason() -> None:
    result = drift_of(pl.DataFrame({"a": [1.0, 2.0] * 50}), pl.DataFrame({"a": [1.0, None] * 50}))
    assert result.broken == ("a",)
    assert "50%" in result.columns[0].reason


def test_a_rarely_filled_column_is_not_accused_of_being_empty() -> None:
    rare = [1.0] * 3 + [None] * 1037
    assert one(rare, [None] * 326).verdict is Verdict.INCONCLUSIVE
    assert one(rare, [None] * 20_000).verdict is Verdict.ERROR


def test_missing_values_that_are_luck_accuse_nobody() -> None:
    """51 of 105 conversations rated, then 39: a rise of 11 points that is no rare luck."""
    rated, fewer = [4.0, 5.0] * 8 + [4.0] + [None] * 18, [4.0, 5.0] * 6 + [4.0] + [None] * 22

    def judged(reference: list, current: list) -> ColumnDrift:
        return drift_of(pl.DataFrame({"a": reference}), pl.DataFrame({"a": current})).columns[0]

    few = judged(rated * 3, fewer * 3)
    assert (few.verdict, "can't tell that from chance" in few.reason) == (Verdict.INCONCLUSIVE, True)
    many = judged(rated * 40, fewer * 40)
    assert (many.verdict, many.problem) == (Verdict.FAIL, Problem.MORE_MISSING)
    short = one(TIMES[:20], [*TIMES[:15], *[None] * 5])
    assert short.verdict is Verdict.NO_DATA


def test_several_tables_are_corrected_together() -> None:
    rng = np.random.default_rng(1)
    frames = [pl.DataFrame({f"c{i}": rng.normal(shift, 1, 80) for i in range(4)}) for shift in (0, 0.5)]
    labels = [pl.DataFrame({"label": rng.normal(shift, 1, 40)}) for shift in (0, 0.6)]
    pairs = [tuple(CONNECTION.from_arrow(side.to_arrow()) for side in pair) for pair in (frames, labels)]
    together = compare_all(pairs)
    assert len(together.columns) == 5
    smallest = min(together.columns, key=lambda column: column.p)
    assert smallest.corrected_p == pytest.approx(min(1, 5 * smallest.p))
    with pytest.raises(ValueError, match='"c0" is in two pairs'):
        compare_all([pairs[0], pairs[0]])


@settings(max_examples=2, deadline=None)
@given(st.integers(0, 2**31))
def test_a_weight_is_as_many_rows(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng, folder = np.random.default_rng(seed), tmp_path_factory.mktemp("weights")
    tables: dict[str, list[Table]] = {"rows": [], "weights": []}
    for name in ("reference", "current"):
        frame = pl.DataFrame(
            {"x": rng.integers(0, 30, 60).astype(float), "k": rng.choice(list("abc"), 60), "n": rng.integers(0, 9, 60)}
        )
        for kind, rows in (("weights", frame), ("rows", frame.select(pl.all().repeat_by("n").explode()).drop("n"))):
            path = folder / f"{name}-{kind}.parquet"
            rows.drop_nulls().write_parquet(path)
            tables[kind].append(Table(path))
    repeated = compare_tables(CONNECTION, *tables["rows"])
    weighted = compare_tables(CONNECTION, *tables["weights"], weight="n")
    for plain, heavy in zip(repeated.columns, weighted.columns, strict=True):
        for figure in ("score", "psi", "jensen_shannon", "ks", "chi_square", "reference_sd", "current_rows"):
            expected = getattr(plain, figure)
            assert getattr(heavy, figure) == (expected and pytest.approx(expected, rel=1e-9, abs=1e-9)), figure


@pytest.mark.parametrize(("weights", "words"), [([1.0, -1.0], "-1"), ([1.0, None], "missing"), (["a", "2"], "a")])
def test_a_weight_that_is_none_is_refused(tmp_path: Path, weights: list, words: str) -> None:
    path = tmp_path / "rows.parquet"
    pl.DataFrame({"x": [1.0, 2.0], "n": weights}).write_parquet(path)
    with pytest.raises(ValueError, match=f"2 weights.*{words}"):
        compare_tables(CONNECTION, Table(path), Table(path), weight="n")
    with pytest.raises(ValueError, match='no column "nope" in the reference'):
        compare_tables(CONNECTION, Table(path), Table(path), weight="nope")


@pytest.mark.skipif(not SERVEGEN.is_file(), reason=f"real data set {SERVEGEN} is absent")
def test_real_histograms_weigh_their_values(tmp_path: Path) -> None:
    """A histogram of a 6-hour window says which share of the requests had a length; 2,000 requests a window make the rows."""
    lengths = pl.read_parquet(SERVEGEN).filter(pl.col("field") == "input_tokens")
    rows = lengths.select("window_s", pl.col("value").alias("tokens"), (pl.col("prob") * 2_000).alias("requests"))
    tables = []
    for name, part in (("first", pl.col("window_s") < 3 * DAY), ("last", pl.col("window_s") >= 11 * DAY)):
        rows.filter(part).drop("window_s").write_parquet(tmp_path / f"{name}.parquet")
        tables.append(Table(tmp_path / f"{name}.parquet"))
    result = compare_tables(CONNECTION, *tables, weight="requests")
    assert result.drifted == ("tokens",)
    assert result.columns[0].current_mean > result.columns[0].reference_mean


@pytest.mark.skipif(not EMPLOYMENT.is_file(), reason=f"real data set {EMPLOYMENT} is absent")
def test_random_halves_of_a_real_file_do_not_drift() -> None:
    """Of 5 splits none drifts; the family-wise level allows 5 %, and the effect threshold makes it rarer still."""
    rows = pl.read_parquet(EMPLOYMENT).sample(6_000, seed=1).drop("id", "employed")
    for seed in range(5):
        shuffled = rows.sample(fraction=1, shuffle=True, seed=seed)
        assert drift_of(shuffled[:3000], shuffled[3000:]).drifted == ()
