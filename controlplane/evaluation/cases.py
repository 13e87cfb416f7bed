"""The rows of an evaluation data set: what a customer says, and what should come of it.

A row is a JSON object:

    id                unique in its data set; made from the content where the source has none
    text | turns      the first message, or the customer's messages in order (later ones are given when the assistant asks for a detail)
    expected_intent   what a person who knows would label it
    mandatory_route   must reach a person at once, and why (fraud, legal, ...); "none" says that it must not be forced on one
    facts             what the answers must say: each item is a text, or a list of texts of which one is enough
    goal              the state in which the bank must end: {"operations": [[kind, detail or null], ...], "address": "..."}; no
                      operations means that nothing may have been done
    out_of_scope      none of the bank's business: must not be answered
    slices            {"topic": ..., "channel": ..., "segment": ..., "region": ..., "source": ...}
    origin            where the row comes from: authored, file, incident:ID, conversation:ID
    note              who labelled it, or anything a reader should know

Rules
- A row says only what is known; a metric counts the rows that ask for it. Unknown keys are refused, so that a misspelt expectation is not
  silently no expectation.
- Personal data is masked when a row is made, before anything of it is stored; masking twice changes nothing more. A fact that masking would
  change is refused instead: answers are compared with `[phone]` and its like, and a fact must say what it is compared with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.core.audit import canonical, sha256_text
from controlplane.core.masking import mask

KEYS = (
    *("id", "text", "turns", "expected_intent", "mandatory_route", "facts", "goal"),
    *("out_of_scope", "slices", "origin", "note"),
)
SLICE_KEYS = ("topic", "channel", "segment", "region", "source")
NO_ROUTE = "none"
MAX_TEXT = 8_000


class CaseError(ValueError):
    """A row cannot be used; the message names the place, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where the bank must end: the customer's operations in order (detail None = any), and the postal address where it is given."""

    operations: tuple[tuple[str, str | None], ...] = ()
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One row. `facts` is all-of any-of: every item must be said, one text of an item is enough."""

    id: str
    turns: tuple[str, ...]
    expected_intent: str | None = None
    mandatory_route: str | None = None
    facts: tuple[tuple[str, ...], ...] = ()
    goal: Goal | None = None
    out_of_scope: bool = False
    slices: Mapping[str, str] = field(default_factory=dict)
    origin: str = "authored"
    note: str = ""

    @property
    def must_reach_person(self) -> bool:
        """Whether a mandatory category is expected."""
        return self.mandatory_route is not None and self.mandatory_route != NO_ROUTE

    def slice(self, name: str) -> str | None:
        """The row's value of a slice; `origin` is cut at the colon, so that all incidents are one slice."""
        return self.origin.partition(":")[0] if name == "origin" else self.slices.get(name)

    def row(self) -> dict[str, Any]:
        """The canonical row: only what is said, in one form; `case_of(row)` gives the same case again."""
        value: dict[str, Any] = {"id": self.id, "turns": list(self.turns)}
        if self.expected_intent is not None:
            value["expected_intent"] = self.expected_intent
        if self.mandatory_route is not None:
            value["mandatory_route"] = self.mandatory_route
        if self.facts:
            value["facts"] = [list(item) for item in self.facts]
        if self.goal is not None:
            value["goal"] = {"operations": [list(item) for item in self.goal.operations]}
            if self.goal.address is not None:
                value["goal"]["address"] = self.goal.address
        if self.out_of_scope:
            value["out_of_scope"] = True
        if self.slices:
            value["slices"] = dict(self.slices)
        if self.note:
            value["note"] = self.note
        return value | {"origin": self.origin}


def case_of(row: Mapping[str, Any], place: str = "row", origin: str = "authored") -> Case:
    """The case of a row. `origin` counts where the row has none. Raises `CaseError` naming `place` and the key."""
    unknown = sorted(set(row) - set(KEYS))
    if unknown:
        raise CaseError(f"{place}: unknown key {', '.join(unknown)}; known are {', '.join(KEYS)}")
    _need_whole_text(row, place)
    draft = Case(
        id="",
        turns=_turns(row, place),
        expected_intent=_text(row, "expected_intent", place),
        mandatory_route=_text(row, "mandatory_route", place),
        facts=_facts(row.get("facts"), place),
        goal=_goal(row.get("goal"), place),
        out_of_scope=_flag(row.get("out_of_scope", False), place),
        slices=_slices(row.get("slices"), place),
        origin=_text(row, "origin", place) or origin,
        note=mask(_text(row, "note", place) or ""),
    )
    given = row.get("id")
    if given is not None and (not isinstance(given, str | int) or isinstance(given, bool) or str(given) == ""):
        raise CaseError(f"{place}: id {given!r} is no text; leave it out to have one made from the content")
    return _with_id(draft, content_id(draft) if given is None else str(given))


def content_id(case: Case) -> str:
    """An id from what a row says, the same wherever and in whatever order it stands; origin and note do not count."""
    said = {key: value for key, value in case.row().items() if key not in ("id", "origin", "note")}
    return f"c-{sha256_text(canonical(said))[:16]}"


def distinct(cases: Iterable[Case], place: str) -> tuple[Case, ...]:
    """The cases sorted by id, the same row once. Raises `CaseError` where one id stands for two different rows."""
    found: dict[str, Case] = {}
    for case in cases:
        known = found.setdefault(case.id, case)
        if known != case and {**known.row(), "origin": "", "note": ""} != {**case.row(), "origin": "", "note": ""}:
            raise CaseError(f"{place}: id {case.id!r} stands for two different rows: give each row an id of its own")
    return tuple(found[key] for key in sorted(found))


def _with_id(case: Case, id_: str) -> Case:
    values = {name: getattr(case, name) for name in Case.__dataclass_fields__}
    return Case(**(values | {"id": id_}))


def _turns(row: Mapping[str, Any], place: str) -> tuple[str, ...]:
    if ("text" in row) == ("turns" in row):
        raise CaseError(f"{place}: give either text or turns")
    raw = [row["text"]] if "text" in row else row["turns"]
    if not isinstance(raw, list) or not raw or not all(isinstance(item, str) and item.strip() for item in raw):
        raise CaseError(f"{place}: {'text' if 'text' in row else 'turns'} must be text that is not empty")
    if any(len(item) > MAX_TEXT for item in raw):
        raise CaseError(f"{place}: a message has more than {MAX_TEXT:,} characters: cut it")
    return tuple(mask(item) for item in raw)


def _need_whole_text(row: Mapping[str, Any], place: str) -> None:
    try:
        json.dumps(dict(row), ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise CaseError(
            f"{place}: a text has half a character (a lone surrogate): write the row as UTF-8 again"
        ) from None


def _text(row: Mapping[str, Any], key: str, place: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise CaseError(f"{place}: {key} {value!r} must be a text that is not empty")
    return value


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise CaseError(f"{place}: out_of_scope {value!r} must be true or false")
    return value


def _facts(value: object, place: str) -> tuple[tuple[str, ...], ...]:
    if value is None:
        return ()
    items = [item if isinstance(item, list) else [item] for item in value] if isinstance(value, list) else [[None]]
    if not all(item and all(isinstance(text, str) and text for text in item) for item in items):
        raise CaseError(
            f'{place}: facts must be texts or lists of alternatives, such as ["£12", ["2 days", "two days"]]'
        )
    facts = tuple(tuple(str(text) for text in item) for item in items)
    for said in (text for item in facts for text in item):
        shown = mask(said)
        if shown != said:
            raise CaseError(
                f"{place}: facts hold {shown}, which is masked before it is stored: write {shown!r}, as the logs show it"
            )
    return facts


def _goal(value: object, place: str) -> Goal | None:
    if value is None:
        return None
    form = f'{place}: goal must look like {{"operations": [["block_card", null]], "address": "..."}}'
    if not isinstance(value, Mapping) or set(value) - {"operations", "address"}:
        raise CaseError(form)
    operations, address = value.get("operations", []), value.get("address")
    if not isinstance(operations, list) or not (address is None or isinstance(address, str)):
        raise CaseError(form)
    pairs: list[tuple[str, str | None]] = []
    for item in operations:
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[0], str):
            raise CaseError(form)
        if not (item[1] is None or isinstance(item[1], str)):
            raise CaseError(form)
        pairs.append((item[0], None if item[1] is None else mask(item[1])))
    return Goal(tuple(pairs), None if address is None else mask(address))


def _slices(value: object, place: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or set(value) - set(SLICE_KEYS):
        raise CaseError(f"{place}: slices must name texts under {', '.join(SLICE_KEYS)}")
    if not all(isinstance(item, str) and item for item in value.values()):
        raise CaseError(f"{place}: every slice value must be a text that is not empty")
    return {key: mask(str(value[key])) for key in SLICE_KEYS if key in value}
