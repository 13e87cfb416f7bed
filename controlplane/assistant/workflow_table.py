"""The workflows the assistant knows, read from `workflows/*.toml`: slots, what is asked, what is done at the bank, how it is undone.

A file holds one workflow; its name is the file's. The machine that runs them is in `controlplane.assistant.workflow`. Keys:
    title, intent   what it is called in documents, and the intent that may start it
    cue             a regular expression that a message must match besides (case ignored); none = every message of the intent
    after_route     it never starts by itself: it takes details after a person was called by this safety route
    look_up         what is read from the bank before the confirmation
    confirm, done   sentences over the slots; `done` may use {reference}. Steps need a confirmation
    [[slots]]       name, reader, question; private (never logged); ask = false (only taken if the message has it);
                    skip (what stands there when the customer does not know)
    [[steps]]       name, operation, undo

A mistake is an error that names file, line and remedy.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import Any, NoReturn

from controlplane.assistant.model import SafetyRoute
from controlplane.assistant.slot_reading import READERS, Reader, read_address, read_month
from controlplane.assistant.workflow_operations import LOOK_UPS, OPERATIONS, LookUp, Operation, Slots
from controlplane.core.toml_lines import Path as KeyPath
from controlplane.core.toml_lines import line_index, line_of

__all__ = [
    "WORKFLOWS",
    "Slot",
    "Slots",
    "Step",
    "Workflow",
    "WorkflowError",
    "parse_workflow",
    "read_address",
    "read_month",
]

_TOP = frozenset({"title", "intent", "cue", "after_route", "look_up", "confirm", "done", "slots", "steps"})
_SLOT = frozenset({"name", "reader", "question", "private", "ask", "skip"})
_STEP = frozenset({"name", "operation", "undo"})


class WorkflowError(ValueError):
    """A workflow is not written as the rules say; the text names file and line."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One value a workflow needs: how to ask for it, how to read it, and what replaces it if the customer cannot say (None: nothing)."""

    name: str
    question: str
    reader: Reader
    private: bool = False
    ask: bool = True
    skip: str | None = None

    def read(self, text: str, now: datetime) -> str | None:
        """The value if any message holds it."""
        return self.reader.find(text, now)

    def answer(self, text: str, now: datetime) -> str | None:
        """The value from the reply to our question."""
        return self.reader.answer(text, now)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation at the bank (bank, user_id, slots, key) -> reference. `undo` restores what `do` changed."""

    name: str
    do: Operation
    undo: Operation | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow. Texts are templates over slots and looked-up values; without steps it only reads, and needs no confirmation."""

    name: str
    title: str
    intent: str
    slots: tuple[Slot, ...]
    confirm: str
    steps: tuple[Step, ...]
    done: str
    look_up: tuple[LookUp, ...] = ()
    cue: re.Pattern[str] | None = None
    after_route: SafetyRoute | None = None

    @property
    def read_only(self) -> bool:
        """Whether it changes nothing at the bank."""
        return not self.steps


def parse_workflow(name: str, text: str, place: str) -> Workflow:
    """The workflow of one TOML document; `place` is what errors call the file. Raises `WorkflowError`."""
    return _Document(name, text, place).workflow()


@cache
def digest() -> str:
    """sha256 of the workflow files that ship: what a release may do at the bank is part of what identifies it."""
    folder = files("controlplane.assistant").joinpath("workflows")
    pages = sorted((page for page in folder.iterdir() if page.name.endswith(".toml")), key=lambda page: page.name)
    found = [(page.name, page.read_text(encoding="utf-8")) for page in pages]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


@cache
def load_workflows() -> tuple[Workflow, ...]:
    """The workflows that ship, by name."""
    folder = files("controlplane.assistant").joinpath("workflows")
    pages = sorted((page for page in folder.iterdir() if page.name.endswith(".toml")), key=lambda page: page.name)
    found = tuple(
        parse_workflow(page.name.removesuffix(".toml"), page.read_text(encoding="utf-8"), f"workflows/{page.name}")
        for page in pages
    )
    intents = [workflow.intent for workflow in found]
    for workflow in found:
        if intents.count(workflow.intent) > 1:
            raise WorkflowError(
                f"workflows/{workflow.name}.toml: intent {workflow.intent} starts two workflows, keep one"
            )
    return found


def table(workflows: Iterable[Workflow] | None = None) -> str:
    """The workflows as a Markdown table: what starts them, what they ask, confirm and do."""
    rows = ["| workflow | intent | asks for | confirmed | steps |", "| --- | --- | --- | --- | --- |"]
    for workflow in load_workflows() if workflows is None else workflows:
        asked = ", ".join(f"{slot.name}{' (private)' if slot.private else ''}" for slot in workflow.slots if slot.ask)
        steps = ", ".join(f"{step.name}{' (undo)' if step.undo else ''}" for step in workflow.steps)
        called = f"; after the hand-over for {workflow.after_route}" if workflow.after_route else ""
        confirmed = "only reads" if workflow.read_only else "yes"
        rows.append(f"| {workflow.title} | {workflow.intent}{called} | {asked or '-'} | {confirmed} | {steps or '-'} |")
    return "\n".join(rows)


class _Document:
    """One TOML document on its way to a workflow."""

    def __init__(self, name: str, text: str, place: str) -> None:
        self._name, self._place, self._lines = name, place, line_index(text)
        try:
            self._table: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise WorkflowError(f"{place}: not TOML: {error}") from None

    def workflow(self) -> Workflow:
        self._keys((), self._table, _TOP)
        look_up = self._table.get("look_up", [])
        if not isinstance(look_up, list):
            self._fail(("look_up",), "look_up must be a list of names")
        for name in look_up:
            self._one_of(("look_up",), "look-up", name, LOOK_UPS)
        slots = tuple(self._slot(number, table) for number, table in enumerate(self._tables("slots")))
        given = {slot.name for slot in slots if slot.ask}.union(*(LOOK_UPS[name][1] for name in look_up))
        steps = tuple(self._step(number, table, given) for number, table in enumerate(self._tables("steps")))
        confirm = self._text((), self._table, "confirm") if steps else ""
        if not steps and "confirm" in self._table:
            self._fail(("confirm",), "a workflow without steps changes nothing: it needs no confirm")
        done = self._text((), self._table, "done")
        self._fill(("confirm",), confirm, given)
        self._fill(("done",), done, given | ({"reference"} if steps else set()))
        return Workflow(
            name=self._name,
            title=self._text((), self._table, "title"),
            intent=self._text((), self._table, "intent"),
            slots=slots,
            confirm=confirm,
            steps=steps,
            done=done,
            look_up=tuple(LOOK_UPS[name][0] for name in look_up),
            cue=self._cue(),
            after_route=self._route(),
        )

    def _slot(self, number: int, table: Mapping[str, Any]) -> Slot:
        path: KeyPath = ("slots", number)
        self._keys(path, table, _SLOT)
        reader = self._text(path, table, "reader")
        self._one_of((*path, "reader"), "reader", reader, READERS)
        ask = self._flag(path, table, "ask", True)
        return Slot(
            name=self._text(path, table, "name"),
            question=self._text(path, table, "question") if ask else "",
            reader=READERS[reader],
            private=self._flag(path, table, "private", False),
            ask=ask,
            skip=self._text(path, table, "skip") if "skip" in table else None,
        )

    def _step(self, number: int, table: Mapping[str, Any], given: set[str]) -> Step:
        path: KeyPath = ("steps", number)
        self._keys(path, table, _STEP)
        named = {
            key: self._text(path, table, key) for key in ("operation", "undo") if key in table or key == "operation"
        }
        for key, operation in named.items():
            self._one_of((*path, key), "operation", operation, OPERATIONS)
            if lacking := sorted(OPERATIONS[operation].needs - given):
                self._fail(
                    (*path, key), f"{operation} needs {', '.join(lacking)}: add a slot or a look_up that gives it"
                )
        undo = OPERATIONS[named["undo"]].run if "undo" in named else None
        return Step(self._text(path, table, "name"), OPERATIONS[named["operation"]].run, undo)

    def _cue(self) -> re.Pattern[str] | None:
        if "cue" not in self._table:
            return None
        try:
            return re.compile(self._text((), self._table, "cue"), re.IGNORECASE)
        except re.error as error:
            self._fail(("cue",), f"cue is not a regular expression: {error}")

    def _route(self) -> SafetyRoute | None:
        if "after_route" not in self._table:
            return None
        route = self._text((), self._table, "after_route")
        self._one_of(("after_route",), "safety route", route, [known.value for known in SafetyRoute])
        return SafetyRoute(route)

    def _fill(self, path: KeyPath, template: str, given: set[str]) -> None:
        try:
            names = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
        except ValueError as error:
            self._fail(path, f"{path[-1]} has a stray brace: {error}")
        if unknown := sorted(set(names) - given):
            self._fail(path, f"{{{unknown[0]}}} is filled by nothing; there is {', '.join(sorted(given)) or 'nothing'}")

    def _tables(self, key: str) -> list[Mapping[str, Any]]:
        tables = self._table.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            self._fail((key,), f"{key} must be written as [[{key}]] tables")
        names = [str(table.get("name", "")) for table in tables]
        for number, name in enumerate(names):
            if name in names[:number]:
                self._fail((key, number), f"{key} has two named {name!r}, rename one")
        return tables

    def _keys(self, path: KeyPath, table: Mapping[str, Any], known: frozenset[str]) -> None:
        for key in table:
            self._one_of((*path, key), "key", key, known)

    def _text(self, path: KeyPath, table: Mapping[str, Any], key: str) -> str:
        value = table.get(key)
        if not isinstance(value, str) or not value.strip():
            self._fail((*path, key), f"{key} must be given as a text that is not empty")
        return value

    def _flag(self, path: KeyPath, table: Mapping[str, Any], key: str, default: bool) -> bool:
        value = table.get(key, default)
        if not isinstance(value, bool):
            self._fail((*path, key), f"{key} must be true or false")
        return value

    def _one_of(self, path: KeyPath, what: str, name: object, known: Iterable[str]) -> None:
        names = sorted(known)
        if name not in names:
            self._fail(path, f"unknown {what} {name!r}; known are {', '.join(names)}")

    def _fail(self, path: KeyPath, text: str) -> NoReturn:
        raise WorkflowError(f"{self._place}:{line_of(self._lines, path)}: {text}")


WORKFLOWS: tuple[Workflow, ...] = load_workflows()
