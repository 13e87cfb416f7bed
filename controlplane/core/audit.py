"""The hash chain that makes the audit log and the evidence ledger tamper-evident.

Each row carries the hash of the row before it and a hash over itself: `hash = sha256(prev_hash || canonical JSON of the row)`.
Changing, deleting or reordering any row breaks every hash after it, and `verify` names the first row that does not fit.
The first row points to `GENESIS`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

GENESIS = "0" * 64
READINGS = frozenset({"conversation_read", "answers_read"})
"""Events that say who read which customers' words. They name conversations, so only the log itself has them, and seeing them takes the permission
to read a conversation (docs/adr/0037)."""


def canonical(value: object) -> str:
    """JSON text that depends on nothing but the value: sorted keys, no spaces, shortest float form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def chain_hash(prev_hash: str, row: Mapping[str, object]) -> str:
    """Hash of a row behind `prev_hash`; `row` holds every column but `prev_hash`, `hash` and `seq`."""
    return hashlib.sha256(f"{prev_hash}\n{canonical(dict(row))}".encode()).hexdigest()


def sha256_text(text: str) -> str:
    """Hex sha256 of a text in UTF-8: the hash of policies and artefacts."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ChainBreak:
    """The first row of a chain that does not fit, and why."""

    seq: int
    reason: str


def verify(rows: Iterable[Mapping[str, object]]) -> ChainBreak | None:
    """First break of a chain given in ascending `seq`, or None when every hash is right.

    Rows are mappings with `seq`, `prev_hash`, `hash` and the hashed columns. A gap in `seq` alone is no break: engines skip
    numbers after a rolled-back transaction; a deleted row shows as a wrong `prev_hash`.
    """
    expected = GENESIS
    for row in rows:
        seq = int(str(row["seq"]))
        if row["prev_hash"] != expected:
            return ChainBreak(seq, "does not follow the row before it (a row was removed, inserted or reordered)")
        body = {key: value for key, value in row.items() if key not in ("seq", "prev_hash", "hash")}
        if row["hash"] != chain_hash(expected, body):
            return ChainBreak(seq, "its content does not match its hash (the row was changed)")
        expected = str(row["hash"])
    return None


def head(rows: Sequence[Mapping[str, object]]) -> str:
    """Hash of the newest row of a chain in ascending `seq`; `GENESIS` where there is none."""
    return str(rows[-1]["hash"]) if rows else GENESIS


def verify_anchor(rows: Sequence[Mapping[str, object]], anchor: str) -> ChainBreak | None:
    """A break when the chain does not contain the head that was noted earlier, elsewhere: its end was cut off, or it was written anew.

    A chain alone cannot show that: without its last rows it is whole.
    """
    if anchor == GENESIS or any(row["hash"] == anchor for row in rows):
        return None
    last = int(str(rows[-1]["seq"])) if rows else 0
    return ChainBreak(
        last,
        f"the head {anchor[:12]} that was noted earlier is not in the chain (its end was cut off, or all of it rewritten)",
    )
