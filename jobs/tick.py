"""One heartbeat of the control process: what has landed is stored, judged, verified and told, in this order.

Rollups are for eyes only (blocks are counted from the facts), so they are brought up to date by the publishing job.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from jobs import evaluate, inbox, ingest, notify, verify
from jobs.deps import Deps
from jobs.evaluate import Evaluation


@dataclass(frozen=True, slots=True)
class Tick:
    """What one heartbeat did."""

    stored: int
    evaluation: Evaluation
    delivered: int


def run(deps: Deps, now: datetime) -> Tick:
    """Each step reads what the step before has committed, so a crash between two of them is caught up by the next heartbeat."""
    counts = ingest.run(deps, now)
    inbox.run(deps, now)
    evaluation = evaluate.run(deps, now)
    verify.run(deps, now)
    delivered = notify.run(deps, now)
    return Tick(counts.stored, evaluation, len(delivered))
