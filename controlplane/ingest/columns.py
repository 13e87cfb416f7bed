"""Column maps: how an export with other names becomes records of the landing schema.

A map is a small TOML file:

    version = 1
    record = "interaction"              # record type of the rows (default)
    extra = "rest"                      # unmapped columns go to `extra` ("rest", the default for rows), or a list of columns

    [fields]                            # target field -> source column or path (a.b.0 goes into objects and arrays)
    conversation_id = "session.id"
    interaction_id = { template = "{session.id}-{n}" }
    arm = { from = "group", values = { treatment = "assistant", control = "baseline" } }

    [constants]                         # target field -> the same value on every record
    channel = "chat"

    [messages]                          # only for conversation-shaped sources: one row holds one conversation in the
    at = "messages"                     # OpenAI messages format; see conversations.py
    escalation_tools = ["transfer_to_human_agents"]

Rules
- A translation names every value it knows; another value stays as it is, and the checks of ingest judge it.
- Every key of the file is known or an error that names the file and the key. A field can come from one place only.
- A path that leads nowhere is null; whether that is allowed, the schema says. A template with a missing part is an error
  of the row (reason `unmapped`).
- The fingerprint of a mapped row is taken of the whole source row, so a second read of the same row is a duplicate.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from controlplane.ingest.schema import DEFAULT_RECORD, RECORDS, RecordType

MAP_VERSION = 1
REST = "rest"
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class ColumnMapError(ValueError):
    """The map itself is wrong; the message names the file, the key and what is allowed."""


class UnmappedRow(ValueError):
    """The map is right, but can't be applied to this row; the message names the field and the column."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a field comes from: a path, or a template of paths; `values` translates the text of what is found."""

    path: str | None
    template: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Messages:
    """Where a conversation's messages are, and which tools hand it to a person."""

    at: str
    escalation_tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """A parsed column map."""

    name: str
    record: RecordType
    fields: Mapping[str, Source]
    constants: Mapping[str, Any]
    extra: str | tuple[str, ...]
    messages: Messages | None

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The record of one source row (for a conversation: what its turns have in common), without missing fields.
        Raises UnmappedRow."""
        record: dict[str, Any] = dict(self.constants)
        for target, source in self.fields.items():
            value = _value(row, source, target)
            if value is not None:
                record[target] = value
        kept = self._kept(row)
        if kept:
            extra = record.get("extra")
            record["extra"] = {**kept, **extra} if isinstance(extra, Mapping) else kept
        if self.record.name != DEFAULT_RECORD:
            record["record"] = self.record.name
        return record

    def _kept(self, row: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(self.extra, str):
            return {path: value for path in self.extra if (value := find(row, path)) is not None}
        used = {source.path.split(".")[0] for source in self.fields.values() if source.path}
        if self.messages:
            used.add(self.messages.at.split(".")[0])
        return {name: value for name, value in row.items() if name not in used and value is not None}


def find(row: Any, path: str) -> Any:
    """The value at a path like `a.b.0`, or None. A column whose own name is the whole path wins."""
    if isinstance(row, Mapping) and path in row:
        return row[path]
    for step in path.split("."):
        if isinstance(row, str) and row[:1] in ("{", "["):
            row = _decoded(row)
        if isinstance(row, Mapping):
            row = row.get(step)
        elif isinstance(row, list) and step.isdecimal() and int(step) < len(row):
            row = row[int(step)]
        else:
            return None
    return row


def parse_map(text: str, name: str) -> ColumnMap:
    """Parse the text of a map; `name` is what error messages call it. Raises ColumnMapError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ColumnMapError(f"{name}: not valid TOML: {error}") from error
    _known(table, ("version", "record", "extra", "description", "fields", "constants", "messages"), name, "")
    if table.get("version") != MAP_VERSION:
        raise ColumnMapError(f"{name}: version must be {MAP_VERSION}, not {table.get('version')!r}")
    record = RECORDS.get(str(table.get("record", DEFAULT_RECORD)))
    if record is None or record.table is None:
        known = ", ".join(kind for kind, each in RECORDS.items() if each.table)
        raise ColumnMapError(f"{name}: record {table['record']!r} is unknown; one of {known}")
    fields = {target: _source(spec, name, target) for target, spec in _table(table, "fields", name).items()}
    constants = _table(table, "constants", name)
    messages = _messages(_table(table, "messages", name), name) if "messages" in table else None
    _check_targets(fields, constants, record, messages, name)
    return ColumnMap(name, record, fields, constants, _extra(table, messages, name), messages)


def _value(row: Mapping[str, Any], source: Source, target: str) -> Any:
    value = find(row, source.path) if source.path else _fill(row, source.template or "", target)
    if value is None or not source.values:
        return value
    return source.values.get(value if isinstance(value, str) else json.dumps(value), value)


def _fill(row: Mapping[str, Any], template: str, target: str) -> str:
    def part(match: re.Match[str]) -> str:
        value = find(row, match.group(1))
        if value is None or isinstance(value, Mapping | list):
            raise UnmappedRow(f"{target}: the row has no {match.group(1)}")
        return str(value)

    return _PLACEHOLDER.sub(part, template)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _known(table: Mapping[str, Any], allowed: tuple[str, ...], name: str, where: str) -> None:
    for key in table:
        if key not in allowed:
            raise ColumnMapError(f"{name}: unknown key {where}{key}; allowed: {', '.join(allowed)}")


def _table(table: Mapping[str, Any], key: str, name: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise ColumnMapError(f"{name}: {key} must be a table")
    return value


def _source(spec: Any, name: str, target: str) -> Source:
    if isinstance(spec, str):
        return Source(spec)
    if not isinstance(spec, dict):
        raise ColumnMapError(f"{name}: fields.{target} must be a column name or a table")
    _known(spec, ("from", "template", "values"), name, f"fields.{target}.")
    path, template, values = spec.get("from"), spec.get("template"), spec.get("values", {})
    if (path is None) == (template is None):
        raise ColumnMapError(f"{name}: fields.{target} needs either `from` or `template`")
    if not isinstance(path or template, str) or not isinstance(values, dict):
        raise ColumnMapError(f"{name}: fields.{target}: `from` and `template` are texts, `values` is a table")
    return Source(path, template, values)


def _messages(spec: Mapping[str, Any], name: str) -> Messages:
    _known(spec, ("at", "escalation_tools"), name, "messages.")
    at, tools = spec.get("at"), spec.get("escalation_tools", [])
    if not isinstance(at, str) or not at:
        raise ColumnMapError(f"{name}: messages.at must name the column that holds the messages array")
    if not isinstance(tools, list) or not all(isinstance(tool, str) for tool in tools):
        raise ColumnMapError(f"{name}: messages.escalation_tools must be a list of tool names")
    return Messages(at, tuple(tools))


def _extra(table: Mapping[str, Any], messages: Messages | None, name: str) -> str | tuple[str, ...]:
    extra = table.get("extra", [] if messages else REST)
    if extra == REST:
        return REST
    if not isinstance(extra, list) or not all(isinstance(path, str) for path in extra):
        raise ColumnMapError(f'{name}: extra must be "{REST}" or a list of columns')
    return tuple(extra)


def _check_targets(
    fields: Mapping[str, Source],
    constants: Mapping[str, Any],
    record: RecordType,
    messages: Messages | None,
    name: str,
) -> None:
    for target in (*fields, *constants):
        if target not in record.names():
            raise ColumnMapError(f"{name}: {record.name} has no field {target}; fields: {', '.join(record.names())}")
    both = set(fields) & set(constants)
    if both:
        raise ColumnMapError(f"{name}: {', '.join(sorted(both))} is both a field and a constant")
    derived = ("interaction_id", "turn") if messages else ()
    for target in derived:
        if target in fields or target in constants:
            raise ColumnMapError(f"{name}: {target} comes from the messages; remove it from the map")
    if messages and record.name != DEFAULT_RECORD:
        raise ColumnMapError(f"{name}: messages become interactions; remove `record`")
    for required in record.fields:
        if required.required and required.name not in (*fields, *constants, *derived):
            raise ColumnMapError(f"{name}: the required field {required.name} has no source")
