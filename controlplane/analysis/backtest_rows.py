"""What replays add up to: shares with bounds, delays, rows for people. Pure; nothing is drawn here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from controlplane.analysis.backtest_engine import Bench, Stream, may_roll_back
from controlplane.analysis.backtest_incidents import iso
from controlplane.analysis.backtest_ramp import SECOND
from controlplane.analysis.backtest_replay import Outcome, Work, first_of
from controlplane.analysis.backtest_rivals import RIVALS
from controlplane.analysis.backtest_stress import Stress
from controlplane.analysis.backtest_tables import Table
from controlplane.core.evidence.weights import IntArray, draw_over_blocks
from controlplane.core.model import MetricKind
from controlplane.store.backtest_facts import NEVER, FloatArray

LEVEL = 0.95
MINUTE = 60 * SECOND


def bounds(count: int, n: int) -> tuple[float, float]:
    """One-sided 95 % Clopper-Pearson bounds, lower and upper, of a chance that came true `count` times of `n`."""
    from scipy.special import betaincinv

    low = 0.0 if count == 0 else float(betaincinv(count, n - count + 1, 1.0 - LEVEL))
    high = 1.0 if count == n else float(betaincinv(count + 1, n - count, LEVEL))
    return low, high


def share_of(alarms: IntArray) -> dict[str, Any]:
    """Count, share and bounds of the replays that had an alarm."""
    count, n = int((alarms < NEVER).sum()), int(alarms.size)
    low, high = bounds(count, n)
    return {"count": count, "replays": n, "share": count / n, "lower95": low, "upper95": high}


def verdict_of(share: dict[str, Any], promised: float) -> str:
    """`kept` where the whole interval is within the promise, `broken` where it is above, else `not shown`: too few replays to tell."""
    return "kept" if share["upper95"] <= promised else "broken" if share["lower95"] > promised else "not shown"


def counted(bench: Bench, outcome: Outcome, compares_only: bool = False) -> list[IntArray]:
    """Alarms of the streams that roll back and whose limit the history keeps."""
    return [
        outcome.ours[stream.name]
        for stream in bench.streams
        if stream.name in outcome.ours
        and bench.rolls_back(stream)
        and stream.name not in bench.breaks
        and not (compares_only and stream.trigger.kind is MetricKind.ONE_SAMPLE)
    ]


def false_rollbacks(bench: Bench, aa: Outcome) -> dict[str, Any]:
    replays = next(iter(aa.ours.values())).size
    rollbacks = share_of(first_of(counted(bench, aa), replays))
    fair = [aa.ours[s.name] for s in bench.streams if s.name not in bench.breaks]
    promised = bench.policy.budget.false_rollback
    verdict = verdict_of(rollbacks, promised)
    return {
        **rollbacks,
        "promised": promised,
        "at_stake": promised * max(weight_spent(bench, s) for s in bench.streams),
        "verdict": verdict,
        "any_alarm": share_of(first_of(fair, replays)),
        "counted_streams": len(counted(bench, aa)),
        **covered(bench),
    }


def covered(bench: Bench) -> dict[str, int]:
    """Triggers that roll back: how many there are, and how many this history can judge."""
    rolling = {trigger.name for trigger in bench.policy.triggers if may_roll_back(bench.policy, trigger)}
    counted = {s.trigger.name for s in bench.streams if s.trigger.name in rolling and s.name not in bench.breaks}
    return {"triggers": len(rolling), "judged": len(counted)}


def weight_spent(bench: Bench, stream: Stream) -> float:
    """Share of a stream's weight account that a ramp over this history puts at stake."""
    table = bench.tables[stream.key]
    held = (table.totals.sum(axis=1) > 0)[:, None]
    drawn, _, _ = draw_over_blocks(
        stream.plan, np.zeros((1, 4), dtype=np.int64), np.zeros((1, 2), dtype=np.int64), table.grid.events, held
    )
    return float(stream.plan.spent(drawn)[0])


def trigger_rows(bench: Bench, aa: Outcome) -> list[dict[str, Any]]:
    rows = []
    for stream in bench.streams:
        table = bench.tables[stream.key]
        rows.append(
            {
                "stream": stream.name,
                "metric": stream.trigger.metric,
                "action": str(stream.trigger.action),
                "alpha": stream.spec.alpha,
                "weight_spent": weight_spent(bench, stream),
                "blocks": len(table.grid.opens),
                "outcomes": int(table.totals.sum()),
                "level": level_of(stream, table),
                "rolls_back": bench.rolls_back(stream),
                "breaks": bench.breaks.get(stream.name),
                **share_of(aa.ours[stream.name]),
            }
        )
    return rows


def level_of(stream: Stream, table: Table) -> float | None:
    """The metric over the whole history: rate of events or mean rating."""
    totals = table.totals.sum(axis=0)
    if not totals.sum():
        return None
    levels = np.arange(1.0, 6.0) if stream.trigger.kind is MetricKind.RATING else np.array([0.0, 1.0])
    return float(totals @ levels / totals.sum())


def rival_rows(aa: Outcome) -> dict[str, dict[str, Any]]:
    """False rollbacks of each rule on the same replays; share 0 of all where no trigger that rolls back was watched."""
    replays = next(iter(aa.ours.values())).size
    nothing = np.full(replays, NEVER, dtype=np.int64)
    found = {}
    for rival in RIVALS:
        share = share_of(aa.rivals.get(rival.name, nothing))
        found[rival.name] = {"false_rollback": share["share"], **share, "rule": rival.rule}
    return found


def harm_row(bench: Bench, work: Work, outcome: Outcome, place: int) -> dict[str, Any]:
    assert work.harm is not None
    assert outcome.exposed is not None
    first = first_of(list(outcome.ours.values()), work.replays)
    rolling = [outcome.ours[s.name] for s in work.streams if bench.rolls_back(s)]
    delays = delays_of(first, work.since)
    found = np.isfinite(delays)
    table = next(work.tables[stream.key] for stream in work.streams) if work.streams else None
    return {
        "name": f"{work.harm.name}, {'from the start' if place % 2 == 0 else 'mid-stage'}",
        "harm": work.harm.name,
        "onset": "start" if place % 2 == 0 else "mid-stage",
        "metric": work.harm.metric,
        "detect_minutes": _quantile(delays, 0.5),
        "p95_minutes": _quantile(delays, 0.95),
        "rollback_minutes": _quantile(delays_of(first_of(rolling, work.replays), work.since), 0.5),
        "exposed": int(np.median(outcome.exposed[found])) if found.any() else None,
        "found": float(found.mean()),
        "replays": work.replays,
        "triggers": sorted({stream.trigger.name for stream in work.streams}),
        "assumed": bool(table is not None and table.assumed),
        "curve": _curve(delays),
        "rivals": {
            name: {
                "detect_minutes": _quantile(delays_of(alarm, work.since), 0.5),
                "early": float((alarm <= work.since).mean()),
            }
            for name, alarm in outcome.rivals.items()
        },
    }


def delays_of(alarms: IntArray, since: int) -> FloatArray:
    """Minutes from the onset to the alarm; infinite without one, or where it was raised before the onset."""
    return np.where((alarms < NEVER) & (alarms > since), (alarms - since) / MINUTE, np.inf)


def _quantile(delays: FloatArray, level: float) -> float | None:
    """Quantile over all replays, those without a find counting as infinite; None where it is infinite."""
    value = float(np.quantile(delays, level, method="higher"))
    return round(value, 1) if np.isfinite(value) else None


def _curve(delays: FloatArray) -> list[float | None]:
    """Minutes until 0, 5, ... 100 % of the replays had found it."""
    return [_quantile(delays, level) for level in np.linspace(0.0, 1.0, 21)]


def with_harms(rivals: dict[str, dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, rival in rivals.items():
        rival["harms"] = {row["name"]: row["rivals"].get(name) for row in rows}
    return rivals


def stress_row(bench: Bench, test: Stress, outcome: Outcome, hidden: Outcome | None) -> dict[str, Any]:
    replays = next(iter(outcome.ours.values())).size
    share = share_of(first_of(counted(bench, outcome, test.compares_only), replays))
    promised = bench.policy.budget.false_rollback
    row = {"name": test.name, "text": test.text, "expected": test.expected, **share, "approximate": test.approximate}
    row["verdict"] = verdict_of(share, promised)
    if row["verdict"] == "broken" and test.approximate:
        row["verdict"] = "above the promise"
    if test.name == "swapped_arms" and hidden is not None:
        alarms = list(hidden.ours.values())
        row["harm_found"] = share_of(first_of(alarms, alarms[0].size))["share"]
    return row


def about(bench: Bench) -> dict[str, Any]:
    history = bench.history
    return {
        "arm": history.arm,
        "conversations": history.rows,
        "units": int(bench.ramp.unit.sum()),
        "left_out": history.left_out,
        "from": iso(int(history.started[0])),
        "to": iso(history.watermark),
        "days": round((history.watermark - int(history.started[0])) / 86_400 / SECOND, 3),
        "hash": history.identity,
        "ramp_scale": bench.ramp.scale,
        "stages": [
            {"phase": stage.phase, "share": stage.share, "minutes": float(end - start) / MINUTE}
            for stage, start, end in zip(bench.ramp.stages, bench.ramp.edges[:-1], bench.ramp.edges[1:], strict=True)
        ],
        "notes": list(bench.ramp.notes),
    }
