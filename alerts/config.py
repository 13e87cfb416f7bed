"""Who is told what: receivers, routes, inhibitions, waits, people and the on-call ladder, as values read from one TOML file.

The file that ships is `alerts/alerting.toml`; a workspace has its own as `alerting.toml`, and CONTROLPLANE_ALERTING names another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from alerts.deliver import Rules
from alerts.people import Person


@dataclass(frozen=True, slots=True)
class Tier:
    """One step of the ladder: who is told when nobody has acknowledged for `after`. Named receivers, and people who are mentioned."""

    name: str
    receivers: tuple[str, ...]
    people: tuple[str, ...] = ()
    after: timedelta = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Alerting:
    """A validated alerting file; `hash` is the sha256 of its text ("" for the built-in defaults)."""

    rules: Rules
    people: tuple[Person, ...] = ()
    ladder: tuple[Tier, ...] = ()
    hash: str = ""
    source: str = "built in"
