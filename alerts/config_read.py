"""The alerting file as text -> `Alerting`: every key checked, every name that is used must be one that is declared.

Unknown keys are problems: a misspelt receiver must not silently be nobody.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from alerts.config import TIER_ROUTE, Alerting, ReceiverSpec, Tier
from alerts.config_lint import lint
from alerts.config_values import AlertingError, Reader
from alerts.deliver import Retry, Rules
from alerts.people import Person
from alerts.pipeline import Inhibition, Matcher, Route, Timing
from alerts.schedule import WEEKDAYS, QuietHours, Rota
from controlplane.core.audit import sha256_text
from controlplane.core.policy_model import Problem
from controlplane.core.roles import Role
from controlplane.core.toml_lines import Path, line_index

SCHEMA = 1
CONSOLE = "console"
KINDS = ("slack", "webhook", "alertmanager", CONSOLE)
_TOP = (
    *("schema", "timing", "retry", "receivers", "routes", "inhibitions"),
    *("people", "rotas", "ladder", "quiet_hours"),
)
_WAITS = ("group_wait", "group_interval", "repeat_interval")
_VARIABLE = re.compile(r"\$(SLACK_CHANNEL|SLACK_REVIEW_CHANNEL|CONTROLPLANE_ALERT_[A-Z0-9_]+)")
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")
_SLACK_USER = re.compile(r"[UW][A-Z0-9]{2,20}")
_NEEDS = {"slack": ("channel",), "webhook": ("url", "secret"), "alertmanager": ("url",), CONSOLE: ()}


def read(text: str, source: str) -> Alerting:
    """The alerting in `text`. Raises AlertingError with every error; warnings do not raise (`check` has them)."""
    alerting, problems = check(text, source)
    errors = tuple(problem for problem in problems if problem.severity == "error")
    if alerting is None or errors:
        raise AlertingError(source, errors)
    return alerting


def check(text: str, source: str) -> tuple[Alerting | None, tuple[Problem, ...]]:
    """What the text says, None where it cannot be used, and every error and warning in the order of the lines."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"at line (\d+)", str(error))  # absent at the end of the text
        line = int(found.group(1)) if found else text.count("\n") + 1
        return None, (Problem(line, "TOML", str(error), "mend the syntax"),)
    reader = Reader(line_index(text))
    parts = _Parts(reader, reader.table(raw, (), _TOP))
    alerting = parts.read(text, source)
    if alerting is not None:
        lint(reader, alerting, parts.matchers)
    return alerting, tuple(sorted(reader.problems, key=lambda problem: problem.line))


class _Parts:
    """Reads the tables of one file in the order in which they need each other."""

    def __init__(self, reader: Reader, raw: Mapping[str, Any]) -> None:
        self.reader = reader
        self.raw = raw
        self.matchers: list[tuple[Path, Matcher]] = []

    def read(self, text: str, source: str) -> Alerting | None:
        """All of it; None where an error was found."""
        if self.raw.get("schema") != SCHEMA:
            self.reader.problem(
                ("schema",), f"{self.raw.get('schema')!r} is not a known schema", f"write schema = {SCHEMA}"
            )
        timing = self._timing(self.raw.get("timing", {}), ("timing",), Timing())
        retry = self._retry()
        receivers = self._receivers()
        people, rotas = self._people()
        ladder = self._ladder(receivers, {*(p.name for p in people), *(r.name for r in rotas)})
        routes, quiet_routes = self._routes(timing, {item.name for item in receivers})
        inhibitions = self._inhibitions()
        quiet = self._quiet()
        if any(problem.severity == "error" for problem in self.reader.problems):
            return None
        tiers = tuple(
            Route(
                _numbered(f"{TIER_ROUTE}{tier.name}", n),
                (name,),
                Matcher({"kind": frozenset({tier.kind})}),
                continue_=True,
            )
            for tier in ladder
            for n, name in enumerate(tier.receivers)
        )
        return Alerting(
            rules=Rules((*tiers, *routes), inhibitions, timing=timing, retry=retry),
            people=people,
            ladder=ladder,
            hash=sha256_text(text),
            source=source,
            receivers=receivers,
            rotas=rotas,
            quiet=quiet,
            quiet_routes=frozenset(quiet_routes),
        )

    def _timing(self, raw: object, path: Path, default: Timing) -> Timing:
        table = self.reader.table(raw, path, _WAITS)
        found = {key: self.reader.span(table, path, key, getattr(default, key)) for key in _WAITS}
        if "repeat_interval" in table and found["repeat_interval"] < timedelta(minutes=1):
            self.reader.problem((*path, "repeat_interval"), "repeats within a minute", 'write repeat_interval = "4h"')
        return Timing(**found)

    def _retry(self) -> Retry:
        path, default = ("retry",), Retry()
        table = self.reader.table(
            self.raw.get("retry", {}), path, ("first", "longest", "tell_next_after", "max_attempts")
        )
        first = self.reader.span(table, path, "first", default.first)
        longest = self.reader.span(table, path, "longest", default.longest)
        if not timedelta(0) < first <= longest:
            self.reader.problem(
                path, "first must be above 0s and at most longest", 'write first = "2s", longest = "60s"'
            )
        after = self.reader.whole(table, path, "tell_next_after", default.tell_next_after)
        return Retry(first, longest, after, self.reader.whole(table, path, "max_attempts", default.max_attempts))

    def _unique(self, path: Path, name: str, seen: set[str]) -> None:
        if name and name in seen:
            self.reader.problem((*path, "name"), f"{name!r} is taken already", "give each its own name")
        seen.add(name)

    def _receivers(self) -> tuple[ReceiverSpec, ...]:
        found, seen, reader = [], set[str](), self.reader
        for path, table in reader.tables(self.raw, "receivers", ("name", "kind", "channel", "url", "secret")):
            kind = reader.choice(table, path, "kind", KINDS)
            spec = ReceiverSpec(
                reader.text(table, path, "name"), kind, *(reader.text(table, path, k, "") for k in _VALUES)
            )
            self._unique(path, spec.name, seen)
            self._values(path, table, spec)
            found.append(spec)
        if not any(spec.kind == CONSOLE for spec in found):
            found.append(ReceiverSpec(CONSOLE, CONSOLE))
            if CONSOLE in seen:
                reader.problem(("receivers",), f"{CONSOLE!r} is a receiver of another kind", "give it another name")
        return tuple(found)

    def _values(self, path: Path, table: Mapping[str, Any], spec: ReceiverSpec) -> None:
        needed = _NEEDS.get(spec.kind, ())
        for key in needed:
            if not getattr(spec, key):
                self.reader.problem(path, f"a receiver of kind {spec.kind} needs {key}", f'write {key} = "..."')
        for key in _VALUES:
            value = getattr(spec, key)
            if value and key not in needed and spec.kind in KINDS:
                self.reader.problem((*path, key), f"a receiver of kind {spec.kind} has no {key}", "leave it out")
            if value.startswith("$") and not _VARIABLE.fullmatch(value):
                remedy = "name one that begins with CONTROLPLANE_ALERT_, or SLACK_CHANNEL or SLACK_REVIEW_CHANNEL"
                self.reader.problem((*path, key), f"{value} is no variable that is read for alerts", remedy)
            if key == "secret" and value and not value.startswith("$"):
                remedy = 'name the variable that has it, such as "$CONTROLPLANE_ALERT_WEBHOOK_SECRET"'
                self.reader.problem((*path, key), "a secret stands in the file", remedy)
        if spec.url and not spec.url.startswith(("$", "http://", "https://")):
            self.reader.problem((*path, "url"), f"{spec.url!r} is no address", 'write "https://..." or "$NAME"')

    def _names(self, path: Path, key: str, names: Iterable[str], known: Iterable[str], what: str) -> None:
        known = tuple(known)
        for name in names:
            if name not in known:
                remedy = f"known: {', '.join(sorted(known)) or 'none'}; correct it or declare it"
                self.reader.problem((*path, key), f"{name!r} is no {what}", remedy)

    def _matcher(self, raw: object, path: Path, *, required: bool = False) -> Matcher:
        if not isinstance(raw, dict) or (required and not raw):
            self.reader.problem(path, "is no table of labels", f'write {path[-1]} = {{ category = ["metric"] }}')
            return Matcher()
        found: dict[str, frozenset[str]] = {}
        for label, value in raw.items():
            values = [value] if isinstance(value, str) else value
            if not isinstance(values, list) or not values or not all(isinstance(item, str) for item in values):
                self.reader.problem((*path, label), f"{value!r} is neither a text nor a list of texts", "correct it")
                continue
            found[label] = frozenset(values)
            known = _PSEUDO.get(label)
            self._names(path, label, values if known else (), known or (), f"{label} there is")
        self.matchers.append((path, Matcher(found)))
        return Matcher(found)

    def _routes(self, timing: Timing, receivers: set[str]) -> tuple[tuple[Route, ...], tuple[str, ...]]:
        found: list[Route] = []
        quiet: list[str] = []
        seen: set[str] = set()
        reader = self.reader
        known = ("name", "receivers", "match", "continue", "quiet", "group_by", *_WAITS)
        for path, table in reader.tables(self.raw, "routes", known):
            name = reader.text(table, path, "name")
            self._unique(path, name, seen)
            if name.startswith(TIER_ROUTE) or re.search(r"/\d+$", name):
                reader.problem((*path, "name"), f"{name!r} is a name of another kind", "choose another one")
            names = reader.texts(table, path, "receivers")
            if not names:
                reader.problem(path, "names no receiver", 'write receivers = ["..."]')
            self._names(path, "receivers", names, receivers, "receiver")
            raw = table.get("match", {})
            if raw == []:
                reader.problem(
                    (*path, "match"), "is empty: the route would take nothing", "name labels, or leave it out"
                )
            matchers = [self._matcher(item, (*path, "match")) for item in (raw if isinstance(raw, list) else [raw])]
            waits = {key: table[key] for key in _WAITS if key in table}
            goes_on = reader.flag(table, path, "continue")
            group_by = reader.texts(table, path, "group_by", Route("", ()).group_by)
            own = self._timing(waits, path, timing) if waits else None
            if any(not route.matcher.any_of and not route.continue_ for route in found):
                reader.problem(path, "is never reached", "an earlier route takes everything: set it after this one")
            routes = [Route(_numbered(name, n), names, m, goes_on, group_by, own) for n, m in enumerate(matchers)]
            quiet += [route.name for route in routes] if reader.flag(table, path, "quiet") else []
            found += routes
        last = found[-1] if found else None
        if last is None or last.matcher.any_of or last.continue_ or last.name in quiet:
            where: Path = ("routes", len(self.raw.get("routes", [])) - 1) if last else ("routes",)
            remedy = "end with a route without match, continue and quiet, so that nothing is lost"
            reader.problem(where, "the last route does not take everything", remedy)
        return tuple(found), tuple(quiet)

    def _inhibitions(self) -> tuple[Inhibition, ...]:
        found, seen = [], set[str]()
        for path, table in self.reader.tables(self.raw, "inhibitions", ("name", "source", "target", "equal")):
            name = self.reader.text(table, path, "name")
            self._unique(path, name, seen)
            source = self._matcher(table.get("source"), (*path, "source"), required=True)
            target = self._matcher(table.get("target"), (*path, "target"), required=True)
            found.append(Inhibition(name, source, target, self.reader.texts(table, path, "equal")))
        return tuple(found)

    def _people(self) -> tuple[tuple[Person, ...], tuple[Rota, ...]]:
        people, rotas, seen, ids, reader = list[Person](), list[Rota](), set[str](), set[str](), self.reader
        roles = tuple(str(role) for role in Role if role is not Role.PRODUCER)
        for path, table in reader.tables(self.raw, "people", ("name", "role", "slack", "email")):
            name, role = reader.text(table, path, "name"), reader.choice(table, path, "role", roles)
            slack = reader.text(table, path, "slack", "")
            self._unique(path, name, seen)
            if slack and (not _SLACK_USER.fullmatch(slack) or slack in ids):
                remedy = 'write the member id of Slack, such as "U024BE7LH", each once'
                reader.problem((*path, "slack"), f"{slack!r} is no member id, or that of another person", remedy)
            ids.add(slack)
            email = self._email(path, table, {person.email.casefold() for person in people})
            people.append(Person(name, Role(role) if role in roles else Role.VIEWER, slack, email))
        names = {person.name for person in people}
        for path, table in reader.tables(
            self.raw, "rotas", ("name", "people", "first_day", "hands_over", "zone", "days")
        ):
            name, members = reader.text(table, path, "name"), reader.texts(table, path, "people")
            self._unique(path, name, seen)
            self._names(path, "people", members, names, "person")
            if not members:
                reader.problem(path, "has no people", 'write people = ["..."]')
            day, clock = reader.day(table, path, "first_day"), reader.clock(table, path, "hands_over", "09:00")
            days = reader.whole(table, path, "days", 1)
            rotas.append(Rota(name, members, day, clock, reader.zone(table, path), days))
        return tuple(people), tuple(rotas)

    def _email(self, path: Path, table: Mapping[str, Any], taken: set[str]) -> str:
        """The address under which a provider knows the person, each once, however it is written."""
        email = self.reader.text(table, path, "email", "")
        if email and (not _EMAIL.fullmatch(email) or email.casefold() in taken):
            remedy = 'write the address with which the person logs in, such as "ana@example.com", each once'
            self.reader.problem((*path, "email"), f"{email!r} is no e-mail address, or that of another person", remedy)
        return email

    def _ladder(self, receivers: Iterable[ReceiverSpec], names: set[str]) -> tuple[Tier, ...]:
        found, seen, reader = [], set[str](), self.reader
        for path, table in reader.tables(self.raw, "ladder", ("name", "receivers", "people", "after")):
            after = reader.span(table, path, "after", timedelta(minutes=5))
            tier = Tier(
                reader.text(table, path, "name"),
                reader.texts(table, path, "receivers"),
                reader.texts(table, path, "people"),
                after,
            )
            self._unique(path, tier.name, seen)
            self._names(path, "receivers", tier.receivers, (item.name for item in receivers), "receiver")
            self._names(path, "people", tier.people, names, "person or rota")
            if after <= timedelta(0):
                reader.problem((*path, "after"), "a tier is told after a while", 'write after = "5m"')
            found.append(tier)
        return tuple(found)

    def _quiet(self) -> QuietHours | None:
        path, reader = ("quiet_hours",), self.reader
        if "quiet_hours" not in self.raw:
            return None
        table = reader.table(self.raw["quiet_hours"], path, ("from", "until", "zone", "days"))
        starts, ends = reader.clock(table, path, "from", "22:00"), reader.clock(table, path, "until", "07:00")
        if starts == ends:
            reader.problem(path, "from and until are the same", 'write from = "22:00", until = "07:00"')
        days = reader.texts(table, path, "days", WEEKDAYS)
        self._names(path, "days", days, WEEKDAYS, "day")
        if not days:
            reader.problem((*path, "days"), "names no day", 'name some, or leave it out: days = ["sat", "sun"]')
        return QuietHours(starts, ends, reader.zone(table, path), days)


_VALUES = ("channel", "url", "secret")
_PSEUDO = {
    "severity": ("critical", "error", "warning", "info"),
    "status": ("firing", "resolved"),
    "incident": ("yes", "no"),
}


def _numbered(name: str, position: int) -> str:
    """Routes of one table with several sets of labels: "platform on-call", "platform on-call/2", ..."""
    return name if position == 0 else f"{name}/{position + 1}"
