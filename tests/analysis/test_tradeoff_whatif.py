"""The what-ifs of the cost page against those of the trade-off, and against the same requests counted one by one."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from controlplane.analysis.tradeoff_savings import (
    Group,
    Repeats,
    Small,
    cache_savings,
    hybrid_saving,
    small_model_saving,
)
from controlplane.analysis.tradeoff_whatif import (
    Eased,
    Prices,
    Prompts,
    cache,
    ease,
    hybrid,
    read_prices,
    shorter_prompts,
    small_model,
)
from controlplane.assistant.routing_fit import shipped_routing

LOW_RISK = ("balance", "fees")


def groups(seed: int = 3, noise: float = 0.0) -> list[Group]:
    """Groups of requests of two models whose cost is linear in their tokens."""
    rng = np.random.default_rng(seed)
    found = []
    for model, (fresh, cached, out) in {"large": (2e-6, 1e-6, 8e-6), "tiny": (1e-7, 0.0, 4e-7)}.items():
        for intent in ("balance", "fees", "fraud", "limits"):
            for certainty in (0.5, 0.7, 0.9):
                n = int(rng.integers(5, 80))
                tokens = [int(value) * n for value in rng.integers(50, 400, 2)]
                kept = int(rng.integers(0, tokens[0]))
                cost = ((tokens[0] - kept) * fresh + kept * cached + tokens[1] * out) * (1 + noise * rng.normal())
                words, fit = int(rng.integers(1, 6)) * 10, float(rng.choice([0, 1, 2, 4, 8]))
                special = intent == "fraud"
                found.append(
                    Group(
                        intent,
                        certainty,
                        words,
                        fit,
                        model,
                        special,
                        n,
                        n,
                        tokens[0],
                        kept,
                        tokens[1],
                        cost,
                        cost**2 / n * 1.2,
                    )
                )
    return found


@pytest.mark.parametrize("ratio", [0.0, 0.2, 1.0])
def test_reduced_requests_save_what_the_trade_off_says(ratio: float) -> None:
    rows, routing = groups(), shipped_routing()
    eased = ease(rows, LOW_RISK, routing)
    assert len(eased) <= 8
    assert sum(row.requests for row in eased) == sum(row.requests for row in rows)
    for mine, theirs in (
        (small_model(eased, ratio), small_model_saving(rows, LOW_RISK, Small(ratio=ratio))),
        (hybrid(eased, ratio), hybrid_saving(rows, routing, Small(ratio=ratio))),
    ):
        assert mine.served == theirs.served
        assert mine.saved is not None
        assert theirs.saved is not None
        assert (mine.saved.estimate, mine.saved.low, mine.saved.high) == pytest.approx(
            (theirs.saved.estimate, theirs.saved.low, theirs.saved.high)
        )
        assert mine.usd == pytest.approx(theirs.usd)


def test_a_cache_saves_what_the_trade_off_says() -> None:
    rows = [
        Repeats(False, False, 70, 70, 0.7, 0.01),
        Repeats(True, False, 600, 600, 6.0, 0.07),
        Repeats(True, True, 90, 90, 0.9, 0.011),
    ]
    by_intent, by_words = cache_savings(rows, 24)
    assert cache(rows, words=False, hours=24).saved == by_intent.saved
    assert cache(rows, words=True, hours=24).saved == by_words.saved
    assert cache(rows, words=True, hours=24).served == by_words.served


def test_prices_are_read_back_from_the_log() -> None:
    large, tiny = read_prices(groups())
    assert (large.fresh, large.cached, large.output) == pytest.approx((2e-6, 1e-6, 8e-6), rel=1e-6)
    assert (tiny.fresh, tiny.cached, tiny.output) == pytest.approx((1e-7, 0.0, 4e-7), rel=1e-6, abs=1e-12)
    assert large.known
    assert tiny.known


def test_costs_that_follow_no_line_have_no_price() -> None:
    assert not any(price.known for price in read_prices(groups(noise=0.3)))
    assert [price.known for price in read_prices(groups()[:3])] == [False]


def test_prices_that_cannot_be_told_apart_are_unknown() -> None:
    """Every answer a tenth of its prompt: 3 and 15, or 4.5 and 0 US dollars a million explain the costs alike."""
    alike = [
        Group("a", 0.9, 10 * i, 8.0, "m", False, 10, 10, 1000 * i, 0, 100 * i, i * (1000 * 3e-6 + 100 * 15e-6), 1.0)
        for i in range(1, 8)
    ]
    (price,) = read_prices(alike)
    assert price.fit < 1e-9
    assert not price.known


def test_shorter_prompts_save_what_the_requests_say_one_by_one() -> None:
    rng = np.random.default_rng(5)
    fresh = rng.integers(20, 500, 400).astype(float)
    cost = fresh * 2e-6 + rng.integers(10, 90, 400) * 8e-6
    sums = Prompts("m", 400, fresh.sum(), (fresh**2).sum(), (fresh * cost).sum(), cost.sum(), (cost**2).sum())
    found = shorter_prompts([sums], [Prices("m", 2e-6, 0.0, 8e-6, 0.0, True)], 0.25).saved
    saved = 0.25 * fresh * 2e-6
    share = saved.sum() / cost.sum()
    half = 1.959963984540054 * sqrt(((saved - share * cost) ** 2).sum()) / cost.sum()
    assert found is not None
    assert (found.estimate, found.low, found.high) == pytest.approx((share, share - half, share + half))


def test_what_is_not_known_is_not_saved() -> None:
    row = Prompts("m", 4, 40.0, 400.0, 0.4, 0.04, 0.0004)
    assert shorter_prompts([row], [Prices("m", 0.0, 0.0, 0.0, 1.0, False)], 0.2).saved is None
    assert shorter_prompts([row], [], 0.2).usd is None
    assert shorter_prompts([], [], 0.2).saved is None
    assert small_model([], 0.2).saved is None
    assert small_model([Eased("m", True, True, 5, 0.0, 0.0)], 0.2).saved is None
    assert cache([], words=True, hours=1).served is None
