"""How many messages one customer may send: a moving window per customer, in memory, on the caller's clock.

Rules
- `limits` decides (its moving-window strategy); the storage here only lets the caller give the time, which the library's
  own memory storage reads from the wall clock, with a timer thread.
- A refused message does not count. One customer's messages never count against another.
- Memory is bounded: a customer's entry is dropped when its window is empty, and where more than `max_customers` are
  active in one window, those who wrote least recently are forgotten (they may then send a fresh allowance).
- Time never runs backwards for a customer: a message stamped earlier than the last one counts at the last one's time.
"""

import threading
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limits import RateLimitItem

MAX_CUSTOMERS = 100_000


class RateLimiter:
    """At most `messages` per customer in any `seconds`; safe to use from several threads."""

    def __init__(self, messages: int = 20, seconds: int = 60, max_customers: int = MAX_CUSTOMERS) -> None:
        """ValueError names a setting below 1."""
        for name, value in (("messages", messages), ("seconds", seconds), ("max_customers", max_customers)):
            if value < 1:
                raise ValueError(f"rate limit: {name} must be at least 1, got {value}")
        # Imported here: `limits` takes a tenth of a second, and an assistant without a rate limit needs none of it.
        from limits import RateLimitItemPerSecond
        from limits.strategies import MovingWindowRateLimiter

        from controlplane.assistant.rate_limit_storage import ClockedWindows

        self._storage = ClockedWindows(seconds, max_customers)
        self._limiter = MovingWindowRateLimiter(self._storage)
        self._item: RateLimitItem = RateLimitItemPerSecond(messages, seconds)
        self._lock = threading.Lock()

    def allow(self, user_id: str, now: datetime) -> bool:
        """Whether this customer may send a message at `now` (timezone-aware); an allowed one is counted."""
        with self._lock:
            self._storage.now = now.timestamp()
            return self._limiter.hit(self._item, user_id)

    def retry_after(self, user_id: str, now: datetime) -> float:
        """Seconds until this customer may write again, 0 if now; counts nothing."""
        with self._lock:
            self._storage.now = now.timestamp()
            start, used = self._storage.get_moving_window(
                self._item.key_for(user_id), self._item.amount, self._item.get_expiry()
            )
            if used < self._item.amount:
                return 0.0
            return max(0.0, start + self._item.get_expiry() - self._storage.now)

    def customers(self) -> int:
        """How many customers are remembered."""
        return len(self._storage)
