"""Who is told what: receivers, routes, inhibitions, waits, people and the on-call ladder, as values read from one TOML file.

The file that ships is `alerts/alerting.toml`; a workspace has its own as `alerting.toml`, and CONTROLPLANE_ALERTING names another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib import resources

from alerts.deliver import Rules
from alerts.people import Person
from alerts.pipeline import Matcher, Route, Silence
from alerts.schedule import QuietHours, Rota

TIER_KIND = "tier:"
TIER_ROUTE = "tier "  # with this begin the names of the routes of tiers, and of no other
SHIPPED = "alerts/alerting.toml"


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of the ladder: who is told when nobody has acknowledged for `after`. Named receivers, and people who are mentioned.

    `people` are names of people, or of rotas: then it is whoever is on call by that rota.
    """

    name: str
    receivers: tuple[str, ...]
    people: tuple[str, ...] = ()
    after: timedelta = timedelta(minutes=5)

    @property
    def kind(self) -> str:
        """Kind of its messages in the outbox, by which their route knows them."""
        return f"{TIER_KIND}{self.name}"


@dataclass(frozen=True, slots=True)
class ReceiverSpec:
    """A receiver as the file names it. `channel`, `url` and `secret` may be "$NAME": the value of that environment variable.

    A secret is always a name: it never stands in the file.
    """

    name: str
    kind: str
    channel: str = ""
    url: str = ""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class Alerting:
    """A validated alerting file; `hash` is the sha256 of its text ("" for the built-in defaults).

    `receivers` are what the file names, whether or not they are configured here. `quiet_routes` are the names of routes that take nothing but
    what is critical in the quiet hours.
    """

    rules: Rules
    people: tuple[Person, ...] = ()
    ladder: tuple[Tier, ...] = ()
    hash: str = ""
    source: str = "built in"
    receivers: tuple[ReceiverSpec, ...] = ()
    rotas: tuple[Rota, ...] = ()
    quiet: QuietHours | None = None
    quiet_routes: frozenset[str] = frozenset()

    def rules_at(self, now: datetime, silences: Iterable[Silence] = ()) -> Rules:
        """The rules for one round of delivery at `now`: with the silences in force, and the quiet hours put into the routes."""
        routes = self.rules.routes
        if self.quiet is not None and self.quiet.until(now) is not None:
            routes = tuple(_critical_only(route) if route.name in self.quiet_routes else route for route in routes)
        return replace(self.rules, routes=routes, silences=tuple(silences))

    def on_call(self, names: Iterable[str], now: datetime) -> tuple[Person, ...]:
        """The people behind names of people and of rotas at `now`, each once, in the order of the names."""
        rotas = {rota.name: rota for rota in self.rotas}
        people = {person.name: person for person in self.people}
        found = (rotas[name].on_call(now) if name in rotas else name for name in names)
        return tuple(dict.fromkeys(people[name] for name in found if name in people))


def _critical_only(route: Route) -> Route:
    severities = route.matcher.any_of.get("severity", frozenset({"critical"})) & {"critical"}
    return replace(route, matcher=Matcher({**route.matcher.any_of, "severity": severities}))


def load(text: str, source: str) -> Alerting:
    """The alerting in `text`. Raises AlertingError with every problem, each naming `source`, line, key and remedy."""
    from alerts.config_read import read

    return read(text, source)


def shipped() -> Alerting:
    """What ships with the package."""
    return load(shipped_text(), SHIPPED)


def shipped_text() -> str:
    """The text of the file that ships, for whoever wants to begin with it."""
    return resources.files("alerts").joinpath("alerting.toml").read_text(encoding="utf-8")
