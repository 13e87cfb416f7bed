"""A heartbeat whose steps fail: the others go on, because people must be told and a ramp without data must be held."""

from __future__ import annotations

from datetime import timedelta
from threading import Event

import pytest

from controlplane.core.model import RolloutState
from controlplane.core.rollout import Event as RolloutEvent
from controlplane.store.slices import IngestError
from controlplane.store.state_claims import FencedOff
from jobs import actions, evaluate, ingest, notify, tick
from jobs.console import clock
from jobs.deps import Deps
from jobs.up import LEASE, wait_for_lease
from tests.jobs.conftest import START, FactsByHand, Minutes


def failing(error: Exception) -> object:
    def run(deps: Deps, now: object) -> None:
        raise error

    return run


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be stored any more."""
    monkeypatch.setattr(ingest, "run", failing(IngestError("the disk is full")))


def test_a_heartbeat_does_every_step(deps: Deps, started: str, at: Minutes) -> None:
    found = tick.run(deps, at(1))
    assert found.evaluation.rollout is not None
    assert (found.stored, found.delivered) == (0, 0)
    assert (deps.last_beat, deps.failing) == (at(1), None)


@pytest.mark.usefixtures("full_disk")
def test_records_that_cannot_be_stored_hold_the_ramp(deps: Deps, facts: FactsByHand, started: str, at: Minutes) -> None:
    """Monitoring that is down means hold, never "all green"."""
    facts.heard(at(1))
    for minute in range(1, 9):
        with pytest.raises(IngestError, match="the disk is full"):
            tick.run(deps, at(minute))
    rollout = deps.state.rollout()
    assert rollout is not None
    assert rollout.state is RolloutState.HELD
    assert (deps.last_beat, deps.failing) == (None, "IngestError: the disk is full")


@pytest.mark.usefixtures("full_disk")
def test_a_persons_rollback_is_told_though_nothing_can_be_stored(deps: Deps, started: str, at: Minutes) -> None:
    actions.act(deps.state, deps.policy, RolloutEvent.ROLLBACK, "cleo", "it lies", at(1))
    with pytest.raises(IngestError, match="the disk is full"):
        tick.run(deps, at(1))
    assert [item.status for item in deps.state.outbox()] == ["sent"]
    with pytest.raises(IngestError, match="the disk is full"):
        tick.run(deps, at(3))
    assert [item.outbox_id.split(":")[1] for item in deps.state.outbox()] == ["opened", "unverified"]
    assert {item.status for item in deps.state.outbox()} == {"sent"}


@pytest.mark.usefixtures("full_disk")
def test_all_that_failed_is_raised_together(
    deps: Deps, started: str, at: Minutes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "run", failing(ValueError("no receiver")))
    with pytest.raises(ExceptionGroup) as caught:
        tick.run(deps, at(1))
    assert [str(error) for error in caught.value.exceptions] == ["the disk is full", "no receiver"]


def test_a_lease_of_another_host_is_waited_for_and_its_owner_named(deps: Deps) -> None:
    now, stop = clock(), Event()
    deps.state.take_lease(LEASE, "elsewhere:1", now, timedelta(minutes=5))
    stop.set()
    with pytest.raises(FencedOff, match="held by elsewhere:1"):
        wait_for_lease(deps.state, "here:2", stop)


def test_a_lease_that_runs_out_is_taken(deps: Deps) -> None:
    deps.state.take_lease(LEASE, "elsewhere:1", clock(), timedelta(seconds=0.5))
    wait_for_lease(deps.state, "here:2", Event())
    (lease,) = deps.state.export()["leases"]
    assert (lease["owner"], lease["token"]) == ("here:2", 2)


def test_who_is_fenced_off_does_no_further_step(deps: Deps, started: str, monkeypatch: pytest.MonkeyPatch) -> None:
    actions.act(deps.state, deps.policy, RolloutEvent.ROLLBACK, "cleo", "it lies", START)
    monkeypatch.setattr(evaluate, "run", failing(FencedOff("another process writes")))
    with pytest.raises(FencedOff):
        tick.run(deps, START + timedelta(seconds=1))
    assert [item.status for item in deps.state.outbox()] == ["pending"]
