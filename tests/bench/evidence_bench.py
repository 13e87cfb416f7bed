"""The promise of `first_alarm` and its price, on fresh simulated weeks: false alarms, delay against the information bound, speed.

The bound. A test that is wrong with probability alpha needs evidence log(1/alpha), and a minute of harm yields at most its information: the
Kullback-Leibler divergence of the true counts from the nearest ones that the null allows, which for two arms is least over the control rate q,

    min_q  nT KL(pT, q + margin) + nC KL(pC, q)

Mid-week the start of the harm is unknown as well, so evidence log(blocks/alpha) is needed (one of 10,080 minutes). Delays are given in units of that
bound *without* the weights of our own account: .5 at the start and .5 a week cost us log 2, and no yardstick is bent for it.

`python -m tests.bench.evidence_bench --weeks 400 --seeds 3` prints every cell; `run()` is the line of `make bench`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import binom

from controlplane.core.evidence import first_alarm
from controlplane.core.evidence.alarm import WEEK_BLOCKS

SCORES = np.array([1.0, 0.75, 0.5, 0.25, 0.0])
RATINGS = np.array([0.08, 0.07, 0.15, 0.3, 0.4])
MID_WEEK = WEEK_BLOCKS // 2
ALPHA = 0.001
RAMP = (0.01, 0.05, 0.2, 0.5)
Stats = dict[str, np.ndarray]


def kl(p: float, q: float) -> float:
    """Divergence of a coin of chance p from one of chance q, in nats; p in [0, 1], q strictly inside."""
    return sum(a * np.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)


def _least(information: Callable[[float], float], low: float, high: float) -> float:
    found = minimize_scalar(information, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    return float(found.fun)


def rate_information(n_t: float, n_c: float, p_t: float, p_c: float, margin: float) -> float:
    """Nats per block for pT - pC <= margin, from `n_t` and `n_c` units."""
    return _least(lambda q: n_t * kl(p_t, q + margin) + n_c * kl(p_c, q), 1e-9, 1 - margin - 1e-9)


def score_information(n_t: float, n_c: float, p_t: np.ndarray, p_c: np.ndarray, points: float) -> float:
    """The same for ratings, against *every* pair of distributions whose means keep to the null: the nearest distribution with a given mean is
    found through its dual, `max_bet E log(1 + bet (Y - mean))` (Honda and Takemura)."""

    def nearest(p: np.ndarray, mean: float) -> float:
        ends = (-1 / (1 - mean) + 1e-9, 1 / mean - 1e-9)
        return -_least(lambda bet: -float(p @ np.log1p(bet * (SCORES - mean))), *ends)

    edge, low, high = points / 4, float(p_c @ SCORES), float(p_t @ SCORES)
    return _least(lambda q: n_t * nearest(p_t, q + edge) + n_c * nearest(p_c, q), max(low - edge, 1e-3), high - edge)


def worse_ratings(drop: float) -> np.ndarray:
    """`RATINGS` with a part of every rating one point lower, so that the mean falls by `drop` points."""
    lowered = np.append(RATINGS[1:], 0.0)
    part = drop / RATINGS[1:].sum()
    return RATINGS - part * np.append(0.0, RATINGS[1:]) + part * lowered


@dataclass(frozen=True)
class Cell:
    """One way to be harmed. `before`, `after`: the treated arm's chance (or rating distribution) until and from the onset."""

    name: str
    kind: str
    n_t: float
    n_c: float
    before: Any
    after: Any
    control: Any
    limit: float
    poisson: bool = False

    @property
    def information(self) -> float:
        if self.kind == "one_sample":
            return self.n_t * kl(self.after, self.limit)
        if self.kind == "rating":
            return score_information(self.n_t, self.n_c, self.after, self.control, self.limit)
        return rate_information(self.n_t, self.n_c, self.after, self.control, self.limit)

    def draw(self, rng: np.random.Generator, onset: int, n_blocks: int, weeks: int) -> Stats:
        """Counts of fresh weeks, `(n_blocks, weeks)` or `(n_blocks, weeks, 5)`."""

        def units(n: float) -> np.ndarray:
            shape = (n_blocks, weeks)
            return rng.poisson(n, shape) if self.poisson else np.full(shape, int(n))

        harmed = np.arange(n_blocks) >= onset
        n_t, n_c = units(self.n_t), units(self.n_c)
        if self.kind == "rating":
            chances = np.where(harmed[:, None, None], self.after, self.before)
            return {"kT": rng.multinomial(n_t, chances), "kC": rng.multinomial(n_c, self.control)}
        treated = {"nT": n_t, "xT": rng.binomial(n_t, np.where(harmed, self.after, self.before)[:, None])}
        if self.kind == "one_sample":
            return treated
        return {**treated, "nC": n_c, "xC": rng.binomial(n_c, self.control)}


def bound(cell: Cell, onset: int, alpha: float = ALPHA) -> float:
    """Blocks of harm that any test needs on average."""
    return float(np.log((WEEK_BLOCKS if onset else 1) / alpha) / cell.information)


def delay(cell: Cell, onset: int, weeks: int, seed: int, alpha: float = ALPHA) -> dict[str, Any]:
    """Median and 95th percentile of the delay in blocks and in units of the bound; `early`: alarms before the onset."""
    least = bound(cell, onset, alpha)
    rng = np.random.default_rng([seed, onset, *map(ord, cell.name)])
    alarms = first_alarm(cell.kind, cell.draw(rng, onset, int(onset + 6 * least + 20), weeks), cell.limit, alpha)
    early = (alarms >= 0) & (alarms < onset)
    took = np.where(alarms < 0, np.inf, alarms - onset + 1.0)[~early]
    median, p95 = (float(np.quantile(took, q, method="higher")) for q in (0.5, 0.95))
    ratios = {"median_ratio": median / least, "p95_ratio": p95 / least}
    return {"bound": least, "median": median, "p95": p95, **ratios, "early": int(early.sum()), "weeks": weeks}


def targets(cell: Cell, onset: int) -> tuple[float, float]:
    """What the median and the 95th percentile may be, in units of the bound."""
    return (1.3, 2.2) if onset and cell.kind == "two_sample" else (1.6, 3.0)


def cells() -> Iterator[Cell]:
    """Escalation, limits and ratings, from 5 treated units a minute to an even split, fixed and Poisson traffic."""
    for base in (0.05, 0.12, 0.3):
        for margin in (0.0, 0.01, 0.02):
            for effect in (0.05, 0.1, 0.2):
                name = f"escalation {base:.0%} +{100 * effect:.0f} over {100 * margin:.0f}, 5 of 100"
                yield Cell(name, "two_sample", 5, 95, base, base + effect, base, margin, poisson=margin == 0.01)
    for n_t, n_c in ((20, 80), (50, 50), (10, 10)):
        yield Cell(f"escalation 12% +10 over 1, {n_t}:{n_c}", "two_sample", n_t, n_c, 0.12, 0.22, 0.12, 0.01)
    for limit, base, rate in ((0.05, 0.02, 0.1), (0.05, 0.05, 0.08), (0.01, 0.002, 0.5), (0.05, 0.03, 0.3)):
        for n in (5, 100):
            yield Cell(f"limit {limit} at {rate}, {n}", "one_sample", n, 0, base, rate, None, limit, poisson=n == 5)
    yield Cell("limit 0.0005 at 0.01, 5", "one_sample", 5, 0, 1e-4, 0.01, None, 5e-4)
    for drop in (0.3, 0.5, 0.8):
        for n_t, n_c in ((5, 95), (20, 80)):
            after = worse_ratings(drop)
            yield Cell(f"rating -{drop} over 0.1, {n_t}:{n_c}", "rating", n_t, n_c, RATINGS, after, RATINGS, 0.1)


def attainable(cell: Cell, onset: int) -> bool:
    """A delay of under 10 blocks is mostly rounding, and one beyond a third of a week no test can show."""
    return 10 <= bound(cell, onset) <= WEEK_BLOCKS / 3


def day(low: float, high: float, n_blocks: int = WEEK_BLOCKS) -> np.ndarray:
    """A baseline `(T, 1)` that swings once a day."""
    return (low + (high - low) * (1 - np.cos(np.arange(n_blocks) * 2 * np.pi / 1440)) / 2)[:, None]


def harmless_weeks(name: str, weeks: int, seed: int) -> tuple[str, Stats, float]:
    """Kind, counts and limit of whole weeks in which the null holds: without effect, or exactly at its edge."""
    rng = np.random.default_rng([seed, *map(ord, name)])
    shape = (WEEK_BLOCKS, weeks)
    kind, state, base = name.split(": ")[0], name.split(": ")[1], day(0.05, 0.3)
    worst = state == "at the margin"
    if kind == "one_sample":
        n = rng.poisson(20, shape)
        return kind, {"nT": n, "xT": rng.binomial(n, 0.05 if worst else 0.02)}, 0.05
    if kind == "rating":
        treated = worse_ratings(0.2) if worst else RATINGS
        n_t, n_c = rng.poisson(3, shape), rng.poisson(20, shape)
        return kind, {"kT": rng.multinomial(n_t, treated), "kC": rng.multinomial(n_c, RATINGS)}, 0.2
    n_t, n_c = rng.poisson(5, shape), rng.poisson(95, shape)
    edge = 0.02 if worst else 0.0
    return kind, {"nT": n_t, "xT": rng.binomial(n_t, base + edge), "nC": n_c, "xC": rng.binomial(n_c, base)}, edge


HARMLESS = tuple(
    f"{kind}: {state}" for kind in ("two_sample", "one_sample", "rating") for state in ("no effect", "at the margin")
)


def ramp_weeks(weeks: int, seed: int, incidents: bool) -> Stats:
    """1 -> 5 -> 20 -> 50 % of 100 units a minute over a baseline that doubles; incidents of half an hour hit both arms alike."""
    rng = np.random.default_rng([seed, int(incidents)])
    share = np.repeat(RAMP, WEEK_BLOCKS // len(RAMP))[:, None]
    base = np.broadcast_to(np.linspace(0.1, 0.2, WEEK_BLOCKS)[:, None], (WEEK_BLOCKS, weeks)).copy()
    if incidents:
        for week in range(weeks):
            for start in rng.integers(0, WEEK_BLOCKS - 30, 14):
                base[start : start + 30, week] = rng.uniform(0.3, 0.9)
    n = rng.poisson(100, (WEEK_BLOCKS, weeks))
    n_t = rng.binomial(n, share)
    return {"nT": n_t, "xT": rng.binomial(n_t, base), "nC": n - n_t, "xC": rng.binomial(n - n_t, base)}


def false_alarms(name: str, weeks: int, seeds: int, alpha: float) -> dict[str, Any]:
    """Alarms over all seeds beside the most that chance would give a stream false with probability alpha once in 1,000 benchmarks."""
    count = 0
    for seed in range(seeds):
        for part in range(0, weeks, 100):  # a hundred weeks at a time fit in memory
            kind, stats, limit = harmless_weeks(name, min(100, weeks - part), 1000 * seed + part)
            count += int(np.sum(first_alarm(kind, stats, limit, alpha) >= 0))
    total = weeks * seeds
    return {"alarms": count, "weeks": total, "alpha": alpha, "tolerated": int(binom.isf(1e-3, total, alpha))}


def same_when_cut(weeks: int, seed: int) -> bool:
    """Data that end right after an alarm, or just before it, tell the same story."""
    cell = Cell("cut", "two_sample", 5, 95, 0.12, 0.3, 0.12, 0.01)
    stats = cell.draw(np.random.default_rng(seed), 200, 500, weeks)
    whole = first_alarm("two_sample", stats, 0.01, ALPHA)
    for week, alarm in enumerate(whole):
        ends = ((int(alarm) + 1, alarm), (int(alarm), -1)) if alarm >= 0 else ((300, -1),)
        for end, expected in ends:
            cut = {name: values[:end, [week]] for name, values in stats.items()}
            if first_alarm("two_sample", cut, 0.01, ALPHA)[0] != expected:
                return False
    return True


def deploy_gain(weeks: int, seed: int) -> float:
    """Median delay of harm that came with a known deploy over that of the same harm unannounced; below 1 is faster."""
    cell = Cell("deploy", "two_sample", 5, 95, 0.12, 0.22, 0.12, 0.01)
    stats = cell.draw(np.random.default_rng(seed), 2000, 2600, weeks)
    known, unknown = (first_alarm("two_sample", stats, 0.01, ALPHA, deploys=d) for d in ([2000], []))
    return float(np.median(known - 2000.0) / np.median(unknown - 2000.0))


def table(weeks: int, seeds: int) -> list[dict[str, Any]]:
    """Every attainable cell, from the start and mid-week: the worst seed counts."""
    rows = []
    for cell in cells():
        for onset in (0, MID_WEEK):
            if not attainable(cell, onset):
                continue
            found = [delay(cell, onset, weeks, seed) for seed in range(seeds)]
            worst = max(found, key=lambda row: row["median_ratio"])
            p95 = max(row["p95_ratio"] for row in found)
            limits = targets(cell, onset)
            met = worst["median_ratio"] <= limits[0] and p95 <= limits[1]
            rows.append({"cell": cell.name, "onset": onset, **worst, "p95_ratio": p95, "targets": limits, "met": met})
    return rows


def speed(weeks: int = 100) -> float:
    """Whole weeks of two-sample minutes read per second."""
    _, stats, limit = harmless_weeks("two_sample: no effect", weeks, 0)
    start = time.perf_counter()
    first_alarm("two_sample", stats, limit, ALPHA)
    return weeks / (time.perf_counter() - start)


def run(weeks: int = 100, seeds: int = 1, alpha: float = 0.05) -> dict[str, Any]:
    """The summary of `make bench`: the worst ratio of each kind of delay, false alarms, ramps, speed."""
    return summary(table(weeks, seeds), weeks, seeds, alpha)


def summary(rows: list[dict[str, Any]], weeks: int, seeds: int, alpha: float) -> dict[str, Any]:
    """`run` on delays that were measured already."""
    result: dict[str, Any] = {"cells": len(rows), "cells_within_target": sum(row["met"] for row in rows)}
    for name, chosen in (("start", 0), ("mid_week", MID_WEEK)):
        part = [row for row in rows if row["onset"] == chosen]
        result[f"{name}_worst_median_ratio"] = max(row["median_ratio"] for row in part)
        result[f"{name}_worst_p95_ratio"] = max(row["p95_ratio"] for row in part)
    for name in HARMLESS:
        found = false_alarms(name, weeks, seeds, alpha)
        result[f"false alarms, {name}"] = "{alarms} of {weeks} (alpha {alpha}, tolerated {tolerated})".format(**found)
    for incidents in (False, True):
        alarms = first_alarm("two_sample", ramp_weeks(weeks, 1, incidents), 0.01, ALPHA)
        result["false alarms, ramp with common " + ("incidents" if incidents else "drift")] = int(np.sum(alarms >= 0))
    result |= {"same_alarm_when_cut": same_when_cut(50, 1), "deploy_delay_ratio": deploy_gain(weeks, 1)}
    return result | {"weeks_per_second": speed()}


def main() -> None:
    """Every cell, then the summary as one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.evidence_bench", description=__doc__)
    parser.add_argument("--weeks", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alpha", type=float, default=0.05, help="of the false-alarm simulations")
    options = parser.parse_args()
    rows = table(options.weeks, options.seeds)
    for row in rows:
        when = "mid-week" if row["onset"] else "start"
        mark = "" if row["met"] else "  BEYOND TARGET"
        print(
            f"{row['cell']:38} {when:9} bound {row['bound']:7.0f}  median {row['median']:6.0f} ({row['median_ratio']:.2f})"
            f"  p95 {row['p95']:6.0f} ({row['p95_ratio']:.2f}){mark}",
            flush=True,
        )
    print(json.dumps(summary(rows, options.weeks, options.seeds, options.alpha)))


if __name__ == "__main__":
    main()
