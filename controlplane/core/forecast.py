"""Blind spots before launch: how long each trigger would take to find a harm of a given size, at each stage, at the traffic there is.

The engine's own e-values are used. The log e-value of a block is linear in its counts, so its mean is the log e-value of the mean counts,
averaged over the units that a block may hold (Poisson arrivals):

    g_k = E[log e_k]   (growth per block of bet k; for the best bet close to the Kullback-Leibler divergence of harm from limit)

Along the mean path the detector is R_k(t) = (R_k(t-1) + w) exp(g_k), and the alarm comes at the first t with mean_k R_k(t) >= 1/alpha, which is
`log(blocks/alpha)/KL` with every constant in it. `w` is the weight of one block of the planned horizon: the harm begins at any time, not at a
stage start whose extra weight would help. Found after t blocks, the label's maturity and the lateness allowed to producers.

The mean path is the median path, roughly: half of the harms are found sooner. Certificates are a plain product without weights, for arms that
are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from math import inf, log
from types import MappingProxyType

import numpy as np

from controlplane.core.evidence.forms import CERTIFICATES, FORMS, Columns, FloatArray, Form
from controlplane.core.metrics import METRICS, Family
from controlplane.core.model import MetricKind
from controlplane.core.policy_lint_time import horizon_minutes
from controlplane.core.policy_model import JUDGED, Certificate, Policy, Stage, Trigger
from controlplane.core.triggers import weight_plan

MULTIPLES = (1.5, 2.0, 3.0, 5.0)
"""Effects that are forecast: so many times the margin or the limit (of `NO_MARGIN` where the limit is 0)."""
NO_MARGIN: Mapping[MetricKind, float] = MappingProxyType({MetricKind.TWO_SAMPLE: 0.01, MetricKind.RATING: 0.1})
HIGHEST_RATE = 0.98
HIGHEST: Mapping[MetricKind, float] = MappingProxyType({MetricKind.RATING: 3.0, MetricKind.RATE_RATIO: 50.0})
USUAL_RATES: Mapping[str, float] = MappingProxyType(
    {"escalation_rate": 0.15, "contact_rate": 0.2, "misclassification_rate": 0.1, "csat_response_rate": 0.2}
)
"""Control rates where nothing has been measured."""
OTHER_RATE = 0.1
USUAL_RATINGS = (0.10, 0.08, 0.14, 0.26, 0.42)
KNOWN_CONTROL = 1e6
"""Units from which the engine is taken to know its control: it has watched it for some time."""
MOST_NODES = 25
TREATED = "treated customers"


class Outlook(StrEnum):
    """When a harm would be found."""

    WITHIN = "within the stage"
    LATER = "not within the stage"
    NEVER = "never at this traffic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the traffic is like. `per_minute`: eligible units a minute, both arms. Shares are of those units.

    `low_risk_share`: with a low-risk intent. `calls`: model calls (dependency calls likewise) per treated unit. `rates`: of the control, by metric.
    `ratings`: shares of the control's ratings 1..5. `source`: where these figures come from, for the reader.
    """

    per_minute: float
    rated_share: float = 0.2
    audited_share: float = 0.02
    low_risk_share: float = 1.0
    calls: float = 1.0
    rates: Mapping[str, float] = field(default_factory=dict)
    ratings: tuple[float, ...] = USUAL_RATINGS
    source: str = "assumed"


@dataclass(frozen=True, slots=True)
class Detection:
    """One cell: a harm of `effect` under a trigger at a stage: a difference, rating points lost, so many times the control, or the treated rate.

    `minutes` from its beginning to the alarm, `exposed` treated units by then; both None when it is never found.
    """

    trigger: str
    stage: Stage
    multiple: float
    effect: float
    minutes: float | None
    exposed: float | None
    outlook: Outlook


@dataclass(frozen=True, slots=True)
class Gate:
    """What a gate asks of a stage while both arms are alike: a certificate by its name, or `TREATED` customers.

    `minutes` until it is there with `treated` units; both None when it cannot be had within the horizon. `within`: whether it is there when the
    gate's `min_minutes` are over; else the gate stays shut for longer.
    """

    asks: str
    stage: Stage
    minutes: float | None
    treated: float | None
    min_minutes: float
    within: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """All forecasts of a policy. `notes`: what was assumed, and what is not forecast."""

    expected: Expected
    detections: tuple[Detection, ...]
    gates: tuple[Gate, ...]
    notes: tuple[str, ...]


def plan(policy: Policy, expected: Expected) -> Plan:
    """Forecast every trigger's stream of all traffic at every stage with customers, for each of `MULTIPLES`; and every gate's certificates.

    Raises ValueError when there is no traffic to forecast for.
    """
    if not expected.per_minute > 0:
        raise ValueError(f"{expected.per_minute:g} units a minute: forecasts need a traffic above 0")
    stages = [stage for stage in policy.stages if stage.audience != "employees"]
    detections = [
        detection(policy, expected, trigger, stage, multiple)
        for trigger in policy.triggers
        for stage in stages
        for multiple in _multiples(trigger)
    ]
    gates = [
        gate for stage in stages if stage.index != policy.stages[-1].index for gate in _gates(policy, expected, stage)
    ]
    return Plan(expected, tuple(detections), tuple(gates), _notes(policy, expected))


def _multiples(trigger: Trigger) -> tuple[float, ...]:
    """The multiples of the limit that can happen: rates end below 1, ratings lose less than all their points; else the largest harm there is."""
    highest, size = HIGHEST.get(trigger.kind, HIGHEST_RATE), size_of(trigger)
    return tuple(multiple for multiple in MULTIPLES if size * multiple <= highest) or (highest / size,)


def size_of(trigger: Trigger) -> float:
    """What effects are multiples of: the limit, or a small difference where none at all is allowed."""
    return trigger.limit or NO_MARGIN[trigger.kind]


def units_a_minute(
    policy: Policy, expected: Expected, metric: str, labels: str, kind: MetricKind, stage: Stage
) -> tuple[float, float]:
    """Units a minute that count for a metric at a stage: (treated, control)."""
    audience = expected.low_risk_share if stage.audience == "low_risk" else 1.0
    found, rate = METRICS[metric], expected.per_minute * audience
    if kind is MetricKind.RATING:
        rate *= expected.rated_share
    elif found.family is Family.CALL:
        rate *= expected.calls
    elif found.family is Family.EVALUATION and (labels == "person" or metric != JUDGED):
        rate *= expected.audited_share
    return rate * stage.share, rate * (1 - stage.share)


def treated_a_minute(expected: Expected, stage: Stage) -> float:
    """Customers exposed a minute, whether they count for a metric or not."""
    return expected.per_minute * stage.share * (expected.low_risk_share if stage.audience == "low_risk" else 1.0)


def detection(policy: Policy, expected: Expected, trigger: Trigger, stage: Stage, multiple: float) -> Detection:
    """When a harm of `multiple` times the limit would be found at a stage."""
    effect = size_of(trigger) * multiple
    horizon = weight_plan(policy, trigger.block_seconds).horizon_blocks
    n_t, n_c = (
        units * trigger.block_seconds / 60
        for units in units_a_minute(policy, expected, trigger.metric, trigger.labels, trigger.kind, stage)
    )
    samples = _sampling(policy, trigger)
    growths = [_growth(policy, expected, trigger, (n_t * sample, n_c), effect) for sample, _ in samples]
    levels = [level for _, level in samples]
    levels[-1] = -log(policy.alpha(trigger, "all"))
    blocks = blocks_to_reach(growths, levels, log(0.5 / horizon), horizon)
    if blocks is None:
        return Detection(trigger.name, stage, multiple, effect, None, None, Outlook.NEVER)
    minutes = blocks * trigger.block_seconds / 60 + trigger.maturity_minutes + policy.watch.lateness_seconds / 60
    if minutes > horizon_minutes(policy):
        return Detection(trigger.name, stage, multiple, effect, None, None, Outlook.NEVER)
    outlook = Outlook.WITHIN if minutes <= _stage_minutes(policy, stage) else Outlook.LATER
    return Detection(
        trigger.name, stage, multiple, effect, minutes, minutes * treated_a_minute(expected, stage), outlook
    )


def _stage_minutes(policy: Policy, stage: Stage) -> float:
    """The least time of a stage; the last one has no gate and lasts until the horizon."""
    return horizon_minutes(policy) if stage.index == policy.stages[-1].index else policy.phase(stage.phase).min_minutes


def _sampling(policy: Policy, trigger: Trigger) -> list[tuple[float, float]]:
    """Sampling rates of the labels with the log evidence up to which each holds."""
    if not trigger.judged:
        return [(1.0, inf)]
    judge = policy.judge
    return [(judge.sample_base, log(judge.sample_at_evidence)), (judge.sample_alert, inf)]


def _growth(
    policy: Policy, expected: Expected, trigger: Trigger, units: tuple[float, float], effect: float
) -> FloatArray:
    form = FORMS[str(trigger.kind)]
    if trigger.kind is MetricKind.ONE_SAMPLE:
        judged = trigger.judged
        limit, rate = (policy.judge.flag_rate(value) if judged else value for value in (trigger.limit, effect))
        return growth(form, units, ((rate,), (0.0,)), limit, trigger.icc)
    return growth(form, units, _outcomes(expected, trigger.metric, trigger.kind, effect), trigger.limit, trigger.icc)


def _outcomes(
    expected: Expected, metric: str, kind: MetricKind, effect: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What a treated and a control unit do: a rate each, or shares of the ratings 1..5."""
    if kind is MetricKind.RATING:
        return lower_mean(expected.ratings, effect), expected.ratings
    control = expected.rates.get(metric, USUAL_RATES.get(metric, OTHER_RATE))
    treated = control * effect if kind is MetricKind.RATE_RATIO else control + effect
    return (min(HIGHEST_RATE, treated),), (control,)


def lower_mean(shares: tuple[float, ...], points: float) -> tuple[float, ...]:
    """Shares of the ratings 1..5 with a mean lower by `points`, exponentially tilted, so that no rating becomes impossible."""
    levels, base = np.arange(1.0, 6.0), np.asarray(shares) / np.sum(shares)
    target = max(1.02, float(base @ levels) - points)
    low, high = -40.0, 40.0
    for _ in range(80):
        tilt = (low + high) / 2
        tilted = base * np.exp(tilt * (levels - levels[-1 if tilt > 0 else 0]))
        low, high = (tilt, high) if tilted @ levels / tilted.sum() < target else (low, tilt)
    return tuple((tilted / tilted.sum()).tolist())


def growth(
    form: Form,
    units: tuple[float, float],
    outcomes: tuple[tuple[float, ...], tuple[float, ...]],
    limit: float,
    icc: float = 0.0,
) -> FloatArray:
    """Mean log e-value of a block per bet `(K,)`. `units`: treated and control a block on average; `outcomes`: as from `_outcomes`."""
    (n_t, p_t), (n_c, p_c) = _arrivals(units[0]), _arrivals(units[1])
    treated, control = (grid.ravel().astype(np.float64) for grid in np.meshgrid(n_t, n_c, indexing="ij"))
    weight = np.outer(p_t, p_c).ravel()
    if icc:
        treated, control = (n / (1 + np.maximum(n - 1, 0) * icc) for n in (treated, control))
    columns = _columns(form, treated, control, outcomes)
    log_e = form.log_e(columns, _known_control(form, outcomes[1], treated.size), limit)
    return np.asarray(weight @ np.where(form.is_empty(columns)[:, None], 0.0, log_e))


def _columns(
    form: Form, treated: FloatArray, control: FloatArray, outcomes: tuple[tuple[float, ...], tuple[float, ...]]
) -> Columns:
    arms = {"T": (treated, outcomes[0]), "C": (control, outcomes[1])}
    return {
        name: arms[name[1]][0]
        if name[0] == "n"
        else np.multiply.outer(arms[name[1]][0], np.asarray(arms[name[1]][1]))
        if name[0] == "k"
        else arms[name[1]][0] * arms[name[1]][1][0]
        for name in form.columns
    }


def _known_control(form: Form, outcome: tuple[float, ...], n: int) -> FloatArray:
    """Count, sum and sum of squares of a control that was watched for long, as the form learns them."""
    one = {"nT": 0.0, "xT": 0.0, "nC": KNOWN_CONTROL, "xC": KNOWN_CONTROL * outcome[0]}
    ratings = {"kT": np.zeros((1, 5)), "kC": KNOWN_CONTROL * np.asarray([outcome])} if len(outcome) > 1 else {}
    columns = {name: np.asarray(ratings[name] if name[0] == "k" else [one[name]]) for name in form.columns}
    return np.repeat(form.learn(columns), n, axis=0)


def _arrivals(mean: float) -> tuple[FloatArray, FloatArray]:
    """Units that a block may hold, with their probabilities: Poisson around `mean`, thinned to a few nodes when it is large."""
    spread = 4.5 * mean**0.5 + 4
    low, high = max(0, int(mean - spread)), int(mean + spread) + 1
    n = np.unique(np.linspace(low, high, min(MOST_NODES, high - low + 1)).round())
    if mean <= 0:
        return np.zeros(1), np.ones(1)
    steps = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1.0, high + 1)))])  # log n!
    log_p = n * log(mean) - steps[n.astype(int)]
    p = np.exp(log_p - log_p.max())
    return n, p / p.sum()


def blocks_to_reach(growths: list[FloatArray], levels: list[float], log_weight: float, most: int) -> int | None:
    """Blocks until the detector's mean path stands at the last of `levels` (log E); None when not within `most`.

    Growths follow one another: the i-th holds until the i-th level is reached (adaptive sampling). `log_weight`: of each block.
    """
    log_r, total = np.full(growths[0].shape, -np.inf), 0
    for rates, level in zip(growths, levels, strict=True):
        reached = partial(_stands_at, log_r, rates, log_weight, level)
        blocks = _first(reached, most - total)
        if blocks is None:
            return None
        log_r, total = _path(log_r, rates, log_weight, blocks), total + blocks
    return total


def _stands_at(log_r: FloatArray, rates: FloatArray, log_weight: float, level: float, blocks: int) -> bool:
    return _log_mean(_path(log_r, rates, log_weight, blocks)) >= level


def _path(log_r: FloatArray, rates: FloatArray, log_weight: float, blocks: int) -> FloatArray:
    """log R per bet after `blocks` blocks: what was there grows, and so does every weight from its block on."""
    if blocks == 0:
        return log_r
    safe = np.where(np.abs(rates) < 1e-12, 1e-12, rates)
    size = np.abs(safe)
    series = np.log(-np.expm1(-size * blocks)) - np.log(-np.expm1(-size)) + np.where(safe > 0, safe * blocks, safe)
    return np.asarray(np.logaddexp(log_r + rates * blocks, log_weight + series))


def _log_mean(log_r: FloatArray) -> float:
    return float(np.logaddexp.reduce(log_r)) - log(log_r.size)


def _first(reached: Callable[[int], bool], most: int) -> int | None:
    """The least number of blocks up to `most` for which `reached` holds, given that it stays true; None when there is none."""
    low, high = -1, 1
    while not reached(high):
        if high >= most:
            return None
        low, high = high, min(most, 2 * high)
    if reached(0):
        return 0
    low = max(low, 0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _gates(policy: Policy, expected: Expected, stage: Stage) -> Iterator[Gate]:
    """Everything that takes customers before the stage's gate can open."""
    phase = policy.phase(stage.phase)
    if phase.min_treated:
        yield _reached(policy, stage, TREATED, phase.min_treated / treated_a_minute(expected, stage), phase.min_treated)
    for certificate in policy.certificates:
        if certificate.name in phase.certificates:
            yield _certificate(policy, expected, certificate, stage)


def _reached(policy: Policy, stage: Stage, asks: str, minutes: float | None, treated: float | None) -> Gate:
    asked = policy.phase(stage.phase).min_minutes
    if minutes is None or minutes > horizon_minutes(policy):
        return Gate(asks, stage, None, None, asked, False)
    return Gate(asks, stage, minutes, treated, asked, minutes <= asked)


def _certificate(policy: Policy, expected: Expected, certificate: Certificate, stage: Stage) -> Gate:
    reach, per_block, n_t = alike(policy, expected, certificate, stage)
    blocks = reach(-log(policy.budget.certificate))
    if blocks is None:
        return _reached(policy, stage, certificate.name, None, None)
    minutes = blocks * per_block + certificate.maturity_minutes + policy.watch.lateness_seconds / 60
    return _reached(policy, stage, certificate.name, minutes, blocks * n_t)


def alike(
    policy: Policy, expected: Expected, certificate: Certificate, stage: Stage
) -> tuple[Callable[[float], int | None], float, float]:
    """For arms that are alike: blocks until a level of log evidence, minutes of a block, treated units of a block."""
    form = CERTIFICATES[str(certificate.kind)]
    per_block = certificate.block_seconds / 60
    per_minute = units_a_minute(policy, expected, certificate.metric, "any", certificate.kind, stage)
    n_t, n_c = (units * per_block for units in per_minute)
    rates = growth(form, (n_t, n_c), _outcomes(expected, certificate.metric, certificate.kind, 0.0), certificate.margin)
    most = max(1, int(horizon_minutes(policy) / per_block))
    return lambda level: _first(lambda t: _log_mean(rates * t) >= level, most), per_block, n_t


def _notes(policy: Policy, expected: Expected) -> tuple[str, ...]:
    streams: tuple[Trigger | Certificate, ...] = (*policy.triggers, *policy.certificates)
    compared = {item.metric for item in streams if item.kind in (MetricKind.TWO_SAMPLE, MetricKind.RATE_RATIO)}
    assumed = sorted(metric for metric in compared if metric not in expected.rates)
    notes = [
        "harm that begins at any time; half of such harms are found sooner, half later; maturity and lateness are included",
        "streams of all traffic; a segment with a share s of the traffic takes about 1/s times as long",
    ]
    if assumed:
        rates = ", ".join(f"{metric} {USUAL_RATES.get(metric, OTHER_RATE):.0%}" for metric in assumed)
        notes.append(f"control rates that nothing has measured yet: {rates}")
    if any(stage.audience == "employees" for stage in policy.stages):
        notes.append("stages with employees only are not forecast: their traffic is none of the customers'")
    return tuple(notes)
