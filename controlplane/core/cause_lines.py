"""Lines of evidence from changes of numbers: the points and the sentence. Pure.

Points: 3 would settle it nearly alone, 2 is strong, 1 is a hint; below 0 the same against. No data gives 0 and "unknown": it accuses and acquits
nobody. The sizes were set by judgement and checked on planted causes (docs/adr/0030-root-cause-triage.md says where they fail).
"""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.core.cause_effects import MARK, Effects, strength
from controlplane.core.cause_model import MEASURES, Line, Says, Shift, State
from controlplane.core.cause_words import shift_words, size

Lines = Iterator[Line]


def line(name: str, points: float, text: str, would: str = "") -> Line:
    """A line whose side follows from its points."""
    says = Says.FOR if points > 0 else Says.AGAINST if points < 0 else Says.NEUTRAL
    return Line(name, round(points, 2), says, text, would)


def unknown(name: str, text: str, would: str) -> Line:
    """A line that nobody can fill today."""
    return Line(name, 0.0, Says.UNKNOWN, text, would)


def judged(name: str, shift: Shift | None, what: str, moved: float, still: float, would: str) -> Line:
    """Points by the state of a change."""
    if shift is None:
        return unknown(name, f"{what}: no numbers on both sides of the onset", would)
    said = shift_words(what, shift, MEASURES.get(what))
    if shift.state is State.MOVED:
        return line(name, moved * strength(shift, MEASURES[what]) if what in MEASURES else moved, said, would)
    return line(name, still if shift.state is State.STILL else 0.0, said, would)


def marked(name: str, effects: Effects, measure: str, moved: float, still: float, would: str) -> Line:
    """Points by a mark that a cause leaves in the assistant alone: over all conversations, else in the one slice that carries it."""
    whole = effects.own(measure)
    if whole is None or whole.state is not State.MOVED:
        inside = effects.carried(measure, "treated", least=MARK)
        if inside is not None:
            how = MEASURES[measure]
            where = f"in {inside.dimension} {inside.value} ({inside.n:,} conversations)"
            said = f"{how.title}: {size(inside.inside, how)} [{size(inside.low, how)}, {size(inside.high, how)}] {where}, elsewhere "
            return line(
                name, moved * min(abs(inside.inside) / how.margin, 1.0), said + size(inside.outside, how), would
            )
    return judged(name, whole, measure, moved, still, would)


def is_(shift: Shift | None, state: State) -> bool:
    return shift is not None and shift.state is state
