"""A slot is run by one process, once; a run that fails is told and tried again; who lost the lease stops."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controlplane.store.state import StateWriter
from controlplane.store.state_tables import runs
from jobs.scheduler import Job, last_due, run_once, schedule, slot_of
from tests.jobs.conftest import START

LEASE = timedelta(minutes=10)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state.sqlite'}"


@pytest.fixture
def state(url: str) -> Iterator[StateWriter]:
    writer = StateWriter(url)
    writer.migrate(START)
    yield writer
    writer.close()


@pytest.fixture
def other(url: str, state: StateWriter) -> Iterator[StateWriter]:
    """The same state, opened by another process."""
    writer = StateWriter(url)
    yield writer
    writer.close()


class Work:
    """A job that notes when it ran, and fails as often as told."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.ran: list[datetime] = []
        self.enough = threading.Event()
        self._failures, self._error = failures, error or OSError("the disk is full")

    def __call__(self, now: datetime) -> str:
        self.ran.append(now)
        if len(self.ran) <= self._failures:
            raise self._error
        self.enough.set()
        return f"run {len(self.ran)}"

    def job(self, **more: object) -> Job:
        return Job("drift", self, **{"seconds": 60, "lease": LEASE, **more})  # type: ignore[arg-type]


def stored(state: StateWriter) -> list[tuple[str, str | None, str | None]]:
    """Owner, when done and result of every claimed slot."""
    return [(row["owner"], row["done_at"], row["result"]) for row in state.export()[runs.name]]


@pytest.mark.parametrize(
    ("job", "same", "other"),
    [
        (Job("j", print, seconds=60), 59, 60),
        (Job("j", print, seconds=0.5), 0, 1),
        (Job("j", print, cron="0 3 1 * *"), 2_311_199, 2_311_200),
    ],
)
def test_a_slot_is_the_jobs_period_counted_from_the_epoch(job: Job, same: int, other: int) -> None:
    assert slot_of(job, START) == slot_of(job, START + timedelta(seconds=same))
    assert slot_of(job, START) != slot_of(job, START + timedelta(seconds=other))


def test_slots_do_not_depend_on_the_time_zone_of_the_clock() -> None:
    elsewhere = START.astimezone(datetime.fromisoformat("2026-01-01T00:00:00+05:30").tzinfo)
    assert slot_of(Job("j", print, seconds=60), elsewhere) == slot_of(Job("j", print, seconds=60), START)


def test_two_processes_run_a_slot_once_and_the_next_slot_again(state: StateWriter, other: StateWriter) -> None:
    mine, theirs = Work(), Work()
    later = START + timedelta(seconds=60)
    assert run_once(mine.job(), state, "a", START)
    assert not run_once(theirs.job(), other, "b", START + timedelta(seconds=59))
    assert run_once(theirs.job(), other, "b", later)
    assert not run_once(mine.job(), state, "a", later)
    assert (mine.ran, theirs.ran) == ([START], [later])
    assert [(owner, result) for owner, _, result in stored(state)] == [
        ("a", '{"result":"run 1"}'),
        ("b", '{"result":"run 1"}'),
    ]


def test_many_threads_claim_a_slot_and_one_gets_it(state: StateWriter, other: StateWriter) -> None:
    work, barrier, got = Work(), threading.Barrier(6), []

    def claim(number: int) -> None:
        barrier.wait()
        got.append(run_once(work.job(), state if number % 2 else other, f"owner {number}", START))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 5 + [True]
    assert len(work.ran) == 1


def test_a_run_that_died_is_taken_over_after_its_lease_and_not_before(state: StateWriter, other: StateWriter) -> None:
    """The slot is a long one: a cron job's, whose process was killed in the middle."""
    job = Work().job(seconds=86_400)
    dying = Work(failures=1).job(seconds=86_400)
    with pytest.raises(OSError, match="full"):
        run_once(dying, state, "a", START)
    assert not run_once(job, other, "b", START + LEASE - timedelta(seconds=1))
    assert run_once(job, other, "b", START + LEASE)
    assert not run_once(job, state, "a", START + 2 * LEASE)
    ((owner, done, _),) = stored(state)
    assert owner == "b"
    assert done is not None


def test_jobs_that_are_not_claimed_leave_no_trace(state: StateWriter) -> None:
    work = Work()
    for _ in range(2):
        assert run_once(work.job(claimed=False), state, "a", START)
    assert len(work.ran) == 2
    assert stored(state) == []


def running(job: Job, state: StateWriter, on_fenced: Callable[[], None], until: threading.Event) -> None:
    """Let a real scheduler run until the event, then shut it down."""
    scheduler = schedule([job], state, "me", lambda: datetime.now(UTC), on_fenced)
    scheduler.start()
    try:
        assert until.wait(30)
    finally:
        scheduler.shutdown(wait=True)


def never() -> None:
    raise AssertionError("nobody was fenced off")


def test_a_failing_job_is_told_and_tried_again_in_its_next_slot(
    state: StateWriter, caplog: pytest.LogCaptureFixture
) -> None:
    work = Work(failures=2)
    with caplog.at_level(logging.WARNING, logger="controlplane.jobs"):
        running(work.job(seconds=0.05), state, never, work.enough)
    assert len(work.ran) >= 3
    failures = [record for record in caplog.records if "job drift failed" in record.getMessage()]
    assert len(failures) == 2
    assert all(record.exc_info and "the disk is full" in str(record.exc_info[1]) for record in failures)


def test_one_failing_job_does_not_stop_the_others(state: StateWriter, caplog: pytest.LogCaptureFixture) -> None:
    bad, good = Work(failures=10**6), Work()
    jobs = [bad.job(seconds=0.05), Job("tick", good, seconds=0.05, claimed=False)]
    scheduler = schedule(jobs, state, "me", lambda: datetime.now(UTC), never)
    scheduler.start()
    try:
        assert good.enough.wait(30)
    finally:
        scheduler.shutdown(wait=True)


def test_a_job_never_runs_twice_at_once(state: StateWriter) -> None:
    together, most, runs_ = [0], [0], threading.Semaphore(0)

    def slow(_now: datetime) -> None:
        together[0] += 1
        most[0] = max(most[0], together[0])
        threading.Event().wait(0.12)
        together[0] -= 1
        runs_.release()

    scheduler = schedule(
        [Job("tick", slow, seconds=0.03, claimed=False)], state, "me", lambda: datetime.now(UTC), never
    )
    scheduler.start()
    try:
        assert all(runs_.acquire(timeout=30) for _ in range(3))
    finally:
        scheduler.shutdown(wait=True)
    assert most == [1]


def test_who_lost_the_lease_is_told_and_stops(
    state: StateWriter, other: StateWriter, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    state.take_lease("writer", "me", now - timedelta(minutes=1), timedelta(seconds=10))
    other.take_lease("writer", "you", now, timedelta(minutes=10))
    stopped, wrote = threading.Event(), Work()

    def renew(moment: datetime) -> None:
        state.take_lease("writer", "me", moment, timedelta(seconds=10))

    running(Job("lease", renew, seconds=0.05, claimed=False), state, stopped.set, stopped)
    assert "lease: the lease 'writer' is held by you" in caplog.text
    stopped.clear()
    running(wrote.job(seconds=0.05), state, stopped.set, stopped)  # not even the claim of a slot goes through
    assert wrote.ran == []
    assert stored(state) == []


def test_a_cron_job_is_planned_in_utc(state: StateWriter) -> None:
    job = Work().job(seconds=None, cron="0 3 1 * *", worth_catching_up=lambda due: False)
    scheduler = schedule([job], state, "me", lambda: START, never)
    scheduler.start(paused=True)
    try:
        (planned,) = scheduler.get_jobs()
        due = planned.next_run_time
    finally:
        scheduler.shutdown()
    assert (due.day, due.hour, due.minute, due.utcoffset()) == (1, 3, 0, timedelta(0))


@pytest.mark.parametrize(
    ("cron", "now", "due"),
    [
        ("0 3 1 * *", "2026-03-01T03:00:00+00:00", "2026-03-01T03:00:00+00:00"),
        ("0 3 1 * *", "2026-03-01T02:59:59+00:00", "2026-02-01T03:00:00+00:00"),
        ("0 3 1 * *", "2026-03-31T23:00:00+00:00", "2026-03-01T03:00:00+00:00"),
        ("30 6 * * *", "2026-03-02T06:29:00+00:00", "2026-03-01T06:30:00+00:00"),
        ("0 0 1 1 *", "2026-11-22T00:00:00+00:00", "2026-01-01T00:00:00+00:00"),
        ("0 3 1 * *", "2026-03-01T05:00:00+02:00", "2026-03-01T03:00:00+00:00"),
    ],
)
def test_the_last_time_a_cron_expression_names(cron: str, now: str, due: str) -> None:
    assert last_due(cron, datetime.fromisoformat(now)) == datetime.fromisoformat(due)


def test_a_date_that_never_comes_is_never_due() -> None:
    assert last_due("0 0 30 2 *", START) is None


@pytest.mark.parametrize("worth", [True, False])
def test_a_cron_job_that_was_missed_is_caught_up_once_at_the_next_start(state: StateWriter, worth: bool) -> None:
    """No process ran at its minute; the second start finds the slot done."""
    work = Work()
    asked: list[datetime] = []

    def worth_it(due: datetime) -> bool:
        asked.append(due)
        return worth

    job = Job("drift", work, cron="0 3 1 * *", worth_catching_up=worth_it)
    now = START + timedelta(days=3)
    for owner in ("a", "b"):
        scheduler = schedule([job], state, owner, lambda: now, lambda: None)
        scheduler.start()
        assert work.enough.wait(10 if worth else 0.3) is worth
        scheduler.shutdown(wait=True)
    assert work.ran == ([now] if worth else [])
    assert asked == 2 * [last_due("0 3 1 * *", now)]
    assert [result for _, _, result in stored(state)] == (['{"result":"run 1"}'] if worth else [])


def test_what_was_missed_is_caught_up_in_the_order_in_which_it_was_due(state: StateWriter) -> None:
    """The review of a week reads its topics and its drift; one of them that fails holds up nobody."""
    order: list[str] = []
    enough = threading.Event()

    def slow(_: datetime) -> None:
        time.sleep(0.2)
        order.append("drift")

    def failing(_: datetime) -> None:
        order.append("topics")
        raise OSError("the disk is full")

    def review(_: datetime) -> None:
        order.append("review")
        enough.set()

    jobs = [
        Job("review", review, cron="0 5 * * mon"),
        Job("topics", failing, cron="0 4 * * mon"),
        Job("drift", slow, cron="0 3 1 * *"),
    ]
    monday = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # the day after the first of the month
    scheduler = schedule(jobs, state, "me", lambda: monday, never)
    scheduler.start()
    assert enough.wait(10)
    scheduler.shutdown(wait=True)
    assert order == ["drift", "topics", "review"]


def test_who_waits_for_another_is_let_go_at_the_end(state: StateWriter) -> None:
    begun, go = threading.Event(), threading.Event()

    def long(_: datetime) -> None:
        begun.set()
        go.wait(10)

    waiting = Work()
    jobs = [Job("drift", long, cron="0 3 1 * *"), Job("review", waiting, cron="0 5 * * mon")]
    scheduler = schedule(jobs, state, "me", lambda: datetime(2026, 3, 2, 9, 0, tzinfo=UTC), never)
    scheduler.start()
    assert begun.wait(10)
    ending = threading.Thread(target=scheduler.shutdown)
    ending.start()
    time.sleep(1.2)
    go.set()
    ending.join(10)
    assert waiting.ran == []
