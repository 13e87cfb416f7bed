"""What the silent customers could do to a difference of CSAT: bounds, tipping points and a table of assumptions. Pure.

Only some customers rate. With response share r, mean m of the rated and mean u of the silent, an arm's mean over everybody is `r m + (1 - r) u`,
and u is seen by nobody. Three answers, none of which pretends to know it:
- *bounds* (Manski 1990): every silent customer at the end of the scale that hurts, or helps, the most. They contain the truth whatever it is;
- *tipping points*: how much worse the silent customers of the assistant would have to be than the silent ones of the menu for the result to
  vanish, to reach the margin, or to lose its interval;
- a *pattern-mixture table* (Little 1993; Carpenter and Kenward 2013): the difference if the silent are `delta` points from the rated of their arm.

Means are rating points 1..5. Intervals are normal approximations from counts: the mean of the rated and the share that rates are uncorrelated, so
`Var(m + (1 - r) delta) = Var(m) + delta^2 r (1 - r)/n`; where delta would leave the scale, the silent sit at its end and count as observed there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

LOWEST, HIGHEST = 1.0, 5.0
DELTAS = (-2.0, -1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0)
COMMON = 1.0  # points that the silent of both arms alike may plausibly lie from their rated
STEPS = 60  # halvings of a search: beyond the digits of a float on a scale of four points

Table = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Answers:
    """One arm: units that could have rated, how many did, mean of these ratings and its (unbiased) variance per rating."""

    units: int
    rated: int
    mean: float
    variance: float

    @property
    def silent_share(self) -> float:
        """Share of the units without a rating."""
        return 1.0 - self.rated / self.units

    def all(self, silent: float) -> tuple[float, float]:
        """Mean over everybody and its variance if the silent sit at `silent` on average, a value that is not estimated."""
        share = self.rated / self.units
        spread = self.variance * share + share * (1.0 - share) * (self.mean - silent) ** 2
        return share * self.mean + (1.0 - share) * silent, spread / self.units

    def shifted(self, delta: float) -> tuple[float, float]:
        """Mean over everybody and its variance if the silent are `delta` points from the rated, but stay on the scale."""
        if not LOWEST <= self.mean + delta <= HIGHEST:
            return self.all(min(max(self.mean + delta, LOWEST), HIGHEST))
        share = self.silent_share
        variance = self.variance / self.rated + delta * delta * share * (1.0 - share) / self.units
        return self.mean + share * delta, variance


def bounds(treated: Answers, control: Answers, z: float) -> dict[str, float]:
    """Treated minus control for the worst and the best silent customers, and the interval that covers both ends."""
    worst, best = [
        _minus(treated.all(mine), control.all(theirs)) for mine, theirs in ((LOWEST, HIGHEST), (HIGHEST, LOWEST))
    ]
    return {
        "low": worst[0],
        "high": best[0],
        "interval_low": worst[0] - z * worst[1],
        "interval_high": best[0] + z * best[1],
    }


def shifted(treated: Answers, control: Answers, mine: float, theirs: float, z: float) -> tuple[float, float, float]:
    """Difference over everybody, with the ends of its interval, if the silent are that many points from the rated of their arm."""
    difference, error = _minus(treated.shifted(mine), control.shifted(theirs))
    return difference, difference - z * error, difference + z * error


def table(treated: Answers, control: Answers, z: float) -> Table:
    """Rows of the pattern-mixture table: `delta` for both arms alike, for the assistant's silent alone, and for the menu's alone."""
    rows: Table = []
    for delta in DELTAS:
        row: dict[str, Any] = {"delta": delta}
        for name, (mine, theirs) in {"both": (delta, delta), "treated": (delta, 0.0), "control": (0.0, delta)}.items():
            value, low, high = shifted(treated, control, mine, theirs, z)
            row[name] = {"value": value, "low": low, "high": high}
        on_scale = [LOWEST <= arm.mean + delta <= HIGHEST for arm in (treated, control)]
        rows.append(row | {"on_scale": all(on_scale)})
    return rows


def tipping(treated: Answers, control: Answers, margin: float, conclusion: float | None, z: float) -> dict[str, Any]:
    """Tipping points. The menu's silent are taken to be like its rated; the assistant's silent are moved until the difference is 0 (`vanishes`) or
    minus the margin (`margin`), and until the near end of the interval leaves the side of `conclusion` that it is on (None: there is none).

    Each holds `gap` (points by which the assistant's silent lie below the menu's; negative: above), `silent_mean`, how far that lies `from_rated` of
    the assistant, and whether it is `possible` on the scale. None where nobody of the assistant is silent: nothing could tip.
    """
    found = {
        "vanishes": _reach(treated, control, 0.0),
        "margin": _reach(treated, control, -margin),
        "conclusion": None if conclusion is None else _interval_tips(treated, control, conclusion, z),
    }
    return {"assumed_silent_control": control.mean, **found}


def _reach(treated: Answers, control: Answers, target: float) -> dict[str, Any] | None:
    share = treated.silent_share
    if share == 0.0:
        return None
    silent = (control.mean + target - (1.0 - share) * treated.mean) / share
    return _point(silent, treated.mean, control.mean)


def _interval_tips(treated: Answers, control: Answers, line: float, z: float) -> dict[str, Any] | None:
    """Where the near end of the interval meets the line, by halving: the further the silent are against the result, the nearer that end."""
    if treated.silent_share == 0.0:
        return None
    _, low, high = shifted(treated, control, 0.0, 0.0, z)
    above = low > line
    if not above and not high < line:
        return None
    good, bad = 0.0, (LOWEST if above else HIGHEST) - treated.mean

    def holds(delta: float) -> bool:
        _, low, high = shifted(treated, control, delta, 0.0, z)
        return low > line if above else high < line

    if holds(bad):
        return {"gap": None, "silent_mean": None, "from_rated": None, "possible": False}
    for _ in range(STEPS):
        middle = (good + bad) / 2.0
        good, bad = (middle, bad) if holds(middle) else (good, middle)
    return _point(treated.mean + bad, treated.mean, control.mean)


def _point(silent: float, rated: float, other: float) -> dict[str, Any]:
    return {
        "gap": other - silent,
        "silent_mean": silent,
        "from_rated": silent - rated,
        "possible": LOWEST <= silent <= HIGHEST,
    }


def survives(treated: Answers, control: Answers, line: float, gap: float, z: float) -> Mapping[str, bool]:
    """Whether the side of `line` that the interval is on holds for every `plausible` silent group, and for `every` one.

    Plausible: the silent of both arms may lie up to a point above or below their rated (`COMMON`), and those of one arm up to `gap` further
    than those of the other.
    """
    above = shifted(treated, control, 0.0, 0.0, z)[1] > line

    def stays(mine: float, theirs: float) -> bool:
        _, low, high = shifted(treated, control, mine, theirs, z)
        return low > line if above else high < line

    against = -gap if above else gap
    # the difference is linear in between, but for where the silent of an arm reach the end of the scale
    ends = [end - arm.mean for arm in (treated, control) for end in (LOWEST, HIGHEST)]
    shared = [-COMMON, 0.0, COMMON, *(end for end in ends if abs(end) < COMMON)]
    covered = bounds(treated, control, z)
    every = covered["interval_low"] > line if above else covered["interval_high"] < line
    plausible = all(stays(c + against, c) and stays(c, c - against) for c in shared)
    return {"plausible": every or plausible, "every": every}


def _minus(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """Difference and standard error of two independent (mean, variance of the mean)."""
    return one[0] - other[0], sqrt(one[1] + other[1])
