"""Incidents with a planted cause, drawn from a seed: the records of both arms around an onset, the change log, and the answer for the examiner.

A cause acts where it would act in a real service: a broken page makes answers ungrounded and cites another page, a slow network slows every call
of both arms, a lost log line takes the conversation with it. Escalations, ratings and latency follow from that; nothing in a record names the
cause. Around it there is what misleads in practice: changes that did no harm (some within minutes of the onset), changes that nobody wrote
down, hashes that are not logged, a little drift of the traffic, and an onset that is a few minutes off.

Seeds: each ten in a row hold every kind once, in an order of their own; slice, size, noise and decoys are drawn from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from controlplane.assistant.record import iso
from controlplane.simulation.planted_harm import (
    AFTER,
    BEFORE,
    COLUMNS,
    DEPENDENCIES,
    INTENTS,
    KINDS,
    MODELS,
    SEARCH,
    Answer,
    Harm,
    World,
    inside,
)

Record = dict[str, Any]
WHERE = {  # in which kinds of slices a cause may sit; "" is everywhere
    "release": ("", "intent", "channel", "region", "segment"),
    "prompt": ("", "", "intent", "channel"),
    "model": ("model",),
    "knowledge": ("intent",),
    "classifier": ("", "intent"),
    "policy": ("", "intent", "segment"),
    "traffic": ("intent", "channel", "region", "segment"),
    "dependency": ("dependency",),
    "infrastructure": ("", "region"),
    "logging": ("", "channel"),
}
NOTES = {
    "release": "assistant build 41",
    "prompt": "shorter prompt for answers",
    "model": "model moved to the new version",
    "knowledge": "knowledge base: pages rewritten",
    "classifier": "intent classifier retrained",
    "policy": "routing threshold adjusted",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """A change as people write it down. `artefacts`: new hashes by name, for a release that starts."""

    at: datetime
    event: str  # deploy, start, policy
    text: str
    artefacts: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Planted:
    """An incident: records that land, the change log, the onset as a detector would put it, and the end of what was seen."""

    records: list[Record]
    noted: list[Noted]
    began: datetime
    onset: datetime
    until: datetime
    answer: Answer


def plant(seed: int, start: datetime, conversations: int = 9_000) -> Planted:
    """Everything of one incident. The same seed gives the same records."""
    rng = np.random.default_rng(seed)
    kind = KINDS[int(np.random.default_rng([seed // 10, 4711]).permutation(len(KINDS))[seed % len(KINDS)])]
    world = _people(rng, conversations, kind)
    dimension, value = _place(rng, kind, world)
    world.hot = world.late & inside(world, dimension, value)
    answer = Answer(
        kind=kind,
        dimension=dimension,
        value=value,
        size=float(rng.uniform(0.12, 0.3) if dimension in ("", "model") else rng.uniform(0.25, 0.5)),
        silent=bool(rng.random() < 0.3),
        how=str(rng.choice(["lost", "blank", "ratings"])) if kind == "logging" else "",
    )
    harm = Harm(world, answer)
    records = _records(seed, start, harm)
    change = start + BEFORE
    return Planted(
        records=records,
        noted=_log(rng, start, change, harm),
        began=start,
        onset=change + timedelta(minutes=float(rng.normal(0, 2.5))),
        until=start + BEFORE + AFTER,
        answer=answer,
    )


def _people(rng: np.random.Generator, n: int, kind: str) -> World:
    seconds = np.sort(rng.uniform(0, (BEFORE + AFTER).total_seconds(), n))
    late = seconds >= BEFORE.total_seconds()
    columns = {}
    moved = str(rng.choice(list(COLUMNS)))  # traffic: this column moves; else it may drift a little
    drift = rng.uniform(0.25, 0.45) if kind == "traffic" else rng.uniform(0.02, 0.06) * (rng.random() < 0.3)
    for name, values in COLUMNS.items():
        weights = rng.dirichlet(np.full(len(values), 9.0))
        after = weights.copy()
        if name == moved and drift:
            grown = int(rng.integers(len(values)))
            after = weights * (1 - drift)
            after[grown] += drift
            columns["moved"] = np.array([list(COLUMNS).index(name), grown])
        draws = [rng.choice(len(values), n, p=each / each.sum()) for each in (weights, after)]
        columns[name] = np.where(late, draws[1], draws[0])
    intent = columns["intent"]
    return World(
        rng=rng,
        n=n,
        at=seconds,
        late=late,
        treated=rng.random(n) < 0.5,
        columns=columns,
        model=(intent >= 4).astype(np.int64),
        cached=rng.random(n) < 0.2,
        uses=rng.permutation(np.array([0, 1, 2, 0, 1, 2, -1, -1]))[intent],
    )


def _place(rng: np.random.Generator, kind: str, world: World) -> tuple[str, str]:
    dimension = str(rng.choice(WHERE[kind]))
    if kind == "traffic":
        column, grown = world.columns["moved"]
        name = list(COLUMNS)[int(column)]
        return name, COLUMNS[name][int(grown)]
    if dimension == "model":
        return dimension, str(rng.choice(MODELS))
    if dimension == "dependency":
        return dimension, str(rng.choice(DEPENDENCIES))
    return (dimension, str(rng.choice(COLUMNS[dimension]))) if dimension else ("", "")


def _records(seed: int, start: datetime, harm: Harm) -> list[Record]:
    world, rng = harm.world, harm.world.rng
    named = _named(rng, harm.answer)
    judged, audited, labelled = (rng.random(world.n) < share for share in (0.4, 0.2, 0.35))
    takes = rng.lognormal(6.7, 0.45, world.n)
    other = rng.integers(1, len(INTENTS), world.n)
    page = rng.integers(1, 4, world.n)
    found: list[Record] = []
    for i in range(world.n):
        key = f"p{seed}-{i:05d}"
        ts = iso(start + timedelta(seconds=float(world.at[i])))
        arm = "assistant" if world.treated[i] else "baseline"
        who = {name: values[int(world.columns[name][i])] for name, values in COLUMNS.items()}
        intent = who.pop("intent")
        new = bool(world.late[i] and world.treated[i])
        shown = {"conversation_id": key, "ts": ts, "user_id": f"u-{key}", **who}
        label = {"release": named["release"][new]} if world.treated[i] else {}
        found.append(
            {
                "record": "exposure",
                "exposure_id": f"{key}:e",
                "variant": arm,
                "eligible": True,
                "intent_first": intent,
                **shown,
                **label,
            }
        )
        if not harm.lost[i]:
            asked = {"record": "interaction", "interaction_id": f"{key}:1", "turn": 1, "arm": arm, **shown, **label}
            asked |= _served(
                harm,
                i,
                intent,
                INTENTS[(INTENTS.index(intent) + int(other[i])) % len(INTENTS)],
                float(takes[i]),
                named,
                int(page[i]),
            )
            found.append(asked)
            found += _calls(harm, i, key, ts, named)
            found += _judgements(harm, i, (key, ts, intent), bool(judged[i]), bool(labelled[i]), bool(audited[i]))
        if harm.rated[i] and not harm.lost[i]:
            found.append(
                {
                    "record": "feedback",
                    "feedback_id": f"{key}:f",
                    "ts": ts,
                    "conversation_id": key,
                    "csat": int(harm.rating[i]),
                }
            )
    return found


def _judgements(
    harm: Harm, i: int, of: tuple[str, str, str], judged: bool, labelled: bool, audited: bool
) -> list[Record]:
    """What the judge, a labeller and an auditor say of a conversation, where it is in their samples; `of`: key, time and intent."""
    key, ts, intent = of
    same: Record = {"record": "evaluation", "ts": ts, "interaction_id": f"{key}:1", "conversation_id": key}
    same["sampling_rate"] = 0.4
    found: list[Record] = []
    if judged and harm.world.treated[i]:
        said = "ungrounded" if harm.ungrounded[i] else "grounded"
        found.append({**same, "evaluation_id": f"{key}:g", "name": "groundedness", "label": said, "evaluator": "judge"})
    if labelled and harm.world.treated[i]:
        row = {"evaluation_id": f"{key}:i", "name": "intent_true", "label": intent, "evaluator": "human"}
        found.append({**same, **row})
    if audited:
        row = {"evaluation_id": f"{key}:s", "name": "safety_route", "label": "ok", "evaluator": "human"}
        found.append({**same, **row})
    return found


def _named(rng: np.random.Generator, answer: Answer) -> dict[str, Any]:
    """Names before and after by bool: release, version of the code, hashes (where they are logged), models."""
    labelled = answer.kind == "release" and not answer.silent
    artefacts = None
    if rng.random() < 0.5:
        old = dict.fromkeys(("prompt", "knowledge", "classifier", "policy"), "a1")
        changed: tuple[str, ...] = (answer.kind,) if answer.kind in old else ()
        changed = ("prompt", "classifier") if answer.kind == "release" and rng.random() < 0.5 else changed
        artefacts = {False: old, True: {**old, **dict.fromkeys(changed, "b2")}}
    renamed = answer.kind == "model" and rng.random() < 0.7
    return {
        "release": {False: "v1", True: "v2" if labelled else "v1"},
        "agent_version": {False: "1.0", True: "1.1" if answer.kind == "release" else "1.0"},
        "artefacts": artefacts,
        "model": {answer.value: answer.value.replace("-1", "-2")} if renamed else {},
    }


def _served(harm: Harm, i: int, intent: str, other: str, takes: float, named: dict[str, Any], page: int) -> Record:
    world = harm.world
    treated, late = bool(world.treated[i]), bool(world.late[i])
    failed = harm.dependency_failed[i] or harm.model_failed[i] or harm.code_failed[i]
    blank = bool(harm.blank[i])
    said: Record = {
        "latency_ms": None if blank else round(takes * float(harm.latency[i]), 1),
        "error_type": ("unavailable" if not harm.code_failed[i] else "KeyError") if failed else None,
        "timed_out": None if blank else bool(harm.timed_out[i]),
        "escalated": bool(harm.escalated[i]) if harm.escalated[i] or not blank else None,
        "agent_version": named["agent_version"][treated and late] if treated else "menu-1",
    }
    if not treated:
        return said
    route = "sensitive" if harm.routed[i] else None
    reason = "error" if failed else "safety" if route else "low_confidence" if harm.low_confidence[i] else "asked"
    cached = bool(world.cached[i])
    rewritten = late and harm.answer.kind == "knowledge" and bool(harm.hot[i])
    extra: Record = {"cached": cached}
    if named["artefacts"]:
        extra["artefacts"] = named["artefacts"][late]
    said |= {
        "intent_pred": other if harm.wrong[i] else intent,
        "intent_conf": round(float(harm.confidence[i]), 3),
        "safety_route": route,
        "escalation_reason": reason if harm.escalated[i] else None,
        "sources": [f"{intent}/{page}{'-new' if rewritten else ''}"],
        "extra": extra,
        "model": None if cached else _model(harm, i, named),
    }
    said |= {} if cached else {"tokens_in": int(harm.tokens_in[i]), "tokens_out": int(harm.tokens_out[i])}
    return said


def _model(harm: Harm, i: int, named: dict[str, Any]) -> str:
    name = MODELS[int(harm.world.model[i])]
    return str(named["model"].get(name, name)) if harm.world.late[i] else name


def _calls(harm: Harm, i: int, key: str, ts: str, named: dict[str, Any]) -> list[Record]:
    world = harm.world
    of: Record = {"ts": ts, "interaction_id": f"{key}:1", "conversation_id": key}
    found: list[Record] = []
    slow = float(harm.dependency_latency[i])
    if world.uses[i] >= 0:
        row = {"record": "dependency_call", "call_id": f"{key}:d", **of, "dependency": DEPENDENCIES[int(world.uses[i])]}
        failed = bool(harm.dependency_failed[i])
        found.append(
            {
                **row,
                "latency_ms": round(120 * slow * float(world.rng.lognormal(0, 0.3)), 1),
                "error_type": "unavailable" if failed else None,
            }
        )
    if world.treated[i]:
        search = float(harm.latency[i]) * 40 * float(world.rng.lognormal(0, 0.3))
        found.append(
            {
                "record": "dependency_call",
                "call_id": f"{key}:k",
                **of,
                "dependency": SEARCH,
                "latency_ms": round(search, 1),
            }
        )
        if not world.cached[i]:
            took = 600 * float(harm.model_latency[i] * harm.latency[i]) * float(world.rng.lognormal(0, 0.3))
            row = {
                "record": "model_call",
                "call_id": f"{key}:m",
                **of,
                "model": _model(harm, i, named),
                "latency_ms": round(took, 1),
            }
            found.append({**row, "error_type": "unavailable" if harm.model_failed[i] else None})
    return found


def _log(rng: np.random.Generator, start: datetime, change: datetime, harm: Harm) -> list[Noted]:
    answer = harm.answer
    old = dict.fromkeys(("model", "prompt", "knowledge", "classifier", "policy"), "a1")
    rows = [Noted(at=start - timedelta(hours=2), event="start", text="started by noor", artefacts=old)]
    if answer.kind == "release" and not answer.silent:
        changed = rng.choice(list(old), size=int(rng.integers(2, 5)), replace=False)
        new = {name: "b2" if name in changed else "a1" for name in old}
        rows.append(Noted(at=change, event="supersede", text="started by noor", artefacts=new))
    elif answer.kind == "release" or (answer.kind in NOTES and not answer.silent):
        event = "policy" if answer.kind == "policy" and rng.random() < 0.5 else "deploy"
        rows.append(
            Noted(at=change - timedelta(seconds=float(rng.uniform(0, 90))), event=event, text=NOTES[answer.kind])
        )
    if rng.random() < 0.5:  # a change that does no harm
        other = str(rng.choice([name for name in NOTES if name != answer.kind]))
        near = rng.random() < 0.4
        minutes = rng.uniform(-15, 15) if near else rng.uniform(-330, -20)
        at = change + timedelta(minutes=float(minutes))
        rows.append(Noted(at=at, event="policy" if other == "policy" else "deploy", text=NOTES[other]))
    return sorted(rows, key=lambda row: row.at)
