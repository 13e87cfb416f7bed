"""What the jobs work with. Built once by the composition root (`jobs.compose`), handed to every job's `run(deps, now)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from alerts.config import Alerting
from alerts.deliver import Pauses, Receiver, Rules
from controlplane.core.assignment import Unit
from controlplane.core.policy import Policy
from controlplane.settings import Settings
from controlplane.store.state import StateWriter
from controlplane.store.warehouse import Warehouse
from jobs.courier import Courier

FlagProbe = Callable[[str, Unit], dict[str, Any]]  # (server URL, synthetic customer) -> {"arm", "version"}


@dataclass
class Deps:
    """Open stores, the policy in force and the outside world of one control process."""

    settings: Settings
    warehouse: Warehouse
    state: StateWriter
    policy: Policy
    receivers: Mapping[str, Receiver] = field(default_factory=dict)
    rules: Rules | None = None
    pauses: Pauses | None = None
    courier: Courier | None = None  # delivers beside the heartbeat; None: delivery is a step of it
    delivering: Lock = field(default_factory=Lock)  # two rounds at once would tell the same twice
    alerting: Alerting | None = (
        None  # people, ladder and rules as read from the alerting file; `rules` above are its rules
    )
    probe: FlagProbe | None = None
    flag_urls: tuple[str, ...] = ()
    reread_flags: Callable[[datetime], None] | None = None  # this process's own flags follow a commit at once
    dashboard_url: str | None = None
    last_beat: datetime | None = None  # when a heartbeat last did all its steps
    failing: str | None = None  # what stopped the newest one
    refutations_looked_at: datetime | None = (
        None  # when verified containments were last held against what has landed since
    )
    strays: tuple[frozenset[str], datetime] | None = (
        None  # severe evaluations of no conversation of ours, and when they were looked up
    )
    arms_seen: tuple[str, int] | None = (
        None  # rollout and version for which every flag server was seen to serve the right arms
    )

    @property
    def home(self) -> Path:
        """The workspace folder."""
        return self.settings.workspace.home

    @property
    def landing(self) -> Path:
        """Folder whose files are ingested."""
        return self.settings.workspace.landing

    @property
    def snapshots(self) -> Path:
        """Folder that dashboards read."""
        return self.settings.workspace.snapshots

    @property
    def reports(self) -> Path:
        """Folder of artefacts."""
        return self.settings.workspace.reports

    @property
    def hmac_key(self) -> bytes:
        """Key under which raw records are compared."""
        return self.settings.hmac_key
