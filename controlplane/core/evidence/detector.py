"""Shiryaev-Roberts e-detector: the one engine behind every automatic rollback and hold.

A stream (one trigger on all traffic or one segment) reads closed blocks in order. For bet k and block t

    R_k(t) = (R_k(t-1) + w(t)) * e_k(t)        E(t) = mean_k R_k(t)        fire when E(t) >= 1/alpha

R starts at 0 and is never reset, so a regression that begins mid-week is found about as fast as one that begins at once. R plus the unspent weight
is a nonnegative supermartingale that starts at 1, so by Ville the stream *ever* fires falsely with probability at most alpha.

Rules:
- `w` is drawn from the stream's account (`weights`) before the block is read; a block with an empty arm has e = 1 and draws nothing, and a stage
  start or deploy that meets such a block waits for the next one.
- A deploy counts for the next block opened after it is known; handing it over with an older block is impossible, for blocks only go forward.
- What the bets know about the control comes from earlier blocks. All products are sums of logs.
- A state belongs to its kind and limit; another spec, a repeated or an older block is an error and changes nothing.

The scalar `step`, the tick over many streams `step_many` and the weeks of `first_alarm` all run `advance`, on arrays of T blocks by N streams.
States and readings convert to and from JSON-able dicts without losing a bit; -inf (no weight yet) is written as None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.counts import Counts, checked_columns, stack_counts
from controlplane.core.evidence.forms import FORMS, BoolArray, FloatArray, Form
from controlplane.core.evidence.weights import IntArray, WeightAccount, WeightPlan, draw_trail


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream tests. `limit`: margin on a rate, rating points lost, absolute rate, rate ratio (1 for sample_ratio). `alpha`: of this stream."""

    kind: str
    limit: float
    alpha: float

    def __post_init__(self) -> None:
        if self.kind not in FORMS:
            raise ValueError(f"kind is {self.kind!r}; choose one of {', '.join(FORMS)}")
        error = "a trigger's limit must not be negative" if not self.limit >= 0.0 else self.form.limit_error(self.limit)
        if error:
            raise ValueError(f"{self.kind}: limit is {self.limit}; {error}")
        if not 0.0 < self.alpha < 1.0:
            raise ValueError(f"{self.kind}: alpha is {self.alpha}; it must lie strictly between 0 and 1")

    @property
    def form(self) -> Form:
        return FORMS[self.kind]

    @property
    def bets(self) -> tuple[float, ...]:
        return self.form.bets(self.limit)

    @property
    def log_threshold(self) -> float:
        """log(1/alpha)"""
        return -float(np.log(self.alpha))


@dataclass(frozen=True, slots=True)
class Events:
    """What became known before the block opened: stage starts and restarts; deploys and policy changes."""

    stage_starts: int = 0
    deploys: int = 0


NOTHING_HAPPENED = Events()


@dataclass(frozen=True, slots=True)
class DetectorState:
    """All that a stream remembers. K bets.

    `log_r`: log R per bet. `climb`: how far each bet's running log e stands above its lowest point so far, and `onset`: the first block after that
    point. `control`: count, sum, sum of squares of the control's scores. `waiting`: starts and deploys not taken up yet. `last_block`: None at first.
    """

    kind: str
    limit: float
    account: WeightAccount
    log_r: tuple[float, ...]
    climb: tuple[float, ...]
    onset: tuple[int, ...]
    control: tuple[float, float, float] = (0.0, 0.0, 0.0)
    waiting: tuple[int, int] = (0, 0)
    last_block: int | None = None

    @classmethod
    def fresh(cls, spec: StreamSpec, plan: WeightPlan) -> "DetectorState":
        """The state before the first block: R = 0, nothing spent."""
        k = len(spec.bets)
        return cls(spec.kind, spec.limit, WeightAccount(plan), (-np.inf,) * k, (0.0,) * k, (0,) * k)

    def to_dict(self) -> dict[str, Any]:
        lists = {name: list(getattr(self, name)) for name in ("climb", "onset", "control", "waiting")}
        log_r = [_plain(value) for value in self.log_r]
        head = {"kind": self.kind, "limit": self.limit, "last_block": self.last_block}
        return {**head, "account": self.account.to_dict(), "log_r": log_r, **lists}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "DetectorState":
        values = {name: tuple(plain[name]) for name in ("climb", "onset", "control", "waiting")}
        values["log_r"] = tuple(_unplain(value) for value in plain["log_r"])
        account = WeightAccount.from_dict(plain["account"])
        return cls(kind=plain["kind"], limit=plain["limit"], last_block=plain["last_block"], account=account, **values)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one block said. `weight`: drawn for it. `log_e`: per bet. `fired`: this block is at or over the threshold; the latch is the ledger's.

    `best_bet`: the bet with the largest R. `onset`: the first block of its climb, where harm most likely began (None: not climbing). It is
    selected by looking, so an estimate since then must be labelled as selected.
    """

    block: int
    counts: Counts
    empty: bool
    weight: float
    spent: float
    log_e: tuple[float, ...]
    log_E: float
    log_threshold: float
    fired: bool
    best_bet: float
    onset: int | None

    def to_dict(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        changed = {"counts": self.counts.to_dict(), "log_e": list(self.log_e), "log_E": _plain(self.log_E)}
        return {**plain, **changed}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Reading":
        counts = Counts.from_dict(plain["counts"])
        changed = {"counts": counts, "log_e": tuple(plain["log_e"]), "log_E": _unplain(plain["log_E"])}
        return cls(**{**plain, **changed})


def _plain(value: float) -> float | None:
    return None if value == -np.inf else value


def _unplain(value: float | None) -> float:
    return -np.inf if value is None else value


@dataclass(frozen=True, slots=True)
class Streams:
    """N states of one kind, limit and weight plan as arrays; fields as in `DetectorState`, `drawn` as in `weights`."""

    plan: WeightPlan
    log_r: FloatArray
    climb: FloatArray
    onset: IntArray
    control: FloatArray
    drawn: IntArray
    waiting: IntArray

    @classmethod
    def fresh(cls, spec: StreamSpec, plan: WeightPlan, n: int) -> "Streams":
        """N streams before their first block."""
        k = len(spec.bets)
        integers = {
            name: np.zeros((n, width), dtype=np.int64) for name, width in (("onset", k), ("drawn", 4), ("waiting", 2))
        }
        return cls(
            plan=plan, log_r=np.full((n, k), -np.inf), climb=np.zeros((n, k)), control=np.zeros((n, 3)), **integers
        )

    @classmethod
    def pack(cls, states: Sequence[DetectorState]) -> "Streams":
        def column(name: str, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
            return np.array([getattr(state, name) for state in states], dtype=dtype)

        return cls(
            plan=states[0].account.plan,
            drawn=np.array([state.account.drawn for state in states]),
            **{name: column(name, np.float64) for name in ("log_r", "climb", "control")},
            **{name: column(name, np.int64) for name in ("onset", "waiting")},
        )

    def unpack(self, states: Sequence[DetectorState], last_block: int) -> list[DetectorState]:
        """The states after `last_block`, in the order they were packed."""
        names = ("log_r", "climb", "onset", "control", "waiting")
        rows = zip(*(map(tuple, getattr(self, name).tolist()) for name in names), strict=True)
        return [
            replace(
                state,
                account=state.account.with_drawn(drawn),
                last_block=last_block,
                **dict(zip(names, row, strict=True)),
            )
            for state, drawn, row in zip(states, self.drawn, rows, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Track:
    """What T blocks said of N streams: `weight`, `log_E`, `empty` `(T, N)`, `log_e` `(T, N, K)`.

    Only where it was asked for (else of length 0): `spent` after each block, and `onset`, the first block of the climb of the bet with the largest
    R, -1 where that bet does not climb; both `(T, N)`.
    """

    weight: FloatArray
    log_e: FloatArray
    log_E: FloatArray
    empty: BoolArray
    spent: FloatArray
    onset: IntArray


def advance(
    spec: StreamSpec,
    streams: Streams,
    blocks: IntArray,
    columns: Mapping[str, FloatArray],
    events: IntArray,
    *,
    trace: bool = False,
) -> tuple[Streams, Track]:
    """Read T blocks of N streams: `blocks` `(T,)` increasing indices, checked `columns` `(T, N)` or `(T, N, 5)`, `events` `(T, 2)` or `(T, N, 2)`.

    Reading T blocks at once gives what T calls with one block give; callers cut long histories where it suits their memory. With `trace` the track
    has what people are shown after each block, too.
    """
    bet = _bets(spec, streams, columns, events)
    log_r, climb, onset = streams.log_r, streams.climb, streams.onset
    log_mean = np.empty(bet.weight.shape)
    since = np.full(bet.weight.shape if trace else (0,), -1, dtype=np.int64)
    for t, block in enumerate(blocks):
        log_r = np.logaddexp(log_r, bet.log_weight[t]) + bet.log_e[t]
        onset = np.where(climb == 0.0, block, onset)
        climb = np.maximum(climb + bet.log_e[t], 0.0)
        log_mean[t] = np.logaddexp.reduce(log_r, axis=-1)
        if trace:
            best = np.argmax(log_r, axis=-1)[:, None]
            began = np.where(np.take_along_axis(climb, best, -1) > 0.0, np.take_along_axis(onset, best, -1), -1)
            since[t] = began[:, 0]
    log_mean -= np.log(log_r.shape[-1])
    after = Streams(streams.plan, log_r, climb, onset, bet.control, bet.drawn[-1], bet.waiting)
    spent = streams.plan.spent(bet.drawn) if trace else np.empty(0)
    return after, Track(bet.weight, bet.log_e, log_mean, bet.empty, spent, since)


def crossings(
    spec: StreamSpec, streams: Streams, columns: Mapping[str, FloatArray], events: IntArray
) -> tuple[Streams, BoolArray]:
    """Where T blocks of N streams are at or over the threshold, `(T, N)`: bit for bit what `advance` says, for those who only count alarms.

    A mean is at most its largest term, so blocks whose best bet is below the threshold need no mean. The climb and its onset are left as they were.
    """
    bet = _bets(spec, streams, columns, events)
    log_r = streams.log_r
    trail: FloatArray = np.empty(bet.log_e.shape)
    for t, after in enumerate(trail):
        np.logaddexp(log_r, bet.log_weight[t], out=after)
        after += bet.log_e[t]
        log_r = after
    above: BoolArray = trail >= spec.log_threshold
    fired: BoolArray = np.zeros(bet.weight.shape, dtype=np.bool_)
    if above.any():
        fired |= above.any(axis=-1)
    rows, places = np.nonzero(fired)
    log_mean: FloatArray = np.logaddexp.reduce(trail[rows, places], axis=-1) - np.log(trail.shape[-1])
    fired[rows, places] = log_mean >= spec.log_threshold
    return replace(streams, log_r=log_r.copy(), control=bet.control, drawn=bet.drawn[-1], waiting=bet.waiting), fired


@dataclass(frozen=True, slots=True)
class _Bets:
    """What T blocks bring to N streams: `empty`, `weight` `(T, N)`, `log_weight` `(T, N, 1)`, `log_e` `(T, N, K)`, `drawn` `(T, N, 4)`; after
    the last block `waiting` and `control`."""

    empty: BoolArray
    weight: FloatArray
    log_weight: FloatArray
    log_e: FloatArray
    drawn: IntArray
    waiting: IntArray
    control: FloatArray


def _bets(spec: StreamSpec, streams: Streams, columns: Mapping[str, FloatArray], events: IntArray) -> _Bets:
    empty = spec.form.is_empty(columns)
    drawn, waiting, weight = draw_trail(streams.plan, streams.drawn, streams.waiting, events, ~empty)
    control = np.cumsum(np.concatenate([streams.control[None], spec.form.learn(columns)]), axis=0)
    log_e = spec.form.log_e(columns, control[:-1], spec.limit)
    with np.errstate(divide="ignore"):
        log_weight = np.log(weight)[..., None]
    return _Bets(empty, weight, log_weight, log_e, drawn, waiting, control[-1])


def step_many(
    specs: Sequence[StreamSpec],
    states: Sequence[DetectorState],
    block_index: int,
    counts: Sequence[Counts],
    events: Events = NOTHING_HAPPENED,
) -> list[tuple[DetectorState, Reading]]:
    """Read one block of many streams of one kind and limit (alpha may differ: all traffic and segments). Every state must be before `block_index`."""
    if not len(specs) == len(states) == len(counts):
        raise ValueError(
            f"{len(specs)} specs, {len(states)} states and {len(counts)} counts: give one of each per stream"
        )
    if not states:
        return []
    for spec, state in zip(specs, states, strict=True):
        _check_order(spec, state, specs[0], states[0], block_index)
    columns = {name: values[None] for name, values in stack_counts(specs[0].form, list(counts)).items()}
    happened = np.array([[events.stage_starts, events.deploys]], dtype=np.int64)
    if happened.min() < 0:
        raise ValueError(f"block {block_index}: {events} counts events below zero")
    blocks = np.array([block_index], dtype=np.int64)
    streams, track = advance(specs[0], Streams.pack(states), blocks, columns, happened)
    after = streams.unpack(states, block_index)
    return [(after[i], _reading(spec, after[i], block_index, counts[i], track, i)) for i, spec in enumerate(specs)]


def step(
    spec: StreamSpec, state: DetectorState, block_index: int, counts: Counts, events: Events = NOTHING_HAPPENED
) -> tuple[DetectorState, Reading]:
    """Read one block of one stream; ValueError for a repeated or older block, a foreign state or impossible counts."""
    return step_many([spec], [state], block_index, [counts], events)[0]


def _check_order(
    spec: StreamSpec, state: DetectorState, first: StreamSpec, first_state: DetectorState, block: int
) -> None:
    if (spec.kind, spec.limit) != (first.kind, first.limit) or state.account.plan != first_state.account.plan:
        raise ValueError("step_many reads streams of one kind, limit and weight plan; group them before")
    if (state.kind, state.limit) != (spec.kind, spec.limit):
        raise ValueError(
            f"the state belongs to {state.kind} at {state.limit}, not to {spec.kind} at {spec.limit}; start a fresh state"
        )
    if state.last_block is not None and block <= state.last_block:
        raise ValueError(
            f"block {block} is not after block {state.last_block}, the last one read; blocks close once and in order"
        )


def _reading(spec: StreamSpec, state: DetectorState, block: int, counts: Counts, track: Track, i: int) -> Reading:
    best = int(np.argmax(state.log_r))
    log_mean = float(track.log_E[0, i])
    return Reading(
        block=block,
        counts=counts,
        empty=bool(track.empty[0, i]),
        weight=float(track.weight[0, i]),
        spent=state.account.spent,
        log_e=tuple(track.log_e[0, i].tolist()),
        log_E=log_mean,
        log_threshold=spec.log_threshold,
        fired=log_mean >= spec.log_threshold,
        best_bet=spec.bets[best],
        onset=state.onset[best] if state.climb[best] > 0.0 else None,
    )


def check_stats(spec: StreamSpec, stats: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    """Columns `(T, N)` (ratings `(T, N, 5)`) for `advance`, checked."""
    columns = checked_columns(spec.form, stats)
    name, levels = next(iter(spec.form.columns.items()))
    if columns[name].ndim != (3 if levels else 2):
        raise ValueError(
            f"{spec.kind}: {name} has shape {columns[name].shape}; expected blocks x streams{' x 5 ratings' if levels else ''}"
        )
    return columns
