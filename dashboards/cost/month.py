"""The month's cost: spent so far, and what it comes to, by the method of the weekly review (`controlplane.core.weekly_forecast`). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from controlplane.core.weekly_forecast import DAY, Forecast, of_month
from dashboards.answers import BAD, GOOD, QUIET, WAIT

LOOK_BACK = timedelta(days=62)  # of days: this month and, for the forecast, the last 28 before it


@dataclass(frozen=True)
class Month:
    """USD: `spent` so far, `told` the forecast with its interval (value None: not yet, with the reason), `budget` 0: none was set."""

    begin: datetime
    end: datetime
    now: datetime
    spent: float
    told: Forecast
    days: Mapping[date, float]
    budget: float

    @property
    def name(self) -> str:
        """`January 2026`."""
        return f"{self.begin:%B %Y}"

    @property
    def day(self) -> int:
        """The day of the month that it is; midnight still belongs to the day before."""
        return (self.now - timedelta(microseconds=1)).day

    @property
    def standing(self) -> tuple[str, str]:
        """How the forecast stands to the budget, in words, and the tone of it; unknown while the interval has the budget inside."""
        month = self.told.month
        if not self.budget:
            return "no budget is set", QUIET
        if self.spent > self.budget:
            return "the budget is spent", BAD
        if month.low is None or month.high is None:
            return "not known yet", QUIET
        if month.high <= self.budget:
            return "within the budget", GOOD
        return ("over the budget", BAD) if month.low > self.budget else ("may pass the budget", WAIT)


def month(days: pl.DataFrame, now: datetime, budget: float, level: float) -> Month:
    """Of the month in which `now` lies. days: day, cost; missing days cost nothing. level: of the forecast's interval."""
    known = {row["day"]: float(row["cost"]) for row in days.to_dicts()}
    found = of_month(known, now - LOOK_BACK, now, level)
    return Month(found.begin, found.end, now, found.spent, found.told, known, budget)


def course(month: Month) -> pl.DataFrame:
    """Spent since the month began, at the end of each day, and where it goes: at, usd, low, high; low and high are those of the forecast."""
    total, rows = 0.0, [{"at": month.begin, "usd": 0.0, "low": 0.0, "high": 0.0}]
    day = month.begin
    while day < month.now:
        total += month.days.get(day.date(), 0.0)
        rows.append({"at": min(day + DAY, month.now), "usd": total, "low": total, "high": total})
        day += DAY
    found = month.told.month
    if found.value is not None and found.low is not None and found.high is not None:
        rows.append({"at": month.end, "usd": found.value, "low": found.low, "high": found.high})
    schema: dict[str, Any] = {"at": pl.Datetime("us", "UTC"), "usd": pl.Float64, "low": pl.Float64, "high": pl.Float64}
    return pl.DataFrame(rows, schema=schema)
