"""From a file or a table to units: one row for each unit with its arm, time, segments and values, all inside DuckDB.

Rules
- The unit is what was randomised. Several rows of one unit become one (values by `per_unit`, both parts of a ratio added up, first time, the segment
  then, or without times the first by name), else errors come out too small.
- A unit in two arms cannot say what either did: it is left out and counted. One in two strata of one arm is left out likewise.
- NULL is "not known": counted, never 0. Infinity, NaN and text where numbers belong end with the row named.

Columns get the names unit, arm, stratum, seen_at, s0.. (segments) and v0.. (values), so that SQL and expressions need no names of users.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
from duckdb import (
    CaseExpression,
    CoalesceOperator,
    ColumnExpression,
    ConstantExpression,
    Expression,
    FunctionExpression,
)

from controlplane.analysis.experiment_request import ExperimentError, Request
from controlplane.store.queries import load

Relation = duckdb.DuckDBPyRelation
NOT_TOLD = "(missing)"
MOST_ARMS = 50
LARGEST = 1e140  # beyond, squares are no longer finite numbers
SAMPLE = 2048  # first units whose means are the points that sums are taken around
MOST_BITS = 1 << 30  # of the bitmap of whole-number units: 128 MB a thread
BITS_A_ROW = 32
_TEXT = frozenset({"VARCHAR"})
_WHOLE = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)
_NUMBERS = _WHOLE | {"FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN"}


@dataclass(frozen=True, slots=True)
class Value:
    """A column of numbers as the units have it: `name` in the file, `how` several rows become one."""

    name: str
    how: str


@dataclass(frozen=True)
class Units:
    """`table`: one row per unit; `rows`: all rows of those units where they have several, else the same. `values[i]` is column `v{i}`, and
    `near[i]` a point near its mean, that of the first units: sums are taken around it.
    """

    table: Relation
    rows: Relation
    values: tuple[Value, ...]
    near: tuple[float, ...]
    arms: dict[str, int]
    counts: dict[str, int]
    several: bool
    span_days: float | None

    def place(self, name: str, how: str) -> int:
        """The number of the column of values."""
        return self.values.index(Value(name, how))


def read(connection: duckdb.DuckDBPyConnection, file: Path) -> Relation:
    """The rows of a csv, Parquet or JSON-lines file, csv and JSON lines also .gz. Raises ExperimentError, FileNotFoundError."""
    if file.is_dir():
        raise ExperimentError(f"{file} is a folder; give a Parquet, csv or JSON-lines file")
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; give a Parquet, csv or JSON-lines file")
    if any(sign in str(file) for sign in "*?["):
        raise ExperimentError(f"{file}: a name with *, ? or [ stands for several files; rename it")
    if not file.stat().st_size:
        raise ExperimentError(f"{file} is empty: it has no row, not even a header")
    endings = [suffix.lower() for suffix in file.suffixes if suffix.lower() != ".gz"]
    kind = endings[-1] if endings else ""
    packed = file.suffix.lower() == ".gz"
    try:
        if kind == ".parquet" and not packed:
            return connection.read_parquet(str(file))
        if kind == ".csv":
            found = connection.read_csv(str(file), header=True, skiprows=0, sample_size=-1)
            if len(found.columns) == 1 and any(sign in found.columns[0] for sign in ",;\t|"):
                raise ExperimentError(
                    f"{file} cannot be read as csv: its rows do not all have as many values as the header {found.columns[0]!r} has names"
                )
        elif kind in (".jsonl", ".ndjson", ".json"):
            found = connection.read_json(
                str(file), format="auto" if kind == ".json" else "newline_delimited", sample_size=-1
            )
        else:
            raise ExperimentError(f"{file}: unknown ending; give .parquet, .csv or .jsonl (the last two also as .gz)")
        # text is parsed once; every later scan reads columns
        return _stored(connection, found, "source")
    except duckdb.Error as error:
        raise ExperimentError(f"{file} cannot be read as {kind[1:]}: {str(error).splitlines()[0]}") from error


def units(connection: duckdb.DuckDBPyConnection, source: Relation, request: Request) -> Units:
    """The units of a relation. Raises ExperimentError for what cannot be analysed.

    Where units have several rows a table is made in the connection's database: give a scratch one, or rows that are units already.
    """
    values = tuple(dict.fromkeys(_values(request)))
    rows = _prepared(source, request, values)
    counts = dict(_one(rows, "prepared", "experiment/rows"))
    if not counts["all_rows"]:
        raise ExperimentError("there is no row: the file has a header only")
    if not counts["usable"]:
        raise ExperimentError(f"no row has both a unit ({request.unit}) and an arm ({request.arm}): nothing to compare")
    if counts["without_unit"] or counts["without_arm"]:
        rows = rows.filter(ColumnExpression("unit").isnotnull() & ColumnExpression("arm").isnotnull())
    counts["units"] = _distinct(rows, counts)
    several = counts["usable"] > counts["units"]
    table = _merged(connection, rows, values, len(request.segments), bool(request.time), counts) if several else rows
    arms = {str(name): int(n) for name, n in _rows(table, "units", "experiment/arms")}
    _check_arms(arms, request)
    span = _span(rows, request) if request.time else None
    return Units(table, rows, values, _near(table, len(values)), arms, counts, several, span)


def _values(request: Request) -> Iterable[Value]:
    for measure in request.measures:
        yield Value(measure.column, "sum" if measure.ratio else request.per_unit)
        if measure.per is not None:
            yield Value(measure.per, "sum")
        if measure.before is not None:
            yield Value(measure.before, "mean")


def _prepared(source: Relation, request: Request, values: Sequence[Value]) -> Relation:
    types = dict(zip(source.columns, map(str, source.types), strict=True))
    wanted = (request.unit, request.arm, *request.segments, *(value.name for value in values))
    for name in (*wanted, *filter(None, (request.strata, request.time))):
        if name not in types:
            raise ExperimentError(f"there is no column {name!r}; the columns are {', '.join(types)}")
    for name in dict.fromkeys(value.name for value in values):
        _check_number(source, name, types[name])
    columns = [
        _told(request.unit, types[request.unit]).alias("unit"),
        _told(request.arm, types[request.arm]).cast("VARCHAR").alias("arm"),
        _category(request.strata).alias("stratum"),
        _moment(source, request.time, types).alias("seen_at"),
        *(_category(name).alias(f"s{i}") for i, name in enumerate(request.segments)),
        *(ColumnExpression(value.name).cast("DOUBLE").alias(f"v{i}") for i, value in enumerate(values)),
    ]
    return source.select(*columns)


def _told(name: str, kind: str) -> Expression:
    """A unit or an arm; an empty text and NaN name nobody."""
    column = ColumnExpression(name)
    if kind in _TEXT:
        return where(column, column != ConstantExpression(""))
    # not isnan: DuckDB takes Parquet's statistics, which leave NaN out, for its answer
    return where(column, FunctionExpression("isfinite", column)) if kind in ("FLOAT", "DOUBLE") else column


def _category(name: str) -> Expression:
    if not name:
        return ConstantExpression("")
    return CoalesceOperator(ColumnExpression(name).cast("VARCHAR"), ConstantExpression(NOT_TOLD))


def _moment(source: Relation, name: str, types: dict[str, str]) -> Expression:
    if not name:
        return ConstantExpression(None)
    kind = types[name]
    if not (kind.startswith("TIMESTAMP") or kind == "DATE"):
        raise ExperimentError(
            f"--time {name}: the column holds {kind}, no times; write ISO-8601 (2026-01-05T09:00:00Z)"
        )
    return ColumnExpression(name).cast("TIMESTAMP")


def _check_number(source: Relation, name: str, kind: str) -> None:
    """Numbers are numbers; a column of NULL alone may have any type."""
    kind = kind.strip('"')  # the type of NULL alone is written in quotes
    if kind.split("(")[0] in _NUMBERS:
        return
    if kind in _TEXT or kind in ("NULL", "JSON"):
        looked_at = source.select(ColumnExpression(name).cast("VARCHAR").alias("value"))
        wrong = _one(looked_at, "looked_at", "experiment/first_text")
        if not wrong["wrong"]:
            return
        raise ExperimentError(
            f"column {name} holds text where numbers are needed: row {wrong['place']} is {str(wrong['value'])[:40]!r} "
            f"({wrong['wrong']} such rows); leave a value empty where it is not known"
        )
    raise ExperimentError(f"column {name} holds {kind}; a metric is a column of numbers or true/false")


def _merged(
    connection: duckdb.DuckDBPyConnection,
    rows: Relation,
    values: Sequence[Value],
    segments: int,
    timed: bool,
    counts: dict[str, int],
) -> Relation:
    """One row per unit, kept in DuckDB; adds what is left out to `counts`."""
    unit, at = ColumnExpression("unit"), ColumnExpression("seen_at")

    def first(name: str) -> Expression:
        column = ColumnExpression(name)
        return FunctionExpression("arg_min", column, at) if timed else FunctionExpression("min", column)

    columns = [
        unit,
        *(FunctionExpression("min", ColumnExpression(name)).alias(name) for name in ("arm", "stratum", "seen_at")),
        *(FunctionExpression("max", ColumnExpression(name)).alias(f"last_{name}") for name in ("arm", "stratum")),
        *(first(f"s{i}").alias(f"s{i}") for i in range(segments)),
        *(_one_value(value, i).alias(f"v{i}") for i, value in enumerate(values)),
    ]
    table = _stored(connection, rows.aggregate(columns, "unit"), "units_of_rows")
    mixed = _one(table, "units", "experiment/mixed")
    counts |= mixed
    same = (ColumnExpression("arm") == ColumnExpression("last_arm")) & (
        ColumnExpression("stratum") == ColumnExpression("last_stratum")
    )
    return table.filter(same) if mixed["in_two_arms"] or mixed["in_two_strata"] else table


def _one_value(value: Value, place: int) -> Expression:
    column = ColumnExpression(f"v{place}")
    return FunctionExpression({"mean": "favg", "sum": "fsum"}.get(value.how, value.how), column)


def _check_arms(arms: dict[str, int], request: Request) -> None:
    if len(arms) < 2:
        held = f"holds one arm only ({next(iter(arms))})" if arms else "leaves no unit in a single arm"
        raise ExperimentError(f"column {request.arm} {held}: a comparison needs a treated arm and a control")
    if len(arms) > MOST_ARMS:
        raise ExperimentError(f"column {request.arm} holds {len(arms)} different values: is it the arm?")
    if request.control and request.control not in arms:
        raise ExperimentError(f"--control {request.control}: column {request.arm} holds {', '.join(arms)}")
    if request.shares and set(request.shares) != set(arms):
        raise ExperimentError(f"--shares names {', '.join(request.shares)}; the arms are {', '.join(arms)}")


def _span(rows: Relation, request: Request) -> float:
    """Days from the first to the last time."""
    found = _one(rows.select(ColumnExpression("seen_at")), "looked_at", "experiment/no_time")
    if found["without_time"]:
        raise ExperimentError(
            f"--time {request.time}: {found['without_time']} rows have no time; leave --time out or remove them"
        )
    return float((found["last_at"] - found["first_at"]).total_seconds() / 86_400.0)


def _distinct(rows: Relation, counts: dict[str, Any]) -> int:
    """How many units the usable rows are of, exactly: whole numbers that lie close together by a bitmap, several times faster than by hashing."""
    low, high = counts.pop("first_unit"), counts.pop("last_unit")
    kind = str(rows.types[rows.columns.index("unit")])
    if kind not in _WHOLE or abs(low) > 2**62 or abs(high) > 2**62:
        return int(_one(rows, "prepared", "experiment/distinct")["units"])
    if not high - low < min(BITS_A_ROW * counts["usable"], MOST_BITS):
        return int(_one(rows, "prepared", "experiment/distinct")["units"])
    unit, ends = (
        ColumnExpression("unit").cast("BIGINT"),
        [ConstantExpression(end).cast("BIGINT") for end in (low, high)],
    )
    seen = FunctionExpression("bitstring_agg", where(unit, ColumnExpression("arm").isnotnull()), *ends)
    return int(rows.aggregate([FunctionExpression("bit_count", seen)]).fetchall()[0][0])


def _near(table: Relation, values: int) -> tuple[float, ...]:
    """Means of the first units, 0 where there is none."""
    means = [FunctionExpression("favg", ColumnExpression(f"v{i}")) for i in range(values)]
    try:
        row = table.limit(SAMPLE).aggregate(means).fetchall()[0]
    except duckdb.OutOfRangeException:  # infinite values: the first look at all of them says where
        return (0.0,) * values
    return tuple(0.0 if mean is None or not abs(mean) < LARGEST else float(mean) for mean in row)


def refuse_unbounded(units: Units, place: int) -> None:
    """Ends with the row of a value that is not finite, or with the column whose values are too large."""
    name = units.values[place].name
    looked_at = units.rows.select(ColumnExpression(f"v{place}").alias("value"))
    wrong = _one(looked_at, "looked_at", "experiment/first_unbounded")
    if not wrong["wrong"]:
        raise ExperimentError(f"column {name} holds numbers too large to be added up: rescale it")
    raise ExperimentError(
        f"column {name}, row {wrong['place']} is {wrong['value']} ({wrong['wrong']} such rows): "
        "leave it empty where it is not known"
    )


def _stored(connection: duckdb.DuckDBPyConnection, relation: Relation, name: str) -> Relation:
    """The rows of a relation as a table of the (scratch) database, so that they are computed once."""
    relation.create(name)
    return connection.table(name)


def _rows(relation: Relation, name: str, query: str) -> list[tuple[Any, ...]]:
    result = relation.query(name, load(query))
    assert result is not None  # only statements without a result give None
    found: list[tuple[Any, ...]] = result.fetchall()
    return found


def _one(relation: Relation, name: str, query: str) -> dict[str, Any]:
    result = relation.query(name, load(query))
    assert result is not None
    return dict(zip(result.columns, result.fetchall()[0], strict=True))


def where(column: Expression, known: Expression) -> Expression:
    """The column where `known` says so, NULL elsewhere."""
    return CaseExpression(known, column)
