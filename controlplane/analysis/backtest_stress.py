"""Stress: what goes wrong in real logs and traffic, put into a harmless replay. Each says what is expected of the policy.

What hits both arms alike (a shock, a drift) must not fire a comparison; absolute limits may, rightly, and are not counted there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from controlplane.analysis.backtest_ramp import DAY, BoolArray
from controlplane.analysis.backtest_tables import Pair, Table
from controlplane.store.backtest_facts import NEVER, History, IntArray, take

SHOCKS, SHOCK_SHARE, SHOCK_CHANCE = 3, 0.04, 0.4
DRIFT_CHANCE = 0.15
LOST = 0.05
DUPLICATED, DUPLICATE_AFTER = 0.05, 60_000_000
SLOWER = 3.0
CLUSTER_ICC = 0.01
SOON, LATE = 0.05, 0.6

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Stress:
    """`history`: what the logs look like then; or `pair`: what the counts do. `compares_only`: absolute limits are rightly hit and not counted.

    `approximate`: the guarantee does not cover it, so more false rollbacks than promised are shown and do not fail the policy.
    """

    name: str
    text: str
    expected: str
    history: Callable[[History, Rng], History] | None = None
    pair: Callable[[Table, Pair, Rng], Pair] | None = None
    compares_only: bool = False
    approximate: bool = False


def worsened(history: History, bad: BoolArray, rng: Rng) -> History:
    """Conversations that were `bad` `(N,)`: handed to a person, rated one lower, three times slower, calls failed."""
    soon = history.started + rng.integers(1, 600_000_000, history.rows)
    requests = history.requests
    slow = np.where(bad[requests.place], requests.latency_ms * SLOWER, requests.latency_ms)
    return replace(
        history,
        escalated=np.where(bad, np.minimum(history.escalated, soon), history.escalated),
        rating=np.where(bad & (history.rating > 1), history.rating - 1, history.rating),
        requests=replace(requests, latency_ms=np.where(requests.latency_ms < 0.0, requests.latency_ms, slow)),
        calls={
            name: replace(calls, hit=np.where(bad[calls.place], 1, calls.hit)) for name, calls in history.calls.items()
        },
    )


def common_shock(history: History, rng: Rng) -> History:
    """Three short outages that hit both arms."""
    first, last = int(history.started[0]), int(history.started[-1])
    length = SHOCK_SHARE / SHOCKS * (last - first)
    begins = first + rng.random(SHOCKS) * (last - first - length)
    inside = ((history.started[:, None] >= begins) & (history.started[:, None] < begins + length)).any(axis=1)
    return worsened(history, inside & (rng.random(history.rows) < SHOCK_CHANCE), rng)


def drift(history: History, rng: Rng) -> History:
    """Both arms get slowly worse over the whole history."""
    passed = (history.started - history.started[0]) / max(int(history.started[-1] - history.started[0]), 1)
    return worsened(history, rng.random(history.rows) < DRIFT_CHANCE * passed, rng)


def log_loss(history: History, rng: Rng) -> History:
    """Conversations whose logs never arrived."""
    return take(history, np.flatnonzero(rng.random(history.rows) >= LOST))


def duplicates(history: History, rng: Rng) -> History:
    """Conversations that were sent twice, the second time under another id a minute later."""
    again = np.flatnonzero(rng.random(history.rows) < DUPLICATED)
    return _later_copies(take(history, np.concatenate([np.arange(history.rows), again])))


def _later_copies(history: History) -> History:
    """Rows equal to the one before are its copies: they begin a minute later."""
    same = np.zeros(history.rows, dtype=np.bool_)
    same[1:] = (history.started[1:] == history.started[:-1]) & (history.customer[1:] == history.customer[:-1])
    moved = replace(history, started=history.started + np.where(same, DUPLICATE_AFTER, 0))
    return take(moved, np.arange(moved.rows))


def late_csat(maturity: IntArray | int) -> Callable[[History, Rng], History]:
    """Unhappy customers rate soon, happy ones late: means of 5 % and 60 % of the label's maturity."""

    def change(history: History, rng: Rng) -> History:
        mean = np.where(history.rating <= 2, SOON, LATE) * float(maturity)
        delay = np.minimum(rng.exponential(1.0, history.rows) * mean, 30.0 * DAY).astype(np.int64)
        return replace(history, rated=np.where(history.rated < NEVER, history.started + delay, history.rated))

    return change


def clustered(table: Table, pair: Pair, rng: Rng) -> Pair:
    """One cause hits one arm inside a block: each arm's rate of a block scatters with an intra-block correlation of .01."""
    if pair.treated.shape[1] > 2:
        return pair  # ratings: the e-value is bounded by the same algebra, and the scatter of rates is what people fear
    mean = np.clip(table.totals[:, 1].sum() / max(table.totals.sum(), 1.0), 1e-4, 1.0 - 1e-4)
    spread = 1.0 / CLUSTER_ICC - 1.0

    def scattered(counts: np.ndarray) -> np.ndarray:
        n = counts.sum(axis=1)
        bad = rng.binomial(n.astype(np.int64), rng.beta(mean * spread, (1.0 - mean) * spread, n.shape))
        return np.stack([n - bad, bad.astype(np.float64)], axis=1)

    return Pair(scattered(pair.treated), scattered(pair.control))


def swapped(table: Table, pair: Pair, rng: Rng) -> Pair:
    """The logged arm is the other one."""
    return pair.swapped()


def stresses(csat_maturity: int) -> tuple[Stress, ...]:
    """All of them; `csat_maturity` in microseconds."""
    kept = "no more false rollbacks than promised"
    return (
        Stress(
            "common_shock",
            "three short outages hit both arms (40 % of their conversations)",
            f"{kept}: a comparison cancels what is common; absolute limits may fire, rightly",
            history=common_shock,
            compares_only=True,
        ),
        Stress(
            "drift",
            "both arms get worse all the time, up to 15 % of conversations",
            f"{kept}: only the concurrent difference counts",
            history=drift,
            compares_only=True,
        ),
        Stress("log_loss", "5 % of the conversations never arrive", kept, history=log_loss),
        Stress(
            "duplicates",
            "5 % of the conversations arrive twice under another id",
            f"{kept}: one conversation per customer, stage and week counts",
            history=duplicates,
        ),
        Stress(
            "late_csat",
            "unhappy customers rate soon, happy ones late, while the share grows",
            f"{kept}: ratings are judged in blocks of when the conversation started, once mature",
            history=late_csat(csat_maturity),
        ),
        Stress(
            "swapped_arms",
            "the arms are logged the wrong way round",
            f"{kept} of a harmless release; a harmful one looks good, which only the swapped-arm probe can find",
            pair=swapped,
            compares_only=True,
        ),
        Stress(
            "over_dispersion",
            "rates of each arm scatter from block to block (intra-block correlation .01)",
            "not covered by the guarantee: set `icc` of the trigger where this is above the promise",
            pair=clustered,
            approximate=True,
        ),
    )
