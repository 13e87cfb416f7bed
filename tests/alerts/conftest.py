"""Fixtures of the alert tests: a real state database, an independent Slack emulator, and a small faulty Slack (`fake_slack`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TextIO

import backlot
import pytest

from alerts.config import shipped
from alerts.deliver import Rules
from alerts.model import Alert, Link, Reading, Severity, Times
from alerts.wiring import Wired, wire
from controlplane.store.state import Commit, StateWriter
from controlplane.store.state_rows import NewMessage
from tests.jobs.slack_server import started

from .fake_slack import FaultySlack, serving

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class State(StateWriter):
    """The real state with short words for tests."""

    def add(self, alert: Alert, outbox_id: str = "", at: datetime = NOW, kind: str = "alert") -> str:
        """Put an alert into the outbox, as a decision does."""
        identity = outbox_id or alert.alert_id
        message = NewMessage(identity, kind, alert.to_dict(), alert.incident_id)
        self.commit(Commit(messages=[message]), at)
        return identity

    def statuses(self) -> dict[str, str]:
        return {item.outbox_id: item.status for item in self.outbox()}


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    writer = State(f"sqlite:///{tmp_path / 'state.sqlite'}")
    writer.migrate(NOW)
    yield writer
    writer.close()


def an_alert(alert_id: str = "a1", incident: str | None = "inc-1", **more: Any) -> Alert:
    """A rollback alert with everything in it; keywords replace fields."""
    fields: dict[str, Any] = {
        "labels": {
            "alertname": "rollback",
            "release": "2026.2",
            "phase": "canary",
            "trigger": "escalation",
            "action": "rollback",
        },
        "annotations": {"title": "Escalations rose", "summary": "Traffic is back on the menu."},
        "severity": Severity.CRITICAL,
        "starts_at": NOW,
        "readings": (
            Reading("escalation", "escalation_rate", "all", 8.4, 7.6, True, 260, 41, 240, 12, estimate="+10.8 points"),
        ),
        "times": Times(NOW - timedelta(minutes=3), NOW, NOW + timedelta(seconds=0.2), NOW + timedelta(seconds=4.2)),
        "customers_exposed": 312,
        "done": ("traffic cut to the menu",),
        "links": (Link("evidence", "http://127.0.0.1:8501/review?a=1&b=2"),),
    }
    return Alert(alert_id=alert_id, incident_id=incident, **{**fields, **more})


def wired(url: str = "", stream: TextIO | None = None, **variables: str) -> Wired:
    """The shipped alerting with a Slack at `url` that has a channel C1 for incidents; `variables` are added to the environment."""
    slack = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_CHANNEL": "C1", "SLACK_BASE_URL": url} if url else {}
    return wire(shipped(), {**slack, **variables}, stream)


def review_rules() -> Rules:
    """The shipped routes where the incidents channel and the one for reviews are configured."""
    return wired("http://127.0.0.1:9", SLACK_REVIEW_CHANNEL="C2").alerting.rules


class Killed(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


@dataclass
class Steps:
    """Counts the steps of a run and dies at one of them."""

    die_at: int = -1
    taken: int = 0

    def step(self) -> None:
        if self.taken == self.die_at:
            self.taken += 1
            raise Killed
        self.taken += 1


class Mortal:
    """Wraps an object so that every call of the named methods has a step before and one after it."""

    def __init__(self, target: Any, steps: Steps, names: tuple[str, ...]) -> None:
        self._target, self._steps, self._names = target, steps, names

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name not in self._names:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            self._steps.step()
            answer = found(*args, **kwargs)
            self._steps.step()
            return answer

        return call


@pytest.fixture
def slack() -> Iterator[FaultySlack]:
    with serving(FaultySlack()) as fake:
        yield fake


@pytest.fixture(scope="session")
def emulator() -> Iterator[backlot.Server]:
    """The independent Slack emulator on a free loopback port; its process ends with the session."""
    with ExitStack() as stack:
        yield started(stack)
