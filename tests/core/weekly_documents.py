"""Weekly reviews as mappings: one written by hand, and a strategy for any, consistent and not, complete and not."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from controlplane.core.weekly import Estimate, Figure, Movement, Pin, Source, Success, Weekly

SOURCE = Source(query="review/rates", query_hash="ab" * 32, parameters={"since": "2026-11-09"}, policy_hash="cd" * 32)
PIN = Pin(
    pinned_at="2026-11-16T05:00:00Z",
    last_batch=41,
    audit_seq=77,
    audit_head="aa" * 32,
    ledger_seq=905,
    ledger_head="bb" * 32,
)
MEASURES = (
    ("csat", "CSAT", "points (1..5)", "higher", 0.1),
    ("misclassification", "Misclassification", "share", "lower", 0.02),
    ("escalation", "Escalation", "share", "lower", 0.02),
    ("resolution_time", "Resolution time", "seconds", "lower", 0.1),
    ("safety_incidents", "Safety incidents", "confirmed per thousand audited", "lower", 0.0),
)
FIGURES = (
    ("csat", "CSAT", "points (1..5)", "higher"),
    ("escalation_rate", "Escalation rate", "share", "lower"),
    ("latency_p95", "Latency p95", "ms", "lower"),
    ("tokens_per_request", "Tokens per request", "tokens", "lower"),
    ("cost_per_resolved", "Cost per resolved conversation", "USD", "lower"),
    ("resolution_time", "Resolution time", "seconds", "lower"),
    ("traffic_volume", "Traffic volume", "conversations", "neither"),
)


def estimate(value: float | None, low: float | None = None, high: float | None = None, **more: Any) -> Estimate:
    return Estimate(value=value, low=low, high=high, **more)


def weekly(**more: Any) -> Weekly:
    """A review with the five measures, a few figures, and empty sections; keywords replace fields."""
    unknown = estimate(None)
    csat = Success(
        measure="csat", title="CSAT", unit="points (1..5)", direction="higher", movement=Movement.IMPROVED,
        assistant=estimate(4.21, 4.15, 4.27, n=1204, maturity=0.99), menu=estimate(3.87, 3.8, 3.94, n=980, maturity=1.0),
        difference=estimate(0.34, 0.21, 0.47, n=2184), margin=0.1, reason="the whole interval is on the better side", source=SOURCE,
    )  # fmt: skip
    escalation = replace(
        csat, measure="escalation", title="Escalation", unit="share", direction="lower", movement=Movement.UNKNOWN,
        assistant=estimate(0.081, 0.07, 0.09, n=4000, maturity=0.38), menu=estimate(0.101, 0.09, 0.11, n=3900, maturity=0.41),
        difference=estimate(-0.02, -0.05, 0.01, n=7900), margin=0.02, reason="too young to tell",
    )  # fmt: skip
    time = replace(
        csat, measure="resolution_time", title="Resolution time", unit="seconds", direction="lower", movement=Movement.NOT_WORSE,
        assistant=estimate(184.0, n=900), menu=estimate(190.0, n=800), difference=estimate(-0.032, -0.12, 0.056), margin=0.1,
    )  # fmt: skip
    wrong = replace(
        csat, measure="misclassification", title="Misclassification", unit="share", direction="lower", movement=Movement.WORSE,
        assistant=estimate(0.12, n=600), menu=estimate(0.08, n=500), difference=estimate(0.04, 0.011, 0.069), margin=0.02,
    )  # fmt: skip
    safety = replace(
        csat, measure="safety_incidents", title="Safety incidents", unit="confirmed per 1,000 audited", direction="lower",
        movement=Movement.NOT_WORSE, assistant=estimate(0.0, 0.0, 3.1, n=1180),
        menu=estimate(None), difference=estimate(None), margin=0.0, reason="none was confirmed",
    )  # fmt: skip
    tokens = Figure(
        name="tokens_per_request", title="Tokens per request", unit="tokens", direction="lower", assistant=estimate(1212.0, n=5200),
        source=SOURCE, last_week=estimate(1100.0, n=5000), change=estimate(112.0, 80.0, 144.0), movement=Movement.WORSE,
    )  # fmt: skip
    latency = replace(
        tokens, name="latency_p95", title="Latency p95", unit="ms", assistant=estimate(2210.0, n=5200),
        last_week=estimate(2300.0), change=estimate(-90.0, -200.0, 20.0), movement=Movement.UNKNOWN,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "review_id": "2026-W46-v1", "week": "2026-W46", "version": 1, "corrects": "", "correction_reason": "",
        "since": "2026-11-09T00:00:00Z", "until": "2026-11-16T00:00:00Z", "pin": PIN, "program_version": "0.5.0",
        "policy": {"name": "default", "hash": "cd" * 32, "owner": "ana", "level": 0.95},
        "rollout": {"rollout_id": "r1", "release": "v3", "release_hash": "ee" * 32, "state": "RUNNING", "phase": "ramp", "share": 0.2},
        "success": (csat, wrong, escalation, time, safety),
        "may_grow": {
            "answer": "not yet", "to": {"phase": "ramp", "share": 0.5}, "reasons": ["evidence is missing"],
            "lines": [
                {"name": "minutes in stage", "verdict": "PASS", "have": "10080", "need": "1440"},
                {"name": "escalation", "verdict": "INCONCLUSIVE", "have": "e 3.1", "need": "e 20"},
            ],
        },
        "figures": (tokens, latency, replace(tokens, name="csat", title="CSAT", assistant=unknown, last_week=None, change=None)),
        "csat": {}, "funnel": {}, "topics": {}, "incidents": (), "drills": (), "drift": {}, "tradeoff": {}, "cost": {},
        "decisions": (), "owners": {}, "exposure": {},
    }  # fmt: skip
    return Weekly(**fields | more)


def document(**more: Any) -> dict[str, Any]:
    """The same as it comes out of the record: plain JSON."""
    return json.loads(json.dumps(weekly(**more).to_dict()))


SCALES = {"points (1..5)": 5.0, "share": 1.0, "ms": 9000.0, "seconds": 900.0, "tokens": 4000.0, "USD": 2.0}
LABELS = ("travel card fee", "Überweisung ☂", "<b>fees</b>", "crypto, wallet", "'quoted'")


def documents() -> st.SearchStrategy[dict[str, Any]]:
    """Any review, with whatever may be missing missing. By a seed: drawn field by field, a document takes too long to make."""
    return st.integers(0, 2**32).map(lambda seed: any_document(random.Random(seed)))


def any_document(rng: random.Random) -> dict[str, Any]:
    """A review whose verdicts may or may not be what its intervals say."""
    return document() | {
        "success": [_success(rng, *measure) for measure in MEASURES],
        "figures": [_figure(rng, *figure) for figure in FIGURES],
        "drift": _drift(rng) if rng.random() < 0.8 else {},
        "topics": _topics(rng),
        "incidents": [_incident(rng, i) for i in range(rng.choice([0, 0, 1, 2]))],
        "cost": {"forecast": _estimate(rng, 90_000.0), "budget": _maybe(rng, 50_000.0)},
        "notes": rng.sample(["labels are young", "no rating"], rng.randrange(3)),
        "policy": rng.choice([{}, {"level": 0.95}, {"level": 0.9}]),
    }


def _maybe(rng: random.Random, top: float) -> float | None:
    """A number, sometimes none, sometimes 0 or next to it."""
    kind = rng.random()
    return (
        None if kind < 0.15 else 0.0 if kind < 0.25 else 1e-6 * top if kind < 0.3 else round(rng.uniform(0.0, top), 6)
    )


def _estimate(rng: random.Random, top: float, *, signed: bool = False) -> dict[str, Any]:
    value, half = _maybe(rng, top), rng.choice([None, 0.0, 0.01, 0.1, 0.3, 2.0])
    value = -value if value and signed and rng.random() < 0.5 else value
    bounded = value is not None and half is not None
    return {
        "value": value, "low": value - half * top if bounded else None, "high": value + half * top if bounded else None,
        "n": rng.choice([0, 1, 57, 98_765]), "maturity": rng.choice([None, 0.0, 0.004, 0.38, 0.9, 0.996, 1.0]),
    }  # fmt: skip


def _success(rng: random.Random, name: str, title: str, unit: str, direction: str, margin: float) -> dict[str, Any]:
    top = SCALES.get(unit, 50.0)
    apart = _estimate(rng, 1.0 if name == "resolution_time" else top, signed=True)
    return {
        "measure": name, "title": title, "unit": unit, "direction": direction, "movement": str(rng.choice(list(Movement))),
        "assistant": _estimate(rng, top), "menu": _estimate(rng, top), "difference": apart, "margin": margin,
        "reason": rng.choice(["", "too few", "not logged"]), "source": {},
    }  # fmt: skip


def _figure(rng: random.Random, name: str, title: str, unit: str, direction: str) -> dict[str, Any]:
    top = SCALES.get(unit, 50.0)
    now, before = _estimate(rng, top), rng.choice([None, _estimate(rng, top)])
    change = None
    if before is not None and now["value"] is not None and before["value"] is not None:
        moved, half = now["value"] - before["value"], rng.choice([0.0, 0.001, 0.5]) * top
        change = {"value": moved, "low": moved - half, "high": moved + half, "n": 10, "maturity": None}
    return {
        "name": name, "title": title, "unit": unit, "direction": direction, "assistant": now, "last_week": before, "change": change,
        "baseline": None, "difference": None, "movement": "unknown", "source": {},
    }  # fmt: skip


def _drift(rng: random.Random) -> dict[str, Any]:
    columns = {}
    for name in rng.sample(["tokens_in", "latency_ms", "intent_conf", "model", "cost_usd", "neu_ö"], rng.randrange(7)):
        verdict = rng.choice(["PASS", "FAIL", "FAIL", "ERROR", "NO_DATA", "INCONCLUSIVE"])
        top = 1.0 if name == "intent_conf" else 2000.0
        columns[name] = {
            "kind": "categorical" if name == "model" else "numeric", "method": "Wasserstein distance / sd", "verdict": verdict,
            "drifted": verdict == "FAIL", "score": _maybe(rng, 3.0), "threshold": 0.1, "reason": "VARCHAR now",
            "reference_mean": _maybe(rng, top), "current_mean": _maybe(rng, top),
            "reference_missing": round(rng.random(), 4), "current_missing": round(rng.random(), 4),
            "problem": rng.choice([None, None, "missing values", "all NULL in current", "type changed", "new category"]),
            "onset": rng.choice([None, "2026-03-12T00:00:00Z"]),
            "new_categories": [[label, round(rng.random(), 4)] for label in rng.sample(LABELS, rng.randrange(3))],
        }  # fmt: skip
    reference = rng.choice(["2025-11-10", "2026-10-12"])
    windows = {
        "reference": {"label": rng.choice(["", "before"]), "since": f"{reference}T00:00:00Z", "until": f"{reference[:8]}28T00:00:00Z"},
        "current": {"label": "now", "since": "2026-11-09T00:00:00Z", "until": "2026-11-27T00:00:00Z"},
    }  # fmt: skip
    return {"id": "d1", "windows": windows, "columns": columns}


def _topics(rng: random.Random) -> dict[str, Any]:
    rows = [
        {
            "topic_id": f"t{i}", "label": label, "n": rng.randrange(1, 500), "share": round(rng.uniform(0.001, 1.0), 6),
            "before_n": rng.choice([None, rng.randrange(300)]), "before_share": _maybe(rng, 1.0), "new": i == 0,
            "change": rng.choice(["new", "grown", "same", "unknown", ""]),
        }
        for i, label in enumerate(rng.sample(LABELS, rng.randrange(4)))
    ]  # fmt: skip
    return {"id": "t", "topics": rows} if rows else {}


def _incident(rng: random.Random, i: int) -> dict[str, Any]:
    return {
        "incident_id": f"i{i}", "title": rng.choice(LABELS), "severity": "critical", "state": rng.choice(["open", "resolved"]),
        "detected_at": rng.choice([None, "2026-11-10T09:12:00Z"]), "cut_at": rng.choice([None, "2026-11-10T09:12:14Z"]),
        "verified_at": rng.choice([None, "2026-11-10T09:15:30.5Z"]), "customers_exposed": rng.choice([None, 0, 1, 9999]),
    }  # fmt: skip
