"""A small bank in SQLite: what the workflows act on in the demo and in tests.

Rules
- Every operation is one transaction keyed by its idempotency key: asked again with the same key it changes nothing and
  returns the same receipt. The same key for another operation is an error, not a silent success.
- An account comes into being when a customer is first seen, with an address made from the customer's id.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Callable

from controlplane.assistant.protocols import BankError, Receipt

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (
    user_id TEXT PRIMARY KEY, address TEXT NOT NULL, card_status TEXT NOT NULL, cards_sent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS operations (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, user_id TEXT NOT NULL, detail TEXT NOT NULL, reference TEXT NOT NULL);
"""
_STREETS = ("Oak Street", "Mill Lane", "Station Road", "Church Row", "Park Avenue")
_CITIES = ("Leeds LS1 4AB", "York YO1 7HU", "Bath BA2 3DE", "Bristol BS1 5TY")


class SqliteBank:
    """The `Bank` of the demo; `path` is a file or ":memory:". Safe to use from several threads."""

    def __init__(self, path: str = ":memory:") -> None:
        """Opens or creates the bank."""
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def block_card(self, user_id: str, key: str) -> Receipt:
        """Blocks the customer's card for good."""

        def apply() -> str:
            self._update("UPDATE accounts SET card_status = 'blocked' WHERE user_id = ?", (user_id,))
            return "card blocked"

        return self._once("block_card", user_id, key, apply)

    def order_card(self, user_id: str, key: str) -> Receipt:
        """Sends a new card; only a blocked card is replaced, so that nobody ends up with two."""

        def apply() -> str:
            if self._one("SELECT card_status FROM accounts WHERE user_id = ?", (user_id,)) != "blocked":
                raise BankError(
                    "card_active", f"customer {user_id} has a working card: block it before a new one is sent"
                )
            self._update(
                "UPDATE accounts SET card_status = 'sent', cards_sent = cards_sent + 1 WHERE user_id = ?", (user_id,)
            )
            return "card sent"

        return self._once("order_card", user_id, key, apply)

    def order_statement(self, user_id: str, month: str, key: str) -> Receipt:
        """Puts the statement of `month` (YYYY-MM) into the customer's inbox."""
        return self._once("order_statement", user_id, key, lambda: month)

    def address_of(self, user_id: str) -> str:
        """The postal address on file."""
        with self._lock:
            self._ensure_account(user_id)
            return self._one("SELECT address FROM accounts WHERE user_id = ?", (user_id,))

    def set_address(self, user_id: str, address: str, key: str) -> Receipt:
        """Replaces the postal address."""

        def apply() -> str:
            self._update("UPDATE accounts SET address = ? WHERE user_id = ?", (address, user_id))
            return address

        return self._once("set_address", user_id, key, apply)

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        """Posts the notice of an address change to the old and the new address."""
        return self._once("send_address_letters", user_id, key, lambda: "2 letters")

    def operations(self, user_id: str) -> list[tuple[str, str]]:
        """Kind and detail of everything done for a customer, in order."""
        with self._lock:
            rows = self._database.execute(
                "SELECT kind, detail FROM operations WHERE user_id = ? ORDER BY rowid", (user_id,)
            )
            return [(str(kind), str(detail)) for kind, detail in rows]

    def _once(self, kind: str, user_id: str, key: str, apply: Callable[[], str]) -> Receipt:
        with self._lock:
            self._ensure_account(user_id)
            self._database.execute("BEGIN IMMEDIATE")
            try:
                receipt = self._receipt(kind, user_id, key) or self._perform(kind, user_id, key, apply)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            return receipt

    def _receipt(self, kind: str, user_id: str, key: str) -> Receipt | None:
        found = self._database.execute(
            "SELECT kind, user_id, reference, detail FROM operations WHERE key = ?", (key,)
        ).fetchone()
        if found is None:
            return None
        if (found[0], found[1]) != (kind, user_id):
            raise BankError("key_reused", f"idempotency key {key} belongs to another operation: use a new key")
        return Receipt(str(found[2]), str(found[3]))

    def _perform(self, kind: str, user_id: str, key: str, apply: Callable[[], str]) -> Receipt:
        detail = apply()
        reference = "R" + hashlib.sha256(f"{kind}|{key}".encode()).hexdigest()[:8].upper()
        self._update("INSERT INTO operations VALUES (?, ?, ?, ?, ?)", (key, kind, user_id, detail, reference))
        return Receipt(reference, detail)

    def _ensure_account(self, user_id: str) -> None:
        number = int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:4], "big")
        street, city = _STREETS[number % len(_STREETS)], _CITIES[number % len(_CITIES)]
        self._update(
            "INSERT OR IGNORE INTO accounts VALUES (?, ?, 'active', 1)",
            (user_id, f"{number % 90 + 1} {street}, {city}"),
        )

    def _one(self, query: str, parameters: tuple[str, ...]) -> str:
        return str(self._database.execute(query, parameters).fetchone()[0])

    def _update(self, statement: str, parameters: tuple[str, ...]) -> None:
        self._database.execute(statement, parameters)
