"""`controlplane ingest`: finished logs into the facts, by this process or, while one runs, by the control process."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from controlplane.ingest.columns import ColumnMapError
from controlplane.settings import Settings
from controlplane.store.facts import IngestError, SourceError, load_map
from controlplane.store.rollups import refresh
from controlplane.store.warehouse import Warehouse
from jobs import inbox
from jobs.compose import workspace_settings
from jobs.console import BAD_INPUT, OUTSIDE, fail, stderr
from jobs.ingest import ingest_paths
from jobs.process import announced

Counts = dict[str, int]


def ingest_command(home: str | None, paths: list[Path], map_name: str | None, now: datetime) -> Counts:
    """Counts over all files: read = stored + duplicates + quarantined. Ends with a message and exit code 2 on bad input."""
    settings = workspace_settings(home)
    try:
        if announced(settings) is not None:
            return _through_control(settings, paths, map_name)
        column_map = load_map(map_name) if map_name else None
        with Warehouse.open(settings.workspace.facts) as warehouse:
            key = settings.hmac_key
            counts = ingest_paths(warehouse, paths, now=now, key=key, map=column_map, console=stderr)
            refresh(warehouse, now)
    except (SourceError, ColumnMapError) as error:
        fail(str(error), BAD_INPUT)
    except IngestError as error:
        fail(str(error), OUTSIDE)
    return {
        "read": counts.read,
        "stored": counts.stored,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
    }


def _through_control(settings: Settings, paths: list[Path], map_name: str | None) -> Counts:
    def wait() -> None:
        if announced(settings) is None:
            fail("the control process ended before it had stored the files: run the same command again", OUTSIDE)
        time.sleep(0.2)

    with stderr.status("the control process is storing the files"):
        answer = inbox.ask(settings.workspace.home, paths, map_name, wait)
    if "error" in answer:
        fail(str(answer["error"]), BAD_INPUT)
    return answer
