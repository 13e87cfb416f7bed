"""Counts of relabelled arms per block: one sparse matrix per metric, segment and grid of blocks.

A table knows which conversation put which outcome into which block. Times a matrix of ones and zeros (who is treated in which replay) it yields
the treated counts of all replays at once; the control has the rest. One conversation has one arm in all tables, so what one unlucky draw does to
escalation, CSAT and latency together stays together: the union over triggers is as dependent as in a rollout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from controlplane.analysis.backtest_ramp import SECOND, Ramp
from controlplane.core.evidence.weights import IntArray
from controlplane.core.metrics import Family, metric
from controlplane.core.model import MetricKind
from controlplane.core.policy_model import Trigger
from controlplane.store.backtest_facts import FloatArray, History, Judgements

RATING_LEVELS = 5
Columns = dict[str, FloatArray]


class Key(NamedTuple):
    """What a table counts; triggers with one key share it."""

    metric: str
    threshold: float  # slo_ms or cap_usd
    block_seconds: int
    maturity: int  # microseconds
    labels: str
    segment: str


@dataclass(frozen=True, slots=True)
class Events:
    """Outcomes that count: `place` of the conversation, `time` in microseconds, `level` (0 good, 1 bad; ratings 0..4). All `(n,)`."""

    place: IntArray
    time: IntArray
    level: IntArray

    def where(self, keep: npt.NDArray[np.bool_]) -> Events:
        """Only those."""
        return Events(self.place[keep], self.time[keep], self.level[keep])


@dataclass(frozen=True, slots=True)
class Pair:
    """Counts of both arms, `(T, L, R)`: blocks, levels, replays."""

    treated: FloatArray
    control: FloatArray

    def swapped(self) -> Pair:
        """The arms the other way round."""
        return Pair(self.control, self.treated)


@dataclass(frozen=True, slots=True)
class Grid:
    """Closed blocks of one length and maturity: `opens`, `closes` `(T,)` microseconds, `events` `(T, 2)` stage starts and deploys."""

    opens: IntArray
    closes: IntArray
    events: IntArray


@dataclass(frozen=True, slots=True)
class Table:
    """`matrix` `(T L, N)` sparse, `totals` `(T, L)`: outcomes of both arms together. `assumed`: made up, because the control has no such data."""

    key: Key
    grid: Grid
    levels: int
    matrix: Any
    totals: FloatArray
    assumed: bool = False

    def pair(self, treated: npt.NDArray[np.float32]) -> Pair:
        """Counts of the replays whose treated conversations are the columns of `treated` `(N, R)`."""
        shape = (len(self.grid.opens), self.levels, treated.shape[1])
        counts = np.asarray(self.matrix @ treated, dtype=np.float64).reshape(shape)
        return Pair(counts, self.totals[..., None] - counts)


def trigger_key(trigger: Trigger, segment: str) -> Key:
    """Which table a stream of the trigger reads."""
    maturity = round(trigger.maturity_minutes * 60) * SECOND
    threshold = trigger.slo_ms or trigger.cap_usd or 0.0
    return Key(trigger.metric, threshold, trigger.block_seconds, maturity, trigger.labels, segment)


def grid_of(ramp: Ramp, block_seconds: int, maturity: int, watermark: int, deploys: Sequence[int] = ()) -> Grid:
    """Blocks of `block_seconds` from each stage's start whose labels were mature at the watermark. `deploys`: known changes, in microseconds."""
    span = block_seconds * SECOND
    opens, closes, starts = [], [], []
    for start, end in zip(ramp.edges[:-1], ramp.edges[1:], strict=True):
        of_stage = np.arange(start, end, span, dtype=np.int64)
        opens.append(of_stage)
        closes.append(np.minimum(of_stage + span, end))
        starts.append(np.arange(of_stage.size) == 0)
    every = Grid(np.concatenate(opens), np.concatenate(closes), np.zeros((0, 2), dtype=np.int64))
    mature = every.closes + maturity <= watermark
    events = np.zeros((int(mature.sum()), 2), dtype=np.int64)
    events[:, 0] = np.concatenate(starts)[mature]
    events[:1, 0] += ramp.starts_before
    kept = Grid(every.opens[mature], every.closes[mature], events)
    for moment in deploys:
        block = int(np.searchsorted(kept.opens, moment, side="left"))  # never back-dated: the next block that opens
        if block < len(events):
            events[block, 1] += 1
    return kept


def build(key: Key, ramp: Ramp, history: History, deploys: Sequence[int] = ()) -> Table:
    """The table of a key. KeyError for a metric that a backtest cannot count."""
    grid = grid_of(ramp, key.block_seconds, key.maturity, history.watermark, deploys)
    return fill(key, grid, events_of(key, ramp, history), history.rows)


def fill(key: Key, grid: Grid, events: Events, rows: int, assumed: bool = False) -> Table:
    """A table of these outcomes over `rows` conversations; what lies outside the blocks is not counted."""
    from scipy import sparse

    levels = RATING_LEVELS if key.metric == "csat" else 2
    block = np.searchsorted(grid.opens, events.time, side="right") - 1
    if len(grid.opens):
        inside = (block >= 0) & (events.time < grid.closes[np.maximum(block, 0)])
        kept, block = events.where(inside), block[inside]
    else:
        kept, block = events.where(np.zeros(events.place.size, dtype=np.bool_)), block[:0]
    shape = (len(grid.opens) * levels, rows)
    cells = (block * levels + kept.level, kept.place)
    matrix = sparse.csr_matrix((np.ones(kept.place.size, dtype=np.float32), cells), shape=shape)
    totals = np.asarray(matrix.sum(axis=1), dtype=np.float64).reshape(-1, levels)
    return Table(key, grid, levels, matrix, totals, assumed)


def assume(key: Key, ramp: Ramp, history: History, per_conversation: float, bad: float, seed: int) -> Table:
    """A table for what the control cannot have (a menu calls no model): of each unit, with chance `per_conversation` (at most 1), one outcome
    at its start, bad with chance `bad`. Only for power, never for false alarms."""
    draw = np.random.default_rng(seed)
    place = np.flatnonzero(ramp.unit)
    place = place[draw.random(place.size) < per_conversation]
    level = (draw.random(place.size) < bad).astype(np.int64)
    events = _of_segment(Events(place, history.started[place], level), key.segment, history)
    grid = grid_of(ramp, key.block_seconds, key.maturity, history.watermark)
    return fill(key, grid, events, history.rows, assumed=True)


def events_of(key: Key, ramp: Ramp, history: History) -> Events:
    """The outcomes that count for a key, as the production queries count them."""
    match metric(key.metric).family:
        case Family.CONVERSATION:
            found = _conversations(key, history)
        case Family.REQUEST:
            found = _requests(key, history)
        case Family.CALL:
            calls = history.calls[key.metric]
            found = Events(calls.place, calls.time, calls.hit)
        case Family.EVALUATION:
            found = _judged(key, history.judgements[key.metric])
    counts = ramp.unit if metric(key.metric).family in (Family.CONVERSATION, Family.REQUEST) else ramp.stage_of >= 0
    return _of_segment(found.where(counts[found.place]), key.segment, history)


def _of_segment(events: Events, segment: str, history: History) -> Events:
    return events if segment == "all" else events.where(history.segment[events.place] == segment)


def _conversations(key: Key, history: History) -> Events:
    mature = history.started + key.maturity
    escalated, rated = history.escalated <= mature, (history.rated <= mature) & (history.rating > 0)
    everyone = np.arange(history.rows)
    match key.metric:
        case "csat":
            place = everyone[rated]
            return Events(place, history.started[place], history.rating[place] - 1)
        case "escalation_rate":
            hit = escalated
        case "contact_rate":
            hit = history.returned <= mature
        case "csat_response_rate":
            hit = rated
        case "resolution_rate":
            everyone = everyone[(history.resolved >= 0) & (history.resolved_at <= mature)]
            hit = (history.resolved == 1) & ~escalated
        case name:
            raise KeyError(f"a backtest does not know how to count {name}")
    return Events(everyone, history.started[everyone], hit[everyone].astype(np.int64))


def _requests(key: Key, history: History) -> Events:
    requests = history.requests
    match key.metric:
        case "slow_share":
            known, hit = requests.latency_ms >= 0.0, requests.latency_ms > key.threshold
        case "costly_share":
            known, hit = requests.cost_usd >= 0.0, requests.cost_usd > key.threshold
        case "timeout_rate":
            known, hit = requests.timed_out >= 0, requests.timed_out == 1
        case "request_error_rate":
            known, hit = np.ones(requests.place.size, dtype=np.bool_), requests.failed == 1
        case name:
            raise KeyError(f"a backtest does not know how to count {name}")
    return Events(requests.place, requests.time, hit.astype(np.int64)).where(known)


def _judged(key: Key, found: Judgements) -> Events:
    """The preferred judgement of each answer among those known within the maturity."""
    keep = found.judged <= found.answered + key.maturity
    if key.labels == "person":
        keep &= found.person == 1
    rows = np.flatnonzero(keep)
    _, first = np.unique(found.subject[rows], return_index=True)  # rows are in the order of preference
    rows = rows[first]
    return Events(found.place[rows], found.answered[rows], found.hit[rows])


def columns(kind: MetricKind, pair: Pair, icc: float) -> Columns:
    """Columns `(T, R)` or `(T, R, 5)` for the evidence engine, effective counts where `icc` is above 0."""
    thin = _effective(pair, icc) if icc > 0.0 else pair
    if kind is MetricKind.RATING:
        return {"kT": np.moveaxis(thin.treated, 1, -1), "kC": np.moveaxis(thin.control, 1, -1)}
    both = {"nT": units(thin.treated), "xT": thin.treated[:, 1]}
    if kind is MetricKind.ONE_SAMPLE:
        return both
    return both | {"nC": units(thin.control), "xC": thin.control[:, 1]}


def units(counts: FloatArray) -> FloatArray:
    """Outcomes over all levels, `(T, R)`; two levels are added directly, a sum over so short an axis is slow."""
    return np.asarray(counts[:, 0] + counts[:, 1] if counts.shape[1] == 2 else counts.sum(axis=1))


def _effective(pair: Pair, icc: float) -> Pair:
    """`core.evidence.effective` for arrays: every level after the design effect `1 + (n - 1) icc` of its arm."""

    def thinned(counts: FloatArray) -> FloatArray:
        return np.asarray(counts / (1.0 + np.maximum(counts.sum(axis=1, keepdims=True) - 1.0, 0.0) * icc))

    return Pair(thinned(pair.treated), thinned(pair.control))


def treated_draw(ramp: Ramp, replays: int, seed: np.random.SeedSequence) -> npt.NDArray[np.float32]:
    """Who is treated in each replay, `(N, replays)` of ones and zeros: a customer's position, drawn once, below the share of the conversation.

    Positions have 16 bits: a share is kept to 1/65,536.
    """
    positions = np.frombuffer(np.random.default_rng(seed).bytes(2 * ramp.customers * replays), dtype=np.uint16)
    below = np.rint(ramp.share * 65_536).astype(np.int64)
    drawn = positions.reshape(ramp.customers, replays)
    if not np.array_equal(ramp.customer, np.arange(ramp.customers)):  # else each has one conversation: nothing to copy
        drawn = drawn[ramp.customer]
    return np.asarray((drawn < np.minimum(below, 65_535)[:, None].astype(np.uint16)).astype(np.float32))
