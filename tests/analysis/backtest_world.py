"""A service with customers, made with numpy: histories for the backtest, as arrays and as flat records."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from controlplane.core.policy import parse
from controlplane.store.backtest_facts import NEVER, Calls, History, Judgements, Requests

MONDAY = 1_767_571_200_000_000  # 2026-01-05T00:00:00Z in microseconds
MINUTE = 60_000_000
NOTHING = np.zeros(0, dtype=np.int64)

POLICY = """
schema = 1
name = "four"
owner = "ml-on-call"
baseline = "menu"

[budget]
false_rollback = {budget}
horizon_weeks = {weeks}

[assignment]
salt = "s"

[evaluation]
required = false

[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.05, 0.2, 0.5]
min_minutes = {stage_minutes}

[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = {csat}
maturity_minutes = 240
block_seconds = {block}
weight = 0.25
action = "rollback"

[[triggers]]
name = "escalation_increase"
metric = "escalation_rate"
kind = "two_sample"
limit = {escalation}
maturity_minutes = 120
block_seconds = {block}
weight = 0.25
action = "rollback"

[[triggers]]
name = "latency_slo_breach"
metric = "slow_share"
kind = "one_sample"
limit = {slow}
slo_ms = 4000
block_seconds = {block}
weight = 0.25
action = "rollback"

[[triggers]]
name = "timeouts"
metric = "timeout_rate"
kind = "one_sample"
limit = 0.05
block_seconds = {block}
weight = 0.25
action = "rollback"
"""


def policy(
    budget=0.01, weeks=1.0, stage_minutes=1920, block=900, csat=0.2, escalation=0.02, slow=0.05, name="four", extra=""
):
    """A policy of four triggers on a ramp of three stages."""
    text = POLICY.format(
        budget=budget,
        weeks=weeks,
        stage_minutes=stage_minutes,
        block=block,
        csat=csat,
        escalation=escalation,
        slow=slow,
    )
    return parse(text.replace('"four"', f'"{name}"') + extra, "four.toml")


def history(blocks=384, per_block=100, seed=1, escalation=0.1, slow=0.02, timeouts=0.01, rated=0.3, customers=None):
    """`blocks` of 15 minutes with `per_block` conversations each; outcomes of one conversation go together through its customer's mood."""
    rng = np.random.default_rng(seed)
    n = blocks * per_block
    started = np.sort(MONDAY + rng.integers(0, blocks * 15 * MINUTE, n))
    mood = rng.random(n)
    bad = mood < escalation
    rating = np.clip(np.rint(5.4 - 1.5 * rng.exponential(1.0, n) - 1.5 * bad), 1, 5).astype(np.int64)
    has_rating = rng.random(n) < rated
    customer = np.arange(n) if customers is None else rng.integers(0, customers, n)
    return History(
        customer=customer,
        treated=np.zeros(n, dtype=np.int64),
        segment=np.full(n, "new", dtype=object),
        intent=np.full(n, "fees", dtype=object),
        started=started,
        last=started + rng.integers(1, 5 * MINUTE, n),
        escalated=np.where(bad, started + rng.integers(1, 60 * MINUTE, n), NEVER),
        returned=np.full(n, NEVER),
        resolved=np.full(n, -1),
        resolved_at=np.full(n, NEVER),
        rating=np.where(has_rating, rating, 0),
        rated=np.where(has_rating, started + rng.integers(1, 200 * MINUTE, n), NEVER),
        requests=Requests(
            place=np.arange(n),
            time=started + 1,
            latency_ms=np.where(rng.random(n) < slow, 6_000.0, rng.uniform(300.0, 3_900.0, n)),
            cost_usd=np.full(n, 0.01),
            timed_out=(rng.random(n) < timeouts).astype(np.int64),
            failed=np.zeros(n, dtype=np.int64),
        ),
        calls={name: Calls(NOTHING, NOTHING, NOTHING) for name in ("api_error_rate", "dependency_failure_rate")},
        judgements={
            name: Judgements(*[NOTHING] * 6)
            for name in ("hallucination_rate", "misclassification_rate", "misrouting_rate")
        },
        left_out={},
        assistant={},
        identity=f"made-{seed}-{n}",
    )


def iso(moment: int) -> str:
    """Microseconds as ISO-8601 UTC."""
    return datetime.fromtimestamp(moment / 1e6, UTC).isoformat().replace("+00:00", "Z")


def flat_records(made: History, arm: str | None = None) -> list[dict]:
    """The conversations of a history as the flat records that `ingest` reads: one interaction each, with feedback later."""
    records = []
    for i in range(made.rows):
        row = {
            "record": "interaction",
            "interaction_id": f"i{i}",
            "conversation_id": f"c{i:06d}",
            "turn": 1,
            "ts": iso(int(made.started[i])),
            "user_id": f"u{made.customer[i]}",
            "segment": made.segment[i],
            "intent_pred": made.intent[i],
            "latency_ms": float(made.requests.latency_ms[i]),
            "timed_out": bool(made.requests.timed_out[i]),
            "escalated": bool(made.escalated[i] < NEVER),
        }
        if arm is not None:
            row["arm"] = arm
        records.append(row)
        if made.rating[i]:
            records.append(
                {
                    "record": "feedback",
                    "feedback_id": f"f{i}",
                    "conversation_id": f"c{i:06d}",
                    "ts": iso(int(made.rated[i])),
                    "csat": float(made.rating[i]),
                }
            )
    return records
