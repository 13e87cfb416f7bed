"""The figures of the weekly review: each metric of both arms, their difference within stages, and the change against the week before. Pure.

The two arms' own values are of all eligible conversations; their *difference* is standardised to the stages in which both were served, so over a
ramp it is not the difference of the two values beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from controlplane.analysis.review_sums import ARMS, LAST, THIS, Row, Sums, by_stage, one
from controlplane.core.estimates import Interval, quantile, quantile_difference
from controlplane.core.metric_versions import definition_hash
from controlplane.core.metrics import metric
from controlplane.core.weekly import Estimate, Figure, Movement, Source
from controlplane.core.weekly_estimates import FEW, change, compare, one_arm, verdict
from controlplane.store.queries import load

NANO = 1e-9
OUTCOMES, REQUESTS, COSTS, JUDGED = "outcomes", "requests", "costs", "judged"
ASSISTANT, BASELINE = ARMS


@dataclass(frozen=True, slots=True)
class Spec:
    """How a figure is made: the query, whether it is a rate, and the factor from its sums to its unit."""

    name: str
    query: str
    rate: bool = True
    scale: float = 1.0
    comparable: bool | None = None  # None: as the catalogue says


SPECS = (
    Spec("csat", OUTCOMES, rate=False),
    Spec("csat_response_rate", OUTCOMES),
    Spec("contact_rate", OUTCOMES),
    Spec("escalation_rate", OUTCOMES),
    Spec("resolution_rate", OUTCOMES),
    Spec("resolution_time", OUTCOMES, rate=False, scale=1e-3),
    Spec("misclassification_rate", JUDGED),
    Spec("hallucination_rate", JUDGED),
    Spec("misrouting_rate", JUDGED),
    Spec("request_error_rate", REQUESTS),
    Spec("timeout_rate", REQUESTS),
    Spec("tokens_per_request", REQUESTS, rate=False),
    Spec("cost_per_1k_tokens", REQUESTS, rate=False, scale=NANO * 1000),
    Spec("unpriced_share", REQUESTS),
    Spec("cost_per_conversation", COSTS, rate=False, scale=NANO),
    Spec("cost_per_resolved", COSTS, rate=False, scale=NANO),
)
_EXTRA = {"cost_per_conversation": ("Cost per conversation", "USD", "lower")}
"""Figures that no trigger and no page knows: title, unit, direction."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Rows and sources by query; `level` of the intervals, and the margins by figure within which a change is none."""

    rows: Mapping[str, Sequence[Row]]
    sources: Mapping[str, Source]
    level: float
    margins: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class JudgeError:
    """Sensitivity and specificity of the judge for ungrounded answers, as the policy states them."""

    sensitivity: float
    specificity: float


def figures(tables: Tables, judge: JudgeError | None) -> tuple[Figure, ...]:
    """All figures, in the order in which they are read."""
    made = [_figure(tables, spec) for spec in SPECS]
    place = next(i for i, figure in enumerate(made) if figure.name == "hallucination_rate")
    if judge is not None:
        made.insert(place + 1, corrected(made[place], judge))
    latency = [_latency(tables, name, q) for name, q in (("latency_p50", 0.5), ("latency_p95", 0.95))]
    return (*made[: place + 3], *latency, *made[place + 3 :], *_volumes(tables))


def described(name: str) -> tuple[str, str, str]:
    """Title, unit and direction of a figure."""
    if name in _EXTRA:
        return _EXTRA[name]
    found = metric(name)
    return found.title, found.unit, str(found.direction)


def _figure(tables: Tables, spec: Spec) -> Figure:
    title, unit, direction = described(spec.name)
    rows = tables.rows[spec.query]
    now, menu = one(rows, spec.name, THIS, ASSISTANT), one(rows, spec.name, THIS, BASELINE)
    before = one(rows, spec.name, LAST, ASSISTANT)
    told = [_arm(tables, spec, sums) for sums in (now, menu, before)]
    comparable = spec.name not in _EXTRA and metric(spec.name).comparable
    compared = None
    if comparable:
        firsts = tables.rows[f"{spec.query}_firsts"]
        compared = compare(by_stage(firsts, spec.name), tables.level, rate=spec.rate, scale=spec.scale)
    moved = change(now.pairs, before.pairs, tables.level, rate=spec.rate, scale=spec.scale)
    return Figure(
        name=spec.name,
        title=title,
        unit=unit,
        direction=direction,
        assistant=told[0],
        baseline=told[1] if comparable else None,
        difference=None if compared is None else replace(compared.difference, maturity=told[0].maturity),
        last_week=told[2] if before.pairs.x > 0 else None,
        change=moved,
        movement=_moved(moved, direction, tables.margins.get(spec.name)),
        source=_defined(tables.sources[spec.query], spec.name),
    )


def _defined(source: Source, name: str) -> Source:
    """The source, with the hash of the metric's definition in the catalogue."""
    if name in _EXTRA:
        return source
    return replace(source, parameters={**source.parameters, "metric_definition": definition_hash(metric(name), load)})


def _arm(tables: Tables, spec: Spec, sums: Sums) -> Estimate:
    units = sums.counts.get("judged") if spec.query == JUDGED else None
    mature = sums.maturity if spec.query in (OUTCOMES, COSTS) else None
    return one_arm(sums.pairs, tables.level, rate=spec.rate, scale=spec.scale, maturity=mature, units=units)


def _moved(moved: Estimate | None, direction: str, margin: float | None) -> Movement:
    """Against last week: without a margin only a change that can be told is one, everything else is unknown."""
    if direction == "neither" or moved is None:
        return Movement.UNKNOWN
    found, _ = verdict(moved, 0.0 if margin is None else margin, lower_is_better=direction == "lower")
    return found


def corrected(flagged: Figure, judge: JudgeError) -> Figure:
    """The flag rate turned into the rate of bad answers: `(p + spec - 1)/(sens + spec - 1)`, cut to [0, 1] (Rogan and Gladen 1978).

    Sensitivity and specificity are taken as the policy states them: their own error is not in the interval. Without a judge that is better
    than chance there is no correction, and the value is None.
    """

    def turned(estimate: Estimate | None) -> Estimate | None:
        if estimate is None or estimate.value is None or judge.sensitivity + judge.specificity <= 1.0:
            return None if estimate is None else replace(estimate, value=None, low=None, high=None)

        def turn(p: float | None) -> float | None:
            if p is None:
                return None
            return min(max((p + judge.specificity - 1.0) / (judge.sensitivity + judge.specificity - 1.0), 0.0), 1.0)

        return replace(estimate, value=turn(estimate.value), low=turn(estimate.low), high=turn(estimate.high))

    found = turned(flagged.assistant)
    assert found is not None
    return replace(
        flagged,
        name="hallucination_rate_corrected",
        title="Hallucination frequency, corrected for the judge",
        assistant=found,
        last_week=turned(flagged.last_week),
        change=None,
        movement=Movement.UNKNOWN,
        source=replace(
            flagged.source,
            parameters={
                **flagged.source.parameters,
                "sensitivity": judge.sensitivity,
                "specificity": judge.specificity,
            },
        ),
    )


def _latency(tables: Tables, name: str, q: float) -> Figure:
    title, unit, direction = described(name)
    rows = tables.rows["latency"]
    alpha = 1.0 - tables.level
    arms = {(week, arm): _histogram(rows, week, arm) for week in (THIS, LAST) for arm in ARMS}
    now, menu, before = arms[THIS, ASSISTANT], arms[THIS, BASELINE], arms[LAST, ASSISTANT]
    treated, control = standardised_histograms(rows)
    enough = min(sum(treated.values()), sum(control.values())) >= FEW
    compared = quantile_difference(treated, control, q, alpha) if enough else None
    moved = quantile_difference(now, before, q, alpha) if min(sum(now.values()), sum(before.values())) >= FEW else None
    told = _of_interval(moved, sum(now.values()) + sum(before.values()))
    return Figure(
        name=name,
        title=title,
        unit=unit,
        direction=direction,
        assistant=_of_interval(quantile(now, q, alpha), sum(now.values())) or Estimate(value=None),
        baseline=_of_interval(quantile(menu, q, alpha), sum(menu.values())),
        difference=_of_interval(compared, sum(treated.values()) + sum(control.values())),
        last_week=_of_interval(quantile(before, q, alpha), sum(before.values())),
        change=told,
        movement=_moved(told, direction, None),
        source=tables.sources["latency"],
    )


def _of_interval(found: Interval | None, n: int) -> Estimate | None:
    """An end that the data cannot bound is None."""
    if found is None:
        return None
    low, high = (end if abs(end) != float("inf") else None for end in (found.low, found.high))
    return Estimate(value=found.estimate, low=low, high=high, n=n)


def _histogram(rows: Iterable[Row], week: int, arm: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for row in rows:
        if row["week"] == week and row["arm"] == arm:
            found[int(row["bucket"])] = found.get(int(row["bucket"]), 0) + int(row["n"])
    return found


def standardised_histograms(rows: Iterable[Row]) -> tuple[dict[int, int], dict[int, int]]:
    """Both arms' latencies of this week with the same mixture of stages, in as many requests as carry the same error (Kish's effective number).

    A stage weighs `nT nC/(nT + nC)`; each of its requests stands for that over the arm's number there.
    """
    stages: dict[int, dict[str, dict[int, int]]] = {}
    for row in rows:
        if row["week"] == THIS and row["arm"] in ARMS:
            stages.setdefault(int(row["stratum"]), {}).setdefault(row["arm"], {})[int(row["bucket"])] = int(row["n"])
    both = [(arms[ASSISTANT], arms[BASELINE]) for _, arms in sorted(stages.items()) if len(arms) == len(ARMS)]
    sizes = [tuple(sum(histogram.values()) for histogram in pair) for pair in both]
    weights = [t * c / (t + c) for t, c in sizes]
    mixed: list[dict[int, int]] = []
    for side in (0, 1):
        total: dict[int, float] = {}
        squares = sum(weight**2 / size[side] for weight, size in zip(weights, sizes, strict=True))
        effective = sum(weights) ** 2 / squares if squares else 0.0
        for pair, size, weight in zip(both, sizes, weights, strict=True):
            for bucket, n in pair[side].items():
                total[bucket] = total.get(bucket, 0.0) + n / size[side] * weight / sum(weights) * effective
        mixed.append(whole(dict(sorted(total.items()))))
    return mixed[0], mixed[1]


def whole(histogram: Mapping[int, float]) -> dict[int, int]:
    """Counts rounded along their running sum, so that no tail is lost to rounding."""
    found, upto, said = {}, 0.0, 0
    for bucket, n in histogram.items():
        upto += n
        found[bucket] = round(upto) - said
        said += found[bucket]
    return {bucket: n for bucket, n in found.items() if n > 0}


def _volumes(tables: Tables) -> list[Figure]:
    """Conversations and requests of the week: counts, not samples, so without interval."""
    made = []
    for name, query, count in (
        ("traffic_volume", COSTS, "cost_per_conversation"),
        ("request_volume", REQUESTS, "request_error_rate"),
    ):
        title, unit, direction = described(name)
        arms = {
            (week, arm): round(one(tables.rows[query], count, week, arm).pairs.x)
            for week in (THIS, LAST)
            for arm in ARMS
        }
        now, before = arms[THIS, ASSISTANT], arms[LAST, ASSISTANT]
        said = any(arms[LAST, arm] for arm in ARMS)
        made.append(
            Figure(
                name=name,
                title=title,
                unit=unit,
                direction=direction,
                assistant=Estimate(value=float(now), n=now),
                baseline=Estimate(value=float(arms[THIS, BASELINE]), n=arms[THIS, BASELINE]),
                last_week=Estimate(value=float(before), n=before) if said else None,
                change=Estimate(value=float(now - before), n=now + before) if said else None,
                source=tables.sources[query],
            )
        )
    return made
