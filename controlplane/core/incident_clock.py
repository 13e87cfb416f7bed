"""The clocks of an incident: times to detect, acknowledge, contain and resolve, and until when a serious one must be reported. Pure.

Times are differences of moments on record, in seconds; one that has not come, or whose beginning nobody knows, is None and never 0. To detect:
from the likely onset (selected by looking back) to the detection. The others begin when people were last asked: at the detection, or when the
incident came back.

A serious incident is reported to the market surveillance authority after a provider or deployer becomes aware of it (Regulation (EU) 2024/1689,
Article 73): at once, and not later than 15 days (paragraph 2), 2 days where critical infrastructure is disrupted or the infringement is widespread
(paragraph 3), 10 days after a death (paragraph 4). The kinds are those of Article 3(49).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

SERIOUS_DAYS: Mapping[str, float] = {
    "death": 10.0,
    "health": 15.0,
    "infrastructure": 2.0,
    "widespread": 2.0,
    "rights": 15.0,
    "property": 15.0,
}
"""Days until the report, by kind: a death; serious harm to health; a serious and irreversible disruption of critical infrastructure; a widespread
infringement; an infringement of obligations that protect fundamental rights; serious harm to property or the environment."""
WARNED_AT = 0.5
"""People are reminded when this share of the time to report has gone."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, None where it has not happened (yet) or is not known."""

    to_detect: float | None = None
    to_acknowledge: float | None = None
    to_contain: float | None = None
    to_resolve: float | None = None


class Due(StrEnum):
    """Where the report of a serious incident stands."""

    NONE = "none"  # not serious, or reported
    RUNNING = "running"
    SOON = "soon"
    OVERDUE = "overdue"


def times(
    *,
    onset: datetime | None,
    detected: datetime,
    asked: Sequence[datetime],
    acknowledged: datetime | None,
    verified: datetime | None,
    resolved: datetime | None,
) -> Times:
    """The four times. `asked`: every moment at which people were asked, the detection first; each time counts from the newest that it answers."""
    return Times(
        to_detect=_seconds(onset, detected),
        to_acknowledge=since(asked, acknowledged),
        to_contain=since(asked, verified),
        to_resolve=since(asked, resolved),
    )


def since(asked: Sequence[datetime], moment: datetime | None) -> float | None:
    """Seconds from the newest of the moments `asked` that is not behind `moment`; None where there is none, or the moment has not come."""
    before = [one for one in asked if moment is not None and one <= moment]
    return _seconds(max(before), moment) if before else None


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    if since is None or until is None or until < since:
        return None
    return (until - since).total_seconds()


def due_at(kind: str, aware: datetime, policy_days: float) -> datetime:
    """Until when a serious incident of that kind is to be reported: the law's time or the policy's, whichever ends first. KeyError: unknown kind."""
    return aware + timedelta(days=min(SERIOUS_DAYS[kind], policy_days))


def standing(aware: datetime, due: datetime, reported: datetime | None, now: datetime) -> Due:
    """Where the report stands at `now`."""
    if reported is not None:
        return Due.NONE
    if now >= due:
        return Due.OVERDUE
    return Due.SOON if now >= aware + (due - aware) * WARNED_AT else Due.RUNNING
