"""Which routes a message goes by: its own row by the first, a copy by each of the others. Pure; `record_routed` writes it in one transaction.

Routing happens once, when a message is first looked at, and is kept: quiet hours or a changed file do not move a message that is on its way.
Whoever was told that an incident fires is told its end too, whatever the matchers of its route say by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.history import Item, candidate_of
from alerts.model import Status
from alerts.pipeline import Route, receivers_for, routes_for


@dataclass(frozen=True, slots=True)
class Assigned:
    """Names of routes by message id, the row's own first: the one that ends the search, the rest go by copies.

    `gone`: copies of routes that are not in the file any more, by id with the name of the route.
    """

    routes: Mapping[str, tuple[str, ...]]
    gone: Mapping[str, str]


def assign(items: Iterable[Item], history: Iterable[Item], routes: Sequence[Route]) -> Assigned:
    """Routes of messages that have none yet, or one that is not in the file any more. `history` are messages of the same incidents."""
    told: dict[str, list[Item]] = {}
    for item in history:
        if item.incident_id and item.status == "sent":
            told.setdefault(item.incident_id, []).append(item)
    found: dict[str, tuple[str, ...]] = {}
    gone: dict[str, str] = {}
    for item in items:
        if item.route and item.outbox_id.endswith(f"@{item.route}"):
            gone[item.outbox_id] = item.route  # the message itself goes on by its own row
        elif names := _names(item, told.get(item.incident_id or "", []), routes):
            found[item.outbox_id] = names
    return Assigned(found, gone)


def _names(item: Item, told: Iterable[Item], routes: Sequence[Route]) -> tuple[str, ...]:
    candidate = candidate_of(item)
    taking = {receivers_for(r, candidate.alert, routes)[0]: r for r in routes_for(candidate.alert, item.kind, routes)}
    if candidate.alert.status is Status.RESOLVED:
        by_name = {route.name: route for route in routes}
        for earlier in told:
            route = by_name.get(earlier.route)
            if route is not None and earlier.receiver == route.receivers[0]:
                taking.setdefault(route.receivers[0], route)
    begun = item.receiver if item.attempts else None  # it may be out already: it stays with who was asked
    ordered = sorted(taking, key=lambda receiver: (receiver != begun, taking[receiver].continue_))
    return tuple(taking[receiver].name for receiver in ordered)
