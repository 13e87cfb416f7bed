"""The sections of the weekly review that are told, not estimated: cost, funnel, topics, drift, trade-off, incidents, decisions, owners, exposure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from controlplane.analysis.review_figures import NANO
from controlplane.core.audit import READINGS
from controlplane.core.csat import UNKNOWN, ArmRatings, honest_csat, movement
from controlplane.core.delivery import change_fail
from controlplane.core.masking import without_examples
from controlplane.core.policy import Policy
from controlplane.core.weekly import Estimate
from controlplane.core.weekly_estimates import z_of
from controlplane.core.weekly_forecast import METHOD, of_month
from controlplane.store.state import StateReader
from controlplane.store.state_evaluation import ArtefactRow
from controlplane.store.state_rows import IncidentRow, from_text, to_text
from jobs.weekly_facts import Row, cost_since
from jobs.weekly_record import Record, artefact, incident_json, is_open

LOOK_BACK = timedelta(days=90)
QUIET = frozenset(
    {"output_reviewed", "evaluation_started", "review_drawn", "review_assigned", "review_labelled", *READINGS}
)
"""Events of the audit log that are work, not decisions."""
BULK = frozenset({"evidently", "timeline", "timelines"})


def csat(rows: Sequence[Row], policy: Policy, within: Estimate) -> dict[str, Any]:
    """CSAT told honestly (`controlplane.core.csat`), with the difference `within` stages beside that of the totals; empty where nobody was rated.

    Everything but `within_stages` is of the totals; where the two say different things, no verdict stands on the totals.
    """
    found = {str(row["arm"]): row for row in rows}
    arms = []
    for name in ("assistant", "baseline"):
        row = found.get(name, {})
        points = tuple(int(row.get(f"n{point}", 0)) for point in (1, 2, 3, 4, 5))
        arms.append(ArmRatings(name, int(row.get("conversations", 0)), int(row.get("mature", 0)), points))  # type: ignore[arg-type]
    if not any(arm.rated for arm in arms):
        return {}
    told = honest_csat(arms[0], arms[1], policy.programme.level, policy.programme.csat_margin)
    inside = (
        None if within.value is None else {"value": within.value, "low": within.low, "high": within.high, "n": within.n}
    )
    said = UNKNOWN if inside is None else movement(inside, policy.programme.csat_margin)
    if inside is not None and UNKNOWN != told["movement"] != said:
        reason = (
            f"the totals say {told['movement']}, within stages it is {said}: the shares of the arms changed with time"
        )
        told |= {"movement": UNKNOWN, "verdict": UNKNOWN, "reason": reason}
    return told | {"within_stages": inside}


def funnel(rows: Sequence[Row]) -> dict[str, Any]:
    """Steps of each arm; a share is of the step before. `not_back` is of the resolved ones that are old enough."""
    found: dict[str, Any] = {"share_of": "the step before"}
    for row in rows:
        steps = [
            ("eligible", "eligible", "assigned"),
            ("exposed", "exposed", "eligible"),
            ("involved", "involved", "exposed"),
        ]
        steps += [
            ("known to be resolved", "resolved", "involved"),
            ("not back within the contact window", "not_back", "resolved_mature"),
        ]
        found[str(row["arm"])] = [
            {"name": name, "n": int(row[key]), "of": int(row[of]), "share": _share(row[key], row[of])}
            for name, key, of in steps
        ]
    return found


def _share(n: int, of: int) -> float | None:
    return n / of if of and n <= of else None


def topics(state: StateReader, rows: Sequence[Row], level: float, record: Record) -> dict[str, Any]:
    """The newest topic clusters, and the intents of the week with the change of their share against last week."""
    newest = artefact(state, "topics", record)
    found = {} if newest is None else _kept(newest)
    counts = {week: {str(row["intent"]): int(row["n"]) for row in rows if row["week"] == week} for week in (0, 1)}
    now, before = (sum(counts[week].values()) for week in (1, 0))
    names = sorted(counts[1], key=lambda name: (-counts[1][name], name))
    intents = []
    for name in [*names, *sorted(set(counts[0]) - set(names))]:
        n, was = counts[1].get(name, 0), counts[0].get(name, 0)
        intents.append(
            {
                "name": name or "(not told)",
                "n": n,
                "share": n / now if now else None,
                "last_n": was if before else None,
                "last_share": was / before if before else None,
                "change": _moved(n, now, was, before, level),
            }
        )
    return found | {"intents": intents}


def _moved(n: int, now: int, was: int, before: int, level: float) -> dict[str, float] | None:
    """Change of a share with an interval (Agresti and Caffo 2000: one more of each kind), or None without both weeks."""
    if not now or not before:
        return None
    p, q = (n + 1) / (now + 2), (was + 1) / (before + 2)
    half = z_of(level) * (p * (1 - p) / (now + 2) + q * (1 - q) / (before + 2)) ** 0.5
    return {"value": n / now - was / before, "low": p - q - half, "high": p - q + half}


def drift(state: StateReader, record: Record) -> dict[str, Any]:
    """The newest drift analysis without its bulk; empty where none was made."""
    newest = artefact(state, "drift", record)
    if newest is None:
        return {}
    found = _kept(newest)
    columns = found.get("columns")
    if isinstance(columns, Mapping):
        found["columns"] = {
            name: {key: value for key, value in column.items() if key not in BULK}
            if isinstance(column, Mapping)
            else column
            for name, column in columns.items()
        }
    return found


def tradeoff(state: StateReader, record: Record) -> dict[str, Any]:
    """The newest recorded trade-off: verdict and reason."""
    newest = artefact(state, "tradeoff", record)
    if newest is None:
        return {}
    said = {key: newest.summary.get(key) for key in ("verdict", "reason", "policy_hash", "inputs_hash", "as_of")}
    return {"id": newest.artefact_id, "created_at": to_text(newest.created_at), **said}


def _kept(row: ArtefactRow) -> dict[str, Any]:
    told = {key: value for key, value in row.summary.items() if key not in BULK}
    if (
        "topics" in told
    ):  # what customers said word for word is read on request, by name; this document goes to everybody
        told["topics"] = without_examples(told["topics"])
    return told | {"id": row.artefact_id, "created_at": to_text(row.created_at), "path": row.path}


def cost(rows: Sequence[Row], since: datetime, until: datetime, policy: Policy) -> dict[str, Any]:
    """What the models cost in the week, and what the month will, against the budget. USD."""
    daily = {row["day"]: int(row["cost"]) * NANO for row in rows}
    spent = sum(usd for day, usd in daily.items() if day >= since.date())
    month = of_month(daily, cost_since(until), until, policy.programme.level)
    told = month.told
    used = sum(int(row["used"]) for row in rows if row["day"] >= since.date())
    unpriced = sum(int(row["unpriced"]) for row in rows if row["day"] >= since.date())
    budget = policy.programme.monthly_budget_usd
    return {
        "spent": spent,
        "requests": used,
        "unpriced_share": unpriced / used if used else None,
        "month": f"{month.begin:%Y-%m}",
        "month_so_far": month.spent,
        "forecast": {"value": told.month.value, "low": told.month.low, "high": told.month.high},
        "days": told.days,
        "method": METHOD,
        "reason": told.reason,
        "budget": budget or None,
        "within_budget": _within(told.month.low, told.month.high, budget),
    }


def _within(low: float | None, high: float | None, budget: float) -> bool | None:
    """True or False where the whole interval says so, None where it cannot be told or nothing was budgeted."""
    if budget <= 0.0 or low is None or high is None:
        return None
    return True if high <= budget else False if low > budget else None


def incidents(record: Record, since: datetime, until: datetime) -> tuple[dict[str, Any], ...]:
    """Incidents that were detected in the week, and older ones still open at the pin."""
    return tuple(
        incident_json(row)
        for row in record.incidents
        if since <= row.detected_at < until or (row.detected_at < until and is_open(row))
    )


def drills(record: Record, since: datetime, until: datetime) -> tuple[dict[str, Any], ...]:
    """Drills recorded in the week, then the newest run before it of every other one (`earlier`); times are minutes of their story."""
    found: list[dict[str, Any]] = []
    before: dict[str, dict[str, Any]] = {}
    for row in record.rows_of("drill"):
        told = [_drill(row, one) for one in row["payload"].get("drills", ())]
        if since <= from_text(row["at"]) < until:
            found += told
        elif from_text(row["at"]) < since:
            before |= {str(one["name"]): one | {"earlier": True} for one in told}
    names = {one["name"] for one in found}
    return (*found, *(one for name, one in sorted(before.items()) if name not in names))


def _drill(row: Row, one: Mapping[str, Any]) -> dict[str, Any]:
    minutes = one.get("minutes") or {}
    return {
        "drill_id": f"{one.get('name')}@{row['at']}",
        "name": one.get("name"),
        "passed": one.get("ok"),
        "started_at": row["at"],
        "actor": row["actor"],
        "failures": list(one.get("failures", ())),
        "decisions": list(one.get("decisions", ())),
        "minutes": dict(minutes),
    }


def decisions(record: Record, since: datetime, until: datetime) -> tuple[dict[str, Any], ...]:
    """What was decided in the week, by whom and why, from the audit log."""
    return tuple(
        {key: row[key] for key in ("at", "actor", "event", "subject", "reason")}
        for row in record.audit
        if since <= from_text(row["at"]) < until and row["event"] not in QUIET
    )


def owners(record: Record, policy: Policy, author: str | None) -> dict[str, Any]:
    """Who answers for what, what is still to be done, and what is set aside at the pin."""
    open_ones = [row for row in record.incidents if is_open(row)]
    actions = [
        {"what": row.title, "owner": _holder(record, row), "since": to_text(row.detected_at)} for row in open_ones
    ]
    return {
        "policy": policy.owner,
        "release_author": author or "",
        "programme": list(policy.programme.owners),
        "open_actions": actions,
        "overrides": [
            {"trigger": one.trigger, "actor": one.actor, "reason": one.reason, "until": to_text(one.until)}
            for one in record.overrides
            if one.is_active(record.moment)
        ],
        "contained": [] if record.rollout is None else list(record.rollout.contained),
    }


def _holder(record: Record, row: IncidentRow) -> str:
    events = ("incident_acknowledge", "incident_own")
    told = sorted(
        (one for event in events for one in record.rows_of(event, row.incident_id)), key=lambda one: one["seq"]
    )
    return str(told[-1]["payload"].get("owner", told[-1]["actor"])) if told else ""


def exposure(record: Record, until: datetime) -> dict[str, Any]:
    """Changes in front of customers in the last 90 days, how many failed, how soon that was found and contained, and who was exposed."""
    since = until - LOOK_BACK
    changes = change_fail(record.stages, since, until)
    rate = changes.rate
    mine = [row for row in record.incidents if since <= row.detected_at < until]
    detect = [(row.detected_at - row.onset_at).total_seconds() for row in mine if row.onset_at is not None]
    contain = [(_end(row) - row.detected_at).total_seconds() for row in mine if _contained(row)]
    exposed = [row.customers_exposed for row in mine if row.customers_exposed is not None]
    return {
        "days": LOOK_BACK.days,
        "releases": changes.changes,
        "failed": changes.failed,
        "change_fail_rate": None if rate is None else rate.estimate,
        "change_fail_low": None if rate is None else rate.low,
        "change_fail_high": None if rate is None else rate.high,
        "incidents": len(mine),
        "time_to_detect_s": median(detect) if detect else None,
        "time_to_contain_s": median(contain) if contain else None,
        "customers_exposed": sum(exposed) if exposed else (0 if not mine else None),
    }


def _contained(row: IncidentRow) -> bool:
    return row.cut_at is not None or row.verified_at is not None


def _end(row: IncidentRow) -> datetime:
    end = row.verified_at or row.cut_at
    assert end is not None
    return end
