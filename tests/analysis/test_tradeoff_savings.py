"""What-if figures against hand computation and an independent recount."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.analysis.tradeoff_savings import (
    Gpu,
    Group,
    Repeats,
    Small,
    cache_savings,
    fine_tune,
    hybrid_saving,
    own_hardware,
    share_of_cost,
    small_model_saving,
)
from controlplane.assistant.pricing import ModelPrice
from controlplane.assistant.routing import Routing

EASY = Group("fees", 0.9, 10, 8.0, "large", False, 100, 100, 30_000, 0, 5_000, 1.0, 0.02)
UNSURE = replace(EASY, certainty=0.6)
RISKY = replace(EASY, intent="fraud")
SPECIAL = replace(EASY, special=True)
ROUTING = Routing(threshold=0.3, intent_risk=(("fees", 0.0), ("fraud", 1.0)))


def test_a_cache_saves_what_its_hits_cost() -> None:
    rows = [
        Repeats(False, False, 50, 50, 1.0, 0.03),
        Repeats(True, False, 30, 30, 0.6, 0.02),
        Repeats(True, True, 20, 20, 0.4, 0.01),
    ]
    intents, words = cache_savings(rows, 24)
    for found, served, usd in ((intents, 0.5, 1.0), (words, 0.2, 0.4)):
        assert found.requests == 100
        assert found.served is not None
        assert found.saved is not None
        assert found.served.estimate == served
        assert found.usd == pytest.approx(usd)
        assert found.saved.estimate == pytest.approx(usd / 2.0)
        assert found.saved.low < usd / 2.0 < found.saved.high
    assert "24 h" in intents.assumption


def test_a_small_model_serves_what_is_low_risk_and_sure() -> None:
    found = small_model_saving([EASY, UNSURE, RISKY, SPECIAL], ("fees",), Small(ratio=0.25))
    assert found.served is not None
    assert found.served.estimate == 0.25
    assert found.usd == pytest.approx(0.75)  # three quarters of one of four dollars
    assert found.saved is not None
    assert found.saved.estimate == pytest.approx(0.75 / 4)


def test_a_listed_price_is_counted_in_tokens() -> None:
    """30,000 tokens in at $0.001 and 5,000 out at $0.004 per 1,000: $0.05 instead of $1."""
    small = Small(price=ModelPrice(0.001, 0.0005, 0.004))
    found = small_model_saving([EASY], ("fees",), small)
    assert found.usd == pytest.approx(0.95)
    assert "listed price" in found.assumption
    half = replace(EASY, priced=50, cost=0.5)
    assert small_model_saving([half], ("fees",), small).usd == pytest.approx(0.475)


def test_a_dearer_small_model_saves_less_than_nothing() -> None:
    found = small_model_saving([EASY], ("fees",), Small(price=ModelPrice(1.0, 1.0, 1.0)))
    assert found.usd == pytest.approx(1.0 - 35.0)


def test_hybrid_routing_asks_the_router() -> None:
    found = hybrid_saving([EASY, RISKY, SPECIAL, replace(EASY, fit=0.0, certainty=0.1)], ROUTING, Small(ratio=0.0))
    assert found.served is not None
    expected = [ROUTING.choose(ROUTING.score(g.intent, g.certainty, g.fit, "w " * g.words)) for g in (EASY, RISKY)]
    assert expected == ["small", "large"]
    assert found.served.estimate == 0.25
    assert found.usd == pytest.approx(1.0)


def test_nothing_logged_or_priced_is_not_known() -> None:
    for found in (
        *cache_savings([], 24),
        small_model_saving([], ("fees",), Small()),
        hybrid_saving([], ROUTING, Small()),
    ):
        assert (found.requests, found.served, found.saved, found.usd) == (0, None, None, None)
    unpriced = replace(EASY, priced=0, cost=0.0, cost_sq=0.0)
    found = small_model_saving([unpriced], ("fees",), Small())
    assert found.served is not None
    assert found.saved is None


@given(
    st.lists(st.tuples(st.floats(0.001, 10.0), st.sampled_from([0.0, 0.3, 1.0])), min_size=2, max_size=60),
)
def test_the_share_of_the_cost_is_that_of_the_single_requests(requests: list[tuple[float, float]]) -> None:
    """Grouping changes nothing: sums per group give what every request by itself gives."""
    single = share_of_cost([(cost, cost**2, fraction) for cost, fraction in requests])
    grouped = share_of_cost(
        [
            (sum(c for c, f in requests if f == fraction), sum(c**2 for c, f in requests if f == fraction), fraction)
            for fraction in (0.0, 0.3, 1.0)
        ]
    )
    assert single is not None
    assert grouped is not None
    assert grouped.estimate == pytest.approx(single.estimate)
    assert grouped.low == pytest.approx(single.low, abs=1e-9)
    assert 0.0 <= single.estimate <= 1.0 + 1e-12


def test_its_interval_agrees_with_a_bootstrap() -> None:
    rng = np.random.default_rng(1)
    costs, hits = rng.gamma(2.0, 0.01, 1000), rng.random(1000) < 0.3
    found = share_of_cost([(float(c), float(c**2), float(h)) for c, h in zip(costs, hits, strict=True)])
    assert found is not None
    draws = rng.integers(0, 1000, (4000, 1000))
    again = (costs * hits)[draws].sum(axis=1) / costs[draws].sum(axis=1)
    assert found.estimate == pytest.approx(float((costs * hits).sum() / costs.sum()))
    assert (found.high - found.low) / 2 / 1.96 == pytest.approx(float(again.std()), rel=0.06)


TUNE = {"labelled": 5000, "needed": 2000, "judged": 1000, "flagged": 150, "limit": 0.05, "worse": False}
PAYS = {"hosting_month": 500.0, "api_month": 900.0}


@pytest.mark.parametrize(
    ("change", "yes", "word"),
    [
        ({}, True, "yes"),
        ({"labelled": 1999}, False, "labels are too few"),
        ({"flagged": 40}, False, "no shortfall of quality is shown"),
        ({"flagged": 40, "worse": True}, True, "yes"),
        ({"judged": 0, "flagged": 0}, False, "no shortfall of quality is shown"),
        ({"limit": None}, False, "no shortfall of quality is shown"),
        ({"api_month": 400.0}, False, "hosting costs more"),
        ({"api_month": None}, None, "unknown"),
    ],
)
def test_fine_tuning_needs_a_reason_labels_and_money(change: dict[str, object], yes: bool | None, word: str) -> None:
    found = fine_tune(**{**TUNE, **PAYS, **change})  # type: ignore[arg-type]
    assert found.yes is yes
    assert word in found.text
    assert found.reasons


def test_too_few_ratings_are_not_called_a_good_sign() -> None:
    for worse, words in ((None, "too few ratings to tell"), (False, "no shortfall"), (True, "falls short")):
        found = fine_tune(**{**TUNE, **PAYS, "worse": worse})  # type: ignore[arg-type]
        assert any(words in reason for reason in found.reasons)


GPU = Gpu(usd_hour=2.0, tokens_second=1000.0, utilisation=0.5)


def test_hardware_by_hand() -> None:
    """48 hours of 3.6 M tokens at $1 a million: 86.4 M tokens and $86.40 a day; 1,000 a second need two GPUs, $96 a day."""
    hours = [(hour, 3_600_000, 3_600_000, 3.6) for hour in range(48)]
    found = own_hardware(hours, 48.0, GPU)
    assert found.yes is False
    assert found.text == "API"
    expected = {"tokens_day": 86_400_000, "gpus": 2, "gpu_usd_day": 96.0, "api_usd_day": 86.4, "utilisation": 0.5}
    assert {key: found.numbers[key] for key in expected} == pytest.approx(expected)
    assert found.numbers["break_even_tokens_day"] == pytest.approx(96_000_000)
    assert found.numbers["tokens_day_low"] == found.numbers["tokens_day_high"] == 86_400_000  # every hour is the same
    assert "no volume pays" in " ".join(found.reasons)  # half-full, two GPUs serve 86.4 M, and 96 M would be needed
    cheap = own_hardware(hours, 48.0, replace(GPU, usd_hour=1.5))
    assert cheap.yes is True
    assert "no volume pays" not in " ".join(cheap.reasons)


def test_a_busy_hour_decides_how_many() -> None:
    quiet = [(hour, 3600, 3600, 0.01) for hour in range(23)]
    found = own_hardware([*quiet, (23, 9_000_000, 9_000_000, 9.0)], 24.0, GPU)
    assert found.numbers["gpus"] == 5
    low, high = found.numbers["tokens_day_low"], found.numbers["tokens_day_high"]
    assert low is not None
    assert high is not None
    assert low < float(found.numbers["tokens_day"] or 0) < high


def test_without_tokens_or_prices_it_is_not_known() -> None:
    assert own_hardware([], 24.0, GPU).yes is None
    assert own_hardware([(0, 1000, 0, 0.0)], 24.0, GPU).yes is None
