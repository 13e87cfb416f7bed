"""What a drill lost: records, messages and rows of the record, each counted from both ends.

- records: lines in the landing folder, counted in its files, against rows in the tables, duplicates and quarantined rows. What a producer handed
  over must be among the lines, and what is called a duplicate must stand there twice.
- messages: rows of the outbox that nobody was told of and that no reason withheld; steps of an incident without a row in the outbox.
- record: versions of the rollout and steps of an incident without a row in the audit log, broken chains of the audit log and the evidence ledger.

What never reached the landing folder because its producer lost it is counted by the producer alone (`never_logged`): the control plane cannot
know it, and can only say that it knows nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from controlplane.store.landing import segments
from controlplane.store.queries import load
from controlplane.store.state_rows import from_text
from jobs.drill_stage import Stage

_HEARTBEAT = b'{"record":"heartbeat"'
_NO_STEPS = (
    "onset",
    "beside",
)  # when it is likely to have begun, and a pointer to another incident: neither is done by anybody


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
    unsaid: int
    audit: int
    problems: tuple[str, ...] = ()

    @property
    def untold(self) -> int:
        """Messages that nobody was told of and that no reason withheld, those that were never written among them."""
        return self.unsaid + sum(n for status, n in self.messages.items() if status not in ("sent", "suppressed"))

    @property
    def nothing(self) -> bool:
        """Whether nothing was lost."""
        return not self.problems


def account(stage: Stage) -> Lost:
    """Count at the end of a drill."""
    lines = landed_lines(stage.settings.workspace.landing)
    landed, repeated = len(lines), len(lines) - len(set(lines))
    with stage.deps.warehouse.cursor() as cursor:
        stored, duplicates, quarantined = map(int, cursor.execute(load("drill/stored")).fetchall()[0])
    items = stage.deps.state.outbox()
    messages = {status: sum(item.status == status for item in items) for status in sorted({i.status for i in items})}
    unexplained = [item.outbox_id for item in items if item.status not in ("sent", "suppressed")]
    missing, (unrecorded, unsaid) = unaudited(stage), silent_steps(stage)
    broken = [name for name, found in stage.deps.state.verify_chains().items() if found is not None]
    records = max(landed, stage.handed_over) - (stored + min(duplicates, repeated) + quarantined)
    problems = []
    if records:
        problems.append(
            f"records: {stage.handed_over} handed over, {landed} landed, {stored} stored, {duplicates} duplicates"
            f" ({repeated} stand there again), {quarantined} quarantined"
        )
    problems += [f"the message {name} was neither sent nor withheld for a reason" for name in unexplained]
    problems += [f"no message was written of {step}" for step in unsaid]
    problems += [f"version {version} of the rollout is not in the audit log" for version in missing]
    problems += [f"{step} is not in the audit log" for step in unrecorded]
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
        unsaid=len(unsaid),
        audit=len(missing) + len(unrecorded) + len(broken),
        problems=tuple(problems),
    )


def landed_lines(landing: Path) -> list[bytes]:
    """Lines of the landing folder that are records, a torn last line of a dead writer among them; heartbeats are none."""
    lines: list[bytes] = []
    for segment in segments(landing):
        data = segment.path.read_bytes()
        found = data.splitlines()
        if found and not data.endswith(b"\n") and (segment.alive or segment.newest):
            found.pop()  # its writer may still finish it
        lines += [line for line in found if line.strip() and not line.startswith(_HEARTBEAT)]
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


def silent_steps(stage: Stage) -> tuple[list[str], list[str]]:
    """Steps on the timelines of the incidents that no row of the audit log tells of, and those that no message was written of.

    A step, its audit row and its message are one commit, so they have one time.
    """
    state = stage.deps.state
    audited = {(row["subject"], from_text(row["at"])) for row in state.audit_rows()}
    said = {(item.incident_id, item.created_at) for item in state.outbox()}
    unrecorded: list[str] = []
    unsaid: list[str] = []
    for row in state.incidents():
        for entry in row.timeline:
            at = from_text(str(entry["at"]))
            if entry["event"] in _NO_STEPS:
                continue
            step = f"the step '{entry['event']}' of {row.incident_id}"
            if not {(row.incident_id, at), (row.rollout_id, at)} & audited:
                unrecorded.append(step)
            if (row.incident_id, at) not in said:
                unsaid.append(step)
    return unrecorded, unsaid
