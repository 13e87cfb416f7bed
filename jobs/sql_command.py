"""`controlplane sql`: one read-only SELECT over facts and rollups.

The facts file has one writer, which locks every other process out; while the control process runs, the query is sent to it,
otherwise the file is opened read-only here. Either way only a single SELECT is run, and it reads tables alone: the control
process may open files, so a query that could name one (`read_text('/etc/passwd')`, `FROM 'x.csv'`) is refused by its syntax tree.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from controlplane.settings import Settings, SettingsError
from controlplane.store.queries import load
from jobs.compose import workspace_settings
from jobs.console import OUTSIDE, fail

MAX_ROWS = 10_000
# Functions that may stand in FROM. Others read files, run text as a query, or change settings of the process.
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
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
        _refuse_what_reads_elsewhere(connection, query)
        cursor = connection.execute(query)
        columns = [item[0] for item in cursor.description or []]
        rows = cursor.fetchmany(MAX_ROWS + 1)
    except duckdb.Error as error:
        raise QueryFailed(str(error)) from None
    if len(rows) > MAX_ROWS:
        raise QueryFailed(f"more than {MAX_ROWS:,} rows: add LIMIT or aggregate")
    return columns, [[plain(value) for value in row] for row in rows]


def _refuse_what_reads_elsewhere(connection: duckdb.DuckDBPyConnection, query: str) -> None:
    tree = json.loads(connection.execute(load("decisions/syntax_tree"), [query]).fetchall()[0][0])
    if tree.get("error"):
        raise QueryFailed(f"the query cannot be checked: {tree.get('error_message')}")
    for node in _nodes(tree):
        if node.get("type") == "TABLE_FUNCTION":
            name = str(node.get("function", {}).get("function_name")).lower()
            if name not in TABLE_FUNCTIONS:
                raise QueryFailed(
                    f"{name}() is not allowed here: allowed in FROM are tables, {', '.join(sorted(TABLE_FUNCTIONS))}"
                )
        if node.get("type") == "BASE_TABLE" and set(str(node.get("table_name"))) & set("./\\:*?"):
            raise QueryFailed(
                f"{node['table_name']!r} would be read from disk: only tables are read here, `controlplane ingest` takes files"
            )


def _nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _nodes(inner)


def run_sql(home: str | None, query: str) -> Found:
    """The query's columns and rows, from the file or from the running control process."""
    settings = workspace_settings(home, must_exist=True)
    path = settings.workspace.facts
    if not path.exists():
        raise SettingsError(f"{path} does not exist yet: `controlplane ingest FILE` makes it")
    try:
        connection = duckdb.connect(str(path), read_only=True, config={"enable_external_access": "false"})
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        # Another process has the file, or this very one has it open for writing: either way its control API is asked.
        if not any(words in str(error).lower() for words in ("lock", "same database file")):
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
        fail("another process has the facts open and is no control process: try again when it has ended", OUTSIDE)
    headers = {"Authorization": f"Bearer {settings.token}"}
    try:
        answer = httpx.post(f"{url}/v1/sql", json={"query": query, "limit": MAX_ROWS}, headers=headers, timeout=60)
    except httpx.HTTPError as error:
        fail(f"the control process at {url} does not answer: {error}", OUTSIDE)
    value = answer.json()
    if answer.status_code != 200:
        raise QueryFailed(str(value.get("message", value)))
    return value["columns"], value["rows"]
