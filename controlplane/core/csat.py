"""CSAT told honestly: how many rate, how well, how the arms differ, and how far the silent customers could change that. Pure.

Input are counts of one window: eligible conversations, the *mature* ones among them (old enough that a rating would be there: counting younger ones
compares who answers quickly), and how many of these gave 1, 2, 3, 4, 5.

- response rates: Wilson per arm, Newcombe's hybrid score interval for their difference (Statistics in Medicine 17, 1998, method 10);
- mean rating: Student per arm, Welch for the difference (looked at once), and the asymptotic confidence sequence (looked at often);
- share of 4 and 5 ("top two") beside the mean, never instead: it cannot see a 5 become a 4;
- the silent: `controlplane.core.csat_silent`.

The verdict is on two things, kept apart: what the ratings say (`movement`: improved, not worse, worse, unknown) and what that rests on (`verdict`).
Unknown is a verdict: too few ratings, or ratings that do not vary, carry no interval, and nothing rests on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

from controlplane.core import csat_silent
from controlplane.core.csat_silent import Answers
from controlplane.core.estimates import Interval, Sums, confidence_sequence, wilson

POINTS = (1, 2, 3, 4, 5)
FEW = 30  # ratings per arm below which an interval of a mean of skewed ratings does not keep its level
MARGIN = 0.1  # points that still count as not worse, unless the policy says otherwise
PLAUSIBLE = 0.25  # points by which one arm's silent may plausibly be further from its rated than the other's: a convention, stated wherever used

EVERY = "holds for every silent group"
EVERY_PLAUSIBLE = "holds for every plausible silent group"
ALIKE = "rests on the silent being alike"
UNKNOWN = "unknown"

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ArmRatings:
    """Counts of one arm: eligible `conversations` of the window, the `mature` ones, and how many of the mature were rated 1, 2, 3, 4, 5."""

    arm: str
    conversations: int
    mature: int
    ratings: tuple[int, int, int, int, int]

    def __post_init__(self) -> None:
        if len(self.ratings) != len(POINTS) or min(self.ratings) < 0:
            raise ValueError(f"{self.arm}: ratings are {self.ratings}; give five counts, of ratings 1 to 5")
        if not self.rated <= self.mature <= self.conversations:
            raise ValueError(
                f"{self.arm}: {self.rated} ratings of {self.mature} mature of {self.conversations} conversations; "
                "each must be counted among the next"
            )

    @property
    def rated(self) -> int:
        """Ratings given."""
        return sum(self.ratings)

    @property
    def sums(self) -> Sums:
        """Sums of the rating points."""
        pairs = list(zip(POINTS, self.ratings, strict=True))
        return Sums(self.rated, sum(p * n for p, n in pairs), sum(p * p * n for p, n in pairs))

    @property
    def answers(self) -> Answers:
        """What the sensitivity of non-response needs; only with two ratings or more."""
        return Answers(self.mature, self.rated, self.sums.mean, self.sums.variance)


def honest_csat(
    treated: ArmRatings, control: ArmRatings, level: float, margin: float = MARGIN, plausible: float = PLAUSIBLE
) -> Plain:
    """Everything that may be said, JSON-ready; None where the data cannot tell. `level`: confidence of the intervals, e.g. 0.95.

    Raises ValueError for a level outside (0, 1), or a margin or plausible gap that is negative or not finite.
    Keys: `treated`, `control` (arm, conversations, mature, share_mature, rated, response_rate, mean, top_two, distribution, mean_bounds);
    `difference` (response_rate, mean, mean_anytime, top_two); `silent` (bounds, tipping, table); `movement`, `verdict`, `reason`, `notes`.
    """
    _check(level, margin, plausible)
    z = _normal(level)
    answer: Plain = {
        "level": level,
        "margin": margin,
        "plausible_gap": plausible,
        "treated": _arm(treated, level),
        "control": _arm(control, level),
        "difference": _differences(treated, control, level),
        "silent": _silent(treated, control, margin, z),
    }
    answer["movement"] = movement(answer["difference"]["mean"], margin) if _enough(treated, control) else UNKNOWN
    answer["verdict"], answer["reason"] = _verdict(treated, control, answer, z)
    if answer["silent"] is not None:
        line = _line(answer)
        answer["silent"]["tipping"] = csat_silent.tipping(treated.answers, control.answers, margin, line, z)
    return answer | {"notes": _notes(treated, control, answer)}


def movement(difference: Mapping[str, float | None] | None, margin: float) -> str:
    """What an interval of assistant minus menu says: improved (all above 0), not worse (all above minus the margin), worse (all below 0), unknown."""
    if difference is None or difference["low"] is None or difference["high"] is None:
        return UNKNOWN
    if difference["low"] > 0.0:
        return "improved"
    if difference["low"] > -margin:
        return "not worse"
    return "worse" if difference["high"] < 0.0 else UNKNOWN


def newcombe(x_one: int, n_one: int, x_two: int, n_two: int, level: float) -> Interval | None:
    """Difference of two rates with Newcombe's hybrid score interval; None while one has no unit."""
    one, two = wilson(x_one, n_one, 1.0 - level), wilson(x_two, n_two, 1.0 - level)
    if one is None or two is None:
        return None
    difference = one.estimate - two.estimate
    low = difference - sqrt((one.estimate - one.low) ** 2 + (two.high - two.estimate) ** 2)
    high = difference + sqrt((one.high - one.estimate) ** 2 + (two.estimate - two.low) ** 2)
    return Interval(difference, max(low, -1.0), min(high, 1.0))


def mean_interval(sums: Sums, level: float) -> Interval | None:
    """Mean rating with Student's interval, kept on the scale; None with fewer than two, or ratings that do not vary: the error is unknown, not 0."""
    if sums.n < 2.0 or sums.variance == 0.0:
        return None
    half = _student(level, sums.n - 1.0) * sqrt(sums.variance / sums.n)
    return Interval(sums.mean, max(sums.mean - half, csat_silent.LOWEST), min(sums.mean + half, csat_silent.HIGHEST))


def welch(treated: Sums, control: Sums, level: float) -> Interval | None:
    """Difference of two means with Welch's interval; None while one arm has fewer than two values or does not vary."""
    if min(treated.n, control.n) < 2.0 or min(treated.variance, control.variance) == 0.0:
        return None
    one, two = treated.variance / treated.n, control.variance / control.n
    degrees = (one + two) ** 2 / (one**2 / (treated.n - 1.0) + two**2 / (control.n - 1.0))
    half = _student(level, degrees) * sqrt(one + two)
    difference = treated.mean - control.mean
    return Interval(difference, difference - half, difference + half)


def _check(level: float, margin: float, plausible: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(
            f"level is {level}; the confidence of an interval lies strictly between 0 and 1, for example 0.95"
        )
    for name, value in (("margin", margin), ("plausible gap", plausible)):
        if not isfinite(value) or value < 0.0:
            raise ValueError(f"the {name} is {value}; give rating points, 0 or more")


def _normal(level: float) -> float:
    from scipy.special import ndtri

    return float(-ndtri((1.0 - level) / 2.0))


def _student(level: float, degrees: float) -> float:
    from scipy.special import stdtrit

    return float(-stdtrit(degrees, (1.0 - level) / 2.0))


def _arm(arm: ArmRatings, level: float) -> Plain:
    mean = mean_interval(arm.sums, level)
    bounds = None
    if arm.mature:
        silent = arm.mature - arm.rated
        low, high = (arm.sums.total + silent * end for end in (csat_silent.LOWEST, csat_silent.HIGHEST))
        bounds = {"low": low / arm.mature, "high": high / arm.mature}
    return {
        "arm": arm.arm,
        "conversations": arm.conversations,
        "mature": arm.mature,
        "share_mature": arm.mature / arm.conversations if arm.conversations else None,
        "rated": arm.rated,
        "response_rate": _plain(wilson(arm.rated, arm.mature, 1.0 - level)),
        "mean": _plain(mean) or ({"value": arm.sums.mean, "low": None, "high": None} if arm.rated else None),
        "top_two": _plain(wilson(sum(arm.ratings[3:]), arm.rated, 1.0 - level)),
        "distribution": list(arm.ratings),
        "mean_bounds": bounds,
    }


def _differences(treated: ArmRatings, control: ArmRatings, level: float) -> Plain:
    top = [sum(arm.ratings[3:]) for arm in (treated, control)]
    mean = _plain(welch(treated.sums, control.sums, level))
    if mean is None and treated.rated and control.rated:
        mean = {"value": treated.sums.mean - control.sums.mean, "low": None, "high": None}
    return {
        "response_rate": _plain(newcombe(treated.rated, treated.mature, control.rated, control.mature, level)),
        "mean": mean,
        "mean_anytime": _plain(confidence_sequence(treated.sums, control.sums, 1.0 - level)),
        "top_two": _plain(newcombe(top[0], treated.rated, top[1], control.rated, level)),
    }


def _enough(treated: ArmRatings, control: ArmRatings) -> bool:
    return min(treated.rated, control.rated) >= FEW and min(treated.sums.variance, control.sums.variance) > 0.0


def _silent(treated: ArmRatings, control: ArmRatings, margin: float, z: float) -> Plain | None:
    """Bounds and the table; None while one arm has fewer than two ratings: there is nothing to be sensitive about."""
    if min(treated.rated, control.rated) < 2:
        return None
    arms = treated.answers, control.answers
    return {"bounds": csat_silent.bounds(*arms, z), "table": csat_silent.table(*arms, z)}


def _line(answer: Plain) -> float | None:
    """The line that the conclusion is about: 0 for improved and worse, minus the margin for not worse; None without a conclusion."""
    return {"improved": 0.0, "worse": 0.0, "not worse": -float(answer["margin"])}.get(answer["movement"])


def _verdict(treated: ArmRatings, control: ArmRatings, answer: Plain, z: float) -> tuple[str, str]:
    line = _line(answer)
    if line is None:
        return UNKNOWN, _why_unknown(treated, control)
    if treated.rated == treated.mature and control.rated == control.mature:
        return EVERY, "nobody is silent"
    found = csat_silent.survives(treated.answers, control.answers, line, answer["plausible_gap"], z)
    if found["every"]:
        return EVERY, "even the worst silent customers would not change it"
    if found["plausible"]:
        return EVERY_PLAUSIBLE, "silent customers within the plausible gap would not change it"
    return ALIKE, "silent customers within the plausible gap would change it"


def _why_unknown(treated: ArmRatings, control: ArmRatings) -> str:
    arms = (treated, control)
    lacking = (
        ("no conversation of {} can be compared", [not arm.conversations for arm in arms]),
        ("no conversation of {} is old enough for its rating to be there", [not arm.mature for arm in arms]),
        ("nobody rated {}", [not arm.rated for arm in arms]),
        ("too few ratings of {} for an interval to keep its level", [arm.rated < FEW for arm in arms]),
        (
            "the ratings of {} do not vary, so their error is not known",
            [arm.rated > 0 and arm.sums.variance == 0.0 for arm in arms],
        ),
    )
    for words, found in lacking:
        if any(found):
            return words.format(arms[found.index(True)].arm)
    return "the interval reaches from worse than the margin to better: more ratings are needed"


def _notes(treated: ArmRatings, control: ArmRatings, answer: Plain) -> list[str]:
    """What a reader must know beside the numbers; without numbers, which stand next to it."""
    notes = []
    rates = answer["difference"]["response_rate"]
    if rates is not None and not rates["low"] <= 0.0 <= rates["high"]:
        more = treated if rates["value"] > 0.0 else control
        notes.append(
            f"the arms do not answer equally often: {more.arm} is rated more often, so the rated may not be alike"
        )
    if any(arm.mature < arm.conversations for arm in (treated, control)):
        notes.append("conversations that are too young to judge by silence are left out")
    top, mean = answer["difference"]["top_two"], answer["difference"]["mean"]
    if top is not None and mean is not None and top["value"] * mean["value"] < 0.0:
        notes.append("the share of 4 and 5 moves the other way than the mean: the mean decides")
    return notes


def _plain(interval: Interval | None) -> Plain | None:
    if interval is None:
        return None
    return {"value": interval.estimate, "low": interval.low, "high": interval.high}
