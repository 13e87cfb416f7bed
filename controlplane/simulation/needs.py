"""The true needs of the bank's customers: what they came for, how they put it, and what would really help them.

The needs are data (`need_texts/*.toml`), written for the simulation and apart from the assistant's training phrases; nothing
may be trained or tuned on them, or the simulated customers would flatter what they measure (a test looks for near copies).
Whether a need was met is decided by what an answer says or what was really done, never by who answered.

Keys of a need:
    intent    what a person who knows the need would label it
    weight    how common it is, relative to the others
    facts     an answer about the subject that carries one of these strings (case ignored) gives customers what they came for
    workflow  ... or this workflow, completed
    person    ... or only a person: everything else misses the need
    route     ... and the person must come at once, whoever answers
    subject   words without which an answer is plainly about something else
    choices   words customers look for in a list of choices; earlier ones count more
    details   what they tell when asked for a detail, in order
    openings  how they put it at first; {amount} and the like are filled in
    indirect  how some put it who tell their story instead of their wish
    plainer   how they put it when they must ask again
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from controlplane.assistant.model import SafetyRoute

INDIRECT_SHARE = 0.2
_REQUIRED = ("intent", "subject", "choices", "openings", "plainer")
_KEYS = frozenset({*_REQUIRED, "weight", "workflow", "facts", "person", "route", "details", "indirect"})


class NeedError(ValueError):
    """A need is not written as the rules say; the text names the file, the need and the key."""


@dataclass(frozen=True, slots=True)
class Need:
    """One true need; matching strings are lower case."""

    name: str
    intent: str
    weight: float
    facts: tuple[str, ...]
    workflow: str | None
    person: bool
    route: SafetyRoute | None
    subject: tuple[str, ...]
    choices: tuple[str, ...]
    details: tuple[str, ...]
    openings: tuple[str, ...]
    indirect: tuple[str, ...]
    plainer: tuple[str, ...]

    @property
    def phrases(self) -> tuple[str, ...]:
        """Every way of putting it, placeholders unfilled."""
        return (*self.openings, *self.indirect, *self.plainer)

    def opening(self, rng: random.Random) -> str:
        """How one customer puts it at first."""
        indirect = rng.random() < INDIRECT_SHARE and self.indirect
        return rng.choice(self.indirect if indirect else self.openings)

    def answered_by(self, text: str) -> bool:
        """Whether this text is about the subject and carries one of the facts the customer came for."""
        lowered = text.casefold()
        return self.touched_by(text) and any(_carries(lowered, fact) for fact in self.facts)

    def touched_by(self, text: str) -> bool:
        """Whether this text is about the need's subject at all, right or wrong."""
        lowered = text.casefold()
        return any(word in lowered for word in self.subject)


@cache
def all_needs() -> tuple[Need, ...]:
    """The needs that ship, in the order of their files and within them."""
    folder = resources.files(__package__).joinpath("need_texts")
    pages = sorted((page for page in folder.iterdir() if page.name.endswith(".toml")), key=lambda page: page.name)
    return tuple(need for page in pages for need in parse(page.read_text(encoding="utf-8"), page.name))


def parse(document: str, name: str) -> tuple[Need, ...]:
    """The needs of one TOML document called `name`. Raises `NeedError`."""
    return tuple(_need(f"{name} [{key}]", key, table) for key, table in tomllib.loads(document).items())


def _need(place: str, name: str, table: Mapping[str, object]) -> Need:
    unknown = sorted(set(table) - _KEYS)
    if unknown:
        raise NeedError(f"{place}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(_KEYS))}")
    missing = [key for key in _REQUIRED if not table.get(key)]
    if missing:
        raise NeedError(f"{place}: {', '.join(missing)} must be given")
    if not any(key in table for key in ("facts", "workflow", "person")):
        raise NeedError(f"{place}: this need can never be met; give facts, a workflow or person = true")
    return Need(
        name=name,
        intent=str(table["intent"]),
        weight=float(str(table.get("weight", 1))),
        facts=_lowered(_texts(place, table, "facts")),
        workflow=str(table["workflow"]) if "workflow" in table else None,
        person=bool(table.get("person", False)),
        route=SafetyRoute(str(table["route"])) if "route" in table else None,
        subject=_lowered(_texts(place, table, "subject")),
        choices=_lowered(_texts(place, table, "choices")),
        details=_texts(place, table, "details"),
        openings=_texts(place, table, "openings"),
        indirect=_texts(place, table, "indirect"),
        plainer=_texts(place, table, "plainer"),
    )


def _texts(place: str, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise NeedError(f"{place}: {key} must be a list of strings, found {type(value).__name__}")
    return tuple(str(item) for item in value)


def _lowered(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text.casefold() for text in texts)


def _carries(lowered: str, fact: str) -> bool:
    """Whether the fact stands in the text as a whole: £4 is not in £45."""
    start = lowered.find(fact)
    while start >= 0:
        before, after = lowered[max(0, start - 1) : start], lowered[start + len(fact) : start + len(fact) + 1]
        if not (before.isalnum() or after.isalnum()):
            return True
        start = lowered.find(fact, start + 1)
    return False
