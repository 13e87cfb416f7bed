"""A backtest of 2,000 harmless replays of 384 blocks under four triggers, and the same with harm, rivals, incidents and stress around it.

The replays are compared with one pass of the production engine over as many weeks of one stream (`first_alarm`), which is the least that any
backtest through that engine must pay: `per_stream` is how much relabelling and counting add. `seconds` are of this machine.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np

from controlplane.analysis import backtest as module
from controlplane.analysis.backtest import Request, backtest
from controlplane.analysis.backtest_engine import prepare
from controlplane.analysis.backtest_ramp import lay
from controlplane.analysis.backtest_replay import run_all
from controlplane.core.evidence import first_alarm
from tests.analysis.backtest_world import history, policy

REPLAYS, BLOCKS = 2_000, 384


def run(replays: int = REPLAYS) -> dict[str, Any]:
    """False rollbacks of ours and of the rivals' rules; seconds of the replays alone, with rivals, and of the whole command's analysis; the
    ratio to the bare engine."""
    made, asked = history(blocks=BLOCKS, per_block=100), policy()
    begin = time.perf_counter()
    ramp = lay(asked, made)
    bench = prepare(asked, made, ramp, 7)
    prepared = time.perf_counter() - begin
    work = module._harmless(bench, Request(replays=replays))
    alone, with_rivals = (_seconds(lambda w=w: run_all([w], made.rows)) for w in (replace(work, rivals=False), work))
    engine = _engine(replays)
    found: dict[str, Any] = {}
    whole = _seconds(lambda: found.update(backtest(asked, made, Request(replays=replays))))
    return {
        "replays": replays,
        "blocks": BLOCKS,
        "triggers": len(asked.triggers),
        "conversations": made.rows,
        "prepare_seconds": round(prepared, 2),
        "replay_seconds": round(alone, 2),
        "with_rivals_seconds": round(with_rivals, 2),
        "whole_seconds": round(whole, 2),
        "per_stream": round(alone / len(asked.triggers) / engine, 2),
        "false_rollbacks": found["false_rollback"]["count"],
        "at_most": round(found["false_rollback"]["upper95"], 4),
        "rivals": {name: round(rival["false_rollback"], 4) for name, rival in found["rivals"].items()},
    }


def _engine(replays: int) -> float:
    rng = np.random.default_rng(1)
    n_t, n_c = np.full((BLOCKS, replays), 20), np.full((BLOCKS, replays), 80)
    stats = {"nT": n_t, "xT": rng.binomial(n_t, 0.1), "nC": n_c, "xC": rng.binomial(n_c, 0.1)}
    return _seconds(lambda: first_alarm("two_sample", stats, 0.02, 0.001))


def _seconds(what: Any) -> float:
    begin = time.perf_counter()
    what()
    return time.perf_counter() - begin
