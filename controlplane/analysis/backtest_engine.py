"""Runs the production evidence engine over relabelled counts: every stream of a policy, with its own alpha, weights and stage starts.

Nothing of the engine is copied: `controlplane.core.triggers` says what a stream tests and what it may spend, `controlplane.core.evidence` bets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from controlplane.analysis.backtest_ramp import Ramp
from controlplane.analysis.backtest_tables import Columns, Key, Pair, Table, build, columns, treated_draw, trigger_key
from controlplane.core.evidence.alarm import first_crossing
from controlplane.core.evidence.detector import Streams, StreamSpec
from controlplane.core.evidence.weights import IntArray, WeightPlan
from controlplane.core.metrics import Family, metric
from controlplane.core.model import Action, MetricKind
from controlplane.core.policy_model import Policy, Trigger
from controlplane.core.triggers import ALL, stream_spec, weight_plan
from controlplane.store.backtest_facts import NEVER, History

LEAST_BLOCKS = 10
"""A stream with fewer blocks that hold anything is not judged."""
PROBES = 8


@dataclass(frozen=True, slots=True)
class Stream:
    """One trigger on all traffic or one segment, ready to run."""

    trigger: Trigger
    segment: str
    key: Key
    spec: StreamSpec
    plan: WeightPlan

    @property
    def name(self) -> str:
        """For people and keys: `trigger` or `trigger|segment`."""
        return self.trigger.name if self.segment == ALL else f"{self.trigger.name}|{self.segment}"


@dataclass(frozen=True, slots=True)
class Bench:
    """A policy set up on a history. `untested`: trigger or stream -> why not. `breaks`: streams whose limit the history itself breaks -> how."""

    policy: Policy
    history: History
    ramp: Ramp
    tables: dict[Key, Table]
    streams: tuple[Stream, ...]
    untested: dict[str, str]
    breaks: dict[str, str]

    def rolls_back(self, stream: Stream) -> bool:
        """Whether an alarm of the stream is a rollback by itself."""
        return may_roll_back(self.policy, stream.trigger)


def may_roll_back(policy: Policy, trigger: Trigger) -> bool:
    """A trigger whose action is a rollback; one on labels of a judge that the policy does not accept only holds."""
    return trigger.action is Action.ROLLBACK and (policy.judge.accepted or not trigger.judged)


def first_alarms(stream: Stream, table: Table, counts: Columns) -> IntArray:
    """Index of the block of the first alarm of each of R replays, -1 = none; `(R,)`. `counts` as the engine's form wants them."""
    replays = next(iter(counts.values())).shape[1]
    return first_crossing(stream.spec, Streams.fresh(stream.spec, stream.plan, replays), counts, table.grid.events)


def decided_at(table: Table, alarm: IntArray) -> IntArray:
    """When the alarm could be raised, in microseconds: the close of the block plus maturity; NEVER without one."""
    if not len(table.grid.closes):
        return np.full(alarm.shape, NEVER, dtype=np.int64)
    return np.where(alarm >= 0, table.grid.closes[np.maximum(alarm, 0)] + table.key.maturity, NEVER)


def run(stream: Stream, table: Table, pair: Pair) -> IntArray:
    """Times of the first alarm of the stream in each replay, NEVER = none; `(R,)`."""
    counts = columns(MetricKind(stream.spec.kind), pair, stream.trigger.icc)
    return decided_at(table, first_alarms(stream, table, counts))


def prepare(policy: Policy, history: History, ramp: Ramp, seed: int, deploys: Sequence[int] = ()) -> Bench:
    """Tables and streams of every trigger that this history can judge, with reasons for the others."""
    tables: dict[Key, Table] = {}
    streams: list[Stream] = []
    untested: dict[str, str] = {}
    breaks: dict[str, str] = {}
    probe = treated_draw(ramp, PROBES, np.random.SeedSequence([seed, 1]))
    for trigger in policy.triggers:
        for segment in policy.segments_of(trigger):
            stream = make_stream(policy, trigger, segment)
            table = tables.get(stream.key) or build(stream.key, ramp, history, deploys)
            why = _why_untested(stream, table, table.pair(probe), history)
            if why is not None:
                untested[stream.name] = why
                continue
            tables[stream.key] = table
            streams.append(stream)
            if trigger.kind is MetricKind.ONE_SAMPLE and (how := _breach(stream, table)) is not None:
                breaks[stream.name] = how
    return Bench(policy, history, ramp, tables, tuple(streams), untested, breaks)


def make_stream(policy: Policy, trigger: Trigger, segment: str) -> Stream:
    """The stream as production would run it."""
    spec, plan = stream_spec(policy, trigger, segment), weight_plan(policy, trigger.block_seconds)
    return Stream(trigger, segment, trigger_key(trigger, segment), spec, plan)


def _why_untested(stream: Stream, table: Table, pair: Pair, history: History) -> str | None:
    """Why this history cannot judge a stream. A stream that could not fire if everything went wrong is no check at all."""
    trigger, held = stream.trigger, int(np.count_nonzero(table.totals.sum(axis=1)))
    if not len(table.grid.opens):
        span = (history.watermark - int(history.started[0])) / 6e7
        return (
            f"labels are mature {trigger.maturity_minutes:g} minutes after the start and the history spans {span:.0f} minutes: "
            "ingest a longer one"
        )
    if not held:
        return f"the history has no {trigger.metric} data in arm '{history.arm}'"
    if held < LEAST_BLOCKS:
        return f"only {held} blocks of {trigger.block_seconds} s hold mature data, {LEAST_BLOCKS} are needed: ingest a longer history"
    if np.all(run(stream, table, worst(pair)) == NEVER):
        units = float(pair.treated.sum(axis=(0, 1)).mean())
        return (
            f"{units:.0f} treated outcomes in a replay: it could not fire if all of them were bad, so its silence would show nothing; "
            "ingest a longer history or plan larger shares"
        )
    return None


def worst(pair: Pair) -> Pair:
    """Every treated outcome bad: rating 1, or the event (the last level of a rate, the first of ratings)."""
    treated = np.zeros_like(pair.treated)
    treated[:, 0 if pair.treated.shape[1] > 2 else 1] = pair.treated.sum(axis=1)
    return Pair(treated, pair.control)


def _breach(stream: Stream, table: Table) -> str | None:
    """How the history as it was, all of it as the treated arm, breaks the stream's absolute limit; None when it does not."""
    everyone = Pair(table.totals[..., None], np.zeros_like(table.totals[..., None]))
    alarm = first_alarms(stream, table, columns(MetricKind.ONE_SAMPLE, everyone, stream.trigger.icc))
    if alarm[0] < 0:
        return None
    n, x = table.totals.sum(), table.totals[:, 1].sum()
    approximate = (
        "" if metric(stream.trigger.metric).family is Family.REQUEST else " (approximate: every call or answer counts)"
    )
    moment = np.datetime64(int(table.grid.opens[alarm[0]]), "us").astype("datetime64[m]")
    where = ", on average within it but not in every block" if x / n <= stream.trigger.limit else ""
    return (
        f"history breaks this limit: {x:.0f} of {n:.0f} = {x / n:.2%} against {stream.trigger.limit:.2%}{where}; evidence crosses its "
        f"threshold in the block of {moment}Z{approximate}"
    )
