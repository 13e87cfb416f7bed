"""The safety tripwire: one confirmed severe misrouting sends its category to people at once.

*Confirmed*: an evaluation `safety_route` with the label `misrouted` whose evaluator is a person (`human:NAME`). *Severe*: its `score`, the
severity that this person gave it from 0 (nothing could have come of it) to 1 (money, a secret or somebody's safety was at stake), is at least
`SEVERE`. A misrouting without a score is not severe; it counts for the rate trigger like every other. *Category*: the conversation's intent at
its first message, because that is what is known before an arm is drawn; a conversation whose intent nobody told stands for all of those.

The tripwire makes no statistical promise and is outside the false-rollback figure. It acts once per evaluation, also when that arrives late,
for every release that the state knows, and is undone only by a person.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

SEVERE = 0.8


@dataclass(frozen=True, slots=True)
class Misrouting:
    """A misrouting that a person has confirmed; `intent` is None when nobody told it, `severity` None when it was not given (0..1)."""

    evaluation_id: str
    conversation_id: str
    intent: str | None
    severity: float | None
    confirmed_at: datetime
    evaluator: str


def category(found: Misrouting) -> str:
    """What is contained: the intent, or "" for conversations whose intent nobody told."""
    return found.intent or ""


def said(name: str) -> str:
    """A category in words."""
    return f"intent '{name}'" if name else "conversations whose intent is not told"


def severe(found: Iterable[Misrouting], known: Collection[str]) -> tuple[Misrouting, ...]:
    """The severe ones that have not been acted upon (`known` has their evaluation ids), in order of confirmation."""
    fresh = [
        item
        for item in found
        if item.severity is not None and item.severity >= SEVERE and item.evaluation_id not in known
    ]
    return tuple(sorted(fresh, key=lambda item: (item.confirmed_at, item.evaluation_id)))


def reason(tripped: Iterable[Misrouting]) -> str:
    """One sentence for the record and the message."""
    items = tuple(tripped)
    names = ", ".join(said(name) for name in sorted({category(item) for item in items}))
    first = items[0]
    more = f" and {len(items) - 1} more" if len(items) > 1 else ""
    return (
        f"tripwire: severe misrouting confirmed by {first.evaluator} in conversation {first.conversation_id}{more}: "
        f"{names} now go to people in both arms, execution of workflows is off"
    )
