"""What a column is: numbers, categories, times; decided from the types of both sides and, where they are text, from what it reads as.

Rules
- A column is numeric only when it is on both sides. Text that a typed file (Parquet) has on both sides stays text, whatever it looks
  like: somebody said so. Text of a CSV is what 95 % of its values read as, because CSV has no types and a few stray words are common.
- Numbers before and mostly text now is a changed type (ERROR); some text among the numbers is a share that is told and that counts as
  missing values. Numbers among text before (codes like A1 and 12) are text.
- 0 and 1 are the same as false and true where the other side says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controlplane.analysis.drift_model import CATEGORICAL, NUMERIC, TIME

MOSTLY = 0.95  # share of the text that has to read as numbers (or times) for a column without types to be one of them
STILL = 0.5  # share of the text of now that has to for a column of numbers to be still one
MIXED = 0.05  # share of numbers among the text before that makes numbers now no change of type

TRUTH = "truth"
TEXT = "text"
EMPTY = "empty"
OTHER = "other"
_NUMERIC_TYPES = frozenset(
    {"tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint"}
    | {"float", "double", "decimal"}
)
_TEXT_TYPES = frozenset({"varchar", "enum", "uuid", "json"})


def kind_of(type_name: str) -> str | None:
    """numeric, categorical, time, or None for what has no distribution here (lists, structures, binary)."""
    base = type_name.split("(")[0].strip().lower()
    if type_name.endswith("]"):
        return None
    if base in _NUMERIC_TYPES:
        return NUMERIC
    if base == "date" or base.startswith("timestamp"):
        return TIME
    return CATEGORICAL if base in _TEXT_TYPES or base == "boolean" else None


def is_text(type_name: str) -> bool:
    """Whether a column of that type holds text."""
    return kind_of(type_name) == CATEGORICAL and not type_name.lower().startswith("boolean")


@dataclass(frozen=True, slots=True)
class Reads:
    """What one side's values read as, rows each: `present` has a value; of them numbers, times, true/false, 0 or 1."""

    present: float
    numbers: float
    times: float
    truths: float
    bits: float

    @classmethod
    def of(cls, profile: dict[str, Any], side: str) -> Reads:
        """From the row that sql/drift/text_profile gives for a side."""
        return cls(*(profile[f"{side}_{name}"] for name in ("present", "numbers", "times", "truths", "bits")))

    @property
    def as_a(self) -> str:
        """numeric, time, truth, text or empty."""
        if not self.present:
            return EMPTY
        if self.numbers >= MOSTLY * self.present:
            return NUMERIC
        if self.times >= MOSTLY * self.present:
            return TIME
        return TRUTH if self.truths >= self.present else TEXT


def settle(before: Reads, now: Reads) -> str | None:
    """numeric, time, truth (categories true and false) or categorical; None: the type changed."""
    pair = (before.as_a, now.as_a)
    if EMPTY in pair:
        known = pair[0] if pair[1] == EMPTY else pair[1]
        return known if known in (NUMERIC, TIME, TRUTH) else CATEGORICAL
    if pair[0] == pair[1]:
        return CATEGORICAL if pair[0] == TEXT else pair[0]
    match pair:
        case ("truth", "numeric") if now.bits >= now.present:
            return TRUTH
        case ("numeric", "truth") if before.bits >= before.present:
            return TRUTH
        case ("numeric", "text"):
            return NUMERIC if now.numbers >= STILL * now.present else None
        case ("time", "text"):
            return TIME if now.times >= STILL * now.present else None
        case ("text", "numeric"):
            return CATEGORICAL if before.numbers >= MIXED * before.present else None
        case ("text", "time"):
            return CATEGORICAL if before.times >= MIXED * before.present else None
        case ("truth", "text") | ("text", "truth"):
            return CATEGORICAL
    return None
