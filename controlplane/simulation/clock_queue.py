"""A queue of things that happen later, popped in time order; things due at the same moment keep the order of their arrival.

Because the order depends on times and insertions alone, a run that pops up to 12:05 and then up to 12:10 sees the same
sequence as one that pops up to 12:10 at once.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import datetime
from typing import Generic, TypeVar

T = TypeVar("T")


class ClockQueue(Generic[T]):
    """Items with the time they are due."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, T]] = []
        self._pushed = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, due: datetime, item: T) -> None:
        """Adds an item that is due at `due` (timezone-aware)."""
        heapq.heappush(self._heap, (due, self._pushed, item))
        self._pushed += 1

    def pop_until(self, until: datetime) -> Iterator[tuple[datetime, T]]:
        """Yields (due, item) for everything due at or before `until`, including what is pushed while iterating."""
        while self._heap and self._heap[0][0] <= until:
            due, _, item = heapq.heappop(self._heap)
            yield due, item
