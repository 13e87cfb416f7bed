"""`controlplane evidence replay`: recompute counts, evidence and automatic decisions from what they were made of, and compare. Read-only.

Counts come from the facts, evidence from the counts of the ledger, decisions from the evidence; policies by their hash, stage history, audit log
and overrides are the rest of the record. Everything runs through the code that decides live.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from controlplane.core.blocks import StageEvent
from controlplane.core.policy import Policy
from controlplane.settings import Settings, SettingsError
from controlplane.store.state import StateReader
from controlplane.store.warehouse import Warehouse
from jobs import evidence_decisions, evidence_facts, evidence_ledger
from jobs.compose import registered_policy, workspace_settings
from jobs.console import stderr
from jobs.evidence_ledger import Difference, Row

SHOWN = 20


def run(home: str | None, rollout_id: str | None, *, facts: bool, ledger: bool) -> dict[str, Any]:
    """Verify one rollout, or all that have a ledger. Raises SettingsError for a rollout or a policy that the state does not have."""
    began = time.monotonic()
    settings = workspace_settings(home, must_exist=True)
    state = StateReader(settings.state_url)
    try:
        with _progress() as advance:
            return _run(settings, state, rollout_id, facts, ledger, advance) | {
                "seconds": round(time.monotonic() - began, 2)
            }
    finally:
        state.close()


def _run(
    settings: Settings,
    state: StateReader,
    rollout_id: str | None,
    facts: bool,
    ledger: bool,
    advance: Callable[[str, int, int], None],
) -> dict[str, Any]:
    rows: dict[str, list[Row]] = {}
    for row in state.ledger_rows(rollout_id):
        rows.setdefault(row["rollout_id"], []).append(_readable(row))
    if rollout_id is not None and not rows:
        known = ", ".join(sorted({row["rollout_id"] for row in state.ledger_rows()})) or "none yet"
        raise SettingsError(f"the evidence ledger has no rollout '{rollout_id}'; it has {known}")
    differences = [
        Difference("chain", "", name, f"row {broken.seq}", "a whole chain", broken.reason)
        for name, broken in state.verify_chains().items()
        if broken is not None
    ]
    warehouse = Warehouse.open(settings.workspace.facts, read_only=True) if facts and rows else None
    try:
        verified = [_rollout(state, key, rows[key], warehouse, ledger, advance, differences) for key in rows]
    finally:
        if warehouse is not None:
            warehouse.close()
    unexplained = [difference for difference in differences if not difference.explained]
    return {
        "ok": not unexplained,
        "rollouts": verified,
        "counts_from_facts": facts,
        "evidence_from_ledger": ledger,
        "explained": len(differences) - len(unexplained),
        "unexplained": len(unexplained),
        "differences": [_plain(difference) for difference in differences],
    }


def _readable(row: Row) -> Row:
    """The row. Raises SettingsError for one whose counts or readings are no JSON any more."""
    for column in ("counts", "readings"):
        try:
            json.loads(row[column])
        except ValueError as error:
            what = f"row {row['seq']} of the evidence ledger ({row['rollout_id']}, {row['lane']}@{row['block_start']})"
            raise SettingsError(
                f"{what}: its {column} cannot be read ({error}); restore the state from a backup"
            ) from None
    return row


def _rollout(
    state: StateReader,
    rollout_id: str,
    rows: Sequence[Row],
    warehouse: Warehouse | None,
    ledger: bool,
    advance: Callable[[str, int, int], None],
    differences: list[Difference],
) -> dict[str, Any]:
    """Verify one rollout; what does not come out again is added to `differences`."""
    stages = state.stages(rollout_id)
    history = [StageEvent(row.version, row.event, row.state, row.started_at, row.share) for row in stages]

    @lru_cache
    def policy_of(policy_hash: str) -> Policy:
        return registered_policy(state, policy_hash, rollout_id)

    def count(what: str) -> Callable[[int], None]:
        return lambda done: advance(f"{rollout_id}: {what}", done, len(rows))

    replayed = evidence_ledger.replay(rollout_id, rows, history, policy_of, count("evidence"))
    found: dict[str, Any] = {"rollout_id": rollout_id, "blocks": len(rows), "readings": replayed.readings}
    if ledger:
        differences += replayed.differences
        differences += evidence_ledger.compare_states(rollout_id, state.lanes(rollout_id), replayed.states)
        incidents = {incident.incident_id: incident.trigger for incident in state.incidents()}
        audit = state.audit_rows()
        differences += evidence_decisions.compare_history(rollout_id, stages, audit)
        events = evidence_decisions.recorded(rollout_id, audit, incidents)
        aside = state.overrides(rollout_id)
        people = evidence_decisions.of_people(rollout_id, audit)
        decided = evidence_decisions.compare(rollout_id, replayed.closed, stages, events, people, aside)
        differences += decided.differences
        found |= {"decisions": decided.verified, "decisions_not_of_evidence": decided.of_data}
    if warehouse is not None:
        release = evidence_facts.rollout_of(rollout_id, stages[0].release, history)
        differences += evidence_facts.compare(warehouse, release, replayed.closed, history, count("counts"))
        found["blocks_counted"] = sum(len(one.blocks) for one in replayed.closed)
    return found


def _plain(difference: Difference) -> dict[str, str]:
    return {name: getattr(difference, name) for name in difference.__dataclass_fields__}


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (TextColumn("{task.description:44}"), BarColumn(), TimeElapsedColumn())
    """A bar per rollout and half of the work; nothing where nobody looks."""
    with Progress(*columns, console=stderr, disable=not stderr.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def advance(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.advance(tasks[what], done)

        yield advance


def text(value: dict[str, Any]) -> str:
    """The result for people."""
    lines = []
    for one in value["rollouts"]:
        parts = [f"{one['blocks']} blocks"]
        if value["evidence_from_ledger"]:
            parts.append(f"{one['readings']} readings and {one['decisions']} decisions from the ledger")
        if value["counts_from_facts"]:
            parts.append(f"counts of {one['blocks_counted']} blocks from the facts")
        lines.append(f"{one['rollout_id']}: {', '.join(parts)}")
    if not value["rollouts"]:
        lines.append("the evidence ledger is empty: no block has closed yet")
    shown = sorted(value["differences"], key=lambda row: bool(row["explained"]))
    lines += [Difference(**row).text() for row in shown[:SHOWN]]
    if len(shown) > SHOWN:
        lines.append(f"... and {len(shown) - SHOWN} more (--json has all)")
    if value["ok"]:
        note = f"; {value['explained']} difference(s) explained" if value["explained"] else ""
        lines.append(f"verified: everything comes out again as recorded{note}")
    else:
        lines.append(f"NOT verified: {value['unexplained']} difference(s) without an explanation")
    return "\n".join(lines)
