"""The alerting of a workspace: which file says it, and the receivers that are configured here."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

from alerts.config import SHIPPED, Alerting, load, shipped_text
from alerts.wiring import ReceiverError, Wired, wire
from controlplane.settings import Settings, SettingsError
from jobs import alert_charts
from jobs.deps import Deps


def text_of(settings: Settings) -> tuple[str, str]:
    """Text and name of the file named by CONTROLPLANE_ALERTING, else of `alerting.toml` of the workspace, else of the one that ships."""
    path = settings.alerting_path
    if path is None and not settings.workspace.alerting.exists():
        return shipped_text(), SHIPPED
    return read_text(path or settings.workspace.alerting)


def read_text(path: Path) -> tuple[str, str]:
    """Text and name of a file. Raises SettingsError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8"), str(path)
    except FileNotFoundError:
        raise SettingsError(f"alerting file {path} does not exist: name a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"alerting file {path} cannot be read: {error}") from None


def read(settings: Settings) -> Alerting:
    """The alerting of the settings. Raises AlertingError naming file, line and key, SettingsError for a file that cannot be read."""
    return load(*text_of(settings))


def wired(settings: Settings, stream: TextIO | None = None) -> Wired:
    """The alerting of the settings with the receivers that are configured. Raises as `read`, and SettingsError for half a receiver."""
    try:
        return wire(read(settings), settings.alert_variables, stream)
    except ReceiverError as error:
        raise SettingsError(str(error)) from None


def connect(deps: Deps, stream: TextIO | None = None) -> None:
    """Give the jobs their receivers, rules and alerting."""
    found = wired(deps.settings, stream)
    deps.receivers, deps.rules, deps.alerting = found.receivers, found.alerting.rules, found.alerting
    alert_charts.attach(deps)
