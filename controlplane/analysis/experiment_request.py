"""What an analysis of an experiment is asked: columns, metrics, arms, and how it is to be judged. Options of people become values here.

Everything that cannot be meant ends with an ExperimentError that names the option and shows how it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite

from controlplane.core.multiplicity import METHODS

PER_UNIT = ("mean", "sum", "max", "min")
"""How several rows of one unit become one value; "mean" unless told. Both columns of a ratio are always added up."""


class ExperimentError(ValueError):
    """The experiment cannot be analysed: what is wrong, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One metric: a column, or with `per` the ratio of two sums. `before`: the unit's value before the experiment (CUPED)."""

    name: str
    column: str
    per: str | None = None
    before: str | None = None
    lower: bool = False

    @property
    def ratio(self) -> bool:
        """Whether it is a ratio of two columns."""
        return self.per is not None


@dataclass(frozen=True, slots=True)
class Goal:
    """A difference that somebody wants to be able to find, absolute or as a share of the control's mean."""

    size: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `control` "" = chosen by name; `shares` empty = equal; `goals`: metric name or "" for all."""

    unit: str
    arm: str
    measures: tuple[Measure, ...]
    control: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[str, ...] = ()
    strata: str = ""
    time: str = ""
    quantiles: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    goals: Mapping[str, Goal] = field(default_factory=dict)
    alpha: float = 0.05
    power: float = 0.8
    correction: str = "holm"
    segment_correction: str = "bh"
    per_unit: str = "mean"
    tightest: float = 5000.0
    anytime: bool = False

    def __post_init__(self) -> None:
        if not self.measures:
            raise ExperimentError("no metric is asked for: name columns with --metrics, or a ratio with --ratio")
        names = [measure.name for measure in self.measures]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ExperimentError(f"the metric {twice[0]} is asked for twice: name each once")
        _between("--alpha", self.alpha, 1e-9, 0.5)
        _between("--power", self.power, self.alpha, 0.9999)
        if not (self.tightest > 0.0 and isfinite(self.tightest)):
            raise ExperimentError(f"--tightest is {self.tightest}: give a number of units above 0")
        _known("--correction", self.correction, tuple(METHODS))
        _known("--segment-correction", self.segment_correction, tuple(METHODS))
        _known("--per-unit", self.per_unit, PER_UNIT)
        for name in (*self.quantiles, *filter(None, self.goals)):
            if name not in names:
                raise ExperimentError(f"{name!r} is no metric of this analysis: it has {', '.join(names)}")
        for name in {self.unit, self.arm} & set(self.segments):
            raise ExperimentError(
                f"--segment {name} is the unit or the arm itself: name a column known before the assignment"
            )
        for measure in self.measures:
            if measure.ratio and measure.name in self.quantiles:
                raise ExperimentError(f"{measure.name} is a ratio of sums, which has no quantiles: name a column")

    def measure(self, name: str) -> Measure:
        """The metric of that name."""
        return next(measure for measure in self.measures if measure.name == name)


def measures(
    metrics: Sequence[str], ratios: Sequence[str], covariates: Sequence[str], lower: Sequence[str]
) -> tuple[Measure, ...]:
    """Metrics from options: columns, `revenue/sessions` or `name=revenue/sessions`, `metric=column before`, metrics of which less is better."""
    before = dict(_assigned("--covariate", item, "revenue=revenue_before") for item in covariates)
    found = [Measure(name, name) for name in metrics]
    for text in ratios:
        name, _, formula = text.rpartition("=")
        above, slash, below = (part.strip() for part in formula.partition("/"))
        if not (above and slash and below):
            raise ExperimentError(
                f"--ratio {text!r} is no ratio: write numerator/denominator or name=numerator/denominator"
            )
        found.append(Measure(name.strip() or f"{above}/{below}", above, below))
    names = [measure.name for measure in found]
    for option, asked in (("--covariate", before), ("--lower", lower)):
        for name in asked:
            if name not in names:
                raise ExperimentError(f"{option} names {name!r}, which is no metric here: there are {', '.join(names)}")
    for name, past in before.items():
        if name == past:
            raise ExperimentError(
                f"--covariate {name}={past} is the metric itself: name its value before the experiment"
            )
    for measure in found:
        if measure.ratio and measure.name in before:
            raise ExperimentError(f"--covariate for the ratio {measure.name}: CUPED is for metrics of one column")
    return tuple(Measure(m.name, m.column, m.per, before.get(m.name), m.name in lower) for m in found)


def shares(items: Sequence[str]) -> dict[str, float]:
    """`a=.5` each; they need not sum to 1."""
    found = {}
    for item in items:
        name, text = _assigned("--shares", item, "a=0.5,b=0.5")
        found[name] = _number("--shares", text)
        if not found[name] > 0.0:
            raise ExperimentError(f"--shares gives {name} a share of {text}: every share is above 0")
    return found


def quantiles(items: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """`latency:0.5,0.95` each; several metrics are separated by a semicolon."""
    found = {}
    for item in (part.strip() for text in items for part in text.split(";") if part.strip()):
        name, colon, listed = item.rpartition(":")
        if not colon or not name.strip():
            raise ExperimentError(f"--quantiles {item!r}: write metric:quantiles, for example latency:0.5,0.95")
        values = tuple(_number("--quantiles", text) for text in listed.split(",") if text.strip())
        if not values or not all(0.0 < value < 1.0 for value in values):
            raise ExperimentError(f"--quantiles {item!r}: a quantile lies strictly between 0 and 1")
        found[name.strip()] = values
    return found


def goals(items: Sequence[str]) -> dict[str, Goal]:
    """`2%` (of the control's mean), `0.5` (in the metric's unit), for all metrics or as `metric=2%`."""
    found = {}
    for item in items:
        name, _, text = item.rpartition("=")
        size = _number("--mde", text.strip().removesuffix("%"))
        relative = text.strip().endswith("%")
        if not size > 0.0:
            raise ExperimentError(f"--mde {item!r}: the wanted difference is above 0")
        found[name.strip()] = Goal(size / 100.0 if relative else size, relative)
    return found


def _assigned(option: str, item: str, example: str) -> tuple[str, str]:
    name, sign, value = item.rpartition("=")
    if not sign or not name.strip() or not value.strip():
        raise ExperimentError(f"{option} {item!r}: write name=value, for example {example}")
    return name.strip(), value.strip()


def _number(option: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ExperimentError(f"{option}: {text!r} is no number") from None
    if not isfinite(value):
        raise ExperimentError(f"{option}: {text!r} is no finite number")
    return value


def _between(option: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ExperimentError(f"{option} is {value}; it must lie between {low:g} and {high:g}")


def _known(option: str, value: str, names: Sequence[str]) -> None:
    if value not in names:
        raise ExperimentError(f"{option} is {value!r}; choose one of {', '.join(names)}")
