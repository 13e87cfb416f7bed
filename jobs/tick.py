"""One heartbeat of the control process: what has landed is stored, judged, verified and told, in this order.

Rollups are for eyes only (blocks are counted from the facts), so they are brought up to date by the publishing job.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from controlplane.store.state_claims import FencedOff
from jobs import evaluate, inbox, ingest, notify, verify
from jobs.deps import Deps
from jobs.evaluate import Evaluation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Tick:
    """What one heartbeat did."""

    stored: int
    evaluation: Evaluation
    delivered: int


def run(deps: Deps, now: datetime) -> Tick:
    """Each step reads what the step before has committed, so a crash between two of them is caught up by the next heartbeat.

    A step that fails does not stop the others: what cannot be stored grows stale and so holds the ramp, a cut is verified and
    people are told all the same. Its error is raised at the end; FencedOff at once, for then nothing may be written.
    """
    failures: list[Exception] = []

    def attempt(step: Callable[[Deps, datetime], T]) -> T | None:
        try:
            return step(deps, now)
        except FencedOff:
            raise
        except Exception as error:
            failures.append(error)
            return None

    counts = attempt(ingest.run)
    attempt(inbox.run)
    evaluation = attempt(evaluate.run)
    attempt(verify.run)
    delivered = attempt(notify.run)
    if len(failures) > 1:
        raise ExceptionGroup("several steps of a heartbeat failed", failures)
    if failures or counts is None or evaluation is None or delivered is None:
        raise failures[0]
    return Tick(counts.stored, evaluation, len(delivered))
