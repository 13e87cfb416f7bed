"""Several processes on one state database: one wins, none corrupts, and a killed one leaves whole decisions only."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.core.policy import parse
from controlplane.core.rollout import ActorKind, Change, Event, start
from controlplane.settings import shipped_policy
from controlplane.store.state import StateWriter
from controlplane.store.state_migrations import SCHEMA_VERSION
from controlplane.store.state_rows import AuditEntry, Commit

T0 = datetime(2026, 1, 5, 9, tzinfo=UTC)
WORKER = Path(__file__).with_name("state_worker.py")
ROOT = WORKER.parents[2]


@contextmanager
def worker(role: str, url: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(WORKER), role, url, *map(str, arguments)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def at_once(role: str, url: str, *arguments: tuple[object, ...]) -> list[str]:
    """Output of one process per tuple of arguments, all running at the same time."""
    with worker(role, url, *arguments[0]) as one, worker(role, url, *arguments[1]) as two:
        outputs = [process.communicate(timeout=60) for process in (one, two)]
        codes = [one.returncode, two.returncode]
    assert codes == [0, 0], outputs
    return [out for out, _ in outputs]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.sqlite'}"


@pytest.fixture
def state(url: str) -> Iterator[StateWriter]:
    writer = StateWriter(url)
    writer.migrate(T0)
    change = Change(Event.START, ActorKind.PERSON, "begin", T0, rollout_id="r1", release="v1", release_hash="h1")
    rollout = start(change, parse(shipped_policy("default")))
    audit = AuditEntry("ann", "start", "r1", "begin")
    writer.commit(Commit(rollout=rollout, expected_version=0, stage_event="start", audit=(audit,)), T0)
    yield writer
    writer.close()


def decisions_are_whole(state: StateWriter) -> int:
    """The rollout's version, after checking that every version has exactly one row of everything that its decision wrote."""
    rollout, tables = state.rollout(), state.export()
    assert rollout is not None
    versions = list(range(2, rollout.version + 1))
    assert [row["version"] for row in sorted(tables["stages"], key=lambda row: row["seq"])] == [1, *versions]
    assert [json.loads(row["payload"]).get("version") for row in state.audit_rows()] == [None, *versions]
    assert [row["last_batch"] for row in state.ledger_rows()] == versions
    assert sorted(item.payload["version"] for item in state.outbox()) == versions
    assert sorted(int(row.incident_id[1:]) for row in state.incidents()) == versions
    lanes = [lane.state["version"] for lane in state.lanes("r1").values()]
    assert lanes == versions[-1:]
    assert state.version() == rollout.version
    assert state.verify_chains() == {"audit": None, "ledger": None}
    return rollout.version


def test_two_deciding_processes_each_version_is_won_once(state: StateWriter, url: str) -> None:
    won = [int(out) for out in at_once("race", url, (40,), (40,))]
    assert decisions_are_whole(state) == 1 + sum(won)
    assert min(won) > 0
    assert sum(won) >= 40


def test_two_appending_processes_keep_both_chains_whole(state: StateWriter, url: str) -> None:
    at_once("append", url, ("left", 40), ("right", 40))
    assert state.verify_chains() == {"audit": None, "ledger": None}
    for name in ("left", "right"):
        mine = [row["reason"] for row in state.audit_rows() if row["actor"] == name]
        assert mine == [f"{name} {number}" for number in range(40)]
        assert len([row for row in state.ledger_rows() if row["lane"] == name]) == 40


def test_each_slot_has_one_owner(state: StateWriter, url: str) -> None:
    got = [set(out.split()) for out in at_once("claim", url, ("one", 50), ("two", 50))]
    assert not got[0] & got[1]
    assert got[0] | got[1] == {str(number) for number in range(50)}
    owners = {row["slot"]: row["owner"] for row in state.export()["runs"]}
    assert owners == {f"s{int(n):03}": name for name, mine in zip(("one", "two"), got, strict=True) for n in mine}


@pytest.mark.parametrize("attempt", range(2))
def test_two_processes_may_open_a_new_workspace_at_once(url: str, attempt: int) -> None:
    at_once("migrate", url, (), ())
    writer = StateWriter(url)
    assert writer.version() == 0
    assert [row["version"] for row in writer.export()["schema_version"]] == [SCHEMA_VERSION]
    assert len(writer.export()["state_version"]) == 1
    writer.close()


def test_a_killed_writer_leaves_whole_decisions_and_nothing_it_promised_is_lost(state: StateWriter, url: str) -> None:
    """Killed again and again at ever other points of its work; what it had reported as written must be there."""
    version = 1
    for after in (1, 3, 7, 16, 37):
        with worker("spin", url) as process:
            assert process.stdout is not None
            for _ in range(after):
                promised = int(process.stdout.readline())
            process.kill()
            promised = max([promised, *(int(line) for line in process.stdout.read().split("\n")[:-1])])
        found = decisions_are_whole(state)
        assert found >= promised > version
        version = found
    state.claim_run("job", "after", "me", T0, timedelta(minutes=1))  # no lock was left behind
