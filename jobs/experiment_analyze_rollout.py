"""The arms of a rollout as an experiment, from the facts: the units that the decisions count, eligible and decided before the outcome was known.

- Never pooled over the ramp: the treated arm's share and the baseline both change with time, so totals would show differences that are not there
  (Simpson). Differences are taken within each stage and share, and averaged with the weights nT nC/(nT + nC).
- A unit counts for a metric once its maturity has passed, and with what became known within it: else the arm whose customers answer later looks other
  than it is. The maturity is the longest of the policy's for that metric, else the catalogue's.
- The split is tested against the share configured in each stage, not against equal shares.
- A conversation has no past of its own. What CUPED takes out is what the baseline would lead one to expect of it, from its first intent and segment,
  learnt on the other half of the conversations (cross-fitting; docs/adr/0039).
- Quantiles cannot be averaged over stages, so their differences are told stage by stage.

Nothing here decides: rollbacks and promotions come from the evidence engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import duckdb
from duckdb import ColumnExpression, ConstantExpression

from controlplane.analysis.experiment_analysis import MISMATCH, analyse
from controlplane.analysis.experiment_quantiles import quantiles as quantiles_of
from controlplane.analysis.experiment_request import ExperimentError, Measure, Request
from controlplane.analysis.experiment_request import goals as goals_of
from controlplane.analysis.experiment_source import units
from controlplane.core.blocks import StageEvent, spans
from controlplane.core.estimates_compare import anytime_p
from controlplane.core.estimates_split import split_over_stages
from controlplane.core.metrics import METRICS, Direction
from controlplane.core.policy import Policy
from controlplane.settings import SettingsError
from controlplane.store.queries import load
from controlplane.store.utc import to_aware, to_naive
from jobs.closing import stage_key
from jobs.deps import Deps

MEASURES = ("escalation_rate", "contact_rate", "csat", "csat_response_rate", "resolution_rate", "resolution_time")
SEGMENTS = ("segment", "intent", "region", "channel")
TREATED, CONTROL = "assistant", "baseline"
TOLD_WITH = {
    "csat_response_rate": ("csat",),
    "resolution_rate": ("csat",),
    "resolution_time": ("resolution_rate", "csat"),
}
"""What arrives together with another label and is waited for as long; the pages count the same (`dashboards.measures`)."""
MOST_STAGES = 12
"""Stages whose quantiles are told: the newest ones."""

Answer = dict[str, Any]


def measure(
    deps: Deps,
    now: datetime,
    *,
    rollout: str = "",
    metrics: Sequence[str] = (),
    segments: Sequence[str] = (),
    goals: Sequence[str] = (),
    judged: Mapping[str, Any] | None = None,
    stage: str = "",
    cuped: bool = False,
    quantiles: Mapping[str, Sequence[float]] | None = None,
) -> Answer:
    """The answer for a rollout, "" = the newest with units; see `analyse`. Raises SettingsError for what cannot be analysed.

    stage: key of one stage ("ROLLOUT/VERSION"), "" = all. quantiles: metric -> quantiles in (0, 1), told for each of the newest stages.
    """
    cursor = deps.warehouse.cursor()
    try:
        name, *others = _rollout(cursor, rollout)
        newest = cursor.execute(load("experiment/rollout_as_of")).fetchall()[0][0]
        as_of = now if newest is None else min(now, to_aware(newest))
        matured = {metric: maturity(deps.policy, metric) for metric in MEASURES}
        seconds = {metric: int(length.total_seconds()) for metric, length in matured.items()}
        cursor.execute(load("experiment/rollout_create"), {"rollout": name, "as_of": to_naive(as_of), **seconds})
        if stage:
            _only(cursor, stage)
        if cuped:
            cursor.execute(load("experiment/rollout_expected"))
        ratio = _sample_ratio(cursor, deps, name, bool((judged or {}).get("anytime")))
        request = _request(metrics, segments, goals, judged or {}, cuped)
        found = analyse(units(cursor, cursor.table("experiment_units"), request), request, ratio)
        if quantiles:
            found["quantiles"] = _quantiles(cursor, request, quantiles, bool(found["trusted"]))
    except ExperimentError as error:
        raise SettingsError(f"the rollout cannot be analysed: {error}") from None
    finally:
        cursor.close()
    notes = [
        "compared within each stage and share, averaged by nT nC/(nT + nC): totals over a ramp would mislead (Simpson)"
    ]
    notes.append(
        f"counts what was known on {as_of:%Y-%m-%d %H:%M} UTC; a unit counts for a metric once its maturity has passed"
    )
    if others:
        notes.append(f"the newest rollout; there are also {', '.join(others)}")
    told = {
        "source": "rollout",
        "rollout": name,
        "as_of": as_of.isoformat(),
        "policy_hash": deps.policy.hash,
        "notes": notes,
    }
    return {**told, "maturity_seconds": {key: seconds[key] for key in found["metrics"]}, **found}


def maturity(policy: Policy, name: str) -> timedelta:
    """How long the label of a metric is waited for: the longest that the policy waits for it or for what it is told with, else the catalogue's."""
    for asked in (name, *TOLD_WITH.get(name, ())):
        said = [item.maturity_minutes for item in policy.triggers if item.metric == asked]
        said += [item.maturity_minutes for item in policy.certificates if item.metric == asked]
        if said:
            return timedelta(minutes=max(said))
    return METRICS[name].maturity


def _rollout(cursor: duckdb.DuckDBPyConnection, asked: str) -> list[str]:
    """The rollout asked for; else the newest, and the others after it."""
    known = [str(row[0]) for row in cursor.execute(load("experiment/rollout_known")).fetchall()]
    if not known:
        raise SettingsError("no unit has been counted yet: start a rollout and let a start block close")
    if asked and asked not in known:
        raise SettingsError(f"no rollout {asked!r} has units; there are {', '.join(known)}")
    return [asked] if asked else known


def _request(
    metrics: Sequence[str], segments: Sequence[str], wanted: Sequence[str], judged: Mapping[str, Any], cuped: bool
) -> Request:
    for option, names, known in (("--metrics", metrics, MEASURES), ("--segment", segments, SEGMENTS)):
        for name in names:
            if name not in known:
                raise ExperimentError(f"{option} {name!r}: a rollout has {', '.join(known)}")
    chosen = tuple(metrics) or MEASURES
    return Request(
        unit="conversation_id",
        arm="arm",
        measures=tuple(_measure(name, cuped) for name in chosen),
        control=CONTROL,
        segments=tuple(segments),
        strata="stage",
        time="started_at",
        goals=goals_of(wanted),
        **judged,
    )


def _measure(name: str, cuped: bool) -> Measure:
    before = f"expected_{name}" if cuped else None
    return Measure(name, name, before=before, lower=METRICS[name].direction is Direction.LOWER)


def _only(cursor: duckdb.DuckDBPyConnection, stage: str) -> None:
    """Leave the units of one stage."""
    known = {str(key) for key, _, _ in cursor.execute(load("experiment/rollout_stages")).fetchall()}
    if stage not in known:
        raise SettingsError(f"no stage {stage!r} has units; there are {', '.join(sorted(known))}")
    cursor.execute(load("experiment/rollout_one_stage"), {"stage": stage})


def _quantiles(
    cursor: duckdb.DuckDBPyConnection, request: Request, asked: Mapping[str, Sequence[float]], trusted: bool
) -> list[Answer]:
    """Differences of quantiles within each stage and share that has both arms, the newest stages first."""
    chosen = replace(
        request,
        measures=tuple(_measure(name, cuped=False) for name in asked),
        segments=(),
        goals={},
        strata="",
        quantiles={name: tuple(values) for name, values in asked.items()},
    )
    table = cursor.table("experiment_units")
    found: list[Answer] = []
    for name, begun in cursor.execute(load("experiment/rollout_strata")).fetchall()[:MOST_STAGES]:
        one = table.filter(ColumnExpression("stage") == ConstantExpression(name))
        rows = quantiles_of(units(cursor, one, chosen), chosen, CONTROL, trusted)
        found += [{"stage": name, "since": to_aware(begun).isoformat(), **row} for row in rows]
    return found


def _sample_ratio(cursor: duckdb.DuckDBPyConnection, deps: Deps, name: str, anytime: bool) -> Answer:
    """Units per stage against the share that was configured there."""
    rows = deps.state.stages(name)
    events = [StageEvent(row.version, row.event, row.state, row.started_at, row.share) for row in rows]
    configured = {stage_key(name, span.version): span.share for span in spans(events)}
    stages = [
        {"stage": key, "treated": int(t), "control": int(c), "share": configured.get(key)}
        for key, t, c in cursor.execute(load("experiment/rollout_stages")).fetchall()
    ]
    found = split_over_stages([(s["treated"], s["control"], s["share"]) for s in stages if s["share"] is not None])
    if found is None:
        raise ExperimentError("no stage has drawn lots yet: every share so far was 0 or all")
    at_any_time = anytime_p(found.log_e)
    return {
        "stages": stages,
        "shares_are": "configured per stage",
        "expected": {TREATED: found.expected, CONTROL: found.units - found.expected},
        "counted": {TREATED: found.treated, CONTROL: found.units - found.treated},
        "p": found.p,
        "anytime_p": at_any_time,
        "limit": MISMATCH,
        "mismatch": (at_any_time if anytime else found.p) < MISMATCH,
    }
