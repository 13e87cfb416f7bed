"""One comparison of an experiment, replayed look by look from cumulative summary statistics: what each way of deciding would have said, and when.

- *naive*: Welch's t-test at every look, as if each were the only one. This is what people do who peek.
- *group sequential*: the O'Brien-Fleming boundary |z| >= c/sqrt(t) for any number of looks, where c is the level that a Brownian motion on
  [0, 1] crosses with probability alpha. It needs the planned end; the replay lends it the true one, which is more than anyone has beforehand.
- *asymptotic*: a confidence sequence that leaves 0 out (Waudby-Smith et al., arXiv 2103.06476; the mixture SPRT of always-valid p-values and the
  sequential tests of GrowthBook are of this family). Right at every look, for many units.
- *exact*: for events per unit, form 4 of the evidence engine on how the events fall on the arms, in both directions.

*Ours* is the exact test where outcomes are events, the asymptotic one where they are amounts, and it is said which. The verdict at the last look
is the reference, not the truth. All functions are pure; an unknown variance or mean is NaN and is counted, never filled in.

Late events. A cumulative count of events grows through old units as well as new ones (a customer of Monday buys on Thursday). Where arms are drawn
independently with one constant chance, the *share*, and neither whether nor when a unit has its event depends on its arm, every event falls on
the treated with that chance, independently of all others, however chances differ between units, ages and days. So form 4 at the share is exact
at every look, and its product over the looks is that of the totals. It asks for a share that is known and constant: where the units refute it, or
it changed (a ramp), or nobody told it, we decline. Comparing the units still waiting for their event in either arm needs no share, but is not
exact: who waits in an arm differs by chance, and that difference lasts (tests/analysis/test_experiments.py measures it).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi

import numpy as np

from controlplane.core.estimates import sequence_half_width, sequence_log_evidence
from controlplane.core.evidence.forms import BoolArray, FloatArray, count_ratio_log_e

RATE_BETS = tuple(float(2.0 ** (1.0 / 2**k)) for k in range(10))
"""Rate ratios betted on, twice down to 1.0007 times, since experiments have 10^2 to 10^8 units."""
RATIO_BETS = tuple(float(np.exp(sign * log(1.25) / 2**k)) for k in range(12) for sign in (1, -1))
"""Ratios of the split betted on, from 1.25 down to 1.0001, in both directions."""
CONSTANT_SPLIT = 0.2
"""The split of the new units between two looks may differ from the whole by this share before it counts as a ramp."""
ENOUGH_UNITS = 100
"""New units between two looks below which their split says nothing about a ramp."""
UNEQUAL = 0.05
"""A split that ends further than this from the one taken for granted was planned so, not broken."""
REFUTING = 0.1
"""Part of a comparison's alpha that rules out configured shares, where several could be meant."""
SPLIT_ALPHA = 0.01
"""Chance that a sound split is ever called a mismatch."""
UP, DOWN = 1, -1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Treated against control over T looks, all arrays `(T,)` and cumulative, by increasing time.

    `n_*`: units. `mean_*`, `variance_*`: of one unit's outcome; NaN where unknown. `binary`: outcomes are events (0 or 1). `shares`: fractions of
    the treated among the two arms' units that would all be as planned, none = equal; unless `shares_known`, the data may show another plan.
    """

    experiment: str
    variant: str
    metric: str
    time: FloatArray
    n_c: FloatArray
    n_t: FloatArray
    mean_c: FloatArray
    mean_t: FloatArray
    variance_c: FloatArray
    variance_t: FloatArray
    binary: bool
    shares: tuple[float, ...] = ()
    shares_known: bool = False

    @property
    def name(self) -> str:
        return f"{self.experiment}/{self.variant}/{self.metric}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The first look at which a method decides, and for which side (1 = treated higher, -1 = lower)."""

    look: int
    time: float
    side: int


@dataclass(frozen=True, slots=True)
class Replay:
    """What each method said of one comparison.

    `last`: side that is significant at the last look, 0 = not significant, None = its variance is unknown. `naive_looks`: looks at which the naive
    test was significant. `log_e`: evidence of ours at the last usable look (natural log, both directions), NaN = not tested. `declined`: why ours
    does not speak, else empty. `untested`: looks that no test of means could read: a variance unknown
    (`without_variance`) or 0, fewer than two units. `unordered`: looks whose counts had gone down.
    """

    comparison: Comparison
    last: int | None
    last_p: float
    estimate: float
    low: float
    high: float
    naive_looks: int
    naive: Decision | None
    group_sequential: Decision | None
    asymptotic: Decision | None
    exact: Decision | None
    declined: str
    log_e: float
    untested: int
    without_variance: int
    unordered: int

    @property
    def ours(self) -> Decision | None:
        """The exact test for events, the asymptotic one for amounts."""
        if self.declined:
            return None
        return self.exact if self.comparison.binary else self.asymptotic


def replay(comparison: Comparison, alpha: float, tightest: float) -> Replay:
    """Replay the looks of one comparison. `alpha` is two-sided and for this comparison alone; `tightest`: units at which the asymptotic
    sequence is narrowest, fixed beforehand. A comparison without looks is a ValueError of the caller."""
    if not len(comparison.time):
        raise ValueError(f"{comparison.name} has no look")
    ordered = _never_less(comparison.n_c, comparison.n_t)
    difference, error = _difference(comparison)
    known = ordered & np.isfinite(difference) & (error > 0.0)
    p = np.where(known, _welch_p(comparison, difference, error), np.nan)
    z = np.where(known, difference / np.where(known, error, 1.0), 0.0)
    units = comparison.n_c + comparison.n_t
    half = sequence_half_width(np.where(known, error, 1.0), np.maximum(units, 1.0), alpha, tightest)
    naive = known & (p <= alpha)
    part = units / max(float(units.max()), 1.0)
    boundary = brownian_boundary(alpha) / np.sqrt(np.where(part > 0.0, part, 1.0))
    declined = _why_not(comparison, known, alpha)
    exact, log_e_exact = _exact(comparison, alpha) if comparison.binary and not declined else (None, np.nan)
    asymptotic = first(known & (np.abs(difference) > half), z, comparison.time)
    log_e = log_e_exact if comparison.binary else _last_evidence(z, units, known, alpha, tightest)
    end = len(p) - 1
    return Replay(
        comparison=comparison,
        last=int(np.sign(z[end])) * bool(naive[end]) if known[end] else None,
        last_p=float(p[end]),
        estimate=float(difference[end]),
        low=float(difference[end] - half[end]) if known[end] else np.nan,
        high=float(difference[end] + half[end]) if known[end] else np.nan,
        naive_looks=int(naive.sum()),
        naive=first(naive, z, comparison.time),
        group_sequential=first(known & (np.abs(z) >= boundary), z, comparison.time),
        asymptotic=asymptotic,
        exact=exact,
        declined=declined,
        log_e=log_e,
        untested=int(np.sum(ordered & ~known)),
        without_variance=int(np.sum(~np.isfinite(comparison.variance_c) | ~np.isfinite(comparison.variance_t))),
        unordered=int(np.sum(~ordered)),
    )


def _why_not(comparison: Comparison, known: BoolArray, alpha: float) -> str:
    if split_changed(comparison.n_c, comparison.n_t):
        return "the split of the traffic changed"
    if not comparison.binary:
        return "" if known.any() else "no look has a known variance"
    kept, *events = _events(comparison)
    if any(np.any(np.diff(counted, prepend=0.0) < 0.0) for counted in events):
        return "events that had been counted are gone at a later look"
    refuted = _refuted(comparison, kept, alpha)
    if len(kept) and not refuted:
        return "the configured share of the traffic is not in the file"
    if len(kept) and all(flags[-1] for flags in refuted.values()):
        return "the units are not split as configured"
    return ""


def first(flags: BoolArray, z: FloatArray, time: FloatArray) -> Decision | None:
    """The first flagged look and the side of its z."""
    if not flags.any():
        return None
    look = int(np.argmax(flags))
    return Decision(look, float(time[look]), UP if z[look] > 0 else DOWN)


def _never_less(*counts: FloatArray) -> BoolArray:
    """Looks `(T,)` at which no cumulative count is below an earlier one; a look that is, is a fault of the record."""
    good = np.ones(len(counts[0]), dtype=np.bool_)
    for values in counts:
        seen = np.where(np.isfinite(values), values, -np.inf)
        good &= np.isfinite(values) & (seen >= np.maximum.accumulate(seen))
    return good


def _difference(comparison: Comparison) -> tuple[FloatArray, FloatArray]:
    """Treated minus control and its standard error, NaN where unknown or an arm has fewer than two units."""
    enough = (comparison.n_c >= 2.0) & (comparison.n_t >= 2.0)
    n_c, n_t = (np.where(enough, n, 1.0) for n in (comparison.n_c, comparison.n_t))
    variance = comparison.variance_t / n_t + comparison.variance_c / n_c
    error = np.sqrt(np.where(variance >= 0.0, variance, np.nan))
    difference = np.where(enough, comparison.mean_t - comparison.mean_c, np.nan)
    return difference, np.where(enough & np.isfinite(error), error, 0.0)


def _welch_p(comparison: Comparison, difference: FloatArray, error: FloatArray) -> FloatArray:
    """Two-sided p of Welch's t-test at each look; meaningless where the error is unknown (the caller masks it)."""
    from scipy.special import stdtr

    known = error > 0.0
    n_c, n_t = (np.maximum(n, 2.0) for n in (comparison.n_c, comparison.n_t))
    parts = [np.where(known, v, 1.0) / n for v, n in ((comparison.variance_c, n_c), (comparison.variance_t, n_t))]
    freedom = (parts[0] + parts[1]) ** 2 / (parts[0] ** 2 / (n_c - 1.0) + parts[1] ** 2 / (n_t - 1.0))
    t = np.where(known, np.abs(np.nan_to_num(difference)) / np.where(known, error, 1.0), 0.0)
    return np.asarray(2.0 * stdtr(freedom, -t))


def _last_evidence(z: FloatArray, units: FloatArray, known: BoolArray, alpha: float, tightest: float) -> float:
    if not known.any():
        return np.nan
    look = int(np.flatnonzero(known)[-1])
    return float(sequence_log_evidence(z[look], units[look], alpha, tightest))


def brownian_boundary(alpha: float) -> float:
    """c such that a Brownian motion on [0, 1] ever leaves (-c, c) with probability alpha: the O'Brien-Fleming boundary for any number of looks.

    P(stay) = (4/pi) sum_k (-1)^k/(2k+1) exp(-(2k+1)^2 pi^2/(8 c^2)).
    """
    from scipy.optimize import brentq

    odd = 2.0 * np.arange(60) + 1.0
    signs = np.where(np.arange(60) % 2, -1.0, 1.0)

    def stays(c: float) -> float:
        return float(4.0 / pi * np.sum(signs / odd * np.exp(-(odd**2) * pi**2 / (8.0 * c * c))))

    return float(brentq(lambda c: stays(c) - (1.0 - alpha), 0.3, 12.0))


def split_changed(n_c: FloatArray, n_t: FloatArray) -> bool:
    """Whether the share of the treated among the new units of some interval departs from the whole by more than `CONSTANT_SPLIT`.

    Looks at units only, never at outcomes; intervals in which chance alone moves a share that far (five standard errors) do not count.
    """
    kept = growing(n_c, n_t)
    if len(kept) < 2:
        return False
    new_c, new_t = (np.diff(n[kept], prepend=0.0) for n in (n_c, n_t))
    new = new_c + new_t
    whole = float(n_t[kept[-1]] / (n_c[kept[-1]] + n_t[kept[-1]]))
    allowed = CONSTANT_SPLIT * min(whole, 1.0 - whole) + 5.0 * np.sqrt(whole * (1.0 - whole) / new)
    return bool(np.any((np.abs(new_t / new - whole) > allowed) & (new >= ENOUGH_UNITS)))


def growing(n_c: FloatArray, n_t: FloatArray) -> np.ndarray:
    """Looks at which both arms have more units than at the last look kept; the others are merged into the next one.

    Depends on units only: leaving out a look because of its outcomes would break the guarantee.
    """
    kept: list[int] = []
    for look, (c, t) in enumerate(zip(n_c.tolist(), n_t.tolist(), strict=True)):
        before = (n_c[kept[-1]], n_t[kept[-1]]) if kept else (0.0, 0.0)
        if c > before[0] and t > before[1]:
            kept.append(look)
    return np.array(kept, dtype=np.int64)


def _events(comparison: Comparison) -> tuple[np.ndarray, FloatArray, FloatArray]:
    """Looks whose counts are known and have not fallen, with the cumulative events of control and treated there."""
    mean_c, mean_t = comparison.mean_c, comparison.mean_t
    kept = np.flatnonzero(_never_less(comparison.n_c, comparison.n_t) & np.isfinite(mean_c) & np.isfinite(mean_t))
    return kept, np.rint(mean_c[kept] * comparison.n_c[kept]), np.rint(mean_t[kept] * comparison.n_t[kept])


def _refuted(comparison: Comparison, kept: np.ndarray, alpha: float) -> dict[float, BoolArray]:
    """Per share that counts as configured, whether the units have spoken against it by each of the looks `kept`; no look of events enters."""
    n_c, n_t = comparison.n_c[kept], comparison.n_t[kept]
    against = {share: split_evidence(n_t, n_c, np.full(len(kept), share)) for share in planned_shares(comparison)}
    line = -log(REFUTING * alpha)
    return {share: np.asarray(np.maximum.accumulate(log_e) >= line) for share, log_e in against.items()}


def _exact(comparison: Comparison, alpha: float) -> tuple[Decision | None, float]:
    """First look at which one direction has evidence 2/alpha against every share that the units leave standing, and the log of the two directions'
    mean evidence at the end.

    `REFUTING` of alpha pays for the shares ruled out, the rest for the events: the true share is refuted, or its evidence crosses, with a chance of
    at most alpha together. As an e-value the second answer holds but for the chance that the true share is refuted; with one share it always holds,
    for a comparison whose only share is refuted is declined.
    """
    kept, x_c, x_t = _events(comparison)
    if not len(kept):
        return None, np.nan
    against = [
        np.where(refuted, np.inf, event_evidence(x_c, x_t, share))
        for share, refuted in _refuted(comparison, kept, alpha).items()
    ]
    both = np.min(against, axis=0)
    reached = both >= log(2.0 / ((1.0 - REFUTING) * alpha))
    side = np.where(both[0] >= both[1], 1.0, -1.0)
    found = first(np.any(reached, axis=0), side, comparison.time[kept])
    if found is not None:
        found = Decision(int(kept[found.look]), found.time, found.side)
    return found, float(np.logaddexp(both[0, -1], both[1, -1]) - log(2.0))


def event_evidence(x_c: FloatArray, x_t: FloatArray, share: float) -> FloatArray:
    """Log evidence `(2, T)` that the treated have the event more (row 0) or less (row 1) often, from cumulative events and the treated share."""
    shares = np.full(np.shape(x_t), share)
    more = count_ratio_log_e(x_t, x_c, shares, RATE_BETS)
    less = count_ratio_log_e(x_c, x_t, 1.0 - shares, RATE_BETS)
    return np.stack([np.logaddexp.reduce(values, axis=-1) - log(len(RATE_BETS)) for values in (more, less)])


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Are units split as configured? `shares`: treated shares that count as configured, none = unequal by design and unknown, so not tested.

    `found`: first look at which the evidence reaches 1/alpha. `naive_looks`: looks at which a chi-square test at alpha would have cried.
    `sound_as`: the planned share that alone makes the split sound, where one of several does and an equal one would not; else None.
    """

    experiment: str
    variant: str
    shares: tuple[float, ...]
    observed: float
    units: float
    log_e: float
    found: Decision | None
    naive_looks: int
    last_p: float
    sound_as: float | None = None


def sample_ratio(comparison: Comparison, alpha: float) -> SampleRatio:
    """Form 4 on unit counts: with one constant share the product over the blocks is that of the totals. Exact at every look.

    Where several shares are as configured (thirds in whole percentages are 33 or 34), the least evidence against any of them counts.
    """
    from scipy.special import ndtr

    ordered = _never_less(comparison.n_c, comparison.n_t)
    units = np.where(ordered, comparison.n_c + comparison.n_t, 0.0)
    treated = np.where(ordered, comparison.n_t, 0.0)
    end = int(np.flatnonzero(ordered)[-1]) if ordered.any() else 0
    observed = float(treated[end] / units[end]) if units[end] > 0 else np.nan
    shares = planned_shares(comparison)
    identity = (comparison.experiment, comparison.variant)
    if not shares or not np.isfinite(observed):
        return SampleRatio(*identity, (), observed, float(units[end]), np.nan, None, 0, np.nan)
    against = [split_evidence(treated, units - treated, np.full(len(units), share)) for share in shares]
    log_e = np.min(against, axis=0)
    z = np.array([(treated - units * s) / np.sqrt(s * (1.0 - s) * np.maximum(units, 1.0)) for s in shares])
    z = z[np.argmin(np.abs(z), axis=0), np.arange(len(units))]
    p = 2.0 * ndtr(-np.abs(z))
    found = first(np.asarray(ordered & (log_e >= -log(alpha))), z, comparison.time)
    naive = int(np.sum(ordered & (p <= alpha)))
    sound_as = _sound_as(shares, against, alpha)
    return SampleRatio(
        *identity, shares, observed, float(units[end]), float(log_e[end]), found, naive, float(p[end]), sound_as
    )


def _sound_as(shares: tuple[float, ...], against: Sequence[FloatArray], alpha: float) -> float | None:
    ever = [float(values.max()) for values in against]
    best = int(np.argmin(ever))
    refuted = [log_e >= -log(alpha) for share, log_e in zip(shares, ever, strict=True) if share == 0.5]
    return shares[best] if any(refuted) and ever[best] < -log(alpha) else None


def planned_shares(comparison: Comparison) -> tuple[float, ...]:
    """Treated shares that count as configured; none where the split was meant to be another, which nobody told us.

    Shares taken for granted hold only where the data ends near one of them.
    """
    if comparison.shares_known:
        return comparison.shares
    ordered = _never_less(comparison.n_c, comparison.n_t)
    if not ordered.any():
        return ()
    end = int(np.flatnonzero(ordered)[-1])
    units = comparison.n_c[end] + comparison.n_t[end]
    shares = comparison.shares or (0.5,)
    near = any(abs(comparison.n_t[end] / units / share - 1.0) <= UNEQUAL for share in shares) if units > 0 else False
    return shares if near else ()


def split_evidence(treated: FloatArray, others: FloatArray, share: FloatArray) -> FloatArray:
    """Log evidence `(...)` that units do not fall on the treated with chance `share`: mean of form 4 over `RATIO_BETS`."""
    log_e = count_ratio_log_e(treated, others, share, RATIO_BETS)
    return np.asarray(np.logaddexp.reduce(log_e, axis=-1) - log(len(RATIO_BETS)))
