"""An alerting file in words, and what it does with one alert: which routes take it, who is told, and what holds it back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alerts.config import TIER_KIND, TIER_ROUTE, Alerting
from alerts.config_values import said
from alerts.held import held_back
from alerts.model import Alert, Severity, Status
from alerts.pipeline import Inhibition, Matcher, Route, Silence, Timing, receivers_for, routes_for
from alerts.schedule import WEEKDAYS
from alerts.wiring import Wired

PSEUDO = frozenset({"severity", "status", "kind", "incident"})


@dataclass(frozen=True, slots=True)
class Taken:
    """A route that tells the alert: what it takes, and who is asked to tell it, in order."""

    route: str
    why: str
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """A route that was asked and did not take the alert, with why."""

    route: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an alert: the routes that tell it (none when `withheld` says why), and those that were passed over."""

    routes: tuple[Taken, ...]
    passed: tuple[Passed, ...]
    withheld: str = ""


def alert_of_labels(labels: Mapping[str, Sequence[str]], now: datetime) -> tuple[Alert, str]:
    """An alert with these labels, and its kind. Raises ValueError for a label with several values and for an unknown severity or status."""
    several = [name for name, values in labels.items() if len(values) != 1]
    if several:
        raise ValueError(f"{several[0]} has several values: an alert has one value of each label")
    plain = {name: values[0] for name, values in labels.items()}
    known: dict[str, tuple[str, ...]] = {
        "severity": tuple(Severity),
        "status": tuple(Status),
        "incident": ("yes", "no"),
    }
    for name, values_ in known.items():
        if plain.get(name, values_[0]) not in values_:
            raise ValueError(f"{plain[name]!r} is no {name}: one of {', '.join(values_)}")
    alert = Alert(
        alert_id="route-test",
        labels={name: value for name, value in plain.items() if name not in PSEUDO},
        annotations={},
        severity=Severity(plain.get("severity", Severity.WARNING)),
        status=Status(plain.get("status", Status.FIRING)),
        starts_at=now,
        incident_id="route-test" if plain.get("incident") == "yes" else None,
    )
    return alert, plain.get("kind", "alert")


def verdict(
    wired: Wired,
    whole: Alerting,
    alert: Alert,
    kind: str,
    now: datetime,
    silences: Sequence[Silence] = (),
    active: Sequence[Alert] = (),
) -> Verdict:
    """What would become of the alert at `now`, first told then; by the rules and stages that delivery uses. `whole`: as the file says it."""
    rules = wired.alerting.rules_at(now, silences)
    routes = {route.name: route for route in rules.routes}
    taken = routes_for(alert, kind, rules.routes)
    told = {_table(route) for route in taken}
    tellers = {receivers_for(one, alert, rules.routes)[0]: _table(one) for one in reversed(taken)}
    asked: dict[str, list[str]] = {}
    matched: set[str] = set()  # of these tables one set of labels fits, so what the others ask for does not matter
    for plain in whole.rules.routes:
        table = _table(plain)
        if table not in told and (kind.startswith(TIER_KIND) or not table.startswith(TIER_ROUTE)):
            whys = asked.setdefault(table, [])
            if why := why_not(plain.matcher, alert, kind):
                whys.append(why)
            else:
                whys.insert(0, _why_passed(plain, routes.get(plain.name), tellers, alert, kind, wired.left_out))
                matched.add(table)
        if not plain.continue_ and not why_not(plain.matcher, alert, kind):
            break
    return Verdict(
        routes=tuple(Taken(_table(one), words(one.matcher), receivers_for(one, alert, rules.routes)) for one in taken),
        passed=tuple(Passed(name, "; ".join(whys[:1] if name in matched else whys)) for name, whys in asked.items()),
        withheld=held_back(alert, kind, rules, now, active),
    )


def _why_passed(
    plain: Route, now: Route | None, tellers: Mapping[str, str], alert: Alert, kind: str, left_out: Mapping[str, str]
) -> str:
    """Of a route that fits. `plain`: as the file says it; `now`: as it is here and at present, None where it has no receiver."""
    if now is None:
        return f"not configured here: {', '.join(left_out[name] for name in plain.receivers)} not set"
    if why_not(now.matcher, alert, kind):
        return "quiet hours: it takes only what is critical now"
    name = next((name for name in now.receivers if name in tellers), now.receivers[0])
    return f"{name} is told by '{tellers.get(name, 'another route')}' already"


def _table(route: Route) -> str:
    """The name of the table that a route is of: one table with several sets of labels is several routes."""
    return re.sub(r"/\d+$", "", route.name)


def why_not(matcher: Matcher, alert: Alert, kind: str) -> str:
    """Why a matcher does not match, in words; "" when it does."""
    for label, values in sorted(matcher.any_of.items()):
        if not Matcher({label: values}).matches(alert, kind):
            own = alert.labels.get(label)
            asked = f"{label} is one of {_values(values)}" if len(values) > 1 else f"{label} is {_values(values)}"
            return f"asks that {asked}" + (f", it is {own}" if own else "")
    return ""


def words(matcher: Matcher) -> str:
    """What a matcher asks for: "category is metric or safety, and incident is yes"."""
    if not matcher.any_of:
        return "everything"
    return ", and ".join(f"{label} is {_values(values)}" for label, values in sorted(matcher.any_of.items()))


def _values(values: frozenset[str]) -> str:
    shown = sorted(values)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}" if shown else "nothing at present"


def tree(wired: Wired, whole: Alerting, now: datetime) -> list[str]:
    """The file in sentences, one a line. `whole`: as the file says it, also what is not configured here (`wired.left_out`)."""
    timing = whole.rules.timing
    lines = [f"alerting of {whole.source} ({whole.hash[:12]})", "", "routes, asked from the top:"]
    tables: dict[str, list[Route]] = {}
    for route in whole.rules.routes:
        tables.setdefault(_table(route), []).append(route)
    for name, routes in tables.items():
        if not name.startswith(TIER_ROUTE):
            lines += _route(name, routes, whole, wired.left_out)
    lines += [
        "",
        f"waits, where a route says nothing else: {_waits(timing)}; what is critical and firing waits for nothing",
    ]
    lines += ["", "held back:"]
    lines += [f"  {rule.name}: {_rule(rule)}" for rule in whole.rules.inhibitions] or ["  nothing"]
    lines += ["", "when nobody acknowledges:"]
    for number, tier in enumerate(whole.ladder, start=1):
        people = [person.name for person in whole.on_call(tier.people, now)]
        whom = ", ".join([*(_named(name, wired.left_out) for name in tier.receivers), *people])
        lines.append(
            f"  {said(tier.after)} later: tier {number}, {tier.name}, in the incident's thread{f' and {whom}' if whom else ''}"
        )
    lines += [] if whole.ladder else ["  nobody else is told"]
    lines += [f"  on call by rota {rota.name} now: {rota.on_call(now) or 'nobody yet'}" for rota in whole.rotas]
    if (quiet := whole.quiet) is not None:
        days = "every day" if len(quiet.days) == len(WEEKDAYS) else ", ".join(quiet.days)
        hours = f"{quiet.starts:%H:%M} to {quiet.ends:%H:%M} {quiet.zone}, {days}"
        lines += ["", f"quiet hours: {hours}; never for what is critical"]
    missing = [f"  {name}: {names} not set" for name, names in wired.left_out.items()]
    return [*lines, *(["", "not configured here (*):", *missing] if missing else [])]


def _named(name: str, left_out: Mapping[str, str]) -> str:
    return f"{name}*" if name in left_out else name


def _waits(timing: Timing) -> str:
    first, between = said(timing.group_wait), said(timing.group_interval)
    return f"{first} before the first message of a group, {between} between two, repeated after {said(timing.repeat_interval)}"


def _rule(rule: Inhibition) -> str:
    same = f" with the same {' and '.join(rule.equal)}" if rule.equal else ""
    return f"while {words(rule.source)}, nothing is told where {words(rule.target)}{same}"


def _route(name: str, routes: Sequence[Route], whole: Alerting, left_out: Mapping[str, str]) -> list[str]:
    first = routes[0]
    receivers = ", else ".join(_named(receiver, left_out) for receiver in first.receivers)
    notes = ["; then those below are asked too"] if first.continue_ else []
    notes += ["; in the quiet hours only what is critical"] if name in whole.quiet_routes and whole.quiet else []
    notes += [f"; waits {_waits(first.timing)}"] if first.timing else []
    takes = [f"    {'takes' if n == 0 else 'or'} {words(route.matcher)}" for n, route in enumerate(routes)]
    return [f"  {name} -> {receivers}{''.join(notes)}", *takes]


def verdict_json(found: Verdict, now: datetime) -> dict[str, Any]:
    """A verdict as plain values."""
    return {
        "at": now.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "told": not found.withheld,
        "withheld": found.withheld,
        "routes": [{"route": item.route, "why": item.why, "receivers": list(item.receivers)} for item in found.routes],
        "passed": [{"route": item.route, "why": item.why} for item in found.passed],
    }


def verdict_text(value: Mapping[str, Any]) -> str:
    """A verdict of `verdict_json` in words."""
    goes = "would go" if value["withheld"] else "goes"
    return "\n".join(
        [
            *([f"not told now: {value['withheld']}"] if value["withheld"] else []),
            *(
                f"{goes} by '{item['route']}' to {', else '.join(item['receivers'])}: it takes {item['why']}"
                for item in value["routes"]
            ),
            *(f"  not by '{item['route']}': {item['why']}" for item in value["passed"]),
        ]
    )
