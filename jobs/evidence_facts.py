"""Counts of closed blocks from the facts again, and why the facts may say something else today.

A block closes once. What arrives behind the watermark, or is forgotten on demand, changes the facts and never the block; such
differences are explained by rows that can be named. Any other difference means that the ledger or the facts were changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby

from controlplane.core.blocks import Block, StageEvent
from controlplane.core.model import BlockCounts, Rollout
from controlplane.core.triggers import CountKey
from controlplane.store.block_counts import UnitsNotClosed
from controlplane.store.queries import load
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs.closing import lane_counts
from jobs.evidence_ledger import Closed, Difference, Row, counts_of

BLOCKS_AT_ONCE = 500
LOOK_BACK = timedelta(days=2)  # a late turn may have been of a conversation that began so long before


def compare(
    warehouse: Warehouse,
    rollout: Rollout,
    closed: Sequence[Closed],
    history: Sequence[StageEvent],
    advance: Callable[[int], None],
) -> Iterator[Difference]:
    """Every ledgered count against the facts; zero is asked of nobody who was void."""
    ordered = sorted(
        closed, key=lambda one: (one.policy.hash, one.lane.key, one.blocks[0].start if one.blocks else one.closed_at)
    )
    for _, group in groupby(ordered, key=lambda one: (one.policy.hash, one.lane.key)):
        of_lane = [one for one in group if one.blocks]
        flat = [
            (one, block, row, void)
            for one in of_lane
            for block, row, void in zip(one.blocks, one.rows, one.void, strict=True)
        ]
        for begin in range(0, len(flat), BLOCKS_AT_ONCE):
            part = flat[begin : begin + BLOCKS_AT_ONCE]
            policy, lane = part[0][0].policy, part[0][0].lane
            try:
                found = lane_counts(warehouse, policy, rollout, lane, [block for _, block, _, _ in part], history)
            except UnitsNotClosed as error:
                where = f"{lane.key}@{part[0][2]['block_start']}"
                yield Difference("counts", rollout.rollout_id, where, "all", "blocks", f"the facts are older: {error}")
                advance(len(part))
                continue
            for _, block, row, void in part:
                yield from _of_block(warehouse, rollout, lane.maturity, block, row, void, found[block.start])
            advance(len(part))


def _of_block(
    warehouse: Warehouse,
    rollout: Rollout,
    maturity: timedelta,
    block: Block,
    row: Row,
    void: frozenset[CountKey],
    found: dict[CountKey, BlockCounts],
) -> Iterator[Difference]:
    recorded = counts_of(row)
    wrong = []
    for key in sorted(recorded.keys() - void):
        said, now = recorded[key], found.get(key)
        if now is None or _plain(said) != _plain(now):
            wrong.append((key, said, now))
    if not wrong:
        return
    late, gone, newest = _what_changed(warehouse, rollout, maturity, block, row)
    where = f"{row['lane']}@{row['block_start']}"
    for key, said, now in wrong:
        told = "|".join(key)
        if now is None:
            yield Difference("counts", rollout.rollout_id, where, told, _shown(said), "the policy has no such stream")
            continue
        moved = sum(abs(a - b) for a, b in zip(_plain(said), _plain(now), strict=True))
        why = ""
        if moved <= 4 * (late + gone):  # one row or conversation may change a unit and an event, in either arm
            parts = [f"{late} row(s) arrived after the block had closed"] if late else []
            parts += [f"{gone} conversation(s) were forgotten since"] if gone else []
            why = ", ".join(parts)
        shown = _shown(now)
        if row["last_batch"] > newest:
            shown += f" (the facts end at batch {newest}, the block was counted at batch {row['last_batch']}: restore newer facts)"
        yield Difference("counts", rollout.rollout_id, where, told, _shown(said), shown, why)


def _what_changed(
    warehouse: Warehouse, rollout: Rollout, maturity: timedelta, block: Block, row: Row
) -> tuple[int, int, int]:
    """Late rows that touch the block, units whose conversation is gone, and the newest batch of the facts."""
    values = {
        "start": to_naive(block.start),
        "end": to_naive(block.end),
        "since": to_naive(block.start - LOOK_BACK),
        "until": to_naive(block.end + maturity),
        "last_batch": row["last_batch"],
        "rollout_id": rollout.rollout_id,
    }
    with warehouse.cursor() as cursor:
        late, gone, newest = cursor.execute(load("evidence/late_rows"), values).fetchall()[0]
    return int(late), int(gone), int(newest)


def _plain(counts: BlockCounts) -> tuple[int, ...]:
    return (counts.n_t, counts.x_t, counts.n_c, counts.x_c, *counts.k_t, *counts.k_c)


def _shown(counts: BlockCounts) -> str:
    if any(counts.k_t) or any(counts.k_c):
        return f"kT {list(counts.k_t)} kC {list(counts.k_c)}"
    return f"nT {counts.n_t} xT {counts.x_t} nC {counts.n_c} xC {counts.x_c}"


def rollout_of(rollout_id: str, release: str, history: Sequence[StageEvent]) -> Rollout:
    """As much of a rollout as counting needs, also of one that is over."""
    first = history[0]
    return Rollout(
        rollout_id=rollout_id,
        release=release,
        release_hash="",
        state=first.state,
        phase="",
        stage=0,
        share=first.share,
        execution_enabled=True,
        policy_hash="",
        version=first.version,
        updated_at=first.started_at,
        stage_started_at=first.started_at,
    )
