"""Where the pages look: the workspace and, if there is one, the control process. The only place here that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controlplane.core.roles import Role
from controlplane.settings_dashboards import Serving, read

DEFAULT_HOME = ".controlplane"
REFRESH_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Config:
    """Workspace folder, URL of the control API and its token; without both of these the pages only read.

    `role` is what everybody has where the pages run without their server (a test, a script); the server asks who somebody is.
    """

    home: Path
    control_url: str | None = None
    token: str | None = field(default=None, repr=False)
    role: Role | None = None
    alerting_path: Path | None = None

    @property
    def alerting(self) -> Path:
        """The file that has the people and their roles."""
        return self.alerting_path or self.home / "alerting.toml"

    @property
    def snapshots(self) -> Path:
        """Folder of the published snapshots."""
        return self.home / "snapshots"

    @property
    def may_act(self) -> bool:
        """Whether there is a control process to ask; whether a person may is another question (`person.may`)."""
        return bool(self.control_url and self.token)


def load(env: Mapping[str, str] | None = None) -> Config:
    """From CONTROLPLANE_HOME, _URL, _TOKEN, _ALERTING and _DASHBOARD_ROLE; an unknown role is none."""
    values = os.environ if env is None else env
    url = values.get("CONTROLPLANE_URL") or None
    home = Path(values.get("CONTROLPLANE_HOME") or DEFAULT_HOME)
    role = next((known for known in Role if known == values.get("CONTROLPLANE_DASHBOARD_ROLE")), None)
    alerting = Path(values["CONTROLPLANE_ALERTING"]) if values.get("CONTROLPLANE_ALERTING") else None
    return Config(home, url.rstrip("/") if url else None, values.get("CONTROLPLANE_TOKEN") or None, role, alerting)


def serving(env: Mapping[str, str] | None = None) -> Serving:
    """How the server is to serve. Raises SettingsError naming the variable."""
    return read(os.environ if env is None else env)
