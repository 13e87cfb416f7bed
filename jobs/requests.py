"""Requests to the control process through a folder of the workspace: `FOLDER/ID.json`, answered by `FOLDER/ID.done.json`.

Who may write into the workspace may ask; nothing goes over the network. A request stays until its answer is written, so one that a dead process
left is answered by the next. `jobs.inbox` (files to store, within the heartbeat) and `jobs.work` (analyses, beside it) are what can be asked.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.files import write_whole

log = logging.getLogger("controlplane.jobs")

Answer = dict[str, Any]

KEPT_SECONDS = 24 * 3600.0
DONE = ".done.json"


def ask(folder: Path, wish: Mapping[str, Any], wait: Callable[[], None]) -> Answer:
    """Leave a request and call `wait` until it is answered. `wait` ends the waiting by raising."""
    key = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex}"  # worked off in the order of asking
    asked, done = folder / f"{key}.json", folder / f"{key}{DONE}"
    write_whole(asked, json.dumps(dict(wish)))
    try:
        while not done.exists():
            wait()
    except BaseException:
        asked.unlink(missing_ok=True)  # nobody waits for it any more
        raise
    answer: Answer = json.loads(done.read_text(encoding="utf-8"))
    done.unlink()
    return answer


def work_off(folder: Path, now: datetime, carry_out: Callable[[Answer], Answer]) -> int:
    """Answer what was asked; how many there were.

    Whatever a request does, it is answered: one that is left would come again and again.
    """
    requests = sorted(folder.glob("*.json")) if folder.is_dir() else []
    waiting = [path for path in requests if not path.name.endswith(DONE)]
    for path in set(requests) - set(waiting):
        with suppress(FileNotFoundError):  # taken at this moment
            if now.timestamp() - path.stat().st_mtime > KEPT_SECONDS:  # who asked has ended without taking the answer
                path.unlink()
    for path in waiting:
        write_whole(path.with_suffix(DONE), json.dumps(_answer(path, carry_out)))
        path.unlink(missing_ok=True)
    return len(waiting)


def _answer(path: Path, carry_out: Callable[[Answer], Answer]) -> Answer:
    try:
        return carry_out(json.loads(path.read_text(encoding="utf-8")))
    except Exception as error:
        log.exception("the request %s failed", path.name)
        return {"error": f"{type(error).__name__}: {error}"}
