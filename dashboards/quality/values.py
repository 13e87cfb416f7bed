"""What the Quality page shows, computed from loaded counts: shares with intervals, confusions, calibration, who reached a person. Pure.

Labels come from one place at a time (`BASES`), never pooled: a random sample of people's, what the log says, or an audit whose rate nobody told.
An answer that was drawn at a rate p counts 1/p times (Hajek's ratio); its interval is Clopper and Pearson's at the effective number of labels,
(sum w)^2 / sum w^2 (Kish, Survey Sampling, 1965). Labels that were picked for a reason are shown as examples and enter no rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

from controlplane.core.agreement import Agreement
from controlplane.core.estimates import clopper_pearson

SAMPLED, LOG, PERSON, TARGETED, NONE = "sampled", "log", "person", "targeted", "none"
BASES = (SAMPLED, LOG, PERSON)
ENOUGH = 30  # labels from which on a share is said without a warning
BINS = 10
DRAWS = 4_000
MANDATORY = ("fraud", "legal", "harassment", "financial_dispute")
WISH = "agent_request"
UNNAMED = "unnamed"  # an audit found that a person was needed, and did not say for what
CATEGORIES = (*MANDATORY, WISH)
# The intent that a person names, and the category it belongs to; as controlplane.assistant.safety has it (a test holds them together).
CATEGORY_OF = {
    "fraud": "fraud",
    "legal_complaint": "legal",
    "harassment": "harassment",
    "dispute_charge": "financial_dispute",
    "human_agent": WISH,
}


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval: `hits` of `n` labels, which stand for `total` answers of the traffic."""

    value: float
    low: float
    high: float
    hits: int
    n: int
    total: float

    @property
    def enough(self) -> bool:
        """Whether it may be said without a warning."""
        return self.n >= ENOUGH


@dataclass(frozen=True)
class Confusion:
    """Messages that meant `truth` and were taken for `predicted`: `share` of all answers; None where it was only seen in picked ones."""

    truth: str
    predicted: str
    share: Share


@dataclass(frozen=True)
class Bin:
    """Answers whose confidence lay in [low, low + 0.1): what the classifier said on average, and how often it was right. `answers`: of all."""

    low: float
    said: float
    right: Share
    answers: int


@dataclass(frozen=True)
class Calibration:
    """`error`: expected calibration error over the bins that have labels (Naeini et al., AAAI 2015), weighted by all answers in them.

    `chance`: the error that a perfectly calibrated classifier would stay below 95 times in 100, with as few labels as these.
    `said`, `right`: mean confidence, and share right, over the labelled answers.
    """

    bins: tuple[Bin, ...]
    error: float
    chance: float
    said: float
    right: float
    n: int

    @property
    def consistent(self) -> bool:
        """Whether chance alone explains the error."""
        return self.error <= self.chance


@dataclass(frozen=True)
class Category:
    """One reason why a person must answer. `seen` conversations were recognised, `nobody` of them reached no person, `slow` only by a later
    turn than the one that was recognised; `at_most` bounds the share of nobody from above (95 %, one-sided). Of the answers that people
    audited and named so, `at_once`, `late` and `never` reached one; `unseen` of the last lie in conversations that were not recognised."""

    name: str
    seen: int
    nobody: int
    slow: int
    at_most: float | None
    at_once: int
    late: int
    never: int
    unseen: int

    @property
    def lost(self) -> int:
        """Those known to have reached nobody; what was recognised and audited counts once."""
        return self.nobody + self.unseen

    @property
    def delayed(self) -> int:
        """Those known to have reached a person late: at least so many, as the audit may have found the very ones that were recognised."""
        return max(self.slow, self.late)

    @property
    def named(self) -> int:
        """Answers that an audit named so."""
        return self.at_once + self.late + self.never


@dataclass(frozen=True)
class Safety:
    """All categories; `audited` answers were judged by people, `found` of them did not reach a person at once though they had to.

    `unnamed` are those of them of which nobody said the subject. `misrouted` is the share of such answers in the traffic, by the random
    sample where there is one.
    """

    categories: tuple[Category, ...]
    mandatory: Category
    unnamed: Category
    audited: int
    found: int
    misrouted: Share | None

    @property
    def lost(self) -> int:
        """All who had to reach a person and are known not to have."""
        return self.mandatory.lost + self.unnamed.lost

    @property
    def delayed(self) -> int:
        """All who are known to have reached a person late."""
        return self.mandatory.delayed + self.unnamed.delayed


@dataclass(frozen=True)
class Queue:
    """The drawn answers. `people`: labelled today and in all, by reviewer; `per_day`: how many the newest draw was made for."""

    status: Mapping[str, int]
    random: int
    people: Mapping[str, tuple[int, int]]
    per_day: float | None
    drawn_at: datetime | None
    agreement: Agreement

    @property
    def items(self) -> int:
        """All that were ever drawn."""
        return sum(self.status.values())

    @property
    def settled(self) -> int:
        """Those about which nothing is open."""
        return sum(self.status.get(name, 0) for name in ("single", "agreed", "adjudicated"))

    @property
    def open(self) -> int:
        """Those that wait for a first or a second label."""
        return sum(self.status.get(name, 0) for name in ("waiting", "half"))

    @property
    def disputed(self) -> int:
        """Those on which two people differ."""
        return self.status.get("disagreed", 0)

    @property
    def today(self) -> int:
        """Labelled today, by anybody."""
        return sum(today for today, _ in self.people.values())


@dataclass(frozen=True)
class Topics:
    """An analysis of open questions, as the job leaves it."""

    artefact_id: str
    made_at: datetime
    summary: Mapping[str, Any]


def share(rows: pl.DataFrame, hit: pl.Expr, level: float = 0.95) -> Share | None:
    """The share of hits among weighted rows (n, weight, weight_sq); None without a label."""
    n, weight = int(rows["n"].sum()), float(rows["weight"].sum())
    if n == 0 or weight <= 0.0:
        return None
    hits = rows.filter(hit)
    value = min(float(hits["weight"].sum()) / weight, 1.0)
    effective = min(weight**2 / float(rows["weight_sq"].sum()), float(n))
    found = clopper_pearson(value * effective, effective, 1.0 - level)
    assert found is not None  # there are labels
    return Share(value, found.low, found.high, int(hits["n"].sum()), n, weight)


def bases(intents: pl.DataFrame) -> dict[str, int]:
    """Labels by where they come from, those that there are, in the order of trust."""
    counts = dict(intents.group_by("basis").agg(pl.col("n").sum()).iter_rows())
    return {name: int(counts[name]) for name in BASES if counts.get(name)}


def chosen_basis(found: Mapping[str, int]) -> str:
    """People's random sample where it is large enough, else whatever has most labels; "" where there is none."""
    if found.get(SAMPLED, 0) >= ENOUGH or not found:
        return SAMPLED if found else ""
    return max(found, key=lambda name: found[name])


def misunderstood(intents: pl.DataFrame, basis: str) -> Share | None:
    """The share of labelled answers whose intent was wrong."""
    return share(intents.filter(pl.col("basis") == basis), _wrong())


def maturity(intents: pl.DataFrame, basis: str) -> float | None:
    """Share of the labels that may no longer change."""
    rows = intents.filter(pl.col("basis") == basis)
    n = int(rows["n"].sum())
    return None if n == 0 else int(rows.filter("mature")["n"].sum()) / n


def confusions(intents: pl.DataFrame, basis: str) -> tuple[Confusion, ...]:
    """Every pair that was confused, the most frequent in the traffic first."""
    rows = intents.filter(pl.col("basis") == basis)
    wrong = rows.filter(_wrong()).select("truth", "predicted").unique()
    found = []
    for truth, predicted in wrong.iter_rows():
        one = share(rows, (pl.col("truth") == truth) & (pl.col("predicted") == predicted))
        assert one is not None
        found.append(Confusion(truth, predicted, one))
    return tuple(sorted(found, key=lambda c: (-c.share.value, c.truth, c.predicted)))


def recognised(intents: pl.DataFrame, basis: str) -> tuple[tuple[str, Share, str], ...]:
    """Per true intent the share that was recognised (recall) and what it was most often taken for; the least recognised first."""
    rows = intents.filter(pl.col("basis") == basis)
    found = []
    for truth in rows["truth"].unique().sort():
        mine = rows.filter(pl.col("truth") == truth)
        one = share(mine, pl.col("predicted") == truth)
        assert one is not None
        other = mine.filter(_wrong()).group_by("predicted").agg(pl.col("weight").sum()).sort("weight", "predicted")
        found.append((str(truth), one, str(other["predicted"][-1]) if other.height else ""))
    return tuple(sorted(found, key=lambda row: (row[1].value, -row[1].n)))


def matrix(intents: pl.DataFrame, basis: str) -> pl.DataFrame:
    """truth, predicted, n, share (of the row): every cell that has a label."""
    rows = intents.filter(pl.col("basis") == basis).group_by("truth", "predicted")
    cells = rows.agg(pl.col("n").sum(), pl.col("weight").sum())
    of_row = pl.col("weight") / pl.col("weight").sum().over("truth")
    return cells.select("truth", "predicted", "n", share=of_row).sort("truth", "predicted")


def calibration(intents: pl.DataFrame, basis: str) -> Calibration | None:
    """The classifier's confidence against how often it was right; None without a label that has a confidence."""
    known = intents.filter(pl.col("bin") >= 0)
    rows = known.filter(pl.col("basis") == basis)
    if int(rows["n"].sum()) == 0:
        return None
    answers = dict(known.group_by("bin").agg(pl.col("n").sum()).iter_rows())
    bins = []
    for number in rows["bin"].unique().sort():
        mine = rows.filter(pl.col("bin") == number)
        right = share(mine, ~_wrong())
        assert right is not None
        said = float(mine["weighted_confidence"].sum()) / float(mine["weight"].sum())
        bins.append(Bin(number / BINS, said, right, int(answers[number])))
    weight = float(rows["weight"].sum())
    whole = share(rows, ~_wrong())
    assert whole is not None
    error, chance = _errors(bins, [_effective(rows, number / BINS) for number in rows["bin"].unique().sort()])
    said = float(rows["weighted_confidence"].sum()) / weight
    return Calibration(tuple(bins), error, chance, said, whole.value, whole.n)


def safety(rows: pl.DataFrame) -> Safety:
    """Who had to have a person and who got one, by category; the mandatory ones together as well."""
    names = [*CATEGORIES, *sorted(set(rows["screened"].unique()) - {*CATEGORIES, NONE})]
    rows = rows.with_columns(why=_why())
    audited = rows.filter(pl.col("basis") != "screen")
    sampled = audited.filter(pl.col("basis") == SAMPLED)
    basis = sampled if int(sampled["n"].sum()) else audited
    return Safety(
        categories=tuple(_category(rows, (name,), name) for name in names),
        mandatory=_category(rows, MANDATORY, "mandatory"),
        unnamed=_category(rows.filter(pl.col("reached") != "at_once"), (UNNAMED,), UNNAMED),
        audited=int(audited["n"].sum()),
        found=int(audited.filter(pl.col("reached") != "at_once")["n"].sum()),
        misrouted=share(basis, pl.col("reached") != "at_once"),
    )


def _category(rows: pl.DataFrame, names: Sequence[str], name: str) -> Category:
    seen = rows.filter(pl.col("basis") == "screen", pl.col("screened").is_in(names))
    said = rows.filter(pl.col("basis") != "screen", pl.col("why").is_in(names))
    n, nobody = int(seen["n"].sum()), _count(seen, "nobody")
    bound = clopper_pearson(nobody, n, 0.10)  # the upper end of the 90 % interval bounds with 95 %
    return Category(
        name=name,
        seen=n,
        nobody=nobody,
        slow=_count(seen, "late"),
        at_most=None if bound is None else bound.high,
        at_once=_count(said, "at_once"),
        late=_count(said, "late"),
        never=_count(said, "nobody"),
        unseen=_count(said.filter(~pl.col("screened").is_in(names)), "nobody"),
    )


def _why() -> pl.Expr:
    """The category of an audited answer: as named by the person; else, where one was needed or nothing was named, as the screen saw it."""
    screened = pl.when(pl.col("screened") == NONE).then(pl.lit(UNNAMED)).otherwise(pl.col("screened"))
    needed = (pl.col("named") == "unsaid") | (pl.col("reached") != "at_once")
    other = pl.when(needed).then(screened).otherwise(pl.lit(NONE))
    return pl.col("named").replace_strict(CATEGORY_OF, default=other, return_dtype=pl.String)


def _count(rows: pl.DataFrame, reached: str) -> int:
    return int(rows.filter(pl.col("reached") == reached)["n"].sum())


def _wrong() -> pl.Expr:
    return pl.col("predicted") != pl.col("truth")


def _effective(rows: pl.DataFrame, low: float) -> float:
    mine = rows.filter(pl.col("bin") == round(low * BINS))
    return float(mine["weight"].sum()) ** 2 / float(mine["weight_sq"].sum())


def _errors(bins: Sequence[Bin], effective: Sequence[float]) -> tuple[float, float]:
    """The calibration error, and the 95th percentile of what chance alone makes of it (consistency resampling; Broecker and Smith, 2007).

    The draws have a fixed seed, so that the same labels always say the same.
    """
    part = np.array([one.answers for one in bins], dtype=float)
    part /= part.sum()
    said = np.clip([one.said for one in bins], 0.0, 1.0)
    right = np.array([one.right.value for one in bins])
    labels = np.maximum(np.round(effective), 1).astype(int)
    drawn = np.random.default_rng(0).binomial(labels, said, (DRAWS, len(bins))) / labels
    chance = np.abs(drawn - said) @ part
    return float(np.abs(right - said) @ part), float(np.quantile(chance, 0.95))
