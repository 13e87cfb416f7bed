"""What the traffic is expected to be: said on the command line, measured in the workspace, or written in the policy; in that order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from controlplane.core.forecast import USUAL_RATINGS, Expected
from controlplane.core.policy import Policy
from controlplane.settings import SettingsError, load
from controlplane.store.queries import load as load_sql
from jobs.sql_command import run_sql

Run = Callable[[str], tuple[Sequence[str], Sequence[Sequence[Any]]]]  # a query -> its columns and rows
FEWEST_UNITS = 200
FEWEST_MINUTES = 60.0
FEWEST_RATINGS = 50


def expected_traffic(policy: Policy, per_minute: float | None, home: str | None) -> Expected:
    """The traffic to forecast for. SettingsError says where a figure can come from when there is none."""
    known = _measured(policy, home)
    stated = policy.traffic
    written = Expected(
        per_minute=stated.per_minute,
        rated_share=stated.rated_share,
        audited_share=stated.audited_share,
        source="[traffic] of the policy",
    )
    if per_minute is not None:
        rest = known or written
        return replace(rest, per_minute=per_minute, source=f"--traffic; the rest from {rest.source}")
    if known is not None:
        return known
    if stated.per_minute > 0:
        return written
    raise SettingsError(
        "no traffic to forecast for: give --traffic PER_MINUTE, write [traffic] per_minute in the policy, or ingest logs of at least "
        f"{FEWEST_UNITS} conversations over {FEWEST_MINUTES:g} minutes"
    )


def _measured(policy: Policy, home: str | None) -> Expected | None:
    """What the workspace's facts say; None where there is no workspace, or too little in it."""
    workspace = load(home).workspace
    if workspace.kind() is None or not workspace.facts.exists():
        return None
    return measured(policy, lambda query: run_sql(home, query))


def measured(policy: Policy, run: Run) -> Expected | None:
    """The traffic in the facts that `run` queries; None where there is too little of it."""
    columns, rows = run(load_sql("policy/traffic"))
    row: dict[str, Any] = dict(zip(columns, rows[0], strict=True))
    if row["units"] < FEWEST_UNITS or (row["minutes"] or 0) < FEWEST_MINUTES:
        return None
    ratings = [int(row[f"k{level}"]) for level in range(1, 6)]
    rates = {name: float(row[name]) for name in ("escalation_rate", "contact_rate") if row[name] is not None}
    return Expected(
        per_minute=row["units"] / float(row["minutes"]),
        rated_share=_share(row["rated_share"], policy.traffic.rated_share),
        audited_share=_share(row["audited_share"], policy.traffic.audited_share),
        low_risk_share=_low_risk(policy, run),
        calls=float(row["calls"] or 1.0),
        rates=rates,
        ratings=tuple((k + 1) / (sum(ratings) + 5) for k in ratings)
        if sum(ratings) >= FEWEST_RATINGS
        else USUAL_RATINGS,
        source=f"the workspace's facts ({row['units']:,} conversations in {float(row['minutes']):,.0f} minutes)",
    )


def _share(measured: float | None, stated: float) -> float:
    """A share that was measured; where nothing of the kind has happened yet, what the policy says."""
    return float(measured) if measured else stated


def _low_risk(policy: Policy, run: Run) -> float:
    """The part of the conversations that a phase for low-risk intents may expose; 1 when no intent is known."""
    _, rows = run(load_sql("policy/intents"))
    total = sum(count for _, count in rows)
    low = sum(count for intent, count in rows if intent in policy.assignment.low_risk_intents)
    return max(low / total, 1e-3) if total else 1.0
