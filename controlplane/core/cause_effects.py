"""Changes at an onset: of a measure per arm and against the concurrent arm, of the shares of a column, of calls, and which slice carries them. Pure.

- Difference in differences: (treated after - treated before) - (baseline after - baseline before). What hits both arms drops out, so what is left
  is the assistant's own; what is in both is traffic or infrastructure. Assumes that without the cause both arms would have moved alike.
- Errors add as independent; the unit is the conversation, and a customer with many conversations counts as many.
- A change of a mean splits into a rate effect (the slices changed) and a mix effect (the slices are other ones), symmetric in time, so both sum
  exactly to the whole (Kitagawa, Journal of the American Statistical Association 50, 1955).
- Shares of a column: the G-test (twice the log-likelihood ratio), its chi-square brought to a z by Wilson and Hilferty (PNAS 17, 1931); the size of a
  change is the total variation distance, the share of conversations that would have to change their value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log

from controlplane.core.cause_model import (
    BASELINE,
    MEASURES,
    TREATED,
    Calls,
    Cell,
    Facts,
    Measure,
    Role,
    Shift,
    Slice,
    State,
    Sums,
    root,
)

# standard errors: a change among some twenty measures; one-sided 95 % for "no change of that size"
CLEAR, LEFT_OUT = 3.3, 1.645
# Of a slice, among some twenty: where an incident is known there is something to find; a mark of one kind of cause is looked for in vain mostly.
SEEN, MARK = 3.0, 4.0
MOVED_SHARES, FAR = 4.0, 0.05
LEAST = 30  # conversations on each side, below which nothing is said
CARRIES = 0.5  # a slice is named when it carries at least so much of the rate effect
DIMENSIONS = ("intent", "channel", "region", "segment", "model", "cache")
INPUTS = ("intent", "channel", "region", "segment")


def shift(before: Sums, after: Sums, measure: Measure) -> Shift | None:
    """The change of a mean; None with fewer than `LEAST` units on either side."""
    if min(before.n, after.n) < LEAST:
        return None
    error = root(before.squared_error(event=measure.event) + after.squared_error(event=measure.event))
    value = after.mean - before.mean
    return Shift(value, error, before.mean, after.mean, state(value, error, measure.margin))


def minus(one: Shift | None, other: Shift | None, margin: float) -> Shift | None:
    """Difference of two changes with independent errors; `before` and `after` stay those of the first. None where either is."""
    if one is None or other is None:
        return None
    value, error = one.value - other.value, root(one.error**2 + other.error**2)
    return Shift(value, error, one.before, one.after, state(value, error, margin))


def state(value: float, error: float, margin: float) -> State:
    """Moved: clear of 0 and at least half the margin. Still: a change as large as the margin is left out. Else unclear."""
    if abs(value) >= CLEAR * error and abs(value) >= margin / 2:
        return State.MOVED
    return State.STILL if abs(value) + LEFT_OUT * error <= margin else State.UNCLEAR


def strength(shift: Shift, measure: Measure) -> float:
    """How much a change counts: whole from the measure's margin on, less below it."""
    return min(abs(shift.value) / measure.margin, 1.0)


class Effects:
    """Reads changes off the counts."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.cells = facts.cells

    def sums(self, measure: str, arm: str, late: int, dimension: str = "", value: str = "") -> Sums:
        """Sums of a cell; zero where it was never seen."""
        return self.cells.get((measure, dimension, value, arm, late), Sums())

    def of(self, measure: str, arm: str, dimension: str = "", value: str = "") -> Shift | None:
        """Change in one arm (of one slice)."""
        before, after = (self.sums(measure, arm, late, dimension, value) for late in (0, 1))
        return shift(before, after, MEASURES[measure])

    def treated(self, measure: str) -> Shift | None:
        """Change in the treated arm."""
        return self.of(measure, TREATED)

    def baseline(self, measure: str) -> Shift | None:
        """Change in the concurrent arm."""
        return self.of(measure, BASELINE)

    def own(self, measure: str) -> Shift | None:
        """Difference in differences; the treated arm alone where the other has no such number at all (a menu has no tokens)."""
        if all(self.sums(measure, BASELINE, late).n == 0 for late in (0, 1)):
            return self.treated(measure)
        return minus(self.treated(measure), self.baseline(measure), MEASURES[measure].margin)

    def primary(self) -> str | None:
        """The measure of the trigger, where it has numbers; else the harm or operation that got worse most clearly."""
        if self.facts.measure and self.treated(self.facts.measure) is not None:
            return self.facts.measure
        found = [
            (self._worse(shift, measure), name)
            for name, measure in MEASURES.items()
            if measure.role in (Role.HARM, Role.OPERATION) and (shift := self.treated(name)) is not None
        ]
        return max(found)[1] if found else None

    @staticmethod
    def _worse(shift: Shift, measure: Measure) -> tuple[bool, bool, bool, float]:
        """Whether a measure clearly got worse by what matters, or at all; harm to customers before operations; then by standard errors."""
        moved, worse = shift.state is State.MOVED, shift.value * measure.worse
        harm = measure.role is Role.HARM
        return moved and worse >= measure.margin, moved and worse > 0, harm and not moved, shift.z * measure.worse

    def scope(self, measure: str) -> str:
        """`treated`, `both` or `baseline`: which arms changed in this measure; `none`, or `unknown` without numbers."""
        one, other = self.treated(measure), self.baseline(measure)
        if one is None:
            return "unknown"
        moved = one.state is State.MOVED
        if other is None:
            return "unknown"
        shared = other.state is State.MOVED and (not moved or other.value * one.value > 0)
        if moved and shared and abs(other.value) >= 0.35 * abs(one.value):
            return "both"
        own = self.own(measure)
        if own is not None and own.state is State.MOVED:
            return "treated" if moved or not shared else "baseline"
        return "both" if moved and shared else "baseline" if shared else "treated" if moved else "none"

    def values(self, dimension: str) -> list[str]:
        """Slices of a dimension."""
        return sorted({key[2] for key in self.cells if key[1] == dimension})

    # which slice carries a change

    def carried(
        self, measure: str, arms: str, dimensions: Iterable[str] = DIMENSIONS, least: float = SEEN
    ) -> Slice | None:
        """The slice whose own change stands out most from the rest's, where it carries at least half; None where the change is everywhere.

        `arms`: `treated` (against the baseline's change in the same slice, where that has it) or `both` (both arms' changes together);
        `least`: standard errors by which it has to stand out.
        """
        found = [
            item
            for dimension in dimensions
            for value in self.values(dimension)
            if (item := self.slice_of(measure, arms, dimension, value)) is not None
        ]
        named = [
            item
            for item in found
            if item.z >= least and item.carries >= CARRIES and abs(item.outside) <= 0.5 * abs(item.inside)
        ]
        return max(named, key=lambda item: (item.z, item.dimension, item.value), default=None)

    def slice_of(self, measure: str, arms: str, dimension: str, value: str) -> Slice | None:
        """How far the change of a slice stands out; None with too few conversations inside or outside."""
        how = MEASURES[measure]
        pairs = []
        for arm in (TREATED, BASELINE) if arms == "both" else (TREATED,):
            inside = [self.sums(measure, arm, late, dimension, value) for late in (0, 1)]
            everything = [self.sums(measure, arm, late) for late in (0, 1)]
            pairs.append((inside, [whole - part for whole, part in zip(everything, inside, strict=True)]))
        within = shift(_sum(p[0][0] for p in pairs), _sum(p[0][1] for p in pairs), how)
        rest = shift(_sum(p[1][0] for p in pairs), _sum(p[1][1] for p in pairs), how)
        if within is None or rest is None:
            return None
        if arms == "treated":
            other = self.baseline(
                measure
            )  # a dimension that the baseline lacks (its menu has no model) is set against its total
            within = minus(within, self.of(measure, BASELINE, dimension, value) or other, how.margin) or within
            rest = minus(rest, other, how.margin) or rest
        n = pairs[0][0][1].n
        weight = n / max(n + pairs[0][1][1].n, 1)
        whole = weight * within.value + (1 - weight) * rest.value
        carries = weight * within.value / whole if whole else 0.0
        z = abs(within.value - rest.value) / max(root(within.error**2 + rest.error**2), 1e-12)
        return Slice(dimension, value, measure, within.value, within.low, within.high, rest.value, carries, z, n)

    # mix against rate

    def mix(self, measure: str, dimension: str) -> tuple[Shift, float, str] | None:
        """Part of the treated arm's change that other shares of the slices explain: its size, the rate effect, the slice that adds most to it."""
        values = self.values(dimension)
        cells = {v: [self.sums(measure, TREATED, late, dimension, v) for late in (0, 1)] for v in values}
        n = [sum(pair[late].n for pair in cells.values()) for late in (0, 1)]
        if min(n, default=0) < LEAST:
            return None
        total = sum(pair[1].total for pair in cells.values()) / n[1] - sum(p[0].total for p in cells.values()) / n[0]
        weights = {v: [pair[late].n / n[late] for late in (0, 1)] for v, pair in cells.items()}
        rates = {v: _rate(*pair) for v, pair in cells.items()}
        middle = sum(rates[v] * (w[0] + w[1]) / 2 for v, w in weights.items())
        parts = {v: (w[1] - w[0]) * (rates[v] - middle) for v, w in weights.items()}
        value = sum(parts.values())
        spread = [
            sum(w[late] * (rates[v] - middle) ** 2 for v, w in weights.items())
            - sum(w[late] * (rates[v] - middle) for v, w in weights.items()) ** 2
            for late in (0, 1)
        ]
        error = root(spread[0] / n[0] + spread[1] / n[1])
        largest = max(parts, key=lambda v: (parts[v] * (1 if value >= 0 else -1) * (weights[v][1] > weights[v][0]), v))
        means = [sum(pair[late].total for pair in cells.values()) / n[late] for late in (0, 1)]
        found = Shift(value, error, means[0], means[1], state(value, error, MEASURES[measure].margin))
        return found, total - value, largest

    def replaced(self, measure: str, dimension: str) -> list[Slice]:
        """Slices that took the place of one that is gone (a model under a new name), each set against the one before it."""
        shares = [
            {v: self.sums(measure, TREATED, late, dimension, v) for v in self.values(dimension)} for late in (0, 1)
        ]
        gone = [v for v in shares[0] if shares[0][v].n >= LEAST > shares[1][v].n]
        found = []
        for new in (v for v in shares[1] if shares[1][v].n >= LEAST > shares[0][v].n):
            n = [max(sum(s.n for s in side.values()), 1) for side in shares]
            near = min(gone, key=lambda v: (abs(shares[0][v].n / n[0] - shares[1][new].n / n[1]), v), default=None)
            inside = None if near is None else shift(shares[0][near], shares[1][new], MEASURES[measure])
            if near is None or inside is None:
                continue
            before, after = (self.sums(measure, TREATED, late) - shares[late][(near, new)[late]] for late in (0, 1))
            rest = shift(before, after, MEASURES[measure])
            outside, error = (
                (0.0, inside.error) if rest is None else (rest.value, root(inside.error**2 + rest.error**2))
            )
            weight = shares[1][new].n / max(self.sums(measure, TREATED, 1).n, 1)
            whole = weight * inside.value + (1 - weight) * outside
            z = abs(inside.value - outside) / max(error, 1e-12)
            part = weight * inside.value / whole if whole else 0.0
            found.append(
                Slice(
                    dimension, new, measure, inside.value, inside.low, inside.high, outside, part, z, shares[1][new].n
                )
            )
        return sorted(found, key=lambda item: (-item.z, item.value))

    # shares of a column

    def distance(self, column: str, arm: str | None) -> tuple[float, float, str] | None:
        """Total variation distance of a column at the onset, its z, and the value that grew most; `arm` None: both together. None without data."""
        before, after = self._shares(column, arm, 0), self._shares(column, arm, 1)
        return distance(before, after)

    def _shares(self, column: str, arm: str | None, late: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for (name, value, which, when), share in self.facts.shares.items():
            if name == column and when == late and arm in (None, which):
                found[value] = found.get(value, 0) + share.n
        return found

    # calls

    def call_shift(self, kind: str, name: str) -> Shift | None:
        """Change of the failures of a model or dependency, in both arms together."""
        before, after = self._calls(kind, name)
        sums = [Sums(c.n, float(c.failed), float(c.failed)) for c in (before, after)]
        return shift(sums[0], sums[1], MEASURES["failed"])

    def call_latency(self, kind: str, name: str) -> Shift | None:
        """Change of the mean logarithm of its latency."""
        before, after = self._calls(kind, name)
        return shift(before.latency, after.latency, MEASURES["latency"])

    def called(self, kind: str) -> list[str]:
        """Names of the models or dependencies that were called."""
        return sorted({key[1] for key in self.facts.calls if key[0] == kind})

    def _calls(self, kind: str, name: str) -> tuple[Calls, Calls]:
        sides = []
        for late in (0, 1):
            found = [self.facts.calls.get((kind, name, arm, late)) for arm in (TREATED, BASELINE)]
            some = [item for item in found if item is not None]
            sides.append(
                Calls(sum(i.n for i in some), sum(i.failed for i in some), _sum(item.latency for item in some))
            )
        return sides[0], sides[1]


def distance(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[float, float, str] | None:
    """Total variation distance of two counts, z of the G-test, and the value that grew most. Values seen less than 5 times are one."""
    n, m = sum(before.values()), sum(after.values())
    if min(n, m) < LEAST:
        return None
    table: dict[str, list[int]] = {}
    for value in sorted({*before, *after}):
        pair = [before.get(value, 0), after.get(value, 0)]
        own = value if sum(pair) >= 5 else "(rare)"
        table[own] = [a + b for a, b in zip(table.get(own, [0, 0]), pair, strict=True)]
    grew = max(table, key=lambda v: (table[v][1] / m - table[v][0] / n, v))
    far = sum(abs(a / n - b / m) for a, b in table.values()) / 2
    if len(table) < 2:
        return far, 0.0, grew
    g = 0.0
    for pair in table.values():
        for seen, side in zip(pair, (n, m), strict=True):
            expected = sum(pair) * side / (n + m)
            g += 2 * seen * log(seen / expected) if seen else 0.0
    df = len(table) - 1
    return far, _wilson_hilferty(max(g, 0.0), df), grew


def _wilson_hilferty(chi: float, df: int) -> float:
    scale = 2 / (9 * df)
    return float(((chi / df) ** (1 / 3) - (1 - scale)) / root(scale))


def _rate(before: Sums, after: Sums) -> float:
    """The middle of the rates before and after; the only one there is for a slice that is new or gone."""
    if before.n and after.n:
        return (before.mean + after.mean) / 2
    return after.mean if after.n else before.mean


def _sum(items: Iterable[Sums]) -> Sums:
    found = Sums()
    for item in items:
        found = found + item
    return found


__all__ = ["CLEAR", "DIMENSIONS", "INPUTS", "LEAST", "Cell", "Effects", "distance", "minus", "shift", "state"]
