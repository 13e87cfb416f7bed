"""`controlplane tick`: one heartbeat of the control process without `up`, for cron, drills and replays of the past.

It does what a heartbeat does (ingest what landed, close, judge, verify, notify) and publishes the snapshot. It takes the writer lease as `up`
does, and serves flags on a free loopback port for the moment, so that a cut is verified from outside.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from controlplane.core.sampling import grid_seconds
from controlplane.settings import SettingsError
from controlplane.store.landing import LandingWriter
from controlplane.store.queries import load
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import to_text
from controlplane.store.warehouse import Warehouse
from jobs import alerting, judging, publish, tick, triage
from jobs.compose import policy_in_force, workspace_settings
from jobs.console import clock
from jobs.control import API_SOURCE, flags_for_a_moment
from jobs.deps import Deps
from jobs.evaluate import Evaluation
from jobs.lease import held, refuse_second
from jobs.refused import Refused
from jobs.verify import Verification

FUTURE = timedelta(seconds=60)


def tick_command(home: str | None, policy_file: str | None, at: str | None) -> dict[str, Any]:
    """What the heartbeat did, as plain values. Raises Refused for an `at` before what is recorded, SettingsError for one that is no time."""
    settings = workspace_settings(home, policy_file, must_exist=True)
    if settings.workspace.kind() == "demo" and at is None:
        raise SettingsError(
            f"{settings.workspace.home} is a demo's workspace, with simulated time: name a moment with --at"
        )
    refuse_second(settings)
    now = clock() if at is None else _moment(at)
    state = StateWriter(settings.state_url)
    try:
        state.migrate(clock())
        with held(settings) as take:
            take(state)
            _refuse_past(state, now, given=at is not None)
            policy = policy_in_force(settings, state)
            with Warehouse.open(settings.workspace.facts) as warehouse:
                deps = Deps(settings, warehouse, state, policy)
                alerting.connect(deps)
                return _beat(deps, now)
    finally:
        state.close()


def _moment(text: str) -> datetime:
    wrong = SettingsError(f"--at {text!r} is no time with a zone: write it as 2026-01-05T09:00:00Z")
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise wrong from None
    if found.tzinfo is None:
        raise wrong
    if found > clock() + FUTURE:
        raise SettingsError(f"--at {text} lies in the future: --at is for replays of the past")
    return found


def _refuse_past(state: StateWriter, now: datetime, *, given: bool) -> None:
    """A moment before the newest record would rewrite what was decided. Without --at a clock that was set back is overruled by the record."""
    newest = state.newest_time()
    if given and newest is not None and now < newest:
        raise Refused(
            f"--at {to_text(now)} is older than the newest thing recorded, of {to_text(newest)}: name that or later"
        )


def _beat(deps: Deps, now: datetime) -> dict[str, Any]:
    _sign_off_api(deps, now)
    with flags_for_a_moment(deps, lambda: now):
        done = tick.run(deps, now)
    triage.run(deps, now)
    snapshot = publish.run(deps, now)
    judged = judging.run_once(deps, now) if grid_seconds(deps.policy) is not None else judging.Judged()
    return as_json(done.evaluation, done.verification, now) | {
        "stored": done.stored,
        "delivered": done.delivered,
        "judged": judged.judged,
        "snapshot": str(snapshot),
    }


def _sign_off_api(deps: Deps, now: datetime) -> None:
    """A control API that ended without saying so would keep every block waiting; nobody but this process is the API now."""
    with deps.warehouse.cursor() as cursor:
        rows = cursor.execute(load("decisions/live_source"), {"source": API_SOURCE}).fetchall()
    if rows:
        with LandingWriter(deps.landing, API_SOURCE) as landing:
            landing.sign_off(now)


def as_json(evaluation: Evaluation, verification: Verification | None, now: datetime) -> dict[str, Any]:
    """Plain values of a heartbeat's judging and verifying."""
    rollout, decision = evaluation.rollout, evaluation.decision
    said = None
    if decision is not None:
        said = {"event": decision.event, "reason": decision.reason, "trigger": decision.trigger}
    return {
        "at": to_text(now),
        "blocks": evaluation.blocks,
        "decision": said,
        "rollout": None if rollout is None else rollout.rollout_id,
        "state": None if rollout is None else str(rollout.state),
        "phase": None if rollout is None else rollout.phase,
        "share": 0.0 if rollout is None else rollout.share,
        "execution_enabled": False if rollout is None else rollout.execution_enabled,
        "version": 0 if rollout is None else rollout.version,
        "fresh": evaluation.fresh,
        "watermark": None if evaluation.watermark is None else to_text(evaluation.watermark),
        "verified": None if verification is None else bool(verification.verified),
        "verification": None if verification is None else verification.reason,
    }


def text(value: dict[str, Any]) -> str:
    """The heartbeat in words."""
    decision, verified = value["decision"], value["verified"]
    lines = [
        f"stored {value['stored']} records, closed {value['blocks']} blocks, told {value['delivered']} messages",
        "decision: none" if decision is None else f"decision: {decision['event']}: {decision['reason']}",
        "served: baseline, there is no rollout"
        if value["rollout"] is None
        else f"served: {value['rollout']} {value['state']} {value['phase']} at {value['share']:.0%}, version {value['version']}",
    ]
    if verified is not None:
        lines.append(f"cut {'verified' if verified else 'NOT verified yet'}: {value['verification']}")
    return "\n".join(lines)
