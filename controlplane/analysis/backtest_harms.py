"""Harm put into the treated arm of a replay: outcomes are flipped, ratings lowered, answers slowed down, from a known block on.

A harm changes only counts of treated conversations that are there, so traffic, shares and everything common to both arms stay as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from controlplane.analysis.backtest_engine import Bench, make_stream
from controlplane.analysis.backtest_ramp import Ramp
from controlplane.analysis.backtest_tables import Key, Pair, Table, assume, build
from controlplane.core.metrics import Family, metric
from controlplane.core.model import MetricKind
from controlplane.core.policy_model import JUDGED, Policy, Trigger
from controlplane.store.backtest_facts import FloatArray, History

RATE_SIZES = (0.05, 0.10, 0.20)
POINT_SIZES = (0.3, 0.5, 1.0)
LIMIT_SIZES = (2.0, 4.0)
LATENCY_FACTORS = (1.3, 2.0, 4.0)
MOST_HARMS = 3
LARGEST_STEP = 0.5
Draw = npt.NDArray[np.float32]
Apply = Callable[[Table, Pair, Draw, np.random.Generator, int], Pair]


@dataclass(frozen=True, slots=True)
class Harm:
    """`name` for people, the `metric` it hurts, its `size` in the metric's unit (rate, points, factor), and how a pair changes from a block on."""

    name: str
    metric: str
    size: float
    apply: Apply


def flipped(pair: Pair, chance: float, rng: np.random.Generator, since: int) -> Pair:
    """Good treated outcomes turn bad with this chance, from block `since` on."""
    treated = pair.treated.copy()
    good = treated[since:, 0]
    moved = rng.binomial(good.astype(np.int64), min(max(chance, 0.0), 1.0))
    treated[since:, 0] -= moved
    treated[since:, 1] += moved
    return Pair(treated, pair.control)


def lowered(pair: Pair, points: float, mix: FloatArray, rng: np.random.Generator, since: int) -> Pair:
    """Treated ratings fall one level, some more than once, so that the mean of the rating `mix` `(5,)` falls by `points`."""
    treated, mix = pair.treated.copy(), np.array(mix, dtype=np.float64)
    steps = ceil(points / LARGEST_STEP)
    for _ in range(steps):
        chance = min(points / steps / max(mix[1:].sum(), 1e-9), 1.0)
        for level in range(1, 5):  # upwards, so nothing moves twice in one step
            moved = rng.binomial(treated[since:, level].astype(np.int64), chance)
            treated[since:, level] -= moved
            treated[since:, level - 1] += moved
        fall = mix[1:] * chance
        mix[1:] -= fall
        mix[:-1] += fall
    return Pair(treated, pair.control)


def rate_harm(name: str, metric_name: str, added: float) -> Harm:
    """The rate of bad outcomes rises by `added`."""

    def apply(table: Table, pair: Pair, drawn: Draw, rng: np.random.Generator, since: int) -> Pair:
        bad = table.totals[:, 1].sum() / max(table.totals.sum(), 1.0)
        return flipped(pair, added / max(1.0 - bad, 1e-9), rng, since)

    return Harm(name, metric_name, added, apply)


def level_harm(name: str, metric_name: str, rate: float) -> Harm:
    """The rate of bad outcomes rises to `rate`."""

    def apply(table: Table, pair: Pair, drawn: Draw, rng: np.random.Generator, since: int) -> Pair:
        bad = table.totals[:, 1].sum() / max(table.totals.sum(), 1.0)
        return flipped(pair, (rate - bad) / max(1.0 - bad, 1e-9), rng, since)

    return Harm(name, metric_name, rate, apply)


def rating_harm(points: float) -> Harm:
    """CSAT falls by `points`."""

    def apply(table: Table, pair: Pair, drawn: Draw, rng: np.random.Generator, since: int) -> Pair:
        mix = table.totals.sum(axis=0)
        return lowered(pair, points, mix / max(mix.sum(), 1.0), rng, since)

    return Harm(f"CSAT -{points:g}", "csat", points, apply)


def latency_harm(
    name: str, size: float, ramp: Ramp, history: History, slower: Callable[[float], float], slos: set[Key]
) -> Harm:
    """Answers get slower: what is over the objective then was over `slower(objective)` before."""
    tables = {key: build(key._replace(threshold=slower(key.threshold)), ramp, history) for key in slos}

    def apply(table: Table, pair: Pair, drawn: Draw, rng: np.random.Generator, since: int) -> Pair:
        treated = pair.treated.copy()
        treated[since:] = tables[table.key].pair(drawn).treated[since:]
        return Pair(treated, pair.control)

    return Harm(name, "slow_share", size, apply)


def harms_of(bench: Bench, tables: dict[Key, Table]) -> list[Harm]:
    """Harms to each metric that a trigger watches and that has a table, in several sizes beyond the trigger's limit,
    the largest first."""
    found: dict[str, Harm] = {}
    for trigger in bench.policy.triggers:
        keys = {key for key in tables if key.metric == trigger.metric}
        if not keys:
            continue
        totals = tables[next(iter(keys))].totals.sum(axis=0)
        sizes = _of_trigger(trigger, bench, keys, float(totals[1] / max(totals.sum(), 1.0)))
        for harm in reversed(sizes):
            found.setdefault(harm.name, harm)
    return list(found.values())


def _of_trigger(trigger: Trigger, bench: Bench, keys: set[Key], rate: float) -> list[Harm]:
    words = metric(trigger.metric).title.lower()
    if trigger.kind is MetricKind.RATING:
        return [rating_harm(points) for points in POINT_SIZES if points > trigger.limit]
    if trigger.metric == "slow_share":
        return _slower(trigger, bench, keys)
    if trigger.kind is MetricKind.RATE_RATIO:
        added = [(factor, rate * (factor * trigger.limit - 1.0)) for factor in LIMIT_SIZES]
        return [
            rate_harm(f"{words} x{f * trigger.limit:g}", trigger.metric, d) for f, d in added if 0.0 < d < 1.0 - rate
        ]
    if trigger.kind is MetricKind.TWO_SAMPLE:
        sizes = [size for size in RATE_SIZES if trigger.limit < size < 1.0 - rate]
        return [rate_harm(f"{words} +{100 * size:g} points", trigger.metric, size) for size in sizes]
    levels = [min(factor * trigger.limit, 0.95) for factor in LIMIT_SIZES]
    return [level_harm(f"{words} {level:.3g}", trigger.metric, level) for level in levels if level > rate]


def _slower(trigger: Trigger, bench: Bench, keys: set[Key]) -> list[Harm]:
    """Slower by a factor or by a constant, at most three, and only what puts more answers over the objective than the limit allows."""
    slo = trigger.slo_ms or 0.0
    ways: list[tuple[str, float, Callable[[float], float]]] = [
        (f"latency x{factor:g}", factor, lambda objective, factor=factor: objective / factor)  # type: ignore[misc]
        for factor in LATENCY_FACTORS
    ]
    ways += [
        (f"latency +{added / 1000:g} s", added, lambda objective, added=added: objective - added)  # type: ignore[misc]
        for added in (slo / 2.0, slo)
    ]
    known = bench.history.requests.latency_ms
    known = known[known >= 0.0]
    hurting = [way for way in ways if known.size and float((known > way[2](slo)).mean()) > trigger.limit]
    return [
        latency_harm(name, size, bench.ramp, bench.history, slower, keys) for name, size, slower in hurting[:MOST_HARMS]
    ]


def assumed_tables(policy: Policy, bench: Bench, seed: int) -> dict[Key, Table]:
    """Tables for triggers whose metric the control cannot have, so that their power can be shown; with how much is logged per conversation as
    the assistant's rows in the history say, else as the policy plans."""
    found: dict[Key, Table] = {}
    for trigger in policy.triggers:
        if trigger.kind is not MetricKind.ONE_SAMPLE or metric(trigger.metric).family not in (
            Family.CALL,
            Family.EVALUATION,
        ):
            continue
        stream = make_stream(policy, trigger, "all")
        if stream.key in bench.tables or stream.key in found:
            continue
        each, bad = (bench.history.assistant or {}).get(trigger.metric, (planned_share(policy, trigger), 0.0))
        found[stream.key] = assume(stream.key, bench.ramp, bench.history, each, min(bad, trigger.limit), seed)
    return found


def planned_share(policy: Policy, trigger: Trigger) -> float:
    """Outcomes per treated conversation that the policy plans with: judged, audited, or one call each."""
    if metric(trigger.metric).family is Family.CALL:
        return 1.0
    return policy.judge.sample_base if trigger.metric == JUDGED else policy.traffic.audited_share
