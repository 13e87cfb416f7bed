"""Experiments made by hand for the tests, and the analysis of a frame through a file, as a person would have it done."""

from __future__ import annotations

import numpy as np
import polars as pl

from controlplane.analysis.experiment_analysis import analyse
from controlplane.analysis.experiment_request import Request, measures
from controlplane.analysis.experiment_source import read, units
from jobs.experiment_analyze import scratch


def asked(metrics=(), ratios=(), covariates=(), lower=(), **more):
    return Request(
        **({"unit": "user", "arm": "arm"} | more),
        measures=measures(list(metrics), list(ratios), list(covariates), list(lower)),
    )


def analysed(frame, folder, request, name="experiment.parquet"):
    """What the analysis says of a frame."""
    file = folder / name
    {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}[name.split(".")[1]](file)
    with scratch() as connection:
        return analyse(units(connection, read(connection, file), request), request)


def shop(n=2000, seed=1, arms=("control", "treated"), effect=0.0):
    """One row a customer: revenue, sessions, whether they bought, revenue before, a segment."""
    rng = np.random.default_rng(seed)
    user = np.arange(n)
    arm = rng.integers(0, len(arms), n)
    before = rng.gamma(2.0, 3.0, n)
    sessions = 1 + rng.poisson(2.0, n)
    revenue = 0.6 * before + sessions * rng.gamma(2.0, 1.0, n) + effect * (arm > 0)
    return pl.DataFrame(
        {
            "user": user,
            "arm": np.array(arms)[arm],
            "revenue": revenue,
            "sessions": sessions,
            "bought": rng.random(n) < 0.2 + 0.02 * (arm > 0),
            "before": before,
            "intent": np.array(["fees", "balance", "Grüße"])[rng.integers(0, 3, n)],
        }
    )
