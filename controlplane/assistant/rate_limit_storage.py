"""The storage behind the rate limit: times of recent messages per customer, on a clock that the caller sets.

Only the moving window is kept; the counters that other strategies of `limits` would need raise. Not thread-safe: the
`RateLimiter` holds its lock around every call. Importing this module imports `limits`.
"""

from collections import OrderedDict, deque

from limits.storage.base import MovingWindowSupport, Storage


class ClockedWindows(Storage, MovingWindowSupport):
    """Times (seconds) per key, oldest first; keys in the order of their last message. `now` is set before each call."""

    STORAGE_SCHEME = None

    def __init__(self, seconds: int, max_keys: int) -> None:
        """Keys without a message in the last `seconds` are dropped; never more than `max_keys` are held."""
        super().__init__()
        self.now = 0.0
        self._seconds = seconds
        self._max_keys = max_keys
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._times)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What this storage raises of itself."""
        return ValueError

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Counts `amount` messages of `key` now, unless more than `limit` would then fall into the last `expiry`."""
        self._forget()
        times = self._window(key, expiry)
        if len(times) + amount > limit:
            return False
        at = max(self.now, times[-1]) if times else self.now
        times.extend([at] * amount)
        self._times[key] = times
        self._times.move_to_end(key)
        if len(self._times) > self._max_keys:
            self._times.popitem(last=False)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """Time of the oldest message in the window (now if there is none) and how many there are."""
        times = self._window(key, expiry)
        return (times[0], len(times)) if times else (self.now, 0)

    def clear(self, key: str) -> None:
        """Forgets a key."""
        self._times.pop(key, None)

    def reset(self) -> int:
        """Forgets all; returns how many keys there were."""
        count = len(self._times)
        self._times.clear()
        return count

    def check(self) -> bool:
        """Memory is always there."""
        return True

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Not kept."""
        raise NotImplementedError("this storage keeps moving windows only; use MovingWindowRateLimiter")

    def get(self, key: str) -> int:
        """Not kept."""
        raise NotImplementedError("this storage keeps moving windows only; use MovingWindowRateLimiter")

    def get_expiry(self, key: str) -> float:
        """Not kept."""
        raise NotImplementedError("this storage keeps moving windows only; use MovingWindowRateLimiter")

    def _window(self, key: str, expiry: int) -> deque[float]:
        """The key's times with those before the window removed. A time exactly `expiry` ago still counts."""
        times = self._times.get(key)
        if times is None:
            return deque()
        while times and times[0] < self.now - expiry:
            times.popleft()
        return times

    def _forget(self) -> None:
        """Drops keys whose last message is out of the window; they are the first ones, so this costs what it removes."""
        while self._times:
            key, times = next(iter(self._times.items()))
            if times and times[-1] >= self.now - self._seconds:
                return
            del self._times[key]
