"""The service the story runs on: how long each part takes, and when it fails. Seeded, and apart from real time.

Rules
- A draw is a pure function of (seed, operation, interaction id): the same request always meets the same fate, in any
  order of requests and on any machine.
- Latency is log-normal (median, sigma), times `slow_factor`. What would take longer than `timeout_ms` is cut there and is
  a time-out; besides, a share `timeout_rate` hangs and a share `error_rate` fails.
- Without a service model (a live assistant) the measured time is the latency.
"""

import hashlib
import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist

_NORMAL = NormalDist()
_UNIT = float(1 << 64)


@dataclass(frozen=True, slots=True)
class ServiceDraw:
    """What one call meets: its latency in ms, and an error's short name or None."""

    latency_ms: float
    error_type: str | None = None
    timed_out: bool = False

    @property
    def failed(self) -> bool:
        """Whether the call gave no result."""
        return self.error_type is not None


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """One part of the service. Milliseconds and shares in [0, 1]."""

    operation: str
    median_ms: float
    sigma: float = 0.4
    error_rate: float = 0.0
    timeout_rate: float = 0.0
    slow_factor: float = 1.0
    timeout_ms: float = 10_000.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.median_ms <= 0 or self.timeout_ms <= 0 or self.slow_factor <= 0 or self.sigma < 0:
            raise ValueError(
                f"service model {self.operation}: median_ms, timeout_ms and slow_factor must be > 0, sigma >= 0"
            )
        if not (0 <= self.error_rate <= 1 and 0 <= self.timeout_rate <= 1):
            raise ValueError(f"service model {self.operation}: error_rate and timeout_rate must lie in 0..1")

    def draw(self, interaction_id: str) -> ServiceDraw:
        """The fate of this operation in this request."""
        digest = hashlib.blake2b(f"{self.seed}|{self.operation}|{interaction_id}".encode(), digest_size=24).digest()
        time_share, error_share, hang_share = (
            (int.from_bytes(digest[i : i + 8], "big") + 0.5) / _UNIT for i in (0, 8, 16)
        )
        latency = self.median_ms * self.slow_factor * math.exp(self.sigma * _NORMAL.inv_cdf(min(time_share, 1 - 1e-16)))
        if hang_share < self.timeout_rate or latency >= self.timeout_ms:
            return ServiceDraw(self.timeout_ms, "timeout", timed_out=True)
        latency = round(latency, 1)
        return ServiceDraw(latency, "service_error") if error_share < self.error_rate else ServiceDraw(latency)


@dataclass(frozen=True, slots=True)
class ServiceProfile:
    """All parts that a request can touch: the request's own overhead, the knowledge search, the model, the bank."""

    request: ServiceModel = field(default_factory=lambda: ServiceModel("request", 80.0, 0.3, error_rate=0.001))
    knowledge: ServiceModel = field(default_factory=lambda: ServiceModel("knowledge", 35.0, 0.4, error_rate=0.001))
    model: ServiceModel = field(
        default_factory=lambda: ServiceModel("model", 900.0, 0.45, error_rate=0.002, timeout_rate=0.001)
    )
    bank: ServiceModel = field(default_factory=lambda: ServiceModel("bank", 180.0, 0.4, error_rate=0.003))

    def seeded(self, seed: int) -> "ServiceProfile":
        """The same profile with other fates."""
        parts = (self.request, self.knowledge, self.model, self.bank)
        return ServiceProfile(*(replace(part, seed=seed) for part in parts))

    def slowed(self, factor: float) -> "ServiceProfile":
        """The same profile with a model that takes `factor` times as long."""
        return replace(self, model=replace(self.model, slow_factor=self.model.slow_factor * factor))

    def failing(self, error_rate: float, timeout_rate: float) -> "ServiceProfile":
        """The same profile with a model that fails and hangs this often."""
        return replace(self, model=replace(self.model, error_rate=error_rate, timeout_rate=timeout_rate))
