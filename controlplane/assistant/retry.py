"""Trying a model again: few times, after a short random wait, and only where a second try can help.

Rules
- Waits grow: a uniform draw from [0, min(cap, base * 2^n)] before try n + 2 ("full jitter"), so that many waiting clients do
  not come back together. The draw is a stable hash of the request and the try: replays wait alike.
- A time-out is not tried again: the customer has waited once. Neither is an answer that says our request is wrong.
"""

import hashlib
from dataclasses import dataclass

RETRYABLE = frozenset({"connection", "rate_limited", "http_500", "http_502", "http_503", "http_504", "http_529"})


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` counts the first try; seconds."""

    attempts: int = 2
    base_seconds: float = 0.2
    cap_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"retry attempts must lie in 1..5, got {self.attempts}")
        if self.base_seconds < 0 or self.cap_seconds < 0:
            raise ValueError(f"retry waits must be >= 0, got {self.base_seconds} and {self.cap_seconds}")

    def again(self, tried: int, error_type: str) -> bool:
        """Whether to try once more after `tried` tries ended in this error."""
        return tried < self.attempts and error_type in RETRYABLE

    def wait(self, key: str, tried: int) -> float:
        """Seconds to wait before the next try."""
        most = min(self.cap_seconds, self.base_seconds * 2.0 ** (tried - 1))
        digest = hashlib.blake2b(f"retry|{key}|{tried}".encode(), digest_size=8).digest()
        return float(most * int.from_bytes(digest, "big") / 2**64)
