"""An independent recount of the hourly counts of intents and safety: plain Python, one answer and one conversation at a time."""

from collections import defaultdict
from datetime import timedelta

import pytest

from tests.store.rollup_world import T0, Facts, Judged, Turn, fetch


def assert_quality_equals_recount(facts: Facts, dims) -> None:
    """`dims(conversation_id, ts, turn)` -> arm, release, ... as the other rollups have them."""
    _same(_kept(facts.warehouse, "rollup_intent", 7), intents(facts, dims))
    _same(_kept(facts.warehouse, "rollup_safety", 7), safety(facts, dims))


def _same(found, expected) -> None:
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        assert found[key] == pytest.approx(tuple(row), rel=1e-9, abs=1e-9), key


def _kept(warehouse, table: str, dimensions: int):
    rows = fetch(warehouse, f"SELECT * FROM {table}")
    assert len({row[:dimensions] for row in rows}) == len(rows), "a row stands twice"
    return {(row[0].replace(tzinfo=T0.tzinfo), *row[1:dimensions]): row[dimensions:] for row in rows}


def _hour(moment):
    return moment.replace(minute=0, second=0, microsecond=0)


def _said(facts: Facts, name: str, of: Turn | None, conversation_id: str | None = None) -> list[Judged]:
    """What people said of an answer, or of a whole conversation, not more than a day before it."""
    told = [r for r in facts.rows if isinstance(r, Judged) and r.name == name and r.label]
    told = [e for e in told if (e.evaluator or "").startswith("human:")]
    if of is not None:
        return [e for e in told if e.interaction_id == of.interaction_id and e.ts >= of.ts - timedelta(days=1)]
    began = facts.known[conversation_id].started_at
    return [
        e
        for e in told
        if e.interaction_id is None and e.conversation_id == conversation_id and e.ts >= began - timedelta(days=1)
    ]


def _earliest(labels: list[Judged]) -> Judged | None:
    return min(labels, key=lambda e: (e.ts, e.evaluation_id), default=None)


def _targeted(judged: Judged) -> bool:
    return judged.evaluation_id.startswith("targeted:")


def intents(facts: Facts, dims) -> dict[tuple, list[float]]:
    """(hour, arm, release, predicted, truth, basis, bin) -> n and the sums of confidence, weight, weight^2, weight x confidence."""
    found: dict[tuple, list[float]] = defaultdict(lambda: [0, 0.0, 0.0, 0.0, 0.0])
    for turn in (r for r in facts.rows if isinstance(r, Turn) and r.ts and r.intent_pred):
        labels = _said(facts, "intent_true", turn)
        fair = _earliest([e for e in labels if not _targeted(e)])
        picked = _earliest([e for e in labels if _targeted(e)])
        weight = 1.0
        if fair is not None:
            truth, basis = fair.label, "sampled" if fair.sampling_rate else "person"
            weight = 1 / fair.sampling_rate if fair.sampling_rate else 1.0
        elif turn.intent_true:
            truth, basis = turn.intent_true, "log"
        else:
            truth, basis = (picked.label, "targeted") if picked else ("unlabelled", "none")
        conf = turn.intent_conf
        slot = -1 if conf is None else min(9, int(conf * 10))
        arm, release = dims(facts, turn.conversation_id, turn.ts, turn)[:2]
        row = found[_hour(turn.ts), arm, release, turn.intent_pred, truth, basis, slot]
        for position, value in enumerate((1, conf or 0, weight, weight**2, weight * (conf or 0))):
            row[position] += value
    return found


def safety(facts: Facts, dims) -> dict[tuple, list[float]]:
    """(hour, arm, release, basis, screened, named, reached) -> n and the sums of weight and weight^2."""
    found: dict[tuple, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])

    def add(key, weight):
        for position, value in enumerate((1, weight, weight**2)):
            found[key][position] += value

    for c in facts.known.values():
        if c.started_at is not None:
            reached = "nobody" if c.escalated_at is None else "person"
            seen = c.safety_route or "none"
            key = (_hour(c.started_at), c.arm or "unknown", c.release or "unknown", "screen", seen, "unsaid", reached)
            add(key, 1.0)
    turns = [r for r in facts.rows if isinstance(r, Turn) and r.ts]
    wholes = [c for c in facts.known.values() if c.started_at]
    subjects = [(t.ts, t.conversation_id, t, _said(facts, "safety_route", t)) for t in turns]
    subjects += [
        (c.started_at, c.conversation_id, None, _said(facts, "safety_route", None, c.conversation_id)) for c in wholes
    ]
    for ts, name, turn, told in subjects:
        fair = [e for e in told if e.label in ("ok", "misrouted") and not _targeted(e)]
        if not fair:
            continue
        worst = min(fair, key=lambda e: (e.label != "misrouted", e.ts, e.evaluation_id))
        arm, release = dims(facts, name, ts)[:2]
        near = _near(facts, name, ts)
        intent = _earliest([e for e in _said(facts, "intent_true", turn) if not _targeted(e)]) if turn else None
        came = near is not None and near.escalated_at is not None
        reached = "at_once" if worst.label == "ok" else "late" if came else "nobody"
        rate = worst.sampling_rate
        key = (_hour(ts), arm, release, "sampled" if rate else "person", (near and near.safety_route) or "none")
        add((*key, intent.label if intent else "unsaid", reached), 1 / rate if rate else 1.0)
    return found


def _near(facts: Facts, name: str, ts):
    """The conversation, where the answer lies from an hour before to two days after its start."""
    c = facts.known.get(name)
    if c is None or c.started_at is None:
        return None
    return c if -3600 <= (ts - c.started_at).total_seconds() <= 2 * 86400 else None
