"""The small bank: idempotent, transactional, and shared by threads."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.assistant import SqliteBank
from controlplane.assistant.protocols import BankError

TODAY = date(2026, 3, 2)


def test_the_same_key_does_it_once(bank: SqliteBank) -> None:
    first = bank.order_statement("u1", "2026-01", "k1")
    assert bank.order_statement("u1", "2026-01", "k1") == first
    assert bank.order_statement("u1", "2026-01", "k2") != first
    assert bank.operations("u1") == [("order_statement", "2026-01"), ("order_statement", "2026-01")]


def test_a_key_belongs_to_one_operation_of_one_customer(bank: SqliteBank) -> None:
    bank.block_card("u1", "k")
    for misuse in (lambda: bank.order_card("u1", "k"), lambda: bank.block_card("u2", "k")):
        with pytest.raises(BankError, match="belongs to another operation") as caught:
            misuse()
        assert caught.value.error_type == "key_reused"


def test_a_working_card_is_not_replaced_and_a_blocked_one_only_once(bank: SqliteBank) -> None:
    with pytest.raises(BankError, match="block it before"):
        bank.order_card("u1", "k0")
    assert bank.operations("u1") == []
    bank.block_card("u1", "k1")
    bank.order_card("u1", "k2")
    with pytest.raises(BankError):
        bank.order_card("u1", "k3")


def test_an_address_is_replaced(bank: SqliteBank) -> None:
    before = bank.address_of("u1")
    bank.set_address("u1", "1 New Road, Leeds", "k")
    assert bank.address_of("u1") == "1 New Road, Leeds" != before
    assert bank.address_of("u2") == SqliteBank().address_of("u2")


def test_many_threads_with_one_key_are_one_operation(bank: SqliteBank) -> None:
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda _: bank.set_address("u1", "1 New Road, Leeds", "k"), range(40)))
    assert len(set(receipts)) == 1
    assert len(bank.operations("u1")) == 1


def test_a_file_bank_remembers(tmp_path: Path) -> None:
    path = str(tmp_path / "bank.sqlite")
    first = SqliteBank(path)
    receipt = first.block_card("u1", "k")
    first.close()
    second = SqliteBank(path)
    assert second.block_card("u1", "k") == receipt
    second.close()


FULL: dict[str, list[dict[str, object]]] = {
    "accounts": [{"user_id": "u1", "address": "1 New Road, Leeds"}, {"user_id": "u2", "address": "2 Old Road, York"}],
    "cards": [
        {"user_id": "u1", "last_four": "1234", "status": "blocked", "sent": 1},
        {"user_id": "u2", "last_four": "9876", "status": "active", "sent": 2},
    ],
    "refunds": [
        {"user_id": "u1", "merchant": "Amazon", "amount": "£45.50", "sent_on": "2026-02-27", "status": "pending"}
    ],
    "cases": [{"user_id": "u2", "kind": "dispute", "detail": "£20 to Tesco", "status": "closed"}],
    "statements": [{"user_id": "u1", "detail": "2026-01"}],
    "letters": [],
    "pin_reminders": [{"user_id": "u2", "detail": "PIN reminder"}],
}


def test_a_seeded_state_is_the_snapshot(bank: SqliteBank) -> None:
    bank.seed(FULL)
    assert bank.snapshot() == FULL
    json.dumps(bank.snapshot())
    other = SqliteBank()
    other.seed({name: rows[::-1] for name, rows in reversed(bank.snapshot().items())})
    assert other.snapshot() == bank.snapshot()
    other.close()


def test_the_goal_state_of_a_task_can_be_stated(bank: SqliteBank) -> None:
    """Two ways to the same end are the same state; one thing more is another."""
    bank.seed({"cards": FULL["cards"][1:]})
    bank.block_card("u2", "any-key", "9876")
    bank.order_card("u2", "another")
    assert bank.snapshot()["cards"] == [{"user_id": "u2", "last_four": "9876", "status": "sent", "sent": 3}]
    goal = SqliteBank()
    goal.seed(bank.snapshot())
    assert goal.snapshot() == bank.snapshot()
    bank.order_statement("u2", "2026-01", "k")
    assert goal.snapshot() != bank.snapshot()
    goal.close()


def test_reading_changes_nothing(bank: SqliteBank) -> None:
    empty = bank.snapshot()
    bank.address_of("u1")
    bank.refunds_of("u1", TODAY)
    bank.operations("u1")
    assert bank.snapshot() == empty


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"planets": [{"user_id": "u1"}]}, "no table 'planets' in the bank; there is accounts, cards"),
        ({"cards": [{"user_id": "u1"}]}, r"cards\[0\] must have exactly the columns user_id, last_four"),
        (
            {"cards": [{"user_id": "u1", "last_four": "1", "status": "melted", "sent": 1}]},
            r"cards\[0\] is refused by the bank",
        ),
    ],
)
def test_a_wrong_seed_is_named_and_writes_nothing(bank: SqliteBank, state: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bank.seed({"accounts": FULL["accounts"], **state})
    assert bank.snapshot()["accounts"] == []


def test_made_up_refunds_are_stable_and_ended_by_a_seed(bank: SqliteBank) -> None:
    customers = [f"u{i}" for i in range(40)]
    having = [user for user in customers if bank.refunds_of(user, TODAY)]
    assert 10 <= len(having) <= 30
    refund = bank.refunds_of(having[0], TODAY)[0]
    assert SqliteBank().refunds_of(having[0], TODAY) == (refund,)
    assert refund.sent_on <= TODAY
    assert bank.refunds_of(having[0], TODAY + timedelta(days=14))[0].sent_on == refund.sent_on + timedelta(days=14)
    bank.seed({"accounts": [{"user_id": having[0], "address": "1 New Road, Leeds"}]})
    assert bank.refunds_of(having[0], TODAY) == ()


def test_a_refund_of_tomorrow_is_not_seen_today(bank: SqliteBank) -> None:
    bank.seed({"refunds": FULL["refunds"]})
    assert bank.refunds_of("u1", date(2026, 2, 26)) == ()
    assert [refund.merchant for refund in bank.refunds_of("u1", date(2026, 2, 27))] == ["Amazon"]


def test_a_key_that_was_taken_back_is_refused(bank: SqliteBank) -> None:
    old = bank.address_of("u1")
    bank.set_address("u1", "1 New Road, Leeds", "k")
    bank.set_address("u1", old, "k:undo")
    with pytest.raises(BankError, match="was taken back") as caught:
        bank.set_address("u1", "1 New Road, Leeds", "k")
    assert caught.value.error_type == "undone"
    assert bank.address_of("u1") == old


def test_a_database_that_does_not_answer_is_a_bank_error(tmp_path: Path) -> None:
    path = str(tmp_path / "bank.sqlite")
    blocked, other = SqliteBank(path), sqlite3.connect(path, isolation_level=None)
    blocked._database.execute("PRAGMA busy_timeout = 10")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(BankError) as caught:
        blocked.block_card("u1", "k")
    assert caught.value.error_type == "bank_unavailable"
    other.execute("ROLLBACK")
    blocked.block_card("u1", "k")
    other.close()
    blocked.close()
