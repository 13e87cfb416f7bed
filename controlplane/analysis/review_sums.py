"""Rows of the review's queries as sums: by metric and week, pooled for one arm, and by stage for both arms side by side. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.estimates_ratio import PairSums

Row = Mapping[str, Any]
ARMS = ("assistant", "baseline")
LAST, THIS = 0, 1


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of one metric and week of one arm, and the share of its conversations whose label was final."""

    pairs: PairSums = field(default_factory=PairSums)
    maturity: float | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


def pairs_of(row: Row) -> PairSums:
    """The sums of a row; integers stay integers, so that nothing is lost before the first division."""
    return PairSums(*(row[name] for name in ("units", "y", "x", "yy", "xx", "xy")))


def one(rows: Iterable[Row], metric: str, week: int, arm: str) -> Sums:
    """Everything of one metric, week and arm; rows of several stages are added up."""
    found = [row for row in rows if (row["metric"], row["week"], row["arm"]) == (metric, week, arm)]
    total = PairSums()
    for row in found:
        total = total + pairs_of(row)
    return Sums(total, maturity_of(found), _counts(found))


def by_stage(rows: Iterable[Row], metric: str, week: int = THIS) -> dict[int, tuple[PairSums, PairSums]]:
    """(assistant, menu) by stage; an arm that was not served has empty sums."""
    found: dict[int, dict[str, PairSums]] = {}
    for row in rows:
        if row["metric"] == metric and row["week"] == week and row["arm"] in ARMS:
            found.setdefault(int(row["stratum"]), {})[row["arm"]] = pairs_of(row)
    return {key: (arms.get(ARMS[0], PairSums()), arms.get(ARMS[1], PairSums())) for key, arms in sorted(found.items())}


def maturity_of(rows: Sequence[Row]) -> float | None:
    """Share of the conversations whose label was final; None where nothing waits for a label, or there are none."""
    told = [row for row in rows if "mature" in row]
    conversations = sum(int(row["conversations"]) for row in told)
    return sum(int(row["mature"]) for row in told) / conversations if conversations else None


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    names = ("judged", "severe", "conversations")
    return {name: sum(int(row[name]) for row in rows) for name in names if rows and name in rows[0]}
