"""Statements about the record that a drill can check: those that hold in every drill, and those that an incident of the catalogue names."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from controlplane.core.blocks import spans
from controlplane.core.judge import AUTOMATIC
from controlplane.core.model import RolloutState
from controlplane.simulation.incidents import LogsLost, SlackDown, StateLocked
from controlplane.store.queries import load
from controlplane.store.state_rows import from_text
from jobs.drill_stage import BEGIN, CLIENT_POLL, Stage
from jobs.evaluate import stage_events


def _blocks(stage: Stage) -> dict[str, list[tuple[datetime, datetime]]]:
    lanes: dict[str, list[tuple[datetime, datetime]]] = {}
    for entry in stage.deps.state.ledger_rows():
        start = from_text(entry["block_start"])
        lanes.setdefault(entry["lane"], []).append((start, start + timedelta(seconds=entry["span_seconds"])))
    return lanes


def always(stage: Stage) -> dict[str, str]:
    """What holds in every drill: blocks lie end to end, none spans a change of the share or spends weight without data, none accuses anybody
    before harm began, only people grow."""
    ledger = stage.deps.state.ledger_rows()
    found = _weight(ledger) | too_early(ledger, stage.incident.onset)
    rollout = stage.deps.state.rollout()
    changes = [] if rollout is None else [span.start for span in spans(stage_events(stage.deps, rollout))]
    for lane, blocks in _blocks(stage).items():
        gaps = [earlier for earlier, later in pairwise(blocks) if earlier[1] != later[0]]
        mixed = [block for block in blocks for change in changes if block[0] < change < block[1]]
        if gaps or mixed:
            found[lane] = f"blocks with a gap or an overlap behind {gaps}, or over a change of the share {mixed}"
    grown = [row for row in stage.deps.state.audit_rows() if row["event"] in ("promote", "start", "restart")]
    if any(row["actor"] == AUTOMATIC for row in grown):
        found["growth"] = "the automatic actor grew the rollout"
    return found


def too_early(ledger: list[dict[str, Any]], onset: float | None) -> dict[str, str]:
    """A trigger that fires on a block from before the onset finds something, but not the harm of the drill."""
    if onset is None:
        return {}
    found: dict[str, str] = {}
    for entry in ledger:
        start = from_text(entry["block_start"])
        if start + timedelta(seconds=entry["span_seconds"]) <= BEGIN + timedelta(minutes=onset):
            fired = [one["trigger"] for one in json.loads(entry["readings"]) if one["fired"]]
            found |= dict.fromkeys(fired, f"fired on the block at {entry['block_start']}, before harm began")
    return found


def _cut_short(stage: Stage) -> str:
    short = [b for blocks in _blocks(stage).values() for b in blocks if b[1] - b[0] < timedelta(seconds=60)]
    return "" if short else "no block was cut short by the step"


def _weight(ledger: list[dict[str, Any]]) -> dict[str, str]:
    """A block without comparable data spends no weight."""
    found: dict[str, str] = {}
    spent: dict[tuple[str, str], float] = {}
    for entry in ledger:
        for reading in json.loads(entry["readings"]):
            key = (reading["trigger"], reading["segment"])
            if reading["verdict"] == "NO_DATA" and reading["weight_spent"] > spent.get(key, 0.0):
                found[f"{key[0]} ({key[1]})"] = (
                    f"spent weight on the block at {entry['block_start']}, which has no data"
                )
            spent[key] = reading["weight_spent"]
    return found


def _contained(stage: Stage) -> str:
    """The contained subject reaches nobody but people from the decision on, the other one still does."""
    (row,) = [item for item in stage.deps.state.incidents() if item.trigger == "tripwire"]
    deadline = row.detected_at + timedelta(seconds=stage.policy.watch.client_poll_seconds)
    after = [item.intent for item in stage.lines.treated if item.at > deadline]
    category = stage.deps.state.containments()[0].category
    if category in after:
        return f"{after.count(category)} conversations about {category} reached the assistant behind its containment"
    return "" if after else "nothing reached the assistant any more: more was contained than the category"


def _paged_first(stage: Stage) -> str:
    """What was set aside is told to people while it does not act."""
    rows = stage.deps.state.incidents()
    pages = [
        item.created_at for item in stage.deps.state.outbox() if ":page:" in item.outbox_id and item.status == "sent"
    ]
    return "" if rows and pages and min(pages) < rows[-1].detected_at else "nobody was paged before the trigger acted"


def _policies(stage: Stage) -> str:
    hashes = {entry["policy_hash"] for entry in stage.deps.state.ledger_rows()}
    return "" if len(hashes) == 2 else f"blocks were judged by {len(hashes)} policies, expected the old and the new one"


def _some(query: str, what: str) -> Callable[[Stage], str]:
    def look(stage: Stage) -> str:
        with stage.deps.warehouse.cursor() as cursor:
            return "" if cursor.execute(load(query)).fetchall()[0][0] else f"there is none: {what}"

    return look


def _silent_while_locked(stage: Stage) -> str:
    """Nobody reads the flag while another process has the whole file: behind its greatest age customers get the baseline."""
    (lock,) = [act for act in stage.incident.acts if isinstance(act, StateLocked) and act.whole]
    too_old = timedelta(seconds=stage.policy.watch.flag_max_age_seconds) + CLIENT_POLL
    since, until = BEGIN + timedelta(minutes=lock.at) + too_old, BEGIN + timedelta(minutes=lock.until)
    served = [one for one in stage.lines.treated if since < one.at < until]
    return f"{len(served)} conversations reached the assistant while nobody could read the flag" if served else ""


def _one_thread(stage: Stage) -> str:
    """In Slack: one parent per incident, no message twice, and every message of the outbox that Slack has taken is there."""
    if stage.slack is None:
        return "nobody is told in Slack in this drill"
    items = {item.outbox_id: item for item in stage.deps.state.outbox()}
    owners = [items[one.outbox_id].incident_id for one in stage.slack.parents if one.outbox_id in items]
    ids = [one.outbox_id for one in stage.slack.posted]
    incidents = [row.incident_id for row in stage.deps.state.incidents()]
    found = [f"{owners.count(name)} parents of {name}" for name in incidents if owners.count(name) != 1]
    found += [f"{name} stands there {ids.count(name)} times" for name in sorted({x for x in ids if ids.count(x) > 1})]
    there = {one.ts for one in stage.slack.posted}
    taken = [item for item in items.values() if item.status == "sent" and item.receiver == "slack"]
    found += [f"{item.outbox_id} is not there" for item in taken if str((item.receipt or {}).get("ts")) not in there]
    return "; ".join(found) or ("" if taken else "Slack was told nothing")


def _cut_did_not_wait(stage: Stage) -> str:
    """Whoever looked at the state when Slack was first asked, and refused, saw the cut: it is committed before anybody is told."""
    if stage.slack is None:
        return "nobody is told in Slack in this drill"
    refused = [knock for knock in stage.slack.knocks if knock.became != "ok"]
    if len({knock.became for knock in refused}) < 3:
        return f"Slack was refused in {len(refused)} tries only: not every way of failing was met"
    early = [knock for knock in refused if knock.seen != RolloutState.ROLLED_BACK]
    return f"the rollout was {early[0].seen} when Slack was first asked" if early else ""


def _told_meanwhile(stage: Stage) -> str:
    """While Slack was down the next receiver of the route told people."""
    (outage,) = [act for act in stage.incident.acts if isinstance(act, SlackDown)]
    rows, end = stage.deps.state.incidents(), BEGIN + timedelta(minutes=outage.until)
    late = [row.incident_id for row in rows if row.alerted_at is None or row.alerted_at >= end]
    return f"nobody was told of {late[0]} before Slack was back" if late else ""


def _gap(stage: Stage) -> str:
    """Blocks of the time that was never logged are closed without data: they neither pass nor accuse."""
    (lost,) = [act for act in stage.incident.acts if isinstance(act, LogsLost)]
    since, until = (BEGIN + timedelta(minutes=minute) for minute in (lost.at, lost.until))
    blocks = 0
    for entry in stage.deps.state.ledger_rows():
        start = from_text(entry["block_start"])
        if start < since or start + timedelta(seconds=entry["span_seconds"]) > until:
            continue
        blocks += 1
        known = [one["trigger"] for one in json.loads(entry["readings"]) if one["verdict"] != "NO_DATA"]
        if known:
            return f"{known[0]} has a verdict on the block at {entry['block_start']}, of which nothing was logged"
    return "" if blocks else "no block lies in the time that was never logged"


STATEMENTS = MappingProxyType(
    {
        "a block is cut short": _cut_short,
        "late conversations are excluded": _some("drill/late", "late conversation"),
        "the category is contained": _contained,
        "it pages before it acts": _paged_first,
        "two policies in the ledger": _policies,
        "repeats are excluded": _some("drill/repeats", "repeat visit"),
        "the baseline while nobody reads": _silent_while_locked,
        "one parent per incident": _one_thread,
        "the cut did not wait": _cut_did_not_wait,
        "told by another way meanwhile": _told_meanwhile,
        "the gap has no verdict": _gap,
    }
)
