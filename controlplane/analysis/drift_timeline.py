"""When did a column drift? The distance of each hour or day to the reference, and the moment at which it changed. Pure.

A *sketch* says what a column was like in one bucket: rows, rows with a value, and 100 quantiles (numbers) or counts (categories). Sketches do not
depend on the reference, so those of past days are kept and only new days are read. `distance` compares a sketch with the reference's: for
numbers the first Wasserstein distance over the quantiles in reference standard deviations (100 quantiles leave out what is beyond the .5 % tails,
so it reads a little lower than the gate number, which is exact), for categories the Jensen-Shannon distance (exact up to 200 values).
A day has few rows, and few rows are always some distance away: `excess` takes out what chance alone gives (`expected`): a quiet day reads about 0.

`onset` looks for one change of level in that series: the split with the least squares (Bai 1997), believed when a permutation test of its share
of the variance says so, with the set of moments that fit nearly as well (likelihood-ratio set of Hansen 2000, 95 %). It answers in words when it
cannot tell: too few buckets, no change within the series, a slow change rather than a moment, or drift that was there from the first bucket on.
While nothing changes the test takes buckets as exchangeable, or, from `BLOCKED` buckets on and where each resembles the one before, blocks of
neighbours: of 56 quiet days with an autocorrelation of up to .6 it then claims a step in some 6 % (24 % without blocks).
A change of the rhythm itself is not looked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import log, pi, sqrt

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEAST_BUCKETS = 6
LEAST_SIDE = 2
LEAST_ROWS = 10  # of a bucket: fewer say nothing about a distribution
LEVEL = 0.05
RESEMBLE = 1.2  # z of the autocorrelation from which it counts; its estimate behind a fitted step is too low
BLOCKED = 28  # buckets from which they are permuted in blocks; of fewer there would be too few orders to tell anything
PERMUTATIONS = 999
SEED = 20260105
LIKELY = (
    7.35  # 95 % critical value of the likelihood ratio of a change's place (Hansen, Econometrica 68, 2000, table 1)
)
LASTING = (
    0.8  # share of the buckets that lie beyond the threshold from the moment on at which a slow change counts as drift
)
DOUBLE = 2.0  # a step that at least doubles the distance is a moment, though a little drift was there before
BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Sketch:
    """A column in one bucket. `quantiles`: 100 values for numbers, empty for categories; `counts`: rows per value."""

    rows: int
    usable: int
    mean: float | None = None
    sd: float | None = None
    quantiles: tuple[float, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def missing(self) -> float | None:
        """Share of rows without a value; None without rows."""
        return 1.0 - self.usable / self.rows if self.rows else None

    def to_list(self) -> list[object]:
        """JSON-ready, short: there is one per column and day."""
        return [self.rows, self.usable, self.mean, self.sd, list(self.quantiles), dict(self.counts)]

    @classmethod
    def from_list(cls, values: Sequence[object]) -> Sketch:
        """The sketch that `to_list` wrote. Raises ValueError for anything else."""
        if len(values) != 6 or not isinstance(values[4], list) or not isinstance(values[5], dict):
            raise ValueError("this is no sketch of a column")
        rows, usable, mean, sd, quantiles, counts = values
        return cls(rows, usable, mean, sd, tuple(quantiles), counts)  # type: ignore[arg-type]


def distance(reference: Sketch, bucket: Sketch) -> float | None:
    """How far a bucket is from the reference, in the unit of the gate number; None where a side has no values.

    A reference without spread has no standard deviation to measure in: the share of the bucket's values that differ from its one value.
    """
    if not reference.usable or not bucket.usable:
        return None
    if reference.quantiles and bucket.quantiles:
        theirs, ours = np.asarray(reference.quantiles), np.asarray(bucket.quantiles)
        if not reference.sd:
            return float(np.mean(theirs[0] != ours))
        return float(np.mean(np.abs(theirs - ours))) / reference.sd
    if reference.quantiles or bucket.quantiles:
        return None  # numbers on one side, words on the other
    return jensen_shannon(reference.counts, bucket.counts)


def expected(reference: Sketch, bucket: Sketch) -> float:
    """The distance that chance alone would give with that many rows on both sides; 0 where there is nothing to compare.

    Numbers: `sqrt(2/pi) integral sqrt(F (1 - F)) dx sqrt(1/n + 1/m)`, the mean of the Brownian bridge's area (del Barrio, Gine, Matran, Annals of
    Probability 27, 1999), over the reference's quantiles. Categories: the Jensen-Shannon divergence of k values is about chi-square / 8 of k - 1
    degrees of freedom, `(k - 1)/8 (1/n + 1/m)` (Lin 1991, Taylor expansion); values too rare to appear do not count.
    """
    if not reference.usable or not bucket.usable:
        return 0.0
    few = 1 / reference.usable + 1 / bucket.usable
    if reference.quantiles and bucket.quantiles:
        if not reference.sd:
            return 0.0
        quantiles = np.asarray(reference.quantiles)
        upto = np.arange(1, len(quantiles)) / len(quantiles)
        area = float(np.sqrt(upto * (1 - upto)) @ np.diff(quantiles))
        return sqrt(2 / pi * few) * area / reference.sd
    likely = sum(count * bucket.usable >= reference.usable for count in reference.counts.values())
    return sqrt(max(likely - 1, 0) / 8 * few)


def excess(reference: Sketch, bucket: Sketch) -> float | None:
    """The distance beyond chance: `sqrt(distance^2 - expected^2)`, 0 where it is less; None where there is none."""
    found = distance(reference, bucket)
    return None if found is None else sqrt(max(found**2 - expected(reference, bucket) ** 2, 0.0))


def jensen_shannon(first: Mapping[str, int], second: Mapping[str, int]) -> float | None:
    """Jensen-Shannon distance (natural logarithm) of two counts; None while one is empty."""
    all_first, all_second = sum(first.values()), sum(second.values())
    if not all_first or not all_second:
        return None
    divergence = 0.0
    for value in sorted({*first, *second}):
        p, q = first.get(value, 0) / all_first, second.get(value, 0) / all_second
        middle = (p + q) / 2
        divergence += sum(share * log(share / middle) / 2 for share in (p, q) if share)
    return sqrt(max(divergence, 0.0))


class Shape(StrEnum):
    """How a column came to be where it is."""

    STEP = "step"
    GRADUAL = "gradual"
    FROM_THE_START = "from the start"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Onset:
    """Where the series changed: indices of buckets (None: no moment can be named), levels before and after, and it in words."""

    shape: Shape
    reason: str
    index: int | None = None
    earliest: int | None = None
    latest: int | None = None
    before: float | None = None
    after: float | None = None
    p: float | None = None


def onset(scores: Sequence[float | None], rows: Sequence[int], threshold: float) -> Onset:
    """The first bucket of the new level. `scores` and `rows` have one entry per bucket, in the order of time.

    Raises ValueError when they have not, or a score is not finite.
    """
    if len(scores) != len(rows):
        raise ValueError(f"{len(scores)} scores and {len(rows)} row counts: give one of each per bucket")
    places = [i for i, score in enumerate(scores) if score is not None and rows[i] >= LEAST_ROWS]
    if len(places) < LEAST_BUCKETS:
        said = f"{len(places)} buckets with {LEAST_ROWS} rows or more; {LEAST_BUCKETS} are needed to tell a moment"
        return Onset(Shape.UNCLEAR, said)
    values = np.asarray([scores[i] for i in places], dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a distance is not a finite number; leave out buckets without one")
    counts = np.asarray([rows[i] for i in places], dtype=np.float64)
    # beyond the usual number of rows it is the days that differ, not the sample: more rows add no weight
    weights = np.minimum(counts, np.median(counts))
    gains = _gains(values[None, :], weights[None, :])[0]
    total = _squares(values, weights)
    if total <= 1e-12 * max(1.0, float(values @ values)):
        return _without_change(values, threshold, 1.0)
    p = _permuted(values, weights, float(gains.max()))
    if p > LEVEL:
        return _without_change(values, threshold, p)
    return _changed(values, weights, gains, total, places, threshold, p)


def sparkline(values: Sequence[float | None], top: float | None = None) -> str:
    """One character per value, from 0 to `top` (the largest value); a blank where there is none."""
    known = [value for value in values if value is not None]
    ceiling = max([top or 0.0, *known], default=0.0)
    return "".join(
        " " if value is None else BARS[min(int(value / ceiling * len(BARS)), len(BARS) - 1) if ceiling > 0 else 0]
        for value in values
    )


def _squares(values: FloatArray, weights: FloatArray) -> float:
    centre = float(np.average(values, weights=weights))
    return float(weights @ np.square(values - centre))


def _gains(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Squares that a split before each allowed bucket explains: (series, places), place j = split before bucket j + LEAST_SIDE."""
    mass, moment = np.cumsum(weights, axis=1), np.cumsum(weights * values, axis=1)
    all_mass, all_moment = mass[:, -1:], moment[:, -1:]
    left = slice(LEAST_SIDE - 1, values.shape[1] - LEAST_SIDE)
    m, s = mass[:, left], moment[:, left]
    return np.asarray(np.square(s - all_moment * m / all_mass) * all_mass / (m * (all_mass - m)))


def _permuted(values: FloatArray, weights: FloatArray, found: float) -> float:
    """How often a split of the same buckets in a random order explains as much; neighbours stay together where days resemble the day before."""
    rng = np.random.default_rng(SEED)
    n = len(values)
    length = round(n ** (1 / 3)) if _resemble(values, weights) else 1
    place = np.arange(n)
    ranks = rng.permuted(np.tile(np.arange(n // length + 1.0), (PERMUTATIONS, 1)), axis=1)
    orders = np.argsort(ranks[:, place // length] * n + place, axis=1)
    best = _gains(values[orders], weights[orders]).max(axis=1)
    return float((1 + np.sum(best >= found * (1 - 1e-12))) / (PERMUTATIONS + 1))


def _resemble(values: FloatArray, weights: FloatArray) -> bool:
    """Whether what the best split leaves unexplained is correlated from one bucket to the next; errs towards yes."""
    if len(values) < BLOCKED:
        return False
    at = int(np.argmax(_gains(values[None, :], weights[None, :])[0])) + LEAST_SIDE
    left = values - np.repeat([values[:at].mean(), values[at:].mean()], [at, len(values) - at])
    squares = float(left @ left)
    return squares > 0.0 and float(left[1:] @ left[:-1]) / squares > RESEMBLE / sqrt(len(values))


def _without_change(values: FloatArray, threshold: float, p: float) -> Onset:
    level = float(np.median(values))
    if level >= threshold:
        said = f"about {level:.2f} in all buckets: it began before the first of them"
        return Onset(Shape.FROM_THE_START, said, after=level, p=p)
    said = f"no moment stands out: the distance moves around {level:.2f} by no more than chance (p = {p:.2g})"
    return Onset(Shape.UNCLEAR, said, p=p)


def _changed(
    values: FloatArray,
    weights: FloatArray,
    gains: FloatArray,
    total: float,
    places: Sequence[int],
    threshold: float,
    p: float,
) -> Onset:
    at = int(np.argmax(gains)) + LEAST_SIDE
    before = float(np.average(values[:at], weights=weights[:at]))
    after = float(np.average(values[at:], weights=weights[at:]))
    if after <= before and after >= threshold:
        said = f"from {before:.2f} to {after:.2f}, beyond its threshold all the time: it began before the first bucket"
        return Onset(Shape.FROM_THE_START, said, before=before, after=after, p=p)
    if after <= before:
        said = f"the distance fell from {before:.2f} to {after:.2f}: what had drifted is coming back"
        return Onset(Shape.UNCLEAR, said, before=before, after=after, p=p)
    residual = max(total - float(gains.max()), 0.0)
    if _line_squares(values, weights) < residual:
        return _gradual(values, places, threshold, before, after, p)
    if before >= threshold and after < DOUBLE * before:
        said = f"{before:.2f} already before it rose to {after:.2f}: it began before the first bucket"
        return Onset(Shape.FROM_THE_START, said, before=before, after=after, p=p)
    spread = residual / max(len(values) - 2, 1)
    near = np.flatnonzero(gains.max() - gains <= LIKELY * spread) + LEAST_SIDE
    said = f"from {before:.2f} to {after:.2f} in one step (p = {p:.2g})"
    return Onset(Shape.STEP, said, places[at], places[int(near[0])], places[int(near[-1])], before, after, p)


def _line_squares(values: FloatArray, weights: FloatArray) -> float:
    """What a straight line leaves unexplained."""
    root = np.sqrt(weights)
    design = np.stack([np.ones(len(values)), np.arange(len(values), dtype=np.float64)], axis=1) * root[:, None]
    found = np.linalg.lstsq(design, values * root, rcond=None)[0]
    return float(np.sum(np.square(values * root - design @ found)))


def _gradual(
    values: FloatArray, places: Sequence[int], threshold: float, before: float, after: float, p: float
) -> Onset:
    beyond = values >= threshold
    lasting = np.cumsum(beyond[::-1])[::-1] / np.arange(len(values), 0, -1)
    first = next((i for i in range(len(values)) if beyond[i] and lasting[i] >= LASTING), None)
    said = f"a slow change from about {before:.2f} to {after:.2f}: there is no single moment"
    if first is None:
        return Onset(Shape.GRADUAL, said, before=before, after=after, p=p)
    if first == 0:
        said = f"it grows from {before:.2f} to {after:.2f} and was beyond its threshold in the first bucket already"
        return Onset(Shape.FROM_THE_START, said, before=before, after=after, p=p)
    said += "; the moment is when it went beyond its threshold for good"
    return Onset(Shape.GRADUAL, said, places[first], before=before, after=after, p=p)
