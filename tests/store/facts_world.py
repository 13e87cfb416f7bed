"""Records, files and warehouses for the tests of ingest, and an independent account of what ingest must find."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from controlplane.store.facts import IngestCounts, ingest_file
from controlplane.store.warehouse import Warehouse

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
KEY = b"a test key"

# What two runs may differ in though they stored the same: where and when a row was read.
BOOKKEEPING = {"batch_id", "line", "path", "quarantined_at", "quarantine_id"}


def moment(minutes: float) -> str:
    """A time of the story, as producers write it; minute 0 is a day before NOW."""
    return (NOW - timedelta(days=1) + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def naive(minutes: float) -> datetime:
    """The same time as DuckDB returns it."""
    return (NOW - timedelta(days=1) + timedelta(minutes=minutes)).replace(tzinfo=None)


def interaction(number: int, conversation: str = "c1", minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """A small valid interaction; None removes a field."""
    record = {
        "interaction_id": f"i{number}",
        "conversation_id": conversation,
        "turn": number,
        "ts": moment(minutes),
        "user_id": f"u-{conversation}",
        "arm": "assistant",
        **fields,
    }
    return {name: value for name, value in record.items() if value is not None}


def exposure(number: int, conversation: str = "c1", minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """A small valid exposure."""
    return {
        "record": "exposure",
        "exposure_id": f"e{number}",
        "ts": moment(minutes),
        "conversation_id": conversation,
        "user_id": f"u-{conversation}",
        "variant": "assistant",
        **fields,
    }


def feedback(number: int, conversation: str = "c1", minutes: float = 0, **fields: Any) -> dict[str, Any]:
    """A small valid feedback."""
    return {
        "record": "feedback",
        "feedback_id": f"f{number}",
        "ts": moment(minutes),
        "conversation_id": conversation,
        **fields,
    }


def write_lines(path: Path, lines: Iterable[Mapping[str, Any] | str | bytes]) -> Path:
    """A file of JSON lines; texts and bytes are written as they are."""
    with path.open("wb") as file:
        for line in lines:
            raw = line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else dumps(line)
            file.write(raw + b"\n")
    return path


def dumps(record: Mapping[str, Any]) -> bytes:
    """One record as a line without line end."""
    return json.dumps(record).encode()


def ingest(warehouse: Warehouse, path: Path, **options: Any) -> IngestCounts:
    """ingest_file with the tests' clock and key."""
    return ingest_file(warehouse, path, **{"source": "test", "now": NOW, "key": KEY, **options})


def rows(warehouse: Warehouse, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    cursor = warehouse.cursor()
    try:
        return cursor.execute(query, list(values)).fetchall()
    finally:
        cursor.close()


def one(warehouse: Warehouse, query: str, *values: Any) -> dict[str, Any]:
    """The only row of a query, by column."""
    cursor = warehouse.cursor()
    try:
        found = cursor.execute(query, list(values)).fetchall()
        assert len(found) == 1, found
        return dict(zip([column[0] for column in cursor.description], found[0], strict=True))
    finally:
        cursor.close()


FACT_TABLES = (
    "interactions",
    "exposures",
    "model_calls",
    "dependency_calls",
    "workflow_runs",
    "feedback",
    "evaluations",
    "conversations",
    "extra_fields",
    "quarantine",
)


def contents(warehouse: Warehouse, tables: Iterable[str] = FACT_TABLES) -> dict[str, list[str]]:
    """Every table's rows without the bookkeeping, in a fixed order: equal for warehouses that hold the same facts."""
    cursor = warehouse.cursor()
    found: dict[str, list[str]] = {}
    try:
        for table in tables:
            result = cursor.execute(f"SELECT * FROM {table}").fetchall()
            names = [column[0] for column in cursor.description]
            kept = [index for index, name in enumerate(names) if name not in BOOKKEEPING]
            found[table] = sorted(repr([_rounded(row[index]) for index in kept]) for row in result)
    finally:
        cursor.close()
    return found


def _rounded(value: Any) -> Any:
    """Sums of floats depend on their order in the last digits."""
    return round(value, 9) if isinstance(value, float) else value
