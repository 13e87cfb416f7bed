"""`controlplane sql`: one read-only SELECT over facts and rollups.

The facts file has one writer, which locks every other process out; while the control process runs, the query is sent to it,
otherwise the file is opened read-only here. Either way only a single SELECT is run.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from controlplane.settings import Settings, SettingsError
from jobs.compose import workspace_settings

MAX_ROWS = 10_000
Found = tuple[list[str], list[list[Any]]]


class QueryFailed(RuntimeError):
    """The query is no single SELECT, or the database refused it."""


def plain(value: Any) -> Any:
    """A value as JSON can hold it: times as ISO text with Z (facts are UTC), decimals as numbers."""
    match value:
        case datetime():
            return value.isoformat() + ("" if value.tzinfo else "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value)
        case bytes():
            return value.hex()
        case list() | tuple():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case _:
            return value


def select(connection: duckdb.DuckDBPyConnection, query: str) -> Found:
    """Columns and rows of one SELECT; QueryFailed with the database's message otherwise."""
    try:
        statements = connection.extract_statements(query)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryFailed("only one SELECT is allowed here: facts are changed by ingest alone")
        cursor = connection.execute(query)
        columns = [item[0] for item in cursor.description or []]
        rows = cursor.fetchmany(MAX_ROWS + 1)
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from None
    if len(rows) > MAX_ROWS:
        raise QueryFailed(f"more than {MAX_ROWS:,} rows: add LIMIT or aggregate")
    return columns, [[plain(value) for value in row] for row in rows]


def run_sql(home: str | None, query: str) -> Found:
    """The query's columns and rows, from the file or from the running control process."""
    settings = workspace_settings(home, must_exist=True)
    path = settings.workspace.facts
    if not path.exists():
        raise SettingsError(f"{path} does not exist yet: `controlplane ingest FILE` makes it")
    try:
        connection = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        return _ask_control(settings, query)
    try:
        return select(connection, query)
    finally:
        connection.close()


def _ask_control(settings: Settings, query: str) -> Found:
    import httpx

    from jobs.process import control_url

    url = control_url(settings)
    if url is None:
        raise QueryFailed("another process has the facts open and is no control process: try again when it has ended")
    headers = {"Authorization": f"Bearer {settings.token}"}
    try:
        answer = httpx.post(f"{url}/v1/sql", json={"query": query, "limit": MAX_ROWS}, headers=headers, timeout=60)
    except httpx.HTTPError as error:
        raise QueryFailed(f"the control process at {url} does not answer: {error}") from None
    value = answer.json()
    if answer.status_code != 200:
        raise QueryFailed(str(value.get("error", value)))
    return value["columns"], value["rows"]
