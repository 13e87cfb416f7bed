"""The policy's ramp laid over a history: which share was served when, in which blocks, and to whom.

- The stages for customers are laid one after the other over the whole history, each with a part of it in proportion to its `min_minutes`, so a
  ramp of two weeks fits a history of two days (faster) or of two months (slower); `scale` says by how much. A stage without `min_minutes` gets
  the mean of the others. Stages for employees are left out: they have no control.
- Stages begin at whole multiples of the longest block, so no block is cut short except the last.
- A customer keeps one position in [0, 1) for the whole replay and is treated where the position is below the share, as the salted hash does.
- A unit is the first conversation per customer, stage and calendar week; the low-risk audience and exclusions are applied as before assignment.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controlplane.core.policy_model import Policy, Stage
from controlplane.store.backtest_facts import FloatArray, History, IntArray

SECOND = 1_000_000
DAY = 86_400 * SECOND
BoolArray = npt.NDArray[np.bool_]


class TooLittleHistory(ValueError):
    """The history cannot answer; the message names what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """`edges` `(S+1,)` microseconds: stage s lasts [edges[s], edges[s+1]). `stage_of` `(N,)`: stage of each conversation, -1 = outside or not
    eligible. `share` `(N,)`: its treated share. `unit` `(N,)`: whether it counts. `customer` `(N,)`: position of its customer among `customers`.
    `starts_before`: stages left out, whose start weights wait for the first block that counts."""

    stages: tuple[Stage, ...]
    starts_before: int
    edges: IntArray
    scale: float
    stage_of: IntArray
    share: FloatArray
    unit: BoolArray
    customer: IntArray
    customers: int
    notes: tuple[str, ...]

    def stage_at(self, moment: int) -> int:
        """Index of the stage that serves at `moment`."""
        found = int(np.searchsorted(self.edges, moment, side="right")) - 1
        return min(max(found, 0), len(self.stages) - 1)


def lay(policy: Policy, history: History) -> Ramp:
    """The ramp of `policy` over `history`. Raises TooLittleHistory where the stages would be shorter than a block."""
    stages = tuple(stage for stage in policy.stages if stage.audience != "employees" and stage.share > 0.0)
    if not stages:
        raise TooLittleHistory(f"policy '{policy.name}' has no stage for customers: there is nothing to replay")
    if not history.rows:
        left = ", ".join(f"{n} {why}" for why, n in (history.left_out or {}).items()) or "none at all"
        raise TooLittleHistory(
            f"the history has no conversation of arm '{history.arm}' to relabel ({left}); "
            "ingest logs of the service as it is now, or choose --arm all"
        )
    grid = max((trigger.block_seconds for trigger in policy.triggers), default=60) * SECOND
    edges, scale = _edges(policy, stages, history, grid)
    stage_of = np.searchsorted(edges, history.started, side="right") - 1
    stage_of[(history.started < edges[0]) | (history.started >= edges[-1])] = -1
    notes: list[str] = []
    stage_of = np.where(_eligible(policy, stages, stage_of, history, notes), stage_of, -1)
    customer = _customers(history, notes)
    shares = np.array([stage.share for stage in stages] + [0.0])
    notes.insert(0, _scale_note(stages, edges, scale))
    return Ramp(
        stages=stages,
        starts_before=sum(stage.index < stages[0].index for stage in policy.stages),
        edges=edges,
        scale=scale,
        stage_of=stage_of,
        share=shares[stage_of],
        unit=_units(history, stage_of, customer),
        customer=np.maximum(customer, 0),
        customers=int(customer.max(initial=0)) + 1,
        notes=tuple(notes),
    )


def _edges(policy: Policy, stages: tuple[Stage, ...], history: History, grid: int) -> tuple[IntArray, float]:
    first = int(history.started[0]) // SECOND * SECOND
    blocks = int((int(history.started[-1]) - first) // grid) + 1
    if blocks < 2 * len(stages):
        have = (int(history.started[-1]) - first) / 60 / SECOND
        need = 2 * len(stages) * grid / 60 / SECOND
        raise TooLittleHistory(
            f"the history spans {have:.0f} minutes; {len(stages)} stages of at least two blocks of {grid // 60 // SECOND} minutes "
            f"need {need:.0f}: ingest a longer history, or shorten the blocks of the policy"
        )
    planned = np.array([policy.phase(stage.phase).min_minutes for stage in stages], dtype=np.float64)
    known = planned > 0.0
    planned[~known] = planned[known].mean() if known.any() else 1.0
    ends = np.maximum(np.cumsum(planned) / planned.sum() * blocks, 2 * np.arange(1, len(stages) + 1))
    ends = np.minimum(np.rint(ends), blocks - 2 * np.arange(len(stages))[::-1]).astype(np.int64)
    edges = first + grid * np.concatenate([[0], ends])
    scale = blocks * grid / 60 / SECOND / planned.sum() if known.any() else 1.0
    return edges, float(scale)


def _scale_note(stages: tuple[Stage, ...], edges: IntArray, scale: float) -> str:
    spans = ", ".join(
        f"{stage.phase} {stage.share:.3g} for {(end - start) / 60 / SECOND:.0f} min"
        for stage, start, end in zip(stages, edges[:-1], edges[1:], strict=True)
    )
    return f"the ramp was scaled by {scale:.3g} to fill the history: {spans}"


def _eligible(
    policy: Policy, stages: tuple[Stage, ...], stage_of: IntArray, history: History, notes: list[str]
) -> BoolArray:
    rules = policy.assignment
    fits = ~np.isin(history.intent, rules.exclude_intents) & ~np.isin(history.segment, rules.exclude_segments)
    low = np.array([stage.audience == "low_risk" for stage in stages] + [False])
    if low.any() and not np.any(history.intent != ""):
        notes.append("no first intents in the history: low-risk stages take every conversation")
        return np.asarray(fits)
    return np.asarray(fits & (~low[stage_of] | np.isin(history.intent, rules.low_risk_intents)))


def _customers(history: History, notes: list[str]) -> IntArray:
    if np.all(history.customer < 0):
        notes.append("no customer ids in the history: every conversation counts as a customer of its own (approximate)")
        return np.arange(history.rows)
    unnamed = int((history.customer < 0).sum())
    if unnamed:
        notes.append(f"{unnamed} conversations without a customer are no units, as in a rollout")
    return history.customer


def _units(history: History, stage_of: IntArray, customer: IntArray) -> BoolArray:
    """The first eligible conversation per customer, stage and ISO week; rows are in the order (start, id), so the first of a group counts."""
    week = (history.started // DAY + 3) // 7  # 1970-01-01 was a Thursday
    stages, weeks = int(stage_of.max(initial=0)) + 2, int(week.max() - week.min()) + 1
    group = ((customer + 1) * stages + stage_of + 1) * weeks + week - week.min()
    _, first = np.unique(group, return_index=True)
    unit = np.zeros(history.rows, dtype=np.bool_)
    unit[first] = True
    return unit & (stage_of >= 0) & (customer >= 0)
