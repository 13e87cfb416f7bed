"""What a workflow's definition may name: operations at the bank, their undoing, and what is read from the bank beforehand.

Rules
- An operation is (bank, user_id, slots, key) -> reference; the same key never does it twice. It raises `BankError`.
- A look-up is (bank, user_id, day) -> values and changes nothing. It runs before the confirmation, so that what an undo needs is
  remembered with the run even if the process dies between two steps.
- Undoing puts back what was there only where nobody has changed it since; otherwise a person decides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from controlplane.assistant.protocols import Bank, BankError, Refund

Slots = Mapping[str, str]
Operation = Callable[[Bank, str, Slots, str], str]
LookUp = Callable[[Bank, str, date], dict[str, str]]
MOST_REFUNDS = 3
NO_REFUND = "I see no refund on your account. If one is missing after 10 working days, ask the shop for the refund reference and send it to us."
_REFUND_STATES = {"sent": "on its way to us", "pending": "pending", "booked": "booked to your account"}


@dataclass(frozen=True, slots=True)
class Known:
    """An operation and the slots it cannot do without."""

    run: Operation
    needs: frozenset[str] = frozenset()


def _block_card(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.block_card(user_id, key, slots.get("last_four", "")).reference


def _order_card(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.order_card(user_id, key).reference


def _order_statement(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.order_statement(user_id, slots["month"], key).reference


def _order_pin_reminder(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.order_pin_reminder(user_id, key).reference


def _set_address(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.set_address(user_id, slots["address"], key).reference


def _restore_address(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    if bank.address_of(user_id) not in (slots["address"], slots["old_address"]):
        raise BankError(
            "changed_meanwhile", f"the address of {user_id} was changed by somebody else: a person must decide"
        )
    return bank.set_address(user_id, slots["old_address"], key).reference


def _send_letters(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    return bank.send_address_letters(user_id, key).reference


def _open_dispute(bank: Bank, user_id: str, slots: Slots, key: str) -> str:
    detail = f"{slots['amount']} to {slots['shop']} on {slots['date']}"
    return bank.open_case(user_id, "dispute", detail, key).reference


def _address(bank: Bank, user_id: str, day: date) -> dict[str, str]:
    return {"old_address": bank.address_of(user_id)}


def _refunds(bank: Bank, user_id: str, day: date) -> dict[str, str]:
    newest = sorted(bank.refunds_of(user_id, day), key=lambda refund: refund.sent_on, reverse=True)[:MOST_REFUNDS]
    told = " ".join(_told(refund) for refund in newest)
    return {"refunds": told or NO_REFUND}


def _told(refund: Refund) -> str:
    state = _REFUND_STATES.get(refund.status, refund.status)
    return f"The refund of {refund.amount} from {refund.merchant}, sent on {refund.sent_on:%-d %B %Y}, is {state}."


OPERATIONS: Mapping[str, Known] = MappingProxyType(
    {
        "block_card": Known(_block_card),
        "order_card": Known(_order_card),
        "order_statement": Known(_order_statement, frozenset({"month"})),
        "order_pin_reminder": Known(_order_pin_reminder),
        "set_address": Known(_set_address, frozenset({"address"})),
        "restore_address": Known(_restore_address, frozenset({"address", "old_address"})),
        "send_address_letters": Known(_send_letters),
        "open_dispute": Known(_open_dispute, frozenset({"shop", "amount", "date"})),
    }
)
LOOK_UPS: Mapping[str, tuple[LookUp, frozenset[str]]] = MappingProxyType(
    {"address": (_address, frozenset({"old_address"})), "refunds": (_refunds, frozenset({"refunds"}))}
)
