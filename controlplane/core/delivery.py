"""The delivery measures of DORA, for releases of an assistant: which changes reached customers, and which of them had to be taken back.

A change is a release that began, or a deploy into a running one. It failed when it was rolled back, when a category was contained, or when the
execution of workflows was switched off before the next change came. DORA calls the share of these the change-fail rate (dora.dev, "change failure
rate": changes that result in degraded service and need remediation, over all changes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Protocol

from controlplane.core.estimates import Interval, wilson

BEGINS = frozenset({"start", "restart", "supersede"})
SERVES = BEGINS | {"deploy"}
"""Events of the history of shares that bring a change before customers."""
FAILS = frozenset({"rollback", "contain", "disable_execution"})
"""Events that take one back."""


class Step(Protocol):
    """A row of the history of shares."""

    @property
    def version(self) -> int:
        """Rises with every row."""

    @property
    def event(self) -> str:
        """What made the row."""

    @property
    def started_at(self) -> datetime:
        """When."""


@dataclass(frozen=True, slots=True)
class ChangeFail:
    """How many changes there were, and how many failed; `rate` with its interval (Wilson), None where there was no change."""

    changes: int
    failed: int
    rate: Interval | None


def change_fail(history: Sequence[Step], since: datetime, until: datetime) -> ChangeFail:
    """Of the changes in [since, until). history: every row up to `until`, oldest first; what failed later does not count yet."""
    known = [row for row in history if row.started_at < until]
    changes = [row for row in known if row.event in SERVES and row.started_at >= since]
    failed = sum(_failed(row, after, known) for row, after in zip_longest(changes, changes[1:]))
    return ChangeFail(len(changes), failed, wilson(failed, len(changes)) if changes else None)


def _failed(change: Step, following: Step | None, history: Sequence[Step]) -> bool:
    """Whether the change was cut, contained or switched off before the next one came."""
    end = None if following is None else following.version
    return any(
        row.event in FAILS and row.version > change.version and (end is None or row.version < end) for row in history
    )
