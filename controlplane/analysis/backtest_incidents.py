"""Replay of labelled incidents: would the policy have fired inside the windows, how soon, and did it fire outside?

With rows of an assistant in the history, its arm is judged as it was recorded. After an alarm the detectors begin anew, as after a person's
resumption, so that a later incident can be found too. Without such rows everything in the history hit the only service there was, so the arms
are relabelled: comparisons must stay silent, and only absolute limits can see the incident.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from controlplane.analysis.backtest_engine import Bench, Stream, first_alarms, make_stream
from controlplane.analysis.backtest_ramp import DAY, SECOND, Ramp
from controlplane.analysis.backtest_tables import Pair, Table, build, columns
from controlplane.core.model import MetricKind
from controlplane.core.policy_model import Policy, Stage
from controlplane.store.backtest_facts import History

MOST_ALARMS = 50
MINUTE = 60 * SECOND


@dataclass(frozen=True, slots=True)
class Window:
    """A labelled incident: `start` and `end` in microseconds."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm of a stream: when its block opened and when it could be raised, microseconds."""

    stream: str
    opened: int
    decided: int


def replay(bench: Bench, windows: tuple[Window, ...], recorded: History | None) -> dict[str, Any]:
    """`windows` with what fired in each, and the alarms outside all of them. `recorded`: the history of both arms, if there were two."""
    two_arms = recorded is not None and 0 < int(recorded.treated.sum()) < recorded.rows
    alarms = _as_recorded(bench.policy, recorded) if two_arms and recorded is not None else _only_limits(bench)
    found = [_window(window, alarms, bench) for window in windows]
    inside = {alarm for alarm in alarms for window in windows if _is_inside(alarm, window)}
    outside = [alarm for alarm in alarms if alarm not in inside]
    return {
        "mode": "arms as recorded"
        if two_arms
        else "one service: absolute limits only, comparisons cancel what hits both arms",
        "windows": found,
        "alarms_outside": [{"stream": alarm.stream, "at": iso(alarm.decided)} for alarm in outside],
    }


def iso(moment: int) -> str:
    """Microseconds since 1970 as ISO-8601 with Z, whole seconds."""
    return f"{np.datetime64(moment // SECOND, 's')}Z"


def _is_inside(alarm: Alarm, window: Window) -> bool:
    return window.start - MINUTE < alarm.opened + MINUTE and alarm.opened < window.end


def _window(window: Window, alarms: list[Alarm], bench: Bench) -> dict[str, Any]:
    mine = sorted((alarm for alarm in alarms if _is_inside(alarm, window)), key=lambda alarm: alarm.decided)
    covered = bool(bench.ramp.edges[0] < window.end and window.start < bench.ramp.edges[-1])
    return {
        "name": window.name,
        "start": iso(window.start),
        "end": iso(window.end),
        "in_history": covered,
        "fired": bool(mine),
        "after_minutes": round((mine[0].decided - window.start) / MINUTE, 1) if mine else None,
        "streams": sorted({alarm.stream for alarm in mine}),
    }


def _as_recorded(policy: Policy, history: History) -> list[Alarm]:
    """Every alarm of every stream on the arms as they were."""
    ramp = one_stage(history)
    drawn = history.treated.astype(np.float32)[:, None]
    alarms: list[Alarm] = []
    for trigger in policy.triggers:
        for segment in policy.segments_of(trigger):
            stream = make_stream(policy, trigger, segment)
            table = build(stream.key, ramp, history)
            alarms += alarms_of(stream, table, table.pair(drawn))
    return alarms


def one_stage(history: History) -> Ramp:
    """The whole history as one stage; a customer counts once per arm and week."""
    week = (history.started // DAY + 3) // 7
    group = ((history.customer + 1) * 2 + history.treated) * (int(week.max() - week.min()) + 1) + week - week.min()
    _, first = np.unique(group, return_index=True)
    unit = np.zeros(history.rows, dtype=np.bool_)
    unit[first] = True
    named = history.customer >= 0 if np.any(history.customer >= 0) else np.ones(history.rows, dtype=np.bool_)
    start = int(history.started[0]) // SECOND * SECOND
    return Ramp(
        stages=(Stage(0, "recorded", "eligible", 0.5),),
        starts_before=0,
        edges=np.array([start, int(history.started[-1]) // MINUTE * MINUTE + MINUTE]),
        scale=1.0,
        stage_of=np.zeros(history.rows, dtype=np.int64),
        share=np.full(history.rows, 0.5),
        unit=unit & named if np.any(history.customer >= 0) else named,
        customer=np.maximum(history.customer, 0),
        customers=int(history.customer.max(initial=0)) + 1,
        notes=(),
    )


def _only_limits(bench: Bench) -> list[Alarm]:
    alarms: list[Alarm] = []
    for stream in bench.streams:
        if stream.trigger.kind is MetricKind.ONE_SAMPLE:
            table = bench.tables[stream.key]
            everyone = table.totals[..., None]
            alarms += alarms_of(stream, table, Pair(everyone, np.zeros_like(everyone)))
    return alarms


def alarms_of(stream: Stream, table: Table, pair: Pair) -> list[Alarm]:
    """All alarms of one stream over the table's blocks, beginning anew behind each."""
    counts = columns(MetricKind(stream.spec.kind), pair, stream.trigger.icc)
    begin = 0
    found: list[Alarm] = []
    while begin < len(table.grid.opens) and len(found) < MOST_ALARMS:
        grid = replace(
            table.grid,
            opens=table.grid.opens[begin:],
            closes=table.grid.closes[begin:],
            events=_started(table.grid.events[begin:]),
        )
        rest = replace(table, grid=grid)
        at = int(first_alarms(stream, rest, {name: values[begin:] for name, values in counts.items()})[0])
        if at < 0:
            break
        found.append(Alarm(stream.name, int(grid.opens[at]), int(grid.closes[at]) + table.key.maturity))
        begin += at + 1
    return found


def _started(events: np.ndarray) -> np.ndarray:
    again = events.copy()
    again[:1, 0] = np.maximum(again[:1, 0], 1)
    return again
