"""The smallest harm that a stage would find by itself: begins with the stage, 80 % of the replays have the alarm before the stage ends.

Maturity counts: in a stage that is shorter than the time a label needs, nothing can be found, and that is said.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from controlplane.analysis.backtest_engine import Bench, Stream, make_stream, run
from controlplane.analysis.backtest_harms import flipped, lowered
from controlplane.analysis.backtest_tables import Key, Pair, Table, treated_draw
from controlplane.core.metrics import metric
from controlplane.core.model import MetricKind
from controlplane.core.triggers import ALL

REPLAYS = 60
FOUND = 0.8
RATE_GRID = (0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 0.8)
POINT_GRID = (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)


def smallest_harms(bench: Bench, assumed: dict[Key, Table], seed: int) -> list[dict[str, Any]]:
    """One row per trigger (all traffic): `stages` with the smallest size found or None; `unit` of the size (added rate, or points lost)."""
    drawn = treated_draw(bench.ramp, REPLAYS, np.random.SeedSequence([seed, 3]))
    rows = []
    for trigger in bench.policy.triggers:
        stream = make_stream(bench.policy, trigger, ALL)
        table = bench.tables.get(stream.key) or assumed.get(stream.key)
        if table is None or stream.name in bench.breaks:
            continue
        pair = table.pair(drawn)
        sizes = POINT_GRID if trigger.kind is MetricKind.RATING else RATE_GRID
        stages = [_smallest(bench, stream, table, pair, index, sizes, seed) for index in range(len(bench.ramp.stages))]
        unit = "points" if trigger.kind is MetricKind.RATING else "rate"
        rows.append(
            {
                "trigger": trigger.name,
                "metric": metric(trigger.metric).title,
                "unit": unit,
                "assumed": table.assumed,
                "stages": stages,
            }
        )
    return rows


def _smallest(
    bench: Bench, stream: Stream, table: Table, pair: Pair, stage: int, sizes: tuple[float, ...], seed: int
) -> float | None:
    """Bisection over the sizes; each is tried on the same replays."""
    begin, end = int(bench.ramp.edges[stage]), int(bench.ramp.edges[stage + 1])
    if end - begin <= table.key.maturity:
        return None
    since, until = (int(np.searchsorted(table.grid.opens, moment, side="left")) for moment in (begin, end))
    if since >= until:
        return None
    part = Table(table.key, _until(table, until), table.levels, None, table.totals[:until], table.assumed)
    short = Pair(pair.treated[:until], pair.control[:until])
    low, high = 0, len(sizes)
    while low < high:
        middle = (low + high) // 2
        rng = np.random.default_rng([seed, 4, stage, middle])
        hurt = _hurt(stream, table, short, sizes[middle], rng, since)
        alarm = run(stream, part, hurt)
        if ((alarm > begin) & (alarm <= end)).mean() >= FOUND:
            high = middle
        else:
            low = middle + 1
    return sizes[low] if low < len(sizes) else None


def _until(table: Table, blocks: int) -> Any:
    grid = table.grid
    return type(grid)(grid.opens[:blocks], grid.closes[:blocks], grid.events[:blocks])


def _hurt(stream: Stream, table: Table, pair: Pair, size: float, rng: np.random.Generator, since: int) -> Pair:
    totals = table.totals.sum(axis=0)
    mix = totals / max(totals.sum(), 1.0)
    if stream.trigger.kind is MetricKind.RATING:
        return lowered(pair, size, mix, rng, since)
    return flipped(pair, size / max(1.0 - float(mix[1]), 1e-9), rng, since)
