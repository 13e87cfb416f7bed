"""Delivery beside the heartbeat: a receiver that hangs keeps nobody waiting, errors reach the heartbeat, nothing is told twice."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alerts.deliver import Rules
from alerts.message import Message
from alerts.model import Alert, Severity
from alerts.pipeline import Route
from controlplane.store.state import Commit, StateWriter
from controlplane.store.state_claims import FencedOff
from controlplane.store.state_rows import NewMessage
from jobs import notify
from jobs.courier import Courier
from jobs.deps import Deps

PATIENCE = 30.0  # seconds; only a failing test waits that long


class Slow:
    """A receiver that does not answer until it is let."""

    name = "slow"

    def __init__(self) -> None:
        self.asked, self.let, self.got = threading.Event(), threading.Event(), list[Message]()

    def send(self, message: Message) -> dict[str, Any]:
        self.asked.set()
        assert self.let.wait(PATIENCE)
        self.got.append(message)
        return {"parent": True}


def clock() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def deps(tmp_path: Path) -> Iterator[Deps]:
    state = StateWriter(f"sqlite:///{tmp_path / 'state.sqlite'}")
    state.migrate(clock())
    found = Deps(None, None, state, None)  # delivery has no use for settings, facts or policy
    found.receivers, found.rules = {"slow": Slow()}, Rules((Route("all", ("slow",)),))
    yield found
    state.close()


def add(deps: Deps, name: str) -> None:
    now = clock()
    alert = Alert(
        alert_id=name,
        labels={"alertname": name},
        annotations={"title": name},
        severity=Severity.CRITICAL,
        starts_at=now,
    )
    deps.state.commit(Commit(messages=[NewMessage(name, "alert", alert.to_dict())]), now)


def until(seen: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(int(PATIENCE / 0.01)):
        if seen():
            return
        waiting.wait(0.01)
    pytest.fail("it did not happen")


def test_the_heartbeat_does_not_wait_for_a_receiver_that_hangs(deps: Deps) -> None:
    slow = deps.receivers["slow"]
    add(deps, "first")
    with notify.courier(deps, clock):
        assert slow.asked.wait(PATIENCE)
        assert notify.run(deps, clock()) == []  # returns, although the receiver does not
        add(deps, "second")
        assert notify.run(deps, clock()) == []
        assert deps.state.outbox_counts() == {"sending": 1, "pending": 1}
        slow.let.set()
        told: list[str] = []
        until(lambda: bool(told.extend(r.outbox_id for r in notify.run(deps, clock()))) or len(told) == 2)
    assert sorted(told) == ["first", "second"]
    assert [message.outbox_id for message in slow.got] == ["first", "second"]
    assert deps.courier is None


def test_a_receiver_that_hangs_does_not_delay_the_others(deps: Deps) -> None:
    slow, quick = deps.receivers["slow"], Slow()
    quick.name = "quick"
    quick.let.set()
    deps.receivers = {"slow": slow, "quick": quick}
    deps.rules = Rules((Route("pager", ("slow",), continue_=True), Route("all", ("quick",))))
    add(deps, "first")
    with notify.courier(deps, clock):
        assert slow.asked.wait(PATIENCE)
        add(deps, "second")
        notify.run(deps, clock())
        until(lambda: len(quick.got) == 2)
        assert slow.got == []
        slow.let.set()
        until(lambda: len(slow.got) == 2)
    assert deps.state.outbox_counts() == {"sent": 4}
    assert all([m.outbox_id.split("@")[0] for m in one.got] == ["first", "second"] for one in (slow, quick))


def test_at_the_end_the_round_at_work_is_finished_and_what_is_left_waits_for_the_next_process(deps: Deps) -> None:
    slow = deps.receivers["slow"]
    add(deps, "first")
    with notify.courier(deps, clock):
        assert slow.asked.wait(PATIENCE)
        threading.Timer(0.05, slow.let.set).start()
    assert deps.state.outbox_counts() == {"sent": 1}
    add(deps, "later")
    assert [r.outbox_id for r in notify.run(deps, clock())] == ["later"]  # without a courier: here and now


def test_two_rounds_never_run_at_once(deps: Deps) -> None:
    slow = deps.receivers["slow"]
    add(deps, "only")
    threads = [threading.Thread(target=notify.deliver, args=(deps, clock())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert slow.asked.wait(PATIENCE)
    slow.let.set()
    for thread in threads:
        thread.join()
    assert [message.outbox_id for message in slow.got] == ["only"]


def test_an_error_is_raised_where_the_heartbeat_asks_and_the_next_round_goes_on() -> None:
    faults: list[Exception] = [OSError("disk is full")]
    rounds = threading.Semaphore(0)

    def waiting(now: datetime) -> list[str]:
        rounds.release()
        if faults:
            raise faults.pop()
        return []

    courier = Courier(waiting, lambda receiver, now: [], clock)
    courier.start()
    assert rounds.acquire(timeout=PATIENCE)
    raised: list[BaseException] = []

    def poked() -> bool:
        try:
            courier.poke()
        except OSError as error:
            raised.append(error)
        return bool(raised)

    until(poked)
    assert rounds.acquire(timeout=PATIENCE)
    assert courier.poke() == []
    courier.stop()


@pytest.mark.parametrize("where", ["waiting", "telling"])
def test_who_is_fenced_off_delivers_no_more(where: str) -> None:
    def waiting(now: datetime) -> list[str]:
        return fenced() if where == "waiting" else ["slow"]

    def fenced(*_: Any) -> list[Any]:
        raise FencedOff("another process writes")

    courier = Courier(waiting, fenced, clock)
    courier.start()
    until(lambda: not courier._thread.is_alive())
    courier.stop()
    with pytest.raises(FencedOff):
        courier.poke()
