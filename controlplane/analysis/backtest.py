"""Backtest of a policy on a history: what would it have done to releases that are harmless, and to releases that are not?

1. A/A: conversations are relabelled to arms by the ramp, thousands of times; every rollback is false.
2. Power: the same with harm put into the treated arm, from the start and in mid-stage.
3. Incidents: labelled windows of the history.
4. Rivals: the rules of other tools on the very same replays.
5. Stress: what goes wrong in real logs.

An absolute limit that the history itself breaks is no false alarm of the policy: the present service is over it, so a release that is exactly as
good would be rolled back, rightly by the letter of the policy. It is told apart (`breaks`) and not counted as false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, log, log1p
from typing import Any

import numpy as np

from controlplane.analysis import backtest_incidents
from controlplane.analysis.backtest_engine import Bench, Stream, make_stream, prepare
from controlplane.analysis.backtest_harms import Harm, assumed_tables, harms_of
from controlplane.analysis.backtest_incidents import Window
from controlplane.analysis.backtest_ramp import SECOND, TooLittleHistory, lay
from controlplane.analysis.backtest_replay import Outcome, Work, run_all
from controlplane.analysis.backtest_rows import (
    LEVEL,
    about,
    false_rollbacks,
    harm_row,
    rival_rows,
    stress_row,
    trigger_rows,
    with_harms,
)
from controlplane.analysis.backtest_smallest import smallest_harms
from controlplane.analysis.backtest_stress import Stress, stresses
from controlplane.analysis.backtest_tables import Events, Key, Table, build, fill, grid_of
from controlplane.core.model import MetricKind
from controlplane.core.policy_model import Policy
from controlplane.core.triggers import ALL
from controlplane.store.backtest_facts import History

LEAST_REPLAYS, MOST_REPLAYS = 100, 400
Tick = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: replays of the A/A part, the seed, deploys known in the history (microseconds), labelled windows."""

    replays: int = 2000
    seed: int = 7
    deploys: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()


def backtest(
    policy: Policy, history: History, request: Request, recorded: History | None = None, tick: Tick | None = None
) -> dict[str, Any]:
    """The whole result as plain values; `tick(part, done, of)` counts replays. Raises TooLittleHistory where nothing can be shown."""
    ramp = lay(policy, history)
    bench = prepare(policy, history, ramp, request.seed, request.deploys)
    if not _shows_something(bench):
        reasons = "; ".join(f"{name}: {why}" for name, why in bench.untested.items()) or "the policy has no triggers"
        raise TooLittleHistory(
            f"no comparison with the control of policy '{policy.name}' can be judged by it: {reasons}"
        )
    enough = _enough(policy.budget.false_rollback, request.replays)
    assumed = assumed_tables(policy, bench, request.seed)
    harms = [harm for harm in harms_of(bench, bench.tables | assumed) if _watching(bench, assumed, harm)]
    works = [_harmless(bench, request)]
    works += [
        _harmful(bench, assumed, harm, onset, since, LEAST_REPLAYS, request)
        for harm in harms
        for onset, since in _onsets(bench)
    ]
    tests = stresses(_csat_maturity(policy))
    works += [_stressed(bench, test, enough, request) for test in tests]
    hidden = _hidden_harm(bench, harms, LEAST_REPLAYS, request)
    works += [hidden] if hidden is not None else []
    outcomes = _run(works, history.rows, tick)
    aa, hurt = outcomes[0], outcomes[1 : 1 + 2 * len(harms)]
    stressed = outcomes[1 + 2 * len(harms) : 1 + 2 * len(harms) + len(tests)]
    found_hidden = outcomes[-1] if hidden is not None else None
    rivals = rival_rows(aa)
    rows = [harm_row(bench, works[1 + i], outcome, i) for i, outcome in enumerate(hurt)]
    return {
        "replays": request.replays,
        "false_rollback": false_rollbacks(bench, aa),
        "harms": rows,
        "rivals": with_harms(rivals, rows),
        "detail": {
            "policy": {"name": policy.name, "hash": policy.hash},
            "seed": request.seed,
            "history": about(bench),
            "triggers": trigger_rows(bench, aa),
            "untested": bench.untested,
            "breaks": bench.breaks,
            "assumed": sorted({key.metric for key in assumed}),
            "stress": [stress_row(bench, t, o, found_hidden) for t, o in zip(tests, stressed, strict=True)],
            "smallest": smallest_harms(bench, assumed, request.seed),
            "incidents": backtest_incidents.replay(bench, request.windows, recorded) if request.windows else None,
        },
    }


def _enough(promised: float, replays: int) -> int:
    """Replays of a stress: as many as it takes for none at all to show the promise, within bounds and never more than asked for."""
    needed = ceil(log(1.0 - LEVEL) / log1p(-promised)) + 1
    return min(replays, int(np.clip(needed, LEAST_REPLAYS, MOST_REPLAYS)))


def _shows_something(bench: Bench) -> bool:
    """Whether a comparison with the control is judged; any trigger, where the policy compares nothing."""
    compares = any(trigger.kind is not MetricKind.ONE_SAMPLE for trigger in bench.policy.triggers)
    return any(not compares or stream.trigger.kind is not MetricKind.ONE_SAMPLE for stream in bench.streams)


def _run(works: Sequence[Work], rows: int, tick: Tick | None) -> list[Outcome]:
    total, done = sum(work.replays for work in works), 0

    def count(replays: int) -> None:
        nonlocal done
        done += replays
        if tick is not None:
            tick("replays", done, total)

    return run_all(works, rows, count)


def _harmless(bench: Bench, request: Request) -> Work:
    watched = frozenset(s.name for s in bench.streams if bench.rolls_back(s) and s.name not in bench.breaks)
    return Work(
        name="harmless",
        streams=bench.streams,
        tables=bench.tables,
        replays=request.replays,
        seed=(request.seed,),
        ramp=bench.ramp,
        rivals=True,
        rival_streams=watched or frozenset({"none"}),
    )


def _onsets(bench: Bench) -> list[tuple[str, int]]:
    """From the start of the ramp, and in the middle of the stage that serves half-way."""
    edges, grid = bench.ramp.edges, max(key.block_seconds for key in bench.tables) * SECOND
    stage = bench.ramp.stage_at(int(edges[0] + edges[-1]) // 2)
    middle = int(edges[stage] + edges[stage + 1]) // 2
    return [("start", int(edges[0])), ("mid-stage", int(edges[0] + (middle - edges[0]) // grid * grid))]


def _harmful(
    bench: Bench, assumed: dict[Key, Table], harm: Harm, onset: str, since: int, replays: int, request: Request
) -> Work:
    return Work(
        name=f"{harm.name} {onset}",
        streams=_watching(bench, assumed, harm),
        tables=bench.tables | assumed,
        replays=replays,
        seed=(request.seed,),
        ramp=bench.ramp,
        harm=harm,
        since=since,
        rivals=True,
        exposure=_exposure(bench),
    )


def _watching(bench: Bench, assumed: dict[Key, Table], harm: Harm) -> tuple[Stream, ...]:
    """Streams that could find the harm: not those whose limit the history breaks anyway."""
    streams = [s for s in bench.streams if s.trigger.metric == harm.metric and s.name not in bench.breaks]
    known = {stream.name for stream in streams} | set(bench.breaks)
    for trigger in bench.policy.triggers:
        stream = make_stream(bench.policy, trigger, ALL)
        if trigger.metric == harm.metric and stream.key in assumed and stream.name not in known:
            streams.append(stream)
    return tuple(streams)


def _exposure(bench: Bench) -> Table:
    """Units by the block of their start, to count who was exposed until an alarm."""
    span = min(key.block_seconds for key in bench.tables)
    place = np.flatnonzero(bench.ramp.unit)
    events = Events(place, bench.history.started[place], np.zeros(place.size, dtype=np.int64))
    grid = grid_of(bench.ramp, span, 0, int(bench.ramp.edges[-1]) + 1)
    return fill(Key("units", 0.0, span, 0, "any", ALL), grid, events, bench.history.rows)


def _stressed(bench: Bench, test: Stress, replays: int, request: Request) -> Work:
    streams = tuple(s for s in bench.streams if s.name not in bench.breaks)
    ramp, tables = bench.ramp, bench.tables
    if test.history is not None:
        changed = test.history(bench.history, np.random.default_rng([request.seed, 2]))
        ramp = lay(bench.policy, changed)
        tables = {key: build(key, ramp, changed) for key in bench.tables}
    return Work(test.name, streams, tables, replays, (request.seed,), ramp, change=test.pair)


def _hidden_harm(bench: Bench, harms: Sequence[Harm], replays: int, request: Request) -> Work | None:
    """The largest harm to a compared metric, with the arms swapped afterwards: nothing of it should be found."""
    compared = [s for s in bench.streams if s.trigger.kind is not MetricKind.ONE_SAMPLE]
    names = {stream.trigger.metric for stream in compared} - {
        "slow_share"
    }  # slower answers need to know whose they are
    fitting = [harm for harm in harms if harm.metric in names]
    if not fitting:
        return None
    harm = max((each for each in fitting if each.metric == fitting[-1].metric), key=lambda each: each.size)
    streams = tuple(s for s in compared if s.trigger.metric == harm.metric)

    def change(table: Table, pair: Any, rng: np.random.Generator) -> Any:
        return harm.apply(table, pair, np.zeros((0, 0), dtype=np.float32), rng, 0).swapped()

    return Work(f"hidden {harm.name}", streams, bench.tables, replays, (request.seed,), bench.ramp, change=change)


def _csat_maturity(policy: Policy) -> int:
    found = [trigger.maturity_minutes for trigger in policy.triggers if trigger.metric == "csat"]
    return round(max(found, default=1440.0) * 60) * SECOND
