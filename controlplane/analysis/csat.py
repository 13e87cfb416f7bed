"""The parts of a CSAT report that come from counts: overall, by week and group, by response delay. Python never holds the rows.

Rules
- A ramp changes the arms' shares, so a total over it mixes times (Simpson). Units are therefore compared *within strata* (a stage of the ramp in one
  week, where shares stay): each arm is weighted to the same mix of strata, `nT nC/(nT + nC)` of the mature units, and counts as many units as the
  weights leave it (Kish: `(sum w)^2 / sum w^2`, rounded). On that stands `core.csat.honest_csat`; the plain total is kept beside it as `pooled`. With
  one stratum the two are the same.
- Groups share the error: with k groups that can be compared each interval is at `1 - (1 - level)/k` (Bonferroni), so that many groups accuse nobody
  by luck. Groups beyond the largest `MOST_GROUPS` are summed up under "other", never dropped.
- Quick answers are not slow answers: the mean by response delay shows what counting too early would have said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.core.csat import FEW, ArmRatings, honest_csat, mean_interval
from controlplane.core.estimates import Sums

TREATED, CONTROL = "assistant", "baseline"
MOST_GROUPS = 20
OTHER = "other"
# Delay buckets of sql/csat/delays.sql as parts of the maturity: with 24 hours they end at 5 minutes, 1 hour, 6 hours, 24 hours.
BUCKETS = {"first 1/288": 1 / 288, "to 1/24": 1 / 24, "to 1/4": 1 / 4, "to maturity": 1.0}

Row = Sequence[Any]  # value, stratum, arm, conversations, mature, n1..n5
Pair = tuple[ArmRatings, ArmRatings]
Plain = dict[str, Any]
NOBODY: Pair = (ArmRatings(TREATED, 0, 0, (0, 0, 0, 0, 0)), ArmRatings(CONTROL, 0, 0, (0, 0, 0, 0, 0)))


def cells(rows: Iterable[Row]) -> dict[str, dict[str, Pair]]:
    """Counts by value of the grouping and stratum; an arm without a unit counts zero."""
    found: dict[str, dict[str, dict[str, ArmRatings]]] = defaultdict(lambda: defaultdict(dict))
    for value, stratum, arm, conversations, mature, *ratings in rows:
        n1, n2, n3, n4, n5 = (int(n) for n in ratings)
        found[str(value)][str(stratum)][arm] = ArmRatings(arm, int(conversations), int(mature), (n1, n2, n3, n4, n5))
    return {
        value: {stratum: (_of(arms, TREATED), _of(arms, CONTROL)) for stratum, arms in strata.items()}
        for value, strata in found.items()
    }


def pooled(strata: Iterable[Pair]) -> Pair:
    """The plain totals of both arms."""
    found = list(strata)
    return (_add([pair[0] for pair in found]), _add([pair[1] for pair in found])) if found else NOBODY


def standardised(strata: Iterable[Pair]) -> Pair:
    """Both arms at the same mix of strata; the totals where one stratum, or none, has mature units of both arms."""
    found = list(strata)
    both = [pair for pair in found if min(arm.mature for arm in pair)]
    if len(both) < 2:
        return pooled(both or found)
    weights = [t.mature * c.mature / (t.mature + c.mature) for t, c in both]
    treated, control = ([pair[side] for pair in both] for side in (0, 1))
    totals = pooled(found)
    return _weighted(treated, weights, totals[0]), _weighted(control, weights, totals[1])


def overall(rows: Iterable[Row], level: float, margin: float, plausible: float) -> Plain:
    """`csat` (the answer, within strata), `pooled` (the plain total, without the tables) and `within_stages` (the difference and how many strata)."""
    strata = cells(rows).get("all", {}).values()
    answer = honest_csat(*standardised(strata), level, margin, plausible)
    plain = honest_csat(*pooled(strata), level, margin, plausible)
    shared = sum(min(arm.mature for arm in pair) > 0 for pair in strata)
    mean = answer["difference"]["mean"]
    if shared > 1 and plain["movement"] != answer["movement"]:
        answer["notes"].append(
            f"the plain total would say {plain['movement']}: the shares of the arms changed with time, so the answer compares within stages and weeks"
        )
    keys = ("treated", "control", "difference", "movement")
    return {
        "csat": answer,
        "pooled": {key: plain[key] for key in keys},
        "within_stages": None if mean is None or shared < 2 else {**mean, "strata": shared},
    }


def groups(rows: Iterable[Row], level: float, margin: float, plausible: float, *, shared: bool = True) -> list[Plain]:
    """One line per value of the grouping, the largest first, within strata; with `shared` False (weeks) in order, the newest, each at `level`."""
    found = cells(rows)
    if not shared:
        return [_line(value, found[value], level, margin, plausible) for value in sorted(found)[-MOST_GROUPS:]]
    largest = sorted(found, key=lambda value: (-sum(arm.conversations for arm in pooled(found[value].values())), value))
    if len(largest) > MOST_GROUPS:
        rest = largest[MOST_GROUPS - 1 :]
        largest = largest[: MOST_GROUPS - 1]
        found[OTHER] = _merged([found[value] for value in [*rest, *([OTHER] if OTHER in largest else [])]])
        largest = [*(value for value in largest if value != OTHER), OTHER]
    comparable = sum(min(arm.rated for arm in pooled(found[value].values())) >= FEW for value in largest)
    used = 1.0 - (1.0 - level) / max(comparable, 1)
    return [_line(value, found[value], used, margin, plausible) for value in largest]


def delays(rows: Iterable[Row], maturity_seconds: float, level: float) -> list[Plain]:
    """Mean rating by how long the answer took, per arm; `rows`: bucket, arm, n, total, squares.

    `until_seconds` is None after maturity, and where the time is not logged.
    """
    found: dict[str, dict[str, Sums]] = defaultdict(dict)
    for bucket, arm, n, total, squares in rows:
        found[bucket][arm] = Sums(float(n), float(total), float(squares))
    order = [*BUCKETS, "after maturity", "not logged"]
    return [
        {
            "bucket": _bucket(bucket, maturity_seconds),
            "until_seconds": BUCKETS[bucket] * maturity_seconds if bucket in BUCKETS else None,
            **{
                name: _mean(found[bucket].get(arm), level) for name, arm in (("treated", TREATED), ("control", CONTROL))
            },
        }
        for bucket in order
        if bucket in found
    ]


def coverage_notes(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is left out, in words: `rows` are those of sql/csat/coverage.sql as mappings."""
    left = list(rows)
    notes = []
    for key, said in (
        (
            "repeats",
            "further conversations of the same customer in a week and stage are left out: they are not independent",
        ),
        (
            "alone",
            "conversations of stages in which the other arm served nobody are left out: there is nothing to compare them with",
        ),
        ("late", "ratings that came after the maturity count as silent; they are shown by response delay"),
    ):
        if any(row[key] for row in left):
            notes.append(said)
    return notes


def _of(arms: Mapping[str, ArmRatings], name: str) -> ArmRatings:
    return arms.get(name, ArmRatings(name, 0, 0, (0, 0, 0, 0, 0)))


def _merged(groups: Sequence[Mapping[str, Pair]]) -> dict[str, Pair]:
    """Several values of a grouping as one, stratum by stratum."""
    strata: dict[str, list[Pair]] = defaultdict(list)
    for group in groups:
        for stratum, pair in group.items():
            strata[stratum].append(pair)
    return {stratum: pooled(found) for stratum, found in strata.items()}


def _weighted(arms: Sequence[ArmRatings], weights: Sequence[float], plain: ArmRatings) -> ArmRatings:
    """One arm at a mix of strata, as many units as the weights leave of it; as many young per mature unit as in the plain total."""
    total = sum(weights)
    effective = total**2 / sum(w * w / arm.mature for arm, w in zip(arms, weights, strict=True))
    shares = [
        sum(w / total * arm.ratings[i] / arm.mature for arm, w in zip(arms, weights, strict=True)) for i in range(5)
    ]
    n1, n2, n3, n4, n5 = (round(effective * share) for share in shares)
    mature = max(round(effective), n1 + n2 + n3 + n4 + n5)
    conversations = round(mature * plain.conversations / plain.mature)
    return ArmRatings(plain.arm, max(conversations, mature), mature, (n1, n2, n3, n4, n5))


def _add(arms: Sequence[ArmRatings]) -> ArmRatings:
    n1, n2, n3, n4, n5 = (sum(arm.ratings[i] for arm in arms) for i in range(5))
    return ArmRatings(
        arms[0].arm, sum(arm.conversations for arm in arms), sum(arm.mature for arm in arms), (n1, n2, n3, n4, n5)
    )


def _line(value: str, strata: Mapping[str, Pair], level: float, margin: float, plausible: float) -> Plain:
    found = honest_csat(*standardised(strata.values()), level, margin, plausible)
    plain = honest_csat(*pooled(strata.values()), level, margin, plausible)
    kept = ("conversations", "mature", "share_mature", "rated", "response_rate", "mean")
    arms = {side: {key: plain[side][key] for key in kept} for side in ("treated", "control")}
    said = {key: found[key] for key in ("difference", "movement", "verdict", "reason")}
    bounds = found["silent"]["bounds"] if found["silent"] else None
    return {"value": value, "level": level, **arms, **said, "bounds": bounds}


def _mean(sums: Sums | None, level: float) -> Plain | None:
    if sums is None:
        return None
    interval = mean_interval(sums, level)
    if interval is None:
        return {"n": int(sums.n), "value": sums.mean, "low": None, "high": None}
    return {"n": int(sums.n), "value": interval.estimate, "low": interval.low, "high": interval.high}


def _bucket(bucket: str, maturity_seconds: float) -> str:
    """Its span of time in words."""
    if bucket not in BUCKETS:
        return bucket
    names = list(BUCKETS)
    end = _span(BUCKETS[bucket] * maturity_seconds)
    before = names.index(bucket) - 1
    return f"up to {end}" if before < 0 else f"{_span(BUCKETS[names[before]] * maturity_seconds)} to {end}"


def _span(seconds: float) -> str:
    """A length of time in the largest unit that keeps it at 1 or more."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
