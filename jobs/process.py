"""What a control process leaves in the workspace so that commands find it: `control.json` with its URL and process id."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from controlplane.settings import Settings


def _path(settings: Settings) -> Path:
    return settings.workspace.home / "control.json"


def announce(settings: Settings, url: str) -> None:
    """Say where this process serves."""
    path = _path(settings)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}))
    draft.replace(path)


def withdraw(settings: Settings) -> None:
    """Take the announcement back, if it is ours."""
    found = _read(settings)
    if found is not None and found["pid"] == os.getpid():
        _path(settings).unlink(missing_ok=True)


def control_url(settings: Settings) -> str | None:
    """URL of the running control process; None when none is announced or the announcing process is gone."""
    if settings.control_url:
        return settings.control_url
    found = _read(settings)
    if found is None:
        return None
    try:
        os.kill(int(found["pid"]), 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return str(found["url"])


def _read(settings: Settings) -> dict[str, Any] | None:
    try:
        value: dict[str, Any] = json.loads(_path(settings).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return value
