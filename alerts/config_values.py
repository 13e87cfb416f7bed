"""Plain TOML values to typed ones, collecting every problem with its line on the way."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from controlplane.core.policy_model import PolicyError, Problem
from controlplane.core.toml_lines import Path, line_of

D = TypeVar("D")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+)(ms|s|m|h|d|w)")
LONGEST = timedelta(days=366)


class AlertingError(PolicyError):
    """An alerting file that must not be used; `problems` has every reason."""


def duration(text: str) -> timedelta:
    """A span as Prometheus writes it: "30s", "5m", "1h30m", "4h", "1d". Raises ValueError for anything else and beyond a year."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no span of time")
    seconds = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than a year")
    return timedelta(seconds=seconds)


def said(span: timedelta) -> str:
    """A span as `duration` reads it: "5m", "1h30m", "0s"."""
    left, words = round(span.total_seconds() * 1000), ""
    for unit, size in sorted(_UNITS.items(), key=lambda item: -item[1]):
        count, left = divmod(left, round(size * 1000))
        words += f"{count}{unit}" if count else ""
    return words or "0s"


class Reader:
    """Reads tables; what is wrong goes to `problems`, and a value that serves instead goes on, so that all of it is found at once."""

    def __init__(self, index: Mapping[Path, int]) -> None:
        self.index = dict(index)
        self.problems: list[Problem] = []

    def problem(self, path: Path, message: str, remedy: str, severity: str = "error") -> None:
        """Something wrong at `path`."""
        key = ".".join(str(part) for part in path) or "alerting"
        first = (*path, 0)  # of `[[key]]` only the tables stand in the text
        line = line_of(self.index, first if path not in self.index and first in self.index else path)
        self.problems.append(Problem(line, key, message, remedy, severity))

    def table(self, raw: object, path: Path, known: tuple[str, ...]) -> dict[str, Any]:
        """The table at `path`; unknown keys are problems."""
        if not isinstance(raw, dict):
            self.problem(path, "is not a table", f"write [{'.'.join(str(part) for part in path)}]")
            return {}
        for key in raw:
            if key not in known:
                self.problem((*path, key), "unknown key", f"known here: {', '.join(known)}")
        return raw

    def tables(self, raw: Mapping[str, Any], key: str, known: tuple[str, ...]) -> list[tuple[Path, dict[str, Any]]]:
        """The tables of `[[key]]` with their paths."""
        items = raw.get(key, [])
        if not isinstance(items, list):
            self.problem((key,), "is not a list of tables", f"write [[{key}]]")
            return []
        return [((key, n), self.table(item, (key, n), known)) for n, item in enumerate(items)]

    def text(self, table: Mapping[str, Any], path: Path, key: str, default: str | None = None) -> str:
        """A text; without a default it must be there and say something."""
        value = table.get(key, default)
        if isinstance(value, str) and (value.strip() or default is not None):
            return value
        missing = "is missing" if key not in table else f"{value!r} is not a text"
        self.problem((*path, key) if key in table else path, f"{key} {missing}", f'write {key} = "..."')
        return default or ""

    def texts(self, table: Mapping[str, Any], path: Path, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list of texts, each once."""
        value = table.get(key, list(default))
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            self.problem((*path, key), f"{value!r} is not a list of texts", f'write {key} = ["...", "..."]')
            return default
        if len(set(value)) < len(value):
            self.problem((*path, key), "names something twice", "name each once")
        return tuple(dict.fromkeys(value))

    def choice(self, table: Mapping[str, Any], path: Path, key: str, known: tuple[str, ...]) -> str:
        """One of the known words."""
        value = self.text(table, path, key)
        if value and value not in known:
            self.problem((*path, key), f"{value!r} is not known", f"one of {', '.join(known)}")
        return value

    def flag(self, table: Mapping[str, Any], path: Path, key: str) -> bool:
        """true or false; false where it is not said."""
        value = table.get(key, False)
        if not isinstance(value, bool):
            self.problem((*path, key), f"{value!r} is neither true nor false", f"write {key} = true")
            return False
        return value

    def whole(self, table: Mapping[str, Any], path: Path, key: str, default: int) -> int:
        """A whole number, at least 1."""
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not isfinite(value) or value < 1:
            self.problem((*path, key), f"{value!r} is not a whole number from 1", f"write {key} = {default}")
            return default
        return value

    def span(self, table: Mapping[str, Any], path: Path, key: str, default: timedelta) -> timedelta:
        """A span of time."""
        value = table.get(key)
        if value is None:
            return default
        try:
            return duration(value if isinstance(value, str) else "")
        except ValueError:
            self.problem(
                (*path, key), f"{value!r} is no span of time of at most a year", f'write {key} = "{said(default)}"'
            )
            return default

    def clock(self, table: Mapping[str, Any], path: Path, key: str, default: str) -> time:
        """A time of the day, "HH:MM" or TOML's local time."""
        value = table.get(key, default)
        if isinstance(value, time) and value.tzinfo is None:
            return value
        try:
            return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007 - a time of the day, its zone stands beside it
        except (TypeError, ValueError):
            self.problem((*path, key), f"{value!r} is no time of the day", f'write {key} = "{default}"')
            return time.fromisoformat(default)

    def day(self, table: Mapping[str, Any], path: Path, key: str) -> date:
        """A date, TOML's or as text."""
        value = table.get(key)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except (TypeError, ValueError):
            self.problem((*path, key), f"{value!r} is no date", f"write {key} = 2026-01-05")
            return date(2000, 1, 1)

    def zone(self, table: Mapping[str, Any], path: Path) -> str:
        """A name of the IANA data base of time zones."""
        value = self.text(table, path, "zone", "UTC")
        try:
            ZoneInfo(value)
        except (OSError, ValueError, LookupError):
            self.problem(
                (*path, "zone"), f"{value!r} is no time zone known here", 'write such as zone = "Europe/Berlin"'
            )
            return "UTC"
        return value
