"""Tell people what is due: outbox -> alert pipeline -> receivers; then note when an incident was first told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TextIO

from alerts.deliver import DeliveryResult, Pauses, Receiver, Rules, deliver_due, waiting_for
from controlplane.settings import Settings
from jobs import alerting, silences
from jobs.courier import Courier
from jobs.deps import Deps


def receivers(settings: Settings, stream: TextIO | None = None) -> tuple[Mapping[str, Receiver], Rules]:
    """The receivers that are configured, and the rules of the alerting file for them."""
    found = alerting.wired(settings, stream)
    return found.receivers, found.alerting.rules


@contextmanager
def courier(deps: Deps, clock: Callable[[], datetime]) -> Iterator[None]:
    """Inside the block messages are delivered beside the heartbeat, which then never waits for a receiver."""
    deps.courier = Courier(partial(_waiting, deps), partial(_tell, deps), clock)
    deps.courier.start()
    try:
        yield
    finally:
        deps.courier.stop()
        deps.courier = None


def run(deps: Deps, now: datetime) -> list[DeliveryResult]:
    """One round of delivery; with a courier, what it did since the last call, and it is told to look again."""
    return deliver(deps, now) if deps.courier is None else deps.courier.poke()


def deliver(deps: Deps, now: datetime) -> list[DeliveryResult]:
    """One round of delivery, here and now; never two at once."""
    with deps.delivering:
        return _tell(deps, None, now)


def _waiting(deps: Deps, now: datetime) -> frozenset[str]:
    """Who has something to tell; what is due has a route from then on."""
    rules, pauses = _rules_of(deps, now)
    return frozenset() if rules is None else waiting_for(deps.state, deps.state, now, rules, pauses)


def _tell(deps: Deps, only: str | None, now: datetime) -> list[DeliveryResult]:
    """What one receiver has to tell, None: all of them; and note when an incident was first told."""
    rules, pauses = _rules_of(deps, now)
    if rules is None:
        return []
    active = partial(silences.standing, deps.state)
    results = deliver_due(deps.state, deps.state, deps.receivers, now, rules, pauses, active, only)
    for result in results:
        if result.alerted_at is not None and result.incident_id is not None:
            deps.state.record_alerted(result.incident_id, result.alerted_at)
    return results


def _rules_of(deps: Deps, now: datetime) -> tuple[Rules | None, Pauses]:
    """The rules at `now` with the silences in force, and the pauses that receivers have."""
    if deps.pauses is None:
        deps.pauses = Pauses()
    if deps.rules is None:
        return None, deps.pauses
    silenced = silences.in_force(deps.state, now)
    if deps.alerting is not None:
        return deps.alerting.rules_at(now, silenced), deps.pauses
    return replace(deps.rules, silences=silenced), deps.pauses
