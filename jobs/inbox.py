"""Requests to the control process through the workspace: `inbox/ID.json`, answered by `inbox/ID.done.json`.

The facts have one writer. While a control process runs, `controlplane ingest` leaves its request here and waits; the process
works it off with its next heartbeat (`jobs.requests`). Ingest is idempotent, so a crash in between only repeats work.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from controlplane.ingest.columns import ColumnMapError
from controlplane.store.facts import IngestError, SourceError, load_map
from jobs import requests
from jobs.deps import Deps
from jobs.ingest import ingest_paths
from jobs.requests import Answer

FOLDER = "inbox"


def ask(home: Path, paths: list[Path], map_name: str | None, wait: Callable[[], None]) -> Answer:
    """Leave a request and call `wait` until it is answered. `wait` ends the waiting by raising."""
    map_path = str(Path(map_name).resolve()) if map_name and Path(map_name).is_file() else map_name
    return requests.ask(home / FOLDER, {"paths": [str(path.resolve()) for path in paths], "map": map_path}, wait)


def run(deps: Deps, now: datetime, between: Callable[[], None] = lambda: None) -> int:
    """Work off the requests; how many there were. `between` is called whenever a part of a file has been stored."""
    return requests.work_off(deps.home / FOLDER, now, lambda wish: _carry_out(deps, wish, now, between))


def _carry_out(deps: Deps, wish: Answer, now: datetime, between: Callable[[], None]) -> Answer:
    try:
        column_map = load_map(wish["map"]) if wish["map"] else None
        paths = [Path(path) for path in wish["paths"]]
        counts = ingest_paths(deps.warehouse, paths, now=now, key=deps.hmac_key, map=column_map, between=between)
    except (SourceError, IngestError, ColumnMapError) as error:
        return {"error": str(error)}
    return {
        "read": counts.read,
        "stored": counts.stored,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
    }
