"""APScheduler wiring only: when each job runs, and that one run of a slot is done by one process.

Every run claims `(job, slot)` in the state first, because two schedulers on one store would run everything twice. The slot is
the job's period counted from the epoch, or the minute a cron expression last named; so a cron job that was missed, because no
process ran at its minute, is caught up at the next start; several are caught up one after the other, in the order in which
they were due, because a later one reads what an earlier one leaves (the review of a week its topics and its drift). A run that
fails is logged and tried again with the next slot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, cast

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from controlplane.store.state import StateWriter
from controlplane.store.state_claims import FencedOff

log = logging.getLogger("controlplane.jobs")

STOP_SECONDS = 0.5  # how soon a job that waits for another sees that the scheduler stops


@dataclass(frozen=True, slots=True)
class Job:
    """A job and its rhythm: every `seconds`, or by a cron expression (UTC). `claimed` jobs run once over all processes."""

    name: str
    run: Callable[[datetime], Any]
    seconds: float | None = None
    cron: str | None = None
    claimed: bool = True
    lease: timedelta = timedelta(minutes=10)
    worth_catching_up: Callable[[datetime], bool] = lambda _due: True  # told the missed time, when a process starts


def slot_of(job: Job, now: datetime) -> str:
    """The slot that `now` lies in."""
    if job.seconds is not None:
        return str(int(now.timestamp() // job.seconds))
    due = last_due(job.cron or "", now)
    return "never" if due is None else due.strftime("%Y-%m-%dT%H:%M")


def last_due(cron: str, now: datetime) -> datetime | None:
    """The newest time not after `now` that a cron expression (UTC) names, aware; None when there was none in 400 days."""
    trigger = CronTrigger.from_crontab(cron, timezone="UTC")
    for days in (1, 8, 32, 400):
        found = None
        start = now - timedelta(days=days)
        while (fires := trigger.get_next_fire_time(found, start)) is not None and fires <= now:
            found, start = fires, fires + timedelta(seconds=1)
        if found is not None:
            return cast(datetime, found).astimezone(UTC)
    return None


def missed(jobs: Iterable[Job], now: datetime) -> list[Job]:
    """Cron jobs whose last time is worth catching up, in the order of those times; whether it was really missed is found by claiming its slot."""
    due = [
        (at, place, job) for place, job in enumerate(jobs) if job.cron and (at := last_due(job.cron, now)) is not None
    ]
    return [job for at, _, job in sorted(due, key=lambda item: item[:2]) if job.worth_catching_up(at)]


def run_once(job: Job, state: StateWriter, owner: str, now: datetime) -> bool:
    """Claim the slot and run; False when another process has it. An error leaves the slot to its lease, so it can be taken over."""
    if not job.claimed:
        job.run(now)
        return True
    slot = slot_of(job, now)
    if not state.claim_run(job.name, slot, owner, now, job.lease):
        return False
    result = job.run(now)
    state.finish_run(job.name, slot, {"result": str(result)[:500]}, now)
    return True


def schedule(
    jobs: list[Job], state: StateWriter, owner: str, clock: Callable[[], datetime], on_fenced: Callable[[], None]
) -> BackgroundScheduler:
    """A scheduler for `jobs`, not started. Each job runs in its own thread, never twice at once; missed runs are joined into one."""
    executors = {"default": ThreadPoolExecutor(max(2, len(jobs)))}
    scheduler = BackgroundScheduler(timezone="UTC", executors=executors)
    late = [job.name for job in missed(jobs, clock())]
    caught_up = {name: Event() for name in late}
    for job in jobs:
        place = late.index(job.name) if job.name in late else None
        before = None if not place else caught_up[late[place - 1]]
        trigger = (
            CronTrigger.from_crontab(job.cron, timezone="UTC") if job.cron else IntervalTrigger(seconds=job.seconds)
        )
        scheduler.add_job(
            _guarded(job, state, owner, clock, on_fenced, before, caught_up.get(job.name), lambda: scheduler.running),
            trigger,
            id=job.name,
            max_instances=1,
            coalesce=True,
            misfire_grace_time=None,
            **({"next_run_time": clock()} if job.name in late else {}),  # due at once, then by its rhythm
        )
    return scheduler


def _guarded(
    job: Job,
    state: StateWriter,
    owner: str,
    clock: Callable[[], datetime],
    on_fenced: Callable[[], None],
    before: Event | None,
    done: Event | None,
    going_on: Callable[[], bool],
) -> Callable[[], None]:
    """The job as the scheduler runs it: not before `before` is set, and setting `done` however it ends."""

    def guarded() -> None:
        try:
            while before is not None and not before.wait(STOP_SECONDS):
                if not going_on():
                    return  # its slot is not claimed: the next start catches it up
            run_once(job, state, owner, clock())
        except FencedOff as error:
            log.error("%s: %s", job.name, error)
            on_fenced()
        except Exception:
            log.exception("job %s failed; it is tried again in its next slot", job.name)
        finally:
            if done is not None:
                done.set()

    return guarded
