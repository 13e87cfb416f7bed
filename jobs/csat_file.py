"""CSAT of a file: one row per conversation with the arm and the rating, empty for silent. Counted by polars lazily; Python never holds the rows.

The file tells nothing of time, so every row is taken to be mature, and the report says so. A model of the silent needs columns that are known of
everybody: they are named by the person who knows (`features`), never guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from controlplane.analysis.csat import groups
from controlplane.analysis.csat_model import Units, modelled
from controlplane.core.csat import MARGIN, PLAUSIBLE, ArmRatings, honest_csat
from controlplane.settings import SettingsError
from jobs.csat import MOST_UNITS, not_asked, rounded

CONTROLS = ("baseline", "control", "menu")
NEVER_A_GROUP = 1000  # values of a column beyond which it is an identifier, not a way to split
NOTE = "a file tells nothing of time: every row is taken to be old enough for its rating to be there, and to be a unit of its own"

Plain = dict[str, Any]


def measure_file(
    file: Path,
    arm: str,
    rating: str,
    *,
    control: str = "",
    segment: str = "",
    features: Sequence[str] = (),
    model: bool = True,
    level: float = 0.95,
    margin: float = MARGIN,
    plausible: float = PLAUSIBLE,
) -> Plain:
    """The report of a file. Raises SettingsError that names file, column and remedy; OSError for a file that cannot be opened."""
    rows = _rows(file)
    names = _names(file, rows)
    for option, name in (
        ("--arm", arm),
        ("--rating", rating),
        ("--segment", segment),
        *(("--features", f) for f in features),
    ):
        if name and name not in names:
            raise SettingsError(
                f"{file} has no column {name!r} ({option}); it has {', '.join(map(repr, names)) or 'none'}"
            )
    ready = _collected(file, rows.select(_checked(arm, rating, segment)).group_by("arm", "by", "rating", "whole").len())
    _refuse(file, ready, arm, rating)
    treated, base = _arms(file, ready, arm, control)
    counts = _counts(ready, ready["by"].fill_null("unknown")) if segment else []
    pair = tuple(_counts_of(ready, name) for name in (treated, base))
    found = honest_csat(pair[0], pair[1], level, margin, plausible)
    found["notes"] = [*found["notes"], NOTE]
    if segment and ready["by"].n_unique() > NEVER_A_GROUP:
        raise SettingsError(
            f"{file}: column {segment!r} has {ready['by'].n_unique():,} values: it is an identifier, not a way to split"
        )
    named = [[value, "", {treated: "assistant", base: "baseline"}[name], *rest] for value, name, *rest in counts]
    silent = not_asked() | {"reasons": ["name the columns that are known of everybody with --features"]}
    if model and features:
        silent = _modelled(file, rows, arm, rating, features, (treated, base), level)
    answer: Plain = {
        "question": {"file": str(file), "arm": arm, "rating": rating, "treated": treated, "control": base},
        "level": level,
        "margin": margin,
        "csat": found,
        "pooled": {key: found[key] for key in ("treated", "control", "difference", "movement")},
        "within_stages": None,
        "coverage": [],
        "weeks": [],
        "groups": {segment: groups(named, level, margin, plausible)} if segment else {},
        "delays": [],
        "model": silent,
    }
    return dict(rounded(answer))


def _rows(file: Path) -> pl.LazyFrame:
    if file.is_dir():
        raise SettingsError(f"{file} is a folder; give a .csv or .parquet file with one row per conversation")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; give a .csv or .parquet file with one row per conversation")
    ending = next((suffix.lower() for suffix in reversed(file.suffixes) if suffix.lower() != ".gz"), "")
    try:
        if file.stat().st_size == 0:
            raise SettingsError(f"{file} is empty; it needs a header and one row per conversation")
        if ending == ".parquet":
            return pl.scan_parquet(file)
        if ending == ".csv":
            return pl.scan_csv(file, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise SettingsError(f"{file} cannot be read as {ending[1:]}: {str(error).splitlines()[0]}") from None
    raise SettingsError(f"{file}: unknown ending {ending or '(none)'}; give .csv or .parquet (also .csv.gz)")


def _names(file: Path, rows: pl.LazyFrame) -> list[str]:
    try:
        return rows.collect_schema().names()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SettingsError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None


def _checked(arm: str, rating: str, segment: str) -> list[pl.Expr]:
    """Arm and group as text, the rating as a number with its text where it is none."""
    text = pl.col(rating).cast(pl.String).str.strip_chars()
    said = pl.when(text.is_in(["", "NULL", "null", "NaN", "nan", "NA"])).then(None).otherwise(text)
    points = said.cast(pl.Float64, strict=False)
    good = said.is_null() | (points.is_finite() & points.is_between(1.0, 5.0) & (points == points.round()))
    by = pl.col(segment).cast(pl.String) if segment else pl.lit(None, dtype=pl.String)
    return [
        pl.col(arm).cast(pl.String).str.strip_chars().alias("arm"),
        by.alias("by"),
        points.round().cast(pl.Int64, strict=False).alias("rating"),
        pl.when(good.fill_null(False)).then(None).otherwise(said).alias("whole"),
    ]


def _collected(file: Path, rows: pl.LazyFrame) -> pl.DataFrame:
    try:
        return rows.collect(engine="streaming")
    except (pl.exceptions.PolarsError, OSError) as error:
        raise SettingsError(f"{file} cannot be read: {str(error).splitlines()[0]}") from None


def _refuse(file: Path, ready: pl.DataFrame, arm: str, rating: str) -> None:
    if ready.is_empty():
        raise SettingsError(f"{file} has no row; it needs one per conversation")
    wrong = ready.filter(pl.col("whole").is_not_null())
    if not wrong.is_empty():
        some = ", ".join(repr(value) for value in sorted(wrong["whole"].unique().to_list())[:5])
        raise SettingsError(
            f"{file}: column {rating!r} holds {some} in {int(wrong['len'].sum()):,} rows; "
            "ratings are 1, 2, 3, 4 or 5, and empty (NULL) where the customer was silent"
        )
    unknown = ready.filter(pl.col("arm").is_null() | (pl.col("arm") == ""))
    if not unknown.is_empty():
        raise SettingsError(
            f"{file}: column {arm!r} is empty in {int(unknown['len'].sum()):,} rows; every conversation needs its arm"
        )


def _arms(file: Path, ready: pl.DataFrame, arm: str, control: str) -> tuple[str, str]:
    """(treated, control): exactly two arms; the control is the one named, or the one whose name says so."""
    names = sorted(ready["arm"].unique().to_list())
    if len(names) != 2:
        shown = ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
        raise SettingsError(
            f"{file}: column {arm!r} holds {len(names)} arms ({shown}); two are compared: leave the others out of the file"
        )
    if control and control not in names:
        raise SettingsError(
            f"{file}: column {arm!r} has no arm {control!r} (--control); it has {names[0]!r} and {names[1]!r}"
        )
    said = [control] if control else [name for name in names if name.lower() in CONTROLS]
    if len(said) != 1:
        raise SettingsError(f"{file}: which of {names[0]!r} and {names[1]!r} is compared with? Name it with --control")
    return next(name for name in names if name != said[0]), said[0]


def _counts_of(ready: pl.DataFrame, name: str) -> ArmRatings:
    rows = ready.filter(pl.col("arm") == name)
    n = int(rows["len"].sum())
    n1, n2, n3, n4, n5 = (int(rows.filter(pl.col("rating") == points)["len"].sum()) for points in range(1, 6))
    return ArmRatings(name, n, n, (n1, n2, n3, n4, n5))


def _counts(ready: pl.DataFrame, by: pl.Series) -> list[list[Any]]:
    """value, arm, conversations, mature, n1..n5."""
    found = []
    for (value, name), rows in ready.with_columns(by.alias("by")).group_by("by", "arm", maintain_order=True):
        arm = _counts_of(rows, str(name))
        found.append([value, name, arm.conversations, arm.mature, *arm.ratings])
    return found


def _modelled(
    file: Path, rows: pl.LazyFrame, arm: str, rating: str, features: Sequence[str], arms: tuple[str, str], level: float
) -> Plain:
    """The model on a fixed sample of at most MOST_UNITS rows."""
    total = int(_collected(file, rows.select(pl.len())).item())
    step = -(-total // MOST_UNITS)  # every so many rows, in the order of the file
    wanted = [*_checked(arm, rating, "")[:3:2], *(pl.col(name).alias(f"feature:{name}") for name in features)]
    sample = _collected(file, rows.gather_every(step).select(wanted))
    columns = {name: _column(sample[f"feature:{name}"]) for name in features}
    points = sample["rating"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    label = sample["arm"].to_numpy()
    treated, control = (
        Units(points[label == name], {key: values[label == name] for key, values in columns.items()}) for name in arms
    )
    return modelled(treated, control, level, arms) | {"units": len(sample)}


def _column(values: pl.Series) -> np.ndarray:
    """Numbers as floats with NaN, everything else as text with None; text that is all numbers counts as numbers."""
    if values.dtype == pl.String:
        numbers = values.cast(pl.Float64, strict=False)
        if numbers.null_count() > values.null_count():
            return np.array(values.to_list(), dtype=object)
        values = numbers
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        floats = values.cast(pl.Float64).fill_null(float("nan")).to_numpy().copy()
        floats[~np.isfinite(floats)] = np.nan
        return np.asarray(floats)
    return np.array(values.cast(pl.String).to_list(), dtype=object)
