"""The weekly review as a value: numbers with their intervals, maturity and source, and nothing that could change afterwards.

A review is *pinned*: it says up to which batch of facts and which rows of the record it was made, so that anybody can make it again from the same
facts and compare (`document_hash`). Corrections are new versions that name what they correct. Words are generated from these numbers alone
(`controlplane.core.weekly_words`); nothing is typed by hand but a person's notes and signature, which are records of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from controlplane.core.audit import canonical, sha256_text

SCHEMA = 1


class Movement(StrEnum):
    """What a comparison with the menu, or with a week before, shows. Unknown is an answer: too few, too young, or not logged."""

    IMPROVED = "improved"
    NOT_WORSE = "not worse"
    WORSE = "worse"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a number comes from: the query (a name under sql/) with the sha256 of its text, its parameters, and the policy it is judged by."""

    query: str
    query_hash: str
    parameters: Mapping[str, Any]
    policy_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its interval and the `n` units behind it; None where the data cannot tell. `maturity`: share of the units of the window whose
    label was final at the pin (None: has no label to wait for)."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    maturity: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One metric of the catalogue over the week: both arms, their difference (assistant minus menu), and the change against the week before.

    `baseline` and `difference` are None where the arms cannot be compared; `change` is this week's assistant minus last week's.
    """

    name: str
    title: str
    unit: str
    direction: str  # lower | higher | neither: which way is better
    assistant: Estimate
    source: Source
    baseline: Estimate | None = None
    difference: Estimate | None = None
    last_week: Estimate | None = None
    change: Estimate | None = None
    movement: Movement = Movement.UNKNOWN  # of the change against last week


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """One of the five promises of the programme against the menu: the difference, the margin that still counts as not worse, and the verdict.

    `reason` says why it is unknown, or what the verdict rests on, in a few words without numbers.
    """

    measure: str  # csat | misclassification | escalation | resolution_time | safety_incidents
    title: str
    unit: str
    direction: str
    movement: Movement
    assistant: Estimate
    menu: Estimate
    difference: Estimate
    margin: float
    reason: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What the review was made from: the newest batch of facts, the heads of both hash chains with their row numbers, and when (ISO-8601 Z).

    `watermark`: what every live source had reached; `units_until`: up to where the units of the comparison were closed. None: nothing yet.
    """

    pinned_at: str
    last_batch: int
    audit_seq: int
    audit_head: str
    ledger_seq: int
    ledger_head: str
    watermark: str | None = None
    units_until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Weekly:
    """A review of the week [since, until), ISO-8601 Z. Sections that are mappings are described in docs/artefacts.md."""

    review_id: str  # YYYY-Www-vN
    week: str  # YYYY-Www
    version: int  # 1, 2, ...: a correction is a new version
    corrects: str  # id of the version before; empty for the first
    correction_reason: str
    since: str
    until: str
    pin: Pin
    program_version: str
    policy: Mapping[str, Any]  # name, hash, owner
    rollout: (
        Mapping[str, Any] | None
    )  # rollout_id, release, release_hash, state, phase, share, stage_started_at; None: nothing was rolled out
    success: tuple[Success, ...]
    may_grow: Mapping[
        str, Any
    ]  # answer: yes | no | not yet | nothing to grow; to: phase and share; lines: name, verdict, have, need; reasons
    figures: tuple[Figure, ...]
    csat: Mapping[str, Any]  # response rates, their difference, non-response sensitivity; empty: no rating
    funnel: Mapping[str, Any]  # by arm: steps of name, n, share
    topics: Mapping[str, Any]  # newest topic clusters at the pin, and intents of the week with n, share, change
    incidents: tuple[Mapping[str, Any], ...]
    drills: tuple[Mapping[str, Any], ...]
    drift: Mapping[
        str, Any
    ]  # newest drift analysis at the pin: id, windows, drifted and broken columns with their numbers, onset
    tradeoff: Mapping[str, Any]  # newest recorded trade-off: verdict, reason
    cost: Mapping[str, Any]  # spent in the week, forecast of the month with interval, budget
    decisions: tuple[Mapping[str, Any], ...]  # at, actor, event, subject, reason
    owners: Mapping[str, Any]  # who answers for what: policy, release author, open actions
    exposure: Mapping[str, Any]  # DORA: change-fail rate, time to detect and contain, customers exposed
    notes: tuple[str, ...] = ()  # what the review could not tell, and why
    schema: int = SCHEMA
    words: Mapping[str, Any] = field(
        default_factory=dict
    )  # headline, changes, sections: generated from everything above

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)

    @property
    def document_hash(self) -> str:
        """sha256 of the canonical JSON: what a signature signs and a rebuild must come to."""
        return sha256_text(canonical(self.to_dict()))


def from_dict(document: Mapping[str, Any]) -> Weekly:
    """The value that `Weekly.to_dict` made. Raises KeyError or TypeError for a document of another shape."""
    plain = dict(document)
    plain["pin"] = Pin(**plain["pin"])
    plain["success"] = tuple(_success(one) for one in plain["success"])
    plain["figures"] = tuple(_figure(one) for one in plain["figures"])
    for name in ("incidents", "drills", "decisions", "notes"):
        plain[name] = tuple(plain[name])
    return Weekly(**plain)


def _success(plain: Mapping[str, Any]) -> Success:
    told = {name: Estimate(**plain[name]) for name in ("assistant", "menu", "difference")}
    return Success(**{**plain, **told, "movement": Movement(plain["movement"]), "source": Source(**plain["source"])})


def _figure(plain: Mapping[str, Any]) -> Figure:
    names = ("assistant", "baseline", "difference", "last_week", "change")
    told = {name: None if plain[name] is None else Estimate(**plain[name]) for name in names}
    return Figure(**{**plain, **told, "movement": Movement(plain["movement"]), "source": Source(**plain["source"])})
