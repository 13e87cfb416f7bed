"""Reads a history for the backtest: conversations with their outcomes, requests, calls and judgements, as arrays.

What counts, and when it was known, follows the rules of `controlplane.store.block_counts`; only the arm is left open, because a backtest draws
it anew. Conversations of the assistant are left out unless asked for: what is relabelled should be harmless by itself. Rows without an arm
(plain logs of what was there before) belong to the control.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.core.metrics import Family, metric
from controlplane.store.queries import load
from controlplane.store.warehouse import Warehouse

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
NEVER = 2**62
ARMS = ("baseline", "assistant", "all")
CALL_METRICS = ("api_error_rate", "dependency_failure_rate")
JUDGED_METRICS = ("hallucination_rate", "misclassification_rate", "misrouting_rate")


@dataclass(frozen=True, slots=True)
class Requests:
    """First requests: `place` of the conversation, `time` in microseconds, `latency_ms`, `cost_usd`, `timed_out`, `failed`; -1 = unknown.
    All `(n,)`."""

    place: IntArray
    time: IntArray
    latency_ms: FloatArray
    cost_usd: FloatArray
    timed_out: IntArray
    failed: IntArray


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one kind: `place`, `time` in microseconds, `hit` (failed). All `(n,)`."""

    place: IntArray
    time: IntArray
    hit: IntArray


@dataclass(frozen=True, slots=True)
class Judgements:
    """Judgements of one metric, of several of one `subject` the preferred one first. Times in microseconds; `person`: a person judged. All `(n,)`."""

    place: IntArray
    answered: IntArray
    judged: IntArray
    subject: IntArray
    hit: IntArray
    person: IntArray


@dataclass(frozen=True, slots=True)
class History:
    """N conversations in the order (start, id). Times in microseconds since 1970 UTC, NEVER = did not happen; `customer` -1 = nobody named.

    `treated`: 1 where the row itself says that the assistant served it (a relabelling does not look at it).

    `resolved`: 1, 0 or -1 (not told). `rating`: 1..5 or 0. `left_out`: conversations not taken, by reason. `assistant`: rows of the assistant's
    arm as (metric -> events per conversation, share of hits), for metrics that the control cannot have. `identity`: sha256 of the arrays.
    """

    customer: IntArray
    treated: IntArray
    segment: npt.NDArray[np.object_]
    intent: npt.NDArray[np.object_]
    started: IntArray
    last: IntArray
    escalated: IntArray
    returned: IntArray
    resolved: IntArray
    resolved_at: IntArray
    rating: IntArray
    rated: IntArray
    requests: Requests
    calls: dict[str, Calls]
    judgements: dict[str, Judgements]
    arm: str = "baseline"
    left_out: dict[str, int] | None = None
    assistant: dict[str, tuple[float, float]] | None = None
    identity: str = ""

    @property
    def rows(self) -> int:
        """Number of conversations."""
        return int(self.started.size)

    @property
    def watermark(self) -> int:
        """The newest turn, in microseconds: labels that would have come later are not in the history."""
        return int(self.last.max()) if self.rows else 0


def read_history(warehouse: Warehouse, arm: str = "baseline") -> History:
    """The conversations of an arm (`baseline`, `assistant` or `all`). Raises ValueError for another name; an empty history has 0 rows."""
    if arm not in ARMS:
        raise ValueError(f"arm is {arm!r}; choose one of {', '.join(ARMS)}")
    cursor = warehouse.cursor()
    try:
        found = _read(cursor, arm)
        left = cursor.execute(load("backtest/left_out"), {"member_of": arm}).fetchall()
        others = {} if arm != "baseline" else _assistant(cursor)
    finally:
        cursor.close()
    left_out = {str(reason): int(n) for reason, n in left}
    return replace(found, left_out=left_out, assistant=others, identity=_identity(found))


def take(history: History, index: IntArray) -> History:
    """The conversations of these places, repeats allowed, in the order of their start, each with all that belongs to it."""
    index = index[np.argsort(history.started[index], kind="stable")]
    arrays: dict[str, Any] = {
        field.name: getattr(history, field.name)[index]
        for field in fields(history)
        if isinstance(getattr(history, field.name), np.ndarray)
    }
    return replace(
        history,
        **arrays,
        requests=_taken(history.requests, index),
        calls={name: _taken(group, index) for name, group in history.calls.items()},
        judgements={name: _taken(group, index) for name, group in history.judgements.items()},
    )


def _taken(group: Any, index: IntArray) -> Any:
    order = np.argsort(group.place, kind="stable")
    place = group.place[order]
    begin, end = np.searchsorted(place, index, side="left"), np.searchsorted(place, index, side="right")
    each = end - begin
    rows = order[np.repeat(begin - (np.cumsum(each) - each), each) + np.arange(int(each.sum()))]
    arrays = {field.name: getattr(group, field.name)[rows] for field in fields(group)}
    return replace(group, **(arrays | {"place": np.repeat(np.arange(index.size), each)}))


def _read(cursor: Any, arm: str) -> History:
    cursor.execute(load("backtest/conversations_create"), {"member_of": arm})
    columns = cursor.execute(load("backtest/conversations"), {"never": NEVER}).fetchnumpy()
    text = ("segment", "intent")
    plain: dict[str, Any] = {name: _numbers(values, np.int64) for name, values in columns.items() if name not in text}
    words: dict[str, Any] = {name: np.asarray(columns[name], dtype=object) for name in text}
    return History(
        **plain,
        **words,
        requests=_requests(cursor),
        calls={name: _calls(cursor, name) for name in CALL_METRICS},
        judgements={name: _judgements(cursor, name) for name in JUDGED_METRICS},
        arm=arm,
    )


def _numbers(values: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.ascontiguousarray(np.ma.getdata(values), dtype=dtype)


def _requests(cursor: Any) -> Requests:
    columns = cursor.execute(load("backtest/requests")).fetchnumpy()
    measured = {name: _numbers(columns.pop(name), np.float64) for name in ("latency_ms", "cost_usd")}
    return Requests(**measured, **{name: _numbers(values, np.int64) for name, values in columns.items()})


def _calls(cursor: Any, name: str) -> Calls:
    columns = cursor.execute(load("backtest/calls"), {"metric": name}).fetchnumpy()
    return Calls(**{key: _numbers(values, np.int64) for key, values in columns.items()})


def _judgements(cursor: Any, name: str) -> Judgements:
    columns = cursor.execute(load("backtest/judgements"), {"metric": name}).fetchnumpy()
    return Judgements(**{key: _numbers(values, np.int64) for key, values in columns.items()})


def _assistant(cursor: Any) -> dict[str, tuple[float, float]]:
    """Per metric of calls and judgements: events per conversation of the assistant and the share of hits among them."""
    conversations = int(cursor.execute(load("backtest/coverage")).fetchall()[0][0])
    if not conversations:
        return {}
    cursor.execute(load("backtest/conversations_create"), {"member_of": "assistant"})
    found: dict[str, tuple[float, float]] = {}
    for name in (*CALL_METRICS, *JUDGED_METRICS):
        calls = metric(name).family is Family.CALL
        hits = (_calls(cursor, name) if calls else _judgements(cursor, name)).hit
        if hits.size:
            found[name] = (hits.size / conversations, float(hits.mean()))
    return found


def _identity(history: History) -> str:
    """sha256 over every array that is counted, in a fixed order; who the customers are does not enter, only who is the same."""
    digest = hashlib.sha256()
    groups: list[Any] = [history, history.requests, *history.calls.values(), *history.judgements.values()]
    for group in groups:
        for field in fields(group):
            values = getattr(group, field.name)
            if isinstance(values, np.ndarray):
                plain = "\n".join(values.tolist()).encode() if values.dtype == object else values.tobytes()
                digest.update(f"{field.name}:{values.size}:".encode() + plain)
    return digest.hexdigest()
