"""What the demo prints: the timeline, what each trigger saw, and the same as one JSON object."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from alerts.wiring import CONSOLE
from controlplane.store.queries import load
from controlplane.store.state_outbox import is_copy
from controlplane.store.state_rows import IncidentRow
from jobs import after_report, weekly, weekly_sign
from jobs.demo_evaluation import evaluation_json
from jobs.deps import Deps
from jobs.moments import week_bounds, week_of
from jobs.story import Story


def result(deps: Deps, story: Story, seconds: float) -> dict[str, Any]:
    """The story in plain values; `rollback` is None when there was none."""
    with deps.warehouse.cursor() as cursor:
        interactions, conversations = cursor.execute(load("decisions/volume")).fetchall()[0]
    breaks = deps.state.verify_chains()
    return {
        "interactions": interactions,
        "conversations": conversations,
        "phases": phases(deps),
        "rollback": rollback(deps, story),
        "evaluations": [evaluation_json(row) for row in story.offline.runs],
        "audit_ok": all(found is None for found in breaks.values()),
        "review": review(deps),
        "report": report(deps),
        "alerts": sum(item.status == "sent" and not is_copy(item) for item in deps.state.outbox()),
        "seconds": round(seconds, 1),
    }


def write_report(deps: Deps, now: datetime) -> None:
    """The post-incident report, as an engineer on call writes it; nothing where nothing was rolled back."""
    row = _incident(deps)
    if row is not None:
        after_report.write(deps, now, incident=row.incident_id, actor="demo")


def report(deps: Deps) -> dict[str, Any] | None:
    """The post-incident report: what the triage thinks the cause was, and where the page is; None where nothing was rolled back."""
    row = _incident(deps)
    if row is None:
        return None
    document = after_report.document(deps, row, row.reviewed_at or row.detected_at)
    causes = document["causes"].get("causes", [])
    return {
        "incident": row.incident_id,
        "state": row.state,
        "seconds": document["seconds"],
        "cause": causes[0]["kind"] if causes else None,
        "line": document["causes"].get("line"),
        "page": str(after_report.report_path(deps.reports, row.incident_id)),
    }


def pin_review(deps: Deps, now: datetime) -> None:
    """The weekly review of the week so far, as on any Monday, with its page; nobody is posted to."""
    since, until = week_bounds(week_of(now))
    pinned = weekly.pin(deps, now, since, until, actor="demo")
    weekly_sign.file_page(deps.reports, weekly_sign.find(deps.state, pinned.review_id))


def review(deps: Deps) -> dict[str, Any] | None:
    """The newest pinned review: its id and hash, what leadership reads first, and where its page is; None where none was pinned."""
    if not weekly_sign.rows(deps.state):
        return None
    kept = weekly_sign.find(deps.state, weekly_sign.LATEST)
    return {
        "id": kept.review_id,
        "document_hash": kept.document_hash,
        "headline": kept.document["words"]["headline"],
        "success": {item["measure"]: item["movement"] for item in kept.document["success"]},
        "page": str(deps.reports / weekly.KIND / f"{kept.review_id}.html"),
    }


def phases(deps: Deps) -> list[str]:
    """Phases in the order they were entered, over all rollouts of the story."""
    rows = [row for row in deps.state.export()["stages"] if row["event"] in ("start", "restart", "promote")]
    names = [str(row["phase"]) for row in sorted(rows, key=lambda row: int(row["version"]))]
    return names[:1] + [later for earlier, later in pairwise(names) if later != earlier]


def _incident(deps: Deps) -> IncidentRow | None:
    return next((row for row in deps.state.incidents() if row.cut_at is not None), None)


def rollback(deps: Deps, story: Story) -> dict[str, Any] | None:
    """Times on the story's clock; `onset` is when the bad change went in, `onset_estimated` what the evidence says."""
    row = _incident(deps)
    if row is None:
        return None
    return {
        "trigger": row.trigger,
        "onset": _iso(story.bad_at or row.onset_at),
        "detected": _iso(row.detected_at),
        "cut": _iso(row.cut_at),
        "verified": _iso(row.verified_at),
        "alerted": _iso(row.alerted_at),
        "customers_exposed": row.customers_exposed,
        "onset_estimated": _iso(row.onset_at),
        "incident": row.incident_id,
        "saw": saw(deps, row),
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def saw(deps: Deps, row: IncidentRow) -> list[dict[str, Any]]:
    """The newest reading of each stream up to the cut, with the counts of the rollout so far."""
    newest: dict[str, dict[str, Any]] = {}
    for entry in deps.state.ledger_rows(row.rollout_id):
        if row.cut_at is not None and entry["closed_at"] > row.cut_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"):
            continue
        for reading in json.loads(entry["readings"]):
            newest[f"{reading['trigger']}|{reading['segment']}"] = reading
    keys = ("trigger", "segment", "log_e", "log_threshold", "fired")
    return [{key: newest[name][key] for key in keys} for name in sorted(newest)]


def show(deps: Deps, story: Story, found: dict[str, Any], alerts_path: str) -> None:
    """The timeline for people, on stdout."""
    console = Console()
    console.rule("what happened (story time, UTC)")
    for line in story.told:
        console.print(line, highlight=False, markup=False)
    row = found["rollback"]
    if row is not None:
        console.rule("the rollback")
        for name in ("onset", "detected", "cut", "verified", "alerted"):
            console.print(f"  {name:10} {row[name]}", highlight=False)
        console.print(f"  trigger    {row['trigger']}; customers exposed: {row['customers_exposed']}", highlight=False)
        console.print(_streams(row["saw"]))
        console.rule("what the engineer on call was told")
        console.print(Path(alerts_path).read_text(encoding="utf-8"), highlight=False, markup=False)
        for line in told_elsewhere(deps):
            console.print(f"  {line}", highlight=False, markup=False)
    if found["report"] is not None:
        console.rule("the post-incident report")
        console.print(f"  {found['report']['line']}", highlight=False, markup=False)
        console.print(f"  page: {found['report']['page']}", highlight=False, markup=False, soft_wrap=True)
    if found["review"] is not None:
        console.rule("the weekly review, so far")
        console.print(f"  {found['review']['headline']}", highlight=False, markup=False)
        console.print(f"  page: {found['review']['page']}", highlight=False, markup=False, soft_wrap=True)
    console.rule("sums")
    text = "{interactions:,} interactions in {conversations:,} conversations, {alerts} alerts, {seconds} s".format(
        **found
    )
    console.print(f"{text}; record {'whole' if found['audit_ok'] else 'BROKEN'}", highlight=False)


def told_elsewhere(deps: Deps) -> list[str]:
    """What other receivers than the console took, in one line each: how many messages of their own and how many entries in threads."""
    receipts = [item.receipt for item in deps.state.outbox() if item.status == "sent" and item.receipt]
    names = dict.fromkeys(str(receipt["receiver"]) for receipt in receipts)
    lines = []
    for name in names:
        mine = [bool(receipt.get("parent")) for receipt in receipts if receipt["receiver"] == name]
        if name != CONSOLE:
            lines.append(
                f"{name}: {sum(mine)} message(s), updated in place, with {len(mine) - sum(mine)} entries in their threads"
            )
    return lines


def _streams(rows: list[dict[str, Any]]) -> Table:
    table = Table(
        "trigger", "log evidence", "threshold", "", title="what each trigger saw at the cut", title_justify="left"
    )
    for row in rows:
        value = "none" if row["log_e"] is None else f"{row['log_e']:.2f}"
        table.add_row(row["trigger"], value, f"{row['log_threshold']:.2f}", "FIRED" if row["fired"] else "")
    return table
