"""`controlplane audit verify PACK --replay`: evidence and automatic decisions recomputed from the counts that an evidence pack has.

The engine is the one that decides live, fed with the pack alone: blocks from the ledger, policies by their hash, the history of the rollout, the log.
A rollout whose first blocks lie before the period cannot be taken from there: its evidence grew from what the pack does not have. That is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from controlplane.core.blocks import StageEvent
from controlplane.core.model import RolloutState
from controlplane.core.overrides import Override
from controlplane.core.policy import Policy, parse
from controlplane.store.state_rows import StageRow, from_text
from jobs import evidence_decisions, evidence_ledger
from jobs.evidence_ledger import Difference
from jobs.evidence_pack_files import Pack
from jobs.evidence_pack_records import RECORDS
from jobs.evidence_pack_verify import read_manifest
from jobs.refused import Refused

SHOWN = 20
Row = dict[str, Any]


def replay_pack(path: Path) -> dict[str, Any]:
    """Replay every rollout of the pack that is whole in it. Raises Refused for rows that cannot be read."""
    pack = Pack(path)
    try:
        manifest, _ = read_manifest(pack)
        try:
            return _replay(pack, manifest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise Refused(f"{path} cannot be replayed: a row has not the columns of its table ({error})") from None
    finally:
        pack.close()


def _replay(pack: Pack, manifest: Mapping[str, Any]) -> dict[str, Any]:
    rollouts, differences = [], list[Difference]()
    for name, said in sorted(manifest["rollouts"].items()):
        if said["blocks_before"]:
            began = next((row["started_at"] for row in _of(pack, "stages", name)), "")
            reason = f"{said['blocks_before']:,} of its blocks lie before the period; a pack from {str(began)[:10]} on has them"
            rollouts.append({"rollout_id": name, "replayed": False, "reason": reason})
            continue
        rollouts.append(_rollout(pack, name, from_text(str(manifest["period"]["since"])), differences))
    unexplained = [one for one in differences if not one.explained]
    return {
        "ok": not unexplained,
        "rollouts": rollouts,
        "explained": len(differences) - len(unexplained),
        "unexplained": len(unexplained),
        "differences": [{key: getattr(one, key) for key in Difference.__dataclass_fields__} for one in differences],
    }


def _rollout(pack: Pack, name: str, since: datetime, differences: list[Difference]) -> dict[str, Any]:
    """One rollout from its first block on; what does not come out again is added to `differences`."""
    rows = [row for row in _all(pack, "ledger") if row["rollout_id"] == name]
    if not rows:
        return {"rollout_id": name, "replayed": False, "reason": "no block of it closed in the period"}
    stages = [stage(row) for row in _of(pack, "stages", name)]
    history = [StageEvent(one.version, one.event, one.state, one.started_at, one.share) for one in stages]
    texts = {row["policy_hash"]: row["text"] for row in _all(pack, "policies")}

    @lru_cache
    def policy_of(policy_hash: str) -> Policy:
        if policy_hash not in texts:
            raise Refused(f"policy {policy_hash[:12]} of {name} is not in the pack")
        return parse(texts[policy_hash], f"policy {policy_hash[:12]}", in_force=True)

    replayed = evidence_ledger.replay(name, rows, history, policy_of, lambda _: None)
    audit = _all(pack, "audit")
    triggers = {row["incident_id"]: row["trigger"] for row in _all(pack, "incidents")}
    differences += replayed.differences
    of_period = [one for one in stages if one.started_at >= since]  # the log of what was before is not in the pack
    differences += evidence_decisions.compare_history(name, of_period, audit)
    events = evidence_decisions.recorded(name, audit, triggers)
    people = evidence_decisions.of_people(name, audit)
    decided = evidence_decisions.compare(
        name, replayed.closed, stages, events, people, overrides(_of(pack, "overrides", name))
    )
    differences += decided.differences
    return {
        "rollout_id": name,
        "replayed": True,
        "blocks": len(rows),
        "readings": replayed.readings,
        "decisions": decided.verified,
        "decisions_not_of_evidence": decided.of_data,
    }


def _all(pack: Pack, name: str) -> list[Row]:
    return [row for _, row in pack.rows(RECORDS[name].file) if row is not None]


def _of(pack: Pack, name: str, rollout_id: str) -> list[Row]:
    return [row for row in _all(pack, name) if row["rollout_id"] == rollout_id]


def stage(row: Mapping[str, Any]) -> StageRow:
    """A row of the history."""
    values = {name: row[name] for name in StageRow.__dataclass_fields__}
    return StageRow(**values | {"state": RolloutState(row["state"]), "started_at": from_text(row["started_at"])})


def overrides(rows: Sequence[Mapping[str, Any]]) -> list[Override]:
    """Overrides from their rows, with the end that a person gave them."""
    ends = {row["override_id"]: row for row in rows if row["event"] == "ended"}
    found = []
    for row in rows:
        if row["event"] != "added":
            continue
        end = ends.get(row["override_id"])
        found.append(
            Override(
                override_id=row["override_id"],
                rollout_id=row["rollout_id"],
                trigger=row["trigger"],
                actor=row["actor"],
                reason=row["reason"],
                started_at=from_text(row["at"]),
                until=from_text(row["until"]),
                ended_at=None if end is None else from_text(end["at"]),
                ended_by="" if end is None else end["actor"],
            )
        )
    return found


def replay_text(value: Mapping[str, Any]) -> list[str]:
    """The result for people."""
    lines = []
    for one in value["rollouts"]:
        if one["replayed"]:
            lines.append(
                f"replayed {one['rollout_id']}: {one['blocks']:,} blocks, {one['readings']:,} readings, {one['decisions']} decisions"
            )
        else:
            lines.append(f"NOT replayed {one['rollout_id']}: {one['reason']}")
    lines += [Difference(**one).text() for one in value["differences"][:SHOWN]]
    if not value["ok"]:
        lines.append(f"replay: {value['unexplained']} difference(s) without an explanation")
    elif any(one["replayed"] for one in value["rollouts"]):
        lines.append("replay: everything that was replayed comes out again as recorded")
    return lines
