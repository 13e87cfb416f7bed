"""What would save money, and what a person costs: what-ifs on the logged traffic of `cost_traffic`, with the assumptions of whoever looks. Pure.

Nothing here is read again when an assumption moves: the sums are those of the window, the arithmetic is `controlplane.analysis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from controlplane.analysis.tradeoff_measure import ArmCost, CostFound, cost
from controlplane.analysis.tradeoff_savings import Answer, Gpu, Repeats, Saving, own_hardware
from controlplane.analysis.tradeoff_whatif import (
    DAYS_A_MONTH,
    Eased,
    Prices,
    Prompts,
    cache,
    hybrid,
    shorter_prompts,
    small_model,
)

LEAST_HOURS = 24.0  # of logs, below which a month is not told from them


@dataclass(frozen=True)
class Assumptions:
    """What no log says: cost of a small model and length of prompts as shares of today's, US dollars of a conversation with a person, a target."""

    small: float
    trim: float
    cache_hours: float
    person: float
    target: float | None


@dataclass(frozen=True)
class Traffic:
    """The answer of `cost_traffic`, typed."""

    since: datetime
    until: datetime
    logged_hours: float
    cache_hours: float
    cap_usd: float
    maturity_seconds: int
    eased: tuple[Eased, ...]
    prices: tuple[Prices, ...]
    prompts: tuple[Prompts, ...]
    repeats: tuple[Repeats, ...]
    hours: tuple[tuple[int, int, int, float], ...]
    priced_firsts: int
    dear_firsts: int
    quantiles: Mapping[str, float | None]
    arms: Mapping[str, ArmCost]

    @property
    def spent(self) -> float:
        """US dollars of the window's requests."""
        return sum(row.cost for row in self.eased)

    @property
    def a_month(self) -> float | None:
        """How many such windows a month of 30 days holds; None for less than a day of logs."""
        return DAYS_A_MONTH * 24 / self.logged_hours if self.logged_hours >= LEAST_HOURS else None


def traffic(answer: Mapping[str, Any]) -> Traffic:
    """The answer as values."""
    priced, dear, median, p95, p99, most = answer["firsts"][0]
    return Traffic(
        since=datetime.fromisoformat(answer["since"]),
        until=datetime.fromisoformat(answer["until"]),
        logged_hours=float(answer["logged_hours"]),
        cache_hours=float(answer["cache_hours"]),
        cap_usd=float(answer["cap_usd"]),
        maturity_seconds=int(answer["maturity_seconds"]),
        eased=tuple(Eased(**row) for row in answer["eased"]),
        prices=tuple(Prices(**row) for row in answer["prices"]),
        prompts=tuple(Prompts(*row) for row in answer["prompts"]),
        repeats=tuple(Repeats(*row) for row in answer["repeats"]),
        hours=tuple((int(h), int(tokens), int(known), float(usd)) for h, _, tokens, known, usd in answer["hours"]),
        priced_firsts=int(priced),
        dear_firsts=int(dear),
        quantiles={"median": median, "p95": p95, "p99": p99, "most": most},
        arms={row[0]: ArmCost(*row[1:]) for row in answer["arms"]},
    )


def savings(found: Traffic, said: Assumptions) -> list[Saving]:
    """The what-ifs, the one that saves most first; unknown ones last."""
    all_of_them = [
        small_model(found.eased, said.small),
        hybrid(found.eased, said.small),
        cache(found.repeats, words=True, hours=found.cache_hours),
        cache(found.repeats, words=False, hours=found.cache_hours),
        shorter_prompts(found.prompts, found.prices, said.trim),
    ]
    return sorted(all_of_them, key=lambda one: (one.saved is None, -(one.saved.estimate if one.saved else 0.0)))


def savings_frame(rows: list[Saving]) -> pl.DataFrame:
    """title, mid, low, high as shares of the model cost; unknown ones are left out."""
    known = [row for row in rows if row.saved is not None]
    cells = [
        {"title": row.title, "mid": row.saved.estimate, "low": max(row.saved.low, 0.0), "high": row.saved.high}
        for row in known
        if row.saved
    ]
    schema = {"title": pl.String, "mid": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(cells, schema=schema)


def against_people(found: Traffic, said: Assumptions) -> tuple[CostFound, CostFound]:
    """What a resolved conversation costs with people in it: the assistant against the target or the baseline, and the baseline by itself."""
    treated, control = (found.arms.get(name, ArmCost()) for name in ("assistant", "baseline"))
    return cost(treated, control, said.target, said.person), cost(control, ArmCost(), None, said.person)


def hardware(found: Traffic, gpu: Gpu) -> Answer:
    """Own hardware or the API, at the logged volume."""
    return own_hardware(found.hours, found.logged_hours, gpu)
