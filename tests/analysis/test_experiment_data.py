"""What an analysis does with rows: units, arms, gaps, segments, strata, quantiles and time, against polars and scipy."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from controlplane.analysis.experiment_analysis import choose_control
from controlplane.analysis.experiment_request import ExperimentError, Goal, Request, goals, measures, quantiles, shares
from controlplane.analysis.experiment_source import units
from controlplane.core.estimates_power import smallest_difference
from jobs.experiment_analyze import scratch
from tests.analysis.experiment_files import analysed, asked, shop

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)


def one(value, metric="revenue", arm="treated"):
    return value["metrics"][metric]["arms"][arm]


def several_rows(seed=4, n=600, effect=1.0, fade=0.0):
    """Three rows a customer over ten days; the effect fades by `fade` a day since the customer was first seen."""
    rng, rows = np.random.default_rng(seed), []
    for user in range(n):
        treated = user % 2
        start, own = rng.uniform(0, 2), rng.normal(5, 1)
        rows += [
            {
                "user": f"ü{user}",
                "arm": ("control", "treated")[treated],
                "revenue": own + rng.normal(0, 0.5) + treated * (effect - fade * day),
                "sessions": 1 + int(rng.integers(0, 3)),
                "at": MONDAY + timedelta(days=start + day),
                "intent": ("fees", "balance")[user % 3 == 0],
            }
            for day in (0.0, 4.2, 8.1)
        ]
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=1)


@pytest.mark.parametrize(("how", "of"), [("mean", pl.mean), ("sum", pl.sum), ("max", pl.max), ("min", pl.min)])
def test_several_rows_of_a_unit_become_one(tmp_path, how, of):
    frame = several_rows()
    value = analysed(frame, tmp_path, asked(["revenue"], ["r=revenue/sessions"], per_unit=how))
    per_unit = frame.group_by("user", "arm").agg(of("revenue"), pl.sum("revenue").alias("total"), pl.sum("sessions"))
    arms = {arm: per_unit.filter(pl.col("arm") == arm) for arm in ("treated", "control")}
    theirs = stats.ttest_ind(*(arms[arm]["revenue"] for arm in arms), equal_var=False)
    assert (value["units"], value["rows"]) == (600, 1800)
    assert one(value)["p"] == pytest.approx(theirs.pvalue, rel=1e-8)
    assert how in value["several_rows_a_unit"]
    mean = arms["treated"]["total"].sum() / arms["treated"]["sessions"].sum()
    assert one(value, "r")["mean_treated"] == pytest.approx(mean, rel=1e-12)


def test_units_in_two_arms_are_left_out_and_many_break_the_experiment(tmp_path):
    frame = shop(400)
    twice = frame.head(3).with_columns(
        arm=pl.when(pl.col("arm") == "control").then(pl.lit("treated")).otherwise(pl.lit("control"))
    )
    value = analysed(pl.concat([frame, twice]), tmp_path, asked(["revenue"]))
    clean = analysed(frame.slice(3), tmp_path, asked(["revenue"]))
    assert value["excluded"]["in_two_arms"] == 3
    assert value["trusted"]
    assert one(value)["p"] == pytest.approx(one(clean)["p"], rel=1e-10)
    many = frame.head(30).with_columns(
        arm=pl.when(pl.col("arm") == "control").then(pl.lit("treated")).otherwise(pl.lit("control"))
    )
    broken = analysed(pl.concat([frame, many]), tmp_path, asked(["revenue"]))
    assert not broken["trusted"]
    assert "30 of 400 units are in two arms" in broken["not_trusted_because"][0]
    assert one(broken)["verdict"] == "not to be trusted"


def test_a_broken_split_makes_nothing_to_be_trusted(tmp_path):
    frame = shop(4000, effect=5.0)
    kept = frame.filter((pl.col("arm") == "control") | (pl.col("user") % 6 > 0))
    value = analysed(kept, tmp_path, asked(["revenue"], segments=("intent",), quantiles=quantiles(["revenue:0.5"])))
    treated = value["arms"]["treated"]
    theirs = stats.chisquare([value["arms"]["control"], treated])
    assert value["sample_ratio"]["p"] == pytest.approx(theirs.pvalue, rel=1e-9)
    words = [one(value)["verdict"], *(row["verdict"] for row in (*value["segments"][0]["rows"], *value["quantiles"]))]
    assert set(words) == {"not to be trusted"}
    right = analysed(kept, tmp_path, asked(["revenue"], shares=shares(["control=1", "treated=0.8333"])))
    assert right["trusted"]
    assert one(right)["verdict"] == "better"


def test_gaps_are_counted_and_never_zero(tmp_path):
    frame = shop(500).with_columns(
        revenue=pl.when(pl.col("user") % 5 > 0).then("revenue"),
        before=pl.when(pl.col("user") % 7 > 0).then("before"),
        arm=pl.when(pl.col("user") != 11).then("arm"),
    )
    value = analysed(frame, tmp_path, asked(["revenue"], ["r=revenue/sessions"], ["revenue=before"]))
    known = frame.drop_nulls(["revenue", "arm"])
    assert value["excluded"]["without_arm"] == 1
    assert sum(value["metrics"]["revenue"]["n"].values()) == len(known) == sum(value["metrics"]["r"]["n"].values())
    filled = known.with_columns(before=pl.col("before").fill_null(frame.drop_nulls("arm")["before"].mean()))
    whole = analysed(filled, tmp_path, asked(["revenue"], covariates=["revenue=before"]))
    assert one(value)["difference"]["estimate"] == pytest.approx(one(whole)["difference"]["estimate"], rel=1e-9)
    empty = analysed(frame.with_columns(nothing=pl.lit(None, dtype=pl.Float64)), tmp_path, asked(["nothing"]))
    assert (one(empty, "nothing")["verdict"], one(empty, "nothing")["p"]) == ("unknown", None)
    assert "fewer than two units" in one(empty, "nothing")["reason"]


@pytest.mark.parametrize("nobody", [float("nan"), "", None])
def test_rows_of_nobody_are_left_out_and_counted(tmp_path, nobody):
    frame = shop(400)
    plain = frame.with_columns(
        user=pl.Series([nobody] * 60 + frame["user"][60:].cast(type(nobody) if nobody is not None else int).to_list())
    )
    value = analysed(plain, tmp_path, asked(["revenue"]))
    assert (value["units"], value["excluded"]["without_unit"], value["several_rows_a_unit"]) == (340, 60, None)
    if nobody == "":
        named = analysed(
            frame.with_columns(arm=pl.when(pl.col("user") < 60).then(pl.lit("")).otherwise("arm")),
            tmp_path,
            asked(["revenue"]),
        )
        assert (set(named["arms"]), named["excluded"]["without_arm"]) == ({"control", "treated"}, 60)


def test_repeated_units_are_found_whatever_they_are():
    """Whole numbers are counted in a bitmap, those far apart and any text by hashing: all exactly."""
    rng = np.random.default_rng(8)
    with scratch() as connection:
        for far, step, kind in ((0, 1, "BIGINT"), (-(2**62), 1, "BIGINT"), (7, 10**12, "BIGINT"), (0, 1, "VARCHAR")):
            for size in (2, 20, 60):
                users = [0, *rng.integers(1, 30, size).tolist(), 31]  # unit 0 in one arm, unit 31 in the other
                values = ", ".join(
                    f"({far + step * u}, {'NULL' if i == 1 else repr('ct'[u % 2])}, 1.0)" for i, u in enumerate(users)
                )
                rows = connection.sql(
                    f"SELECT CAST(u AS {kind}) AS user, arm, y FROM (VALUES {values}) AS v(u, arm, y)"
                )
                connection.execute("DROP TABLE IF EXISTS units_of_rows")
                found = units(connection, rows, asked(["y"]))
                known = users[:1] + users[2:]  # the second row names no arm
                assert (found.counts["units"], found.counts["without_arm"]) == (len(set(known)), 1)
                assert found.several == (len(set(known)) < len(known))


def test_the_points_of_the_sums_move_where_the_first_rows_mislead(tmp_path):
    """The first rows are empty, all others lie at 1e12: around the first rows' point no digit of the spread would be left."""
    frame = shop(5000)
    late = frame.with_columns(revenue=pl.when(pl.col("user") >= 3000).then(pl.col("revenue").round(3) + 2.0**40))
    row = one(analysed(late, tmp_path, asked(["revenue"])))
    arms = [
        late.filter(pl.col("arm") == arm)["revenue"].drop_nulls().to_numpy() - 2.0**40 for arm in ("treated", "control")
    ]
    theirs = stats.ttest_ind(*arms, equal_var=False)
    assert row["p"] == pytest.approx(theirs.pvalue, rel=1e-10)
    assert row["difference"]["low"] == pytest.approx(theirs.confidence_interval().low, rel=1e-9)


def test_a_column_of_nothing_is_unknown_and_a_small_arm_is_said(tmp_path):
    value = analysed(shop(40).with_columns(none=pl.lit(None)), tmp_path, asked(["none", "revenue"]))
    assert one(value, "none")["verdict"] == "unknown"
    assert "fewer than 30 units" in one(value)["note"]


def test_a_rate_is_recognised_and_few_events_are_not_judged(tmp_path):
    frame = shop(3000).with_columns(rare=pl.col("user") < 3, flat=pl.lit(2.0), whole=pl.col("bought").cast(pl.Int8))
    value = analysed(frame, tmp_path, asked(["bought", "rare", "flat", "whole"]))
    kinds = {name: metric["kind"] for name, metric in value["metrics"].items()}
    assert kinds == {"bought": "rate", "rare": "rate", "flat": "mean", "whole": "rate"}
    assert one(value, "rare")["verdict"] == "unknown"
    assert "too few to judge" in one(value, "rare")["note"]
    assert one(value, "flat")["reason"] == "the values of an arm do not vary, so its error is unknown"
    assert one(value, "whole")["p"] == one(value, "bought")["p"]


def test_segments_are_ranked_shrunk_and_corrected(tmp_path):
    frame = shop(3000, effect=1.0, seed=6).with_columns(one=pl.lit("all"))
    value = analysed(frame, tmp_path, asked(["revenue"], segments=("intent", "one"), lower=["revenue"]))
    table = value["segments"][0]
    assert [row["rank"] for row in table["rows"]] == [1, 2, 3]
    shrunk = [row["shrunk"]["estimate"] for row in table["rows"]]
    assert shrunk == sorted(shrunk)  # less is better, so the lowest is the best
    for row in table["rows"]:
        part = frame.filter(pl.col("intent") == row["level"])
        arms = [part.filter(pl.col("arm") == arm)["revenue"] for arm in ("treated", "control")]
        assert row["p"] == pytest.approx(stats.ttest_ind(*arms, equal_var=False).pvalue, rel=1e-8)
        assert row["corrected_p"] >= row["p"]
    assert value["segments"][1]["heterogeneity"] is None
    assert value["segments"][1]["rows"][0]["p"] == pytest.approx(one(value)["p"])


def test_segments_that_do_not_differ_are_seldom_accused(tmp_path):
    accused = 0
    for seed in range(10):
        value = analysed(shop(400, seed=seed), tmp_path, asked(["revenue"], segments=("intent",)))
        accused += any(
            row["corrected_p"] <= 0.05 or row["corrected_differs"] <= 0.05 for row in value["segments"][0]["rows"]
        )
    assert accused <= stats.binom.isf(1e-4, 10, 0.1)


def test_strata_undo_simpson(tmp_path):
    rng, rows = np.random.default_rng(8), []
    for stage, share, base in (("1", 0.05, 9.0), ("2", 0.5, 5.0), ("3", 0.9, 1.0)):
        rows += [
            {
                "user": f"{stage}-{i}",
                "arm": "treated" if rng.random() < share else "control",
                "stage": stage,
                "revenue": base + rng.normal(),
            }
            for i in range(800)
        ]
    frame, ratio = pl.DataFrame(rows), shares(["control=1237", "treated=1163"])
    wrong = analysed(frame, tmp_path, asked(["revenue"], shares=ratio))
    right = analysed(frame, tmp_path, asked(["revenue"], shares=ratio, strata="stage"))
    assert one(wrong)["verdict"] == "worse"
    assert one(right)["verdict"] == "not shown"
    assert one(right)["strata"] == 3
    assert "averaged over strata" in right["judged"]["interval"]
    with pytest.raises(ExperimentError, match="cannot be averaged over strata"):
        analysed(frame, tmp_path, asked(["revenue"], strata="stage", quantiles=quantiles(["revenue:0.5"])))


def test_quantiles_are_exact(tmp_path):
    frame = shop(701, effect=2.0)
    value = analysed(frame, tmp_path, asked(["revenue"], quantiles=quantiles(["revenue:0.25,0.5,0.999"])))
    for row in value["quantiles"]:
        for name, arm in (("treated", "treated"), ("control", "control")):
            ordered = np.sort(frame.filter(pl.col("arm") == arm)["revenue"].to_numpy())
            assert row[name]["estimate"] == ordered[int(np.ceil(row["quantile"] * len(ordered))) - 1]
    assert value["quantiles"][1]["verdict"] == "better"
    assert value["quantiles"][2]["difference"]["high"] is None  # so few values do not bound it


def test_a_fading_effect_is_found_within_units(tmp_path):
    fading = analysed(several_rows(fade=0.1), tmp_path, asked(["revenue"], ["r=revenue/sessions"], time="at"))
    found = fading["over_time"]
    assert found["view"] == "tenure"
    assert [cell["day"] for cell in found["effects"][0]["days"]] == [0, 4, 8]
    novelty = found["effects"][0]["novelty"]
    assert novelty["p"] < 1e-6
    assert novelty["change"]["high"] < 0
    frame = several_rows(fade=0.1)
    first = frame.with_columns(day=(pl.col("at") - pl.col("at").min().over("user")).dt.total_days())
    halves = first.group_by("user", "arm").agg(
        change=pl.col("revenue").filter(pl.col("day") >= 5).mean() - pl.col("revenue").filter(pl.col("day") < 5).mean()
    )
    arms = [halves.filter(pl.col("arm") == arm)["change"] for arm in ("treated", "control")]
    assert novelty["p"] == pytest.approx(stats.ttest_ind(*arms, equal_var=False).pvalue, rel=1e-6)
    assert "not tested" in found["effects"][1]["novelty"]["reason"]
    steady = analysed(several_rows(fade=0.0), tmp_path, asked(["revenue"], time="at"))
    assert steady["over_time"]["effects"][0]["novelty"]["p"] > 0.01


def test_one_row_a_unit_shows_cohorts_by_day_and_weekday(tmp_path):
    n = 1400
    frame = shop(n, effect=0.5).with_columns(
        at=pl.Series([MONDAY + timedelta(hours=int(h)) for h in np.arange(n) % 336])
    )
    value = analysed(frame, tmp_path, asked(["revenue"], time="at"))
    found = value["over_time"]
    assert (found["view"], found["days"]) == ("entry", 14)
    effects = found["effects"][0]
    assert [cell["weekday"] for cell in effects["weekdays"]][::6] == ["Monday", "Sunday"]
    assert sum(cell["n_treated"] for cell in effects["days"]) == value["arms"]["treated"]
    halves = effects["novelty"]
    change = halves["second"]["difference"]["estimate"] - halves["first"]["difference"]["estimate"]
    assert halves["change"]["estimate"] == pytest.approx(change)
    assert one(value)["power"]["units_per_day"] == pytest.approx(n / (335 / 24))
    short = analysed(frame.with_columns(at=pl.lit(MONDAY)), tmp_path, asked(["revenue"], time="at"))
    assert "one day only" in short["over_time"]["effects"][0]["novelty"]["reason"]
    assert one(short)["power"]["units_per_day"] is None


def test_power_is_the_one_of_the_z_test(tmp_path):
    value = analysed(shop(), tmp_path, asked(["revenue"], goals=goals(["revenue=2%"])))
    row = one(value)
    told = row["power"]
    assert stats.norm.cdf(told["smallest_difference"] / row["error"] - stats.norm.isf(0.025)) == pytest.approx(0.8)
    error = row["error"] * np.sqrt(told["units_now"] / told["units_needed"])
    assert smallest_difference(error) == pytest.approx(told["wanted"])
    assert told["wanted"] == pytest.approx(0.02 * row["mean_control"])


def test_verdicts_by_the_sequence(tmp_path):
    frame = shop(900, effect=1.0, seed=3)
    looked = one(analysed(frame, tmp_path, asked(["revenue"], anytime=True)))
    once = one(analysed(frame, tmp_path, asked(["revenue"])))
    assert looked["corrected_p"] == looked["anytime_p"] > once["corrected_p"] == once["p"]
    outside = not looked["anytime"]["low"] <= 0 <= looked["anytime"]["high"]
    assert (looked["verdict"] == "better") == outside


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        (("b", "Control"), "Control"),
        (("x", "baseline"), "baseline"),
        (("10", "9"), "9"),
        (("b", "a"), "a"),
        (("True", "0"), "0"),
    ],
)
def test_the_control_is_chosen_by_name(arms, control):
    assert choose_control(dict.fromkeys(arms, 5), "")[0] == control
    assert choose_control(dict.fromkeys(arms, 5), arms[0]) == (arms[0], "asked for")


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda f: f.with_columns(arm=pl.lit("control")), {}, r"holds one arm only \(control\)"),
        (lambda f: f.with_columns(arm=pl.col("user").cast(pl.String)), {}, "400 different values: is it the arm"),
        (lambda f: f.head(0), {}, "no row"),
        (lambda f: f.with_columns(user=pl.lit(None, dtype=pl.Int64)), {}, "no row has both a unit"),
        (lambda f: f.drop("revenue"), {}, "no column 'revenue'; the columns are user, arm, sessions"),
        (lambda f: f.with_columns(revenue=pl.lit("viel")), {}, "row 1 is 'viel'"),
        (
            lambda f: f.with_columns(revenue=pl.when(pl.col("user") == 7).then(float("inf")).otherwise("revenue")),
            {},
            "row 8 is inf",
        ),
        (
            lambda f: f.with_columns(revenue=pl.when(pl.col("user") == 7).then(float("nan")).otherwise("revenue")),
            {},
            "row 8 is nan",
        ),
        (lambda f: f.with_columns(revenue=pl.lit(1e308)), {}, "too large"),
        (lambda f: f.with_columns(revenue=1e200 * (pl.col("user") + 1.0)), {}, "too large"),
        (
            lambda f: f.with_columns(revenue=pl.col("revenue").map_elements(lambda v: [v], pl.List(pl.Float64))),
            {},
            "a metric is a column of num",
        ),
        (lambda f: f, {"control": "x"}, "--control x: column arm holds control, treated"),
        (lambda f: f, {"shares": {"x": 1.0}}, "--shares names x; the arms are"),
        (
            lambda f: f.with_columns(number=pl.col("user")),
            {"segments": ("number",)},
            "400 different values, more than 300",
        ),
        (lambda f: f, {"time": "intent"}, "holds VARCHAR, no times"),
        (lambda f: f.with_columns(at=pl.lit(None, dtype=pl.Datetime)), {"time": "at"}, "400 rows have no time"),
    ],
)
def test_bad_data_is_explained(tmp_path, change, more, message):
    with pytest.raises(ExperimentError, match=message):
        analysed(change(shop(400)), tmp_path, asked(["revenue"], **more))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: asked([]), "no metric is asked for"),
        (lambda: asked(["a", "a"]), "asked for twice"),
        (lambda: asked(["a"], alpha=0.9), "--alpha is 0.9"),
        (lambda: asked(["a"], segments=("arm",)), "is the unit or the arm itself"),
        (lambda: asked(["a"], tightest=-1.0), "--tightest is -1"),
        (lambda: asked(["a"], correction="sidak"), "choose one of holm, bh, none"),
        (lambda: asked(["a"], per_unit="first"), "choose one of mean, sum"),
        (lambda: asked(["a"], quantiles={"b": (0.5,)}), "'b' is no metric"),
        (lambda: asked(["a"], ["r=a/b"], quantiles={"r": (0.5,)}), "a ratio of sums, which has no quantiles"),
        (lambda: measures([], ["a-b"], [], []), "write numerator/denominator"),
        (lambda: measures(["a"], [], ["b=c"], []), "--covariate names 'b'"),
        (lambda: measures(["a"], [], ["b"], []), "write name=value"),
        (lambda: measures(["a"], [], [], ["b"]), "--lower names 'b'"),
        (lambda: measures(["a"], [], ["a=a"], []), "is the metric itself"),
        (lambda: measures([], ["r=a/b"], ["r=c"], []), "CUPED is for metrics of one column"),
        (lambda: shares(["a=0"]), "above 0"),
        (lambda: shares(["a=x"]), "'x' is no number"),
        (lambda: quantiles(["a"]), "write metric:quantiles"),
        (lambda: quantiles(["a:1.5"]), "strictly between 0 and 1"),
        (lambda: goals(["-2"]), "above 0"),
        (lambda: goals(["nan"]), "no finite number"),
    ],
)
def test_wrong_options_are_explained(wrong, message):
    with pytest.raises(ExperimentError, match=message):
        wrong()


def test_options_become_values():
    found = measures(["a"], ["b/c", "r=d/e"], ["a=p"], ["r"])
    assert [(m.name, m.column, m.per, m.before, m.lower) for m in found] == [
        ("a", "a", None, "p", False), ("b/c", "b", "c", None, False), ("r", "d", "e", None, True),
    ]  # fmt: skip
    assert goals(["2%", "a=0.5"]) == {"": Goal(0.02, True), "a": Goal(0.5, False)}
    assert quantiles(["a:.5,.9;b:.1"]) == {"a": (0.5, 0.9), "b": (0.1,)}
    assert Request("u", "a", found).measure("r").per == "e"
