"""First alarm of many independent weeks at once, through the very engine that guards a rollout. For acceptance tests and backtests.

Blocks are minutes and the horizon is always one week, whatever the length of the data, so cutting the data after an alarm never moves it.
Weights: .5 at the start and .5/10080 a block. Known deploys, if any, take their halves out of the start's .5, so the account still holds 1.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.detector import Streams, StreamSpec, check_stats, crossings
from controlplane.core.evidence.forms import FloatArray
from controlplane.core.evidence.weights import IntArray, WeightPlan

WEEK_BLOCKS = 10_080
CELLS_AT_ONCE = 8_192
"""Blocks x streams per pass: small enough to stay in the processor's cache, large enough to hide Python."""
WEEKS_AT_ONCE = 256
"""Weeks are independent: so many at a time become floating-point numbers, and memory stays near that of the counts themselves."""


def week_plan(deploys: bool = False) -> WeightPlan:
    """The account of a one-week, one-stage rollout: one start takes .5, or .25 where deploys are planned."""
    if deploys:
        return WeightPlan(horizon_blocks=WEEK_BLOCKS, start_ratio=0.0)
    return WeightPlan(horizon_blocks=WEEK_BLOCKS, starts=0.5, start_ratio=0.0, deploys=0.0)


def first_alarm(
    kind: str, stats: Mapping[str, npt.ArrayLike], limit: float, alpha: float, deploys: Sequence[int] = ()
) -> IntArray:
    """Index of the first alarm of each of R weeks, -1 = none; int64 `(R,)`.

    `kind` and `stats`: "two_sample" with `nT, xT, nC, xC` of shape (T, R), "one_sample" with `nT, xT`, "rating" with `kT, kC` of shape (T, R, 5)
    (units per rating 1..5); "rate_ratio" and "sample_ratio" likewise. `limit`: margin on the rate, absolute limit, or rating points that may be
    lost. `alpha`: for this stream alone. `deploys`: indices of the blocks that open right after a known deploy.
    Raises ValueError naming the argument that is wrong.
    """
    arrays = {name: np.asarray(values) for name, values in stats.items()}
    shapes = {values.shape[:2] for values in arrays.values()}
    n_weeks = max((shape[1] for shape in shapes if len(shape) == 2), default=0)
    if len(shapes) == 1 and n_weeks > WEEKS_AT_ONCE:
        parts = (slice(begin, begin + WEEKS_AT_ONCE) for begin in range(0, n_weeks, WEEKS_AT_ONCE))
        found = [{name: values[:, part] for name, values in arrays.items()} for part in parts]
        return np.concatenate([first_alarm(kind, part, limit, alpha, deploys) for part in found])
    spec = StreamSpec(kind, limit, alpha)
    columns = check_stats(spec, arrays)
    n_blocks, n_weeks = next(iter(columns.values())).shape[:2]
    events = _week_events(n_blocks, deploys)
    streams = Streams.fresh(spec, week_plan(deploys=len(deploys) > 0), n_weeks)
    return first_crossing(spec, streams, columns, events)


def first_crossing(spec: StreamSpec, streams: Streams, columns: Mapping[str, FloatArray], events: IntArray) -> IntArray:
    """Index of the first block of T in which each of N fresh streams is at or over its threshold, -1 = never; `(N,)`. `columns` are checked counts
    `(T, N)` or `(T, N, 5)`, `events` `(T, 2)`."""
    n_blocks, n_streams = next(iter(columns.values())).shape[:2]
    alarm = np.full(n_streams, -1, dtype=np.int64)
    size = max(1, CELLS_AT_ONCE // max(n_streams, 1))
    for begin in range(0, n_blocks, size):
        span = slice(begin, begin + size)
        streams, fired = crossings(
            spec, streams, {name: values[span] for name, values in columns.items()}, events[span]
        )
        first = fired.any(axis=0) & (alarm < 0)
        alarm[first] = begin + fired.argmax(axis=0)[first]
        if np.all(alarm >= 0):
            break
    return alarm


def _week_events(n_blocks: int, deploys: Sequence[int]) -> IntArray:
    """`(T, 2)` stage starts and deploys per block; deploys after the end of the data are known but not yet used."""
    events = np.zeros((n_blocks, 2), dtype=np.int64)
    events[:1, 0] = 1
    for block in deploys:
        if int(block) != block or not block >= 0:
            raise ValueError(f"deploys holds {block!r}; give indices of blocks, 0 or more")
        if block < n_blocks:
            events[int(block), 1] += 1
    return events
