"""Values of tabular sources -> values of the landing schema.

A CSV cell is text, so a number is read from it where the schema wants one; what can't be read stays text, and the checks
of ingest then name it a wrong type. A Parquet cell has a type already and keeps it; NaN there means missing.
"""

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from controlplane.ingest.schema import FieldType, RecordType

_FLAGS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}


def canonical(row: Mapping[str, Any]) -> str:
    """A source row as JSON with sorted keys: what its fingerprint is taken of. The same row gives the same text,
    whatever the order of the columns."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def plain(value: Any) -> Any:
    """A cell of a typed table as a JSON value: times become ISO-8601, NaN and infinity null, bytes text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal):
        return plain(float(value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


def from_text(text: str, wanted: FieldType) -> Any:
    """A CSV cell as the schema wants it: empty is null, an unreadable value stays text."""
    if text == "":
        return None
    if wanted in (FieldType.NUMBER, FieldType.COUNT):
        return _number(text)
    if wanted is FieldType.FLAG:
        return _FLAGS.get(text.strip().lower(), text)
    if wanted in (FieldType.OBJECT, FieldType.ANY):
        return _json(text)
    return text


def typed_record(cells: Mapping[str, Any], record: RecordType) -> dict[str, Any]:
    """A record whose text cells are read as the schema of its type wants; unknown keys stay as they are."""
    wanted = {field.name: field.type for field in record.fields}
    return {
        name: from_text(cell, wanted.get(name, FieldType.TEXT)) if isinstance(cell, str) else cell
        for name, cell in cells.items()
    }


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number) or "_" in text:
        return text
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
