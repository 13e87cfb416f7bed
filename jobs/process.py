"""What a control process leaves in the workspace so that commands find it: `control.json` with its URL and process id.

The process holds a lock on the file while it lives. The lock dies with it, so a file that `kill -9` left behind is told from a
living one without asking whether its process id exists: that number may belong to another program by now.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any, TextIO

from controlplane.settings import Settings

_announced: dict[Path, TextIO] = {}  # open and locked as long as this process serves the workspace


def _path(settings: Settings) -> Path:
    return settings.workspace.home.resolve() / "control.json"


def announce(settings: Settings, url: str) -> None:
    """Say where this process serves."""
    path = _path(settings)
    draft = path.with_suffix(".tmp")
    file = draft.open("w", encoding="utf-8")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(json.dumps({"url": url, "pid": os.getpid()}))
    file.flush()
    draft.replace(path)
    _announced[path] = file


def withdraw(settings: Settings) -> None:
    """Take the announcement back, if it is ours."""
    path = _path(settings)
    file = _announced.pop(path, None)
    if file is None:
        return
    found = _read(path)
    if found is not None and found["pid"] == os.getpid():
        path.unlink(missing_ok=True)
    file.close()


def announced(settings: Settings) -> dict[str, Any] | None:
    """`url` and `pid` of the living process that serves this workspace; None when there is none."""
    path = _path(settings)
    return _read(path) if _is_held(path) else None


def left_behind(settings: Settings) -> int | None:
    """Id of the process that announced itself here and ended without taking that back, hence hard."""
    path = _path(settings)
    found = None if _is_held(path) else _read(path)
    return None if found is None else int(found["pid"])


def control_url(settings: Settings) -> str | None:
    """URL of the control process: the configured one, else that of the one that serves this workspace; None without either."""
    if settings.control_url:
        return settings.control_url
    found = announced(settings)
    return None if found is None else str(found["url"])


def _is_held(path: Path) -> bool:
    try:
        file = path.open(encoding="utf-8")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value
