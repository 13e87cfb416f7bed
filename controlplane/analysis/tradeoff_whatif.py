"""What-ifs of the cost page, whose assumptions a person moves: the same sums as the trade-off's, reduced so that moving one needs no new query. Pure.

The requests of a window are reduced once (`ease`) to a handful of rows: per model, whether a small model may serve them as a low-risk intent, and
whether the shipped routing would. Any price of the small model is then arithmetic, with the interval of `tradeoff_savings.share_of_cost`. Shorter
prompts need the price of a fresh input token; no log has it, so it is read back from the log (`read_prices`): cost is linear in fresh, cached and
output tokens, and where the sums of many groups do not follow a line, the price is unknown, and so is the saving.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np

from controlplane.analysis.tradeoff_measure import Z95
from controlplane.analysis.tradeoff_savings import SURE, Group, Repeats, Saving, Small, hybrid_saving, share_of_cost
from controlplane.assistant.routing import Routing
from controlplane.core.estimates import Interval, clopper_pearson

WORST_FIT = 0.01  # relative error of the read-back prices above which they count as unknown
LEAST_APART = (
    0.01  # kinds of tokens that go together more closely cannot be told apart: many prices would explain the same costs
)
WORST_PRICE = 0.1  # relative error of a price that the fit's own error may grow to, about
LEAST_GROUPS = 4
DAYS_A_MONTH = 30


@dataclass(frozen=True, slots=True)
class Eased:
    """Requests of one model that are alike for both what-ifs; US dollars. `low_risk`, `hybrid`: whether a small model may serve them."""

    model: str
    low_risk: bool
    hybrid: bool
    requests: int
    cost: float
    cost_sq: float


@dataclass(frozen=True, slots=True)
class Prompts:
    """Priced requests of one model: sums of fresh input tokens, of their squares and products with the cost in US dollars."""

    model: str
    requests: int
    fresh: float
    fresh_sq: float
    fresh_cost: float
    cost: float
    cost_sq: float


@dataclass(frozen=True, slots=True)
class Prices:
    """US dollars per token of a model as the log has them. `fit`: largest relative error of a group.

    `known`: the error is small, and the kinds of tokens vary enough apart from each other for each to have a price of its own.
    """

    model: str
    fresh: float
    cached: float
    output: float
    fit: float
    known: bool


def ease(groups: Sequence[Group], low_risk: Sequence[str], routing: Routing) -> list[Eased]:
    """The groups, reduced by model and by who may serve them."""
    sums: dict[tuple[str, bool, bool], Eased] = {}
    for group in groups:
        simple = group.intent in low_risk and group.certainty >= SURE and not group.special
        routed = _routed_small(group, routing)
        key = (group.model, simple, routed)
        before = sums.get(key, Eased(*key, 0, 0.0, 0.0))
        sums[key] = replace(
            before,
            requests=before.requests + group.requests,
            cost=before.cost + group.cost,
            cost_sq=before.cost_sq + group.cost_sq,
        )
    return [sums[key] for key in sorted(sums)]


def _routed_small(group: Group, routing: Routing) -> bool:
    """As `hybrid_saving` decides for one group: asked of the same function, so that the two can never differ."""
    one = replace(group, cost=1.0, cost_sq=1.0)
    found = hybrid_saving([one], routing, Small(ratio=0.0)).saved
    return found is not None and found.estimate > 0.5


def small_model(rows: Sequence[Eased], ratio: float) -> Saving:
    """A small model at `ratio` of the logged cost for low-risk intents that the classifier is sure of."""
    return _served(rows, [row.low_risk for row in rows], ratio, "small_model", "Small model for low-risk questions")


def hybrid(rows: Sequence[Eased], ratio: float) -> Saving:
    """The product's own routing: a small model for what is easy."""
    return _served(rows, [row.hybrid for row in rows], ratio, "hybrid", "Small model for every easy question")


def _served(rows: Sequence[Eased], easy: Sequence[bool], ratio: float, name: str, title: str) -> Saving:
    parts = [(row.cost, row.cost_sq, (1.0 - ratio) if may else 0.0) for row, may in zip(rows, easy, strict=True)]
    served = sum(row.requests for row, may in zip(rows, easy, strict=True) if may)
    assumption = f"a small model at {100 * ratio:.0f} % of today's cost that answers these as well"
    return saving(
        name, title, sum(row.requests for row in rows), served, share_of_cost(parts), _total(rows), assumption
    )


def cache(rows: Sequence[Repeats], words: bool, hours: float) -> Saving:
    """A cache of answers: to the same words (`words`), or to the same intent."""
    hits = [row.words_repeated if words else row.intent_repeated for row in rows]
    parts = [(row.cost, row.cost_sq, float(hit)) for row, hit in zip(rows, hits, strict=True)]
    served = sum(row.requests for row, hit in zip(rows, hits, strict=True) if hit)
    name, title = ("cache_words", "Cache answers to the same words") if words else ("cache_intents", "Cache by intent")
    same = "the same words" if words else "one intent"
    assumption = f"{same} can have the same answer for {hours:g} h after its last use; a hit costs nothing"
    return saving(
        name, title, sum(row.requests for row in rows), served, share_of_cost(parts), _total(rows), assumption
    )


def shorter_prompts(rows: Sequence[Prompts], prices: Sequence[Prices], cut: float) -> Saving:
    """Every prompt's fresh part shorter by the share `cut`; unknown where the price of a token cannot be read from the log.

    Saved share `S = sum s / sum c` with `s_i = cut p fresh_i`; standard error by the delta method, `sqrt(sum (s_i - S c_i)^2) / sum c`.
    """
    known = {price.model: price.fresh for price in prices if price.known}
    requests = sum(row.requests for row in rows)
    total = sum(row.cost for row in rows)
    share: Interval | None = None
    if total > 0 and all(row.model in known for row in rows if row.cost > 0):
        gain = {row.model: cut * known.get(row.model, 0.0) for row in rows}
        mean = sum(gain[row.model] * row.fresh for row in rows) / total
        squares = sum(
            gain[row.model] ** 2 * row.fresh_sq - 2 * mean * gain[row.model] * row.fresh_cost + mean**2 * row.cost_sq
            for row in rows
        )
        error = sqrt(max(squares, 0.0)) / total
        share = Interval(mean, max(mean - Z95 * error, 0.0), min(mean + Z95 * error, 1.0))
    assumption = f"{100 * cut:.0f} % fewer fresh input tokens in every prompt, answered as well"
    return saving("prompts", "Shorter prompts", requests, requests, share, total, assumption)


def read_prices(groups: Sequence[Group]) -> list[Prices]:
    """Per model the prices of fresh, cached and output tokens that explain the cost of its wholly priced groups (non-negative least squares)."""
    found = []
    for model in sorted({group.model for group in groups}):
        mine = [one for one in groups if one.model == model and one.priced == one.requests and one.cost > 0]
        found.append(_line(model, mine))
    return found


def _line(model: str, groups: Sequence[Group]) -> Prices:
    if len(groups) < LEAST_GROUPS:
        return Prices(model, 0.0, 0.0, 0.0, 1.0, False)
    from scipy.optimize import nnls

    tokens = np.array([(one.tokens_in - one.tokens_cached, one.tokens_cached, one.tokens_out) for one in groups], float)
    cost = np.array([one.cost for one in groups])
    weighted = tokens / cost[:, None]  # relative errors count, so that a large group does not decide alone
    size = np.where(weighted.max(axis=0) > 0, weighted.max(axis=0), 1.0)
    per_token = nnls(weighted / size, np.ones(len(groups)))[0] / size
    fit = float(np.max(np.abs(tokens @ per_token / cost - 1.0)))
    fresh, cached, output = (float(value) for value in per_token)
    apart = _apart(weighted)
    known = apart >= LEAST_APART and fit <= min(WORST_FIT, WORST_PRICE * apart)
    return Prices(model, fresh, cached, output, fit, bool(known))


def _apart(columns: np.typing.NDArray[np.float64]) -> float:
    """How well the kinds of tokens (groups, 3) are told apart: smallest over largest singular value of those that occur, each of length 1."""
    length = np.linalg.norm(columns, axis=0)
    if not np.any(length > 0):
        return 0.0
    sizes = np.linalg.svd(columns[:, length > 0] / length[length > 0], compute_uv=False)
    return float(sizes[-1] / sizes[0])


def saving(
    name: str, title: str, requests: int, served: int, share: Interval | None, total: float, assumption: str
) -> Saving:
    """A saving with how much of the window's `total` US dollars it is."""
    usd = None if share is None else share.estimate * total
    return Saving(name, title, requests, clopper_pearson(served, requests), share, usd, assumption)


def _total(rows: Sequence[Eased] | Sequence[Repeats]) -> float:
    return sum(row.cost for row in rows)
