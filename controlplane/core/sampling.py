"""Which answers are judged: one rate for all answers of a block, fixed before the block from the evidence of the blocks before it.

STATISTICS section 2, "Hallucination". The trigger counts judged answers, so the rate must be predictable: were it chosen by what a block holds, or
apart for each segment, a release within its limit would fire. Three rules make it so:

- A *fixing* says: from now on this rate. It is made from the all-traffic evidence E of the hallucination triggers after the blocks that had
  closed by then, and never from a segment's.
- A block has the newest rate that was fixed when it opened. What is fixed while it runs counts for the next one. The start of a rollout is the first
  fixing: with no evidence yet the rate is `sample_base`, which depends on the policy alone.
- Of a block's answers those are judged whose id, hashed, lies below the rate. A retry judges the same ones, and a sample at a higher rate
  contains every smaller one, so an assistant that has judged some of its answers itself at a fixed rate does no harm: the union is a sample
  at the higher of the two rates.

Blocks lie on the grid of the hallucination triggers from each stage start; where those have blocks of several lengths, on the grid that is common to
all (the least common multiple), so that every block of every trigger has one rate.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp, inf, lcm, log
from typing import Any

from controlplane.core.blocks import StageEvent, spans
from controlplane.core.policy_model import Judge, Policy, Trigger

ALL = "all"


@dataclass(frozen=True, slots=True)
class Fixing:
    """From `fixed_at` on blocks that open have `rate`. `log_e`: the evidence it was fixed by, -inf before there is any."""

    fixed_at: datetime
    rate: float
    log_e: float = -inf

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: no evidence is null."""
        return {
            "fixed_at": self.fixed_at.isoformat(),
            "rate": self.rate,
            "log_e": None if self.log_e == -inf else self.log_e,
        }

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Fixing:
        """The inverse of `to_dict`."""
        log_e = -inf if plain["log_e"] is None else float(plain["log_e"])
        return cls(datetime.fromisoformat(plain["fixed_at"]), float(plain["rate"]), log_e)


def hallucination_triggers(policy: Policy) -> tuple[Trigger, ...]:
    """The triggers that count the judge's labels. One that counts only people's labels says nothing about how many the judge should give: its few
    labels would keep the first doubt of every stream alive for days."""
    return tuple(trigger for trigger in policy.triggers if trigger.judged)


def grid_seconds(policy: Policy) -> int | None:
    """Length of the blocks that have one rate; None when no trigger counts judged answers, so that none need be judged."""
    lengths = [trigger.block_seconds for trigger in hallucination_triggers(policy)]
    return lcm(*lengths) if lengths else None


def log_evidence(policy: Policy, lanes: Iterable[Mapping[str, Any]]) -> float:
    """Largest log E of the hallucination triggers on all traffic after the blocks closed so far, from the lanes' states; -inf at first."""
    keys = [f"trigger:{trigger.name}|{ALL}" for trigger in hallucination_triggers(policy)]
    states = [lane[key] for lane in lanes for key in keys if key in lane]
    return max((_log_mean(state["log_r"]) for state in states), default=-inf)


def closed_until(policy: Policy, lanes: Iterable[Mapping[str, Any]]) -> datetime | None:
    """End of the newest block in that evidence; None when none has closed."""
    keys = {f"trigger:{trigger.name}|{ALL}" for trigger in hallucination_triggers(policy)}
    ends = [datetime.fromisoformat(lane["last"]["end"]) for lane in lanes if "last" in lane and keys & set(lane)]
    return max(ends, default=None)


def wanted_rate(judge: Judge, log_e: float) -> float:
    """`sample_alert` while E is at least `sample_at_evidence`, else `sample_base`."""
    return judge.sample_alert if log_e >= log(judge.sample_at_evidence) else judge.sample_base


def due(
    policy: Policy,
    lanes: Sequence[Mapping[str, Any]],
    history: Sequence[StageEvent],
    fixed: Sequence[Fixing],
    now: datetime,
) -> tuple[Fixing, ...]:
    """Fixings to record now, oldest first: that of the rollout's start if it is missing, and one if another rate is wanted than the newest.

    `fixed` oldest first. A clock that stands or goes back fixes nothing; one that is behind its producers fixes from the end of the newest
    closed block, so no block's rate can ever rest on the block itself.
    """
    if not history:
        return ()
    made: list[Fixing] = [] if fixed else [Fixing(history[0].started_at, policy.judge.sample_base)]
    newest = (made or fixed)[-1]
    log_e = log_evidence(policy, lanes)
    rate = wanted_rate(policy.judge, log_e)
    at = max(moment for moment in (now, closed_until(policy, lanes)) if moment is not None)
    if rate != newest.rate and at > newest.fixed_at:
        made.append(Fixing(at, rate, log_e))
    return tuple(made)


def block_start(history: Sequence[StageEvent], seconds: int, moment: datetime) -> datetime | None:
    """When the block opened that holds `moment`; None outside the time in which something was exposed."""
    for span in spans(history):
        if span.exposed and span.start <= moment and (span.end is None or moment < span.end):
            length = timedelta(seconds=seconds)
            return span.start + (moment - span.start) // length * length
    return None


def rate_at(fixed: Sequence[Fixing], opened: datetime) -> float | None:
    """The rate of a block that opened then: the newest fixed at or before; None when none was, so nothing of it may be judged."""
    return max(((fixing.fixed_at, fixing.rate) for fixing in fixed if fixing.fixed_at <= opened), default=(None, None))[
        1
    ]


def sampled(interaction_id: str, rate: float) -> bool:
    """Whether an interaction is in a sample of this rate; a larger sample contains every smaller one."""
    digest = hashlib.blake2b(f"evaluation|{interaction_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < rate * 2**64


def _log_mean(log_r: Sequence[float | None]) -> float:
    """log of the mean of exp; null stands for -inf."""
    known = [value for value in log_r if value is not None]
    if not known:
        return -inf
    top = max(known)
    return top + log(sum(exp(value - top) for value in known)) - log(len(log_r))
