"""A circuit breaker: after repeated failures a dependency is left alone for a while, then tried once.

Rules
- Closed: calls pass. `failure_limit` failures in a row open it. Open: no calls for `open_seconds`. Then half open: one
  trial call passes; success closes, failure opens again.
- Time is the caller's (`now`), so a story's clock works and tests need no waiting.
"""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """The breaker of one dependency; safe to use from several threads."""

    def __init__(self, failure_limit: int = 5, open_seconds: float = 30.0) -> None:
        """Opens after `failure_limit` failures in a row, for `open_seconds`."""
        if failure_limit < 1:
            raise ValueError(f"failure_limit must be at least 1, got {failure_limit}")
        self._failure_limit = failure_limit
        self._pause = timedelta(seconds=open_seconds)
        self._failures = 0
        self._opened_at: datetime | None = None
        self._trial = False
        self._lock = threading.Lock()

    def allow(self, now: datetime) -> bool:
        """Whether a call may be made now; the one trial of a half-open breaker is given to who asks first."""
        with self._lock:
            state = self._state(now)
            if state is BreakerState.HALF_OPEN:
                if self._trial:
                    return False
                self._trial = True
                return True
            return state is BreakerState.CLOSED

    def record(self, succeeded: bool, now: datetime) -> None:
        """Reports how an allowed call ended."""
        with self._lock:
            self._trial = False
            if succeeded:
                self._failures, self._opened_at = 0, None
                return
            self._failures += 1
            if self._opened_at is not None or self._failures >= self._failure_limit:
                self._opened_at = now

    def cancel(self) -> None:
        """Takes back an allowed call that ended without a verdict, such as a stream that its reader left."""
        with self._lock:
            self._trial = False

    def state(self, now: datetime) -> BreakerState:
        """The state at this time."""
        with self._lock:
            return self._state(now)

    def _state(self, now: datetime) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        return BreakerState.HALF_OPEN if now - self._opened_at >= self._pause else BreakerState.OPEN


class Breakers:
    """One breaker per dependency, made when it is first asked for; all assistants that share a dependency may share them."""

    def __init__(self, make: Callable[[], CircuitBreaker] = CircuitBreaker) -> None:
        """`make` builds the breaker of a dependency that is new."""
        self._make = make
        self._by_name: dict[str, CircuitBreaker] = {}
        self._lock = threading.Lock()

    def of(self, dependency: str) -> CircuitBreaker:
        """The breaker of this dependency, such as `knowledge` or `model:NAME`."""
        with self._lock:
            return self._by_name.setdefault(dependency, self._make())

    def states(self, now: datetime) -> dict[str, BreakerState]:
        """The state of every dependency that was used so far, by name."""
        with self._lock:
            return {name: breaker.state(now) for name, breaker in sorted(self._by_name.items())}
