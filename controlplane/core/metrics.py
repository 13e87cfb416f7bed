"""The metric catalogue: what every number of the product means, and how it is counted.

Rules
- One entry per metric: triggers, rollups and dashboards take unit, direction and maturity from here, so a number means the same everywhere.
- `family` says what is counted, and so which query counts it and which time places it: conversations by their start, requests and calls by
  their own time, evaluations by the time of the judged answer.
- `maturity` is how long after that time the label is final. Judging earlier favours the arm whose customers answer later.
- `comparable` says whether the two arms may be compared at all: the menu calls no model, so its tokens say nothing.
- `exact`: units are independent (one conversation per customer, arm, stage and week); else a guarantee is approximate, and alerts say so.
- A value is `scale * x / n` for a rate, `scale * total / n` for a mean or a ratio, `n` for a count; without data it is None, never 0. The delta of
  a comparable metric is the treated arm's value minus the control's.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from controlplane.core.model import MetricKind

ALL_SEGMENTS = "all"
CONTACT_WINDOW = timedelta(hours=72)
_HOUR = timedelta(hours=1)
_NONE = timedelta(0)


class DisplayKind(StrEnum):
    """How a metric is computed that people read but no trigger judges."""

    RATE = "rate"  # events among units
    RATIO = "ratio"  # a total over a count
    QUANTILE = "quantile"  # from the latency histogram
    COUNT = "count"
    DISTRIBUTION = "distribution"  # shares of a whole


class Direction(StrEnum):
    """Which way is better; volumes are neither."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = "neither"


class Family(StrEnum):
    """What is counted, and which time places it in a block."""

    CONVERSATION = "conversation"
    REQUEST = "request"
    CALL = "call"
    EVALUATION = "evaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `numerator` and `denominator` are in words (a count has none), `sql` reads it for any window."""

    name: str
    title: str
    unit: str
    kind: MetricKind | DisplayKind
    family: Family
    comparable: bool
    numerator: str
    denominator: str = ""
    direction: Direction = Direction.LOWER
    maturity: timedelta = _NONE
    exact: bool = False
    scale: float = 1.0
    sql: str = "views/window"

    @property
    def decides(self) -> bool:
        """Whether block counts exist for it, so that a trigger or a certificate may name it."""
        return isinstance(self.kind, MetricKind)

    def value(self, n: int, x: int, total: float) -> float | None:
        """The metric from its sums: `n` units, `x` events, `total` of the measured values; None without data.

        Raises ValueError for quantiles and distributions, which are no function of these sums.
        """
        if self.kind is DisplayKind.COUNT:
            return float(n)
        if self.kind in (DisplayKind.QUANTILE, DisplayKind.DISTRIBUTION):
            raise ValueError(f"{self.name} is a {self.kind}, which sums can't tell: read it with {self.sql}")
        if n == 0:
            return None
        return self.scale * (total if self.kind in (MetricKind.RATING, DisplayKind.RATIO) else x) / n


_QUALITY = (
    Metric(
        name="csat",
        title="CSAT",
        unit="points (1..5)",
        direction=Direction.HIGHER,
        kind=MetricKind.RATING,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="sum of the ratings",
        denominator="rated conversations",
        maturity=24 * _HOUR,
        exact=True,
    ),
    Metric(
        name="csat_response_rate",
        title="CSAT response rate",
        unit="share",
        direction=Direction.HIGHER,
        kind=MetricKind.TWO_SAMPLE,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="conversations with a rating",
        denominator="conversations",
        maturity=24 * _HOUR,
        exact=True,
    ),
    Metric(
        name="contact_rate",
        title="Contact rate",
        unit="share",
        kind=MetricKind.TWO_SAMPLE,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="conversations whose customer comes back within 72 hours of the start",
        denominator="conversations",
        maturity=CONTACT_WINDOW,
        exact=True,
    ),
    Metric(
        name="escalation_rate",
        title="Escalation rate",
        unit="share",
        kind=MetricKind.TWO_SAMPLE,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="conversations handed to a person",
        denominator="conversations",
        maturity=2 * _HOUR,
        exact=True,
    ),
    Metric(
        name="resolution_rate",
        title="Resolution rate",
        unit="share",
        direction=Direction.HIGHER,
        kind=MetricKind.TWO_SAMPLE,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="conversations told to be resolved that needed no person",
        denominator="conversations whose outcome is known",
        maturity=24 * _HOUR,
        exact=True,
    ),
    Metric(
        name="resolution_time",
        title="Resolution time",
        unit="seconds",
        kind=DisplayKind.RATIO,
        family=Family.CONVERSATION,
        comparable=True,
        numerator="seconds from the start to the resolution",
        denominator="conversations resolved without a person",
        maturity=24 * _HOUR,
    ),
    Metric(
        name="misclassification_rate",
        title="Intent misclassification rate",
        unit="share",
        kind=MetricKind.TWO_SAMPLE,
        family=Family.EVALUATION,
        comparable=True,
        numerator="requests whose true intent (a person's label, else the logged one) differs from the predicted one",
        denominator="requests with a predicted and a true intent",
        maturity=24 * _HOUR,
    ),
    Metric(
        name="hallucination_rate",
        title="Hallucination frequency",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.EVALUATION,
        comparable=False,
        numerator="judged answers labelled ungrounded",
        denominator="answers drawn at random (a sampling rate is stated) and judged",
        maturity=timedelta(minutes=5),
    ),
)

_RELIABILITY = (
    Metric(
        name="latency_p50",
        title="Latency p50",
        unit="ms",
        kind=DisplayKind.QUANTILE,
        family=Family.REQUEST,
        comparable=True,
        numerator="median of the latency, within 1 %",
        denominator="requests with a latency",
        sql="views/latency_quantiles",
    ),
    Metric(
        name="latency_p95",
        title="Latency p95",
        unit="ms",
        kind=DisplayKind.QUANTILE,
        family=Family.REQUEST,
        comparable=True,
        numerator="95th percentile of the latency, within 1 %",
        denominator="requests with a latency",
        sql="views/latency_quantiles",
    ),
    Metric(
        name="latency_mean",
        title="Mean latency",
        unit="ms",
        kind=DisplayKind.RATIO,
        family=Family.REQUEST,
        comparable=True,
        numerator="sum of the latency",
        denominator="requests with a latency",
    ),
    Metric(
        name="slow_share",
        title="Slow share",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.REQUEST,
        comparable=True,
        numerator="first requests slower than the objective",
        denominator="first requests with a latency",
        exact=True,
        sql="views/slow_share",
    ),
    Metric(
        name="timeout_rate",
        title="Time-out frequency",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.REQUEST,
        comparable=True,
        numerator="requests that timed out (decisions: first requests)",
        denominator="requests that say whether they timed out",
        exact=True,
    ),
    Metric(
        name="request_error_rate",
        title="Request error rate",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.REQUEST,
        comparable=True,
        numerator="requests that ended in an error (decisions: first requests)",
        denominator="requests",
        exact=True,
    ),
    Metric(
        name="api_error_rate",
        title="API error rate",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.CALL,
        comparable=False,
        numerator="model calls that failed or timed out",
        denominator="model calls",
    ),
    Metric(
        name="dependency_failure_rate",
        title="Dependency failure rate",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.CALL,
        comparable=True,
        numerator="calls to other services that failed or timed out",
        denominator="calls to other services",
    ),
)

_VOLUME: Any = {"direction": Direction.NEITHER, "kind": DisplayKind.COUNT, "comparable": False}
_COST = (
    Metric(
        name="tokens_per_request",
        title="Tokens per request",
        unit="tokens",
        kind=DisplayKind.RATIO,
        family=Family.REQUEST,
        comparable=False,
        numerator="input and output tokens",
        denominator="requests with known tokens",
    ),
    Metric(
        name="cost_per_1k_tokens",
        title="Cost per 1K tokens",
        unit="USD per 1,000 tokens",
        kind=DisplayKind.RATIO,
        family=Family.REQUEST,
        comparable=False,
        numerator="cost of the priced requests",
        denominator="their input and output tokens",
        scale=1000.0,
    ),
    Metric(
        name="costly_share",
        title="Costly share",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.REQUEST,
        comparable=False,
        numerator="first requests dearer than the cap",
        denominator="first requests with a known cost",
        exact=True,
        sql="views/costly_share",
    ),
    Metric(
        name="unpriced_share",
        title="Unpriced share",
        unit="share",
        kind=DisplayKind.RATE,
        family=Family.REQUEST,
        comparable=False,
        numerator="requests with tokens whose price is unknown",
        denominator="requests with tokens",
    ),
    Metric(
        name="cost_per_resolved",
        title="Cost per resolved conversation",
        unit="USD",
        kind=DisplayKind.RATIO,
        family=Family.CONVERSATION,
        comparable=False,
        numerator="model cost of all conversations",
        denominator="conversations resolved without a person",
        maturity=24 * _HOUR,
    ),
    Metric(
        name="traffic_volume",
        title="Traffic volume",
        unit="conversations",
        family=Family.CONVERSATION,
        numerator="conversations by their start",
        **_VOLUME,
    ),
    Metric(
        name="request_volume",
        title="Request volume",
        unit="requests",
        family=Family.REQUEST,
        numerator="requests",
        **_VOLUME,
    ),
    Metric(
        name="model_usage",
        title="Model usage distribution",
        unit="share",
        direction=Direction.NEITHER,
        kind=DisplayKind.DISTRIBUTION,
        family=Family.REQUEST,
        comparable=False,
        numerator="requests answered by each model",
        denominator="requests that name a model",
        sql="views/model_usage",
    ),
)

_SAFETY = (
    Metric(
        name="misrouting_rate",
        title="Safety misrouting rate",
        unit="share",
        kind=MetricKind.ONE_SAMPLE,
        family=Family.EVALUATION,
        comparable=True,
        numerator="audited requests that a person found misrouted",
        denominator="requests whose safety route a person audited",
        maturity=_HOUR,
    ),
    Metric(
        name="safety_incidents",
        title="Safety incidents",
        unit="incidents",
        kind=DisplayKind.COUNT,
        family=Family.EVALUATION,
        comparable=False,
        numerator="misroutings confirmed by a person",
        maturity=_HOUR,
    ),
)

METRICS = MappingProxyType({m.name: m for m in (*_QUALITY, *_RELIABILITY, *_COST, *_SAFETY)})


def metric(name: str) -> Metric:
    """The metric of that name. Raises KeyError that lists the catalogue."""
    try:
        return METRICS[name]
    except KeyError:
        raise KeyError(f"no metric '{name}' in the catalogue; it has {', '.join(sorted(METRICS))}") from None
