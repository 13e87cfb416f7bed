"""What a drill lost: records, messages and rows of the record, each counted from both ends.

- records: lines in the landing folder, counted in its files, against rows in the tables, duplicates and quarantined rows. What a producer handed
  over must be among the lines.
- messages: rows of the outbox that nobody was told of and that no reason withheld.
- record: versions of the rollout without a row in the audit log, broken chains of the audit log and the evidence ledger.

What never reached the landing folder because its producer lost it is counted by the producer alone (`never_logged`): the control plane cannot
know it, and can only say that it knows nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from controlplane.store.landing import segments
from controlplane.store.queries import load
from jobs.drill_stage import Stage

_HEARTBEAT = b'{"record":"heartbeat"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Both ends of every count; `problems` says in words what does not add up."""

    handed_over: int
    landed: int
    stored: int
    duplicates: int
    quarantined: int
    never_logged: int
    messages: dict[str, int]
    records: int
    audit: int
    problems: tuple[str, ...] = ()

    @property
    def untold(self) -> int:
        """Messages that nobody was told of and that no reason withheld."""
        return sum(n for status, n in self.messages.items() if status not in ("sent", "suppressed"))

    @property
    def nothing(self) -> bool:
        """Whether nothing was lost."""
        return not self.problems


def account(stage: Stage) -> Lost:
    """Count at the end of a drill."""
    landed = landed_lines(stage.settings.workspace.landing)
    with stage.deps.warehouse.cursor() as cursor:
        stored, duplicates, quarantined = map(int, cursor.execute(load("drill/stored")).fetchall()[0])
    items = stage.deps.state.outbox()
    messages = {status: sum(item.status == status for item in items) for status in sorted({i.status for i in items})}
    unexplained = [item.outbox_id for item in stage.deps.state.outbox() if item.status not in ("sent", "suppressed")]
    missing = unaudited(stage)
    broken = [name for name, found in stage.deps.state.verify_chains().items() if found is not None]
    records = max(landed, stage.handed_over) - (stored + duplicates + quarantined)
    problems = []
    if records:
        problems.append(
            f"records: {stage.handed_over} handed over, {landed} landed, {stored} stored, {duplicates} duplicates, {quarantined} quarantined"
        )
    problems += [f"the message {name} was neither sent nor withheld for a reason" for name in unexplained]
    problems += [f"version {version} of the rollout is not in the audit log" for version in missing]
    problems += [f"the chain of the {name} is broken" for name in broken]
    return Lost(
        handed_over=stage.handed_over,
        landed=landed,
        stored=stored,
        duplicates=duplicates,
        quarantined=quarantined,
        never_logged=stage.never_logged,
        messages=messages,
        records=records,
        audit=len(missing) + len(broken),
        problems=tuple(problems),
    )


def landed_lines(landing: Path) -> int:
    """Lines of the landing folder that are records, a torn last line of a dead writer among them; heartbeats are none."""
    lines = 0
    for segment in segments(landing):
        data = segment.path.read_bytes()
        found = data.splitlines()
        if found and not data.endswith(b"\n") and (segment.alive or segment.newest):
            found.pop()  # its writer may still finish it
        lines += sum(bool(line.strip()) and not line.startswith(_HEARTBEAT) for line in found)
    return lines


def unaudited(stage: Stage) -> list[int]:
    """Versions of the rollout, as its history of stages has them, that no row of the audit log tells of."""
    rollout = stage.deps.state.rollout()
    if rollout is None:
        return []
    told = set()
    for row in stage.deps.state.audit_rows():
        if row["subject"] == rollout.rollout_id:
            told.add(json.loads(row["payload"]).get("version"))
    return [row.version for row in stage.deps.state.stages(rollout.rollout_id) if row.version not in told]
