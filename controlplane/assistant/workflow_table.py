"""The workflows the assistant knows: their slots, what they ask, what they do at the bank, and how to undo it.

A workflow is a row of `WORKFLOWS`; the machine that runs them is in `controlplane.assistant.workflow`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.assistant.protocols import Bank
from controlplane.assistant.text import normalise

Slots = Mapping[str, str]
Operation = Callable[[Bank, str, Slots, str], str]

_MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH_NAME = re.compile(rf"\b({'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\b\.?(?: (\d{{4}}))?")
_ISO_MONTH = re.compile(r"\b(\d{4})-(\d{2})\b")
_STREET = r"(?:street|road|lane|avenue|row|close|drive|way|court|place|square|gardens)"
_ADDRESS = re.compile(
    rf"\b(\d{{1,4}}[a-z]? [a-z' .-]{{3,40}}(?:, ?[a-z0-9' .-]{{2,40}}){{1,3}}"
    rf"|\d{{1,4}}[a-z]? [a-z' ]+ {_STREET}(?: [a-z]+){{0,2}}(?: [a-z]{{1,2}}\d{{1,2}} ?\d[a-z]{{2}})?)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Slot:
    """One value a workflow needs: how to ask for it, and how to read it from a message (None if it is not there)."""

    name: str
    question: str
    read: Callable[[str, datetime], str | None]
    private: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One operation at the bank (bank, user_id, slots, key) -> reference. `undo` restores what `do` changed."""

    name: str
    do: Operation
    undo: Operation | None = None


@dataclass(frozen=True, slots=True)
class Workflow:
    """One workflow. Texts are templates over the slots; `done` may use {reference}.

    `prepare` reads from the bank, before anything is done, what an undo will need.
    """

    name: str
    intent: str
    slots: tuple[Slot, ...]
    confirm: str
    steps: tuple[Step, ...]
    done: str
    prepare: Callable[[Bank, str], dict[str, str]] = lambda bank, user_id: {}


def read_month(text: str, now: datetime) -> str | None:
    """A month as YYYY-MM: named with or without a year, "last month", "this month" or 2023-04; a past one is meant."""
    plain = normalise(text)
    if iso := _ISO_MONTH.search(plain):
        return f"{iso[1]}-{iso[2]}" if 1 <= int(iso[2]) <= 12 else None
    if "last month" in plain or "previous month" in plain:
        return (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    if "this month" in plain:
        return now.strftime("%Y-%m")
    if named := _MONTH_NAME.search(plain):
        month = next(i for i, name in enumerate(_MONTHS, 1) if name.startswith(named[1][:3]))
        year = int(named[2]) if named[2] else now.year - (month >= now.month)
        return f"{year}-{month:02d}"
    return None


def read_address(text: str, now: datetime) -> str | None:
    """A postal address: a house number, a street, and a town or postcode."""
    found = _ADDRESS.search(" ".join(text.split()))
    return found.group(1).strip(" .,") if found else None


def _block_card(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.block_card(user_id, key).reference


def _order_card(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.order_card(user_id, key).reference


def _order_statement(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.order_statement(user_id, slots["month"], key).reference


def _set_address(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.set_address(user_id, slots["address"], key).reference


def _restore_address(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.set_address(user_id, slots["old_address"], key).reference


def _send_letters(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.send_address_letters(user_id, key).reference


def _old_address(bank: Bank, user_id: str) -> dict[str, str]:
    return {"old_address": bank.address_of(user_id)}


WORKFLOWS: tuple[Workflow, ...] = (
    Workflow(
        name="card_block_and_replace",
        intent="card_lost_or_stolen",
        slots=(),
        confirm="I can block your card now and send a free replacement to your address. The block cannot be undone. "
        "Shall I do that? (yes or no)",
        steps=(Step("block", _block_card), Step("replace", _order_card)),
        done="Done: your card is blocked, and a replacement card arrives within 5 working days. Reference {reference}.",
    ),
    Workflow(
        name="statement_copy",
        intent="statement_copy",
        slots=(Slot("month", "Which month do you need the statement for?", read_month),),
        confirm="I can put the statement for {month} into your inbox as PDF. Shall I do that? (yes or no)",
        steps=(Step("order", _order_statement),),
        done="Done: the statement for {month} is in your inbox. Reference {reference}.",
    ),
    Workflow(
        name="address_change",
        intent="address_change",
        slots=(Slot("address", "What is your new address? Please give number, street and town.", read_address, True),),
        confirm="I can change your address to {address}. Shall I do that? (yes or no)",
        steps=(Step("set", _set_address, _restore_address), Step("letters", _send_letters)),
        done="Done: your new address is active within 1 working day. Reference {reference}.",
        prepare=_old_address,
    ),
)
