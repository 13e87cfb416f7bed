"""Adaptive judge sampling against a fixed sample: how much is judged in a healthy week, and how soon harm is found.

Weeks of one-minute blocks go through the real detector, one block at a time. The rate of a block is what `core.sampling` fixes from the evidence
of the blocks that had closed when it opened: with a maturity of 5 minutes, six blocks before. Figures to compare: STATISTICS section 2 (11.5 %
judged in a healthy week, 4-12 times faster than a fixed 10 %) and section 4 (hallucination 8 % at 5 treated a minute, mid-week: 317/583 minutes at a
fixed 10 %, 62/155 adaptive).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from controlplane.core.evidence.alarm import WEEK_BLOCKS, week_plan
from controlplane.core.evidence.detector import Streams, StreamSpec, advance
from controlplane.core.policy_model import Judge
from controlplane.core.sampling import wanted_rate

ALPHA = 0.001
PER_MINUTE = 5.0  # answers of the treated arm
FIXED = 0.1
CASES = ((0.01, 0.005), (0.01, 0.008), (0.02, 0.01), (0.05, 0.03))  # limit on the flag rate, rate of a healthy release
HARMS = (0.08, 0.15)


@dataclass(frozen=True, slots=True)
class Week:
    """`judged`: share of the answers before the harm begins (all, if none does). `delay`: blocks from the onset to the alarm, -1 = none; `(R,)`."""

    judged: float
    delay: np.ndarray


def simulate(
    judge: Judge, limit: float, healthy: float, harm: float | None, weeks: int, blocks: int, seed: int, lag: int = 6
) -> Week:
    """`weeks` weeks at once; with `harm` the flag rate jumps from `healthy` to it halfway. `lag`: blocks until a block has closed."""
    rng = np.random.default_rng(seed)
    spec, plan = StreamSpec("one_sample", limit, ALPHA), week_plan()
    streams = Streams.fresh(spec, plan, weeks)
    onset = blocks // 2 if harm is not None else blocks
    log_e = np.full((lag, weeks), -np.inf)  # of the last blocks, the newest last: what has closed is the oldest
    fired = np.full(weeks, -1)
    asked = answered = 0
    for block in range(blocks):
        rate = np.array([wanted_rate(judge, value) for value in log_e[0]])
        answers = rng.poisson(PER_MINUTE, weeks)
        n = rng.binomial(answers, rate)
        x = rng.binomial(n, healthy if harm is None or block < onset else harm)
        if block < onset:
            asked, answered = asked + int(n.sum()), answered + int(answers.sum())
        columns = {"nT": n[None].astype(float), "xT": x[None].astype(float)}
        start = np.array([[int(block == 0), 0]])
        streams, track = advance(spec, streams, np.array([block]), columns, start)
        log_e = np.concatenate([log_e[1:], track.log_E])
        fired = np.where((fired < 0) & (track.log_E[0] >= spec.log_threshold), block, fired)
        if block >= onset and np.all(fired >= 0):
            break
    delay = np.where(fired < 0, -1, np.where(fired < onset, -2, fired - onset + lag))
    return Week(asked / max(answered, 1), delay)


def run(weeks: int = 60, seed: int = 1) -> dict[str, Any]:
    """Shares judged, delays in minutes (median, p95) of both ways, and how many times faster the adaptive one is."""
    adaptive, fixed = Judge(), Judge(sample_base=FIXED, sample_alert=FIXED)
    result: dict[str, Any] = {}
    for limit, healthy in CASES:
        calm = simulate(adaptive, limit, healthy, None, weeks, WEEK_BLOCKS, seed)
        name = f"limit_{limit:g}_healthy_{healthy:g}"
        result[f"{name}_judged_share"] = round(calm.judged, 4)
        result[f"{name}_false_alarms_of_{weeks}"] = int((calm.delay != -1).sum())
        for harm in HARMS:
            delays = [
                simulate(way, limit, healthy, harm, weeks, WEEK_BLOCKS, seed + 1).delay for way in (adaptive, fixed)
            ]
            quick, slow = (np.where(delay < 0, WEEK_BLOCKS, delay) for delay in delays)
            key = f"{name}_harm_{harm:g}"
            result[f"{key}_adaptive_minutes"] = f"{np.median(quick):.0f} / {np.quantile(quick, 0.95):.0f}"
            result[f"{key}_fixed_minutes"] = f"{np.median(slow):.0f} / {np.quantile(slow, 0.95):.0f}"
            result[f"{key}_times_faster"] = round(float(np.median(slow) / np.median(quick)), 2)
    return result


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
