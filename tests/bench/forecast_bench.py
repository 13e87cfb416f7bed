"""Forecast time to detect (`policy plan`) against the median of simulated weeks through the real engine, cell by cell.

    python -m tests.bench.forecast_bench [--weeks 60] [--json]

Healthy traffic first, then harm at a block of the middle of the week; the delay is counted in blocks. Arrivals are Poisson in both arms, so no
block has exactly the expected units. A cell's ratio is median simulated / forecast.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from controlplane.core.evidence import first_alarm
from controlplane.core.evidence.forms import FORMS
from controlplane.core.forecast import USUAL_RATINGS, blocks_to_reach, growth, lower_mean

HEALTHY_BLOCKS = 400
LONGEST = 3_000
ALPHA = 1e-3
WEEK = 10_080
CLOSE = (1 / 1.5, 1.5)


@dataclass(frozen=True)
class Cell:
    """A harm of `effect` at so many units a block in each arm."""

    kind: str
    treated: float
    control: float
    limit: float
    effect: float
    base: float = 0.05

    @property
    def outcomes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.kind == "rating":
            return lower_mean(USUAL_RATINGS, self.effect), USUAL_RATINGS
        if self.kind == "one_sample":
            return (self.effect,), (0.0,)
        return (self.base + self.effect,), (self.base,)


CELLS = (
    *(Cell("two_sample", 100 * s, 100 * (1 - s), 0.02, e) for s in (0.01, 0.05, 0.2, 0.5) for e in (0.05, 0.1, 0.2)),
    *(Cell("two_sample", n, n, 0.02, e, base=0.2) for n in (5, 50, 500) for e in (0.04, 0.06, 0.1)),
    *(Cell("one_sample", n, 0, 0.05, e) for n in (0.25, 1, 5, 20) for e in (0.1, 0.15, 0.3)),
    *(Cell("one_sample", n, 0, 0.1, e) for n in (5, 50) for e in (0.15, 0.5)),
    *(Cell("rating", n, m, 0.2, e) for n, m in ((5, 95), (20, 80), (3, 3), (30, 30)) for e in (0.5, 0.8, 1.2)),
)


def forecast(cell: Cell) -> int | None:
    """Blocks until the alarm on the mean path; the weight of a block as in `first_alarm`."""
    rates = growth(FORMS[cell.kind], (cell.treated, cell.control), cell.outcomes, cell.limit)
    return blocks_to_reach([rates], [-log(ALPHA)], log(0.5 / WEEK), LONGEST)


def simulate(cell: Cell, weeks: int, blocks: int, rng: np.random.Generator) -> float:
    """Median blocks from the harm to the alarm; inf when most weeks have none."""
    shape = (HEALTHY_BLOCKS + blocks, weeks)
    n_t, n_c = rng.poisson(cell.treated, shape), rng.poisson(max(cell.control, 1e-9), shape)
    treated, control = cell.outcomes
    harmed = np.arange(shape[0])[:, None] >= HEALTHY_BLOCKS
    if cell.kind == "rating":
        k_t = np.where(harmed[..., None], rng.multinomial(n_t, treated), rng.multinomial(n_t, control))
        stats: dict[str, Any] = {"kT": k_t, "kC": rng.multinomial(n_c, control)}
    else:
        healthy = cell.limit / 2 if cell.kind == "one_sample" else control[0]
        stats = {"nT": n_t, "xT": rng.binomial(n_t, np.where(harmed, treated[0], healthy))}
        if cell.kind == "two_sample":
            stats |= {"nC": n_c, "xC": rng.binomial(n_c, control[0])}
    alarm = first_alarm(cell.kind, stats, cell.limit, ALPHA)
    return float(np.median(np.where(alarm < HEALTHY_BLOCKS, np.inf, alarm - HEALTHY_BLOCKS + 1)))


def run(weeks: int = 60, cells: tuple[Cell, ...] = CELLS) -> dict[str, Any]:
    """Every cell that is forecast within `LONGEST` blocks, with the share of them within a factor of 1.5."""
    rng, rows = np.random.default_rng(1), []
    for cell in cells:
        expected = forecast(cell)
        if expected is None:
            rows.append({"cell": str(cell), "forecast": None, "median": None, "ratio": None})
            continue
        median = simulate(cell, weeks, min(4 * expected + 20, 2 * LONGEST), rng)
        rows.append({"cell": str(cell), "forecast": expected, "median": median, "ratio": median / expected})
    ratios = [row["ratio"] for row in rows if row["ratio"] is not None]
    close = sum(CLOSE[0] <= ratio <= CLOSE[1] for ratio in ratios) / len(ratios)
    return {"within_1.5": close, "cells": len(ratios), "worst": [min(ratios), max(ratios)], "rows": rows}


def summary() -> dict[str, Any]:
    """What `make bench` prints: how near the forecasts are, without the cells."""
    result = run()
    low, high = result["worst"]
    return {
        "cells": result["cells"],
        "share within a factor of 1.5": result["within_1.5"],
        "lowest ratio": low,
        "highest ratio": high,
    }


def main() -> None:
    """Print the table and, with --json, the object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weeks", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = run(options.weeks)
    if options.json:
        print(json.dumps(result))
        return
    for row in result["rows"]:
        shown = "-" if row["ratio"] is None else f"{row['ratio']:6.2f}"
        print(f"{row['forecast']!s:>6} {row['median']!s:>8} {shown:>6}  {row['cell']}")
    print(f"{result['within_1.5']:.0%} of {result['cells']} cells within a factor of 1.5; worst {result['worst']}")


if __name__ == "__main__":
    main()
