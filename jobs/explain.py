"""`controlplane explain`: the last decisions with their evidence, where each stream stands, what the gate still asks."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Any

from controlplane.core.blocks import QUARTER_WEEKS
from controlplane.core.model import Rollout
from controlplane.core.policy import Policy
from controlplane.core.policy_switch import promised
from controlplane.core.streams import QUARTER
from controlplane.core.tripwire import said
from controlplane.store.state import StateReader
from jobs import actions
from jobs.ask_conversation import READ
from jobs.compose import open_state, policy_in_force, workspace_settings
from jobs.decisions import trigger_of
from jobs.power import smallest_found, words

DECISIONS = 10


def explanation(home: str | None, now: datetime) -> dict[str, Any]:
    """Plain values: status, decisions, streams (evidence over threshold, last block), certificates."""
    settings = workspace_settings(home, must_exist=True)
    with open_state(settings, now) as state:
        policy = policy_in_force(settings, state)
        rollout = state.rollout()
        return {
            "status": actions.status(state, policy, now),
            "decisions": [_decision(row) for row in state.audit_rows() if row["event"] != READ][-DECISIONS:],
            "streams": [] if rollout is None else streams(state, rollout, policy),
            "certificates": [] if rollout is None else certificates(state, rollout),
            "gate": None if rollout is None else asdict(policy.phase(rollout.phase)),
            "promise": _promise(state, rollout, policy),
        }


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("at", "actor", "event", "subject", "reason")} | {
        "payload": json.loads(row["payload"])
    }


def streams(state: StateReader, rollout: Rollout, policy: Policy) -> list[dict[str, Any]]:
    """The newest reading of every stream of the rollout and the smallest harm it could have found in this stage so far.

    A trigger that has closed no block yet is one without data.
    """
    newest: dict[tuple[str, str], dict[str, Any]] = {}
    ledger = state.ledger_rows(rollout.rollout_id)
    for row in ledger:
        for reading in json.loads(row["readings"]):
            newest[reading["trigger"], reading["segment"]] = reading | {"block_start": row["block_start"]}
    seen = {trigger for trigger, _ in newest}
    for trigger in policy.triggers:
        if trigger.name not in seen:
            newest[trigger.name, ""] = {
                "trigger": trigger.name,
                "segment": "",
                "verdict": "NO_DATA",
                "fired": False,
            } | dict.fromkeys(("log_e", "log_threshold", "block_start"))
    thresholds = {key: row["log_threshold"] for key, row in newest.items()}
    found = smallest_found(policy, rollout, ledger, thresholds)
    for (name, segment), harm in found.items():
        said = words(trigger_of(policy, name).kind, harm)
        newest[name, segment] |= {"smallest_found": harm, "could_have_found": said}
    return [newest[key] for key in sorted(newest)]


def certificates(state: StateReader, rollout: Rollout) -> list[dict[str, Any]]:
    """Where each certificate stands."""
    found = [
        standing
        for lane in state.lanes(rollout.rollout_id).values()
        for standing in lane.state.get("standings", {}).values()
    ]
    return sorted(found, key=lambda standing: str(standing["name"]))


def _promise(state: StateReader, rollout: Rollout | None, policy: Policy) -> str:
    """What holds now: of the quarter once the rollout is complete, and whatever policies it had before."""
    states = [] if rollout is None else [lane.state for lane in state.lanes(rollout.rollout_id).values()]
    quarter = max((int(one.get(QUARTER, 0)) for one in states), default=0)
    span = (
        f"over this quarter, the {quarter}. of {QUARTER_WEEKS} weeks since the completion"
        if quarter
        else f"over the planned {policy.budget.horizon_weeks:g} weeks"
    )
    bound = promised(states, policy, quarter)
    return f"a release that stays within its limits is ever rolled back with probability at most {bound:.3g} {span}"


def explanation_text(value: dict[str, Any]) -> str:
    """The explanation for people."""
    status = value["status"]
    lines = [
        f"served: {status.get('release', 'baseline')} {status.get('state', '')} {status.get('phase', '')} {status.get('share', 0):.0%}"
    ]
    lines.append(f"why: {status.get('reason', 'no rollout has been started')}")
    lines.append(f"promise: {value['promise']}")
    if status.get("overridden"):
        lines.append(f"overridden, these page instead of acting: {', '.join(status['overridden'])}")
    if status.get("contained"):
        lines.append(f"contained, these go to people: {', '.join(said(name) for name in status['contained'])}")
    if value["streams"]:
        lines.append(
            "evidence (natural log, against its threshold; the smallest harm that half of the time this stage had found by now):"
        )
    for item in value["streams"]:
        if item["log_threshold"] is None:
            lines.append(f"  {item['trigger']:24} {'':8} {'no block closed yet':>10}  {item['verdict']}")
            continue
        log_e = "no weight" if item["log_e"] is None else f"{item['log_e']:.2f}"
        mark = "FIRED" if item["fired"] else item["verdict"]
        where = f"{item['trigger']:24} {item['segment']:8} {log_e:>10} / {item['log_threshold']:.2f}"
        lines.append(f"  {where}  {mark:8} {item.get('could_have_found', '')}".rstrip())
    for item in value["certificates"]:
        mark = "certified" if item["certified"] else "not yet"
        lines.append(f"  certificate {item['name']:12} {item['log_e']:>10.2f} / {item['log_threshold']:.2f}  {mark}")
    lines.append("decisions:")
    lines += [f"  {row['at']}  {row['actor']:14} {row['event']:14} {row['reason']}" for row in value["decisions"]]
    return "\n".join(lines)
