"""How fast it reacts: from the first failed call (or a confirmed severe misrouting) on disk to the cut and to the message, beside Prometheus.

Ours is a real `controlplane up` with the triggers of the default policy, blocks of 1 s for API errors and time-outs, producers at most 1 s late, real
records in the landing folder at 20 treated requests a second, and a Slack on loopback that stamps arrivals. A burst is total (every call fails) and
begins at a random moment of a block. Beside it in the same run: Prometheus and Alertmanager (Debian's packages; left out, with the reason, where
they are not installed) on the same rule, at their defaults and at 1 s; they only tell, they cut nothing.

Seconds are those of this machine under its load; `after_close` is the part that is ours: from the moment at which the block could close (its end and
the lateness) to the message, the same for every trigger whatever its maturity.

False alarms: an hour of normal traffic (1 % of calls fail), compressed: drawn second by second and put through the very detectors, and through the
same rules as Prometheus evaluates them (rising edges of rate over window), 20 hours each; at 20 treated requests a second, and at 1 as in a canary.
"""

from __future__ import annotations

import json
import random
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from controlplane import settings as settings_module
from controlplane.core.assignment import bucket
from controlplane.core.blocks import Block, lanes
from controlplane.core.model import BlockCounts
from controlplane.core.policy import parse
from controlplane.core.triggers import step_blocks
from controlplane.store.state import StateReader
from controlplane.store.state_rows import from_text
from tests.bench import reaction_prometheus as prometheus
from tests.bench.reaction_world import (
    BLOCK_SECONDS,
    INTENT,
    LATENESS_SECONDS,
    SALT,
    SHARE,
    FakeSlack,
    Traffic,
    fast_policy,
    running,
)
from tests.jobs.living import Up

CUSTOMERS_PER_SECOND = 40  # half of them are treated
WARM_SECONDS = 12.0
PATIENCE_SECONDS = 60.0
HOURS = 20
HEALTHY = 0.01
LIMIT = 0.1


def run(rounds: int = 5, safety_rounds: int = 2) -> dict[str, Any]:
    """Seconds to the cut, to the message and to its verification; of Prometheus to its message; false alarms an hour."""
    rng = random.Random(7)
    bursts = [_round(_burst, rng) for _ in range(rounds)]
    safety = [_round(_misrouting, rng) for _ in range(safety_rounds)]
    result: dict[str, Any] = {}
    for name, found in (("api", bursts), ("safety", safety)):
        result[f"{name}_verified"] = f"{sum('verified' in one for one in found)} of {len(found)}"
        for figure in ("cut", "message", "verified"):
            seconds = [one[figure] for one in found if figure in one]
            if not seconds:
                continue
            result |= {
                f"{name}_{figure}_s_mean": round(mean(seconds), 2),
                f"{name}_{figure}_s_worst": round(max(seconds), 2),
            }
    result["after_close_s_worst"] = round(max(one["after_close"] for one in bursts), 2)
    result |= _prometheus(rng) | false_alarms()
    return result


def _prometheus(rng: random.Random) -> dict[str, Any]:
    if lacking := prometheus.missing():
        return {"prometheus": f"left out: {', '.join(lacking)} not installed"}
    found: dict[str, Any] = {}
    for setup in (prometheus.DEFAULTS, prometheus.TUNED):
        warm = 2 * setup.scrape + max(5.0, setup.window / 2) + rng.random() * setup.scrape
        found[f"prometheus_{setup.name}_message_s"] = round(
            prometheus.reaction(setup, CUSTOMERS_PER_SECOND // 2, warm), 2
        )
    return found


def _round(begin: Callable[[Traffic], float], rng: random.Random) -> dict[str, float]:
    """One burst in a process of its own: seconds from what `begin` returns."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        with running(home, fast_policy(), CUSTOMERS_PER_SECOND) as (up, traffic, slack):
            time.sleep(WARM_SECONDS + rng.random() * BLOCK_SECONDS)
            since = begin(traffic)
            found = _watch(up, traffic, slack, since)
            state = StateReader(settings_module.load(home, env={}).state_url)
            if (verified := _verified(state)) is not None:
                found["verified"] = verified - since
            if (end := _block_end(state)) is not None:
                found["after_close"] = since + found["message"] - end - LATENESS_SECONDS
            state.close()
            return found


def _burst(traffic: Traffic) -> float:
    traffic.failing = 1.0
    while traffic.first_bad is None:
        time.sleep(0.001)
    return traffic.first_bad


def _misrouting(traffic: Traffic) -> float:
    return traffic.confirm_misrouting()


def _watch(up: Up, traffic: Traffic, slack: FakeSlack, since: float) -> dict[str, float]:
    """Until a treated customer is served the baseline and people were told; the producer obeys as soon as it is seen."""
    treated = next(f"u{n}" for n in range(1_000) if bucket(SALT, f"u{n}") < SHARE)
    cut = told = None
    while cut is None or told is None:
        assert time.time() < since + PATIENCE_SECONDS, up.said()
        if cut is None and up.arm(treated, intent=INTENT)["value"] == "baseline":
            cut, traffic.serving = time.time(), False
        told = slack.first(since)
        time.sleep(0.01)
    return {"cut": cut - since, "message": told - since}


def _verified(state: StateReader) -> float | None:
    """When the incident was verified to be contained; None where it is not within a while, as when the producer did not obey in time."""
    deadline = time.monotonic() + PATIENCE_SECONDS / 2
    while time.monotonic() < deadline:
        (incident,) = state.incidents()
        if incident.verified_at is not None:
            return incident.verified_at.timestamp()
        time.sleep(0.1)
    return None


def _block_end(state: StateReader) -> float | None:
    fired = [row for row in state.ledger_rows() if '"fired":true' in row["readings"]]
    return from_text(fired[0]["block_start"]).timestamp() + fired[0]["span_seconds"] if fired else None


def false_alarms(hours: int = HOURS) -> dict[str, Any]:
    """Alarms an hour on healthy traffic, ours and the two rules of Prometheus, at 20 and at 1 treated requests a second."""
    found: dict[str, Any] = {}
    rng = np.random.default_rng(7)
    for per_second in (CUSTOMERS_PER_SECOND // 2, 1):
        requests = rng.poisson(per_second, (hours, 3_600))
        errors = rng.binomial(requests, HEALTHY)
        found[f"false_alarms_per_hour_ours_{per_second}rps"] = _ours(requests, errors) / hours
        for setup in (prometheus.DEFAULTS, prometheus.TUNED):
            alarms = sum(_rule(n, x, setup) for n, x in zip(requests, errors, strict=True))
            found[f"false_alarms_per_hour_prometheus_{setup.name}_{per_second}rps"] = alarms / hours
    return found


def _ours(requests: np.ndarray, errors: np.ndarray) -> int:
    """Hours in which the trigger fired; each is a rollout of its own that begins with it."""
    policy = parse(fast_policy())
    lane = next(lane for lane in lanes(policy) if any(trigger.name == "api_errors" for trigger in lane.triggers))
    fired, start = 0, datetime(2026, 1, 5, tzinfo=UTC)
    for n, x in zip(requests, errors, strict=True):
        blocks, counts = [], []
        for number in range(len(n) // BLOCK_SECONDS):
            begin = start + timedelta(seconds=number * BLOCK_SECONDS)
            part = slice(number * BLOCK_SECONDS, (number + 1) * BLOCK_SECONDS)
            blocks.append(Block(begin, begin + timedelta(seconds=BLOCK_SECONDS), 1, number == 0))
            of_block = {}
            for trigger in lane.triggers:
                bad = int(x[part].sum()) if trigger.name == "api_errors" else 0
                key = (trigger.name, "all")
                of_block[key] = BlockCounts(
                    trigger.metric, "all", begin, BLOCK_SECONDS, n_t=int(n[part].sum()), x_t=bad
                )
            counts.append(of_block)
        done = step_blocks(policy, lane, {}, blocks, counts)
        fired += any(reading.fired for readings in done.readings for reading in readings)
    return fired


def _rule(requests: np.ndarray, errors: np.ndarray, setup: prometheus.Setup) -> int:
    """How often the rule begins to hold within the hour, evaluated at each scrape on the window before it."""
    holding = alarms = 0
    for end in range(setup.window, len(requests) + 1, setup.scrape):
        n, x = requests[end - setup.window : end].sum(), errors[end - setup.window : end].sum()
        above = int(n > 0 and x > LIMIT * n)
        alarms += above and not holding
        holding = above
    return alarms


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
