"""Prices: cached tokens count once, tiers apply by their conditions, and what is unknown stays unknown."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.assistant.pricing import ModelPrice, PriceTableError, TablePrice, load_prices
from controlplane.assistant.protocols import Generation

TOKENS = st.integers(0, 10_000_000)
RATE = st.floats(0, 1, allow_nan=False)
PRICES = st.builds(ModelPrice, RATE, RATE, RATE)
REAL = Path(__file__).parents[3] / "shared/data/llm_prices/langfuse_default_model_prices.json.gz"


def tier(**changes: Any) -> dict[str, Any]:
    prices = {"input": 2e-6, "input_cached_tokens": 1e-6, "output": 8e-6}
    return {"name": "Standard", "priority": 0, "isDefault": True, "conditions": [], "prices": prices} | changes


def entry(*tiers: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "modelName": "tiny",
        "matchPattern": "(?i)^(acme/)?(tiny)$",
        "pricingTiers": list(tiers) or [tier()],
    } | changes


def table(tmp_path: Path, *entries: Any) -> Any:
    path = tmp_path / f"prices-{abs(hash(json.dumps(entries)))}.json"
    path.write_text(json.dumps(list(entries)))
    return load_prices(path)


@given(PRICES, TOKENS, TOKENS, TOKENS)
def test_each_token_is_charged_once(price: ModelPrice, fresh: int, cached: int, out: int) -> None:
    total = price.of(fresh + cached, cached, out)
    parts = price.of(fresh, 0, 0) + price.of(cached, cached, 0) + price.of(0, 0, out)
    assert total == pytest.approx(parts, abs=1e-7, rel=1e-6)


@given(PRICES, TOKENS, TOKENS, TOKENS)
def test_a_cost_is_never_negative_whatever_an_endpoint_reports(p: ModelPrice, n: int, cached: int, out: int) -> None:
    assert p.of(n, cached, out) >= 0


@given(RATE, TOKENS, TOKENS)
def test_cached_tokens_at_the_full_rate_cost_what_fresh_ones_cost(rate: float, fresh: int, cached: int) -> None:
    price = ModelPrice(rate, rate, 0.0)
    assert price.of(fresh + cached, cached, 0) == price.of(fresh + cached, 0, 0)


def test_names_match_by_pattern_and_unknown_ones_have_no_price(tmp_path: Path) -> None:
    prices = table(tmp_path, entry())
    assert prices.find("ACME/Tiny") == ModelPrice(0.002, 0.001, 0.008)
    assert prices.find("tiny-2") is None
    generation = Generation("x", (), "tiny-2", 10, 0, 5)
    assert TablePrice(prices).cost(generation) is None
    assert TablePrice(prices, ModelPrice(1.0, 1.0, 1.0)).cost(generation) == pytest.approx(0.015)


def test_the_price_of_a_large_request_is_its_tier(tmp_path: Path) -> None:
    condition = {"usageDetailPattern": "(input)", "operator": "gt", "value": 1000, "caseSensitive": False}
    large = tier(
        name="Large", priority=1, isDefault=False, conditions=[condition], prices={"input": 9e-6, "output": 9e-6}
    )
    prices = table(tmp_path, entry(tier(), large))
    assert prices.find("tiny", 1000) == ModelPrice(0.002, 0.001, 0.008)
    # All that was read counts for the size, cached or not, and once.
    assert prices.find("tiny", 1001, 900).input_per_1k == pytest.approx(0.009)
    assert prices.find("tiny", 1001, 900).cached_per_1k == pytest.approx(0.009)


def test_the_first_fitting_tier_by_priority_wins(tmp_path: Path) -> None:
    fast = {"source": "model_parameters", "key": "service_tier", "operator": "in", "values": ["fast"]}
    tiers = [
        tier(name="late", priority=5, isDefault=False, conditions=[fast], prices={"input": 5e-6, "output": 0}),
        tier(),
        tier(name="early", priority=1, isDefault=False, conditions=[fast], prices={"input": 1e-6, "output": 0}),
    ]
    prices = table(tmp_path, entry(*tiers))
    assert prices.find("tiny", parameters={"service_tier": "fast"}).input_per_1k == pytest.approx(0.001)
    assert prices.find("tiny", parameters={"service_tier": "flex"}).input_per_1k == pytest.approx(0.002)


def test_a_condition_nobody_knows_never_applies(tmp_path: Path) -> None:
    odd = tier(name="odd", priority=1, isDefault=False, conditions=[{"moon": "full"}], prices={"input": 1, "output": 1})
    assert table(tmp_path, entry(tier(), odd)).find("tiny").input_per_1k == pytest.approx(0.002)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{torn", "cannot be read"),
        ("{}", "expected a list"),
        (json.dumps([entry(tier(isDefault=False))]), "entry 1: no tier has isDefault"),
        (json.dumps([entry(), entry(matchPattern="(")]), "entry 2.*no regular expression"),
        (json.dumps([entry(tier(prices={"moon": 1}))]), "no price for text"),
        (json.dumps([entry(tier(prices={"input": -1, "output": 1}))]), "negative"),
        (json.dumps([{"modelName": "x"}]), "entry 1: KeyError"),
    ],
)
def test_a_bad_table_says_where(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(PriceTableError, match=match):
        load_prices(path)


def test_an_absent_or_torn_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "torn.json.gz").write_bytes(gzip.compress(b"[]" * 100)[:20])
    for name in ("absent.json", "torn.json.gz"):
        with pytest.raises(PriceTableError, match=name):
            load_prices(tmp_path / name)


@pytest.mark.skipif(
    not REAL.is_file(), reason=f"no price table at {REAL.parent.name}: real data is not part of the project"
)
def test_a_real_table_opens_and_its_models_have_prices() -> None:
    prices = load_prices(REAL)
    assert len(prices) > 100
    entries = json.loads(gzip.decompress(REAL.read_bytes()))
    plain = next(e for e in entries if e["modelName"] == "gpt-4o")["pricingTiers"][0]["prices"]
    found = prices.find("gpt-4o")
    assert found is not None
    per_token = (found.input_per_1k / 1000, found.cached_per_1k / 1000, found.output_per_1k / 1000)
    assert per_token == pytest.approx((plain["input"], plain["input_cached_tokens"], plain["output"]))
    assert prices.find("no-such-model") is None
