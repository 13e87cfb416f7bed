"""The data behind a chart and the query that made it, for somebody who wants to check it or go on with it elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import streamlit as st

from controlplane.store.queries import load


def offer(name: str, frame: pl.DataFrame, query: str, params: Mapping[str, Any], note: str = "") -> None:
    """A popover: the frame as CSV, and the SQL with its parameters. `name` names the files and is unique on the page.

    frame: exactly the rows that the query gives, so that data and SQL can be checked against each other; lists become texts in the CSV.
    query: name below `sql/`, as loaders use it. It runs on a snapshot file (`snapshots/` of the workspace), opened with DuckDB.
    """
    with st.popover("Data and SQL", key=f"export_{name}"):
        if note:
            st.caption(note)
        left, right = st.columns(2)
        csv = flat(frame).write_csv().encode()
        left.download_button("CSV", csv, f"{name}.csv", "text/csv", key=f"csv_{name}", on_click="ignore")
        right.download_button(
            "SQL",
            script(query, params).encode(),
            f"{name}.sql",
            "application/sql",
            key=f"sql_{name}",
            on_click="ignore",
        )
        st.caption(f"{frame.height:,} rows. The query runs on the newest file of the workspace's `snapshots/`:")
        st.code(script(query, params), language="sql")


def script(query: str, params: Mapping[str, Any]) -> str:
    """The query as a text that runs by itself: parameters are set as variables above it."""
    text = load(query)
    lines = []
    for name, value in params.items():
        lines.append(f"SET VARIABLE {name} = {literal(value)};")
        text = _with_variable(text, name)
    return "\n".join([*lines, text.strip()]) + ";\n"


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with lists as texts (`[1,2]`), as CSV has no lists."""
    nested = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    texts = [pl.format("[{}]", pl.col(name).cast(pl.List(pl.String)).list.join(",")).alias(name) for name in nested]
    return frame.with_columns(texts)


def literal(value: object) -> str:
    """A value as DuckDB reads it. Raises ValueError for what has no literal here."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int() | float():
            return repr(value)
        case datetime():
            naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            return f"TIMESTAMP '{naive:%Y-%m-%d %H:%M:%S.%f}'"
        case str():
            return "'" + value.replace("'", "''") + "'"
        case list() | tuple():
            return f"[{', '.join(literal(part) for part in value)}]"
        case Mapping():
            return literal(json.dumps(dict(value)))
        case _:
            raise ValueError(f"{type(value).__name__} has no literal")


def _with_variable(text: str, name: str) -> str:
    """`$name` replaced, but not the beginning of a longer name."""
    out, start, mark = [], 0, f"${name}"
    while (found := text.find(mark, start)) >= 0:
        after = text[found + len(mark) : found + len(mark) + 1]
        whole = not (after.isalnum() or after == "_")
        out.append(text[start:found] + (f"getvariable('{name}')" if whole else mark))
        start = found + len(mark)
    return "".join([*out, text[start:]])
