"""A small bank in SQLite: what the workflows act on in the demo, in evaluation and in tests.

Rules
- Every operation is one transaction keyed by its idempotency key: asked again with the same key it changes nothing and
  returns the same receipt. The same key for another operation is an error, not a silent success; so is a key whose operation was
  taken back under `<key>:undo`, or a replayed message would report as done what no longer is.
- Reading changes nothing. A customer nobody has seen has an account made from the customer's id (address, card); it is written
  down when something is first done for them. Such a customer also has made-up refunds, a new one every two weeks.
- `seed` and `snapshot` are each other's inverse over plain values, so that an evaluation can state where a task must end.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from controlplane.assistant.protocols import BankError, Receipt, Refund

_SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (user_id TEXT PRIMARY KEY, address TEXT NOT NULL, made_up INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cards (
    user_id TEXT PRIMARY KEY, last_four TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('active', 'blocked', 'sent')),
    sent INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    user_id TEXT NOT NULL, merchant TEXT NOT NULL, amount TEXT NOT NULL, sent_on TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS cases (
    reference TEXT PRIMARY KEY, user_id TEXT NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL, status TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS operations (
    key TEXT PRIMARY KEY, kind TEXT NOT NULL, user_id TEXT NOT NULL, detail TEXT NOT NULL, reference TEXT NOT NULL);
"""
_STREETS = ("Oak Street", "Mill Lane", "Station Road", "Church Row", "Park Avenue")
_CITIES = ("Leeds LS1 4AB", "York YO1 7HU", "Bath BA2 3DE", "Bristol BS1 5TY")
_SHOPS = ("Amazon", "a shoe shop", "Ryanair", "a hotel", "Tesco")
REFUND_EVERY_DAYS, PENDING_FROM_DAYS, BOOKED_FROM_DAYS = 14, 2, 7
_TABLES: Mapping[str, tuple[str, ...]] = {
    "accounts": ("user_id", "address"),
    "cards": ("user_id", "last_four", "status", "sent"),
    "refunds": ("user_id", "merchant", "amount", "sent_on", "status"),
    "cases": ("user_id", "kind", "detail", "status"),
}
_READ = {
    "accounts": "SELECT user_id, address FROM accounts",
    "cards": "SELECT user_id, last_four, status, sent FROM cards",
    "refunds": "SELECT user_id, merchant, amount, sent_on, status FROM refunds",
    "cases": "SELECT user_id, kind, detail, status FROM cases",
}
_WRITE = {
    "accounts": "UPDATE accounts SET user_id = ?1, address = ?2 WHERE user_id = ?1",
    "cards": "UPDATE cards SET user_id = ?1, last_four = ?2, status = ?3, sent = ?4 WHERE user_id = ?1",
    "refunds": "INSERT INTO refunds VALUES (?, ?, ?, ?, ?)",
}
_ORDERED = {"statements": "order_statement", "letters": "send_address_letters", "pin_reminders": "order_pin_reminder"}
State = Mapping[str, list[dict[str, Any]]]


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

    def block_card(self, user_id: str, key: str, last_four: str = "") -> Receipt:
        """Blocks the customer's card for good; `last_four`, where given, must be that card's."""

        def apply() -> str:
            if last_four and last_four != self._one("SELECT last_four FROM cards WHERE user_id = ?", (user_id,)):
                raise BankError(
                    "unknown_card", f"customer {user_id} has no card with these last four digits: ask which card"
                )
            self._update("UPDATE cards SET status = 'blocked' WHERE user_id = ?", (user_id,))
            return "card blocked"

        return self._once("block_card", user_id, key, apply)

    def order_card(self, user_id: str, key: str) -> Receipt:
        """Sends a new card; only a blocked card is replaced, so that nobody ends up with two."""

        def apply() -> str:
            if self._one("SELECT status FROM cards WHERE user_id = ?", (user_id,)) != "blocked":
                raise BankError(
                    "card_active", f"customer {user_id} has a working card: block it before a new one is sent"
                )
            self._update("UPDATE cards SET status = 'sent', sent = sent + 1 WHERE user_id = ?", (user_id,))
            return "card sent"

        return self._once("order_card", user_id, key, apply)

    def order_statement(self, user_id: str, month: str, key: str) -> Receipt:
        """Puts the statement of `month` (YYYY-MM) into the customer's inbox."""
        return self._once("order_statement", user_id, key, lambda: month)

    def address_of(self, user_id: str) -> str:
        """The postal address on file."""
        with self._lock:
            found = self._rows("SELECT address FROM accounts WHERE user_id = ?", (user_id,))
        return str(found[0][0]) if found else _made_up_address(user_id)

    def set_address(self, user_id: str, address: str, key: str) -> Receipt:
        """Replaces the postal address."""

        def apply() -> str:
            self._update("UPDATE accounts SET address = ? WHERE user_id = ?", (address, user_id))
            return address

        return self._once("set_address", user_id, key, apply)

    def send_address_letters(self, user_id: str, key: str) -> Receipt:
        """Posts the notice of an address change to the old and the new address."""
        return self._once("send_address_letters", user_id, key, lambda: "2 letters")

    def order_pin_reminder(self, user_id: str, key: str) -> Receipt:
        """Posts a reminder of the PIN to the address on file."""
        return self._once("order_pin_reminder", user_id, key, lambda: "PIN reminder")

    def refunds_of(self, user_id: str, day: date) -> tuple[Refund, ...]:
        """The customer's refunds as they stand on `day`; changes nothing."""
        query = "SELECT merchant, amount, sent_on, status FROM refunds WHERE user_id = ? AND sent_on <= ? ORDER BY sent_on, rowid"
        with self._lock:
            stored = self._rows(query, (user_id, day.isoformat()))
            account = self._rows("SELECT made_up FROM accounts WHERE user_id = ?", (user_id,))
        if account and not account[0][0]:
            return tuple(Refund(str(m), str(a), date.fromisoformat(str(d)), str(s)) for m, a, d, s in stored)
        return _made_up_refunds(user_id, day)

    def open_case(self, user_id: str, kind: str, detail: str, key: str) -> Receipt:
        """Opens a case for a person to work on; the receipt's reference is the case number."""

        def apply() -> str:
            self._update(
                "INSERT INTO cases VALUES (?, ?, ?, ?, 'open')", (_reference("open_case", key), user_id, kind, detail)
            )
            return f"{kind}: {detail}"

        return self._once("open_case", user_id, key, apply)

    def operations(self, user_id: str) -> list[tuple[str, str]]:
        """Kind and detail of everything done for a customer, in order."""
        with self._lock:
            rows = self._rows("SELECT kind, detail FROM operations WHERE user_id = ? ORDER BY rowid", (user_id,))
        return [(str(kind), str(detail)) for kind, detail in rows]

    def snapshot(self) -> dict[str, list[dict[str, Any]]]:
        """The state in plain values, canonical: the same state is the same value whatever the order and the keys it came by.

        Tables `accounts`, `cards`, `refunds`, `cases` (rows that are written down) and `statements`, `letters`, `pin_reminders`
        (what was ordered: `user_id`, `detail`, one row each time). References and keys are left out: they name a run, not a state.
        """
        with self._lock:
            state = {
                table: [dict(zip(columns, row, strict=True)) for row in self._rows(_READ[table], ())]
                for table, columns in _TABLES.items()
            }
            for name, kind in _ORDERED.items():
                rows = self._rows("SELECT user_id, detail FROM operations WHERE kind = ?", (kind,))
                state[name] = [{"user_id": user_id, "detail": detail} for user_id, detail in rows]
        return {
            name: sorted(rows, key=lambda row: [str(value) for value in row.values()]) for name, rows in state.items()
        }

    def seed(self, state: State) -> None:
        """Writes a state as `snapshot` gives it into a bank that has none of these rows; tables may be left out.

        A customer with an account or a card gets the other from the customer's id; only the refunds that are listed exist for them.
        Raises ValueError naming an unknown table or column, or what the database refuses; then nothing is written.
        """
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for table, rows in state.items():
                    for number, row in enumerate(rows):
                        self._seed_row(table, number, row)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def _seed_row(self, table: str, number: int, row: Mapping[str, Any]) -> None:
        columns = _TABLES.get(table, ("user_id", "detail") if table in _ORDERED else ())
        if not columns:
            raise ValueError(f"seed: no table {table!r} in the bank; there is {', '.join((*_TABLES, *_ORDERED))}")
        if set(row) != set(columns):
            raise ValueError(
                f"seed: {table}[{number}] must have exactly the columns {', '.join(columns)}, it has {', '.join(sorted(row))}"
            )
        user_id, values = str(row["user_id"]), tuple(row[column] for column in columns)
        key = f"seed:{table}:{number}"
        try:
            self._ensure_account(user_id)
            self._update("UPDATE accounts SET made_up = 0 WHERE user_id = ?", (user_id,))
            if table in _ORDERED:
                self._note(_ORDERED[table], user_id, key, str(row["detail"]))
            elif table == "cases":
                self._update("INSERT INTO cases VALUES (?, ?, ?, ?, ?)", (_reference("open_case", key), *values))
            else:
                self._update(_WRITE[table], values)
        except sqlite3.Error as error:
            raise ValueError(f"seed: {table}[{number}] is refused by the bank ({error}); correct the row") from None

    def _once(self, kind: str, user_id: str, key: str, apply: Callable[[], str]) -> Receipt:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise BankError(
                    "bank_unavailable", f"{kind} for {user_id}: the bank's database does not answer ({error})"
                ) from None
            try:
                receipt = self._receipt(kind, user_id, key) or self._perform(kind, user_id, key, apply)
                self._database.execute("COMMIT")
            except BaseException as error:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise BankError("bank_error", f"{kind} for {user_id} was taken back: {error}") from None
                raise
            return receipt

    def _receipt(self, kind: str, user_id: str, key: str) -> Receipt | None:
        found = self._rows("SELECT kind, user_id, reference, detail FROM operations WHERE key = ?", (key,))
        if not found:
            return None
        if found[0][:2] != (kind, user_id):
            raise BankError("key_reused", f"idempotency key {key} belongs to another operation: use a new key")
        if self._rows("SELECT 1 FROM operations WHERE key = ?", (f"{key}:undo",)):
            raise BankError(
                "undone", f"the operation of idempotency key {key} was taken back: use a new key to do it again"
            )
        return Receipt(str(found[0][2]), str(found[0][3]))

    def _perform(self, kind: str, user_id: str, key: str, apply: Callable[[], str]) -> Receipt:
        self._ensure_account(user_id)
        return self._note(kind, user_id, key, apply())

    def _note(self, kind: str, user_id: str, key: str, detail: str) -> Receipt:
        reference = _reference(kind, key)
        self._update("INSERT INTO operations VALUES (?, ?, ?, ?, ?)", (key, kind, user_id, detail, reference))
        return Receipt(reference, detail)

    def _ensure_account(self, user_id: str) -> None:
        self._update("INSERT OR IGNORE INTO accounts VALUES (?, ?, 1)", (user_id, _made_up_address(user_id)))
        self._update(
            "INSERT OR IGNORE INTO cards VALUES (?, ?, 'active', 1)", (user_id, f"{_number(user_id) % 10_000:04d}")
        )

    def _one(self, query: str, parameters: tuple[str, ...]) -> str:
        return str(self._rows(query, parameters)[0][0])

    def _rows(self, query: str, parameters: tuple[str, ...]) -> list[tuple[Any, ...]]:
        return self._database.execute(query, parameters).fetchall()

    def _update(self, statement: str, parameters: tuple[Any, ...]) -> None:
        self._database.execute(statement, parameters)


def _reference(kind: str, key: str) -> str:
    return "R" + hashlib.sha256(f"{kind}|{key}".encode()).hexdigest()[:8].upper()


def _number(user_id: str) -> int:
    return int.from_bytes(hashlib.sha256(user_id.encode()).digest()[:4], "big")


def _made_up_address(user_id: str) -> str:
    number = _number(user_id)
    return f"{number % 90 + 1} {_STREETS[number % len(_STREETS)]}, {_CITIES[number % len(_CITIES)]}"


def _made_up_refunds(user_id: str, day: date) -> tuple[Refund, ...]:
    """The last refund of a made-up customer; every second customer has none."""
    number = _number(user_id)
    if number % 2:
        return ()
    age = (day.toordinal() - number) % REFUND_EVERY_DAYS
    status = "sent" if age < PENDING_FROM_DAYS else "pending" if age < BOOKED_FROM_DAYS else "booked"
    return (Refund(_SHOPS[number % len(_SHOPS)], f"£{number % 280 + 12}.50", day - timedelta(days=age), status),)
