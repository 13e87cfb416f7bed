"""How much is missing until the gate opens, and when that is likely. Pure.

Two kinds of answers, and never more than the data supports:

- certain: time in the stage and a cooldown end at a known minute.
- likely: customers come at the rate of this stage (Poisson: the interval is that of the rate, Wilson-Hilferty's for a count); a certificate needs
  what `controlplane.core.forecast` says for arms that are alike, and what its evidence has gathered per block so far says; the two give a range,
  made wider by what chance does to evidence: two paths of three end in it (`passage`).

Where fewer than `FEWEST` customers were seen, where the evidence does not grow, or where the two are further apart than `WIDEST` times, no date
is named. People's approvals have no date at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp, inf, isfinite, log, sqrt
from statistics import NormalDist

from controlplane.core.forecast import Expected
from controlplane.core.forecast_left import certificate_left
from controlplane.core.model import MetricKind
from controlplane.core.policy import Certificate, Policy, Stage
from controlplane.core.triggers import CertificateStanding
from dashboards.values import State

FEWEST = 20  # customers of this stage before a rate is believed
FEWEST_BLOCKS = 10  # blocks with data before the evidence's own pace is believed
WIDEST = 6.0  # how far plan and pace may be apart: beyond that a date would be a guess
LIKELY = (1 / 6, 5 / 6)  # what is called likely: two paths of three
Z80 = 1.2815515655446004


@dataclass(frozen=True)
class Left:
    """What one requirement still needs: `more` customers on the assistant (None: not counted in customers), and the time that takes, soonest and
    latest (None: cannot be told, `why` says so)."""

    more: float | None = None
    soonest: timedelta | None = None
    latest: timedelta | None = None
    why: str = ""
    alike: bool = False  # the date assumes that the arms are alike: no evidence has come yet

    @property
    def known(self) -> bool:
        """Whether a date may be named."""
        return self.soonest is not None and self.latest is not None


@dataclass(frozen=True)
class Traffic:
    """What was measured in this stage: eligible conversations a minute (both arms), the share that rates (0: unknown), the
    baseline's rates by metric."""

    per_minute: float
    rated_share: float
    rates: Mapping[str, float]


@dataclass(frozen=True)
class Pace:
    """Customers a minute in this stage: both arms, and those on the assistant with an 80 % interval."""

    minutes: float
    treated: int
    control: int

    @property
    def whole(self) -> float:
        """Both arms, a minute."""
        return (self.treated + self.control) / self.minutes if self.minutes > 0 else 0.0

    @property
    def rates(self) -> tuple[float, float, float] | None:
        """(low, mean, high) customers a minute on the assistant; None while too few were seen."""
        if self.treated < FEWEST or self.minutes <= 0:
            return None
        low, high = poisson_interval(self.treated)
        return low / self.minutes, self.treated / self.minutes, high / self.minutes


def poisson_interval(count: int) -> tuple[float, float]:
    """80 % interval of a Poisson mean (Wilson-Hilferty's cube root of the chi-square quantile; Johnson, Kotz and Kemp, 1992, 4.7)."""

    def chi(k: float, z: float) -> float:
        return float(k * (1 - 1 / (9 * k) + z / (3 * sqrt(k))) ** 3)

    return (chi(count, -Z80) if count else 0.0), chi(count + 1, Z80)


def pace(state: State, version: int) -> Pace | None:
    """How fast customers come in the current stage; None without a rollout."""
    rollout = state.rollout
    if rollout is None:
        return None
    key = f"{rollout.rollout_id}/{version}"
    age = state.meta.now - rollout.stage_started_at
    return Pace(
        age / timedelta(minutes=1), state.units.get((key, "assistant"), 0), state.units.get((key, "baseline"), 0)
    )


def customers(found: Pace, need: int) -> Left:
    """Until `need` customers are treated."""
    more = max(need - found.treated, 0)
    rates = found.rates
    if rates is None:
        return Left(more, why="too few customers yet to say when")
    soonest, latest = (timedelta(minutes=more / rate) for rate in (rates[2], rates[0]))
    return Left(more, soonest, latest)


def certificate(
    policy: Policy,
    stage: Stage,
    item: Certificate,
    standing: CertificateStanding | None,
    found: Pace,
    traffic: Traffic | None = None,
) -> Left:
    """Until a certificate is there; `traffic` as measured, else what the policy expects and the customers counted so far."""
    whole = found.whole if found.control or traffic is None else traffic.per_minute
    if found.treated < FEWEST or whole <= found.treated / max(found.minutes, 1e-9):
        return Left(why="too few customers yet to say when")
    expected = Expected(
        per_minute=whole,
        rated_share=(traffic.rated_share if traffic else 0.0) or policy.traffic.rated_share,
        audited_share=policy.traffic.audited_share,
        low_risk_share=1.0,  # the pace is that of this stage's own audience
        rates={} if traffic is None else traffic.rates,
    )
    log_e = standing.log_e if standing is not None and standing.blocks else 0.0
    planned = certificate_left(policy, expected, item, stage, max(log_e, 0.0))
    if planned is None:
        return Left(why="cannot be shown at this traffic")
    minutes, units = planned
    counted = units if item.kind is not MetricKind.RATING else units / max(expected.rated_share, 1e-3)
    chance = passage(-log(policy.budget.certificate) - max(log_e, 0.0))
    if standing is None or standing.blocks == 0:
        waiting = item.maturity_minutes + policy.watch.lateness_seconds / 60 + item.block_seconds / 60 - found.minutes
        first, last = (max(minutes * part + waiting, item.block_seconds / 60) for part in chance)
        more = max(counted - found.treated, 1.0)  # those of this stage count as soon as their labels are final
        return Left(more, timedelta(minutes=first), timedelta(minutes=last), alike=True)
    if standing.blocks < FEWEST_BLOCKS:
        return replace(_range(counted, minutes, minutes, chance), alike=True)
    return _paced(counted, minutes, standing, item, chance)


def passage(gap: float) -> tuple[float, float]:
    """The `LIKELY` quantiles of the time that log evidence takes to grow by `gap`, as parts of the median.

    Evidence that bets well drifts by half its variance, so the time is inverse Gaussian with mean 1 and shape gap/2 in units of its mean
    (Wald's first passage; Chhikara and Folks, 1989, 2.2): the less is missing, the more chance has in it.
    """
    shape = min(max(gap, 0.1), 30.0) / 2
    low, middle, high = (_quantile(shape, part) for part in (LIKELY[0], 0.5, LIKELY[1]))
    return low / middle, high / middle


def _quantile(shape: float, part: float) -> float:
    """Of the inverse Gaussian with mean 1, by halving on a log scale."""
    normal = NormalDist().cdf
    low, high = log(1e-4), log(1e3)
    for _ in range(40):
        middle = (low + high) / 2
        x = exp(middle)
        root = sqrt(shape / x)
        below = normal(root * (x - 1)) + exp(2 * shape) * normal(-root * (x + 1)) < part
        low, high = (middle, high) if below else (low, middle)
    return exp(high)


def _paced(
    units: float, planned: float, standing: CertificateStanding, item: Certificate, chance: tuple[float, float]
) -> Left:
    """The plan beside the pace of the evidence so far: log evidence per block goes on as it went."""
    per_block = standing.log_e / standing.blocks
    gap = standing.log_threshold - standing.log_e
    seen = gap / per_block * item.block_seconds / 60 if per_block > 0 else inf
    if not isfinite(seen):
        return Left(None, why="the evidence is not growing")
    more = units * max(seen / planned, 1.0) if planned > 0 else units
    return _range(more, min(planned, seen), max(planned, seen), chance)


def _range(more: float | None, soonest: float, latest: float, chance: tuple[float, float]) -> Left:
    """Between two forecasts in minutes, and what chance adds on either side."""
    if latest > WIDEST * max(soonest, 1.0):
        return Left(more, why="the evidence grows too unevenly to name a date")
    return Left(more, timedelta(minutes=soonest * chance[0]), timedelta(minutes=latest * chance[1]))


def about(count: float) -> str:
    """A count to two significant digits: `about 1,900`; small ones as they are."""
    if count < 10:
        return f"{max(round(count), 1)}"
    digits = len(str(int(count))) - 2
    return f"about {round(count, -max(digits, 0)):,.0f}"


def likely(now: datetime, left: Left) -> str:
    """When, as people say it: `likely today about 14:20 UTC`, `likely Thursday`, `likely in 2 to 3 weeks`; "" where no date may be named."""
    if left.soonest is None or left.latest is None:
        return ""
    first, last = now + left.soonest, now + left.latest
    if last.date() == now.date():
        return f"likely today {_clocks(now, left.soonest, left.latest)} UTC"
    if left.latest < timedelta(days=6):
        names = [f"{moment:%A}" if moment.date() != now.date() else "today" for moment in (first, last)]
        return f"likely {names[0]}" if names[0] == names[1] else f"likely {names[0]} to {names[1]}"
    if left.latest < timedelta(days=28):
        return f"likely {first.day} {first:%b} to {last.day} {last:%b}"
    weeks = [round(span / timedelta(weeks=1)) for span in (left.soonest, left.latest)]
    return f"likely in {weeks[0]} to {weeks[1]} weeks" if weeks[0] != weeks[1] else f"likely in {weeks[0]} weeks"


def _clocks(now: datetime, soonest: timedelta, latest: timedelta) -> str:
    """`about 14:20`, or `between 14:05 and 14:45` where that is more honest; to the minute when it is near, else to five."""
    step = timedelta(minutes=5 if latest > timedelta(minutes=30) else 1)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = (day + round((now + span - day) / step) * step for span in (soonest, latest))
    if last - first <= 2 * step:
        return f"about {first + (last - first) / 2:%H:%M}"
    return f"between {first:%H:%M} and {last:%H:%M}"
