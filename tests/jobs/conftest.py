"""A workspace with real stores, and facts made by hand: conversations with a planted escalation rate per arm."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from alerts.receivers.console import ConsoleReceiver
from controlplane import settings as settings_module
from controlplane.core.policy import Policy, parse
from controlplane.store.state import StateWriter
from controlplane.store.utc import to_naive
from controlplane.store.warehouse import Warehouse
from jobs import actions, notify
from jobs.deps import Deps

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

POLICY = """
schema = 1
name = "test"
owner = "tests"
baseline = "menu"
[budget]
horizon_weeks = 0.1
[assignment]
salt = "s"
[watch]
lateness_seconds = 0
freshness_seconds = 300
[evaluation]
required = false
[[phases]]
name = "ramp"
audience = "eligible"
shares = [0.2, 0.5]
min_minutes = 5
min_treated = 50
certificates = ["escalation"]
approvals = 1
[[triggers]]
name = "escalation_increase"
metric = "escalation_rate"
kind = "two_sample"
limit = 0.03
maturity_minutes = 5
weight = 0.6
action = "rollback"
[[triggers]]
name = "csat_drop"
metric = "csat"
kind = "rating"
limit = 0.2
maturity_minutes = 10
weight = 0.4
action = "rollback"
[[certificates]]
name = "escalation"
metric = "escalation_rate"
kind = "two_sample"
margin = 0.06
maturity_minutes = 5
"""


@dataclass
class FactsByHand:
    """Writes conversations minute by minute, as ingest would leave them."""

    warehouse: Warehouse
    rng: random.Random = field(default_factory=lambda: random.Random(3))
    customers: int = 0

    def minute(self, moment: datetime, n: int, share: float, treated: float, control: float, rollout_id: str) -> None:
        """`n` conversations in the minute at `moment`; escalation probabilities per arm."""
        rows = []
        for i in range(n):
            self.customers += 1
            arm = "assistant" if self.rng.random() < share else "baseline"
            started = to_naive(moment + timedelta(seconds=60 * i / n))
            escalates = self.rng.random() < (treated if arm == "assistant" else control)
            at = started + timedelta(minutes=1) if escalates else None
            csat, csat_at = (2.0 if escalates else 4.0), started + timedelta(minutes=2)
            key = f"c{self.customers}"
            rows.append(
                {
                    "conversation_id": key,
                    "id_hash": self.customers,
                    "user_id": f"u{self.customers}",
                    "arm": arm,
                    "release": "v1",
                    "rollout_id": rollout_id,
                    "eligible": True,
                    "started_at": started,
                    "turns": 1,
                    "escalated_at": at,
                    "csat": csat,
                    "csat_at": csat_at,
                    "batch_id": 1,
                }
            )
        cursor = self.warehouse.cursor()
        cursor.register("by_hand", pl.DataFrame(rows, schema_overrides={"escalated_at": pl.Datetime("us")}).to_arrow())
        cursor.execute("INSERT INTO conversations BY NAME SELECT * FROM by_hand")
        cursor.close()

    def heard(self, moment: datetime) -> None:
        """The only source has told everything up to `moment`."""
        cursor = self.warehouse.cursor()
        cursor.execute("DELETE FROM sources")
        cursor.execute("INSERT INTO sources VALUES ('producer', true, ?, ?)", [to_naive(moment)] * 2)
        cursor.close()


@pytest.fixture
def policy() -> Policy:
    return parse(POLICY)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which nothing has happened yet, to be copied: to make both stores takes most of the time of many a test."""
    settings = settings_module.load(tmp_path_factory.mktemp("empty") / "home", env={})
    settings.workspace.create("live")
    state = StateWriter(settings.state_url)
    state.migrate(START)
    state.close()
    with Warehouse.open(settings.workspace.facts):
        return settings.workspace.home


@pytest.fixture
def deps(tmp_path: Path, policy: Policy, empty_home: Path) -> Iterator[Deps]:
    shutil.copytree(empty_home, tmp_path / "home")
    settings = settings_module.load(tmp_path / "home", env={})
    state = StateWriter(settings.state_url)
    with Warehouse.open(settings.workspace.facts) as warehouse:
        found = Deps(settings, warehouse, state, policy)
        with (tmp_path / "told.txt").open("w") as stream:
            found.receivers, found.rules = notify.receivers(settings, stream)
            assert isinstance(found.receivers["console"], ConsoleReceiver)
            found.probe = lambda _url, _key: {"arm": "baseline", "version": 10**6}
            found.flag_urls = ("http://127.0.0.1:1",)
            yield found
    state.close()


@pytest.fixture
def facts(deps: Deps) -> FactsByHand:
    return FactsByHand(deps.warehouse)


@pytest.fixture
def started(deps: Deps) -> str:
    """A rollout that has been started at START; its id."""
    artefacts = {"model": "m1"}
    return actions.start_release(deps.state, deps.policy, "v1", artefacts, "ben", "ana", START).rollout_id


Minutes = Callable[[int], datetime]


@pytest.fixture
def at() -> Minutes:
    """The story's time `n` minutes after START."""
    return lambda n: START + timedelta(minutes=n)
