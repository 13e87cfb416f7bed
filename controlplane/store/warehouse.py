"""Opens the warehouse: the DuckDB file with facts and rollups.

Rules
- One process writes. DuckDB locks the file against every other process, read-only ones too; the error says who holds it
  and what to do.
- One `cursor()` per thread; a connection is never shared between threads. `close()` also closes the cursors, because the
  file stays locked as long as one of them lives.
- Times are naive UTC in the file, and the session's time zone is UTC, so no text with an offset is ever read as local time.
- The file is created with a pinned storage version, so that an older reader can open it, and brought up to date by the
  numbered files in sql/migrations, each applied once in a transaction of its own.
- Nothing is fetched over the network: extensions are never installed on demand.
"""

import re
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb

from controlplane.store.queries import load, migrations

STORAGE_VERSION = "v1.5.0"
DEFAULT_MEMORY_LIMIT = "512MB"
_HOLDER = re.compile(r"PID (\d+)")


class WarehouseError(Exception):
    """The warehouse can't be opened; the message names the file, the cause and the remedy."""


class WarehouseLocked(WarehouseError):
    """Another process has the warehouse open."""


class Warehouse:
    """An open warehouse. Use `Warehouse.open`, as a context manager or with `close()`."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, path: Path, read_only: bool) -> None:
        self.path = path
        self.read_only = read_only
        self._connection = connection
        self._cursors: weakref.WeakSet[duckdb.DuckDBPyConnection] = weakref.WeakSet()

    @classmethod
    def open(
        cls,
        path: Path | str,
        read_only: bool = False,
        memory_limit: str = DEFAULT_MEMORY_LIMIT,
        threads: int | None = None,
    ) -> "Warehouse":
        """Open the file at `path`; a writer creates it and applies the missing migrations.

        memory_limit is DuckDB's own (for example "512MB"); beyond it DuckDB spills beside the file.
        Raises WarehouseLocked when another process holds the file, WarehouseError for every other cause.
        """
        path = Path(path)
        if read_only and not path.is_file():
            raise WarehouseError(f"no warehouse at {path}; `controlplane ingest` or `controlplane up` creates it")
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        warehouse = cls(_connect(path, read_only, memory_limit, threads), path, read_only)
        try:
            warehouse._check_schema() if read_only else warehouse._migrate()
        except BaseException:
            warehouse.close()
            raise
        return warehouse

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own for the calling thread, closed with the warehouse at the latest."""
        cursor = self._connection.cursor()
        self._cursors.add(cursor)
        return cursor

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor inside one transaction: committed at the end, rolled back when the block raises."""
        cursor = self.cursor()
        try:
            cursor.execute("BEGIN TRANSACTION")
            try:
                yield cursor
            except BaseException:
                # After some errors DuckDB has already aborted the transaction; the first error is the one to show.
                with suppress(duckdb.Error):
                    cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
        finally:
            cursor.close()

    def checkpoint(self) -> None:
        """Write the log into the file, so that it is small and quick to open."""
        cursor = self.cursor()
        try:
            cursor.execute("CHECKPOINT")
        finally:
            cursor.close()

    def close(self) -> None:
        """Close every cursor and release the file; closing twice is harmless."""
        for cursor in list(self._cursors):
            cursor.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _applied(self, cursor: duckdb.DuckDBPyConnection) -> set[int]:
        return {int(row[0]) for row in cursor.execute(load("staging/schema_migrations_applied")).fetchall()}

    def _migrate(self) -> None:
        with self.transaction() as cursor:
            cursor.execute(load("staging/schema_migrations_create"))
            applied = self._applied(cursor)
        known = migrations()
        unknown = applied - {number for number, _ in known}
        if unknown:
            raise WarehouseError(
                f"{self.path} was written by a newer version (migration {max(unknown)}); update controlplane"
            )
        for number, name in known:
            if number not in applied:
                with self.transaction() as cursor:
                    cursor.execute(load(name))
                    cursor.execute(load("staging/schema_migrations_record"), [number, name])

    def _check_schema(self) -> None:
        cursor = self.cursor()
        try:
            applied = self._applied(cursor)
        except duckdb.CatalogException as error:
            raise WarehouseError(f"{self.path} is a DuckDB file, but not a warehouse of controlplane") from error
        finally:
            cursor.close()
        missing = [name for number, name in migrations() if number not in applied]
        if missing:
            raise WarehouseError(
                f"{self.path} lacks {', '.join(missing)}; open it once for writing, for example with `controlplane up`"
            )


def _connect(path: Path, read_only: bool, memory_limit: str, threads: int | None) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "storage_compatibility_version": STORAGE_VERSION,
        "memory_limit": memory_limit,
        "TimeZone": "UTC",
        "autoinstall_known_extensions": False,
    }
    if threads is not None:
        config["threads"] = threads
    try:
        return duckdb.connect(str(path), read_only=read_only, config=config)
    except duckdb.IOException as error:
        if "Could not set lock" not in str(error):
            raise WarehouseError(f"can't open the warehouse {path}: {error}") from error
        holder = _HOLDER.search(str(error))
        who = f"process {holder.group(1)}" if holder else "another process"
        raise WarehouseLocked(
            f"the warehouse {path} is in use by {who}; while `controlplane up` runs, leave files to it"
            " (ask it with `controlplane sql`), or stop that process and try again"
        ) from error
    except duckdb.Error as error:
        raise WarehouseError(f"can't open the warehouse {path}: {error}") from error
