"""A real control server on loopback: real state, real flag reader, real landing folder; only the handlers of jobs are small."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.core.model import Rollout, RolloutState
from controlplane.core.policy import parse
from controlplane.server.app import create_app
from controlplane.server.serve import ControlServer
from controlplane.server.services import (
    ActionRefused,
    ActionRequest,
    Limits,
    QueryRefused,
    Role,
    Services,
    SqlResult,
    Vitals,
)
from controlplane.settings import shipped_policy
from controlplane.store.flags import FlagReader
from controlplane.store.landing import LandingWriter
from controlplane.store.state import StateWriter
from controlplane.store.state_rows import Commit

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
TOKENS = {f"{role}-token-0123456789": role for role in Role}
POLICY = parse(shipped_policy("default"))
OPEN_STAGE = next(stage for stage in POLICY.stages if stage.audience == "eligible")


def bearer(role: Role) -> dict[str, str]:
    return {"Authorization": f"Bearer {role}-token-0123456789"}


def a_rollout(**more: Any) -> Rollout:
    first = Rollout(
        rollout_id="ro-1",
        release='2026.2 "beta"',
        release_hash="f" * 64,
        state=RolloutState.RUNNING,
        phase=OPEN_STAGE.phase,
        stage=OPEN_STAGE.index,
        share=0.5,
        execution_enabled=True,
        policy_hash=POLICY.hash,
        version=1,
        updated_at=NOW,
        stage_started_at=NOW,
    )
    return replace(first, **more)


@dataclass
class World:
    """What stands behind the server, and what reached it."""

    folder: Path
    now: datetime = NOW
    wishes: list[ActionRequest] = field(default_factory=list)
    broken: bool = False
    failing: str | None = None

    def __post_init__(self) -> None:
        self.state = StateWriter(f"sqlite:///{self.folder / 'state.sqlite'}")
        self.state.migrate(NOW)
        self.state.register_policy(POLICY.hash, POLICY.name, POLICY.text, NOW)
        self.state.commit(Commit(rollout=a_rollout(), expected_version=0, stage_event="start"), NOW)
        self.landing = LandingWriter(self.folder / "landing", "api")
        self.flags = FlagReader(self)
        self._ids = count(1)

    def close(self) -> None:
        self.state.close()
        self.landing.close()

    def rollout(self) -> Rollout | None:
        if self.broken:
            raise OSError("the disk is gone: /secret/place")
        return self.state.rollout()

    def policy_text(self, policy_hash: str) -> str | None:
        return self.state.policy_text(policy_hash)

    def change(self, **more: Any) -> Rollout:
        """A new version of the rollout."""
        before = self.state.rollout()
        assert before is not None
        after = replace(before, version=before.version + 1, **more)
        self.state.commit(Commit(rollout=after, expected_version=before.version), self.now)
        return after

    def vitals(self) -> Vitals:
        rollout = self.rollout()
        return Vitals(rollout, self.state.version(), NOW - timedelta(seconds=40), 3, 1, NOW, self.failing)

    def act(self, wish: ActionRequest) -> Mapping[str, Any]:
        if wish.reason == "crash":
            raise KeyError("inside")
        if wish.reason == "impossible":
            raise ActionRefused("promotion needs the certificate 'escalation'")
        self.wishes.append(wish)
        return {"done": wish.action, "at": self.now}

    def sql(self, query: str, limit: int) -> SqlResult:
        if "DROP" in query:
            raise QueryRefused("only SELECT is possible here")
        rows = [[n, self.now, float("nan"), b"\x01", None] for n in range(2 * limit)]
        return SqlResult(("n", "ts", "x", "b", "nothing"), rows[:limit], truncated=True)

    def landed(self) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "landing" / "api").glob("*.jsonl"))
        return [json.loads(line) for path in paths for line in path.read_text().splitlines()]

    def services(self, **more: Any) -> Services:
        parts = Services(
            flags=self.flags,
            landing=self.landing,
            vitals=self.vitals,
            status=lambda: {"release": "2026.2", "since": self.now},
            act=self.act,
            sql=self.sql,
            clock=lambda: self.now,
            new_id=lambda: f"id-{next(self._ids)}",
            tokens=TOKENS,
            limits=Limits(records_bytes=200_000, records_lines=100, sql_rows=50),
        )
        return replace(parts, **more)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


Serve = Callable[..., httpx.Client]


@pytest.fixture
def serve(world: World) -> Iterator[Serve]:
    """Starts servers on free ports; everything ends with the test."""
    running: list[ControlServer] = []
    clients: list[httpx.Client] = []

    def start(role: Role | None = Role.ADMIN, **more: Any) -> httpx.Client:
        server = ControlServer(create_app(world.services(**more))).start()
        running.append(server)
        headers = bearer(role) if role else {}
        clients.append(httpx.Client(base_url=server.url, headers=headers, timeout=10))
        return clients[-1]

    yield start
    for client in clients:
        client.close()
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def calm_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world that no test of a module changes: shared, because starting a server takes time."""
    made = World(tmp_path_factory.mktemp("calm"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def calm(calm_world: World) -> Iterator[httpx.Client]:
    """A client of the shared server with the role admin."""
    with (
        ControlServer(create_app(calm_world.services())) as server,
        httpx.Client(base_url=server.url, headers=bearer(Role.ADMIN), timeout=10) as client,
    ):
        yield client


@pytest.fixture
def api(serve: Serve) -> httpx.Client:
    """A client with the role admin."""
    return serve()
