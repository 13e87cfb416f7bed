"""What model calls cost: prices per token, and a table of them that matches models by pattern and tier.

Rules
- `tokens_in` includes `tokens_cached`. The cached ones are charged at their own rate and taken out of the fresh ones, so no
  token is ever counted twice. A model without a rate for cached tokens charges them as fresh ones.
- A table is a file of the user's (the layout of Langfuse's default model prices: `matchPattern`, `pricingTiers`). Of the tiers
  whose conditions all hold the one with the lowest `priority` applies, else the default one.
- What no entry matches has no price: cost unknown (None), never zero.
"""

import gzip
import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from controlplane.assistant.protocols import Generation

INPUT_NAMES = ("input", "input_tokens", "input_text", "input_text_tokens", "total")
CACHED_NAMES = ("input_cached_tokens", "input_cache_read", "cache_read_input_tokens", "input_cached_text_tokens")
OUTPUT_NAMES = ("output", "output_tokens", "output_text", "output_text_tokens")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
    "eq": operator.eq,
    "neq": operator.ne,
}


class PriceTableError(Exception):
    """A price table cannot be read or makes no sense."""


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """US dollars per 1,000 tokens; cached tokens are counted at their own rate only."""

    input_per_1k: float
    cached_per_1k: float
    output_per_1k: float

    def cost(self, generation: Generation) -> float:
        """What one answer costs."""
        return self.of(generation.tokens_in, generation.tokens_cached, generation.tokens_out)

    def of(self, tokens_in: int, tokens_cached: int, tokens_out: int) -> float:
        """US dollars for these tokens; `tokens_in` includes `tokens_cached`."""
        cached = min(tokens_cached, tokens_in)  # an endpoint that reports more cached than read must not earn us money
        fresh = tokens_in - cached
        total = fresh * self.input_per_1k + cached * self.cached_per_1k + tokens_out * self.output_per_1k
        return round(total / 1000, 8)


@dataclass(frozen=True, slots=True)
class Tier:
    """One set of prices and when it applies. `conditions` as in the file; a tier without any is the default."""

    name: str
    priority: int
    is_default: bool
    conditions: tuple[Mapping[str, Any], ...]
    price: ModelPrice

    def applies(self, usage: Mapping[str, float], parameters: Mapping[str, str]) -> bool:
        """Whether all conditions hold for this use."""
        return all(_holds(condition, usage, parameters) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class PricedModel:
    """A model of the table: which names it goes by, and its tiers in order of priority."""

    name: str
    pattern: re.Pattern[str]
    tiers: tuple[Tier, ...]

    def price(self, tokens_in: int, tokens_cached: int, tokens_out: int, parameters: Mapping[str, str]) -> ModelPrice:
        """The prices that apply to a request of this size."""
        usage = {"input": tokens_in - tokens_cached, "input_cached_tokens": tokens_cached, "output": tokens_out}
        for tier in self.tiers:
            if not tier.is_default and tier.applies(usage, parameters):
                return tier.price
        return next(tier.price for tier in self.tiers if tier.is_default)


class PriceTable:
    """Prices by model name."""

    def __init__(self, models: Sequence[PricedModel]) -> None:
        """Earlier entries win where several match."""
        self._models = tuple(models)

    def __len__(self) -> int:
        return len(self._models)

    def find(
        self,
        model: str,
        tokens_in: int = 0,
        tokens_cached: int = 0,
        tokens_out: int = 0,
        parameters: Mapping[str, str] | None = None,
    ) -> ModelPrice | None:
        """The prices for this model, request size and parameters (`service_tier`, ...); None where no entry matches."""
        for entry in self._models:
            if entry.pattern.search(model):
                return entry.price(tokens_in, tokens_cached, tokens_out, parameters or {})
        return None


@dataclass(frozen=True, slots=True)
class TablePrice:
    """A price that is looked up for the model that really answered; `fallback` where the table does not know it."""

    table: PriceTable
    fallback: ModelPrice | None = None

    def cost(self, generation: Generation) -> float | None:
        """What one answer costs, None if unknown."""
        used = (generation.tokens_in, generation.tokens_cached, generation.tokens_out)
        price = self.table.find(generation.model, *used) or self.fallback
        return None if price is None else price.of(*used)


Price = ModelPrice | TablePrice


@lru_cache(maxsize=8)
def load_prices(path: Path) -> PriceTable:
    """Reads a table (JSON, or JSON in gzip). `PriceTableError` names the file, the entry and what is wrong."""
    try:
        raw = path.read_bytes()
        entries = json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    except (OSError, ValueError, EOFError) as error:
        raise PriceTableError(f"price table {path} cannot be read: {error}") from error
    if not isinstance(entries, list):
        raise PriceTableError(f"price table {path}: expected a list of models, got {type(entries).__name__}")
    return PriceTable([_model(entry, f"price table {path}, entry {n}") for n, entry in enumerate(entries, 1)])


def _model(entry: Any, where: str) -> PricedModel:
    try:
        tiers = tuple(_tier(tier, where) for tier in entry["pricingTiers"])
        pattern = _pattern(entry["matchPattern"])
        name = str(entry["modelName"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PriceTableError(f"{where}: {type(error).__name__} {error}") from error
    if not any(tier.is_default for tier in tiers):
        raise PriceTableError(f"{where}: no tier has isDefault = true")
    return PricedModel(name, pattern, tuple(sorted(tiers, key=lambda tier: tier.priority)))


def _pattern(text: str) -> re.Pattern[str]:
    """The pattern; PostgreSQL's leading `(?i)` is also Python's."""
    try:
        return re.compile(text)
    except re.error as error:
        raise ValueError(f"matchPattern {text!r} is no regular expression: {error}") from error


def _tier(tier: Mapping[str, Any], where: str) -> Tier:
    prices = tier["prices"]
    fresh, cached, out = (_first(prices, names) for names in (INPUT_NAMES, CACHED_NAMES, OUTPUT_NAMES))
    if fresh is None and out is None:
        known = ", ".join((*INPUT_NAMES, *OUTPUT_NAMES))
        raise PriceTableError(f"{where}, tier {tier.get('name')}: no price for text, expected one of {known}")
    # Old completion models have one price for everything; a model that is not paid for what it reads names output only.
    out = fresh or 0.0 if out is None else out
    fresh = 0.0 if fresh is None else fresh
    rates = (fresh, fresh if cached is None else cached, out)
    if min(rates) < 0:
        raise PriceTableError(f"{where}, tier {tier.get('name')}: a price is negative")
    return Tier(
        name=str(tier["name"]),
        priority=int(tier["priority"]),
        is_default=bool(tier["isDefault"]),
        conditions=tuple(tier.get("conditions", ())),
        price=ModelPrice(*(1000 * rate for rate in rates)),
    )


def _first(prices: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((float(prices[name]) for name in names if prices.get(name) is not None), None)


def _holds(condition: Mapping[str, Any], usage: Mapping[str, float], parameters: Mapping[str, str]) -> bool:
    """One condition: a parameter in a list, or the sum of the usage details whose name matches compared with a value."""
    if condition.get("source") == "model_parameters":
        return condition.get("operator") == "in" and parameters.get(condition["key"]) in condition["values"]
    compare = _COMPARE.get(str(condition.get("operator")))
    pattern = condition.get("usageDetailPattern")
    if compare is None or pattern is None:
        return False  # an unknown condition never applies: the default price is the honest guess
    flags = 0 if condition.get("caseSensitive") else re.IGNORECASE
    used = sum(amount for name, amount in usage.items() if re.search(pattern, name, flags))
    return compare(used, condition["value"])
