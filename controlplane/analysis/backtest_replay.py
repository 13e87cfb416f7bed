"""Replays in parts on all cores: draw who is treated, count, run every stream and every rival. The result does not depend on the number of cores.

Each part has a random stream of its own, from the seed, the scenario and its place, so a part can be repeated alone.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np

from controlplane.analysis.backtest_engine import Stream, run
from controlplane.analysis.backtest_harms import Harm
from controlplane.analysis.backtest_ramp import Ramp
from controlplane.analysis.backtest_rivals import RIVALS, series
from controlplane.analysis.backtest_tables import Key, Pair, Table, treated_draw
from controlplane.core.evidence.weights import IntArray
from controlplane.core.triggers import ALL
from controlplane.store.backtest_facts import NEVER

PART_CELLS = 6_000_000
"""Conversations x replays per part: what a core can hold without swapping caches too often, and memory stays bounded."""
PairChange = Callable[[Table, Pair, np.random.Generator], Pair]
Tick = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Work:
    """One part: which streams on which tables, who is hurt and how, and which rivals look on. `since`: moment of the onset, microseconds."""

    name: str
    streams: tuple[Stream, ...]
    tables: Mapping[Key, Table]
    replays: int
    seed: tuple[int, ...]
    ramp: Ramp
    harm: Harm | None = None
    since: int = 0
    change: PairChange | None = None
    rivals: bool = False
    rival_streams: frozenset[str] = frozenset()
    exposure: Table | None = None


@dataclass(slots=True)
class Outcome:
    """Times of first alarms, microseconds, NEVER = none: `ours` by stream, `rivals` by rule; `exposed` treated units since the onset per replay."""

    ours: dict[str, IntArray] = field(default_factory=dict)
    rivals: dict[str, IntArray] = field(default_factory=dict)
    exposed: IntArray | None = None


def part_size(rows: int, replays: int) -> int:
    """Replays per part, at least two parts so that two cores have work."""
    fits = max(16, PART_CELLS // max(rows, 1))
    return int(max(1, min(fits, 250, -(-replays // 2))))


def parts(work: Work, rows: int) -> list[Work]:
    """The work cut into parts of bounded size."""
    size = part_size(rows, work.replays)
    begins = range(0, work.replays, size)
    return [replace(work, replays=min(size, work.replays - b), seed=(*work.seed, b)) for b in begins]


def do(work: Work) -> Outcome:
    """Run one part."""
    entropy = [*work.seed, zlib.crc32(work.name.encode())]
    draw_seed, harm_seed = np.random.SeedSequence(entropy).spawn(2)
    rng = np.random.default_rng(harm_seed)
    drawn = treated_draw(work.ramp, work.replays, draw_seed)
    pairs: dict[Key, Pair] = {}
    found = Outcome()
    for stream in work.streams:
        table = work.tables[stream.key]
        if stream.key not in pairs:
            pairs[stream.key] = _pair(work, table, drawn, rng)
        pair = pairs[stream.key]
        found.ours[stream.name] = run(stream, table, pair)
        watched = stream.segment == ALL and (not work.rival_streams or stream.name in work.rival_streams)
        if work.rivals and watched and len(table.grid.opens):
            seen = series(stream.trigger, table, pair)
            for rival in RIVALS:
                alarm = rival.alarm(seen)
                found.rivals[rival.name] = np.minimum(found.rivals.get(rival.name, alarm), alarm)
    if work.exposure is not None:
        found.exposed = _exposed(work, work.exposure.pair(drawn), found)
    return found


def _pair(work: Work, table: Table, drawn: np.ndarray, rng: np.random.Generator) -> Pair:
    pair = table.pair(drawn)
    if work.change is not None:
        pair = work.change(table, pair, rng)
    if work.harm is not None and work.harm.metric == table.key.metric:
        since = int(np.searchsorted(table.grid.opens, work.since, side="left"))
        pair = work.harm.apply(table, pair, drawn, rng, since)
    return pair


def _exposed(work: Work, units: Pair, found: Outcome) -> IntArray:
    """Treated units from the onset to the first alarm of any stream (to the end of the history without one)."""
    assert work.exposure is not None
    grid = work.exposure.grid
    first = first_of(list(found.ours.values()), work.replays)
    total = np.concatenate([np.zeros((1, work.replays)), np.cumsum(units.treated.sum(axis=1), axis=0)])
    begin = int(np.searchsorted(grid.opens, work.since, side="left"))
    end = np.searchsorted(grid.opens, first, side="left")
    return np.asarray(total[np.maximum(end, begin), np.arange(work.replays)] - total[begin], dtype=np.int64)


def first_of(alarms: Sequence[IntArray], replays: int) -> IntArray:
    """The earliest of several alarms per replay, NEVER where there is none; `(replays,)`."""
    return np.asarray(np.minimum.reduce([np.full(replays, NEVER, dtype=np.int64), *alarms]))


def run_all(works: Sequence[Work], rows: int, tick: Tick | None = None, cores: int | None = None) -> list[Outcome]:
    """All works, each put together again in its order; `tick(replays)` after every part. Ctrl-C ends after the parts that run."""
    cut = [(index, part) for index, work in enumerate(works) for part in parts(work, rows)]
    count = cores or min(os.cpu_count() or 1, 4)
    done: dict[int, Outcome] = {}
    with ThreadPoolExecutor(max_workers=count) as pool:
        futures: dict[Future[Outcome], int] = {pool.submit(do, part): place for place, (_, part) in enumerate(cut)}
        try:
            waiting = set(futures)
            while waiting:
                ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in ready:
                    done[futures[future]] = future.result()
                    if tick is not None:
                        tick(cut[futures[future]][1].replays)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [_joined([done[p] for p, (i, _) in enumerate(cut) if i == index]) for index in range(len(works))]


def _joined(outcomes: list[Outcome]) -> Outcome:
    first = outcomes[0]
    exposed = None if first.exposed is None else np.concatenate([o.exposed for o in outcomes if o.exposed is not None])
    return Outcome(
        {name: np.concatenate([o.ours[name] for o in outcomes]) for name in first.ours},
        {name: np.concatenate([o.rivals[name] for o in outcomes]) for name in first.rivals},
        exposed,
    )
