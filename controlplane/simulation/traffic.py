"""When conversations begin, who begins them, and with which need.

Arrivals are a Poisson process with a mild day shape, drawn by thinning (Lewis and Shedler 1979). Everything is drawn from one
generator that nothing else uses, so the same customers with the same needs arrive whatever they are answered: two runs that
differ in one injected fault differ only by it.
"""

from __future__ import annotations

import math
import random
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.simulation.customers import Customer, draw_customer
from controlplane.simulation.needs import Need

PEAK_HOUR = 14.0
REMEMBERED_CUSTOMERS = 5_000


@dataclass(frozen=True, slots=True)
class TrafficConfig:
    """`day_swing` is the relative height of the day's peak over its mean; shares are in [0, 1]."""

    conversations_per_minute: float = 100.0
    day_swing: float = 0.2
    repeat_share: float = 0.1
    employee_share: float = 0.06


@dataclass(frozen=True, slots=True)
class Arrival:
    """A customer begins conversation number `number` (from 1) about a need."""

    number: int
    customer: Customer
    need: Need


class Traffic:
    """The stream of arrivals; `next_arrival` is called once for each."""

    def __init__(self, seed: int, config: TrafficConfig, needs: tuple[Need, ...]) -> None:
        if config.conversations_per_minute <= 0:
            raise ValueError("conversations_per_minute must be above 0")
        self._seed = seed
        self._config = config
        self._rng = random.Random(f"{seed}:traffic")
        self._needs = needs
        self._weights = [need.weight for need in needs]
        self._known: deque[Customer] = deque(maxlen=REMEMBERED_CUSTOMERS)
        self._customers = 0
        self._conversations = 0

    def next_time(self, after: datetime) -> datetime:
        """When the next conversation begins."""
        highest = self._config.conversations_per_minute / 60 * (1 + self._config.day_swing)
        moment = after
        while True:
            moment += timedelta(seconds=self._rng.expovariate(highest))
            if self._rng.random() * (1 + self._config.day_swing) <= self.day_factor(moment):
                return moment

    def day_factor(self, moment: datetime) -> float:
        """Traffic at this time of day relative to the mean; highest at 14:00 UTC."""
        hour = moment.hour + moment.minute / 60 + moment.second / 3600
        return 1 + self._config.day_swing * math.cos((hour - PEAK_HOUR) / 24 * 2 * math.pi)

    def next_arrival(self) -> Arrival:
        """Who comes, and why."""
        self._conversations += 1
        need = self._rng.choices(self._needs, self._weights)[0]
        if self._known and self._rng.random() < self._config.repeat_share:
            return Arrival(self._conversations, self._known[self._rng.randrange(len(self._known))], need)
        self._customers += 1
        customer = draw_customer(f"s{self._seed}-u{self._customers:06d}", self._config.employee_share, self._rng)
        self._known.append(customer)
        return Arrival(self._conversations, customer, need)
