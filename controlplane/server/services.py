"""What the server needs from the rest, as values and small protocols. Nothing here opens or decides anything.

The server knows the flag reader and the landing writer by their protocols; everything that is somebody else's work (control
actions, queries, status) is a callable that whoever starts the process puts in. Callables may block: the server runs them in
threads. They say no by raising `ActionRefused` or `QueryRefused` with a sentence for the person who asked; any other exception
is an internal error, of which the asker only sees a reference.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from controlplane.core.assignment import Exposure, Unit
from controlplane.core.model import Rollout
from controlplane.core.roles import Permission
from controlplane.core.roles import Role as Role


class FlagReading(Protocol):
    """Says what a customer is served now; `controlplane.store.flags.FlagReader` is one."""

    def evaluate(self, unit: Unit, now: datetime) -> Exposure: ...


class Landing(Protocol):
    """Takes records durably and masked before it returns; `controlplane.store.landing.LandingWriter` is one."""

    def write(self, records: Iterable[Mapping[str, Any]]) -> int: ...


class ControlAction(StrEnum):
    """What a person may ask of the rollout, as it stands in the path."""

    HOLD = "hold"
    RESUME = "resume"
    ROLLBACK = "rollback"
    PROMOTE = "promote"
    DISABLE_EXECUTION = "disable-execution"
    ENABLE_EXECUTION = "enable-execution"


@dataclass(frozen=True, slots=True)
class ActionRequest:
    """A person's wish. `actor` is who says so, `role` is what the token proves; both belong into the audit log.

    `expected_version` is the rollout's version that the person was looking at, or None.
    """

    action: ControlAction
    actor: str
    reason: str
    role: Role
    expected_version: int | None = None


class ActionRefused(Exception):
    """The action is not possible now; the message says why and what would make it possible. Nothing has changed."""


class QueryRefused(Exception):
    """The query is wrong or not allowed; the message is for the person who wrote it."""


@dataclass(frozen=True, slots=True)
class SqlResult:
    """Rows of a read-only query, at most as many as were asked for; `truncated` says that there were more."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the process is: `watermark` is up to when all data has come in, None when there is none yet.

    `last_beat` is when a heartbeat last did all its steps, None before the first; `failing` says why the newest one did not.
    """

    rollout: Rollout | None
    state_version: int
    watermark: datetime | None
    outbox_depth: int
    outbox_dead: int
    last_beat: datetime | None = None
    failing: str | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes above which a request is refused: bytes of a body, lines of records, rows of a query."""

    body_bytes: int = 64 * 1024
    records_bytes: int = 8 * 1024 * 1024
    records_lines: int = 20_000
    sql_rows: int = 10_000


class Asking(Protocol):
    """What pages ask of the control process beside the snapshot: rows of the facts at once, long work as a task. `jobs.asking.Desk` is one."""

    def permission(self, name: str) -> Permission | None:
        """What asking for it takes; None when there is no such thing."""
        ...

    def ask(self, name: str, arguments: Mapping[str, Any], actor: str) -> Mapping[str, Any]:
        """`{"answer": ...}`, or `{"task": id}` for long work. Raises ActionRefused (not now) and QueryRefused (wrong arguments)."""
        ...

    def task(self, task_id: str) -> Mapping[str, Any] | None:
        """How long work stands: `name`, `state`, `part` (0..1 or None), `text`, and `answer` when done; None when it is not known."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackDoor:
    """How requests of Slack come in by HTTP.

    `take(kind, payload)` keeps a press or command ("interaction" or "command") durably and returns what Slack is answered at once ({}: nothing but
    200); it raises ValueError for a request that makes no sense. `now` is the real time in seconds since 1970, whatever the process's clock says.
    """

    signing_secret: str = field(repr=False)
    take: Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
    now: Callable[[], float] = time.time


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything the server works with.

    `tokens` maps each accepted token to its role. With `open_flags` flags are served without a token (nothing else is).
    `max_data_age_seconds` makes `/readyz` fail on older data; None never does. `slack`: None where no signing secret is configured.
    """

    flags: FlagReading
    landing: Landing
    vitals: Callable[[], Vitals]
    status: Callable[[], Mapping[str, Any]]
    act: Callable[[ActionRequest], Mapping[str, Any]]
    sql: Callable[[str, int], SqlResult]
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    tokens: Mapping[str, Role] = field(repr=False)
    open_flags: bool = False
    max_data_age_seconds: float | None = None
    slack: SlackDoor | None = None
    asking: Asking | None = None
    limits: Limits = field(default_factory=Limits)
