"""Requests to the control process through the workspace: `inbox/ID.json`, answered by `inbox/ID.done.json`.

The facts have one writer. While a control process runs, `controlplane ingest` leaves its request here and waits; the process
works it off with its next heartbeat. Who may write into the workspace may ask; nothing goes over the network. A request stays
until its answer is written, and ingest is idempotent, so a crash in between only repeats work.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from controlplane.ingest.columns import ColumnMapError
from controlplane.store.facts import IngestError, SourceError, load_map
from jobs.deps import Deps
from jobs.ingest import ingest_paths

log = logging.getLogger("controlplane.jobs")

Answer = dict[str, Any]
KEPT_SECONDS = 24 * 3600.0


def _folder(home: Path) -> Path:
    folder = home / "inbox"
    folder.mkdir(exist_ok=True)
    return folder


def _write(path: Path, value: Answer) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(value), encoding="utf-8")
    draft.replace(path)


def ask(home: Path, paths: list[Path], map_name: str | None, wait: Callable[[], None]) -> Answer:
    """Leave a request and call `wait` until it is answered. `wait` ends the waiting by raising."""
    folder = _folder(home)
    key = uuid.uuid4().hex
    map_path = str(Path(map_name).resolve()) if map_name and Path(map_name).is_file() else map_name
    _write(folder / f"{key}.json", {"paths": [str(path.resolve()) for path in paths], "map": map_path})
    done = folder / f"{key}.done.json"
    try:
        while not done.exists():
            wait()
    except BaseException:
        (folder / f"{key}.json").unlink(missing_ok=True)  # nobody waits for it any more
        raise
    answer: Answer = json.loads(done.read_text(encoding="utf-8"))
    done.unlink()
    return answer


def run(deps: Deps, now: datetime, between: Callable[[], None] = lambda: None) -> int:
    """Work off the requests; how many there were. `between` is called whenever a part of a file has been stored."""
    folder = deps.home / "inbox"
    requests = sorted(folder.glob("*.json")) if folder.is_dir() else []
    waiting = [path for path in requests if not path.name.endswith(".done.json")]
    for path in set(requests) - set(waiting):
        if now.timestamp() - path.stat().st_mtime > KEPT_SECONDS:  # who asked has ended without taking the answer
            path.unlink(missing_ok=True)
    for path in waiting:
        _write(path.with_suffix(".done.json"), _answer(deps, path, now, between))
        path.unlink(missing_ok=True)
    return len(waiting)


def _answer(deps: Deps, path: Path, now: datetime, between: Callable[[], None]) -> Answer:
    """Whatever a request does, it is answered: one that is left would come again at every heartbeat and stop the judging."""
    try:
        return _carry_out(deps, json.loads(path.read_text(encoding="utf-8")), now, between)
    except Exception as error:
        log.exception("the request %s failed", path.name)
        return {"error": f"{type(error).__name__}: {error}"}


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
