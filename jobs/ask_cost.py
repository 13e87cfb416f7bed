"""The logged traffic for the what-ifs of the cost page: sums of a window, reduced so that no assumption that a person moves needs a second look.

The queries are those of `controlplane tradeoff`, so a what-if on the page and one on the command line rest on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from controlplane.analysis.tradeoff_savings import Group
from controlplane.analysis.tradeoff_whatif import ease, read_prices
from controlplane.store.queries import load
from controlplane.store.utc import to_aware
from jobs.deps import Deps
from jobs.facts_query import Value, with_literals
from jobs.tradeoff_command import Assumptions, question

MOST_HOURS = 24 * 92
MOST_CACHE_HOURS = 24 * 365
Progress = Callable[[float, str], None]


def traffic(
    deps: Deps,
    now: datetime,
    hours: float,
    cache_hours: float = 24.0,
    cap_usd: float = 0.05,
    progress: Progress = lambda _part, _text: None,
) -> Mapping[str, Any]:
    """The assistant's requests of the last `hours`: `eased`, `prices`, `prompts`, `repeats`, `hours`, `firsts`, and `arms` with their mature cost.

    `logged_hours`: from the first to the newest record of the window; 0 without any. Raises ValueError for numbers that make no sense.
    """
    for name, value, most in (("hours", hours, MOST_HOURS), ("cache_hours", cache_hours, MOST_CACHE_HOURS)):
        if not 0 < value <= most:
            raise ValueError(f"{name}: {value:g} is not within 0 and {most}")
    if cap_usd <= 0:
        raise ValueError(f"cap_usd: {cap_usd:g} is not above 0")
    since = (now - timedelta(hours=hours)).replace(microsecond=0)
    asked = question(deps.policy, since, now, "", "", Assumptions(cache_hours=cache_hours))
    window: dict[str, Value] = {"since": since, "until": now}
    everyone: dict[str, Value] = {**window, "rollout": "", "release": ""}
    steps: tuple[tuple[str, str, Mapping[str, Value]], ...] = (
        ("arms", "tradeoff/cost", {**everyone, "maturity": asked.cost_maturity}),
        ("requests", "tradeoff/requests", everyone),
        ("repeats", "tradeoff/repeats", {**everyone, "cache_seconds": round(cache_hours * 3600)}),
        ("hours", "tradeoff/hours", everyone),
        ("prompts", "ask/cost_prompts", window),
        ("firsts", "ask/cost_firsts", {**window, "cap": f"{cap_usd:.12g}"}),
        ("span", "tradeoff/span", {"rollout": "", "release": ""}),
    )
    found: dict[str, list[list[Any]]] = {}
    with deps.warehouse.cursor() as cursor:
        for index, (name, query, params) in enumerate(steps):
            progress(index / len(steps), f"reading {name} of {hours:g} h")
            found[name] = [
                [_number(value) for value in row]
                for row in cursor.execute(with_literals(load(query), params)).fetchall()
            ]
    from controlplane.assistant.routing_fit import shipped_routing

    groups = [Group(*row) for row in found["requests"]]
    eased = ease(groups, asked.low_risk, shipped_routing())
    return {
        "since": since,
        "until": now,
        "logged_hours": _logged(found["span"][0], since, now),
        "maturity_seconds": asked.cost_maturity,
        "cache_hours": cache_hours,
        "cap_usd": cap_usd,
        "eased": [asdict(row) for row in eased],
        "prices": [asdict(row) for row in read_prices(groups)],
        **{name: found[name] for name in ("prompts", "repeats", "hours", "firsts", "arms")},
    }


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value


def _logged(span: list[Any], since: datetime, until: datetime) -> float:
    """Hours of the window between the first and the newest record."""
    first, last = span[0], span[1]
    if first is None or last is None:
        return 0.0
    length = min(to_aware(last), until) - max(to_aware(first), since)
    return max(length / timedelta(hours=1), 0.0)
