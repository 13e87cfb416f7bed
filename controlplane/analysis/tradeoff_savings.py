"""What would have been saved on the logged traffic, and the two questions that follow: fine-tune, and own hardware.

Each figure is a what-if on the window's requests with its assumption beside it. A saved share of the model cost is a ratio of sums over
requests; its 95 % interval comes from the delta method with the squares of the requests' costs. The interval is that of sampling only: how
good a cached or a smaller model's answer is, only an evaluation and a rollout of their own can tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from controlplane.analysis.tradeoff_measure import Z95
from controlplane.assistant.pricing import ModelPrice
from controlplane.assistant.routing import Routing, complexity
from controlplane.core.estimates import Interval, clopper_pearson

MIN_HOURS = 6
SURE = 0.7  # probability of the predicted intent from which a cached or a small model's answer may serve


@dataclass(frozen=True, slots=True)
class Group:
    """Requests of one kind; certainty and fit of the passages rounded down, words rounded up; sums of tokens, cost and squared cost in US dollars."""

    intent: str
    certainty: float
    words: int
    fit: float
    model: str
    special: bool  # a safety route or a workflow
    requests: int
    priced: int
    tokens_in: int
    tokens_cached: int
    tokens_out: int
    cost: float
    cost_sq: float


@dataclass(frozen=True, slots=True)
class Repeats:
    """Requests by whether an earlier one had the same intent, or the same words too."""

    intent_repeated: bool
    words_repeated: bool
    requests: int
    priced: int
    cost: float
    cost_sq: float


@dataclass(frozen=True, slots=True)
class Saving:
    """`served`: share of the requests; `saved`: share of the model cost; `usd`: of the window. None where nothing was logged or priced."""

    name: str
    title: str
    requests: int
    served: Interval | None
    saved: Interval | None
    usd: float | None
    assumption: str


@dataclass(frozen=True, slots=True)
class Small:
    """What a small model costs: its price per token, or a share of what the logged model costs."""

    price: ModelPrice | None = None
    ratio: float = 0.2

    def of(self, group: Group) -> float:
        """US dollars for the priced part of the group on the small model."""
        if self.price is None:
            return self.ratio * group.cost
        whole = self.price.of(group.tokens_in, group.tokens_cached, group.tokens_out)
        return whole * group.priced / group.requests


def cache_savings(rows: Sequence[Repeats], hours: float) -> list[Saving]:
    """A cache of repeated questions: at best (same intent) and at least (same words)."""
    kinds = (
        (
            "cache_intents",
            "Cache of repeated intents",
            [row.intent_repeated for row in rows],
            "every question of one intent has one answer",
        ),
        (
            "cache_words",
            "Cache of repeated wordings",
            [row.words_repeated for row in rows],
            "only the same words have the same answer",
        ),
    )
    found = []
    for name, title, hits, assumed in kinds:
        parts = [(row.cost, row.cost_sq, float(hit)) for row, hit in zip(rows, hits, strict=True)]
        served = sum(row.requests for row, hit in zip(rows, hits, strict=True) if hit)
        assumption = (
            f"{assumed}; same predicted intent with p >= {SURE}, same release, code and model; an entry lives {hours:g} h after its "
            "last use; a hit costs nothing; no workflow or safety route is cached"
        )
        found.append(_saving(name, title, sum(row.requests for row in rows), served, parts, assumption))
    return found


def small_model_saving(groups: Sequence[Group], low_risk: Sequence[str], small: Small) -> Saving:
    """A small model for low-risk intents that the classifier is sure of."""
    easy = [group.intent in low_risk and group.certainty >= SURE and not group.special for group in groups]
    assumption = f"low-risk intents of the policy with p >= {SURE}, no workflow or safety route; {_priced(small)}"
    return _model_saving("small_model", "Small model for low-risk intents", groups, easy, small, assumption)


def hybrid_saving(groups: Sequence[Group], routing: Routing, small: Small) -> Saving:
    """The product's own routing: small below its threshold of complexity, large from there on."""
    easy = [not group.special and routing.choose(_complexity(group, routing)) == "small" for group in groups]
    assumption = (
        f"complexity below {routing.threshold:.2f} by the shipped routing, every part of it rounded towards the large "
        f"model, passages of unknown fit taken at their worst; {_priced(small)}"
    )
    return _model_saving(
        "hybrid", "Hybrid routing: small for easy, large for the rest", groups, easy, small, assumption
    )


def _complexity(group: Group, routing: Routing) -> float:
    """As the router scores a request; every part is rounded towards the large model."""
    return complexity(routing.risk_of(group.intent), group.certainty, group.fit, group.words, routing.weights)


def _priced(small: Small) -> str:
    return (
        "the small model at its listed price"
        if small.price is not None
        else f"the small model at {small.ratio:.0%} of the logged cost"
    )


def _model_saving(
    name: str, title: str, groups: Sequence[Group], easy: Sequence[bool], small: Small, assumption: str
) -> Saving:
    parts = []
    for group, is_easy in zip(groups, easy, strict=True):
        fraction = 1.0 - small.of(group) / group.cost if is_easy and group.cost > 0 else 0.0
        parts.append((group.cost, group.cost_sq, fraction))
    served = sum(group.requests for group, is_easy in zip(groups, easy, strict=True) if is_easy)
    return _saving(name, title, sum(group.requests for group in groups), served, parts, assumption)


def _saving(
    name: str, title: str, requests: int, served: int, parts: Sequence[tuple[float, float, float]], assumption: str
) -> Saving:
    saved = share_of_cost(parts)
    total = sum(cost for cost, _, _ in parts)
    usd = None if saved is None else saved.estimate * total
    return Saving(name, title, requests, clopper_pearson(served, requests), saved, usd, assumption)


def share_of_cost(parts: Sequence[tuple[float, float, float]]) -> Interval | None:
    """Saved share of the cost from groups of (sum of costs, sum of squared costs, share saved of each); None without any cost."""
    total = sum(cost for cost, _, _ in parts)
    if total <= 0:
        return None
    share = sum(cost * fraction for cost, _, fraction in parts) / total
    error = sqrt(sum((fraction - share) ** 2 * squares for _, squares, fraction in parts)) / total
    return Interval(share, share - Z95 * error, min(share + Z95 * error, 1.0))


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer with its reasons and numbers; `yes` None = not known."""

    yes: bool | None
    text: str
    reasons: tuple[str, ...]
    numbers: dict[str, float | int | None]


def fine_tune(
    labelled: int,
    needed: int,
    judged: int,
    flagged: int,
    limit: float | None,
    worse: bool | None,
    hosting_month: float,
    api_month: float | None,
) -> Answer:
    """Worth it only where quality asks for it, there are labels to learn from, and hosting a model of one's own is no dearer than the API.

    `worse`: whether ratings show that customers are less satisfied; None when they are too few to tell.
    """
    rate = clopper_pearson(flagged, judged)
    short = rate is not None and limit is not None and rate.low > limit
    asks = short or bool(worse)
    reasons = [
        f"{labelled} labelled rows of {needed} needed",
        "no answer was judged"
        if rate is None
        else f"{flagged} of {judged} judged answers were flagged ({rate.low:.1%} to {rate.high:.1%})"
        + ("; no limit is known" if limit is None else f"; the limit is {limit:.1%}"),
        "too few ratings to tell whether its tone or help falls short"
        if worse is None
        else "ratings show that its tone or help falls short"
        if worse
        else "ratings show no shortfall",
        f"hosting ${hosting_month:,.0f} a month against "
        + (
            "an API bill that is not known"
            if api_month is None
            else f"${api_month:,.2f} for the API at the logged volume"
        ),
    ]
    affordable = None if api_month is None else hosting_month <= api_month
    numbers: dict[str, float | int | None] = {
        "labelled_rows": labelled,
        "rows_needed": needed,
        "judged": judged,
        "flagged": flagged,
        "flag_rate": None if rate is None else rate.estimate,
        "hosting_usd_month": hosting_month,
        "api_usd_month": api_month,
    }
    if labelled < needed or not asks or affordable is False:
        missing = [
            text
            for text, lacks in (
                ("labels are too few", labelled < needed),
                ("no shortfall of quality is shown", not asks),
                ("hosting costs more than the API", affordable is False),
            )
            if lacks
        ]
        return Answer(False, f"no: {', '.join(missing)}", tuple(reasons), numbers)
    if affordable is None:
        return Answer(None, "unknown: no request has a price", tuple(reasons), numbers)
    return Answer(True, "yes: quality asks for it, there is data to learn from, and it pays", tuple(reasons), numbers)


@dataclass(frozen=True, slots=True)
class Gpu:
    """Assumptions about hardware of one's own: US dollars per hour and tokens per second of one GPU, and how full it may run at the peak."""

    usd_hour: float
    tokens_second: float
    utilisation: float


def own_hardware(hours: Sequence[tuple[int, int, int, float]], span_hours: float, gpu: Gpu) -> Answer:
    """API or own GPU at the logged volume; `hours` are (hour, tokens, tokens with a price, cost) of the hours that had any."""
    tokens, priced, cost = (sum(row[i] for row in hours) for i in (1, 2, 3))
    if span_hours <= 0 or tokens == 0:
        return Answer(None, "unknown: no tokens were logged", (), {})
    per_day = tokens * 24 / span_hours
    peak = max(row[1] for row in hours) / 3600 / min(1.0, span_hours)  # a window shorter than an hour is its own peak
    count = max(1, ceil(peak / (gpu.tokens_second * gpu.utilisation)))
    own_day = count * 24 * gpu.usd_hour
    per_token = cost / priced if priced and cost > 0 else None
    api_day = None if per_token is None else per_token * per_day
    even = None if per_token is None else own_day / per_token
    used = per_day / (count * gpu.tokens_second * 86_400)
    numbers: dict[str, float | int | None] = {
        "tokens_day": round(per_day),
        "hours_logged": round(span_hours, 2),
        "peak_tokens_second": round(peak, 2),
        "gpus": count,
        "gpu_usd_day": own_day,
        "api_usd_day": api_day,
        "api_usd_million_tokens": None if per_token is None else per_token * 1e6,
        "break_even_tokens_day": None if even is None else round(even),
        "utilisation": used,
        "priced_token_share": priced / tokens,
    }
    likely = _tokens_a_day(hours, span_hours)
    if likely is not None:
        numbers |= {"tokens_day_low": round(likely.low), "tokens_day_high": round(likely.high)}
    spread = "" if likely is None else f", 95 % from hour to hour {likely.low:,.0f} to {likely.high:,.0f}"
    reasons = [
        f"{per_day:,.0f} tokens a day ({span_hours:.1f} h logged{spread}), {peak:,.1f} a second in the busiest hour",
        f"{count} GPU{'s' if count > 1 else ''} at ${gpu.usd_hour:g} an hour: ${own_day:,.2f} a day, {used:.2%} used",
    ]
    if api_day is None or even is None:
        return Answer(None, "unknown: no request has a price", tuple(reasons), numbers)
    reasons.append(f"API ${api_day:,.2f} a day; break-even at {even:,.0f} tokens a day with that hardware")
    full = gpu.tokens_second * gpu.utilisation * 86_400
    if even / count > full:
        reasons.append(
            f"no volume pays at these prices: a GPU serves {full:,.0f} tokens a day at {gpu.utilisation:.0%}"
        )
    own = own_day < api_day
    return Answer(own, "own GPU" if own else "API", tuple(reasons), numbers)


def _tokens_a_day(hours: Sequence[tuple[int, int, int, float]], span_hours: float) -> Interval | None:
    """Mean of the hours' tokens times 24 with its normal interval, quiet hours included; None for fewer than six hours."""
    count = ceil(span_hours)
    if count < MIN_HOURS:
        return None
    mean = sum(row[1] for row in hours) / count
    squares = sum((row[1] - mean) ** 2 for row in hours) + (count - len(hours)) * mean**2
    half = Z95 * sqrt(max(squares, 0.0) / (count - 1) / count)
    return Interval(24 * mean, 24 * max(mean - half, 0.0), 24 * (mean + half))
