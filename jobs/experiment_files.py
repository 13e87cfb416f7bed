"""Files of experiments: which of the known shapes a file has, and its rows as comparisons or arms. Shapes are told apart by their columns.

- *looks, wide* (ASOS Digital Experiments): experiment_id, variant_id, metric_id, time_since_start, count_c, count_t, mean_c, mean_t, variance_c,
  variance_t; cumulative.
- *arms* (Upworthy Research Archive): clickability_test_id, impressions, clicks, test_week; each test once.
- *looks, long* (anybody's): experiment, variant, metric, look, n and either x (events) or mean and variance; cumulative, one row per arm and look,
  the control's variant is called "control". `look` is a number or a date. Optional `share`: the arm's configured fraction of the units.

Unknown means and variances stay NaN, rows that are there twice word for word count once; what cannot be (a negative count or variance, infinity, more
events than units, one look with two answers) ends with the row named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path

import numpy as np
import polars as pl

from controlplane.analysis.experiments import Comparison
from controlplane.analysis.experiments_arms import Arms

WIDE = (
    "experiment_id",
    "variant_id",
    "metric_id",
    "time_since_start",
    *(f"{name}_{arm}" for name in ("count", "mean", "variance") for arm in "ct"),
)
ARMS = ("clickability_test_id", "impressions", "clicks", "test_week")
LONG = ("experiment", "variant", "metric", "look", "n")
CONTROL = "control"
NO_WEEK = "unknown"
MOST_UNITS = 1e15  # beyond, floats no longer tell neighbouring counts apart
BINARY_ROUNDING = 1e-6


class ExperimentFileError(ValueError):
    """The file cannot be read as an experiment: what is wrong, where, and what is needed."""


@dataclass(frozen=True)
class Experiments:
    """What a file holds: `comparisons` (shape "looks") or `arms` (shape "arms")."""

    shape: str
    rows: int
    comparisons: tuple[Comparison, ...] = ()
    arms: Arms | None = None


def read_experiments(file: Path, metric: str | None = None) -> Experiments:
    """Read a file of any known shape; `metric` keeps one metric. Raises ExperimentFileError, OSError."""
    frame = _frame(file)
    columns = set(frame.columns)
    if frame.is_empty():
        raise ExperimentFileError(f"{file} has no row")
    if columns.issuperset(WIDE):
        return Experiments("looks", len(frame), _one_metric(file, _wide(file, frame), metric))
    if columns.issuperset(ARMS):
        if metric is not None:
            raise ExperimentFileError(f"{file} holds one metric only (clicks per impression); leave --metric out")
        return Experiments("arms", len(frame), arms=_arms(file, frame))
    if columns.issuperset(LONG) and ("x" in columns or {"mean", "variance"} <= columns):
        return Experiments("looks", len(frame), _one_metric(file, _long(file, frame), metric))
    missing = [name for name in LONG if name not in columns] or ["x (events) or mean and variance"]
    raise ExperimentFileError(
        f"{file} is no known file of experiments; it has the columns {', '.join(frame.columns)}. "
        f"Give cumulative rows per arm and look with {', '.join(LONG)} and x, or mean and variance (missing: {', '.join(missing)}); "
        f"or a file with the columns of ASOS ({', '.join(WIDE)}) or Upworthy ({', '.join(ARMS)})"
    )


def _frame(file: Path) -> pl.DataFrame:
    """The rows of a Parquet, CSV or JSON-lines file, plain or .gz."""
    if file.is_dir():
        raise ExperimentFileError(f"{file} is a folder; give a Parquet, CSV or JSON-lines file")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; give a Parquet, CSV or JSON-lines file")
    endings = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    kind = endings[-1] if endings else ""
    try:
        if kind == ".parquet":
            return pl.read_parquet(file)
        if kind == ".csv":
            return pl.read_csv(file, infer_schema_length=None)
        if kind in (".jsonl", ".ndjson", ".json"):
            return pl.read_ndjson(file, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise ExperimentFileError(f"{file} cannot be read as {kind[1:]}: {str(error).splitlines()[0]}") from error
    raise ExperimentFileError(f"{file}: unknown ending {kind or '(none)'}; give .parquet, .csv or .jsonl (also .gz)")


def _one_metric(file: Path, found: Iterator[Comparison], metric: str | None) -> tuple[Comparison, ...]:
    comparisons = tuple(found)
    if metric is None:
        return comparisons
    chosen = tuple(item for item in comparisons if item.metric == metric)
    if not chosen:
        known = ", ".join(sorted({item.metric for item in comparisons}))
        raise ExperimentFileError(f"{file} has no metric {metric}; it has {known}")
    return chosen


def _numbers(file: Path, frame: pl.DataFrame, name: str) -> np.ndarray:
    """A column as floats, NULL = NaN."""
    try:
        values = frame[name].cast(pl.Float64).to_numpy().astype(float)
    except pl.exceptions.PolarsError as error:
        raise ExperimentFileError(
            f"{file}: column {name} holds {frame[name].dtype}; it must hold numbers ({str(error).splitlines()[0]})"
        ) from error
    _refuse(file, np.isinf(values), f"{name} is infinite; leave it empty where it is not known")
    return values


def _units(file: Path, frame: pl.DataFrame, name: str) -> np.ndarray:
    """A column of counts of units, NULL = NaN."""
    values = _numbers(file, frame, name)
    _refuse(file, values > MOST_UNITS, f"{name} is above {MOST_UNITS:g}, which is no number of units")
    return values


def _refuse(file: Path, wrong: np.ndarray, what: str) -> None:
    """End with the first row (counted from 1, without a header) where `wrong` is set."""
    if wrong.any():
        raise ExperimentFileError(f"{file}, row {int(np.argmax(wrong)) + 1}: {what} ({int(wrong.sum())} such rows)")


def _wide(file: Path, frame: pl.DataFrame) -> Iterator[Comparison]:
    keys = ["experiment_id", "variant_id", "metric_id"]
    for name in keys:
        _refuse(file, frame[name].is_null().to_numpy(), f"{name} is missing")
    for name in ("count_c", "count_t"):
        _refuse(file, _units(file, frame, name) < 0.0, f"{name} is negative; counts are units so far")
    for name in ("variance_c", "variance_t"):
        _refuse(file, _numbers(file, frame, name) < 0.0, f"{name} is negative; leave it empty where it is not known")
    _refuse(file, ~np.isfinite(_numbers(file, frame, "time_since_start")), "time_since_start is missing")
    frame = frame.unique(WIDE, maintain_order=True)
    _refuse(file, frame.select([*keys, "time_since_start"]).is_duplicated().to_numpy(), "the same look is there twice")
    most = {
        experiment: max(len(set(variants)), max((v for v in variants if isinstance(v, int)), default=0))
        for experiment, variants in frame.group_by("experiment_id").agg(pl.col("variant_id").unique()).iter_rows()
    }  # variants are numbered from 1, the control apart, and not all of them need be in the file
    for (experiment, variant, metric), part in frame.partition_by(keys, as_dict=True, maintain_order=True).items():
        ordered = part.sort("time_since_start")
        column = {name: _numbers(file, ordered, name) for name in WIDE[3:]}
        yield Comparison(
            experiment=str(experiment),
            variant=str(variant),
            metric=str(metric),
            time=column["time_since_start"],
            n_c=column["count_c"],
            n_t=column["count_t"],
            mean_c=column["mean_c"],
            mean_t=column["mean_t"],
            variance_c=column["variance_c"],
            variance_t=column["variance_t"],
            binary=_are_events(column),
            shares=equal_shares(1 + most[experiment]),
        )


def equal_shares(arms: int) -> tuple[float, ...]:
    """Treated shares of a treated and a control arm when `arms` arms are equal as far as whole percentages allow: thirds are 33 or 34."""
    percent = {floor(100 / arms), ceil(100 / arms)}
    return tuple(sorted({t / (t + c) for t in percent for c in percent}))


def _are_events(column: Mapping[str, np.ndarray]) -> bool:
    """Whether outcomes are 0 or 1: the variance is mean (1 - mean) at every look where it is known, up to the n - 1 of an estimate."""
    seen = False
    for arm in "ct":
        n, mean, variance = (column[f"{name}_{arm}"] for name in ("count", "mean", "variance"))
        known = np.isfinite(variance) & np.isfinite(mean) & (n >= 2.0)
        if not known.any():
            continue
        n, mean, variance = n[known], mean[known], variance[known]
        if np.any(mean > 1.0):
            return False
        plain = mean * (1.0 - mean)
        near = [np.abs(variance - plain * factor) <= BINARY_ROUNDING * plain + 1e-12 for factor in (1.0, n / (n - 1.0))]
        if not np.all(near[0] | near[1]):
            return False
        seen = seen or bool(np.any(plain > 0.0))
    return seen


def _arms(file: Path, frame: pl.DataFrame) -> Arms:
    n, x = _units(file, frame, "impressions"), _numbers(file, frame, "clicks")
    _refuse(file, ~(np.isfinite(n) & (n >= 0.0)), "impressions is missing or negative")
    _refuse(file, ~((x >= 0.0) & (x <= n)), "clicks is missing, negative or above impressions")
    ids = frame["clickability_test_id"].cast(pl.String).fill_null("")
    _refuse(file, (ids == "").to_numpy(), "clickability_test_id is missing")
    names, test = np.unique(ids.to_numpy(), return_inverse=True)
    weeks = _weeks(file, frame)
    first = np.full(len(names), "", dtype=object)
    for number, week in zip(
        test.tolist(), weeks.tolist(), strict=True
    ):  # a test that spans weeks counts where it began
        first[number] = min(first[number], week) if first[number] else week
    return Arms(tuple(map(str, names)), tuple(map(str, first)), test, n, x)


def _weeks(file: Path, frame: pl.DataFrame) -> np.ndarray:
    """The weeks as texts YYYYWW, which sort by time; NULL = `NO_WEEK`."""
    numbers = _numbers(file, frame, "test_week")
    year, week = np.divmod(numbers, 100)
    known = ~np.isnan(numbers)
    _refuse(
        file, known & ~((year >= 1900) & (year <= 9999) & (week <= 53)), "test_week is no week YYYYWW, such as 201325"
    )
    return np.array([f"{value:.0f}" if said else NO_WEEK for value, said in zip(numbers, known, strict=True)])


def _long(file: Path, frame: pl.DataFrame) -> Iterator[Comparison]:
    frame = frame.with_columns(pl.col("experiment", "variant", "metric").cast(pl.String), look_=_days(file, frame))
    n = _units(file, frame, "n")
    _refuse(file, ~(np.isfinite(n) & (n >= 0.0)), "n is missing or negative; it counts the units so far")
    if "x" in frame.columns:
        x = _numbers(file, frame, "x")
        _refuse(file, (x < 0.0) | (x > n), "x is negative or above n; events are counted among the units")
    for name in ("experiment", "variant", "metric"):
        _refuse(file, frame[name].is_null().to_numpy(), f"{name} is missing")
    if "variance" in frame.columns:
        known = _numbers(file, frame, "variance")
        _refuse(file, known < 0.0, "variance is negative; leave it empty where it is not known")
    keys = ["experiment", "variant", "metric", "look_"]
    frame = frame.unique(maintain_order=True)
    _refuse(file, frame.select(keys).is_duplicated().to_numpy(), "the same arm and look is there twice")
    for (experiment, metric), part in frame.partition_by(
        ["experiment", "metric"], as_dict=True, maintain_order=True
    ).items():
        control = part.filter(pl.col("variant") == CONTROL)
        if control.is_empty():
            raise ExperimentFileError(
                f"{file}: experiment {experiment}, metric {metric} has no control; name the variant to compare with {CONTROL!r}"
            )
        for (variant,), treated in (
            part.filter(pl.col("variant") != CONTROL)
            .partition_by(["variant"], as_dict=True, maintain_order=True)
            .items()
        ):
            both = treated.join(control, on="look_", suffix="_control").sort("look_")
            if both.is_empty():
                raise ExperimentFileError(
                    f"{file}: experiment {experiment}, variant {variant} and its control share no look; give both at the same looks"
                )
            yield _paired(file, both, (str(experiment), str(variant), str(metric)))


def _paired(file: Path, both: pl.DataFrame, identity: tuple[str, str, str]) -> Comparison:
    """One variant beside its control, at the looks that both have."""
    arms = {"t": "", "c": "_control"}
    n = {arm: _numbers(file, both, f"n{end}") for arm, end in arms.items()}
    events = "x" in both.columns and not both["x"].is_null().all()
    if events:
        mean = {arm: _numbers(file, both, f"x{end}") / np.maximum(n[arm], 1.0) for arm, end in arms.items()}
        variance = {arm: mean[arm] * (1.0 - mean[arm]) for arm in arms}
    else:
        mean = {arm: _numbers(file, both, f"mean{end}") for arm, end in arms.items()}
        variance = {arm: _numbers(file, both, f"variance{end}") for arm, end in arms.items()}
    shares: tuple[float, ...] = ()
    if "share" in both.columns and not both["share"].is_null().all():
        told = {arm: _numbers(file, both, f"share{end}") for arm, end in arms.items()}
        s = {arm: float(values[-1]) for arm, values in told.items()}
        if not min(s.values()) > 0.0:
            raise ExperimentFileError(f"{file}: {'/'.join(identity)} has shares {s}; they must be above 0")
        if any(np.any(values != values[-1]) for values in told.values()):
            raise ExperimentFileError(
                f"{file}: {'/'.join(identity)} has shares that change over the looks; "
                "give the looks before and after the change, counted from 0, as experiments of their own"
            )
        shares = (s["t"] / (s["t"] + s["c"]),)
    column = {
        f"{name}_{arm}": part[arm]
        for name, part in (("count", n), ("mean", mean), ("variance", variance))
        for arm in arms
    }
    return Comparison(
        *identity,
        time=both["look_"].to_numpy(),
        n_c=n["c"],
        n_t=n["t"],
        mean_c=mean["c"],
        mean_t=mean["t"],
        variance_c=variance["c"],
        variance_t=variance["t"],
        binary=events or _are_events(column),
        shares=shares,
        shares_known=bool(shares),
    )


def _days(file: Path, frame: pl.DataFrame) -> pl.Series:
    """`look` as a number: as it is, or days since the first date."""
    look = frame["look"]
    if look.dtype.is_numeric():
        days = look.cast(pl.Float64)
    else:
        try:
            moments = look.str.to_datetime(time_unit="us") if look.dtype == pl.String else look.cast(pl.Datetime("us"))
        except pl.exceptions.PolarsError as error:
            raise ExperimentFileError(
                f"{file}: column look holds {look.dtype}; it must hold numbers or dates"
            ) from error
        days = (moments - moments.min()).dt.total_microseconds() / 86_400e6
    _refuse(file, (days.is_null() | days.is_nan()).to_numpy(), "look is missing")
    return days
