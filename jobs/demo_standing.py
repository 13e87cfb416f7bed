"""What the standing jobs of a week would have left behind, done at the end of the demo's story so that every page has something real to show."""

from __future__ import annotations

from datetime import datetime

from jobs import review_draw, topics, tradeoff_record
from jobs.deps import Deps
from jobs.tradeoff_command import Assumptions

ACTOR = "demo"
READ_A_DAY = 50.0  # answers that the reviewers of the story can read a day
TARGET_USD = 0.01  # a resolved conversation; the story's models are cheap


def leave(deps: Deps, now: datetime) -> None:
    """Topics of the customers' questions, answers drawn for people to label, and the trade-off of the release that runs. Needs the control API."""
    topics.run(deps, now, trigger=ACTOR, actor=ACTOR)
    review_draw.draw(deps, now, READ_A_DAY, ACTOR)
    home, assumed = str(deps.home), Assumptions(target_cost=TARGET_USD)
    found = tradeoff_record.tradeoff(home, tradeoff_record.Asked(), assumed, now)
    found["left_at_default"] = tradeoff_record.left_at_default(found["question"]["assumptions"], {"target_cost"})
    tradeoff_record.record(home, found, ACTOR, "", now)
