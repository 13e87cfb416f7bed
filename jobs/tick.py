"""One heartbeat of the control process: what has landed is stored, judged, told and verified, in this order.

A decision's commit is the cut: the flags of this process are read anew and people are told right behind it, and only then is the cut verified,
which takes a round of questions; what the verification finds is told in the same beat.

Rollups are for eyes only (blocks are counted from the facts), so they are brought up to date by the publishing job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TypeVar

from controlplane.store.state_claims import FencedOff
from jobs import evaluate, inbox, incident_serious, ingest, ladder, notify, verify
from jobs.deps import Deps
from jobs.evaluate import Evaluation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tick:
    """What one heartbeat did."""

    stored: int
    evaluation: Evaluation
    delivered: int
    verification: verify.Verification | None = None  # of a cut; None when there is none to verify


def run(deps: Deps, now: datetime, clock: Callable[[], datetime] | None = None) -> Tick:
    """Each step reads what the step before has committed, so a crash between two of them is caught up by the next heartbeat.

    A step that fails does not stop the others: what cannot be stored grows stale and so holds the ramp, a cut is verified and
    people are told all the same. Its error is raised at the end; FencedOff at once, for then nothing may be written.

    With a `clock` a large file from the inbox does not keep the judging waiting: what has landed meanwhile is stored, judged,
    verified and told between its slices.
    """
    try:
        done = _beat(deps, now, clock)
    except Exception as error:
        deps.failing = f"{type(error).__name__}: {error}"
        raise
    deps.last_beat, deps.failing = now, None
    return done


def _beat(deps: Deps, now: datetime, clock: Callable[[], datetime] | None) -> Tick:
    failures: list[Exception] = []

    def attempt(step: Callable[[Deps, datetime], T]) -> T | None:
        try:
            return step(
                deps, now if clock is None else clock()
            )  # a decision is dated when it is made, not when the beat began
        except FencedOff:
            raise
        except Exception as error:
            failures.append(error)
            return None

    def between() -> None:
        if clock is not None:
            ingest.run(deps, clock())
            _serve(deps, evaluate.run(deps, clock()), clock())
            for step in (ladder.run, notify.run, verify.run, notify.run):
                step(deps, clock())

    counts = attempt(ingest.run)
    attempt(partial(inbox.run, between=between))
    evaluation = attempt(evaluate.run)
    if evaluation is not None:
        _serve(deps, evaluation, now if clock is None else clock())
    attempt(ladder.run)
    delivered = attempt(notify.run)
    verification = attempt(verify.run)
    if verification is not None and delivered is not None:
        delivered = [*delivered, *(attempt(notify.run) or ())]
    attempt(incident_serious.run)  # what it writes is told with the next heartbeat; it is a matter of days
    if len(failures) > 1:
        raise ExceptionGroup("several steps of a heartbeat failed", failures)
    if failures or counts is None or evaluation is None or delivered is None:
        raise failures[0]
    return Tick(counts.stored, evaluation, len(delivered), verification)


def _serve(deps: Deps, evaluation: Evaluation, now: datetime) -> None:
    """Serve by what was just decided, instead of by the row as it was read up to a second ago."""
    if evaluation.decision is not None and deps.reread_flags is not None:
        deps.reread_flags(now)
