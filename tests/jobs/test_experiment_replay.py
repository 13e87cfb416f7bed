"""`controlplane experiment replay`: files in, sums that add up out; the published experiments against figures recomputed here."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from typer.testing import CliRunner

from jobs.cli import app
from jobs.experiment_files import ExperimentFileError, equal_shares, read_experiments

DATA = Path(__file__).parents[3] / "shared" / "data"
ASOS, UPWORTHY = DATA / "asos_experiments" / "asos.parquet", DATA / "upworthy" / "upworthy.parquet"


def needs(file):
    return pytest.mark.skipif(not file.is_file(), reason=f"{file.name}: the published data is not on this machine")


def run(*words):
    result = CliRunner().invoke(app, ["experiment", "replay", *map(str, words)])
    return result.exit_code, result.stdout, result.stderr


def replayed(*words):
    code, out, err = run(*words, "--json")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


def long_rows(effect=0.1, looks=12, seed=1, experiments=2):
    rng, rows = np.random.default_rng(seed), []
    for experiment_ in range(experiments):
        n = x = {"control": 0, "a": 0, "b": 0}
        for look in range(1, looks + 1):
            n = {arm: n[arm] + 400 for arm in n}
            x = {arm: x[arm] + int(rng.binomial(400, 0.2 + effect * (arm == "b"))) for arm in x}
            rows += [
                {"experiment": f"e{experiment_}", "variant": arm, "metric": "clicked", "look": look, "n": n[arm], "x": x[arm], "share": 0.25}
                for arm in n
            ]  # fmt: skip
    return pl.DataFrame(rows)


@pytest.fixture
def looks_csv(tmp_path):
    file = tmp_path / "looks.csv"
    long_rows().write_csv(file)
    return file


def test_one_file_in_every_format_says_the_same(tmp_path, looks_csv):
    frame = long_rows()
    frame.write_parquet(tmp_path / "looks.parquet")
    frame.write_ndjson(tmp_path / "looks.jsonl")
    values = [replayed(tmp_path / name) for name in ("looks.csv", "looks.parquet", "looks.jsonl")]
    for value in values:
        assert value.pop("file")
    assert values[0] == values[1] == values[2]
    ours = values[0]["methods"]["ours"]
    assert ours["decided"] >= 2
    assert values[0]["metrics"]["clicked"]["ours_is"] == "exact"
    assert values[0]["sample_ratio"]["tested"] == 4


def test_sums_add_up_and_the_report_is_one_file(tmp_path, looks_csv):
    value = replayed(looks_csv, "--out", tmp_path / "report.html")
    check_sums(value)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert not re.search(r"<script|https?://(?!www\.w3\.org)", page)
    code, out, _ = run(looks_csv)
    assert code == 0
    naive = value["naive"]
    assert f"{naive['some_look']} comparisons were significant at some look" in out


def check_sums(value):
    naive = value["naive"]
    assert naive["some_look"] == sum(naive[key] for key in ("kept", "vanished", "turned", "unknown"))
    for item in value["methods"].values():
        assert item["decided"] == sum(item[key] for key in ("agrees", "beyond", "opposite", "unknown"))
        assert item["decided"] + item["undecided"] == value["comparisons"]
    for key in naive:
        assert naive[key] == sum(part["naive"][key] for part in value["metrics"].values())
    assert value["comparisons"] == len(value["details"])
    assert value["multiplicity"]["significant_at_last_look"] == sum(bool(row["last"]) for row in value["details"])


def test_dates_amounts_and_missing_variances(tmp_path):
    rng = np.random.default_rng(3)
    rows = [
        {"experiment": "e", "variant": arm, "metric": "spent", "look": f"2026-01-{day:02}", "n": 100 * day,
         "mean": float(3 + rng.normal() / 50 + (arm == "t")), "variance": None if day == 2 else 4.0}
        for day in range(1, 8) for arm in ("control", "t")
    ]  # fmt: skip
    pl.DataFrame(rows).write_csv(tmp_path / "spent.csv")
    value = replayed(tmp_path / "spent.csv", "--metric", "spent")
    assert value["missing"]["looks_without_variance"] == 1
    assert value["details"][0]["test"] == "asymptotic"
    assert value["details"][0]["ours"] is not None
    code, _, err = run(tmp_path / "spent.csv", "--metric", "earned")
    assert code == 2
    assert "has no metric earned; it has spent" in err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("n"), "missing: n"),
        (lambda f: f.drop("x"), r"missing: x \(events\) or mean and variance"),
        (lambda f: f.with_columns(x=pl.col("n") + 1), r"row 1: x is negative or above n"),
        (lambda f: f.with_columns(n=-pl.col("n")), "row 1: n is missing or negative"),
        (lambda f: f.with_columns(n=pl.lit("many")), "column n holds String; it must hold numbers"),
        (lambda f: f.with_columns(look=pl.lit("soon")), "column look holds String; it must hold numbers or dates"),
        (lambda f: pl.concat([f, f.with_columns(x=pl.col("x") * 0)]), "the same arm and look is there twice"),
        (lambda f: f.filter(pl.col("variant") != "control"), "has no control"),
        (lambda f: f.with_columns(share=0.0), "they must be above 0"),
        (lambda f: f.with_columns(share=pl.col("look") / 100), "has shares that change over the looks"),
        (lambda f: f.head(0), "has no row"),
        (
            lambda f: f.with_columns(look=pl.when(pl.col("variant") == "a").then(99).otherwise(pl.col("look"))),
            "twice|share no look",
        ),
    ],
)
def test_bad_files_are_explained(tmp_path, change, message):
    file = tmp_path / "bad.parquet"
    change(long_rows()).write_parquet(file)
    with pytest.raises(ExperimentFileError, match=message):
        read_experiments(file)
    code, _, err = run(file)
    assert code == 2
    assert "Traceback" not in err


def test_other_bad_input(tmp_path, looks_csv):
    assert run(tmp_path / "none.csv")[0] == 2
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    assert "unknown ending .xlsx" in run(tmp_path / "x.xlsx")[2]
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    assert "cannot be read as parquet" in run(tmp_path / "x.parquet")[2]
    (tmp_path / "folder.csv").mkdir()
    assert "is a folder" in run(tmp_path / "folder.csv")[2]
    code, out, err = run(looks_csv, "--out", tmp_path / "no" / "report.html")
    assert (code, out) == (2, "")
    assert "there is no folder" in err
    assert "is a folder" in run(looks_csv, "--out", tmp_path)[2]
    for alpha in ("0", "1e-300", "0.6", "nan"):
        assert f"--alpha is {float(alpha)}; it must lie between" in run(looks_csv, "--alpha", alpha)[2]
    for alpha in ("1e-9", "0.5"):
        assert run(looks_csv, "--alpha", alpha)[0] == 0
    assert "--tightest is -1" in run(looks_csv, "--tightest", "-1")[2]


def test_equal_in_whole_percentages():
    assert equal_shares(2) == (0.5,)
    assert equal_shares(3) == (33 / 67, 0.5, 34 / 67)
    assert equal_shares(5) == (0.5,)


def wide(**columns):
    n = np.array([100.0, 200, 300])
    plain = {
        "experiment_id": ["x"] * 3, "variant_id": [1] * 3, "metric_id": [2] * 3, "time_since_start": [1.0, 2, 3],
        "count_c": n, "count_t": n, "mean_c": [1.0, 1.1, 1.2], "mean_t": [2.0, 2.1, 2.2],
        "variance_c": [4.0] * 3, "variance_t": [4.0] * 3,
    }  # fmt: skip
    return pl.DataFrame(plain | columns)


UNKNOWN = [None, None, None]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, {"last_look_unknown": 0, "looks_untested": 0, "declined": {}}),
        ({"variance_c": [4.0, None, float("nan")]}, {"looks_without_variance": 2, "last_look_unknown": 1}),
        ({"variance_t": UNKNOWN}, {"declined": {"no look has a known variance": 1}, "looks_without_variance": 3}),
        ({"count_t": UNKNOWN}, {"looks_with_falling_counts": 3, "last_look_unknown": 1}),
        ({"count_c": [0.0] * 3, "count_t": [0.0] * 3}, {"looks_untested": 3, "last_look_unknown": 1}),
        ({"count_t": [100.0, 90.0, 300.0]}, {"looks_with_falling_counts": 1, "last_look_unknown": 0}),
        ({"mean_c": UNKNOWN}, {"looks_untested": 3, "last_look_unknown": 1}),
    ],
)
def test_what_is_missing_is_said(tmp_path, columns, expected):
    file = tmp_path / "asos.parquet"
    wide(**{name: pl.Series(values, dtype=pl.Float64) for name, values in columns.items()}).write_parquet(file)
    value = replayed(file, "--out", tmp_path / "report.html")
    check_sums(value)
    assert {key: value["missing"][key] for key in expected} == expected


def arms_frame(**columns):
    plain = {
        "clickability_test_id": ["a", "a", "b"],
        "impressions": [100, 110, 50],
        "clicks": [3, 5, 1],
        "test_week": [201401] * 3,
    }
    return pl.DataFrame(plain | columns)


@pytest.mark.parametrize(
    ("columns", "compared"),
    [({}, 2), ({"test_week": UNKNOWN}, 2), ({"impressions": [0] * 3, "clicks": [0] * 3}, 0), ({"clicks": [0] * 3}, 0)],
)
def test_tests_with_nothing_to_compare_are_counted(tmp_path, columns, compared):
    file = tmp_path / "upworthy.csv"
    arms_frame(**columns).write_csv(file)
    value = replayed(file, "--out", tmp_path / "report.html")
    assert (value["tests"], value["compared"], value["tests_of_one_arm"]) == (2, compared, 1)
    assert run(file)[0] == 0


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (arms_frame(clicks=[3, 500, 1]), "row 2: clicks is missing, negative or above impressions"),
        (arms_frame(impressions=[100, 110, None]), "row 3: impressions is missing or negative"),
        (arms_frame(clickability_test_id=["a", None, "b"]), "row 2: clickability_test_id is missing"),
        (wide(count_c=[100.0, -1, 300]), "row 2: count_c is negative"),
        (wide(time_since_start=[1.0, None, 3]), "row 2: time_since_start is missing"),
        (wide(time_since_start=[1.0, 1.0, 3]), "the same look is there twice"),
        (wide(count_t=[100.0, 1e300, 300]), "row 2: count_t is above 1e\\+15"),
        (wide(variance_t=[4.0, 4, -1]), "row 3: variance_t is negative"),
        (wide(mean_t=[2.0, float("inf"), 2]), "row 2: mean_t is infinite"),
        (wide(experiment_id=["x", None, "x"]), "row 2: experiment_id is missing"),
        (
            arms_frame(test_week=["2013-07-01", "201330", "201330"]),
            "column test_week holds String; it must hold numbers",
        ),
        (arms_frame(test_week=[201330, 7, 201330]), "row 2: test_week is no week YYYYWW"),
        (long_rows().with_columns(metric=pl.lit(None, dtype=pl.String)), "row 1: metric is missing"),
    ],
)
def test_impossible_rows_are_named(tmp_path, frame, message):
    frame.write_parquet(tmp_path / "bad.parquet")
    with pytest.raises(ExperimentFileError, match=message):
        read_experiments(tmp_path / "bad.parquet")


def test_rows_that_are_there_twice_count_once(tmp_path):
    for name, frame in (("wide", wide()), ("long", long_rows())):
        frame.write_csv(tmp_path / f"{name}.csv")
        pl.concat([frame, frame.head(2)]).write_csv(tmp_path / f"{name}2.csv")
        once, twice = replayed(tmp_path / f"{name}.csv"), replayed(tmp_path / f"{name}2.csv")
        assert once["details"] == twice["details"]


def test_weeks_written_as_decimals_are_weeks_and_unknown_ones_are_in_neither_part(tmp_path):
    frame = arms_frame(test_week=[201330.0, 201330.0, None]).with_columns(
        clickability_test_id=pl.Series(["a", "a", "b"])
    )
    pl.concat([frame, frame.tail(1)]).write_parquet(tmp_path / "u.parquet")
    split = replayed(tmp_path / "u.parquet")["sample_ratio"]
    assert [(row["period"], row["tests"]) for row in split["weeks"]] == [("201330", 1), ("unknown", 1)]
    assert (split["documented"]["inside"]["tests"], split["documented"]["outside"]["tests"]) == (1, 0)


@needs(ASOS)
def test_asos_equals_a_count_made_here():
    value = replayed(ASOS)
    check_sums(value)
    frame = pl.read_parquet(ASOS).to_pandas()
    error = np.sqrt(frame.variance_t / frame.count_t + frame.variance_c / frame.count_c)
    frame["z"] = ((frame.mean_t - frame.mean_c) / error).abs()
    keys = ["experiment_id", "variant_id", "metric_id"]
    some = frame.groupby(keys).z.max() > norm.isf(0.025)
    last = frame.sort_values("time_since_start").groupby(keys).z.agg(lambda z: z.iloc[-1]) > norm.isf(0.025)
    assert value["comparisons"] == len(some)
    assert abs(value["naive"]["some_look"] - int(some.sum())) <= 1  # looks with falling counts are left out
    assert abs(value["naive"]["vanished"] - int((some & ~last).sum())) <= 1
    missing = int((frame.variance_c.isna() | frame.variance_t.isna()).sum())
    assert value["missing"]["looks_without_variance"] == missing
    assert value["metrics"]["1"]["ours_is"] == "exact"
    assert {name: part["ours_is"] for name, part in value["metrics"].items() if name != "1"} == dict.fromkeys(
        "234", "asymptotic"
    )


@needs(UPWORTHY)
def test_upworthy_splits_are_broken_where_the_archive_says_so(tmp_path):
    value = replayed(UPWORTHY, "--out", tmp_path / "report.html")
    split = value["sample_ratio"]
    inside, outside = split["documented"]["inside"], split["documented"]["outside"]
    assert inside["low"] > 0.4
    assert outside["high"] < 0.01
    assert sum(row["tests"] for row in split["weeks"]) == split["tested"] == inside["tests"] + outside["tests"]
    assert sum(row["mismatched"] for row in split["weeks"]) == split["mismatched"]
    many = value["multiplicity"]
    assert many["e_values"]["arms"] < many["benjamini_hochberg"]["arms"] < value["naive"]["arms"]
    assert "201325" in (tmp_path / "report.html").read_text(encoding="utf-8")


@needs(UPWORTHY)
def test_a_metric_makes_no_sense_for_arms():
    code, _, err = run(UPWORTHY, "--metric", "1")
    assert code == 2
    assert "one metric only" in err
