"""A rate counted by an imperfect detector, corrected for the detector's own error, with an interval that carries both samples.

Two situations, two estimators
- *Sensitivity and specificity carry over* (they were measured on other answers, perhaps with another share of bad ones): `rogan_gladen`.
  Point estimate: Rogan and Gladen, Am. J. Epidemiol. 107 (1978), 71-76. Interval: Lang and Reiczigel, Prev. Vet. Med. 113 (2014), 13-22.
- *The audited answers are a random sample of the same stream*: `prediction_powered` (Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, Science
  382 (2023), 669-674; power tuning: arXiv 2311.01453). It needs no assumption about the detector, however bad.

Rules
- Unknown is a verdict: a detector no better than chance (sensitivity + specificity <= 1) supports no correction and gets None with the reason,
  never a number. The same holds where its lower limits leave chance possible: the interval would then be of no use and is not shown as one.
- Every sample is of independent rows. Rows that come in clusters make true intervals wider than these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from scipy import stats

MIN_VALIDATION = 10  # audited answers of each kind: below, sensitivity or specificity is hearsay


@dataclass(frozen=True, slots=True)
class Share:
    """`hits` of `rows`."""

    hits: int
    rows: int

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.rows:
            raise ValueError(f"a share needs 0 <= hits <= rows, got {self.hits} of {self.rows}")

    @property
    def value(self) -> float | None:
        """None where there are no rows."""
        return self.hits / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class CorrectedRate:
    """A corrected rate in [0, 1] with its interval; `unknown` says why there is none."""

    rate: float | None
    low: float | None
    high: float | None
    method: str
    unknown: str = ""


def rogan_gladen(flagged: Share, sensitivity: Share, specificity: Share, level: float = 0.95) -> CorrectedRate:
    """Corrects the share `flagged` of a stream.

    `sensitivity`: flagged ones of the truly bad answers of the validation sample; `specificity`: passed ones of the truly good.
    rate = (flagged + specificity - 1) / (sensitivity + specificity - 1), cut to [0, 1].
    """
    method = "Rogan-Gladen 1978, interval of Lang and Reiczigel 2014"
    if not flagged.rows:
        return CorrectedRate(None, None, None, method, "no answer was judged")
    if min(sensitivity.rows, specificity.rows) < MIN_VALIDATION:
        reason = f"the validation sample has {sensitivity.rows} bad and {specificity.rows} good answers, {MIN_VALIDATION} of each are needed"
        return CorrectedRate(None, None, None, method, reason)
    youden = sensitivity.hits / sensitivity.rows + specificity.hits / specificity.rows - 1
    if youden <= 0:
        return CorrectedRate(
            None, None, None, method, "the detector is no better than chance (sensitivity + specificity <= 1)"
        )
    z = float(stats.norm.ppf(0.5 + level / 2))
    if youden <= z * _youden_error(sensitivity, specificity):
        return CorrectedRate(None, None, None, method, "the validation sample cannot tell the detector from chance")
    rate = (flagged.hits / flagged.rows + specificity.hits / specificity.rows - 1) / youden
    low, high = _lang_reiczigel(flagged, sensitivity, specificity, z)
    rate = min(max(rate, 0.0), 1.0)
    return CorrectedRate(rate, min(low, rate), max(high, rate), method)


def prediction_powered(
    flags: Sequence[bool], audited_flags: Sequence[bool], audited_bad: Sequence[bool], level: float = 0.95
) -> CorrectedRate:
    """Rate of bad answers in a stream from `flags` of answers nobody audited and a random audited sample of the same stream.

    rate = flagged share x bad ones of the audited flagged + passed share x bad ones of the audited passed, which is what power-tuned
    prediction-powered inference comes to when the prediction is a flag. The interval joins Wilson's of the three shares by MOVER (Zou and Donner,
    Stat. Med. 27, 2008, 1693-1702): with few bad answers the normal interval covers 87-91 % instead of 95 %.
    """
    method = "prediction-powered (post-stratified by flag), MOVER interval"
    if len(audited_flags) != len(audited_bad):
        raise ValueError(
            f"each audited answer needs its flag and its verdict: {len(audited_flags)} flags, {len(audited_bad)} verdicts"
        )
    if len(audited_bad) < MIN_VALIDATION:
        return CorrectedRate(
            None, None, None, method, f"{len(audited_bad)} answers were audited, {MIN_VALIDATION} are needed"
        )
    audited = list(zip(audited_flags, audited_bad, strict=True))
    everything = Share(sum(map(bool, flags)) + sum(map(bool, audited_flags)), len(flags) + len(audited_flags))
    groups = {
        flag: Share(
            sum(1 for f, bad in audited if bool(f) is flag and bad), sum(1 for f, _ in audited if bool(f) is flag)
        )
        for flag in (True, False)
    }
    share = everything.hits / everything.rows
    for flag, weight in ((True, share), (False, 1 - share)):
        if weight > 0 and not groups[flag].rows:
            return CorrectedRate(
                None, None, None, method, f"none of the {'flagged' if flag else 'passed'} answers was audited"
            )
    bad_flagged, bad_passed = (groups[flag].value or 0.0 for flag in (True, False))
    rate = share * bad_flagged + (1 - share) * bad_passed
    z = float(stats.norm.ppf(0.5 + level / 2))
    ends = [_wilson(groups[True], z), _wilson(groups[False], z), _wilson(everything, z)]
    values, slopes = (bad_flagged, bad_passed, share), (share, 1 - share, bad_flagged - bad_passed)
    below = above = 0.0
    for value, slope, (low, high) in zip(values, slopes, ends, strict=True):
        below += (slope * ((value - low) if slope > 0 else (high - value))) ** 2
        above += (slope * ((high - value) if slope > 0 else (value - low))) ** 2
    return CorrectedRate(rate, max(rate - sqrt(below), 0.0), min(rate + sqrt(above), 1.0), method)


def _wilson(share: Share, z: float) -> tuple[float, float]:
    """Wilson's score interval; [0, 1] without rows."""
    if not share.rows:
        return 0.0, 1.0
    value, spread = share.hits / share.rows, z**2 / share.rows
    centre = (value + spread / 2) / (1 + spread)
    half = sqrt(value * (1 - value) * spread + spread**2 / 4) / (1 + spread)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def _lang_reiczigel(flagged: Share, sensitivity: Share, specificity: Share, z: float) -> tuple[float, float]:
    """Interval after adding z squared (half of it as hits) to the stream and one hit and one miss to each validation group."""
    rows = flagged.rows + z**2
    apparent = (flagged.hits + z**2 / 2) / rows
    positives, negatives = sensitivity.rows + 2, specificity.rows + 2
    found, passed = (sensitivity.hits + 1) / positives, (specificity.hits + 1) / negatives
    youden = found + passed - 1
    rate = (apparent + passed - 1) / youden
    of_found, of_passed = found * (1 - found) / positives, passed * (1 - passed) / negatives
    shift = 2 * z**2 * (rate * of_found - (1 - rate) * of_passed)
    error = sqrt(apparent * (1 - apparent) / rows + rate**2 * of_found + (1 - rate) ** 2 * of_passed) / youden
    centre = rate + shift
    return min(max(centre - z * error, 0.0), 1.0), min(max(centre + z * error, 0.0), 1.0)


def _youden_error(sensitivity: Share, specificity: Share) -> float:
    """Standard error of sensitivity + specificity - 1, one hit and one miss added to each group."""
    parts = [(share.hits + 1, share.rows + 2) for share in (sensitivity, specificity)]
    return sqrt(sum(hits / rows * (1 - hits / rows) / rows for hits, rows in parts))
