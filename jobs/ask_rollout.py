"""What the Rollout page asks of the control process: a trigger with another limit on the recorded ledger, the traffic in the facts, a backtest.

Nothing here changes a policy or a rollout. A what-if is answered and forgotten; a backtest is recorded like one from the command line, because every
recorded one counts at `release start` (`jobs.backtest_gate`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import groupby
from math import inf
from typing import Any

from controlplane.analysis.backtest import Request, backtest
from controlplane.analysis.backtest_html import page
from controlplane.analysis.backtest_ramp import TooLittleHistory
from controlplane.core.blocks import StageEvent
from controlplane.core.policy import Policy
from controlplane.core.what_if import Alarm, Recorded, Walk, changed, trigger_of, walk
from controlplane.store.state_rows import StageRow, from_text, to_text
from jobs import backtest_command
from jobs.backtest_gate import KIND
from jobs.backtest_history import histories
from jobs.deps import Deps
from jobs.evidence_ledger import TOLERANCE, counts_of
from jobs.policy_traffic import measured
from jobs.refused import Refused
from jobs.sql_command import select

LIMIT = 120_000  # blocks of one lane: more than ten weeks of minutes
POINTS = 240  # of a picture, per rollout
REPLAYS = (100, 5_000)
Progress = Callable[[float, str], None]


def what_if(deps: Deps, now: datetime, trigger: str, limit: float, weight: float) -> Mapping[str, Any]:
    """The trigger under the policy in force as it is, and with that limit and weight, on every rollout of the ledger.

    Each rollout: `release`, `blocks`, `since`, `until`, `acted` (when it was stopped, and how), `recorded` (first alarm on record), `exact` (whether
    the replay as it is gives the record), `now` and `then` (first alarm each), `points` [time, ratio now, ratio then]; or `left_out`, why not.
    Raises ValueError for a trigger, limit or weight that cannot be.
    """
    policy = deps.policy
    known = trigger_of(policy, trigger)
    other = changed(policy, trigger, limit, weight)
    rows = deps.state.ledger_of_lane(known.lane, LIMIT)
    whole = len(rows) < LIMIT
    told = []
    ids = list(dict.fromkeys(row["rollout_id"] for row in rows))
    for rollout_id in ids:
        mine = [row for row in rows if row["rollout_id"] == rollout_id]
        cut = not whole and rollout_id == rows[0]["rollout_id"]
        told.append(_rollout(deps, (policy, other), trigger, rollout_id, mine, cut))
    alphas = [{one.name: p.alpha(one, "all") for one in p.triggers} for p in (policy, other)]
    return {
        "policy_hash": policy.hash,
        "trigger": trigger,
        "now": {"limit": known.limit, "weight": known.weight, "alpha": alphas[0][trigger]},
        "then": {"limit": limit, "weight": weight, "alpha": alphas[1][trigger]},
        "blocks": len(rows),
        "rollouts": told[::-1],
    }


def _rollout(
    deps: Deps,
    policies: tuple[Policy, Policy],
    name: str,
    rollout_id: str,
    rows: Sequence[Mapping[str, Any]],
    cut: bool,
) -> dict[str, Any]:
    stages = deps.state.stages(rollout_id)
    history = [StageEvent(row.version, row.event, row.state, row.started_at, row.share) for row in stages]
    recorded, said = _recorded(policies[0], name, rows)
    about = {"rollout_id": rollout_id, "release": stages[0].release, "blocks": len(recorded)}
    if cut or not recorded:
        why = f"only the newest {LIMIT:,} blocks are read" if cut else "this trigger was not counted"
        return about | {"left_out": why}
    try:
        today, then = (walk(policy, name, history, recorded) for policy in policies)
    except ValueError as error:
        if any(row["policy_hash"] != policies[0].hash for row in rows):
            return about | {"left_out": f"it was counted under another policy: {error}"}
        raise
    first = next((one.closed_at for one, fired in zip(recorded, said["fired"], strict=True) if fired), None)
    return about | {
        "since": recorded[0].start,
        "until": recorded[-1].start + recorded[-1].span,
        "acted": _acted(stages),
        "recorded": first,
        "exact": _same(today, said["log_e"]),
        "now": _alarm(today.first),
        "then": _alarm(then.first),
        "points": _points(recorded, today, then),
    }


def _recorded(
    policy: Policy, name: str, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[Recorded], dict[str, list[Any]]]:
    """Blocks in which the trigger counted the metric of now, and what it read then: evidence of all traffic, and whether any stream fired."""
    metric = trigger_of(policy, name).metric
    found: list[Recorded] = []
    said: dict[str, list[Any]] = {"log_e": [], "fired": []}
    for row in rows:
        counts = {key: one for key, one in counts_of(row).items() if key[0] == name and one.metric == metric}
        readings = [one for one in json.loads(row["readings"]) if one["trigger"] == name]
        if not counts or not readings:
            continue
        moments = from_text(row["block_start"]), from_text(row["closed_at"])
        found.append(Recorded(moments[0], timedelta(seconds=row["span_seconds"]), moments[1], counts))
        said["log_e"].append(next((one["log_e"] for one in readings if one["segment"] == "all"), None))
        said["fired"].append(any(one["fired"] for one in readings))
    return found, said


def _same(walked: Walk, said: Sequence[float | None]) -> bool:
    """Whether the evidence comes out as recorded, to the tolerance of `evidence replay`."""
    pairs = zip(walked.log_e, said, strict=True)
    return all(a == -inf if b is None else abs(a - b) <= TOLERANCE * max(1.0, abs(b)) for a, b in pairs)


def _acted(stages: Sequence[StageRow]) -> dict[str, Any] | None:
    """The first time that the rollout was stopped: what happened, and when."""
    stops = ("rollback", "hold", "disable_execution")
    row = next((row for row in stages if row.event in stops), None)
    return None if row is None else {"event": row.event, "at": row.started_at}


def _alarm(alarm: Alarm | None) -> dict[str, Any] | None:
    return None if alarm is None else asdict(alarm)


def _points(recorded: Sequence[Recorded], today: Walk, then: Walk) -> list[list[Any]]:
    """At most POINTS of them; of blocks that share one, the strongest evidence of each side."""
    rows = list(zip((one.start + one.span for one in recorded), today.ratios(), then.ratios(), strict=True))
    size = -(-len(rows) // POINTS)
    parts = (list(part) for _, part in groupby(enumerate(rows), key=lambda pair: pair[0] // size))
    return [[part[-1][1][0], *(max(row[side] for _, row in part) for side in (1, 2))] for part in parts]


def traffic(deps: Deps, now: datetime) -> Mapping[str, Any]:
    """The traffic of the last two weeks as `policy plan` measures it in the facts. Raises Refused where there is too little of it."""
    with deps.warehouse.cursor() as cursor:
        found = measured(deps.policy, lambda query: select(cursor, query))
    if found is None:
        raise Refused("there is too little traffic in the facts to forecast for; give a figure yourself")
    return asdict(found)


def run_backtest(
    deps: Deps, now: datetime, actor: str, replays: int = 2_000, progress: Progress = lambda _part, _text: None
) -> Mapping[str, Any]:
    """Try the policy in force on the workspace's history, write the report and record the result; `artefact`, `verdict`, `failing`, `seconds`.

    Raises Refused where the history shows nothing, ValueError for a number of replays out of bounds.
    """
    if isinstance(replays, bool) or not isinstance(replays, int) or not REPLAYS[0] <= replays <= REPLAYS[1]:
        raise ValueError(f"replays: from {REPLAYS[0]} to {REPLAYS[1]:,}")
    began = time.monotonic()
    policy, windows = deps.policy, backtest_command.recorded_incidents(deps.state)
    progress(0.01, "reading the history")
    history, recorded = histories(deps.warehouse, "baseline", both=bool(windows))
    request = Request(replays, deploys=backtest_command.known_deploys(deps.state), windows=windows)
    try:
        result = backtest(
            policy, history, request, recorded, lambda _, done, of: progress(done / of, f"{done:,} of {of:,}")
        )
    except TooLittleHistory as error:
        raise Refused(f"too little history for a backtest: {error}") from None
    backtest_command.complete(result, "workspace", now, began)
    artefact = _unused(deps, backtest_command.name_of(policy, now))
    out = deps.settings.workspace.reports / KIND / f"{artefact}.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(result | {"report": str(out)}), encoding="utf-8")
    backtest_command.record(deps.state, artefact, str(out), policy, result, actor, now)
    verdict = result["false_rollback"]["verdict"]
    return {
        "artefact": artefact,
        "verdict": verdict,
        "failing": result["failing"],
        "seconds": result["seconds"],
        "at": to_text(now),
    }


def _unused(deps: Deps, name: str) -> str:
    """The name, numbered where a backtest has it already: a simulated clock may stand still."""
    taken = {row.artefact_id for row in deps.state.artefacts(KIND)}
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(one for one in names if one not in taken)
