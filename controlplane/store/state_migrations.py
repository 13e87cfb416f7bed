"""The schema of the state database, and how an older one becomes the present one, in one transaction.

New tables are created from their definitions (`controlplane.store.state_tables`); what changes an existing table is a file
`sql/state/NNN_words.sql`, NNN being the schema that it leads to. Statements are such as SQLite and PostgreSQL both understand.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, inspect, select

from controlplane.store import state_incident_tables, state_review_tables  # noqa: F401  their tables belong to the same metadata
from controlplane.store import state_tables as t
from controlplane.store.queries import load
from controlplane.store.state_rows import to_text

SCHEMA_VERSION = 4
_STEPS = {
    2: "state/002_accepted_and_contained",
    4: "state/004_incidents",
}  # schema 3 only adds tables: the review queue


def migrate(connection: Connection, now: datetime) -> None:
    """Create what is missing, apply the steps behind the schema found. Raises RuntimeError for a schema newer than this program's."""
    found = _schema(connection)
    if found > SCHEMA_VERSION:
        raise RuntimeError(
            f"the state has schema {found}, this program knows {SCHEMA_VERSION}: install the newer program"
        )
    t.metadata.create_all(connection)
    if found == 0:
        connection.execute(insert(t.schema_version).values(version=SCHEMA_VERSION, applied_at=to_text(now)))
        connection.execute(insert(t.state_version).values(id=1, version=0))
        return
    for version in range(found + 1, SCHEMA_VERSION + 1):
        for statement in _statements(load(_STEPS[version])) if version in _STEPS else []:
            connection.exec_driver_sql(statement)
        connection.execute(insert(t.schema_version).values(version=version, applied_at=to_text(now)))


def _schema(connection: Connection) -> int:
    """The schema that the database has; 0 for an empty one."""
    if not inspect(connection).has_table(t.schema_version.name):
        return 0
    return int(connection.execute(select(func.max(t.schema_version.c.version))).scalar() or 0)


def _statements(text: str) -> list[str]:
    """The statements of a file without its comment lines."""
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [statement.strip() for statement in code.split(";") if statement.strip()]
