"""The analysis of 1M users x 5 metrics with CUPED from Parquet, against tea-tasting and DuckDB's own read of the same columns, in one run.

"sums" is all that reads the file (checks, units, profiles, sums); "analysis" is everything from the file to the answer. Before a time is believed the
figures are compared: those of tea-tasting through polars must agree to 1e-9. (Through Arrow it differs by up to 1e-6 from its own through polars:
that is reported, not required.)
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl

from controlplane.analysis.experiment_analysis import analyse
from controlplane.analysis.experiment_request import Request, measures
from controlplane.analysis.experiment_source import read, units
from controlplane.analysis.experiment_sums import sums
from jobs.experiment_analyze import scratch

METRICS = 5


def users(rows: int, seed: int = 1) -> pl.DataFrame:
    """One row a customer: five metrics, each with its value before the experiment."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "user_id": np.arange(rows),
        "variant": np.where(rng.random(rows) < 0.5, "control", "treated"),
    }
    for i in range(METRICS):
        before = rng.gamma(2.0, 3.0, rows)
        columns[f"before{i}"] = before
        columns[f"metric{i}"] = 0.7 * before + rng.normal(5.0, 3.0, rows) + 0.01 * (columns["variant"] == "treated")
    return pl.DataFrame(columns)


def run(rows: int = 1_000_000, repeats: int = 5) -> dict[str, Any]:
    """Seconds (best of `repeats`) and ratios; raises AssertionError where the figures differ by more than 1e-9."""
    import tea_tasting as tt

    request = Request(
        unit="user_id",
        arm="variant",
        measures=measures(
            [f"metric{i}" for i in range(METRICS)], [], [f"metric{i}=before{i}" for i in range(METRICS)], []
        ),
    )
    theirs = tt.Experiment(
        {f"metric{i}": tt.Mean(f"metric{i}", f"before{i}") for i in range(METRICS)}, variant="variant"
    )
    names = [f"{kind}{i}" for kind in ("metric", "before") for i in range(METRICS)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "users.parquet"
        users(rows).write_parquet(file)

        def ours() -> dict[str, Any]:
            with scratch() as connection:
                return analyse(units(connection, read(connection, file), request), request)

        def only_sums() -> object:
            with scratch() as connection:
                return sums(units(connection, read(connection, file), request), request)

        def scan() -> object:
            with duckdb.connect() as connection:
                return (
                    connection.read_parquet(str(file)).aggregate(", ".join(f"sum({name})" for name in names)).fetchall()
                )

        def lazily() -> Any:
            return theirs.analyze(pl.scan_parquet(file), control="control")

        def in_memory() -> Any:
            return theirs.analyze(pl.read_parquet(file).to_arrow(), control="control")

        works: dict[str, Callable[[], Any]] = {"analysis": ours, "sums": only_sums, "scan": scan}
        works |= {"tea_tasting_polars": lazily, "tea_tasting_arrow": in_memory}
        answers, best = timed(works, repeats)
    result: dict[str, Any] = {
        "rows": rows,
        "metrics": METRICS,
        **{f"{name}_s": seconds for name, seconds in best.items()},
    }
    for name in ("tea_tasting_polars", "tea_tasting_arrow"):
        result[f"analysis_to_{name}"] = best["analysis"] / best[name]
        result[f"largest_difference_{name}"] = difference(answers["analysis"], answers[name])
    worst = result["largest_difference_tea_tasting_polars"]
    assert worst <= 1e-9, f"the figures differ by {worst}"
    return result | {f"{name}_to_scan": best[name] / best["scan"] for name in ("sums", "analysis")}


def difference(ours: dict[str, Any], theirs: Any) -> float:
    """The largest difference between the figures of both, of means and their differences as a share of the mean."""
    worst = 0.0
    for i in range(METRICS):
        row, other = ours["metrics"][f"metric{i}"]["arms"]["treated"], theirs[f"metric{i}"]
        scale = abs(other.control)
        pairs = [(row["difference"]["estimate"] / scale, other.effect_size / scale), (row["p"], other.pvalue)]
        pairs += [(row["difference"]["low"] / scale, other.effect_size_ci_lower / scale)]
        pairs += [(row["mean_treated"] / scale, other.treatment / scale)]
        pairs += [(row["relative"]["high"], other.rel_effect_size_ci_upper)]
        worst = max(worst, *(abs(a - b) for a, b in pairs))
    return worst


def timed(works: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Answers and best times; one after the other in each round, so that a busy machine is busy for all."""
    answers: dict[str, Any] = {}
    best = dict.fromkeys(works, float("inf"))
    for _ in range(repeats):
        for name, work in works.items():
            start = time.perf_counter()
            answers[name] = work()
            best[name] = min(best[name], time.perf_counter() - start)
    return answers, best
