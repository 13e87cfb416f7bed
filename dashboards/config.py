"""Where the pages look: the workspace and, if there is one, the control process. The only place here that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DEFAULT_HOME = ".controlplane"
REFRESH_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Config:
    """Workspace folder, URL of the control API and its token; without both of these the pages only read."""

    home: Path
    control_url: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def snapshots(self) -> Path:
        """Folder of the published snapshots."""
        return self.home / "snapshots"

    @property
    def may_act(self) -> bool:
        """Whether hold, resume and roll back can be asked for from here."""
        return bool(self.control_url and self.token)


def load(env: Mapping[str, str] | None = None) -> Config:
    """From CONTROLPLANE_HOME, CONTROLPLANE_URL and CONTROLPLANE_TOKEN."""
    values = os.environ if env is None else env
    url = values.get("CONTROLPLANE_URL") or None
    home = Path(values.get("CONTROLPLANE_HOME") or DEFAULT_HOME)
    return Config(home, url.rstrip("/") if url else None, values.get("CONTROLPLANE_TOKEN") or None)
