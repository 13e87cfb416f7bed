"""The weight account: how much of its error budget a stream has put at stake, and when.

One account per rollout and stream, 1 in all over the planned horizon. Stage starts (restarts are starts) may draw `.25`, known deploys and policy
changes `.25`, blocks `.5`. The j-th start takes `.25 * 2^-j`, the j-th deploy likewise, and each block that counts takes an even part of `.5`
over the blocks of the horizon. The sum is what makes the false-alarm promise true, so the account stores how often each was drawn; what was spent
follows from that and cannot drift away through rounding.

A draw that the account cannot pay, a block after the horizon, is refused: it is worth 0 and is counted, so it can be shown. The stream
goes on with the evidence it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from controlplane.core.evidence.forms import BoolArray, FloatArray

IntArray = npt.NDArray[np.int64]

STARTS, DEPLOYS, BLOCKS, REFUSED = range(4)
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class WeightPlan:
    """How the weight 1 is divided. `start_ratio` r: the j-th start takes `starts (1 - r) r^(j-1)`; 1/2 = halving, 0 = the first takes all."""

    horizon_blocks: int
    starts: float = 0.25
    deploys: float = 0.25
    blocks: float = 0.5
    start_ratio: float = 0.5
    deploy_ratio: float = 0.5

    def __post_init__(self) -> None:
        if self.horizon_blocks < 1:
            raise ValueError(f"horizon_blocks is {self.horizon_blocks}; plan for at least one block")
        shares = (self.starts, self.deploys, self.blocks)
        if not all(share >= 0.0 for share in shares) or not sum(shares) <= 1.0 + ROUNDING:
            raise ValueError(f"weights {shares} for starts, deploys and blocks must be >= 0 and sum to at most 1")
        if not all(0.0 <= ratio < 1.0 for ratio in (self.start_ratio, self.deploy_ratio)):
            raise ValueError("start_ratio and deploy_ratio must lie in [0, 1), or the weights would never stop")

    def spent(self, drawn: IntArray) -> FloatArray:
        """Weight spent `(...)` after `drawn` `(..., 4)` starts, deploys, blocks (and refusals)."""
        starts = self.starts * (1.0 - _power(self.start_ratio, drawn[..., STARTS]))
        deploys = self.deploys * (1.0 - _power(self.deploy_ratio, drawn[..., DEPLOYS]))
        return np.asarray(starts + deploys + self.blocks * (drawn[..., BLOCKS] / self.horizon_blocks))

    def draw(self, drawn: IntArray, wanted: IntArray) -> tuple[IntArray, FloatArray]:
        """Draw `wanted` `(..., 3)` starts, deploys and blocks on top of `drawn` `(..., 4)`: the new counters and the weights `(...)`."""
        after = self.counted(drawn, wanted)
        blocks = after[..., BLOCKS] - drawn[..., BLOCKS]
        starts = _power(self.start_ratio, drawn[..., STARTS]) - _power(self.start_ratio, after[..., STARTS])
        deploys = _power(self.deploy_ratio, drawn[..., DEPLOYS]) - _power(self.deploy_ratio, after[..., DEPLOYS])
        weight = self.starts * starts + self.deploys * deploys + self.blocks * (blocks / self.horizon_blocks)
        return after, np.asarray(weight)

    def counted(self, drawn: IntArray, wanted: IntArray) -> IntArray:
        """The counters `(..., 4)` after drawing `wanted` `(..., 3)` on top of `drawn`; blocks after the horizon are refused."""
        blocks = np.minimum(wanted[..., BLOCKS], self.horizon_blocks - drawn[..., BLOCKS])
        refused = wanted[..., BLOCKS] - blocks
        return np.asarray(drawn + np.stack([wanted[..., STARTS], wanted[..., DEPLOYS], blocks, refused], axis=-1))


def _power(ratio: float, times: IntArray) -> FloatArray:
    """`ratio ** times`; times are few and small, so each power is taken once."""
    powers = np.power(ratio, np.arange(int(times.max(initial=0)) + 1, dtype=np.float64))
    return np.asarray(powers[times])


def draw_over_blocks(
    plan: WeightPlan, drawn: IntArray, pending: IntArray, events: IntArray, counts: BoolArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """Draw for T consecutive blocks of N streams at once, exactly as T single draws would.

    `drawn` `(N, 4)`, `pending` `(N, 2)` starts and deploys that no counting block has taken up yet, `events` `(T, 2)` known before each block (or
    `(T, N, 2)` where they differ by stream), `counts` `(T, N)`: the block has units in each arm. An event that meets an empty block waits for the
    next one that counts, because a bet placed on a block that cannot speak would be lost. Returns drawn, pending and the weights `(T, N)`.
    """
    trail, left, weights = draw_trail(plan, drawn, pending, events, counts)
    return trail[-1], left, weights


def draw_trail(
    plan: WeightPlan, drawn: IntArray, pending: IntArray, events: IntArray, counts: BoolArray
) -> tuple[IntArray, IntArray, FloatArray]:
    """As `draw_over_blocks`, with the counters after every block: `(T, N, 4)`, what was left pending, the weights."""
    announced = pending + np.cumsum(events if events.ndim == 3 else events[:, None, :], axis=0)
    taken = np.maximum.accumulate(np.where(counts[..., None], announced, 0), axis=0)
    wanted_blocks = np.cumsum(counts, axis=0)
    upto = np.concatenate([taken, wanted_blocks[..., None]], axis=-1)
    upto = np.concatenate([np.zeros_like(upto[:1]), upto], axis=0)
    path = plan.counted(drawn, upto)
    _, weights = plan.draw(path[:-1], np.diff(upto, axis=0))
    left: IntArray = announced[-1] - taken[-1]
    return path[1:], left, weights


@dataclass(frozen=True, slots=True)
class WeightAccount:
    """The account of one stream: a plan and how often each kind of weight was drawn (`refused`: blocks after the horizon)."""

    plan: WeightPlan
    starts: int = 0
    deploys: int = 0
    blocks: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        if min(self.starts, self.deploys, self.blocks, self.refused) < 0 or self.blocks > self.plan.horizon_blocks:
            raise ValueError(f"overdrawn weight account: {self}; more was drawn than the plan holds")

    @property
    def spent(self) -> float:
        """Weight spent so far, at most 1; times alpha it bounds the chance that the stream has ever fired falsely."""
        return float(self.plan.spent(self.drawn))

    @property
    def drawn(self) -> IntArray:
        return np.array([self.starts, self.deploys, self.blocks, self.refused], dtype=np.int64)

    def draw_start(self) -> tuple["WeightAccount", float]:
        """The weight of a stage start or restart."""
        return self._draw(1, 0, 0)

    def draw_deploy(self) -> tuple["WeightAccount", float]:
        """The weight of a known deploy or policy change."""
        return self._draw(0, 1, 0)

    def draw_block(self) -> tuple["WeightAccount", float]:
        """The weight of one block that counts; 0, and counted as refused, once the horizon is used up."""
        return self._draw(0, 0, 1)

    def _draw(self, *wanted: int) -> tuple["WeightAccount", float]:
        drawn, weight = self.plan.draw(self.drawn, np.array(wanted, dtype=np.int64))
        return self.with_drawn(drawn), float(weight)

    def with_drawn(self, drawn: IntArray) -> "WeightAccount":
        """The same plan with the counters of one row of `drawn`."""
        starts, deploys, blocks, refused = drawn.tolist()
        return replace(self, starts=starts, deploys=deploys, blocks=blocks, refused=refused)

    def to_dict(self) -> dict[str, Any]:
        plan = {name: getattr(self.plan, name) for name in WeightPlan.__dataclass_fields__}
        counters = {"starts": self.starts, "deploys": self.deploys, "blocks": self.blocks, "refused": self.refused}
        return {"plan": plan, **counters, "spent": self.spent}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "WeightAccount":
        """Rebuild an account; ValueError if the stored `spent` does not follow from the counters (a damaged or edited row)."""
        counters = {name: int(plain[name]) for name in ("starts", "deploys", "blocks", "refused")}
        account = cls(plan=WeightPlan(**plain["plan"]), **counters)
        if abs(account.spent - plain["spent"]) > ROUNDING:
            raise ValueError(
                f"weight account says spent {plain['spent']}, its draws say {account.spent}; restore the row"
            )
        return account
