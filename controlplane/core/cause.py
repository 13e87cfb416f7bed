"""Root-cause triage: which kind of cause explains what changed at the onset, with evidence for and against each. Pure.

It ranks explanations; it proves none. Changes in time are no experiment: what happened at the same minute is not told apart by time, only by the
marks it leaves. A person may disagree, and the page keeps room for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from controlplane.core.cause_calls import hurt_calls
from controlplane.core.cause_changes import arrivals
from controlplane.core.cause_effects import DIMENSIONS, INPUTS, Effects
from controlplane.core.cause_model import (
    MEASURES,
    Cause,
    Facts,
    Kind,
    Line,
    Ranking,
    Says,
    Shift,
    Slice,
    Standing,
    State,
)
from controlplane.core.cause_rules import RULES
from controlplane.core.cause_rules_world import OPERATIONS

AHEAD = 1.5  # points by which the first cause has to lead to be called likely
ENOUGH = 2.0  # points below which no cause is named at all
SHOWN_SLICES = 12
_OWN_MARK = {
    Kind.PROMPT: ("ungrounded",),
    Kind.MODEL: ("tokens_out", "ungrounded"),
    Kind.KNOWLEDGE: ("ungrounded",),
    Kind.CLASSIFIER: ("rerouted", "misclassified", "confidence"),
    Kind.POLICY: ("routed",),
    Kind.INFRASTRUCTURE: OPERATIONS,
    Kind.LOGGING: ("lost", "blank", "rated"),
}


def rank(facts: Facts) -> Ranking:
    """All kinds of causes, most points first. Without a measure that has numbers on both sides everything is unknown."""
    effects = Effects(facts)
    primary = effects.primary()
    if primary is None:
        why = "no measure has enough conversations of the assistant on both sides of the onset"
        return Ranking("", "unknown", Standing.UNKNOWN, (), {}, (), (why,))
    causes = sorted((_cause(effects, kind, primary) for kind in Kind), key=lambda item: (-item.points, item.kind))
    first, second = causes[0], causes[1]
    standing = Standing.CONTESTED if first.points >= ENOUGH else Standing.UNKNOWN
    if standing is Standing.CONTESTED and first.points - second.points >= AHEAD and _seen(effects, first, primary):
        standing = Standing.LIKELY
    causes[0] = replace(first, changes_mind=tuple(_changes_mind(first, second)))
    shifts = {name: _sides(effects, name) for name in MEASURES}
    scope = effects.scope(primary)
    return Ranking(
        measure=primary,
        scope=scope,
        standing=standing,
        causes=tuple(causes),
        shifts={name: sides for name, sides in shifts.items() if sides},
        slices=tuple(_slices(effects, primary, scope)),
        notes=tuple(_notes(effects, primary)),
    )


def _seen(effects: Effects, first: Cause, primary: str) -> bool:
    """Whether a harm is clear at all, somewhere: a mark beside a harm that nobody can see is contested at most. Lost records are harm enough."""
    whole = effects.treated(primary)
    return first.kind is Kind.LOGGING or first.slice is not None or (whole is not None and whole.state is State.MOVED)


def _cause(effects: Effects, kind: Kind, primary: str) -> Cause:
    lines = tuple(RULES[kind](effects, primary))
    points = round(sum(item.points for item in lines), 2)
    return Cause(kind, points, lines, slice_of(effects, kind, primary), _named(effects, kind))


def slice_of(effects: Effects, kind: Kind, primary: str) -> Slice | None:
    """Where a cause of that kind would sit, by the marks that it would leave; None where it is everywhere or cannot be told."""
    if kind is Kind.TRAFFIC:
        return _grown(effects, primary)
    if kind is Kind.DEPENDENCY:
        hurt = hurt_calls(effects, "dependency")
        return effects.slice_of(primary, "both", "dependency", hurt[0].name) if hurt else None
    if kind is Kind.MODEL and (new := effects.replaced(primary, "model")):
        return new[0]
    arms = "both" if kind is Kind.INFRASTRUCTURE else "treated"
    for name in (*_OWN_MARK.get(kind, ()), primary):
        if kind is Kind.LOGGING and effects.scope(name) == "both":
            arms = "both"
        found = effects.carried(name, arms, DIMENSIONS if kind is not Kind.MODEL else ("model",))
        if found is not None:
            return found
    return None


def _grown(effects: Effects, primary: str) -> Slice | None:
    mixes = [(found, column) for column in INPUTS if (found := effects.mix(primary, column)) is not None]
    if not mixes:
        return None
    (mix, rate, grew), column = max(mixes, key=lambda item: abs(item[0][0].value))
    if abs(mix.z) < 3:
        return None
    n = effects.sums(primary, "assistant", 1, column, grew).n
    whole = mix.value + rate
    return Slice(
        column, grew, primary, mix.value, mix.low, mix.high, rate, mix.value / whole if whole else 0.0, abs(mix.z), n
    )


def _named(effects: Effects, kind: Kind) -> str:
    columns = {Kind.RELEASE: ("release", "agent_version"), Kind.MODEL: ("model",)}.get(kind, ())
    new = arrivals(effects.facts, columns)
    if new:
        return f"{new[0].column} {new[0].value}"
    if kind is Kind.DEPENDENCY and (hurt := hurt_calls(effects, "dependency")):
        return hurt[0].name
    return ""


def _sides(effects: Effects, name: str) -> dict[str, Shift]:
    found = {"treated": effects.treated(name), "baseline": effects.baseline(name), "own": effects.own(name)}
    return {side: shift for side, shift in found.items() if shift is not None}


def _changes_mind(first: Cause, second: Cause) -> list[str]:
    """What would put the second cause first: the lines whose loss closes the gap, and what is not known yet."""
    gap = first.points - second.points
    found = []
    for item in sorted(first.lines, key=lambda one: -one.points):
        if item.points > 0 and item.would:
            enough = "that alone would put" if item.points >= gap else "that and more would be needed to put"
            found.append(f"If {item.would}: {enough} {second.kind.value} first.")
    found += [f"Not known: {item.text}. It would take: {item.would}." for item in _open(first, second)]
    return found[:6]


def _open(*causes: Cause) -> list[Line]:
    return [item for cause in causes for item in cause.lines if item.says is Says.UNKNOWN and item.would]


def _slices(effects: Effects, primary: str, scope: str) -> list[dict[str, Any]]:
    """The slices that stand out most, whether or not they carry the change."""
    arms = "both" if scope == "both" else "treated"
    found = [
        item
        for dimension in (*DIMENSIONS, "dependency")
        for value in effects.values(dimension)
        if (item := effects.slice_of(primary, arms, dimension, value)) is not None
    ]
    found.sort(key=lambda item: (-item.z, item.dimension, item.value))
    return [
        {
            "dimension": s.dimension,
            "value": s.value,
            "inside": s.inside,
            "low": s.low,
            "high": s.high,
            "outside": s.outside,
            "carries": s.carries,
            "z": s.z,
            "n": s.n,
        }
        for s in found[:SHOWN_SLICES]
    ]


def _notes(effects: Effects, primary: str) -> Sequence[str]:
    found = []
    if effects.scope(primary) in ("none", "unknown"):
        found.append(
            f"{MEASURES[primary].title}: no clear change at this onset in either arm; the onset may be wrong, or the data too few"
        )
    if effects.baseline(primary) is None:
        found.append(
            "the baseline has too few conversations here, so what hits both arms cannot be told from what hits one"
        )
    if effects.facts.measure and effects.facts.measure != primary:
        found.append(f"the measure of the trigger has no numbers; {MEASURES[primary].title} stands for it")
    return found
