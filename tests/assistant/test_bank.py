"""The small bank: idempotent, transactional, and shared by threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from controlplane.assistant import SqliteBank
from controlplane.assistant.protocols import BankError


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
