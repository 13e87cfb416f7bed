"""A query of sql/ with parameters over the facts, wherever they are: in the file, or with the control process that has it open.

The control process takes a single SELECT as text. A parameter becomes a literal there, quotes doubled; it is the caller's own workspace, the
query is checked by the same rules as `controlplane sql`, and only text, whole numbers and times can be passed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from controlplane.store.queries import load
from controlplane.store.utc import to_naive
from jobs.sql_command import run_sql

Value = str | int | datetime
_PARAMETER = re.compile(r"\$([a-z_]+)\b")


def facts_query(home: str | None, name: str, parameters: Mapping[str, Value]) -> list[list[Any]]:
    """Rows of the query. Raises SettingsError when there are no facts, KeyError for a parameter that was not given."""
    return run_sql(home, with_literals(load(name), parameters))[1]


def with_literals(query: str, parameters: Mapping[str, Value]) -> str:
    """The query with each `$name` replaced by its value."""
    body = "\n".join(line for line in query.splitlines() if not line.startswith("--"))
    return _PARAMETER.sub(lambda match: literal(parameters[match[1]]), body)


def literal(value: Value) -> str:
    """A value as SQL text."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{to_naive(value).isoformat(sep=' ')}'"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"
